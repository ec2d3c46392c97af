//! The lines of stdio.

use bytes::Bytes;
use egress::{LineReader, LineTooLong};

type Line = Result<Bytes, LineTooLong>;

/// Any bytes as what a child prints: the first byte is the limit, the second the size of the chunks.
///
/// * However the bytes are cut, and however late lines are taken, they are the same lines.
/// * They are those that a second reading finds: split at LF, without one CR before it, the empty ones left
///   out, the long ones refused.
/// * No line is empty, longer than the limit, or holds a newline.
/// * Lines that are written again, with LF or CR LF, are read as the same.
///
/// # Panics
/// Where one of these does not hold.
pub fn framing(data: &[u8]) {
    let [limit, size, printed @ ..] = data else { return };
    let (limit, size) = (usize::from(*limit), usize::from(size % 32) + 1);
    let whole = read(limit, printed.len().max(1), printed);
    assert_eq!(read(limit, size, printed), whole, "in chunks of {size}");
    assert_eq!(read(limit, 1, printed), whole, "byte by byte");
    assert_eq!(read_late(limit, size, printed), whole, "taken late");
    assert_eq!(reference(limit, printed), whole, "another reading");
    let lines: Vec<&Bytes> = whole.iter().flatten().collect();
    for line in &lines {
        assert!(!line.is_empty() && line.len() <= limit && !line.contains(&b'\n'), "not a line: {line:?}");
    }
    // A line that ends with a CR of its own loses it to a second reading.
    let lines: Vec<&Bytes> = lines.into_iter().filter(|line| !line.ends_with(b"\r")).collect();
    for end in [&b"\n"[..], b"\r\n"] {
        let written: Vec<u8> = lines.iter().flat_map(|line| [line.as_ref(), end].concat()).collect();
        let again = read(limit, size, &written);
        assert!(again.iter().map(Result::as_ref).eq(lines.iter().copied().map(Ok)), "written and read");
    }
}

fn read(limit: usize, size: usize, printed: &[u8]) -> Vec<Line> {
    let mut reader = LineReader::new(limit);
    let mut lines = Vec::new();
    for chunk in printed.chunks(size) {
        lines.extend(reader.feed(chunk));
    }
    lines.extend(std::iter::from_fn(|| reader.finish()));
    lines
}

/// Takes one line for each chunk and the rest at the end.
fn read_late(limit: usize, size: usize, printed: &[u8]) -> Vec<Line> {
    let mut reader = LineReader::new(limit);
    let mut lines = Vec::new();
    for chunk in printed.chunks(size) {
        lines.extend(reader.feed(chunk).next());
    }
    lines.extend(std::iter::from_fn(|| reader.finish()));
    lines
}

fn reference(limit_bytes: usize, printed: &[u8]) -> Vec<Line> {
    let lines = printed.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let judged = lines.filter(|line| !line.is_empty()).map(|line| match line.len() > limit_bytes {
        true => Err(LineTooLong { limit_bytes }),
        false => Ok(Bytes::copy_from_slice(line)),
    });
    judged.collect()
}
