//! The edge for clients of the revisions with `initialize`.
//!
//! A session id is sealed state: what the client declared travels in it, so that any replica with the key
//! can serve it. What the process keeps besides (streams, open questions, subscriptions) is found by the
//! session's own name.

mod batch;
mod buffer;
mod channel;
mod drive;
mod get;
mod kept;
mod name;
mod pair;
mod post;
mod session;
mod shared;

pub(crate) use batch::batch;
pub(crate) use channel::LocalSession;
pub(crate) use drive::gather;
pub(crate) use get::{delete, get};
pub(crate) use pair::{Pair, open as pair_open, post as pair_post};
pub(crate) use post::post;
pub use session::Sessions;
pub use shared::{KeptEvents, KeptPart, SessionChange, SessionState, SharedError, SharedSessions};
