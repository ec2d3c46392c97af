//! The two adapters between eras, as machines without I/O.
//!
//! [`UpCall`] makes a legacy server look modern to the core, [`DownCall`] makes the core look legacy to a
//! legacy client; [`translate`] holds the words of each revision. Events and messages in, messages and
//! actions out.

mod down_call;
pub mod translate;
mod up_call;

pub use down_call::{ClientRequest, DownCall, DownStep, QUESTIONS_MAX, ROUNDS_MAX};
pub use up_call::{OPEN_QUESTIONS_MAX, Recall, Script, UpAction, UpCall, input_required};
