//! The result of a response that is too large to keep: cut out of the stream as it passes.

use bytes::{Bytes, BytesMut};

use super::scan::JsonError;

/// What the extractor found in the bytes it was fed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More bytes of the value of `result`.
    Result(Bytes),
    /// A member beside `result`, whole: its name and its value, both as spelled.
    Member(Bytes, Bytes),
}

/// Splits one JSON-RPC response, fed in chunks, into the bytes of its result and its other members.
///
/// The nesting and the strings are followed, so the result ends where it ends; the grammar between is not
/// judged, and the one who gets the bytes parses them anyway. Memory is bounded by `member_bytes_max`.
#[derive(Debug)]
pub struct Extractor {
    member_bytes_max: usize,
    state: State,
    depth: u32,
    in_string: bool,
    escaped: bool,
    key: BytesMut,
    value: BytesMut,
    offset: usize,
    has_result: bool,
    has_error: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    BeforeKey,
    Key,
    BeforeColon,
    BeforeValue,
    Value,
    End,
}

const DEPTH_MAX: u32 = 96;

impl Extractor {
    /// An extractor that keeps at most `member_bytes_max` bytes of any other member.
    #[must_use]
    pub fn new(member_bytes_max: usize) -> Self {
        Self {
            member_bytes_max,
            state: State::Start,
            depth: 0,
            in_string: false,
            escaped: false,
            key: BytesMut::new(),
            value: BytesMut::new(),
            offset: 0,
            has_result: false,
            has_error: false,
        }
    }

    /// Whether the response has ended as it should.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// [`JsonError`] where the bytes are no response: what came before it stays valid. A second result is
    /// refused, since what was handed on of the first cannot be taken back, and so is a response that ends
    /// without a result or an error.
    pub fn feed(&mut self, chunk: &Bytes, pieces: &mut Vec<Piece>) -> Result<(), JsonError> {
        let mut at = 0;
        while at < chunk.len() {
            match self.state {
                State::Value => at = self.value(chunk, at, pieces)?,
                State::Key => at = self.key(chunk, at)?,
                _ => {
                    self.between(chunk[at], at)?;
                    at += usize::from(self.state != State::Value);
                }
            }
        }
        self.offset += chunk.len();
        Ok(())
    }

    fn error(&self, at: usize, what: &'static str) -> JsonError {
        JsonError { at: self.offset + at, what }
    }

    /// One byte outside of keys and values.
    fn between(&mut self, byte: u8, at: usize) -> Result<(), JsonError> {
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.state = match (self.state, byte) {
            (State::Start, b'{') | (State::BeforeKey, b',') => State::BeforeKey,
            (State::BeforeKey, b'"') => {
                self.key.clear();
                self.key.extend_from_slice(b"\"");
                State::Key
            }
            (State::BeforeKey, b'}') if !self.has_result && !self.has_error => {
                return Err(self.error(at, "neither a result nor an error"));
            }
            (State::BeforeKey, b'}') => State::End,
            (State::BeforeColon, b':') => State::BeforeValue,
            (State::BeforeValue, b',' | b'}' | b']' | b':') => return Err(self.error(at, "expected a value")),
            (State::BeforeValue, _) => {
                match &*self.key {
                    b"\"result\"" if self.has_result => return Err(self.error(at, "a second result")),
                    b"\"result\"" => self.has_result = true,
                    b"\"error\"" => self.has_error = true,
                    _ => {}
                }
                self.value.clear();
                (self.depth, self.in_string, self.escaped) = (0, false, false);
                State::Value
            }
            _ => return Err(self.error(at, "not a JSON-RPC response")),
        };
        Ok(())
    }

    fn key(&mut self, chunk: &Bytes, at: usize) -> Result<usize, JsonError> {
        for (index, byte) in chunk[at..].iter().enumerate() {
            self.key.extend_from_slice(&[*byte]);
            if self.key.len() > 256 {
                return Err(self.error(at + index, "member name too long"));
            }
            if std::mem::take(&mut self.escaped) {
                continue;
            }
            match byte {
                b'\\' => self.escaped = true,
                b'"' => {
                    self.state = State::BeforeColon;
                    return Ok(at + index + 1);
                }
                _ => {}
            }
        }
        Ok(chunk.len())
    }

    /// Follows a value to its end or the chunk's, and hands on what passed.
    fn value(&mut self, chunk: &Bytes, start: usize, pieces: &mut Vec<Piece>) -> Result<usize, JsonError> {
        let mut at = start;
        let mut ended = false;
        while at < chunk.len() {
            if self.in_string {
                at = self.string(chunk, at);
                ended = !self.in_string && self.depth == 0;
            } else {
                match chunk[at] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => {
                        self.depth += 1;
                        if self.depth > DEPTH_MAX {
                            return Err(self.error(at, "nested too deeply"));
                        }
                    }
                    b'}' | b']' if self.depth > 0 => {
                        self.depth -= 1;
                        ended = self.depth == 0;
                    }
                    // A number or word ends at what follows it, which is not part of it.
                    b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => {
                        self.pass(chunk.slice(start..at), true, pieces)?;
                        return Ok(at);
                    }
                    _ => {}
                }
                at += 1;
            }
            if ended {
                break;
            }
        }
        self.pass(chunk.slice(start..at), ended, pieces)?;
        Ok(at)
    }

    fn string(&mut self, chunk: &Bytes, at: usize) -> usize {
        if std::mem::take(&mut self.escaped) {
            return at + 1;
        }
        match memchr::memchr2(b'"', b'\\', &chunk[at..]) {
            None => chunk.len(),
            Some(found) => {
                if chunk[at + found] == b'"' {
                    self.in_string = false;
                } else {
                    self.escaped = true;
                }
                at + found + 1
            }
        }
    }

    fn pass(&mut self, bytes: Bytes, ended: bool, pieces: &mut Vec<Piece>) -> Result<(), JsonError> {
        if &*self.key == b"\"result\"" {
            if !bytes.is_empty() {
                pieces.push(Piece::Result(bytes));
            }
        } else {
            if self.value.len() + bytes.len() > self.member_bytes_max {
                return Err(self.error(0, "member too large"));
            }
            self.value.extend_from_slice(&bytes);
            if ended {
                let (key, value) = (self.key.split().freeze(), self.value.split().freeze());
                pieces.push(Piece::Member(key, value));
            }
        }
        if ended {
            self.state = State::BeforeKey;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result, the other members, and whether the response ended.
    type Run = (String, Vec<(String, String)>, bool);

    fn run(text: &[u8], size: usize) -> Result<Run, JsonError> {
        let mut extractor = Extractor::new(1_000);
        let (mut result, mut members) = (Vec::new(), Vec::new());
        for chunk in text.chunks(size) {
            let mut pieces = Vec::new();
            extractor.feed(&Bytes::copy_from_slice(chunk), &mut pieces)?;
            for piece in pieces {
                match piece {
                    Piece::Result(bytes) => result.extend_from_slice(&bytes),
                    Piece::Member(k, v) => members.push((
                        String::from_utf8_lossy(&k).into_owned(),
                        String::from_utf8_lossy(&v).into_owned(),
                    )),
                }
            }
        }
        Ok((String::from_utf8(result).expect("UTF-8"), members, extractor.is_done()))
    }

    #[test]
    fn the_result_comes_out_byte_for_byte_however_the_stream_is_cut() {
        let text =
            br#" { "jsonrpc" : "2.0","result": {"a":"}\"]\\","b":[1,{"c":null}]} , "id":17 ,"x":[{}] } "#;
        for size in 1..text.len() {
            let (result, members, done) = run(text, size).expect("a response");
            assert_eq!(result, r#"{"a":"}\"]\\","b":[1,{"c":null}]}"#, "chunks of {size}");
            let flat: Vec<_> = members.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(flat, [r#""jsonrpc"="2.0""#, r#""id"=17"#, r#""x"=[{}]"#]);
            assert!(done);
        }
    }

    #[test]
    fn a_response_that_is_cut_off_is_never_done() {
        let text = br#"{"jsonrpc":"2.0","id":1,"result":{"a":[1,2]}}"#;
        for end in 0..text.len() {
            if let Ok((_, _, done)) = run(&text[..end], 7) {
                assert!(!done, "cut at {end}");
            }
        }
    }

    #[test]
    fn a_second_result_is_refused_and_so_is_none() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":1,"result":2}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"\u0072esult":{}}"#,
            "{}",
        ] {
            assert!(run(text.as_bytes(), 5).is_err(), "{text}");
        }
        let (result, members, done) = run(br#"{"id":1,"error":{"code":1}}"#, 5).expect("an error");
        assert_eq!((result.as_str(), members.len(), done), ("", 2, true));
    }

    #[test]
    fn what_is_no_response_or_too_large_is_refused() {
        assert!(run(b"[1]", 2).is_err());
        assert!(run(b"{\"a\":}", 2).is_err());
        assert!(run(b"{\"a\":1}x", 2).is_err());
        assert!(run(format!("{{\"id\":\"{}\"}}", "x".repeat(2_000)).as_bytes(), 64).is_err());
        assert!(run(format!("{{\"result\":{}", "[".repeat(200)).as_bytes(), 64).is_err());
        assert!(run(format!("{{\"{}\":1}}", "x".repeat(300)).as_bytes(), 64).is_err());
    }
}
