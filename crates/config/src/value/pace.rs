//! How often: `100/1m`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::Span;

/// The most that a pace may be, and the longest time that it may be over, in milliseconds: a day.
const AMOUNT_MAX: u64 = 1_000_000_000;
const MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// So many in such a time: `100/1m`, `5/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pace {
    amount: u64,
    per: Span,
}

/// Why a text is not a pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaceError {
    /// It is not a number, a slash and a duration.
    #[error("expected a number and a duration, such as \"100/1m\" or \"5/s\"")]
    Form,
    /// Nothing would ever come, or too much.
    #[error("expected from 1 to {AMOUNT_MAX}")]
    Amount,
    /// No time at all, or more than a day.
    #[error("expected a duration from \"1ms\" to \"1d\"; for longer ones use \"quota\"")]
    Time,
}

impl Pace {
    /// How many.
    #[must_use]
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// In how long.
    #[must_use]
    pub fn per(&self) -> Span {
        self.per
    }
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        let (amount, per) = text.split_once('/').ok_or(PaceError::Form)?;
        if amount.is_empty() || !amount.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PaceError::Form);
        }
        // A unit alone is one of it.
        let per =
            if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
        let per: Span = per.parse().map_err(|_| PaceError::Form)?;
        let amount = amount.parse().ok().filter(|n| (1..=AMOUNT_MAX).contains(n)).ok_or(PaceError::Amount)?;
        match per.millis() {
            1..=MS_MAX => Ok(Self { amount, per }),
            _ => Err(PaceError::Time),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, self.per)
    }
}

impl Serialize for Pace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Pace {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A number, a slash and a duration: `100/1m`, `5/s`. At most a day.",
            "pattern": "^[0-9]+/[0-9]*(ms|s|m|h|d)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_number_and_a_time() {
        for (text, amount, ms) in [("100/1m", 100, 60_000), ("5/s", 5, 1_000), ("1/1d", 1, 86_400_000)] {
            let pace: Pace = text.parse().expect(text);
            assert_eq!((pace.amount(), pace.per().millis()), (amount, ms), "{text}");
            assert_eq!(pace.to_string().parse(), Ok(pace));
        }
        for (text, error) in [
            ("100", PaceError::Form),
            ("/1m", PaceError::Form),
            ("-1/1m", PaceError::Form),
            ("1/", PaceError::Form),
            ("1/1", PaceError::Form),
            ("0/1m", PaceError::Amount),
            ("99999999999999999999/1m", PaceError::Amount),
            ("1/0s", PaceError::Time),
            ("1/2d", PaceError::Time),
        ] {
            assert_eq!(text.parse::<Pace>(), Err(error), "{text}");
        }
    }
}
