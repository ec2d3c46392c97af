//! What a client answers when it is asked.

use std::sync::Arc;

use serde_json::{Map, Value, json};

/// From a question's method and parameters to a result, or to an error object.
pub type Answers = Arc<dyn Fn(&str, &Value) -> Result<Value, Value> + Send + Sync>;

/// A user who fills in every form, a model that answers, and one root.
#[must_use]
pub fn accepting() -> Answers {
    Arc::new(|method, params| match method {
        "elicitation/create" if params["mode"] == "url" => Ok(json!({ "action": "accept" })),
        "elicitation/create" => {
            Ok(json!({ "action": "accept", "content": filled_in(&params["requestedSchema"]) }))
        }
        "sampling/createMessage" => Ok(json!({
            "role": "assistant",
            "content": { "type": "text", "text": "It lets vessels pass." },
            "model": "fake-model",
            "stopReason": "endTurn",
        })),
        "roots/list" => Ok(json!({ "roots": [{ "uri": "file:///fake/root", "name": "root" }] })),
        "ping" => Ok(json!({})),
        _ => Err(json!({ "code": -32601, "message": "Method not found" })),
    })
}

/// A user who declines, and a client that gives neither its model nor its roots.
#[must_use]
pub fn refusing() -> Answers {
    Arc::new(|method, _| match method {
        "elicitation/create" => Ok(json!({ "action": "decline" })),
        _ => Err(json!({ "code": -1, "message": "The user said no" })),
    })
}

/// A value for each property of a form.
fn filled_in(schema: &Value) -> Value {
    let mut content = Map::new();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let choice = property["enum"].get(0).or(property["oneOf"][0].get("const"));
        let value = match (choice, property["type"].as_str()) {
            (Some(choice), _) => choice.clone(),
            (None, Some("boolean")) => json!(true),
            (None, Some("integer" | "number")) => json!(3),
            (None, Some("array")) => json!([property["items"]["enum"][0]]),
            (None, _) => json!(format!("some {name}")),
        };
        content.insert(name.clone(), value);
    }
    Value::Object(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_field_is_filled_in() {
        let schema = json!({ "properties": {
            "a": { "type": "string" }, "b": { "type": "boolean" }, "c": { "type": "integer" },
            "d": { "type": "string", "enum": ["x", "y"] }, "e": { "oneOf": [{ "const": "z" }] },
        } });
        let answer = accepting()("elicitation/create", &json!({ "requestedSchema": schema }));
        let content = json!({ "a": "some a", "b": true, "c": 3, "d": "x", "e": "z" });
        assert_eq!(answer, Ok(json!({ "action": "accept", "content": content })));
    }
}
