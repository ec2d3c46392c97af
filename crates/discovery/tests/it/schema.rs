//! The published schemas.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("a schema")
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("a schema")
}

static CARD: LazyLock<Validator> = LazyLock::new(|| {
    let mut schema = load(include_str!("../schemas/server-card.schema.json"));
    schema["$ref"] = json!("#/$defs/ServerCard");
    validator(&schema)
});

static SERVERS: LazyLock<Vec<(&str, Validator)>> = LazyLock::new(|| {
    [
        ("2025-07-09", include_str!("../schemas/server-2025-07-09.schema.json")),
        ("2025-09-16", include_str!("../schemas/server-2025-09-16.schema.json")),
        ("2025-09-29", include_str!("../schemas/server-2025-09-29.schema.json")),
        ("2025-10-17", include_str!("../schemas/server-2025-10-17.schema.json")),
        ("2025-12-11", include_str!("../schemas/server-2025-12-11.schema.json")),
    ]
    .map(|(date, text)| (date, validator(&load(text))))
    .into()
});

static PAGES: LazyLock<Validator> =
    LazyLock::new(|| validator(&load(include_str!("../schemas/registry.json"))));

static MANIFESTS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
    [
        include_str!("../schemas/mcpb-manifest-0.3.schema.json"),
        include_str!("../schemas/mcpb-manifest-0.4.schema.json"),
    ]
    .map(|text| validator(&load(text)))
});

fn faults(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What the schema of cards says against a document.
pub fn card(document: &Value) -> Vec<String> {
    faults(&CARD, document)
}

/// What the schema of a date says against a `server.json`.
pub fn server(date: &str, document: &Value) -> Vec<String> {
    let (_, validator) = SERVERS.iter().find(|(known, _)| *known == date).expect("a date");
    faults(validator, document)
}

/// What the registry's interface says against a page.
pub fn page(document: &Value) -> Vec<String> {
    faults(&PAGES, document)
}

/// What the schema of a bundle's manifest says against it.
pub fn manifest(document: &Value) -> Vec<String> {
    let four = document["manifest_version"] == json!("0.4");
    faults(&MANIFESTS[usize::from(four)], document)
}
