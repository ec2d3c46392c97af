//! Writing: values as YAML and JSON, into new files alone.

use serde_json::Value as Json;

use super::doc::whole;
use crate::format::{Fault, Target};

/// Refuses to write into a text that is there: other parts of a gateway's file could not be kept as they are.
///
/// # Errors
/// [`Fault`] where a text is there.
pub(super) fn only_new(target: &Target<'_>, program: &str) -> Result<(), Fault> {
    match target.existing.is_some_and(|text| !text.trim().is_empty()) {
        true => {
            let mut fault =
                whole(target.file, format!("there is a file already, and {program}'s are not changed"));
            fault.hint = Some("write to another file, and put what you need of it into yours".to_owned());
            Err(fault)
        }
        false => Ok(()),
    }
}

/// A value as YAML, the same each time.
pub(super) fn yaml(value: &Json) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                out.push_str(&format!("{indent}{}:", word(key)));
                after(value, depth, out);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("{indent}-"));
                match item {
                    Json::Object(members) if !members.is_empty() => {
                        let mut inner = String::new();
                        block(item, depth + 1, &mut inner);
                        // The first key stands beside the dash.
                        out.push(' ');
                        out.push_str(inner.trim_start());
                    }
                    _ => after(item, depth, out),
                }
            }
        }
        other => out.push_str(&format!("{indent}{}\n", scalar(other))),
    }
}

fn after(value: &Json, depth: usize, out: &mut String) {
    let nested = match value {
        Json::Object(members) => !members.is_empty(),
        Json::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(value, depth + 1, out);
    } else {
        out.push_str(&format!(" {}\n", scalar(value)));
    }
}

/// What has no lines of its own. JSON's texts are texts of YAML too.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) => word(text),
        other => other.to_string(),
    }
}

/// A text, in quotes unless it is a plain word that no reader takes for anything else.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && text.chars().all(plain);
    let lower = text.to_ascii_lowercase();
    let other = matches!(lower.as_str(), "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n");
    if is_word && !other { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // JSON leaves some characters as they are that YAML wants escaped.
    let mut out = String::new();
    for c in serde_json::Value::from(text).to_string().chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateways::doc;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let value = json!({
            "a": {"b": [1, 1.5, true, null, "x", "no", "1", "", "a: b", "- c", "#d",
                "é\n\u{85}\u{2028}\t"], "c": {}, "d": []},
            "e f": [{"g": 1, "h": [{"i": "j"}, []]}, {}],
            "null": "~", "*k": "&l", "yes": "/m/n.o",
        });
        let text = yaml(&value);
        assert_eq!(doc::parse(&text, "f").unwrap_or_else(|fault| panic!("{fault}\n{text}")).to_json(), value);
        assert!(text.contains("  - g: 1\n    h:\n      - i: j\n"), "{text}");
    }

    #[test]
    fn a_file_that_is_there_is_left_alone() {
        let target = Target { file: "f", existing: Some("a: 1"), ..Target::default() };
        assert!(only_new(&target, "Gateway").is_err());
        assert!(only_new(&Target { existing: Some("\n"), ..target }, "Gateway").is_ok());
    }
}
