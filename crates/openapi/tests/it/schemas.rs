//! Schemas of a document as clients see them.

use serde_json::{Value, json};

use crate::{definition, document, tools_of};

/// What a schema of a body becomes, with the definitions that it needs.
fn translated(version: &str, schema: Value, schemas: Value) -> (Value, Value) {
    let operation = json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
    let text =
        document(version, json!({ "/x": { "post": operation } }), json!({ "schemas": schemas })).to_string();
    let input = definition(&tools_of(&text).tools[0])["inputSchema"].clone();
    (input["properties"]["body"].clone(), input["$defs"].clone())
}

fn v30(schema: Value) -> Value {
    translated("3.0.3", schema, json!({})).0
}

fn v31(schema: Value) -> Value {
    translated("3.1.0", schema, json!({})).0
}

#[test]
fn flags_of_3_0_become_what_2020_12_says_instead() {
    for (from, to) in [
        (json!({ "type": "string", "nullable": true }), json!({ "type": ["string", "null"] })),
        (
            json!({ "type": "string", "nullable": true, "enum": ["a"] }),
            json!({ "type": ["string", "null"], "enum": ["a", null] }),
        ),
        (
            json!({ "nullable": true, "allOf": [{ "type": "object" }] }),
            json!({ "anyOf": [{ "allOf": [{ "type": "object" }] }, { "type": "null" }] }),
        ),
        (json!({ "nullable": true }), json!({})),
        (
            json!({ "type": "integer", "minimum": 1, "exclusiveMinimum": true,
                "maximum": 9, "exclusiveMaximum": false }),
            json!({ "type": "integer", "maximum": 9, "exclusiveMinimum": 1 }),
        ),
        (json!({ "type": "string", "example": "x" }), json!({ "type": "string", "examples": ["x"] })),
        (
            json!({ "type": "string", "format": "binary" }),
            json!({ "type": "string", "contentEncoding": "base64" }),
        ),
    ] {
        assert_eq!(v30(from.clone()), to, "{from}");
    }
}

#[test]
fn keywords_that_clients_do_not_know_or_cannot_read_are_left_away() {
    for (from, to) in [
        (json!({ "type": "file", "xml": {}, "discriminator": {}, "x-y": 1 }), json!({})),
        (
            json!({ "type": "object", "required": true, "minLength": -1, "pattern": 5, "enum": [] }),
            json!({ "type": "object" }),
        ),
        (json!({ "type": ["string", "string", "any"] }), json!({ "type": ["string"] })),
        (json!({ "required": ["a", "a"], "enum": [1, 1] }), json!({ "required": ["a"], "enum": [1] })),
        (json!({ "items": [{ "type": "string" }] }), json!({ "prefixItems": [{ "type": "string" }] })),
    ] {
        assert_eq!(v31(from.clone()), to, "{from}");
    }
}

#[test]
fn what_3_1_says_is_handed_on() {
    let schema = json!({
        "type": ["object", "null"],
        "properties": { "a": { "const": 1.5 }, "type": { "type": "string" } },
        "patternProperties": { "^x": true },
        "if": { "required": ["a"] }, "then": { "minProperties": 2 },
        "unevaluatedProperties": false,
        "dependentRequired": { "a": ["type"] },
    });
    assert_eq!(v31(schema.clone()), schema);
}

#[test]
fn what_is_used_once_is_put_in_place_and_what_is_used_twice_is_defined_once() {
    let pet = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let ref_pet = json!({ "$ref": "#/components/schemas/Pet" });
    let (once, none) = translated("3.1.0", ref_pet.clone(), json!({ "Pet": pet }));
    assert_eq!((once, none), (pet.clone(), Value::Null));
    let twice = json!({ "properties": { "a": ref_pet, "b": ref_pet } });
    let (schema, definitions) = translated("3.1.0", twice, json!({ "Pet": pet }));
    assert_eq!(schema["properties"]["b"], json!({ "$ref": "#/$defs/Pet" }));
    assert_eq!(definitions, json!({ "Pet": pet }));
}

#[test]
fn what_contains_itself_keeps_its_references() {
    let tree = json!({ "type": "object", "properties": {
        "children": { "type": "array", "items": { "$ref": "#/components/schemas/Tree" } },
    } });
    let (schema, definitions) =
        translated("3.0.0", json!({ "$ref": "#/components/schemas/Tree" }), json!({ "Tree": tree }));
    assert_eq!(schema, json!({ "$ref": "#/$defs/Tree" }));
    assert_eq!(definitions["Tree"]["properties"]["children"]["items"], json!({ "$ref": "#/$defs/Tree" }));
}

#[test]
fn definitions_of_one_name_from_different_places_are_told_apart() {
    let schemas = json!({
        "A": { "properties": { "X": { "type": "string" } } },
        "B": { "properties": { "X": { "type": "integer" } } },
    });
    let (a, b) = ("#/components/schemas/A/properties/X", "#/components/schemas/B/properties/X");
    let schema = json!({ "prefixItems": [{ "$ref": a }, { "$ref": b }, { "$ref": a }, { "$ref": b }] });
    let (schema, definitions) = translated("3.1.0", schema, schemas);
    assert_eq!(schema["prefixItems"][1], json!({ "$ref": "#/$defs/X_2" }));
    assert_eq!(definitions, json!({ "X": { "type": "string" }, "X_2": { "type": "integer" } }));
}

#[test]
fn what_stands_beside_a_reference_counts_in_3_1_and_is_a_description_at_most_in_3_0() {
    let schema = json!({ "$ref": "#/components/schemas/A", "description": "mine", "minLength": 3 });
    let schemas = json!({ "A": { "type": "string", "description": "its" } });
    let (old, _) = translated("3.0.0", schema.clone(), schemas.clone());
    assert_eq!(old, json!({ "type": "string", "description": "mine" }));
    let (new, _) = translated("3.1.0", schema, schemas);
    assert_eq!(
        new,
        json!({ "description": "mine", "minLength": 3, "allOf": [
            { "type": "string", "description": "its" }
        ] })
    );
}

#[test]
fn what_only_the_server_writes_is_not_asked_for() {
    let schemas = json!({ "Id": { "type": "string", "readOnly": true } });
    let schema = json!({ "type": "object", "required": ["id", "made", "name"], "properties": {
        "id": { "$ref": "#/components/schemas/Id" },
        "made": { "type": "string", "readOnly": true },
        "name": { "type": "string" },
        "password": { "type": "string", "writeOnly": true },
    } });
    let (asked, _) = translated("3.0.0", schema.clone(), schemas.clone());
    assert_eq!(asked["required"], json!(["name"]));
    assert_eq!(
        asked["properties"].as_object().expect("properties").keys().collect::<Vec<_>>(),
        ["name", "password"]
    );
    let answer = json!({ "content": { "application/json": { "schema": schema } } });
    let paths = json!({ "/x": { "get": { "responses": { "200": answer } } } });
    let text = document("3.0.0", paths, json!({ "schemas": schemas })).to_string();
    let output = definition(&tools_of(&text).tools[0])["outputSchema"].clone();
    assert_eq!(
        output["properties"].as_object().expect("properties").keys().collect::<Vec<_>>(),
        ["id", "made", "name"]
    );
}
