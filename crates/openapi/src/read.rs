//! A document as a tree: JSON or YAML, with an end to everything.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{MessageFormatter, Options, UserMessageFormatter};

use crate::limits::DOCUMENT_DEPTH_MAX;
use crate::{Fault, Limits};

/// Which rules a document follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.0: a dialect of its own for schemas.
    V30,
    /// 3.1: JSON Schema 2020-12.
    V31,
}

/// Limits against documents that are small and become large.
fn options(bytes_max: usize) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DOCUMENT_DEPTH_MAX,
            flow_nesting_limit: DOCUMENT_DEPTH_MAX,
            max_documents: 1,
            max_events: 4_000_000,
            max_nodes: 2_000_000,
            max_anchors: 10_000,
            max_aliases: 20_000,
            max_merge_keys: 20_000,
            max_recorded_anchor_events: 500_000,
            max_recorded_anchor_bytes: 16 * 1024 * 1024,
            max_total_scalar_bytes: 2 * bytes_max,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 500_000,
            max_replay_stack_depth: 16,
        },
        // The tree names the one that stands twice.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// Reads a document and says of which version it is.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<(Value, Version), Fault> {
    if bytes.len() > limits.document_bytes_max {
        return Err(Fault::TooLarge { bytes: bytes.len(), max: limits.document_bytes_max });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault::Syntax(format!("invalid UTF-8 at byte {}", error.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Tree(root) = if text.trim_start().starts_with('{') { json(text)? } else { yaml(text, limits)? };
    let version = version(&root)?;
    Ok((root, version))
}

fn json(text: &str) -> Result<Tree, Fault> {
    protocol::json::check(text.as_bytes()).map_err(|error| Fault::Syntax(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| Fault::Syntax(error.to_string()))
}

fn yaml(text: &str, limits: &Limits) -> Result<Tree, Fault> {
    serde_saphyr::from_str_with_options(text, options(limits.document_bytes_max)).map_err(|error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        let words = UserMessageFormatter.format_message(&error).into_owned();
        Fault::Syntax(format!("{words}{}", place.unwrap_or_default()))
    })
}

fn version(root: &Value) -> Result<Version, Fault> {
    if !root.is_object() {
        return Err(Fault::Version("no object".to_owned()));
    }
    match (root.get("openapi"), root.get("swagger")) {
        (Some(Value::String(text)), _) => match text.split('.').take(2).collect::<Vec<_>>()[..] {
            ["3", "0"] => Ok(Version::V30),
            ["3", "1"] => Ok(Version::V31),
            _ => Err(Fault::Version(format!("OpenAPI {}", cut(text)))),
        },
        (Some(other), _) => Err(Fault::Version(format!("OpenAPI {}", cut(&other.to_string())))),
        (None, Some(_)) => Err(Fault::Version("Swagger 2.0".to_owned())),
        (None, None) => Err(Fault::Version("no OpenAPI document".to_owned())),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(32).collect()
}

/// A tree in which no name stands twice.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, a list or a map")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(AnyValue)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i128<E: de::Error>(self, number: i128) -> Result<Value, E> {
        // Beyond 64 bits there is nothing that readers of JSON agree on.
        Ok(Number::from_i128(number).map_or_else(|| number.to_string().into(), Value::Number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((Key(name), Tree(value))) = map.next_entry()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format!("the name {:?} stands twice", cut(&name))));
            }
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

/// A member's name. In YAML the status `200` is written as a number by most.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}
