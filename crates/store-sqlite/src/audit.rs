//! Audit logs.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use store::{
    AUDIT_NOTE_BYTES_MAX, AuditBatch, AuditContentRow, AuditEntryRow, AuditFilter, AuditLogRow, AuditNoteRow,
    AuditStore, AuditTileRow, AuditTx, Record, RecordSink, StoreError, TEXT_BYTES_MAX, fits,
};

use crate::SqliteStore;
use crate::failure::failed;
use crate::packs;
use crate::rows::{self, int};
use crate::task_reads::limit;
use crate::tx::{Change, Statement};

fn log(row: &SqliteRow) -> Result<AuditLogRow, sqlx::Error> {
    Ok(AuditLogRow {
        log: row.try_get("log")?,
        size: rows::number(row, "size")?,
        first: rows::number(row, "first")?,
        last: row.try_get("last")?,
        signed: rows::number(row, "signed")?,
        checkpoint: row.try_get("checkpoint")?,
        hold: row.try_get("hold")?,
    })
}

fn tile(row: &SqliteRow) -> Result<AuditTileRow, sqlx::Error> {
    Ok(AuditTileRow {
        log: row.try_get("log")?,
        level: u32::try_from(rows::number(row, "level")?).unwrap_or(u32::MAX),
        index: rows::number(row, "idx")?,
        hashes: rows::bytes(row, "hashes")?,
    })
}

fn content(row: &SqliteRow) -> Result<AuditContentRow, sqlx::Error> {
    Ok(AuditContentRow {
        log: row.try_get("log")?,
        index: rows::number(row, "idx")?,
        part: row.try_get("part")?,
        principal: row.try_get("principal")?,
        at: rows::time(row, "at")?,
        data: rows::bytes(row, "data")?,
    })
}

fn note(row: &SqliteRow) -> Result<AuditNoteRow, sqlx::Error> {
    Ok(AuditNoteRow {
        log: row.try_get("log")?,
        size: rows::number(row, "size")?,
        note: row.try_get("note")?,
    })
}

/// All that a store holds of audit logs.
pub(crate) async fn export(moment: &mut SqliteConnection, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let logs: (&'static str, Read) =
        ("SELECT * FROM audit_logs ORDER BY log", |row| log(row).map(Record::AuditLog));
    let rest: [(&'static str, Read); 3] = [
        ("SELECT * FROM audit_tiles ORDER BY log, level, idx", |row| tile(row).map(Record::AuditTile)),
        ("SELECT * FROM audit_contents ORDER BY log, idx, part", |row| {
            content(row).map(Record::AuditContent)
        }),
        ("SELECT * FROM audit_notes ORDER BY log, size", |row| note(row).map(Record::AuditNote)),
    ];
    give(moment, logs, to).await?;
    packs::export(moment, to).await?;
    for each in rest {
        give(moment, each, to).await?;
    }
    Ok(())
}

type Read = fn(&SqliteRow) -> Result<Record, sqlx::Error>;

/// All rows of a table.
async fn give(
    moment: &mut SqliteConnection,
    (query, read): (&'static str, Read),
    to: &mut dyn RecordSink,
) -> Result<(), StoreError> {
    use futures_util::TryStreamExt as _;
    let mut found = sqlx::query(query).fetch(&mut *moment);
    while let Some(row) = found.try_next().await.map_err(failed)? {
        to.put(read(&row).map_err(failed)?).await?;
    }
    Ok(())
}

impl SqliteStore {
    async fn audit_all<T>(
        &self,
        query: Statement<'_>,
        read: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
    ) -> Result<Vec<T>, StoreError> {
        let found = query.fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(read).collect::<Result<_, _>>().map_err(failed)
    }
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn audit_log(&self, name: &str) -> Result<Option<AuditLogRow>, StoreError> {
        let query = sqlx::query("SELECT * FROM audit_logs WHERE log = ?").bind(name);
        Ok(self.audit_all(query, log).await?.pop())
    }

    async fn audit_logs(&self, after: Option<&str>, most: usize) -> Result<Vec<AuditLogRow>, StoreError> {
        let query = "SELECT * FROM audit_logs WHERE ?1 IS NULL OR log > ?1 ORDER BY log LIMIT ?2";
        self.audit_all(sqlx::query(query).bind(after).bind(limit(most)), log).await
    }

    async fn audit_entries(
        &self,
        log: &str,
        from: u64,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.packs_entries(log, from, most).await
    }

    async fn audit_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        most: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.packs_query(filter, before, most).await
    }

    async fn audit_unclosed(&self, writer: &str, most: usize) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.packs_unclosed(writer, most).await
    }

    async fn audit_tile(&self, log: &str, level: u32, index: u64) -> Result<Option<Bytes>, StoreError> {
        let query = "SELECT hashes FROM audit_tiles WHERE log = ? AND level = ? AND idx = ?";
        let query = sqlx::query(query).bind(log).bind(i64::from(level)).bind(int(index));
        Ok(self.audit_all(query, |row| rows::bytes(row, "hashes")).await?.pop())
    }

    async fn audit_contents(&self, log: &str, index: u64) -> Result<Vec<AuditContentRow>, StoreError> {
        let query = "SELECT * FROM audit_contents WHERE log = ? AND idx = ? ORDER BY part";
        self.audit_all(sqlx::query(query).bind(log).bind(int(index)), content).await
    }

    async fn audit_notes(&self, log: &str) -> Result<Vec<AuditNoteRow>, StoreError> {
        let query = "SELECT * FROM audit_notes WHERE log = ? ORDER BY size";
        self.audit_all(sqlx::query(query).bind(log), note).await
    }
}

impl Change {
    /// Something of another store.
    pub(crate) async fn audit_record(&mut self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::AuditLog(row) => {
                let put = "INSERT INTO audit_logs (log, size, first, last, signed, checkpoint, hold) \
                           VALUES (?, ?, ?, ?, ?, ?, ?)";
                let put = sqlx::query(put).bind(&row.log).bind(int(row.size)).bind(int(row.first));
                let put = put.bind(&row.last).bind(int(row.signed)).bind(&row.checkpoint).bind(&row.hold);
                self.run(put).await.map(drop)
            }
            Record::AuditEntry(row) => {
                row.fits()?;
                let (log, size, entries) = (row.log.clone(), row.index, vec![row.clone()]);
                self.packs_append(&AuditBatch { log, size, entries, ..AuditBatch::default() }).await
            }
            Record::AuditTile(row) => {
                let put = "INSERT INTO audit_tiles (log, level, idx, hashes) VALUES (?, ?, ?, ?)";
                let put = sqlx::query(put).bind(&row.log).bind(i64::from(row.level)).bind(int(row.index));
                self.run(put.bind(&row.hashes[..])).await.map(drop)
            }
            Record::AuditContent(row) => self.audit_content(row).await,
            Record::AuditNote(row) => {
                let put = sqlx::query("INSERT INTO audit_notes (log, size, note) VALUES (?, ?, ?)");
                self.run(put.bind(&row.log).bind(int(row.size)).bind(&row.note)).await.map(drop)
            }
            _ => Err(StoreError::Corrupt("it is nothing of an audit log".to_owned())),
        }
    }

    async fn audit_content(&mut self, row: &AuditContentRow) -> Result<(), StoreError> {
        let put =
            "INSERT INTO audit_contents (log, idx, part, principal, at, data) VALUES (?, ?, ?, ?, ?, ?)";
        let put = sqlx::query(put).bind(&row.log).bind(int(row.index)).bind(&row.part);
        self.run(put.bind(&row.principal).bind(int(row.at.0)).bind(&row.data[..])).await.map(drop)
    }
}

#[async_trait]
impl AuditTx for Change {
    async fn audit_append(&mut self, batch: &AuditBatch) -> Result<bool, StoreError> {
        batch.fits()?;
        let size = batch.size + batch.entries.len() as u64;
        let grow =
            sqlx::query(packs::GROW).bind(&batch.log).bind(int(batch.size)).bind(int(size)).bind(&batch.last);
        if self.run(grow).await? == 0 {
            return Ok(false);
        }
        self.packs_append(batch).await?;
        Ok(true)
    }

    async fn audit_sign(&mut self, row: &AuditNoteRow, keep: bool) -> Result<bool, StoreError> {
        fits("a checkpoint", &row.note, AUDIT_NOTE_BYTES_MAX)?;
        if row.size == 0 {
            // A log without entries is signed, too.
            let make = "INSERT OR IGNORE INTO audit_logs (log, size, first, last, signed, checkpoint) \
                        VALUES (?, 0, 0, '', 0, '')";
            self.run(sqlx::query(make).bind(&row.log)).await?;
        }
        let sign = "UPDATE audit_logs SET signed = ?2, checkpoint = ?3 \
                    WHERE log = ?1 AND size >= ?2 AND signed <= ?2";
        let sign = sqlx::query(sign).bind(&row.log).bind(int(row.size)).bind(&row.note);
        if self.run(sign).await? == 0 {
            return Ok(false);
        }
        if keep {
            let put = sqlx::query("INSERT OR REPLACE INTO audit_notes (log, size, note) VALUES (?, ?, ?)");
            self.run(put.bind(&row.log).bind(int(row.size)).bind(&row.note)).await?;
        }
        Ok(true)
    }

    async fn audit_hold(&mut self, log: &str, why: Option<&str>) -> Result<bool, StoreError> {
        fits("the reason of a hold", why.unwrap_or_default(), TEXT_BYTES_MAX)?;
        let hold = sqlx::query("UPDATE audit_logs SET hold = ? WHERE log = ?").bind(why).bind(log);
        Ok(self.run(hold).await? > 0)
    }

    async fn audit_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError> {
        let prune = "UPDATE audit_logs SET first = ?2 \
                     WHERE log = ?1 AND hold IS NULL AND size >= ?2 AND first < ?2";
        if self.run(sqlx::query(prune).bind(log).bind(int(below))).await? == 0 {
            return Ok(0);
        }
        let contents = sqlx::query("DELETE FROM audit_contents WHERE log = ? AND idx < ?");
        self.run(contents.bind(log).bind(int(below))).await?;
        self.packs_prune(log, below).await
    }

    async fn audit_content_erase(
        &mut self,
        log: &str,
        principal: Option<&str>,
        before: Timestamp,
        most: usize,
    ) -> Result<u64, StoreError> {
        let held = "SELECT 1 FROM audit_logs WHERE log = ? AND hold IS NOT NULL";
        if self.find(sqlx::query(held).bind(log)).await?.is_some() {
            return Ok(0);
        }
        let erase = "DELETE FROM audit_contents WHERE rowid IN (SELECT rowid FROM audit_contents \
                     WHERE log = ?1 AND (?2 IS NULL OR principal = ?2) AND at < ?3 LIMIT ?4)";
        let erase = sqlx::query(erase).bind(log).bind(principal);
        self.run(erase.bind(int(before.0)).bind(limit(most))).await
    }
}
