//! Lengths of time: `250ms`, `5s`, `10m`, `1h`, `1d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Units with their length in milliseconds, shortest first.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60 * 1000), ("h", 60 * 60 * 1000), ("d", 24 * 60 * 60 * 1000)];

/// The longest length of time, in milliseconds: a year. Adding it to a point in time cannot overflow.
const MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

/// A length of time, in whole milliseconds.
///
/// In text: a whole number and one of the units `ms`, `s`, `m`, `h`, `d`, without a space; at most `365d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// There is no unit, or an unknown one, or the number is not whole.
    #[error("expected a duration such as \"250ms\", \"5s\", \"10m\", \"1h\" or \"1d\"")]
    Form,
    /// More than a year.
    #[error("a duration is at most \"365d\"")]
    Long,
}

impl Span {
    /// So many milliseconds, cut to a year.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(if ms > MS_MAX { MS_MAX } else { ms })
    }

    /// So many seconds, cut to a year.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_millis(secs.saturating_mul(1000))
    }

    /// So many minutes, cut to a year.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// So many hours, cut to a year.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self::from_mins(hours.saturating_mul(60))
    }

    /// The length for timers.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// The length in milliseconds.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// Whether it is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.duration()
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor =
            UNITS.iter().find(|(name, _)| *name == unit).map(|(_, ms)| *ms).ok_or(SpanError::Form)?;
        if number.is_empty() {
            return Err(SpanError::Form);
        }
        // What does not fit into 64 bits is surely longer than a year.
        let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or(SpanError::Long)?;
        if ms > MS_MAX { Err(SpanError::Long) } else { Ok(Self(ms)) }
    }
}

impl fmt::Display for Span {
    /// The longest unit that gives a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let fits = UNITS.iter().rev().find(|(_, ms)| self.0.is_multiple_of(*ms));
        let (unit, ms) = fits.copied().unwrap_or(UNITS[0]);
        write!(f, "{}{unit}", self.0 / ms)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"5s\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
                Err(E::custom(format_args!("a duration needs a unit, as in \"{number}s\" or \"{number}ms\"")))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A whole number and a unit: `250ms`, `5s`, `10m`, `1h`, `1d`. At most `365d`.",
            "pattern": "^[0-9]+(ms|s|m|h|d)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "1ms", "250ms", "5s", "90s", "10m", "1h", "1d", "365d"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string(), text);
        }
        assert_eq!("60s".parse::<Span>(), Ok(Span::from_mins(1)));
        assert_eq!("1500ms".parse::<Span>().map(Span::duration), Ok(Duration::from_millis(1500)));
        assert_eq!(Span::from_hours(24).to_string(), "1d");
    }

    #[test]
    fn a_duration_without_a_known_unit_is_refused() {
        for text in ["", "5", "s", "-1s", "1.5s", "5 s", "5S", "5sec", "1h30m", "٣s", " 5s", "5s "] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Form), "{text:?}");
        }
    }

    #[test]
    fn a_duration_longer_than_a_year_is_refused() {
        for text in ["366d", "8761h", "99999999999999999999999d", "18446744073709551615d"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError::Long), "{text:?}");
        }
        assert_eq!(Span::from_hours(u64::MAX).to_string(), "365d");
    }
}
