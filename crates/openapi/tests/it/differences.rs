//! What is different in another version of a document.

use openapi::{Changed, Difference, Tools, diff};
use serde_json::{Value, json};

use crate::{document, tools_of};

fn tools(paths: Value) -> Tools {
    tools_of(&document("3.1.0", paths, json!({})).to_string())
}

#[test]
fn what_was_added_removed_renamed_and_changed_is_named() {
    let before = tools(json!({
        "/a": { "get": { "operationId": "a" } },
        "/b": { "get": { "operationId": "b" } },
        "/c": { "get": { "operationId": "c", "summary": "See" } },
        "/d": { "get": { "operationId": "d" } },
        "/e": { "get": { "operationId": "e" } },
    }));
    let after = tools(json!({
        "/a": { "get": { "operationId": "a" } },
        "/b": { "get": { "operationId": "bee" } },
        "/c": { "post": { "operationId": "c", "summary": "See", "security": [{ "k": [] }] } },
        "/new": { "get": { "operationId": "new" } },
        "/e": { "get": { "operationId": "e", "parameters": [{ "name": "q", "in": "query" }] } },
    }));
    let found = diff(&before, &after);
    assert_eq!(
        found,
        Difference {
            added: vec!["new".to_owned()],
            removed: vec!["d".to_owned()],
            renamed: vec![("b".to_owned(), "bee".to_owned())],
            changed: vec![
                Changed {
                    name: "c".to_owned(),
                    what: ["annotations", "_meta", "request", "security"].map(str::to_owned).to_vec()
                },
                Changed {
                    name: "e".to_owned(),
                    what: ["inputSchema", "_meta", "request"].map(str::to_owned).to_vec()
                },
            ],
        }
    );
    assert!(diff(&before, &before).is_empty());
}

#[test]
fn how_a_value_is_written_counts_and_a_definition_shows_that_it_is_another_request() {
    let with = |style: &str| {
        let parameter = json!({ "name": "q", "in": "query", "style": style, "schema": {} });
        tools(json!({ "/a": { "get": { "operationId": "a", "parameters": [parameter] } } }))
    };
    let found = diff(&with("form"), &with("deepObject"));
    assert_eq!(
        found.changed,
        [Changed { name: "a".to_owned(), what: ["_meta", "request"].map(str::to_owned).to_vec() }]
    );
}
