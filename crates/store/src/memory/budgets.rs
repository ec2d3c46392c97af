//! Budgets.

use async_trait::async_trait;
use model::Timestamp;

use super::{Before, Change, Memory, chosen};
use crate::limit::{NAME_BYTES_MAX, fits};
use crate::{Budget, BudgetAsk, BudgetGrant, BudgetRow, BudgetStore, BudgetTx, StoreError};

#[async_trait]
impl BudgetStore for Memory {
    async fn budgets(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BudgetRow>, StoreError> {
        let state = self.state.lock().await;
        let all = state.open()?.budgets.values();
        let fits =
            all.filter(|row| row.name.starts_with(prefix) && after.is_none_or(|a| row.name.as_str() > a));
        Ok(fits.take(limit).cloned().collect())
    }
}

impl Change {
    fn budget_set(&mut self, name: &str, row: Option<BudgetRow>) {
        let before = match row {
            Some(row) => self.state.budgets.insert(name.to_owned(), row),
            None => self.state.budgets.remove(name),
        };
        self.undo.push(Before::Budget(name.to_owned(), before));
    }

    /// A budget of another store.
    pub(super) fn budget_record(&mut self, row: BudgetRow) -> Result<(), StoreError> {
        if self.state.budgets.contains_key(&row.name) {
            return Err(StoreError::Conflict);
        }
        let name = row.name.clone();
        self.budget_set(&name, Some(row));
        Ok(())
    }
}

#[async_trait]
impl BudgetTx for Change {
    async fn budget_lease(&mut self, ask: &BudgetAsk<'_>) -> Result<BudgetGrant, StoreError> {
        fits("the name of a budget", ask.name, NAME_BYTES_MAX)?;
        let (row, grant) = BudgetRow::lease(self.state.budgets.get(ask.name), ask);
        self.budget_set(ask.name, Some(row));
        Ok(grant)
    }

    async fn budget_return(&mut self, name: &str, budget: Budget, amount: u64) -> Result<bool, StoreError> {
        let Some(row) = self.state.budgets.get(name) else { return Ok(false) };
        let row = row.returned(budget, amount);
        self.budget_set(name, Some(row));
        Ok(true)
    }

    async fn budget_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut old = chosen(&self.state.budgets, |row| row.expires <= now);
        old.truncate(limit);
        old.iter().for_each(|name| self.budget_set(name, None));
        Ok(old.len() as u64)
    }
}
