//! Writing the little that we write ourselves.

use bytes::{BufMut, Bytes, BytesMut};

use super::Raw;

/// A JSON string with this content.
#[must_use]
pub fn string(text: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(text.len() + 2);
    string_into(&mut out, text);
    out.freeze()
}

/// Writes a JSON string with this content.
pub fn string_into(out: &mut BytesMut, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
    } else {
        serde_json::to_writer(out.writer(), text)
            .expect("a string is always JSON, and memory does not refuse");
    }
}

/// A JSON array of these items.
#[must_use]
pub fn array<'a>(items: impl IntoIterator<Item = &'a Raw>) -> Raw {
    let mut out = BytesMut::new();
    out.put_u8(b'[');
    for item in items {
        if out.len() > 1 {
            out.put_u8(b',');
        }
        out.put_slice(item.as_bytes());
    }
    out.put_u8(b']');
    Raw::trusted(out.freeze())
}
