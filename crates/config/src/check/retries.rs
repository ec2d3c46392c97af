//! Retries of one upstream.

use std::collections::HashMap;

use super::Report;
use super::limits::{Floor, check_order};
use super::tasks::check_reach;
use super::upstream::{At, CREDENTIALS, header_name, is_ours};
use crate::section::{KeyPlace, RetryOn, RetryRule, Upstream};
use crate::source::Path;

/// The most attempts of one task.
const ATTEMPTS_MAX: u32 = 100;

/// The longest key of `_meta`, in bytes.
const META_BYTES_MAX: usize = 256;

pub(super) fn check(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let path = path.key("retries");
    if !check_reach(upstream.retries.iter().map(|rule| &rule.tools), &path, report) {
        return;
    }
    for (index, rule) in upstream.retries.iter().enumerate() {
        if report.is_full() {
            return;
        }
        check_rule(rule, upstream, &path.index(index), report);
    }
}

fn check_rule(rule: &RetryRule, upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    // An empty list of failures is a choice: these tools are never called again.
    let RetryRule { tools: _, max_attempts, backoff, backoff_max, retry_on, deadline, idempotency_key } =
        rule;
    if !(1..=ATTEMPTS_MAX).contains(max_attempts) {
        let message = format!("expected a number from 1 to {ATTEMPTS_MAX}");
        report.value(&path.key("max_attempts"), message, None);
    }
    let mut floor = Floor { path: path.clone(), report };
    floor.times(&[("backoff", *backoff), ("backoff_max", *backoff_max)]);
    floor.times(deadline.map(|deadline| ("deadline", deadline)).as_slice());
    check_order(("backoff", *backoff), ("backoff_max", *backoff_max), path, report);
    let list = path.key("retry_on");
    let mut seen: HashMap<&RetryOn, usize> = HashMap::new();
    for (index, on) in retry_on.iter().enumerate() {
        if report.is_full() {
            return;
        }
        if let Some(first) = seen.insert(on, index) {
            report.value(&list.index(index), format!("this was given before, as item {first}"), None);
        }
    }
    if let Some(place) = idempotency_key {
        check_key(place, upstream, &path.key("idempotency_key"), report);
    }
}

fn check_key(place: &KeyPlace, upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    match place {
        KeyPlace::Meta(_) if upstream.openapi.is_some() => {
            let hint = Some("use \"header\" or \"argument\"".to_owned());
            report.key(&path.key("meta"), "a web API gets no _meta", hint);
        }
        KeyPlace::Meta(key) => check_meta(key, &path.key("meta"), report),
        KeyPlace::Header(name) => check_header(name, upstream, &path.key("header"), report),
        KeyPlace::Argument(name) => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            if name.is_empty() || name.len() > 128 || !name.bytes().all(plain) {
                let message = "the name of an argument has 1 to 128 of A-Z, a-z, 0-9, \"_\" and \"-\"";
                report.value(&path.key("argument"), message, None);
            }
        }
    }
}

fn check_header(name: &str, upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    if upstream.url.is_none() && upstream.command.is_some() {
        let hint = Some("use \"meta\" or \"argument\"".to_owned());
        return report.key(path, "this key belongs to an upstream with a \"url\"", hint);
    }
    let Some(known) = header_name(name, path, report, At::Value) else { return };
    let is_known = |other: &String| other.eq_ignore_ascii_case(known.as_str());
    if is_ours(&known) {
        report.value(path, "the gateway writes this header itself", None);
    } else if CREDENTIALS.contains(&known.as_str()) {
        report.value(path, "this header is for credentials", None);
    } else if upstream.headers.keys().any(is_known) {
        report.value(path, "\"headers\" already says what this header is", None);
    } else if upstream.forward_headers.iter().any(is_known) {
        report.value(path, "\"forward_headers\" passes on what clients have in this header", None);
    }
}

/// A key of `_meta` with its prefix ("General fields" of the protocol's basics): labels with dots between
/// them, a slash, a name.
fn check_meta(key: &str, path: &Path, report: &mut Report<'_>) {
    let plain = |text: &str, inner: &[u8]| {
        let bytes = text.as_bytes();
        let ends = [bytes.first(), bytes.last()];
        ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || inner.contains(b))
    };
    let is_label = |label: &str| plain(label, b"-") && label.starts_with(|c: char| c.is_ascii_alphabetic());
    let (prefix, name) = key.split_once('/').unwrap_or_default();
    let labels: Vec<_> = prefix.split('.').collect();
    if key.len() > META_BYTES_MAX || !labels.iter().all(|label| is_label(label)) || !plain(name, b"-_.") {
        let message = "expected a key of _meta with its prefix, as in com.example/idempotency-key";
        report.value(path, message, None);
    } else if matches!(labels.get(1), Some(&("mcp" | "modelcontextprotocol"))) {
        report.value(path, "the protocol keeps this prefix for itself", None);
    }
}
