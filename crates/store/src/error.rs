//! Why a store does not do what it is asked to.

use std::error::Error;

use model::Retry;

/// Why. Each text completes "failed to …" and never repeats its source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too many wait already; nothing was written.
    #[error("use the store: too many wait for it already")]
    Busy,
    /// The database, or the way to it.
    #[error("reach the store")]
    Unavailable {
        /// Whether the change may have taken place: a commit was under way when it happened. Where it did, it
        /// did as a whole.
        maybe_written: bool,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Another change was in the way, and this one was undone.
    #[error("change the store: another change was in the way")]
    Conflict,
    /// A value that is longer than it may be; nothing was written.
    #[error("store {what} of more than {max} bytes")]
    TooLarge {
        /// Which value.
        what: &'static str,
        /// How many bytes it may have.
        max: usize,
    },
    /// What is stored cannot be what was written.
    #[error("use the store: {0}")]
    Corrupt(String),
    /// The schema is not the one that this program works with.
    #[error("use the store: its schema has version {found}, and this program works with {wanted}")]
    Schema {
        /// The version found.
        found: u32,
        /// The version that this program works with.
        wanted: u32,
    },
}

impl StoreError {
    /// The database cannot be reached, and nothing was written.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { maybe_written: false, source: source.into() }
    }

    /// A commit was under way, and nobody knows whether it took place.
    pub fn ambiguous(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { maybe_written: true, source: source.into() }
    }

    /// Whether the same transaction may be tried again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy | Self::Conflict | Self::Unavailable { maybe_written: false, .. } => Retry::Safe,
            Self::Unavailable { maybe_written: true, .. } => Retry::MayHaveRun,
            Self::TooLarge { .. } | Self::Corrupt(_) | Self::Schema { .. } => Retry::Useless,
        }
    }
}
