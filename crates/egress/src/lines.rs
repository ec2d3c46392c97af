//! Newline framing for stdio, without any I/O.
//!
//! MCP's stdio transport puts one JSON-RPC message on each line. What a child prints is untrusted: a line
//! without an end must not grow the gateway, and the result must not depend on how the bytes were cut into
//! reads.

use bytes::{Bytes, BytesMut};

/// How much room a read gets when the buffer is nearly full, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// Less room than this, in bytes, is not worth a system call.
const READ_BYTES_MIN: usize = 4 * 1024;
/// A buffer that once held more than this, in bytes, is not kept for the next line.
const KEEP_BYTES: usize = 256 * 1024;

/// A line was longer than the limit; it was dropped up to its newline, and reading can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a line of more than {limit_bytes} bytes")]
pub struct LineTooLong {
    /// The limit that was passed, in bytes, without the line's end.
    pub limit_bytes: usize,
}

/// Cuts bytes into lines.
///
/// A line ends with LF or CR LF, which are not part of it. Empty lines are skipped, and bytes are passed on
/// as they are: whether they are UTF-8 or JSON is for the caller to check. At most one line and one read are
/// held in memory.
#[derive(Debug)]
pub struct LineReader {
    limit_bytes: usize,
    buffer: BytesMut,
    /// How many bytes at the start of `buffer` are known to hold no newline.
    scanned: usize,
    /// The line at hand was too long: drop everything up to its newline.
    skipping: bool,
}

impl LineReader {
    /// A reader that refuses lines of more than `limit_bytes` bytes (without the line's end).
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, buffer: BytesMut::new(), scanned: 0, skipping: false }
    }

    /// Takes in `chunk` and gives out the lines that are now complete.
    ///
    /// Lines that are not taken from the iterator come with the next call.
    pub fn feed(&mut self, chunk: &[u8]) -> impl Iterator<Item = Result<Bytes, LineTooLong>> + '_ {
        self.buffer.extend_from_slice(chunk);
        std::iter::from_fn(move || self.next_line())
    }

    /// The buffer with room for the next read. Whatever is appended to it counts as fed.
    pub(crate) fn room(&mut self) -> &mut BytesMut {
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES_MIN {
            self.buffer.reserve(READ_BYTES);
        }
        &mut self.buffer
    }

    /// The next complete line, if there is one.
    pub fn next_line(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return self.refuse_if_too_long();
            };
            let line = self.buffer.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            self.let_go(line.len());
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            match self.checked(line.slice(..line.len() - 1)) {
                Some(found) => return Some(found),
                None => continue,
            }
        }
    }

    /// What is left when the stream has ended: a last line that has no newline.
    ///
    /// A child that died while it wrote leaves half a message here; one that forgets the last newline leaves
    /// a whole one. The caller's parser tells them apart. Complete lines that nobody took yet come first:
    /// call it until `None`.
    pub fn finish(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        if let Some(line) = self.next_line() {
            return Some(line);
        }
        let line = std::mem::take(&mut self.buffer).freeze();
        self.scanned = 0;
        if std::mem::take(&mut self.skipping) { None } else { self.checked(line) }
    }

    /// Strips a CR, skips an empty line, checks the length.
    fn checked(&self, line: Bytes) -> Option<Result<Bytes, LineTooLong>> {
        let line = if line.ends_with(b"\r") { line.slice(..line.len() - 1) } else { line };
        if line.is_empty() {
            return None;
        }
        Some(if line.len() > self.limit_bytes { Err(self.too_long()) } else { Ok(line) })
    }

    /// Drops an unfinished line that can no longer be short enough, and reports it once.
    fn refuse_if_too_long(&mut self) -> Option<Result<Bytes, LineTooLong>> {
        if self.skipping {
            self.drop_buffer();
            return None;
        }
        // One byte more than the limit may still be the CR of a CR LF.
        if self.buffer.len() <= self.limit_bytes.saturating_add(1) {
            return None;
        }
        self.drop_buffer();
        self.skipping = true;
        Some(Err(self.too_long()))
    }

    fn drop_buffer(&mut self) {
        let held = self.buffer.len();
        self.buffer.clear();
        self.scanned = 0;
        self.let_go(held);
    }

    /// Gives up the memory of a large line: what is left would otherwise keep all of it alive.
    fn let_go(&mut self, line_bytes: usize) {
        if line_bytes > KEEP_BYTES {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
    }

    fn too_long(&self) -> LineTooLong {
        LineTooLong { limit_bytes: self.limit_bytes }
    }
}

/// Fuzz target: any bytes, cut in any way, give the same lines, all of them within the rules.
///
/// The first byte is the limit, the second the size of the chunks; the rest is what a child printed.
///
/// # Panics
/// When a rule is broken: that is what the fuzzer looks for.
pub fn fuzz_lines(data: &[u8]) {
    let [limit, chunk, printed @ ..] = data else { return };
    let limit_bytes = usize::from(*limit);
    let whole = read_in_chunks(limit_bytes, printed.len().max(1), printed);
    let cut = read_in_chunks(limit_bytes, usize::from(*chunk).max(1), printed);
    assert_eq!(whole, cut, "the lines depend on how the bytes were cut");
    for line in whole.iter().flatten() {
        assert!(!line.is_empty(), "an empty line was given out");
        assert!(line.len() <= limit_bytes, "a line is longer than the limit");
        assert!(!line.contains(&b'\n'), "a line holds a newline");
    }
}

fn read_in_chunks(limit_bytes: usize, chunk_bytes: usize, data: &[u8]) -> Vec<Result<Bytes, LineTooLong>> {
    let mut reader = LineReader::new(limit_bytes);
    let mut lines = Vec::new();
    for chunk in data.chunks(chunk_bytes) {
        lines.extend(reader.feed(chunk));
        assert!(reader.buffer.len() <= limit_bytes + 1, "more than one line is held");
    }
    lines.extend(reader.finish());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit_bytes: usize, chunks: &[&str]) -> Vec<String> {
        let mut reader = LineReader::new(limit_bytes);
        let mut found: Vec<_> =
            chunks.iter().flat_map(|c| reader.feed(c.as_bytes()).collect::<Vec<_>>()).collect();
        found.extend(reader.finish());
        found
            .into_iter()
            .map(|line| match line {
                Ok(line) => String::from_utf8_lossy(&line).into_owned(),
                Err(LineTooLong { limit_bytes }) => format!("over {limit_bytes}"),
            })
            .collect()
    }

    #[test]
    fn lines_are_cut_at_newlines_wherever_the_reads_end() {
        assert_eq!(lines(9, &["a\nbc\n"]), ["a", "bc"]);
        assert_eq!(lines(9, &["a", "\nb", "c", "\n"]), ["a", "bc"]);
    }

    #[test]
    fn carriage_returns_before_the_newline_and_empty_lines_are_dropped() {
        assert_eq!(lines(9, &["a\r\n\r\n\n\nb\r", "\n"]), ["a", "b"]);
        assert_eq!(lines(9, &["a\rb\n"]), ["a\rb"], "a CR inside a line is the line's own");
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(
            lines(3, &["abc\n", "abc\r\n", "abcd\n", "abcd\r\n", "ab\n"]),
            ["abc", "abc", "over 3", "over 3", "ab"]
        );
        assert_eq!(lines(3, &["abc", "\r", "\n", "abcd", "\n"]), ["abc", "over 3"]);
    }

    #[test]
    fn an_over_long_line_is_reported_once_and_skipped_to_its_newline() {
        assert_eq!(lines(3, &["abcde", "fghijk", "lmnop", "q\nok\n"]), ["over 3", "ok"]);
    }

    #[test]
    fn a_last_line_without_newline_comes_at_the_end() {
        assert_eq!(lines(9, &["a\nhalf"]), ["a", "half"]);
        assert_eq!(lines(3, &["a\ntoo long"]), ["a", "over 3"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_pass_as_they_are() {
        let mut reader = LineReader::new(9);
        let found: Vec<_> = reader.feed(b"\xff\xfe\n").collect();
        assert_eq!(found, [Ok(Bytes::from_static(b"\xff\xfe"))]);
    }

    #[test]
    fn lines_that_were_not_taken_come_with_the_next_feed() {
        let mut reader = LineReader::new(9);
        assert_eq!(reader.feed(b"a\nb\n").next(), Some(Ok(Bytes::from_static(b"a"))));
        assert_eq!(reader.feed(b"").next(), Some(Ok(Bytes::from_static(b"b"))));
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_the_limit_and_one_read() {
        let mut reader = LineReader::new(1024);
        let mut errors = 0;
        for _ in 0..10_000 {
            errors += reader.feed(&[b'x'; 512]).filter(Result::is_err).count();
            assert!(reader.buffer.capacity() <= 8 * 1024, "holds {}", reader.buffer.capacity());
        }
        assert_eq!(errors, 1);
    }

    #[test]
    fn a_large_line_is_not_kept_alive_by_the_next() {
        let mut reader = LineReader::new(4 * 1024 * 1024);
        let mut large = vec![b'x'; 3 * 1024 * 1024];
        large.extend_from_slice(b"\nnext");
        assert_eq!(reader.feed(&large).count(), 1);
        assert!(reader.buffer.capacity() <= 1024, "holds {}", reader.buffer.capacity());
        assert_eq!(reader.finish(), Some(Ok(Bytes::from_static(b"next"))));
    }

    #[test]
    fn any_bytes_in_any_chunks_give_the_same_lines() {
        // A small alphabet makes newlines, CRs and the limit meet in every order; the sequence is fixed.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut data = vec![(next() % 6) as u8, (next() % 5) as u8];
            data.extend((0..next() % 24).map(|_| b"ab\r\n"[(next() % 4) as usize]));
            fuzz_lines(&data);
        }
    }
}
