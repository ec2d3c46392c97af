//! Events as rows of the store.

use audit::{Captured, Event, Phase};
use bytes::Bytes;
use store::{AUDIT_CONTENT_BYTES_MAX, AuditContentRow, AuditEntryRow};

/// As long as the columns are that are looked through.
const SHORT: usize = 256;
const LONG: usize = 4_096;

/// The beginning of a text, of so many bytes at most.
fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn column(text: Option<&str>, max: usize) -> String {
    text.map(|text| cut(&audit::canonical::clean(text), max)).unwrap_or_default()
}

/// What is too long to be kept beside a log is not captured: its digest is recorded all the same.
pub(crate) fn bound(event: &mut Event) {
    for said in [&mut event.arguments, &mut event.result].into_iter().flatten() {
        said.captured.take_if(|bytes| bytes.len() > AUDIT_CONTENT_BYTES_MAX - 16);
    }
}

pub(crate) fn entry(event: &Event, line: String, index: u64, writer: &str) -> AuditEntryRow {
    AuditEntryRow {
        log: event.tenant.to_string(),
        index,
        at: event.at,
        principal: cut(&audit::principal(&event.tenant, &event.subject), LONG),
        kind: column(Some(event.kind), SHORT),
        tool: column(event.target.as_deref(), LONG),
        outcome: event.outcome.as_str().to_owned(),
        upstream: column(event.upstream.as_deref(), SHORT),
        operation: column(Some(&event.operation), SHORT),
        started: event.phase == Phase::Started,
        writer: writer.to_owned(),
        line: Bytes::from(line),
    }
}

pub(crate) fn content(event: &Event, captured: &Captured, index: u64) -> AuditContentRow {
    AuditContentRow {
        log: event.tenant.to_string(),
        index,
        part: captured.part.to_owned(),
        principal: cut(&audit::principal(&event.tenant, &event.subject), LONG),
        at: event.at,
        data: Bytes::from([&captured.salt[..], &captured.bytes].concat()),
    }
}
