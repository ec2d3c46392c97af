//! Revision 2025-06-18.

use super::Features;

/// The date, as on the wire.
pub const DATE: &str = "2025-06-18";

/// What this revision can express.
pub const FEATURES: Features = Features {
    batches: false,
    audio: true,
    tool_annotations: true,
    progress_message: true,
    completions_capability: true,
    structured: true,
    elicitation: true,
    url_elicitation: false,
    sampling_tools: false,
    tasks: false,
    polled_streams: false,
};
