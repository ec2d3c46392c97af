//! The message reader and writer.

use std::collections::HashMap;

use bytes::Bytes;
use protocol::json::{Extractor, Object, Piece};
use protocol::{EnvelopeError, Id, Message, Method, Raw, RpcError, envelope as wire};
use serde_json::value::RawValue;

use crate::json::{is_json, members};

type Members<'a> = HashMap<String, &'a RawValue>;

/// Any bytes as one message.
///
/// * What is taken is JSON for `serde_json` too; what is refused as JSON is none for it, or is nested too
///   deeply, or names a member twice.
/// * Whether an object is a message, and which, is what a second reading of JSON-RPC says.
/// * Id, method, params, result and error are what `serde_json` finds under these names, byte for byte, and
///   they are slices of the input and no copies.
/// * Writing what was read and reading it again gives the same, and so does a second time.
/// * Taking out or replacing one member of an object leaves the bytes of all others.
/// * A result that is cut out of a stream is the one that is read from the whole, however the stream is cut.
///
/// # Panics
/// Where one of these does not hold.
pub fn envelope(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    match Message::parse(bytes.clone()) {
        Ok(message) => {
            assert!(is_json(data), "a message that is no JSON");
            if let Some(found) = members(data) {
                assert_eq!(kind(&found), Some(kind_of(&message)), "read as another kind of message");
                assert_same(&message, &found);
            }
            assert_slices(&message, &bytes);
            assert_stable(&message);
        }
        Err(EnvelopeError::Json(error)) => {
            assert!(error.at <= data.len(), "a position behind the end");
            let ours = ["duplicate member name", "nested too deeply"].contains(&error.what);
            assert!(ours || !is_json(data), "refused as JSON: {error}");
        }
        Err(EnvelopeError::Shape { id, .. }) => {
            assert!(is_json(data), "its shape was judged, and it is no JSON");
            if let Some(found) = members(data) {
                assert_eq!(kind(&found), None, "refused as a message");
                let named = found.get("id").map(|id| id.get());
                assert!(id.is_none_or(|id| Some(id.raw().as_text()) == named), "another id");
            }
        }
    }
    if let Ok(object) = Object::parse(bytes.clone()) {
        assert_edits(&object, members(data).as_ref());
    }
    assert_extracted(&bytes);
}

/// The kinds of messages.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Request,
    Notification,
    Result,
    Error,
}

/// What JSON-RPC 2.0 makes of an object, with the rules of MCP: ids are strings or integers, params and
/// errors are objects.
fn kind(found: &Members<'_>) -> Option<Shape> {
    let text = |name: &str| found.get(name).map(|value| value.get());
    let is_text = |value: &str| serde_json::from_str::<String>(value).is_ok();
    let is_object = |value: &str| value.starts_with('{');
    if text("jsonrpc").and_then(|v| serde_json::from_str::<String>(v).ok()).as_deref() != Some("2.0") {
        return None;
    }
    // An id is not looked into, so what its escapes mean does not matter.
    let is_id = |value: &str| value.starts_with('"') || value.bytes().all(|b| b"-0123456789".contains(&b));
    let (id, result, error) = (text("id"), text("result"), text("error"));
    if let Some(method) = text("method") {
        let asks = is_text(method) && result.is_none() && error.is_none();
        let fits = asks && text("params").is_none_or(is_object) && id.is_none_or(is_id);
        return fits.then_some(if id.is_some() { Shape::Request } else { Shape::Notification });
    }
    match (result, error) {
        (Some(_), None) => id.is_some_and(is_id).then_some(Shape::Result),
        (None, Some(error)) => {
            (is_object(error) && id.is_none_or(|id| id == "null" || is_id(id))).then_some(Shape::Error)
        }
        _ => None,
    }
}

fn kind_of(message: &Message) -> Shape {
    match message {
        Message::Request(_) => Shape::Request,
        Message::Notification(_) => Shape::Notification,
        Message::Response(response) if response.outcome.is_ok() => Shape::Result,
        Message::Response(_) => Shape::Error,
    }
}

/// The parts of a message: its id, its method, and what it carries with the name of that.
fn parts(message: &Message) -> (Option<&Id>, Option<&Method>, Option<(&'static str, &Raw)>) {
    match message {
        Message::Request(m) => (Some(&m.id), Some(&m.method), m.params.as_ref().map(|p| ("params", p))),
        Message::Notification(m) => (None, Some(&m.method), m.params.as_ref().map(|p| ("params", p))),
        Message::Response(m) => {
            let (Ok(value) | Err(value)) = &m.outcome;
            let name = if m.outcome.is_ok() { "result" } else { "error" };
            (m.id.as_ref(), None, Some((name, value)))
        }
    }
}

fn assert_same(message: &Message, found: &Members<'_>) {
    let (id, method, carried) = parts(message);
    if let Some(id) = id {
        assert_eq!(id.raw().as_text(), found["id"].get(), "the id");
    }
    if let Some(method) = method {
        let named: String = serde_json::from_str(found["method"].get()).expect("checked as text");
        assert_eq!(method.as_str(), named, "the method");
    }
    match carried {
        Some((name, value)) => assert_eq!(value.as_text(), found[name].get(), "{name}"),
        None => assert!(!found.contains_key("params"), "the params got lost"),
    }
}

fn assert_slices(message: &Message, bytes: &Bytes) {
    let range = bytes.as_ptr_range();
    let inside = |raw: &Raw| {
        let slice = raw.as_bytes().as_ptr_range();
        assert!(range.start <= slice.start && slice.end <= range.end, "a copy was made: {raw}");
    };
    let (id, _, carried) = parts(message);
    id.into_iter().for_each(|id| inside(id.raw()));
    carried.into_iter().for_each(|(_, value)| inside(value));
}

fn write(message: &Message) -> Bytes {
    match message {
        Message::Request(m) => wire::request(&m.id, m.method.as_str(), m.params.as_ref()),
        Message::Notification(m) => wire::notification(m.method.as_str(), m.params.as_ref()),
        Message::Response(m) => match (&m.outcome, &m.id) {
            (Ok(result), Some(id)) => wire::result(id, result),
            (Err(error), id) => wire::error(id.as_ref(), error),
            (Ok(_), None) => panic!("a result without an id"),
        },
    }
}

fn assert_stable(message: &Message) {
    let written = write(message);
    assert!(is_json(&written), "written, and no JSON");
    let again = Message::parse(written.clone()).expect("what is written is read");
    assert_eq!(parts(message), parts(&again), "written and read");
    assert_eq!(write(&again), written, "written twice");
    if let Message::Response(response) = message
        && let Err(error) = &response.outcome
    {
        let read = RpcError::read(error);
        assert_eq!(RpcError::read(&read.to_raw()), read, "an error written and read");
    }
}

/// At most this many members are taken out one by one.
const EDITED_MAX: usize = 8;

fn assert_edits(object: &Object, found: Option<&Members<'_>>) {
    if let Some(found) = found {
        assert_eq!(object.len(), found.len(), "how many members");
        for (name, value) in object.iter() {
            assert_eq!(found[&*name].get(), value.as_text(), "{name}");
        }
    }
    let all: Vec<(String, Raw)> = object.iter().map(|(name, value)| (name.into_owned(), value)).collect();
    assert_eq!(object.edit().finish(), object.raw(), "an edit without changes");
    for (at, (name, _)) in all.iter().take(EDITED_MAX).enumerate() {
        let mut want = all.clone();
        want.remove(at);
        assert_eq!(listed(&object.edit().remove(name.as_str()).finish()), want, "without {name:?}");
        want.insert(at, (name.clone(), Raw::literal("[1.0]")));
        let new = object.edit().set(name.as_str(), Raw::literal("[1.0]")).finish();
        assert_eq!(listed(&new), want, "{name:?} replaced");
    }
}

fn listed(raw: &Raw) -> Vec<(String, Raw)> {
    let object = raw.object().expect("no twins").expect("an object");
    object.iter().map(|(name, value)| (name.into_owned(), value)).collect()
}

/// What an extractor makes of a stream: the result, the other members, and whether the response ended.
type Extracted = (Vec<u8>, Vec<(Bytes, Bytes)>, bool);

/// Takes a response apart that comes in chunks of this size.
fn extract(bytes: &Bytes, size: usize) -> Option<Extracted> {
    let mut extractor = Extractor::new(MEMBER_BYTES_MAX);
    let (mut result, mut others, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..bytes.len()).step_by(size) {
        extractor.feed(&bytes.slice(start..bytes.len().min(start + size)), &mut pieces).ok()?;
        for piece in pieces.drain(..) {
            match piece {
                Piece::Result(part) => result.extend_from_slice(&part),
                Piece::Member(name, value) => others.push((name, value)),
            }
        }
    }
    Some((result, others, extractor.is_done()))
}

const MEMBER_BYTES_MAX: usize = 1_000;

fn assert_extracted(bytes: &Bytes) {
    let whole = extract(bytes, bytes.len().max(1));
    for size in [1, bytes.len() % 7 + 2] {
        assert_eq!(extract(bytes, size), whole, "extracted in chunks of {size}");
    }
    if let Some((result, _, true)) = &whole
        && !result.is_empty()
    {
        let slice = bytes.windows(result.len()).any(|window| window == result);
        assert!(slice, "the result was put together from several places");
    }
    let Ok(Message::Response(response)) = Message::parse(bytes.clone()) else { return };
    let spelled = bytes.windows(8).any(|window| window == b"\"result\"");
    let (Ok(result), true) = (response.outcome, spelled) else { return };
    let found = Object::parse(bytes.clone()).expect("it was read as a message");
    let small = |(name, value): (std::borrow::Cow<'_, str>, Raw)| {
        name == "result" || (value.as_bytes().len() <= MEMBER_BYTES_MAX && name.len() < 40)
    };
    if found.iter().all(small) {
        let (cut_out, others, done) = whole.expect("a response is taken apart");
        assert!(done && others.len() + 1 == found.len(), "the response has not ended");
        assert_eq!(cut_out, result.as_bytes(), "the result in a stream");
    }
}
