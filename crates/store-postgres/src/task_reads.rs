//! What is read of tasks and large values outside of transactions.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use model::Timestamp;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, QueryBuilder, Row as _};
use store::{StoreError, TaskFilter, TaskRow, TaskStore, TaskUsage};

use crate::PostgresStore;
use crate::failure::Failure;
use crate::rows::{self, int};
use crate::run::read;

pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

async fn fetch(
    connection: &mut PgConnection,
    statement: Query<'static, Postgres, PgArguments>,
) -> Result<Vec<PgRow>, Failure> {
    Ok(statement.fetch_all(connection).await?)
}

/// The rows of a statement, which is made anew where it has to be tried again.
pub(crate) async fn all<T>(
    store: &PostgresStore,
    statement: impl Fn() -> Query<'static, Postgres, PgArguments>,
    read_row: impl Fn(&PgRow) -> Result<T, Failure>,
) -> Result<Vec<T>, StoreError> {
    let found = read(&store.pool, |connection| fetch(connection, statement()).boxed()).await?;
    found.iter().map(read_row).collect::<Result<_, _>>().map_err(Failure::nothing_written)
}

#[async_trait]
impl TaskStore for PostgresStore {
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
        let query = || sqlx::query("SELECT * FROM tasks WHERE id = $1").bind(id.to_owned());
        Ok(all(self, query, rows::task).await?.pop())
    }

    async fn task_versions(&self, ids: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        let query = || sqlx::query("SELECT id, version FROM tasks WHERE id = ANY($1)").bind(ids.to_vec());
        all(self, query, |row| Ok((row.try_get("id")?, rows::number(row, "version")?))).await
    }

    async fn tasks_due(&self, now: Timestamp, most: usize) -> Result<Vec<TaskRow>, StoreError> {
        let text = "SELECT * FROM tasks WHERE phase = 0 AND owner IS NULL AND due <= $1 \
                    ORDER BY due, id LIMIT $2";
        all(self, || sqlx::query(text).bind(int(now.0)).bind(limit(most)), rows::task).await
    }

    async fn task_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let text = "SELECT due FROM tasks WHERE phase = 0 AND owner IS NULL ORDER BY due LIMIT 1";
        Ok(all(self, || sqlx::query(text), |row| Ok(rows::time(row, "due")?)).await?.pop())
    }

    async fn task_owners(&self) -> Result<Vec<String>, StoreError> {
        // One look into the index for each owner, however many tasks there are.
        let text = "WITH RECURSIVE owners (owner) AS ( \
                    SELECT min(owner) FROM tasks WHERE phase = 0 AND owner IS NOT NULL UNION ALL \
                    SELECT (SELECT min(t.owner) FROM tasks t WHERE t.phase = 0 AND t.owner IS NOT NULL \
                    AND t.owner > owners.owner) FROM owners WHERE owners.owner IS NOT NULL) \
                    SELECT owner FROM owners WHERE owner IS NOT NULL";
        all(self, || sqlx::query(text), |row| Ok(row.try_get("owner")?)).await
    }

    async fn tasks_owned(&self, owner: &str, most: usize) -> Result<Vec<TaskRow>, StoreError> {
        let text = "SELECT * FROM tasks WHERE phase = 0 AND owner IS NOT NULL AND owner = $1 \
                    ORDER BY id LIMIT $2";
        all(self, || sqlx::query(text).bind(owner.to_owned()).bind(limit(most)), rows::task).await
    }

    async fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let (filter, after) = (filter.clone(), after.map(str::to_owned));
        let found =
            read(&self.pool, |connection| listed(connection, filter.clone(), after.clone(), most).boxed());
        let found = found.await?;
        found.iter().map(rows::task_head).collect::<Result<_, _>>().map_err(Failure::nothing_written)
    }

    async fn task_usage(&self) -> Result<Vec<TaskUsage>, StoreError> {
        let text = "SELECT tenant, count(*) AS tasks, \
                    sum(length(head) + length(call) + length(outcome))::bigint AS bytes FROM tasks \
                    WHERE phase < 2 GROUP BY tenant ORDER BY tenant";
        let usage = |row: &PgRow| {
            let tenant = rows::text(row.try_get("tenant")?)?;
            let (tasks, bytes) = (rows::number(row, "tasks")?, rows::number(row, "bytes")?);
            Ok(TaskUsage { tenant, tasks, bytes })
        };
        all(self, || sqlx::query(text), usage).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let text = "SELECT data FROM blobs JOIN blob_parts USING (name) \
                    WHERE name = $1 AND parts IS NOT NULL ORDER BY part";
        let query = || sqlx::query(text).bind(name.to_owned());
        let parts = all(self, query, |row| Ok(rows::bytes(row, "data")?)).await?;
        let mut whole = BytesMut::new();
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        Ok((!parts.is_empty()).then(|| whole.freeze()))
    }
}

async fn listed(
    connection: &mut PgConnection,
    filter: TaskFilter,
    after: Option<String>,
    most: usize,
) -> Result<Vec<PgRow>, Failure> {
    let all = "SELECT id, tenant, holder, key, phase, owner, due, version, head FROM tasks WHERE ";
    let mut query = QueryBuilder::<Postgres>::new(all);
    match filter.phase {
        None => query.push("phase < 2"),
        Some(phase) => query.push("phase = ").push_bind(i16::from(phase.number())),
    };
    if let Some(holder) = &filter.holder {
        query.push(" AND holder = ").push_bind(holder.as_bytes());
    }
    if let Some(tenant) = &filter.tenant {
        query.push(" AND tenant = ").push_bind(tenant.as_bytes());
    }
    if let Some(after) = &after {
        query.push(" AND id < ").push_bind(after);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit(most));
    Ok(query.build().fetch_all(connection).await?)
}
