//! A ring as text: in a file, an environment variable or a store. It holds the keys themselves.
//!
//! ```text
//! tidegate-keys 1
//! # id      created              active from          retired at  key
//! 0001abff  2026-11-23T06:48:00Z 2026-11-23T06:53:00Z -          
//! AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Timestamp;

use crate::key::{KEY_BYTES, Key, KeyId};
use crate::ring::{KEYS_MAX, RingError, check};
use crate::time::{time_from_text, time_to_text};

/// The first line of a ring's text.
pub const HEADING: &str = "tidegate-keys 1";
/// The longest text of a ring, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// What is written above the keys.
const COLUMNS: &str = "# id, created, active from, retired at, key: keep this secret";

/// A text that is no ring, and where. It never shows any part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub kind: TextErrorKind,
}

/// What is wrong with the text of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextErrorKind {
    /// It has more than [`TEXT_BYTES_MAX`] bytes.
    Long,
    /// The first line is not [`HEADING`].
    Heading,
    /// A line of a key has not five fields but so many.
    Fields(usize),
    /// The first field is no id of a key.
    Id,
    /// This field is no time.
    Time(&'static str),
    /// The last field is not the base64url form of 32 bytes.
    Secret,
    /// The key on this line has this id, and another one stands there.
    WrongId(KeyId),
    /// The key stands on this earlier line too.
    Twice(u32),
    /// There is no key.
    Empty,
    /// There are more than [`KEYS_MAX`] keys.
    Many,
    /// No key is active; the next one will be at this time, if there is one.
    NoneActive(Option<Timestamp>),
}

impl TextErrorKind {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Heading => Some("is it a key ring? `tidegate keys generate` makes one"),
            Self::Fields(_) => Some("a line is an id, three times and a key, with blanks between"),
            Self::Time(_) => Some("write it as 2026-11-23T06:48:00Z"),
            Self::WrongId(_) => Some("the id or the key was changed; take the line from a ring that works"),
            Self::Twice(_) => Some("take one of the two lines out"),
            Self::Empty => Some("`tidegate keys generate` makes a ring with a key"),
            Self::NoneActive(_) => {
                Some("is this machine's clock right? `tidegate keys list` shows the times")
            }
            Self::Many => Some("take out the lines of keys that are retired"),
            Self::Long | Self::Id | Self::Secret => None,
        }
    }
}

impl fmt::Display for TextErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long => write!(f, "a key ring has at most {TEXT_BYTES_MAX} bytes"),
            Self::Heading => write!(f, "expected the line \"{HEADING}\""),
            Self::Fields(count) => write!(f, "expected five fields and found {count}"),
            Self::Id => f.write_str("the first field is no id of a key: eight of 0-9 and a-f"),
            Self::Time(field) => write!(f, "the field \"{field}\" is no time in UTC"),
            Self::Secret => f.write_str("the last field is no key: 43 characters of base64url"),
            Self::WrongId(id) => write!(f, "the key on this line has the id {id}"),
            Self::Twice(line) => write!(f, "this key stands on line {line} too"),
            Self::Empty => f.write_str("there is no key in the ring"),
            Self::Many => write!(f, "a ring has at most {KEYS_MAX} keys"),
            Self::NoneActive(None) => f.write_str("all keys of the ring are retired"),
            Self::NoneActive(Some(at)) => {
                write!(f, "no key is active before {}", time_to_text(*at))
            }
        }
    }
}

impl fmt::Display for TextError {
    /// `3: the first field is no id of a key`, to be put behind the name of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.kind)?;
        self.kind.hint().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

impl std::error::Error for TextError {}

/// Reads a ring, also one of which no key is active.
///
/// # Errors
/// [`TextError`]
pub fn parse(text: &str) -> Result<Vec<Key>, TextError> {
    lines(text).map(|found| found.into_iter().map(|(_, key)| key).collect())
}

/// Reads a ring that can be used now.
///
/// # Errors
/// [`TextError`]
pub fn parse_usable(text: &str, now: Timestamp) -> Result<Vec<Key>, TextError> {
    let found = lines(text)?;
    let first =
        found.iter().map(|(line, key)| (*key.term(), *line)).filter(|(term, _)| !term.is_retired(now));
    let first = first.min_by_key(|(term, _)| term.active_from);
    let last = found.last().map_or(1, |(line, _)| *line);
    let keys: Vec<Key> = found.into_iter().map(|(_, key)| key).collect();
    match check(&keys, now) {
        Err(RingError::NoneActive) => {
            let (at, line) = first.map_or((None, last), |(term, line)| (Some(term.active_from), line));
            Err(TextError { line, kind: TextErrorKind::NoneActive(at) })
        }
        // The rest was seen while reading.
        _ => Ok(keys),
    }
}

/// Writes a ring. The text holds the keys themselves.
#[must_use]
pub fn write(keys: &[Key]) -> String {
    let mut text = format!("{HEADING}\n{COLUMNS}\n");
    for key in keys {
        let term = key.term();
        let retired = term.retired_at.map_or_else(|| "-".to_owned(), time_to_text);
        let (created, active) = (time_to_text(term.created), time_to_text(term.active_from));
        let secret = URL_SAFE_NO_PAD.encode(key.secret());
        text.push_str(&format!("{} {created} {active} {retired} {secret}\n", term.id));
    }
    text
}

/// The keys with their lines.
fn lines(text: &str) -> Result<Vec<(u32, Key)>, TextError> {
    let fault = |line, kind| TextError { line, kind };
    if text.len() > TEXT_BYTES_MAX {
        return Err(fault(1, TextErrorKind::Long));
    }
    let mut found: Vec<(u32, Key)> = Vec::new();
    let mut headed = false;
    let mut last = 1;
    for (line, content) in (1..).zip(text.lines().map(str::trim)) {
        last = line;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if !headed {
            if !content.split_ascii_whitespace().eq(HEADING.split(' ')) {
                return Err(fault(line, TextErrorKind::Heading));
            }
            headed = true;
            continue;
        }
        let key = key(content).map_err(|kind| fault(line, kind))?;
        if let Some((earlier, _)) = found.iter().find(|(_, known)| known.term().id == key.term().id) {
            return Err(fault(line, TextErrorKind::Twice(*earlier)));
        }
        if found.len() == KEYS_MAX {
            return Err(fault(line, TextErrorKind::Many));
        }
        found.push((line, key));
    }
    match (headed, found.is_empty()) {
        (false, _) => Err(fault(1, TextErrorKind::Heading)),
        (true, true) => Err(fault(last, TextErrorKind::Empty)),
        (true, false) => Ok(found),
    }
}

fn key(line: &str) -> Result<Key, TextErrorKind> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [id, created, active_from, retired_at, secret] = fields[..] else {
        return Err(TextErrorKind::Fields(fields.len()));
    };
    let id: KeyId = id.parse().map_err(|_| TextErrorKind::Id)?;
    let time = |name, text| time_from_text(text).ok_or(TextErrorKind::Time(name));
    let (created, active_from) = (time("created", created)?, time("active from", active_from)?);
    let retired_at = if retired_at == "-" { None } else { Some(time("retired at", retired_at)?) };
    let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| TextErrorKind::Secret)?;
    let secret: [u8; KEY_BYTES] = secret.try_into().map_err(|_| TextErrorKind::Secret)?;
    let key = Key::new(secret, created, active_from, retired_at);
    if key.term().id == id { Ok(key) } else { Err(TextErrorKind::WrongId(key.term().id)) }
}

/// Reads any bytes as a ring, for the fuzzer. Must never panic, and what is read is written as the same.
pub fn fuzz(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match parse(text) {
        Ok(keys) => assert_eq!(parse(&write(&keys)).as_ref(), Ok(&keys)),
        Err(error) => assert!(error.line > 0, "{error}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_416_480_000);

    fn key(byte: u8, active_from: u64, retired_at: Option<u64>) -> Key {
        Key::new([byte; KEY_BYTES], Timestamp(1), Timestamp(active_from), retired_at.map(Timestamp))
    }

    #[test]
    fn a_ring_is_read_as_it_was_written() {
        let keys = [key(1, 1_000, Some(NOW.0)), key(2, NOW.0, None), key(3, NOW.0 + 300_000, Some(u64::MAX))];
        let text = write(&keys);
        assert_eq!(parse(&text).as_deref(), Ok(&keys[..]));
        assert_eq!(parse_usable(&text, NOW).as_deref(), Ok(&keys[..]));
        let id = keys[1].term().id;
        let line = format!(
            "{id} 1970-01-01T00:00:00.001Z 2026-11-23T06:48:00Z - \
             AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\n"
        );
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn comments_blank_lines_and_other_blanks_are_no_matter() {
        let plain = write(&[key(1, 0, None), key(2, 0, None)]);
        let spaced = format!("# a ring\n\n  {}\n\n# end", plain.replace(' ', "\t  ").replace('\n', "\r\n"));
        assert_eq!(parse(&spaced), parse(&plain));
        assert!(parse(&spaced).is_ok());
    }

    #[test]
    fn a_text_that_is_no_ring_is_refused_with_the_line_and_what_to_do() {
        let (one, two) = (write(&[key(1, 0, None)]), write(&[key(2, 0, None)]));
        let (one, two) = (one.lines().last().expect("a key"), two.lines().last().expect("a key"));
        let other_id = one.replacen(&one[..8], &two[..8], 1);
        let many: String = write(&(0..65).map(|n| key(n, 0, None)).collect::<Vec<_>>())
            .lines()
            .skip(2)
            .fold(String::new(), |all, line| all + "\n" + line);
        let secret_gone = &one[..one.len() - 1];
        let cases = [
            (String::new(), "1: expected the line \"tidegate-keys 1\"; is it a key ring?"),
            ("# nothing\n\n".to_owned(), "1: expected the line \"tidegate-keys 1\""),
            ("tidegate-keys 2\n".to_owned(), "1: expected the line \"tidegate-keys 1\""),
            (format!("\n{one}"), "2: expected the line \"tidegate-keys 1\""),
            (format!("{HEADING}\n# none\n"), "2: there is no key in the ring; `tidegate keys generate`"),
            (format!("{HEADING}\nx y\n"), "2: expected five fields and found 2; a line is"),
            (format!("{HEADING}\n{one} # mine\n"), "2: expected five fields and found 7"),
            (format!("{HEADING}\n{}", one.replacen(&one[..8], "KEYKEY00", 1)), "2: the first field is no id"),
            (format!("{HEADING}\n{other_id}\n"), "2: the key on this line has the id "),
            (format!("{HEADING}\n{one}\n{two}\n\n{one}"), "5: this key stands on line 2 too; take one of"),
            (format!("{HEADING}\n{secret_gone}"), "2: the last field is no key: 43 characters of base64url"),
            (format!("{HEADING}\n{one}="), "2: the last field is no key"),
            (format!("{HEADING}{many}"), "66: a ring has at most 64 keys; take out"),
            (format!("{HEADING}\n{}", "#".repeat(TEXT_BYTES_MAX)), "1: a key ring has at most 65536 bytes"),
        ];
        for (text, expected) in cases {
            let found = parse(&text).expect_err(expected).to_string();
            assert!(found.starts_with(expected), "{expected}\n{found}");
        }
        for (at, name) in [(1, "created"), (2, "active from"), (3, "retired at")] {
            for wrong in ["never", "2026-11-23", "2026-02-30T00:00:00Z", "1795416480"] {
                let mut fields: Vec<&str> = one.split(' ').collect();
                fields[at] = wrong;
                let found = parse(&format!("{HEADING}\n\n{}", fields.join(" "))).expect_err(wrong);
                assert_eq!((found.line, found.kind), (3, TextErrorKind::Time(name)));
            }
        }
    }

    #[test]
    fn a_ring_of_which_no_key_is_active_is_read_and_cannot_be_used() {
        let retired = write(&[key(1, 0, Some(NOW.0)), key(2, 0, Some(5))]);
        assert_eq!(parse(&retired).map(|keys| keys.len()), Ok(2));
        let found = parse_usable(&retired, NOW).expect_err("no key is active").to_string();
        assert!(found.starts_with("4: all keys of the ring are retired; is this machine's clock"), "{found}");
        let early = write(&[key(1, 0, Some(NOW.0)), key(2, NOW.0 + 60_000, None)]);
        let found = parse_usable(&early, NOW).expect_err("no key is active").to_string();
        assert!(found.starts_with("4: no key is active before 2026-11-23T06:49:00Z; is this"), "{found}");
        assert!(parse_usable(&early, Timestamp(NOW.0 + 30_000)).is_ok(), "clocks may be 30 s apart");
    }

    #[test]
    fn what_is_wrong_is_told_without_the_key() {
        let line = write(&[key(0x5a, 0, None)]);
        let line = line.lines().last().expect("a key");
        let secret = line.rsplit(' ').next().expect("a secret").to_owned();
        for text in [
            format!("{HEADING}\n{}", line.replacen(&line[..8], "00000000", 1)),
            format!("{HEADING}\n{line}!"),
            format!("{HEADING}\n{line}\n{line}"),
            format!("{HEADING}\n{secret}"),
            secret.clone(),
        ] {
            let error = parse(&text).expect_err("it is no ring");
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&secret[..8]), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn any_ring_is_read_as_it_was_written(
            parts in proptest::collection::vec(any::<([u8; 32], u64, u64, Option<u64>)>(), 1..20),
        ) {
            let mut keys: Vec<Key> = parts
                .into_iter()
                .map(|(secret, created, active_from, retired_at)| {
                    // Half of the times far away, half of them of this century.
                    let near = |at: u64| {
                        Timestamp(if at.is_multiple_of(2) { at } else { at % 4_000_000_000_000 })
                    };
                    Key::new(secret, near(created), near(active_from), retired_at.map(near))
                })
                .collect();
            keys.dedup_by_key(|key| key.term().id);
            prop_assert_eq!(parse(&write(&keys)), Ok(keys));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "(tidegate-keys 1\n)?[ -~\n\té]{0,300}") {
            fuzz(text.as_bytes());
        }

        #[test]
        fn a_ring_with_a_byte_changed_is_refused_or_means_what_it_says(
            at in 0_usize..300,
            byte in 0_u8..128,
        ) {
            let mut text = write(&[key(1, 0, None), key(2, 5, Some(9))]).into_bytes();
            let at = at % text.len();
            text[at] = byte;
            fuzz(&text);
        }
    }
}
