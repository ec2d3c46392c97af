//! Where events go.

use async_trait::async_trait;

use crate::{Event, Receipt};

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The log's origin (C2SP `tlog-checkpoint`).
    pub origin: String,
    /// The record's place in the log, from zero.
    pub index: u64,
    /// The hash of its leaf.
    pub leaf: [u8; 32],
}

/// A record that could not be written. What it is about must not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit log takes no record: {0}")]
pub struct Unwritten(pub String);

/// Whoever writes the log.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Whether nothing may be answered before its record is durable.
    fn is_strict(&self) -> bool;

    /// Takes an event without waiting. What it has no room for is counted, and the count recorded.
    fn note(&self, event: Event);

    /// Takes an event, and returns once its record is durable.
    ///
    /// # Errors
    /// [`Unwritten`]
    async fn record(&self, event: Event) -> Result<Recorded, Unwritten>;

    /// What shows somebody else that the record is in the log; `None` where it is not signed yet.
    async fn receipt(&self, _of: &Recorded) -> Option<Receipt> {
        None
    }
}
