//! Documents that are made to hurt, or simply wrong.

use openapi::{Document, Fault, Limits, Options, Reason};
use serde_json::{Value, json};

use crate::{document, tools_of};

fn fault(text: &str) -> String {
    match Document::read(text.as_bytes(), &Limits::default()) {
        Ok(document) => match document.tools(&Options::default()) {
            Ok(tools) => format!("good: {}", tools.tools.len()),
            Err(fault) => fault.to_string(),
        },
        Err(fault) => fault.to_string(),
    }
}

/// The reason why the only operation is no tool.
fn reason(operation: Value, components: Value) -> Reason {
    let paths = json!({ "/good": { "get": {} }, "/bad": { "post": operation } });
    let mut tools = tools_of(&document("3.1.0", paths, components).to_string());
    assert_eq!((tools.tools.len(), tools.left_out.len()), (1, 1), "{tools:?}");
    tools.left_out.remove(0).reason
}

fn body(schema: Value) -> Value {
    json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } })
}

#[test]
fn what_is_no_document_of_a_version_that_is_read_says_what_it_is() {
    for (text, said) in [
        ("", "no object"),
        ("[]", "no object"),
        ("{}", "no OpenAPI document"),
        ("swagger: '2.0'", "Swagger 2.0"),
        ("openapi: 3.2.0", "OpenAPI 3.2.0"),
        ("openapi: 3.1", "OpenAPI 3.1"),
        ("{\"openapi\":", "cannot be read"),
        ("a: [", "cannot be read"),
        ("{\"openapi\":\"3.0.0\",\"openapi\":\"3.0.0\"}", "twice"),
        ("openapi: 3.0.0\nopenapi: 3.0.0", "twice"),
        ("openapi: 3.0.0\npaths: []", "\"paths\" is no object"),
        ("openapi: 3.0.0\npaths: {}", "no operation that can be called"),
        ("openapi: 3.0.0\npaths: { /x: { trace: {} } }", "its method trace is not called"),
    ] {
        assert!(fault(text).contains(said), "{text:?}: {}", fault(text));
    }
    assert_eq!(
        fault("openapi: 3.0.0\npaths:\n  /x:\n    get:\n      responses:\n        200: {description: ok}"),
        "good: 1"
    );
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let limits = Limits { document_bytes_max: 100, ..Limits::default() };
    let text = "x".repeat(101);
    let fault = Document::read(text.as_bytes(), &limits).expect_err("too large");
    assert_eq!(fault, Fault::TooLarge { bytes: 101, max: 100 });
    assert_eq!(Limits::default().document_bytes_max, 10 * 1024 * 1024);
}

#[test]
fn deep_documents_and_those_that_grow_are_refused() {
    let deep = |n: usize| format!("{{\"openapi\":\"3.0.0\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    assert!(fault(&deep(200)).contains("cannot be read"));
    assert!(
        fault(&format!("openapi: 3.0.0\nx: {}{}", "[".repeat(200), "]".repeat(200)))
            .contains("cannot be read")
    );
    let mut bomb = String::from("openapi: 3.0.0\nl0: &l0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let refs = vec![format!("*l{}", level - 1); 10].join(",");
        bomb.push_str(&format!("l{level}: &l{level} [{refs}]\n"));
    }
    assert!(fault(&bomb).contains("cannot be read"), "{}", fault(&bomb));
}

#[test]
fn references_out_of_the_document_are_refused_by_name_and_never_followed() {
    for outside in ["https://evil.example/s.json#/a", "other.yaml#/a", "file:///etc/passwd", "../x.json"] {
        let schema = reason(body(json!({ "$ref": outside })), json!({}));
        assert_eq!(schema, Reason::Outside(outside.to_owned()));
        let parameter = reason(json!({ "parameters": [{ "$ref": outside }] }), json!({}));
        assert_eq!(parameter, Reason::Outside(outside.to_owned()));
        let request = reason(json!({ "requestBody": { "$ref": outside } }), json!({}));
        assert_eq!(request, Reason::Outside(outside.to_owned()));
        let answer = reason(json!({ "responses": { "200": { "$ref": outside } } }), json!({}));
        assert_eq!(answer, Reason::Outside(outside.to_owned()));
    }
    let paths = json!({ "/good": { "get": {} }, "/bad": { "$ref": "https://evil.example/p.json" } });
    let tools = tools_of(&document("3.0.0", paths, json!({})).to_string());
    assert_eq!(tools.left_out[0].reason, Reason::Outside("https://evil.example/p.json".to_owned()));
}

#[test]
fn references_that_lead_nowhere_or_in_a_circle_are_refused_by_name() {
    let no = reason(body(json!({ "$ref": "#/components/schemas/No" })), json!({}));
    assert_eq!(no, Reason::Dangling("#/components/schemas/No".to_owned()));
    let circle = json!({ "schemas": {
        "A": { "$ref": "#/components/schemas/B" }, "B": { "$ref": "#/components/schemas/A" },
    } });
    assert!(matches!(reason(body(json!({ "$ref": "#/components/schemas/A" })), circle), Reason::Circle(_)));
    let itself = json!({ "schemas": { "A": { "allOf": [{ "$ref": "#/components/schemas/A" }] } } });
    assert!(matches!(reason(body(json!({ "$ref": "#/components/schemas/A" })), itself), Reason::Circle(_)));
    let parameter = json!({ "parameters": {
        "P": { "$ref": "#/components/parameters/Q" }, "Q": { "$ref": "#/components/parameters/P" },
    } });
    let operation = json!({ "parameters": [{ "$ref": "#/components/parameters/P" }] });
    assert!(matches!(reason(operation, parameter), Reason::Circle(_)));
}

#[test]
fn what_changes_the_meaning_of_references_is_refused_by_name() {
    for (schema, said) in [
        (json!({ "$id": "https://x.example/", "$ref": "#/a" }), "\"$id\""),
        (json!({ "$dynamicRef": "#node" }), "\"$dynamicRef\""),
        (json!({ "$schema": "http://json-schema.org/draft-04/schema#" }), "draft-04"),
    ] {
        let reason = reason(body(schema), json!({})).to_string();
        assert!(reason.contains(said), "{reason}");
    }
    let mut foreign = document("3.1.0", json!({ "/x": { "get": {} } }), json!({}));
    foreign["jsonSchemaDialect"] = json!("https://evil.example/dialect");
    assert!(fault(&foreign.to_string()).contains("evil.example/dialect"));
}

#[test]
fn schemas_that_double_with_each_level_stay_small() {
    let mut schemas = json!({ "S0": { "type": "string" } });
    for level in 1..40 {
        let inner = json!({ "$ref": format!("#/components/schemas/S{}", level - 1) });
        schemas[format!("S{level}")] = json!({ "type": "object", "properties": { "a": inner, "b": inner } });
    }
    let paths = json!({ "/x": { "post": body(json!({ "$ref": "#/components/schemas/S39" })) } });
    let tools = tools_of(&document("3.1.0", paths, json!({ "schemas": schemas })).to_string());
    assert!(tools.tools[0].definition.as_bytes().len() < 8_000);
}

#[test]
fn a_long_chain_of_schemas_does_not_become_deeper_than_messages_may_be() {
    let mut schemas = json!({ "S0": { "type": "string" } });
    for level in 1..500 {
        let inner = json!({ "$ref": format!("#/components/schemas/S{}", level - 1) });
        schemas[format!("S{level}")] = json!({ "type": "object", "properties": { "a": inner } });
    }
    let paths = json!({ "/x": { "post": body(json!({ "$ref": "#/components/schemas/S499" })) } });
    let tools = tools_of(&document("3.1.0", paths, json!({ "schemas": schemas })).to_string());
    protocol::json::check(tools.tools[0].definition.as_bytes()).expect("as deep as messages may be");
}

#[test]
fn a_schema_beyond_the_limit_loses_its_examples_first_and_then_its_operation() {
    let limits = Limits { schema_bytes_max: 1_000, ..Limits::default() };
    let read = |schema: Value| {
        let text = document("3.1.0", json!({ "/x": { "post": body(schema) } }), json!({})).to_string();
        let document = Document::read(text.as_bytes(), &limits).expect("a document");
        document.tools(&Options { limits: limits.clone(), ..Options::default() })
    };
    let tools = read(json!({ "type": "string", "examples": ["x".repeat(2_000)] })).expect("without examples");
    assert!(!tools.tools[0].definition.as_text().contains("xxx"));
    let refused = read(json!({ "type": "string", "enum": ["x".repeat(2_000)] })).expect_err("too large");
    assert!(refused.to_string().contains("its input schema has more than 1000 bytes"), "{refused}");
}

#[test]
fn thousands_of_operations_are_read_and_more_are_refused() {
    let paths = |n: usize| (0..n).map(|at| (format!("/p{at}"), json!({ "get": {} }))).collect::<Value>();
    let text = |n| document("3.0.0", paths(n), json!({})).to_string();
    assert_eq!(fault(&text(5_000)), "good: 5000");
    assert!(fault(&text(5_001)).contains("more than 5000 operations"));
    let read = Document::read(text(5_001).as_bytes(), &Limits::default()).expect("a document");
    let some = Options { select: Some(&|view| view.path.ends_with('7')), ..Options::default() };
    assert_eq!(read.tools(&some).expect("those that were chosen").tools.len(), 500);
}

#[test]
fn a_small_document_whose_tools_are_huge_together_is_refused() {
    let schemas: Value =
        (0..400).map(|at| (format!("S{at}"), json!({ "type": "string", "pattern": "a" }))).collect();
    let one = |at| json!({ "$ref": format!("#/components/schemas/S{at}") });
    let all: Vec<Value> = (0..400).chain(0..400).map(one).collect();
    let operation = body(json!({ "anyOf": [{ "$ref": "#/components/schemas/All" }] }));
    let mut schemas = schemas;
    schemas["All"] = json!({ "prefixItems": all });
    let paths: Value = (0..1_500).map(|at| (format!("/p{at}"), json!({ "post": operation }))).collect();
    let text = document("3.1.0", paths, json!({ "schemas": schemas })).to_string();
    assert!(text.len() < 300_000, "{}", text.len());
    let read = |limits: Limits| {
        let document = Document::read(text.as_bytes(), &limits).expect("a document");
        document.tools(&Options { limits, ..Options::default() })
    };
    let max = 1024 * 1024;
    let refused = read(Limits { tools_bytes_max: max, ..Limits::default() }).expect_err("too much");
    assert_eq!(refused, Fault::TooMuch { max });
}

#[test]
fn what_takes_too_much_work_leaves_out_the_rest() {
    let inner = json!({ "prefixItems": (0..40).map(|_| json!({ "const": 1 })).collect::<Vec<_>>() });
    let paths: Value =
        (0..90).map(|at| (format!("/p{at}"), json!({ "post": body(inner.clone()) }))).collect();
    let text = document("3.1.0", paths, json!({})).to_string();
    let limits = Limits { schemas_max: 1_000, ..Limits::default() };
    let read = Document::read(text.as_bytes(), &limits).expect("a document");
    let tools = read.tools(&Options { limits, ..Options::default() }).expect("some tools");
    assert!(tools.left_out.iter().all(|left| left.reason == Reason::Work));
    assert_eq!((tools.tools.len(), tools.left_out.len()), (12, 78));
}

#[test]
fn annotations_of_the_gateway_s_own_do_not_come_from_a_document() {
    let schema = json!({ "type": "object", "x-mcp-header": "Authorization", "properties": {
        "a": { "type": "number", "x-mcp-header": "A\r\nB" },
    } });
    let text = document("3.1.0", json!({ "/x": { "post": body(schema) } }), json!({})).to_string();
    assert!(!tools_of(&text).tools[0].definition.as_text().contains("x-mcp-header"));
}
