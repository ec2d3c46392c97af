//! What is read of tasks and large values outside of transactions.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use model::Timestamp;
use sqlx::{QueryBuilder, Row as _, Sqlite};
use store::{StoreError, TaskFilter, TaskRow, TaskStore, TaskUsage};

use crate::SqliteStore;
use crate::failure::failed;
use crate::rows::{self, int};

pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Names as a JSON array, for `json_each`.
pub(crate) fn names(names: &[String]) -> String {
    serde_json::Value::from(names).to_string()
}

#[async_trait]
impl TaskStore for SqliteStore {
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
        let query = sqlx::query("SELECT * FROM tasks WHERE id = ?").bind(id);
        let row = query.fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map(rows::task).transpose()
    }

    async fn task_versions(&self, ids: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        let query = "SELECT id, version FROM tasks WHERE id IN (SELECT value FROM json_each(?))";
        let found: Vec<(String, i64)> =
            sqlx::query_as(query).bind(names(ids)).fetch_all(&self.readers).await.map_err(failed)?;
        Ok(found.into_iter().map(|(id, version)| (id, u64::try_from(version).unwrap_or(0))).collect())
    }

    async fn tasks_due(&self, now: Timestamp, most: usize) -> Result<Vec<TaskRow>, StoreError> {
        let query = "SELECT * FROM tasks WHERE phase = 0 AND owner IS NULL AND due <= ? \
                     ORDER BY due, id LIMIT ?";
        let query = sqlx::query(query).bind(int(now.0)).bind(limit(most));
        let found = query.fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(rows::task).collect()
    }

    async fn task_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let query = "SELECT due FROM tasks WHERE phase = 0 AND owner IS NULL ORDER BY due LIMIT 1";
        let due: Option<i64> =
            sqlx::query_scalar(query).fetch_optional(&self.readers).await.map_err(failed)?;
        Ok(due.map(|due| Timestamp(u64::try_from(due).unwrap_or(0))))
    }

    async fn task_owners(&self) -> Result<Vec<String>, StoreError> {
        // One look into the index for each owner, however many tasks there are.
        let query = "WITH RECURSIVE owners (owner) AS ( \
                     SELECT min(owner) FROM tasks WHERE phase = 0 AND owner IS NOT NULL UNION ALL \
                     SELECT (SELECT min(t.owner) FROM tasks t WHERE t.phase = 0 AND t.owner IS NOT NULL \
                     AND t.owner > owners.owner) FROM owners WHERE owners.owner IS NOT NULL) \
                     SELECT owner FROM owners WHERE owner IS NOT NULL";
        sqlx::query_scalar(query).fetch_all(&self.readers).await.map_err(failed)
    }

    async fn tasks_owned(&self, owner: &str, most: usize) -> Result<Vec<TaskRow>, StoreError> {
        let query = "SELECT * FROM tasks WHERE phase = 0 AND owner IS NOT NULL AND owner = ? \
                     ORDER BY id LIMIT ?";
        let query = sqlx::query(query).bind(owner).bind(limit(most));
        let found = query.fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(rows::task).collect()
    }

    async fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let all = "SELECT id, tenant, holder, key, phase, owner, due, version, head FROM tasks WHERE ";
        let mut query = QueryBuilder::<Sqlite>::new(all);
        match filter.phase {
            None => query.push("phase < 2"),
            Some(phase) => query.push("phase = ").push_bind(i64::from(phase.number())),
        };
        if let Some(holder) = &filter.holder {
            query.push(" AND holder = ").push_bind(holder);
        }
        if let Some(tenant) = &filter.tenant {
            query.push(" AND tenant = ").push_bind(tenant);
        }
        if let Some(after) = after {
            query.push(" AND id < ").push_bind(after);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(limit(most));
        let found = query.build().fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(rows::task_head).collect()
    }

    async fn task_usage(&self) -> Result<Vec<TaskUsage>, StoreError> {
        let query = "SELECT tenant, count(*), sum(length(head) + length(call) + length(outcome)) FROM tasks \
                     WHERE phase < 2 GROUP BY tenant ORDER BY tenant";
        let found: Vec<(String, i64, i64)> =
            sqlx::query_as(query).fetch_all(&self.readers).await.map_err(failed)?;
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        let usage = |(tenant, tasks, bytes)| TaskUsage { tenant, tasks: number(tasks), bytes: number(bytes) };
        Ok(found.into_iter().map(usage).collect())
    }

    async fn blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let query = "SELECT data FROM blobs JOIN blob_parts USING (name) \
                     WHERE name = ? AND parts IS NOT NULL ORDER BY part";
        let found = sqlx::query(query).bind(name).fetch_all(&self.readers).await.map_err(failed)?;
        let mut whole = BytesMut::new();
        for row in &found {
            whole.extend_from_slice(row.try_get("data").map_err(failed)?);
        }
        Ok((!found.is_empty()).then(|| whole.freeze()))
    }
}
