//! From YAML.

use serde_saphyr::{Options, UserMessageFormatter};

use super::Ruleset;
use crate::check::Fault;
use crate::limits::FILE_BYTES_MAX;

/// Limits against files that are small and become large.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 1,
            max_events: 400_000,
            max_nodes: 200_000,
            max_anchors: 1_000,
            max_aliases: 2_000,
            max_merge_keys: 0,
            max_recorded_anchor_events: 200_000,
            max_recorded_anchor_bytes: 2 * FILE_BYTES_MAX,
            max_total_scalar_bytes: 2 * FILE_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

impl Ruleset {
    /// Reads a ruleset, without asking whether it makes sense: [`crate::Engine::new`] does.
    ///
    /// # Errors
    /// What is wrong with the text, with its line.
    pub fn from_yaml(text: &str) -> Result<Self, Fault> {
        if text.len() > FILE_BYTES_MAX {
            return Err(Fault::new("file", format!("the file has more than {FILE_BYTES_MAX} bytes")));
        }
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
            let place = match error.location() {
                Some(at) => format!("line {}, column {}", at.line(), at.column()),
                None => "file".to_owned(),
            };
            let message = serde_saphyr::MessageFormatter::format_message(&UserMessageFormatter, &error);
            Fault::new(&place, message)
        })
    }
}
