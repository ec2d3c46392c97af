//! What users have granted the gateway elsewhere: sealed by whoever keeps it here.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::row::{base64_bytes, ms};

/// What a user has granted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRow {
    /// What it is found by.
    pub name: String,
    /// The tenant of the user.
    pub tenant: String,
    /// The user, inside the tenant.
    pub holder: String,
    /// For which upstream.
    pub upstream: String,
    /// How often it was written. The first time makes it 1.
    pub version: u64,
    /// When it is of no use any more.
    #[serde(with = "ms")]
    pub expires: Timestamp,
    /// What it is, sealed.
    #[serde(with = "base64_bytes")]
    pub data: Bytes,
}

impl fmt::Debug for GrantRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, expires, data, .. } = self;
        let mut shown = f.debug_struct("GrantRow");
        shown.field("name", name).field("version", version).field("expires", expires);
        shown.field("data", &format_args!("{} bytes", data.len())).finish_non_exhaustive()
    }
}

/// Which grants somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantFilter {
    /// Those of users of this tenant.
    pub tenant: Option<String>,
    /// Those of users of this name.
    pub holder: Option<String>,
    /// Those for this upstream.
    pub upstream: Option<String>,
}

impl GrantFilter {
    /// Whether a grant is among them.
    #[must_use]
    pub fn fits(&self, row: &GrantRow) -> bool {
        let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        fits(&self.tenant, &row.tenant)
            && fits(&self.holder, &row.holder)
            && fits(&self.upstream, &row.upstream)
    }
}

/// Reading grants. What is promised for [`crate::Store`] holds here, too.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// A grant; `None` where there is none of this name.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError>;

    /// Grants that fit, by name, after the one of the name `after` where that is given; at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRow>, StoreError>;
}

/// Changing grants. What is promised for [`crate::Tx`] holds here, too.
#[async_trait]
pub trait GrantTx: Send {
    /// Writes a grant, whose version is that which was read, 0 where none was, and becomes one more. `false`
    /// where another one was written or removed since then; nothing is changed then.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn grant_put(&mut self, row: &GrantRow) -> Result<bool, StoreError>;

    /// Forgets a grant. Says whether there was one.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn grant_remove(&mut self, name: &str) -> Result<bool, StoreError>;

    /// Forgets grants that have expired, at most `limit`. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn grant_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;
}
