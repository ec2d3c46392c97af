//! A map of a document that is read key by key, so that none is overlooked: what nobody took is what the
//! model does not have.

use indexmap::IndexMap;

use super::doc::{Entry, Node, Value, fault};
use crate::format::Fault;
use crate::model::Unknown;

/// A map, less the keys that were taken.
pub(super) struct Table<'n> {
    /// Where it is: `binds[0].listeners[0]`.
    pub(super) path: String,
    file: &'n str,
    line: u32,
    column: u32,
    left: Vec<&'n Entry>,
}

/// The path of a key under a path. What is no plain word stands in quotes.
pub(super) fn under(path: &str, key: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/');
    let key = if !key.is_empty() && key.len() <= 128 && key.bytes().all(plain) {
        key.to_owned()
    } else {
        format!("{:?}", key.chars().take(128).collect::<String>())
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

impl<'n> Table<'n> {
    /// Reads a map.
    ///
    /// # Errors
    /// [`Fault`] where it is none.
    pub(super) fn of(node: &'n Node, path: &str, file: &'n str) -> Result<Self, Fault> {
        let Value::Map(entries) = &node.value else {
            let message = format!("expected a map, found {}", node.kind());
            return Err(fault(file, node.line, node.column, path, message));
        };
        let left = entries.iter().collect();
        Ok(Self { path: path.to_owned(), file, line: node.line, column: node.column, left })
    }

    /// The same once more, for what several places name.
    pub(super) fn copy(&self) -> Self {
        Self { path: self.path.clone(), left: self.left.clone(), ..*self }
    }

    /// The path of a key.
    pub(super) fn at(&self, key: &str) -> String {
        under(&self.path, key)
    }

    /// Something wrong with the map itself.
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        fault(self.file, self.line, self.column, &self.path, message)
    }

    fn wrong(&self, key: &str, node: &Node, expected: &str) -> Fault {
        let message = format!("expected {expected}, found {}", node.kind());
        fault(self.file, node.line, node.column, &self.at(key), message)
    }

    /// Whether a key is there and says something.
    pub(super) fn has(&self, key: &str) -> bool {
        self.left.iter().any(|entry| entry.key == key && !matches!(entry.value.value, Value::Null))
    }

    /// Takes a key's value. `None`: it is not there, or null.
    pub(super) fn take(&mut self, key: &str) -> Option<&'n Node> {
        let index = self.left.iter().position(|entry| entry.key == key)?;
        let entry = self.left.remove(index);
        (!matches!(entry.value.value, Value::Null)).then_some(&entry.value)
    }

    /// Takes the next key, whatever it is called.
    pub(super) fn next(&mut self) -> Option<(&'n str, &'n Node)> {
        if self.left.is_empty() {
            return None;
        }
        let entry = self.left.remove(0);
        Some((entry.key.as_str(), &entry.value))
    }

    /// Takes a text.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<&'n str>, Fault> {
        let Some(node) = self.take(key) else { return Ok(None) };
        node.text().map(Some).ok_or_else(|| self.wrong(key, node, "text"))
    }

    /// Takes true or false.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.value {
            Value::Bool(flag) => Ok(Some(flag)),
            _ => Err(self.wrong(key, node, "true or false")),
        }
    }

    /// Takes a whole number that is not negative.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match node.value {
            Value::Int(number) => {
                u64::try_from(number).map(Some).map_err(|_| self.wrong(key, node, "a number from 0"))
            }
            _ => Err(self.wrong(key, node, "a whole number")),
        }
    }

    /// Takes a port.
    pub(super) fn port(&mut self, key: &str) -> Result<Option<u16>, Fault> {
        let at = self.at(key);
        let (line, column) = (self.line, self.column);
        match self.number(key)? {
            None => Ok(None),
            Some(number) => match u16::try_from(number) {
                Ok(port) => Ok(Some(port)),
                Err(_) => Err(fault(self.file, line, column, &at, "expected a port, at most 65535")),
            },
        }
    }

    /// Takes a list.
    pub(super) fn list(&mut self, key: &str) -> Result<Option<&'n [Node]>, Fault> {
        let Some(node) = self.take(key) else { return Ok(None) };
        match &node.value {
            Value::List(items) => Ok(Some(items)),
            _ => Err(self.wrong(key, node, "a list")),
        }
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some(items) = self.list(key)? else { return Ok(None) };
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.text() {
                Some(text) => texts.push(text.to_owned()),
                None => {
                    let message = format!("expected text, found {}", item.kind());
                    let at = format!("{}[{index}]", self.at(key));
                    return Err(fault(self.file, item.line, item.column, &at, message));
                }
            }
        }
        Ok(Some(texts))
    }

    /// Takes a map.
    pub(super) fn table(&mut self, key: &str) -> Result<Option<Self>, Fault> {
        let at = self.at(key);
        self.take(key).map(|node| Self::of(node, &at, self.file)).transpose()
    }

    /// Takes a list of maps.
    pub(super) fn tables(&mut self, key: &str) -> Result<Vec<Self>, Fault> {
        let at = self.at(key);
        let items = self.list(key)?.unwrap_or_default();
        let each = items.iter().enumerate();
        each.map(|(index, item)| Self::of(item, &format!("{at}[{index}]"), self.file)).collect()
    }

    /// Takes a map of maps, in its order.
    pub(super) fn named(&mut self, key: &str) -> Result<Vec<(&'n str, &'n Node)>, Fault> {
        let Some(mut table) = self.table(key)? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        while let Some(entry) = table.next() {
            all.push(entry);
        }
        Ok(all)
    }

    /// Takes a map of plain values: numbers and flags are text to whoever gets them as variables or headers.
    pub(super) fn values(&mut self, key: &str) -> Result<Option<IndexMap<String, String>>, Fault> {
        let Some(mut table) = self.table(key)? else { return Ok(None) };
        let mut values = IndexMap::new();
        while let Some((name, node)) = table.next() {
            let value = match &node.value {
                Value::Null => String::new(),
                Value::Bool(flag) => flag.to_string(),
                Value::Int(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Text(text) => text.clone(),
                Value::List(_) | Value::Map(_) => return Err(table.wrong(name, node, "text")),
            };
            values.insert(name.to_owned(), value);
        }
        Ok(Some(values))
    }

    /// Says that not both of two keys can be there.
    ///
    /// # Errors
    /// [`Fault`] where both are.
    pub(super) fn either(&self, one: &str, other: &str) -> Result<(), Fault> {
        match self.has(one) && self.has(other) {
            true => Err(self.fault(format!("it has both {one:?} and {other:?}, which exclude each other"))),
            false => Ok(()),
        }
    }

    /// What nobody took.
    pub(super) fn rest(self) -> Unknown {
        let said = self.left.into_iter().filter(|entry| !matches!(entry.value.value, Value::Null));
        said.map(|entry| (entry.key.clone(), entry.value.to_json())).collect()
    }
}
