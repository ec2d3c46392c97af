//! Keys and tokens that give whoever has them a right.

use std::sync::LazyLock;

use regex::Regex;

use super::{Hit, spent};

/// What begins a token, and what it looks like. Beginnings are literal, so that megabytes without any are
/// passed over fast.
static TOKENS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let tokens = [
        ("aws-access-key", r"(?-u:\b)(?:AKIA|ASIA)[0-9A-Z]{16}(?-u:\b)"),
        ("github-token", r"(?-u:\b)gh[pousr]_[0-9A-Za-z]{36,}"),
        ("github-token", r"(?-u:\b)github_pat_[0-9A-Za-z_]{22,}"),
        ("slack-token", r"(?-u:\b)xox[abeoprs]-[0-9A-Za-z-]{10,}"),
        ("slack-token", r"(?-u:\b)xapp-[0-9]-[0-9A-Za-z-]{10,}"),
        ("slack-token", r"hooks\.slack\.com/services/[0-9A-Za-z/]{20,}"),
        ("stripe-key", r"(?-u:\b)[sr]k_(?:live|test)_[0-9A-Za-z]{16,}"),
        ("stripe-key", r"(?-u:\b)whsec_[0-9A-Za-z]{16,}"),
        ("google-api-key", r"(?-u:\b)AIza[0-9A-Za-z_-]{35}"),
        ("gitlab-token", r"(?-u:\b)glpat-[0-9A-Za-z_-]{20,}"),
        ("npm-token", r"(?-u:\b)npm_[0-9A-Za-z]{36}"),
        ("model-api-key", r"(?-u:\b)sk-(?:ant|proj|or)-[0-9A-Za-z_-]{20,}"),
        ("jwt", r"(?-u:\b)eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}"),
    ];
    tokens.map(|(kind, pattern)| (kind, Regex::new(pattern).expect("it is tested"))).to_vec()
});

/// A name that says that a secret follows, and what follows.
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    let name =
        "password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential";
    let pattern = format!(
        r#"(?i)(?:{name})[0-9a-z_-]{{0,16}}["']?[ \t]{{0,4}}[:=][ \t]{{0,4}}["']?([!#-&(-+./-:<-~-]+)"#
    );
    Regex::new(&pattern).expect("it is tested")
});

/// A name that says that its value is a secret.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = "(?i)(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|\
                   credential)[0-9a-z_-]{0,16}$";
    Regex::new(pattern).expect("it is tested")
});

const BEGIN: &str = "-----BEGIN ";
const PRIVATE: &str = "PRIVATE KEY";
const END: &str = "-----END ";
/// As far as the end of a private key is looked for.
const KEY_BYTES_MAX: usize = 16 * 1024;
/// Shorter ones are words.
const SECRET_CHARS_MIN: usize = 12;
/// Bits that each character says, at least.
const ENTROPY_MIN: f64 = 3.0;

/// Finds them in what a string says.
pub(super) fn find(text: &str, hits: &mut Vec<Hit>) {
    // Each pattern passes over it once, and looks at little more than it finds.
    spent((TOKENS.len() + 2) * text.len());
    for (kind, pattern) in TOKENS.iter() {
        hits.extend(pattern.find_iter(text).map(|found| hit(kind, found.range())));
    }
    private_keys(text, hits);
    for found in ASSIGNED.captures_iter(text) {
        if let Some(value) = found.get(1).filter(|value| is_random(value.as_str())) {
            hits.push(hit("assignment", value.range()));
        }
    }
}

/// Where the member's name says that its value is a secret, and it looks like one.
pub(super) fn named(member: Option<&str>, text: &str, hits: &mut Vec<Hit>) {
    // Names of pages and tasks are tokens, too, in the protocol's words.
    spent(member.map_or(0, str::len));
    let harmless = |name: &str| name.eq_ignore_ascii_case("progressToken");
    if member.is_some_and(|name| !harmless(name) && NAMED.is_match(name)) && is_random(text) {
        hits.push(hit("assignment", 0..text.len()));
    }
}

fn hit(kind: &'static str, range: std::ops::Range<usize>) -> Hit {
    Hit { detector: "secrets", kind, range }
}

/// From the line that begins a private key to the one that ends it.
fn private_keys(text: &str, hits: &mut Vec<Hit>) {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&text.as_bytes()[at..], BEGIN.as_bytes()) {
        let start = at + found;
        let named = start + BEGIN.len();
        at = named;
        let line = &text.as_bytes()[named..(named + 40).min(text.len())];
        if memchr::memmem::find(line, PRIVATE.as_bytes()).is_none() {
            continue;
        }
        let last = (named + KEY_BYTES_MAX).min(text.len());
        let end = memchr::memmem::find(&text.as_bytes()[named..last], END.as_bytes());
        spent(end.unwrap_or(last - named));
        // Without its end, all that may belong to it.
        let end = end.map_or(last, |end| (named + end + END.len() + 32).min(text.len()));
        let end = (end..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
        hits.push(hit("private-key", start..end));
        at = end;
    }
}

/// Whether it looks made by a machine: long, of letters and digits, and few of them alike.
fn is_random(text: &str) -> bool {
    let bytes = &text.as_bytes()[..text.len().min(256)];
    let has = |kind: fn(&u8) -> bool| bytes.iter().any(kind);
    let spaced = has(u8::is_ascii_whitespace);
    text.len() >= SECRET_CHARS_MIN
        && !spaced
        && has(u8::is_ascii_alphabetic)
        && has(u8::is_ascii_digit)
        && entropy(bytes) >= ENTROPY_MIN
}

/// Bits that each byte says (Shannon).
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).max(1.0);
    let share = |count: u32| f64::from(count) / total;
    counts.iter().filter(|count| **count > 0).map(|count| -share(*count) * share(*count).log2()).sum()
}
