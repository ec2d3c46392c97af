//! Times as registries write them: RFC 3339 with any fraction and any offset.

use std::time::Duration;

use model::Timestamp;

/// Reads a moment from 1970 on, cut to milliseconds. `None`: anything that is no moment.
#[must_use]
pub fn moment_from_text(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() || text.len() > 40 || text.len() < 20 {
        return None;
    }
    let (date, rest) = text.split_at(19);
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (fraction, zone) = rest.split_at(zone_at);
    let ms = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{digits}00")[..3].parse::<u64>().ok()?
        }
        _ => return None,
    };
    let whole = seal::time_from_text(&format!("{}Z", date.to_ascii_uppercase()))?;
    let at = whole.0 + ms;
    if zone.eq_ignore_ascii_case("z") {
        return Some(Timestamp(at));
    }
    let bytes = zone.as_bytes();
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes): (u64, u64) = (zone[1..3].parse().ok()?, zone[4..].parse().ok()?);
    if hours > 23 || minutes > 59 || !bytes[1].is_ascii_digit() || !bytes[4].is_ascii_digit() {
        return None;
    }
    let offset = (hours * 60 + minutes) * 60_000;
    match bytes[0] {
        // What is east of Greenwich has its noon earlier.
        b'+' => at.checked_sub(offset).map(Timestamp),
        _ => Some(Timestamp(at).plus(Duration::from_millis(offset))),
    }
}

/// Writes a moment as [`moment_from_text`] reads it.
#[must_use]
pub fn moment_to_text(at: Timestamp) -> String {
    seal::time_to_text(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_all_registries_are_read() {
        for (text, ms) in [
            ("2026-05-01T08:00:00Z", 1_777_622_400_000),
            ("2026-05-01t08:00:00z", 1_777_622_400_000),
            ("2026-05-01T08:00:00.1Z", 1_777_622_400_100),
            ("2026-05-01T08:00:00.123456789Z", 1_777_622_400_123),
            ("2026-05-01T10:30:00+02:30", 1_777_622_400_000),
            ("2026-05-01T03:00:00.5-05:00", 1_777_622_400_500),
        ] {
            assert_eq!(moment_from_text(text), Some(Timestamp(ms)), "{text}");
        }
        assert_eq!(moment_to_text(Timestamp(1_777_622_400_100)), "2026-05-01T08:00:00.100Z");
    }

    #[test]
    fn what_is_no_moment_is_not_read() {
        for text in [
            "",
            "yesterday",
            "2026-05-01",
            "2026-05-01T08:00:00",
            "2026-05-01T08:00:00.Z",
            "2026-05-01T08:00:00,5Z",
            "2026-13-01T08:00:00Z",
            "2026-05-01T08:00:00+2:00",
            "2026-05-01T08:00:00+25:00",
            "2026-05-01T08:00:00+02:00x",
            "1970-01-01T00:00:00+02:00",
            "2026-05-01T08:00:00ZZ",
            "2026-05-01T08:00:0\u{e9}Z",
        ] {
            assert_eq!(moment_from_text(text), None, "{text}");
        }
    }
}
