//! The registry in ToolHive's own form. Nothing of it runs until somebody says so: all is switched off.

use super::super::doc::Node;
use super::super::reading::Reading;
use super::super::table::Table;
use super::{isolation, transport};
use crate::format::Fault;
use crate::model::{Container, Input, Oauth, Server, Tools, Transport};
use crate::text::{Piece, Text};

/// What is shown of a server, and does nothing.
const SHOWN: &[&str] = &[
    "tier",
    "status",
    "metadata",
    "repository_url",
    "tags",
    "overview",
    "tool_definitions",
    "custom_metadata",
    "docker_tags",
    "stateless",
    "proxy_port",
    "name",
];

/// Reads it.
pub(super) fn read<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    reading.drop_all(table, &["$schema", "version", "last_updated"], "it says how the file was made");
    servers(reading, table, "")?;
    let groups = table.tables("groups")?;
    for mut group in groups {
        let path = group.path.clone();
        reading.drop_all(&mut group, &["name", "description"], "servers are in no groups: see `endpoints`");
        servers(reading, &mut group, &path)?;
        reading.unknown(group);
    }
    Ok(())
}

fn servers<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, path: &str) -> Result<(), Fault> {
    let at = |key: &str, name: &str| match path {
        "" => format!("{key}.{name}"),
        path => format!("{path}.{key}.{name}"),
    };
    for (name, node) in table.named("servers")? {
        one(reading, name, node, &at("servers", name), image)?;
    }
    for (name, node) in table.named("remote_servers")? {
        one(reading, name, node, &at("remote_servers", name), remote)?;
    }
    Ok(())
}

fn one<'a>(
    reading: &mut Reading<'a>,
    name: &str,
    node: &'a Node,
    path: &str,
    read: fn(&mut Reading<'a>, &mut Table<'a>, &mut Server, &str) -> Result<(), Fault>,
) -> Result<(), Fault> {
    reading.server(name, node, path, |reading, mut table| {
        let mut server = Server { enabled: false, ..Server::default() };
        reading.report.approximated(
            table.path.clone(),
            true,
            "a registry lists what can be run: it is switched off",
        );
        server.title = reading.text(&mut table, "title")?;
        server.description = reading.text(&mut table, "description")?;
        if let Some(word) = reading.text(&mut table, "transport")? {
            server.transport =
                transport(&word).ok_or_else(|| table.fault("its \"transport\" is none that is known"))?;
        }
        read(reading, &mut table, &mut server, name)?;
        let meaning = "the tools that it had when the registry was made are no filter";
        reading.drop(&mut table, "tools", false, meaning);
        reading.drop_all(&mut table, SHOWN, "it is shown, and does nothing");
        let meaning = "who has signed the image is not looked at: pin it by its digest";
        reading.drop(&mut table, "provenance", true, meaning);
        server.tools = Tools::default();
        server.unknown = reading.unknown(table);
        Ok(Some(server))
    })
}

fn image<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    name: &str,
) -> Result<(), Fault> {
    let image = reading.text(table, "image")?.ok_or_else(|| table.fault("it has no \"image\""))?;
    let args = reading.texts(table, "args", false)?.unwrap_or_default();
    server.container = Some(Container {
        image,
        args: args.into_iter().map(Text::plain).collect(),
        port: table.port("target_port")?.filter(|port| *port > 0),
        ..Container::default()
    });
    if let Some(profile) = table.table("permissions")? {
        server.isolation = Some(isolation(reading, profile)?);
    }
    asked(reading, table, server, "env_vars", name)
}

fn remote<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    name: &str,
) -> Result<(), Fault> {
    let url = reading.text(table, "url")?.ok_or_else(|| table.fault("it has no \"url\""))?;
    server.url = Some(Text::plain(url));
    if !server.transport.is_remote() {
        server.transport = Transport::Auto;
    }
    asked(reading, table, server, "headers", name)?;
    if let Some(mut oauth) = table.table("oauth_config")? {
        server.oauth = Some(Oauth {
            client_id: reading.text(&mut oauth, "client_id")?.map(Text::plain),
            scopes: reading.texts(&mut oauth, "scopes", true)?.unwrap_or_default(),
            issuer: reading.text(&mut oauth, "issuer")?,
            authorization_url: reading.text(&mut oauth, "authorize_url")?,
            token_url: reading.text(&mut oauth, "token_url")?,
            callback_port: oauth.port("callback_port")?.filter(|port| *port > 0),
            ..Oauth::default()
        });
        reading.drop_all(
            &mut oauth,
            &["use_pkce", "oauth_params", "resource"],
            "it is done as the protocol says",
        );
        reading.unknown(oauth);
    }
    let meaning = "variables are for the program that connects";
    reading.drop(table, "env_vars", false, meaning);
    Ok(())
}

/// What whoever runs it is asked for.
fn asked<'a>(
    reading: &mut Reading<'a>,
    table: &mut Table<'a>,
    server: &mut Server,
    key: &str,
    server_name: &str,
) -> Result<(), Fault> {
    for mut one in table.tables(key)? {
        let name = one.text("name")?.ok_or_else(|| one.fault("it has no \"name\""))?.to_owned();
        let secret = one.flag("secret")?.unwrap_or_default();
        let required = one.flag("required")?.unwrap_or_default();
        let default = one.text("default")?.map(Text::plain);
        let description = one.text("description")?.map(str::to_owned);
        let options = one.texts("choices")?.unwrap_or_default();
        reading.report.kept(one.path.clone(), false);
        let unknown = reading.unknown(one);
        let values = if key == "headers" { &mut server.headers } else { &mut server.env };
        match default {
            // What is a secret has no default that anybody should use.
            Some(default) if !secret => drop(values.insert(name, default)),
            _ if required => {
                let id = format!("{server_name}-{name}");
                values.insert(name, Text::default().with(Piece::Input(id.clone())));
                let input = Input { description, secret, options, unknown, ..Input::default() };
                reading.deployment.inputs.insert(id, input);
            }
            _ => {}
        }
    }
    Ok(())
}
