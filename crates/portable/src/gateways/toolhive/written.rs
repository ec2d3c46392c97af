//! Writing the configuration of a virtual server.

use serde_json::{Map, Value as Json, json};

use super::super::cedar;
use super::super::reading::duration;
use super::anybody;
use crate::model::{Deployment, Effect, Limit, LimitKind, Per, Server, Transport};
use crate::report::Report;
use crate::text::Text;

/// What only ToolHive has no words for.
pub(super) fn adjust(deployment: &mut Deployment, report: &mut Report) {
    for (name, server) in &mut deployment.servers {
        adjust_server(name, server, report);
    }
    let gateway = &mut deployment.gateway;
    for (index, issuer) in gateway.issuers.iter_mut().enumerate() {
        let path = format!("gateway.issuers[{index}]");
        if issuer.audiences.is_empty() {
            let meaning = "it does not start without one: write in `audience` whom tokens have to be for";
            report.approximated(format!("{path}.audiences"), true, meaning);
        }
        if issuer.audiences.len() > 1 {
            issuer.audiences.truncate(1);
            report.approximated(format!("{path}.audiences"), true, "the first audience alone is taken");
        }
        if issuer.optional {
            issuer.optional = false;
            report.approximated(format!("{path}.optional"), true, "a request without a token is refused");
        }
        if !std::mem::take(&mut issuer.scopes).is_empty() {
            report.dropped(format!("{path}.scopes"), true, "scopes are not looked at: write a policy");
        }
        if !std::mem::take(&mut issuer.algorithms).is_empty() {
            report.dropped(format!("{path}.algorithms"), true, "whatever the keys are for is taken");
        }
        for (part, claim) in
            [("subject_claim", &mut issuer.subject_claim), ("groups_claim", &mut issuer.groups_claim)]
        {
            if claim.take().is_some() {
                report.dropped(format!("{path}.{part}"), false, "policies name claims themselves");
            }
        }
        issuer.name = None;
    }
    if gateway.issuers.len() > 1 {
        gateway.issuers.truncate(1);
        report.approximated("gateway.issuers", true, "tokens of the first issuer alone are taken");
    }
    adjust_rules(deployment, report);
}

fn adjust_rules(deployment: &mut Deployment, report: &mut Report) {
    let gateway = &mut deployment.gateway;
    let mut index = 0;
    gateway.rules.retain_mut(|rule| {
        let path = format!("gateway.rules[{index}]");
        index += 1;
        if anybody(&rule.who) {
            rule.who.clear();
        }
        let all = rule.servers.is_none() && rule.endpoints.is_none();
        if all && rule.effect != Effect::Ask && cedar::write(rule).is_some() {
            rule.name = None;
            return true;
        }
        match rule.effect {
            Effect::Allow => {
                report.approximated(path, true, "it has no words for this rule: nothing is permitted by it");
            }
            Effect::Deny | Effect::Ask => report.dropped(path, true, "it has no words for this rule"),
        }
        false
    });
    adjust_limits(deployment, report);
}

/// A limit there is a bucket that is filled again evenly: how much it holds, and in what time it is full.
fn adjust_limits(deployment: &mut Deployment, report: &mut Report) {
    let is_own = deployment.format == Some("toolhive");
    let servers: Vec<String> = deployment.servers.keys().cloned().collect();
    let (mut index, mut taken) = (0, Vec::new());
    deployment.gateway.limits.retain_mut(|limit| {
        let path = format!("gateway.limits[{index}]");
        index += 1;
        if !is_own {
            named_there(limit, &servers);
        }
        let place = (limit.per == Per::Caller, limit.tools.clone());
        if taken.contains(&place) {
            report.dropped(path, true, "there is one such limit there: the first one");
            return false;
        }
        let stays = matches!(limit.per, Per::All | Per::Caller)
            && limit.servers.is_none()
            && limit
                .tools
                .as_ref()
                .is_none_or(|tools| tools.len() == 1 && !tools.iter().any(|tool| is_pattern(tool)))
            && limit.kind == LimitKind::Requests
            && limit.window_ms > 0
            && even(limit);
        if !stays {
            report.dropped(path, true, "there is no such limit there: it is left out");
            return false;
        }
        limit.name = None;
        taken.push(place);
        true
    });
}

fn is_pattern(tool: &str) -> bool {
    tool.contains(['*', '?'])
}

/// Servers are not named in limits there, and tools have their servers' names before their own.
fn named_there(limit: &mut Limit, servers: &[String]) {
    let of = limit.servers.as_deref().unwrap_or(servers);
    let Some(tools) = &mut limit.tools else { return };
    if let ([server], [tool]) = (of, tools.as_mut_slice()) {
        *tool = format!("{server}_{tool}");
        limit.servers = None;
    } else if limit.servers.is_none() {
        // One name of a tool is none of several servers' there.
        limit.servers = Some(servers.to_vec());
    }
}

/// The same pace in the time in which the bucket is full again. Whether it can be said.
fn even(limit: &mut Limit) -> bool {
    let size = limit.burst.unwrap_or(limit.count);
    let window = u128::from(limit.window_ms) * u128::from(size);
    let window =
        window.checked_div(u128::from(limit.count)).map(|_| window.div_ceil(u128::from(limit.count)));
    match (window.and_then(|window| u64::try_from(window).ok()), i32::try_from(size)) {
        (Some(window_ms), Ok(1..)) => {
            (limit.count, limit.window_ms, limit.burst) = (size, window_ms, Some(size));
            true
        }
        _ => false,
    }
}

fn adjust_server(name: &str, server: &mut Server, report: &mut Report) {
    if server.headers.len() > 1 {
        let kept = server.headers.get_index_of("Authorization").unwrap_or(0);
        let mut index = 0;
        server.headers.retain(|key, _| {
            let stays = index == kept;
            index += 1;
            if !stays {
                report.dropped(
                    format!("servers.{name}.headers.{key}"),
                    false,
                    "a server has one header there",
                );
            }
            stays
        });
    }
    server.headers.retain(|key, value| {
        let stays = value.as_plain().is_some() || value.as_env().is_some();
        if !stays {
            let meaning = "a variable is the whole value there: put all of it into the variable";
            report.dropped(format!("servers.{name}.headers.{key}"), false, meaning);
        }
        stays
    });
    if let Some(tls) = &mut server.tls {
        if tls.certificate.take().is_some() {
            report.dropped(
                format!("servers.{name}.tls.certificate"),
                false,
                "it proves itself by no certificate",
            );
        }
        if std::mem::take(&mut tls.insecure) {
            report.approximated(format!("servers.{name}.tls"), true, "certificates are looked at");
        }
        if tls.ca.is_none() {
            server.tls = None;
        }
    }
}

/// The whole file.
pub(super) fn all(deployment: &Deployment) -> Json {
    let gateway = &deployment.gateway;
    let mut out = Map::new();
    out.insert("name".to_owned(), "tidegate".into());
    // It has to be there, also where the servers are named.
    out.insert("groupRef".to_owned(), "default".into());
    let backends: Vec<Json> = deployment.servers.iter().map(|(name, server)| backend(name, server)).collect();
    out.insert("backends".to_owned(), backends.into());
    let mut incoming = Map::new();
    match gateway.issuers.first() {
        None => drop(incoming.insert("type".to_owned(), "anonymous".into())),
        Some(issuer) => {
            incoming.insert("type".to_owned(), "oidc".into());
            let mut oidc = Map::new();
            oidc.insert("issuer".to_owned(), issuer.issuer.as_str().into());
            if let Some(audience) = issuer.audiences.first() {
                oidc.insert("audience".to_owned(), audience.as_str().into());
            }
            if let Some(jwks) = &issuer.jwks_url {
                oidc.insert("jwksUrl".to_owned(), jwks.as_str().into());
            }
            incoming.insert("oidc".to_owned(), Json::Object(oidc));
        }
    }
    let policies: Vec<String> = gateway.rules.iter().filter_map(cedar::write).flatten().collect();
    if !policies.is_empty() {
        incoming.insert("authz".to_owned(), json!({"type": "cedar", "policies": policies}));
    }
    out.insert("incomingAuth".to_owned(), Json::Object(incoming));
    out.insert("outgoingAuth".to_owned(), outgoing(deployment));
    out.insert("aggregation".to_owned(), aggregation(deployment));
    let times = deployment.servers.iter().filter_map(|(name, server)| Some((name, server.timeouts.call_ms?)));
    let times: Map<String, Json> = times.map(|(name, ms)| (name.clone(), duration(ms).into())).collect();
    if !times.is_empty() {
        out.insert("operational".to_owned(), json!({"timeouts": {"perWorkload": times}}));
    }
    let limits = limits(&gateway.limits);
    if !limits.is_empty() {
        out.insert("rateLimiting".to_owned(), Json::Object(limits));
    }
    out.extend(deployment.unknown.clone());
    Json::Object(out)
}

fn backend(name: &str, server: &Server) -> Json {
    let mut out = Map::new();
    out.insert("name".to_owned(), name.into());
    let url = server.url.as_ref().and_then(Text::as_plain).unwrap_or_default();
    out.insert("url".to_owned(), url.into());
    let word = if server.transport == Transport::Sse { "sse" } else { "streamable-http" };
    out.insert("transport".to_owned(), word.into());
    if let Some(ca) = server.tls.as_ref().and_then(|tls| tls.ca.as_ref()) {
        // Of this kind of backend alone.
        out.insert("type".to_owned(), "entry".into());
        out.insert("caBundlePath".to_owned(), ca.as_str().into());
    }
    out.extend(server.unknown.clone());
    Json::Object(out)
}

fn outgoing(deployment: &Deployment) -> Json {
    let mut backends = Map::new();
    for (name, server) in &deployment.servers {
        if let Some((header, value)) = server.headers.first() {
            let value = match value.as_env() {
                Some(variable) => ("headerValueEnv", variable),
                None => ("headerValue", value.as_plain().unwrap_or_default()),
            };
            let injection = json!({"headerName": header, (value.0): value.1});
            backends.insert(name.clone(), json!({"type": "header_injection", "headerInjection": injection}));
        }
    }
    let mut out = json!({"source": "inline", "default": {"type": "unauthenticated"}});
    if !backends.is_empty() {
        out["backends"] = Json::Object(backends);
    }
    out
}

fn aggregation(deployment: &Deployment) -> Json {
    let tools = deployment.servers.iter().filter_map(|(name, server)| {
        let allow = server.tools.allow.as_ref()?;
        Some(match allow.is_empty() {
            true => json!({"workload": name, "excludeAll": true}),
            false => json!({"workload": name, "filter": allow}),
        })
    });
    let tools: Vec<Json> = tools.collect();
    let mut out = json!({
        "conflictResolution": "prefix",
        "conflictResolutionConfig": {"prefixFormat": "{workload}_"},
    });
    if !tools.is_empty() {
        out["tools"] = tools.into();
    }
    out
}

fn limits(limits: &[Limit]) -> Map<String, Json> {
    let mut out = Map::new();
    let mut tools: Vec<Json> = Vec::new();
    for limit in limits {
        let bucket = json!({"maxTokens": limit.count, "refillPeriod": duration(limit.window_ms)});
        let key = if limit.per == Per::Caller { "perUser" } else { "shared" };
        match limit.tools.as_ref().and_then(|tools| tools.first()) {
            None => drop(out.insert(key.to_owned(), bucket)),
            Some(tool) => match tools.iter_mut().find(|one| one["name"] == tool.as_str()) {
                Some(one) => one[key] = bucket,
                None => tools.push(json!({"name": tool, (key): bucket})),
            },
        }
    }
    if !tools.is_empty() {
        out.insert("tools".to_owned(), tools.into());
    }
    out
}
