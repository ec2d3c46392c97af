//! What differs between two answers, in a line that a person can read.

use std::collections::BTreeMap;

use serde_json::Value;

/// How many differences of one kind a line names.
const NAMED_MAX: usize = 8;
/// How long a value may be to be shown, in characters.
const SHOWN_MAX: usize = 40;

/// The places where two answers differ, each with the number of times.
#[derive(Default)]
struct Found {
    gone: BTreeMap<String, usize>,
    new: BTreeMap<String, usize>,
    changed: BTreeMap<String, usize>,
}

/// What is in `to` and was not in `from`, what is gone, what is another value. Entries of a list are not told
/// apart, and members of the result are named without it.
pub fn describe(from: &Value, to: &Value) -> String {
    let mut found = Found::default();
    compare("", from, to, &mut found);
    let kinds = [("gone", found.gone), ("new", found.new), ("changed", found.changed)];
    let kinds = kinds.into_iter().filter(|(_, places)| !places.is_empty());
    kinds.map(|(kind, places)| format!("{kind}: {}", listed(places))).collect::<Vec<_>>().join("; ")
}

fn listed(places: BTreeMap<String, usize>) -> String {
    let more = places.len().saturating_sub(NAMED_MAX);
    let named = places.into_iter().take(NAMED_MAX);
    let mut named: Vec<String> =
        named.map(|(what, times)| if times > 1 { format!("{what} ({times}×)") } else { what }).collect();
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named.join(", ")
}

fn compare(path: &str, from: &Value, to: &Value, found: &mut Found) {
    if from == to {
        return;
    }
    let count = |places: &mut BTreeMap<String, usize>, what: String| *places.entry(what).or_default() += 1;
    match (from, to) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, member) in old {
                let path = joined(path, name);
                match new.get(name) {
                    Some(other) => compare(&path, member, other, found),
                    None => count(&mut found.gone, format!("`{path}`")),
                }
            }
            for (name, member) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
                count(&mut found.new, format!("`{}`{}", joined(path, name), brief(member)));
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (one, other) in old.iter().zip(new) {
                compare(&format!("{path}[]"), one, other, found);
            }
            if old.len() != new.len() {
                count(&mut found.changed, format!("`{path}` has {} entries, not {}", new.len(), old.len()));
            }
        }
        _ => count(&mut found.changed, format!("`{path}` from `{}` to `{}`", shown(from), shown(to))),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() || path == "result" { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value, if it is a short one.
fn brief(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => String::new(),
        value => format!(" `{}`", shown(value)),
    }
}

/// A value, shortened.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_MAX {
        return text;
    }
    let short: String = text.chars().take(SHOWN_MAX).collect();
    format!("{short}…")
}

#[test]
fn differences_are_named_by_their_place() {
    let from = serde_json::json!({ "result": { "a": 1, "b": [{ "c": 1 }, { "c": 1 }], "d": 1 }, "told": [] });
    let to = serde_json::json!({ "result": { "a": 2, "b": [{}, {}, {}], "e": "x", "f": {} }, "told": [] });
    let line = "gone: `b[].c` (2×), `d`; new: `e` `\"x\"`, `f`; changed: `a` from `1` to `2`, \
                `b` has 3 entries, not 2";
    assert_eq!(describe(&from, &to), line);
    assert_eq!(describe(&from, &from), "");
}
