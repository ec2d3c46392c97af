//! One endpoint.

use std::collections::HashMap;

use super::names::check_aliases;
use super::{Report, lifecycle, tasks};
use crate::advice;
use crate::section::{Config, Endpoint, Find};
use crate::source::Path;

/// As many tools as one search may find.
const FOUND_MAX: usize = 50;
/// How many groups of synonyms there may be, and how many words or phrases in one.
const GROUPS_MAX: usize = 2_000;
const PHRASES_MAX: usize = 32;

pub(super) fn check(name: &str, endpoint: &Endpoint, config: &Config, report: &mut Report<'_>) {
    let path = Path::keys(["endpoints", name]);
    let list = path.key("upstreams");
    if endpoint.upstreams.is_empty() {
        let at = if report.has(&list) { &list } else { &path };
        report.absent(at, "the endpoint has no upstreams", Some("name at least one".to_owned()));
    }
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, upstream) in endpoint.upstreams.iter().enumerate() {
        if report.is_full() {
            return;
        }
        let at = list.index(index);
        // One that could not be read is there all the same.
        if !report.keys_of("upstreams").any(|known| known == upstream) {
            let hint = unknown_hint(upstream, config, report);
            report.value(&at, format!("there is no upstream {upstream:?}"), Some(hint));
        }
        if let Some(first) = seen.insert(upstream, index) {
            report.value(&at, format!("{upstream:?} was given before, as item {first}"), None);
        }
    }
    check_aliases(&endpoint.aliases, &path.key("aliases"), report);
    lifecycle::check(name, endpoint.lifecycle.as_ref(), &path, report);
    if let Some(rules) = &endpoint.tasks {
        tasks::check_rules(rules, &path.key("tasks"), report);
    }
    if endpoint.page_size == Some(0) {
        report.value(&path.key("page_size"), "must be at least 1", None);
    }
    if let Some(find) = &endpoint.find {
        check_find(find, &path.key("find"), report);
    }
}

fn check_find(find: &Find, path: &Path, report: &mut Report<'_>) {
    let Find { beside: _, limit, synonyms } = find;
    if !(1..=FOUND_MAX).contains(limit) {
        report.value(&path.key("limit"), "expected a number from 1 to 50", None);
    }
    let list = path.key("synonyms");
    if synonyms.len() > GROUPS_MAX {
        report.key(&list, "expected at most 2000 groups", None);
    }
    for (index, group) in synonyms.iter().enumerate().take(GROUPS_MAX) {
        if report.is_full() {
            return;
        }
        if !(2..=PHRASES_MAX).contains(&group.len()) {
            report.value(&list.index(index), "expected 2 to 32 words or phrases that mean the same", None);
        }
        for (at, phrase) in group.iter().enumerate() {
            if !phrase.chars().any(char::is_alphanumeric) {
                report.value(&list.index(index).index(at), "there is no word in it", None);
            }
        }
    }
}

fn unknown_hint(name: &str, config: &Config, report: &Report<'_>) -> String {
    let known: Vec<_> = report.keys_of("upstreams").collect();
    if let Some(near) = advice::nearest(name, known.iter().copied()) {
        return advice::did_you_mean(near);
    }
    if config.endpoints.contains_key(name) {
        return "an endpoint is made of upstreams, not of endpoints".to_owned();
    }
    match known.as_slice() {
        [] => "there are none under \"upstreams\"".to_owned(),
        known if known.len() <= 10 => format!("use {}", advice::one_of(known)),
        _ => "see the names under \"upstreams\"".to_owned(),
    }
}
