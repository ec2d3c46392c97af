//! A web API behind the gateway.

use http::HeaderValue;

use super::Report;
use super::upstream::check_secret;
use super::url::{UrlUse, url_fault};
use crate::section::{OpenApi, Upstream};
use crate::source::Path;
use crate::value::Span;

/// Often enough for everybody, and not so often that a server would mind.
const REFRESH_MIN: Span = Span::from_millis(100);

pub(super) fn check(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let Some(section) = &upstream.openapi else { return };
    let at = path.key("openapi");
    check_document(section, &at, report);
    if let Some(server) = &section.server {
        check_server(server, &at.key("server"), report);
    } else if upstream.auth.is_some() {
        let hint = Some("give \"server\", the URL of the API".to_owned());
        report.absent(&at, "nothing says whom the tokens of \"auth\" are for", hint);
    }
    for (name, secret) in &section.credentials {
        if report.is_full() {
            return;
        }
        check_secret(secret, &at.key("credentials").key(name), report, |text| {
            HeaderValue::from_str(text).is_ok()
        });
    }
    if section.refresh.is_some_and(|refresh| refresh < REFRESH_MIN) {
        report.value(&at.key("refresh"), format!("must be at least {REFRESH_MIN}"), None);
    }
    check_meaningless(upstream, path, report);
    let health = upstream.resilience.health.as_ref();
    if health.is_some_and(|health| health.path.is_none()) {
        let hint = Some("give a \"path\" of the API that anybody may get".to_owned());
        report.absent(
            &path.key("resilience").key("health"),
            "a web API has no request that does nothing",
            hint,
        );
    }
}

/// Keys of what a web API does not have, where they say more than their default.
fn check_meaningless(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let default = Upstream::default();
    for (key, set) in [
        ("transport", upstream.transport != default.transport),
        ("revision", upstream.revision.is_some()),
        ("sessions", upstream.sessions != default.sessions),
        ("sessions_max", upstream.sessions_max != default.sessions_max),
        ("session_idle", upstream.session_idle != default.session_idle),
        ("tasks", upstream.tasks != default.tasks),
    ] {
        if set {
            report.key(
                &path.key(key),
                "a web API speaks no revision of the protocol, and has neither sessions nor tasks",
                None,
            );
        }
    }
}

fn check_document(section: &OpenApi, at: &Path, report: &mut Report<'_>) {
    if section.document.trim().is_empty() {
        let hint = Some("write the file or the URL of the OpenAPI document".to_owned());
        report.absent(at, "a \"document\" is required", hint);
    } else if section.is_url() {
        if let Some((message, hint)) = url_fault(&section.document, UrlUse::Upstream) {
            report.value(&at.key("document"), message, hint);
        }
    } else if section.server.is_none() {
        let hint = Some("give \"server\", the URL of the API".to_owned());
        report.absent(at, "a document in a file does not say where credentials go", hint);
    }
}

fn check_server(server: &str, at: &Path, report: &mut Report<'_>) {
    if let Some((message, hint)) = url_fault(server, UrlUse::Upstream) {
        report.value(at, message, hint);
    } else if server.contains('?') {
        report.value(at, "the address of an API has no query", None);
    } else if server.contains(['{', '}']) {
        report.value(at, "write the address without variables", None);
    }
}
