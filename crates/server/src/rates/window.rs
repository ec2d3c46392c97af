//! Days and months of UTC, without a calendar of anybody's.

use config::QuotaTime;
use model::Timestamp;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// From when to when the day or month is that this moment is in.
pub(super) fn around(now: Timestamp, time: QuotaTime) -> (Timestamp, Timestamp) {
    let day = now.0 / DAY_MS;
    match time {
        QuotaTime::Day => (Timestamp(day * DAY_MS), Timestamp((day + 1) * DAY_MS)),
        QuotaTime::Month => {
            let (year, month) = month_of(day);
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let start = |(year, month)| Timestamp(days_before(year, month) * DAY_MS);
            (start((year, month)), start(next))
        }
    }
}

/// The year and month of a day since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn month_of(day: u64) -> (u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + u64::from(month <= 2), month)
}

/// How many days there are from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_with_its_first_day() {
        // 2024-02-29T12:00:00Z: from 2024-02-01 to 2024-03-01.
        let (start, end) = around(Timestamp(1_709_208_000_000), QuotaTime::Month);
        assert_eq!((start.0, end.0), (1_706_745_600_000, 1_709_251_200_000));
        // 2026-12-31T23:59:59.999Z: to 2027-01-01.
        let (start, end) = around(Timestamp(1_798_761_599_999), QuotaTime::Month);
        assert_eq!((start.0, end.0), (1_796_083_200_000, 1_798_761_600_000));
        assert_eq!(around(Timestamp(0), QuotaTime::Month), (Timestamp(0), Timestamp(31 * DAY_MS)));
    }

    #[test]
    fn months_follow_one_another_without_a_gap() {
        // Odd steps, so that all times of day and all days of months are met, over four centuries.
        for at in (0..14_000_000_000_000_u64).step_by(977_777_777) {
            for time in [QuotaTime::Day, QuotaTime::Month] {
                let (start, end) = around(Timestamp(at), time);
                assert!(start.0 <= at && at < end.0, "{at}");
                assert_eq!(around(end, time).0, end, "{at}");
                assert_eq!(around(Timestamp(end.0 - 1), time), (start, end), "{at}");
            }
        }
    }
}
