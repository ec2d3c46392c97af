//! Bad input and limits.

use demo::{Revision, Server};
use serde_json::json;
use tidegate_demo as demo;

use crate::client::Served;

#[tokio::test]
async fn foreign_hosts_and_origins_are_turned_away_first() {
    let served = Served::all().await;
    let good = served.modern("tools/list", json!({}), json!({}));
    assert_eq!(good.clone().header("Origin", "http://localhost:5173").send().await.status, 200);
    for request in [
        good.clone().replace("Host", "evil.example"),
        good.clone().header("Origin", "https://evil.example"),
        good.clone().header("Origin", "null"),
        served.get("/sse").replace("Host", "evil.example:80"),
    ] {
        assert_eq!(request.send().await.status, 403);
    }
}

#[tokio::test]
async fn a_request_has_to_say_what_it_sends_and_takes() {
    let served = Served::all().await;
    let good = served.modern("tools/list", json!({}), json!({}));
    assert_eq!(
        good.clone().replace("Content-Type", "application/json; charset=utf-8").send().await.status,
        200
    );
    assert_eq!(good.clone().replace("Accept", "*/*").send().await.status, 200);
    assert_eq!(good.clone().replace("Content-Type", "text/plain").send().await.status, 415);
    assert_eq!(good.clone().without("Content-Type").send().await.status, 415);
    for accept in ["application/json", "text/event-stream", "text/html"] {
        assert_eq!(good.clone().replace("Accept", accept).send().await.status, 406);
    }
    assert_eq!(good.clone().without("Accept").send().await.status, 406);
    assert_eq!(served.get("/mcp").replace("Accept", "application/json").send().await.status, 406);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let served = Served::new(Server::builder().body_bytes_max(2_000)).await;
    let call = |bytes: usize| {
        let params = json!({ "name": "echo", "arguments": { "text": "x".repeat(bytes) } });
        served.modern("tools/call", params, json!({}))
    };
    assert_eq!(call(1_000).send().await.status, 200);
    assert_eq!(call(100_000).send().await.status, 413);
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_every_era() {
    let deep = "[".repeat(100_000);
    for revisions in [&Revision::ALL[..], &Revision::LEGACY, &[Revision::V2026_07_28]] {
        let served = Served::speaking(revisions).await;
        for (body, code) in [
            ("", -32700),
            ("{", -32700),
            (deep.as_str(), -32700),
            ("\"\\ud800\"", -32700),
            ("null", -32600),
            ("{}", -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"x"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":7}"#, -32600),
        ] {
            let mut response = served.post("/mcp", body).send().await;
            assert_eq!(response.status, 400, "{body:.20}");
            let answer = response.json().await;
            assert_eq!(answer["error"]["code"], code);
            let has_id = answer.as_object().unwrap().contains_key("id");
            assert_eq!(has_id, revisions == Revision::LEGACY || body.contains("\"id\":1"), "{answer}");
        }
    }
}

#[tokio::test]
async fn odd_parameters_are_errors_and_not_panics() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let odd = [json!(null), json!(-1), json!(1e300), json!("\u{0}"), json!([]), json!({ "a": [{}] })];
    for method in [
        "tools/list",
        "tools/call",
        "resources/list",
        "resources/read",
        "resources/subscribe",
        "prompts/get",
        "completion/complete",
        "logging/setLevel",
        "subscriptions/listen",
        "server/discover",
    ] {
        for value in &odd {
            let params = json!({
                "name": value, "uri": value, "cursor": value, "arguments": value, "ref": value,
                "argument": value,
                "level": value, "notifications": value, "requestState": value, "inputResponses": value,
            });
            let answer = session.request(1, method, params.clone()).await.status;
            assert_eq!(answer, 200, "{method}");
            let response = served.modern(method, params, json!({})).send().await;
            assert!([200, 400, 404].contains(&response.status), "{method}");
        }
    }
    for tool in
        ["slow", "big", "add", "confirm_order", "log_something", "toggle", "touch", "rpc_error", "open_page"]
    {
        for value in &odd[1..] {
            let arguments = json!({
                "seconds": value, "steps": value, "bytes": value, "a": value, "b": value, "rounds": value,
                "level": value, "what": value, "uri": value, "code": value, "via": value,
            });
            let mut response = session.call(tool, arguments).await;
            let answer = response.json().await;
            let sensible = answer["result"]["isError"] == true || answer.get("error").is_some();
            assert!(sensible || tool == "touch" || tool == "add", "{tool} {value} {answer}");
        }
    }
}

#[tokio::test]
async fn unknown_paths_and_verbs_are_refused() {
    let served = Served::all().await;
    assert_eq!(served.get("/").send().await.status, 404);
    assert_eq!(served.post("/mcp/", json!({})).send().await.status, 404);
    let put = crate::client::Request::new(served.address, "PUT", "/mcp").send().await;
    assert_eq!((put.status, put.header("allow")), (405, Some("GET, POST, DELETE")));
}
