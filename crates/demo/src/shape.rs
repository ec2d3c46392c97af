//! What a legacy revision cannot express, taken away.

use serde_json::{Map, Value};

use crate::revision::Revision;

/// A result as a legacy revision has it.
pub(crate) fn result(revision: Revision, method: &str, mut result: Value) -> Value {
    match method {
        "tools/list" => each(&mut result["tools"], |tool| shape_tool(revision, tool)),
        "resources/list" => each(&mut result["resources"], |entry| shape_entry(revision, entry)),
        "resources/templates/list" => {
            each(&mut result["resourceTemplates"], |entry| shape_entry(revision, entry))
        }
        "prompts/list" => each(&mut result["prompts"], |prompt| {
            shape_entry(revision, prompt);
            if let Some(arguments) = prompt.get_mut("arguments") {
                each(arguments, |argument| shape_entry(revision, argument));
            }
        }),
        "tools/call" => {
            each(&mut result["content"], |block| shape_block(revision, block));
            if let Some(members) = result.as_object_mut()
                && (revision < Revision::V2025_06_18
                    || members.get("structuredContent").is_some_and(|content| !content.is_object()))
            {
                members.remove("structuredContent");
            }
        }
        _ => {}
    }
    result
}

fn shape_entry(revision: Revision, entry: &mut Map<String, Value>) {
    if revision < Revision::V2025_06_18 {
        entry.remove("title");
    }
    if revision < Revision::V2025_11_25 {
        entry.remove("icons");
    }
}

fn shape_tool(revision: Revision, tool: &mut Map<String, Value>) {
    shape_entry(revision, tool);
    if revision < Revision::V2025_03_26 {
        tool.remove("annotations");
    }
    if revision < Revision::V2025_06_18 {
        tool.remove("outputSchema");
    }
    // Mirrored headers came with the modern era.
    let schema = tool.get_mut("inputSchema").and_then(Value::as_object_mut);
    let properties = schema.and_then(|schema| schema.get_mut("properties")).and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        property.remove("x-mcp-header");
    }
}

fn shape_block(revision: Revision, block: &mut Map<String, Value>) {
    if revision < Revision::V2025_06_18 && block.get("type").is_some_and(|kind| kind == "resource_link") {
        let text = format!("See {}", block.get("uri").and_then(Value::as_str).unwrap_or_default());
        block.clear();
        block.insert("type".to_owned(), Value::from("text"));
        block.insert("text".to_owned(), Value::from(text));
    }
}

fn each(list: &mut Value, shape: impl Fn(&mut Map<String, Value>)) {
    list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut).for_each(shape);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tool_loses_what_came_later() {
        let bare = json!({ "name": "bare", "inputSchema": { "type": "object" } });
        let tool = json!({ "tools": [{
            "name": "x", "title": "X", "icons": [], "annotations": {}, "outputSchema": {},
            "inputSchema": {
                "type": "object",
                "properties": { "r": { "type": "string", "x-mcp-header": "R" } },
            },
        }, bare] });
        let left = |revision| {
            let shaped = result(revision, "tools/list", tool.clone());
            assert_eq!(shaped["tools"][0]["inputSchema"]["properties"]["r"], json!({ "type": "string" }));
            assert_eq!(shaped["tools"][1], bare);
            let mut left: Vec<_> = shaped["tools"][0].as_object().unwrap().keys().cloned().collect();
            left.sort();
            left.join(" ")
        };
        assert_eq!(left(Revision::V2024_11_05), "inputSchema name");
        assert_eq!(left(Revision::V2025_03_26), "annotations inputSchema name");
        assert_eq!(left(Revision::V2025_06_18), "annotations inputSchema name outputSchema title");
        assert_eq!(left(Revision::V2025_11_25), "annotations icons inputSchema name outputSchema title");
    }

    #[test]
    fn a_link_becomes_text_where_there_are_no_links() {
        let call = json!({ "content": [{ "type": "resource_link", "uri": "a:b", "name": "b" }] });
        let old = result(Revision::V2025_03_26, "tools/call", call.clone());
        assert_eq!(old, json!({ "content": [{ "type": "text", "text": "See a:b" }] }));
        assert_eq!(result(Revision::V2025_06_18, "tools/call", call.clone()), call);
    }

    #[test]
    fn structured_content_is_an_object_or_absent() {
        let call = |content: Value| json!({ "content": [], "structuredContent": content });
        let shaped = |revision, content| result(revision, "tools/call", call(content));
        assert_eq!(shaped(Revision::V2025_06_18, json!({ "a": 1 })), call(json!({ "a": 1 })));
        assert_eq!(shaped(Revision::V2025_06_18, json!([1])), json!({ "content": [] }));
        assert_eq!(shaped(Revision::V2025_03_26, json!({ "a": 1 })), json!({ "content": [] }));
    }
}
