//! A gateway's text as a tree in which everything knows its position. JSON is read by the same reader, as it
//! is YAML too.

use config::raw;
use serde_saphyr::{Error, Spanned};

use crate::format::{FILE_BYTES_MAX, Fault};
use crate::syntax::yaml_options;

/// How many documents a text may have.
const DOCUMENTS_MAX: usize = 16;

/// A value and where it is.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: Node,
}

impl Node {
    /// What it is, in words that show no value.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The value of a map's key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// The text of a text node.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it says nothing: null, or an empty text, list or map.
    pub(super) fn is_empty(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => false,
        }
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => (*flag).into(),
            Value::Int(number) => {
                let small = i64::try_from(*number).map(serde_json::Value::from);
                small.or_else(|_| u64::try_from(*number).map(serde_json::Value::from)).unwrap_or_default()
            }
            Value::Float(number) => (*number).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
            }
        }
    }
}

/// Something wrong at a place.
pub(super) fn fault(file: &str, line: u32, column: u32, path: &str, message: impl Into<String>) -> Fault {
    let (file, path) = (file.to_owned(), path.to_owned());
    Fault { file, line, column, path, message: message.into(), hint: None }
}

/// Something wrong with the whole text.
pub(super) fn whole(file: &str, message: impl Into<String>) -> Fault {
    fault(file, 1, 1, "", message)
}

/// Reads a text of one document.
///
/// # Errors
/// What is wrong with the text as such: its syntax, its size, a key that is there twice, more than one
/// document.
pub(super) fn parse(text: &str, file: &str) -> Result<Node, Fault> {
    let mut documents = parse_all(text, file)?;
    match (documents.pop(), documents.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(two), false) => Err(fault(file, two.line, two.column, "", "expected one document, found more")),
        (None, _) => Ok(Node { line: 1, column: 1, value: Value::Null }),
    }
}

/// Reads a text of several documents.
///
/// # Errors
/// As [`parse`].
pub(super) fn parse_all(text: &str, file: &str) -> Result<Vec<Node>, Fault> {
    if text.len() > FILE_BYTES_MAX {
        return Err(whole(file, format!("the file has more than {FILE_BYTES_MAX} bytes")));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read: Vec<raw::Node> =
        serde_saphyr::from_multiple_with_options(text, yaml_options(DOCUMENTS_MAX, 2_000_000)).map_err(
            |error| {
                let (line, column) = error.location().map_or((1, 1), raw::position);
                fault(file, line, column, "", words(&error))
            },
        )?;
    if read.len() > DOCUMENTS_MAX {
        return Err(whole(file, format!("expected at most {DOCUMENTS_MAX} documents, found more")));
    }
    Ok(read.into_iter().map(node).collect())
}

/// What is wrong with a text, without its position.
fn words(error: &Error) -> String {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => words(error),
        Error::DuplicateMappingKey { .. } => {
            "a key is there twice, and programs take one or the other".to_owned()
        }
        _ => raw::fault(error).unwrap_or_else(|| raw::TOO_MUCH.to_owned()),
    }
}

fn node(read: raw::Node) -> Node {
    let (line, column) = raw::position(read.0.defined);
    let value = match read.0.value {
        raw::Value::Null => Value::Null,
        raw::Value::Bool(flag) => Value::Bool(flag),
        raw::Value::Int(number) => Value::Int(number),
        raw::Value::Float(number) => Value::Float(number),
        raw::Value::Text(text) => Value::Text(text),
        raw::Value::List(items) => Value::List(items.into_iter().map(node).collect()),
        raw::Value::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, raw::Node)| {
                let (line, column) = raw::position(key.defined);
                let mut value = node(value);
                if matches!(value.value, Value::Null) {
                    // There may be nothing to point at but the key.
                    (value.line, value.column) = (line, column);
                }
                Entry { key: key.value, value }
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { line, column, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_are_read_alike() {
        let json = parse("\u{feff}{\r\n\t\"a\": [1, \"x\", null, true]\r\n}", "f").expect("JSON");
        let yaml = parse("a: [1, x, null, true]\n", "f").expect("YAML");
        assert_eq!(json.to_json(), yaml.to_json());
        assert_eq!(json.get("a").map(|node| (node.line, node.kind())), Some((2, "a list")));
        assert!(parse("", "f").expect("nothing").is_empty());
    }

    #[test]
    fn what_is_ambiguous_or_endless_is_refused_with_its_line() {
        for (text, line, expected) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("{\"a\": 1,\n \"a\": 2}", 2, "twice"),
            ("a: [1", 1, ""),
            ("a: 1\n---\nb: 2\n", 3, "one document"),
            ("a: !ruby/object {}\n", 1, ""),
        ] {
            let fault = parse(text, "f").expect_err(text);
            assert!(fault.message.contains(expected) && !fault.message.is_empty(), "{fault}");
            assert!(fault.line >= line.min(2) || expected.is_empty(), "{fault}");
        }
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert!(parse(&deep, "f").is_err());
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n".to_owned()
            + &(0..30).map(|i| format!("d{i}: [*c, *c, *c, *c]\n")).collect::<String>();
        let _ = parse(&bomb, "f");
        assert!(parse(&" ".repeat(FILE_BYTES_MAX + 1), "f").expect_err("large").message.contains("bytes"));
    }
}
