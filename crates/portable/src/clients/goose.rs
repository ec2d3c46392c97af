//! Goose: YAML.

use serde_json::{Map, Value, json};

use super::import::{foreign, provenance};
use crate::field::{Field, Part, Support};
use crate::format::{
    Exported, Fault, Format, Imported, Known, Likeness, Origin, Refused, SERVERS_MAX, Target, Tested,
};
use crate::model::{Deployment, Scope, Server, Tools, Transport};
use crate::reduce::reduce;
use crate::report::Report;
use crate::syntax::{Entry, Kind, Node, Reader, Source, edit_yaml, parse_yaml};
use crate::text::{Piece, Text};
use crate::variables::{Spelling, Variables};

/// Goose' `config.yaml`.
pub(super) struct Goose;

const ROOT: &str = "extensions";

/// Of headers; nothing else has variables.
const HEADERS: Variables = Variables { everywhere: false, ..Variables::of(Spelling::Braces) };

/// Kinds of extensions that are part of the program.
const OWN: [&str; 5] = ["builtin", "platform", "frontend", "inline_python", "moim"];

impl Format for Goose {
    fn name(&self) -> &'static str {
        "goose"
    }

    fn title(&self) -> &'static str {
        "Goose"
    }

    fn known(&self) -> &'static [Known] {
        &[
            Known { path: ".config/goose/config.yaml", scope: Scope::User },
            Known { path: "AppData/Roaming/Block/goose/config/config.yaml", scope: Scope::User },
        ]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        let is_yaml = file_name.ends_with(".yaml") || file_name.ends_with(".yml");
        if !text.contains(ROOT) {
            return Likeness::No;
        }
        let Ok(source) = Source::new(text, file_name) else { return Likeness::No };
        let has = parse_yaml(&source)
            .is_ok_and(|root| root.get(ROOT).is_some_and(|node| matches!(node.kind, Kind::Map(_))));
        match (has, is_yaml) {
            (true, true) => Likeness::Surely,
            (false, true) => Likeness::Maybe,
            _ => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let source = Source::new(text, origin.file)?;
        let root = parse_yaml(&source)?;
        let mut out = Imported::default();
        out.deployment.format = Some(self.name());
        let Some(servers) = root.get(ROOT).filter(|node| !matches!(node.kind, Kind::Null)) else {
            return Ok(out);
        };
        if !matches!(servers.kind, Kind::Map(_)) || servers.members().len() > SERVERS_MAX {
            let message = format!("expected a map of at most {SERVERS_MAX} extensions");
            return Err(source.fault(servers.at, ROOT, message));
        }
        for member in servers.members() {
            let kind = member.value.get("type").and_then(Node::as_text);
            if kind.is_some_and(|kind| OWN.contains(&kind)) {
                let meaning = "it is part of Goose itself and no server: it stays there";
                out.report.dropped(format!("{ROOT}.{}", member.key), false, meaning);
                continue;
            }
            match server(&source, &member.value, &format!("{ROOT}.{}", member.key)) {
                Ok(mut server) => {
                    let mut notes = Vec::new();
                    foreign(&mut server, &mut notes);
                    for (at, meaning) in notes {
                        out.report.dropped(format!("servers.{}.{at}", member.key), false, meaning);
                    }
                    server.provenance = Some(provenance(self.name(), origin, &member.key));
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
        let before = parse_yaml(&source)?.to_value();
        let there = self.import(existing, &Origin::default())?.deployment.servers;
        let entries: Vec<Entry> = reduced
            .servers
            .iter()
            .filter(|(name, server)| {
                there.get(*name).is_none_or(|old| Server { provenance: None, ..old.clone() } != **server)
            })
            .map(|(name, server)| Entry { name: name.clone(), lines: lines(name, server) })
            .collect();
        let remove: Vec<String> =
            target.remove.iter().filter(|name| !reduced.servers.contains_key(*name)).cloned().collect();
        let text = if entries.is_empty() && remove.is_empty() && target.existing.is_some() {
            existing.to_owned()
        } else {
            let mark = &existing[..existing.len() - source.text.len()];
            format!("{mark}{}", edit_yaml(&source, ROOT, &entries, &remove)?)
        };
        self.check(&source, &before, &text, &reduced)?;
        Ok(Exported { text, beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio
            | Field::Http
            | Field::Description
            | Field::Env
            | Field::Headers
            | Field::Enabled
            | Field::Title => Support::Kept,
            Field::ToolsAllow => {
                Support::Partly("an empty list is all of them there: then the server is switched off")
            }
            Field::CallTimeout => {
                Support::Partly("in whole seconds, rounded up; it is also that for the start")
            }
            Field::EnvInValues => {
                Support::Partly("in headers, and a variable under its own name, which Goose looks up")
            }
            Field::Vault => Support::Partly("Goose' own keyring alone"),
            Field::Sse => Support::Dropped("Goose no longer speaks HTTP+SSE: the server is left out"),
            _ if field.part() == Part::Gateway => {
                Support::Dropped("a client has no place for it: the gateway keeps it")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        deployment.servers.retain(|name, server| {
            let is_plain = server.argv.iter().chain(&server.url).all(|text| text.as_plain().is_some());
            if !is_plain {
                let meaning = "Goose looks secrets up in variables and headers alone: the server is left out";
                report.dropped(format!("servers.{name}"), false, meaning);
            }
            is_plain
        });
        for (name, server) in &mut deployment.servers {
            let path = format!("servers.{name}");
            if let Some(time) = server.timeouts.call_ms.as_mut().filter(|time| !time.is_multiple_of(1000)) {
                *time = time.div_ceil(1000).saturating_mul(1000);
            }
            // An empty list offers all.
            if server.tools.allow.as_ref().is_some_and(Vec::is_empty) {
                server.tools.allow = None;
                server.enabled = false;
            }
            server.env.retain(|key, value| {
                if value.as_env() == Some(key) {
                    *value = keyring(key);
                    let meaning = "Goose looks in its keyring as well";
                    report.approximated(format!("{path}.env.{key}"), false, meaning);
                }
                let stays = value.as_plain().is_some() || *value == keyring(key);
                if !stays {
                    let meaning = format!("Goose looks secrets up by their own names: store {key} there");
                    report.dropped(format!("{path}.env.{key}"), false, meaning);
                }
                stays
            });
            server.headers.retain(|key, value| {
                let stays = HEADERS.render(value).is_some();
                if !stays {
                    let meaning = "it cannot be written there: requests go without it";
                    report.dropped(format!("{path}.headers.{key}"), false, meaning);
                }
                stays
            });
        }
    }

    fn tested(&self) -> Tested {
        Tested::Parser(
            "PyYAML 6.0.4 of PyPI; what it means by block.github.io/goose, configuration files, extensions",
        )
    }
}

impl Goose {
    /// Whether what is written means what was meant, and all else what it meant.
    fn check(
        &self,
        source: &Source<'_>,
        before: &Value,
        text: &str,
        meant: &Deployment,
    ) -> Result<(), Fault> {
        let unusable =
            || source.fault(0, ROOT, "it cannot be changed without changing more; change it by hand");
        let after = Source::new(text, source.file).and_then(|source| parse_yaml(&source));
        let after = after.map_err(|_| unusable())?.to_value();
        let rest = |value: &Value| {
            let mut map = value.as_object().cloned().unwrap_or_default();
            map.shift_remove(ROOT);
            map
        };
        let read = self.import(text, &Origin::default())?.deployment.servers;
        let fits = meant.servers.iter().all(|(name, server)| {
            read.get(name).is_some_and(|read| Server { provenance: None, ..read.clone() } == *server)
        });
        if fits && rest(before) == rest(&after) { Ok(()) } else { Err(unusable()) }
    }
}

fn keyring(name: &str) -> Text {
    Text::default().with(Piece::Vault { scheme: "keyring".to_owned(), reference: name.to_owned() })
}

fn server(source: &Source<'_>, node: &Node, path: &str) -> Result<Server, Fault> {
    let mut reader = Reader::new(source, node, path);
    let mut server = Server::default();
    server.argv.extend(reader.text("cmd").map(Text::plain));
    let args = reader.list("args").unwrap_or_default();
    server.argv.extend(args.into_iter().map(Text::plain));
    server.url = reader.text("uri").map(Text::plain);
    let kind = reader.text("type");
    match kind.as_deref().map(|kind| (kind, Transport::from_word(kind))) {
        Some((_, Some(transport))) => server.transport = transport,
        Some((_, None)) => reader.fail_at("type", "expected stdio, streamable_http or sse"),
        None => reader.fail_at("", "it has no type"),
    }
    if server.transport.is_remote() {
        if !server.argv.is_empty() {
            reader.fail_at("cmd", "a server of this kind has a URI and no command");
        } else if server.url.is_none() {
            reader.fail_at("", "a server of this kind needs a \"uri\"");
        }
    } else if server.argv.is_empty() {
        reader.fail_at("", "a server of this kind needs a \"cmd\"");
    } else if server.url.is_some() {
        reader.fail_at("uri", "a server of this kind has a command and no URI");
    }
    for (name, value) in reader.map("envs") {
        server.env.insert(name, Text::plain(value));
    }
    let keys = reader.list("env_keys").unwrap_or_default();
    for (name, value) in reader.map("headers") {
        server.headers.insert(name, HEADERS.parse(&value));
    }
    // Of a server at a URL they are for its headers, which name them.
    if !server.transport.is_remote() {
        server.env.extend(keys.into_iter().map(|name| (name.clone(), keyring(&name))));
    }
    // Its name there is the key, in other letters.
    let key = path.split_once('.').map_or(path, |(_, key)| key);
    server.title = reader.text("name").filter(|title| title != key);
    server.description = reader.text("description").filter(|text| !text.is_empty());
    server.enabled = reader.flag("enabled").unwrap_or(true);
    server.timeouts.call_ms = reader.scaled("timeout", 1000);
    let tools = reader.list("available_tools").filter(|tools| !tools.is_empty());
    server.tools = Tools { allow: tools, deny: Vec::new() };
    server.unknown = reader.end()?;
    Ok(server)
}

/// A server's lines.
fn lines(name: &str, server: &Server) -> Vec<String> {
    let mut all = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(key.to_owned(), value);
        }
    };
    let plain = |text: &Text| text.as_plain().unwrap_or_default().to_owned();
    put("enabled", Some(Value::Bool(server.enabled)));
    put("name", Some(server.title.clone().unwrap_or_else(|| name.to_owned()).into()));
    let kind = match server.transport {
        Transport::Stdio => "stdio",
        Transport::Sse => "sse",
        Transport::StreamableHttp | Transport::Auto | Transport::WebSocket => "streamable_http",
    };
    put("type", Some(kind.into()));
    put("description", server.description.clone().map(Value::from));
    if let Some((program, args)) = server.argv.split_first() {
        put("cmd", Some(plain(program).into()));
        put("args", Some(json!(args.iter().map(plain).collect::<Vec<_>>())));
    }
    put("uri", server.url.as_ref().map(|url| plain(url).into()));
    let literal: Map<String, Value> = server
        .env
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), Value::from(value.as_plain()?))))
        .collect();
    let looked_up =
        server.env.iter().filter(|(_, value)| value.as_plain().is_none()).map(|(key, _)| key.clone());
    let in_headers = server.headers.values().flat_map(Text::pieces).filter_map(|piece| match piece {
        Piece::Env { name, .. } => Some(name.clone()),
        _ => None,
    });
    let mut keys: Vec<String> = looked_up.chain(in_headers).collect();
    keys.dedup();
    put("envs", (!literal.is_empty()).then_some(Value::Object(literal)));
    put("env_keys", (!keys.is_empty()).then(|| json!(keys)));
    let headers: Map<String, Value> = server
        .headers
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), Value::from(HEADERS.render(value)?))))
        .collect();
    put("headers", (!headers.is_empty()).then_some(Value::Object(headers)));
    put("timeout", server.timeouts.call_ms.map(|time| json!(time / 1000)));
    put("available_tools", server.tools.allow.as_ref().map(|tools| json!(tools)));
    for (key, value) in &server.unknown {
        put(key, Some(value.clone()));
    }
    let key = |text: &str| if is_plain_key(text) { text.to_owned() } else { json!(text).to_string() };
    let mut lines = vec![format!("{}:", key(name))];
    // A value of JSON is one of YAML.
    lines.extend(all.iter().map(|(name, value)| format!("  {}: {value}", key(name))));
    lines
}

/// Whether a name can stand as a key without quotes, and nobody takes it for something else.
pub(crate) fn is_plain_key(name: &str) -> bool {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    plain && !words.contains(&name.to_ascii_lowercase().as_str())
}
