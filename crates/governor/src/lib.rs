//! Proposals under rules: an extension over the store.
//!
//! A proposal is a change of files. Who may accept it, the pure crate `governance` says; here its events are
//! kept, in a log that only grows, and what it accepts is put in force and taken back. What a change of files
//! means, and where the files are, is the business of whoever uses this ([`Desk`]).

mod change;
mod desk;
mod life;
mod log;
mod office;
mod view;

pub use change::{CHANGE_BYTES_MAX, Change, Conflict, FileChange, Hunk};
pub use desk::{Check, Desk, Files, Goes, Impact, Look};
pub use life::effect_of;
pub use log::{Done, DoneWhat, Entry, LOG_MAX, Via, hash};
pub use office::{Actor, Content, Draft, GovernError, Office};
