//! The audit logs: one of each tenant, which only grows.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::limit::{NAME_BYTES_MAX, TEXT_BYTES_MAX, URI_BYTES_MAX, fits};
use crate::pack::AuditPacked;
use crate::row::{base64_bytes, ms};

/// One line of a log; an entry bundle has no room for a longer one.
pub const AUDIT_LINE_BYTES_MAX: usize = 65_535;
/// What was said or answered, where it is kept.
pub const AUDIT_CONTENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A signed checkpoint.
pub const AUDIT_NOTE_BYTES_MAX: usize = 64 * 1024;
/// How many hashes' bytes a tile has.
const TILE_BYTES_MAX: usize = 256 * 32;
/// Whose log it is.
const LOG_BYTES_MAX: usize = TEXT_BYTES_MAX;

/// A log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLogRow {
    /// Whose: the tenant.
    pub log: String,
    /// How many entries it has, those that were pruned among them.
    pub size: u64,
    /// The first entry that was not pruned.
    pub first: u64,
    /// The digest of the last record, in hex; empty where there is none.
    pub last: String,
    /// How many entries the checkpoint covers.
    pub signed: u64,
    /// The last signed checkpoint; empty where there is none.
    pub checkpoint: String,
    /// Why nothing of it may be forgotten; `None`: it may.
    pub hold: Option<String>,
}

/// An entry of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntryRow {
    /// Whose log.
    pub log: String,
    /// Its place.
    pub index: u64,
    /// When it happened.
    #[serde(with = "ms")]
    pub at: Timestamp,
    /// Who: `tenant/subject`.
    pub principal: String,
    /// What kind of event.
    pub kind: String,
    /// The tool, the prompt or the resource; empty where there is none.
    pub tool: String,
    /// How it ended.
    pub outcome: String,
    /// At which upstream; empty where at none.
    pub upstream: String,
    /// The operation; empty where it has none.
    pub operation: String,
    /// Whether it tells of the operation's beginning, which an end has to follow.
    pub started: bool,
    /// Who wrote it.
    pub writer: String,
    /// The line.
    #[serde(with = "base64_bytes")]
    pub line: Bytes,
}

/// A tile of hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTileRow {
    /// Whose log.
    pub log: String,
    /// The level.
    pub level: u32,
    /// The place in the level.
    pub index: u64,
    /// The hashes.
    #[serde(with = "base64_bytes")]
    pub hashes: Bytes,
}

/// What was said or answered, beside its entry.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditContentRow {
    /// Whose log.
    pub log: String,
    /// The entry's place.
    pub index: u64,
    /// `arguments` or `result`.
    pub part: String,
    /// Who: `tenant/subject`.
    pub principal: String,
    /// When it happened.
    #[serde(with = "ms")]
    pub at: Timestamp,
    /// The salt of the digest in the line, 16 bytes, and what was said.
    #[serde(with = "base64_bytes")]
    pub data: Bytes,
}

impl std::fmt::Debug for AuditContentRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { log, index, part, data, .. } = self;
        let mut shown = f.debug_struct("AuditContentRow");
        shown.field("log", log).field("index", index).field("part", part);
        shown.field("data", &format_args!("{} bytes", data.len())).finish_non_exhaustive()
    }
}

/// A checkpoint that is kept, as the key changed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditNoteRow {
    /// Whose log.
    pub log: String,
    /// How many entries it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// Entries that are added to a log together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditBatch {
    /// Whose log.
    pub log: String,
    /// How many entries it has before.
    pub size: u64,
    /// The digest of the last record, in hex.
    pub last: String,
    /// The entries, in order, from `size` on.
    pub entries: Vec<AuditEntryRow>,
    /// Tiles that are new or longer than before.
    pub tiles: Vec<AuditTileRow>,
    /// What is kept beside entries.
    pub contents: Vec<AuditContentRow>,
}

/// A batch, and the checkpoint that covers all of it where it is signed at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditWrite {
    /// The entries.
    pub batch: AuditBatch,
    /// The checkpoint.
    pub note: Option<AuditNoteRow>,
    /// Whether the checkpoint is kept for good.
    pub keep: bool,
}

impl AuditWrite {
    /// Refuses one of which something is too long, or which does not fit together.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Corrupt`]
    pub fn fits(&self) -> Result<(), StoreError> {
        self.batch.fits()?;
        let Some(note) = &self.note else { return Ok(()) };
        fits("a checkpoint", &note.note, AUDIT_NOTE_BYTES_MAX)?;
        let size = self.batch.size + self.batch.entries.len() as u64;
        if note.log == self.batch.log && note.size == size {
            return Ok(());
        }
        Err(StoreError::Corrupt("a checkpoint is not one of its batch".to_owned()))
    }
}

impl AuditBatch {
    /// Refuses a batch of which something is too long, or which is no batch of one log.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Corrupt`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of a log", &self.log, LOG_BYTES_MAX)?;
        fits("the digest of a record", &self.last, NAME_BYTES_MAX)?;
        self.entries.iter().try_for_each(AuditEntryRow::fits)?;
        self.tiles.iter().try_for_each(|tile| fits("a tile", &tile.hashes, TILE_BYTES_MAX))?;
        self.contents.iter().try_for_each(AuditContentRow::fits)?;
        let entries = (self.size..).zip(&self.entries);
        let in_order =
            entries.into_iter().all(|(index, entry)| entry.index == index && entry.log == self.log);
        let own = self.tiles.iter().map(|tile| &tile.log).chain(self.contents.iter().map(|row| &row.log));
        if in_order && own.into_iter().all(|log| *log == self.log) {
            return Ok(());
        }
        Err(StoreError::Corrupt("a batch is not one of its log".to_owned()))
    }
}

impl AuditEntryRow {
    /// The same, borrowed.
    #[must_use]
    pub fn packed(&self) -> AuditPacked<'_> {
        AuditPacked {
            index: self.index,
            at: self.at,
            started: self.started,
            principal: &self.principal,
            kind: &self.kind,
            tool: &self.tool,
            outcome: &self.outcome,
            upstream: &self.upstream,
            operation: &self.operation,
            writer: &self.writer,
            line: &self.line,
        }
    }

    /// Refuses an entry that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of a log", &self.log, LOG_BYTES_MAX)?;
        fits("a principal", &self.principal, 4 * TEXT_BYTES_MAX)?;
        fits("the kind of an entry", &self.kind, NAME_BYTES_MAX)?;
        fits("the tool of an entry", &self.tool, URI_BYTES_MAX)?;
        fits("the outcome of an entry", &self.outcome, NAME_BYTES_MAX)?;
        fits("the name of an upstream", &self.upstream, NAME_BYTES_MAX)?;
        fits("the name of an operation", &self.operation, NAME_BYTES_MAX)?;
        fits("the name of a writer", &self.writer, NAME_BYTES_MAX)?;
        fits("an entry", &self.line, AUDIT_LINE_BYTES_MAX)
    }
}

impl AuditContentRow {
    /// Refuses a content that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of a log", &self.log, LOG_BYTES_MAX)?;
        fits("a principal", &self.principal, 4 * TEXT_BYTES_MAX)?;
        fits("a part of a content", &self.part, NAME_BYTES_MAX)?;
        fits("a content", &self.data, AUDIT_CONTENT_BYTES_MAX)
    }
}

/// Which entries of a log somebody looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose log.
    pub log: String,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Whose: `tenant/subject`.
    pub principal: Option<String>,
    /// Of which kind.
    pub kind: Option<String>,
    /// Of which tool.
    pub tool: Option<String>,
    /// How they ended.
    pub outcome: Option<String>,
    /// At which upstream.
    pub upstream: Option<String>,
    /// Of which operation.
    pub operation: Option<String>,
    /// What stands in their lines.
    pub text: Option<String>,
}

impl AuditFilter {
    /// Whether an entry is among them.
    #[must_use]
    pub fn takes(&self, row: &AuditEntryRow) -> bool {
        row.log == self.log && self.takes_packed(&row.packed())
    }

    /// Whether an entry of this log is among them.
    #[must_use]
    pub fn takes_packed(&self, row: &AuditPacked<'_>) -> bool {
        let same = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        let text = |text: &String| {
            text.is_empty() || row.line.windows(text.len()).any(|part| part == text.as_bytes())
        };
        self.from.is_none_or(|from| row.at >= from)
            && self.to.is_none_or(|to| row.at < to)
            && same(&self.principal, row.principal)
            && same(&self.kind, row.kind)
            && same(&self.tool, row.tool)
            && same(&self.outcome, row.outcome)
            && same(&self.upstream, row.upstream)
            && same(&self.operation, row.operation)
            && self.text.as_ref().is_none_or(text)
    }
}

/// Reading audit logs. What is promised for [`crate::Store`] holds here, too.
#[async_trait]
pub trait AuditStore: Send + Sync {
    /// A log; `None` where the tenant has none yet.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_log(&self, log: &str) -> Result<Option<AuditLogRow>, StoreError>;

    /// Logs by name, after the one of the name `after` where that is given; at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_logs(&self, after: Option<&str>, limit: usize) -> Result<Vec<AuditLogRow>, StoreError>;

    /// Entries from the place `from` on, in order, at most `limit`. Those that were pruned are missing.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_entries(
        &self,
        log: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError>;

    /// Entries that are looked for, the last first, before the place `before` where that is given; at most
    /// `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError>;

    /// Entries by which a writer told of beginnings, and which no end follows, of all logs; at most `limit`.
    ///
    /// What was asked back has several turns with one operation id: an end counts for what began before it.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_unclosed(&self, writer: &str, limit: usize) -> Result<Vec<AuditEntryRow>, StoreError>;

    /// A tile; `None` where there is none. Pruning leaves it.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_tile(&self, log: &str, level: u32, index: u64) -> Result<Option<Bytes>, StoreError>;

    /// What is kept beside an entry, by part.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_contents(&self, log: &str, index: u64) -> Result<Vec<AuditContentRow>, StoreError>;

    /// The checkpoints that are kept for good, by size.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_notes(&self, log: &str) -> Result<Vec<AuditNoteRow>, StoreError>;
}

/// Changing audit logs. What is promised for [`crate::Tx`] holds here, too.
#[async_trait]
pub trait AuditTx: Send {
    /// Adds entries to a log, all or none. `false` where it has not the size that the batch expects, as
    /// another one has added to it; nothing is changed then.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn audit_append(&mut self, batch: &AuditBatch) -> Result<bool, StoreError>;

    /// Puts a signed checkpoint in place of the last one, and keeps it for good where `keep` says so. `false`
    /// where the log is shorter than it says, or has one of more entries.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn audit_sign(&mut self, row: &AuditNoteRow, keep: bool) -> Result<bool, StoreError>;

    /// Says why nothing of a log may be forgotten, or that it may. `false` where there is no such log.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn audit_hold(&mut self, log: &str, why: Option<&str>) -> Result<bool, StoreError>;

    /// Forgets the entries before a place, with what is kept beside them; their hashes stay. Says how many
    /// they were: none of a log that is held, and none where the place is not in the log.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError>;

    /// Forgets what is kept beside entries of a principal, or of all where none is named, from before a time;
    /// at most `limit`. The entries stay. Says how many: none of a log that is held.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn audit_content_erase(
        &mut self,
        log: &str,
        principal: Option<&str>,
        before: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError>;
}
