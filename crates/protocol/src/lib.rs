//! The wire: lossless envelopes, revisions, mirrored headers, server-sent events, errors.

pub mod call;
pub mod envelope;
mod error;
pub mod headers;
pub mod json;
mod meta;
mod method;
pub mod revision;
pub mod sse;

pub use call::{Call, Capabilities};
pub use envelope::{EnvelopeError, Id, Message, Notification, Request, Response};
pub use error::{RpcError, code, http_status};
pub use json::Raw;
pub use meta::Meta;
pub use method::Method;
pub use revision::{Era, Revision, latest};
