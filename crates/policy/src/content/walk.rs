//! The strings, names and numbers of a JSON text, one after another, with the way to each.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use super::spent;

/// One step from the outermost value to an inner one.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Into the member whose name stands there, with its quotes.
    Member {
        /// Where the name stands.
        name: Range<usize>,
        /// Whether the name is behind us, and its value is next.
        in_value: bool,
    },
    /// Into the item of this number.
    Item(usize),
}

/// What stands somewhere in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A member's name, with its quotes.
    Name(Range<usize>),
    /// A string, with its quotes.
    Text(Range<usize>),
    /// A number, `true`, `false` or `null`.
    Bare(Range<usize>),
    /// The beginning of an object or an array.
    Open(usize),
    /// The end of one: the place after its bracket.
    Close(usize),
}

/// As much as a finding says of where it is, and as much of one name, in bytes. Whoever sends a text chooses
/// how long its names are, and each finding under one would repeat it.
const POINTER_BYTES_MAX: usize = 1_024;
const NAME_BYTES_MAX: usize = 256;

/// A cursor over bytes that are known to be JSON.
///
/// Names that stand twice are both seen: whoever reads the text later may take either.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    way: Vec<Step>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, way: Vec::new() }
    }

    /// What comes next. `None`: nothing does.
    pub(super) fn next(&mut self) -> Option<Event> {
        loop {
            let start = self.at;
            spent(1);
            match *self.bytes.get(start)? {
                b'"' => return Some(self.text(start)),
                open @ (b'{' | b'[') => {
                    self.at += 1;
                    self.way.push(match open {
                        b'{' => Step::Member { name: 0..0, in_value: false },
                        _ => Step::Item(0),
                    });
                    return Some(Event::Open(start));
                }
                b'}' | b']' => {
                    self.at += 1;
                    self.way.pop();
                    return Some(Event::Close(self.at));
                }
                b',' => {
                    self.at += 1;
                    match self.way.last_mut() {
                        Some(Step::Member { in_value, .. }) => *in_value = false,
                        Some(Step::Item(number)) => *number += 1,
                        None => {}
                    }
                }
                b':' => {
                    self.at += 1;
                    if let Some(Step::Member { in_value, .. }) = self.way.last_mut() {
                        *in_value = true;
                    }
                }
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                _ => {
                    let rest = &self.bytes[start..];
                    let ends = |b: &u8| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' | b':');
                    self.at = start + rest.iter().position(ends).unwrap_or(rest.len());
                    spent(self.at - start);
                    return Some(Event::Bare(start..self.at));
                }
            }
        }
    }

    fn text(&mut self, start: usize) -> Event {
        let mut at = start + 1;
        while let Some(found) = memchr::memchr2(b'"', b'\\', self.bytes.get(at..).unwrap_or_default()) {
            at += found;
            if self.bytes[at] == b'"' {
                break;
            }
            at += 2;
        }
        self.at = (at + 1).min(self.bytes.len());
        let range = start..self.at;
        spent(range.len());
        match self.way.last_mut() {
            Some(Step::Member { name, in_value: false }) => {
                *name = range.clone();
                Event::Name(range)
            }
            _ => Event::Text(range),
        }
    }

    /// Steps over what was opened last, and gives the place after it.
    pub(super) fn leave(&mut self) -> usize {
        let depth = self.way.len();
        while let Some(event) = self.next() {
            if let Event::Close(end) = event
                && self.way.len() < depth
            {
                return end;
            }
        }
        self.bytes.len()
    }

    /// The way to what was given last; to what was opened last, where that is it.
    pub(super) fn way(&self, event: &Event) -> &[Step] {
        match event {
            Event::Open(_) => &self.way[..self.way.len().saturating_sub(1)],
            _ => &self.way,
        }
    }

    /// The name of the member that is being looked at.
    pub(super) fn member(&self) -> Option<Cow<'a, str>> {
        match self.way.last()? {
            Step::Member { name, .. } => Some(name_of(self.bytes, name)),
            Step::Item(_) => None,
        }
    }

    /// A way as JSON pointer (RFC 6901), cut where it is long.
    pub(super) fn pointer(&self, way: &[Step]) -> String {
        let mut out = String::new();
        for step in way {
            if out.len() > POINTER_BYTES_MAX {
                out.push_str("/…");
                break;
            }
            match step {
                Step::Member { name, .. } if name.len() > NAME_BYTES_MAX => {
                    // As it is spelled: an escape may be cut in two.
                    let start = self.bytes.get(name.start + 1..name.start + 1 + NAME_BYTES_MAX);
                    let start = String::from_utf8_lossy(start.unwrap_or_default());
                    spent(start.len());
                    let _ = write!(out, "/{}…", start.replace('~', "~0").replace('/', "~1"));
                }
                Step::Member { name, .. } => {
                    out.push('/');
                    out.push_str(&name_of(self.bytes, name).replace('~', "~0").replace('/', "~1"));
                }
                Step::Item(number) => drop(write!(out, "/{number}")),
            }
        }
        out
    }
}

/// Whether a name says this. One that is too long to say it is not read.
pub(super) fn is_named(bytes: &[u8], name: &Range<usize>, wanted: &str) -> bool {
    // An escape has at most six bytes for one.
    let quotes = 2;
    name.len() <= quotes + 6 * wanted.len() && name_of(bytes, name) == wanted
}

/// A name, with escapes resolved where that is possible.
pub(super) fn name_of<'a>(bytes: &'a [u8], name: &Range<usize>) -> Cow<'a, str> {
    spent(name.len());
    let quoted = bytes.get(name.clone()).unwrap_or_default();
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    let plain = || std::str::from_utf8(inner).map_or(Cow::Borrowed(""), Cow::Borrowed);
    match memchr::memchr(b'\\', inner) {
        None => plain(),
        Some(_) => serde_json::from_slice::<String>(quoted).map_or_else(|_| plain(), Cow::Owned),
    }
}

/// What a string says, and where each part of it stands in the text.
pub(super) struct Spelled<'a> {
    /// What it says.
    pub(super) text: Cow<'a, str>,
    start: usize,
    /// Where what follows an escape stands: its place in what is said, and in the text. In order.
    marks: Vec<(usize, usize)>,
}

impl<'a> Spelled<'a> {
    /// Reads a string that stands at `range`, quotes included.
    pub(super) fn read(bytes: &'a [u8], range: &Range<usize>) -> Self {
        spent(range.len());
        let (start, end) = (range.start + 1, range.end.saturating_sub(1));
        let inner = std::str::from_utf8(bytes.get(start..end).unwrap_or_default()).unwrap_or_default();
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Self { text: Cow::Borrowed(inner), start, marks: Vec::new() };
        }
        let (mut text, mut marks) = (String::with_capacity(inner.len()), Vec::new());
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'\\', &inner.as_bytes()[at..]) {
            text.push_str(&inner[at..at + found]);
            at += found;
            // An escape stands for one character, and no part of it is ever pointed to.
            marks.push((text.len(), start + at));
            let (said, length) = escape(&inner.as_bytes()[at..]);
            text.push(said);
            at = (at + length).min(inner.len());
            marks.push((text.len(), start + at));
        }
        text.push_str(&inner[at..]);
        Self { text: Cow::Owned(text), start, marks }
    }

    /// Where a place of what is said stands in the text.
    fn place(&self, said: usize) -> usize {
        match self.marks.partition_point(|(at, _)| *at <= said) {
            0 => self.start + said,
            after => {
                let (at, place) = self.marks[after - 1];
                place + (said - at)
            }
        }
    }

    /// Where a range of what is said stands in the text.
    pub(super) fn range(&self, said: &Range<usize>) -> Range<usize> {
        self.place(said.start)..self.place(said.end)
    }
}

/// What an escape says, and how many bytes it is long. A lone surrogate says that it is none.
fn escape(bytes: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    match bytes.get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => {
            let first = unit(2).unwrap_or(0xFFFD);
            let second = (bytes.get(6..8) == Some(b"\\u")).then(|| unit(8)).flatten();
            if let (0xD800..=0xDBFF, Some(low @ 0xDC00..=0xDFFF)) = (first, second) {
                let code = 0x1_0000 + ((u32::from(first) - 0xD800) << 10) + (u32::from(low) - 0xDC00);
                return (char::from_u32(code).unwrap_or('\u{FFFD}'), 12);
            }
            (char::from_u32(u32::from(first)).unwrap_or('\u{FFFD}'), 6)
        }
        Some(other) => (char::from(*other), 2),
        None => ('\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_met_once_with_the_way_to_it() {
        let text = br#" {"a" : [1, {"b\/~":"x"}, []], "c":{}, "d":true } "#;
        let (mut walk, mut seen) = (Walk::new(text), Vec::new());
        while let Some(event) = walk.next() {
            let pointer = walk.pointer(walk.way(&event));
            match &event {
                Event::Name(_) | Event::Close(_) => {}
                Event::Open(at) => seen.push((pointer, char::from(text[*at]).to_string())),
                Event::Text(r) | Event::Bare(r) => {
                    seen.push((pointer, String::from_utf8_lossy(&text[r.clone()]).into_owned()));
                }
            }
        }
        let expected = [
            ("", "{"),
            ("/a", "["),
            ("/a/0", "1"),
            ("/a/1", "{"),
            ("/a/1/b~1~0", "\"x\""),
            ("/a/2", "["),
            ("/c", "{"),
            ("/d", "true"),
        ];
        let expected: Vec<_> = expected.map(|(p, v)| (p.to_owned(), v.to_owned())).to_vec();
        assert_eq!(seen, expected);
    }

    #[test]
    fn places_in_what_a_string_says_are_found_in_its_spelling() {
        let text = r#""a\u0041\n\ud83d\ude00b""#;
        let spelled = Spelled::read(text.as_bytes(), &(0..text.len()));
        assert_eq!(spelled.text, "aA\n😀b");
        let of = |part: &str| {
            let at = spelled.text.find(part).expect("it is there");
            &text[spelled.range(&(at..at + part.len()))]
        };
        assert_eq!(of("a"), "a");
        assert_eq!(of("A"), "\\u0041");
        assert_eq!(of("A\n"), "\\u0041\\n");
        assert_eq!(of("😀"), "\\ud83d\\ude00");
        assert_eq!(of("b"), "b");
        assert_eq!(&text[spelled.range(&(0..spelled.text.len()))], &text[1..text.len() - 1]);
    }
}
