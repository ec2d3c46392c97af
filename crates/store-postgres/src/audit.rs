//! Audit logs.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use store::{
    AUDIT_NOTE_BYTES_MAX, AuditBatch, AuditContentRow, AuditEntryRow, AuditFilter, AuditLogRow, AuditNoteRow,
    AuditStore, AuditTileRow, AuditTx, Record, RecordSink, StoreError, TEXT_BYTES_MAX, fits,
};

use crate::PostgresStore;
use crate::failure::Failure;
use crate::packs;
use crate::rows::{self, int};
use crate::task_reads::{all, limit};
use crate::tx::Change;

fn log(row: &PgRow) -> Result<AuditLogRow, sqlx::Error> {
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

fn tile(row: &PgRow) -> Result<AuditTileRow, sqlx::Error> {
    Ok(AuditTileRow {
        log: row.try_get("log")?,
        level: u32::try_from(rows::number(row, "level")?).unwrap_or(u32::MAX),
        index: rows::number(row, "idx")?,
        hashes: rows::bytes(row, "hashes")?,
    })
}

fn content(row: &PgRow) -> Result<AuditContentRow, sqlx::Error> {
    Ok(AuditContentRow {
        log: row.try_get("log")?,
        index: rows::number(row, "idx")?,
        part: row.try_get("part")?,
        principal: row.try_get("principal")?,
        at: rows::time(row, "at")?,
        data: rows::bytes(row, "data")?,
    })
}

fn note(row: &PgRow) -> Result<AuditNoteRow, sqlx::Error> {
    Ok(AuditNoteRow {
        log: row.try_get("log")?,
        size: rows::number(row, "size")?,
        note: row.try_get("note")?,
    })
}

/// All that a store holds of audit logs.
pub(crate) async fn export(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    let logs: (_, Read) = ("SELECT * FROM audit_logs ORDER BY log", |row| log(row).map(Record::AuditLog));
    let rest: [(_, Read); 3] = [
        ("SELECT * FROM audit_tiles ORDER BY log, level, idx", |row| tile(row).map(Record::AuditTile)),
        ("SELECT * FROM audit_contents ORDER BY log, idx, part", |row| {
            content(row).map(Record::AuditContent)
        }),
        ("SELECT * FROM audit_notes ORDER BY log, size", |row| note(row).map(Record::AuditNote)),
    ];
    give(connection, logs, to).await?;
    packs::export(connection, to).await?;
    for each in rest {
        give(connection, each, to).await?;
    }
    Ok(())
}

type Read = fn(&PgRow) -> Result<Record, sqlx::Error>;

/// All rows of a table.
async fn give(
    connection: &mut PgConnection,
    (query, read): (&'static str, Read),
    to: &mut dyn RecordSink,
) -> Result<(), Failure> {
    use futures_util::TryStreamExt as _;
    let mut found = sqlx::query(query).fetch(connection);
    while let Some(row) = found.try_next().await? {
        to.put(read(&row)?).await?;
    }
    Ok(())
}

#[async_trait]
impl AuditStore for PostgresStore {
    async fn audit_log(&self, name: &str) -> Result<Option<AuditLogRow>, StoreError> {
        let query = || sqlx::query("SELECT * FROM audit_logs WHERE log = $1").bind(name.to_owned());
        Ok(all(self, query, |row| Ok(log(row)?)).await?.pop())
    }

    async fn audit_logs(&self, after: Option<&str>, most: usize) -> Result<Vec<AuditLogRow>, StoreError> {
        let query = "SELECT * FROM audit_logs WHERE $1::text IS NULL OR log > $1 ORDER BY log LIMIT $2";
        let query = || sqlx::query(query).bind(after.map(str::to_owned)).bind(limit(most));
        all(self, query, |row| Ok(log(row)?)).await
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
        let query = "SELECT hashes FROM audit_tiles WHERE log = $1 AND level = $2 AND idx = $3";
        let query = || sqlx::query(query).bind(log.to_owned()).bind(i64::from(level)).bind(int(index));
        Ok(all(self, query, |row| Ok(rows::bytes(row, "hashes")?)).await?.pop())
    }

    async fn audit_contents(&self, log: &str, index: u64) -> Result<Vec<AuditContentRow>, StoreError> {
        let query = "SELECT * FROM audit_contents WHERE log = $1 AND idx = $2 ORDER BY part";
        let query = || sqlx::query(query).bind(log.to_owned()).bind(int(index));
        all(self, query, |row| Ok(content(row)?)).await
    }

    async fn audit_notes(&self, log: &str) -> Result<Vec<AuditNoteRow>, StoreError> {
        let query =
            || sqlx::query("SELECT * FROM audit_notes WHERE log = $1 ORDER BY size").bind(log.to_owned());
        all(self, query, |row| Ok(note(row)?)).await
    }
}

impl Change {
    /// Something of another store.
    pub(crate) async fn audit_record(&mut self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::AuditLog(row) => {
                let put = "INSERT INTO audit_logs (log, size, first, last, signed, checkpoint, hold) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let put = sqlx::query(put).bind(&row.log).bind(int(row.size)).bind(int(row.first));
                let put = put.bind(&row.last).bind(int(row.signed)).bind(&row.checkpoint).bind(&row.hold);
                self.run(put).await.map(drop)
            }
            Record::AuditEntry(row) => {
                row.fits()?;
                self.packs_append(&row.log, std::slice::from_ref(row)).await
            }
            Record::AuditTile(row) => {
                let put = "INSERT INTO audit_tiles (log, level, idx, hashes) VALUES ($1, $2, $3, $4)";
                let put = sqlx::query(put).bind(&row.log).bind(i64::from(row.level)).bind(int(row.index));
                self.run(put.bind(&row.hashes[..])).await.map(drop)
            }
            Record::AuditContent(row) => self.audit_content(row).await,
            Record::AuditNote(row) => {
                let put = sqlx::query("INSERT INTO audit_notes (log, size, note) VALUES ($1, $2, $3)");
                self.run(put.bind(&row.log).bind(int(row.size)).bind(&row.note)).await.map(drop)
            }
            _ => Err(StoreError::Corrupt("it is nothing of an audit log".to_owned())),
        }
    }

    async fn audit_content(&mut self, row: &AuditContentRow) -> Result<(), StoreError> {
        let put = "INSERT INTO audit_contents (log, idx, part, principal, at, data) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let put = sqlx::query(put).bind(&row.log).bind(int(row.index)).bind(&row.part);
        self.run(put.bind(&row.principal).bind(int(row.at.0)).bind(&row.data[..])).await.map(drop)
    }
}

#[async_trait]
impl AuditTx for Change {
    async fn audit_append(&mut self, batch: &AuditBatch) -> Result<bool, StoreError> {
        batch.fits()?;
        let grow = "INSERT INTO audit_logs (log, size, first, last, signed, checkpoint) \
                    SELECT $1, $3::bigint, 0, $4, 0, '' WHERE $2::bigint = 0 \
                    OR EXISTS (SELECT 1 FROM audit_logs WHERE log = $1) \
                    ON CONFLICT (log) DO UPDATE SET size = $3, last = $4 WHERE audit_logs.size = $2";
        let size = batch.size + batch.entries.len() as u64;
        let grow = sqlx::query(grow).bind(&batch.log).bind(int(batch.size)).bind(int(size)).bind(&batch.last);
        if self.run(grow).await? == 0 {
            return Ok(false);
        }
        if !batch.entries.is_empty() {
            self.packs_append(&batch.log, &batch.entries).await?;
        }
        for row in &batch.tiles {
            let put = "INSERT INTO audit_tiles (log, level, idx, hashes) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (log, level, idx) DO UPDATE SET hashes = $4";
            let put = sqlx::query(put).bind(&row.log).bind(i64::from(row.level)).bind(int(row.index));
            self.run(put.bind(&row.hashes[..])).await?;
        }
        for row in &batch.contents {
            self.audit_content(row).await?;
        }
        Ok(true)
    }

    async fn audit_sign(&mut self, row: &AuditNoteRow, keep: bool) -> Result<bool, StoreError> {
        fits("a checkpoint", &row.note, AUDIT_NOTE_BYTES_MAX)?;
        if row.size == 0 {
            // A log without entries is signed, too.
            let make = "INSERT INTO audit_logs (log, size, first, last, signed, checkpoint) \
                        VALUES ($1, 0, 0, '', 0, '') ON CONFLICT DO NOTHING";
            self.run(sqlx::query(make).bind(&row.log)).await?;
        }
        let sign = "UPDATE audit_logs SET signed = $2, checkpoint = $3 \
                    WHERE log = $1 AND size >= $2 AND signed <= $2";
        let sign = sqlx::query(sign).bind(&row.log).bind(int(row.size)).bind(&row.note);
        if self.run(sign).await? == 0 {
            return Ok(false);
        }
        if keep {
            let put = sqlx::query(
                "INSERT INTO audit_notes (log, size, note) VALUES ($1, $2, $3) \
                                   ON CONFLICT (log, size) DO UPDATE SET note = $3",
            );
            self.run(put.bind(&row.log).bind(int(row.size)).bind(&row.note)).await?;
        }
        Ok(true)
    }

    async fn audit_hold(&mut self, log: &str, why: Option<&str>) -> Result<bool, StoreError> {
        fits("the reason of a hold", why.unwrap_or_default(), TEXT_BYTES_MAX)?;
        let hold = sqlx::query("UPDATE audit_logs SET hold = $1 WHERE log = $2").bind(why).bind(log);
        Ok(self.run(hold).await? > 0)
    }

    async fn audit_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError> {
        let prune = "UPDATE audit_logs SET first = $2 \
                     WHERE log = $1 AND hold IS NULL AND size >= $2 AND first < $2";
        if self.run(sqlx::query(prune).bind(log).bind(int(below))).await? == 0 {
            return Ok(0);
        }
        let contents = sqlx::query("DELETE FROM audit_contents WHERE log = $1 AND idx < $2");
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
        let held = "SELECT 1 FROM audit_logs WHERE log = $1 AND hold IS NOT NULL FOR SHARE";
        if self.find(sqlx::query(held).bind(log)).await?.is_some() {
            return Ok(0);
        }
        let erase = "DELETE FROM audit_contents WHERE (log, idx, part) IN \
                     (SELECT log, idx, part FROM audit_contents WHERE log = $1 \
                     AND ($2::text IS NULL OR principal = $2) AND at < $3 LIMIT $4)";
        let erase = sqlx::query(erase).bind(log).bind(principal);
        self.run(erase.bind(int(before.0)).bind(limit(most))).await
    }
}
