//! The only crate that dials out or starts a process.
//!
//! * [`Http`]: a client with a pool, under a [`Guard`] that says where it may go. What was checked is what is
//!   dialled.
//! * [`Dialer`]: connections for other protocols, under the same guard.
//! * [`Child`]: a process that speaks newline-framed messages, started from a list of words and never by a
//!   shell.
//!
//! Everything has a limit, and each error ([`EgressError`]) says who caused it and whether anything was sent.

mod body;
mod child;
mod connect;
mod error;
mod guard;
mod http;
mod lines;
mod output;
mod resolve;
mod settle;
mod stream;
mod tls;

pub use body::ResponseBody;
pub use child::{Child, ChildOptions, Exit, Lines, Ran, StderrSink, run, spawns_total};
pub use error::{EgressError, Party, Refusal, Source};
pub use guard::{Guard, address_is_public};
pub use http::{Body, Http, HttpOptions, Timeouts};
pub use lines::{LineReader, LineTooLong, fuzz_lines};
pub use output::output_of;
pub use resolve::{ADDRESSES_MAX, Resolve, SystemResolver};
pub use settle::{Settle, SettledExecutor};
pub use stream::{Connection, Dialer};
pub use tls::TlsOptions;
