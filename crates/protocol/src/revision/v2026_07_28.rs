//! Revision 2026-07-28. Stateless. What the gateway speaks inside.

use super::Features;

/// The date, as on the wire.
pub const DATE: &str = "2026-07-28";

/// What this revision can express.
pub const FEATURES: Features = Features {
    batches: false,
    audio: true,
    tool_annotations: true,
    progress_message: true,
    completions_capability: true,
    structured: true,
    elicitation: true,
    url_elicitation: true,
    sampling_tools: true,
    tasks: false,
    polled_streams: false,
};

/// Keys of `_meta` that the core text reserves (basic/index, "`_meta`").
pub mod meta {
    /// The request's revision. Required on each request.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What the client can do. Required on each request.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Who the client says it is.
    pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
    /// Who the server says it is. On each result.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// The level from which on the client wants log messages of this request.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// The listen request that a message belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
    /// Marks the progress notifications of a request.
    pub const PROGRESS_TOKEN: &str = "progressToken";
    /// W3C trace context (SEP-414).
    pub const TRACE: [&str; 3] = ["traceparent", "tracestate", "baggage"];
}

/// The id of the Tasks extension (SEP-2663).
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";
