//! The audit log: a name that can stand in a key, times and amounts that can hold.

use super::Report;
use super::limits::Floor;
use crate::section::Audit;
use crate::source::Path;
use crate::value::Span;

/// The longest beginning of a log's name.
const ORIGIN_MAX: usize = 200;
/// As many records as may wait in memory.
const QUEUE_MAX: usize = 1_000_000;

pub(super) fn check(audit: &Audit, report: &mut Report<'_>) {
    let Audit { mode: _, origin, queue_max, checkpoint_interval, retention_days, capture_retention } = audit;
    let path = Path::keys(["audit"]);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    if origin.is_empty() || origin.len() > ORIGIN_MAX || !origin.bytes().all(allowed) {
        let message = "expected a name of 1 to 200 of A-Z, a-z, 0-9, \".\", \"-\", \"_\" and \"/\"";
        report.value(&path.key("origin"), message, Some("write a name, as gateway.example.com".to_owned()));
    }
    if *queue_max > QUEUE_MAX {
        report.value(&path.key("queue_max"), "must be at most 1000000", None);
    }
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[("queue_max", *queue_max, 1)]);
    floor.times(&[("capture_retention", *capture_retention)]);
    if let Some(days) = retention_days {
        floor.counts(&[("retention_days", usize::try_from(*days).unwrap_or(usize::MAX), 1)]);
    }
    if !(Span::from_millis(100)..=Span::from_mins(1)).contains(checkpoint_interval) {
        report.value(&path.key("checkpoint_interval"), "expected a duration from 100ms to 1m", None);
    }
}
