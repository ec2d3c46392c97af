//! `tidegate.yaml`, written.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::{SCHEMA_LINE, Tidegate, foreign, sections};
use crate::clients::is_plain_key;
use crate::format::{Exported, Fault, Target};
use crate::gateways;
use crate::model::{Deployment, Endpoint, Oauth, Server, Tools, Transport};
use crate::patterns;
use crate::reduce::{is_guard, reduce};
use crate::report::{Fate, Report};
use crate::syntax::{Entry, Source, edit_yaml, parse_yaml};
use crate::text::{Piece, Text};

/// The time that the gateway waits for the beginning of an answer unless it is told something else.
pub(super) const FIRST_BYTE_MS: u64 = 60_000;

pub(super) fn export(
    own: &Tidegate,
    deployment: &Deployment,
    target: &Target<'_>,
) -> Result<Exported, Fault> {
    let (mut reduced, mut report) = reduce(deployment, own);
    let source = Source::new(target.existing.unwrap_or_default(), target.file)?;
    let existing = source.text;
    // A mark of the byte order is its owner's as well.
    let mark = target.existing.and_then(|whole| whole.strip_suffix(existing)).unwrap_or_default();
    let before = parse_yaml(&source)?.to_value();
    // The first lines of a text that is there are its owner's.
    let mut text = if existing.trim().is_empty() { SCHEMA_LINE.to_owned() } else { existing.to_owned() };
    let listen = reduced.gateway.listen.as_ref().map(|listen| ("listen".to_owned(), json!(listen)));
    for (key, value) in listen.into_iter().chain(sections::put(&reduced.gateway)) {
        match before.get(&key) {
            None => {
                if !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("{key}: {value}\n"));
            }
            Some(there) if *there == value => {}
            Some(_) => {
                let meaning = "the configuration says it already, and that stays";
                report.dropped(key.as_str(), is_guard(&key), meaning);
            }
        }
    }
    let selects = |endpoint: &Endpoint| endpoint.tools != Tools::default() || !endpoint.aliases.is_empty();
    let foreign = deployment.format != Some("tidegate");
    if foreign && before.get("variables").is_some() {
        for (name, server) in &mut reduced.servers {
            as_it_stands(&format!("servers.{name}"), server, &mut report);
        }
    }
    if foreign && before.get("names").is_some() && reduced.gateway.endpoints.values().any(selects) {
        let message = "endpoints that select tools are not added where `names` makes other names of them";
        return Err(source.fault(0, "names", message));
    }
    let servers: Vec<Entry> = reduced
        .servers
        .iter()
        .map(|(name, server)| Entry { name: name.clone(), lines: lines(name, server) })
        .collect();
    let endpoints: Vec<Entry> = reduced
        .gateway
        .endpoints
        .iter()
        .map(|(name, endpoint)| Entry { name: name.clone(), lines: endpoint_lines(name, endpoint) })
        .collect();
    text = edit_yaml(&Source::new(&text, target.file)?, "upstreams", &servers, target.remove)?;
    if !endpoints.is_empty() {
        text = edit_yaml(&Source::new(&text, target.file)?, "endpoints", &endpoints, &[])?;
    }
    config::load_str(&text, target.file).map_err(|faults| {
        let first = faults.into_iter().next().cloned();
        first.unwrap_or_else(|| source.fault(0, "", "it would be no configuration"))
    })?;
    check(&source, &before, &text, &reduced)?;
    Ok(Exported { text: format!("{mark}{text}"), beside: Vec::new(), report })
}

/// Whether all else means what it meant.
fn check(source: &Source<'_>, before: &Value, text: &str, meant: &Deployment) -> Result<(), Fault> {
    let after = parse_yaml(&Source::new(text, source.file)?)?.to_value();
    let rest = |value: &Value| {
        let mut map = value.as_object().cloned().unwrap_or_default();
        let ours = ["upstreams", "endpoints", "listen"].into_iter().chain(sections::SECTIONS);
        for key in ours.chain(meant.gateway.unknown.keys().map(String::as_str)) {
            map.shift_remove(key);
        }
        map
    };
    let names = |value: &Value, key: &str| {
        let map = value.get(key).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter().filter(|(name, _)| !meant.servers.contains_key(name)).collect::<Map<_, _>>()
    };
    let same = names(before, "upstreams")
        .iter()
        .all(|(name, value)| after["upstreams"].get(name).is_none_or(|after| after == value));
    if rest(before) == rest(&after) && same {
        return Ok(());
    }
    Err(source.fault(0, "upstreams", "it cannot be changed without changing more; change it by hand"))
}

/// Takes out what the gateway cannot be told, server by server, and gives names that it takes.
pub(super) fn adjust(deployment: &mut Deployment, report: &mut Report) {
    // What people were asked for is a variable's now.
    deployment.inputs.clear();
    for (name, server) in &mut deployment.servers {
        let path = format!("servers.{name}");
        looked_up(&path, server, report);
        values(&path, server, report);
    }
    // What a container gets is known by now. That one is started has been told.
    let mut told = Report::default();
    gateways::containers(deployment, &mut told);
    for loss in told.losses().iter().filter(|loss| loss.fate == Fate::Dropped) {
        report.dropped(loss.path.clone(), loss.guards, loss.meaning.clone());
    }
    let old: IndexMap<String, Server> = std::mem::take(&mut deployment.servers);
    let originals: Vec<&str> = old.keys().map(String::as_str).collect();
    let names = config::mcp_json::names_for(&originals);
    let mut renamed: Vec<(String, String)> = Vec::new();
    for ((original, mut server), name) in old.into_iter().zip(names) {
        let path = format!("servers.{original}");
        if name != original {
            report.approximated(path.clone(), false, format!("it is called {name} here"));
        }
        parts(&path, &mut server, report);
        renamed.push((original, name.clone()));
        if let Err(why) = fits(&name, &server) {
            report.dropped(path, false, format!("the gateway does not take it, it is left out: {why}"));
            continue;
        }
        deployment.servers.insert(name, server);
    }
    endpoints(deployment, &renamed, report);
    if deployment.format != Some("tidegate") {
        foreign::fit(deployment, &renamed, report);
    }
}

/// Endpoints with the names that servers have here. One of nothing, or that the gateway does not take, is
/// left out.
fn endpoints(deployment: &mut Deployment, renamed: &[(String, String)], report: &mut Report) {
    let kept = &deployment.servers;
    let foreign = deployment.format != Some("tidegate");
    let new_name =
        |old: String| renamed.iter().find(|(one, _)| *one == old).map_or(old, |(_, new)| new.clone());
    deployment.gateway.endpoints.retain(|name, endpoint| {
        let at = format!("gateway.endpoints.{name}");
        let list = std::mem::take(&mut endpoint.servers).into_iter().map(new_name);
        endpoint.servers = list.filter(|one| kept.contains_key(one)).collect();
        if foreign {
            let own: Vec<(String, String)> =
                renamed.iter().filter(|(_, new)| endpoint.servers.contains(new)).cloned().collect();
            patterns::as_joined(&mut endpoint.tools, &own, &format!("{at}.tools"), report);
            let aliases = std::mem::take(&mut endpoint.aliases).into_iter();
            endpoint.aliases = aliases.map(|(tool, alias)| (patterns::joined(&tool, &own), alias)).collect();
        }
        if !endpoint.enabled || endpoint.servers.is_empty() {
            report.approximated(at, true, "it offers nothing: it is left out");
            return false;
        }
        if endpoint.path.take().is_some() {
            report.approximated(format!("{at}.path"), false, format!("it is at /{name}/mcp here"));
        }
        let servers = endpoint.servers.iter().map(|one| format!("  {one}: {{command: [x]}}\n"));
        let text = format!("upstreams:\n{}endpoints:\n", servers.collect::<String>());
        let lines = endpoint_lines(name, endpoint).into_iter().map(|line| format!("  {line}\n"));
        let Err(faults) = config::load_str(&(text + &lines.collect::<String>()), "") else { return true };
        let why = faults.into_iter().next().map_or_else(String::new, |fault| fault.message.clone());
        report.dropped(at, true, format!("the gateway does not take it, it is left out: {why}"));
        false
    });
}

/// What another program asks a person for, or looks up in a store of its own, is a variable of the
/// environment here, in which it has to be put.
fn looked_up(path: &str, server: &mut Server, report: &mut Report) {
    let secret = server.oauth.as_mut().and_then(|oauth| oauth.client_secret.as_mut());
    let secret = secret.map(|text| ("oauth.client_secret".to_owned(), text));
    let env = server.env.iter_mut().map(|(name, text)| (format!("env.{name}"), text));
    let headers = server.headers.iter_mut().map(|(name, text)| (format!("headers.{name}"), text));
    for (at, text) in env.chain(headers).chain(secret) {
        let pieces = text.pieces().iter().map(|piece| {
            let (what, name) = match piece {
                Piece::Input(id) => (format!("nobody is asked for {id:?}"), id),
                Piece::Vault { scheme, reference } => {
                    (format!("{reference:?} is not looked up in the store {scheme:?}"), reference)
                }
                piece => return piece.clone(),
            };
            let name = variable_name(name);
            let meaning = format!("{what}: set the variable {name} where the gateway runs");
            report.approximated(format!("{path}.{at}"), false, meaning);
            Piece::Env { name, default: None }
        });
        *text = pieces.collect();
    }
}

/// The name of a variable for what is called so.
fn variable_name(of: &str) -> String {
    let upper = of.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    let name: String = upper.collect();
    if name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_') { name } else { format!("_{name}") }
}

/// `${` as text, where the other program does not take it for a variable: in a file that has variables it
/// would be one.
fn as_it_stands(path: &str, server: &mut Server, report: &mut Report) {
    let mut escaped = false;
    let mut one = |text: &mut String| {
        if text.contains("${") {
            *text = text.replace("${", "$${");
            escaped = true;
        }
    };
    let words = server.argv.iter_mut().chain(&mut server.url).chain(&mut server.cwd);
    let oauth = server
        .oauth
        .iter_mut()
        .flat_map(|oauth| [&mut oauth.client_id, &mut oauth.client_secret].into_iter().flatten());
    let values = server.env.values_mut().chain(server.headers.values_mut());
    for text in words.chain(oauth).chain(values) {
        let pieces = text.pieces().iter().map(|piece| match piece {
            Piece::Plain(plain) => {
                let mut plain = plain.clone();
                one(&mut plain);
                Piece::Plain(plain)
            }
            Piece::File(file) => {
                let mut file = file.clone();
                one(&mut file);
                Piece::File(file)
            }
            piece => piece.clone(),
        });
        *text = pieces.collect();
    }
    server.description.iter_mut().chain(&mut server.title).for_each(&mut one);
    server.tools.allow.iter_mut().flatten().chain(&mut server.tools.deny).for_each(&mut one);
    server.tls.iter_mut().filter_map(|tls| tls.ca.as_mut()).for_each(&mut one);
    if let Some(oauth) = &mut server.oauth {
        oauth.scopes.iter_mut().chain(&mut oauth.issuer).for_each(&mut one);
    }
    if escaped {
        let meaning = "\"${\" is text there, and would be a variable here: it is written \"$${\"";
        report.approximated(path, false, meaning);
    }
}

/// References of a kind that the gateway does not look up, or in a place where it does not.
fn values(path: &str, server: &mut Server, report: &mut Report) {
    for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
        values.retain(|name, text| {
            let stays = secret(text).is_some();
            if !stays {
                let meaning = "put the whole value into one variable or file and name that: it is left out";
                report.dropped(format!("{path}.{part}.{name}"), false, meaning);
            }
            stays
        });
    }
    let Some(oauth) = &mut server.oauth else { return };
    if oauth.client_secret.as_ref().is_some_and(|text| secret(text).is_none()) {
        oauth.client_secret = None;
        report.dropped(format!("{path}.oauth.client_secret"), false, "name a variable or a file");
    }
    if oauth.client_id.as_ref().is_some_and(|text| text.as_plain().is_none()) {
        oauth.client_id = None;
        report.dropped(format!("{path}.oauth.client_id"), false, "write it out: it is no secret");
    }
}

/// Parts of what is partly there.
fn parts(path: &str, server: &mut Server, report: &mut Report) {
    if let Some(title) = server.title.take()
        && server.description.is_none()
    {
        server.description = Some(title);
    }
    if let Some(package) = server.package.take()
        && package.sha256.is_some()
    {
        let meaning = "nothing holds the program to that digest; `tidegate add` does so for bundles";
        report.dropped(format!("{path}.package.sha256"), true, meaning);
    }
    if let Some(tls) = &mut server.tls {
        if tls.certificate.take().is_some() {
            report.dropped(
                format!("{path}.tls.certificate"),
                false,
                "the gateway shows no certificate there",
            );
        }
        if std::mem::take(&mut tls.insecure) {
            report.dropped(
                format!("{path}.tls.insecure"),
                false,
                "the gateway always looks whom it talks to",
            );
        }
        if tls.ca.is_none() {
            server.tls = None;
        }
    }
    let authorization = server.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization"));
    if authorization && server.oauth.take().is_some() {
        let meaning = "a header says already what Authorization is: that stays";
        report.dropped(format!("{path}.oauth"), false, meaning);
    }
    if server.cwd.as_ref().and_then(Text::as_plain).is_some_and(|cwd| !cwd.starts_with('/')) {
        let meaning = "a relative path starts at the folder of the configuration";
        report.approximated(format!("{path}.cwd"), false, meaning);
    }
    if let Some(oauth) = &mut server.oauth {
        let places = [
            oauth.metadata_url.take(),
            oauth.authorization_url.take(),
            oauth.token_url.take(),
            oauth.audience.take(),
        ];
        if places.iter().any(Option::is_some) {
            let meaning = "the gateway finds them by the server's own metadata";
            report.dropped(format!("{path}.oauth.endpoints"), false, meaning);
        }
        if *oauth == Oauth::default() {
            server.oauth = None;
        }
    }
}

/// Whether the gateway takes a server as it is, and if not why.
fn fits(name: &str, server: &Server) -> Result<(), String> {
    let plain = |text: &Text| text.as_plain().is_some();
    if !server.argv.iter().all(plain) || !server.url.iter().all(plain) || !server.cwd.iter().all(plain) {
        return Err("variables are replaced in env and headers alone".to_owned());
    }
    let text = format!(
        "upstreams:\n{}",
        lines(name, server).iter().map(|line| format!("  {line}\n")).collect::<String>()
    );
    match config::load_str(&text, "") {
        Ok(_) => Ok(()),
        Err(faults) => Err(faults.into_iter().next().map_or_else(String::new, |fault| fault.message.clone())),
    }
}

/// A value as the gateway has it: written out, or named by where it is.
pub(crate) fn secret(text: &Text) -> Option<Value> {
    if let Some(plain) = text.as_plain() {
        return Some(plain.into());
    }
    let (prefix, piece) = text.as_reference()?;
    let (key, place) = match piece {
        Piece::Env { name, default: None } => ("env", name),
        Piece::File(path) => ("file", path),
        _ => return None,
    };
    let mut map = Map::new();
    map.insert(key.to_owned(), place.as_str().into());
    if !prefix.is_empty() {
        map.insert("prefix".to_owned(), prefix.into());
    }
    Some(Value::Object(map))
}

fn span(ms: u64) -> Value {
    if ms.is_multiple_of(1000) && ms > 0 {
        format!("{}s", ms / 1000).into()
    } else {
        format!("{ms}ms").into()
    }
}

/// The lines of an upstream, without indentation.
fn lines(name: &str, server: &Server) -> Vec<String> {
    let plain = |text: &Text| Value::from(text.as_plain().unwrap_or_default());
    let mut all: Vec<(&str, Value)> = Vec::new();
    if let Some(description) = &server.description {
        all.push(("description", description.as_str().into()));
    }
    if !server.argv.is_empty() {
        all.push(("command", server.argv.iter().map(plain).collect()));
    }
    all.extend(server.url.as_ref().map(|url| ("url", plain(url))));
    match server.transport {
        Transport::StreamableHttp => all.push(("transport", "streamable-http".into())),
        Transport::Sse => all.push(("transport", "http-sse".into())),
        Transport::Stdio | Transport::Auto | Transport::WebSocket => {}
    }
    all.extend(server.cwd.as_ref().map(|cwd| ("cwd", plain(cwd))));
    for (key, values) in [("env", &server.env), ("headers", &server.headers)] {
        let values = values.iter().filter_map(|(name, text)| Some((name.clone(), secret(text)?)));
        let values: Map<String, Value> = values.collect();
        if !values.is_empty() {
            all.push((key, Value::Object(values)));
        }
    }
    if !server.forward_headers.is_empty() {
        all.push(("forward_headers", json!(server.forward_headers)));
    }
    all.extend(server.oauth.as_ref().map(|oauth| ("auth", auth(oauth))));
    let mut times = Map::new();
    let mut put = |key: &str, ms: Option<u64>| {
        if let Some(ms) = ms {
            times.insert(key.to_owned(), span(ms));
        }
    };
    put("connect", server.timeouts.start_ms);
    put("first_byte", server.timeouts.call_ms.filter(|ms| *ms < FIRST_BYTE_MS));
    put("idle", server.timeouts.read_ms);
    put("total", server.timeouts.call_ms);
    if !times.is_empty() {
        all.push(("timeouts", Value::Object(times)));
    }
    all.extend(server.tools.allow.as_ref().map(|tools| ("expose", json!(tools))));
    if !server.tools.deny.is_empty() {
        all.push(("hide", json!(server.tools.deny)));
    }
    if let Some(ca) = server.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
        all.push(("tls", json!({ "ca": ca })));
    }
    if !server.enabled {
        all.push(("enabled", Value::Bool(false)));
    }
    let unknown = server.unknown.iter().map(|(key, value)| (key.as_str(), value.clone()));
    all.extend(unknown);
    entry_lines(name, &all)
}

fn auth(oauth: &Oauth) -> Value {
    let mut auth = oauth.unknown.clone();
    let by_itself = oauth.grant.as_deref() == Some("client_credentials");
    if !by_itself && !auth.contains_key("per_user") {
        auth.insert("per_user".to_owned(), Value::Bool(true));
    }
    if let Some(client) = &oauth.client_id {
        auth.insert("client_id".to_owned(), client.as_plain().unwrap_or_default().into());
    }
    if let Some(secret) = oauth.client_secret.as_ref().and_then(secret) {
        auth.insert("client_secret".to_owned(), secret);
    }
    if let Some(issuer) = &oauth.issuer {
        auth.insert("issuer".to_owned(), issuer.as_str().into());
    }
    if !oauth.scopes.is_empty() {
        auth.insert("scopes".to_owned(), json!(oauth.scopes));
    }
    Value::Object(auth)
}

fn endpoint_lines(name: &str, endpoint: &Endpoint) -> Vec<String> {
    let mut all: Vec<(&str, Value)> = Vec::new();
    if let Some(description) = &endpoint.description {
        all.push(("description", description.as_str().into()));
    }
    all.push(("upstreams", json!(endpoint.servers)));
    all.extend(endpoint.tools.allow.as_ref().map(|tools| ("expose", json!(tools))));
    if !endpoint.tools.deny.is_empty() {
        all.push(("hide", json!(endpoint.tools.deny)));
    }
    if !endpoint.aliases.is_empty() {
        all.push(("aliases", json!(endpoint.aliases)));
    }
    all.extend(endpoint.unknown.iter().map(|(key, value)| (key.as_str(), value.clone())));
    entry_lines(name, &all)
}

/// A key with members, each in a line, a map in several. Values are JSON, and so YAML as well.
fn entry_lines(name: &str, members: &[(&str, Value)]) -> Vec<String> {
    let key = |text: &str| if is_plain_key(text) { text.to_owned() } else { json!(text).to_string() };
    let mut lines = vec![format!("{}:", key(name))];
    for (member, value) in members {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                lines.push(format!("  {}:", key(member)));
                lines.extend(inner.iter().map(|(name, value)| format!("    {}: {value}", key(name))));
            }
            value => lines.push(format!("  {}: {value}", key(member))),
        }
    }
    lines
}
