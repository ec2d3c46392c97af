//! More calls than there are places for.

use config::{Config, Size, Span};
use demo::Server;
use serde_json::{Value, json};
use testkit::http::{Http, Reply, Request};
use testkit::{Revision, World, within};

const MODERN: &str = "2026-07-28";
/// A call that lasts until its client goes away.
const ENDLESS: &str = r#"{"seconds":3600,"steps":100000}"#;

async fn world(change: impl FnOnce(&mut Config)) -> World {
    let demo = || Server::builder().revisions(&[Revision::V2026_07_28]);
    World::builder().demo("a", demo()).demo("b", demo()).config(change).start().await
}

fn modern(http: &Http, endpoint: &str, tool: &str, arguments: &str) -> Request {
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    let params = json!({"name": tool, "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p"}});
    let call = json!({"jsonrpc": "2.0", "id": "m", "method": "tools/call", "params": params});
    let post = http.post(&testkit::harness::path(endpoint), call).header("mcp-protocol-version", MODERN);
    post.header("mcp-method", "tools/call").header("mcp-name", tool)
}

async fn echo(http: &Http, endpoint: &str) -> Reply {
    modern(http, endpoint, "echo", r#"{"text":"hi"}"#).send().await
}

/// Waits until no call has a place.
async fn idle(http: &Http) {
    let none = "tidegate_calls_running 0";
    let metrics = async || http.request(http::Method::GET, "/metrics").send().await.text().await;
    within(async { while !metrics().await.contains(none) {} }).await;
}

/// Begins a call that does not end, and waits until it runs.
async fn running(http: &Http, endpoint: &str) -> Reply {
    let mut reply = modern(http, endpoint, "slow", ENDLESS).send().await;
    within(reply.event()).await.expect("progress");
    reply
}

/// A session of 2025-06-18, by hand.
async fn session(http: &Http) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "t", "version": "1"}}});
    let reply = http.post("/a/mcp", hello).send().await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

fn legacy(http: &Http, session: &str, tool: &str, arguments: &str) -> Request {
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": "p"}});
    let call = json!({"jsonrpc": "2.0", "id": "l", "method": "tools/call", "params": params});
    http.post("/a/mcp", call).header("mcp-session-id", session)
}

/// Holds a refusal against what every one says.
async fn assert_shed(reply: Reply, id: &str, limit: &str, who: &str) {
    assert_eq!(reply.status, 503);
    let seconds: u64 = reply.header("retry-after").expect("when to retry").parse().expect("seconds");
    assert!((1..=3).contains(&seconds), "{seconds}");
    let error = within(reply.json()).await;
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!(id), &json!(-31006)), "{error}");
    let data = &error["error"]["data"];
    let said = [&data["reason"], &data["limit"], &data["who"], &data["fault"], &data["retry"]];
    assert_eq!(said, ["overloaded", limit, who, "gateway", "safe"], "{error}");
    let text = error["error"]["message"].as_str().expect("a message");
    assert!(text.contains(limit) && text.contains("nothing ran"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_limit_of_its_endpoint_a_call_is_refused_in_both_eras_and_other_endpoints_go_on() {
    let world = world(|config| {
        config.limits.calls_per_tenant_max = Some(1);
        config.limits.queue_max = 0;
    })
    .await;
    let http = Http::new(world.address());
    let session = session(&http).await;
    let held = running(&http, "a").await;
    let ran = world.demo("a").server.stats().requests_total();
    assert_shed(echo(&http, "a").await, "m", "calls_per_tenant_max", "endpoint").await;
    let refused = legacy(&http, &session, "echo", r#"{"text":"hi"}"#).send().await;
    assert_shed(refused, "l", "calls_per_tenant_max", "endpoint").await;
    assert_eq!(world.demo("a").server.stats().requests_total(), ran, "nothing ran");
    assert_eq!(echo(&http, "b").await.status, 200);
    let metrics = http.request(http::Method::GET, "/metrics").send().await.text().await;
    assert!(metrics.contains("tidegate_shed_calls_total{reason=\"queue_full\"} 2"), "{metrics}");
    assert!(metrics.contains("tidegate_calls_running 1"), "{metrics}");
    drop(held);
    within(async { while echo(&http, "a").await.status != 200 {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_its_turn_and_not_for_ever() {
    let world = world(|config| {
        config.limits.calls_max = 1;
        config.limits.queue_time_max = Span::from_millis(50);
    })
    .await;
    let http = Http::new(world.address());
    let held = running(&http, "a").await;
    assert_shed(echo(&http, "a").await, "m", "calls_per_tenant_max", "endpoint").await;
    assert_shed(echo(&http, "b").await, "m", "calls_max", "gateway").await;
    drop(held);
    within(async { while echo(&http, "b").await.status != 200 {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_listen_and_questions_that_wait_hold_no_place() {
    let world = world(|config| {
        config.limits.calls_max = 1;
        config.limits.queue_max = 0;
    })
    .await;
    let http = Http::new(world.address());
    let mut listeners = Vec::new();
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        client.watch(&[]).await.expect("it listens");
        listeners.push(client);
        // A client of 2024-11-05 has its answer a moment before its request gives its place back.
        idle(&http).await;
    }
    let session = session(&http).await;
    let mut asked = legacy(&http, &session, "confirm_order", "{}").send().await;
    let question = within(asked.event()).await.expect("a question");
    let question: Value = serde_json::from_str(&question.data).expect("JSON");
    assert_eq!(question["method"], "elicitation/create", "{question}");
    // The question is out a moment before the call gives its place back.
    idle(&http).await;
    assert_eq!(echo(&http, "a").await.status, 200);
    // The answer needs no place, and the call goes on though another one has the only one.
    let held = running(&http, "b").await;
    let result = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
    let taken = http.post("/a/mcp", answer).header("mcp-session-id", &session).send().await;
    assert_eq!(taken.status, 202);
    let mut last = Value::Null;
    while let Some(event) = within(asked.event()).await {
        last = serde_json::from_str(&event.data).unwrap_or(last);
    }
    assert_eq!(last["id"], "l", "{last}");
    assert!(last["result"]["content"].is_array(), "{last}");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_nothing_new_is_begun_until_there_is_some_again() {
    let world = world(|config| config.limits.memory_max = Some(Size::from_mib(1))).await;
    let http = Http::new(world.address());
    let refused = within(async {
        loop {
            let reply = echo(&http, "a").await;
            if reply.status != 200 {
                break reply;
            }
        }
    })
    .await;
    assert_shed(refused, "m", "memory_max", "gateway").await;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {}});
    let listen = json!({"jsonrpc": "2.0", "id": "m", "method": "subscriptions/listen",
        "params": {"notifications": {"toolsListChanged": true}, "_meta": meta}});
    let listen = http.post("/a/mcp", listen).header("mcp-protocol-version", MODERN);
    let refused = listen.header("mcp-method", "subscriptions/listen").send().await;
    assert_shed(refused, "m", "memory_max", "gateway").await;
    assert_eq!(http.get("/a/sse").send().await.status, 503);
    let metrics = http.request(http::Method::GET, "/metrics").send().await.text().await;
    assert!(metrics.contains("tidegate_memory_stage 2"), "{metrics}");
    let mut roomy = world.config.clone();
    roomy.limits.memory_max = Some(Size::from_mib(1024 * 1024));
    world.gateway().reload(&roomy).expect("it is put in force");
    within(async { while echo(&http, "a").await.status != 200 {} }).await;
}
