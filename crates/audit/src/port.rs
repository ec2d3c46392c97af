//! Where events go.

use std::sync::Arc;

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

/// What a recorder counts, since this process began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records that are durable.
    pub written: u64,
    /// Events that there was no room for.
    pub lost: u64,
    /// Events that wait.
    pub waiting: u64,
    /// Commits.
    pub commits: u64,
    /// Tries to write or to sign that failed.
    pub failed: u64,
    /// Checkpoints that were signed.
    pub signed: u64,
    /// Entries on their way to others.
    pub exports: Vec<ExportFigures>,
}

/// What an export counts, since this process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFigures {
    /// What it is called.
    pub name: Arc<str>,
    /// Entries that were taken.
    pub delivered: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// Entries that were pruned before they were delivered.
    pub missed: u64,
    /// How many entries are not delivered yet. `None`: another process delivers.
    pub behind: Option<u64>,
}

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

    /// What it counts; `None` where it counts nothing.
    fn figures(&self) -> Option<Figures> {
        None
    }

    /// What shows somebody else that the record is in the log; `None` where it is not signed yet.
    async fn receipt(&self, _of: &Recorded) -> Option<Receipt> {
        None
    }
}
