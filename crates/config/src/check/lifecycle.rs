//! Lives that make sense: dates in order, and replacements that there are.

use super::Report;
use super::auth::EVERYTHING;
use crate::advice;
use crate::section::{LifeStage, Lifecycle, Upstream};
use crate::source::Path;

/// How many rules there may be for what one upstream offers. Each name is held against them.
const RULES_MAX: usize = 1_000;

/// The life of an upstream or an endpoint.
pub(super) fn check(name: &str, lifecycle: Option<&Lifecycle>, path: &Path, report: &mut Report<'_>) {
    let Some(lifecycle) = lifecycle else { return };
    let path = path.key("lifecycle");
    check_dates(lifecycle, &path, report);
    let Some(replacement) = &lifecycle.replacement else { return };
    let at = path.key("replacement");
    if replacement == name {
        return report.value(&at, "nothing takes its own place", None);
    }
    let known: Vec<&str> =
        report.keys_of("upstreams").chain(report.keys_of("endpoints")).chain([EVERYTHING]).collect();
    if !known.contains(&replacement.as_str()) {
        let hint = advice::nearest(replacement, known.iter().copied()).map(advice::did_you_mean);
        report.value(&at, format!("there is no upstream or endpoint {replacement:?}"), hint);
    }
}

/// The lives of what an upstream offers.
pub(super) fn check_rules(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let path = path.key("lifecycles");
    if upstream.lifecycles.len() > RULES_MAX {
        let message =
            format!("there are {} of them, and there may be {RULES_MAX}", upstream.lifecycles.len());
        return report.key(&path, message, None);
    }
    for (index, rule) in upstream.lifecycles.iter().enumerate() {
        if report.is_full() {
            return;
        }
        let at = path.index(index);
        if rule.names.is_empty() {
            let hint = "write [\"*\"] for all, or leave the rule out";
            report.value(&at.key("names"), "the rule is about nothing", Some(hint.to_owned()));
        }
        let at = at.key("lifecycle");
        check_dates(&rule.lifecycle, &at, report);
        let Some(replacement) = &rule.lifecycle.replacement else { continue };
        if replacement.trim().is_empty() {
            report.value(&at.key("replacement"), "the name is empty", None);
        } else if rule.names.iter().any(|names| names.matches(replacement)) {
            report.value(&at.key("replacement"), "nothing takes its own place", None);
        }
    }
}

fn check_dates(lifecycle: &Lifecycle, path: &Path, report: &mut Report<'_>) {
    let Lifecycle { state, deprecated_on, removed_on, replacement: _ } = lifecycle;
    if *state == LifeStage::Proposed && (deprecated_on.is_some() || removed_on.is_some()) {
        let key = if deprecated_on.is_some() { "deprecated_on" } else { "removed_on" };
        report.key(&path.key(key), "what is only proposed cannot go", None);
        return;
    }
    if *state == LifeStage::Deprecated && deprecated_on.is_none() {
        let hint = Some("write the day from which it is, as in \"deprecated_on: 2026-12-01\"".to_owned());
        report.absent(path, "what is deprecated has a \"deprecated_on\"", hint);
    }
    if let (Some(from), Some(to)) = (deprecated_on, removed_on)
        && to < from
    {
        report.value(
            &path.key("removed_on"),
            format!("it would go before it is deprecated, on {from}"),
            None,
        );
    }
}
