//! When a request is slow: `200ms`, or `p95`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::Span;

/// The word for what is measured.
const P95: &str = "p95";

/// After how long a request counts as slow: `200ms`, or `p95`, the time in which 95 of a hundred were
/// answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hedge {
    /// After this.
    After(Span),
    /// As is measured.
    P95,
}

/// Why a text is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as \"200ms\", or \"p95\"")]
pub struct HedgeError;

impl FromStr for Hedge {
    type Err = HedgeError;

    fn from_str(text: &str) -> Result<Self, HedgeError> {
        match text {
            P95 => Ok(Self::P95),
            text => text.parse().map(Self::After).map_err(|_| HedgeError),
        }
    }
}

impl fmt::Display for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(span) => span.fmt(f),
            Self::P95 => f.write_str(P95),
        }
    }
}

impl Serialize for Hedge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hedge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Hedge {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hedge".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration (`200ms`), or `p95`: the time in which 95 of a hundred were answered.",
            "pattern": "^([0-9]+(ms|s|m|h|d)|p95)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_duration_or_one_word() {
        assert_eq!("200ms".parse(), Ok(Hedge::After(Span::from_millis(200))));
        assert_eq!("p95".parse(), Ok(Hedge::P95));
        for text in ["200ms", "p95"] {
            assert_eq!(text.parse::<Hedge>().expect(text).to_string(), text);
        }
        for text in ["", "p99", "P95", "95", "slow"] {
            assert_eq!(text.parse::<Hedge>(), Err(HedgeError), "{text}");
        }
    }
}
