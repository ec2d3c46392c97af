//! The verbs on tasks and large values.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use sqlx::Row as _;
use store::{Guard, StoreError, TaskChange, TaskMade, TaskPhase, TaskPut, TaskRow, TaskTx, blob_part_fits};

use crate::failure::Failure;
use crate::rows::int;
use crate::run::within;
use crate::task_reads::limit;
use crate::tx::{Change, failed};

/// All of a task. Where its key is that of one which is not gone, nothing.
const INSERT: &str = "INSERT INTO tasks \
    (id, tenant, holder, key, phase, owner, due, version, head, call, outcome) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
    ON CONFLICT (key) WHERE key IS NOT NULL AND phase < 2 DO NOTHING";

/// One that has ended gives up its call, and only one that has ended has an outcome. Whoever takes the lease
/// away waits for this transaction's end, or comes first.
const PUT: &str = "WITH held AS \
    (SELECT 1 FROM leases WHERE name = $8 AND owner = $9 AND fence = $10 FOR SHARE) \
    UPDATE tasks SET phase = $1, owner = $2, due = $3, version = version + 1, head = $4, \
    call = CASE WHEN $1 = 0 THEN call ELSE ''::bytea END, \
    outcome = CASE WHEN $1 = 1 THEN coalesce($5, outcome) ELSE ''::bytea END \
    WHERE id = $6 AND version = $7 AND ($8 IS NULL OR EXISTS (SELECT 1 FROM held))";

fn phase(phase: TaskPhase) -> i16 {
    i16::from(phase.number())
}

impl Change {
    async fn task_add(&mut self, row: &TaskRow) -> Result<u64, StoreError> {
        let add = sqlx::query(INSERT).bind(&row.id).bind(row.tenant.as_bytes());
        let add = add.bind(row.holder.as_bytes()).bind(row.key.as_ref().map(String::as_bytes));
        let add = add.bind(phase(row.phase)).bind(&row.owner).bind(int(row.due.0));
        let add = add.bind(int(row.version)).bind(&row.head[..]).bind(&row.call[..]).bind(&row.outcome[..]);
        self.run(add).await
    }

    /// A task of another store.
    pub(crate) async fn task_insert(&mut self, row: &TaskRow) -> Result<(), StoreError> {
        if self.task_add(row).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    pub(crate) async fn blob_part(&mut self, name: &str, part: u32, data: &Bytes) -> Result<(), StoreError> {
        let put = sqlx::query("INSERT INTO blob_parts (name, part, data) VALUES ($1, $2, $3)");
        let part = i32::try_from(part).unwrap_or(i32::MAX);
        self.run(put.bind(name).bind(part).bind(&data[..])).await.map(drop)
    }

    async fn holds(&mut self, guard: Guard<'_>) -> Result<bool, StoreError> {
        let held = sqlx::query("SELECT 1 FROM leases WHERE name = $1 AND owner = $2 AND fence = $3");
        let held = held.bind(guard.name).bind(guard.owner).bind(int(guard.fence.0));
        Ok(self.find(held).await?.is_some())
    }
}

#[async_trait]
impl TaskTx for Change {
    async fn task_create(&mut self, row: &TaskRow) -> Result<TaskMade, StoreError> {
        row.fits()?;
        self.tasks_changed = true;
        if self.task_add(row).await? > 0 {
            return Ok(TaskMade::Done);
        }
        let same = sqlx::query("SELECT id FROM tasks WHERE key = $1 AND phase < 2");
        let same = same.bind(row.key.as_ref().map(String::as_bytes));
        let same = self.find(same).await?.ok_or(StoreError::Conflict)?;
        Ok(TaskMade::Same(same.try_get("id").map_err(failed)?))
    }

    async fn task_put(
        &mut self,
        change: &TaskChange,
        guard: Option<Guard<'_>>,
    ) -> Result<TaskPut, StoreError> {
        change.fits()?;
        self.tasks_changed = true;
        let put = sqlx::query(PUT).bind(phase(change.phase)).bind(&change.owner);
        let put = put.bind(int(change.due.0)).bind(&change.head[..]).bind(change.outcome.as_deref());
        let put = put.bind(&change.id).bind(int(change.version));
        let put = put.bind(guard.map(|guard| guard.name)).bind(guard.map(|guard| guard.owner));
        if self.run(put.bind(guard.map(|guard| int(guard.fence.0)))).await? > 0 {
            return Ok(TaskPut::Done);
        }
        match guard {
            Some(guard) if !self.holds(guard).await? => Ok(TaskPut::Fenced),
            _ => Ok(TaskPut::Stale),
        }
    }

    async fn task_sweep(
        &mut self,
        now: Timestamp,
        tombstone_ms: u64,
        most: usize,
    ) -> Result<u64, StoreError> {
        // What another one changes or sweeps is left to him.
        let due = "SELECT id, phase FROM tasks WHERE phase > 0 AND due <= $1 ORDER BY due, id LIMIT $2 \
                   FOR UPDATE SKIP LOCKED";
        let due = sqlx::query(due).bind(int(now.0)).bind(limit(most));
        let time = self.time();
        let finding = async { Ok(due.fetch_all(self.connection()).await?) };
        let due = within(time, finding).await.map_err(Failure::nothing_written)?;
        let (mut gone, mut forgotten) = (Vec::new(), Vec::new());
        for row in &due {
            let id: String = row.try_get("id").map_err(failed)?;
            let found: i16 = row.try_get("phase").map_err(failed)?;
            let stays = found == phase(TaskPhase::Ended) && tombstone_ms > 0;
            if stays { gone.push(id) } else { forgotten.push(id) }
        }
        let bury = "UPDATE tasks SET phase = 2, owner = NULL, due = $1, version = version + 1, \
                    call = ''::bytea, outcome = ''::bytea WHERE id = ANY($2)";
        let until = now.0.saturating_add(tombstone_ms);
        self.run(sqlx::query(bury).bind(int(until)).bind(gone)).await?;
        self.run(sqlx::query("DELETE FROM tasks WHERE id = ANY($1)").bind(forgotten)).await?;
        Ok(due.len() as u64)
    }

    async fn blob_put(
        &mut self,
        name: &str,
        part: u32,
        data: &Bytes,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        blob_part_fits(name, part, data)?;
        let put = "INSERT INTO blobs (name, parts, expires) VALUES ($1, NULL, $2) ON CONFLICT (name) \
                   DO UPDATE SET expires = greatest(blobs.expires, excluded.expires) \
                   WHERE blobs.parts IS NULL";
        if self.run(sqlx::query(put).bind(name).bind(int(expires.0))).await? == 0 {
            return Err(StoreError::Conflict);
        }
        self.blob_part(name, part, data).await
    }

    async fn blob_keep(&mut self, name: &str, parts: u32, expires: Timestamp) -> Result<bool, StoreError> {
        let keep = "UPDATE blobs SET parts = $1, expires = $2 WHERE name = $3 AND $1 > 0 \
                    AND $1 = (SELECT count(*) FROM blob_parts p WHERE p.name = $3) \
                    AND $1 = (SELECT max(part) + 1 FROM blob_parts p WHERE p.name = $3)";
        let parts = i32::try_from(parts).unwrap_or(i32::MAX);
        Ok(self.run(sqlx::query(keep).bind(parts).bind(int(expires.0)).bind(name)).await? > 0)
    }

    async fn blob_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        let mut swept = 0;
        while swept < most as u64 {
            let next = "SELECT name FROM blobs WHERE expires <= $1 ORDER BY expires, name LIMIT 1 \
                        FOR UPDATE";
            let Some(next) = self.find(sqlx::query(next).bind(int(now.0))).await? else { break };
            let name: String = next.try_get("name").map_err(failed)?;
            let some = "DELETE FROM blob_parts WHERE name = $1 AND part IN \
                        (SELECT part FROM blob_parts WHERE name = $1 ORDER BY part LIMIT $2)";
            let rest = limit(most).saturating_sub(int(swept));
            swept += self.run(sqlx::query(some).bind(&name).bind(rest)).await?;
            let whole = "DELETE FROM blobs WHERE name = $1 \
                         AND NOT EXISTS (SELECT 1 FROM blob_parts p WHERE p.name = $1)";
            if self.run(sqlx::query(whole).bind(&name)).await? == 0 {
                self.run(sqlx::query("UPDATE blobs SET parts = NULL WHERE name = $1").bind(&name)).await?;
            }
        }
        Ok(swept)
    }
}
