//! `tidegate.yaml`, anew.

use serde_json::{Map, Value as Json, json};

use super::super::reading::duration;
use super::super::write::yaml;
use crate::model::{Deployment, Endpoint, Oauth, Server, Transport};
use crate::report::Report;
use crate::text::Text;
use crate::tidegate::secret;

/// The servers as sections. What the gateway does not take is left out, and told.
pub(super) fn upstreams(deployment: &Deployment, report: &mut Report) -> Map<String, Json> {
    let taken = deployment
        .servers
        .iter()
        .filter_map(|(name, server)| Some((name.clone(), taken(name, server, report)?)));
    taken.collect()
}

/// The text of a deployment in this gateway's own words.
pub(super) fn all(
    deployment: &Deployment,
    sections: Map<String, Json>,
    upstreams: Map<String, Json>,
    report: &mut Report,
) -> String {
    let mut out = Map::new();
    if let Some(listen) = &deployment.gateway.listen {
        out.insert("listen".to_owned(), listen.as_str().into());
    }
    out.extend(sections);
    let mut endpoints = Map::new();
    for (name, endpoint) in &deployment.gateway.endpoints {
        let servers: Vec<&String> =
            endpoint.servers.iter().filter(|name| upstreams.contains_key(*name)).collect();
        let path = format!("gateway.endpoints.{name}");
        if servers.is_empty() || !endpoint.enabled {
            report.approximated(path, true, "it has nothing to offer, or was switched off: it is left out");
            continue;
        }
        if endpoint.path.as_ref().is_some_and(|path| *path != format!("/{name}/mcp")) {
            report.approximated(format!("{path}.path"), false, format!("it is at /{name}/mcp here"));
        }
        endpoints.insert(name.clone(), written(endpoint, &servers));
    }
    out.insert("upstreams".to_owned(), Json::Object(upstreams));
    if !endpoints.is_empty() {
        out.insert("endpoints".to_owned(), Json::Object(endpoints));
    }
    yaml(&Json::Object(out))
}

fn written(endpoint: &Endpoint, servers: &[&String]) -> Json {
    let mut out = Map::new();
    if let Some(description) = &endpoint.description {
        out.insert("description".to_owned(), description.as_str().into());
    }
    out.insert("upstreams".to_owned(), json!(servers));
    if let Some(allow) = &endpoint.tools.allow {
        out.insert("expose".to_owned(), json!(allow));
    }
    if !endpoint.tools.deny.is_empty() {
        out.insert("hide".to_owned(), json!(endpoint.tools.deny));
    }
    if !endpoint.aliases.is_empty() {
        out.insert("aliases".to_owned(), json!(endpoint.aliases));
    }
    Json::Object(out)
}

/// The section of a server, where the gateway takes it.
fn taken(name: &str, server: &Server, report: &mut Report) -> Option<Json> {
    let path = format!("servers.{name}");
    let mut out = upstream(server, &path, report)?;
    let fault = |out: &Map<String, Json>| {
        let text = yaml(&json!({"upstreams": {(name): out}}));
        config::load_str(&text, "")
            .err()
            .and_then(|faults| faults.into_iter().next().map(|fault| fault.message.clone()))
    };
    if fault(&out).is_some() && out.shift_remove("auth").is_some() {
        let meaning =
            "how a token is had cannot be said that way: write `auth` of the upstream (docs/auth.md)";
        report.dropped(format!("{path}.oauth"), false, meaning);
    }
    match fault(&out) {
        None => Some(Json::Object(out)),
        Some(message) => {
            report.dropped(
                path,
                false,
                format!("the gateway does not take it, and it is left out: {message}"),
            );
            None
        }
    }
}

fn upstream(server: &Server, path: &str, report: &mut Report) -> Option<Map<String, Json>> {
    let mut out = Map::new();
    if let Some(description) = server.description.as_ref().or(server.title.as_ref()) {
        out.insert("description".to_owned(), description.as_str().into());
    }
    let words: Option<Vec<&str>> =
        server.argv.iter().chain(&server.url).chain(&server.cwd).map(Text::as_plain).collect();
    if words.is_none() {
        let meaning = "variables are looked up in `env` and `headers` alone: it is left out";
        report.dropped(path, false, meaning);
        return None;
    }
    let plain = |text: &Text| Json::from(text.as_plain().unwrap_or_default());
    match (&server.url, server.transport) {
        (None, _) => drop(out.insert("command".to_owned(), server.argv.iter().map(plain).collect())),
        (Some(_), Transport::WebSocket) => {
            report.dropped(path, false, "the protocol has no such transport: it is left out");
            return None;
        }
        (Some(url), transport) => {
            out.insert("url".to_owned(), plain(url));
            let word = match transport {
                Transport::StreamableHttp => Some("streamable-http"),
                Transport::Sse => Some("http-sse"),
                _ => None,
            };
            out.extend(word.map(|word| ("transport".to_owned(), word.into())));
        }
    }
    out.extend(server.cwd.as_ref().map(|cwd| ("cwd".to_owned(), plain(cwd))));
    for (key, values) in [("env", &server.env), ("headers", &server.headers)] {
        let mut found = Map::new();
        for (name, text) in values {
            match secret(text) {
                Some(value) => drop(found.insert(name.clone(), value)),
                None => {
                    let meaning = "put the whole value into one variable, and name that: it is left out";
                    report.dropped(format!("{path}.{key}.{name}"), false, meaning);
                }
            }
        }
        if !found.is_empty() {
            out.insert(key.to_owned(), Json::Object(found));
        }
    }
    if !server.forward_headers.is_empty() {
        out.insert("forward_headers".to_owned(), json!(server.forward_headers));
    }
    if let Some(oauth) = &server.oauth {
        out.extend(auth(oauth, path, report).map(|auth| ("auth".to_owned(), auth)));
    }
    rest(server, path, &mut out, report);
    Some(out)
}

fn rest(server: &Server, path: &str, out: &mut Map<String, Json>, report: &mut Report) {
    if let Some(ms) = server.timeouts.call_ms.filter(|ms| *ms > 0) {
        let mut times = Map::new();
        // The time to the first byte is never more than that of the whole call.
        if ms < 60_000 {
            times.insert("first_byte".to_owned(), duration(ms).into());
        }
        times.insert("total".to_owned(), duration(ms).into());
        out.insert("timeouts".to_owned(), Json::Object(times));
    }
    if let Some(allow) = &server.tools.allow {
        out.insert("expose".to_owned(), json!(allow));
    }
    if !server.tools.deny.is_empty() {
        out.insert("hide".to_owned(), json!(server.tools.deny));
    }
    if let Some(tls) = &server.tls {
        if let Some(ca) = &tls.ca {
            out.insert("tls".to_owned(), json!({ "ca": ca }));
        }
        if tls.certificate.is_some() {
            report.dropped(
                format!("{path}.tls.certificate"),
                false,
                "the gateway shows no certificate there",
            );
        }
    }
    if !server.enabled {
        out.insert("enabled".to_owned(), false.into());
    }
}

fn auth(oauth: &Oauth, path: &str, report: &mut Report) -> Option<Json> {
    let at = format!("{path}.oauth");
    let mut out = Map::new();
    match oauth.grant.as_deref() {
        Some("client_credentials") => {}
        None => drop(out.insert("per_user".to_owned(), true.into())),
        Some(_) => {
            let meaning =
                "write `exchange` or `enterprise` in `auth` of the upstream, with one of `auth.issuers`";
            report.dropped(at, false, meaning);
            return None;
        }
    }
    match oauth.client_id.as_ref().map(Text::as_plain) {
        Some(Some(client)) => drop(out.insert("client_id".to_owned(), client.into())),
        Some(None) => {
            report.dropped(format!("{at}.client_id"), false, "it is no secret: write it out in `auth`")
        }
        None => {}
    }
    out.extend(
        oauth.client_secret.as_ref().and_then(secret).map(|value| ("client_secret".to_owned(), value)),
    );
    if !oauth.scopes.is_empty() {
        out.insert("scopes".to_owned(), json!(oauth.scopes));
    }
    out.extend(oauth.issuer.as_ref().map(|issuer| ("issuer".to_owned(), issuer.as_str().into())));
    if oauth.token_url.is_some() || oauth.authorization_url.is_some() || oauth.metadata_url.is_some() {
        let meaning = "they are found by the server's own metadata, or by that of `issuer`";
        report.approximated(format!("{at}.token_url"), false, meaning);
    }
    if oauth.audience.is_some() {
        report.dropped(format!("{at}.audience"), false, "tokens are asked for by the server's URL");
    }
    Some(Json::Object(out))
}
