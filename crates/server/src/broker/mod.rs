//! The gateway as an authorization server, over HTTP: what clients ask, and what people are asked.

mod authorize;
mod endpoints;

pub(crate) use authorize::{approved, asked, decided, refused};
pub(crate) use endpoints::{form, jwks, metadata, register, revoke, token};
