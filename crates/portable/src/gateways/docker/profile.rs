//! A profile: servers that are used together.

use super::super::doc::Node;
use super::super::reading::Reading;
use super::super::table::Table;
use super::{Config, entry};
use crate::format::Fault;
use crate::model::{Container, Server, Transport};
use crate::text::Text;

/// Reads it.
pub(super) fn read<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    match table.number("version")? {
        Some(1) => {}
        _ => return Err(table.fault("its \"version\" is not 1")),
    }
    reading.drop_all(table, &["id", "name"], "it says what the profile is called");
    reading.drop(table, "policy", true, "it is a decision that was made there: write a policy");
    reading.drop(table, "secrets", false, "each secret is looked for where its name says");
    let path = table.at("servers");
    for (index, node) in table.list("servers")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let name = name(node, index);
        reading.server(&name, node, &at, |reading, table| server(reading, table, &name))?;
    }
    Ok(())
}

/// What a server is called: by its own entry, its image or its address.
fn name(node: &Node, index: usize) -> String {
    let own = node.get("snapshot").and_then(|snapshot| snapshot.get("server")?.get("name")?.text());
    if let Some(own) = own.filter(|own| !own.is_empty()) {
        return own.to_owned();
    }
    let text = |key: &str| node.get(key).and_then(Node::text);
    let word = match (text("image"), text("endpoint"), text("source")) {
        (Some(image), ..) => image.rsplit('/').next().and_then(|last| last.split([':', '@']).next()),
        (_, Some(url), _) => url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()),
        (_, _, Some(source)) => source.rsplit('/').next(),
        _ => None,
    };
    word.filter(|word| !word.is_empty()).map_or_else(|| format!("server-{index}"), str::to_owned)
}

fn server<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, name: &str) -> Result<Option<Server>, Fault> {
    let kind = table.text("type")?.unwrap_or_default().to_owned();
    let values = table.take("config");
    // No list is all tools, an empty one none.
    let allow = reading.texts(&mut table, "tools", true)?;
    let snapshot = match table.table("snapshot")? {
        Some(mut snapshot) => snapshot.table("server")?,
        None => None,
    };
    let image = table.text("image")?.map(str::to_owned);
    let endpoint = table.text("endpoint")?.map(str::to_owned);
    let source = table.text("source")?.map(str::to_owned);
    reading.drop_all(&mut table, &["catalog_ref", "catalogRef"], "it says where the server was found");
    reading.drop(&mut table, "secrets", false, "each secret is looked for where its name says");
    reading.drop(&mut table, "policy", true, "it is a decision that was made there: write a policy");
    let mut found = match snapshot {
        Some(entry) => {
            // The name lives as long as the text that it was read from, or is the text's own.
            let config = Config { server: name_in(&entry).unwrap_or(""), values };
            entry::read(reading, entry, &config)?
        }
        None => bare(reading, &table, (image, endpoint, source), &kind, name)?,
    };
    if let Some(server) = &mut found {
        server.tools.allow = allow;
        server.unknown.extend(reading.unknown(table));
    }
    Ok(found)
}

fn name_in<'a>(entry: &Table<'a>) -> Option<&'a str> {
    entry.copy().text("name").ok().flatten()
}

/// A server of which the profile says little.
fn bare<'a>(
    reading: &mut Reading<'a>,
    table: &Table<'a>,
    (image, endpoint, source): (Option<String>, Option<String>, Option<String>),
    kind: &str,
    name: &str,
) -> Result<Option<Server>, Fault> {
    let path = table.path.clone();
    match (kind, image, endpoint, source) {
        ("image", Some(image), ..) => {
            let meaning = "what the image says of itself is not read: its variables and secrets are missing";
            reading.report.dropped(format!("{path}.snapshot"), false, meaning);
            let container = Some(Container { image, ..Container::default() });
            Ok(Some(Server { container, ..Server::default() }))
        }
        ("remote", _, Some(url), _) => {
            reading.report.kept(format!("{path}.endpoint"), false);
            Ok(Some(Server { transport: Transport::Auto, url: Some(Text::plain(url)), ..Server::default() }))
        }
        ("registry", .., Some(_)) => {
            let meaning =
                format!("{name:?} is an entry of a registry, which is not fetched: `tidegate add` adds it");
            reading.report.dropped(path, false, meaning);
            Ok(None)
        }
        _ => Err(table.fault("its \"type\" is none of image, remote and registry, or has not what it needs")),
    }
}
