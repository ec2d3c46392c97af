//! A registry's answers.

use discovery::registry::{
    Entry, LIMIT_MAX, Query, QueryError, Shelf, Status, query, read_error, read_page, read_response, segment,
    unsegment, write_error, write_page, write_response,
};
use discovery::{moment_from_text, moment_to_text};
use model::Timestamp;
use serde_json::{Value, json};

use crate::{bytes, schema};

/// The wire form of an entry.
pub fn response(name: &str, version: &str, minute: u64, status: &str) -> Value {
    let at = moment_to_text(Timestamp(1_777_622_400_000 + minute * 60_000));
    json!({
        "server": {"name": name, "description": format!("about {name}"), "version": version, "x": 1.50},
        "_meta": {
            "io.modelcontextprotocol.registry/official": {
                "status": status, "publishedAt": at, "updatedAt": at, "isLatest": false},
            "com.example/more": {"y": 1},
        },
    })
}

fn entry(name: &str, version: &str, minute: u64, status: &str) -> Entry {
    read_response(&bytes(&response(name, version, minute, status))).expect("an entry").value
}

fn shelf(count: usize) -> Shelf {
    let mut shelf = Shelf::default();
    for n in 0..count {
        shelf
            .put(entry(&format!("com.acme/s{:03}", n / 3), &format!("1.{}.0", n % 3), n as u64, "active"))
            .expect("room");
    }
    shelf
}

fn names(page: &[&Entry]) -> Vec<String> {
    page.iter().map(|entry| format!("{}@{}", entry.server.name, entry.server.version)).collect()
}

/// All pages of a question.
fn walk(shelf: &Shelf, pairs: &[(&str, &str)], see: impl Fn(&Entry) -> bool + Copy) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    for _ in 0..1_000 {
        let query = query(pairs.iter().copied().chain([("cursor", cursor.as_str())])).expect("a question");
        let (page, next) = shelf.list(&query, see);
        assert!(page.len() <= query.limit);
        found.extend(names(&page));
        match next {
            Some(next) => cursor = next,
            None => return found,
        }
    }
    panic!("no end");
}

#[test]
fn pages_of_every_size_are_the_same_list() {
    let shelf = shelf(50);
    let all = walk(&shelf, &[("limit", "100")], |_| true);
    assert_eq!(all.len(), 50);
    for limit in ["1", "7", "49", "50", "51"] {
        assert_eq!(walk(&shelf, &[("limit", limit)], |_| true), all, "{limit}");
    }
}

#[test]
fn a_page_is_what_the_interface_says_and_is_read_again_byte_for_byte() {
    let shelf = shelf(5);
    let (page, next) = shelf.list(&query([("limit", "2")]).expect("a question"), |_| true);
    let written = write_page(page, next.as_deref());
    let value = written.to_value();
    assert_eq!(schema::page(&value), Vec::<String>::new());
    assert_eq!(value["metadata"]["count"], json!(2));
    assert!(written.as_text().contains(r#""x":1.50"#) || written.as_text().contains(r#""x":1.5"#));
    let read = read_page(&written.bytes()).expect("a page").value;
    assert_eq!(read.next_cursor, next);
    assert_eq!(read.entries.len(), 2);
    assert_eq!(
        read.entries[0].meta.get("com.example/more").map(|raw| raw.as_text().to_owned()),
        Some(r#"{"y":1}"#.into())
    );
    let (last, none) = shelf.list(&Query::default(), |_| true);
    assert_eq!(none, None);
    assert!(
        write_page(last, None).to_value()["metadata"].get("nextCursor").is_none(),
        "no cursor at the end"
    );
    assert_eq!(write_error("Server not found").as_text(), r#"{"error":"Server not found"}"#);
}

#[test]
fn the_latest_version_is_the_highest_one_that_lives() {
    let mut shelf = Shelf::default();
    for (version, minute, status) in [
        ("1.10.0", 1, "active"),
        ("1.9.0", 9, "active"),
        ("2.0.0-rc.1", 2, "active"),
        ("2.0.0", 3, "deleted"),
        ("nightly", 99, "active"),
    ] {
        shelf.put(entry("com.acme/crm", version, minute, status)).expect("room");
    }
    let latest = |shelf: &Shelf| {
        shelf.version("com.acme/crm", "latest", false, |_| true).map(|e| e.server.version.clone())
    };
    assert_eq!(latest(&shelf).as_deref(), Some("2.0.0-rc.1"));
    let versions = shelf.versions("com.acme/crm", false, |_| true);
    let versions: Vec<&str> = versions.iter().map(|entry| entry.server.version.as_str()).collect();
    assert_eq!(versions, ["2.0.0-rc.1", "1.10.0", "1.9.0", "nightly"]);
    assert_eq!(shelf.versions("com.acme/crm", true, |_| true).len(), 5);
    let flagged = walk(&shelf, &[("version", "latest")], |_| true);
    assert_eq!(flagged, ["com.acme/crm@2.0.0-rc.1"]);
    assert!(shelf.version("com.acme/crm", "2.0.0", false, |_| true).is_none());
    assert!(shelf.version("com.acme/crm", "2.0.0", true, |_| true).is_some());
    assert!(shelf.version("com.acme/other", "latest", true, |_| true).is_none());
    shelf.put(entry("com.acme/crm", "2.0.0", 100, "active")).expect("room");
    assert_eq!(latest(&shelf).as_deref(), Some("2.0.0"));
}

#[test]
fn questions_are_answered_as_asked() {
    let mut shelf = shelf(6);
    shelf.put(entry("com.acme/gone", "1.0.0", 50, "deleted")).expect("room");
    shelf.put(entry("com.acme/old", "1.0.0", 51, "deprecated")).expect("room");
    let ask = |pairs: &[(&str, &str)]| walk(&shelf, pairs, |_| true);
    assert_eq!(ask(&[]).len(), 7, "without what was deleted");
    assert_eq!(ask(&[("include_deleted", "true")]).len(), 8);
    assert_eq!(ask(&[("search", "S001")]).len(), 3);
    assert_eq!(ask(&[("search", "ABOUT com.acme/old")]), ["com.acme/old@1.0.0"]);
    assert_eq!(ask(&[("version", "1.2.0")]).len(), 2);
    let since = moment_to_text(Timestamp(1_777_622_400_000 + 49 * 60_000));
    assert_eq!(ask(&[("updated_since", &since)]), ["com.acme/gone@1.0.0", "com.acme/old@1.0.0"]);
    let at = moment_to_text(Timestamp(1_777_622_400_000 + 51 * 60_000));
    assert_eq!(ask(&[("updated_since", &at)]), Vec::<String>::new(), "after, and not at");
    let only = walk(&shelf, &[], |entry| entry.server.name == "com.acme/s000");
    assert_eq!(only.len(), 3, "what one may not see is not there");
    assert!(shelf.version("com.acme/old", "1.0.0", false, |_| false).is_none());
    assert!(shelf.versions("com.acme/old", false, |_| false).is_empty());
}

#[test]
fn a_cursor_goes_on_in_its_own_question_and_shows_nothing_that_was_not_asked() {
    let shelf = shelf(9);
    let (_, cursor) = shelf.list(&query([("limit", "2"), ("search", "s00")]).expect("a question"), |_| true);
    let cursor = cursor.expect("more");
    assert!(query([("cursor", cursor.as_str()), ("search", "s00")]).is_ok());
    assert!(
        query([("cursor", cursor.as_str()), ("search", "s00"), ("limit", "5")]).is_ok(),
        "another size of pages"
    );
    for (name, pairs) in [
        ("another question", vec![("cursor", cursor.as_str())]),
        ("with what was deleted", vec![("cursor", &cursor), ("search", "s00"), ("include_deleted", "true")]),
        ("cut", vec![("cursor", &cursor[..10]), ("search", "s00")]),
        ("made up", vec![("cursor", "com.acme/s000:1.0.0")]),
        ("no base 64", vec![("cursor", "!!!!")]),
    ] {
        assert_eq!(query(pairs), Err(QueryError::Cursor), "{name}");
    }
    let long = "A".repeat(5_000);
    assert_eq!(query([("cursor", long.as_str())]), Err(QueryError::Cursor));
    // A cursor after something that is gone meanwhile goes on behind it; who may see what is asked anew.
    let hidden = walk(&shelf, &[("search", "s00"), ("limit", "2")], |entry| entry.server.version == "1.2.0");
    assert_eq!(hidden.len(), 3);
}

#[test]
fn parameters_that_mean_nothing_are_refused_and_unknown_ones_passed_over() {
    for (pairs, error) in [
        (vec![("limit", "0")], QueryError::Limit),
        (vec![("limit", "-1")], QueryError::Limit),
        (vec![("limit", "ten")], QueryError::Limit),
        (vec![("limit", "99999999999999999999999")], QueryError::Limit),
        (vec![("updated_since", "yesterday")], QueryError::UpdatedSince),
        (vec![("include_deleted", "1")], QueryError::IncludeDeleted),
        (vec![("search", "a"), ("search", "b")], QueryError::Twice("search")),
    ] {
        assert_eq!(query(pairs), Err(error));
    }
    assert_eq!(query([("search", "x".repeat(201).as_str())]), Err(QueryError::TooLong("search")));
    assert_eq!(query([("version", "x".repeat(256).as_str())]), Err(QueryError::TooLong("version")));
    assert_eq!(query([("limit", "100000")]).expect("cut").limit, LIMIT_MAX);
    assert_eq!(query([("sort", "name"), ("cursor", "")]), Ok(Query::default()));
    let offset = query([("updated_since", "2026-05-01T10:00:00 02:00")]).expect("a plus that became a space");
    assert_eq!(offset.updated_since, moment_from_text("2026-05-01T08:00:00Z"));
}

#[test]
fn names_and_versions_are_segments_of_a_path() {
    for (text, spelled) in [("com.acme/crm", "com.acme%2Fcrm"), ("1.0.0+b", "1.0.0%2Bb"), ("a~_-.", "a~_-.")]
    {
        assert_eq!(segment(text), spelled);
        assert_eq!(unsegment(spelled).as_deref(), Some(text));
    }
    for spelled in ["%", "%2", "%zz", "%ff", "%00", "a%0ab"] {
        assert_eq!(unsegment(spelled), None, "{spelled}");
    }
}

#[test]
fn pages_of_other_registries_are_read_in_all_their_forms() {
    let one = response("com.acme/crm", "1.0.0", 0, "active");
    for (metadata, cursor) in [
        (json!({"nextCursor": "a"}), Some("a")),
        (json!({"next_cursor": "a", "count": 1}), Some("a")),
        (json!({"nextCursor": "a", "next_cursor": "b"}), Some("a")),
        (json!({"nextCursor": null}), None),
        (json!({"nextCursor": ""}), None),
        (json!({}), None),
        (Value::Null, None),
    ] {
        let page = read_page(&bytes(&json!({"servers": [one], "metadata": metadata}))).expect("a page").value;
        assert_eq!(page.next_cursor.as_deref(), cursor, "{metadata}");
    }
    assert!(read_page(&bytes(&json!({"servers": null}))).expect("an empty page").value.entries.is_empty());
    assert!(read_page(&bytes(&json!({"servers": []}))).expect("an empty page").value.entries.is_empty());
    let old = json!({"server": {"name": "a/b", "description": "d", "version": "1"}, "_meta": {
        "io.modelcontextprotocol.registry/official": {"status": "deprecated", "is_latest": true,
            "published_at": "2025-08-01T00:00:00.123456+02:00", "updated_at": "2025-08-01T00:00:00Z"}}});
    let old = read_response(&bytes(&old)).expect("an entry").value.official;
    assert_eq!((old.status, old.is_latest), (Status::Deprecated, true));
    for document in
        [json!({}), json!([]), json!({"servers": {}}), json!({"servers": [], "metadata": {"nextCursor": 7}})]
    {
        assert!(read_page(&bytes(&document)).is_err(), "{document}");
    }
}

#[test]
fn an_entry_that_is_wrong_does_not_take_the_page_with_it() {
    let good = response("com.acme/crm", "1.0.0", 0, "active");
    let mut entries = vec![good.clone(), json!({}), json!("x"), good];
    entries[1] = json!({"server": {"name": "no name", "description": "d", "version": "^1"}});
    entries.push(json!({"server": {"name": "a/b", "description": "d", "version": "1"},
                        "_meta": {"io.modelcontextprotocol.registry/official": {"status": "haunted"}}}));
    let page = read_page(&bytes(&json!({"servers": entries}))).expect("a page").value;
    assert_eq!((page.entries.len(), page.came), (2, 5));
    let lines = crate::lines(&page.refused);
    assert!(
        lines.iter().any(|l| l.starts_with("/servers/1/server/name") && l.ends_with("(publisher)")),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|l| l.starts_with("/servers/4/_meta") && l.ends_with("(registry)")),
        "{lines:?}"
    );
    assert_eq!(write_response(&page.entries[0]).to_value()["server"], entries[0]["server"]);
}

#[test]
fn errors_are_read_in_whichever_form_and_shown_harmless() {
    for (body, text) in [
        (r#"{"error":"Server not found"}"#, "Server not found"),
        (r#"{"title":"Not Found","status":404,"detail":"no such server"}"#, "Not Found: no such server"),
        (r#"{"error":{"message":"x"}}"#, "x"),
        (r#"{"message":"y"}"#, "y"),
        ("plain", "plain"),
        ("", ""),
        ("<html>\u{1b}[2J</html>", "<html>\\u{1b}[2J</html>"),
        (r#"{"error":"a\u001b[2Jb"}"#, "a\\u{1b}[2Jb"),
    ] {
        assert_eq!(read_error(&bytes::Bytes::from(body.to_owned())), text);
    }
    assert!(read_error(&bytes::Bytes::from(vec![b'x'; 1 << 20])).len() <= 500);
}
