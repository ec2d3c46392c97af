//! Upstreams behind a URL.

mod events;
mod link;
mod modern;

pub(crate) use events::{EventStream, Reconnect};
pub(crate) use link::{Answer, HttpLink, Refusal, chain, media_type};
pub(crate) use modern::{ModernHttp, refused_kind, trace_headers};
