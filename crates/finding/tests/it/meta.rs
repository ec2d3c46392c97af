//! The meta-tools.

use bytes::Bytes;
use finding::{Ask, FOUND, definitions, described, found};
use protocol::Raw;
use serde_json::{Value, json};

use crate::index_of;

fn read(tool: &str, arguments: Value) -> Result<Ask, String> {
    let raw = Raw::parse(Bytes::from(arguments.to_string())).expect("JSON");
    Ask::read(tool, Some(&raw)).map_err(|fault| fault.to_string())
}

#[test]
fn there_are_three_in_the_order_of_their_names_and_call_claims_nothing() {
    let entries: Vec<Value> = definitions(FOUND).iter().map(Raw::to_value).collect();
    let names: Vec<&str> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["call", "describe", "search"]);
    assert_eq!(entries[0]["annotations"]["destructiveHint"], true);
    assert_eq!(entries[2]["annotations"]["readOnlyHint"], true);
    assert!(entries.iter().all(|entry| entry["inputSchema"]["type"] == "object"));
}

#[test]
fn calls_are_read_as_they_are_declared() {
    let search = |query: &str, limit, server: Option<&str>| {
        Ok(Ask::Search { query: query.to_owned(), limit, server: server.map(str::to_owned) })
    };
    assert_eq!(read("search", json!({ "query": "a" })), search("a", None, None));
    assert_eq!(
        read("search", json!({ "query": "a", "limit": 50, "server": "s" })),
        search("a", Some(50), Some("s"))
    );
    assert_eq!(
        read("describe", json!({ "names": ["a"] })),
        Ok(Ask::Describe { names: vec!["a".to_owned()] })
    );
    let call = read("call", json!({ "name": "a", "arguments": { "n": 1.10 } })).expect("a call");
    let Ask::Call { name, arguments } = call else { panic!("no call") };
    assert_eq!((name.as_str(), arguments.expect("arguments").to_value()), ("a", json!({ "n": 1.1 })));
    for (tool, arguments, said) in [
        ("serch", json!({}), "there is no tool \"serch\" here"),
        ("search", json!([]), "must be an object"),
        ("search", json!({}), "\"query\" must be text"),
        ("search", json!({ "query": " " }), "\"query\" must be text"),
        ("search", json!({ "query": "x".repeat(1025) }), "\"query\" must be text"),
        ("search", json!({ "query": "a", "limit": 51 }), "from 1 to 50"),
        ("search", json!({ "query": "a", "limit": -1 }), "from 1 to 50"),
        ("search", json!({ "query": "a", "server": 1 }), "\"server\" must be text"),
        ("search", json!({ "query": "a", "x": 1 }), "does not have"),
        ("describe", json!({ "names": [] }), "1 to 20 names"),
        ("describe", json!({ "names": [1] }), "1 to 20 names"),
        ("call", json!({ "arguments": {} }), "\"name\" must be text"),
        ("call", json!({ "name": "a", "arguments": [] }), "must be an object"),
    ] {
        let refused = read(tool, arguments.clone()).expect_err("refused");
        assert!(refused.contains(said), "{tool} {arguments}: {refused}");
    }
}

#[test]
fn what_was_found_is_said_as_it_is_declared() {
    let index = index_of(&[("send_mail", "Sends a mail. Or more.")]);
    let result = found(&index.search("mail", 5, None, &|_, _| true)).to_value();
    let tool = json!({ "name": "send_mail", "server": "s", "summary": "Sends a mail." });
    assert_eq!(result["structuredContent"], json!({ "tools": [tool] }));
    let none = found(&[]).to_value();
    assert_eq!(none["structuredContent"], json!({ "tools": [] }));
    assert!(none["content"][0]["text"].as_str().expect("text").starts_with("No tool was found"));
}

#[test]
fn descriptions_are_the_entries_as_they_are_and_say_what_there_is_not() {
    let index = index_of(&[("a", "Does it")]);
    let names = ["a".to_owned(), "b".to_owned()];
    let entries: Vec<&Raw> = index.describe(names.iter().map(String::as_str), &|_, _| true).collect();
    let result = described(&names, &entries).to_value();
    assert_eq!(result["content"][0]["text"], format!("[{}]", entries[0].as_text()));
    assert_eq!(result["content"][1]["text"], "There is no tool [\"b\"].");
    assert_eq!(result.get("isError"), None);
    assert_eq!(described(&names, &[]).to_value()["isError"], true);
}
