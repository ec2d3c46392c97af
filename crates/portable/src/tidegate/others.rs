//! What this gateway's own sections say that the model has no place for, told where they go elsewhere; and
//! what they leave unsaid, said.

use serde_json::{Map, Value};

use super::LISTEN;
use crate::field::{Field, Support};
use crate::format::Format;
use crate::model::{Gateway, LimitKind};
use crate::report::Report;

/// Says what holds here without being said, and tells what is left of `auth` and `rates`.
pub(crate) fn for_others(gateway: &mut Gateway, format: &dyn Format, report: &mut Report) {
    let takes_issuers = !matches!(format.support(Field::Issuers), Support::Dropped(_));
    let auth = match gateway.unknown.shift_remove("auth") {
        Some(Value::Object(auth)) => auth,
        _ => Map::new(),
    };
    // LiteLLM asks for keys in their place.
    if takes_issuers && !matches!(format.support(Field::Keys), Support::Partly(_)) {
        audiences(gateway, &auth, report);
    }
    for issuer in &mut gateway.issuers {
        if issuer.unknown.get("typed") == Some(&Value::Bool(false)) {
            issuer.unknown.shift_remove("typed");
        }
    }
    for limit in gateway.limits.iter_mut().filter(|limit| limit.kind == LimitKind::Requests) {
        limit.burst.get_or_insert((limit.count / 10).max(1));
    }
    let holds = takes_issuers && !gateway.issuers.is_empty();
    for (key, value) in &auth {
        left(key, value, holds, report);
    }
    if let Some(Value::Array(rates)) = gateway.unknown.shift_remove("rates") {
        for rate in &rates {
            let name = rate.get("name").and_then(Value::as_str).unwrap_or_default();
            let meaning = "it is a quota, or a limit of callers, endpoints or methods that are named: \
                           they may do as much as they like";
            report.dropped(format!("gateway.rates.{name}"), true, meaning);
        }
    }
}

/// Tokens are for the gateway's own URL, also where no audience is named. An issuer without audiences means
/// elsewhere that its tokens are taken whomever they are for.
fn audiences(gateway: &mut Gateway, auth: &Map<String, Value>, report: &mut Report) {
    let scheme = if gateway.tls.is_some() { "https" } else { "http" };
    let listens = gateway.listen.as_deref().unwrap_or(LISTEN);
    let url = auth.get("url").and_then(Value::as_str);
    let url = format!("{}/mcp", url.map_or_else(|| format!("{scheme}://{listens}"), str::to_owned));
    for (index, issuer) in gateway.issuers.iter_mut().enumerate() {
        let at = format!("gateway.issuers[{index}].audiences");
        let meaning = format!("tokens have to be for {url}, or for one of `audiences`");
        report.approximated(at, true, meaning);
        if !issuer.audiences.contains(&url) {
            issuer.audiences.push(url.clone());
        }
    }
}

/// Tells of a member of `auth`. `holds`: somebody's tokens are asked for there.
fn left(key: &str, value: &Value, holds: bool, report: &mut Report) {
    let at = format!("gateway.auth.{key}");
    let has = |word: &str| value.as_array().is_some_and(|all| all.iter().any(|one| one == word));
    match key {
        "url" if holds => report.kept(at, false),
        "allow" if has("anonymous") => report.kept(at, true),
        "allow" if holds => {
            let meaning = "callers come in by tokens of issuers alone: who comes by anything else does not";
            report.approximated(at, true, meaning);
        }
        "allow" => {
            let meaning = "what it lets in is not asked for there: callers have to prove nothing";
            report.dropped(at, true, meaning);
        }
        "scopes" => report.dropped(at, true, "no scope is asked for: write there what has to hold"),
        "endpoints" => {
            let meaning = "whoever comes in at one endpoint comes in at all: write there what has to hold";
            report.dropped(at, true, meaning);
        }
        "dpop" => {
            let required = value.get("required") == Some(&Value::Bool(true));
            report.dropped(at, required, "a token is good for whoever has it");
        }
        "issuers" => report.dropped(at, false, "`allow` does not name them: nobody comes in by their tokens"),
        "broker" | "keys" | "mtls" => report.dropped(at, false, "nobody comes in by it there"),
        _ => report.dropped(at, false, "there is no place for it: write there what has to hold"),
    }
}
