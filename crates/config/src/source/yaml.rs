//! YAML as a [`Node`] tree.

use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Options, Spanned};

use super::fault::{Fault, Problem};
use super::path::Path;
use super::tree::{Entry, Node, Position, Value};
use crate::load::FILE_BYTES_MAX;
use crate::raw;

/// Limits against files that are small and become large. A configuration with a thousand upstreams keeps far
/// below.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 2,
            max_events: 400_000,
            max_nodes: 200_000,
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
        // The tree sees all of them, so that each can be named.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // Otherwise `no`, a country and an answer, would be a flag.
        strict_booleans: true,
        reject_unsupported_tags: true,
        // There is a limit on how many comments may follow one another, which people reach who comment out a
        // section.
        emit_comments: false,
        with_snippet: false,
    }
}

/// Reads a document. An empty one is an empty map.
///
/// # Errors
/// What is wrong with the text as such. Repeated keys are put into `faults` and left out.
pub(crate) fn parse(text: &str, faults: &mut Vec<Fault>) -> Result<Node, Fault> {
    parse_layer(text, 0, &mut 0, faults)
}

/// The same for one of several files whose trees become one. `ids` is the last number that was given to a
/// node, so that no two of them have the same.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_layer(
    text: &str,
    file: u16,
    ids: &mut u32,
    faults: &mut Vec<Fault>,
) -> Result<Node, Fault> {
    let start = Position { file, ..Position::START };
    let fault =
        |at, message, hint| Fault { at, path: Path::default(), problem: Problem::Other { message, hint } };
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has more than {FILE_BYTES_MAX} bytes");
        return Err(fault(start, message, None));
    }
    let raw: raw::Node = serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let at = error.location().map_or(start, |location| position(location, file));
        let (message, hint) = words(&error, text, at);
        fault(at, message, hint)
    })?;
    let mut builder = Builder { text, file, ids: *ids };
    let mut root = builder.node(raw);
    *ids = builder.ids;
    if matches!(root.value, Value::Null) {
        root.value = Value::Map(Vec::new());
    }
    root.drop_repeated_keys(&Path::default(), faults);
    Ok(root)
}

/// What is wrong with the text, without its position, and what to do about it.
fn words(error: &Error, text: &str, at: Position) -> (String, Option<String>) {
    match raw::fault(error) {
        Some(words) => (words, star_hint(text, at)),
        None => (raw::TOO_MUCH.to_owned(), None),
    }
}

/// A pattern such as `*_read` without quotes is a reference to YAML, and its fault is not clear to those who
/// wrote it.
fn star_hint(text: &str, at: Position) -> Option<String> {
    let index = |n: u32| usize::try_from(n).ok()?.checked_sub(1);
    let line = text.lines().nth(index(at.line)?)?;
    let starts = line.chars().nth(index(at.column)?) == Some('*');
    starts.then(|| "a pattern that begins with \"*\" stands in quotes".to_owned())
}

fn position(location: Location, file: u16) -> Position {
    let (line, column) = raw::position(location);
    Position { file, line, column }
}

struct Builder<'a> {
    text: &'a str,
    file: u16,
    ids: u32,
}

impl Builder<'_> {
    fn node(&mut self, raw: raw::Node) -> Node {
        let location = raw.0.defined;
        // The budget keeps this far below the limit of the type.
        self.ids = self.ids.saturating_add(1);
        let id = self.ids;
        let value = match raw.0.value {
            raw::Value::Null => Value::Null,
            raw::Value::Bool(flag) => Value::Bool(flag),
            raw::Value::Int(number) => Value::Int(number, self.spelling(location, || number.to_string())),
            raw::Value::Float(number) => Value::Float(number, self.spelling(location, || number.to_string())),
            raw::Value::Text(text) => Value::Text(text),
            raw::Value::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            raw::Value::Map(entries) => {
                Value::Map(entries.into_iter().map(|(key, value)| self.entry(key, value)).collect())
            }
        };
        Node { id, at: position(location, self.file), value }
    }

    fn entry(&mut self, key: Spanned<String>, raw: raw::Node) -> Entry {
        let unwritten = raw.0.defined.span().is_empty();
        let mut value = self.node(raw);
        let key_at = position(key.defined, self.file);
        if unwritten && matches!(value.value, Value::Null) {
            // There is nothing to point at but the key.
            value.at = key_at;
        }
        Entry { key: key.value, key_at, value }
    }

    /// A number as it was written: `0755` and `1.10` are text to somebody.
    fn spelling(&self, location: Location, otherwise: impl Fn() -> String) -> String {
        let span = location.span();
        let range = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
            let start = usize::try_from(start).ok()?;
            Some(start..start.checked_add(usize::try_from(len).ok()?)?)
        });
        range.and_then(|range| self.text.get(range)).map_or_else(otherwise, |text| text.trim().to_owned())
    }
}
