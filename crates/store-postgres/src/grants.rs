//! What users have granted.

use async_trait::async_trait;
use futures_util::FutureExt as _;
use model::Timestamp;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Postgres, QueryBuilder};
use store::{GrantFilter, GrantRow, GrantStore, GrantTx, StoreError};

use crate::PostgresStore;
use crate::failure::Failure;
use crate::rows::{self, int};
use crate::run::read;
use crate::task_reads::{all, limit};
use crate::tx::Change;

#[async_trait]
impl GrantStore for PostgresStore {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        let query = || sqlx::query("SELECT * FROM grants WHERE name = $1").bind(name.to_owned());
        Ok(all(self, query, |row| Ok(rows::grant(row)?)).await?.pop())
    }

    async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let (filter, after) = (filter.clone(), after.map(str::to_owned));
        let found =
            read(&self.pool, |connection| listed(connection, filter.clone(), after.clone(), most).boxed());
        let read_row = |row: &PgRow| rows::grant(row).map_err(Failure::from);
        found.await?.iter().map(read_row).collect::<Result<_, _>>().map_err(Failure::nothing_written)
    }
}

async fn listed(
    connection: &mut PgConnection,
    filter: GrantFilter,
    after: Option<String>,
    most: usize,
) -> Result<Vec<PgRow>, Failure> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM grants WHERE true");
    if let Some(tenant) = &filter.tenant {
        query.push(" AND tenant = ").push_bind(tenant.as_bytes());
    }
    if let Some(holder) = &filter.holder {
        query.push(" AND holder = ").push_bind(holder.as_bytes());
    }
    if let Some(upstream) = &filter.upstream {
        query.push(" AND upstream = ").push_bind(upstream);
    }
    if let Some(after) = &after {
        query.push(" AND name > ").push_bind(after);
    }
    query.push(" ORDER BY name LIMIT ").push_bind(limit(most));
    Ok(query.build().fetch_all(connection).await?)
}

impl Change {
    /// A grant of another store.
    pub(crate) async fn grant_insert(&mut self, row: &GrantRow) -> Result<(), StoreError> {
        if self.grant_add(row, row.version).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    async fn grant_add(&mut self, row: &GrantRow, version: u64) -> Result<u64, StoreError> {
        let add = "INSERT INTO grants (name, tenant, holder, upstream, version, expires, data) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        let add = sqlx::query(add).bind(&row.name).bind(row.tenant.as_bytes());
        let add = add.bind(row.holder.as_bytes()).bind(&row.upstream);
        self.run(add.bind(int(version)).bind(int(row.expires.0)).bind(&row.data[..])).await
    }
}

#[async_trait]
impl GrantTx for Change {
    async fn grant_put(&mut self, row: &GrantRow) -> Result<bool, StoreError> {
        row.fits()?;
        self.tell();
        if row.version == 0 {
            return Ok(self.grant_add(row, 1).await? > 0);
        }
        let put = "UPDATE grants SET tenant = $1, holder = $2, upstream = $3, expires = $4, data = $5, \
                   version = version + 1 WHERE name = $6 AND version = $7";
        let put = sqlx::query(put).bind(row.tenant.as_bytes()).bind(row.holder.as_bytes());
        let put = put.bind(&row.upstream).bind(int(row.expires.0)).bind(&row.data[..]);
        Ok(self.run(put.bind(&row.name).bind(int(row.version))).await? > 0)
    }

    async fn grant_remove(&mut self, name: &str) -> Result<bool, StoreError> {
        self.tell();
        Ok(self.run(sqlx::query("DELETE FROM grants WHERE name = $1").bind(name)).await? > 0)
    }

    async fn grant_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        // What another one changes or sweeps is left to him.
        let sweep = "DELETE FROM grants WHERE name IN (SELECT name FROM grants WHERE expires <= $1 \
                     ORDER BY expires, name LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.run(sqlx::query(sweep).bind(int(now.0)).bind(limit(most))).await
    }
}
