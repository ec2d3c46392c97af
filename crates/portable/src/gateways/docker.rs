//! Docker's MCP gateway: a catalog, and beside it `registry.yaml`, `config.yaml` and `tools.yaml`; or a
//! profile.
//!
//! The four files are one text here, as documents of it in any order: each is known by what is in it.

mod entry;
mod profile;
mod written;

use indexmap::IndexMap;

use super::doc::{self, Node, Value};
use super::reading::Reading;
use super::table::Table;
use super::write;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Scope, Unknown};
use crate::reduce::reduce;
use crate::report::Report;
use crate::text::{Piece, Text};

/// Docker's MCP gateway.
pub(crate) struct Docker;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Catalog,
    Registry,
    Config,
    Tools,
    Profile,
}

const KNOWN: &[Known] = &[
    Known { path: ".docker/mcp/catalogs/docker-mcp.yaml", scope: Scope::User },
    Known { path: ".docker/mcp/registry.yaml", scope: Scope::User },
    Known { path: ".docker/mcp/config.yaml", scope: Scope::User },
    Known { path: ".docker/mcp/tools.yaml", scope: Scope::User },
];

fn kind(root: &Node) -> Option<Kind> {
    if let Some(registry) = root.get("registry") {
        let Value::Map(entries) = &registry.value else { return Some(Kind::Catalog) };
        let enabled = entries.iter().all(|entry| entry.value.get("ref").is_some() || entry.value.is_empty());
        // A catalog says what it is called. One that is switched on has no more than where it is.
        let named = ["displayName", "name", "version"].iter().any(|key| root.get(key).is_some());
        let is_registry = enabled && !named;
        return Some(if is_registry { Kind::Registry } else { Kind::Catalog });
    }
    if root.get("servers").is_some() && root.get("id").is_some() {
        return Some(Kind::Profile);
    }
    match &root.value {
        Value::Map(entries) if entries.iter().all(|entry| matches!(entry.value.value, Value::List(_))) => {
            Some(Kind::Tools)
        }
        Value::Map(entries) if entries.iter().all(|entry| matches!(entry.value.value, Value::Map(_))) => {
            Some(Kind::Config)
        }
        _ => None,
    }
}

/// What is beside a catalog.
struct Beside<'a> {
    /// The servers that are switched on; `None`: nothing says, and all are.
    enabled: Option<Vec<&'a str>>,
    /// Values for the places in a catalog, by server.
    config: IndexMap<&'a str, &'a Node>,
    /// The tools that are offered, by server.
    tools: IndexMap<String, Vec<String>>,
}

impl Format for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn title(&self) -> &'static str {
        "Docker MCP Gateway"
    }

    fn known(&self) -> &'static [Known] {
        KNOWN
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        if !text.contains("registry") && !text.contains("servers") {
            return Likeness::No;
        }
        let Ok(documents) = doc::parse_all(text, file_name) else { return Likeness::No };
        let found = documents.iter().find_map(|root| match kind(root)? {
            Kind::Catalog => {
                let Value::Map(entries) = &root.get("registry")?.value else { return None };
                let own = |node: &Node| {
                    ["image", "remote", "sseEndpoint"].iter().any(|key| node.get(key).is_some())
                };
                entries.iter().any(|entry| own(&entry.value)).then_some(Likeness::Surely)
            }
            Kind::Registry => Some(Likeness::Likely),
            Kind::Profile => root.get("version").map(|_| Likeness::Likely),
            Kind::Config | Kind::Tools => None,
        });
        found.unwrap_or(Likeness::No)
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let documents = doc::parse_all(text, origin.file)?;
        let mut reading = Reading::new(self.name(), origin);
        let beside = beside(&documents, origin.file)?;
        let mut unknown = Unknown::new();
        let mut any = false;
        for root in &documents {
            let found = kind(root);
            any |= matches!(found, Some(Kind::Catalog | Kind::Profile));
            match found {
                Some(Kind::Catalog) => {
                    let mut table = Table::of(root, "", origin.file)?;
                    catalog(&mut reading, &mut table, &beside)?;
                    unknown.extend(reading.unknown(table));
                }
                Some(Kind::Profile) => {
                    let mut table = Table::of(root, "", origin.file)?;
                    profile::read(&mut reading, &mut table)?;
                    unknown.extend(reading.unknown(table));
                }
                Some(Kind::Registry | Kind::Config | Kind::Tools) | None => {}
            }
        }
        if !any {
            return Err(doc::whole(
                origin.file,
                "there is no catalog and no profile: join it with what is beside it",
            ));
        }
        unused(&mut reading, &beside);
        let meaning = "what `docker mcp gateway run` was told is not in its files: limits on processors and \
                       memory, `--block-secrets`, `--block-network`, `--verify-signatures` and interceptors";
        reading.report.dropped("gateway", true, meaning);
        reading.deployment.unknown = unknown;
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        write::only_new(target, self.title())?;
        let (deployment, report) = reduce(deployment, self);
        let [catalog, registry, tools] = written::all(&deployment).map(|value| write::yaml(&value));
        let beside = vec![("registry.yaml".to_owned(), registry), ("tools.yaml".to_owned(), tools)];
        Ok(Exported { text: catalog, beside, report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Http
            | Field::Sse
            | Field::Title
            | Field::Description
            | Field::Env
            | Field::Headers
            | Field::ToolsAllow
            | Field::Enabled
            | Field::Vault
            | Field::Container => Support::Kept,
            Field::EnvInValues => Support::Partly("as a secret of Docker's, by the variable's name"),
            Field::Isolation => Support::Partly("hosts that it may connect to, or no network"),
            Field::Stdio => Support::Kept,
            Field::ToolsDeny => {
                Support::Dropped("only what is offered can be named: name that in `tools.allow`")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        written::adjust(deployment, report);
    }

    fn tested(&self) -> Tested {
        Tested::Documentation("github.com/docker/mcp-gateway, pkg/catalog/types.go and docs/profiles.md")
    }
}

fn beside<'a>(documents: &'a [Node], file: &'a str) -> Result<Beside<'a>, Fault> {
    let mut beside = Beside { enabled: None, config: IndexMap::new(), tools: IndexMap::new() };
    for root in documents {
        match kind(root) {
            Some(Kind::Registry) => {
                let mut table = Table::of(root, "", file)?;
                let names = table.named("registry")?.into_iter().map(|(name, _)| name);
                beside.enabled.get_or_insert_default().extend(names);
            }
            Some(Kind::Tools) if !root.is_empty() => {
                let mut table = Table::of(root, "", file)?;
                let Value::Map(entries) = &root.value else { continue };
                for entry in entries {
                    if let Some(tools) = table.texts(&entry.key)? {
                        beside.tools.insert(entry.key.clone(), tools);
                    }
                }
            }
            Some(Kind::Config) => {
                if let Value::Map(entries) = &root.value {
                    beside.config.extend(entries.iter().map(|entry| (entry.key.as_str(), &entry.value)));
                }
            }
            Some(Kind::Tools | Kind::Catalog | Kind::Profile) | None => {}
        }
    }
    Ok(beside)
}

fn catalog<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, beside: &Beside<'a>) -> Result<(), Fault> {
    reading.drop_all(table, &["version", "name", "displayName"], "it says how the file was made");
    reading.drop(table, "policy", true, "it is a decision that was made there: write a policy");
    for (name, node) in table.named("registry")? {
        let path = format!("registry.{name}");
        let config = Config { server: name, values: beside.config.get(name).copied() };
        reading.server(name, node, &path, |reading, table| entry::read(reading, table, &config))?;
        let Some(server) = reading.deployment.servers.get_mut(name) else { continue };
        if let Some(enabled) = &beside.enabled {
            server.enabled = enabled.contains(&name);
            reading.report.kept(format!("{path}.enabled"), true);
        }
        if let Some(tools) = beside.tools.get(name) {
            server.tools.allow = Some(tools.clone());
            reading.report.kept(format!("{path}.tools"), true);
        }
    }
    Ok(())
}

/// What is beside a catalog about servers that are not in it.
fn unused(reading: &mut Reading<'_>, beside: &Beside<'_>) {
    let servers = &reading.deployment.servers;
    for name in beside.enabled.iter().flatten().filter(|name| !servers.contains_key(**name)) {
        let meaning = "no catalog that was read has it: join the catalog that does";
        reading.report.dropped(format!("registry.{name}"), false, meaning);
    }
    for name in beside.tools.keys().filter(|name| !servers.contains_key(*name)) {
        let meaning = "no catalog that was read has its server";
        reading.report.dropped(format!("tools.{name}"), true, meaning);
    }
}

/// Values for the places of one server.
struct Config<'a> {
    server: &'a str,
    values: Option<&'a Node>,
}

impl Config<'_> {
    /// Reads a text with places: `{{crm.region}}`. One that nothing gives a value for is asked for.
    fn text(&self, reading: &mut Reading<'_>, text: &str, at: &str) -> Text {
        let mut found = Text::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((inside, left)) = after.split_once("}}") else { break };
            found.push(Piece::Plain(before.to_owned()));
            // What stands after a bar says how a value is written: lists become words.
            let key = inside.split('|').next().unwrap_or_default().trim();
            match self.value(key) {
                Some(value) => found.push(Piece::Plain(value)),
                None => {
                    let meaning = "nothing gives a value for it: it is asked for";
                    reading.report.approximated(at, false, meaning);
                    found.push(Piece::Input(key.to_owned()));
                    reading.deployment.inputs.entry(key.to_owned()).or_default();
                }
            }
            rest = left;
        }
        found.with(Piece::Plain(rest.to_owned()))
    }

    fn value(&self, key: &str) -> Option<String> {
        let path = key.strip_prefix(self.server).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key);
        let mut node = self.values?;
        for word in path.split('.') {
            node = node.get(word)?;
        }
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// A secret of Docker's own store.
fn secret(name: &str) -> Text {
    Text::default().with(Piece::Vault { scheme: "docker".to_owned(), reference: name.to_owned() })
}
