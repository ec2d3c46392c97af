//! Writing a catalog, with which servers of it are used and which of their tools.

use serde_json::{Map, Value as Json, json};

use super::super::reading::variable_name;
use crate::model::{Deployment, Server, Transport};
use crate::report::Report;
use crate::text::{Piece, Text};

/// What only Docker has no words for.
pub(super) fn adjust(deployment: &mut Deployment, report: &mut Report) {
    deployment.servers.retain(|name, server| {
        let runs = server.transport.is_remote() || server.container.is_some();
        if !runs {
            let meaning = "programs run in containers there: put it into an image";
            report.dropped(format!("servers.{name}"), false, meaning);
        }
        runs
    });
    for (name, server) in &mut deployment.servers {
        let path = format!("servers.{name}");
        if let Some(container) = &mut server.container {
            if container.port.take().is_some() {
                report.dropped(
                    format!("{path}.container.port"),
                    false,
                    "it is spoken to by its input and output",
                );
            }
            let plain = |text: &Text| text.as_plain().is_some();
            if !container.args.iter().all(plain) {
                container.args.retain(plain);
                let meaning = "arguments with variables in them have no place there: they are left out";
                report.dropped(format!("{path}.container.args"), false, meaning);
            }
        }
        for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
            for (key, value) in values.iter_mut() {
                as_secret(value, name, key, &format!("{path}.{part}.{key}"), report);
            }
        }
        server.env.retain(|key, value| {
            let stays = value.as_plain().is_some() || matches!(value.pieces(), [Piece::Vault { .. }]);
            if !stays {
                let meaning = "a secret is a whole value there: put all of it into the secret";
                report.dropped(format!("{path}.env.{key}"), false, meaning);
            }
            stays
        });
        isolation(server, &path, report);
    }
}

/// Variables of the environment become secrets of Docker's: nothing of the environment reaches a container.
fn as_secret(value: &mut Text, server: &str, key: &str, at: &str, report: &mut Report) {
    let pieces = value.pieces().iter().map(|piece| match piece {
        Piece::Env { name, default } => {
            let reference = format!("{server}.{}", name.to_ascii_lowercase());
            let default = if default.is_some() { ", and has no default" } else { "" };
            report.approximated(at, false, format!("it is the secret {reference:?} there{default}"));
            Piece::Vault { scheme: "docker".to_owned(), reference }
        }
        Piece::Vault { scheme, reference } if scheme != "docker" => {
            let reference = format!("{server}.{}", key.to_ascii_lowercase());
            report.approximated(at, false, format!("it is the secret {reference:?} there"));
            Piece::Vault { scheme: "docker".to_owned(), reference }
        }
        piece => piece.clone(),
    });
    *value = pieces.collect();
}

fn isolation(server: &mut Server, path: &str, report: &mut Report) {
    let Some(isolation) = &mut server.isolation else { return };
    let mut lost =
        |what: &str, meaning: &str| report.dropped(format!("{path}.isolation.{what}"), true, meaning);
    if isolation.read.take().is_some() {
        lost("read", "what is mounted is what it may read");
    }
    if isolation.write.take().is_some() {
        lost("write", "what is mounted is what it may write");
    }
    if isolation.cpu_milli.take().is_some() || isolation.memory_bytes.take().is_some() {
        lost("memory_bytes", "processors and memory are said at `docker mcp gateway run`");
    }
    if let Some(network) = &mut isolation.network {
        if network.all {
            isolation.network = None;
        } else if !std::mem::take(&mut network.ports).is_empty() {
            lost("network.ports", "ports stand with the hosts there: write HOST:PORT");
        }
    }
    isolation.unknown.clear();
    if isolation.network.is_none() || server.container.is_none() {
        server.isolation = None;
    }
}

/// The catalog, the registry, and the tools.
pub(super) fn all(deployment: &Deployment) -> [Json; 3] {
    let (mut catalog, mut registry, mut tools) = (Map::new(), Map::new(), Map::new());
    for (name, server) in &deployment.servers {
        catalog.insert(name.clone(), entry(name, server));
        if server.enabled {
            registry.insert(name.clone(), json!({"ref": ""}));
        }
        if let Some(allow) = &server.tools.allow {
            tools.insert(name.clone(), allow.clone().into());
        }
    }
    let mut whole = Map::new();
    whole.insert("version".to_owned(), 3.into());
    whole.insert("name".to_owned(), "tidegate".into());
    whole.insert("displayName".to_owned(), "From Tidegate".into());
    whole.insert("registry".to_owned(), Json::Object(catalog));
    whole.extend(deployment.unknown.clone());
    [Json::Object(whole), json!({ "registry": registry }), Json::Object(tools)]
}

fn entry(name: &str, server: &Server) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    if let Some(title) = &server.title {
        put("title", title.as_str().into());
    }
    if let Some(description) = &server.description {
        put("description", description.as_str().into());
    }
    let mut secrets = Vec::new();
    if let Some(url) = &server.url {
        put("type", "remote".into());
        let mut remote = Map::new();
        remote.insert("url".to_owned(), url.as_plain().unwrap_or_default().into());
        let word = match server.transport {
            Transport::Sse => Some("sse"),
            Transport::Auto => None,
            _ => Some("streamable-http"),
        };
        if let Some(word) = word {
            remote.insert("transport_type".to_owned(), word.into());
        }
        let headers =
            server.headers.iter().map(|(key, value)| (key.clone(), header(value, name, &mut secrets).into()));
        let headers: Map<String, Json> = headers.collect();
        if !headers.is_empty() {
            remote.insert("headers".to_owned(), Json::Object(headers));
        }
        put("remote", Json::Object(remote));
    } else if let Some(container) = &server.container {
        put("type", "server".into());
        put("image", container.image.as_str().into());
        if !container.args.is_empty() {
            put("command", container.args.iter().map(|arg| arg.as_plain().unwrap_or_default()).collect());
        }
        if !container.volumes.is_empty() {
            put("volumes", container.volumes.clone().into());
        }
        let mut env = Vec::new();
        for (key, value) in &server.env {
            match value.pieces() {
                [Piece::Vault { reference, .. }] => secrets.push(json!({"name": reference, "env": key})),
                _ => env.push(json!({"name": key, "value": value.as_plain().unwrap_or_default()})),
            }
        }
        if !env.is_empty() {
            put("env", env.into());
        }
    }
    if !secrets.is_empty() {
        put("secrets", secrets.into());
    }
    if let Some(network) = server.isolation.as_ref().and_then(|isolation| isolation.network.as_ref()) {
        match network.hosts.is_empty() {
            true => put("disableNetwork", true.into()),
            false => put("allowHosts", network.hosts.clone().into()),
        }
    }
    out.extend(server.unknown.clone());
    Json::Object(out)
}

/// A header, with the secrets in it as places that are filled.
fn header(value: &Text, server: &str, secrets: &mut Vec<Json>) -> String {
    let mut out = String::new();
    for piece in value.pieces() {
        match piece {
            Piece::Plain(text) => out.push_str(text),
            Piece::Vault { reference, .. } => {
                let own = reference.strip_prefix(server).and_then(|rest| rest.strip_prefix('.'));
                let own = variable_name(own.unwrap_or(reference), "");
                let variable = variable_name(server, own.strip_suffix('_').unwrap_or(&own));
                out.push_str(&format!("${{{variable}}}"));
                secrets.push(json!({"name": reference, "env": variable}));
            }
            _ => {}
        }
    }
    out
}
