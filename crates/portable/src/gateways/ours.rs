//! What a gateway adds, in this gateway's own words: sections of `tidegate.yaml` and a file of policies.

mod names;
mod policy;
mod program;
mod there;
mod written;

use serde_json::{Map, Value as Json, json};

use super::reading::duration;
use super::write::yaml;
use crate::format::{Fault, Target};
use crate::model::{Deployment, Issuer, Limit, LimitKind, Per};
use crate::patterns;
use crate::report::Report;
use crate::tidegate::{issuer_section, rate_section};
use names::Names;
pub(crate) use program::containers;
use there::There;

/// The file of policies, beside `tidegate.yaml`.
pub const POLICY_FILE: &str = "imported.cedar";

/// How tokens may be signed here.
const ALGORITHMS: [&str; 9] =
    ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];

/// A day, which a rate is over at most, in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Another gateway's configuration, as this gateway's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Migrated {
    /// The text of `tidegate.yaml`.
    pub config: String,
    /// The files that it names, beside it, by name.
    pub beside: Vec<(String, String)>,
    /// Servers that are in it: what they were called, and what they are called here.
    pub names: Vec<(String, String)>,
    /// What became of what was said before.
    pub report: Report,
}

/// Writes a deployment of another gateway's in this gateway's own words: servers and endpoints, `auth`,
/// `policy`, `rates`, `origins`, `tls`.
///
/// Members of the format that it comes from are left out. What guards and has no counterpart is told as
/// dropped, and where something cannot be said exactly, it is said stricter. A secret that stands in it is
/// not copied: it is named as a variable, or its server is left out.
///
/// # Errors
/// [`Fault`] where what comes out is no configuration that the gateway takes.
pub fn migrate(deployment: Deployment) -> Result<Migrated, Fault> {
    migrate_into(deployment, &Target { file: "tidegate.yaml", ..Target::default() })
}

/// As [`migrate`], into a configuration that is there, all of whose other lines stay.
///
/// Where that one has servers already, servers and endpoints go into it and nothing else: who may come in,
/// and what for, is said there for all of them, and would be said anew for others than it was meant for. That
/// is told as dropped.
///
/// # Errors
/// As [`migrate`], and where the text that is there cannot be used, or not be changed without changing more.
pub fn migrate_into(mut deployment: Deployment, target: &Target<'_>) -> Result<Migrated, Fault> {
    let mut report = Report::default();
    let there = There::of(target)?;
    forget(&mut deployment);
    program::secrets(&mut deployment, &mut report);
    for (name, server) in &mut deployment.servers {
        patterns::as_patterns(&mut server.tools, &format!("servers.{name}.tools"), &mut report);
    }
    there.leave_out(&mut deployment, &mut report);
    let names = Names::give(&mut deployment, &there, &mut report);
    program::containers(&mut deployment, &mut report);
    program::references(&mut deployment, &mut report);
    // What is not served is named in no other section.
    let upstreams = written::upstreams(&deployment, &mut report);
    deployment.servers.retain(|name, _| upstreams.contains_key(name));
    let mut sections = Map::new();
    let mut beside = Vec::new();
    if !there.has_servers() {
        let origins = origins(&mut deployment, &mut sections, &mut report);
        sections.extend(origins);
        auth(&mut deployment, &mut sections, &mut report);
        rates(&mut deployment, &names, &mut sections, &mut report);
        if let Some(text) = policy::write(&mut deployment, &names, &mut report) {
            sections.insert("policy".to_owned(), json!({ "files": [POLICY_FILE] }));
            beside.push((POLICY_FILE.to_owned(), text));
        }
    }
    for (index, _) in std::mem::take(&mut deployment.gateway.checks).iter().enumerate() {
        let meaning = "what passes is not looked at: write `checks`";
        report.dropped(format!("gateway.checks[{index}]"), true, meaning);
    }
    let whole = written::all(&deployment, sections, upstreams, &mut report);
    let config = there.with(&whole)?;
    match config::load_str(&config, target.file) {
        Ok(_) => Ok(Migrated { config, beside, names: names.written(&deployment), report }),
        Err(faults) => {
            let first = faults.into_iter().next().cloned();
            Err(first.unwrap_or_else(|| super::whole(target.file, "it would be no configuration")))
        }
    }
}

/// Leaves out members of the format that it comes from: what they were was told when they were read.
fn forget(deployment: &mut Deployment) {
    deployment.unknown.clear();
    deployment.gateway.unknown.clear();
    for server in deployment.servers.values_mut() {
        server.unknown.clear();
        if let Some(oauth) = &mut server.oauth {
            oauth.unknown.clear();
        }
    }
    deployment.gateway.endpoints.values_mut().for_each(|endpoint| endpoint.unknown.clear());
}

fn origins(
    deployment: &mut Deployment,
    sections: &mut Map<String, Json>,
    report: &mut Report,
) -> Map<String, Json> {
    let mut out = Map::new();
    if let Some(all) = deployment.gateway.origins.take() {
        match fit_origins(&all) {
            good if good.len() == all.len() => report.kept("gateway.origins", true),
            _ => report.approximated("gateway.origins", true, ORIGINS_LEFT_OUT),
        }
        out.insert("origins".to_owned(), json!(fit_origins(&all)));
    }
    if let Some((cert, key)) = deployment.gateway.tls.take() {
        report.kept("gateway.tls", true);
        sections.insert("tls".to_owned(), json!({"cert": cert, "key": key}));
    }
    out
}

/// What it means where [`fit_origins`] leaves some out.
pub(crate) const ORIGINS_LEFT_OUT: &str = "origins that are patterns are left out: name each of them";

/// Those origins of web pages that the gateway takes.
pub(crate) fn fit_origins(all: &[String]) -> Vec<String> {
    let good = |origin: &&String| config::OriginList::new(std::slice::from_ref(*origin)).is_ok();
    all.iter().filter(good).cloned().collect()
}

/// Who may come in.
fn auth(deployment: &mut Deployment, sections: &mut Map<String, Json>, report: &mut Report) {
    let gateway = &mut deployment.gateway;
    let (issuers, keys) = (std::mem::take(&mut gateway.issuers), std::mem::take(&mut gateway.keys));
    let mut allow: Vec<String> = Vec::new();
    let mut named = Map::new();
    let mut scopes: Vec<String> = Vec::new();
    let someone = !issuers.is_empty() || !keys.is_empty();
    for one in fit_issuers(issuers, report) {
        let name = one.name.clone().unwrap_or_default();
        named.insert(name.clone(), Json::Object(issuer_section(&one)));
        scopes.extend(one.scopes.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
        if one.optional && !allow.iter().any(|name| name == "anonymous") {
            allow.push("anonymous".to_owned());
        }
        allow.push(name);
    }
    for (index, _) in keys.iter().enumerate() {
        let meaning = "keys are made anew (`tidegate auth key`): nobody comes in by the old ones";
        report.approximated(format!("gateway.keys[{index}]"), true, meaning);
    }
    let mut auth = Map::new();
    let loopback = gateway.listen.as_deref().is_none_or(is_loopback);
    if someone || !loopback {
        if !someone {
            let meaning = "anybody may call, as before: say who may in `auth.allow`";
            report.approximated("gateway.listen", false, meaning);
            allow.push("anonymous".to_owned());
        }
        auth.insert("allow".to_owned(), json!(allow));
    }
    if !scopes.is_empty() {
        auth.insert("scopes".to_owned(), json!(scopes));
    }
    if !named.is_empty() {
        auth.insert("issuers".to_owned(), Json::Object(named));
    }
    let closed = closed(deployment, report);
    if !closed.is_empty() {
        report.kept("gateway.endpoints", true);
        auth.insert("endpoints".to_owned(), Json::Object(closed));
    }
    if !auth.is_empty() {
        sections.insert("auth".to_owned(), Json::Object(auth));
    }
}

/// Where there are virtual servers, they are all that was served: nobody comes in elsewhere.
fn closed(deployment: &Deployment, report: &mut Report) -> Map<String, Json> {
    let endpoints = &deployment.gateway.endpoints;
    if endpoints.is_empty() {
        return Map::new();
    }
    let some = endpoints.iter().filter(|(_, endpoint)| endpoint.who.is_some()).map(|(name, _)| name.as_str());
    let some: Vec<&str> = some.collect();
    for name in &some {
        let meaning = "who may come in is said in `auth.endpoints`: nobody does until it says so";
        report.approximated(format!("gateway.endpoints.{name}.who"), true, meaning);
    }
    let names = std::iter::once("mcp").chain(deployment.servers.keys().map(String::as_str)).chain(some);
    names.map(|name| (name.to_owned(), json!({"allow": []}))).collect()
}

/// Issuers as the gateway takes them: with names of their own, each once, and all of them with the same
/// scopes and the same answer to whether a request without a token is let in, as here that is asked for all.
pub(crate) fn fit_issuers(issuers: Vec<Issuer>, report: &mut Report) -> Vec<Issuer> {
    let mut names = Map::new();
    let mut all: Vec<Issuer> = Vec::new();
    for (index, mut one) in issuers.into_iter().enumerate() {
        let path = format!("gateway.issuers[{index}]");
        if all.iter().any(|known| known.issuer == one.issuer) {
            report.approximated(path, true, "it is one of an issuer that was named before: that one holds");
            continue;
        }
        if !fit_issuer(&mut one, &path, report) {
            continue;
        }
        let name = names::short(&host(&one.issuer), &names);
        names.insert(name.clone(), Json::Null);
        one.name = Some(name);
        all.push(one);
    }
    let mut scopes: Vec<String> = Vec::new();
    for scope in all.iter().flat_map(|one| &one.scopes) {
        if !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    let optional = all.iter().all(|one| one.optional);
    for (index, one) in all.iter_mut().enumerate() {
        if std::mem::replace(&mut one.optional, optional) != optional {
            let meaning = "a request without a token is refused, as by another issuer";
            report.approximated(format!("gateway.issuers[{index}].optional"), true, meaning);
        }
        if one.scopes.len() != scopes.len() {
            let meaning = "scopes are asked of the tokens of all issuers";
            report.approximated(format!("gateway.issuers[{index}].scopes"), true, meaning);
        }
        one.scopes.clone_from(&scopes);
    }
    all
}

/// One issuer as the gateway takes it. `false`: its tokens are not taken.
fn fit_issuer(one: &mut Issuer, path: &str, report: &mut Report) -> bool {
    if !is_usable(&one.issuer) {
        let meaning = "issuers have https, but on this machine: its tokens are not taken";
        report.approximated(path, true, meaning);
        return false;
    }
    let before = one.algorithms.len();
    one.algorithms.retain(|word| ALGORITHMS.contains(&word.as_str()));
    if one.algorithms.is_empty() && before > 0 {
        let meaning = "its tokens are signed in a way that is not taken here: they are not taken";
        report.approximated(path, true, meaning);
        return false;
    }
    if one.jwks_url.as_ref().is_some_and(|jwks| !is_usable(jwks)) {
        one.jwks_url = None;
        let meaning = "its keys are looked for where its metadata says, over https";
        report.approximated(format!("{path}.jwks_url"), true, meaning);
    }
    if one.algorithms.len() < before {
        let meaning = "tokens that are signed in another way are not taken: symmetric ones never are";
        report.approximated(format!("{path}.algorithms"), true, meaning);
    }
    one.groups_claim.get_or_insert_with(|| "groups".to_owned());
    one.unknown.clear();
    let text = yaml(&json!({"auth": {"scopes": one.scopes, "issuers": {"one": issuer_section(one)}}}));
    if let Err(faults) = config::load_str(&text, "") {
        let why = faults.into_iter().next().map_or_else(String::new, |fault| fault.message.clone());
        report.approximated(path, true, format!("the gateway takes no tokens by it: {why}"));
        return false;
    }
    report.kept(path, true);
    true
}

fn host(url: &str) -> String {
    url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default().to_owned()
}

fn is_usable(url: &str) -> bool {
    let local = ["localhost", "127.0.0.1"].contains(&host(url).as_str());
    url.starts_with("https://") || (url.starts_with("http://") && local)
}

/// Whether an address is this machine's own.
pub(crate) fn is_loopback(listen: &str) -> bool {
    ["127.", "localhost:", "[::1]:"].iter().any(|start| listen.starts_with(start))
}

/// How much of what callers may do.
fn rates(deployment: &mut Deployment, names: &Names, sections: &mut Map<String, Json>, report: &mut Report) {
    let mut rates: Vec<Json> = Vec::new();
    for (index, limit) in std::mem::take(&mut deployment.gateway.limits).iter().enumerate() {
        let path = format!("gateway.limits[{index}]");
        let named = limit.servers.as_ref().map(|servers| {
            let names = servers.iter().map(|name| names.server(name));
            names.filter(|name| deployment.servers.contains_key(name)).collect::<Vec<_>>()
        });
        if named.as_ref().is_some_and(Vec::is_empty) {
            report.kept(path, true);
            continue;
        }
        let mut limit = Limit { servers: named, ..limit.clone() };
        match fit_limit(&mut limit, index) {
            Ok(longer) => {
                match longer {
                    true => report.approximated(path, true, EVEN_SHARE),
                    false => report.kept(path, true),
                }
                rates.push(rate_section(&limit));
            }
            Err(meaning) => report.dropped(path, true, meaning),
        }
    }
    if !rates.is_empty() {
        sections.insert("rates".to_owned(), rates.into());
    }
}

/// Whether the gateway takes how many come in what time.
fn is_pace(limit: &Limit) -> bool {
    format!("{}/{}", limit.count, duration(limit.window_ms)).parse::<config::Pace>().is_ok()
}

/// A limit whose time is a day at most, and whether it was longer: then each day has an even share, so that
/// there are never more in the whole time.
fn within_a_day(limit: &Limit) -> (Limit, bool) {
    let mut limit = limit.clone();
    let longer = limit.kind == LimitKind::Requests && limit.window_ms > DAY_MS;
    if longer {
        let days = limit.window_ms.div_ceil(DAY_MS);
        // What may come at once comes on top.
        (limit.count, limit.burst) = (limit.count.saturating_sub(1) / days, Some(1));
        limit.window_ms = DAY_MS;
    }
    (limit, longer)
}

/// What it means where [`fit_limit`] makes a time shorter.
pub(crate) const EVEN_SHARE: &str = "it is an even share of each day";

/// A limit as the gateway takes it, and whether its time was longer than a day.
///
/// # Errors
/// Why it cannot be said, in words.
pub(crate) fn fit_limit(limit: &mut Limit, index: usize) -> Result<bool, &'static str> {
    let (mut fit, longer) = within_a_day(limit);
    fit.name = Some(format!("imported-{}", index + 1));
    fit.unknown.clear();
    // Whatever else fits shares the limit, which makes it no wider.
    fit.tools = fit.tools.map(|tools| tools.iter().map(|tool| patterns::covering(tool)).collect());
    match &fit.per {
        Per::All | Per::Caller | Per::Tenant | Per::Key | Per::Server => {}
        Per::Address => return Err("addresses are not counted apart: write `rates` by callers"),
        Per::Other(_) => return Err("what is counted apart there is not known here: write `rates`"),
    }
    match fit.kind {
        LimitKind::Requests if fit.count > 0 && is_pace(&fit) => {
            fit.burst = fit.burst.filter(|burst| *burst > 0);
        }
        LimitKind::Concurrent if fit.count > 0 => (fit.window_ms, fit.burst) = (0, None),
        LimitKind::Requests => return Err("less than one a day is no rate here: write `rates`"),
        LimitKind::Concurrent => return Err("nothing at a time would be nothing at all"),
        LimitKind::Tokens => return Err("tokens of models are not counted"),
        LimitKind::Spend => return Err("money is not counted: `costs` of `rates` can stand for it"),
    }
    *limit = fit;
    Ok(longer)
}
