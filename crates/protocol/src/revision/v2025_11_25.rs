//! Revision 2025-11-25. The newest with sessions.

use super::Features;

/// The date, as on the wire.
pub const DATE: &str = "2025-11-25";

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
    tasks: true,
    polled_streams: true,
};
