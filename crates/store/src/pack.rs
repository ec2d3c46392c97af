//! Entries of an audit log as databases keep them: those of a commit in one row.
//!
//! A row and its indexes for each entry cost most of what recording a call cost. In a pack an entry is its
//! head and what the head has the lengths of; the head is of decimal digits, so that a migration can write
//! and read it with nothing but SQL:
//!
//! ```text
//! at 20 · started 1 · principal, kind, tool, outcome, upstream, operation, writer, line 5 each
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::Timestamp;

use crate::{AuditEntryRow, AuditFilter, StoreError};

/// As long as a pack that more is added to may become: a log with an entry a commit has few rows, too.
pub const AUDIT_PACK_BYTES: usize = 24 * 1024;
/// How many bytes of an operation are its mark.
const MARK: usize = 8;
const AT: usize = 20;
const LENGTH: usize = 5;
/// Texts and the line.
const PARTS: usize = 8;
const HEAD: usize = AT + 1 + PARTS * LENGTH;

/// An entry in a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPacked<'a> {
    /// Its place.
    pub index: u64,
    /// When it happened.
    pub at: Timestamp,
    /// Whether it tells of a beginning.
    pub started: bool,
    /// Who: `tenant/subject`.
    pub principal: &'a str,
    /// What kind of event.
    pub kind: &'a str,
    /// The tool, the prompt or the resource.
    pub tool: &'a str,
    /// How it ended.
    pub outcome: &'a str,
    /// At which upstream.
    pub upstream: &'a str,
    /// The operation.
    pub operation: &'a str,
    /// Who wrote it.
    pub writer: &'a str,
    /// The line.
    pub line: &'a [u8],
}

impl AuditPacked<'_> {
    /// The entry by itself.
    #[must_use]
    pub fn row(&self, log: &str) -> AuditEntryRow {
        AuditEntryRow {
            log: log.to_owned(),
            index: self.index,
            at: self.at,
            principal: self.principal.to_owned(),
            kind: self.kind.to_owned(),
            tool: self.tool.to_owned(),
            outcome: self.outcome.to_owned(),
            upstream: self.upstream.to_owned(),
            operation: self.operation.to_owned(),
            started: self.started,
            writer: self.writer.to_owned(),
            line: Bytes::copy_from_slice(self.line),
        }
    }
}

/// Entries that follow each other, packed, and what a database is asked to find them by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPack<'a> {
    /// The place of the first.
    pub first: u64,
    /// The place after the last.
    pub next: u64,
    /// When the earliest happened.
    pub from: Timestamp,
    /// When the latest did.
    pub to: Timestamp,
    /// The marks of their operations.
    pub marks: Vec<u8>,
    /// The entries.
    pub entries: Vec<u8>,
    /// Whose they are.
    pub principals: BTreeSet<&'a str>,
    /// Beginnings that no end among them follows: the operation and the place, and the writer.
    pub opened: BTreeMap<(&'a str, u64), &'a str>,
    /// Operations of which an end is among them, which closes what began before them.
    pub ended: BTreeSet<&'a str>,
}

impl<'a> AuditPack<'a> {
    /// Packs entries that follow each other.
    #[must_use]
    pub fn new(rows: &'a [AuditEntryRow]) -> Self {
        let mut pack = Self::default();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return pack };
        pack.first = first.index;
        pack.next = last.index + 1;
        pack.from = rows.iter().map(|row| row.at).min().unwrap_or_default();
        pack.to = rows.iter().map(|row| row.at).max().unwrap_or_default();
        pack.entries.reserve(rows.iter().map(|row| HEAD + 160 + row.line.len()).sum());
        let mut last = "";
        for row in rows {
            write(row, &mut pack.entries);
            if row.principal != last {
                last = &row.principal;
                pack.principals.insert(last);
            }
            if row.started {
                pack.opened.insert((&row.operation, row.index), &row.writer);
            }
            if row.operation.is_empty() {
                continue;
            }
            pack.marks.push(b'\n');
            pack.marks.extend_from_slice(mark(&row.operation));
            if !row.started {
                pack.ended.insert(&row.operation);
                let of = |index| (row.operation.as_str(), index);
                let open = |pack: &Self| pack.opened.range(of(0)..=of(u64::MAX)).next().map(|(key, _)| *key);
                while let Some(key) = open(&pack) {
                    pack.opened.remove(&key);
                }
            }
        }
        pack
    }
}

/// What entries of an operation are found by; they are then looked at.
#[must_use]
pub fn mark(operation: &str) -> &[u8] {
    &operation.as_bytes()[operation.len().saturating_sub(MARK)..]
}

/// Writes a number with so many digits.
fn digits(number: u64, width: usize, to: &mut Vec<u8>) {
    let from = to.len();
    to.resize(from + width, b'0');
    let mut left = number;
    for place in to[from..].iter_mut().rev() {
        if left == 0 {
            break;
        }
        *place = b'0' + (left % 10) as u8;
        left /= 10;
    }
}

fn write(row: &AuditEntryRow, to: &mut Vec<u8>) {
    let parts: [&[u8]; PARTS] = [
        row.principal.as_bytes(),
        row.kind.as_bytes(),
        row.tool.as_bytes(),
        row.outcome.as_bytes(),
        row.upstream.as_bytes(),
        row.operation.as_bytes(),
        row.writer.as_bytes(),
        &row.line,
    ];
    digits(row.at.0, AT, to);
    to.push(if row.started { b'1' } else { b'0' });
    parts.iter().for_each(|part| digits(part.len() as u64, LENGTH, to));
    parts.iter().for_each(|part| to.extend_from_slice(part));
}

/// Reads a pack.
#[derive(Debug, Clone)]
pub struct AuditUnpack<'a> {
    rest: &'a [u8],
    index: u64,
}

impl<'a> AuditUnpack<'a> {
    /// The entries of a pack, the first of which has this place.
    #[must_use]
    pub fn new(entries: &'a [u8], first: u64) -> Self {
        Self { rest: entries, index: first }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (part, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(part)
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn entry(&mut self) -> Option<AuditPacked<'a>> {
        let head = self.take(HEAD)?;
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u64, |number, digit| {
                let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
                number.checked_mul(10)?.checked_add(digit)
            })
        };
        let (at, rest) = head.split_at(AT);
        let (started, lengths) = rest.split_at(1);
        let mut parts = [0; PARTS];
        for (part, length) in parts.iter_mut().zip(lengths.chunks(LENGTH)) {
            *part = usize::try_from(number(length)?).ok()?;
        }
        let index = self.index;
        self.index += 1;
        Some(AuditPacked {
            index,
            at: Timestamp(number(at)?),
            started: started == b"1",
            principal: self.text(parts[0])?,
            kind: self.text(parts[1])?,
            tool: self.text(parts[2])?,
            outcome: self.text(parts[3])?,
            upstream: self.text(parts[4])?,
            operation: self.text(parts[5])?,
            writer: self.text(parts[6])?,
            line: self.take(parts[7])?,
        })
    }
}

impl<'a> Iterator for AuditUnpack<'a> {
    type Item = Result<AuditPacked<'a>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some(entry) = self.entry() else {
            self.rest = &[];
            let text = format!("entries of an audit log cannot be read from {} on", self.index);
            return Some(Err(StoreError::Corrupt(text)));
        };
        Some(Ok(entry))
    }
}

/// Takes entries from packs that come in order, until there are enough.
///
/// # Errors
/// [`StoreError::Corrupt`]
pub fn audit_take(
    log: &str,
    (first, entries): (u64, &[u8]),
    from: u64,
    most: usize,
    found: &mut Vec<AuditEntryRow>,
) -> Result<(), StoreError> {
    for entry in AuditUnpack::new(entries, first) {
        let entry = entry?;
        if found.len() >= most {
            break;
        }
        if entry.index >= from {
            found.push(entry.row(log));
        }
    }
    Ok(())
}

/// Takes those that are looked for, the last first, from packs of which the last comes first.
///
/// # Errors
/// [`StoreError::Corrupt`]
pub fn audit_pick(
    filter: &AuditFilter,
    (first, entries): (u64, &[u8]),
    before: Option<u64>,
    most: usize,
    found: &mut Vec<AuditEntryRow>,
) -> Result<(), StoreError> {
    let mut picked = Vec::new();
    for entry in AuditUnpack::new(entries, first) {
        let entry = entry?;
        if before.is_none_or(|before| entry.index < before) && filter.takes_packed(&entry) {
            picked.push(entry);
        }
    }
    let room = most.saturating_sub(found.len());
    found.extend(picked.iter().rev().take(room).map(|entry| entry.row(&filter.log)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(index: u64, operation: &str, started: bool) -> AuditEntryRow {
        AuditEntryRow {
            log: "acme".to_owned(),
            index,
            at: Timestamp(1_000 + index),
            principal: "acme/ann".to_owned(),
            kind: "tool_call".to_owned(),
            tool: String::new(),
            outcome: "allowed".to_owned(),
            upstream: "\u{fc}\u{1f600}".to_owned(),
            operation: operation.to_owned(),
            started,
            writer: "w".to_owned(),
            line: Bytes::from_static(b"{}\0\xff"),
        }
    }

    #[test]
    fn a_pack_has_its_entries_and_what_they_are_found_by() {
        let rows = [
            row(7, "operation-1", true),
            row(8, "operation-2", true),
            row(9, "operation-1", false),
            row(10, "", true),
            row(11, "before-1", false),
        ];
        let pack = AuditPack::new(&rows);
        assert_eq!((pack.first, pack.next, pack.from.0, pack.to.0), (7, 12, 1_007, 1_011));
        assert_eq!(pack.opened, [(("operation-2", 8), "w"), (("", 10), "w")].into());
        assert_eq!(pack.ended.iter().copied().collect::<Vec<_>>(), ["before-1", "operation-1"]);
        assert_eq!(pack.marks, b"\nration-1\nration-2\nration-1\nbefore-1");
        let at = "00000000000000001007";
        let head = format!("{at}1{}acme/anntool_call", "0000800009000000000700006000110000100004");
        assert!(pack.entries.starts_with(head.as_bytes()), "{}", pack.entries.escape_ascii());
        assert_eq!(unpacked(&rows), rows);
    }

    fn unpacked(rows: &[AuditEntryRow]) -> Vec<AuditEntryRow> {
        let pack = AuditPack::new(rows);
        let read: Result<Vec<_>, _> = AuditUnpack::new(&pack.entries, pack.first).collect();
        read.expect("entries").iter().map(|entry| entry.row("acme")).collect()
    }

    fn some_rows() -> impl Strategy<Value = Vec<AuditEntryRow>> {
        let parts = (any::<u64>(), any::<bool>(), ".{0,20}", ".{0,9}", ".{0,99}");
        let parts = prop::collection::vec(parts, 0..9);
        parts.prop_map(|parts| {
            let row =
                |(index, (at, started, principal, operation, line)): (u64, (_, _, _, String, String))| {
                    let (at, line) = (Timestamp(at), Bytes::from(line));
                    AuditEntryRow { at, principal, line, ..row(index, &operation, started) }
                };
            (0..).zip(parts).map(row).collect()
        })
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(rows in some_rows()) {
            prop_assert_eq!(unpacked(&rows), rows);
        }

        #[test]
        fn what_is_no_pack_is_said_to_be_none(
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            cut in 1_usize..70,
        ) {
            let garbage = AuditUnpack::new(&bytes, 0).take(9).collect::<Result<Vec<_>, _>>();
            prop_assert!(garbage.is_err() || bytes.iter().take(20).all(u8::is_ascii_digit));
            let rows = [row(0, "operation", false)];
            let entries = AuditPack::new(&rows).entries;
            let short = &entries[..entries.len() - cut];
            prop_assert!(AuditUnpack::new(short, 0).next().is_none_or(|entry| entry.is_err()));
        }
    }
}
