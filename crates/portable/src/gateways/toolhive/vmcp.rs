//! The configuration of a virtual server.

use super::super::doc::Node;
use super::super::reading::{Reading, milliseconds};
use super::super::table::Table;
use super::{issuer, limits, policies, transport};
use crate::format::Fault;
use crate::model::{Effect, Endpoint, Oauth, Rule, Server, Tls, Tools, Transport};
use crate::text::Text;

/// Reads it.
pub(super) fn read<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    let name = reading.text(table, "name")?.unwrap_or_else(|| "vmcp".to_owned());
    let path = table.at("backends");
    for (index, node) in table.list("backends")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let own = node.get("name").and_then(Node::text).unwrap_or_default();
        if own.is_empty() {
            let message = "it has no \"name\"";
            return Err(super::doc::fault(reading.origin.file, node.line, node.column, &at, message));
        }
        reading.server(own, node, &at, backend)?;
    }
    if let Some(group) = table.text("groupRef")? {
        let meaning = if reading.deployment.servers.is_empty() {
            format!(
                "its servers are the workloads of the group {group:?}: import their run configurations, too"
            )
        } else {
            "the servers that are named are taken, and no others of the group".to_owned()
        };
        reading.report.dropped("groupRef", false, meaning);
    }
    if let Some(incoming) = table.table("incomingAuth")? {
        incoming_auth(reading, incoming)?;
    }
    if let Some(outgoing) = table.table("outgoingAuth")? {
        outgoing_auth(reading, outgoing)?;
    }
    let mut endpoint = Endpoint { enabled: true, ..Endpoint::default() };
    if let Some(aggregation) = table.table("aggregation")? {
        aggregate(reading, aggregation, &mut endpoint)?;
    }
    let rates = table.table("rateLimiting")?;
    limits(reading, rates, None)?;
    for header in reading.texts(table, "passthroughHeaders", false)?.unwrap_or_default() {
        for server in reading.deployment.servers.values_mut() {
            server.forward_headers.push(header.clone());
        }
    }
    if let Some(operational) = table.table("operational")? {
        operation(reading, operational)?;
    }
    for (key, meaning) in [
        ("compositeTools", "tools of several steps need a server of their own"),
        ("compositeToolRefs", "tools of several steps need a server of their own"),
        ("optimizer", "see `find` of endpoints for tools that find others"),
        ("codeMode", "tools are called one by one"),
        ("telemetry", "traces are sent as `telemetry` says"),
        ("audit", "calls are recorded as `audit` says"),
        ("sessionStorage", "sessions need no store"),
        ("metadata", "it says nothing of what is served"),
    ] {
        reading.drop(table, key, false, meaning);
    }
    endpoint.servers = reading.deployment.servers.keys().cloned().collect();
    if !endpoint.aliases.is_empty() {
        reading.deployment.gateway.endpoints.insert(name, endpoint);
    }
    Ok(())
}

fn backend<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<Option<Server>, Fault> {
    table.take("name");
    let url = reading.text(&mut table, "url")?.ok_or_else(|| table.fault("it has no \"url\""))?;
    let mut server = Server { url: Some(Text::plain(url)), transport: Transport::Auto, ..Server::default() };
    if let Some(word) = reading.text(&mut table, "transport")? {
        let said = transport(&word).filter(|said| said.is_remote());
        server.transport =
            said.ok_or_else(|| table.fault("its \"transport\" is neither sse nor streamable-http"))?;
    }
    if let Some(ca) = reading.text(&mut table, "caBundlePath")? {
        server.tls = Some(Tls { ca: Some(ca), ..Tls::default() });
    }
    reading.drop_all(&mut table, &["type", "metadata"], "it says nothing of how the server is reached");
    server.unknown = reading.unknown(table);
    Ok(Some(server))
}

fn incoming_auth<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    match table.text("type")? {
        Some("oidc") => reading.report.kept(table.at("type"), true),
        Some("anonymous") | None => reading.report.kept(table.at("type"), false),
        Some(_) => {
            let meaning = "callers prove themselves in a way that is not known: nobody is let in by it";
            reading.report.approximated(table.at("type"), true, meaning);
        }
    }
    if let Some(oidc) = table.table("oidc")? {
        issuer(reading, oidc)?;
    }
    if let Some(mut authz) = table.table("authz")? {
        match authz.text("type")? {
            Some("cedar") | None => {
                policies(reading, &mut authz, None)?;
                prefixed(reading);
            }
            Some(_) => {
                let meaning = "its rules are not known: nothing is permitted until a policy is written";
                reading.report.approximated(authz.at("type"), true, meaning);
                reading.deployment.gateway.rules.push(Rule::new(Effect::Deny));
            }
        }
        for key in ["primaryUpstreamProvider", "groupClaimName", "roleClaimName", "groupEntityType"] {
            reading.drop(
                &mut authz,
                key,
                true,
                "groups come from the claim that the issuer's `groups_claim` names",
            );
        }
        reading.unknown(authz);
    }
    reading.unknown(table);
    Ok(())
}

/// Tools in rules have their servers' names before them.
fn prefixed(reading: &mut Reading<'_>) {
    let deployment = &mut reading.deployment;
    let names: Vec<String> = deployment.servers.keys().cloned().collect();
    for rule in &mut deployment.gateway.rules {
        let Some([tool]) = rule.tools.as_deref() else { continue };
        let own = names
            .iter()
            .filter_map(|name| Some((name, tool.strip_prefix(name.as_str())?.strip_prefix('_')?)));
        if let Some((server, own)) = own.max_by_key(|(name, _)| name.len()) {
            (rule.servers, rule.tools) = (Some(vec![server.clone()]), Some(vec![own.to_owned()]));
        }
    }
}

fn outgoing_auth<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    reading.drop(&mut table, "source", false, "what is written for each server is taken");
    let default = table.take("default");
    for (name, node) in table.named("backends")? {
        let at = format!("outgoingAuth.backends.{name}");
        let strategy = Table::of(node, &at, reading.origin.file)?;
        authenticate(reading, strategy, &[name.to_owned()])?;
    }
    if let Some(node) = default {
        let strategy = Table::of(node, "outgoingAuth.default", reading.origin.file)?;
        let without = |(name, server): (&String, &Server)| {
            (server.headers.is_empty() && server.oauth.is_none()).then(|| name.clone())
        };
        let names: Vec<String> = reading.deployment.servers.iter().filter_map(without).collect();
        authenticate(reading, strategy, &names)?;
    }
    reading.unknown(table);
    Ok(())
}

/// How the gateway proves itself to servers.
fn authenticate<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, names: &[String]) -> Result<(), Fault> {
    let kind = table.text("type")?.unwrap_or_default().to_owned();
    let servers = &mut reading.deployment.servers;
    match kind.as_str() {
        "unauthenticated" | "" => reading.report.kept(table.at("type"), false),
        "header_injection" | "headerInjection" => {
            let mut injection = table
                .table("headerInjection")?
                .ok_or_else(|| table.fault("it has no \"headerInjection\""))?;
            injection.either("headerValue", "headerValueEnv")?;
            let name =
                injection.text("headerName")?.ok_or_else(|| injection.fault("it has no \"headerName\""))?;
            let value = match (injection.text("headerValueEnv")?, injection.text("headerValue")?) {
                (Some(variable), _) => Text::env(variable),
                (None, Some(value)) => Text::plain(value),
                (None, None) => return Err(injection.fault("it has no value")),
            };
            reading.report.kept(injection.path.clone(), false);
            for server in names {
                if let Some(server) = servers.get_mut(server) {
                    server.headers.insert(name.to_owned(), value.clone());
                }
            }
            reading.unknown(injection);
        }
        "token_exchange" | "tokenExchange" => {
            let mut exchange =
                table.table("tokenExchange")?.ok_or_else(|| table.fault("it has no \"tokenExchange\""))?;
            let oauth = Oauth {
                token_url: reading.text(&mut exchange, "tokenUrl")?,
                client_id: reading.text(&mut exchange, "clientId")?.map(Text::plain),
                client_secret: reading.text(&mut exchange, "clientSecretEnv")?.map(Text::env),
                audience: reading.text(&mut exchange, "audience")?,
                scopes: reading.texts(&mut exchange, "scopes", true)?.unwrap_or_default(),
                grant: Some("token_exchange".to_owned()),
                ..Oauth::default()
            };
            reading.drop(&mut exchange, "subjectTokenType", false, "the user's own token is exchanged");
            reading.unknown(exchange);
            for server in names {
                if let Some(server) = reading.deployment.servers.get_mut(server) {
                    server.oauth = Some(oauth.clone());
                }
            }
        }
        _ => {
            let meaning = "there is no such way to prove oneself here: see `auth` of upstreams";
            reading.report.dropped(table.at("type"), false, meaning);
        }
    }
    reading.unknown(table);
    Ok(())
}

fn aggregate<'a>(
    reading: &mut Reading<'a>,
    mut table: Table<'a>,
    endpoint: &mut Endpoint,
) -> Result<(), Fault> {
    let meaning = "where servers meet, a server's name and `_` stand before its tools' names";
    let prefix = table.text("conflictResolution")?.is_none_or(|word| word == "prefix");
    match prefix {
        true => reading.report.approximated(table.at("conflictResolution"), false, meaning),
        false => reading.report.dropped(table.at("conflictResolution"), false, meaning),
    }
    reading.drop(&mut table, "conflictResolutionConfig", false, meaning);
    if table.flag("excludeAllTools")? == Some(true) {
        reading.report.kept(table.at("excludeAllTools"), true);
        reading.deployment.servers.values_mut().for_each(|server| server.tools.allow = Some(Vec::new()));
    }
    for mut tools in table.tables("tools")? {
        let name = tools.text("workload")?.ok_or_else(|| tools.fault("it has no \"workload\""))?;
        let allow = reading.allow(&mut tools, "filter")?;
        let none = tools.flag("excludeAll")? == Some(true);
        if none {
            reading.report.kept(tools.at("excludeAll"), true);
        }
        match reading.deployment.servers.get_mut(name) {
            Some(server) if none => server.tools.allow = Some(Vec::new()),
            Some(server) => {
                if allow.is_some() {
                    server.tools = Tools { allow, deny: Vec::new() };
                }
            }
            None => {
                let meaning =
                    "there is no such server here: import its run configuration, and name its tools";
                reading.report.dropped(tools.path.clone(), true, meaning);
            }
        }
        reading.drop(
            &mut tools,
            "toolConfigRef",
            true,
            "what it names is elsewhere: write `expose` and `hide`",
        );
        for (tool, node) in tools.named("overrides")? {
            let at = format!("{}.overrides.{tool}", tools.path);
            let mut one = Table::of(node, &at, reading.origin.file)?;
            if let Some(other) = one.text("name")?.filter(|other| !other.is_empty()) {
                reading.report.kept(format!("{at}.name"), false);
                endpoint.aliases.insert(format!("{name}/{tool}"), other.to_owned());
            }
            reading.drop(&mut one, "description", false, "tools have their servers' descriptions");
            reading.drop(&mut one, "annotations", false, "tools have their servers' annotations");
            reading.unknown(one);
        }
        reading.unknown(tools);
    }
    if table.text("defaultToolVisibility")?.is_some_and(|word| word != "visible" && word != "all") {
        let meaning = "what is not named is offered: name in `expose` what is to be";
        reading.report.dropped(table.at("defaultToolVisibility"), true, meaning);
    }
    reading.unknown(table);
    Ok(())
}

fn operation<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    if let Some(mut timeouts) = table.table("timeouts")? {
        let time = |table: &Table<'a>, text: &str| {
            milliseconds(text).ok_or_else(|| table.fault("it has something that is no time"))
        };
        if let Some(text) = timeouts.text("default")? {
            let ms = time(&timeouts, text)?;
            reading.report.kept(timeouts.at("default"), false);
            for server in reading.deployment.servers.values_mut() {
                server.timeouts.call_ms = Some(ms);
            }
        }
        for (name, text) in timeouts.values("perWorkload")?.unwrap_or_default() {
            let ms = time(&timeouts, &text)?;
            match reading.deployment.servers.get_mut(&name) {
                Some(server) => {
                    server.timeouts.call_ms = Some(ms);
                    reading.report.kept(format!("{}.perWorkload.{name}", timeouts.path), false);
                }
                None => {
                    let at = format!("{}.perWorkload.{name}", timeouts.path);
                    reading.report.dropped(at, false, "there is no such server here");
                }
            }
        }
        reading.unknown(timeouts);
    }
    let meaning = "what is done where a server fails is said by `resilience` of upstreams";
    reading.drop(&mut table, "failureHandling", false, meaning);
    reading.drop(&mut table, "logLevel", false, "see `telemetry.log_level`");
    reading.unknown(table);
    Ok(())
}
