//! What several targets ask of JSON, answered by `serde_json` and not by the code under test.

use std::collections::HashMap;

use bytes::Bytes;
use protocol::Raw;
use protocol::json::{Kind, Object};
use serde_json::value::RawValue;

/// Whether these bytes are one JSON value. Nesting and the meaning of escapes and numbers are not judged.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// The members of an object as they are spelled, the last of each name. `None` also where a name holds what
/// no text can.
pub(crate) fn members(bytes: &[u8]) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_slice(bytes).ok()
}

/// A value that came in.
pub(crate) fn raw(text: &str) -> Option<Raw> {
    Raw::parse(Bytes::copy_from_slice(text.as_bytes())).ok()
}

/// The members of an object whose names are told apart.
pub(crate) fn object(raw: &Raw) -> Option<Object> {
    raw.object().ok().flatten()
}

/// Whether some object in this value names a member twice, or in escapes that no text can hold.
pub(crate) fn is_ambiguous(raw: &Raw) -> bool {
    match raw.kind() {
        Kind::Object => match raw.object() {
            Ok(Some(object)) => object.iter().any(|(_, value)| is_ambiguous(&value)),
            _ => true,
        },
        Kind::Array => raw.items().unwrap_or_default().iter().any(is_ambiguous),
        _ => false,
    }
}

/// Asserts that what was written is JSON.
pub(crate) fn assert_json(raw: &Raw) {
    assert!(is_json(raw.as_bytes()), "written, and no JSON: {raw}");
}

/// Asserts that of `before`'s members only the named ones changed: all others have the same bytes and the
/// same order, and no others came.
pub(crate) fn assert_kept(before: &Object, after: &Object, may_change: &[&str]) {
    let rest = |object: &Object| -> Vec<(String, Raw)> {
        let members = object.iter().map(|(name, value)| (name.into_owned(), value));
        members.filter(|(name, _)| !may_change.contains(&name.as_str())).collect()
    };
    let (was, is) = (rest(before), rest(after));
    assert_eq!(was, is, "changed beside {may_change:?}: {} to {}", before.raw(), after.raw());
}
