//! What holds for all documents, arguments and answers.

use openapi::{Document, Limits, Options};
use proptest::prelude::*;
use protocol::Raw;
use serde_json::{Value, json};

use crate::tool_at;

/// Pieces of which documents are made, some of them out of place.
fn value() -> impl Strategy<Value = Value> {
    let words = [
        "get",
        "post",
        "parameters",
        "name",
        "in",
        "query",
        "path",
        "schema",
        "type",
        "object",
        "properties",
        "items",
        "$ref",
        "#/components/schemas/A",
        "#/paths/~1a",
        "#",
        "allOf",
        "required",
        "nullable",
        "requestBody",
        "content",
        "application/json",
        "multipart/form-data",
        "responses",
        "200",
        "enum",
        "security",
        "servers",
        "url",
        "style",
        "deepObject",
        "encoding",
        "additionalProperties",
        "$defs",
    ];
    let word = prop::sample::select(words.to_vec());
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_document_makes_it_panic_and_what_it_makes_can_be_listed(
        item in value(), operation in value(), schema in value(), old in any::<bool>(), arguments in value(),
    ) {
        let document = json!({
            "openapi": if old { "3.0.0" } else { "3.1.0" },
            "paths": { "/a": item, "/b/{x}": { "post": operation, "get": {
                "requestBody": { "content": { "application/json": { "schema": schema } } },
            } } },
            "components": { "schemas": { "A": schema } },
        });
        let read = Document::read(document.to_string().as_bytes(), &Limits::default()).expect("a document");
        for tool in read.tools(&Options::default()).map(|tools| tools.tools).unwrap_or_default() {
            prop_assert!(protocol::json::check(tool.definition.as_bytes()).is_ok());
            prop_assert_eq!(&tool.definition.to_value()["inputSchema"]["type"], "object");
            let _ = tool.operation.plan(Some(&Raw::from_value(&arguments)), &Limits::default());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = Document::read(text.as_bytes(), &Limits::default());
        let _ = Document::read(format!("openapi: 3.0.0\n{text}").as_bytes(), &Limits::default());
    }

    #[test]
    fn a_path_has_as_many_segments_whatever_its_values_are(a in ".{0,20}", b in "[./\\\\%2eE;?#a]{0,12}") {
        let tool = tool_at("get", "/one/{a}/two/{b}", json!({}));
        let raw = Raw::from_value(&json!({ "a": a, "b": b }));
        if let Ok(plan) = tool.operation.plan(Some(&raw), &Limits::default()) {
            let target = plan.target();
            let segments: Vec<&str> = target.split('/').collect();
            prop_assert_eq!(segments.len(), 5, "{}", target);
            prop_assert_eq!((segments[1], segments[3]), ("one", "two"));
            prop_assert!(!target.contains(['?', '#', '\\', ' ']));
            prop_assert!(segments.iter().all(|s| !matches!(*s, "." | "..")));
            let uri: http::Uri = format!("http://h{target}").parse().expect("an address");
            prop_assert_eq!(uri.host(), Some("h"));
        }
    }

    #[test]
    fn a_header_never_has_a_line_of_its_own(text in any::<String>()) {
        let tool = tool_at("get", "/x", json!({ "parameters": [{ "name": "X-A", "in": "header" }] }));
        let raw = Raw::from_value(&json!({ "X-A": text }));
        if let Ok(plan) = tool.operation.plan(Some(&raw), &Limits::default()) {
            for (_, value) in plan.all_headers() {
                prop_assert!(value.as_bytes().iter().all(|b| (0x20..0x7f).contains(b)));
            }
        }
    }
}
