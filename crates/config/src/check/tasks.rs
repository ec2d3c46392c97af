//! Tasks: rules that can hold, and times in their order.

use std::collections::HashMap;

use super::Report;
use super::limits::{Floor, check_order};
use crate::section::{HostRule, HostWhen, Tasks};
use crate::source::Path;
use crate::value::{Glob, Size, Span};

/// How many rules a list may have. Each call goes through them.
const RULES_MAX: usize = 100;

pub(super) fn check(tasks: &Tasks, report: &mut Report<'_>) {
    let Tasks {
        host,
        ttl,
        result_retention,
        retention_max,
        // Without a tombstone an expired task is unknown at once, which is a choice.
        tombstone: _,
        tasks_per_tenant_max,
        bytes_per_tenant_max,
        result_bytes_max,
        running_max,
        lease,
        poll_interval,
        poll_interval_max,
        sep_3182: _,
    } = tasks;
    let path = Path::keys(["tasks"]);
    check_rules(host, &path.key("host"), report);
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[("tasks_per_tenant_max", *tasks_per_tenant_max, 1), ("running_max", *running_max, 1)]);
    floor.sizes(&[
        ("bytes_per_tenant_max", *bytes_per_tenant_max, Size::from_kib(1)),
        ("result_bytes_max", *result_bytes_max, Size::from_kib(1)),
    ]);
    floor.times(&[
        ("ttl", *ttl),
        ("result_retention", *result_retention),
        ("retention_max", *retention_max),
        ("poll_interval", *poll_interval),
        ("poll_interval_max", *poll_interval_max),
    ]);
    if !(Span::from_secs(1)..=Span::from_mins(5)).contains(lease) {
        report.value(&path.key("lease"), "expected a duration from 1s to 5m", None);
    }
    let longest = ("retention_max", *retention_max);
    check_order(("ttl", *ttl), longest, &path, report);
    check_order(("result_retention", *result_retention), longest, &path, report);
    check_order(("poll_interval", *poll_interval), ("poll_interval_max", *poll_interval_max), &path, report);
}

pub(super) fn check_rules(rules: &[HostRule], path: &Path, report: &mut Report<'_>) {
    if !check_reach(rules.iter().map(|rule| &rule.tools), path, report) {
        return;
    }
    for (index, HostRule { tools: _, when, required }) in rules.iter().enumerate() {
        if *required && matches!(when, HostWhen::Never | HostWhen::ForUpstreamsThatNeedIt) {
            let message = "makes no task, so none can be required";
            report.value(&path.index(index).key("when"), message, Some("leave out \"required\"".to_owned()));
        }
        if *when == HostWhen::WhenSlow(Span::default()) {
            let at = path.index(index).key("when").key("when_slow");
            report.value(&at, "must be longer than nothing", Some("write \"always\"".to_owned()));
        }
    }
}

/// Checks that a list of rules is not too long, and that each rule is the first for some tool. Whether the
/// items can be checked further.
pub(super) fn check_reach<'a>(
    tools: impl ExactSizeIterator<Item = &'a Glob>,
    path: &Path,
    report: &mut Report<'_>,
) -> bool {
    if tools.len() > RULES_MAX {
        let message = format!("there are {} rules, and there may be {RULES_MAX}", tools.len());
        report.key(path, message, None);
        return false;
    }
    if !report.is_whole(path) {
        return false;
    }
    let mut all: Option<usize> = None;
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, glob) in tools.enumerate() {
        if let Some(first) = all.or(seen.get(glob.as_str()).copied()) {
            let hint = "the first rule that fits a tool holds".to_owned();
            let message = format!("item {first} is for all of these tools already");
            report.value(&path.index(index).key("tools"), message, Some(hint));
        }
        seen.entry(glob.as_str()).or_insert(index);
        if glob.as_str().bytes().all(|b| b == b'*') {
            all.get_or_insert(index);
        }
    }
    true
}
