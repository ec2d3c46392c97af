//! Rules for contents: named, each once, and looking for something.

use std::collections::HashSet;

use super::Report;
use super::upstream::fixed_headers;
use super::url::{UrlUse, url_fault};
use crate::section::{CheckAction, CheckInterceptors, CheckRule, CheckWebhook};
use crate::source::Path;
use crate::value::{Secret, Size, Span};

/// How many rules there may be. Each content goes through all that fit.
const RULES_MAX: usize = 100;
const NAME_CHARS_MAX: usize = 64;
/// As much as is ever looked at of a content.
const BYTES_MAX: Size = Size::from_mib(8);
const CONCURRENCY_MAX: usize = 4_096;
/// How many interceptors may be named.
const INTERCEPTORS_MAX: usize = 64;
/// What every secret of Standard Webhooks begins with.
const SECRET_PREFIX: &str = "whsec_";

pub(super) fn check(rules: &[CheckRule], report: &mut Report<'_>) {
    let path = Path::keys(["checks"]);
    if rules.len() > RULES_MAX {
        let message = format!("there are {} rules, and there may be {RULES_MAX}", rules.len());
        return report.key(&path, message, None);
    }
    let mut names = HashSet::new();
    for (index, rule) in rules.iter().enumerate() {
        let at = path.index(index);
        if rule.name.is_empty() || rule.name.chars().count() > NAME_CHARS_MAX {
            report.key(&at, "give the rule a name of 1 to 64 characters", None);
        } else if !names.insert(&rule.name) {
            report.value(&at.key("name"), "another rule is called so", None);
        }
        check_kind(rule, &at, report);
        if rule.on.is_empty() {
            report.value(&at.key("on"), "the rule looks at nothing", None);
        }
    }
}

/// A rule looks for something itself, or asks one somebody.
fn check_kind(rule: &CheckRule, at: &Path, report: &mut Report<'_>) {
    let CheckRule { detectors, webhook, interceptors, action, .. } = rule;
    match (detectors.is_empty(), webhook, interceptors) {
        (false, None, None) => {}
        (true, Some(webhook), None) => check_webhook(webhook, &at.key("webhook"), report),
        (true, None, Some(own)) => check_interceptors(own, &at.key("interceptors"), report),
        (true, None, None) => {
            let hint = "write some of secrets, pii, injection, hidden; or a \"webhook\"".to_owned();
            report.key(at, "the rule looks for nothing: it has no \"detectors\"", Some(hint));
        }
        _ => {
            let hint = "write several rules".to_owned();
            report.key(at, "a rule has one of \"detectors\", \"webhook\" and \"interceptors\"", Some(hint));
        }
    }
    if detectors.is_empty() && *action == CheckAction::Redact {
        report.value(&at.key("action"), "whoever is asked says himself what becomes of it", None);
    }
}

fn check_webhook(webhook: &CheckWebhook, path: &Path, report: &mut Report<'_>) {
    let CheckWebhook { url, secret, headers, ca, timeout, bytes_max, concurrency_max } = webhook;
    check_place(url, ca.is_some(), path, report);
    fixed_headers(headers, path, report);
    for name in headers.keys().filter(|name| name.to_ascii_lowercase().starts_with("webhook-")) {
        report.key(&path.key("headers").key(name), "the gateway writes this header itself", None);
    }
    check_amounts((*timeout, *bytes_max, *concurrency_max), path, report);
    if secret.as_ref().and_then(Secret::written_out).is_some_and(|text| !text.starts_with(SECRET_PREFIX)) {
        let hint = "whoever is asked gives it out; the bytes behind it are Base64".to_owned();
        report.value(&path.key("secret"), "expected a secret that begins with whsec_", Some(hint));
    }
}

fn check_interceptors(own: &CheckInterceptors, path: &Path, report: &mut Report<'_>) {
    let CheckInterceptors { experimental, url, names, headers, ca, timeout, bytes_max, concurrency_max } =
        own;
    if !experimental {
        let hint = "write \"experimental: true\"".to_owned();
        report.key(path, "the draft of interceptors may change with any version", Some(hint));
    }
    check_place(url, ca.is_some(), path, report);
    fixed_headers(headers, path, report);
    check_amounts((*timeout, *bytes_max, *concurrency_max), path, report);
    if names.as_ref().is_some_and(|names| names.is_empty() || names.len() > INTERCEPTORS_MAX) {
        report.value(&path.key("names"), "expected 1 to 64 names", None);
    }
}

fn check_place(url: &str, has_ca: bool, path: &Path, report: &mut Report<'_>) {
    if url.is_empty() {
        return report.key(path, "nobody is asked: there is no \"url\"", None);
    }
    if let Some((message, hint)) = url_fault(url, UrlUse::Upstream) {
        report.value(&path.key("url"), message, hint);
    }
    if has_ca && !url.to_ascii_lowercase().starts_with("https://") {
        report.key(&path.key("ca"), "nobody shows a certificate here: it is no https", None);
    }
}

fn check_amounts((timeout, bytes, concurrency): (Span, Size, usize), path: &Path, report: &mut Report<'_>) {
    if !(Span::from_millis(10)..=Span::from_secs(60)).contains(&timeout) {
        report.value(&path.key("timeout"), "expected a duration from 10ms to 1m", None);
    }
    if !(Size::from_kib(1)..=BYTES_MAX).contains(&bytes) {
        report.value(&path.key("bytes_max"), "expected a size from 1KiB to 8MiB", None);
    }
    if !(1..=CONCURRENCY_MAX).contains(&concurrency) {
        report.value(&path.key("concurrency_max"), "expected a number from 1 to 4096", None);
    }
}
