//! The arguments of a call, from the command line's words.

use serde_json::{Map, Value};

use crate::call::Arguments;
use crate::exit::{Coded, USAGE};

/// What was given.
pub enum Given {
    /// All at once.
    Whole(Value),
    /// One by one, each as text.
    Each(Vec<(String, String)>),
}

/// Reads what was given.
///
/// # Errors
/// Where it is no object, or no pair.
pub fn read(arguments: &Arguments) -> anyhow::Result<Given> {
    let usage = |text: String| Coded::new(USAGE, text);
    if let Some(text) = &arguments.json {
        return match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Given::Whole(Value::Object(values))),
            Ok(_) => Err(usage("read --json: it must be an object".to_owned()).into()),
            Err(error) => Err(usage(format!("read --json: {error}")).into()),
        };
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for arg in &arguments.args {
        let Some((name, value)) = arg.split_once('=') else {
            return Err(usage(format!("read --arg {arg:?}: write NAME=VALUE")).into());
        };
        if pairs.iter().any(|(known, _)| known == name) {
            return Err(usage(format!("read --arg {arg:?}: {name} was given before")).into());
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok(Given::Each(pairs))
}

/// The values: JSON where the text is some, unless the tool's schema wants text.
pub fn typed(pairs: Vec<(String, String)>, schema: Option<&Value>) -> Value {
    let value = |name: &str, text: String| {
        let wanted = schema.map(|schema| &schema["properties"][name]["type"]);
        match serde_json::from_str(&text) {
            Ok(Value::String(inner)) => Value::String(inner),
            Ok(value) if !wanted.is_some_and(|wanted| wanted == "string") => value,
            Ok(_) | Err(_) => Value::String(text),
        }
    };
    let values = pairs.into_iter().map(|(name, text)| {
        let value = value(&name, text);
        (name, value)
    });
    Value::Object(values.collect::<Map<_, _>>())
}

/// The name that was meant by one that there is not: most often its upstream was left out.
pub fn meant<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut ends = known.iter().filter(|name| {
        name.strip_suffix(given).is_some_and(|upstream| !given.is_empty() && !upstream.is_empty())
    });
    match (ends.next(), ends.next()) {
        (Some(only), None) => Some(only),
        _ => {
            let near = known.iter().map(|name| (strsim::osa_distance(given, name), *name)).min()?;
            (near.0 * 3 <= given.chars().count()).then_some(near.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(text: &str, schema: Option<&Value>) -> Value {
        typed(vec![("x".to_owned(), text.to_owned())], schema)["x"].take()
    }

    #[test]
    fn a_value_is_what_the_tool_wants_it_to_be() {
        assert_eq!(one("5", None), json!(5));
        assert_eq!(one("[1]", None), json!([1]));
        assert_eq!(one("a b", None), json!("a b"));
        assert_eq!(one("\"5\"", None), json!("5"));
        let text = json!({"properties": {"x": {"type": "string"}}});
        assert_eq!(one("5", Some(&text)), json!("5"));
        assert_eq!(one("null", Some(&text)), json!("null"));
        assert_eq!(one("\"5\"", Some(&text)), json!("5"), "quotes say text in any case");
        let either = json!({"properties": {"x": {"type": ["string", "null"]}}});
        assert_eq!(one("null", Some(&either)), json!(null));
        assert_eq!(one("5", Some(&json!({}))), json!(5));
    }

    #[test]
    fn a_name_without_its_upstream_finds_it() {
        let known = ["crm_lookup", "crm_echo", "demo_echo"];
        assert_eq!(meant("lookup", &known), Some("crm_lookup"));
        assert_eq!(meant("crm_lokup", &known), Some("crm_lookup"));
        assert_eq!(meant("echo", &known), None, "two of them end like that");
        assert_eq!(meant("other", &known), None);
        assert_eq!(meant("", &known), None);
        assert_eq!(meant("x", &[]), None);
    }
}
