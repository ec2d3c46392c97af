//! `tidegate.yaml`, read.

use serde_json::Value;

use super::sections;
use super::write::FIRST_BYTE_MS;
use crate::format::{Fault, Imported, Origin};
use crate::model::{Endpoint, Oauth, Provenance, Server, Timeouts, Tls, Tools, Transport, Unknown};
use crate::syntax::{Kind, Node, Reader, Source, parse_yaml};
use crate::text::{Piece, Text};

pub(super) fn import(text: &str, origin: &Origin<'_>) -> Result<Imported, Fault> {
    let source = Source::new(text, origin.file)?;
    // What is wrong with it is said as everywhere else.
    config::load_str(source.text, origin.file).map_err(|faults| {
        faults.into_iter().next().cloned().unwrap_or_else(|| source.fault(0, "", "it is no configuration"))
    })?;
    let root = parse_yaml(&source)?;
    let mut out = Imported::default();
    out.deployment.format = Some("tidegate");
    let mut reader = Reader::new(&source, &root, "");
    out.deployment.gateway.listen = reader.text("listen");
    for member in reader.get("upstreams").map(Node::members).unwrap_or_default() {
        let path = format!("upstreams.{}", member.key);
        if member.value.get("openapi").is_some() {
            let meaning = "it is a web API and no server of MCP: others have no place for it";
            out.report.dropped(path, false, meaning);
            continue;
        }
        let mut server = server(&source, &member.value, &path)?;
        server.provenance = Some(Provenance {
            format: "tidegate",
            file: origin.file.to_owned(),
            scope: origin.scope,
            name: member.key.clone(),
            digest: origin.digest.map(str::to_owned),
        });
        out.deployment.servers.insert(member.key.clone(), server);
    }
    for member in reader.get("endpoints").map(Node::members).unwrap_or_default() {
        let endpoint = endpoint(&source, &member.value, &format!("endpoints.{}", member.key))?;
        out.deployment.gateway.endpoints.insert(member.key.clone(), endpoint);
    }
    out.deployment.gateway.unknown = reader.end()?;
    sections::take(&mut out.deployment.gateway);
    Ok(out)
}

fn server(source: &Source<'_>, node: &Node, path: &str) -> Result<Server, Fault> {
    let mut reader = Reader::new(source, node, path);
    let mut server = Server {
        argv: reader.list("command").unwrap_or_default().into_iter().map(Text::plain).collect(),
        url: reader.text("url").map(Text::plain),
        description: reader.text("description"),
        cwd: reader.text("cwd").map(Text::plain),
        forward_headers: reader.list("forward_headers").unwrap_or_default(),
        enabled: reader.flag("enabled").unwrap_or(true),
        tools: Tools { allow: reader.list("expose"), deny: reader.list("hide").unwrap_or_default() },
        ..Server::default()
    };
    let said = reader.text("transport");
    server.transport = match (server.url.is_some(), said.as_deref()) {
        (false, _) => Transport::Stdio,
        (true, Some("streamable-http")) => Transport::StreamableHttp,
        (true, Some("http-sse")) => Transport::Sse,
        (true, _) => Transport::Auto,
    };
    for (part, values) in [("env", &mut server.env), ("headers", &mut server.headers)] {
        for member in reader.get(part).map(Node::members).unwrap_or_default() {
            values.insert(member.key.clone(), secret(&member.value));
        }
    }
    times(&mut reader, &mut server);
    if let Some(mut inner) = reader.inner("auth") {
        server.oauth = Some(auth(&mut inner));
        let mut unknown = reader.close(inner);
        if server.oauth.as_ref().is_some_and(|oauth| oauth.grant.is_none()) {
            unknown.shift_remove("per_user");
        }
        if let Some(oauth) = &mut server.oauth {
            oauth.unknown = unknown;
        }
    }
    if let Some(mut inner) = reader.inner("tls") {
        server.tls = inner.text("ca").map(|ca| Tls { ca: Some(ca), ..Tls::default() });
        let _ = reader.close(inner);
    }
    server.unknown.extend(reader.end()?);
    Ok(server)
}

fn times(reader: &mut Reader<'_>, server: &mut Server) {
    let Some(mut inner) = reader.inner("timeouts") else { return };
    let ms = |text: Option<String>| {
        text.and_then(|text| text.parse::<config::Span>().ok()).map(config::Span::millis)
    };
    let first_byte = ms(inner.text("first_byte"));
    server.timeouts = Timeouts {
        start_ms: ms(inner.text("connect")),
        call_ms: ms(inner.text("total")),
        read_ms: ms(inner.text("idle")),
    };
    let _ = reader.close(inner);
    // What follows from the whole is not said twice.
    let follows = server.timeouts.call_ms.filter(|ms| *ms < FIRST_BYTE_MS);
    if let Some(first_byte) = first_byte.filter(|ms| Some(*ms) != follows) {
        let value = serde_json::json!({ "first_byte": format!("{first_byte}ms") });
        server.unknown.insert("timeouts".to_owned(), value);
    }
}

fn auth(inner: &mut Reader<'_>) -> Oauth {
    let per_user = inner.flag("per_user").unwrap_or_default();
    Oauth {
        client_id: inner.text("client_id").map(Text::plain),
        client_secret: inner.get("client_secret").map(secret),
        scopes: inner.list("scopes").unwrap_or_default(),
        issuer: inner.text("issuer"),
        grant: (!per_user).then(|| "client_credentials".to_owned()),
        unknown: Unknown::new(),
        ..Oauth::default()
    }
}

/// A value that is written out, or named by where it is.
fn secret(node: &Node) -> Text {
    match &node.kind {
        Kind::Text(text) => Text::plain(text.clone()),
        Kind::Map(_) => {
            let prefix = node.get("prefix").and_then(Node::as_text).unwrap_or_default();
            let piece =
                match (node.get("env").and_then(Node::as_text), node.get("file").and_then(Node::as_text)) {
                    (Some(name), _) => Piece::Env { name: name.to_owned(), default: None },
                    (None, file) => Piece::File(file.unwrap_or_default().to_owned()),
                };
            Text::plain(prefix).with(piece)
        }
        _ => match node.to_value() {
            Value::Null => Text::default(),
            value => Text::plain(value.to_string()),
        },
    }
}

fn endpoint(source: &Source<'_>, node: &Node, path: &str) -> Result<Endpoint, Fault> {
    let mut reader = Reader::new(source, node, path);
    let mut endpoint = Endpoint {
        description: reader.text("description"),
        servers: reader.list("upstreams").unwrap_or_default(),
        tools: Tools { allow: reader.list("expose"), deny: reader.list("hide").unwrap_or_default() },
        aliases: reader.map("aliases"),
        ..Endpoint::default()
    };
    endpoint.unknown = reader.end()?;
    Ok(endpoint)
}
