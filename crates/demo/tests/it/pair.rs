//! HTTP+SSE, the transport of 2024-11-05.

use demo::Revision;
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Response, Served, initialize_message, within};

struct Pair<'a> {
    served: &'a Served,
    stream: Response,
    path: String,
}

impl<'a> Pair<'a> {
    async fn open(served: &'a Served) -> Self {
        let mut stream = served.get("/sse").send().await;
        let endpoint = stream.event().await.unwrap();
        assert_eq!(endpoint.name.as_deref(), Some("endpoint"));
        Self { served, stream, path: endpoint.data }
    }

    async fn send(&self, message: Value) {
        assert_eq!(self.served.post(&self.path, message).send().await.status, 202);
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.send(message).await;
        self.stream.next().await.unwrap()
    }

    async fn initialize(&mut self, version: &str) -> Value {
        let answer = self.ask(initialize_message(version, json!({ "roots": {} }))).await;
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer["result"].clone()
    }
}

#[tokio::test]
async fn everything_to_the_client_comes_on_the_one_stream() {
    let served = Served::speaking(&[Revision::V2024_11_05]).await;
    let mut pair = Pair::open(&served).await;
    assert_eq!(pair.initialize("2025-06-18").await["protocolVersion"], "2024-11-05");
    let list = pair.ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    assert!(list["result"]["tools"].as_array().unwrap().len() > 10);
    served.server.toggle(demo::Listing::Tools);
    assert_eq!(pair.stream.next().await.unwrap()["method"], "notifications/tools/list_changed");

    let call =
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "list_my_roots" } });
    let asked = pair.ask(call).await;
    assert_eq!(asked["method"], "roots/list");
    let answer =
        json!({ "jsonrpc": "2.0", "id": asked["id"], "result": { "roots": [{ "uri": "file:///r" }] } });
    let answer = pair.ask(answer).await;
    assert_eq!(answer["id"], 2);
    assert_eq!(answer["result"]["content"][0]["text"], "The roots: file:///r");
}

#[tokio::test]
async fn progress_comes_before_the_answer() {
    let served = Served::all().await;
    let mut pair = Pair::open(&served).await;
    pair.initialize("2024-11-05").await;
    let params = json!({
        "name": "slow",
        "arguments": { "seconds": 0, "steps": 2, "drop_stream": true },
        "_meta": { "progressToken": 1 },
    });
    let first =
        pair.ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await;
    assert_eq!(
        first["params"],
        json!({ "progressToken": 1, "progress": 1, "total": 2 }),
        "no words yet in 2024"
    );
    assert_eq!(pair.stream.next().await.unwrap()["params"]["progress"], 2);
    assert_eq!(pair.stream.next().await.unwrap()["id"], 1);
}

#[tokio::test]
async fn a_pair_can_agree_on_a_newer_revision() {
    let served = Served::all().await;
    let mut pair = Pair::open(&served).await;
    assert_eq!(pair.initialize("2025-03-26").await["protocolVersion"], "2025-03-26");
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]);
    assert_eq!(pair.ask(batch).await, json!([{ "jsonrpc": "2.0", "id": 1, "result": {} }]));
}

#[tokio::test]
async fn a_modern_request_is_an_unknown_method() {
    let served = Served::all().await;
    let mut pair = Pair::open(&served).await;
    let answer = pair.ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover" })).await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn a_closed_stream_ends_the_session_and_its_calls() {
    let served = Served::all().await;
    let stats = served.server.stats();
    let mut pair = Pair::open(&served).await;
    pair.initialize("2024-11-05").await;
    let params = json!({ "name": "slow", "arguments": { "seconds": 600 } });
    pair.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await;
    within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
    let Pair { stream, path, .. } = pair;
    drop(stream);
    within(stats.wait_until(|stats| stats.calls_running() == 0 && stats.sessions() == 0)).await;
    assert_eq!(stats.cancelled(), ["slow"]);
    let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" });
    assert_eq!(served.post(&path, ping).send().await.status, 404);
}

#[tokio::test]
async fn a_forgotten_pair_ends() {
    let served = Served::all().await;
    let mut pair = Pair::open(&served).await;
    pair.initialize("2024-11-05").await;
    served.server.end_sessions();
    assert_eq!(pair.stream.next().await, None);
}

#[tokio::test]
async fn an_unknown_session_or_no_message_is_refused() {
    let served = Served::all().await;
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    for path in ["/messages", "/messages?sessionId=", "/messages?sessionId=x"] {
        assert_eq!(served.post(path, &ping).send().await.status, 404);
    }
    let pair = Pair::open(&served).await;
    for body in ["{", "1", "{}"] {
        assert_eq!(served.post(&pair.path, body).send().await.status, 400);
    }
}
