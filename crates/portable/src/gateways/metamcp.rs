//! MetaMCP: the JSON that its page of servers exports and imports. Namespaces and endpoints are in its
//! database alone.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::doc::{self, Node};
use super::reading::{Reading, after, argv};
use super::table::Table;
use super::variable::{self, Style};
use super::write::only_new;
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Server, Transport};
use crate::reduce::reduce;
use crate::report::Report;
use crate::text::Text;

/// MetaMCP.
pub(crate) struct MetaMcp;

const STYLE: Style = Style::Braces;

impl Format for MetaMcp {
    fn name(&self) -> &'static str {
        "metamcp"
    }

    fn title(&self) -> &'static str {
        "MetaMCP"
    }

    fn known(&self) -> &'static [Known] {
        &[]
    }

    fn detect(&self, file_name: &str, text: &str) -> Likeness {
        if !text.contains("mcpServers") {
            return Likeness::No;
        }
        let Ok(root) = doc::parse(text, file_name) else { return Likeness::No };
        let is_own = |node: &Node| {
            let kind = node.get("type").and_then(Node::text);
            node.get("bearerToken").is_some()
                || kind.is_some_and(|kind| kind.len() > 2 && kind == kind.to_uppercase())
        };
        let own = match root.get("mcpServers").map(|node| &node.value) {
            Some(doc::Value::Map(servers)) => servers.iter().any(|entry| is_own(&entry.value)),
            _ => false,
        };
        match (own, file_name == "mcp-servers-export.json") {
            (true, true) => Likeness::Surely,
            (true, false) => Likeness::Likely,
            (false, _) => Likeness::No,
        }
    }

    fn import(&self, text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
        let root = doc::parse(text, origin.file)?;
        let mut reading = Reading::new(self.name(), origin);
        let mut table = Table::of(&root, "", origin.file)?;
        if !table.has("mcpServers") {
            return Err(table.fault("there is no \"mcpServers\""));
        }
        for (name, node) in table.named("mcpServers")? {
            reading.server(name, node, &format!("mcpServers.{name}"), server)?;
        }
        let meaning = "namespaces, endpoints, their tools, keys and rates are in its database and not in \
                       what it exports: write `endpoints`, `auth` and `rates` for them";
        reading.report.dropped("namespaces", true, meaning);
        reading.deployment.unknown = reading.unknown(table);
        Ok(reading.done())
    }

    fn export(&self, deployment: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        only_new(target, self.title())?;
        let (reduced, report) = reduce(deployment, self);
        let servers: Map<String, Json> =
            reduced.servers.iter().map(|(name, server)| (name.clone(), entry(server))).collect();
        let mut out = Map::new();
        out.insert("mcpServers".to_owned(), Json::Object(servers));
        out.extend(reduced.unknown);
        Ok(Exported { text: format!("{:#}\n", Json::Object(out)), beside: Vec::new(), report })
    }

    fn support(&self, field: Field) -> Support {
        match field {
            Field::Stdio
            | Field::Http
            | Field::Sse
            | Field::Description
            | Field::Env
            | Field::Headers
            | Field::EnvInValues
            | Field::EnvInCommand => Support::Kept,
            Field::ToolsAllow | Field::ToolsDeny => {
                Support::Dropped("all its tools are offered: switch them off in a namespace there")
            }
            Field::Endpoints | Field::EndpointTools | Field::EndpointAliases | Field::EndpointWho => {
                Support::Dropped("namespaces and endpoints are made on its pages")
            }
            Field::Rules | Field::Issuers | Field::Keys | Field::Limits => {
                Support::Dropped("who may use an endpoint, and how much, is said on its page there")
            }
            Field::Listen | Field::Origins | Field::ListenTls => {
                Support::Dropped("MetaMCP's environment says it")
            }
            _ => Support::Dropped(""),
        }
    }

    fn adjust(&self, deployment: &mut Deployment, report: &mut Report) {
        deployment.servers.retain(|name, server| {
            let path = format!("servers.{name}");
            for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
                values.retain(|key, value| {
                    let stays = variable::write(value, STYLE).is_some();
                    if !stays {
                        let meaning = "it would be read as something else there: it is left out";
                        report.dropped(format!("{path}.{part}.{key}"), false, meaning);
                    }
                    stays
                });
            }
            let is_read = |text: &Text| variable::write(text, STYLE).is_some();
            let program = server.argv.first().and_then(|word| variable::write(word, STYLE));
            // A word of blanks is none there.
            let starts = server.transport.is_remote() || program.is_some_and(|word| !word.trim().is_empty());
            let stays = starts && server.argv.iter().all(is_read) && server.url.as_ref().is_none_or(is_read);
            if !stays {
                let meaning = "its command or URL would be read as something else: the server is left out";
                report.dropped(path, false, meaning);
            }
            stays
        });
    }

    fn tested(&self) -> Tested {
        Tested::Documentation("github.com/metatool-ai/metamcp, docs/en/concepts/mcp-servers.mdx")
    }
}

/// A server's entry. All of it can be said.
fn entry(server: &Server) -> Json {
    let spelt = |text: &Text| variable::write(text, STYLE).unwrap_or_default();
    let all = |values: &IndexMap<String, Text>| -> Json {
        values.iter().map(|(name, text)| (name.clone(), Json::from(spelt(text)))).collect()
    };
    let kind = match server.transport {
        Transport::Stdio => "STDIO",
        Transport::Sse => "SSE",
        Transport::StreamableHttp | Transport::Auto | Transport::WebSocket => "STREAMABLE_HTTP",
    };
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    put("type", kind.into());
    if let Some(description) = &server.description {
        put("description", description.as_str().into());
    }
    match (&server.url, server.argv.split_first()) {
        (Some(url), _) => {
            put("url", spelt(url).into());
            if !server.headers.is_empty() {
                put("headers", all(&server.headers));
            }
        }
        (None, Some((program, args))) => {
            put("command", spelt(program).into());
            put("args", args.iter().map(spelt).collect());
            if !server.env.is_empty() {
                put("env", all(&server.env));
            }
        }
        (None, None) => {}
    }
    out.extend(server.unknown.clone());
    Json::Object(out)
}

fn server<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<Option<Server>, Fault> {
    table.either("url", "command")?;
    let mut server = Server { description: reading.text(&mut table, "description")?, ..Server::default() };
    // Without a word, it is a program there, whatever else it has.
    let said = reading.transport(&mut table, "type")?;
    if table.has("url") && said.unwrap_or(Transport::Stdio) == Transport::Stdio {
        return Err(table.fault("it has a \"url\", and its \"type\" says or means a program"));
    }
    if said.is_some_and(Transport::is_remote) && !table.has("url") {
        return Err(table.fault("its \"type\" needs a \"url\""));
    }
    if let Some(url) = reading.text(&mut table, "url")? {
        server.url = Some(variable::read(&url, Style::Braces));
        server.transport = said.unwrap_or(Transport::Auto);
        server.headers = reading.values(&mut table, "headers", STYLE)?;
        if let Some(token) = reading.text(&mut table, "bearerToken")? {
            if server.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
                return Err(table.fault("it has both a \"bearerToken\" and a header \"Authorization\""));
            }
            let value = after("Bearer ", &variable::read(&token, STYLE));
            server.headers.insert("Authorization".to_owned(), value);
        }
    } else {
        let command = reading.text(&mut table, "command")?;
        let command = command.filter(|command| !command.trim().is_empty());
        let command = command.ok_or_else(|| table.fault("it has no \"command\" and no \"url\""))?;
        server.argv = argv(&command, reading.texts(&mut table, "args", false)?.unwrap_or_default(), STYLE);
        server.env = reading.values(&mut table, "env", STYLE)?;
    }
    for key in ["headers", "bearerToken", "env", "args"] {
        reading.drop(&mut table, key, false, "it means nothing for this kind of server");
    }
    let of_itself = ["uuid", "created_at", "user_id", "error_status"];
    reading.drop_all(&mut table, &of_itself, "MetaMCP keeps it for itself");
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}
