//! By what the gateway proves itself to a server.

use super::Report;
use super::auth::{check_issuer_url, check_scopes};
use super::url::{UrlUse, url_fault};
use crate::advice;
use crate::section::{Config, Sharing, Upstream, UpstreamAuth};
use crate::source::Path;

pub(super) fn check(upstream: &Upstream, path: &Path, config: &Config, report: &mut Report<'_>) {
    let Some(auth) = &upstream.auth else { return };
    let UpstreamAuth { client_id, client_secret, private_key, workload_token, issuer, scopes, .. } = auth;
    let proofs = [
        ("client_secret", client_secret.is_some()),
        ("private_key", private_key.is_some()),
        ("workload_token", workload_token.is_some()),
    ];
    match proofs.iter().filter(|(_, given)| *given).count() {
        // A public client proves nothing but who its user is.
        0 | 1 if auth.per_user => {
            check_per_user(upstream, auth, path, report);
            check_voucher(auth, path, config, report);
        }
        1 => {}
        0 => {
            let hint = "give \"client_secret\", \"private_key\" or \"workload_token\"";
            report.absent(path, "the gateway has nothing to prove itself by", Some(hint.to_owned()));
        }
        _ => report.absent(path, "give one of \"client_secret\", \"private_key\", \"workload_token\"", None),
    }
    if client_id.is_empty() && workload_token.is_none() && !auth.per_user {
        report.absent(path, "the gateway needs a \"client_id\" there", None);
    }
    for (key, given) in [("enterprise", auth.enterprise.is_some()), ("exchange", auth.exchange.is_some())] {
        if given && !auth.per_user {
            report.key(&path.key(key), "this key belongs to \"per_user: true\"", None);
        }
    }
    if !auth.per_user && auth.client_metadata.is_some() {
        report.key(&path.key("client_metadata"), "this key belongs to \"per_user: true\"", None);
    }
    if private_key.is_none() && auth.key_id.is_some() {
        report.key(&path.key("key_id"), "this key belongs to a \"private_key\"", None);
    }
    if let Some(issuer) = issuer {
        check_issuer_url(issuer, &path.key("issuer"), report);
    }
    check_scopes(scopes, &path.key("scopes"), report);
    if upstream.headers.keys().any(|name| name.eq_ignore_ascii_case("authorization")) {
        report.key(path, "\"headers\" already says what Authorization is", None);
    }
}

fn check_per_user(upstream: &Upstream, auth: &UpstreamAuth, path: &Path, report: &mut Report<'_>) {
    if auth.workload_token.is_some() {
        let message = "a workload is no user: give either this or \"per_user: true\"";
        report.key(&path.key("workload_token"), message, None);
    }
    let proves = auth.client_secret.is_some() || auth.private_key.is_some();
    if proves && auth.client_id.is_empty() {
        report.absent(path, "the gateway needs a \"client_id\" there", None);
    }
    if let Some(document) = &auth.client_metadata {
        if let Some((message, hint)) = url_fault(document, UrlUse::Own) {
            report.value(&path.key("client_metadata"), message, hint);
        } else if !auth.client_id.is_empty() {
            let message = "it has a \"client_id\" already: give one of both";
            report.key(&path.key("client_metadata"), message, None);
        }
    }
    if matches!(upstream.sessions, Sharing::PerClient | Sharing::Handle) {
        let message =
            "each user has sessions of his own here: \"shared\" and \"per_principal\" mean the same";
        report.absent(path, message, Some("take \"sessions\" out".to_owned()));
    }
}

fn check_voucher(auth: &UpstreamAuth, path: &Path, config: &Config, report: &mut Report<'_>) {
    let Some(own) = auth.voucher() else { return };
    let at = path.key(own.key);
    if auth.exchange.is_some() {
        check_exchange(auth, path, report);
    } else if auth.client_id.is_empty() {
        report.absent(path, "who is vouched for needs a \"client_id\" of the gateway's", None);
    }
    let Some(issuer) = config.auth.issuers.get(own.issuer) else {
        let known = config.auth.issuers.keys().map(String::as_str);
        let hint = advice::nearest(own.issuer, known).map(advice::did_you_mean);
        let message = format!("there is no issuer {:?} under \"auth.issuers\"", own.issuer);
        return report.value(&at.key("issuer"), message, hint);
    };
    if issuer.sign_in.is_none() && (own.client_id.is_none() || own.subject_token.is_none()) {
        let message =
            "its users cannot sign in: give it \"sign_in\", or a \"client_id\" and a \"subject_token\" here";
        report.absent(&at, message, None);
    }
    if own.client_id.is_none() && own.client_secret.is_some() {
        report.key(&at.key("client_secret"), "this key belongs to a \"client_id\"", None);
    }
}

/// Of the authorization server that the upstream names nothing is wanted then.
fn check_exchange(auth: &UpstreamAuth, path: &Path, report: &mut Report<'_>) {
    if auth.enterprise.is_some() {
        let message = "give either \"enterprise\" or \"exchange\", not both";
        report.key(&path.key("exchange"), message, None);
    }
    for (key, given) in [
        ("client_id", !auth.client_id.is_empty()),
        ("client_secret", auth.client_secret.is_some()),
        ("private_key", auth.private_key.is_some()),
        ("client_metadata", auth.client_metadata.is_some()),
        ("issuer", auth.issuer.is_some()),
    ] {
        if given {
            let message = "with \"exchange\" the identity provider alone issues tokens";
            report.key(&path.key(key), message, Some("say under \"exchange\" who the gateway is".to_owned()));
        }
    }
    if auth.exchange.as_ref().is_some_and(|own| own.audience.as_deref() == Some("")) {
        report.value(&path.key("exchange").key("audience"), "the audience is empty", None);
    }
}
