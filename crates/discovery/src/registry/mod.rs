//! The registry's interface, `v0.1`, from both sides: its words, a shelf that answers, a mirror that asks.

mod mirror;
mod order;
mod page;
mod shelf;
mod wire;

pub use mirror::{Ask, Failure, Limits, Mirror, Oddity, Report, Row, Turn};
pub use order::newest;
pub use page::{LIMIT_DEFAULT, LIMIT_MAX, Query, QueryError, query};
pub use shelf::{Shelf, ShelfError};
pub use wire::{
    Entry, OFFICIAL, Official, Page, Status, read_error, read_page, read_response, write_error, write_page,
    write_response,
};

/// Where the interface is, below a registry's base URL.
pub const BASE: &str = "/v0.1";

/// A name or a version as one segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A segment of a path read back. `None`: something that no text was written as.
#[must_use]
pub fn unsegment(segment: &str) -> Option<String> {
    let mut out = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        out.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(out).ok().filter(|text| text.len() <= 512 && !text.chars().any(char::is_control))
}
