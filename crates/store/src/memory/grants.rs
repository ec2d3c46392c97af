//! Grants.

use async_trait::async_trait;
use model::Timestamp;

use super::{Before, Change, Memory, chosen};
use crate::{GrantFilter, GrantRow, GrantStore, GrantTx, StoreError};

#[async_trait]
impl GrantStore for Memory {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        Ok(self.state.lock().await.open()?.grants.get(name).cloned())
    }

    async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRow>, StoreError> {
        let state = self.state.lock().await;
        let later = state.open()?.grants.values().filter(|row| after.is_none_or(|a| row.name.as_str() > a));
        Ok(later.filter(|row| filter.fits(row)).take(limit).cloned().collect())
    }
}

impl Change {
    pub(super) fn grant_set(&mut self, name: &str, row: Option<GrantRow>) {
        let before = match row {
            Some(row) => self.state.grants.insert(name.to_owned(), row),
            None => self.state.grants.remove(name),
        };
        self.undo.push(Before::Grant(name.to_owned(), before));
    }

    /// A grant of another store.
    pub(super) fn grant_record(&mut self, row: GrantRow) -> Result<(), StoreError> {
        if self.state.grants.contains_key(&row.name) {
            return Err(StoreError::Conflict);
        }
        let name = row.name.clone();
        self.grant_set(&name, Some(row));
        Ok(())
    }
}

#[async_trait]
impl GrantTx for Change {
    async fn grant_put(&mut self, row: &GrantRow) -> Result<bool, StoreError> {
        row.fits()?;
        let found = self.state.grants.get(&row.name).map_or(0, |found| found.version);
        if found != row.version {
            return Ok(false);
        }
        self.grant_set(&row.name, Some(GrantRow { version: found + 1, ..row.clone() }));
        Ok(true)
    }

    async fn grant_remove(&mut self, name: &str) -> Result<bool, StoreError> {
        let found = self.state.grants.contains_key(name);
        self.grant_set(name, None);
        Ok(found)
    }

    async fn grant_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut old = chosen(&self.state.grants, |row| row.expires <= now);
        old.truncate(limit);
        old.iter().for_each(|name| self.grant_set(name, None));
        Ok(old.len() as u64)
    }
}
