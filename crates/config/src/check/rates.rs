//! Limits of what callers may do.

use std::collections::HashMap;

use super::names::name_fault;
use super::{NAME_MAX, Report, tasks};
use crate::advice;
use crate::section::{Config, Quota, Rate, RateMatch};
use crate::source::Path;
use crate::value::Size;

/// How many rules there may be: each is held against each request.
const RULES_MAX: usize = 200;

/// The methods that pass by the place where limits are kept.
const METHODS: [&str; 10] = [
    "tools/call",
    "prompts/get",
    "resources/read",
    "completion/complete",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "tasks/get",
];

/// The endpoint of everything.
const ALL: &str = "mcp";

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let path = Path::keys(["rates"]);
    if config.rates.len() > RULES_MAX {
        let message = format!("there are {} rules, and there may be {RULES_MAX}", config.rates.len());
        return report.key(&path, message, None);
    }
    if !report.is_whole(&path) {
        return;
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, rate) in config.rates.iter().enumerate() {
        if report.is_full() {
            return;
        }
        let at = path.index(index);
        if let Some(first) = seen.insert(&rate.name, index) {
            report.value(&at.key("name"), format!("item {first} has this name already"), None);
        }
        check_rate(rate, &at, report);
        check_match(&rate.fits, config, &at.key("match"), report);
    }
}

fn check_rate(rate: &Rate, path: &Path, report: &mut Report<'_>) {
    let Rate { name, fits: _, per, rate: pace, burst, concurrency, quota, costs } = rate;
    // One that only upstreams cannot have is free here.
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if let Some((message, hint)) =
        name_fault(name).filter(|_| !plain || name.is_empty() || name.len() > NAME_MAX)
    {
        report.value(&path.key("name"), message, hint);
    }
    let kinds = [pace.is_some(), concurrency.is_some(), quota.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        let hint = Some("for two of them write two rules".to_owned());
        report.absent(path, "give one of \"rate\", \"concurrency\" and \"quota\"", hint);
    }
    for (index, key) in per.iter().enumerate() {
        if per[..index].contains(key) {
            report.value(&path.key("per").index(index), "this was given before", None);
        }
    }
    for (key, value) in [("burst", burst), ("concurrency", concurrency)] {
        if *value == Some(0) {
            report.value(&path.key(key), "must be at least 1", None);
        }
    }
    if burst.is_some() && pace.is_none() {
        report.key(&path.key("burst"), "this key belongs to a \"rate\"", None);
    }
    if let Some(quota) = quota {
        check_quota(quota, &path.key("quota"), report);
    }
    tasks::check_reach(costs.iter().map(|rule| &rule.tools), &path.key("costs"), report);
    if !costs.is_empty() && quota.as_ref().is_none_or(|quota| quota.cost.is_none()) {
        report.key(&path.key("costs"), "this key belongs to a quota of \"cost\"", None);
    }
}

fn check_quota(quota: &Quota, path: &Path, report: &mut Report<'_>) {
    let Quota { calls, bytes, cost, per: _ } = quota;
    let kinds = [calls.is_some(), bytes.is_some(), cost.is_some()];
    if kinds.iter().filter(|given| **given).count() != 1 {
        report.absent(path, "give one of \"calls\", \"bytes\" and \"cost\"", None);
    }
    for (key, value) in [("calls", calls), ("cost", cost)] {
        if *value == Some(0) {
            report.value(&path.key(key), "must be at least 1", None);
        }
    }
    if bytes.is_some_and(|bytes| bytes < Size::from_kib(1)) {
        let least = Size::from_kib(1);
        report.value(&path.key("bytes"), format!("must be at least {least}"), None);
    }
}

fn check_match(fits: &RateMatch, config: &Config, path: &Path, report: &mut Report<'_>) {
    let RateMatch { tenants: _, principals: _, clients: _, groups: _, endpoints, upstreams, tools, methods } =
        fits;
    let upstream_names: Vec<_> = config.upstreams.keys().map(String::as_str).collect();
    let mut endpoint_names: Vec<_> = config.endpoints.keys().map(String::as_str).collect();
    endpoint_names.extend(&upstream_names);
    endpoint_names.push(ALL);
    for (key, what, names, known) in [
        ("endpoints", "endpoint", endpoints, &endpoint_names[..]),
        ("upstreams", "upstream", upstreams, &upstream_names[..]),
        ("methods", "method that can be limited", methods, &METHODS[..]),
    ] {
        for (index, name) in names.iter().enumerate() {
            if known.contains(&name.as_str()) {
                continue;
            }
            let near = advice::nearest(name, known.iter().copied()).map(advice::did_you_mean);
            let hint =
                near.or_else(|| (key == "methods").then(|| format!("use {}", advice::one_of(&METHODS))));
            report.value(&path.key(key).index(index), format!("there is no {what} {name:?}"), hint);
        }
    }
    if !tools.is_empty() && !methods.is_empty() && !methods.iter().any(|method| method == "tools/call") {
        report.value(&path.key("tools"), "none of \"methods\" has a tool", None);
    }
}
