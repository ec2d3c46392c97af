//! Days: `2026-12-01`.

use std::fmt;
use std::str::FromStr;

use model::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Days from the first of March of the year 0 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// A day of the Gregorian calendar, in UTC, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    /// Since 1970-01-01.
    number: u64,
}

/// Why a text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// It is not written as one.
    #[error("expected a day such as \"2026-12-01\"")]
    Form,
    /// The calendar has no such day, or it is out of the years that count.
    #[error("there is no such day from 1970 to 9999")]
    None,
}

impl Day {
    /// Its first moment.
    #[must_use]
    pub const fn begins(self) -> Timestamp {
        Timestamp(self.number * DAY_MS)
    }
}

/// The year, the month and the day of the month. Years are counted from March, so that the leap day is the
/// last of its year.
fn date(number: u64) -> (u64, u64, u64) {
    let days = number + DAYS_TO_1970;
    let (cycles, rest) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (rest - rest / 1_460 + rest / 36_524 - rest / 146_096) / 365;
    let of_year = rest - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycles * 400 + year + later, month, day)
}

fn number(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    days_of_years + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

impl FromStr for Day {
    type Err = DayError;

    fn from_str(text: &str) -> Result<Self, DayError> {
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(DayError::Form) };
        let digits = |part: &str, count: usize| {
            let good = part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
            good.then(|| part.parse::<u64>().ok()).flatten().ok_or(DayError::Form)
        };
        let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 {
            return Err(DayError::None);
        }
        let number = number(year, month, day);
        // The thirtieth of February comes back as the second of March.
        if date(number) == (year, month, day) { Ok(Self { number }) } else { Err(DayError::None) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.number);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A day, which begins at midnight in UTC: `2026-12-01`.",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_is_written_as_it_is_read() {
        for (text, seconds) in [
            ("1970-01-01", 0),
            ("2000-02-29", 951_782_400),
            ("2026-12-31", 1_798_675_200),
            ("2027-01-01", 1_798_761_600),
            ("9999-12-31", 253_402_214_400),
        ] {
            let day: Day = text.parse().expect(text);
            assert_eq!((day.begins(), day.to_string().as_str()), (Timestamp(seconds * 1_000), text));
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["", "2026", "2026-1-01", "2026-12-01T00:00:00Z", "20261201", "-2026-12-01", "2026-12-+1"]
        {
            assert_eq!(text.parse::<Day>(), Err(DayError::Form), "{text}");
        }
        for text in ["1969-12-31", "2026-13-01", "2026-00-01", "2026-02-29", "2026-04-31", "2026-01-00"] {
            assert_eq!(text.parse::<Day>(), Err(DayError::None), "{text}");
        }
    }
}
