//! What replicas may use together.

use async_trait::async_trait;
use model::Timestamp;
use store::{
    Budget, BudgetAsk, BudgetGrant, BudgetRow, BudgetStore, BudgetTx, NAME_BYTES_MAX, StoreError, fits,
};

use crate::SqliteStore;
use crate::failure::failed;
use crate::rows::{self, int};
use crate::task_reads::limit;
use crate::tx::Change;

#[async_trait]
impl BudgetStore for SqliteStore {
    async fn budgets(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<BudgetRow>, StoreError> {
        let query = "SELECT * FROM budgets WHERE substr(name, 1, length(?1)) = ?1 AND name > ?2 \
                     ORDER BY name LIMIT ?3";
        let query = sqlx::query(query).bind(prefix).bind(after.unwrap_or_default()).bind(limit(most));
        let found = query.fetch_all(&self.readers).await.map_err(failed)?;
        found.iter().map(rows::budget).collect::<Result<_, _>>().map_err(failed)
    }
}

impl Change {
    async fn budget_find(&mut self, name: &str) -> Result<Option<BudgetRow>, StoreError> {
        let row = self.find(sqlx::query("SELECT * FROM budgets WHERE name = ?").bind(name)).await?;
        row.as_ref().map(rows::budget).transpose().map_err(failed)
    }

    async fn budget_put(&mut self, row: &BudgetRow) -> Result<(), StoreError> {
        let put = "INSERT OR REPLACE INTO budgets (name, at, used, unit, expires) VALUES (?, ?, ?, ?, ?)";
        let put = sqlx::query(put).bind(&row.name).bind(int(row.at.0)).bind(int(row.used));
        self.run(put.bind(int(row.unit)).bind(int(row.expires.0))).await.map(drop)
    }

    /// A budget of another store.
    pub(crate) async fn budget_insert(&mut self, row: &BudgetRow) -> Result<(), StoreError> {
        match self.budget_find(&row.name).await? {
            Some(_) => Err(StoreError::Conflict),
            None => self.budget_put(row).await,
        }
    }
}

#[async_trait]
impl BudgetTx for Change {
    async fn budget_lease(&mut self, ask: &BudgetAsk<'_>) -> Result<BudgetGrant, StoreError> {
        fits("the name of a budget", ask.name, NAME_BYTES_MAX)?;
        // One transaction writes at a time, so nothing comes between.
        let (row, grant) = BudgetRow::lease(self.budget_find(ask.name).await?.as_ref(), ask);
        self.budget_put(&row).await?;
        Ok(grant)
    }

    async fn budget_return(&mut self, name: &str, budget: Budget, amount: u64) -> Result<bool, StoreError> {
        let Some(row) = self.budget_find(name).await? else { return Ok(false) };
        self.budget_put(&row.returned(budget, amount)).await?;
        Ok(true)
    }

    async fn budget_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        let sweep = "DELETE FROM budgets WHERE name IN \
                     (SELECT name FROM budgets WHERE expires <= ? ORDER BY expires, name LIMIT ?)";
        self.run(sqlx::query(sweep).bind(int(now.0)).bind(limit(most))).await
    }
}
