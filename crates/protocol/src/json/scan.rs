//! One pass over the bytes: is it JSON (RFC 8259), and where do its members stand?

use memchr::memchr2;

use super::{DEPTH_MAX, WRAPPED_DEPTH_MAX};

/// Why bytes are not a JSON value that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct JsonError {
    /// Where, counted in bytes from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Checks that `bytes` hold exactly one JSON value in UTF-8, nested at most [`DEPTH_MAX`] deep.
///
/// Time and memory are linear and constant in the length. Strings may contain lone surrogate escapes
/// (`"\ud800"`): they are JSON, and it is not ours to lose them.
///
/// # Errors
/// [`JsonError`] says what is wrong and where.
pub fn check(bytes: &[u8]) -> Result<(), JsonError> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(JsonError { at: error.valid_up_to(), what: "invalid UTF-8" });
    }
    let mut scan = Scan::incoming(bytes);
    scan.space();
    scan.value()?;
    scan.space();
    if scan.at == bytes.len() { Ok(()) } else { Err(scan.error("trailing characters")) }
}

/// Whether bytes of ours are JSON, wrapped or not.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    let mut scan = Scan { checked: false, ..Scan::trusted(bytes) };
    scan.space();
    scan.value().is_ok()
}

/// A cursor over bytes that checks the grammar as it goes.
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
    depth_max: usize,
    /// Whether the bytes were checked before, so that strings need no second look inside.
    checked: bool,
}

impl<'a> Scan<'a> {
    /// Over bytes of ours, or cut out of checked ones.
    pub(super) fn trusted(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth_max: WRAPPED_DEPTH_MAX, checked: true }
    }

    /// Over bytes that came in.
    pub(super) fn incoming(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth_max: DEPTH_MAX, checked: false }
    }

    pub(super) fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.error(what))
        }
    }

    /// Steps over one value of any kind. No recursion: the open brackets are bits of `stack`.
    pub(super) fn value(&mut self) -> Result<(), JsonError> {
        let mut stack: u128 = 0;
        let mut depth = 0;
        loop {
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if depth == self.depth_max {
                        return Err(self.error("nested too deeply"));
                    }
                    self.at += 1;
                    self.space();
                    let object = open == b'{';
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        self.at += 1;
                    } else {
                        stack = (stack << 1) | u128::from(object);
                        depth += 1;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => drop(self.string()?),
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(_) => return Err(self.error("expected a value")),
                None => return Err(self.error("unexpected end")),
            }
            if self.after_value(&mut stack, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here; true once the outermost value has ended.
    fn after_value(&mut self, stack: &mut u128, depth: &mut usize) -> Result<bool, JsonError> {
        loop {
            if *depth == 0 {
                return Ok(true);
            }
            self.space();
            let object = *stack & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    if object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) => return Err(self.error("expected ',' or a closing bracket")),
                None => return Err(self.error("unexpected end")),
            }
            self.at += 1;
            *stack >>= 1;
            *depth -= 1;
        }
    }

    /// Steps over `"key" :` and the space around it.
    fn key(&mut self) -> Result<(), JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("expected a member name"));
        }
        self.string()?;
        self.space();
        self.expect(b':', "expected ':'")?;
        self.space();
        Ok(())
    }

    /// Steps over a string and tells whether it has escapes; the cursor stands on its opening quote.
    pub(super) fn string(&mut self) -> Result<bool, JsonError> {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(found) = quote_or_escape(rest) else {
                return Err(self.error("unterminated string"));
            };
            if !self.checked && has_control(&rest[..found]) {
                self.at += rest.iter().position(|b| *b < 0x20).unwrap_or_default();
                return Err(self.error("control character in a string"));
            }
            self.at += found + 1;
            if rest[found] == b'"' {
                return Ok(escaped);
            }
            escaped = true;
            match self.peek() {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                Some(b'u') => {
                    let digits = self.bytes.get(self.at + 1..self.at + 5);
                    if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
                        return Err(self.error("bad \\u escape"));
                    }
                    self.at += 5;
                }
                _ => return Err(self.error("bad escape")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("leading zero"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.error("expected a value"))
        }
    }
}

/// Where a string ends or is escaped. Most strings are short names, which are walked faster than a wide
/// search starts.
fn quote_or_escape(rest: &[u8]) -> Option<usize> {
    let near = rest.len().min(16);
    let found = rest[..near].iter().position(|byte| matches!(byte, b'"' | b'\\'));
    found.or_else(|| memchr2(b'"', b'\\', &rest[near..]).map(|at| near + at))
}

/// Looks at all of it without stopping early, which the compiler turns into wide instructions.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | (*byte < 0x20))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference: `serde_json` stepping over the text, which knows no depth limit and no lone
    /// surrogates rule.
    fn reference(bytes: &[u8]) -> bool {
        serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok()
    }

    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else() {
        let texts = [
            "",
            " ",
            "{}",
            "[]",
            "{",
            "}",
            "[1,2]",
            "[1,]",
            "[,1]",
            r#"{"a":1}"#,
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r"{a:1}",
            "1",
            "-",
            "-0",
            "01",
            "1.",
            "1.5e10",
            "1e",
            "1e+",
            "1E-2",
            ".5",
            "+1",
            "true",
            "tru",
            "nullx",
            "null",
            "\"a\"",
            "\"a",
            "\"\\u12g4\"",
            "\"\\u1234\"",
            "\"\\x\"",
            "\"\t\"",
            "{\"a\":{\"b\":[{}]}}",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            " { \"a\" : [ 1 , 2 ] } ",
            "[}",
            "{]",
            "{\"a\":1]",
            "\u{feff}1",
            "1 1",
        ];
        for text in texts {
            assert_eq!(check(text.as_bytes()).is_ok(), reference(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn a_mutated_document_gets_the_same_verdict_as_from_serde_json() {
        let seed = br#"{"jsonrpc":"2.0","id":17,"params":{"a":[1,2.5e3,{"b":"\u00e9\n"}],"c":null}}"#;
        let alphabet = b"{}[],:\"\\u0e1-.tfn \n\x01";
        for at in 0..seed.len() {
            for byte in alphabet {
                let mut text = seed.to_vec();
                text[at] = *byte;
                assert_eq!(check(&text).is_ok(), reference(&text), "{}", String::from_utf8_lossy(&text));
                text = seed.to_vec();
                text.insert(at, *byte);
                assert_eq!(check(&text).is_ok(), reference(&text), "{}", String::from_utf8_lossy(&text));
            }
            let cut = &seed[..at];
            assert_eq!(check(cut).is_ok(), reference(cut), "{}", String::from_utf8_lossy(cut));
        }
    }

    #[test]
    fn nesting_has_a_limit_and_no_recursion() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(check(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(check(&nested(DEPTH_MAX + 1)).expect_err("too deep").at, DEPTH_MAX);
        assert!(check(&vec![b'['; 10_000_000]).is_err());
    }

    #[test]
    fn what_came_in_can_be_wrapped_and_is_still_read() {
        let deepest = [vec![b'['; DEPTH_MAX], vec![b']'; DEPTH_MAX]].concat();
        let raw = crate::Raw::parse(deepest.into()).expect("at the limit");
        let wrapped = crate::json::Object::empty().edit().set("a", raw).finish();
        let twice = crate::json::Object::empty().edit().set("b", wrapped).finish();
        assert!(twice.get("b").and_then(|b| b.get("a")).is_some());
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_where_it_breaks() {
        assert_eq!(check(b"\"ab\xff\"").expect_err("not UTF-8"), JsonError { at: 3, what: "invalid UTF-8" });
    }
}
