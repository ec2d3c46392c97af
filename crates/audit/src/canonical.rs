//! Canonical bytes of a record (SEP-3004): JSON with its keys sorted at every level and no whitespace.

use serde_json::{Map, Value};
use unicode_normalization::{UnicodeNormalization as _, is_nfc_quick};

/// How many UTF-16 code units a text may have.
pub const TEXT_UNITS_MAX: usize = 8192;

/// Why a value has no canonical bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// A number: it has many spellings.
    #[error("a number stands where a text has to")]
    Number,
    /// A list, where the draft knows none.
    #[error("a list stands where there may be none")]
    List,
    /// A text with a control character, or not in its canonical form, or too long.
    #[error("a text is not in its canonical form")]
    Text,
    /// A key that is not of printable ASCII.
    #[error("a key is not of printable ASCII")]
    Key,
}

/// Canonical bytes of what a record protects.
///
/// # Errors
/// [`CanonicalError`]
pub fn canonical(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    write(value, false, &mut out)?;
    Ok(out)
}

/// The same for what is outside the draft's contract, where lists may stand, too.
///
/// # Errors
/// [`CanonicalError`]
pub fn canonical_detail(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    write(value, true, &mut out)?;
    Ok(out)
}

pub(crate) fn write(value: &Value, lists: bool, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(_) => return Err(CanonicalError::Number),
        Value::String(text) => write_text(text, out)?,
        Value::Array(_) if !lists => return Err(CanonicalError::List),
        Value::Array(values) => {
            out.push(b'[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, lists, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => write_members(members, lists, out)?,
    }
    Ok(())
}

fn write_members(members: &Map<String, Value>, lists: bool, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| key.as_str());
    out.push(b'{');
    for (at, (key, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        if !key.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(CanonicalError::Key);
        }
        quote(key, out);
        out.push(b':');
        write(value, lists, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if !is_clean(text) {
        return Err(CanonicalError::Text);
    }
    quote(text, out);
    Ok(())
}

pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

pub(crate) fn is_clean(text: &str) -> bool {
    if text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    if text.is_ascii() {
        return text.len() <= TEXT_UNITS_MAX && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    }
    text.encode_utf16().count() <= TEXT_UNITS_MAX && !text.chars().any(char::is_control) && is_nfc(text)
}

fn is_nfc(text: &str) -> bool {
    match is_nfc_quick(text.chars()) {
        unicode_normalization::IsNormalized::Yes => true,
        _ => text.nfc().eq(text.chars()),
    }
}

/// A text that may stand in a record: what may not is replaced, and the end of a long one is cut.
#[must_use]
pub fn clean(text: &str) -> String {
    if is_clean(text) {
        return text.to_owned();
    }
    let mut units = 0;
    let kept = text.nfc().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take_while(|c| {
        units += c.len_utf16();
        units <= TEXT_UNITS_MAX
    });
    let kept: String = kept.collect();
    kept.trim_matches(' ').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::hex;

    /// The record with two extensions that the draft prints, and its digest.
    #[test]
    fn the_drafts_known_answer_comes_out() {
        let evidence = concat!("sha256:b2c547e2c8f17eafc72ef5c2d4d7b6b4", "d0f7437ab52bae573a9af14ff5e2d9be");
        let record = json!({
            "tool_name": "export", "principal_id": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
            "previous_hash": null, "outcome": "deferred", "occurred_at": "2026-06-06T12:00:00.000Z",
            "extensions": {
                "runtime-security": {
                    "severity": "high", "quarantine_decision": "quarantine",
                    "policy_id": "example.org/runtime-drift@3", "drift_status": "confirmed",
                    "evidence_hash": evidence,
                },
                "caller-governance": {
                    "session_id": "55555555-5555-5555-5555-555555555555",
                    "purpose_declared": "reconcile June invoices", "invoked_by_principal_id": null,
                    "flagged": false,
                },
            },
            "event_type": "tool_call", "event_id": "99999999-9999-9999-9999-999999999999",
        });
        let digest = seal::sha256(&canonical(&record).expect("canonical"));
        assert_eq!(hex(&digest), "f733fed9cc757165f810b778e4baba1f51a45504988e937707aaab4361b2f064");
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for (value, error) in [
            (json!({"a": 1}), CanonicalError::Number),
            (json!({"a": ["b"]}), CanonicalError::List),
            (json!({"a": " b"}), CanonicalError::Text),
            (json!({"a": "b\n"}), CanonicalError::Text),
            (json!({"a": "e\u{301}"}), CanonicalError::Text),
            (json!({"a": "b".repeat(TEXT_UNITS_MAX + 1)}), CanonicalError::Text),
            (json!({"\u{e9}": "b"}), CanonicalError::Key),
        ] {
            assert_eq!(canonical(&value), Err(error), "{value}");
        }
        assert_eq!(
            canonical_detail(&json!({"b": ["x"], "a": "\\\""})),
            Ok(br#"{"a":"\\\"","b":["x"]}"#.to_vec())
        );
    }

    proptest! {
        #[test]
        fn a_clean_text_may_stand_in_a_record_and_is_its_own_clean_text(text in "\\PC{0,40}[ \u{1}é]{0,3}") {
            let cleaned = clean(&text);
            prop_assert!(is_clean(&cleaned), "{cleaned:?}");
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
