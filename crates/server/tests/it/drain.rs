//! What a drain means for those who wait.

use config::Span;
use demo::Server;
use http::Method;
use serde_json::{Value, json};
use testkit::http::{Http, Request};
use testkit::{World, within};
use tidegate_server::Phase;

const MODERN: &str = "2026-07-28";

fn call(http: &Http, tool: &str, arguments: &Value) -> Request {
    let params = json!({"name": tool, "arguments": arguments, "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p"}});
    let call = json!({"jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": params});
    let post = http.post("/a/mcp", call).header("mcp-protocol-version", MODERN);
    post.header("mcp-method", "tools/call").header("mcp-name", tool)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_never_had_its_turn_is_told_that_nothing_ran_and_one_that_had_that_it_may_have() {
    let world = World::builder().demo("a", Server::builder()).config(|config| {
        config.limits.calls_max = 1;
        config.limits.queue_time_max = Span::from_mins(10);
        config.drain_timeout = Span::from_millis(50);
    });
    let world = world.start().await;
    let http = Http::new(world.address());
    let slow = json!({"seconds": 3600, "steps": 100_000});
    let mut held = call(&http, "slow", &slow).send().await;
    within(held.event()).await.expect("progress");
    let waits = tokio::spawn(call(&http, "echo", &json!({"text": "hi"})).send());
    let waiting = async || {
        let metrics = http.request(Method::GET, "/metrics").send().await.text().await;
        metrics.contains("tidegate_calls_waiting 1")
    };
    within(async { while !waiting().await {} }).await;
    world.stop().await;
    let reply = within(waits).await.expect("an answer");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    let error = reply.json().await;
    assert_eq!(error["id"], "echo", "{error}");
    let data = &error["error"]["data"];
    assert_eq!([&data["reason"], &data["retry"]], ["draining", "safe"], "{error}");
    let mut last = Value::Null;
    while let Some(event) = within(held.event()).await {
        last = serde_json::from_str(&event.data).unwrap_or(last);
    }
    assert_eq!(last["error"]["data"]["retry"], "may_have_run", "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_process_hears_of_the_drain_as_it_begins() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let app = std::sync::Arc::clone(world.gateway().app());
    assert!(app.has_reached(Phase::Serving) && !app.has_reached(Phase::Leaving));
    let heard = tokio::spawn({
        let app = std::sync::Arc::clone(&app);
        async move { app.draining().await }
    });
    world.stop().await;
    within(heard).await.expect("it hears of it");
    assert!(app.has_reached(Phase::Over));
}
