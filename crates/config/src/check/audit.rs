//! The audit log: a name that can stand in a key, times and amounts that can hold.

use http::uri::Authority;

use super::Report;
use super::limits::Floor;
use super::upstream::fixed_headers;
use super::url::{UrlUse, url_fault};
use crate::section::{Audit, AuditBucket, AuditExport, AuditMode};
use crate::source::Path;
use crate::value::Span;

/// The longest beginning of a log's name.
const ORIGIN_MAX: usize = 200;
/// As many records as may wait in memory.
const QUEUE_MAX: usize = 1_000_000;
const EXPORTS_MAX: usize = 16;
const EXPORT_WAIT_DAYS_MAX: u32 = 3_650;
/// As long as a bucket's name may be, and what objects' names begin with.
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 3..=63;
const PREFIX_BYTES_MAX: usize = 256;
const NAME_CHARS_MAX: usize = 64;
/// Entries that are read and sent at once.
const BATCH_MAX: usize = 1_000;

pub(super) fn check(audit: &Audit, report: &mut Report<'_>) {
    let Audit { mode, origin, queue_max, checkpoint_interval, retention_days, capture_retention, .. } = audit;
    let Audit { export_wait_days, exports, .. } = audit;
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
    if *export_wait_days > EXPORT_WAIT_DAYS_MAX {
        report.value(&path.key("export_wait_days"), "must be at most 3650", None);
    }
    if !(Span::from_millis(100)..=Span::from_mins(1)).contains(checkpoint_interval) {
        report.value(&path.key("checkpoint_interval"), "expected a duration from 100ms to 1m", None);
    }
    let all = path.key("exports");
    if exports.len() > EXPORTS_MAX {
        let message = format!("there are {} exports, and there may be {EXPORTS_MAX}", exports.len());
        return report.key(&all, message, None);
    }
    if *mode == Some(AuditMode::Off) && !exports.is_empty() {
        report.key(&all, "nothing is exported where no log is written (mode: off)", None);
    }
    for (name, export) in exports {
        let at = all.key(name);
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
            report.key(&at, "call the export by 1 to 64 characters", None);
        }
        check_export(export, &at, report);
    }
}

fn check_bucket(s3: &AuditBucket, path: &Path, report: &mut Report<'_>) {
    let AuditBucket { bucket, prefix, region, endpoint, .. } = s3;
    let plain = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    if !plain(bucket, b".-_") || !BUCKET_CHARS.contains(&bucket.len()) || bucket.starts_with('.') {
        let message = "expected a bucket's name of 3 to 63 letters, digits, \".\", \"-\" and \"_\"";
        report.value(&path.key("bucket"), message, None);
    }
    let parts = prefix.split('/');
    if prefix.len() > PREFIX_BYTES_MAX
        || prefix.starts_with('/')
        || parts.into_iter().any(|part| part == "..")
    {
        let message =
            "expected the beginning of a name, at most 256 bytes, without \"/\" before it and \"..\" in it";
        report.value(&path.key("prefix"), message, Some("write audit/".to_owned()));
    }
    if !plain(region, b"-") {
        report.value(&path.key("region"), "expected a region, as us-east-1", None);
    }
    if let Some(endpoint) = endpoint
        && let Some((message, hint)) = url_fault(endpoint, UrlUse::Upstream)
    {
        report.value(&path.key("endpoint"), message, hint);
    }
}

fn check_export(export: &AuditExport, path: &Path, report: &mut Report<'_>) {
    let AuditExport { file, url, headers, syslog, otlp, s3, ca, tenants, .. } = export;
    let AuditExport { batch_max, timeout, retry_pause_max, .. } = export;
    let ways = [file.is_some(), url.is_some(), syslog.is_some(), otlp.is_some(), s3.is_some()];
    if ways.into_iter().filter(|way| *way).count() != 1 {
        let hint = "write one of file, url, syslog, otlp and s3".to_owned();
        return report.key(path, "an export goes to one place", Some(hint));
    }
    for (name, url) in [("url", url), ("otlp", otlp)] {
        if let Some(url) = url
            && let Some((message, hint)) = url_fault(url, UrlUse::Upstream)
        {
            report.value(&path.key(name), message, hint);
        }
    }
    if let Some(s3) = s3 {
        check_bucket(s3, &path.key("s3"), report);
    }
    let is_place = |place: &str| {
        let authority = place.parse::<Authority>().ok().filter(|authority| !authority.host().is_empty());
        let port = authority.and_then(|authority| authority.port_u16());
        port.is_some_and(|port| port > 0) && !place.contains('@')
    };
    if syslog.is_some() && !export.syslog_place().is_some_and(|(place, _)| is_place(place)) {
        report.value(&path.key("syslog"), "expected tcp://HOST:PORT or tls://HOST:PORT", None);
    }
    if url.is_none() && otlp.is_none() && !headers.is_empty() {
        report.key(&path.key("headers"), "only a \"url\" and a collector are sent headers", None);
    }
    fixed_headers(headers, path, report);
    let store = s3.as_ref().map(AuditBucket::url);
    let mut urls = [url, otlp, &store].into_iter().flatten();
    let secure = urls.any(|url| url.to_ascii_lowercase().starts_with("https://"))
        || export.syslog_place().is_some_and(|(_, tls)| tls);
    if ca.is_some() && !secure {
        report.key(&path.key("ca"), "nobody shows a certificate here: it is no https and no tls", None);
    }
    if tenants.as_ref().is_some_and(Vec::is_empty) {
        report.value(&path.key("tenants"), "nothing is sent: no tenant is named", None);
    }
    if !(1..=BATCH_MAX).contains(batch_max) {
        report.value(&path.key("batch_max"), "expected a number from 1 to 1000", None);
    }
    if !(Span::from_millis(100)..=Span::from_mins(5)).contains(timeout) {
        report.value(&path.key("timeout"), "expected a duration from 100ms to 5m", None);
    }
    if !(Span::from_millis(250)..=Span::from_hours(1)).contains(retry_pause_max) {
        report.value(&path.key("retry_pause_max"), "expected a duration from 250ms to 1h", None);
    }
}
