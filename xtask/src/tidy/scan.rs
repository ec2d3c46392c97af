//! A small scanner for Rust text: enough to tell code from comments and strings, and to match braces.

/// A file's text with the parts that a rule should not see blanked out. All three texts have the same length,
/// so an offset or a line number in one holds in the others.
#[derive(Debug)]
pub struct Masked {
    /// The code alone: comments are blank, and so is what stands inside strings and character literals.
    pub code: String,
    /// The comments alone.
    pub comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line of `fn` and of the closing brace, counted from one.
    pub first: usize,
    pub last: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Masked {
    /// Scans `text`. Text that is no Rust gives a result of no meaning, but always one.
    pub fn new(text: &str) -> Self {
        let parts = classify(text.as_bytes());
        let keep = |wanted: Part| {
            let bytes = text.bytes().zip(&parts);
            let kept = bytes.map(|(byte, part)| if *part == wanted || byte == b'\n' { byte } else { b' ' });
            String::from_utf8_lossy(&kept.collect::<Vec<_>>()).into_owned()
        };
        Self { code: keep(Part::Code), comments: keep(Part::Comment) }
    }

    /// Every function that has a body, also nested ones.
    pub fn functions(&self) -> Vec<Function> {
        let code = self.code.as_bytes();
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let Some((name, after)) = identifier(code, at + 2) else { continue };
            let Some(open) = body_start(code, after) else { continue };
            let end = block_end(code, open);
            found.push(Function {
                name: name.to_owned(),
                first: line_at(code, at),
                last: line_at(code, end),
            });
        }
        found
    }

    /// The lines, as inclusive pairs, of items that are only built for tests.
    pub fn test_lines(&self) -> Vec<(usize, usize)> {
        let code = self.code.as_bytes();
        let mut found = Vec::new();
        for attribute in self.attributes().filter(|a| is_test_only(a.text)) {
            let end = item_end(code, attribute.end);
            found.push((line_at(code, attribute.start), line_at(code, end)));
        }
        found
    }

    /// Every attribute, `#[…]` and `#![…]`.
    pub fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        let code = self.code.as_bytes();
        self.code.match_indices('#').filter_map(move |(start, _)| {
            let inner = usize::from(code.get(start + 1) == Some(&b'!'));
            let open = start + 1 + inner;
            (code.get(open) == Some(&b'[')).then(|| {
                let end = matching(code, open, b'[', b']');
                let text = self.code.get(open + 1..end).unwrap_or_default();
                Attribute { start, end: (end + 1).min(code.len()), text }
            })
        })
    }
}

/// One attribute and where it stands.
#[derive(Debug)]
pub struct Attribute<'a> {
    /// The offset of `#`.
    pub start: usize,
    /// The offset after `]`.
    pub end: usize,
    /// What stands between the brackets, strings blanked.
    pub text: &'a str,
}

/// Whether an attribute keeps its item out of everything but tests.
pub fn is_test_only(attribute: &str) -> bool {
    let text: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(condition) = text.strip_prefix("cfg(") else { return false };
    let mentions = words(condition, "test").next().is_some();
    mentions && !condition.contains("not(test") && !condition.contains("any(")
}

/// The line of an offset, counted from one.
pub fn line_at(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// The offsets at which `word` stands as a whole word.
pub fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = text.as_bytes();
    text.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|i| bytes.get(i));
        let after = bytes.get(at + word.len());
        !before.is_some_and(|b| is_word(*b)) && !after.is_some_and(|b| is_word(*b))
    })
}

/// The identifier at or after `from`, past white space, and the offset behind it.
pub fn identifier(code: &[u8], from: usize) -> Option<(&str, usize)> {
    let start = skip_space(code, from);
    let raw = if code.get(start..start + 2) == Some(b"r#") { start + 2 } else { start };
    let length = code.get(raw..)?.iter().take_while(|b| is_word(**b)).count();
    let name = std::str::from_utf8(code.get(raw..raw + length)?).ok()?;
    (length > 0 && !name.starts_with(|c: char| c.is_ascii_digit())).then_some((name, raw + length))
}

/// The first offset at or after `from` that is not white space.
pub fn skip_space(code: &[u8], from: usize) -> usize {
    from + code.iter().skip(from).take_while(|b| b.is_ascii_whitespace()).count()
}

/// The offset of the brace that closes the one at `open`, or the end of the text.
pub fn block_end(code: &[u8], open: usize) -> usize {
    matching(code, open, b'{', b'}')
}

fn matching(code: &[u8], open: usize, opens: u8, closes: u8) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.iter().enumerate().skip(open) {
        if *byte == opens {
            depth += 1;
        } else if *byte == closes {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at;
            }
        }
    }
    code.len()
}

/// Where the body of a function begins whose name ends at `from`; none where a semicolon comes first.
fn body_start(code: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' | b'}' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// The last offset of the item that begins at or after `from`, past its further attributes.
fn item_end(code: &[u8], from: usize) -> usize {
    let mut depth = 0_i32;
    let mut at = from;
    while let Some(byte) = code.get(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return block_end(code, at),
            b';' | b'}' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    code.len()
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

fn classify(text: &[u8]) -> Vec<Part> {
    let mut parts = vec![Part::Code; text.len()];
    let mut at = 0;
    while at < text.len() {
        let (part, from, end) = next_part(text, at);
        // The marks around a literal stay code, so that a blanked string is still seen to be one.
        for slot in parts.iter_mut().take(end.min(text.len())).skip(from) {
            *slot = part;
        }
        at = match part {
            Part::Literal => end + 1,
            Part::Code | Part::Comment => end.max(at + 1),
        };
    }
    parts
}

/// What begins at `at`: its kind, and the range of the bytes that are of that kind.
fn next_part(text: &[u8], at: usize) -> (Part, usize, usize) {
    let rest = text.get(at..).unwrap_or_default();
    match rest {
        [b'/', b'/', ..] => {
            let length = rest.iter().take_while(|b| **b != b'\n').count();
            (Part::Comment, at, at + length)
        }
        [b'/', b'*', ..] => (Part::Comment, at, block_comment_end(text, at)),
        [b'"', ..] => (Part::Literal, at + 1, string_end(text, at + 1)),
        [b'\'', ..] => char_literal(text, at),
        [b'r', ..] if begins_word(text, at) => raw_string(text, at).unwrap_or((Part::Code, at, at + 1)),
        _ => (Part::Code, at, at + 1),
    }
}

/// Whether `at` is where a word begins, or follows the `b` or `c` of a byte or C string that begins one.
fn begins_word(text: &[u8], at: usize) -> bool {
    let starts = |at: usize| at == 0 || text.get(at - 1).is_some_and(|b| !is_word(*b));
    starts(at) || (matches!(text.get(at - 1), Some(b'b' | b'c')) && starts(at - 1))
}

fn block_comment_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < text.len() {
        match text.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The offset of the closing quote.
fn string_end(text: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at,
            _ => at += 1,
        }
    }
    text.len()
}

/// A character literal, or only the tick of a lifetime or label.
fn char_literal(text: &[u8], at: usize) -> (Part, usize, usize) {
    let rest = text.get(at + 1..).unwrap_or_default();
    let length = match rest {
        [b'\\', _, tail @ ..] => 2 + tail.iter().take_while(|b| **b != b'\'' && **b != b'\n').count(),
        [first, ..] => match first {
            0x00..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        },
        [] => 1,
    };
    if rest.get(length) == Some(&b'\'') {
        (Part::Literal, at + 1, at + 1 + length)
    } else {
        (Part::Code, at, at + 1)
    }
}

/// The content of a raw string whose `r` stands at `at`.
fn raw_string(text: &[u8], at: usize) -> Option<(Part, usize, usize)> {
    let hashes = text.get(at + 1..)?.iter().take_while(|b| **b == b'#').count();
    let open = at + 1 + hashes;
    if text.get(open) != Some(&b'"') {
        return None;
    }
    let closes = |end: &usize| {
        text.get(*end) == Some(&b'"')
            && text.get(end + 1..end + 1 + hashes).is_some_and(|tail| tail.iter().all(|b| *b == b'#'))
    };
    let end = (open + 1..text.len()).find(closes).unwrap_or(text.len());
    Some((Part::Literal, open + 1, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let masked = Masked::new(text);
        assert_eq!(masked.code.len(), text.len());
        masked.code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_the_insides_of_strings_are_not_code() {
        assert_eq!(code("a // b { \" \nc"), "a c");
        assert_eq!(code("a /* x /* y */ { */ b"), "a b");
        assert_eq!(code(r#"f("a \" { // b", c)"#), r#"f(" ", c)"#);
        assert_eq!(code(r"x = 'a'; y = '\''; z = '{'; w = '\u{7f}'"), "x = ' '; y = ' '; z = ' '; w = ' '");
    }

    #[test]
    fn raw_strings_end_where_their_hashes_end() {
        assert_eq!(code("let a = r#\"x \" y\"#; b"), "let a = r#\" \"#; b");
        assert_eq!(code("let a = br##\"x \"# y\"##; b"), "let a = br##\" \"##; b");
        assert_eq!(code(r#"let a = r"\"; b"#), r#"let a = r" "; b"#);
        assert_eq!(code("let r#type = for\"x\"; var\"y\""), "let r#type = for\" \"; var\" \"");
    }

    #[test]
    fn a_lifetime_is_no_character() {
        assert_eq!(code("fn f<'a>(x: &'a str, y: char) { 'x' }"), "fn f<'a>(x: &'a str, y: char) { ' ' }");
        assert_eq!(code("'outer: loop { break 'outer; }"), "'outer: loop { break 'outer; }");
        assert_eq!(code("let x = 'é'; let y = '→';"), "let x = ' '; let y = ' ';");
    }

    #[test]
    fn comments_are_kept_apart_and_unfinished_text_does_no_harm() {
        let masked = Masked::new("a // one\nb /* two");
        assert_eq!(masked.comments.split_whitespace().collect::<Vec<_>>(), ["//", "one", "/*", "two"]);
        for text in ["\"", "r#\"", "'", "'\\", "/*", "/", "", "\\", "r", "br", "#["] {
            assert_eq!(Masked::new(text).code.len(), text.len());
            assert_eq!(Masked::new(text).functions(), []);
        }
    }

    #[test]
    fn a_function_reaches_from_its_first_line_to_its_closing_brace() {
        let text = r#"
            fn one() {
            }
            pub async fn two<T>(
                x: [u8; 4],
            ) -> T
            where
                T: A,
            {
                let s = "}";
                fn three() {}
            }
            trait A {
                fn none(&self);
            }
            type F = fn(u8);"#;
        let found: Vec<_> = Masked::new(text).functions();
        let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.first, f.last)).collect();
        assert_eq!(seen, [("one", 2, 3), ("two", 4, 12), ("three", 11, 11)]);
    }

    #[test]
    fn test_only_items_are_found_with_all_their_lines() {
        let text = r#"
            #[cfg(test)]
            #[path = "x.rs"]
            mod tests;
            fn a() {}
            #[cfg(test)]
            mod more {
                fn b() {}
            }
            #[cfg(not(test))]
            mod live {}
            #[cfg(all(test, unix))]
            fn c() {
            }"#;
        assert_eq!(Masked::new(text).test_lines(), [(2, 4), (6, 9), (12, 14)]);
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("mod model mod_ a.mod", "mod").collect::<Vec<_>>(), [0, 17]);
    }
}
