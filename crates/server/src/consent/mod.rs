//! Users let the gateway use servers for them: a call that needs that asks for it, a browser goes there and
//! comes back, and the call goes on.

mod ask;
mod page;
mod pages;
mod sealed;
mod visit;

pub(crate) use ask::{LOOK, Resumed, ask, patience, resume, sign_in};
pub(crate) use page::{escaped, framed, moved, page, redirect};
pub(crate) use pages::{NAME, callback, client_document, connect};
pub(crate) use sealed::{Errand, Question, Sheet};
pub(crate) use visit::{QUERY_BYTES_MAX, To, Visit, not_now, over};

/// Where the gateway's pages are.
pub(crate) const CONNECT: &str = "/oauth/connect";
/// Where users come back.
pub(crate) const CALLBACK: &str = "/oauth/callback";
/// What the gateway says of itself to authorization servers.
pub(crate) const CLIENT: &str = "/oauth/client.json";
