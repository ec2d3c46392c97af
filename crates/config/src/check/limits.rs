//! Numbers, sizes and times: none so small that nothing works.
//!
//! The sections are taken apart without `..`, so a new key does not compile until it has its rule here.

use super::Report;
use crate::section::{Cache, Config, Limits, Sessions, Stdio, Timeouts, Upstream};
use crate::source::Path;
use crate::value::{Size, Span};

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    check_limits(&config.limits, report);
    check_cache(&config.cache, report);
    let Sessions { ttl, resume_timeout, poll_after } = &config.sessions;
    let mut floor = Floor { path: Path::keys(["sessions"]), report };
    floor.times(&[("ttl", *ttl), ("resume_timeout", *resume_timeout)]);
    floor.times(poll_after.map(|after| ("poll_after", after)).as_slice());
    // No time at all is a choice here: stop at once.
    let _ = (config.drain_delay, config.drain_timeout);
}

pub(super) fn check_upstream(upstream: &Upstream, path: &Path, report: &mut Report<'_>) {
    let Timeouts { connect, first_byte, idle, total } = &upstream.timeouts;
    Floor { path: path.key("timeouts"), report }.times(&[
        ("connect", *connect),
        ("first_byte", *first_byte),
        ("idle", *idle),
        ("total", *total),
    ]);
    let mut floor = Floor { path: path.clone(), report };
    floor.counts(&[
        ("concurrency_max", upstream.concurrency_max, 1),
        ("sessions_max", upstream.sessions_max, 1),
    ]);
    floor.times(&[("session_idle", upstream.session_idle)]);
    // Neither a list that is never fresh nor a standard error that is not kept stops anything.
    let Stdio { processes_max, idle_stop, restart_backoff_min, restart_backoff_max, stderr_lines_max: _ } =
        &upstream.stdio;
    let mut floor = Floor { path: path.key("stdio"), report };
    floor.counts(&[("processes_max", *processes_max, 1)]);
    floor.times(&[
        ("idle_stop", *idle_stop),
        ("restart_backoff_min", *restart_backoff_min),
        ("restart_backoff_max", *restart_backoff_max),
    ]);
    let (min, max) =
        (("restart_backoff_min", *restart_backoff_min), ("restart_backoff_max", *restart_backoff_max));
    check_order(min, max, &path.key("stdio"), report);
}

/// Checks that of two times in a section the first is not longer than the second.
pub(super) fn check_order(
    (first, short): (&str, Span),
    (second, long): (&str, Span),
    section: &Path,
    report: &mut Report<'_>,
) {
    if short > long {
        let key = if report.has(&section.key(first)) { first } else { second };
        let message = format!("{first} ({short}) is longer than {second} ({long})");
        report.value(&section.key(key), message, None);
    }
}

fn check_limits(limits: &Limits, report: &mut Report<'_>) {
    let Limits {
        request_bytes_max,
        response_buffer_bytes_max,
        upstream_message_bytes_max,
        header_bytes_max,
        header_count_max,
        connections_max,
        calls_max,
        calls_per_tenant_max,
        // Where nobody may wait, a call without a place is refused at once, which is a choice.
        queue_max: _,
        queue_time_max,
        memory_max,
        streams_max,
        subscriptions_per_stream_max,
        sessions_max,
        upstream_sessions_max,
        parked_calls_max,
        parked_calls_per_principal_max,
        parked_calls_per_upstream_max,
        park_time_max,
        page_size,
        list_items_max,
        list_pages_max,
        stream_buffer_events_max,
        stream_buffer_bytes_max,
        header_read_timeout,
        body_read_timeout,
        batch_max,
    } = limits;
    let mut floor = Floor { path: Path::keys(["limits"]), report };
    floor.sizes(&[
        ("request_bytes_max", *request_bytes_max, Size::from_kib(1)),
        ("response_buffer_bytes_max", *response_buffer_bytes_max, Size::from_kib(1)),
        ("upstream_message_bytes_max", *upstream_message_bytes_max, Size::from_kib(1)),
        ("header_bytes_max", *header_bytes_max, Size::from_kib(4)),
        ("stream_buffer_bytes_max", *stream_buffer_bytes_max, Size::from_kib(1)),
    ]);
    floor.counts(&[
        ("header_count_max", *header_count_max, 16),
        ("connections_max", *connections_max, 1),
        ("calls_max", *calls_max, 1),
        ("streams_max", *streams_max, 1),
        ("subscriptions_per_stream_max", *subscriptions_per_stream_max, 1),
        ("sessions_max", *sessions_max, 1),
        ("upstream_sessions_max", *upstream_sessions_max, 1),
        ("parked_calls_max", *parked_calls_max, 1),
        ("parked_calls_per_principal_max", *parked_calls_per_principal_max, 1),
        ("parked_calls_per_upstream_max", *parked_calls_per_upstream_max, 1),
        ("page_size", *page_size, 1),
        ("list_items_max", *list_items_max, 1),
        ("list_pages_max", *list_pages_max, 1),
        ("stream_buffer_events_max", *stream_buffer_events_max, 1),
        ("batch_max", *batch_max, 1),
    ]);
    floor.counts(calls_per_tenant_max.map(|max| ("calls_per_tenant_max", max, 1)).as_slice());
    floor.sizes(memory_max.map(|max| ("memory_max", max, Size::from_mib(1))).as_slice());
    floor.times(&[
        ("queue_time_max", *queue_time_max),
        ("park_time_max", *park_time_max),
        ("header_read_timeout", *header_read_timeout),
        ("body_read_timeout", *body_read_timeout),
    ]);
}

fn check_cache(cache: &Cache, report: &mut Report<'_>) {
    // A lifetime of nothing means that nothing is kept, which is a choice.
    let Cache { enabled: _, list_ttl: _, ttl_max: _, entries_max, bytes_max, entry_bytes_max } = cache;
    let mut floor = Floor { path: Path::keys(["cache"]), report };
    floor.counts(&[("entries_max", *entries_max, 1)]);
    floor.sizes(&[
        ("bytes_max", *bytes_max, Size::from_kib(1)),
        ("entry_bytes_max", *entry_bytes_max, Size::from_bytes(1)),
    ]);
}

/// Reports what is below its least value in one section.
pub(super) struct Floor<'a, 'b> {
    pub(super) path: Path,
    pub(super) report: &'a mut Report<'b>,
}

impl Floor<'_, '_> {
    pub(super) fn counts(&mut self, keys: &[(&str, usize, usize)]) {
        for (key, value, least) in keys {
            if value < least {
                self.report.value(&self.path.key(key), format!("must be at least {least}"), None);
            }
        }
    }

    pub(super) fn sizes(&mut self, keys: &[(&str, Size, Size)]) {
        for (key, value, least) in keys {
            if value < least {
                self.report.value(&self.path.key(key), format!("must be at least {least}"), None);
            }
        }
    }

    pub(super) fn times(&mut self, keys: &[(&str, Span)]) {
        for (key, value) in keys {
            if value.is_zero() {
                self.report.value(&self.path.key(key), "must be longer than nothing", None);
            }
        }
    }
}
