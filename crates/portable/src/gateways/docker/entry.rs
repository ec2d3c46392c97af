//! One entry of a catalog.

use super::super::reading::Reading;
use super::super::table::Table;
use super::{Config, secret};
use crate::format::Fault;
use crate::model::{Container, Isolation, Network, Oauth, Server, Transport};
use crate::text::{Piece, Text};

/// What is shown of a server, and does nothing.
const SHOWN: &[&str] =
    &["icon", "readme", "metadata", "name", "toolsUrl", "source", "upstream", "dateAdded", "category", "ref"];

/// Reads it. `None`: it is no server.
pub(super) fn read<'a>(
    reading: &mut Reading<'a>,
    mut table: Table<'a>,
    config: &Config<'a>,
) -> Result<Option<Server>, Fault> {
    let kind = table.text("type")?.unwrap_or_default().to_owned();
    if kind == "poci" {
        let meaning = "tools that are containers of their own need a server: it is left out";
        reading.report.dropped(table.path.clone(), false, meaning);
        return Ok(None);
    }
    table.either("remote", "image")?;
    table.either("remote", "sseEndpoint")?;
    let mut server = Server {
        title: reading.text(&mut table, "title")?,
        description: reading.text(&mut table, "description")?,
        ..Server::default()
    };
    let remote = table.has("remote") || table.has("sseEndpoint");
    if remote || kind == "remote" {
        at_url(reading, &mut table, &mut server, config)?;
    } else {
        in_container(reading, &mut table, &mut server, config)?;
    }
    secrets(reading, &mut table, &mut server, remote)?;
    oauth(reading, &mut table, &mut server)?;
    let meaning = "the tools that it had when the catalog was made are no filter";
    reading.drop(&mut table, "tools", false, meaning);
    reading.drop(&mut table, "prompts", false, meaning);
    reading.drop(&mut table, "config", false, "values are taken from config.yaml, and others asked for");
    reading.drop(&mut table, "prefix", false, "where servers meet, their names stand before their tools'");
    reading.drop(&mut table, "policy", true, "it is a decision that was made there: write a policy");
    reading.drop_all(&mut table, SHOWN, "it is shown, and does nothing");
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

fn at_url<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    config: &Config<'a>,
) -> Result<(), Fault> {
    server.transport = Transport::Auto;
    if let Some(url) = reading.text(table, "sseEndpoint")? {
        server.url = Some(Text::plain(url));
        server.transport = Transport::Sse;
        return Ok(());
    }
    let mut remote = table.table("remote")?.ok_or_else(|| table.fault("it has no \"remote\""))?;
    let url = reading.text(&mut remote, "url")?.filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| remote.fault("it has no \"url\""))?;
    server.url = Some(config.text(reading, &url, &remote.at("url")));
    if let Some(transport) = reading.transport(&mut remote, "transport_type")? {
        server.transport = transport;
    }
    for (name, value) in remote.values("headers")?.unwrap_or_default() {
        let at = format!("{}.headers.{name}", remote.path);
        reading.report.kept(at.clone(), false);
        server.headers.insert(name, config.text(reading, &value, &at));
    }
    reading.unknown(remote);
    for key in ["image", "command", "volumes", "env", "user"] {
        reading.drop(table, key, false, "there is no container to give it to");
    }
    Ok(())
}

fn in_container<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    config: &Config<'a>,
) -> Result<(), Fault> {
    let image = reading.text(table, "image")?.filter(|image| !image.is_empty());
    let image = image.ok_or_else(|| table.fault("it has no \"image\" and no \"remote\""))?;
    let mut container = Container { image, ..Container::default() };
    let at = table.at("command");
    for (index, word) in reading.texts(table, "command", false)?.unwrap_or_default().iter().enumerate() {
        container.args.push(config.text(reading, word, &format!("{at}[{index}]")));
    }
    let at = table.at("volumes");
    for (index, volume) in table.texts("volumes")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{at}[{index}]");
        match config.text(reading, volume, &at).as_plain() {
            Some(volume) => {
                reading.report.kept(at, true);
                container.volumes.push(volume.to_owned());
            }
            None => {
                reading.report.dropped(at, false, "nothing says which folder: write it, and import again")
            }
        }
    }
    server.container = Some(container);
    for mut one in table.tables("env")? {
        let name = one.text("name")?.ok_or_else(|| one.fault("it has no \"name\""))?.to_owned();
        let at = one.at("value");
        let value = one.text("value")?.unwrap_or_default();
        reading.report.kept(one.path.clone(), false);
        server.env.insert(name, config.text(reading, value, &at));
        reading.unknown(one);
    }
    server.isolation = isolation(reading, table)?;
    reading.drop(table, "longLived", false, "processes are kept as `stdio` of an upstream says");
    reading.drop(table, "extraHosts", false, "names are looked up as the container's network does");
    reading.drop(table, "user", true, "the image says which user runs it");
    Ok(())
}

fn isolation<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<Option<Isolation>, Fault> {
    let hosts = reading.texts(table, "allowHosts", true)?;
    let none = table.flag("disableNetwork")?.unwrap_or_default();
    if none {
        reading.report.kept(table.at("disableNetwork"), true);
    }
    let network = match (none, hosts) {
        (true, _) => Network::default(),
        (false, Some(hosts)) => Network { hosts, ..Network::default() },
        (false, None) => return Ok(None),
    };
    Ok(Some(Isolation { network: Some(network), ..Isolation::default() }))
}

/// Secrets of Docker's store: in the container's variables, or in the places of headers.
fn secrets<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    remote: bool,
) -> Result<(), Fault> {
    for mut one in table.tables("secrets")? {
        let name = one.text("name")?.ok_or_else(|| one.fault("it has no \"name\""))?.to_owned();
        let variable = one.text("env")?.ok_or_else(|| one.fault("it has no \"env\""))?.to_owned();
        reading.report.kept(one.path.clone(), false);
        reading.drop(&mut one, "example", false, "it is shown, and does nothing");
        if remote {
            for value in server.headers.values_mut() {
                *value = filled(value, &variable, &name);
            }
        } else if server.env.insert(variable.clone(), secret(&name)).is_some() {
            return Err(one.fault(format!("both \"env\" and \"secrets\" give {variable:?}")));
        }
        reading.unknown(one);
    }
    Ok(())
}

/// A header with a secret in the place of its variable.
fn filled(value: &Text, variable: &str, name: &str) -> Text {
    let mut out = Text::default();
    let place = format!("${{{variable}}}");
    for piece in value.pieces() {
        match piece {
            Piece::Plain(text) => {
                for (index, part) in text.split(place.as_str()).enumerate() {
                    if index > 0 {
                        out = secret(name).pieces().iter().cloned().fold(out, Text::with);
                    }
                    out.push(Piece::Plain(part.to_owned()));
                }
            }
            piece => out.push(piece.clone()),
        }
    }
    out
}

fn oauth<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, server: &mut Server) -> Result<(), Fault> {
    let Some(mut oauth) = table.table("oauth")? else { return Ok(()) };
    let scopes = reading.texts(&mut oauth, "scopes", true)?.unwrap_or_default();
    let meaning = "Docker signs users in there: each signs in with the gateway instead (`per_user`)";
    reading.drop(&mut oauth, "providers", false, meaning);
    if !scopes.is_empty() {
        server.oauth = Some(Oauth { scopes, ..Oauth::default() });
    }
    reading.unknown(oauth);
    Ok(())
}
