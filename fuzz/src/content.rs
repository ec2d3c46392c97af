//! What is looked for in contents, and what is blanked in them.

use policy::content::{DETECTORS, Detectors, Finding, redact_pointers};
use protocol::Raw;
use serde_json::Value;

use crate::json::{is_ambiguous, raw};

/// A JSON pointer, a line end, and a JSON text.
///
/// * Findings stand inside the text, one after another, each in a place that is said in few words.
/// * A text in which everything is blanked is JSON of the same shape, and nothing of what has a fixed form is
///   found in it again. Where nothing is found it is the same text.
/// * Of a text of which not all is looked at that is said, and nothing is given out as blanked.
/// * What is blanked at a pointer is what another reader finds there, and nothing else.
///
/// # Panics
/// Where one of these does not hold.
pub fn content(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pointer, text) = text.split_once('\n').unwrap_or(("", text));
    let Some(given) = raw(text) else { return };
    let all = Detectors::named(DETECTORS).expect("they are known");
    let report = all.scan(&given, usize::MAX);
    assert_eq!(report.unscanned, 0, "all of it is looked at");
    assert_in_order(&report.findings, text.len());
    let (made, found) = all.blank(&given, usize::MAX).expect("all of it is looked at");
    assert_eq!(found, report.findings);
    assert_eq!(found.is_empty(), made == given, "what is found is blanked");
    let again = Raw::parse(made.bytes()).expect("what is made is JSON");
    if is_readable(&given) {
        assert_eq!(shape(&again), shape(&given), "only texts change");
    }
    let (_, still) = all.blank(&again, usize::MAX).expect("all of it is looked at");
    let fixed = |found: &Finding| matches!(found.detector, "pii" | "hidden");
    assert!(!still.iter().any(fixed), "{still:?}");
    for cut in [0, text.len() / 2] {
        let seen = all.scan(&given, cut);
        assert_eq!(
            all.blank(&given, cut).is_err(),
            seen.unscanned > 0,
            "what is not looked at is not given out"
        );
    }
    assert_pointed(&given, pointer);
}

fn assert_in_order(findings: &[Finding], length: usize) {
    let mut at = 0;
    for found in findings {
        assert!(at <= found.range.start && found.range.start < found.range.end, "{found:?}");
        assert!(found.range.end <= length && found.pointer.len() < 4_096, "{found:?}");
        at = found.range.end;
    }
}

/// Whether another reader can read it: he knows no number that no float holds, no escape that no text holds,
/// and one value for each name.
fn is_readable(raw: &Raw) -> bool {
    !is_ambiguous(raw) && (raw.is_null() || !raw.to_value().is_null())
}

/// How many values there are of each kind, and how deep: numbers may have become texts.
fn shape(raw: &Raw) -> Vec<(usize, usize)> {
    fn walk(value: &Value, depth: usize, out: &mut Vec<(usize, usize)>) {
        match value {
            Value::Array(items) => {
                out.push((depth, items.len()));
                items.iter().for_each(|item| walk(item, depth + 1, out));
            }
            Value::Object(members) if !members.is_empty() => out.push((depth, members.len())),
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(&raw.to_value(), 0, &mut out);
    out
}

/// `*` means something else to the other reader.
fn assert_pointed(given: &Raw, pointer: &str) {
    let Ok(made) = redact_pointers(given, &[pointer]) else { return };
    let made = Raw::parse(made.bytes()).expect("what is made is JSON");
    if pointer.contains('*') || !is_readable(given) {
        return;
    }
    let mut expected = given.to_value();
    let whole = pointer.is_empty();
    match expected.pointer_mut(pointer) {
        Some(slot) if whole && slot.is_object() => *slot = Value::Object(serde_json::Map::new()),
        Some(slot) => *slot = Value::String("[redacted]".to_owned()),
        None => assert_eq!(made, *given, "nothing stands there"),
    }
    assert_eq!(made.to_value(), expected, "at {pointer:?}");
}
