//! By what the gateway proves itself to a server.

use super::Report;
use super::auth::{check_issuer_url, check_scopes};
use crate::section::{Upstream, UpstreamAuth};
use crate::source::Path;

pub(super) fn check(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let Some(auth) = &upstream.auth else { return };
    let UpstreamAuth { client_id, client_secret, private_key, workload_token, issuer, scopes, .. } = auth;
    let proofs = [
        ("client_secret", client_secret.is_some()),
        ("private_key", private_key.is_some()),
        ("workload_token", workload_token.is_some()),
    ];
    match proofs.iter().filter(|(_, given)| *given).count() {
        1 => {}
        0 => {
            let hint = "give \"client_secret\", \"private_key\" or \"workload_token\"";
            report.absent(path, "the gateway has nothing to prove itself by", Some(hint.to_owned()));
        }
        _ => report.absent(path, "give one of \"client_secret\", \"private_key\", \"workload_token\"", None),
    }
    if client_id.is_empty() && workload_token.is_none() {
        report.absent(path, "the gateway needs a \"client_id\" there", None);
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
