//! Where what users have granted is kept: a port, for others to implement.

use std::time::Duration;

use async_trait::async_trait;
use model::{Principal, Timestamp};

/// Why the vault does not do what it is asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct VaultError {
    /// For the operator: nothing secret is in it.
    pub text: String,
}

/// Where something is in the vault.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Whose it is. Nothing opens for another one.
    pub principal: &'a Principal,
    /// For which upstream.
    pub upstream: &'a str,
    /// What it is found by, without secrets.
    pub name: &'a str,
}

/// Something that was found in the vault.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// How often it was written.
    pub version: u64,
    /// What it is; empty where it is of no use any more.
    pub data: Vec<u8>,
}

/// Something of a user's, with what it is found by.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// For which upstream.
    pub upstream: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kept: Kept,
}

/// Keeps secrets of users, sealed, for all replicas.
#[async_trait]
pub trait Vault: Send + Sync {
    /// What is kept there.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn get(&self, place: Place<'_>) -> Result<Option<Kept>, VaultError>;

    /// All that is kept of somebody, at most `max` of it.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn all(&self, principal: &Principal, max: usize) -> Result<Vec<Found>, VaultError>;

    /// Keeps something in place of the version that was read, 0 for none; `false` where somebody else has
    /// written meanwhile. It is forgotten after `time` in which nobody has written it.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn put(
        &self,
        place: Place<'_>,
        version: u64,
        data: &[u8],
        time: Duration,
    ) -> Result<bool, VaultError>;

    /// Forgets it.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn remove(&self, place: Place<'_>) -> Result<(), VaultError>;

    /// Whether this is the first time that this name is taken by anybody, before it ends.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn once(&self, name: &str, until: Timestamp) -> Result<bool, VaultError>;

    /// Whether it is this caller's turn to do something that one alone may do at a time, for at most `time`.
    ///
    /// # Errors
    /// [`VaultError`]
    async fn turn(&self, name: &str, holder: &str, time: Duration) -> Result<bool, VaultError>;

    /// The turn is over.
    async fn turn_over(&self, name: &str, holder: &str);
}
