//! The verbs.

use async_trait::async_trait;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection};
use store::{
    Appended, Changed, EVENT_BYTES_MAX, Fence, KeyRow, LEVEL_BYTES_MAX, NAME_BYTES_MAX, Record, ReplicaRow,
    Seq, StoreError, StreamLimits, StreamRow, Tx, URI_BYTES_MAX, fits,
};

use crate::failure::failed;
use crate::rows::{self, int};
use crate::writer::Turn;

pub(crate) type Statement<'q> = Query<'q, Sqlite, SqliteArguments>;

/// A transaction.
pub(crate) struct Change(Turn);

impl Change {
    pub(crate) fn new(turn: Turn) -> Self {
        Self(turn)
    }

    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.0.connection()
    }

    /// How many rows it changed.
    pub(crate) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let done = statement.execute(self.connection()).await.map_err(failed)?;
        Ok(done.rows_affected())
    }

    pub(crate) async fn find(&mut self, statement: Statement<'_>) -> Result<Option<SqliteRow>, StoreError> {
        statement.fetch_optional(self.connection()).await.map_err(failed)
    }

    async fn count(&mut self, query: &'static str, name: &str) -> Result<i64, StoreError> {
        sqlx::query_scalar(query).bind(name).fetch_one(self.connection()).await.map_err(failed)
    }

    async fn is_ended(&mut self, name: &str) -> Result<bool, StoreError> {
        let query = "SELECT count(*) FROM sessions WHERE name = ? AND ended";
        Ok(self.count(query, name).await? > 0)
    }

    /// Gives a session the next number, and makes it where there is none.
    async fn session_changed(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError> {
        let next = sqlx::query_scalar("UPDATE session_counter SET seq = seq + 1 RETURNING seq");
        let seq: i64 = next.fetch_one(self.connection()).await.map_err(failed)?;
        let put = "INSERT INTO sessions (name, seq, ended, expires) VALUES (?1, ?2, 0, ?3) \
                   ON CONFLICT (name) DO UPDATE SET seq = ?2, expires = max(expires, ?3)";
        self.run(sqlx::query(put).bind(name).bind(seq).bind(int(expires.0))).await?;
        Ok(Changed::Done(Seq(u64::try_from(seq).unwrap_or(0))))
    }

    async fn stream_head(&mut self, name: &str) -> Result<Option<StreamRow>, StoreError> {
        let row = self.find(sqlx::query("SELECT * FROM streams WHERE name = ?").bind(name)).await?;
        row.as_ref().map(rows::stream).transpose().map_err(failed)
    }

    async fn stream_event(&mut self, name: &str, number: u64, data: &[u8]) -> Result<(), StoreError> {
        let insert = "INSERT INTO stream_events (name, number, data) VALUES (?, ?, ?)";
        self.run(sqlx::query(insert).bind(name).bind(int(number)).bind(data)).await.map(drop)
    }

    async fn stream_put(&mut self, name: &str, row: &StreamRow) -> Result<(), StoreError> {
        let put = "INSERT INTO streams (name, session, first, next, bytes, closed, expires) \
                   VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE \
                   SET next = excluded.next, bytes = excluded.bytes, expires = excluded.expires";
        let put = sqlx::query(put).bind(name).bind(&row.session).bind(int(row.first)).bind(int(row.next));
        self.run(put.bind(int(row.bytes)).bind(row.closed).bind(int(row.expires.0))).await.map(drop)
    }
}

#[async_trait]
impl Tx for Change {
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.0.commit().await
    }

    async fn replica_beat(&mut self, row: &ReplicaRow) -> Result<(), StoreError> {
        row.fits()?;
        let put = "INSERT OR REPLACE INTO replicas (id, url, started, at, beat, version, keys, draining) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let put = sqlx::query(put).bind(row.id.as_str()).bind(&row.url).bind(int(row.started.0));
        let put = put.bind(int(row.at.0)).bind(int(row.beat)).bind(&row.version).bind(&row.keys);
        self.run(put.bind(row.draining)).await.map(drop)
    }

    async fn replica_leave(&mut self, id: &ReplicaId) -> Result<(), StoreError> {
        self.run(sqlx::query("DELETE FROM replicas WHERE id = ?").bind(id.as_str())).await.map(drop)
    }

    async fn replica_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM replicas WHERE at < ?").bind(int(before.0))).await
    }

    async fn session_level_set(
        &mut self,
        name: &str,
        level: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a log level", level, LEVEL_BYTES_MAX)?;
        if self.is_ended(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        self.run(sqlx::query("UPDATE sessions SET level = ? WHERE name = ?").bind(level).bind(name)).await?;
        Ok(changed)
    }

    async fn session_subscribe(
        &mut self,
        name: &str,
        uri: &str,
        max: usize,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a URI", uri, URI_BYTES_MAX)?;
        if self.is_ended(name).await? {
            return Ok(Changed::Ended);
        }
        let others = "SELECT count(*) FROM session_uris WHERE name = ? AND uri <> ?";
        let others: i64 = sqlx::query_scalar(others)
            .bind(name)
            .bind(uri)
            .fetch_one(self.connection())
            .await
            .map_err(failed)?;
        let there = "SELECT count(*) FROM session_uris WHERE name = ? AND uri = ?";
        let there: i64 = sqlx::query_scalar(there)
            .bind(name)
            .bind(uri)
            .fetch_one(self.connection())
            .await
            .map_err(failed)?;
        if there == 0 && usize::try_from(others).unwrap_or(usize::MAX) >= max {
            return Ok(Changed::Full);
        }
        let changed = self.session_changed(name, expires).await?;
        let insert = "INSERT OR IGNORE INTO session_uris (name, uri) VALUES (?, ?)";
        self.run(sqlx::query(insert).bind(name).bind(uri)).await?;
        Ok(changed)
    }

    async fn session_unsubscribe(
        &mut self,
        name: &str,
        uri: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a URI", uri, URI_BYTES_MAX)?;
        if self.is_ended(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        let delete = sqlx::query("DELETE FROM session_uris WHERE name = ? AND uri = ?");
        self.run(delete.bind(name).bind(uri)).await?;
        Ok(changed)
    }

    async fn session_end(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        if self.is_ended(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        self.run(sqlx::query("UPDATE sessions SET ended = 1 WHERE name = ?").bind(name)).await?;
        self.run(sqlx::query("DELETE FROM session_uris WHERE name = ?").bind(name)).await?;
        Ok(changed)
    }

    async fn session_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM sessions WHERE expires <= ?").bind(int(now.0))).await
    }

    async fn stream_append(
        &mut self,
        name: &str,
        session: &str,
        first: u64,
        events: &[Bytes],
        limits: StreamLimits,
        expires: Timestamp,
    ) -> Result<Appended, StoreError> {
        fits("the name of a stream", name, NAME_BYTES_MAX)?;
        fits("the name of a session", session, NAME_BYTES_MAX)?;
        for event in events {
            fits("an event", event, EVENT_BYTES_MAX)?;
        }
        let head = self.stream_head(name).await?;
        let head = match StreamRow::appended(head.as_ref(), session, first, events, limits, expires) {
            Ok(head) => head,
            Err(refused) => return Ok(refused),
        };
        self.stream_put(name, &head).await?;
        for (number, event) in (first..).zip(events) {
            self.stream_event(name, number, event).await?;
        }
        Ok(Appended::Done)
    }

    async fn stream_close(&mut self, name: &str, expires: Timestamp) -> Result<bool, StoreError> {
        let close = "UPDATE streams SET closed = 1, expires = max(expires, ?) WHERE name = ?";
        Ok(self.run(sqlx::query(close).bind(int(expires.0)).bind(name)).await? > 0)
    }

    async fn stream_drop(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.run(sqlx::query("DELETE FROM streams WHERE name = ?").bind(name)).await? > 0)
    }

    async fn stream_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM streams WHERE expires <= ?").bind(int(now.0))).await
    }

    async fn lease_take(
        &mut self,
        name: &str,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Fence>, StoreError> {
        fits("the name of a lease", name, NAME_BYTES_MAX)?;
        fits("the name of an owner", owner, NAME_BYTES_MAX)?;
        let take = "INSERT INTO leases (name, owner, fence, until) VALUES (?1, ?2, 1, ?4) \
                    ON CONFLICT (name) DO UPDATE SET owner = ?2, fence = fence + 1, until = ?4 \
                    WHERE owner IS NULL OR owner = ?2 OR until <= ?3 RETURNING fence";
        let take = sqlx::query_scalar(take).bind(name).bind(owner).bind(int(now.0)).bind(int(until.0));
        let fence: Option<i64> = take.fetch_optional(self.connection()).await.map_err(failed)?;
        Ok(fence.map(|fence| Fence(u64::try_from(fence).unwrap_or(0))))
    }

    async fn lease_renew(
        &mut self,
        name: &str,
        owner: &str,
        fence: Fence,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let renew = "UPDATE leases SET until = ? WHERE name = ? AND owner = ? AND fence = ?";
        let renew = sqlx::query(renew).bind(int(until.0)).bind(name).bind(owner).bind(int(fence.0));
        Ok(self.run(renew).await? > 0)
    }

    async fn lease_release(&mut self, name: &str, owner: &str, fence: Fence) -> Result<bool, StoreError> {
        let release = "UPDATE leases SET owner = NULL WHERE name = ? AND owner = ? AND fence = ?";
        let release = sqlx::query(release).bind(name).bind(owner).bind(int(fence.0));
        Ok(self.run(release).await? > 0)
    }

    async fn lease_sweep(&mut self, prefix: &str, before: Timestamp) -> Result<u64, StoreError> {
        let sweep = "DELETE FROM leases WHERE substr(name, 1, length(?1)) = ?1 AND until < ?2";
        self.run(sqlx::query(sweep).bind(prefix).bind(int(before.0))).await
    }

    async fn key_add(&mut self, row: &KeyRow) -> Result<bool, StoreError> {
        fits("the id of a key", &row.id, NAME_BYTES_MAX)?;
        let add = "INSERT OR IGNORE INTO keys (id, created, active_from, retired_at, secret) \
                   VALUES (?, ?, ?, ?, ?)";
        let add = sqlx::query(add).bind(&row.id).bind(int(row.created.0)).bind(int(row.active_from.0));
        let add = add.bind(row.retired_at.map(|at| int(at.0))).bind(&row.secret[..]);
        Ok(self.run(add).await? > 0)
    }

    async fn key_retire(&mut self, id: &str, at: Option<Timestamp>) -> Result<bool, StoreError> {
        let retire = sqlx::query("UPDATE keys SET retired_at = ? WHERE id = ?");
        Ok(self.run(retire.bind(at.map(|at| int(at.0))).bind(id)).await? > 0)
    }

    async fn key_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM keys WHERE retired_at < ?").bind(int(before.0))).await
    }

    async fn record_put(&mut self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Seq { seq } => {
                let set = sqlx::query("UPDATE session_counter SET seq = max(seq, ?)").bind(int(seq.0));
                self.run(set).await.map(drop)
            }
            Record::Session { name, seq, level, ended, expires } => {
                let put = "INSERT INTO sessions (name, seq, level, ended, expires) VALUES (?, ?, ?, ?, ?)";
                let put = sqlx::query(put).bind(name).bind(int(seq.0)).bind(level).bind(ended);
                self.run(put.bind(int(expires.0))).await.map(drop)
            }
            Record::SessionUri { name, uri } => {
                let put = sqlx::query("INSERT INTO session_uris (name, uri) VALUES (?, ?)");
                self.run(put.bind(name).bind(uri)).await.map(drop)
            }
            Record::Stream { name, session, first, next, bytes, closed, expires } => {
                if self.stream_head(name).await?.is_some() {
                    return Err(StoreError::Conflict);
                }
                let (session, first, next) = (session.clone(), *first, *next);
                let (bytes, closed, expires) = (*bytes, *closed, *expires);
                self.stream_put(name, &StreamRow { session, first, next, bytes, closed, expires }).await
            }
            Record::StreamEvent { name, number, data } => self.stream_event(name, *number, data).await,
            Record::Lease { name, owner, fence, until } => {
                let put = sqlx::query("INSERT INTO leases (name, owner, fence, until) VALUES (?, ?, ?, ?)");
                self.run(put.bind(name).bind(owner).bind(int(fence.0)).bind(int(until.0))).await.map(drop)
            }
            Record::Key(row) if !self.key_add(row).await? => Err(StoreError::Conflict),
            Record::Key(_) => Ok(()),
            Record::Grant(row) => self.grant_insert(row).await,
            Record::Budget(row) => self.budget_insert(row).await,
            Record::Task(row) => self.task_insert(row).await,
            Record::Blob { name, parts, expires } => {
                let put = sqlx::query("INSERT INTO blobs (name, parts, expires) VALUES (?, ?, ?)");
                self.run(put.bind(name).bind(parts.map(i64::from)).bind(int(expires.0))).await.map(drop)
            }
            Record::BlobPart { name, part, data } => self.blob_part(name, *part, data).await,
            record => self.audit_record(record).await,
        }
    }
}
