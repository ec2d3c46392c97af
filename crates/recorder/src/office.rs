//! What the recorder keeps for itself in the store, as small versioned rows: who writes, and how far exports
//! have come.

use std::collections::BTreeSet;

use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{GrantFilter, GrantRow, Store, StoreError};

/// What the rows are for, in place of an upstream, which nobody can call so.
const AUDIT: &str = "@audit";
const WRITER: &str = "~audit/writer/";
const CURSOR: &str = "~audit/cursor/";
/// As late as a time can be written: the year 9999.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);
/// Writers that are read at once.
const PAGE: usize = 500;

/// A process that writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Writer {
    /// Its name.
    pub(crate) name: String,
    /// When it told of itself last.
    pub(crate) beat: u64,
    /// Whether nothing is answered before it is durable.
    pub(crate) strict: bool,
    /// How many events may wait in it, those included that it is about to write.
    pub(crate) queue: u64,
    /// The logs that it writes to.
    pub(crate) logs: BTreeSet<String>,
}

/// How far an export has come in a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The first entry that was not delivered.
    pub next: u64,
    /// Up to where the delivery goes that is under way, where that one has to be repeated as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<u64>,
    /// The version of the row.
    #[serde(skip)]
    version: u64,
}

/// These rows.
#[derive(Clone, Copy)]
pub struct AuditOffice<'a>(pub &'a dyn Store);

fn row(name: String, version: u64, data: &impl Serialize) -> GrantRow {
    GrantRow {
        name,
        tenant: AUDIT.to_owned(),
        holder: String::new(),
        upstream: AUDIT.to_owned(),
        version,
        expires: NEVER,
        data: Bytes::from(json!(data).to_string()),
    }
}

impl AuditOffice<'_> {
    async fn put(self, row: &GrantRow) -> Result<bool, StoreError> {
        let mut tx = self.0.begin().await?;
        let put = tx.grant_put(row).await?;
        tx.commit().await?;
        Ok(put)
    }

    pub(crate) async fn writer_put(self, writer: &Writer) -> Result<(), StoreError> {
        let name = format!("{WRITER}{}", writer.name);
        let version = self.0.grant(&name).await?.map_or(0, |found| found.version);
        self.put(&row(name, version, writer)).await.map(drop)
    }

    pub(crate) async fn writer_remove(self, name: &str) -> Result<(), StoreError> {
        let mut tx = self.0.begin().await?;
        tx.grant_remove(&format!("{WRITER}{name}")).await?;
        tx.commit().await
    }

    pub(crate) async fn writers(self) -> Result<Vec<Writer>, StoreError> {
        let filter = GrantFilter { upstream: Some(AUDIT.to_owned()), ..GrantFilter::default() };
        let rows = self.0.grants(&filter, Some(WRITER), PAGE).await?;
        let own = rows.iter().filter(|row| row.name.starts_with(WRITER));
        Ok(own.filter_map(|row| serde_json::from_slice(&row.data).ok()).collect())
    }

    fn cursor_name(export: &str, log: &str) -> String {
        let digest = seal::sha256(&[export.as_bytes(), b"\0", log.as_bytes()].concat());
        format!("{CURSOR}{}", audit::hex(&digest))
    }

    /// How far an export has come in a log.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    pub async fn cursor(self, export: &str, log: &str) -> Result<Cursor, StoreError> {
        let Some(row) = self.0.grant(&Self::cursor_name(export, log)).await? else {
            return Ok(Cursor::default());
        };
        let cursor: Option<Cursor> = serde_json::from_slice(&row.data).ok();
        Ok(Cursor { version: row.version, ..cursor.unwrap_or_default() })
    }

    /// Says that an export has come so far. `false` where another one moved it since `from` was read.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    pub async fn cursor_move(
        self,
        export: &str,
        log: &str,
        from: Cursor,
        next: u64,
    ) -> Result<bool, StoreError> {
        let cursor = Cursor { next, until: None, version: from.version };
        self.put(&row(Self::cursor_name(export, log), from.version, &cursor)).await
    }
    /// Says up to where the delivery goes that begins now. `false` where another one moved the cursor.
    pub(crate) async fn cursor_plan(
        self,
        export: &str,
        log: &str,
        from: Cursor,
        until: u64,
    ) -> Result<bool, StoreError> {
        let cursor = Cursor { until: Some(until), ..from };
        self.put(&row(Self::cursor_name(export, log), from.version, &cursor)).await
    }
}
