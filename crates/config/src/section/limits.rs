//! How much of everything there may be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Size, Span};

/// How much of everything there may be.
///
/// At a limit the gateway refuses what is new and keeps what it has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest body of a request.
    ///
    /// Since 0.1.
    pub request_bytes_max: Size,

    /// The largest answer that is held in memory as a whole; a larger one is streamed through.
    ///
    /// Since 0.1.
    pub response_buffer_bytes_max: Size,

    /// The largest single message of an upstream that comes as an event or a line.
    ///
    /// Since 0.1.
    pub upstream_message_bytes_max: Size,

    /// The largest head of a request: all names and values of headers together. At least `4KiB`.
    ///
    /// Since 0.1.
    pub header_bytes_max: Size,

    /// How many headers a request may have. At least 16.
    ///
    /// Since 0.1.
    #[schemars(range(min = 16))]
    pub header_count_max: usize,

    /// How many connections of clients there may be.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub connections_max: usize,

    /// How many calls may run at a time, on all upstreams together; more wait for their turn.
    ///
    /// A call counts from its request to the end of its answer, but not while it waits for its client's
    /// answer to a question; streams that only listen do not count. Since 0.1.
    #[schemars(range(min = 1))]
    pub calls_max: usize,

    /// How many of them may be of one tenant, so that others always find a place.
    ///
    /// The tenant is that of the caller's token or key; of callers that prove nothing, the endpoint is one.
    /// By default three quarters of `calls_max`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub calls_per_tenant_max: Option<usize>,

    /// How many calls may wait for their turn; `0` lets none wait.
    ///
    /// Endpoints take turns. Where no more can wait, the endpoint with the most that wait loses its last one,
    /// which is answered with 503 and `Retry-After`: nothing of it ran. Since 0.1.
    pub queue_max: usize,

    /// How long a call may wait for its turn; then it is answered in the same way.
    ///
    /// Since 0.1.
    pub queue_time_max: Span,

    /// The memory that the process may have. At least `1MiB`.
    ///
    /// From 75 % on, caches and what was delivered on streams are dropped and no new stream is opened; from
    /// 90 % on, calls are answered with 503 and `Retry-After`. By default the limit of the process's control
    /// group, if it has one (cgroup version 2, `memory.max`). Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Size>,

    /// How many streams of notifications may be open to clients.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub streams_max: usize,

    /// How many resources one stream or session may subscribe to.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub subscriptions_per_stream_max: usize,

    /// How many sessions of legacy clients may have state in memory: an open stream, a subscription, a log
    /// level.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub sessions_max: usize,

    /// How many sessions the gateway may have with one legacy upstream.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub upstream_sessions_max: usize,

    /// How many calls may wait for a client's answers to a legacy upstream's questions.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub parked_calls_max: usize,

    /// How many of them may belong to one principal.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub parked_calls_per_principal_max: usize,

    /// How many of them may belong to one upstream.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub parked_calls_per_upstream_max: usize,

    /// How long a call waits for answers before it is given up.
    ///
    /// Since 0.1.
    pub park_time_max: Span,

    /// How many items a page of a list has.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub page_size: usize,

    /// How many items are taken from one upstream's list; the rest is left out, and the log says so.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub list_items_max: usize,

    /// How many pages are fetched for one upstream's list.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub list_pages_max: usize,

    /// How many events of a stream are kept for a client that comes back for them.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub stream_buffer_events_max: usize,

    /// How many bytes of a stream's events are kept for a client that comes back for them.
    ///
    /// Since 0.1.
    pub stream_buffer_bytes_max: Size,

    /// How long a client may take to send the head of a request.
    ///
    /// Since 0.1.
    pub header_read_timeout: Span,

    /// How long a client may take to send the body of a request.
    ///
    /// Since 0.1.
    pub body_read_timeout: Span,

    /// How many messages a batch may have. Only revision 2025-03-26 has batches.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub batch_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: Size::from_mib(4),
            response_buffer_bytes_max: Size::from_mib(1),
            upstream_message_bytes_max: Size::from_mib(16),
            header_bytes_max: Size::from_kib(64),
            header_count_max: 100,
            connections_max: 16_384,
            calls_max: 4096,
            calls_per_tenant_max: None,
            queue_max: 1024,
            queue_time_max: Span::from_secs(5),
            memory_max: None,
            streams_max: 16_384,
            subscriptions_per_stream_max: 1000,
            sessions_max: 16_384,
            upstream_sessions_max: 256,
            parked_calls_max: 1024,
            parked_calls_per_principal_max: 32,
            parked_calls_per_upstream_max: 256,
            park_time_max: Span::from_mins(5),
            page_size: 1000,
            list_items_max: 10_000,
            list_pages_max: 1000,
            stream_buffer_events_max: 256,
            stream_buffer_bytes_max: Size::from_kib(256),
            header_read_timeout: Span::from_secs(10),
            body_read_timeout: Span::from_secs(30),
            batch_max: 64,
        }
    }
}

impl Limits {
    /// How many calls of one tenant may run at a time.
    #[must_use]
    pub fn calls_per_tenant(&self) -> usize {
        let usual = self.calls_max - self.calls_max / 4;
        self.calls_per_tenant_max.unwrap_or(usual).min(self.calls_max)
    }
}
