//! What replicas may use together.

use async_trait::async_trait;
use model::Timestamp;
use store::{
    Budget, BudgetAsk, BudgetGrant, BudgetRow, BudgetStore, BudgetTx, NAME_BYTES_MAX, StoreError, fits,
};

use crate::PostgresStore;
use crate::rows::{self, int};
use crate::task_reads::{all, limit};
use crate::tx::{Change, failed};

#[async_trait]
impl BudgetStore for PostgresStore {
    async fn budgets(
        &self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<BudgetRow>, StoreError> {
        let query = || {
            let query = "SELECT * FROM budgets WHERE substr(name, 1, length($1)) = $1 AND name > $2 \
                         ORDER BY name LIMIT $3";
            let after = after.unwrap_or_default().to_owned();
            sqlx::query(query).bind(prefix.to_owned()).bind(after).bind(limit(most))
        };
        all(self, query, |row| Ok(rows::budget(row)?)).await
    }
}

impl Change {
    /// The row, held until the end of the transaction.
    async fn budget_held(&mut self, name: &str) -> Result<Option<BudgetRow>, StoreError> {
        let held = sqlx::query("SELECT * FROM budgets WHERE name = $1 FOR UPDATE").bind(name);
        let row = self.find(held).await?;
        row.as_ref().map(rows::budget).transpose().map_err(failed)
    }

    async fn budget_add(&mut self, row: &BudgetRow) -> Result<u64, StoreError> {
        let add = "INSERT INTO budgets (name, at, used, unit, expires) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT DO NOTHING";
        let add = sqlx::query(add).bind(&row.name).bind(int(row.at.0)).bind(int(row.used));
        self.run(add.bind(int(row.unit)).bind(int(row.expires.0))).await
    }

    async fn budget_set(&mut self, row: &BudgetRow) -> Result<(), StoreError> {
        let set = "UPDATE budgets SET at = $2, used = $3, unit = $4, expires = $5 WHERE name = $1";
        let set = sqlx::query(set).bind(&row.name).bind(int(row.at.0)).bind(int(row.used));
        self.run(set.bind(int(row.unit)).bind(int(row.expires.0))).await.map(drop)
    }

    /// A budget of another store.
    pub(crate) async fn budget_insert(&mut self, row: &BudgetRow) -> Result<(), StoreError> {
        if self.budget_add(row).await? > 0 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}

#[async_trait]
impl BudgetTx for Change {
    async fn budget_lease(&mut self, ask: &BudgetAsk<'_>) -> Result<BudgetGrant, StoreError> {
        fits("the name of a budget", ask.name, NAME_BYTES_MAX)?;
        let mut held = self.budget_held(ask.name).await?;
        if held.is_none() {
            // Two transactions may both find none. An insertion waits for the other one's, and then finds
            // that row in its place, so that in the end both hold the same row, one after the other.
            let (row, grant) = BudgetRow::lease(None, ask);
            if self.budget_add(&row).await? > 0 {
                return Ok(grant);
            }
            held = self.budget_held(ask.name).await?;
        }
        // Swept in between: whoever asks again finds a new one.
        let Some(held) = held else { return Ok(BudgetGrant { wait_ms: Some(1), ..BudgetGrant::default() }) };
        let (row, grant) = BudgetRow::lease(Some(&held), ask);
        self.budget_set(&row).await?;
        Ok(grant)
    }

    async fn budget_return(&mut self, name: &str, budget: Budget, amount: u64) -> Result<bool, StoreError> {
        let Some(held) = self.budget_held(name).await? else { return Ok(false) };
        self.budget_set(&held.returned(budget, amount)).await?;
        Ok(true)
    }

    async fn budget_sweep(&mut self, now: Timestamp, most: usize) -> Result<u64, StoreError> {
        // What another one leases of or sweeps is left to him.
        let sweep = "DELETE FROM budgets WHERE name IN (SELECT name FROM budgets WHERE expires <= $1 \
                     ORDER BY expires, name LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.run(sqlx::query(sweep).bind(int(now.0)).bind(limit(most))).await
    }
}
