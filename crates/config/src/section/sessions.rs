//! Sessions of legacy clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// Sessions of clients that speak a revision with sessions (2025-11-25 and older).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// How long a session lasts. A client that comes later gets 404, and opens a new one.
    ///
    /// Since 0.1.
    pub ttl: Span,
    /// How long a call goes on whose client lost its stream, or was sent away to poll.
    ///
    /// A client that comes back in time with `Last-Event-ID` misses nothing; later the call is cancelled.
    /// Since 0.1.
    pub resume_timeout: Span,
    /// How long a client of 2025-11-25 is kept waiting on one stream before it is sent away to poll.
    ///
    /// The stream ends and the client comes back for the rest (SEP-1699), which helps where something between
    /// cuts connections that stay open long. By default streams stay open. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_after: Option<Span>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { ttl: Span::from_hours(24), resume_timeout: Span::from_secs(60), poll_after: None }
    }
}
