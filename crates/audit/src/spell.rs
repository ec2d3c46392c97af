//! Canonical JSON as it is written by those who know its members: a record is spelled for each call, so
//! nothing is built that would be taken apart again.

use crate::canonical::{clean, is_clean, quote};

/// The members of an object, which come in the order of their keys.
pub(crate) struct Members<'a> {
    out: &'a mut Vec<u8>,
    last: &'static str,
}

/// A member's value. Texts are cleaned.
pub(crate) enum Spelled<'a> {
    Null,
    Text(&'a str),
    /// Hexadecimal digits after some words.
    Digest(&'static str, &'a [u8]),
    Texts(&'a mut dyn Iterator<Item = &'a str>),
}

/// Writes an object.
pub(crate) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Members<'_>)) {
    out.push(b'{');
    members(&mut Members { out, last: "" });
    out.push(b'}');
}

impl Members<'_> {
    /// The next one.
    pub(crate) fn put(&mut self, key: &'static str, value: Spelled<'_>) {
        self.key(key);
        match value {
            Spelled::Null => self.out.extend_from_slice(b"null"),
            Spelled::Text(text) => spell(text, self.out),
            Spelled::Digest(before, bytes) => {
                self.out.push(b'"');
                self.out.extend_from_slice(before.as_bytes());
                seal::hex_to(bytes, self.out);
                self.out.push(b'"');
            }
            Spelled::Texts(texts) => {
                self.out.push(b'[');
                for (at, text) in texts.enumerate() {
                    if at > 0 {
                        self.out.push(b',');
                    }
                    spell(text, self.out);
                }
                self.out.push(b']');
            }
        }
    }

    pub(crate) fn text(&mut self, key: &'static str, text: &str) {
        self.put(key, Spelled::Text(text));
    }

    /// The next one, where there is one.
    pub(crate) fn maybe(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// The next one, a number: numbers are texts.
    pub(crate) fn number(&mut self, key: &'static str, number: Option<impl std::fmt::Display>) {
        use std::io::Write as _;
        if let Some(number) = number {
            self.key(key);
            let _ = write!(self.out, "\"{number}\"");
        }
    }

    /// The next one, an object.
    pub(crate) fn object(&mut self, key: &'static str, members: impl FnOnce(&mut Members<'_>)) {
        self.key(key);
        object(self.out, members);
    }

    /// The next one, as it is spelled already.
    pub(crate) fn spelled(&mut self, key: &'static str, json: &[u8]) {
        self.key(key);
        self.out.extend_from_slice(json);
    }

    fn key(&mut self, key: &'static str) {
        debug_assert!(self.last < key, "{key} after {}", self.last);
        if !self.last.is_empty() {
            self.out.push(b',');
        }
        self.last = key;
        quote(key, self.out);
        self.out.push(b':');
    }
}

fn spell(text: &str, out: &mut Vec<u8>) {
    if is_clean(text) { quote(text, out) } else { quote(&clean(text), out) }
}
