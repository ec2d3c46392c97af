//! Tools in lists, and the schemas in them.

use protocol::json::Object;
use protocol::{Raw, Revision};

use super::splice::{object, says};

/// A tool as a legacy client may see it; `None`: as it is.
///
/// * `outputSchema` came with 2025-06-18 and had to be an object's schema until 2025-11-25.
/// * `execution` has a meaning in 2025-11-25 alone.
/// * A property's schema had to be an object until 2025-11-25, so `true` and `false` are spelled as objects.
pub(super) fn down(to: Revision, tool: &Raw) -> Option<Raw> {
    let features = to.features();
    let tool = object(tool)?;
    let output = tool.get("outputSchema").filter(|_| features.structured);
    let output = output.filter(|schema| object(schema).is_some_and(|s| says(&s, "type", "object")));
    let mut edit = tool
        .edit()
        .put("inputSchema", tool.get("inputSchema").map(without_boolean_properties))
        .put("outputSchema", output.map(without_boolean_properties));
    if !features.tasks {
        edit = edit.remove("execution");
    }
    let new = edit.finish();
    (new != tool.raw()).then_some(new)
}

/// A legacy server's tool as a modern one; `None`: as it is.
///
/// Arguments are always an object, so a root without `type: "object"` says nothing more than one with it.
/// Strict clients refuse a whole list for one such tool.
pub(super) fn up(tool: &Raw) -> Option<Raw> {
    let tool = object(tool)?;
    let schema = match tool.get("inputSchema").as_ref().and_then(object) {
        Some(schema) if says(&schema, "type", "object") => return None,
        Some(schema) => schema.edit().set("type", Raw::literal("\"object\"")).finish(),
        None => Raw::literal(r#"{"type":"object"}"#),
    };
    Some(tool.edit().set("inputSchema", schema).finish())
}

/// `true` allows everything, as `{}` does; `false` allows nothing, as `{"not":{}}` does (JSON Schema 2020-12,
/// 4.3.2).
fn without_boolean_properties(schema: Raw) -> Raw {
    // Lists are long and booleans have one spelling, so most schemas need no more than this look.
    let holds_booleans = |raw: &Raw| raw.as_text().contains("true") || raw.as_text().contains("false");
    if !holds_booleans(&schema) {
        return schema;
    }
    let Some(root) = object(&schema) else { return schema };
    let properties = root.get("properties").filter(holds_booleans);
    let Some(properties) = properties.as_ref().and_then(object) else { return schema };
    let spelled = spelled_out(&properties);
    root.edit().set("properties", spelled).finish()
}

fn spelled_out(properties: &Object) -> Raw {
    let mut edit = properties.edit();
    for (name, value) in properties.iter() {
        match value.as_bool() {
            Some(true) => edit = edit.set(name, Raw::literal("{}")),
            Some(false) => edit = edit.set(name, Raw::literal(r#"{"not":{}}"#)),
            None => {}
        }
    }
    edit.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn shown(to: Revision, tool: &'static str) -> String {
        let tool = Raw::literal(tool);
        down(to, &tool).unwrap_or(tool).to_string()
    }

    #[test]
    fn an_output_schema_is_kept_where_the_revision_has_one_and_its_root_is_an_object() {
        let plain = r#"{"name":"t","inputSchema":{"type":"object"}}"#;
        let tool =
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{ "type":"object" , "x-y":1.0}}"#;
        assert_eq!(LEGACY.map(|to| shown(to, tool)), [plain, plain, tool, tool]);
        for root in [
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#,
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"oneOf":[]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":["object"]}}"#,
            r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":null}"#,
        ] {
            assert_eq!(LEGACY.map(|to| shown(to, root)), [plain; 4], "{root}");
        }
    }

    #[test]
    fn execution_is_for_2025_11_25_and_everything_else_stays() {
        let tool = line(
            r#"{"name":"t","title":"T","icons":[],"annotations":{},"x":1e1,
            "inputSchema":{"type":"object","properties":{"a":{"x-mcp-header":"A"}}},
            "execution":{"taskSupport":"required"}}"#,
        );
        let without = line(
            r#"{"name":"t","title":"T","icons":[],"annotations":{},"x":1e1,
            "inputSchema":{"type":"object","properties":{"a":{"x-mcp-header":"A"}}}}"#,
        );
        assert_eq!(LEGACY.map(|to| shown(to, tool)), [without, without, without, tool]);
    }

    #[test]
    fn boolean_property_schemas_are_spelled_as_objects() {
        let tool = line(
            r#"{"inputSchema":{"type":"object","properties":{"a":true,"b":{"p":true},"c":false},
            "additionalProperties":false}}"#,
        );
        let want = line(
            r#"{"inputSchema":{"type":"object","properties":{"a":{},"b":{"p":true},"c":{"not":{}}},
            "additionalProperties":false}}"#,
        );
        assert_eq!(LEGACY.map(|to| shown(to, tool)), [want; 4]);
    }

    #[test]
    fn a_legacy_tool_gets_the_root_type_that_its_schema_lacks() {
        for (tool, want) in [
            (r#"{"name":"t"}"#, r#"{"name":"t","inputSchema":{"type":"object"}}"#),
            (r#"{"inputSchema":null}"#, r#"{"inputSchema":{"type":"object"}}"#),
            (r#"{"inputSchema":{"x":1.0}}"#, r#"{"inputSchema":{"x":1.0,"type":"object"}}"#),
            (r#"{"inputSchema":{"type":["object"]}}"#, r#"{"inputSchema":{"type":"object"}}"#),
        ] {
            assert_eq!(up(&Raw::literal(tool)).expect("changed").as_text(), want);
        }
        let fine =
            r#"{"inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"},"outputSchema":{}}"#;
        assert_eq!(up(&Raw::literal(fine)), None);
    }
}
