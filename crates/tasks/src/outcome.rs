//! What a task came to, as it is stored: inline, or spilled first and referred to in the same commit.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use model::Timestamp;
use store::{Store, StoreError, Tx};

use crate::Outcome;

/// Larger ones are spilled.
pub(crate) const INLINE_BYTES_MAX: usize = 256 * 1024;
const PART_BYTES: usize = 512 * 1024;
/// A spilled value that nobody refers to is swept after this.
const ORPHAN_TIME: Duration = Duration::from_secs(900);

const RESULT: u8 = b'R';
const ERROR: u8 = b'E';
const SPILLED: u8 = b's';

/// A stored outcome that may have parts elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stored {
    Here(Outcome),
    /// A result under this name.
    Spilled(String),
}

/// What a change writes of an outcome.
pub(crate) struct Written {
    /// In the row.
    pub bytes: Bytes,
    /// The large value that must be kept with it: its name and how many parts it has.
    pub spilled: Option<(String, u32)>,
}

impl Written {
    /// Keeps what was spilled as long as its task.
    pub async fn keep(&self, tx: &mut dyn Tx, expires: Timestamp) -> Result<(), StoreError> {
        let Some((name, parts)) = &self.spilled else { return Ok(()) };
        if tx.blob_keep(name, *parts, expires).await? {
            Ok(())
        } else {
            Err(StoreError::unavailable("a part of a large result was swept before it was kept"))
        }
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Bytes {
    let mut all = BytesMut::with_capacity(bytes.len() + 1);
    all.put_u8(tag);
    all.put_slice(bytes);
    all.freeze()
}

/// Makes an outcome ready to be written; large results are written already.
pub(crate) async fn write(
    store: &dyn Store,
    name: &str,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Written, StoreError> {
    let result = match outcome {
        Outcome::Error(error) => return Ok(Written { bytes: tagged(ERROR, error), spilled: None }),
        Outcome::Result(result) if result.len() <= INLINE_BYTES_MAX => {
            return Ok(Written { bytes: tagged(RESULT, result), spilled: None });
        }
        Outcome::Result(result) => result,
    };
    let mut parts = 0;
    for at in (0..result.len()).step_by(PART_BYTES) {
        let part = result.slice(at..result.len().min(at + PART_BYTES));
        // One transaction each: others write in between.
        let mut tx = store.begin().await?;
        tx.blob_put(name, parts, &part, now.plus(ORPHAN_TIME)).await?;
        tx.commit().await?;
        parts += 1;
    }
    Ok(Written { bytes: tagged(SPILLED, name.as_bytes()), spilled: Some((name.to_owned(), parts)) })
}

/// Reads what was written.
pub(crate) fn read(bytes: &Bytes) -> Option<Stored> {
    let rest = bytes.slice(bytes.len().min(1)..);
    match *bytes.first()? {
        RESULT => Some(Stored::Here(Outcome::Result(rest))),
        ERROR => Some(Stored::Here(Outcome::Error(rest))),
        SPILLED => Some(Stored::Spilled(String::from_utf8(rest.to_vec()).ok()?)),
        _ => None,
    }
}
