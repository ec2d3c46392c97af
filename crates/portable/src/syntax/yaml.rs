//! YAML.

use config::raw;
use serde_json::Number;
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, MessageFormatter as _, Options, Spanned, UserMessageFormatter};

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

/// Reads a text. One without a value is an empty map.
///
/// # Errors
/// Where it is no YAML, a key is there twice, or it is too much.
pub(crate) fn parse(source: &Source<'_>) -> Result<Node, Fault> {
    let read: Result<raw::Node, _> = serde_saphyr::from_str_with_options(source.text, options(1, 1_000_000));
    let read = read.map_err(|error| {
        let words = UserMessageFormatter.format_message(&error);
        let words = words.lines().next().unwrap_or_default().split('`').next().unwrap_or_default().trim();
        let at = error.location().map_or(0, |place| start(source.text, place));
        source.fault(at, "", format!("this is no YAML that can be used: {words}"))
    })?;
    let mut root = node(source.text, read);
    if matches!(root.kind, Kind::Null) {
        root.kind = Kind::Map(Vec::new());
    }
    Ok(root)
}

/// The byte at which the line of a place begins.
fn start(text: &str, place: Location) -> usize {
    let (line, _) = raw::position(place);
    let before = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    text.split_inclusive('\n').take(before).map(str::len).sum()
}

/// The byte at which something begins.
fn at(text: &str, place: Location) -> usize {
    let known = place.span().byte_offset().and_then(|at| usize::try_from(at).ok());
    known.map_or_else(|| start(text, place), |at| at.min(text.len()))
}

fn node(text: &str, read: raw::Node) -> Node {
    let own = at(text, read.0.defined);
    let number = |number: Option<Number>, text: String| number.map_or(Kind::Text(text), Kind::Number);
    let kind = match read.0.value {
        raw::Value::Null => Kind::Null,
        raw::Value::Bool(flag) => Kind::Bool(flag),
        raw::Value::Int(it) => number(Number::from_i128(it), it.to_string()),
        raw::Value::Float(it) => number(Number::from_f64(it), it.to_string()),
        raw::Value::Text(text) => Kind::Text(text),
        raw::Value::List(items) => Kind::List(items.into_iter().map(|item| node(text, item)).collect()),
        raw::Value::Map(entries) => {
            let member = |(key, value): (Spanned<String>, raw::Node)| Member {
                at: at(text, key.defined),
                key: key.value,
                value: node(text, value),
            };
            Kind::Map(entries.into_iter().map(member).collect())
        }
    };
    Node { at: own, kind }
}
