//! Codex: TOML.

use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::import::{foreign, provenance};
use crate::field::{Field, Part, Support};
use crate::format::{
    Exported, Fault, Format, Imported, Known, Likeness, Origin, Refused, SERVERS_MAX, Target, Tested,
};
use crate::model::{Deployment, Oauth, Scope, Server, Tools, Transport};
use crate::reduce::reduce;
use crate::report::Report;
use crate::syntax::{Kind, Node, Reader, Source, parse_toml, to_item, toml_unreadable};
use crate::text::{Piece, Text};

/// Codex' `config.toml`.
pub(super) struct Codex;

const ROOT: &str = "mcp_servers";

impl Format for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn title(&self) -> &'static str {
        "Codex"
    }

    fn known(&self) -> &'static [Known] {
        &[
            Known { path: ".codex/config.toml", scope: Scope::User },
            Known { path: ".codex/config.toml", scope: Scope::Project },
        ]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let Ok(source) = Source::new(text, file_name) else { return Likeness::No };
        let has = parse_toml(&source).is_ok_and(|root| root.get(ROOT).is_some());
        match (has, file_name.ends_with(".toml")) {
            (true, true) => Likeness::Surely,
            (true, false) => Likeness::Likely,
            (false, true) => Likeness::Maybe,
            (false, false) => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let source = Source::new(text, origin.file)?;
        let root = parse_toml(&source)?;
        let mut out = Imported::default();
        out.deployment.format = Some(self.name());
        let Some(servers) = root.get(ROOT) else { return Ok(out) };
        if !matches!(servers.kind, Kind::Map(_)) || servers.members().len() > SERVERS_MAX {
            let message = format!("expected a table of at most {SERVERS_MAX} servers");
            return Err(source.fault(servers.at, ROOT, message));
        }
        for member in servers.members() {
            match server(&source, &member.value, &format!("{ROOT}.{}", member.key)) {
                Ok(mut server) => {
                    server.provenance = Some(provenance(self.name(), origin, &member.key));
                    let mut notes = Vec::new();
                    foreign(&mut server, &mut notes);
                    for (at, meaning) in notes {
                        out.report.dropped(format!("servers.{}.{at}", member.key), false, meaning);
                    }
                    out.deployment.servers.insert(member.key.clone(), server);
                }
                Err(fault) => out.refused.push(Refused { name: member.key.clone(), fault }),
            }
        }
        Ok(out)
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        let (reduced, report) = reduce(deployment, self);
        let existing = target.existing.unwrap_or_default();
        let source = Source::new(existing, target.file)?;
        let mark = &existing[..existing.len() - source.text.len()];
        let mut document: DocumentMut =
            source.text.parse().map_err(|error| toml_unreadable(&source, &error))?;
        let there = self.import(existing, &Origin::default())?.deployment.servers;
        if !document.contains_key(ROOT) {
            let mut table = Table::new();
            table.set_implicit(true);
            document.insert(ROOT, Item::Table(table));
        }
        let table = document.get_mut(ROOT).and_then(Item::as_table_like_mut);
        let table: &mut dyn TableLike =
            table.ok_or_else(|| source.fault(0, ROOT, "expected a table of servers"))?;
        for name in target.remove.iter().filter(|name| !reduced.servers.contains_key(*name)) {
            table.remove(name);
        }
        for (name, server) in &reduced.servers {
            let is_there = there.get(name).is_some_and(|old| {
                let mut old = old.clone();
                old.provenance = None;
                old == *server
            });
            if !is_there {
                table.insert(name, Item::Table(entry(server)));
            }
        }
        // Lines end as they did; the document writes `\n` alone.
        let mut text = document.to_string();
        if source.text.contains("\r\n") {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        let text = format!("{mark}{text}");
        self.check(&source, &text, &reduced)?;
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio
            | Field::Http
            | Field::Cwd
            | Field::Env
            | Field::Headers
            | Field::OauthClient
            | Field::OauthScopes
            | Field::Enabled
            | Field::ToolsAllow
            | Field::ToolsDeny
            | Field::StartTimeout
            | Field::CallTimeout => Support::Kept,
            Field::OauthPlaces => Support::Partly("the audience alone, as the resource"),
            Field::EnvInValues => Support::Partly(
                "a header that is a variable, a bearer token in one, and a variable under its own name",
            ),
            Field::Sse => Support::Dropped("Codex does not speak HTTP+SSE: the server is left out"),
            _ if field.part() == Part::Gateway => {
                Support::Dropped("a client has no place for it: the gateway keeps it")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        deployment.servers.retain(|name, server| {
            let path = format!("servers.{name}");
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            if name.is_empty() || !name.bytes().all(fits) {
                report.dropped(path, false, "Codex takes no such name: the server is left out");
                return false;
            }
            server.env.retain(|key, value| {
                let stays = value.as_plain().is_some() || value.as_env() == Some(key);
                if !stays {
                    let meaning = format!("Codex passes variables under their own names: set {key} itself");
                    report.dropped(format!("{path}.env.{key}"), false, meaning);
                }
                stays
            });
            server.headers.retain(|key, value| {
                let stays =
                    value.as_plain().is_some() || value.as_env().is_some() || bearer(key, value).is_some();
                if !stays {
                    let meaning = "Codex takes a header that is a variable as a whole: set one that is";
                    report.dropped(format!("{path}.headers.{key}"), false, meaning);
                }
                stays
            });
            if let Some(oauth) = &mut server.oauth {
                let places = [&mut oauth.metadata_url, &mut oauth.authorization_url, &mut oauth.token_url];
                let mut is_gone = oauth.issuer.take().is_some();
                for place in places {
                    is_gone |= place.take().is_some();
                }
                let client = oauth.client_id.take_if(|client| client.as_plain().is_none());
                if is_gone || client.is_some() {
                    report.dropped(format!("{path}.oauth"), false, "Codex has no place for all of it");
                }
                if *oauth == Oauth::default() {
                    server.oauth = None;
                }
            }
            true
        });
    }

    fn tested(&self) -> Tested {
        Tested::Program("0.171.0 of npm, `codex mcp list` and `get`, which do not connect")
    }
}

impl Codex {
    /// Whether what is written means what was meant.
    fn check(&self, source: &Source<'_>, text: &str, meant: &Deployment) -> Result<(), Fault> {
        let mut read = self.import(text, &Origin::default())?.deployment.servers;
        read.values_mut().for_each(|server| server.provenance = None);
        if meant.servers.iter().all(|(name, server)| read.get(name) == Some(server)) {
            return Ok(());
        }
        Err(source.fault(0, ROOT, "it cannot be changed without changing more; change it by hand"))
    }
}

/// The variable of a bearer token.
fn bearer<'a>(key: &str, value: &'a Text) -> Option<&'a str> {
    match value.as_reference() {
        Some(("Bearer ", Piece::Env { name, default: None })) if key == "Authorization" => Some(name),
        _ => None,
    }
}

fn server(source: &Source<'_>, node: &Node, path: &str) -> Result<Server, Fault> {
    let mut reader = Reader::new(source, node, path);
    let mut server = Server::default();
    server.argv.extend(reader.text("command").map(Text::plain));
    let args = reader.list("args").unwrap_or_default();
    server.argv.extend(args.into_iter().map(Text::plain));
    server.url = reader.text("url").map(Text::plain);
    match (reader.has("command"), server.url.is_some()) {
        (true, true) => reader.fail_at("url", "it has both a command and a URL: take one out"),
        (false, false) => reader.fail_at("", "it has neither a command nor a URL"),
        (true, false) => {}
        (false, true) => server.transport = Transport::StreamableHttp,
    }
    if reader.has("bearer_token") {
        reader.fail_at("bearer_token", "Codex takes no token here: name a variable, bearer_token_env_var");
    }
    let plain = reader.map("env");
    server.env = plain.into_iter().map(|(name, value)| (name, Text::plain(value))).collect();
    for name in reader.list("env_vars").unwrap_or_default() {
        server.env.insert(name.clone(), Text::env(name));
    }
    let plain = reader.map("http_headers");
    server.headers = plain.into_iter().map(|(name, value)| (name, Text::plain(value))).collect();
    for (name, variable) in reader.map("env_http_headers") {
        server.headers.insert(name, Text::env(variable));
    }
    if let Some(variable) = reader.text("bearer_token_env_var") {
        let piece = Piece::Env { name: variable, default: None };
        server.headers.insert("Authorization".to_owned(), Text::plain("Bearer ").with(piece));
    }
    server.cwd = reader.text("cwd").map(Text::plain);
    server.enabled = reader.flag("enabled").unwrap_or(true);
    let deny = reader.list("disabled_tools").unwrap_or_default();
    server.tools = Tools { allow: reader.list("enabled_tools"), deny };
    server.timeouts.start_ms =
        reader.scaled("startup_timeout_sec", 1000).or_else(|| reader.scaled("startup_timeout_ms", 1));
    server.timeouts.call_ms = reader.scaled("tool_timeout_sec", 1000);
    let mut oauth = Oauth {
        scopes: reader.list("scopes").unwrap_or_default(),
        audience: reader.text("oauth_resource"),
        ..Oauth::default()
    };
    if let Some(mut inner) = reader.inner("oauth") {
        oauth.client_id = inner.text("client_id").map(Text::plain);
        oauth.unknown = reader.close(inner);
    }
    server.oauth = (oauth != Oauth::default()).then_some(oauth);
    server.unknown = reader.end()?;
    Ok(server)
}

/// A server's table.
fn entry(server: &Server) -> Table {
    let mut all = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    };
    let plain = |text: &Text| text.as_plain().unwrap_or_default().to_owned();
    if let Some((program, args)) = server.argv.split_first() {
        put("command", Some(plain(program).into()));
        put("args", (!args.is_empty()).then(|| json!(args.iter().map(plain).collect::<Vec<_>>())));
    }
    put("url", server.url.as_ref().map(|url| plain(url).into()));
    put("cwd", server.cwd.as_ref().map(|cwd| plain(cwd).into()));
    let variables: Vec<&String> =
        server.env.iter().filter(|(_, value)| value.as_plain().is_none()).map(|(name, _)| name).collect();
    put("env_vars", (!variables.is_empty()).then(|| json!(variables)));
    let token = server.headers.iter().find_map(|(key, value)| bearer(key, value));
    put("bearer_token_env_var", token.map(Value::from));
    put("enabled", (!server.enabled).then_some(Value::Bool(false)));
    put("enabled_tools", server.tools.allow.as_ref().map(|tools| json!(tools)));
    put("disabled_tools", (!server.tools.deny.is_empty()).then(|| json!(server.tools.deny)));
    let seconds = |ms: u64| {
        // Of what has thousandths, a float has enough digits.
        #[expect(clippy::cast_precision_loss, reason = "times are short")]
        if ms.is_multiple_of(1000) { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) }
    };
    put("startup_timeout_sec", server.timeouts.start_ms.map(seconds));
    put("tool_timeout_sec", server.timeouts.call_ms.map(seconds));
    let oauth = server.oauth.clone().unwrap_or_default();
    put("scopes", (!oauth.scopes.is_empty()).then(|| json!(oauth.scopes)));
    put("oauth_resource", oauth.audience.map(Value::from));
    for (key, value) in &server.unknown {
        put(key, Some(value.clone()));
    }
    let mut table: Table =
        all.iter().filter_map(|(key, value)| Some((key.as_str(), to_item(value)?))).collect();
    let pairs = |values: Vec<(&str, String)>| {
        let values = values.into_iter().map(|(key, value)| (key, toml_edit::Value::from(value)));
        Item::Table(values.collect::<Table>())
    };
    let literal = |values: &indexmap::IndexMap<String, Text>| {
        let plain =
            values.iter().filter_map(|(key, value)| Some((key.clone(), value.as_plain()?.to_owned())));
        plain.collect::<Vec<_>>()
    };
    for (key, values) in [("env", literal(&server.env)), ("http_headers", literal(&server.headers))] {
        if !values.is_empty() {
            table.insert(
                key,
                pairs(values.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()),
            );
        }
    }
    let named = server.headers.iter();
    let named: Vec<_> =
        named.filter_map(|(key, value)| Some((key.as_str(), value.as_env()?.to_owned()))).collect();
    if !named.is_empty() {
        table.insert("env_http_headers", pairs(named));
    }
    let mut inner = oauth.unknown.clone();
    if let Some(client) = &oauth.client_id {
        inner.insert("client_id".to_owned(), plain(client).into());
    }
    if !inner.is_empty() {
        let values = inner.iter().filter_map(|(key, value)| Some((key.as_str(), to_item(value)?)));
        table.insert("oauth", Item::Table(values.collect::<Table>()));
    }
    table
}
