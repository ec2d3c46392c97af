//! What tells who somebody is: addresses, numbers of accounts, cards and telephones.

use std::ops::Range;

use super::{Hit, spent};

/// Country codes of account numbers, and how long those are (ISO 13616 registry).
const IBANS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18\
                     FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20\
                     LU20LV21MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19\
                     SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";
/// The longest local part and the longest domain of an address (RFC 5321).
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;

/// Finds it in what a string says.
pub(super) fn find(text: &str, hits: &mut Vec<Hit>) {
    let bytes = text.as_bytes();
    emails(bytes, hits);
    let mut at = 0;
    while at < bytes.len() {
        spent(1);
        let found = match bytes[at] {
            b'0'..=b'9' | b'+' | b'(' => number(bytes, at),
            b'A'..=b'Z' if starts(bytes, at) => {
                iban(bytes, at).map(|end| Hit { detector: "pii", kind: "iban", range: at..end })
            }
            _ => None,
        };
        at = match found {
            Some(hit) => {
                let end = hit.range.end;
                hits.push(hit);
                end
            }
            None if bytes[at].is_ascii_digit() => digits_end(bytes, at),
            None => at + 1,
        };
    }
}

/// Whether a word or number can begin here.
fn starts(bytes: &[u8], at: usize) -> bool {
    at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'_' | b'.' | b'-'))
}

/// Whether a word or number that ends here goes no further.
fn ends(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|b| !b.is_ascii_alphanumeric() && *b != b'_')
}

fn digits_end(bytes: &[u8], at: usize) -> usize {
    let end = bytes[at..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |more| at + more);
    spent(end - at);
    end
}

fn emails(bytes: &[u8], hits: &mut Vec<Hit>) {
    let local = |b: &u8| b.is_ascii_alphanumeric() || b"._%+-'".contains(b);
    let domain = |b: &u8| b.is_ascii_alphanumeric() || b".-".contains(b);
    for at in memchr::memchr_iter(b'@', bytes) {
        let before = &bytes[at.saturating_sub(LOCAL_MAX)..at];
        let length = before.iter().rev().take_while(|b| local(b)).count();
        let after = &bytes[at + 1..(at + 1 + DOMAIN_MAX).min(bytes.len())];
        let mut end = after.iter().take_while(|b| domain(b)).count();
        while end > 0 && b".-".contains(&after[end - 1]) {
            end -= 1;
        }
        spent(length + end);
        let host = &after[..end];
        let last = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let named = host.len() > last.len() + 1
            && last.len() >= 2
            && last.iter().all(u8::is_ascii_alphabetic)
            && !host.windows(2).any(|pair| pair == b"..");
        if length > 0 && named {
            hits.push(Hit { detector: "pii", kind: "email", range: at - length..at + 1 + end });
        }
    }
}

/// A number that begins here: of a card, of somebody insured, or of a telephone.
fn number(bytes: &[u8], at: usize) -> Option<Hit> {
    if !starts(bytes, at) {
        return None;
    }
    let found = |kind: &'static str, range: Range<usize>| Some(Hit { detector: "pii", kind, range });
    if let Some(end) = card(bytes, at) {
        return found("card", at..end);
    }
    if let Some(end) = ssn(bytes, at) {
        return found("us-ssn", at..end);
    }
    phone(bytes, at).and_then(|end| found("phone", at..end))
}

/// Whether digits are the number of a card: its first ones, its length, and Luhn's check digit.
pub(super) fn is_card(digits: &[u8]) -> bool {
    let first = |count: usize| {
        digits[..count.min(digits.len())].iter().fold(0_u32, |n, d| n * 10 + u32::from(d - b'0'))
    };
    let issued = match digits.len() {
        15 => matches!(first(2), 34 | 37),
        14 => matches!(first(2), 36 | 38 | 39) || matches!(first(3), 300..=305),
        13 => first(1) == 4,
        16 => {
            matches!(first(1), 4 | 6) || matches!(first(2), 35 | 51..=55) || matches!(first(4), 2221..=2720)
        }
        17..=19 => matches!(first(1), 4 | 6),
        _ => false,
    };
    if !issued || digits.iter().all(|d| *d == digits[0]) {
        return false;
    }
    let sum = digits.iter().rev().enumerate().fold(0, |sum, (at, digit)| {
        let digit = u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 };
        sum + if digit > 9 { digit - 9 } else { digit }
    });
    sum % 10 == 0
}

/// The end of a card's number: digits in groups, with one space or one hyphen between.
fn card(bytes: &[u8], start: usize) -> Option<usize> {
    let mut digits = Vec::with_capacity(19);
    let (mut at, mut found) = (start, None);
    loop {
        match bytes.get(at) {
            Some(digit @ b'0'..=b'9') if digits.len() < 19 => digits.push(*digit),
            Some(b' ' | b'-') if at > start && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => {}
            _ => return found,
        }
        at += 1;
        spent(1);
        let group_ends = bytes.get(at).is_none_or(|b| !b.is_ascii_digit());
        if group_ends && ends(bytes, at) && digits.len() >= 13 && is_card(&digits) {
            found = Some(at);
        }
    }
}

/// Whether this stands here, `9` for any digit; gives its end.
fn shaped(bytes: &[u8], at: usize, shape: &[u8]) -> Option<usize> {
    let part = bytes.get(at..at + shape.len())?;
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'9' => byte.is_ascii_digit(),
        // One of the signs that people put between groups.
        b'-' => b"-. ".contains(byte),
        other => byte == other,
    };
    let end = at + shape.len();
    (part.iter().zip(shape).all(fits) && ends(bytes, end)).then_some(end)
}

/// The end of a number of United States social security: three, two, four, and none of them never given out.
fn ssn(bytes: &[u8], at: usize) -> Option<usize> {
    let end = shaped(bytes, at, b"999-99-9999")?;
    let hyphens = bytes[at + 3] == b'-' && bytes[at + 6] == b'-';
    let (area, group, serial) = (&bytes[at..at + 3], &bytes[at + 4..at + 6], &bytes[at + 7..end]);
    let given = area != b"000" && area != b"666" && area[0] != b'9' && group != b"00" && serial != b"0000";
    let longer = bytes.get(end) == Some(&b'-') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    (hyphens && given && !longer).then_some(end)
}

/// The end of a telephone number: international with its `+`, or North American with its signs between.
fn phone(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes[start] != b'+' {
        let shapes: [&[u8]; 3] = [b"(999) 999-9999", b"(999)999-9999", b"999-999-9999"];
        return shapes.iter().find_map(|shape| shaped(bytes, start, shape));
    }
    let (mut at, mut digits, mut end) = (start + 1, 0, start);
    while digits < 16 {
        match bytes.get(at) {
            Some(b'0'..=b'9') => {
                digits += 1;
                end = at + 1;
            }
            Some(b' ' | b'-' | b'.' | b'(' | b')') if at > start + 1 && at - end < 3 => {}
            _ => break,
        }
        at += 1;
        spent(1);
    }
    let first = bytes.get(start + 1).is_some_and(|b| matches!(b, b'1'..=b'9'));
    (first && (8..=15).contains(&digits) && ends(bytes, end)).then_some(end)
}

/// The end of an account number that begins here: as long as its country's are, with its check digits right.
fn iban(bytes: &[u8], start: usize) -> Option<usize> {
    let head = bytes.get(start..start + 4)?;
    if !(head[1].is_ascii_uppercase() && head[2].is_ascii_digit() && head[3].is_ascii_digit()) {
        return None;
    }
    let known = IBANS.as_bytes().chunks_exact(4).find(|known| known[..2] == head[..2])?;
    let length = usize::from(known[2] - b'0') * 10 + usize::from(known[3] - b'0');
    let (mut chars, mut at) = (Vec::with_capacity(length), start);
    while chars.len() < length {
        match bytes.get(at) {
            Some(byte) if byte.is_ascii_digit() || byte.is_ascii_uppercase() => chars.push(*byte),
            Some(b' ') if chars.len() % 4 == 0 && bytes.get(at + 1) != Some(&b' ') => {}
            _ => return None,
        }
        at += 1;
        spent(1);
    }
    let turned = chars[4..].iter().chain(&chars[..4]);
    let rest = turned.fold(0_u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (rest == 1 && ends(bytes, at)).then_some(at)
}
