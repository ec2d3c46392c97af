//! What clients change in their sessions, and what is kept of streams that they lost, where every replica
//! finds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
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

    /// Keeps events of a stream whose client is gone. `false`: they do not follow on what is kept.
    fn stream_keep<'a>(
        &'a self,
        stream: &'a str,
        events: KeptEvents<'a>,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<bool, SharedError>>;

    /// Nothing more will come on a stream.
    fn stream_close<'a>(
        &'a self,
        stream: &'a str,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<(), SharedError>>;

    /// Forgets what is kept of a stream.
    fn stream_forget<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), SharedError>>;

    /// What is kept of a stream of this session from the event `from` on, or the beginning of it. `None`:
    /// nothing, or not that far back.
    fn stream_read<'a>(
        &'a self,
        stream: &'a str,
        session: &'a str,
        from: u64,
    ) -> BoxFuture<'a, Result<Option<KeptPart>, SharedError>>;
}

/// Events that are to be kept.
#[derive(Debug, Clone, Copy)]
pub struct KeptEvents<'a> {
    /// The session that the stream belongs to; no other gets them.
    pub session: &'a str,
    /// The number of the first.
    pub first: u64,
    /// Their messages.
    pub messages: &'a [Bytes],
    /// How many of a stream may be kept.
    pub events_max: usize,
    /// How many bytes of a stream may be kept.
    pub bytes_max: usize,
}

/// A part of what is kept of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPart {
    /// Events in order, with their numbers.
    pub events: Vec<(u64, Bytes)>,
    /// Whether there are more to be read.
    pub more: bool,
    /// Whether the stream has ended: nothing will come after these and those that can be read.
    pub closed: bool,
}
