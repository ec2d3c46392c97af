//! Revision 2025-03-26. A request without a version header is read as this one.

use super::Features;

/// The date, as on the wire.
pub const DATE: &str = "2025-03-26";

/// What this revision can express.
pub const FEATURES: Features = Features {
    batches: true,
    audio: true,
    tool_annotations: true,
    progress_message: true,
    completions_capability: true,
    structured: false,
    elicitation: false,
    url_elicitation: false,
    sampling_tools: false,
    tasks: false,
    polled_streams: false,
};
