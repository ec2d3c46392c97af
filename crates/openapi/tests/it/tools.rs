//! Operations as entries of a list.

use openapi::{Document, Limits, Options, Place, Reason, Scheme};
use serde_json::{Value, json};

use crate::{definition, document, tool_at, tools_of};

/// A shop, as people write documents by hand.
const SHOP: &str = r##"
openapi: 3.0.3
info: { title: Shop, version: 2 }
servers:
  - url: https://{region}.shop.example/v2
    variables: { region: { default: eu, enum: [eu, us] } }
security: [ { key: [] } ]
paths:
  /orders:
    parameters:
      - { name: X-Request-Tag, in: header, schema: { type: string } }
    get:
      operationId: orders.list
      summary: List orders.
      description: <p>Orders, <b>newest</b> first.</p>
      tags: [orders]
      parameters:
        - { name: "filter[state]", in: query, description: Only these., schema: { type: string } }
        - { name: cursor, in: query, schema: { type: string } }
        - { name: limit, in: query, schema: { type: integer, maximum: 100 } }
        - { name: api_key, in: query, schema: { type: string } }
        - { name: Authorization, in: header, schema: { type: string } }
      responses:
        200:
          content:
            application/json:
              schema:
                type: object
                properties:
                  items: { type: array, items: { $ref: '#/components/schemas/Order' } }
                  next_cursor: { type: string, nullable: true }
    post:
      summary: Place an order
      security: [ { oauth: [write] }, {} ]
      requestBody:
        required: true
        description: What is bought.
        content:
          application/xml: { schema: { type: string } }
          application/json: { schema: { $ref: '#/components/schemas/Order' } }
      responses: { 201: { description: made } }
  /orders/{id}:
    delete:
      deprecated: true
      parameters:
        - { name: id, in: path, required: true, schema: { type: integer } }
        - { name: id, in: query, schema: { type: string } }
      responses: { 204: { description: gone } }
  /elsewhere:
    get: { servers: [ { url: "https://evil.example" } ] }
components:
  schemas:
    Order:
      type: object
      required: [lines]
      properties: { lines: { type: array, items: { type: string } } }
  securitySchemes:
    key: { type: apiKey, in: query, name: api_key }
    oauth:
      type: oauth2
      flows: { clientCredentials: { tokenUrl: "https://login.example/t", scopes: { write: Change } } }
"##;

#[test]
fn an_operation_says_what_it_is_for() {
    let tools = tools_of(SHOP);
    let names: Vec<&str> = tools.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["delete_orders_by_id", "orders_list", "post_orders"]);
    let list = tools.get("orders_list").expect("listed");
    let entry = definition(list);
    assert_eq!(entry["title"], "List orders");
    assert_eq!(
        entry["description"],
        "Orders, newest first.\n\nComes in pages: pass `cursor` as `next_cursor` of the last answer says; \
         `limit` is how many one has."
    );
    assert_eq!(entry["outputSchema"]["properties"]["next_cursor"], json!({ "type": ["string", "null"] }));
    // So that a pin holds what is sent too, of which nothing else in a definition tells all.
    let request = entry["_meta"]["io.tidegate/openapi"]["request"].as_str().expect("a digest");
    assert!(request.len() == 16 && request.bytes().all(|b| b.is_ascii_hexdigit()), "{request}");
    assert_eq!(
        entry["_meta"]["io.tidegate/openapi"],
        json!({
            "method": "GET", "path": "/orders", "request": request,
            "paging": { "style": "cursor", "argument": "cursor", "size": "limit", "next": "next_cursor" },
            "security": [[{ "scheme": "key", "kind": "api_key" }]],
        })
    );
}

#[test]
fn arguments_are_named_once_and_credentials_are_none() {
    let tools = tools_of(SHOP);
    let list = tools.get("orders_list").expect("listed");
    let input = definition(list)["inputSchema"].clone();
    let names: Vec<&String> = input["properties"].as_object().expect("properties").keys().collect();
    assert_eq!(names, ["filter_state", "cursor", "limit", "X-Request-Tag"]);
    assert_eq!(input["properties"]["filter_state"]["description"], "Only these.");
    assert_eq!(input["additionalProperties"], false);
    assert_eq!(
        list.notes,
        [
            "the query parameter \"api_key\" is left away: it is a credential",
            "the header parameter \"Authorization\" is left away: this header is not the caller's",
        ]
    );
    let delete = tools.get("delete_orders_by_id").expect("listed");
    let places: Vec<_> = delete.operation.places().collect();
    assert_eq!(places, [("id", Place::Path, "id"), ("query_id", Place::Query, "id")]);
    let post = tools.get("post_orders").expect("listed");
    assert_eq!(
        definition(post)["inputSchema"],
        json!({
            "type": "object",
            "properties": {
                "X-Request-Tag": { "type": "string" },
                "body": {
                    "type": "object", "required": ["lines"], "description": "What is bought.",
                    "properties": { "lines": { "type": "array", "items": { "type": "string" } } },
                },
            },
            "required": ["body"],
            "additionalProperties": false,
        })
    );
}

#[test]
fn hints_say_what_a_method_promises_and_nothing_of_post() {
    let hints = |method: &str| {
        let entry = definition(&tool_at(method, "/x", json!({})));
        ["readOnlyHint", "destructiveHint", "idempotentHint"]
            .map(|hint| entry["annotations"].get(hint).and_then(Value::as_bool))
    };
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(hints("get"), [yes, no, yes]);
    assert_eq!(hints("head"), [yes, no, yes]);
    assert_eq!(hints("put"), [no, yes, yes]);
    assert_eq!(hints("delete"), [no, yes, yes]);
    assert_eq!(hints("patch"), [no, yes, no]);
    assert_eq!(hints("post"), [no, None, no]);
}

#[test]
fn demands_are_named_with_their_schemes() {
    let document = Document::read(SHOP.as_bytes(), &Limits::default()).expect("a document");
    assert_eq!(document.schemes["key"], Scheme::ApiKey { place: Place::Query, name: "api_key".to_owned() });
    assert_eq!(document.schemes["oauth"].word(), "oauth2");
    let tools = document.tools(&Options::default()).expect("tools");
    let post = tools.get("post_orders").expect("listed");
    assert_eq!(post.requirements.len(), 2);
    assert_eq!(
        (post.requirements[0][0].scheme.as_str(), &post.requirements[0][0].scopes[..]),
        ("oauth", &["write".to_owned()][..])
    );
    assert!(post.requirements[1].is_empty(), "anybody may");
    assert_eq!(
        document.servers[0].address(&Default::default(), None).as_deref(),
        Ok("https://eu.shop.example/v2")
    );
}

#[test]
fn an_operation_of_another_server_is_left_out_and_what_is_deprecated_says_so() {
    let tools = tools_of(SHOP);
    assert_eq!(tools.left_out.len(), 1);
    assert_eq!(tools.left_out[0].reason, Reason::Server("https://evil.example".to_owned()));
    let delete = tools.get("delete_orders_by_id").expect("listed");
    assert!(delete.deprecated);
    assert_eq!(definition(delete)["description"], "Deprecated.\n\nDELETE /orders/{id}");
}

#[test]
fn the_same_document_in_json_gives_the_same_tools() {
    let document = Document::read(SHOP.as_bytes(), &Limits::default()).expect("a document");
    let from_yaml = document.tools(&Options::default()).expect("tools");
    let entries = |tools: &openapi::Tools| tools.tools.iter().map(|t| t.hash.clone()).collect::<Vec<_>>();
    let again = tools_of(SHOP);
    assert_eq!(entries(&from_yaml), entries(&again));
    let json = document_as_json();
    assert_eq!(entries(&from_yaml), entries(&tools_of(&json)));
}

/// The shop's document with its paths in another order, in JSON.
fn document_as_json() -> String {
    let value: Value = serde_saphyr::from_str(SHOP).expect("YAML");
    let mut out = value.clone();
    let paths = value["paths"].as_object().expect("paths");
    out["paths"] = paths.iter().rev().map(|(k, v)| (k.clone(), v.clone())).collect();
    out.to_string()
}

#[test]
fn an_answer_is_described_only_where_the_only_success_is_an_object() {
    let object = json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
    let list = json!({ "content": { "application/json": { "schema": { "type": "array" } } } });
    let empty = json!({ "description": "nothing" });
    let either =
        json!({ "content": { "application/json": { "schema": { "type": "object" } }, "text/csv": {} } });
    let has = |responses: Value| {
        definition(&tool_at("get", "/x", json!({ "responses": responses }))).get("outputSchema").is_some()
    };
    assert!(has(json!({ "200": object, "404": empty, "default": empty })));
    assert!(!has(json!({ "200": object, "204": empty })));
    assert!(!has(json!({ "200": list })));
    assert!(!has(json!({ "200": either })));
    assert!(!has(json!({})));
}

#[test]
fn names_of_tools_do_not_depend_on_the_order_of_a_document() {
    let paths = |order: [&str; 3]| {
        order
            .into_iter()
            .map(|path| (path.to_owned(), json!({ "get": { "operationId": "list" } })))
            .collect::<Value>()
    };
    let names = |order| {
        let tools = tools_of(&document("3.0.0", paths(order), json!({})).to_string());
        tools
            .tools
            .into_iter()
            .map(|tool| (tool.operation.path, tool.name))
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(names(["/a", "/b", "/c"]), names(["/c", "/a", "/b"]));
    assert_eq!(names(["/a", "/b", "/c"]).values().collect::<std::collections::HashSet<_>>().len(), 3);
}
