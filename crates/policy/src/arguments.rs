//! Arguments as policies see them: the members that the operator declared, of the declared types.
//!
//! A member that is there and of another type is *odd*. A policy that reads an odd member cannot be
//! evaluated: it permits nothing, and what it would forbid is denied. To leave the member out instead would
//! let a caller step around a rule by writing `"100"` for `100`.

use std::collections::BTreeMap;
use std::fmt;

use cedar_policy::RestrictedExpression;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::limits::ARGUMENTS_DEPTH_MAX;

/// What an argument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArgumentType {
    /// A whole number of 64 bits.
    Long,
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A list of whole numbers, or one alone.
    Longs,
    /// A list of texts, or one alone.
    Strings,
    /// Members of their own.
    Record(BTreeMap<String, ArgumentType>),
}

impl ArgumentType {
    /// The type in Cedar's words.
    pub(crate) fn cedar(&self) -> String {
        match self {
            Self::Long => "Long".to_owned(),
            Self::String => "String".to_owned(),
            Self::Boolean => "Bool".to_owned(),
            Self::Longs => "Set<Long>".to_owned(),
            Self::Strings => "Set<String>".to_owned(),
            Self::Record(members) => format!("{{ {} }}", cedar_members(members)),
        }
    }
}

/// Optional attributes in Cedar's words.
pub(crate) fn cedar_members(members: &BTreeMap<String, ArgumentType>) -> String {
    let each = members.iter().map(|(name, kind)| format!("{name:?}?: {}", kind.cedar()));
    each.collect::<Vec<_>>().join(", ")
}

/// A value of JSON, as far as policies can see it.
#[derive(Debug, Clone, PartialEq)]
enum Json {
    Null,
    Boolean(bool),
    Long(i64),
    /// A number that is not a whole one of 64 bits.
    OtherNumber,
    String(String),
    List(Vec<Json>),
    /// Members in their order.
    Record(Vec<(String, Json)>),
}

/// Arguments that were read.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    /// What policies see.
    pub seen: Vec<(String, RestrictedExpression)>,
    /// First members that are there and not what was declared.
    pub odd: Vec<String>,
    /// Whether nothing can be said of any of them: the text is no record.
    pub unreadable: bool,
}

impl Arguments {
    /// Reads the members that were declared.
    pub fn read(text: Option<&str>, declared: &BTreeMap<String, ArgumentType>) -> Self {
        let Some(text) = text.filter(|_| !declared.is_empty()) else { return Self::default() };
        let unreadable = || Self { unreadable: true, ..Self::default() };
        if text.trim().is_empty() {
            return Self::default();
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let Ok(value) = Depth(ARGUMENTS_DEPTH_MAX).deserialize(&mut reader) else { return unreadable() };
        if reader.end().is_err() {
            return unreadable();
        }
        let members = match value {
            Json::Null => return Self::default(),
            Json::Record(members) => members,
            Json::Boolean(_) | Json::Long(_) | Json::OtherNumber | Json::String(_) | Json::List(_) => {
                return unreadable();
            }
        };
        let mut found = Self::default();
        for (name, kind) in declared {
            match member(&members, name) {
                Member::Absent => {}
                Member::Twice => found.odd.push(name.clone()),
                Member::Once(value) => match typed(value, kind) {
                    Some(value) => found.seen.push((name.clone(), value)),
                    None => found.odd.push(name.clone()),
                },
            }
        }
        found
    }
}

enum Member<'a> {
    Absent,
    Once(&'a Json),
    /// Which of them an upstream takes is unknown.
    Twice,
}

fn member<'a>(members: &'a [(String, Json)], name: &str) -> Member<'a> {
    let mut all = members.iter().filter(|(other, _)| other == name);
    match (all.next(), all.next()) {
        (None, _) | (Some((_, Json::Null)), None) => Member::Absent,
        (Some((_, value)), None) => Member::Once(value),
        (Some(_), Some(_)) => Member::Twice,
    }
}

/// A value of the declared type; `None` where it is of another. A `null` never gets here: it is as good as
/// absent.
fn typed(value: &Json, kind: &ArgumentType) -> Option<RestrictedExpression> {
    match (kind, value) {
        (ArgumentType::Long, Json::Long(number)) => Some(RestrictedExpression::new_long(*number)),
        (ArgumentType::String, Json::String(text)) => Some(RestrictedExpression::new_string(text.clone())),
        (ArgumentType::Boolean, Json::Boolean(yes)) => Some(RestrictedExpression::new_bool(*yes)),
        (ArgumentType::Longs, Json::List(list)) => set(list, &ArgumentType::Long),
        (ArgumentType::Strings, Json::List(list)) => set(list, &ArgumentType::String),
        (ArgumentType::Longs, one) => set(std::slice::from_ref(one), &ArgumentType::Long),
        (ArgumentType::Strings, one) => set(std::slice::from_ref(one), &ArgumentType::String),
        (ArgumentType::Record(declared), Json::Record(members)) => record(members, declared),
        (
            ArgumentType::Long | ArgumentType::String | ArgumentType::Boolean | ArgumentType::Record(_),
            Json::Null
            | Json::Boolean(_)
            | Json::Long(_)
            | Json::OtherNumber
            | Json::String(_)
            | Json::List(_)
            | Json::Record(_),
        ) => None,
    }
}

fn set(list: &[Json], kind: &ArgumentType) -> Option<RestrictedExpression> {
    let values: Option<Vec<_>> = list.iter().map(|value| typed(value, kind)).collect();
    values.map(RestrictedExpression::new_set)
}

fn record(
    members: &[(String, Json)],
    declared: &BTreeMap<String, ArgumentType>,
) -> Option<RestrictedExpression> {
    let mut seen = Vec::new();
    for (name, kind) in declared {
        match member(members, name) {
            Member::Absent => {}
            Member::Twice => return None,
            Member::Once(value) => seen.push((name.clone(), typed(value, kind)?)),
        }
    }
    RestrictedExpression::new_record(seen).ok()
}

/// Reads a value that is nested at most this deep.
#[derive(Clone, Copy)]
struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Depth {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Long(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::OtherNumber, Json::Long))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::OtherNumber)
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let (deeper, mut list) = (self.deeper()?, Vec::new());
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let (deeper, mut record) = (self.deeper()?, Vec::new());
        while let Some(name) = members.next_key()? {
            record.push((name, members.next_value_seed(deeper)?));
        }
        Ok(Json::Record(record))
    }
}
