//! What users have granted.

use async_trait::async_trait;
use model::Timestamp;
use sqlx::{QueryBuilder, Sqlite};
use store::{GrantFilter, GrantRow, GrantStore, GrantTx, StoreError};

use crate::SqliteStore;
use crate::failure::failed;
use crate::rows::{self, int};
use crate::task_reads::limit;
use crate::tx::Change;

#[async_trait]
impl GrantStore for SqliteStore {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        let query = sqlx::query("SELECT * FROM grants WHERE name = ?").bind(name);
        let row = query.fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map(rows::grant).transpose().map_err(failed)
    }

    async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM grants WHERE true");
        let wanted = [("tenant", &filter.tenant), ("holder", &filter.holder), ("upstream", &filter.upstream)];
        for (column, value) in wanted {
            if let Some(value) = value {
                query.push(format_args!(" AND {column} = ")).push_bind(value);
            }
        }
        if let Some(after) = after {
            query.push(" AND name > ").push_bind(after);
        }
        query.push(" ORDER BY name LIMIT ").push_bind(limit(most));
        let found = query.build().fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(rows::grant).collect::<Result<_, _>>().map_err(failed)
    }
}

impl Change {
    /// A grant of another store.
    pub(crate) async fn grant_insert(&mut self, row: &GrantRow) -> Result<(), StoreError> {
        if self.grant_add(row, row.version).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    async fn grant_add(&mut self, row: &GrantRow, version: u64) -> Result<u64, StoreError> {
        let add = "INSERT OR IGNORE INTO grants (name, tenant, holder, upstream, version, expires, data) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let add = sqlx::query(add).bind(&row.name).bind(&row.tenant).bind(&row.holder).bind(&row.upstream);
        self.run(add.bind(int(version)).bind(int(row.expires.0)).bind(&row.data[..])).await
    }
}

#[async_trait]
impl GrantTx for Change {
    async fn grant_put(&mut self, row: &GrantRow) -> Result<bool, StoreError> {
        row.fits()?;
        if row.version == 0 {
            return Ok(self.grant_add(row, 1).await? > 0);
        }
        let put = "UPDATE grants SET tenant = ?, holder = ?, upstream = ?, expires = ?, data = ?, \
                   version = version + 1 WHERE name = ? AND version = ?";
        let put = sqlx::query(put).bind(&row.tenant).bind(&row.holder).bind(&row.upstream);
        let put = put.bind(int(row.expires.0)).bind(&row.data[..]);
        Ok(self.run(put.bind(&row.name).bind(int(row.version))).await? > 0)
    }

    async fn grant_remove(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.run(sqlx::query("DELETE FROM grants WHERE name = ?").bind(name)).await? > 0)
    }

    async fn grant_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        let sweep = "DELETE FROM grants WHERE name IN \
                     (SELECT name FROM grants WHERE expires <= ? ORDER BY expires, name LIMIT ?)";
        self.run(sqlx::query(sweep).bind(int(now.0)).bind(limit(most))).await
    }
}
