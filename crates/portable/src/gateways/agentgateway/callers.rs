//! What it says of callers: whose tokens are taken, which scopes they grant, how much may come, and from
//! which pages.

use serde_json::{Value as Json, json};

use super::super::is_loopback;
use crate::model::{Deployment, Gateway, Issuer, Limit, LimitKind, Per};
use crate::report::Report;

/// What only agentgateway has no words for.
pub(super) fn adjust(deployment: &mut Deployment, report: &mut Report) {
    let is_own = deployment.format == Some("agentgateway");
    issuers(deployment, report);
    let here_alone = deployment.gateway.listen.as_deref().is_none_or(is_loopback);
    if here_alone && deployment.gateway.issuers.is_empty() && deployment.format == Some("tidegate") {
        let meaning =
            "it listens on all addresses, and callers have to prove nothing: whoever reaches it may call";
        report.dropped("gateway.listen", true, meaning);
    }
    let routes = deployment.gateway.endpoints.values().filter(|endpoint| endpoint.enabled).count();
    let routes = u64::try_from(routes.max(1)).unwrap_or(u64::MAX);
    let mut index = 0;
    deployment.gateway.limits.retain_mut(|limit| {
        let path = format!("gateway.limits[{index}]");
        index += 1;
        limit.name = None;
        let same = limit.per == Per::All && limit.tools.is_none() && limit.servers.is_none();
        if !same || limit.kind != LimitKind::Requests || limit.window_ms == 0 || limit.count == 0 {
            let meaning = "limits are for all requests of a route together: this one is left out";
            report.dropped(path, true, meaning);
            return false;
        }
        if is_own {
            return true;
        }
        let fit = bucket(limit, routes);
        if !fit {
            report.dropped(path, true, "it cannot be shared out among routes: it is left out");
        }
        fit
    });
    deployment.gateway.limits.dedup();
}

/// A limit as a bucket that is filled by a portion each time: into a full one falls no more than fits, but
/// right before and right after that two portions can be taken. So the bucket and a portion are together
/// what may come at once. Where that is one alone, both are one, and the pace is half of what it was.
///
/// Each route has a bucket of its own, so that each gets an even share. `false`: there is none for each.
fn bucket(limit: &mut Limit, routes: u64) -> bool {
    let at_once = limit.burst.unwrap_or(limit.count) / routes;
    let (portion, size) = match at_once {
        0 | 1 if routes > 1 => return false,
        0 | 1 => (1, 1),
        several => ((several / 2).min(limit.count), several - (several / 2).min(limit.count)),
    };
    let share = if at_once < 2 { 2 } else { 1 };
    let window = u128::from(limit.window_ms) * u128::from(portion) * u128::from(routes) * share;
    let Ok(window_ms) = u64::try_from(window.div_ceil(u128::from(limit.count))) else { return false };
    (limit.count, limit.window_ms, limit.burst) = (portion, window_ms, Some(size));
    true
}

/// What it looks at in tokens.
fn issuers(deployment: &mut Deployment, report: &mut Report) {
    let scopes: Vec<String> = deployment.gateway.issuers.iter().flat_map(|one| one.scopes.clone()).collect();
    let mut all: Vec<String> = Vec::new();
    all.extend(scopes.into_iter().filter(|scope| is_scope(scope)));
    all.sort();
    all.dedup();
    for (index, issuer) in deployment.gateway.issuers.iter_mut().enumerate() {
        let path = format!("gateway.issuers[{index}]");
        if issuer.jwks_url.is_none() {
            issuer.jwks_url = Some(format!("{}/.well-known/jwks.json", issuer.issuer.trim_end_matches('/')));
            let meaning = "keys are looked for at /.well-known/jwks.json of the issuer: say where they are";
            report.approximated(format!("{path}.jwks_url"), true, meaning);
        }
        if issuer.scopes.iter().any(|scope| !is_scope(scope)) {
            report.dropped(format!("{path}.scopes"), true, "something of it is no scope: write a rule");
        } else if issuer.scopes.len() < all.len() {
            let meaning = "scopes are asked of the tokens of all issuers";
            report.approximated(format!("{path}.scopes"), true, meaning);
        }
        issuer.scopes.clone_from(&all);
        if issuer.optional && !all.is_empty() {
            issuer.optional = false;
            let meaning = "a request without a token grants no scope, and is refused";
            report.approximated(format!("{path}.optional"), true, meaning);
        }
        if !std::mem::take(&mut issuer.algorithms).is_empty() {
            report.dropped(format!("{path}.algorithms"), true, "whatever the keys are for is taken");
        }
        for (part, claim) in
            [("subject_claim", &mut issuer.subject_claim), ("groups_claim", &mut issuer.groups_claim)]
        {
            if claim.take().is_some() {
                report.dropped(format!("{path}.{part}"), false, "rules name claims themselves");
            }
        }
        issuer.name = None;
    }
}

/// Whether a text is a scope (RFC 6749, section 3.3).
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// Rules over requests: `None` where there are none.
pub(super) fn authorization(gateway: &Gateway) -> Option<Json> {
    let mut rules: Vec<Json> = Vec::new();
    if let Some(origins) = &gateway.origins
        && !origins.iter().any(|origin| origin == "*")
    {
        rules.push(json!({ "require": of_pages(origins) }));
    }
    let scopes = gateway.issuers.first().map(|issuer: &Issuer| issuer.scopes.as_slice()).unwrap_or_default();
    rules.extend(scopes.iter().map(|scope| json!({ "require": of_scope(scope) })));
    (!rules.is_empty()).then(|| json!({ "rules": rules }))
}

/// What is read of a request's origin; programs send none.
const ORIGIN: &str = "default(request.headers[\"origin\"], \"\")";
/// What is read of a token's scopes: words of one text (RFC 8693, section 4.2).
const SCOPES: &str = "default(jwt.scope, \"\").split(\" \")";

/// Whether a request is from one of these pages, or from no page. CORS alone lets others through without
/// telling them the answer.
fn of_pages(origins: &[String]) -> String {
    let (any_port, plain): (Vec<&String>, Vec<&String>) =
        origins.iter().partition(|origin| origin.ends_with(":*"));
    let plain: Vec<&str> = std::iter::once("").chain(plain.into_iter().map(String::as_str)).collect();
    let mut all = vec![format!("{ORIGIN} in {}", json!(plain))];
    all.extend(any_port.into_iter().map(|origin| {
        let mut pattern = String::from("^");
        for c in origin.trim_end_matches(":*").chars() {
            match c {
                c if c.is_ascii_alphanumeric() || matches!(c, '/' | ':' | '-') => pattern.push(c),
                c => pattern.push_str(&format!("[{c}]")),
            }
        }
        format!("{ORIGIN}.matches({})", Json::from(format!("{pattern}(:[0-9]+)?$")))
    }));
    all.join(" || ")
}

fn of_scope(scope: &str) -> String {
    format!("{} in {SCOPES}", Json::from(scope))
}

/// The scope that a rule over requests asks for, where it asks for one and nothing else.
pub(super) fn scope_of(text: &str) -> Option<String> {
    let word = text.strip_suffix(SCOPES)?.strip_suffix(" in ")?;
    let scope: String = serde_json::from_str(word).ok()?;
    is_scope(&scope).then_some(scope)
}

/// Whether a rule over requests refuses other pages than those of `cors`, and nothing else.
pub(super) fn is_of_pages(text: &str, origins: Option<&[String]>) -> bool {
    origins.is_some_and(|origins| text == of_pages(origins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Unknown;

    fn limit(count: u64, window_ms: u64, burst: u64) -> Limit {
        let (name, per, servers, tools) = (None, Per::All, None, None);
        let (kind, burst, unknown) = (LimitKind::Requests, Some(burst), Unknown::new());
        Limit { name, per, servers, tools, kind, count, window_ms, burst, unknown }
    }

    #[test]
    fn a_bucket_never_lets_more_through_than_the_limit() {
        for (count, window_ms, burst, routes) in [
            (100, 60_000, 10, 1),
            (5, 60_000, 1, 1),
            (5, 60_000, 9, 1),
            (1, 1000, 1, 1),
            (7, 333, 3, 1),
            (100, 60_000, 10, 3),
            (3, 86_400_000, 4, 2),
        ] {
            let mut fit = limit(count, window_ms, burst);
            assert!(bucket(&mut fit, routes), "{count} {burst}");
            let size = fit.burst.expect("a size");
            assert!(size >= fit.count, "it takes no smaller bucket: {fit:?}");
            // In any time: a full bucket, and a portion at each turn.
            for time in (0..40).map(|step| step * window_ms / count) {
                let through = routes * (size + fit.count * (time / fit.window_ms + 1));
                let may = burst + time * count / window_ms;
                let slack = u64::from(burst < 2 && time < window_ms / count);
                assert!(through <= may + slack, "{count} {burst} {time}: {through} > {may}: {fit:?}");
            }
        }
        assert!(!bucket(&mut limit(5, 1000, 1), 2), "one cannot be shared out");
    }

    #[test]
    fn a_rule_is_read_as_what_it_was_written_for() {
        assert_eq!(scope_of(&of_scope("mcp:tools")).as_deref(), Some("mcp:tools"));
        assert_eq!(scope_of("\"a\" in default(jwt.scope, \"\").split(\",\")"), None);
        let origins = ["https://a.example".to_owned(), "http://localhost:*".to_owned()];
        let text = of_pages(&origins);
        assert_eq!(
            text,
            "default(request.headers[\"origin\"], \"\") in [\"\",\"https://a.example\"] || \
             default(request.headers[\"origin\"], \"\").matches(\"^http://localhost(:[0-9]+)?$\")"
        );
        assert!(is_of_pages(&text, Some(&origins)) && !is_of_pages(&text, Some(&origins[..1])));
        assert!(!is_of_pages(&text, None));
    }
}
