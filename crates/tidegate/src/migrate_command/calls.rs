//! The list of calls that are made on both sides.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::exit::{Coded, USAGE};

/// How large the file may be, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How many calls it may have.
const CALLS_MAX: usize = 10_000;

/// One call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The tool, by its name there or here.
    pub tool: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Map<String, Value>,
    /// Places in its answer that are not looked at, as JSON pointers.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// Reads the file: a JSON list, or one call in JSON a line.
///
/// # Errors
/// What is wrong with it, with its line.
pub fn read(file: &Path) -> anyhow::Result<Vec<Wanted>> {
    let refused = |text: String| Coded::new(USAGE, format!("read {}: {text}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| refused(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(refused(format!("it has more than {FILE_BYTES_MAX} bytes")).into());
    }
    let text = std::fs::read_to_string(file).map_err(|error| refused(error.to_string()))?;
    Ok(parse(&text).map_err(refused)?)
}

fn parse(text: &str) -> Result<Vec<Wanted>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let calls: Vec<Wanted> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(|error| error.to_string())?
    } else {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let calls = lines.map(|(index, line)| {
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", index + 1))
        });
        calls.collect::<Result<_, _>>()?
    };
    if calls.len() > CALLS_MAX {
        return Err(format!("it has more than {CALLS_MAX} calls"));
    }
    match calls.iter().flat_map(|call| &call.ignore).find(|pointer| !pointer.starts_with('/')) {
        Some(pointer) => Err(format!("{pointer:?} is no JSON pointer: write /{pointer}")),
        None => Ok(calls),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_a_list_or_one_a_line() {
        let list = r#"[{"tool": "a"}, {"tool": "b", "arguments": {"x": 1}, "ignore": ["/content"]}]"#;
        let lines = "\u{feff}{\"tool\": \"a\"}\r\n\n{\"tool\": \"b\", \"arguments\": {\"x\": 1}}\n";
        for text in [list, lines] {
            let calls = parse(text).expect("calls");
            assert_eq!(calls.iter().map(|call| call.tool.as_str()).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(calls[1].arguments["x"], 1);
        }
        assert_eq!(parse("").expect("none").len(), 0);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("{\"tool\": \"a\"}\n{\"tol\": \"b\"}", "line 2: unknown field `tol`"),
            ("[{\"tool\": 1}]", "invalid type: integer `1`"),
            ("{\"tool\": \"a\", \"arguments\": [1]}", "line 1: invalid type: sequence"),
            ("{\"tool\": \"a\", \"ignore\": [\"content\"]}", "write /content"),
            ("tool: a", "line 1: expected"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
        let many = "{\"tool\": \"a\"}\n".repeat(CALLS_MAX + 1);
        assert!(parse(&many).expect_err("too many").contains("more than"));
    }
}
