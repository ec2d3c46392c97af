//! One upstream.

use std::collections::{BTreeMap, HashMap};

use http::header::{HeaderName, HeaderValue};

use super::names::check_aliases;
use super::url::{UrlUse, url_fault};
use super::{Report, credentials, lifecycle, limits, openapi, policy, resilience, retries, sandbox};
use crate::section::{Config, Revision, Sharing, Transport, Upstream};
use crate::source::Path;
use crate::value::Secret;

/// Headers that the gateway writes itself, or that belong to one connection (RFC 9110, section 7.6.1).
const OURS: [&str; 20] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers by which a client proves who it is. They are meant for the gateway and never passed on.
pub(super) const CREDENTIALS: [&str; 2] = ["authorization", "cookie"];

pub(super) fn check(name: &str, upstream: &Upstream, config: &Config, report: &mut Report<'_>) {
    let path = Path::keys(["upstreams", name]);
    check_target(upstream, &path, report);
    check_only_with(upstream, &path, report);
    check_headers(upstream, &path, report);
    credentials::check(upstream, &path.key("auth"), config, report);
    check_env(upstream, &path, report);
    check_aliases(&upstream.aliases, &path.key("aliases"), report);
    limits::check_upstream(upstream, &path, report);
    retries::check(upstream, &path, report);
    policy::check_labels(upstream, &path, report);
    lifecycle::check(name, upstream.lifecycle.as_ref(), &path, report);
    lifecycle::check_rules(upstream, &path, report);
    resilience::check(upstream, &path, report);
    openapi::check(upstream, &path, report);
    sandbox::check(upstream, &path, report);
    if upstream.transport == Transport::HttpSse && upstream.revision == Some(Revision::V2026_07_28) {
        report.value(
            &path.key("transport"),
            "revision 2026-07-28 is not spoken over HTTP+SSE",
            Some("take \"transport\" or \"revision\" out".to_owned()),
        );
    }
    if upstream.sessions != Sharing::Shared && upstream.revision == Some(Revision::V2026_07_28) {
        report.value(
            &path.key("sessions"),
            "revision 2026-07-28 has no sessions",
            Some("take \"sessions\" or \"revision\" out".to_owned()),
        );
    }
}

fn check_target(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let given = [
        ("url", upstream.url.is_some()),
        ("command", upstream.command.is_some()),
        ("openapi", upstream.openapi.is_some()),
    ];
    let mut given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
    if given.is_empty() {
        let hint = Some("where the server is, or the program to start".to_owned());
        return report.absent(path, "give either \"url\" or \"command\"", hint);
    }
    // As they stand in the file: the first one counts.
    given.sort_by(|a, b| match report.is_before(&path.key(a), &path.key(b)) {
        true => std::cmp::Ordering::Less,
        false => std::cmp::Ordering::Greater,
    });
    if let [_, later, ..] = given[..] {
        let message = match upstream.openapi {
            None => "give either \"url\" or \"command\", not both",
            Some(_) => "give one of \"url\", \"command\" and \"openapi\"",
        };
        return report.key(&path.key(later), message, Some("make two upstreams of it".to_owned()));
    }
    if let Some(url) = &upstream.url
        && let Some((message, hint)) = url_fault(url, UrlUse::Upstream)
    {
        report.value(&path.key("url"), message, hint);
    }
    if let Some(argv) = &upstream.command {
        check_command(argv, &path.key("command"), report);
    }
}

fn check_command(argv: &[String], path: &Path, report: &mut Report<'_>) {
    let Some(program) = argv.first() else {
        return report.absent(path, "the command is empty", Some("write [program, argument]".to_owned()));
    };
    if program.trim().is_empty() {
        report.value(&path.index(0), "the program's name is empty", None);
    } else if argv.len() == 1 && program.contains(char::is_whitespace) && !program.contains(['/', '\\']) {
        let words: Vec<_> = program.split_whitespace().map(|word| format!("{word:?}")).collect();
        report.value(
            &path.index(0),
            "the program's name has spaces in it",
            Some(format!("no shell splits it; write [{}]", words.join(", "))),
        );
    }
    for (index, word) in argv.iter().enumerate() {
        if word.contains('\0') {
            report.value(&path.index(index), "an argument cannot have a zero byte", None);
        }
    }
}

/// Keys that mean nothing with the other kind of target, where they say more than their default.
fn check_only_with(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let default = Upstream::default();
    let of_command = [
        ("env", !upstream.env.is_empty()),
        ("cwd", upstream.cwd.is_some()),
        ("sandbox", upstream.sandbox.is_some()),
        ("stdio", upstream.stdio != default.stdio),
    ];
    let over_http = [
        ("headers", !upstream.headers.is_empty()),
        ("forward_headers", !upstream.forward_headers.is_empty()),
        ("auth", upstream.auth.is_some()),
        ("tls", upstream.tls != default.tls),
        ("transport", upstream.transport != default.transport),
    ];
    let (keys, other) = match (&upstream.url, &upstream.command, &upstream.openapi) {
        (Some(_), None, None) | (None, None, Some(_)) => (&of_command[..], "command"),
        (None, Some(_), None) => (&over_http[..], "url"),
        _ => return,
    };
    for (key, _) in keys.iter().filter(|(_, set)| *set) {
        report.key(&path.key(key), format!("this key belongs to an upstream with a {other:?}"), None);
    }
}

/// Headers that every request has.
pub(super) fn fixed_headers(fixed: &BTreeMap<String, Secret>, path: &Path, report: &mut Report<'_>) {
    let headers = path.key("headers");
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (name, value) in fixed {
        if report.is_full() {
            return;
        }
        let at = headers.key(name);
        let Some(known) = header_name(name, &at, report, At::Key) else { continue };
        if is_ours(&known) {
            report.key(&at, "the gateway writes this header itself", None);
        }
        if let Some(first) = seen.insert(known.as_str().to_owned(), name) {
            let line = report.line(&headers.key(first));
            report.key(&at, format!("this header was given before, in line {line}"), None);
        }
        check_secret(value, &at, report, |text| HeaderValue::from_str(text).is_ok());
    }
}

fn check_headers(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    fixed_headers(&upstream.headers, path, report);
    let forwarded = path.key("forward_headers");
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (index, name) in upstream.forward_headers.iter().enumerate() {
        if report.is_full() {
            return;
        }
        let at = forwarded.index(index);
        let Some(known) = header_name(name, &at, report, At::Value) else { continue };
        if is_ours(&known) {
            report.value(&at, "this header belongs to one connection and cannot be passed on", None);
        } else if CREDENTIALS.contains(&known.as_str()) {
            report.value(
                &at,
                "a client's credentials are meant for the gateway and are never passed on",
                Some("give the upstream its own credential in \"auth\" or \"headers\"".to_owned()),
            );
        } else if upstream.headers.keys().any(|fixed| fixed.eq_ignore_ascii_case(known.as_str())) {
            report.value(&at, "\"headers\" already says what this header is", None);
        }
        if let Some(first) = seen.insert(known.as_str().to_owned(), index) {
            report.value(&at, format!("this header was given before, as item {first}"), None);
        }
    }
}

#[derive(Clone, Copy)]
pub(super) enum At {
    Key,
    Value,
}

pub(super) fn header_name(name: &str, path: &Path, report: &mut Report<'_>, at: At) -> Option<HeaderName> {
    let known = HeaderName::try_from(name).ok();
    if known.is_none() {
        match at {
            At::Key => report.key(path, "this is not the name of a header", None),
            At::Value => report.value(path, "this is not the name of a header", None),
        }
    }
    known
}

pub(super) fn is_ours(name: &HeaderName) -> bool {
    OURS.contains(&name.as_str()) || name.as_str().starts_with("mcp-param-")
}

fn check_env(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let env = path.key("env");
    for (name, value) in &upstream.env {
        if report.is_full() {
            return;
        }
        let at = env.key(name);
        if name.is_empty() || name.contains(['=', '\0']) {
            report.key(&at, "this cannot be the name of a variable", None);
        }
        check_secret(value, &at, report, |text| !text.contains('\0'));
    }
}

/// Checks what is written out of a secret. The message does not show it.
pub(super) fn check_secret(
    secret: &Secret,
    path: &Path,
    report: &mut Report<'_>,
    can_be_sent: impl Fn(&str) -> bool,
) {
    if !can_be_sent(secret.prefix()) || !secret.written_out().is_none_or(can_be_sent) {
        report.value(path, "the value has characters that cannot be sent", None);
    }
}
