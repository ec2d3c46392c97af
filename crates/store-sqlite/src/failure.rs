//! What SQLite says, and what that means to who asked.

use std::io;

use sqlx::Error;
use store::StoreError;

/// An operation failed, and nothing was written.
pub(crate) fn failed(error: Error) -> StoreError {
    told(error, false)
}

/// A COMMIT failed. What the disk did is unknown.
pub(crate) fn in_commit(error: &Error) -> StoreError {
    // One COMMIT is that of many, who are all told.
    let again = match error {
        Error::Database(error) => io::Error::other(error.message().to_owned()),
        other => io::Error::other(other.to_string()),
    };
    if matches!(code(error), Some(BUSY | LOCKED)) {
        return StoreError::Busy;
    }
    StoreError::ambiguous(again)
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const CORRUPT: u32 = 11;
const CONSTRAINT: u32 = 19;
const NOT_A_DATABASE: u32 = 26;
/// The result code of a constraint of that kind.
const NOT_NULL: &str = "1299";

/// Whether a value is missing where there has to be one.
pub(crate) fn is_missing(error: &Error) -> bool {
    let Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| code == NOT_NULL)
}

/// The primary result code, as in SQLite's list of them.
fn code(error: &Error) -> Option<u32> {
    let Error::Database(error) = error else { return None };
    error.code()?.parse::<u32>().ok().map(|code| code & 0xff)
}

fn told(error: Error, maybe_written: bool) -> StoreError {
    match (code(&error), &error) {
        (Some(BUSY | LOCKED), _) | (None, Error::PoolTimedOut) => StoreError::Busy,
        (Some(CONSTRAINT), _) => StoreError::Conflict,
        (Some(CORRUPT | NOT_A_DATABASE), _) => StoreError::Corrupt(format!("SQLite: {error}")),
        (None, Error::PoolClosed) => StoreError::unavailable("the store is closed"),
        _ => StoreError::Unavailable { maybe_written, source: error.into() },
    }
}
