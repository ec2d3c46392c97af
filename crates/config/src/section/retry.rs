//! Attempts after a failure that may pass.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::value::{Glob, Span};

/// The statuses of HTTP by which a server says that it could not serve a request just now (RFC 9110, sections
/// 15.6.3 to 15.6.5, and RFC 6585, section 4).
const STATUSES: [u16; 4] = [429, 502, 503, 504];

/// How much of a result's text is held against a pattern, in bytes. The work grows with the product of both.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// How often and when a task's call of a tool is made again.
///
/// A call that may have run is made again only where that does no harm: the tool is named in `idempotent`, or
/// counts as named there by `trust_hints`, or takes an `idempotency_key`. Otherwise its task fails.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// The tools that the rule is for, by the server's own names for them.
    ///
    /// Since 0.1.
    #[serde(default = "Glob::all")]
    pub tools: Glob,

    /// How many attempts there are, the first one counted; 1 to 100. Required.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,

    /// How long to wait before the second attempt. Before each further one it doubles.
    ///
    /// Up to half of it is left out by chance, so that calls that failed together do not come back together.
    /// A server that says how long to wait (`Retry-After`) is not called sooner. Since 0.1.
    #[serde(default = "backoff")]
    pub backoff: Span,

    /// How long to wait before an attempt, at most, unless the server asks for more.
    ///
    /// Since 0.1.
    #[serde(default = "backoff_max")]
    pub backoff_max: Span,

    /// The failures after which there is another attempt; an empty list has none.
    ///
    /// `CODE` is that of a JSON-RPC error, below 0, as in `-32603`. `is_error` is for results in which the
    /// tool says itself that it failed: the pattern is held against the text of the first text content, of
    /// which the first 16 KiB count. Since 0.1.
    #[serde(default = "retry_on")]
    pub retry_on: Vec<RetryOn>,

    /// How long after the task's creation an attempt may still begin.
    ///
    /// By default, and at most, as long as `tasks.ttl`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,

    /// Where the server takes a key by which it knows a call that it has had before.
    ///
    /// The gateway sends the same key with each attempt, and so may make a call again that may have run.
    /// By default the server takes none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<KeyPlace>,
}

fn backoff() -> Span {
    Span::from_millis(500)
}

fn backoff_max() -> Span {
    Span::from_secs(30)
}

fn retry_on() -> Vec<RetryOn> {
    [RetryOn::Connect, RetryOn::Timeout].into_iter().chain(STATUSES.map(RetryOn::Status)).collect()
}

impl Default for RetryRule {
    /// What holds for a tool that no rule fits: one attempt.
    fn default() -> Self {
        Self {
            tools: Glob::all(),
            max_attempts: 1,
            backoff: backoff(),
            backoff_max: backoff_max(),
            retry_on: retry_on(),
            deadline: None,
            idempotency_key: None,
        }
    }
}

impl RetryRule {
    /// Whether the failure that a tool tells of in its result is one that may pass, by the text of the first
    /// text content. Of a text longer than 16 KiB only the beginning counts.
    #[must_use]
    pub fn is_on_text(&self, text: &str) -> bool {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        self.retry_on.iter().any(|on| matches!(on, RetryOn::IsError(glob) if glob.matches(text)))
    }
}

/// A failure after which there may be another attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RetryOn {
    /// The server could not be reached: nothing was sent.
    Connect,
    /// No answer came in time.
    Timeout,
    /// The status of the answer: 429, 502, 503 or 504.
    Status(u16),
    /// The code of a JSON-RPC error, below 0.
    Code(i64),
    /// The tool says itself that it failed (`isError`), and this is the text of its first text content.
    IsError(Glob),
}

/// The words, for messages.
const WORDS: [&str; 6] = ["connect", "timeout", "429", "502", "503", "504"];

impl RetryOn {
    fn of_number<E: de::Error>(number: i64) -> Result<Self, E> {
        match u16::try_from(number) {
            _ if number < 0 => Ok(Self::Code(number)),
            Ok(status) if STATUSES.contains(&status) => Ok(Self::Status(status)),
            _ => Err(E::custom(format_args!(
                "expected 429, 502, 503, 504 or the code of a JSON-RPC error below 0, found {number}"
            ))),
        }
    }
}

impl Serialize for RetryOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Connect => serializer.serialize_str("connect"),
            Self::Timeout => serializer.serialize_str("timeout"),
            Self::Status(status) => serializer.serialize_u16(*status),
            Self::Code(code) => serializer.serialize_i64(*code),
            Self::IsError(glob) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("is_error", glob)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for RetryOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyFailure)
    }
}

struct AnyFailure;

impl<'de> Visitor<'de> for AnyFailure {
    type Value = RetryOn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"connect\", \"timeout\", a status or code, or {is_error: PATTERN}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryOn, E> {
        match text {
            "connect" => Ok(RetryOn::Connect),
            "timeout" => Ok(RetryOn::Timeout),
            _ => match text.parse() {
                Ok(number) => RetryOn::of_number(number),
                Err(_) => Err(E::unknown_variant(text, &WORDS)),
            },
        }
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<RetryOn, E> {
        RetryOn::of_number(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<RetryOn, E> {
        RetryOn::of_number(number)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RetryOn, A::Error> {
        let TextRule { is_error } = TextRule::deserialize(MapAccessDeserializer::new(map))?;
        Ok(RetryOn::IsError(is_error))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TextRule {
    #[serde(deserialize_with = "text_pattern")]
    is_error: Glob,
}

fn text_pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Glob, D::Error> {
    Glob::of_text(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

impl JsonSchema for RetryOn {
    fn schema_name() -> Cow<'static, str> {
        "RetryOn".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let status = |status: u16, text: &str| {
            let spelt = status.to_string();
            json_schema!({ "title": spelt, "description": text, "enum": [status, spelt] })
        };
        json_schema!({
            "description": "A failure after which there may be another attempt.",
            "oneOf": [
                { "const": "connect", "description": "The server could not be reached: nothing was sent." },
                { "const": "timeout", "description": "No answer came in time." },
                status(429, "The server has too many requests."),
                status(502, "A server behind the server gave no good answer."),
                status(503, "The server cannot serve now."),
                status(504, "A server behind the server gave no answer in time."),
                {
                    "title": "CODE",
                    "description": "The code of a JSON-RPC error: any number below 0, as in `-32603`.",
                    "type": ["integer", "string"],
                    "maximum": -1,
                    "pattern": "^-[1-9][0-9]{0,17}$",
                },
                {
                    "description": "The tool says itself that it failed (`isError`), and the text of its \
                                    first text content fits. Spaces and brackets stand for themselves.",
                    "type": "object",
                    "properties": { "is_error": generator.subschema_for::<Glob>() },
                    "required": ["is_error"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// Where a server takes the key of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// A key of the call's `_meta`, with its prefix: `com.example/idempotency-key`.
    Meta(String),
    /// A header of the request. Only with `url`.
    Header(String),
    /// An argument of the tool, which the gateway adds to those that the client gave.
    Argument(String),
}

/// What to write for the place of a key.
const PLACES: &str = "{meta: KEY}, {header: NAME} or {argument: NAME}";

impl<'de> Deserialize<'de> for KeyPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnePlace)
    }
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Places {
    meta: Option<String>,
    header: Option<String>,
    argument: Option<String>,
}

struct OnePlace;

impl<'de> Visitor<'de> for OnePlace {
    type Value = KeyPlace;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACES)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<KeyPlace, E> {
        Err(E::custom(format_args!("say where the key goes: {PLACES}")))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyPlace, A::Error> {
        match Places::deserialize(MapAccessDeserializer::new(map))? {
            Places { meta: Some(key), header: None, argument: None } => Ok(KeyPlace::Meta(key)),
            Places { meta: None, header: Some(name), argument: None } => Ok(KeyPlace::Header(name)),
            Places { meta: None, header: None, argument: Some(name) } => Ok(KeyPlace::Argument(name)),
            Places { meta: None, header: None, argument: None } => {
                Err(de::Error::custom(format_args!("say where the key goes: {PLACES}")))
            }
            _ => Err(de::Error::custom("the key goes to one place: give only one of these")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_without_a_rule_is_called_once() {
        assert_eq!(RetryRule::default().max_attempts, 1);
    }

    #[test]
    fn a_failure_is_told_by_the_text_of_a_result() {
        let glob = |text: &str| Glob::of_text(text).expect("a valid pattern");
        let rule = RetryRule {
            retry_on: vec![RetryOn::Connect, RetryOn::IsError(glob("*temporarily unavailable*"))],
            ..RetryRule::default()
        };
        assert!(rule.is_on_text("the disk is temporarily unavailable\ntry again"));
        assert!(!rule.is_on_text("the disk is gone") && !rule.is_on_text("connect"));
        let late = format!("{}temporarily unavailable", "é".repeat(TEXT_BYTES_MAX / 2));
        assert!(!rule.is_on_text(&late), "only the beginning counts");
        assert!(!RetryRule::default().is_on_text(""));
    }
}
