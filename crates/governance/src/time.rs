//! Days, business days and months, in one fixed offset from UTC.

use std::fmt;
use std::str::FromStr;

use model::Timestamp;
use serde::{Deserialize, Serialize};

const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The largest number in a length of time.
const NUMBER_MAX: u32 = 9_999;

/// A length of time in text: `12h`, `5d`, `10bd` (business days), `12mo` (months by the calendar).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Span {
    /// Hours by the clock.
    Hours(u32),
    /// Days by the clock.
    Days(u32),
    /// Days on which people work, by the calendar.
    BusinessDays(u32),
    /// Months by the calendar: the same day of a later month, or that month's last.
    Months(u32),
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self::Hours(0);

    /// Whether it is no time at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.number() == 0
    }

    fn number(self) -> u32 {
        match self {
            Self::Hours(n) | Self::Days(n) | Self::BusinessDays(n) | Self::Months(n) => n,
        }
    }

    /// So many percent of it, rounded up to a whole number of its unit.
    #[must_use]
    pub fn percent(self, percent: u32) -> Self {
        let scaled = (u64::from(self.number()) * u64::from(percent)).div_ceil(100);
        let n = u32::try_from(scaled).unwrap_or(u32::MAX).min(NUMBER_MAX);
        match self {
            Self::Hours(_) => Self::Hours(n),
            Self::Days(_) => Self::Days(n),
            Self::BusinessDays(_) => Self::BusinessDays(n),
            Self::Months(_) => Self::Months(n),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no length of time: write \"12h\", \"5d\", \"10bd\" or \"12mo\"");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let n = number.parse::<u32>().ok().filter(|n| *n <= NUMBER_MAX).ok_or_else(form)?;
        match unit {
            "h" => Ok(Self::Hours(n)),
            "d" => Ok(Self::Days(n)),
            "bd" => Ok(Self::BusinessDays(n)),
            "mo" => Ok(Self::Months(n)),
            _ => Err(form()),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(n) => write!(f, "{n}h"),
            Self::Days(n) => write!(f, "{n}d"),
            Self::BusinessDays(n) => write!(f, "{n}bd"),
            Self::Months(n) => write!(f, "{n}mo"),
        }
    }
}

/// A day of the Gregorian calendar: `2026-12-31`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Date {
    /// From 1970 to 9999.
    pub year: u32,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
}

impl Date {
    /// The day that begins so many days after 1970-01-01.
    #[must_use]
    pub fn from_days(days: u64) -> Self {
        // Eras of 400 years that begin in March, so that the day that comes and goes is the last of a year.
        let z = days + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        Self { year: small(year), month: small(month), day: small(day) }
    }

    /// How many days after 1970-01-01 it is.
    #[must_use]
    pub fn days(self) -> u64 {
        let year = u64::from(self.year) - u64::from(self.month <= 2);
        let (era, year_of_era) = (year / 400, year % 400);
        let month = u64::from(self.month);
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * from_march + 2) / 5 + u64::from(self.day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        (era * 146_097 + day_of_era).saturating_sub(719_468)
    }

    /// The first moment of the day in UTC.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(self.days() * DAY_MS)
    }

    fn plus_months(self, months: u32) -> Self {
        let count = self.year * 12 + (self.month - 1) + months;
        let (year, month) = (count / 12, count % 12 + 1);
        Self { year, month, day: self.day.min(month_days(year, month)) }
    }
}

/// What `12-25` says.
pub(crate) fn month_and_day(text: &str) -> Option<(u32, u32)> {
    let (month, day) = text.split_once('-')?;
    let two = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() == 2);
    // In a leap year, so that the 29th of February may be one.
    two(month).zip(two(day)).filter(|(m, d)| (1..=12).contains(m) && (1..=month_days(2000, *m)).contains(d))
}

fn month_days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no day: write it as \"2026-12-31\"");
        let mut parts = text.split('-');
        let mut part = |len: usize| {
            let part = parts.next().filter(|p| p.len() == len && p.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|p| p.parse::<u32>().ok()).ok_or_else(form)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let fits = year >= 1970 && (1..=12).contains(&month) && (1..=month_days(year, month)).contains(&day);
        if fits && parts.next().is_none() { Ok(Self { year, month, day }) } else { Err(form()) }
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the days of the week explain themselves")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Of the day so many days after 1970-01-01, which was a Thursday.
    fn of(days: u64) -> Self {
        match (days + 3) % 7 {
            0 => Self::Monday,
            1 => Self::Tuesday,
            2 => Self::Wednesday,
            3 => Self::Thursday,
            4 => Self::Friday,
            5 => Self::Saturday,
            _ => Self::Sunday,
        }
    }
}

/// On which days people work, and in which offset from UTC a day begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calendar {
    /// Minutes east of UTC. Summer time is not known: a day begins in the same offset all year.
    pub utc_offset_minutes: i32,
    /// Days of the week on which nobody works.
    pub weekend: Vec<Weekday>,
    /// Days on which nobody works.
    pub holidays: Vec<Date>,
    /// The same in every year, as month and day: `12-25`.
    pub holidays_yearly: Vec<String>,
}

impl Default for Calendar {
    fn default() -> Self {
        Self {
            utc_offset_minutes: 0,
            weekend: vec![Weekday::Saturday, Weekday::Sunday],
            holidays: Vec::new(),
            holidays_yearly: Vec::new(),
        }
    }
}

impl Calendar {
    /// The day that it is at a moment.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> Date {
        Date::from_days(self.local(at) / DAY_MS)
    }

    /// Whether people work on a day.
    #[must_use]
    pub fn is_business_day(&self, date: Date) -> bool {
        self.works(date.days())
    }

    /// The moment at which a span that begins at `from` is over.
    ///
    /// Business days begin to count on the day after `from`; what begins on a day off begins with the next
    /// business day.
    #[must_use]
    pub fn due(&self, from: Timestamp, span: Span) -> Timestamp {
        match span {
            Span::Hours(n) => Timestamp(from.0.saturating_add(u64::from(n) * HOUR_MS)),
            Span::Days(n) => Timestamp(from.0.saturating_add(u64::from(n) * DAY_MS)),
            Span::Months(n) => {
                let local = self.local(from);
                let date = Date::from_days(local / DAY_MS).plus_months(n);
                self.utc(date.days() * DAY_MS + local % DAY_MS)
            }
            Span::BusinessDays(0) => from,
            Span::BusinessDays(n) => {
                let local = self.local(from);
                let (mut day, mut time) = (local / DAY_MS, local % DAY_MS);
                if !self.works(day) {
                    (day, time) = (self.next_business_day(day), 0);
                }
                for _ in 0..n {
                    day = self.next_business_day(day);
                }
                self.utc(day * DAY_MS + time)
            }
        }
    }

    /// Whether there is a business day in every year, without which nothing would ever be due.
    #[must_use]
    pub fn has_business_days(&self) -> bool {
        // Listed holidays are fewer than the business days of ten years, so it is the week and the yearly
        // ones that can leave none.
        let days = Date { year: 2000, month: 1, day: 1 }.days()..Date { year: 2028, month: 1, day: 1 }.days();
        days.into_iter().filter(|day| self.works(*day)).count() > 28
    }

    /// The next day on which people work. A calendar without any counts each day, so that this ends.
    fn next_business_day(&self, day: u64) -> u64 {
        (day + 1..day + 4_000).find(|day| self.works(*day)).unwrap_or(day + 1)
    }

    fn works(&self, day: u64) -> bool {
        if self.weekend.contains(&Weekday::of(day)) {
            return false;
        }
        let date = Date::from_days(day);
        let yearly = |text: &String| month_and_day(text) == Some((date.month, date.day));
        !self.holidays.contains(&date) && !self.holidays_yearly.iter().any(yearly)
    }

    fn local(&self, at: Timestamp) -> u64 {
        at.0.saturating_add_signed(i64::from(self.utc_offset_minutes) * 60_000)
    }

    fn utc(&self, local: u64) -> Timestamp {
        Timestamp(local.saturating_add_signed(-i64::from(self.utc_offset_minutes) * 60_000))
    }
}
