//! Revision 2024-11-05. HTTP is the HTTP+SSE pair: a stream, and a second URL to post to.

use super::Features;

/// The date, as on the wire.
pub const DATE: &str = "2024-11-05";

/// What this revision can express.
pub const FEATURES: Features = Features {
    batches: false,
    audio: false,
    tool_annotations: false,
    progress_message: false,
    completions_capability: false,
    structured: false,
    elicitation: false,
    url_elicitation: false,
    sampling_tools: false,
    tasks: false,
    polled_streams: false,
};
