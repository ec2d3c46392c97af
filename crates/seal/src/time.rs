//! Times as text: RFC 3339, section 5.6, in UTC, to the millisecond.

use model::Timestamp;

/// The last moment that has a text form: the end of the year 9999.
pub(crate) const LAST: Timestamp = Timestamp(253_402_300_799_999);

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: u64 = 146_097;
/// Days from the first of March of the year 0 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;

/// Writes a moment: `2026-11-23T06:48:00Z`, with milliseconds only where there are some.
#[must_use]
pub fn time_to_text(at: Timestamp) -> String {
    let at = at.min(LAST).0;
    let (year, month, day) = date(at / DAY_MS);
    let (seconds, ms) = (at % DAY_MS / 1_000, at % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Reads what [`time_to_text`] writes, from 1970 on. `None`: anything else, also other offsets than `Z`,
/// other fractions than milliseconds, leap seconds, and days that there are not.
#[must_use]
pub fn time_from_text(text: &str) -> Option<Timestamp> {
    let bytes = text.strip_suffix('Z')?.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
    };
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !marks.iter().all(|(at, mark)| bytes.get(*at) == Some(mark)) {
        return None;
    }
    let ms = match bytes.len() {
        19 => 0,
        23 if bytes[19] == b'.' => number(20, 23)?,
        _ => return None,
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days(year, month, day);
    // The thirtieth of February comes back as the second of March.
    (date(days) == (year, month, day))
        .then(|| Timestamp(days * DAY_MS + (hour * 3_600 + minute * 60 + second) * 1_000 + ms))
}

/// Days since 1970-01-01. Years are counted from March, so that the leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_of_years = year * 365 + year / 4 - year / 100 + year / 400;
    days_of_years + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// The date of a day: year, month, day.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (cycles, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    // The leap days before: one in 4 years, none in 100, one in 400.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day_of_month = day - (month * 153 + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycles * 400 + year + next, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_everybody_writes_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_795_416_480_000, "2026-11-23T06:48:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (LAST.0, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(time_to_text(Timestamp(ms)), text);
            assert_eq!(time_from_text(text), Some(Timestamp(ms)));
        }
        assert_eq!(time_to_text(Timestamp(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_a_thousand_years_comes_back_and_follows_the_one_before() {
        let mut before = (1969, 12, 31);
        for day in 0..365_243 {
            let date = date(day);
            assert_eq!(days(date.0, date.1, date.2), day);
            let next = date == (before.0, before.1, before.2 + 1)
                || date == (before.0, before.1 + 1, 1)
                || (date == (before.0 + 1, 1, 1) && (before.1, before.2) == (12, 31));
            assert!(next, "{date:?} after {before:?}");
            before = date;
        }
        assert_eq!(before, (2969, 12, 31));
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "Z",
            "2026-11-23",
            "2026-11-23T06:48:00",
            "2026-11-23T06:48Z",
            "2026-11-23 06:48:00Z",
            "2026-11-23T06:48:00z",
            "2026-11-23T06:48:00+00:00",
            "2026-11-23T06:48:00.1Z",
            "2026-11-23T06:48:00,123Z",
            "2026-11-23T06:48:00.123456Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T06:60:00Z",
            "2026-11-23T23:59:60Z",
            "2026-02-30T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-00-10T00:00:00Z",
            "2026-13-10T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "+026-11-23T06:48:00Z",
            "2026-11-23T06:48:0éZ",
            "12026-11-23T06:48:00Z",
        ] {
            assert_eq!(time_from_text(text), None, "{text}");
        }
    }
}
