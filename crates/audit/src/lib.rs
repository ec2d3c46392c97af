//! What an audit record is, and how anyone can see that a log of them was tampered with.
//!
//! Pure: bytes and times are arguments. Who writes the log is the `recorder`; whoever has something to record
//! knows [`Recorder`] alone.
//!
//! A record is one of SEP-3004, a draft, and its line in the log has a member `detail` beside it, whose
//! digest the record protects. The lines are the leaves of a Merkle tree in tiles (C2SP `tlog-tiles`), whose
//! root is signed (`tlog-checkpoint`).

pub mod canonical;
mod event;
pub mod files;
mod note;
mod port;
mod receipt;
pub mod record;
mod spell;
pub mod tree;
mod verify;

pub use event::{Content, Decided, Event, Outcome, Phase};
pub use note::{Checkpoint, NOTE_BYTES_MAX, Note, PublicKey, origin, tenant_of};
pub use port::{ExportFigures, Figures, Recorded, Recorder, Unwritten};
pub use receipt::{Receipt, ReceiptError};
pub use record::{Captured, LINE_BYTES_MAX, Line, line, moment, principal};
pub use verify::{CHECKPOINT, Finding, HISTORY, Known, Report, Tampering, verify};

/// Bytes in hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut digits = Vec::with_capacity(bytes.len() * 2);
    spell::hex_to(bytes, &mut digits);
    digits.into_iter().map(char::from).collect()
}

/// A digest from hex.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    unhex_bytes(text)?.try_into().ok()
}

pub(crate) fn unhex_bytes(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect())?
}
