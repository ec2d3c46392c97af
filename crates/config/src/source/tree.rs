//! A document as a tree in which everything knows its position.

use std::collections::HashMap;

use super::fault::{Fault, Problem, note};
use super::path::{Path, Seg};

/// Where something is in a text. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Which of the files that were laid over one another, from 0.
    pub(crate) file: u16,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

impl Position {
    pub(crate) const START: Self = Self { file: 0, line: 1, column: 1 };
}

/// A value in a document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Tells this node from all others of its tree.
    pub(crate) id: u32,
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// A number or a flag keeps its spelling, so that it can still be read as text.
    Int(i128, String),
    Float(f64, String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) value: Node,
}

impl Node {
    /// The values of a map; nothing for other nodes.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The text of a text node.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words, with its value where that is short and in one line.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => flag.to_string(),
            Value::Int(_, text) | Value::Float(_, text) => format!("the number {}", cut(text)),
            Value::Text(text) => format!("the text {:?}", cut(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }

    /// Whether there is a value at `path`.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.walk(path).1 == path.segs().len()
    }

    /// The position of the value at `path`, or of the innermost value around it that there is.
    pub(crate) fn value_at(&self, path: &Path) -> Position {
        self.walk(path).0.at
    }

    /// The position of the last key of `path`, or of the innermost value around it that there is.
    pub(crate) fn key_at(&self, path: &Path) -> Position {
        let (node, steps, key_at) = self.walk_keys(path);
        if steps == path.segs().len() { key_at.unwrap_or(node.at) } else { node.at }
    }

    fn walk(&self, path: &Path) -> (&Self, usize) {
        let (node, steps, _) = self.walk_keys(path);
        (node, steps)
    }

    fn walk_keys(&self, path: &Path) -> (&Self, usize, Option<Position>) {
        let (mut node, mut key_at) = (self, None);
        for (steps, seg) in path.segs().iter().enumerate() {
            let next = match (seg, &node.value) {
                (Seg::Key(key), Value::Map(_)) => {
                    node.get(key).map(|entry| (&entry.value, Some(entry.key_at)))
                }
                (Seg::Index(index), Value::List(items)) => items.get(*index).map(|item| (item, None)),
                _ => None,
            };
            match next {
                Some((inner, at)) => (node, key_at) = (inner, at),
                None => return (node, steps, key_at),
            }
        }
        (node, path.segs().len(), key_at)
    }

    /// Takes keys out that were given before in the same map, and says so for each.
    pub(crate) fn drop_repeated_keys(&mut self, path: &Path, faults: &mut Vec<Fault>) {
        match &mut self.value {
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.drop_repeated_keys(&path.index(index), faults);
                }
            }
            Value::Map(entries) => {
                let mut seen: HashMap<String, Position> = HashMap::new();
                entries.retain(|entry| match seen.get(&entry.key) {
                    Some(first) => {
                        let problem = Problem::Repeated { first_line: first.line };
                        note(faults, Fault { at: entry.key_at, path: path.key(&entry.key), problem });
                        false
                    }
                    None => {
                        seen.insert(entry.key.clone(), entry.key_at);
                        true
                    }
                });
                for entry in entries {
                    let inner = path.key(&entry.key);
                    entry.value.drop_repeated_keys(&inner, faults);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(..) | Value::Float(..) | Value::Text(_) => {}
        }
    }
}

/// At most 60 characters of a text, for a message.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
