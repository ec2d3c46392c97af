//! A server's question to the person at the terminal.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::out;

/// Asks, and gives the `ElicitResult`.
pub fn elicitation(params: &Value) -> anyhow::Result<Value> {
    match answered(params) {
        // Nothing more will be said: whoever asked is told so, and the call goes on.
        Err(error) if error.is::<Ended>() => {
            eprintln!();
            Ok(json!({"action": "cancel"}))
        }
        other => other,
    }
}

/// The input ended before the question was answered.
#[derive(Debug, thiserror::Error)]
#[error("read the answer: the input ended")]
struct Ended;

/// Asks for a yes. Everything else, and the end of the input, is a no.
pub fn yes(question: &str) -> anyhow::Result<bool> {
    match prompt(question) {
        Err(error) if error.is::<Ended>() => Ok(false),
        answer => Ok(["y", "yes"].contains(&answer?.trim().to_ascii_lowercase().as_str())),
    }
}

fn answered(params: &Value) -> anyhow::Result<Value> {
    let message = params["message"].as_str().unwrap_or_default();
    eprintln!("\nThe server asks: {}  (Ctrl-D cancels)", out::plain(message));
    if params["mode"] == "url" {
        // The URL comes from the server: it is shown, and never opened.
        let url = params["url"].as_str().unwrap_or_default();
        eprintln!("Open this only if you trust it: {}", out::plain(url));
        let answer = prompt("Done? [y/N]")?;
        let accepted = answer.trim().eq_ignore_ascii_case("y");
        return Ok(json!({"action": if accepted { "accept" } else { "decline" }}));
    }
    let schema = &params["requestedSchema"];
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut content = Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let needed = required.contains(&name.as_str());
        loop {
            let answer = prompt(&label(name, field, needed))?;
            match read(field, answer.trim()) {
                Ok(Some(value)) => {
                    content.insert(name.clone(), value);
                    break;
                }
                Ok(None) if !needed => break,
                Ok(None) => eprintln!("  this one is required"),
                Err(problem) => eprintln!("  {problem}"),
            }
        }
    }
    let answer = prompt("Send? [Y]es, [d]ecline, [c]ancel")?;
    Ok(match answer.trim().to_ascii_lowercase().as_str() {
        "" | "y" | "yes" => json!({"action": "accept", "content": content}),
        "d" | "decline" => json!({"action": "decline"}),
        _ => json!({"action": "cancel"}),
    })
}

fn label(name: &str, field: &Value, needed: bool) -> String {
    let title = field["title"].as_str().unwrap_or(name);
    let kind = match choices(field) {
        Some(choices) => choices.join("|"),
        None => field["type"].as_str().unwrap_or("text").to_owned(),
    };
    let default = field.get("default").map(|d| format!(", default {d}")).unwrap_or_default();
    let optional = if needed { "" } else { ", optional" };
    let description = field["description"].as_str().map(|text| format!(" - {text}")).unwrap_or_default();
    out::plain(&format!("  {title}{description} ({kind}{default}{optional}):")).into_owned()
}

fn choices(field: &Value) -> Option<Vec<String>> {
    let texts = |list: &Value, member: Option<&str>| {
        let list = list.as_array()?;
        let text = |v: &Value| member.map_or(v, |m| &v[m]).as_str().map(str::to_owned);
        Some(list.iter().filter_map(text).collect())
    };
    texts(&field["enum"], None)
        .or_else(|| texts(&field["oneOf"], Some("const")))
        .or_else(|| texts(&field["items"]["enum"], None))
        .or_else(|| texts(&field["items"]["anyOf"], Some("const")))
}

/// The value of an answer. `Ok(None)`: nothing was entered, and there is no default.
fn read(field: &Value, text: &str) -> Result<Option<Value>, String> {
    if text.is_empty() {
        return Ok(field.get("default").cloned());
    }
    let value = match field["type"].as_str() {
        Some("integer") => json!(text.parse::<i64>().map_err(|_| "a whole number, please".to_owned())?),
        Some("number") => json!(text.parse::<f64>().map_err(|_| "a number, please".to_owned())?),
        Some("boolean") => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "1" => json!(true),
            "n" | "no" | "false" | "0" => json!(false),
            _ => return Err("yes or no, please".to_owned()),
        },
        Some("array") => json!(text.split(',').map(str::trim).collect::<Vec<_>>()),
        _ => json!(text),
    };
    if let Some(choices) = choices(field) {
        let chosen = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        if !chosen.iter().all(|one| one.as_str().is_some_and(|one| choices.iter().any(|c| c == one))) {
            return Err(format!("one of: {}", choices.join(", ")));
        }
    }
    within(field, &value)?;
    Ok(Some(value))
}

/// Whether a value is within the limits of its field, which the server would refuse it for otherwise.
fn within(field: &Value, value: &Value) -> Result<(), String> {
    let (size, least, most, of) = match value {
        Value::Number(number) => (number.as_f64(), "minimum", "maximum", ""),
        Value::String(text) => (Some(text.chars().count() as f64), "minLength", "maxLength", " characters"),
        Value::Array(items) => (Some(items.len() as f64), "minItems", "maxItems", " entries"),
        _ => return Ok(()),
    };
    let limit = |name: &str| field[name].as_f64();
    match (size, limit(least), limit(most)) {
        (Some(size), Some(least), _) if size < least => Err(format!("at least {least}{of}, please")),
        (Some(size), _, Some(most)) if size > most => Err(format!("at most {most}{of}, please")),
        _ => Ok(()),
    }
}

fn prompt(text: &str) -> anyhow::Result<String> {
    let mut err = std::io::stderr().lock();
    write!(err, "{text} ").and_then(|()| err.flush()).context("ask on the terminal")?;
    let mut line = String::new();
    let size = std::io::stdin().lock().read_line(&mut line).context("read the answer")?;
    if size == 0 { Err(Ended.into()) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_its_field_says() {
        assert_eq!(read(&json!({"type": "integer"}), "7"), Ok(Some(json!(7))));
        assert!(read(&json!({"type": "integer"}), "7.5").is_err());
        assert_eq!(read(&json!({"type": "boolean"}), "Yes"), Ok(Some(json!(true))));
        assert_eq!(read(&json!({"type": "string", "default": "x"}), ""), Ok(Some(json!("x"))));
        assert_eq!(read(&json!({"type": "string"}), ""), Ok(None));
        let titled = json!({"type": "string", "oneOf": [{"const": "a", "title": "A"}]});
        assert_eq!(read(&titled, "a"), Ok(Some(json!("a"))));
        assert!(read(&titled, "b").is_err());
        let several = json!({"type": "array", "items": {"enum": ["a", "b"]}});
        assert_eq!(read(&several, "a, b"), Ok(Some(json!(["a", "b"]))));
        assert!(read(&several, "a, c").is_err());
        let limited = json!({"type": "integer", "minimum": 1, "maximum": 100});
        assert_eq!(read(&limited, "0"), Err("at least 1, please".to_owned()));
        assert_eq!(read(&limited, "101"), Err("at most 100, please".to_owned()));
        assert_eq!(read(&limited, "100"), Ok(Some(json!(100))));
        let short = json!({"type": "string", "maxLength": 2});
        assert_eq!(read(&short, "été"), Err("at most 2 characters, please".to_owned()));
    }
}
