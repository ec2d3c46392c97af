//! Typed values from a [`Node`] tree.
//!
//! serde gives up at the first fault. So a value that is at fault is noted and left out, its default takes
//! its place, and the reading begins again, until nothing is at fault.

use std::collections::HashSet;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::fault::{FAULTS_MAX, Fault, Problem};
use super::path::{Path, Seg};
use super::tree::{Node, Position, Value};
use super::typed_parts::{Entries, Items};
use super::typed_words::{Tagged, Word};

/// Reads a value, and puts what is at fault into `faults`. `None` where not even defaults helped.
pub(crate) fn read<T: DeserializeOwned>(root: &Node, faults: &mut Vec<Fault>) -> Option<T> {
    let mut left_out = HashSet::new();
    let before = faults.len();
    for _ in 0..FAULTS_MAX {
        let error = match T::deserialize(Reader { node: root, left_out: &left_out }) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let place = error.place.unwrap_or(Place { node: root.id, at: root.at, reversed: Vec::new() });
        let path = Path::new(place.reversed.into_iter().rev().collect());
        // What lacks a part that was left out is no fault of its own.
        let follows = matches!(error.problem, Problem::Missing { .. } | Problem::Other { .. })
            && faults[before..].iter().any(|inner| inner.path.starts_with(&path));
        if !follows {
            faults.push(Fault { at: place.at, path, problem: error.problem });
        }
        if place.node == root.id || !left_out.insert(place.node) {
            return None;
        }
    }
    let last = faults.iter().map(|fault| fault.at).max().unwrap_or(root.at);
    faults.push(Fault::more(last));
    None
}

/// A fault on its way out of serde.
#[derive(Debug)]
pub(super) struct ReadError {
    problem: Problem,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    /// The node to leave out.
    node: u32,
    at: Position,
    /// The innermost step first, as they become known.
    reversed: Vec<Seg>,
}

impl ReadError {
    fn new(problem: Problem, node: &Node) -> Self {
        Self { problem, place: None }.at(node)
    }

    pub(super) fn of(problem: Problem) -> Self {
        Self { problem, place: None }
    }

    /// Gives the error its place, if it has none yet.
    pub(super) fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert_with(|| Place { node: node.id, at: node.at, reversed: Vec::new() });
        self
    }

    /// Says that the fault is in the key of an entry.
    pub(super) fn at_key(mut self, key: &str, key_at: Position, value: &Node) -> Self {
        let reversed = vec![Seg::Key(key.to_owned())];
        self.place.get_or_insert(Place { node: value.id, at: key_at, reversed });
        self
    }

    /// Says that the place is one step further inside.
    pub(super) fn inside(mut self, seg: Seg) -> Self {
        if let Some(place) = &mut self.place {
            place.reversed.push(seg);
        }
        self
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.problem)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::of(Problem::other(message.to_string(), None))
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            de::Unexpected::Map => "a map".to_owned(),
            de::Unexpected::Seq => "a list".to_owned(),
            de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
            de::Unexpected::Bool(flag) => flag.to_string(),
            de::Unexpected::Unsigned(number) => format!("the number {number}"),
            de::Unexpected::Signed(number) => format!("the number {number}"),
            de::Unexpected::Float(number) => format!("the number {number}"),
            other => other.to_string(),
        };
        let expected = match expected.to_string() {
            text if matches!(text.as_str(), "a string" | "path string") => "text".to_owned(),
            other => other,
        };
        Self::of(Problem::Kind { expected, found, hint: None })
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownKey { known: known.to_vec() })
    }

    fn unknown_variant(given: &str, known: &'static [&'static str]) -> Self {
        Self::of(Problem::UnknownWord { given: super::tree::cut(given), known: known.to_vec() })
    }

    fn missing_field(key: &'static str) -> Self {
        Self::of(Problem::Missing { key })
    }
}

/// Reads one node.
pub(super) struct Reader<'a> {
    pub(super) node: &'a Node,
    pub(super) left_out: &'a HashSet<u32>,
}

impl<'a> Reader<'a> {
    fn kind<T>(&self, expected: &str, hint: Option<String>) -> Result<T, ReadError> {
        let problem = Problem::Kind { expected: expected.to_owned(), found: self.node.describe(), hint };
        Err(ReadError::new(problem, self.node))
    }

    fn items<'de, V: Visitor<'de>>(self, items: &'a [Node], visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_seq(Items::new(items, self.left_out)).map_err(|e| e.at(self.node))
    }

    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(Entries::new(self.node.entries(), self.left_out)).map_err(|e| e.at(self.node))
    }

    /// A whole number from 0 to `max`, which is all that keys have.
    fn whole(&self, max: u64) -> Result<u64, ReadError> {
        match self.node.value {
            Value::Int(number, _) if (0..=i128::from(max)).contains(&number) => {
                Ok(u64::try_from(number).expect("it is between 0 and the largest u64"))
            }
            Value::Int(number, _) if number < 0 => self.kind("a whole number from 0", None),
            Value::Int(..) => self.kind(&format!("a whole number up to {max}"), None),
            _ => self.kind("a whole number", None),
        }
    }

    /// Text, or a number or flag as it was written.
    fn spelling(&self) -> Option<std::borrow::Cow<'a, str>> {
        match &self.node.value {
            Value::Text(text) | Value::Int(_, text) | Value::Float(_, text) => Some(text.as_str().into()),
            Value::Bool(flag) => Some(flag.to_string().into()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }
}

/// What to write where a key has no value.
const NOTHING_HINT: &str = "take the key out to have its default";

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let number = self.whole(u64::from(<$number>::MAX))?;
            visitor.$visit(number).map_err(|e: ReadError| e.at(self.node))
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let node = self.node;
        match &node.value {
            Value::Null => return self.kind("a value", Some(NOTHING_HINT.to_owned())),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Int(number, _) => match (u64::try_from(*number), i64::try_from(*number)) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_i128(*number),
            },
            Value::Float(number, _) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => return self.items(items, visitor),
            Value::Map(_) => return self.entries(visitor),
        }
        .map_err(|e: ReadError| e.at(node))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            Value::Bool(flag) => visitor.visit_bool(flag),
            _ => self.kind("true or false", None),
        }
    }

    whole_numbers! {
        deserialize_u8 visit_u64 u8;
        deserialize_u16 visit_u64 u16;
        deserialize_u32 visit_u64 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.spelling() {
            Some(text) => visitor.visit_str(&text).map_err(|e: ReadError| e.at(self.node)),
            None => match self.node.value {
                // The visitors of a secret and of an address take a reference too.
                Value::Map(_) => self.entries(visitor),
                Value::Null => self.kind("text", Some(NOTHING_HINT.to_owned())),
                _ => self.kind("text", None),
            },
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    /// A key without a value is a fault and not "the default": an `expose:` whose items were all commented
    /// out would otherwise offer everything.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.node.value {
            Value::List(items) => self.items(items, visitor),
            Value::Null => self.kind("a list", Some("write [] for an empty one".to_owned())),
            Value::Text(text) if !text.is_empty() && text.len() <= 60 => {
                let words: Vec<_> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
                self.kind("a list", Some(format!("write [{}]", words.join(", "))))
            }
            _ => self.kind("a list", None),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.node.value {
            // A section whose keys were all commented out.
            Value::Map(_) | Value::Null => self.entries(visitor),
            _ => self.kind("a map", None),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match (self.spelling(), &self.node.value) {
            (Some(text), _) => visitor.visit_enum(Word(&text)).map_err(|e| e.at(self.node)),
            // A word with a value, as in `{when_slow: 2s}`.
            (None, Value::Map(entries)) => {
                let mut entries = entries.iter().filter(|entry| !self.left_out.contains(&entry.value.id));
                match (entries.next(), entries.next()) {
                    (Some(entry), None) => {
                        visitor.visit_enum(Tagged::new(entry, self.left_out)).map_err(|e| e.at(self.node))
                    }
                    _ => {
                        let words = crate::advice::one_of(known);
                        let problem = Problem::other(format!("give exactly one of {words}"), None);
                        Err(ReadError::new(problem, self.node))
                    }
                }
            }
            (None, _) => self.kind(&crate::advice::one_of(known), None),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}
