//! What routes, listeners and backends say of who may do what, and how much.

use super::super::cel;
use super::super::doc::{Node, Value};
use super::super::reading::{Reading, milliseconds};
use super::super::table::Table;
use super::super::variable::{self, Style};
use super::{callers, target};
use crate::format::Fault;
use crate::model::{ApiKey, Effect, Issuer, Limit, LimitKind, Per, Rule, Unknown};

/// For what policies hold.
pub(super) struct Scope<'s> {
    /// The endpoint; `None`: all.
    pub(super) endpoint: Option<&'s str>,
    /// Its servers.
    pub(super) servers: &'s [String],
}

impl Scope<'_> {
    fn endpoints(&self) -> Option<Vec<String>> {
        self.endpoint.map(|name| vec![name.to_owned()])
    }
}

/// Policies that have no counterpart and keep somebody from something.
const GUARDS: &[(&str, &str)] = &[
    ("extAuthz", "nobody else is asked: write a policy, or ask with `checks`"),
    ("extProc", "nobody else sees what passes: see `checks`"),
    ("mcpGuardrails", "what passes is not looked at: write `checks`"),
    ("remoteRateLimit", "no other service counts: write `rates`, which replicas keep together"),
    ("basicAuth", "names and passwords are not taken: give callers keys or tokens (docs/auth.md)"),
    ("oidc", "browsers do not sign in at endpoints: see `auth.broker`"),
    ("csrf", "requests from other pages are refused as `origins` says"),
    ("networkAuthorization", "addresses are not looked at: listen on the inner network alone"),
];

/// Policies that have no counterpart and keep nobody from anything.
const OTHERS: &[(&str, &str)] = &[
    ("requestHeaderModifier", "headers for servers are said at each upstream"),
    ("responseHeaderModifier", "headers of answers are the protocol's own"),
    ("requestRedirect", "only MCP is served"),
    ("urlRewrite", "endpoints are at /NAME/mcp"),
    ("requestMirror", "requests go to one server"),
    ("directResponse", "only MCP is served"),
    ("transformations", "messages are passed on as they are"),
    ("retry", "what may be repeated is said by `retries` and `resilience` of upstreams"),
    ("delay", "nothing is slowed down"),
    ("buffer", "messages are passed on as they come, up to `limits`"),
    ("backendTLS", "whom to trust is said at each upstream"),
    ("backendTunnel", "connections are made directly"),
    ("a2a", "only MCP is served"),
    ("ai", "models are not served"),
    ("health", "see `resilience` of upstreams"),
    ("sessionAffinity", "every replica serves every session"),
];

/// Reads them.
pub(super) fn read<'a>(
    reading: &mut Reading<'a>,
    table: Option<Table<'a>>,
    scope: &Scope<'_>,
) -> Result<(), Fault> {
    let Some(mut table) = table else { return Ok(()) };
    if let Some(cors) = table.table("cors")? {
        origins(reading, cors)?;
    }
    if let Some(authentication) = table.table("mcpAuthentication")? {
        issuer(reading, authentication)?;
    }
    if let Some(mut jwt) = table.table("jwtAuth")? {
        let optional = mode(reading, &mut jwt)?;
        if jwt.has("providers") {
            for provider in jwt.tables("providers")? {
                issuer(reading, provider)?;
            }
            for issuer in &mut reading.deployment.gateway.issuers {
                issuer.optional |= optional;
            }
            reading.unknown(jwt);
        } else {
            issuer(reading, jwt)?;
            if let Some(last) = reading.deployment.gateway.issuers.last_mut() {
                last.optional |= optional;
            }
        }
    }
    if let Some(authorization) = table.table("authorization")? {
        over_requests(reading, authorization)?;
    }
    if let Some(node) = table.take("mcpAuthorization") {
        let at = table.at("mcpAuthorization");
        rules(reading, Table::of(node, &at, reading.origin.file)?, scope)?;
    }
    if let Some(keys) = table.table("apiKey")? {
        api_keys(reading, keys)?;
    }
    limits(reading, &mut table)?;
    timeouts(reading, &mut table, scope)?;
    if let Some(text) = target::backend_auth(reading, &mut table)? {
        for name in scope.servers {
            if let Some(server) = reading.deployment.servers.get_mut(name).filter(|one| one.url.is_some()) {
                server.headers.entry("Authorization".to_owned()).or_insert_with(|| text.clone());
            }
        }
    }
    for (key, meaning) in GUARDS {
        reading.drop_present(&mut table, key, true, meaning);
    }
    for (key, meaning) in OTHERS {
        reading.drop_present(&mut table, key, false, meaning);
    }
    reading.unknown(table);
    Ok(())
}

fn origins<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    if let Some(new) = reading.texts(&mut table, "allowOrigins", true)? {
        let origins = reading.deployment.gateway.origins.get_or_insert_default();
        for origin in new {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
    }
    let own = ["allowHeaders", "exposeHeaders", "allowMethods", "maxAge", "allowCredentials"];
    reading.drop_all(&mut table, &own, "pages may send and read what MCP needs, and no more");
    reading.unknown(table);
    Ok(())
}

/// Whether a request without a token is let in.
fn mode<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<bool, Fault> {
    let at = table.at("mode");
    match table.text("mode")? {
        None | Some("strict") => {
            reading.report.kept(at, true);
            Ok(false)
        }
        Some("optional") => {
            reading.report.kept(at, true);
            Ok(true)
        }
        Some("permissive") => {
            let meaning = "a token that is no good is refused; a request without one is let in";
            reading.report.approximated(at, true, meaning);
            Ok(true)
        }
        Some(_) => Err(table.fault("its \"mode\" is none of strict, optional and permissive")),
    }
}

fn issuer<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    let mut issuer = Issuer { optional: mode(reading, &mut table)?, ..Issuer::default() };
    let at = table.at("issuer");
    issuer.issuer = table.text("issuer")?.ok_or_else(|| table.fault("it has no \"issuer\""))?.to_owned();
    reading.report.kept(at, true);
    issuer.audiences = reading.texts(&mut table, "audiences", true)?.unwrap_or_default();
    if let Some(node) = table.take("jwks") {
        let at = table.at("jwks");
        match node.get("url").and_then(Node::text) {
            Some(url) => {
                reading.report.kept(at, true);
                issuer.jwks_url = Some(url.to_owned());
            }
            None => {
                let meaning = "keys are fetched from where the issuer's metadata says, and not from a file";
                reading.report.approximated(at, true, meaning);
            }
        }
    }
    if let Some(mut metadata) = table.table("resourceMetadata")? {
        let meaning = "what is published of an endpoint follows from its configuration";
        let scopes = reading.texts(&mut metadata, "scopesSupported", false)?;
        drop(scopes);
        while let Some((key, node)) = metadata.next() {
            if !node.is_empty() {
                reading.report.dropped(metadata.at(key), false, meaning);
            }
        }
    }
    reading.drop_present(&mut table, "provider", false, "issuers are used as their metadata says");
    reading.drop(&mut table, "clientId", false, "clients register as the issuer says: see `auth.broker`");
    reading.drop(&mut table, "clientSecret", false, "clients register as the issuer says: see `auth.broker`");
    let meaning = "tokens are read from the header `Authorization` alone";
    for key in ["location", "authorizationLocation"] {
        reading.drop_present(&mut table, key, false, meaning);
    }
    let meaning = "claims are looked at as the protocol says; others by a policy";
    reading.drop_present(&mut table, "jwtValidationOptions", true, meaning);
    issuer.unknown = reading.unknown(table);
    let issuers = &mut reading.deployment.gateway.issuers;
    match issuers.iter_mut().find(|known| known.issuer == issuer.issuer) {
        Some(known) => {
            for audience in issuer.audiences {
                if !known.audiences.contains(&audience) {
                    known.audiences.push(audience);
                }
            }
        }
        None => issuers.push(issuer),
    }
    Ok(())
}

/// Rules over requests: those that ask for a scope, and one that refuses other pages. Others have no
/// counterpart.
fn over_requests<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    let path = table.at("rules");
    for (index, node) in table.list("rules")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let text = node.get("require").and_then(Node::text).unwrap_or_default();
        let gateway = &mut reading.deployment.gateway;
        match callers::scope_of(text) {
            Some(scope) if !gateway.issuers.is_empty() => {
                for issuer in gateway.issuers.iter_mut().filter(|issuer| !issuer.scopes.contains(&scope)) {
                    issuer.scopes.push(scope.clone());
                }
                reading.report.kept(at, true);
            }
            None if callers::is_of_pages(text, gateway.origins.as_deref()) => reading.report.kept(at, true),
            _ => {
                let meaning = "rules over HTTP requests are not carried over: write a policy";
                reading.report.dropped(at, true, meaning);
            }
        }
    }
    reading.unknown(table);
    Ok(())
}

fn rules<'a>(reading: &mut Reading<'a>, mut table: Table<'a>, scope: &Scope<'_>) -> Result<(), Fault> {
    let path = table.at("rules");
    for (index, node) in table.list("rules")?.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        let (effect, text) = match &node.value {
            Value::Text(text) => (Effect::Allow, text.clone()),
            Value::Map(_) => rule_text(reading, node, &at)?,
            _ => return Err(table.fault("a rule is text, or a map of \"allow\", \"deny\" or \"require\"")),
        };
        let rule = match (effect, cel::rule(effect, &text)) {
            (_, Ok(rule)) => {
                reading.report.kept(at, true);
                rule
            }
            (Effect::Allow, Err(rule)) => {
                let meaning =
                    "it permits nothing until it is written in the language of policies (docs/policy.md)";
                reading.report.approximated(at, true, meaning);
                *rule
            }
            (Effect::Deny | Effect::Ask, Err(rule)) => {
                let meaning =
                    "it forbids everything until it is written in the language of policies (docs/policy.md)";
                reading.report.approximated(at, true, meaning);
                *rule
            }
        };
        let rule = Rule { endpoints: scope.endpoints(), ..rule };
        reading.deployment.gateway.rules.push(rule);
    }
    reading.unknown(table);
    Ok(())
}

fn rule_text<'a>(reading: &Reading<'a>, node: &'a Node, at: &str) -> Result<(Effect, String), Fault> {
    let mut table = Table::of(node, at, reading.origin.file)?;
    let found = [
        table.text("allow")?.map(|text| (Effect::Allow, text.to_owned())),
        table.text("deny")?.map(|text| (Effect::Deny, text.to_owned())),
        table.text("require")?.map(|text| (Effect::Deny, format!("!({text})"))),
    ];
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next(), table.rest().is_empty()) {
        (Some(one), None, true) => Ok(one),
        _ => {
            let message = "expected exactly one of \"allow\", \"deny\" and \"require\"";
            Err(super::super::doc::fault(reading.origin.file, node.line, node.column, at, message))
        }
    }
}

fn api_keys<'a>(reading: &mut Reading<'a>, mut table: Table<'a>) -> Result<(), Fault> {
    if mode(reading, &mut table)? {
        reading.report.approximated(
            table.at("mode"),
            true,
            "who comes without a key is let in only as `allow` says",
        );
    }
    for mut key in table.tables("keys")? {
        let number = reading.deployment.gateway.keys.len() + 1;
        let value = reading.text(&mut key, "key")?;
        let value = value.map(|value| variable::read(&value, Style::Shell));
        let digest = reading.text(&mut key, "keyHash")?;
        reading.drop_present(&mut key, "metadata", true, "policies know of a caller what `auth` says of him");
        reading.drop(&mut key, "allowedModels", false, "models are not served");
        let unknown: Unknown = reading.unknown(key);
        let key = ApiKey { name: format!("key-{number}"), value, digest, unknown, ..ApiKey::default() };
        reading.deployment.gateway.keys.push(key);
    }
    reading.drop_present(
        &mut table,
        "location",
        false,
        "keys are read from the header `Authorization` alone",
    );
    reading.unknown(table);
    Ok(())
}

fn limits<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>) -> Result<(), Fault> {
    let at = table.at("localRateLimit");
    let Some(node) = table.take("localRateLimit") else { return Ok(()) };
    let items = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    for (index, node) in items.into_iter().enumerate() {
        let at = format!("{at}[{index}]");
        let mut one = Table::of(node, &at, reading.origin.file)?;
        if one.has("conditional") {
            reading.report.dropped(at, true, "limits under a condition are not carried over: write `rates`");
            continue;
        }
        let kind = match one.text("type")? {
            Some("tokens") => LimitKind::Tokens,
            _ => LimitKind::Requests,
        };
        let (most, fill) = (one.number("maxTokens")?.unwrap_or(0), one.number("tokensPerFill")?.unwrap_or(0));
        let interval = one.text("fillInterval")?.and_then(milliseconds);
        let window_ms = interval.ok_or_else(|| one.fault("it has no \"fillInterval\" that is a time"))?;
        if kind == LimitKind::Tokens {
            reading.report.dropped(at, true, "tokens of models are not counted");
            continue;
        }
        let burst = Some(most).filter(|most| *most > 0);
        if fill == 0 || window_ms == 0 {
            return Err(one.fault("\"tokensPerFill\" and \"fillInterval\" cannot be 0"));
        }
        reading.report.approximated(
            at,
            true,
            "it holds for all endpoints together, and replicas keep it together",
        );
        reading.unknown(one);
        let limit = Limit {
            name: None,
            per: Per::All,
            servers: None,
            tools: None,
            kind,
            count: fill,
            window_ms,
            burst,
            unknown: Unknown::new(),
        };
        // What each of several routes says holds for all of them together.
        let limits = &mut reading.deployment.gateway.limits;
        if !limits.contains(&limit) {
            limits.push(limit);
        }
    }
    Ok(())
}

fn timeouts<'a>(reading: &mut Reading<'a>, table: &mut Table<'a>, scope: &Scope<'_>) -> Result<(), Fault> {
    let Some(mut timeout) = table.table("timeout")? else { return Ok(()) };
    for key in ["backendRequestTimeout", "requestTimeout"] {
        let Some(text) = timeout.text(key)? else { continue };
        let ms = milliseconds(text).ok_or_else(|| timeout.fault(format!("{key:?} is no time")))?;
        reading.report.approximated(
            timeout.at(key),
            false,
            "it is the time of a call to each of the servers",
        );
        for name in scope.servers {
            if let Some(server) = reading.deployment.servers.get_mut(name) {
                server.timeouts.call_ms = Some(ms);
            }
        }
    }
    reading.unknown(timeout);
    Ok(())
}
