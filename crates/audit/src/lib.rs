//! What an audit record is, and how anyone can see that a log of them was tampered with.
//!
//! Pure: bytes and times are arguments. Who writes the log is the `recorder`; whoever has something to record
//! knows [`Recorder`] alone.

mod event;
mod port;

pub use event::{Content, Decided, Event, Outcome, Phase};
pub use port::{Recorded, Recorder, Unwritten};
