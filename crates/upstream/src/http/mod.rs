//! Upstreams behind a URL.

mod events;
mod link;
mod modern;

pub(crate) use events::{EventStream, Reconnect};
pub(crate) use link::{Answer, HttpLink, Refusal, chain, egress_error, media_type, retry_after};
pub(crate) use modern::{ModernHttp, refused_kind, trace_headers};
