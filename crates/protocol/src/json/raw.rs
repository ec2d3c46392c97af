//! A value as the bytes it came in.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::{JsonError, Object, check};

/// The kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number in any spelling.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A JSON value as the bytes it came in: valid by construction, cheap to clone, compared by its spelling.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Raw(Bytes);

impl Raw {
    /// Takes bytes that hold exactly one JSON value; space around it is cut off.
    ///
    /// # Errors
    /// [`JsonError`] where they do not.
    pub fn parse(bytes: Bytes) -> Result<Self, JsonError> {
        check(&bytes)?;
        Ok(Self::trimmed(bytes))
    }

    /// Takes bytes that are known to be one JSON value with space around it, which is cut off.
    pub(super) fn trimmed(bytes: Bytes) -> Self {
        let space = |b: &u8| matches!(b, b' ' | b'\n' | b'\r' | b'\t');
        let start = bytes.iter().position(|b| !space(b)).unwrap_or(0);
        let end = bytes.iter().rposition(|b| !space(b)).map_or(start, |at| at + 1);
        Self(bytes.slice(start..end))
    }

    /// Takes bytes that the caller knows to be one JSON value: written by us, or cut out of a checked one.
    #[must_use]
    pub fn trusted(bytes: Bytes) -> Self {
        debug_assert!(super::scan::is_json(&bytes), "not JSON: {}", String::from_utf8_lossy(&bytes));
        Self(bytes)
    }

    /// A value that stands in the program text.
    #[must_use]
    pub fn literal(text: &'static str) -> Self {
        Self::trusted(Bytes::from_static(text.as_bytes()))
    }

    /// A JSON string with this content.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self(super::string(text))
    }

    /// The value of a tree.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    /// The value's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value's text.
    #[must_use]
    pub fn as_text(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was made")
    }

    /// The value's bytes, shared.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The value's bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The value's kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.0.first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => Kind::Number,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// A string's content. `None`: not a string, or one that no Unicode text can hold (a lone surrogate).
    #[must_use]
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        if self.kind() != Kind::String {
            return None;
        }
        let inner = &self.as_text()[1..self.0.len() - 1];
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_slice::<String>(&self.0).ok().map(Cow::Owned)
    }

    /// A boolean's value.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match &*self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// An integer's value, where it is written as one and fits.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if self.kind() == Kind::Number { self.as_text().parse().ok() } else { None }
    }

    /// A number's value, rounded as IEEE 754 double.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        if self.kind() == Kind::Number { self.as_text().parse().ok() } else { None }
    }

    /// The members of an object. `None`: not an object.
    ///
    /// # Errors
    /// [`JsonError`] where a member name stands twice: readers differ on which one counts.
    pub fn object(&self) -> Result<Option<Object>, JsonError> {
        if self.kind() == Kind::Object { Object::split(self.0.clone()).map(Some) } else { Ok(None) }
    }

    /// The member of an object; `None` also where this is no such object or a name stands twice.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Raw> {
        self.object().ok().flatten()?.get(name)
    }

    /// The items of an array. `None`: not an array.
    #[must_use]
    pub fn items(&self) -> Option<Vec<Raw>> {
        if self.kind() == Kind::Array { Some(super::object::split_array(&self.0)) } else { None }
    }

    /// The value as a tree. For checks that ask for content, never on the common path.
    #[must_use]
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0).unwrap_or(serde_json::Value::Null)
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_text())
    }
}
