//! Percent signs, so that a value never leaves its place.

use std::fmt::Write;

fn push(out: &mut String, byte: u8) {
    let _ = write!(out, "%{byte:02X}");
}

fn encoded(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ if keep(byte) => out.push(byte.into()),
            _ => push(&mut out, byte),
        }
    }
    out
}

/// A value: only what RFC 3986 reserves for nothing stays as it is.
pub(crate) fn value(text: &str) -> String {
    encoded(text, |_| false)
}

/// A value of the query whose reserved characters stay, but for those that would end it.
pub(crate) fn reserved(text: &str) -> String {
    encoded(text, |byte| b":/?@!$'()*,;".contains(&byte))
}

/// What a document has in its path or query. Signs of percent are taken as they are.
pub(crate) fn fixed(text: &str) -> String {
    encoded(text, |byte| b"!$&'()*+,;=:@/?%".contains(&byte))
}

/// A name or a value of a form.
pub(crate) fn form(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte.into()),
            _ => push(&mut out, byte),
        }
    }
    out
}

/// How often something may have been encoded before a server that decodes too often sees what it is.
const DECODED_MAX: usize = 3;

/// Whether a value would lead to another folder if a server took its strokes for those of the path.
pub(crate) fn leads_out(text: &str) -> bool {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=DECODED_MAX {
        let mut pieces = bytes.split(|b| matches!(b, b'/' | b'\\'));
        // Some servers take what follows a semicolon for something else.
        let dots = |piece: &[u8]| matches!(piece.split(|b| *b == b';').next(), Some(b"." | b".."));
        if pieces.any(dots) {
            return true;
        }
        bytes = decoded(&bytes);
    }
    false
}

fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_lead_elsewhere_are_seen_through_their_encoding() {
        for bad in ["..", ".", "a/../b", "%2e%2e", "%2E.", "..%2fadmin", "%252e%252e%252f", "..\\x", "..;a/b"]
        {
            assert!(leads_out(bad), "{bad}");
        }
        for good in ["a", "...", ".a", "a..b", "group/project", "100%", "%zz", "a;..b"] {
            assert!(!leads_out(good), "{good}");
        }
    }

    #[test]
    fn nothing_that_ends_a_value_stays_as_it_is() {
        assert_eq!(value("a/b?c#d&e=f g%ü~"), "a%2Fb%3Fc%23d%26e%3Df%20g%25%C3%BC~");
        assert_eq!(reserved("http://x/?a=b&c#d+e[0]"), "http://x/?a%3Db%26c%23d%2Be%5B0%5D");
        assert_eq!(form("a b&c=~"), "a+b%26c%3D%7E");
    }
}
