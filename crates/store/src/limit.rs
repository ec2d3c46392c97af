//! How much may be stored, for every backend alike.

use bytes::Bytes;
use model::Timestamp;

use crate::{Appended, GrantRow, ReplicaRow, StoreError, StreamLimits, StreamRow, TaskChange, TaskRow};

/// Names: of replicas, sessions, streams, leases and their owners.
pub const NAME_BYTES_MAX: usize = 256;
/// A log level.
pub const LEVEL_BYTES_MAX: usize = 64;
/// The URI of a resource.
pub const URI_BYTES_MAX: usize = 16 * 1024;
/// The URL of a replica.
pub const URL_BYTES_MAX: usize = 2 * 1024;
/// Other short texts, such as versions.
pub const TEXT_BYTES_MAX: usize = 1024;
/// One event of a stream.
pub const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The record of a task.
pub const TASK_HEAD_BYTES_MAX: usize = 256 * 1024;
/// The call that a task makes.
pub const TASK_CALL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a task came to, where it is kept with the task. More than this is a large value, in parts.
pub const TASK_OUTCOME_BYTES_MAX: usize = 1024 * 1024;
/// A part of a large value.
pub const BLOB_PART_BYTES_MAX: usize = 1024 * 1024;
/// What a user has granted, sealed.
pub const GRANT_BYTES_MAX: usize = 64 * 1024;
/// Parts of a large value.
pub const BLOB_PARTS_MAX: u32 = 256;

/// Refuses a value that is too long.
///
/// # Errors
/// [`StoreError::TooLarge`]
pub fn fits(what: &'static str, value: impl AsRef<[u8]>, max: usize) -> Result<(), StoreError> {
    if value.as_ref().len() > max { Err(StoreError::TooLarge { what, max }) } else { Ok(()) }
}

impl ReplicaRow {
    /// Refuses a row that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the URL of a replica", &self.url, URL_BYTES_MAX)?;
        fits("the version of a replica", &self.version, TEXT_BYTES_MAX)?;
        fits("the keys of a replica", &self.keys, TEXT_BYTES_MAX)
    }
}

impl TaskRow {
    /// Refuses a task that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of a task", &self.id, NAME_BYTES_MAX)?;
        fits("the name of a tenant", &self.tenant, TEXT_BYTES_MAX)?;
        fits("the holder of a task", &self.holder, TEXT_BYTES_MAX)?;
        fits("the key of a task", self.key.as_deref().unwrap_or_default(), TEXT_BYTES_MAX)?;
        fits("the name of an owner", self.owner.as_deref().unwrap_or_default(), NAME_BYTES_MAX)?;
        fits("the record of a task", &self.head, TASK_HEAD_BYTES_MAX)?;
        fits("the call of a task", &self.call, TASK_CALL_BYTES_MAX)?;
        fits("the outcome of a task", &self.outcome, TASK_OUTCOME_BYTES_MAX)
    }
}

impl TaskChange {
    /// Refuses a change that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of an owner", self.owner.as_deref().unwrap_or_default(), NAME_BYTES_MAX)?;
        fits("the record of a task", &self.head, TASK_HEAD_BYTES_MAX)?;
        fits("the outcome of a task", self.outcome.as_deref().unwrap_or_default(), TASK_OUTCOME_BYTES_MAX)
    }
}

impl GrantRow {
    /// Refuses a grant that is too long.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    pub fn fits(&self) -> Result<(), StoreError> {
        fits("the name of a grant", &self.name, NAME_BYTES_MAX)?;
        fits("the name of a tenant", &self.tenant, TEXT_BYTES_MAX)?;
        fits("the holder of a grant", &self.holder, TEXT_BYTES_MAX)?;
        fits("the name of an upstream", &self.upstream, NAME_BYTES_MAX)?;
        fits("a grant", &self.data, GRANT_BYTES_MAX)
    }
}

/// Refuses a part of a large value that is too long, or one too many.
///
/// # Errors
/// [`StoreError::TooLarge`]
pub fn blob_part_fits(name: &str, part: u32, data: &[u8]) -> Result<(), StoreError> {
    fits("the name of a large value", name, NAME_BYTES_MAX)?;
    fits("a part of a large value", data, BLOB_PART_BYTES_MAX)?;
    if part >= BLOB_PARTS_MAX {
        let max = BLOB_PART_BYTES_MAX * BLOB_PARTS_MAX as usize;
        return Err(StoreError::TooLarge { what: "a value", max });
    }
    Ok(())
}

impl StreamRow {
    /// What the head of a stream becomes by these events, or why they are refused, for every backend alike.
    ///
    /// # Errors
    /// What became of them, where that is nothing.
    pub fn appended(
        head: Option<&Self>,
        session: &str,
        first: u64,
        events: &[Bytes],
        limits: StreamLimits,
        expires: Timestamp,
    ) -> Result<Self, Appended> {
        let mut head = head.cloned().unwrap_or_else(|| Self {
            session: session.to_owned(),
            first,
            next: first,
            bytes: 0,
            closed: false,
            expires,
        });
        if head.closed {
            return Err(Appended::Closed);
        }
        if head.next != first || head.session != session {
            return Err(Appended::Expected(head.next));
        }
        head.next = head.next.saturating_add(events.len() as u64);
        head.bytes = events.iter().fold(head.bytes, |sum, event| sum.saturating_add(event.len() as u64));
        if head.next - head.first > limits.events || head.bytes > limits.bytes {
            return Err(Appended::Full);
        }
        head.expires = head.expires.max(expires);
        Ok(head)
    }
}
