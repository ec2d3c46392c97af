//! Catalogs of domains.

use bytes::Bytes;
use discovery::catalog::{Content, read, write};
use serde_json::{Value, json};

use crate::{bytes, lines, with};

fn entry(n: usize) -> Value {
    json!({"identifier": format!("urn:air:acme.example:mcp:{n}"), "type": "application/mcp-server-card+json",
           "url": format!("https://gw.acme.example/{n}/mcp/server-card")})
}

fn catalog(entries: &[Value]) -> Value {
    json!({"specVersion": "1.0", "entries": entries, "host": {"displayName": "Acme"}, "x": 1})
}

#[test]
fn a_catalog_is_written_as_it_was_read() {
    let inline = json!({"identifier": "urn:x:y", "type": "application/a2a-agent-card+json", "version": "1.0",
                        "displayName": "Y", "data": {"any": ["thing", 1.5]}, "tags": ["t"]});
    let document = catalog(&[entry(1), inline, entry(2)]);
    let read = read(&bytes(&document)).expect("a catalog");
    assert_eq!(read.remarks, []);
    let cards: Vec<bool> = read.value.entries.iter().map(discovery::catalog::Entry::is_card).collect();
    assert_eq!(cards, [true, false, true]);
    assert!(matches!(&read.value.entries[1].content, Content::Data(data) if data.get("any").is_some()));
    assert_eq!(write(&read.value).to_value(), document);
}

#[test]
fn an_entry_that_is_wrong_is_left_out_and_told_of_while_the_others_stay() {
    for (pointer, value, told) in [
        ("/entries/1/url", Value::Null, "/entries/1: left out: has neither \"url\" nor \"data\""),
        ("/entries/1/data", json!({}), "/entries/1: left out: has both of \"url\" and \"data\""),
        ("/entries/1/url", json!("http://a b/"), "/entries/1/url: left out: a URL with a character"),
        ("/entries/1/url", json!("file:///etc/passwd"), "/entries/1/url: left out: no URL that begins"),
        ("/entries/1/identifier", Value::Null, "/entries/1: left out: \"identifier\" is missing"),
        ("/entries/1/identifier", json!("a b"), "/entries/1/identifier: left out: an identifier with"),
        ("/entries/1/type", Value::Null, "/entries/1: left out: \"type\" is missing"),
        (
            "/entries/1/mediaType",
            json!("text/plain"),
            "/entries/1: left out: \"type\" and \"mediaType\" differ",
        ),
        ("/entries/1/identifier", json!("urn:air:acme.example:mcp:0"), "/entries/1: left out: an identifier"),
        ("/entries/1", json!("entry"), "/entries/1: left out: has to be an object"),
    ] {
        let document = with(&catalog(&[entry(0), entry(1), entry(2)]), pointer, value);
        let read = read(&bytes(&document)).expect(pointer);
        assert_eq!(read.value.entries.len(), 2, "{pointer}");
        let lines = lines(&read.remarks);
        assert!(lines.iter().any(|line| line.starts_with(told)), "{pointer}: {lines:?}");
    }
}

#[test]
fn what_is_no_catalog_is_refused() {
    for document in [
        json!({}),
        json!([]),
        json!({"entries": []}),
        json!({"specVersion": "1.0"}),
        json!({"specVersion": "2.0", "entries": []}),
        json!({"specVersion": "one", "entries": []}),
        json!({"specVersion": 1.0, "entries": []}),
        json!({"specVersion": "1.0", "entries": {}}),
        json!({"specVersion": "1.0", "entries": vec![json!(1); discovery::catalog::ENTRIES_MAX + 1]}),
    ] {
        assert!(read(&bytes(&document)).is_err(), "{document:.80}");
    }
    assert!(read(&Bytes::from_static(b"<html>")).is_err());
    let later =
        read(&bytes(&json!({"specVersion": "1.7", "entries": []}))).expect("of the same first number");
    assert_eq!(later.remarks.len(), 1);
}

#[test]
fn the_older_name_of_the_media_type_is_read_and_parameters_do_not_count() {
    let old = json!({"identifier": "urn:x:1", "displayName": "One",
                     "mediaType": "Application/MCP-server-card+JSON; charset=utf-8",
                     "url": "https://a.example/c"});
    let nested =
        json!({"identifier": "urn:x:2", "type": "application/ai-catalog+json", "url": "https://a.example/d"});
    let read = read(&bytes(&catalog(&[old, nested]))).expect("a catalog");
    assert!(read.value.entries[0].is_card() && !read.value.entries[0].is_catalog());
    assert!(read.value.entries[1].is_catalog() && !read.value.entries[1].is_card());
}
