//! References: inside the document, with an end.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::limits::HOPS_MAX;
use crate::{Reason, Version};

/// A document whose references are followed.
#[derive(Debug)]
pub(crate) struct Doc {
    pub(crate) root: Value,
    pub(crate) version: Version,
}

impl Doc {
    /// What a reference points at.
    pub(crate) fn target(&self, reference: &str) -> Result<&Value, Reason> {
        let Some(fragment) = reference.strip_prefix('#') else {
            return Err(Reason::Outside(short(reference)));
        };
        let pointer = unescape(fragment);
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(Reason::Dangling(short(reference)));
        }
        self.root.pointer(&pointer).ok_or_else(|| Reason::Dangling(short(reference)))
    }

    /// The object behind references to it.
    pub(crate) fn resolve<'a>(&'a self, value: &'a Value) -> Result<&'a Map<String, Value>, Reason> {
        let mut at = value;
        for _ in 0..HOPS_MAX {
            let Value::Object(object) = at else {
                return Err(Reason::form("a part of it that must be an object is none"));
            };
            match object.get("$ref") {
                Some(Value::String(reference)) => at = self.target(reference)?,
                _ => return Ok(object),
            }
        }
        Err(Reason::Circle(value.get("$ref").and_then(Value::as_str).map(short).unwrap_or_default()))
    }
}

/// As much of a reference as is shown.
pub(crate) fn short(reference: &str) -> String {
    reference.chars().take(128).collect()
}

/// A fragment without its percent signs; what is no UTF-8 behind them stays as it is.
fn unescape(fragment: &str) -> Cow<'_, str> {
    if !fragment.contains('%') {
        return Cow::Borrowed(fragment);
    }
    let bytes = fragment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%').then(|| fragment.get(at + 1..at + 3)).flatten();
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(fragment), Cow::Owned)
}
