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

pub use seal::hex;

/// A digest from hex.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    seal::unhex(text)?.try_into().ok()
}
