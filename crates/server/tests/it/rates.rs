//! Limits of what callers may do, as clients meet them.

use config::Rate;
use demo::Server;
use serde_json::{Value, json};
use testkit::http::{Http, Reply, Request};
use testkit::{Revision, World, within};

const MODERN: &str = "2026-07-28";
const DEMOS: &str = "upstreams: {a: {url: 'http://a'}, b: {url: 'http://b'}}";

/// Limits, as an operator writes them.
fn rates(text: &str) -> Vec<Rate> {
    config::load_str(&format!("{DEMOS}\nrates: [{text}]"), "f").expect("a configuration").rates
}

async fn world(text: &str) -> World {
    let demo = || Server::builder().revisions(&[Revision::V2026_07_28]);
    let rates = rates(text);
    World::builder().demo("a", demo()).demo("b", demo()).config(|config| config.rates = rates).start().await
}

fn modern(http: &Http, endpoint: &str, method: &str, mut params: Value) -> Request {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "progressToken": "p"});
    let name = params["name"].as_str().map(str::to_owned);
    let call = json!({"jsonrpc": "2.0", "id": "m", "method": method, "params": params});
    let post = http.post(&testkit::harness::path(endpoint), call).header("mcp-protocol-version", MODERN);
    let post = post.header("mcp-method", method);
    name.into_iter().fold(post, |post, name| post.header("mcp-name", name))
}

async fn echo(http: &Http, endpoint: &str) -> Reply {
    let tool = if endpoint == "mcp" { "a_echo" } else { "echo" };
    modern(http, endpoint, "tools/call", json!({"name": tool, "arguments": {"text": "hi"}})).send().await
}

/// Holds a refusal against what every one says. Its data.
async fn assert_limited(reply: Reply, rule: &str, reason: &str) -> Value {
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.header("retry-after").expect("when to come again").parse().expect("seconds");
    let error = within(reply.json()).await["error"].clone();
    let data = error["data"].clone();
    assert_eq!(error["code"], -31006, "{error}");
    let said = [&data["reason"], &data["limit"], &data["fault"], &data["retry"]];
    assert_eq!(said, [reason, rule, "client", "safe"], "{error}");
    assert_eq!(data["retryAfterMs"].as_u64().expect("a time").div_ceil(1_000), seconds, "{error}");
    let text = error["message"].as_str().expect("a message");
    assert!(text.contains(rule) && text.contains("nothing ran"), "{text}");
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_over_a_rate_is_refused_before_anything_runs_and_others_go_on() {
    let world = world("{name: few, match: {upstreams: [a]}, per: [tool], rate: 2/1d, burst: 2}").await;
    let http = Http::new(world.address());
    for endpoint in ["a", "mcp"] {
        assert_eq!(echo(&http, endpoint).await.status, 200);
    }
    let ran = world.demo("a").server.stats().requests_total();
    let data = assert_limited(echo(&http, "a").await, "few", "rate_limited").await;
    assert_eq!(data["scope"], json!({"upstream": "a", "tool": "echo"}));
    assert_limited(echo(&http, "mcp").await, "few", "rate_limited").await;
    assert_eq!(world.demo("a").server.stats().requests_total(), ran, "nothing reached the server");
    assert_eq!(echo(&http, "b").await.status, 200);
    let other = json!({"name": "add", "arguments": {"a": 1, "b": 2}});
    assert_eq!(modern(&http, "a", "tools/call", other).send().await.status, 200, "it is another tool");
    assert_eq!(modern(&http, "a", "tools/list", json!({})).send().await.status, 200, "lists are not counted");
    let metrics = http.get("/metrics").send().await.text().await;
    assert!(metrics.contains("tidegate_limited_requests_total{rule=\"few\"} 2"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_legacy_client_is_refused_in_the_same_words() {
    let world = world("{name: few, rate: 1/1d, burst: 1}").await;
    let http = Http::new(world.address());
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let session = http.post("/a/mcp", hello).send().await.header("mcp-session-id").expect("one").to_owned();
    let call = async || {
        let params = json!({"name": "echo", "arguments": {"text": "hi"}});
        let call = json!({"jsonrpc": "2.0", "id": "l", "method": "tools/call", "params": params});
        http.post("/a/mcp", call).header("mcp-session-id", &session).send().await
    };
    assert_eq!(call().await.status, 200);
    assert_limited(call().await, "few", "rate_limited").await;
    let list = json!({"jsonrpc": "2.0", "id": "l", "method": "tools/list"});
    let list = http.post("/a/mcp", list).header("mcp-session-id", &session).send().await;
    assert_eq!(list.status, 200, "lists are not counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_counts_among_those_that_run_until_its_answer_is_all_there() {
    let world = world("{name: one, concurrency: 1}").await;
    let http = Http::new(world.address());
    let endless = json!({"name": "slow", "arguments": {"seconds": 3600, "steps": 100_000}});
    let mut held = modern(&http, "a", "tools/call", endless).send().await;
    within(held.event()).await.expect("progress");
    assert_limited(echo(&http, "a").await, "one", "concurrency_limited").await;
    drop(held);
    within(async {
        while echo(&http, "a").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_counts_what_calls_cost_or_how_much_comes_back() {
    let costs = "{name: costs, match: {upstreams: [a]}, quota: {cost: 25, per: month}, \
                 costs: [{tools: 'ec*', cost: 10}, {tools: add, cost: 0}]}";
    let world = world(&format!(
        "{costs}, {{name: bytes, match: {{upstreams: [b]}}, quota: {{bytes: 1KiB, per: day}}}}"
    ))
    .await;
    let http = Http::new(world.address());
    for _ in 0..2 {
        assert_eq!(echo(&http, "a").await.status, 200);
    }
    assert_limited(echo(&http, "a").await, "costs", "quota_spent").await;
    let free = json!({"name": "add", "arguments": {"a": 1, "b": 2}});
    assert_eq!(modern(&http, "a", "tools/call", free).send().await.status, 200, "it is free");
    let mut passed = 0;
    loop {
        let reply = echo(&http, "b").await;
        if reply.status == 429 {
            assert_limited(reply, "bytes", "quota_spent").await;
            break;
        }
        passed += within(reply.json()).await["result"].to_string().len();
        assert!(passed < 3_000, "it never ends");
    }
    assert!(passed > 500, "{passed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_count_where_a_limit_names_them() {
    let world = world("{name: lists, match: {methods: [tools/list]}, rate: 1/1d, burst: 1}").await;
    let http = Http::new(world.address());
    assert_eq!(modern(&http, "a", "tools/list", json!({})).send().await.status, 200);
    let refused = modern(&http, "a", "tools/list", json!({})).send().await;
    assert_limited(refused, "lists", "rate_limited").await;
    assert_eq!(echo(&http, "a").await.status, 200);
}
