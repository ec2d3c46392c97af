//! Who may call.

use std::collections::HashSet;

use super::url::{UrlUse, url_fault};
use super::{Report, broker, name_fault};
use crate::advice;
use crate::section::{ApiKey, Auth, Config, EndpointAuth, Introspection, Issuer, SignIn};
use crate::source::Path;
use crate::value::{Secret, Span};

/// What comes in besides issuers.
const WAYS: [&str; 4] = ["broker", "keys", MTLS, "anonymous"];
/// Client certificates among them.
const MTLS: &str = "mtls";
/// The endpoint of everything.
pub(super) const EVERYTHING: &str = "mcp";
/// The longest scope, in bytes.
const SCOPE_BYTES_MAX: usize = 256;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let path = Path::keys(["auth"]);
    let Auth { url, allow, scopes, endpoints, issuers, broker, keys, mtls: _, dpop, clock_skew } =
        &config.auth;
    if let Some(url) = url {
        check_url(url, &path.key("url"), report);
    }
    match allow {
        Some(ways) => check_ways(ways, config, &path.key("allow"), report),
        None if !config.listen.ip().is_loopback() => {
            let hint = "name who may: issuers of tokens, \"keys\" for API keys, or \"anonymous\" for anybody";
            let message = format!(
                "others can reach {}, and nothing says who may call; give \"auth.allow\"",
                config.listen
            );
            report.key(&Path::keys(["listen"]), message, Some(hint.to_owned()));
        }
        None => {}
    }
    check_scopes(scopes, &path.key("scopes"), report);
    for (name, endpoint) in endpoints {
        let at = path.key("endpoints").key(name);
        let known = |section| report.keys_of(section).any(|known| known == name);
        if name != EVERYTHING && !known("upstreams") && !known("endpoints") {
            let hint = advice::nearest(name, report.keys_of("endpoints").chain(report.keys_of("upstreams")));
            report.key(&at, "there is no such endpoint", hint.map(advice::did_you_mean));
        }
        let EndpointAuth { allow, scopes, require_dpop: _ } = endpoint;
        if let Some(ways) = allow {
            check_ways(ways, config, &at.key("allow"), report);
        }
        check_scopes(scopes.as_deref().unwrap_or_default(), &at.key("scopes"), report);
    }
    let mut names = HashSet::new();
    for (name, issuer) in issuers {
        let at = path.key("issuers").key(name);
        let taken = WAYS.contains(&name.as_str());
        let fault = if taken {
            Some(("this word means something else in \"allow\"".to_owned(), None))
        } else {
            name_fault(name)
        };
        if let Some((message, hint)) = fault {
            report.key(&at, message, hint);
        }
        if !issuer.issuer.is_empty() && !names.insert(&issuer.issuer) {
            report.value(&at.key("issuer"), "another one of \"issuers\" has this name for itself", None);
        }
        check_issuer(issuer, &at, report);
    }
    if let Some(broker) = broker {
        broker::check(broker, config, &path.key("broker"), report);
    }
    let mut ids = HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        if report.is_full() {
            return;
        }
        check_key(key, config, &path.key("keys").index(index), report);
        if !ids.insert(&key.id) {
            report.value(&path.key("keys").index(index).key("id"), "another key has this id", None);
        }
    }
    span(dpop.window, (1, 600), "1s to 10m", &path.key("dpop").key("window"), report);
    span(*clock_skew, (0, 300), "at most 5m", &path.key("clock_skew"), report);
    if dpop.remembered_max == 0 {
        report.value(&path.key("dpop").key("remembered_max"), "must be at least 1", None);
    }
}

pub(super) fn span(span: Span, (min, max): (u64, u64), expected: &str, path: &Path, report: &mut Report<'_>) {
    let seconds = span.duration().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "they are small")]
    let fits = (min as f64..=max as f64).contains(&seconds);
    if !fits {
        report.value(path, format!("expected a time: {expected}"), None);
    }
}

fn check_url(url: &str, path: &Path, report: &mut Report<'_>) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    if let Some((message, hint)) = url_fault(url, UrlUse::Own) {
        report.value(path, message, hint);
    } else if rest.contains(['/', '?']) {
        report.value(path, "expected no path, also no \"/\": those of endpoints are added", None);
    }
}

fn check_ways(ways: &[String], config: &Config, path: &Path, report: &mut Report<'_>) {
    let mut seen = HashSet::new();
    for (index, way) in ways.iter().enumerate() {
        let at = path.index(index);
        if !WAYS.contains(&way.as_str()) && !config.auth.issuers.contains_key(way) {
            let known = config.auth.issuers.keys().map(String::as_str).chain(WAYS);
            let hint = advice::nearest(way, known).map(advice::did_you_mean);
            report.value(&at, format!("there is no issuer {way:?} under \"auth.issuers\""), hint);
        }
        if way == "broker" && config.auth.broker.is_none() {
            report.value(&at, "the gateway issues no tokens itself; give \"auth.broker\"", None);
        }
        if way == MTLS && config.auth.mtls.is_none() {
            let message = "nothing says whose certificates are taken";
            report.value(&at, message, Some("give \"auth.mtls\"".to_owned()));
        }
        if !seen.insert(way) {
            report.value(&at, format!("{way:?} was given before"), None);
        }
    }
}

pub(super) fn check_scopes(scopes: &[String], path: &Path, report: &mut Report<'_>) {
    for (index, scope) in scopes.iter().enumerate() {
        // RFC 6749, section 3.3.
        let plain = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.is_empty() || scope.len() > SCOPE_BYTES_MAX || !scope.bytes().all(plain) {
            let message = "expected a scope: visible characters of ASCII without \" and \\";
            report.value(&path.index(index), message, None);
        }
    }
}

fn check_issuer(issuer: &Issuer, path: &Path, report: &mut Report<'_>) {
    let at = path.key("issuer");
    if issuer.issuer.is_empty() {
        report.absent(path, "the issuer has no name of its own", Some("give \"issuer\"".to_owned()));
    } else {
        check_issuer_url(&issuer.issuer, &at, report);
    }
    if let Some(url) = &issuer.jwks_url {
        check_issuer_url(url, &path.key("jwks_url"), report);
    }
    if issuer.algorithms.is_empty() {
        report.absent(&path.key("algorithms"), "an empty list would refuse every token", None);
    }
    for (key, claim) in [
        ("tenant_claim", issuer.tenant_claim.as_deref()),
        ("subject_claim", Some(issuer.subject_claim.as_str())),
        ("groups_claim", issuer.groups_claim.as_deref()),
    ] {
        if claim.is_some_and(|claim| claim.is_empty() || claim == "/") {
            report.value(
                &path.key(key),
                "expected the name of a claim, or a JSON Pointer such as /a/b",
                None,
            );
        }
    }
    check_tenant(issuer.tenant.as_deref(), &path.key("tenant"), report);
    if issuer.tenant.is_some() && issuer.tenant_claim.is_some() {
        let message = "give either \"tenant\" or \"tenant_claim\"";
        report.key(&path.key("tenant_claim"), message, None);
    }
    span(issuer.keys_stale_max, (0, 7 * 86_400), "at most 7d", &path.key("keys_stale_max"), report);
    if let Some(Introspection { url, client_id, client_secret }) = &issuer.introspection {
        let at = path.key("introspection");
        if let Some(url) = url {
            check_issuer_url(url, &at.key("url"), report);
        }
        if client_id.is_empty() || client_secret.is_none() {
            let message = "the gateway needs a \"client_id\" and a \"client_secret\" there";
            report.absent(&at, message, None);
        }
        if client_secret.as_ref().and_then(Secret::written_out).is_some_and(str::is_empty) {
            report.value(&at.key("client_secret"), "a secret cannot be empty", None);
        }
    }
    if let Some(SignIn { client_id, client_secret, scopes, recheck }) = &issuer.sign_in {
        let at = path.key("sign_in");
        if client_id.is_empty() {
            report.absent(&at, "the gateway needs a \"client_id\" there", None);
        }
        if client_secret.as_ref().and_then(Secret::written_out).is_some_and(str::is_empty) {
            report.value(&at.key("client_secret"), "a secret cannot be empty", None);
        }
        check_scopes(scopes, &at.key("scopes"), report);
        if !recheck.duration().is_zero() {
            span(*recheck, (5, 86_400), "0 for never, or from 5s to 1d", &at.key("recheck"), report);
        }
    }
    if issuer.ca.as_ref().is_some_and(|ca| ca.as_os_str().is_empty()) {
        report.value(&path.key("ca"), "expected the path of a file", None);
    }
}

pub(super) fn check_tenant(tenant: Option<&str>, path: &Path, report: &mut Report<'_>) {
    if tenant.is_some_and(|tenant| tenant.is_empty() || tenant.len() > 256) {
        report.value(path, "expected a name of 1 to 256 bytes", None);
    }
}

/// With TLS, but on this machine: who could change keys on their way could be anybody.
pub(super) fn check_issuer_url(url: &str, path: &Path, report: &mut Report<'_>) {
    if let Some((message, hint)) = url_fault(url, UrlUse::Own) {
        return report.value(path, message, hint);
    }
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    if let Some(host) = host {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let local = name == "localhost" || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !local {
            report.value(path, "expected https: http is for servers on this machine alone", None);
        }
    }
}

fn check_key(key: &ApiKey, config: &Config, path: &Path, report: &mut Report<'_>) {
    let hex =
        |text: &str, len| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex(&key.id, 10) {
        report.absent(
            path,
            "expected an \"id\" of ten of 0-9 and a-f, as `tidegate auth key` gives it",
            None,
        );
    }
    if !key.hash.strip_prefix("sha256:").is_some_and(|rest| hex(rest, 64)) {
        report.absent(path, "expected a \"hash\": sha256: and 64 of 0-9 and a-f", None);
    }
    check_tenant(key.tenant.as_deref(), &path.key("tenant"), report);
    check_scopes(&key.scopes, &path.key("scopes"), report);
    if key.endpoints.is_empty() {
        let hint = Some("name its \"endpoints\", or give [\"*\"]".to_owned());
        report.absent(path, "the key is good at no endpoint", hint);
    }
    for (index, name) in key.endpoints.iter().enumerate() {
        let known = config.endpoints.contains_key(name) || config.upstreams.contains_key(name);
        if !known && name != EVERYTHING && name != "*" {
            let hint = advice::nearest(name, report.keys_of("endpoints").chain(report.keys_of("upstreams")));
            report.value(
                &path.key("endpoints").index(index),
                "there is no such endpoint",
                hint.map(advice::did_you_mean),
            );
        }
    }
    for (name, time) in [("not_before", &key.not_before), ("expires", &key.expires)] {
        if time.as_deref().is_some_and(|time| !is_time(time)) {
            report.value(&path.key(name), "expected a time in UTC, as 2026-11-23T06:00:00Z", None);
        }
    }
}

/// Whether a text has the form of a time in UTC.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, form): (u8, u8)| if form == b'd' { byte.is_ascii_digit() } else { byte == form };
    text.len() == FORM.len() && text.bytes().zip(FORM.iter().copied()).all(fits)
}
