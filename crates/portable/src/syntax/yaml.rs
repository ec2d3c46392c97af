//! YAML.

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{MessageFormatter as _, Options, UserMessageFormatter};

use super::{Kind, Member, Node, Source};
use crate::format::{DEPTH_MAX, FILE_BYTES_MAX, Fault};

/// How a text of so many documents is read: with limits against texts that are small and become large. There
/// are at most half as many nodes as `events`.
pub(crate) fn options(documents: usize, events: usize) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: documents + 1,
            max_events: events,
            max_nodes: events / 2,
            max_anchors: 1_000,
            max_aliases: 2_000,
            max_merge_keys: 2_000,
            max_recorded_anchor_events: 200_000,
            max_recorded_anchor_bytes: 8 * 1024 * 1024,
            max_total_scalar_bytes: 2 * FILE_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Reads a text. One without a value is an empty map. Positions are those of the first line that begins with
/// a key, as the tree has none.
///
/// # Errors
/// Where it is no YAML, a key is there twice, or it is too much.
pub(crate) fn parse(source: &Source<'_>) -> Result<Node, Fault> {
    let read: Result<Value, _> = serde_saphyr::from_str_with_options(source.text, options(1, 1_000_000));
    let value = read.map_err(|error| {
        let place = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let words = UserMessageFormatter.format_message(&error);
        let line = usize::try_from(place.0).unwrap_or(1).saturating_sub(1);
        let start: usize = source.text.split_inclusive('\n').take(line).map(str::len).sum();
        let words = words.lines().next().unwrap_or_default().split('`').next().unwrap_or_default().trim();
        source.fault(start, "", format!("this is no YAML that can be used: {words}"))
    })?;
    Ok(node(source.text, value, 0))
}

fn node(text: &str, value: Value, at: usize) -> Node {
    let kind = match value {
        Value::Null if at == 0 => Kind::Map(Vec::new()),
        Value::Null => Kind::Null,
        Value::Bool(flag) => Kind::Bool(flag),
        Value::Number(number) => Kind::Number(number),
        Value::String(text) => Kind::Text(text),
        Value::Array(items) => {
            Kind::List(items.into_iter().map(|item| node(text, item, at.max(1))).collect())
        }
        Value::Object(members) => Kind::Map(
            members
                .into_iter()
                .map(|(key, value)| {
                    let found = position(text, &key, at);
                    Member { value: node(text, value, found.max(1)), key, at: found }
                })
                .collect(),
        ),
    };
    Node { at, kind }
}

/// Where a line begins with a key, from `from` on.
fn position(text: &str, key: &str, from: usize) -> usize {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches([' ', '-']).trim_start_matches(['"', '\'']);
        let is_key = trimmed.strip_prefix(key).is_some_and(|rest| rest.starts_with([':', '"', '\'']));
        if at + line.len() > from && is_key {
            return at + (line.len() - line.trim_start().len());
        }
        at += line.len();
    }
    from
}
