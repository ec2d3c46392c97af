//! 2026-07-28 over HTTP.

use demo::{CacheScope, Listing, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Served, modern_message, within};

fn echo() -> Value {
    json!({ "name": "echo", "arguments": { "text": "x" } })
}

#[tokio::test]
async fn discover_tells_what_there_is() {
    let served =
        Served::new(Server::builder().name("other").ttl_ms(5).cache_scope(CacheScope::Private)).await;
    let result = served.ask_modern("server/discover", json!({})).await;
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["capabilities"]["resources"], json!({ "subscribe": true, "listChanged": true }));
    assert_eq!((&result["ttlMs"], &result["cacheScope"]), (&json!(5), &json!("private")));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "other");
    assert!(result["instructions"].is_string());
}

#[tokio::test]
async fn headers_have_to_agree_with_the_body() {
    let served = Served::all().await;
    let good = served.modern("tools/call", echo(), json!({}));
    assert_eq!(good.clone().send().await.status, 200);
    assert_eq!(good.clone().replace("Mcp-Name", "=?base64?ZWNobw==?=").send().await.status, 200);
    for request in [
        good.clone().without("MCP-Protocol-Version"),
        good.clone().header("MCP-Protocol-Version", "2026-07-28"),
        good.clone().replace("MCP-Protocol-Version", "2025-11-25"),
        good.clone().without("Mcp-Method"),
        good.clone().replace("Mcp-Method", "tools/list"),
        good.clone().replace("Mcp-Method", "TOOLS/CALL"),
        good.clone().without("Mcp-Name"),
        good.clone().replace("Mcp-Name", "Echo"),
        good.clone().replace("Mcp-Name", "=?base64?%%?="),
        good.clone().header("Mcp-Name", "echo"),
    ] {
        let mut response = request.send().await;
        assert_eq!(response.status, 400);
        let answer = response.json().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(-32020), &json!("m")), "{answer}");
    }
}

#[tokio::test]
async fn a_mirrored_argument_needs_its_header() {
    let served = Served::all().await;
    let call = |arguments: Value| {
        served.modern("tools/call", json!({ "name": "lookup_region", "arguments": arguments }), json!({}))
    };
    let eu = call(json!({ "region": "eu" }));
    let mut response = eu.clone().header("Mcp-Param-Region", "eu").send().await;
    assert_eq!(response.json().await["result"]["content"][0]["text"], "eu is in Frankfurt.");
    let mut absent = call(json!({})).send().await;
    assert_eq!(absent.json().await["result"]["isError"], true);
    for request in [
        eu.clone(),
        eu.clone().header("Mcp-Param-Region", "us"),
        eu.clone().header("Mcp-Param-Region", "eu").header("Mcp-Param-Region", "eu"),
        call(json!({})).header("Mcp-Param-Region", "eu"),
    ] {
        let mut response = request.send().await;
        assert_eq!(response.status, 400);
        assert_eq!(response.json().await["error"]["code"], -32020);
    }
}

#[tokio::test]
async fn metadata_has_to_be_complete_and_the_version_spoken() {
    let served = Served::all().await;
    let send = async |version: &str, edit: fn(&mut Value)| {
        let mut message = modern_message("tools/list", json!({}), json!({}));
        edit(&mut message["params"]["_meta"]);
        let request = served.post("/mcp", message).header("MCP-Protocol-Version", version);
        let mut response = request.header("Mcp-Method", "tools/list").send().await;
        (response.status, response.json().await["error"].clone())
    };
    for edit in [
        (|meta| *meta = json!({})) as fn(&mut Value),
        |meta| drop(meta.as_object_mut().unwrap().remove("io.modelcontextprotocol/protocolVersion")),
        |meta| drop(meta.as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities")),
        |meta| meta["io.modelcontextprotocol/clientCapabilities"] = json!([]),
    ] {
        let (status, error) = send("2026-07-28", edit).await;
        assert_eq!((status, &error["code"]), (400, &json!(-32602)));
    }
    let (status, error) =
        send("2099-01-01", |meta| meta["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01"))
            .await;
    assert_eq!((status, &error["code"]), (400, &json!(-32022)));
    assert_eq!(error["data"], json!({ "supported": ["2026-07-28"], "requested": "2099-01-01" }));
    let (_, error) =
        send("2025-11-25", |meta| meta["io.modelcontextprotocol/protocolVersion"] = json!("2025-11-25"))
            .await;
    assert_eq!(error["code"], -32022);
}

#[tokio::test]
async fn methods_that_are_gone_are_not_found() {
    let served = Served::all().await;
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "tasks/list", "nonsense"]
    {
        let mut response = served.modern(method, json!({}), json!({})).send().await;
        assert_eq!(response.status, 404);
        assert_eq!(response.json().await["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn progress_and_logs_come_on_the_stream_of_the_request_if_asked_for() {
    let served = Served::all().await;
    let slow = json!({ "name": "slow", "arguments": { "seconds": 0, "steps": 2 } });
    assert!(!served.modern("tools/call", slow.clone(), json!({})).send().await.streams());
    let mut with_token = slow;
    with_token["_meta"]["progressToken"] = json!(7);
    let messages = served.modern("tools/call", with_token, json!({})).send().await.rest().await;
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1]["params"]["progressToken"], 7);
    assert_eq!(messages[2]["id"], "m");

    let log = json!({ "name": "log_something" });
    assert!(!served.modern("tools/call", log.clone(), json!({})).send().await.streams());
    let mut with_level = log;
    with_level["_meta"]["io.modelcontextprotocol/logLevel"] = json!("critical");
    let messages = served.modern("tools/call", with_level, json!({})).send().await.rest().await;
    let levels: Vec<_> = messages.iter().filter_map(|message| message["params"]["level"].as_str()).collect();
    assert_eq!(levels, ["critical", "alert", "emergency"]);
}

#[tokio::test]
async fn closing_the_connection_cancels_the_request() {
    let served = Served::all().await;
    let stats = served.server.stats();
    let params = json!({
        "name": "slow",
        "arguments": { "seconds": 1200, "steps": 1_000_000 },
        "_meta": { "progressToken": "t" },
    });
    let mut response = served.modern("tools/call", params, json!({})).send().await;
    assert!(response.next().await.is_some());
    assert_eq!(stats.calls_running(), 1);
    drop(response);
    within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
    assert_eq!(stats.cancelled(), ["slow"]);

    // Before anything came back, too.
    let params = json!({ "name": "slow", "arguments": { "seconds": 600, "steps": 1 } });
    let request = tokio::spawn(served.modern("tools/call", params, json!({})).send());
    within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
    request.abort();
    within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
    assert_eq!(stats.cancelled(), ["slow", "slow"]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_no_answer() {
    let served = Served::all().await;
    let params = json!({
        "name": "slow",
        "arguments": { "seconds": 0, "steps": 3, "drop_stream": true },
        "_meta": { "progressToken": "t" },
    });
    let messages = served.modern("tools/call", params, json!({})).send().await.rest().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["params"]["progress"], 1);
}

#[tokio::test]
async fn a_listener_gets_what_it_asked_for_and_nothing_else() {
    let served = Served::all().await;
    let filter = json!({
        "toolsListChanged": true,
        "promptsListChanged": false,
        "resourceSubscriptions": ["demo://clock"],
        "somethingElse": true,
    });
    let params = json!({ "notifications": filter });
    let mut stream = served.modern("subscriptions/listen", params, json!({})).send().await;
    let acknowledged = stream.next().await.unwrap();
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    assert_eq!(
        acknowledged["params"],
        json!({
            "notifications": { "toolsListChanged": true, "resourceSubscriptions": ["demo://clock"] },
            "_meta": { "io.modelcontextprotocol/subscriptionId": "m" },
        })
    );
    assert_eq!(served.server.stats().streams_open(), 1);
    served.server.toggle(Listing::Prompts);
    served.server.touch("demo://readme");
    served.server.touch("demo://clock");
    let updated = stream.next().await.unwrap();
    assert_eq!(updated["method"], "notifications/resources/updated");
    assert_eq!(updated["params"]["uri"], "demo://clock");
    assert_eq!(updated["params"]["_meta"], acknowledged["params"]["_meta"]);
    served.ask_modern("tools/call", json!({ "name": "toggle" })).await;
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
    drop(stream);
    within(served.server.stats().wait_until(|stats| stats.streams_open() == 0)).await;
}

#[tokio::test]
async fn a_server_that_stops_ends_its_listeners_in_order_and_one_that_dies_does_not() {
    let listen = json!({ "notifications": { "toolsListChanged": true } });
    let mut served = Served::all().await;
    let mut stream = served.modern("subscriptions/listen", listen.clone(), json!({})).send().await;
    assert!(stream.next().await.is_some());
    served.stop().await;
    let last = stream.next().await.unwrap();
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("m"), &json!("complete")));
    assert_eq!(last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "m");
    assert_eq!(stream.next().await, None);

    let mut served = Served::all().await;
    let mut stream = served.modern("subscriptions/listen", listen.clone(), json!({})).send().await;
    assert!(stream.next().await.is_some());
    served.kill().await;
    assert_eq!(stream.next().await, None);

    let served = Served::all().await;
    let mut stream = served.modern("subscriptions/listen", listen, json!({})).send().await;
    assert!(stream.next().await.is_some());
    served.server.drop_streams();
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_quiet_stream_gets_comments() {
    let served = Served::new(Server::builder().keep_alive(std::time::Duration::from_millis(1))).await;
    let listen = json!({ "notifications": {} });
    let mut stream = served.modern("subscriptions/listen", listen, json!({})).send().await;
    stream.next().await.unwrap();
    assert!(stream.comment().await);
}

#[tokio::test]
async fn listening_has_limits() {
    let served = Served::new(Server::builder().streams_max(1)).await;
    let listen =
        |filter: Value| served.modern("subscriptions/listen", json!({ "notifications": filter }), json!({}));
    let first = listen(json!({})).send().await;
    assert!(first.streams());
    assert_eq!(listen(json!({})).send().await.json().await["error"]["code"], -32603);
    drop(first);
    within(served.server.stats().wait_until(|stats| stats.streams_open() == 0)).await;
    let many: Vec<_> = (0..1_001).map(|n| format!("demo://notes/{n}")).collect();
    for filter in [json!(7), json!({ "toolsListChanged": "yes" }), json!({ "resourceSubscriptions": many })] {
        assert_eq!(listen(filter).send().await.json().await["error"]["code"], -32602);
    }
}

#[tokio::test]
async fn a_notification_is_accepted_and_a_response_refused() {
    let served = Served::speaking(&[demo::Revision::V2026_07_28]).await;
    let notification = json!({ "jsonrpc": "2.0", "method": "notifications/x" });
    assert_eq!(served.post("/mcp", notification).send().await.status, 202);
    let response = json!({ "jsonrpc": "2.0", "id": 1, "result": {} });
    assert_eq!(served.post("/mcp", response).send().await.status, 400);
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }]);
    let mut response = served.post("/mcp", batch).send().await;
    assert_eq!((response.status, &response.json().await["error"]["code"]), (400, &json!(-32600)));
}
