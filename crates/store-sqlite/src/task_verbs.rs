//! The verbs on tasks and large values.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use sqlx::Row as _;
use store::{Guard, StoreError, TaskChange, TaskMade, TaskPhase, TaskPut, TaskRow, TaskTx, blob_part_fits};

use crate::failure::failed;
use crate::rows::int;
use crate::task_reads::{limit, names};
use crate::tx::Change;

/// All of a task. Where its key is that of one which is not gone, nothing.
const INSERT: &str = "INSERT INTO tasks \
    (id, tenant, holder, key, phase, owner, due, version, head, call, outcome) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (key) WHERE key IS NOT NULL AND phase < 2 DO NOTHING";

/// One that has ended gives up its call, and only one that has ended has an outcome.
const PUT: &str = "UPDATE tasks SET phase = ?1, owner = ?2, due = ?3, version = version + 1, head = ?4, \
    call = CASE WHEN ?1 = 0 THEN call ELSE x'' END, \
    outcome = CASE WHEN ?1 = 1 THEN coalesce(?5, outcome) ELSE x'' END \
    WHERE id = ?6 AND version = ?7 AND (?8 IS NULL \
    OR EXISTS (SELECT 1 FROM leases WHERE name = ?8 AND owner = ?9 AND fence = ?10))";

impl Change {
    async fn task_add(&mut self, row: &TaskRow) -> Result<u64, StoreError> {
        let add = sqlx::query(INSERT).bind(&row.id).bind(&row.tenant).bind(&row.holder).bind(&row.key);
        let add = add.bind(i64::from(row.phase.number())).bind(&row.owner).bind(int(row.due.0));
        let add = add.bind(int(row.version)).bind(&row.head[..]).bind(&row.call[..]).bind(&row.outcome[..]);
        self.run(add).await
    }

    /// A task of another store.
    pub(crate) async fn task_insert(&mut self, row: &TaskRow) -> Result<(), StoreError> {
        if self.task_add(row).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    pub(crate) async fn blob_part(&mut self, name: &str, part: u32, data: &Bytes) -> Result<(), StoreError> {
        let put = sqlx::query("INSERT INTO blob_parts (name, part, data) VALUES (?, ?, ?)");
        self.run(put.bind(name).bind(i64::from(part)).bind(&data[..])).await.map(drop)
    }

    async fn holds(&mut self, guard: Guard<'_>) -> Result<bool, StoreError> {
        let held = sqlx::query("SELECT 1 FROM leases WHERE name = ? AND owner = ? AND fence = ?");
        let held = held.bind(guard.name).bind(guard.owner).bind(int(guard.fence.0));
        Ok(self.find(held).await?.is_some())
    }
}

#[async_trait]
impl TaskTx for Change {
    async fn task_create(&mut self, row: &TaskRow) -> Result<TaskMade, StoreError> {
        row.fits()?;
        if self.task_add(row).await? > 0 {
            return Ok(TaskMade::Done);
        }
        let same = sqlx::query("SELECT id FROM tasks WHERE key = ? AND phase < 2").bind(&row.key);
        let same = self.find(same).await?.ok_or(StoreError::Conflict)?;
        Ok(TaskMade::Same(same.try_get("id").map_err(failed)?))
    }

    async fn task_put(
        &mut self,
        change: &TaskChange,
        guard: Option<Guard<'_>>,
    ) -> Result<TaskPut, StoreError> {
        change.fits()?;
        let put = sqlx::query(PUT).bind(i64::from(change.phase.number())).bind(&change.owner);
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
        let due = "SELECT id, phase FROM tasks WHERE phase > 0 AND due <= ? ORDER BY due, id LIMIT ?";
        let due = sqlx::query(due).bind(int(now.0)).bind(limit(most));
        let due = due.fetch_all(self.connection()).await.map_err(failed)?;
        let (mut gone, mut forgotten) = (Vec::new(), Vec::new());
        for row in &due {
            let id: String = row.try_get("id").map_err(failed)?;
            let phase: i64 = row.try_get("phase").map_err(failed)?;
            let stays = phase == i64::from(TaskPhase::Ended.number()) && tombstone_ms > 0;
            if stays { gone.push(id) } else { forgotten.push(id) }
        }
        let bury = "UPDATE tasks SET phase = 2, owner = NULL, due = ?, version = version + 1, call = x'', \
                    outcome = x'' WHERE id IN (SELECT value FROM json_each(?))";
        let until = now.0.saturating_add(tombstone_ms);
        self.run(sqlx::query(bury).bind(int(until)).bind(names(&gone))).await?;
        let forget = "DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?))";
        self.run(sqlx::query(forget).bind(names(&forgotten))).await?;
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
        let put = "INSERT INTO blobs (name, parts, expires) VALUES (?, NULL, ?) ON CONFLICT (name) \
                   DO UPDATE SET expires = max(expires, excluded.expires) WHERE parts IS NULL";
        if self.run(sqlx::query(put).bind(name).bind(int(expires.0))).await? == 0 {
            return Err(StoreError::Conflict);
        }
        self.blob_part(name, part, data).await
    }

    async fn blob_keep(&mut self, name: &str, parts: u32, expires: Timestamp) -> Result<bool, StoreError> {
        let keep = "UPDATE blobs SET parts = ?1, expires = ?2 WHERE name = ?3 AND ?1 > 0 \
                    AND ?1 = (SELECT count(*) FROM blob_parts p WHERE p.name = ?3) \
                    AND ?1 = (SELECT max(part) + 1 FROM blob_parts p WHERE p.name = ?3)";
        let keep = sqlx::query(keep).bind(i64::from(parts)).bind(int(expires.0)).bind(name);
        Ok(self.run(keep).await? > 0)
    }

    async fn blob_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        let mut swept = 0;
        while swept < most as u64 {
            let next = "SELECT name FROM blobs WHERE expires <= ? ORDER BY expires, name LIMIT 1";
            let Some(next) = self.find(sqlx::query(next).bind(int(now.0))).await? else { break };
            let name: String = next.try_get("name").map_err(failed)?;
            let some = "DELETE FROM blob_parts WHERE name = ?1 AND part IN \
                        (SELECT part FROM blob_parts WHERE name = ?1 ORDER BY part LIMIT ?2)";
            let rest = limit(most).saturating_sub(int(swept));
            swept += self.run(sqlx::query(some).bind(&name).bind(rest)).await?;
            let whole = "DELETE FROM blobs WHERE name = ?1 \
                         AND NOT EXISTS (SELECT 1 FROM blob_parts p WHERE p.name = ?1)";
            if self.run(sqlx::query(whole).bind(&name)).await? == 0 {
                self.run(sqlx::query("UPDATE blobs SET parts = NULL WHERE name = ?").bind(&name)).await?;
            }
        }
        Ok(swept)
    }
}
