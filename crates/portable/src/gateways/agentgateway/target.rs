//! One target.

use super::super::doc::Value;
use super::super::reading::{Reading, after, argv, milliseconds};
use super::super::table::Table;
use super::super::variable::{self, Style};
use super::KINDS;
use crate::format::Fault;
use crate::model::{Server, Tls, Transport};
use crate::text::Text;

const STYLE: Style = Style::Shell;

/// A name that no other target has.
pub(super) fn free_name(reading: &Reading<'_>, own: &str, endpoint: Option<&str>) -> String {
    let servers = &reading.deployment.servers;
    if !servers.contains_key(own) {
        return own.to_owned();
    }
    let of_route = endpoint.map(|endpoint| format!("{endpoint}-{own}"));
    match of_route.filter(|name| !servers.contains_key(name)) {
        Some(name) => name,
        None => (2..=u32::MAX)
            .map(|number| format!("{own}-{number}"))
            .find(|name| !servers.contains_key(name))
            .unwrap_or_default(),
    }
}

/// What a backend says of all its targets.
pub(super) fn modes<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    targets: usize,
) -> Result<(), Fault> {
    let prefix = table.text("prefixMode")?.unwrap_or("conditional");
    match (prefix, targets) {
        ("always" | "conditional", _) | ("never", 1) => {}
        ("never", _) => {
            let meaning =
                "where several servers meet, their names stand before their tools: `aliases` gives others";
            reading.report.dropped(table.at("prefixMode"), false, meaning);
        }
        _ => return Err(table.fault("its \"prefixMode\" is none of always, conditional and never")),
    }
    reading.drop(table, "statefulMode", false, "sessions are kept as `sessions` of an upstream says");
    if table.text("failureMode")? == Some("failClosed") {
        let meaning = "a server that fails takes no other one with it: lists lack its part, and say so";
        reading.report.dropped(table.at("failureMode"), false, meaning);
    }
    if table.flag("dnsRebindingProtection")? == Some(true) {
        reading.report.kept(table.at("dnsRebindingProtection"), true);
    }
    Ok(())
}

/// Reads a target.
pub(super) fn read<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<Option<Server>, Fault> {
    table.take("name");
    let kinds: Vec<_> = KINDS.iter().filter(|(key, _)| table.has(key)).collect();
    let openapi = table.has("openapi");
    if kinds.len() + usize::from(openapi) != 1 {
        return Err(table.fault("expected exactly one of \"stdio\", \"mcp\", \"sse\" and \"openapi\""));
    }
    if openapi {
        let meaning = "a web API is an upstream of its own kind: write `openapi` for it (docs/openapi.md)";
        reading.report.dropped(table.path.clone(), false, meaning);
        return Ok(None);
    }
    let (key, transport) = *kinds.into_iter().next().ok_or_else(|| table.fault("it has no kind"))?;
    let mut server = Server { transport, ..Server::default() };
    let inner = table.table(key)?;
    if let Some(mut inner) = inner {
        match transport {
            Transport::Stdio => stdio(reading, &mut inner, &mut server)?,
            _ => server.url = Some(url(reading, &mut inner)?),
        }
        reading.unknown(inner);
    }
    if let Some(policies) = table.table("policies")? {
        if transport == Transport::Stdio {
            return Err(policies.fault("a target of stdio has no policies"));
        }
        backend_policies(reading, policies, &mut server)?;
    }
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

fn stdio<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    let command = reading.text(table, "cmd")?.filter(|command| !command.is_empty());
    let command = command.ok_or_else(|| table.fault("it has no \"cmd\""))?;
    server.argv = argv(&command, reading.texts(table, "args", false)?.unwrap_or_default(), STYLE);
    server.env = reading.values(table, "env", STYLE)?;
    // Earlier exports of ours had the second word.
    let cleared = [table.flag("clear_env")?, table.flag("clearEnv")?];
    if cleared.contains(&Some(true)) {
        reading.report.kept(table.at("clear_env"), true);
    } else {
        let meaning = "the program gets PATH, HOME and the variables that are named, and no others";
        reading.report.approximated(table.at("clear_env"), true, meaning);
    }
    Ok(())
}

/// The URL of a target: one, or in parts.
fn url<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<Text, Fault> {
    table.either("host", "backend")?;
    if table.has("backend") {
        return Err(
            table.fault("a backend of another kind is named, whose address is elsewhere: write its URL")
        );
    }
    let host = reading.text(table, "host")?.ok_or_else(|| table.fault("it has no \"host\""))?;
    let (port, path) = (table.port("port")?, reading.text(table, "path")?);
    let url = match (port, path) {
        (None, None) if host.contains("://") => host,
        (None, None) => format!("http://{host}"),
        (Some(port), Some(path)) if !host.contains("://") => {
            let path = path.trim_start_matches('/').to_owned();
            format!("http://{host}:{port}/{path}")
        }
        _ => return Err(table.fault("\"port\" and \"path\" go together, with a \"host\" that is no URL")),
    };
    Ok(variable::read(&url, STYLE))
}

/// What is said of the connection to a server.
pub(super) fn backend_policies<'a>(
    reading: &mut Reading<'a>,
    mut table: Table<'a>,
    server: &mut Server,
) -> Result<(), Fault> {
    if let Some(text) = backend_auth(reading, &mut table)? {
        server.headers.insert("Authorization".to_owned(), text);
    }
    if let Some(mut modifier) = table.table("requestHeaderModifier")? {
        for key in ["set", "add"] {
            let values = reading.values(&mut modifier, key, STYLE)?;
            server.headers.extend(values);
        }
        reading.drop(&mut modifier, "remove", false, "only what `forward_headers` names is passed on");
        reading.unknown(modifier);
    }
    if let Some(mut tls) = table.table("backendTLS")? {
        let ca = reading.text(&mut tls, "root")?;
        let pair = (reading.text(&mut tls, "cert")?, reading.text(&mut tls, "key")?);
        let certificate = if let (Some(cert), Some(key)) = pair { Some((cert, key)) } else { None };
        for key in ["insecure", "insecureHost"] {
            if tls.flag(key)? == Some(true) {
                let meaning = "certificates are looked at, whatever it says: name an authority in `tls.ca`";
                reading.report.approximated(tls.at(key), true, meaning);
            }
        }
        server.tls = Some(Tls { ca, certificate, insecure: false });
        reading.unknown(tls);
    }
    if let Some(mut http) = table.table("http")? {
        if let Some(text) = http.text("requestTimeout")? {
            server.timeouts.call_ms = milliseconds(text);
            reading.report.kept(http.at("requestTimeout"), false);
        }
        reading.unknown(http);
    }
    reading.drop_all(
        &mut table,
        &["tcp", "backendTunnel"],
        "connections are made as `timeouts` and `limits` say",
    );
    reading.drop(&mut table, "transformations", false, "messages are passed on as they are");
    reading.unknown(table);
    Ok(())
}

/// The credential for a server. `None`: none that stands there.
pub(super) fn backend_auth<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
) -> Result<Option<Text>, Fault> {
    let Some(mut auth) = table.table("backendAuth")? else { return Ok(None) };
    let at = auth.at("key");
    let key = match auth.take("key") {
        None => None,
        Some(node) => Some(match &node.value {
            Value::Text(text) => variable::read(text, STYLE),
            Value::Map(_) => {
                let mut key = Table::of(node, &at, reading.origin.file)?;
                let value = key.table("value")?;
                let mut place = value.unwrap_or(key);
                match (place.text("file")?, place.text("value")?) {
                    (Some(file), None) => Text::file(file),
                    (None, Some(value)) => variable::read(value, STYLE),
                    _ => return Err(place.fault("expected a \"file\" or a value")),
                }
            }
            _ => return Err(auth.fault("expected a key or the file that has it")),
        }),
    };
    if key.is_some() {
        reading.report.kept(at, false);
    }
    let meaning = "a caller's own token is never passed on: see `auth` of upstreams for tokens of each user";
    reading.drop_present(&mut auth, "passthrough", false, meaning);
    for kind in ["gcp", "aws", "azure", "copilot", "jwtSign", "oauthTokenExchange", "crossAppAccess"] {
        let meaning = "there is no such way to prove oneself here: see `auth` of upstreams";
        reading.drop_present(&mut auth, kind, false, meaning);
    }
    reading.unknown(auth);
    Ok(key.map(|key| after("Bearer ", &key)))
}
