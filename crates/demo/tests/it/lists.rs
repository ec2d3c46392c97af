//! Content that is the same everywhere, and how it differs where it cannot be.

use demo::{Listing, Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Served, within};

fn keys(value: &Value) -> String {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys.join(" ")
}

#[tokio::test]
async fn a_tool_shows_what_its_revision_can_express() {
    let served = Served::all().await;
    let mut seen = Vec::new();
    for revision in Revision::LEGACY {
        let session = served.initialize(revision, json!({})).await;
        let result = session.ask("tools/list", json!({})).await;
        let add =
            result["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "add").unwrap().clone();
        let sum = session.ask("tools/call", json!({ "name": "add", "arguments": { "a": 2, "b": 3 } })).await;
        assert_eq!(sum["content"][0]["text"], r#"{"sum":5}"#);
        seen.push(format!("{} | {} | {}", keys(&result), keys(&add), keys(&sum)));
    }
    let tool = "description inputSchema name";
    assert_eq!(
        seen,
        [
            format!("tools | {tool} | content"),
            format!("tools | annotations {tool} | content"),
            format!("tools | annotations {tool} outputSchema title | content structuredContent"),
            format!("tools | annotations {tool} outputSchema title | content structuredContent"),
        ]
    );
    let result = served.ask_modern("tools/list", json!({})).await;
    assert_eq!(keys(&result), "_meta cacheScope resultType tools ttlMs");
    let sum =
        served.ask_modern("tools/call", json!({ "name": "add", "arguments": { "a": 0.5, "b": 1 } })).await;
    assert_eq!(sum["structuredContent"], json!({ "sum": 1.5 }));
    assert_eq!(keys(&sum), "_meta content resultType structuredContent");
}

#[tokio::test]
async fn pages_have_all_entries_once_and_in_order() {
    let builder = || Server::builder().extra_tools(25).page_size(10);
    for builder in [builder(), builder().empty_cursor(true)] {
        let served = Served::new(builder.clone()).await;
        let whole = Served::new(builder.page_size(1_000)).await;
        let whole = whole.ask_modern("tools/list", json!({})).await["tools"].clone();
        let session = served.initialize(Revision::V2025_06_18, json!({})).await;
        let (mut modern, mut legacy) = (Vec::new(), Vec::new());
        let mut cursors = Vec::new();
        let mut params = json!({});
        loop {
            let page = served.ask_modern("tools/list", params.clone()).await;
            modern.extend(page["tools"].as_array().unwrap().clone());
            let old = session.ask("tools/list", params.clone()).await;
            legacy.extend(old["tools"].as_array().unwrap().iter().map(|tool| tool["name"].clone()));
            assert_eq!(page.get("nextCursor"), old.get("nextCursor"));
            let Some(cursor) = page.get("nextCursor") else { break };
            cursors.push(cursor.as_str().unwrap().to_owned());
            params = json!({ "cursor": cursor });
        }
        assert_eq!(json!(modern), whole);
        assert_eq!(legacy, modern.iter().map(|tool| tool["name"].clone()).collect::<Vec<_>>());
        assert_eq!(cursors.len(), (modern.len() - 1) / 10);
    }
}

#[tokio::test]
async fn the_empty_string_can_be_a_cursor() {
    let served = Served::new(Server::builder().page_size(2).empty_cursor(true)).await;
    let first = served.ask_modern("prompts/list", json!({})).await;
    assert_eq!(first["nextCursor"], "");
    let second = served.ask_modern("prompts/list", json!({ "cursor": "" })).await;
    assert_eq!(second["prompts"][0]["name"], "plan");
    assert_eq!(second.get("nextCursor"), None);
}

#[tokio::test]
async fn a_cursor_of_another_list_or_of_nobody_is_refused() {
    let served = Served::new(Server::builder().page_size(2)).await;
    let cursor = served.ask_modern("tools/list", json!({})).await["nextCursor"].clone();
    for (method, cursor) in [
        ("prompts/list", cursor),
        ("tools/list", json!("")),
        ("tools/list", json!("x.y")),
        ("tools/list", json!(2)),
    ] {
        let mut response = served.modern(method, json!({ "cursor": cursor }), json!({})).send().await;
        assert_eq!(response.json().await["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn resources_are_read_and_missing_ones_named() {
    let served = Served::new(Server::builder().clock(|| 0)).await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    for (uri, member, start) in [
        ("demo://readme", "text", "# A demo server"),
        ("demo://logo", "blob", "iVBORw0KGgo"),
        ("demo://clock", "text", "1970-01-01T00:00:00Z"),
        ("demo://notes/apples", "text", "A note about apples."),
    ] {
        let legacy = session.ask("resources/read", json!({ "uri": uri })).await;
        assert!(legacy["contents"][0][member].as_str().unwrap().starts_with(start), "{legacy}");
        let modern = served.ask_modern("resources/read", json!({ "uri": uri })).await;
        assert_eq!(modern["contents"], legacy["contents"]);
        assert_eq!(modern["ttlMs"], if uri == "demo://clock" { 0 } else { 300_000 });
    }
    let missing = json!({ "uri": "demo://nothing" });
    let mut response = session.request(1, "resources/read", missing.clone()).await;
    let error = response.json().await["error"].clone();
    assert_eq!((&error["code"], &error["data"]), (&json!(-32002), &missing));
    let mut response = served.modern("resources/read", missing.clone(), json!({})).send().await;
    let error = response.json().await["error"].clone();
    assert_eq!((&error["code"], &error["data"]), (&json!(-32602), &missing));
}

#[tokio::test]
async fn prompts_fill_in_their_arguments() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2024_11_05, json!({})).await;
    let greet = |arguments: Value| json!({ "name": "greet", "arguments": arguments });
    let result = session.ask("prompts/get", greet(json!({ "name": "Ada", "language": "french" }))).await;
    assert_eq!(result["messages"][0]["content"]["text"], "Bonjour, Ada!");
    for params in [greet(json!({})), greet(json!({ "name": "Ada", "language": "x" })), json!({ "name": "x" })]
    {
        let mut response = session.request(1, "prompts/get", params).await;
        assert_eq!(response.json().await["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn completions_start_with_what_was_typed() {
    let served = Served::all().await;
    let complete = |reference: Value, name: &str, value: &str| {
        let params = json!({ "ref": reference, "argument": { "name": name, "value": value } });
        let served = &served;
        async move { served.ask_modern("completion/complete", params).await["completion"].clone() }
    };
    let greet = json!({ "type": "ref/prompt", "name": "greet" });
    let found = complete(greet.clone(), "name", "A").await;
    assert_eq!(found, json!({ "hasMore": false, "total": 2, "values": ["Ada", "Alan"] }));
    assert_eq!(complete(greet, "language", "g").await["values"], json!(["german"]));
    let notes = json!({ "type": "ref/resource", "uri": "demo://notes/{id}" });
    assert_eq!(complete(notes, "id", "ap").await["values"], json!(["apples", "apricots"]));
    let params =
        json!({ "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "" } });
    let mut response = served.modern("completion/complete", params, json!({})).send().await;
    assert_eq!(response.json().await["error"]["code"], -32602);
}

#[tokio::test]
async fn errors_come_as_results_or_as_errors_as_asked() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_06_18, json!({})).await;
    let failed = session.ask("tools/call", json!({ "name": "fail", "arguments": { "message": "no" } })).await;
    assert_eq!(failed, json!({ "content": [{ "type": "text", "text": "no" }], "isError": true }));
    let wrong = session.ask("tools/call", json!({ "name": "echo", "arguments": { "text": 5 } })).await;
    assert_eq!(wrong["isError"], true);
    let mut response = session.call("rpc_error", json!({ "code": 77, "message": "hm" })).await;
    let error = json!({ "code": 77, "message": "hm", "data": { "tool": "rpc_error" } });
    assert_eq!(response.json().await["error"], error);
    for params in [json!({ "name": "nothing" }), json!({}), json!({ "name": "echo", "arguments": [] })] {
        let mut response = session.request(1, "tools/call", params).await;
        assert_eq!(response.json().await["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn the_size_of_a_result_can_be_chosen() {
    let served = Served::all().await;
    for bytes in [0, 1, 100_000, 5_000_000] {
        let result =
            served.ask_modern("tools/call", json!({ "name": "big", "arguments": { "bytes": bytes } })).await;
        assert_eq!(result["content"][0]["text"].as_str().unwrap().len(), bytes);
    }
}

#[tokio::test]
async fn the_counter_counts_over_all_clients_and_survives_a_restart() {
    let mut served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let counter = json!({ "name": "counter", "arguments": {} });
    assert_eq!(session.ask("tools/call", counter.clone()).await["structuredContent"], json!({ "count": 1 }));
    assert_eq!(
        served.ask_modern("tools/call", counter.clone()).await["structuredContent"],
        json!({ "count": 2 })
    );
    served.kill().await;
    assert_eq!(served.server.stats().sessions(), 0);
    let again = Served::of(served.server.clone()).await;
    assert_eq!(again.ask_modern("tools/call", counter).await["structuredContent"], json!({ "count": 3 }));
    assert_eq!(again.server.counter(), 3);
}

#[tokio::test]
async fn a_toggled_entry_is_there_until_it_is_toggled_again() {
    let served = Served::all().await;
    for (listing, what, method) in [
        (Listing::Tools, "tools", "tools/list"),
        (Listing::Resources, "resources", "resources/list"),
        (Listing::Prompts, "prompts", "prompts/list"),
    ] {
        let there = async || {
            let list = served.ask_modern(method, json!({})).await;
            list[what].as_array().unwrap().iter().any(|entry| entry["name"] == "extra")
        };
        assert!(!there().await);
        assert!(served.server.toggle(listing));
        assert!(there().await);
        served.ask_modern("tools/call", json!({ "name": "toggle", "arguments": { "what": what } })).await;
        assert!(!there().await);
    }
}

#[tokio::test]
async fn statistics_show_what_arrived() {
    let served = Served::all().await;
    let stats = served.server.stats();
    let request =
        served.modern("tools/call", json!({ "name": "echo", "arguments": { "text": "x" } }), json!({}));
    request.header("X-Secret", "1").send().await.json().await;
    assert_eq!(
        (stats.requests("tools/call"), stats.requests("tools/list"), stats.requests_total()),
        (1, 0, 1)
    );
    let seen = stats.last("tools/call").unwrap();
    assert_eq!(seen.headers["x-secret"], "1");
    assert_eq!(stats.last_headers()["mcp-name"], "echo");
    assert_eq!(seen.message["params"]["arguments"], json!({ "text": "x" }));
    assert_eq!((stats.http_requests(), stats.connections_accepted()), (1, 1));
    within(stats.wait_until(|stats| stats.connections_open() == 0 && stats.calls_running() == 0)).await;
    assert_eq!(stats.cancelled(), Vec::<String>::new());
}
