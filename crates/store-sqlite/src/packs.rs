//! Entries of audit logs, in packs.

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, QueryBuilder, Row as _, Sqlite, SqliteConnection};
use store::{
    AUDIT_PACK_BYTES, AuditBatch, AuditEntryRow, AuditFilter, AuditNoteRow, AuditPack, AuditUnpack,
    AuditWrite, Record, RecordSink, StoreError, audit_mark, audit_pick, audit_take,
};

use crate::SqliteStore;
use crate::failure::{failed, in_commit, is_missing};
use crate::rows::{self, int};
use crate::task_reads::limit;
use crate::tx::Change;
use crate::writer::Job;

/// Packs that are read at once: a pack may have the entries of a large commit.
const AT_ONCE: i64 = 16;
/// How many values the statements have in common. They are named `$n`: of numbers as `?n` those that a
/// statement leaves out are taken for others.
const VALUES: usize = 13;

/// Makes a log longer, where it is as long as it should be. `$1` is the log, `$2` and `$3` how long it is
/// before and after, `$4` the digest of its last record.
pub(crate) const GROW: &str = "INSERT INTO audit_logs (log, size, first, last, signed, checkpoint) \
    SELECT $1, $3, 0, $4, 0, '' WHERE $2 = 0 OR EXISTS (SELECT 1 FROM audit_logs WHERE log = $1) \
    ON CONFLICT (log) DO UPDATE SET size = $3, last = $4 WHERE size = $2; ";

/// Adds a pack, or more to the last one where that is short. `{log}` is whose it is.
const PACK: &str = "INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries) \
    SELECT {log}, coalesce((SELECT CASE WHEN next = $2 AND length(entries) + length($8) < {most} \
    THEN first END FROM audit_packs WHERE log = $1 ORDER BY first DESC LIMIT 1), $2), \
    $3, $5, $6, $7, $8 WHERE true \
    ON CONFLICT (log, first) DO UPDATE SET next = excluded.next, from_at = min(from_at, excluded.from_at), \
    to_at = max(to_at, excluded.to_at), marks = CAST(marks || excluded.marks AS BLOB), \
    entries = CAST(entries || excluded.entries AS BLOB); \
    INSERT INTO audit_principals (log, principal, first, from_at, to_at) \
    SELECT $1, value, (SELECT max(first) FROM audit_packs WHERE log = $1), $5, $6 \
    FROM json_each($9) WHERE true \
    ON CONFLICT (log, principal, first) DO UPDATE SET from_at = min(from_at, excluded.from_at), \
    to_at = max(to_at, excluded.to_at); \
    DELETE FROM audit_open WHERE log = $1 AND operation IN (SELECT value FROM json_each($10)); \
    INSERT OR REPLACE INTO audit_open (log, operation, idx, writer) \
    SELECT $1, value ->> 0, value ->> 1, value ->> 2 FROM json_each($11); ";

/// Whose it is, unless the log did not grow: then it is nobody's, which is refused.
const GROWN: &str = "(SELECT log FROM audit_logs WHERE log = $1 AND size = $3 AND last = $4)";

const SIGN: &str = "UPDATE audit_logs SET signed = $12, checkpoint = $13 \
    WHERE log = $1 AND size >= $12 AND signed <= $12; ";
const KEEP: &str = "INSERT OR REPLACE INTO audit_notes (log, size, note) VALUES ($1, $12, $13); ";

fn pack_text(log: &str) -> String {
    PACK.replace("{log}", log).replace("{most}", &AUDIT_PACK_BYTES.to_string())
}

fn too_much<E: std::fmt::Display>(error: E) -> StoreError {
    StoreError::Corrupt(format!("a batch is none: {error}"))
}

/// What the statements have in common.
fn arguments(
    batch: &AuditBatch,
    pack: &AuditPack<'_>,
    note: Option<&AuditNoteRow>,
) -> Result<SqliteArguments, StoreError> {
    let json = |value: serde_json::Result<String>| value.map_err(too_much);
    let principals = json(serde_json::to_string(&pack.principals))?;
    let ended = json(serde_json::to_string(&pack.ended))?;
    let opened: Vec<_> =
        pack.opened.iter().map(|((operation, index), writer)| (operation, int(*index), writer)).collect();
    let opened = json(serde_json::to_string(&opened))?;
    let size = batch.size + batch.entries.len() as u64;
    let mut values = SqliteArguments::default();
    let add = || -> Result<(), sqlx::error::BoxDynError> {
        values.add(&batch.log)?;
        values.add(int(batch.size))?;
        values.add(int(size))?;
        values.add(&batch.last)?;
        values.add(int(pack.from.0))?;
        values.add(int(pack.to.0))?;
        values.add(&pack.marks[..])?;
        values.add(&pack.entries[..])?;
        values.add(principals)?;
        values.add(ended)?;
        values.add(opened)?;
        values.add(note.map(|note| int(note.size)))?;
        values.add(note.map(|note| &*note.note))?;
        for tile in &batch.tiles {
            values.add(i64::from(tile.level))?;
            values.add(int(tile.index))?;
            values.add(&tile.hashes[..])?;
        }
        for row in &batch.contents {
            values.add(int(row.index))?;
            values.add(&row.part)?;
            values.add(&row.principal)?;
            values.add(int(row.at.0))?;
            values.add(&row.data[..])?;
        }
        Ok(())
    };
    add().map_err(too_much)?;
    Ok(values)
}

/// Adds what goes with the entries to a text of statements, whose values come after the common ones.
fn beside(batch: &AuditBatch, text: &mut String) {
    use std::fmt::Write as _;
    let mut at = VALUES;
    for _ in &batch.tiles {
        let (level, index, hashes) = (at + 1, at + 2, at + 3);
        let put = "INSERT OR REPLACE INTO audit_tiles (log, level, idx, hashes) VALUES";
        let _ = write!(text, "{put} ($1, ${level}, ${index}, ${hashes}); ");
        at += 3;
    }
    for _ in &batch.contents {
        let put = "INSERT INTO audit_contents (log, idx, part, principal, at, data) VALUES";
        let values: Vec<String> = (at + 1..=at + 5).map(|value| format!("${value}")).collect();
        let _ = write!(text, "{put} ($1, {}); ", values.join(", "));
        at += 5;
    }
}

/// Adds batches, each with one request: whatever is asked of SQLite wakes the thread that has the file, and
/// then whoever asked, and each waits for its turn where every core is busy.
struct Append(Vec<(String, SqliteArguments)>);

impl Append {
    fn new(writes: &[AuditWrite]) -> Result<Self, StoreError> {
        let mut requests = Vec::with_capacity(writes.len());
        for (number, write) in writes.iter().enumerate() {
            write.fits()?;
            let pack = AuditPack::new(&write.batch.entries);
            let mut text = if number == 0 { "BEGIN IMMEDIATE; " } else { "" }.to_owned();
            text.push_str(GROW);
            text.push_str(&pack_text(GROWN));
            beside(&write.batch, &mut text);
            if write.note.is_some() {
                text.push_str(SIGN);
                text.push_str(if write.keep { KEEP } else { "" });
            }
            text.push_str(if number + 1 == writes.len() { "COMMIT" } else { "" });
            requests.push((text, arguments(&write.batch, &pack, write.note.as_ref())?));
        }
        Ok(Self(requests))
    }
}

#[async_trait::async_trait]
impl Job for Append {
    async fn run(self: Box<Self>, connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        for (text, values) in self.0 {
            let request = sqlx::query_with(sqlx::AssertSqlSafe(text), values);
            match request.execute(&mut *connection).await {
                Ok(_) => {}
                Err(error) if is_missing(&error) => return Ok(false),
                // Whether it was the commit that failed is not known.
                Err(error) => return Err(in_commit(&error)),
            }
        }
        Ok(true)
    }
}

impl SqliteStore {
    pub(crate) async fn packs_write(&self, writes: &[AuditWrite]) -> Result<bool, StoreError> {
        self.writer.whole(Box::new(Append::new(writes)?)).await
    }

    /// Packs, by a query that ends with what is bound here: the last place, and how many at most.
    pub(crate) async fn packs_entries(
        &self,
        log: &str,
        from: u64,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let query = "SELECT first, entries FROM audit_packs WHERE log = ?1 AND first >= \
                     coalesce((SELECT max(first) FROM audit_packs WHERE log = ?1 AND first <= ?2), 0) \
                     ORDER BY first";
        let mut packs = sqlx::query(query).bind(log).bind(int(from)).fetch(&self.readers);
        let mut found = Vec::new();
        while found.len() < most
            && let Some(row) = packs.try_next().await.map_err(failed)?
        {
            let (first, entries) = pack(&row).map_err(failed)?;
            audit_take(log, (first, entries), from, most, &mut found)?;
        }
        Ok(found)
    }

    pub(crate) async fn packs_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let mut found = Vec::new();
        let mut below = before.map_or(i64::MAX, int);
        while found.len() < most {
            let rows = wanted(filter, below).build().fetch_all(&self.readers).await.map_err(failed)?;
            for row in &rows {
                let (first, entries) = pack(row).map_err(failed)?;
                below = int(first);
                audit_pick(filter, (first, entries), before, most, &mut found)?;
            }
            if i64::try_from(rows.len()).unwrap_or(i64::MAX) < AT_ONCE {
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn packs_unclosed(
        &self,
        writer: &str,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let query = "SELECT log, idx FROM audit_open WHERE writer = ? ORDER BY log, idx LIMIT ?";
        let open = sqlx::query(query).bind(writer).bind(limit(most)).fetch_all(&self.readers).await;
        let mut found = Vec::new();
        for row in open.map_err(failed)? {
            let (log, index): (String, u64) =
                (row.try_get("log").map_err(failed)?, rows::number(&row, "idx").map_err(failed)?);
            let entry = self.packs_entries(&log, index, 1).await?.pop();
            found.extend(entry.filter(|entry| entry.index == index));
        }
        Ok(found)
    }
}

/// The packs in which something of what is looked for may be, the last first.
fn wanted(filter: &AuditFilter, below: i64) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT p.first, p.entries FROM ");
    // Where somebody is looked for, the packs with something of his are few; they are found first.
    let of = if let Some(principal) = &filter.principal {
        query.push("audit_principals i CROSS JOIN audit_packs p ON p.log = i.log AND p.first = i.first");
        query.push(" WHERE i.principal = ").push_bind(principal.clone()).push(" AND i.log = ");
        "i"
    } else {
        query.push("audit_packs p WHERE p.log = ");
        "p"
    };
    query.push_bind(filter.log.clone());
    query.push(format_args!(" AND {of}.first < ")).push_bind(below);
    if let Some(from) = filter.from {
        query.push(format_args!(" AND {of}.to_at >= ")).push_bind(int(from.0));
    }
    if let Some(to) = filter.to {
        query.push(format_args!(" AND {of}.from_at < ")).push_bind(int(to.0));
    }
    if let Some(operation) = filter.operation.as_ref().filter(|operation| !operation.is_empty()) {
        query.push(" AND instr(p.marks, ").push_bind(audit_mark(operation).to_vec()).push(") > 0");
    }
    query.push(format_args!(" ORDER BY {of}.first DESC LIMIT ")).push_bind(AT_ONCE);
    query
}

fn pack(row: &SqliteRow) -> Result<(u64, &[u8]), sqlx::Error> {
    Ok((rows::number(row, "first")?, row.try_get("entries")?))
}

/// All entries of all logs.
pub(crate) async fn export(moment: &mut SqliteConnection, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let query = "SELECT log, first, entries FROM audit_packs ORDER BY log, first";
    let mut packs = sqlx::query(query).fetch(&mut *moment);
    while let Some(row) = packs.try_next().await.map_err(failed)? {
        let log: String = row.try_get("log").map_err(failed)?;
        let (first, entries) = pack(&row).map_err(failed)?;
        for entry in AuditUnpack::new(entries, first) {
            to.put(Record::AuditEntry(entry?.row(&log))).await?;
        }
    }
    Ok(())
}

impl Change {
    /// Adds entries and what goes with them to a log that has grown.
    pub(crate) async fn packs_append(&mut self, batch: &AuditBatch) -> Result<(), StoreError> {
        let pack = AuditPack::new(&batch.entries);
        let mut text = if batch.entries.is_empty() { String::new() } else { pack_text("$1") };
        beside(batch, &mut text);
        if text.is_empty() {
            return Ok(());
        }
        let values = arguments(batch, &pack, None)?;
        self.run(sqlx::query_with(sqlx::AssertSqlSafe(text), values)).await.map(drop)
    }

    /// Forgets the entries before a place. Says how many they were.
    pub(crate) async fn packs_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError> {
        let count = "SELECT coalesce(sum(min(next, ?2) - first), 0) AS count FROM audit_packs \
                     WHERE log = ?1 AND first < ?2";
        let row = self.find(sqlx::query(count).bind(log).bind(int(below))).await?;
        let count = row.map_or(Ok(0), |row| rows::number(&row, "count")).map_err(failed)?;
        let half = "SELECT first, entries FROM audit_packs WHERE log = ?1 AND first < ?2 AND next > ?2";
        let half = self.find(sqlx::query(half).bind(log).bind(int(below))).await?;
        let mut left = Vec::new();
        if let Some(row) = &half {
            audit_take(log, pack(row).map_err(failed)?, below, usize::MAX, &mut left)?;
        }
        for forget in [
            "DELETE FROM audit_packs WHERE log = ? AND first < ?",
            "DELETE FROM audit_principals WHERE log = ? AND first < ?",
            "DELETE FROM audit_open WHERE log = ? AND idx < ?",
        ] {
            self.run(sqlx::query(forget).bind(log).bind(int(below))).await?;
        }
        if !left.is_empty() {
            self.pack_put(log, &AuditPack::new(&left)).await?;
        }
        Ok(count)
    }

    /// Puts what is left of a pack. What is open of it is known.
    async fn pack_put(&mut self, log: &str, pack: &AuditPack<'_>) -> Result<(), StoreError> {
        let put = "INSERT INTO audit_packs (log, first, next, from_at, to_at, marks, entries) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let put = sqlx::query(put).bind(log).bind(int(pack.first)).bind(int(pack.next));
        let put = put.bind(int(pack.from.0)).bind(int(pack.to.0));
        self.run(put.bind(&pack.marks[..]).bind(&pack.entries[..])).await?;
        for principal in &pack.principals {
            let put = "INSERT INTO audit_principals (log, principal, first, from_at, to_at) \
                       VALUES (?, ?, ?, ?, ?)";
            let put = sqlx::query(put).bind(log).bind(*principal).bind(int(pack.first));
            self.run(put.bind(int(pack.from.0)).bind(int(pack.to.0))).await?;
        }
        Ok(())
    }
}
