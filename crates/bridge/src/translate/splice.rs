//! Small steps that all translations share.

use bytes::Bytes;
use protocol::Raw;
use protocol::json::{Object, array};
use protocol::latest::TASKS_EXTENSION;

/// The members of an object; `None` also where a name stands twice.
pub(super) fn object(raw: &Raw) -> Option<Object> {
    raw.object().ok().flatten()
}

/// `_meta` without these entries; `None` where there is none, or where nothing else was in it.
pub(super) fn meta_without(object: &Object, keys: &[&str]) -> Option<Raw> {
    let old = object.get("_meta")?;
    let Some(entries) = self::object(&old) else { return Some(old) };
    if !keys.iter().any(|key| entries.has(key)) {
        return Some(old);
    }
    let new = keys.iter().fold(entries.edit(), |edit, key| edit.remove(*key)).finish();
    (new.as_bytes() != b"{}").then_some(new)
}

/// The array with some items replaced; the same bytes where none is, or where this is no array.
pub(super) fn map_items(list: &Raw, mut replace: impl FnMut(usize, &Raw) -> Option<Raw>) -> Raw {
    let Some(mut items) = list.items() else { return list.clone() };
    let mut changed = false;
    for (at, item) in items.iter_mut().enumerate() {
        if let Some(new) = replace(at, item) {
            *item = new;
            changed = true;
        }
    }
    if changed { array(&items) } else { list.clone() }
}

/// An answer to an elicitation. Some clients spell "no content" as null, which is no object.
pub(super) fn without_null_content(result: Raw) -> Raw {
    let Some(came) = object(&result) else { return result };
    if came.get("content").is_some_and(|content| content.is_null()) {
        return came.edit().remove("content").finish();
    }
    result
}

/// Whether the member is a string with this content, however it is spelled.
pub(super) fn says(object: &Object, member: &str, text: &str) -> bool {
    object.get(member).is_some_and(|value| value.as_str().as_deref() == Some(text))
}

/// An integer.
pub(super) fn integer(n: i64) -> Raw {
    Raw::trusted(Bytes::from(n.to_string()))
}

/// `{}`.
pub(super) fn empty() -> Raw {
    Raw::literal("{}")
}

/// `extensions` without Tasks; `None` where nothing else was in it.
pub(super) fn without_tasks(capabilities: &Object) -> Option<Raw> {
    let extensions = capabilities.get("extensions").as_ref().and_then(object)?;
    let rest = extensions.edit().remove(TASKS_EXTENSION).finish();
    (rest.as_bytes() != b"{}").then_some(rest)
}
