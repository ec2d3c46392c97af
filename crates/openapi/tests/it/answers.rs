//! Answers as results.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use openapi::{Limits, Outcome, Received, Tool, answer};
use serde_json::{Value, json};

use crate::tool_at;

fn plain() -> Tool {
    tool_at("get", "/x", json!({}))
}

fn declared() -> Tool {
    let response = json!({ "content": { "application/json": { "schema": { "type": "object" } } } });
    tool_at("get", "/x", json!({ "responses": { "200": response } }))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_str(value).expect("a value")))
        .collect()
}

fn answered(
    tool: &Tool,
    status: u16,
    pairs: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> (Value, Outcome) {
    let (headers, body) = (headers(pairs), body.into());
    let status = StatusCode::from_u16(status).expect("a status");
    let limits = Limits { answer_bytes_max: 1_000, binary_bytes_max: 100, ..Limits::default() };
    let made = answer(tool, &Received { status, headers: &headers, body: &body, cut: false }, &limits);
    protocol::json::check(made.result.as_bytes()).expect("a result is JSON");
    (made.result.to_value(), made.outcome)
}

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn an_object_is_given_as_it_was_spelled() {
    let body = "{\"n\": 1.10}";
    let status = StatusCode::OK;
    let (headers, bytes) = (headers(&[JSON]), Bytes::from_static(body.as_bytes()));
    let made = answer(
        &plain(),
        &Received { status, headers: &headers, body: &bytes, cut: false },
        &Limits::default(),
    );
    assert_eq!(made.result.get("structuredContent").expect("structured").as_text(), body);
    assert_eq!(made.result.to_value()["content"], json!([{ "type": "text", "text": body }]));
    assert_eq!(made.outcome, Outcome::Done);
}

#[test]
fn what_is_no_object_is_text() {
    for body in ["[1, 2]", "\"x\"", "{\"a\":1,\"a\":2}", "{broken", ""] {
        let (result, outcome) = answered(&plain(), 200, &[JSON], body);
        assert!(result.get("structuredContent").is_none() && result.get("isError").is_none(), "{result}");
        assert_eq!(outcome, Outcome::Done);
        if !body.is_empty() {
            assert_eq!(result["content"][0]["text"], body);
        }
    }
    let latin =
        answered(&plain(), 200, &[("content-type", "text/plain; charset=ISO-8859-1")], &b"\xe4"[..]).0;
    assert_eq!(latin["content"][0]["text"], "ä");
}

#[test]
fn an_answer_that_is_not_what_was_declared_is_an_error_that_says_that_the_call_was_made() {
    for (status, kind, body) in [(200, "application/json", "[]"), (200, "text/html", "<p>"), (204, "", "")] {
        let (result, outcome) = answered(&declared(), status, &[("content-type", kind)], body);
        assert_eq!((&result["isError"], outcome), (&json!(true), Outcome::Failed), "{result}");
        assert!(result.get("structuredContent").is_none());
    }
    let (result, outcome) = answered(&declared(), 200, &[JSON], "{}");
    assert_eq!((result.get("isError"), outcome), (None, Outcome::Done));
}

#[test]
fn problems_are_read_and_other_errors_are_shown() {
    let problem =
        r#"{"type":"https://x.example/low","title":"Not enough","detail":"It costs 50.","left":30}"#;
    let (result, outcome) = answered(&plain(), 403, &[("content-type", "application/problem+json")], problem);
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["content"][0]["text"],
        "The server answered 403 Forbidden:\nNot enough: It costs 50.\n(https://x.example/low)\n{\"left\":30}"
    );
    assert_eq!(outcome, Outcome::Refused);
    let (result, _) = answered(&plain(), 400, &[JSON], r#"{"error":"no"}"#);
    assert_eq!(result["content"][0]["text"], "The server answered 400 Bad Request:\n{\"error\":\"no\"}");
    let (result, _) = answered(&declared(), 404, &[JSON], "{}");
    assert!(result.get("structuredContent").is_none(), "clients would check it against the schema");
}

#[test]
fn what_became_of_a_call_is_told_apart() {
    assert_eq!(answered(&plain(), 401, &[], "").1, Outcome::Unauthorized);
    assert_eq!(answered(&plain(), 500, &[], "").1, Outcome::Failed);
    assert_eq!(answered(&plain(), 503, &[], "").1, Outcome::Later { after_s: None });
    let (result, outcome) = answered(&plain(), 429, &[("retry-after", "7")], "");
    assert_eq!(outcome, Outcome::Later { after_s: Some(7) });
    assert_eq!(
        result["content"][0]["text"],
        "The server answered 429 Too Many Requests, and may be asked again in 7 s."
    );
    let (result, _) = answered(&plain(), 302, &[("location", "http://10.0.0.1/")], "");
    assert_eq!(
        result["content"][0]["text"],
        "The server answered 302 Found, a redirection, which is not followed."
    );
}

#[test]
fn bytes_are_carried_up_to_a_limit() {
    let png = answered(&plain(), 200, &[("content-type", "image/png")], &b"\x89PNG"[..]).0;
    assert_eq!(png["content"][0], json!({ "type": "image", "data": "iVBORw==", "mimeType": "image/png" }));
    let zip = answered(&plain(), 200, &[("content-type", "application/zip")], &b"PK"[..]).0;
    assert_eq!(
        zip["content"][0]["resource"],
        json!({ "uri": "openapi:get_x/answer", "mimeType": "application/zip", "blob": "UEs=" })
    );
    let (large, outcome) = answered(&plain(), 200, &[("content-type", "application/zip")], vec![0; 101]);
    assert_eq!((&large["isError"], outcome), (&json!(true), Outcome::Failed));
    assert!(large["content"][0]["text"].as_str().expect("text").contains("application/zip of 101 bytes"));
    let (long, _) = answered(&plain(), 200, &[JSON], "1".repeat(1_001));
    assert!(long["content"][0]["text"].as_str().expect("text").contains("The call was made"));
}

#[test]
fn the_next_page_is_handed_on() {
    let link = "<https://api.example/x?page=3>; rel=\"prev\",<https://api.example/x?page=5>; rel=\"next\"";
    let (result, _) = answered(&plain(), 200, &[JSON, ("link", link)], "{}");
    assert_eq!(result["_meta"]["io.tidegate/openapi"], json!({ "status": 200, "next": "page=5" }));
}
