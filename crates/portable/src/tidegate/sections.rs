//! Sections of `tidegate.yaml` about callers, taken apart and put together again: whose tokens are taken, how
//! much callers may do, which pages may call, by which certificate the gateway serves.
//!
//! What the model has a place for goes there. The rest stays under its own key, so that nothing is lost on
//! the way back.

use serde_json::{Map, Value, json};

use crate::gateways::duration;
use crate::model::{Gateway, Issuer, Limit, LimitKind, Per, Unknown};

/// The sections that are taken apart.
pub(super) const SECTIONS: [&str; 4] = ["origins", "tls", "auth", "rates"];

/// Moves what the model has a place for out of the sections. They are those of a configuration that the
/// gateway takes.
pub(super) fn take(gateway: &mut Gateway) {
    gateway.origins = gateway.unknown.shift_remove("origins").as_ref().and_then(texts);
    if let Some(tls) = gateway.unknown.shift_remove("tls") {
        let file = |key: &str| tls.get(key).and_then(Value::as_str).map(str::to_owned);
        gateway.tls = file("cert").zip(file("key"));
    }
    if let Some(Value::Object(mut auth)) = gateway.unknown.shift_remove("auth") {
        gateway.issuers = take_issuers(&mut auth);
        if !auth.is_empty() {
            gateway.unknown.insert("auth".to_owned(), Value::Object(auth));
        }
    }
    if let Some(Value::Array(rates)) = gateway.unknown.shift_remove("rates") {
        let mut rest = Vec::new();
        for rate in rates {
            match limit(&rate) {
                Some(limit) => gateway.limits.push(limit),
                None => rest.push(rate),
            }
        }
        if !rest.is_empty() {
            gateway.unknown.insert("rates".to_owned(), rest.into());
        }
    }
}

/// Those sections again, and all others.
pub(super) fn put(gateway: &Gateway) -> Unknown {
    let mut all = gateway.unknown.clone();
    if let Some(origins) = &gateway.origins {
        all.insert("origins".to_owned(), json!(origins));
    }
    if let Some((cert, key)) = &gateway.tls {
        all.insert("tls".to_owned(), json!({"cert": cert, "key": key}));
    }
    if !gateway.issuers.is_empty() {
        let left = all.shift_remove("auth").and_then(|auth| auth.as_object().cloned()).unwrap_or_default();
        all.insert("auth".to_owned(), Value::Object(put_issuers(&gateway.issuers, left)));
    }
    if !gateway.limits.is_empty() {
        let mut rates: Vec<Value> = gateway.limits.iter().map(rate).collect();
        let left = all.shift_remove("rates").and_then(|rates| rates.as_array().cloned());
        rates.extend(left.unwrap_or_default());
        all.insert("rates".to_owned(), rates.into());
    }
    all
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

/// Takes a list of texts out of a map.
fn list(map: &mut Map<String, Value>, key: &str) -> Vec<String> {
    map.shift_remove(key).as_ref().and_then(texts).unwrap_or_default()
}

fn text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    map.shift_remove(key).as_ref().and_then(Value::as_str).map(str::to_owned)
}

/// The issuers by whose tokens callers may come in at every endpoint that says nothing else.
fn take_issuers(auth: &mut Map<String, Value>) -> Vec<Issuer> {
    let Some(mut allow) = auth.get("allow").and_then(texts) else { return Vec::new() };
    let mut named = auth.get("issuers").and_then(Value::as_object).cloned().unwrap_or_default();
    let scopes = auth.get("scopes").and_then(texts).unwrap_or_default();
    let optional = allow.iter().any(|way| way == "anonymous");
    let mut issuers = Vec::new();
    allow.retain(|way| {
        let Some(Value::Object(section)) = named.shift_remove(way) else { return true };
        issuers.push(issuer(way, section, &scopes, optional));
        false
    });
    if issuers.is_empty() {
        return issuers;
    }
    allow.retain(|way| way != "anonymous");
    auth.shift_remove("scopes");
    for (key, left) in [("allow", json!(allow)), ("issuers", Value::Object(named))] {
        let is_empty =
            left.as_array().is_some_and(Vec::is_empty) || left.as_object().is_some_and(Map::is_empty);
        auth.shift_remove(key);
        if !is_empty {
            auth.insert(key.to_owned(), left);
        }
    }
    issuers
}

fn issuer(name: &str, mut section: Map<String, Value>, scopes: &[String], optional: bool) -> Issuer {
    Issuer {
        name: Some(name.to_owned()),
        issuer: text(&mut section, "issuer").unwrap_or_default(),
        jwks_url: text(&mut section, "jwks_url"),
        audiences: list(&mut section, "audiences"),
        scopes: scopes.to_vec(),
        algorithms: list(&mut section, "algorithms"),
        subject_claim: text(&mut section, "subject_claim"),
        groups_claim: text(&mut section, "groups_claim"),
        optional,
        unknown: section,
    }
}

/// The section `auth` with issuers, and with what is left of another one.
fn put_issuers(issuers: &[Issuer], mut auth: Map<String, Value>) -> Map<String, Value> {
    let mut allow: Vec<String> = Vec::new();
    let mut named = Map::new();
    let mut scopes: Vec<String> = Vec::new();
    for one in issuers {
        let name = one.name.clone().unwrap_or_default();
        scopes.extend(one.scopes.iter().filter(|scope| !scopes.contains(scope)).cloned().collect::<Vec<_>>());
        named.insert(name.clone(), Value::Object(section(one)));
        allow.push(name);
    }
    if issuers.iter().any(|one| one.optional) {
        allow.push("anonymous".to_owned());
    }
    allow.extend(list(&mut auth, "allow"));
    if let Some(Value::Object(others)) = auth.shift_remove("issuers") {
        named.extend(others);
    }
    auth.insert("allow".to_owned(), json!(allow));
    if !scopes.is_empty() {
        auth.insert("scopes".to_owned(), json!(scopes));
    }
    auth.insert("issuers".to_owned(), Value::Object(named));
    auth
}

/// The section of one issuer.
pub(crate) fn section(one: &Issuer) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("issuer".to_owned(), one.issuer.as_str().into());
    out.extend(one.jwks_url.as_ref().map(|url| ("jwks_url".to_owned(), url.as_str().into())));
    for (key, list) in [("audiences", &one.audiences), ("algorithms", &one.algorithms)] {
        if !list.is_empty() {
            out.insert(key.to_owned(), json!(list));
        }
    }
    for (key, claim) in [("subject_claim", &one.subject_claim), ("groups_claim", &one.groups_claim)] {
        out.extend(claim.as_ref().map(|claim| (key.to_owned(), claim.as_str().into())));
    }
    out.extend(one.unknown.clone());
    out
}

/// A limit that the model has a place for: of requests in a time or at a time, for servers and tools, counted
/// together or by one thing. `None`: it is a quota, or about something else as well.
fn limit(rate: &Value) -> Option<Limit> {
    let mut rate = rate.as_object()?.clone();
    let name = text(&mut rate, "name");
    let mut fits = rate.shift_remove("match").and_then(|fits| fits.as_object().cloned()).unwrap_or_default();
    // An empty list fits everything.
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let (servers, tools) = (some(list(&mut fits, "upstreams")), some(list(&mut fits, "tools")));
    let per = list(&mut rate, "per");
    let per = match per.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Per::All,
        ["principal"] => Per::Caller,
        ["tenant"] => Per::Tenant,
        ["client"] => Per::Key,
        ["upstream"] => Per::Server,
        _ => return None,
    };
    let pace = text(&mut rate, "rate").map(|text| text.parse::<config::Pace>()).transpose().ok()?;
    let burst = rate.shift_remove("burst").as_ref().and_then(Value::as_u64);
    let at_a_time = rate.shift_remove("concurrency").as_ref().and_then(Value::as_u64);
    let (kind, count, window_ms) = match (pace, at_a_time) {
        (Some(pace), None) => (LimitKind::Requests, pace.amount(), pace.per().millis()),
        (None, Some(count)) => (LimitKind::Concurrent, count, 0),
        _ => return None,
    };
    let whole = fits.values().chain(rate.values()).all(|left| left.as_array().is_some_and(Vec::is_empty));
    let unknown = Unknown::new();
    whole.then_some(Limit { name, per, servers, tools, kind, count, window_ms, burst, unknown })
}

/// The rule of one limit.
pub(crate) fn rate(limit: &Limit) -> Value {
    let mut out = Map::new();
    out.insert("name".to_owned(), limit.name.as_deref().unwrap_or_default().into());
    let mut fits = Map::new();
    for (key, list) in [("upstreams", &limit.servers), ("tools", &limit.tools)] {
        fits.extend(list.as_ref().map(|list| (key.to_owned(), json!(list))));
    }
    if !fits.is_empty() {
        out.insert("match".to_owned(), Value::Object(fits));
    }
    let per = match limit.per {
        Per::Caller => Some("principal"),
        Per::Tenant => Some("tenant"),
        Per::Key => Some("client"),
        Per::Server => Some("upstream"),
        // Others are taken out before anything is written.
        Per::All | Per::Address | Per::Other(_) => None,
    };
    out.extend(per.map(|per| ("per".to_owned(), json!([per]))));
    match limit.kind {
        LimitKind::Concurrent => drop(out.insert("concurrency".to_owned(), limit.count.into())),
        _ => {
            let pace = format!("{}/{}", limit.count, duration(limit.window_ms));
            out.insert("rate".to_owned(), pace.into());
            out.extend(limit.burst.map(|burst| ("burst".to_owned(), burst.into())));
        }
    }
    Value::Object(out)
}
