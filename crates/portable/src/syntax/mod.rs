//! Texts as trees with positions, and changes of texts that leave the rest as it stands.

mod json;
mod json_edit;
mod reader;
mod toml;
mod yaml;
mod yaml_edit;

use config::Diagnostic;
use serde_json::{Map, Number, Value};

pub(crate) use json::{parse as parse_json, parse_apart as parse_json_apart};
pub(crate) use json_edit::{Change, edit as edit_json};
pub(crate) use reader::Reader;
pub(crate) use toml::{parse as parse_toml, to_item, unreadable as toml_unreadable};
pub(crate) use yaml::{options as yaml_options, parse as parse_yaml};
pub(crate) use yaml_edit::{Entry, edit as edit_yaml};

use crate::format::{FILE_BYTES_MAX, Fault};

/// A value, and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Bytes from the beginning of the text.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
    /// What cannot be read, and keeps nothing else from being read.
    Unusable(Box<Fault>),
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) at: usize,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn members(&self) -> &[Member] {
        match &self.kind {
            Kind::Map(members) => members,
            _ => &[],
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.members().iter().find(|member| member.key == key).map(|member| &member.value)
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages. Never its content.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Unusable(_) => "what cannot be used",
        }
    }

    /// The same without positions.
    pub(crate) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Unusable(_) => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Kind::Map(members) => {
                let pairs = members.iter().map(|member| (member.key.clone(), member.value.to_value()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

/// A text with what messages need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
    pub(crate) file: &'a str,
}

impl<'a> Source<'a> {
    /// The text without the mark of its byte order.
    ///
    /// # Errors
    /// Where there is too much of it.
    pub(crate) fn new(text: &'a str, file: &'a str) -> Result<Self, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let own = Self { text, file };
        if text.len() > FILE_BYTES_MAX {
            let message = format!("the file has more than {} MiB", FILE_BYTES_MAX / 1024 / 1024);
            return Err(own.fault(0, "", message));
        }
        Ok(own)
    }

    pub(crate) fn fault(&self, at: usize, path: &str, message: impl Into<String>) -> Fault {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Diagnostic {
            file: self.file.to_owned(),
            line: count(line),
            column: count(column),
            path: path.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hinted(&self, at: usize, path: &str, message: impl Into<String>, hint: &str) -> Fault {
        Diagnostic { hint: Some(hint.to_owned()), ..self.fault(at, path, message) }
    }
}
