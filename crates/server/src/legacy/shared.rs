//! What clients change in their sessions, where every replica finds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::Timestamp;

/// What a session has become since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionState {
    /// Grows with each change.
    pub version: u64,
    /// The level that the client asked for.
    pub log_level: Option<String>,
    /// The resources that it subscribed to.
    pub uris: BTreeSet<String>,
    /// Whether it was deleted.
    pub ended: bool,
}

/// A change that a client makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionChange {
    /// Another log level.
    Level(String),
    /// One more resource, of so many at most.
    Subscribe(String, usize),
    /// One resource less.
    Unsubscribe(String),
    /// The end.
    End,
}

/// Why the states of sessions cannot be had or changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("reach the store of sessions")]
pub struct SharedError(#[source] pub Arc<dyn std::error::Error + Send + Sync>);

/// Where all replicas keep the states of sessions, by the sessions' names.
pub trait SharedSessions: Send + Sync {
    /// The state of a session; `None` where nothing was ever changed.
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SessionState>, SharedError>>;

    /// Changes a session. Once this returns, `read` tells of it, at every replica. `expires`: when the
    /// session itself will have expired. `false`: the limit of a [`SessionChange::Subscribe`] forbids it.
    fn change<'a>(
        &'a self,
        name: &'a str,
        change: SessionChange,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;
}
