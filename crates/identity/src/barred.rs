//! Who is not let in any more, although what he proves himself by is still good.

use async_trait::async_trait;
use model::Timestamp;

use crate::vault::VaultError;

/// Somebody, or one grant, that is barred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The tenant.
    pub tenant: String,
    /// The subject inside it.
    pub subject: String,
    /// One grant of his at the gateway's own authorization server; `None`: all that he has, whoever issued
    /// it.
    pub grant: Option<String>,
    /// What was issued before is of no use; [`Timestamp`]'s last: whatever there is.
    pub before: Timestamp,
    /// When nothing that was issued before can still be good.
    pub until: Timestamp,
}

/// Where everybody who lets others in learns of that: a port, for others to implement.
#[async_trait]
pub trait Bars: Send + Sync {
    /// Bars somebody, or a grant, at all replicas: here at once, elsewhere within seconds.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn bar(&self, bar: Bar) -> Result<(), VaultError>;
}
