//! What is done where an upstream fails.

use http::uri::PathAndQuery;

use super::Report;
use super::limits::{Floor, check_order};
use super::url::{UrlUse, url_fault};
use crate::section::{Breaker, Eject, HealthCheck, Resilience, Revision, Transport, Upstream};
use crate::source::Path;
use crate::value::Hedge;

/// How many further addresses an upstream may have.
const URLS_MAX: usize = 100;

pub(super) fn check(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    check_urls(upstream, &path.key("urls"), report);
    let path = path.key("resilience");
    let Resilience { breaker, retries, backoff, budget_percent, budget_min, hedge_after, eject, health } =
        &upstream.resilience;
    for (key, value, max) in [
        ("retries", *retries, 10),
        ("budget_percent", *budget_percent, 100),
        ("budget_min", *budget_min, 1_000),
    ] {
        if value > max {
            report.value(&path.key(key), format!("expected a number from 0 to {max}"), None);
        }
    }
    let mut floor = Floor { path: path.clone(), report };
    floor.times(&[("backoff", *backoff)]);
    if let Some(Hedge::After(after)) = hedge_after {
        floor.times(&[("hedge_after", *after)]);
    }
    if let Some(breaker) = breaker {
        check_breaker(breaker, &path.key("breaker"), report);
    }
    if let Some(health) = health {
        check_health(health, upstream, &path.key("health"), report);
    }
    check_eject(eject, &path.key("eject"), report);
    if *eject != Eject::default() && upstream.urls.is_empty() {
        report.key(&path.key("eject"), "this key belongs to an upstream with \"urls\"", None);
    }
}

fn check_health(health: &HealthCheck, upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let HealthCheck { interval, timeout, path: wanted, down_after, up_after } = health;
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[("down_after", *down_after as usize, 1), ("up_after", *up_after as usize, 1)]);
    floor.times(&[("interval", *interval), ("timeout", *timeout)]);
    check_order(("timeout", *timeout), ("interval", *interval), path, report);
    match wanted {
        Some(_) if upstream.url.is_none() && upstream.openapi.is_none() => {
            report.key(&path.key("path"), "this key belongs to an upstream with a \"url\"", None);
        }
        Some(wanted) if !is_path(wanted) => {
            let hint = Some("write it as /healthz".to_owned());
            report.value(&path.key("path"), "expected a path that begins with \"/\"", hint);
        }
        Some(_) => {}
        None if upstream.auth.as_ref().is_some_and(|auth| auth.per_user) => {
            let message = "the gateway itself may ask this server nothing: \"auth\" proves each user";
            report.key(path, message, Some("check a \"path\" that is open".to_owned()));
        }
        None => {}
    }
}

/// Whether it is the path of a URL, with a query or without.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains('#') && text.parse::<PathAndQuery>().is_ok()
}

fn check_breaker(breaker: &Breaker, path: &Path, report: &mut Report<'_>) {
    let Breaker { failures_percent, calls_min, window, open, probes } = breaker;
    if !(1..=100).contains(failures_percent) {
        report.value(&path.key("failures_percent"), "expected a number from 1 to 100", None);
    }
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[("calls_min", *calls_min as usize, 1), ("probes", *probes as usize, 1)]);
    floor.times(&[("window", *window), ("open", *open)]);
}

fn check_eject(eject: &Eject, path: &Path, report: &mut Report<'_>) {
    let Eject { after, time, time_max, percent_max } = eject;
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[("after", *after as usize, 1)]);
    floor.times(&[("time", *time), ("time_max", *time_max)]);
    check_order(("time", *time), ("time_max", *time_max), path, report);
    if *percent_max > 100 {
        report.value(&path.key("percent_max"), "expected a number from 0 to 100", None);
    }
}

/// Several addresses are for servers that remember nothing between requests, and that ask for no proof that
/// names an address.
fn check_urls(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    if upstream.urls.is_empty() {
        return;
    }
    if upstream.urls.len() > URLS_MAX {
        let message = format!("there are {} of them, and there may be {URLS_MAX}", upstream.urls.len());
        return report.key(path, message, None);
    }
    if upstream.url.is_none() {
        report.key(path, "this key belongs to an upstream with a \"url\"", None);
    } else if upstream.revision != Some(Revision::V2026_07_28) || upstream.transport == Transport::HttpSse {
        let hint = Some("write \"revision: 2026-07-28\"".to_owned());
        report.key(path, "only a server of revision 2026-07-28 has no sessions at one address", hint);
    } else if upstream.auth.is_some() {
        report.key(path, "what \"auth\" proves is for the address of \"url\" alone", None);
    }
    for (index, url) in upstream.urls.iter().enumerate() {
        let again = upstream.url.as_ref() == Some(url) || upstream.urls[..index].contains(url);
        if let Some((message, hint)) = url_fault(url, UrlUse::Upstream) {
            report.value(&path.index(index), message, hint);
        } else if again {
            report.value(&path.index(index), "this address was given before", None);
        }
    }
}
