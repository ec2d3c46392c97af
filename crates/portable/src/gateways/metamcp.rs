//! MetaMCP: the JSON that its page of servers exports and imports. Namespaces and endpoints are in its
//! database alone.

use super::doc::{self, Node};
use super::reading::{Reading, after, argv};
use super::table::Table;
use super::variable::{self, Style};
use crate::field::{Field, Support};
use crate::format::{Exported, Fault, Format, Imported, Known, Likeness, Origin, Target, Tested};
use crate::model::{Deployment, Server, Transport};

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

    fn export(&self, _: &Deployment, target: &Target<'_>) -> Result<Exported, Fault> {
        Err(doc::whole(target.file, "MetaMCP's export is read and not written"))
    }

    fn support(&self, _: Field) -> Support {
        Support::Dropped("MetaMCP's export is read and not written")
    }

    fn tested(&self) -> Tested {
        Tested::Documentation("github.com/metatool-ai/metamcp, docs/en/concepts/mcp-servers.mdx")
    }

    fn exports(&self) -> bool {
        false
    }
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
