//! Days, and the year's end.

use governance::{Calendar, Date, Span, Weekday};
use model::Timestamp;

use crate::world::{DAY, HOUR, nine};

fn calendar() -> Calendar {
    let yearly = ["01-01", "12-25", "12-26"].map(str::to_owned).to_vec();
    let once = ["2026-12-31"].map(|day| day.parse().expect("a day")).to_vec();
    Calendar { holidays: once, holidays_yearly: yearly, ..Calendar::default() }
}

fn due(calendar: &Calendar, from: &str, span: &str) -> String {
    let end = calendar.due(nine(from), span.parse().expect("a span"));
    format!("{} {}h", calendar.date(end), end.0 % DAY / HOUR)
}

#[test]
fn business_days_go_over_the_years_end_without_counting_what_is_off() {
    let calendar = calendar();
    for (from, span, end) in [
        // Thursday; Friday is Christmas, Saturday is off by two rules, and counts once.
        ("2026-12-24", "1bd", "2026-12-28 9h"),
        ("2026-12-24", "5bd", "2027-01-05 9h"),
        // New year's eve is off this year alone.
        ("2026-12-30", "1bd", "2027-01-04 9h"),
        ("2027-12-30", "1bd", "2027-12-31 9h"),
        ("2027-12-31", "1bd", "2028-01-03 9h"),
        // What begins on a day off begins with the next day on which people work.
        ("2026-12-25", "1bd", "2026-12-29 0h"),
        ("2027-01-02", "2bd", "2027-01-06 0h"),
        ("2026-12-25", "0bd", "2026-12-25 9h"),
        ("2026-12-31", "1d", "2027-01-01 9h"),
        ("2026-12-31", "15h", "2027-01-01 0h"),
    ] {
        assert_eq!(due(&calendar, from, span), end, "{from} + {span}");
    }
}

#[test]
fn months_end_with_the_month() {
    let calendar = calendar();
    for (from, span, end) in [
        ("2026-12-31", "2mo", "2027-02-28 9h"),
        ("2027-12-31", "2mo", "2028-02-29 9h"),
        ("2028-02-29", "12mo", "2029-02-28 9h"),
        ("2026-11-30", "3mo", "2027-02-28 9h"),
        ("2026-12-15", "1mo", "2027-01-15 9h"),
    ] {
        assert_eq!(due(&calendar, from, span), end, "{from} + {span}");
    }
}

#[test]
fn a_day_begins_where_the_calendar_says() {
    let mut calendar = calendar();
    let late = Timestamp(nine("2026-12-31").0 + 14 * HOUR + HOUR / 2);
    assert_eq!(calendar.date(late).to_string(), "2026-12-31");
    calendar.utc_offset_minutes = 60;
    assert_eq!(calendar.date(late).to_string(), "2027-01-01");
    calendar.utc_offset_minutes = -720;
    assert_eq!(calendar.date(nine("2027-01-01")).to_string(), "2026-12-31");
}

#[test]
fn every_day_of_two_centuries_is_read_as_it_is_written() {
    let mut last = None;
    for day in 0..(200 * 366) {
        let date = Date::from_days(day);
        assert_eq!(date.days(), day);
        assert_eq!(date.to_string().parse::<Date>(), Ok(date));
        assert!(last.is_none_or(|last| last < date), "{date}");
        last = Some(date);
    }
    for text in ["2026-02-29", "2026-13-01", "2026-1-1", "1969-12-31", "2026-12-31-1", "", "2026-00-10"] {
        assert!(text.parse::<Date>().is_err(), "{text}");
    }
}

#[test]
fn a_week_without_business_days_still_ends() {
    let weekend = vec![
        Weekday::Monday,
        Weekday::Tuesday,
        Weekday::Wednesday,
        Weekday::Thursday,
        Weekday::Friday,
        Weekday::Saturday,
        Weekday::Sunday,
    ];
    let calendar = Calendar { weekend, ..Calendar::default() };
    assert!(!calendar.has_business_days());
    assert!(calendar.due(nine("2026-12-31"), Span::BusinessDays(3)) > nine("2026-12-31"));
}
