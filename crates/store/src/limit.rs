//! How much may be stored, for every backend alike.

use bytes::Bytes;
use model::Timestamp;

use crate::{Appended, ReplicaRow, StoreError, StreamLimits, StreamRow};

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
