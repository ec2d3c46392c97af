//! The JSON Schema of a configuration.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::section::Config;

/// The JSON Schema (2020-12) of a configuration file, for editors and for the other descriptions.
///
/// An editor with the YAML language server uses it by a first line such as
/// `# yaml-language-server: $schema=config.schema.json`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = plain_schema();
    let_variables_in(&mut schema);
    schema
}

/// The JSON Schema of a file that is laid over a configuration: every key may be absent, and `null` takes
/// out what is below it. What stands in place of a whole value, such as a list, is as in [`schema`].
#[must_use]
pub fn overlay_schema() -> Value {
    let mut schema = schema();
    let whole = schema.get_mut("$defs").map(Value::take).unwrap_or_default();
    let mut defs = whole.as_object().cloned().unwrap_or_default();
    let mut done = BTreeSet::new();
    let mut wanted = lay_over(&mut schema);
    while let Some(name) = wanted.pop() {
        if done.insert(name.clone()) {
            let mut def = whole.get(&name).cloned().unwrap_or_default();
            wanted.extend(lay_over(&mut def));
            defs.insert(format!("{name}Over"), def);
        }
    }
    if let Some(map) = schema.as_object_mut() {
        map.insert("$defs".to_owned(), Value::Object(defs));
        map.insert("title".to_owned(), "Tidegate overlay".into());
        let text = "A file that is laid over the configuration of a gateway.\n\nIt has what is different; \
                    `null` takes a key out.";
        map.insert("description".to_owned(), text.into());
    }
    schema
}

/// Makes a section or a map of names one that is laid over another. Which definitions are needed for that.
fn lay_over(section: &mut Value) -> Vec<String> {
    let mut wanted = Vec::new();
    let Some(map) = section.as_object_mut() else { return wanted };
    map.remove("required");
    // One of several keys has to be there in the whole alone.
    let is_demand = |choices: &Value| {
        let mut all = choices.as_array().into_iter().flatten();
        all.all(|choice| choice.as_object().is_some_and(|keys| keys.keys().all(|key| key == "required")))
    };
    for key in ["oneOf", "anyOf", "allOf"] {
        if map.get(key).is_some_and(is_demand) {
            map.remove(key);
        }
    }
    let properties = map.get_mut("properties").and_then(Value::as_object_mut);
    for value in properties.into_iter().flat_map(Map::values_mut) {
        wanted.extend(below(value));
    }
    if let Some(value) = map.get_mut("additionalProperties").filter(|value| value.is_object()) {
        wanted.extend(below(value));
    }
    wanted
}

/// A value below a section: it may be `null`, and is laid over another where it is a section or a map.
fn below(value: &mut Value) -> Vec<String> {
    let mut wanted = Vec::new();
    let Some(map) = value.as_object_mut() else { return wanted };
    if map.get("type").is_some_and(|kind| kind == "object") {
        wanted = lay_over(value);
    } else if let Some(Value::String(place)) = map.get_mut("$ref")
        && let Some(name) = place.strip_prefix("#/$defs/").filter(|name| is_section(name)).map(str::to_owned)
    {
        place.push_str("Over");
        wanted.push(name);
    }
    let Some(map) = value.as_object_mut() else { return wanted };
    let mut kept = Map::new();
    for key in ["description", "default", "title"] {
        kept.extend(map.remove(key).map(|value| (key.to_owned(), value)));
    }
    let own = std::mem::replace(map, kept);
    let none = serde_json::json!({ "type": "null", "description": "Takes it out." });
    map.insert("anyOf".to_owned(), Value::from(vec![Value::Object(own), none]));
    wanted
}

/// Whether a definition is one of a section, whose keys are taken one by one.
fn is_section(name: &str) -> bool {
    static SECTIONS: OnceLock<BTreeSet<String>> = OnceLock::new();
    let sections = SECTIONS.get_or_init(|| {
        let schema = plain_schema();
        let defs = schema.get("$defs").and_then(Value::as_object).into_iter().flatten();
        let named = defs.filter(|(_, def)| def.get("type").is_some_and(|kind| kind == "object"));
        named.map(|(name, _)| name.clone()).collect()
    });
    sections.contains(name)
}

/// The schema of a configuration without what variables may stand for.
pub(crate) fn plain_schema() -> Value {
    let mut schema = schemars::schema_for!(Config).to_value();
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "Tidegate configuration".into());
    }
    take_null_out(&mut schema);
    schema
}

/// A variable may stand for any value; where text of any kind may stand, that is said already.
fn let_variables_in(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(let_variables_in),
        Value::Object(map) => {
            let is_bare = |name: &Value| ["integer", "number", "boolean"].iter().any(|bare| name == bare);
            let words = |choices: &Value| {
                choices.as_array().is_some_and(|all| all.iter().all(|choice| choice.get("const").is_some()))
            };
            if map.get("type").is_some_and(is_bare) || map.get("pattern").is_some_and(Value::is_string) {
                let mut kept = serde_json::Map::new();
                for key in ["description", "default", "title"] {
                    kept.extend(map.remove(key).map(|value| (key.to_owned(), value)));
                }
                let own = std::mem::replace(map, kept);
                map.insert("anyOf".to_owned(), Value::from(vec![Value::Object(own), variable()]));
                return;
            }
            if let Some(Value::Array(choices)) = map.get_mut("oneOf").filter(|choices| words(choices)) {
                choices.push(variable());
                return;
            }
            map.values_mut().for_each(let_variables_in);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value that is a variable's.
fn variable() -> Value {
    serde_json::json!({ "type": "string", "pattern": r"^\$\{[^${}]+\}$", "description": "A variable." })
}

/// A key without a value is a fault, so that an empty list is not taken for an absent one; the types that
/// schemars gives to `Option` say otherwise.
fn take_null_out(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(take_null_out),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
                if let [Value::Object(only)] = choices.as_mut_slice() {
                    let only = std::mem::take(only);
                    map.remove("anyOf");
                    for (key, inner) in only {
                        map.entry(key).or_insert(inner);
                    }
                }
            }
            map.values_mut().for_each(take_null_out);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema of an object with properties in `schema`, with the name it goes by.
    fn objects(schema: &Value) -> Vec<(String, &Value)> {
        let defs = schema["$defs"].as_object().expect("there are definitions");
        let all = std::iter::once(("Config".to_owned(), schema));
        all.chain(defs.iter().map(|(name, def)| (name.clone(), def)))
            .filter(|(_, def)| def.get("properties").is_some())
            .collect()
    }

    #[test]
    fn every_key_says_what_it_means_since_when_and_what_holds_without_it() {
        let schema = plain_schema();
        let objects = objects(&schema);
        assert!(objects.len() >= 12, "found {}", objects.len());
        for (name, def) in objects {
            assert_eq!(def["additionalProperties"], false, "{name}");
            assert!(def.get("description").is_some(), "{name}");
            for (key, property) in def["properties"].as_object().expect("an object") {
                let text = property["description"].as_str().unwrap_or_default();
                assert!(text.contains("Since 0."), "{name}.{key}: {text}");
                let told =
                    ["By default", "Either this or", "Required."].iter().any(|words| text.contains(words));
                assert!(property.get("default").is_some() || told, "{name}.{key} has no default: {text}");
            }
        }
    }

    #[test]
    fn a_variable_may_stand_where_text_of_any_kind_may_not() {
        let schema = schema();
        let size = &schema["$defs"]["Limits"]["properties"]["page_size"];
        assert_eq!(size["anyOf"][0]["minimum"], 1);
        assert_eq!(size["anyOf"][1]["type"], "string");
        assert!(size["description"].is_string() && size["default"].is_number());
        let words = schema["$defs"]["Revision"]["oneOf"].as_array().expect("words");
        assert_eq!(words.last().expect("one")["description"], "A variable.");
    }

    #[test]
    fn nothing_may_be_null() {
        let text = schema().to_string();
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn the_schema_knows_the_keys_and_words_of_the_file() {
        let schema = plain_schema();
        assert_eq!(schema["properties"]["listen"]["default"], "127.0.0.1:7400");
        assert_eq!(schema["properties"]["listen"]["type"], "string");
        assert_eq!(schema["$defs"]["Limits"]["properties"]["request_bytes_max"]["default"], "4MiB");
        assert_eq!(schema["$defs"]["Limits"]["properties"]["page_size"]["minimum"], 1);
        assert_eq!(schema["$defs"]["Timeouts"]["properties"]["connect"]["default"], "5s");
        let revisions: Vec<_> = schema["$defs"]["Revision"]["oneOf"]
            .as_array()
            .expect("words")
            .iter()
            .map(|r| &r["const"])
            .collect();
        let all: Vec<_> = crate::Revision::ALL.iter().map(|revision| revision.as_str()).collect();
        assert_eq!(revisions, all);
    }
}
