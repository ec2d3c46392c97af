//! The verbs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Executor as _, Postgres, Row as _};
use store::{
    Appended, Changed, EVENT_BYTES_MAX, Fence, KeyRow, LEVEL_BYTES_MAX, NAME_BYTES_MAX, Record, ReplicaRow,
    Seq, StoreError, StreamLimits, StreamRow, Tx, URI_BYTES_MAX, fits,
};
use tokio::sync::watch;

use crate::failure::Failure;
use crate::herald::Herald;
use crate::listen::channel;
use crate::pool::Lease;
use crate::rows::{self, int};
use crate::run::within;

pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A transaction. Dropped before its end it cuts its connection, and the database undoes it.
pub(crate) struct Change {
    lease: Lease,
    /// Whether others should look.
    notify: bool,
    wakes: Arc<watch::Sender<u64>>,
    /// Whether others should look at tasks.
    pub(crate) tasks_changed: bool,
    herald: Arc<Herald>,
}

pub(crate) fn failed(error: sqlx::Error) -> StoreError {
    Failure::from(error).nothing_written()
}

impl Change {
    pub(crate) fn new(lease: Lease, wakes: Arc<watch::Sender<u64>>, herald: Arc<Herald>) -> Self {
        Self { lease, notify: false, wakes, tasks_changed: false, herald }
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.lease.begin_use()
    }

    /// Has others look once it is committed.
    pub(crate) fn tell(&mut self) {
        self.notify = true;
    }

    pub(crate) fn time(&self) -> Duration {
        self.lease.settings().answer()
    }

    /// How many rows it changed.
    pub(crate) async fn run(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let time = self.time();
        let running = async { Ok(statement.execute(self.connection()).await?.rows_affected()) };
        within(time, running).await.map_err(Failure::nothing_written)
    }

    pub(crate) async fn find(&mut self, statement: Statement<'_>) -> Result<Option<PgRow>, StoreError> {
        let time = self.time();
        let finding = async { Ok(statement.fetch_optional(self.connection()).await?) };
        within(time, finding).await.map_err(Failure::nothing_written)
    }

    /// Waits until no other transaction changes sessions: from here to the commit this one does. So
    /// numbers are committed in their order. Says whether the session was ended.
    async fn session_begin(&mut self, name: &str) -> Result<bool, StoreError> {
        self.find(sqlx::query("SELECT seq FROM session_counter FOR UPDATE")).await?;
        let ended = sqlx::query("SELECT 1 FROM sessions WHERE name = $1 AND ended").bind(name);
        Ok(self.find(ended).await?.is_some())
    }

    /// Gives a session the next number, and makes it where there is none.
    async fn session_changed(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError> {
        self.notify = true;
        let next = self.find(sqlx::query("UPDATE session_counter SET seq = seq + 1 RETURNING seq")).await?;
        let next = next.ok_or_else(|| StoreError::Corrupt("the counter of sessions is gone".to_owned()))?;
        let seq: i64 = next.try_get("seq").map_err(failed)?;
        let put = "INSERT INTO sessions (name, seq, ended, expires) VALUES ($1, $2, false, $3) \
                   ON CONFLICT (name) DO UPDATE SET seq = $2, expires = greatest(sessions.expires, $3)";
        self.run(sqlx::query(put).bind(name).bind(seq).bind(int(expires.0))).await?;
        Ok(Changed::Done(Seq(u64::try_from(seq).unwrap_or(0))))
    }

    async fn stream_head(&mut self, name: &str) -> Result<Option<StreamRow>, StoreError> {
        let row =
            self.find(sqlx::query("SELECT * FROM streams WHERE name = $1 FOR UPDATE").bind(name)).await?;
        row.as_ref().map(rows::stream).transpose().map_err(failed)
    }

    async fn stream_event(&mut self, name: &str, number: u64, data: &[u8]) -> Result<(), StoreError> {
        let insert = "INSERT INTO stream_events (name, number, data) VALUES ($1, $2, $3)";
        self.run(sqlx::query(insert).bind(name).bind(int(number)).bind(data)).await.map(drop)
    }

    async fn stream_put(&mut self, name: &str, row: &StreamRow) -> Result<(), StoreError> {
        let put = "INSERT INTO streams (name, session, first, next, bytes, closed, expires) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE \
                   SET next = excluded.next, bytes = excluded.bytes, expires = excluded.expires";
        let put = sqlx::query(put).bind(name).bind(&row.session).bind(int(row.first)).bind(int(row.next));
        self.run(put.bind(int(row.bytes)).bind(row.closed).bind(int(row.expires.0))).await.map(drop)
    }
}

#[async_trait]
impl Tx for Change {
    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        if self.notify {
            let name = channel(self.lease.schema());
            self.find(sqlx::query("SELECT pg_notify($1, '')").bind(name)).await?;
        }
        let time = self.time();
        let connection = self.lease.begin_use();
        let committing = async { Ok(connection.execute("COMMIT").await.map(drop)?) };
        within(time, committing).await.map_err(Failure::in_commit)?;
        self.lease.used_well();
        self.wakes.send_modify(|count| *count += 1);
        if self.tasks_changed {
            self.herald.tell();
        }
        Ok(())
    }

    async fn replica_beat(&mut self, row: &ReplicaRow) -> Result<(), StoreError> {
        row.fits()?;
        let put = "INSERT INTO replicas (id, url, started, at, beat, version, keys, draining) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET \
                   url = $2, started = $3, at = $4, beat = $5, version = $6, keys = $7, draining = $8";
        let put = sqlx::query(put).bind(row.id.as_str()).bind(&row.url).bind(int(row.started.0));
        let put = put.bind(int(row.at.0)).bind(int(row.beat)).bind(&row.version).bind(&row.keys);
        self.run(put.bind(row.draining)).await.map(drop)
    }

    async fn replica_leave(&mut self, id: &ReplicaId) -> Result<(), StoreError> {
        self.run(sqlx::query("DELETE FROM replicas WHERE id = $1").bind(id.as_str())).await.map(drop)
    }

    async fn replica_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM replicas WHERE at < $1").bind(int(before.0))).await
    }

    async fn session_level_set(
        &mut self,
        name: &str,
        level: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a log level", level, LEVEL_BYTES_MAX)?;
        if self.session_begin(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        self.run(
            sqlx::query("UPDATE sessions SET level = $1 WHERE name = $2").bind(level.as_bytes()).bind(name),
        )
        .await?;
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
        if self.session_begin(name).await? {
            return Ok(Changed::Ended);
        }
        let digest = seal::sha256(uri.as_bytes());
        let count =
            "SELECT count(*) AS others, bool_or(digest = $2) AS there FROM session_uris WHERE name = $1";
        let count = self.find(sqlx::query(count).bind(name).bind(&digest[..])).await?;
        let (others, there) = match &count {
            Some(row) => (row.try_get("others").map_err(failed)?, row.try_get("there").map_err(failed)?),
            None => (0_i64, None::<bool>),
        };
        if there != Some(true) && usize::try_from(others).unwrap_or(usize::MAX) >= max {
            return Ok(Changed::Full);
        }
        let changed = self.session_changed(name, expires).await?;
        let insert =
            "INSERT INTO session_uris (name, digest, uri) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.run(sqlx::query(insert).bind(name).bind(&digest[..]).bind(uri.as_bytes())).await?;
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
        if self.session_begin(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        let delete = sqlx::query("DELETE FROM session_uris WHERE name = $1 AND digest = $2");
        self.run(delete.bind(name).bind(&seal::sha256(uri.as_bytes())[..])).await?;
        Ok(changed)
    }

    async fn session_end(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        if self.session_begin(name).await? {
            return Ok(Changed::Ended);
        }
        let changed = self.session_changed(name, expires).await?;
        self.run(sqlx::query("UPDATE sessions SET ended = true WHERE name = $1").bind(name)).await?;
        self.run(sqlx::query("DELETE FROM session_uris WHERE name = $1").bind(name)).await?;
        Ok(changed)
    }

    async fn session_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM sessions WHERE expires <= $1").bind(int(now.0))).await
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
        let close = "UPDATE streams SET closed = true, expires = greatest(expires, $1) WHERE name = $2";
        Ok(self.run(sqlx::query(close).bind(int(expires.0)).bind(name)).await? > 0)
    }

    async fn stream_drop(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.run(sqlx::query("DELETE FROM streams WHERE name = $1").bind(name)).await? > 0)
    }

    async fn stream_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM streams WHERE expires <= $1").bind(int(now.0))).await
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
        let take = "INSERT INTO leases (name, owner, fence, until) VALUES ($1, $2, 1, $4) \
                    ON CONFLICT (name) DO UPDATE SET owner = $2, fence = leases.fence + 1, until = $4 \
                    WHERE leases.owner IS NULL OR leases.owner = $2 OR leases.until <= $3 RETURNING fence";
        let take = sqlx::query(take).bind(name).bind(owner).bind(int(now.0)).bind(int(until.0));
        let Some(row) = self.find(take).await? else { return Ok(None) };
        let fence: i64 = row.try_get("fence").map_err(failed)?;
        Ok(Some(Fence(u64::try_from(fence).unwrap_or(0))))
    }

    async fn lease_renew(
        &mut self,
        name: &str,
        owner: &str,
        fence: Fence,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let renew = "UPDATE leases SET until = $1 WHERE name = $2 AND owner = $3 AND fence = $4";
        let renew = sqlx::query(renew).bind(int(until.0)).bind(name).bind(owner).bind(int(fence.0));
        Ok(self.run(renew).await? > 0)
    }

    async fn lease_release(&mut self, name: &str, owner: &str, fence: Fence) -> Result<bool, StoreError> {
        let release = "UPDATE leases SET owner = NULL WHERE name = $1 AND owner = $2 AND fence = $3";
        let release = sqlx::query(release).bind(name).bind(owner).bind(int(fence.0));
        Ok(self.run(release).await? > 0)
    }

    async fn lease_sweep(&mut self, prefix: &str, before: Timestamp) -> Result<u64, StoreError> {
        let sweep = "DELETE FROM leases WHERE substr(name, 1, length($1)) = $1 AND until < $2";
        self.run(sqlx::query(sweep).bind(prefix).bind(int(before.0))).await
    }

    async fn key_add(&mut self, row: &KeyRow) -> Result<bool, StoreError> {
        fits("the id of a key", &row.id, NAME_BYTES_MAX)?;
        let add = "INSERT INTO keys (id, created, active_from, retired_at, secret) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let add = sqlx::query(add).bind(&row.id).bind(int(row.created.0)).bind(int(row.active_from.0));
        let add = add.bind(row.retired_at.map(|at| int(at.0))).bind(&row.secret[..]);
        Ok(self.run(add).await? > 0)
    }

    async fn key_retire(&mut self, id: &str, at: Option<Timestamp>) -> Result<bool, StoreError> {
        let retire = sqlx::query("UPDATE keys SET retired_at = $1 WHERE id = $2");
        Ok(self.run(retire.bind(at.map(|at| int(at.0))).bind(id)).await? > 0)
    }

    async fn key_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        self.run(sqlx::query("DELETE FROM keys WHERE retired_at < $1").bind(int(before.0))).await
    }

    async fn record_put(&mut self, record: &Record) -> Result<(), StoreError> {
        match record {
            Record::Seq { seq } => {
                let set = sqlx::query("UPDATE session_counter SET seq = greatest(seq, $1)").bind(int(seq.0));
                self.run(set).await.map(drop)
            }
            Record::Session { name, seq, level, ended, expires } => {
                let put =
                    "INSERT INTO sessions (name, seq, level, ended, expires) VALUES ($1, $2, $3, $4, $5)";
                let put = sqlx::query(put)
                    .bind(name)
                    .bind(int(seq.0))
                    .bind(level.as_ref().map(String::as_bytes))
                    .bind(ended);
                self.run(put.bind(int(expires.0))).await.map(drop)
            }
            Record::SessionUri { name, uri } => {
                let put = sqlx::query("INSERT INTO session_uris (name, digest, uri) VALUES ($1, $2, $3)");
                let digest = seal::sha256(uri.as_bytes());
                self.run(put.bind(name).bind(&digest[..]).bind(uri.as_bytes())).await.map(drop)
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
                let put =
                    sqlx::query("INSERT INTO leases (name, owner, fence, until) VALUES ($1, $2, $3, $4)");
                self.run(put.bind(name).bind(owner).bind(int(fence.0)).bind(int(until.0))).await.map(drop)
            }
            Record::Key(row) if !self.key_add(row).await? => Err(StoreError::Conflict),
            Record::Key(_) => Ok(()),
            Record::Grant(row) => self.grant_insert(row).await,
            Record::Budget(row) => self.budget_insert(row).await,
            Record::Task(row) => self.task_insert(row).await,
            Record::Blob { name, parts, expires } => {
                let put = sqlx::query("INSERT INTO blobs (name, parts, expires) VALUES ($1, $2, $3)");
                let parts = parts.map(|parts| i32::try_from(parts).unwrap_or(i32::MAX));
                self.run(put.bind(name).bind(parts).bind(int(expires.0))).await.map(drop)
            }
            Record::BlobPart { name, part, data } => self.blob_part(name, *part, data).await,
            record => self.audit_record(record).await,
        }
    }
}
