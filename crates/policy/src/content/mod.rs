//! What stands in arguments, results, questions and descriptions: detectors, and how what they find, or what
//! stands at a JSON pointer, is blanked.
//!
//! A detector reads what strings *say*, whatever the escapes they are spelled with, and is linear in the
//! length. It looks at a bounded number of bytes; what it did not look at, it says. Nothing here prints what
//! was found: a finding says which kind, and where.

mod hidden;
mod injection;
mod pii;
mod pointers;
mod secrets;
mod walk;

use std::fmt;
use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use protocol::Raw;

pub use pointers::{BadPointer, check_pointer, redact_pointers, redact_result_pointers};
use walk::{Event, Spelled, Walk};

/// What is looked for: the detector, and one kind of what it finds. The place in the list is the kind's bit.
const KINDS: [(&str, &str); 28] = [
    ("secrets", "aws-access-key"),
    ("secrets", "github-token"),
    ("secrets", "slack-token"),
    ("secrets", "stripe-key"),
    ("secrets", "google-api-key"),
    ("secrets", "gitlab-token"),
    ("secrets", "npm-token"),
    ("secrets", "model-api-key"),
    ("secrets", "private-key"),
    ("secrets", "jwt"),
    ("secrets", "assignment"),
    ("pii", "email"),
    ("pii", "phone"),
    ("pii", "iban"),
    ("pii", "card"),
    ("pii", "us-ssn"),
    ("injection", "override"),
    ("injection", "conceal"),
    ("injection", "pseudo-tag"),
    ("injection", "role"),
    ("injection", "extraction"),
    ("injection", "exfiltration"),
    ("injection", "preamble"),
    ("injection", "image-link"),
    ("hidden", "bidi"),
    ("hidden", "zero-width"),
    ("hidden", "tag"),
    ("hidden", "variation"),
];

/// The names of the detectors.
pub const DETECTORS: [&str; 4] = ["secrets", "pii", "injection", "hidden"];
/// Findings in one text, at most. What stands behind the last one counts as not looked at.
pub const FINDINGS_MAX: usize = 1_000;
/// Bytes of one text that are looked at, where nothing else is said.
pub const SCANNED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is said instead of what stood at a pointer.
pub const REDACTED: &str = "[redacted]";

/// One thing that was found. It never holds the thing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The detector.
    pub detector: &'static str,
    /// What kind of thing.
    pub kind: &'static str,
    /// Where it stands in the JSON text, in bytes.
    pub range: Range<usize>,
    /// The value, or the member whose name it is, as JSON pointer.
    pub pointer: String,
    /// What it is a part of.
    pub inside: Inside,
}

/// What a finding is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// A string.
    Text,
    /// A member's name.
    Name,
    /// It is a number.
    Number,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} at {:?}", self.detector, self.kind, self.pointer)
    }
}

/// What detectors say of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// What was found, in the order in which it stands.
    pub findings: Vec<Finding>,
    /// How many bytes were not looked at.
    pub unscanned: usize,
}

impl Report {
    /// Whether all of it was looked at and nothing found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && self.unscanned == 0
    }

    /// The kinds that were found, each once, as `detector/kind`.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.findings.iter().map(|found| format!("{}/{}", found.detector, found.kind)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// Every name by which something can be looked for: the detectors', and of each kind, as `pii/email`.
pub fn names() -> impl Iterator<Item = String> {
    let kinds = KINDS.iter().map(|(detector, kind)| format!("{detector}/{kind}"));
    DETECTORS.iter().map(ToString::to_string).chain(kinds)
}

/// A name that is no detector's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("find the detector {0:?}: there are secrets, pii, injection, hidden, and kinds of them as pii/email")]
pub struct UnknownDetector(pub String);

/// A text that is too large to be looked at as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("look at the last {unscanned} bytes")]
pub struct NotScanned {
    /// How many bytes were not looked at.
    pub unscanned: usize,
}

/// Some of the detectors, or of the kinds that they find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Detectors {
    bits: u32,
}

impl Detectors {
    /// Those of these names: a detector's, for all that it finds, or `detector/kind`.
    ///
    /// # Errors
    /// [`UnknownDetector`]
    pub fn named<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Result<Self, UnknownDetector> {
        let mut bits = 0;
        for name in names {
            let name = name.as_ref();
            let fits = |(detector, kind): &(&str, &str)| {
                name == *detector || name.split_once('/') == Some((*detector, *kind))
            };
            let found = KINDS.iter().enumerate().filter(|(_, known)| fits(known));
            let found = found.fold(0, |bits, (at, _)| bits | 1 << at);
            if found == 0 {
                return Err(UnknownDetector(name.to_owned()));
            }
            bits |= found;
        }
        Ok(Self { bits })
    }

    /// Whether nothing is looked for.
    #[must_use]
    pub fn are_none(self) -> bool {
        self.bits == 0
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    fn wants(self, detector: &str, kind: &str) -> bool {
        KINDS.iter().position(|known| *known == (detector, kind)).is_some_and(|at| self.bits & 1 << at != 0)
    }

    fn wants_any(self, detector: &str) -> bool {
        KINDS.iter().enumerate().any(|(at, (d, _))| *d == detector && self.bits & 1 << at != 0)
    }

    /// Looks at the first `bytes_max` bytes of a text.
    #[must_use]
    pub fn scan(self, raw: &Raw, bytes_max: usize) -> Report {
        let mut report = Report::default();
        if self.are_none() {
            return report;
        }
        let bytes = raw.as_bytes();
        let mut walk = Walk::new(bytes);
        while let Some(event) = walk.next() {
            let (range, inside) = match &event {
                Event::Name(range) => (range, Inside::Name),
                Event::Text(range) => (range, Inside::Text),
                Event::Bare(range) => (range, Inside::Number),
                Event::Open(_) | Event::Close(_) => continue,
            };
            // A string is looked at as a whole, or the end of a secret would stay behind.
            if range.end > bytes_max {
                report.unscanned = bytes.len() - range.start;
                return report;
            }
            let found = self.value(bytes, range, inside, &walk);
            if found.is_empty() {
                continue;
            }
            let pointer = walk.pointer(walk.way(&event));
            spent(pointer.len() * found.len());
            for Hit { detector, kind, range } in found {
                if report.findings.len() == FINDINGS_MAX {
                    report.unscanned = bytes.len() - range.start;
                    return report;
                }
                let pointer = pointer.clone();
                report.findings.push(Finding { detector, kind, range, pointer, inside });
            }
        }
        report
    }

    /// What is found in one string, name or number, by place, overlapping ones as one.
    fn value(self, bytes: &[u8], range: &Range<usize>, inside: Inside, walk: &Walk<'_>) -> Vec<Hit> {
        if inside == Inside::Number {
            return self.number(bytes, range);
        }
        let spelled = Spelled::read(bytes, range);
        let text = &*spelled.text;
        let mut hits = Vec::new();
        if self.wants_any("secrets") {
            secrets::find(text, &mut hits);
            if inside == Inside::Text && hits.is_empty() {
                secrets::named(walk.member().as_deref(), text, &mut hits);
            }
        }
        if self.wants_any("pii") {
            pii::find(text, &mut hits);
        }
        if self.wants_any("injection") {
            injection::find(text, &mut hits);
        }
        if self.wants_any("hidden") {
            hidden::find(text, &mut hits);
        }
        hits.retain(|hit| self.wants(hit.detector, hit.kind));
        for hit in &mut hits {
            hit.range = spelled.range(&hit.range);
        }
        joined(hits)
    }

    /// Numbers hold what people type with digits alone.
    fn number(self, bytes: &[u8], range: &Range<usize>) -> Vec<Hit> {
        let text = std::str::from_utf8(&bytes[range.clone()]).unwrap_or_default();
        let whole = text.len() >= 13 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !whole || !self.wants("pii", "card") || !pii::is_card(text.as_bytes()) {
            return Vec::new();
        }
        vec![Hit { detector: "pii", kind: "card", range: range.clone() }]
    }

    /// The text with everything blanked that is found in it.
    ///
    /// # Errors
    /// [`NotScanned`]: there may be more in it.
    pub fn blank(self, raw: &Raw, bytes_max: usize) -> Result<(Raw, Vec<Finding>), NotScanned> {
        let Report { findings, unscanned } = self.scan(raw, bytes_max);
        if unscanned > 0 {
            return Err(NotScanned { unscanned });
        }
        Ok((redact(raw, &findings), findings))
    }
}

#[cfg(test)]
thread_local! {
    /// Bytes that were looked at or written, in this thread.
    static SPENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts bytes that are looked at or written, for the tests that hold that they grow as the text does.
#[cfg(test)]
fn spent(bytes: usize) {
    SPENT.with(|spent| spent.set(spent.get() + bytes as u64));
}

#[cfg(not(test))]
#[inline]
const fn spent(_bytes: usize) {}

/// What a detector found in what a string says.
#[derive(Debug)]
struct Hit {
    detector: &'static str,
    kind: &'static str,
    range: Range<usize>,
}

/// By place; of those that overlap one, which begins with the first and ends with the last.
fn joined(mut hits: Vec<Hit>) -> Vec<Hit> {
    spent(hits.len());
    hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end)));
    let mut apart: Vec<Hit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match apart.last_mut() {
            Some(last) if hit.range.start < last.range.end => {
                last.range.end = last.range.end.max(hit.range.end);
            }
            _ => apart.push(hit),
        }
    }
    apart
}

/// The text with something else in place of what was found: parts of strings and names, and whole numbers,
/// are replaced; everything else stays as it is spelled.
///
/// The findings are those of this very text.
#[must_use]
pub fn redact(raw: &Raw, findings: &[Finding]) -> Raw {
    let mut parts: Vec<(Range<usize>, String)> = Vec::with_capacity(findings.len());
    for found in findings {
        let Finding { detector, kind, range, inside, .. } = found;
        let said = match inside {
            Inside::Text => format!("[redacted: {detector}/{kind}]"),
            // Two names must not become one.
            Inside::Name => format!("[redacted: {detector}/{kind} {}]", range.start),
            Inside::Number => format!("\"[redacted: {detector}/{kind}]\""),
        };
        parts.push((range.clone(), said));
    }
    splice(raw, parts)
}

/// Other bytes in place of some, which must not overlap. What overlaps is left out.
fn splice(raw: &Raw, mut parts: Vec<(Range<usize>, String)>) -> Raw {
    if parts.is_empty() {
        return raw.clone();
    }
    parts.sort_by_key(|(range, _)| range.start);
    let bytes = raw.as_bytes();
    let mut out = BytesMut::with_capacity(bytes.len() + parts.len() * 32);
    let mut at = 0;
    for (range, said) in parts {
        let fits = range.start >= at && range.end >= range.start && range.end <= bytes.len();
        if !fits {
            continue;
        }
        out.put_slice(&bytes[at..range.start]);
        out.put_slice(said.as_bytes());
        at = range.end;
    }
    out.put_slice(&bytes[at..]);
    // Findings of another text would cut a string or an escape in two: then nothing of it is given out.
    Raw::parse(out.freeze()).unwrap_or_else(|_| Raw::string(REDACTED))
}

#[cfg(test)]
mod tests;
