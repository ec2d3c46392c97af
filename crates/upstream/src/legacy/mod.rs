//! Servers of the revisions with `initialize`.

mod handshake;
mod http;
mod run;
mod side;

pub(crate) use handshake::{Handshake, class_of, handshake_result, in_words, initialize};
pub(crate) use http::{LegacyHttp, Session};
pub(crate) use run::{Incoming, LegacyRun, Peer, RunStart, Unwanted};
pub(crate) use side::{SideCalls, SideIncoming};
