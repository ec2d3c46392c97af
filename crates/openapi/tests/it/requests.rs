//! Arguments as requests.

use bytes::Bytes;
use openapi::{Limits, Place, Plan, Scheme, Tool};
use protocol::Raw;
use serde_json::{Value, json};

use crate::tool_at;

fn plan_raw(tool: &Tool, arguments: &str) -> Result<Plan, String> {
    let raw = Raw::parse(Bytes::copy_from_slice(arguments.as_bytes())).expect("JSON");
    tool.operation.plan(Some(&raw), &Limits::default()).map_err(|fault| fault.to_string())
}

fn plan(tool: &Tool, arguments: Value) -> Result<Plan, String> {
    plan_raw(tool, &arguments.to_string())
}

/// The path and query for one parameter `v` with this value.
fn styled(place: &str, style: &str, explode: bool, value: &Value) -> String {
    let path = if place == "path" { "/x/{v}/y" } else { "/x" };
    let parameter = json!({ "name": "v", "in": place, "style": style, "explode": explode, "schema": {} });
    let tool = tool_at("get", path, json!({ "parameters": [parameter] }));
    let plan = plan(&tool, json!({ "v": value })).expect("a request");
    let headers = plan.all_headers();
    let said = |name: &str| {
        headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.to_str().expect("text").to_owned())
    };
    said("v").or_else(|| said("cookie")).unwrap_or_else(|| plan.target())
}

#[test]
fn every_style_is_written_as_its_table_says() {
    let (one, list, object) = (json!("blue"), json!(["blue", "black"]), json!({ "R": 100, "G": 200 }));
    for (place, style, explode, value, written) in [
        ("path", "simple", false, &one, "/x/blue/y"),
        ("path", "simple", false, &list, "/x/blue,black/y"),
        ("path", "simple", false, &object, "/x/R,100,G,200/y"),
        ("path", "simple", true, &object, "/x/R=100,G=200/y"),
        ("path", "label", false, &one, "/x/.blue/y"),
        ("path", "label", false, &list, "/x/.blue,black/y"),
        ("path", "label", true, &list, "/x/.blue.black/y"),
        ("path", "label", true, &object, "/x/.R=100.G=200/y"),
        ("path", "matrix", false, &one, "/x/;v=blue/y"),
        ("path", "matrix", false, &list, "/x/;v=blue,black/y"),
        ("path", "matrix", true, &list, "/x/;v=blue;v=black/y"),
        ("path", "matrix", false, &object, "/x/;v=R,100,G,200/y"),
        ("path", "matrix", true, &object, "/x/;R=100;G=200/y"),
        ("query", "form", false, &one, "/x?v=blue"),
        ("query", "form", false, &list, "/x?v=blue,black"),
        ("query", "form", true, &list, "/x?v=blue&v=black"),
        ("query", "form", false, &object, "/x?v=R,100,G,200"),
        ("query", "form", true, &object, "/x?R=100&G=200"),
        ("query", "spaceDelimited", false, &list, "/x?v=blue%20black"),
        ("query", "pipeDelimited", false, &list, "/x?v=blue%7Cblack"),
        ("query", "deepObject", true, &object, "/x?v%5BR%5D=100&v%5BG%5D=200"),
        ("header", "simple", false, &list, "blue,black"),
        ("header", "simple", true, &object, "R=100,G=200"),
        ("cookie", "form", false, &one, "v=blue"),
    ] {
        assert_eq!(styled(place, style, explode, value), written, "{place} {style} {explode} {value}");
    }
}

#[test]
fn a_value_never_leaves_its_segment_of_the_path() {
    let tool = tool_at("get", "/files/{a}{b}/raw", json!({}));
    let target = |a: &str, b: &str| plan(&tool, json!({ "a": a, "b": b })).map(|plan| plan.target());
    assert_eq!(target("group/x?y#z", " ü%").as_deref(), Ok("/files/group%2Fx%3Fy%23z%20%C3%BC%25/raw"));
    for (a, b) in [
        ("..", "x"),
        ("a/../../b", "x"),
        ("%2e%2e", "x"),
        ("..%2Fadmin", "x"),
        (".", "."),
        ("x", "..\\y"),
        ("", "x"),
        ("a\u{0}", "x"),
        ("a\nb", "x"),
    ] {
        assert!(target(a, b).is_err(), "{a:?} {b:?}: {:?}", target(a, b));
    }
    let parameter = json!({ "name": "v", "in": "path", "style": "label", "explode": true });
    let label = tool_at("get", "/a/{v}", json!({ "parameters": [parameter] }));
    for value in [json!("."), json!(""), json!(["", ""])] {
        assert!(plan(&label, json!({ "v": value })).is_err(), "the style's own dot counts: {value}");
    }
}

#[test]
fn a_value_never_leaves_its_place_in_the_query() {
    let parameters = json!([
        { "name": "q", "in": "query", "schema": {} },
        { "name": "u", "in": "query", "allowReserved": true, "schema": {} },
        { "name": "free", "in": "query", "schema": { "type": "object" } },
    ]);
    let tool = tool_at("get", "/x?fixed=1", json!({ "parameters": parameters }));
    let target = |arguments| plan(&tool, arguments).map(|plan| plan.target());
    assert_eq!(target(json!({ "q": "a&fixed=2#=" })).as_deref(), Ok("/x?fixed=1&q=a%26fixed%3D2%23%3D"));
    assert_eq!(target(json!({ "u": "http://a/?b&c" })).as_deref(), Ok("/x?fixed=1&u=http://a/?b%26c"));
    assert_eq!(target(json!({ "q": null })).as_deref(), Ok("/x?fixed=1"));
    let said = target(json!({ "free": { "q": "x" } })).expect_err("it would say what another parameter says");
    assert!(said.contains("called like another parameter"), "{said}");
}

#[test]
fn headers_hold_visible_characters_and_never_what_is_not_the_caller_s() {
    let parameters: Value = [
        "X-Tag",
        "Host",
        "Authorization",
        "Cookie",
        "Content-Length",
        "X-Forwarded-For",
        "Mcp-Session-Id",
        "Bad Name",
    ]
    .iter()
    .map(|name| json!({ "name": name, "in": "header", "schema": {} }))
    .collect();
    let tool = tool_at("get", "/x", json!({ "parameters": parameters }));
    assert_eq!(tool.operation.places().map(|(argument, ..)| argument).collect::<Vec<_>>(), ["X-Tag"]);
    assert_eq!(tool.notes.len(), 7);
    for bad in ["a\r\nHost: evil.example", "a\nb", "ü", "a\u{0}"] {
        assert!(plan(&tool, json!({ "X-Tag": bad })).is_err(), "{bad:?}");
    }
    for name in ["Authorization", "authorization", "host"] {
        assert_eq!(plan(&tool, json!({ name: "x" })), Err(format!("there is no argument {name:?}")));
    }
}

#[test]
fn what_is_needed_and_missing_and_what_is_unknown_is_said() {
    let operation = json!({
        "parameters": [{ "name": "q", "in": "query", "required": true, "schema": {} }],
        "requestBody": { "required": true, "content": { "application/json": {} } },
    });
    let tool = tool_at("post", "/x", operation);
    assert_eq!(plan(&tool, json!({ "body": 1 })), Err("the argument \"q\" is required".to_owned()));
    assert_eq!(plan(&tool, json!({ "q": 1 })), Err("the argument \"body\" is required".to_owned()));
    assert_eq!(
        plan(&tool, json!({ "q": 1, "body": 1, "x": 1 })),
        Err("there is no argument \"x\"".to_owned())
    );
    assert_eq!(
        plan(&tool, json!([])),
        Err("the arguments must be an object without repeated names".to_owned())
    );
    assert!(plan_raw(&tool, r#"{"q":1,"q":2,"body":1}"#).is_err());
}

#[test]
fn a_body_in_json_goes_as_it_came() {
    let tool = tool_at("post", "/x", json!({ "requestBody": { "content": { "application/json": {} } } }));
    let body = r#"{ "n": 1.10, "big": 123456789012345678901234567890, "u": "é" }"#;
    let plan = plan_raw(&tool, &format!("{{\"body\": {body}}}")).expect("a request");
    let payload = plan.body.expect("a body");
    assert_eq!((payload.media_type.as_str(), &payload.bytes[..]), ("application/json", body.as_bytes()));
}

fn sent(content: Value, body: Value) -> Result<(String, String), String> {
    let tool = tool_at("post", "/x", json!({ "requestBody": { "content": content } }));
    let payload = plan(&tool, json!({ "body": body }))?.body.expect("a body");
    Ok((payload.media_type, String::from_utf8_lossy(&payload.bytes).into_owned()))
}

#[test]
fn forms_are_written_as_their_document_says() {
    let form = |encoding: Value, body: Value| {
        sent(json!({ "application/x-www-form-urlencoded": { "encoding": encoding } }), body)
            .map(|(_, text)| text)
    };
    assert_eq!(
        form(json!({}), json!({ "a": "x y&z=", "b": ["1", "2"], "n": null })).as_deref(),
        Ok("a=x+y%26z%3D&b=1&b=2")
    );
    assert_eq!(form(json!({}), json!({ "o": { "k": [1] } })).as_deref(), Ok("o=%7B%22k%22%3A%5B1%5D%7D"));
    let deep = json!({ "o": { "style": "deepObject", "explode": true } });
    assert_eq!(
        form(deep, json!({ "o": { "k": { "x": 1 }, "l": ["a", { "b": true }] } })).as_deref(),
        Ok("o%5Bk%5D%5Bx%5D=1&o%5Bl%5D%5B0%5D=a&o%5Bl%5D%5B1%5D%5Bb%5D=true")
    );
    assert!(form(json!({}), json!("text")).is_err());
}

#[test]
fn parts_are_told_apart_by_a_line_that_is_in_none() {
    let content = json!({ "multipart/form-data": {
        "schema": { "type": "object", "properties": { "file": { "type": "string", "format": "binary" } } },
        "encoding": { "file": { "contentType": "image/png, image/jpeg" } },
    } });
    let body = json!({ "file": "AAEC", "note": "--tidegate-0\r\nx", "o": { "a": 1 }, "q\"\r\n": "v" });
    let (media_type, text) = sent(content.clone(), body.clone()).expect("a body");
    let boundary = media_type.split("boundary=").nth(1).expect("a boundary");
    assert_eq!(text.matches(&format!("--{boundary}\r\n")).count(), 4);
    assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    assert!(
        text.contains(
            "name=\"file\"; filename=\"file\"\r\nContent-Type: image/png\r\n\r\n\u{0}\u{1}\u{2}\r\n"
        ),
        "{text}"
    );
    assert!(text.contains("name=\"o\"\r\nContent-Type: application/json\r\n\r\n{\"a\":1}\r\n"));
    assert!(text.contains("name=\"q%22%0D%0A\"\r\n"));
    assert_eq!(sent(content.clone(), body).expect("a body").0, media_type, "the same each time");
    assert_eq!(
        sent(content, json!({ "file": "no base64!" })),
        Err("the argument \"body\" is not base64".to_owned())
    );
}

#[test]
fn texts_and_bytes_are_sent_as_what_they_are() {
    assert_eq!(
        sent(json!({ "text/plain": {} }), json!("hi")),
        Ok(("text/plain".to_owned(), "hi".to_owned()))
    );
    assert_eq!(
        sent(json!({ "application/pdf": {} }), json!("aGk=")),
        Ok(("application/pdf".to_owned(), "hi".to_owned()))
    );
    assert!(sent(json!({ "application/pdf": {} }), json!({})).is_err());
    let both = json!({ "multipart/form-data": {}, "application/vnd.x+json": {}, "text/plain": {} });
    assert_eq!(sent(both, json!({})).expect("a body").0, "application/vnd.x+json");
}

#[test]
fn what_is_too_large_is_refused() {
    let tool = tool_at("post", "/x/{v}", json!({ "requestBody": { "content": { "application/json": {} } } }));
    let limits = Limits { target_bytes_max: 50, body_bytes_max: 50, ..Limits::default() };
    let refused = |arguments: Value| {
        let raw = Raw::from_value(&arguments);
        tool.operation.plan(Some(&raw), &limits).expect_err("too large").to_string()
    };
    assert_eq!(
        refused(json!({ "v": "x".repeat(51) })),
        "the request's path and query has more than 50 bytes"
    );
    assert_eq!(
        refused(json!({ "v": "x", "body": "x".repeat(51) })),
        "the request's body has more than 50 bytes"
    );
}

#[test]
fn credentials_are_attached_where_their_scheme_says_and_never_shown() {
    let tool = tool_at("get", "/x", json!({}));
    let with = |scheme: Scheme, secret: &str| {
        let mut plan = plan(&tool, json!({})).expect("a request");
        plan.attach(&scheme, secret).map(|()| plan)
    };
    let key = |place| Scheme::ApiKey { place, name: "X-Key".to_owned() };
    let query = with(key(Place::Query), "a&b").expect("attached");
    assert_eq!(query.target(), "/x?X-Key=a%26b");
    let header = |plan: &Plan, name: &str| {
        plan.all_headers().iter().find(|(n, _)| n == name).map(|(_, v)| v.to_str().expect("text").to_owned())
    };
    assert_eq!(
        header(&with(key(Place::Header), "sesame").expect("attached"), "x-key").as_deref(),
        Some("sesame")
    );
    assert_eq!(
        header(&with(key(Place::Cookie), "a;b").expect("attached"), "cookie").as_deref(),
        Some("X-Key=a%3Bb")
    );
    assert_eq!(
        header(&with(Scheme::Basic, "u:p").expect("attached"), "authorization").as_deref(),
        Some("Basic dTpw")
    );
    let bearer = with(Scheme::Bearer, "sesame").expect("attached");
    assert_eq!(header(&bearer, "authorization").as_deref(), Some("Bearer sesame"));
    assert!(!format!("{query:?} {bearer:?} {:?}", bearer.headers).contains("sesame"));
    assert!(!format!("{query:?}").contains("X-Key"));
    assert!(with(Scheme::Bearer, "a\r\nb").is_err());
    assert!(with(Scheme::MutualTls, "x").is_err());
}
