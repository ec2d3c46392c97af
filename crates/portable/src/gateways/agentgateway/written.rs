//! Writing it.

use serde_json::{Map, Value as Json, json};

use super::super::cel;
use super::super::reading::duration;
use super::super::variable::{self, Style};
use super::{PORT, callers};
use crate::model::{Deployment, Effect, Endpoint, Gateway, Issuer, Rule, Server, Tls, Tools, Transport};
use crate::report::Report;
use crate::text::{Piece, Text};

const STYLE: Style = Style::Shell;

/// The whole file.
pub(super) fn all(deployment: &Deployment, report: &mut Report) -> Json {
    let gateway = &deployment.gateway;
    let port = gateway.listen.as_deref().and_then(|listen| listen.rsplit_once(':')?.1.parse::<u16>().ok());
    let port = port.unwrap_or(PORT);
    let mut out = Map::new();
    let served: Vec<_> = gateway.endpoints.iter().filter(|(_, endpoint)| endpoint.enabled).collect();
    if served.is_empty() && gateway.tls.is_none() {
        let all: Vec<&String> = deployment.servers.keys().collect();
        let mut simple = Map::new();
        simple.insert("port".to_owned(), port.into());
        simple.insert("targets".to_owned(), targets(deployment, &all));
        put_policies(&mut simple, policies(deployment, None));
        out.insert("mcp".to_owned(), Json::Object(simple));
    } else {
        let routes = if served.is_empty() {
            vec![route(deployment, None)]
        } else {
            let meaning = "the endpoint of everything is not served where there are others";
            report.approximated("gateway.endpoints", true, meaning);
            served.into_iter().map(|(name, endpoint)| route(deployment, Some((name, endpoint)))).collect()
        };
        let mut listener = Map::new();
        if let Some((cert, key)) = &gateway.tls {
            listener.insert("protocol".to_owned(), "HTTPS".into());
            listener.insert("tls".to_owned(), json!({"cert": cert, "key": key}));
        }
        listener.insert("routes".to_owned(), routes.into());
        out.insert("binds".to_owned(), json!([{"port": port, "listeners": [listener]}]));
    }
    out.extend(deployment.unknown.clone());
    Json::Object(out)
}

fn route(deployment: &Deployment, endpoint: Option<(&String, &Endpoint)>) -> Json {
    let mut out = Map::new();
    let servers: Vec<&String> = match endpoint {
        None => deployment.servers.keys().collect(),
        Some((name, endpoint)) => {
            let path = endpoint.path.clone().unwrap_or_else(|| format!("/{name}/mcp"));
            out.insert("name".to_owned(), name.as_str().into());
            out.insert("matches".to_owned(), json!([{"path": {"pathPrefix": path}}]));
            deployment.servers.keys().filter(|server| endpoint.servers.contains(server)).collect()
        }
    };
    put_policies(&mut out, policies(deployment, endpoint));
    out.insert("backends".to_owned(), json!([{"mcp": {"targets": targets(deployment, &servers)}}]));
    Json::Object(out)
}

fn put_policies(out: &mut Map<String, Json>, policies: Map<String, Json>) {
    if !policies.is_empty() {
        out.insert("policies".to_owned(), Json::Object(policies));
    }
}

fn targets(deployment: &Deployment, names: &[&String]) -> Json {
    let servers = names.iter().filter_map(|name| Some((*name, deployment.servers.get(*name)?)));
    servers.map(|(name, server)| target(name, server)).collect()
}

fn target(name: &str, server: &Server) -> Json {
    let mut out = Map::new();
    out.insert("name".to_owned(), name.into());
    let said = |text: &Text| variable::write(text, STYLE).unwrap_or_default();
    match &server.url {
        Some(url) => {
            let kind = if server.transport == Transport::Sse { "sse" } else { "mcp" };
            out.insert(kind.to_owned(), json!({"host": said(url)}));
            put_policies(&mut out, connection(server));
        }
        None => {
            let mut words = server.argv.iter().map(said);
            let mut stdio = Map::new();
            stdio.insert("cmd".to_owned(), words.next().unwrap_or_default().into());
            let args: Vec<String> = words.collect();
            if !args.is_empty() {
                stdio.insert("args".to_owned(), args.into());
            }
            if !server.env.is_empty() {
                let env = server.env.iter().map(|(key, value)| (key.clone(), Json::from(said(value))));
                stdio.insert("env".to_owned(), env.collect());
            }
            // As here, where a program gets what is named and little else.
            stdio.insert("clear_env".to_owned(), true.into());
            out.insert("stdio".to_owned(), Json::Object(stdio));
        }
    }
    out.extend(server.unknown.clone());
    Json::Object(out)
}

/// What is said of the connection to a server.
fn connection(server: &Server) -> Map<String, Json> {
    let mut out = Map::new();
    let mut set = Map::new();
    for (name, value) in &server.headers {
        match bearer(name, value) {
            Some(key) => drop(out.insert("backendAuth".to_owned(), json!({ "key": key }))),
            None => {
                set.insert(name.clone(), variable::write(value, STYLE).unwrap_or_default().into());
            }
        }
    }
    if !set.is_empty() {
        out.insert("requestHeaderModifier".to_owned(), json!({ "set": set }));
    }
    if let Some(Tls { ca, certificate, .. }) = &server.tls {
        let mut tls = Map::new();
        if let Some(ca) = ca {
            tls.insert("root".to_owned(), ca.as_str().into());
        }
        if let Some((cert, key)) = certificate {
            tls.insert("cert".to_owned(), cert.as_str().into());
            tls.insert("key".to_owned(), key.as_str().into());
        }
        out.insert("backendTLS".to_owned(), Json::Object(tls));
    }
    if let Some(ms) = server.timeouts.call_ms {
        out.insert("http".to_owned(), json!({"requestTimeout": duration(ms)}));
    }
    out
}

/// The key of `backendAuth`, where a header is nothing but a bearer's token.
pub(super) fn bearer(name: &str, value: &Text) -> Option<Json> {
    if name != "Authorization" {
        return None;
    }
    let mut pieces = value.pieces().iter();
    let Some(Piece::Plain(first)) = pieces.next() else { return None };
    let start = first.strip_prefix("Bearer ")?;
    let rest: Vec<Piece> = pieces.cloned().collect();
    if let ("", [Piece::File(file)]) = (start, rest.as_slice()) {
        return Some(json!({ "file": file }));
    }
    let token: Text = std::iter::once(Piece::Plain(start.to_owned())).chain(rest).collect();
    variable::write(&token, STYLE).map(Json::from)
}

/// What pages may send that MCP needs, and what they may read.
const HEADERS_IN: [&str; 6] =
    ["authorization", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "last-event-id"];
const HEADERS_OUT: [&str; 2] = ["mcp-session-id", "www-authenticate"];

fn policies(deployment: &Deployment, endpoint: Option<(&String, &Endpoint)>) -> Map<String, Json> {
    let gateway = &deployment.gateway;
    let mut out = Map::new();
    if let Some(origins) = &gateway.origins {
        let cors = json!({
            "allowOrigins": origins,
            "allowMethods": ["GET", "POST", "DELETE"],
            "allowHeaders": HEADERS_IN,
            "exposeHeaders": HEADERS_OUT,
        });
        out.insert("cors".to_owned(), cors);
    }
    if !gateway.issuers.is_empty() {
        out.insert("jwtAuth".to_owned(), tokens(&gateway.issuers));
    }
    out.extend(callers::authorization(gateway).map(|rules| ("authorization".to_owned(), rules)));
    let rules = rules(deployment, endpoint);
    if !rules.is_empty() {
        out.insert("mcpAuthorization".to_owned(), json!({ "rules": rules }));
    }
    let limits = limits(gateway);
    if !limits.is_empty() {
        out.insert("localRateLimit".to_owned(), limits.into());
    }
    out
}

fn tokens(issuers: &[Issuer]) -> Json {
    let each = issuers.iter().map(|issuer| {
        let mut out = Map::new();
        out.insert("issuer".to_owned(), issuer.issuer.as_str().into());
        if !issuer.audiences.is_empty() {
            out.insert("audiences".to_owned(), issuer.audiences.clone().into());
        }
        out.insert("jwks".to_owned(), json!({"url": issuer.jwks_url}));
        out
    });
    let mut each: Vec<_> = each.collect();
    let mode = if issuers.iter().all(|issuer| issuer.optional) { "optional" } else { "strict" };
    match each.len() {
        1 => {
            let mut one = each.remove(0);
            one.insert("mode".to_owned(), mode.into());
            Json::Object(one)
        }
        _ => json!({"mode": mode, "providers": each}),
    }
}

fn limits(gateway: &Gateway) -> Vec<Json> {
    let each = gateway.limits.iter().map(|limit| {
        json!({
            "maxTokens": limit.burst.unwrap_or(limit.count),
            "tokensPerFill": limit.count,
            "fillInterval": duration(limit.window_ms),
        })
    });
    each.collect()
}

fn rules(deployment: &Deployment, endpoint: Option<(&String, &Endpoint)>) -> Vec<Json> {
    let mut rules = Vec::new();
    let holds = |rule: &&Rule| match (&rule.endpoints, endpoint) {
        (None, _) => true,
        (Some(names), Some((name, _))) => names.contains(name),
        (Some(_), None) => false,
    };
    for rule in deployment.gateway.rules.iter().filter(holds) {
        let Some(text) = cel::write(rule) else { continue };
        rules.push(match rule.effect {
            Effect::Allow => Json::from(text),
            Effect::Deny | Effect::Ask => json!({ "deny": text }),
        });
    }
    for (name, server) in &deployment.servers {
        let target = format!("mcp.tool.target == {}", Json::from(name.as_str()));
        rules.extend(
            filters(&server.tools).into_iter().map(|deny| json!({"deny": format!("{target} && {deny}")})),
        );
    }
    if let Some((_, endpoint)) = endpoint {
        rules.extend(filters(&endpoint.tools).into_iter().map(|deny| json!({ "deny": deny })));
    }
    rules
}

/// What is denied by which tools are offered.
fn filters(tools: &Tools) -> Vec<String> {
    let any = |names: &[String]| {
        let each: Vec<String> = names.iter().map(|name| condition(name)).collect();
        if each.is_empty() { "false".to_owned() } else { each.join(" || ") }
    };
    let mut denied = Vec::new();
    if let Some(allow) = &tools.allow {
        denied.push(format!("!({})", any(allow)));
    }
    if !tools.deny.is_empty() {
        denied.push(format!("({})", any(&tools.deny)));
    }
    denied
}

/// Whether a tool has this name, or fits this pattern.
fn condition(name: &str) -> String {
    let (target, tool) = match name.split_once('/') {
        Some((target, tool)) => (Some(target), tool),
        None => (None, name),
    };
    let tool = if tool == "*" {
        "true".to_owned()
    } else if tool.contains(['*', '?']) {
        let mut pattern = String::from("^");
        for c in tool.chars() {
            match c {
                '*' => pattern.push_str(".*"),
                '?' => pattern.push('.'),
                c if c.is_alphanumeric() || c == '_' || c == '-' => pattern.push(c),
                c => pattern.push_str(&format!("[{c}]")),
            }
        }
        format!("mcp.tool.name.matches({})", Json::from(format!("{pattern}$")))
    } else {
        format!("mcp.tool.name == {}", Json::from(tool))
    };
    match target {
        Some(target) => format!("(mcp.tool.target == {} && {tool})", Json::from(target)),
        None => tool,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_tools_are_offered_is_written_as_what_is_denied() {
        let tools = |allow: Option<&[&str]>, deny: &[&str]| Tools {
            allow: allow.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            deny: deny.iter().map(|name| (*name).to_owned()).collect(),
        };
        assert!(filters(&tools(None, &[])).is_empty());
        assert_eq!(filters(&tools(Some(&[]), &[])), ["!(false)"], "an empty list offers none");
        assert_eq!(
            filters(&tools(Some(&["a", "crm/b*"]), &["c"])),
            [
                r#"!(mcp.tool.name == "a" || (mcp.tool.target == "crm" && mcp.tool.name.matches("^b.*$")))"#,
                r#"(mcp.tool.name == "c")"#,
            ]
        );
    }
}
