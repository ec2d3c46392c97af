//! Writing what `mcpgateway import` takes.
//!
//! An import there asks each server for its tools, as it is registered, and then looks up the tools of
//! virtual servers by their names. It leaves out what it does not know, and switches everything on.

use std::net::IpAddr;

use config::Glob;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::{SEPARATORS, owner, slug};
use crate::field::{Field, Support};
use crate::model::{Deployment, Endpoint, Server, Tools, Transport};
use crate::patterns::has_patterns;
use crate::report::Report;

/// What the program calls the revision of its files.
const VERSION: &str = "2025-11-25";
/// How long a name may be there, in characters.
const NAME_CHARS_MAX: usize = 255;

/// What it can say.
pub(super) fn support(field: Field) -> Support {
    match field {
        Field::Http | Field::Sse | Field::Description => Support::Kept,
        Field::Stdio => Support::Dropped(
            "ContextForge starts no programs: the server is left out (`mcpgateway.translate` gives it a URL)",
        ),
        Field::ForwardHeaders => Support::Partly("ENABLE_HEADER_PASSTHROUGH has to be true there"),
        Field::Headers => Support::Dropped(
            "they are encrypted there by a key that stays there: give them to the gateway in ContextForge, \
             which takes in no server that wants them before it has them",
        ),
        Field::OauthClient
        | Field::OauthSecret
        | Field::OauthScopes
        | Field::OauthReturn
        | Field::OauthPlaces
        | Field::OauthGrant => Support::Dropped("an import takes nothing of OAuth: say it in ContextForge"),
        Field::TlsCa => Support::Dropped("an import takes no certificates: give them in ContextForge"),
        Field::ToolsAllow | Field::ToolsDeny => Support::Dropped(
            "whoever may use more than a virtual server is offered all its tools: switch them off there",
        ),
        Field::Endpoints => Support::Partly(
            "a virtual server has tools alone, and those of its servers at the time of the import",
        ),
        Field::EndpointTools => Support::Partly(
            "a virtual server has a list of names, which an import looks up among the newest 50 tools alone; \
             one that has no such list is left out",
        ),
        Field::EndpointWho | Field::Rules => {
            Support::Dropped("who may use what is in ContextForge's teams, roles and tokens: say it there")
        }
        Field::Issuers | Field::Keys => {
            Support::Dropped("callers come with tokens of ContextForge's: make them there")
        }
        Field::Checks => Support::Dropped("what passes is looked at by ContextForge's plugins: say it there"),
        Field::Listen | Field::Origins | Field::ListenTls => {
            Support::Dropped("ContextForge's environment and command line say it")
        }
        _ => Support::Dropped(""),
    }
}

/// Says which tools a virtual server has, one by one, less what its servers' own lists keep back.
pub(super) fn narrow(deployment: &mut Deployment, lists: &IndexMap<String, Tools>, report: &mut Report) {
    let patterns = has_patterns(deployment.format);
    let servers = &deployment.servers;
    deployment.gateway.endpoints.retain(|name, endpoint| {
        let path = format!("gateway.endpoints.{name}");
        let mut out: Vec<(String, String)> = Vec::new();
        for server in &endpoint.servers {
            // One that is not written has no tools there.
            if !servers.contains_key(server) {
                report.approximated(
                    &path,
                    true,
                    format!("its server {server:?} is not there: it goes without"),
                );
                continue;
            }
            let Some(tools) = named(endpoint, server, lists.get(server), patterns) else {
                let meaning = "which tools it has is not said by their names: it is left out";
                report.approximated(path, true, meaning);
                return false;
            };
            let new = tools.into_iter().map(|tool| (server.clone(), tool));
            out.extend(new);
        }
        endpoint.servers.clear();
        for (server, _) in &out {
            if !endpoint.servers.contains(server) {
                endpoint.servers.push(server.clone());
            }
        }
        let allow = out.iter().map(|(server, tool)| format!("{server}/{tool}")).collect();
        endpoint.tools = Tools { allow: Some(allow), deny: Vec::new() };
        true
    });
}

/// A server's tools that an endpoint offers, where both lists leave names; `None`: they are not listed.
fn named(endpoint: &Endpoint, server: &str, own: Option<&Tools>, patterns: bool) -> Option<Vec<String>> {
    let is = |one: &str, tool: &str| match patterns {
        true => Glob::new(one).is_ok_and(|glob| glob.matches(tool)),
        false => one == tool,
    };
    // Of an endpoint they are names by now.
    let of_endpoint = |one: &String| match one.split_once('/') {
        Some((of, tool)) if endpoint.servers.iter().any(|server| server == of) => {
            (of == server).then(|| tool.to_owned())
        }
        _ => Some(one.clone()),
    };
    let own_allow = own.and_then(|own| own.allow.as_ref());
    let mut tools: Vec<String> = match (&endpoint.tools.allow, own_allow) {
        (Some(allow), _) => allow.iter().filter_map(of_endpoint).collect(),
        (None, Some(allow)) => allow.iter().filter(|one| !one.contains(['*', '?'])).cloned().collect(),
        (None, None) => return None,
    };
    let denied: Vec<String> = endpoint.tools.deny.iter().filter_map(of_endpoint).collect();
    tools.retain(|tool| {
        own_allow.is_none_or(|allow| allow.iter().any(|one| is(one, tool)))
            && !denied.contains(tool)
            && !own.is_some_and(|own| own.deny.iter().any(|one| is(one, tool)))
    });
    Some(tools)
}

/// What only ContextForge has no words for.
pub(super) fn adjust(deployment: &mut Deployment, report: &mut Report) {
    let mut seen: Vec<String> = Vec::new();
    deployment.servers.retain(|name, server| {
        let path = format!("servers.{name}");
        let own = slug(name, "-");
        if !is_name(name) || seen.contains(&own) {
            let meaning = "its name is none there, or another one's: the server is left out";
            report.dropped(path, false, meaning);
            return false;
        }
        seen.push(own);
        reachable(server, &path, report);
        true
    });
    let servers = &deployment.servers;
    deployment.gateway.endpoints.retain(|name, endpoint| {
        let path = format!("gateway.endpoints.{name}");
        if !endpoint.enabled || !is_name(name) {
            let meaning = "it would be served there, or has no name that can be: it is left out";
            report.approximated(path, true, meaning);
            return false;
        }
        if endpoint.path.take().is_some() {
            report.approximated(format!("{path}.path"), false, "it is at /servers/ID/mcp there");
        }
        let is_its_own = |tool: &String| {
            id(tool).is_some_and(|(server, id)| owner(servers.keys(), &id).is_some_and(|own| own.0 == server))
        };
        if let Some(tools) = &mut endpoint.tools.allow
            && !tools.iter().all(is_its_own)
        {
            let meaning = "the name of a tool there is none, or another tool's: it is not offered";
            report.approximated(format!("{path}.tools.allow"), true, meaning);
            tools.retain(is_its_own);
        }
        let tools = endpoint.tools.allow.as_deref().unwrap_or_default();
        endpoint.servers.retain(|server| {
            tools.iter().any(|tool| tool.split_once('/').is_some_and(|(of, _)| of == server))
        });
        true
    });
}

/// Whether something can be called so there.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.- ".contains(c);
    name.chars().all(fits)
        && name.len() <= NAME_CHARS_MAX
        && name.trim() == name
        && !slug(name, SEPARATORS[0]).is_empty()
}

/// What a tool, `SERVER/TOOL`, is called there, and its server.
fn id(tool: &str) -> Option<(&str, String)> {
    let (server, tool) = tool.split_once('/')?;
    let own = slug(tool, "-");
    (!own.is_empty() && tool.is_ascii()).then(|| (server, format!("{}-{own}", slug(server, "-"))))
}

/// Says what has to be said there before a server on this machine or network is reached.
fn reachable(server: &Server, path: &str, report: &mut Report) {
    let url = server.url.as_ref().and_then(|url| url.as_plain()).unwrap_or_default();
    let authority =
        url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let host = authority.map(|authority| authority.rsplit_once('@').map_or(authority, |(_, host)| host));
    let host = host.unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let variable = match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => "SSRF_ALLOW_LOCALHOST",
        Ok(IpAddr::V4(address)) if address.is_private() => "SSRF_ALLOW_PRIVATE_NETWORKS",
        Err(_) if host.eq_ignore_ascii_case("localhost") => "SSRF_ALLOW_LOCALHOST",
        Ok(_) | Err(_) => return,
    };
    report.approximated(format!("{path}.url"), false, format!("{variable} has to be true there"));
}

/// The file, the same each time.
pub(super) fn text(deployment: &Deployment) -> String {
    let gateways: Vec<Json> = deployment.servers.iter().map(|(name, server)| gateway(name, server)).collect();
    let endpoints = deployment.gateway.endpoints.iter();
    let servers: Vec<Json> = endpoints.map(|(name, endpoint)| virtual_server(name, endpoint)).collect();
    let mut out = Map::new();
    out.insert("version".to_owned(), VERSION.into());
    // An import wants to be told of a time, and looks at none.
    out.insert("exported_at".to_owned(), Json::Null);
    out.insert("exported_by".to_owned(), "tidegate".into());
    out.insert("entities".to_owned(), json!({ "gateways": gateways, "servers": servers }));
    out.extend(deployment.unknown.clone());
    format!("{:#}\n", Json::Object(out))
}

fn gateway(name: &str, server: &Server) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    put("name", name.into());
    put("url", server.url.as_ref().and_then(|url| url.as_plain()).unwrap_or_default().into());
    if let Some(description) = &server.description {
        put("description", description.as_str().into());
    }
    put("transport", if server.transport == Transport::Sse { "SSE" } else { "STREAMABLEHTTP" }.into());
    if !server.forward_headers.is_empty() {
        put("passthrough_headers", server.forward_headers.clone().into());
    }
    put("is_active", true.into());
    out.extend(server.unknown.clone());
    Json::Object(out)
}

fn virtual_server(name: &str, endpoint: &Endpoint) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| drop(out.insert(key.to_owned(), value));
    put("name", name.into());
    if let Some(description) = &endpoint.description {
        put("description", description.as_str().into());
    }
    let mut ids: Vec<String> = Vec::new();
    for (_, id) in endpoint.tools.allow.iter().flatten().filter_map(|tool| id(tool)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    put("tool_ids", ids.into());
    put("is_active", true.into());
    out.extend(endpoint.unknown.clone());
    Json::Object(out)
}
