//! stdio, in both eras.

use demo::{Builder, Listing, Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};
use tokio::task::JoinHandle;

use crate::client::{initialize_message, modern_message, within};

struct Pipes {
    server: Server,
    task: JoinHandle<std::io::Result<()>>,
    to: WriteHalf<DuplexStream>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
}

impl Pipes {
    fn new(builder: Builder) -> Self {
        let server = builder.build();
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(theirs);
        let task = tokio::spawn(server.clone().serve_stdio(reader, writer));
        let (from, to) = tokio::io::split(ours);
        Self { server, task, to, from: BufReader::new(from).lines() }
    }

    fn speaking(revisions: &[Revision]) -> Self {
        Self::new(Server::builder().revisions(revisions))
    }

    async fn send(&mut self, line: impl ToString) {
        let line = format!("{}\n", line.to_string());
        within(self.to.write_all(line.as_bytes())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        let line = within(self.from.next_line()).await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, line: impl ToString) -> Value {
        self.send(line).await;
        self.next().await
    }

    async fn initialize(&mut self, revision: Revision, capabilities: Value) -> Value {
        let answer = self.ask(initialize_message(revision.as_str(), capabilities)).await;
        self.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        answer
    }
}

fn request(id: i64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[tokio::test]
async fn a_legacy_client_is_served_in_every_revision() {
    for revision in Revision::LEGACY {
        let mut pipes = Pipes::speaking(&Revision::LEGACY);
        let answer = pipes.initialize(revision, json!({ "sampling": {} })).await;
        assert_eq!(answer["result"]["protocolVersion"], revision.as_str());
        let asked = pipes.ask(request(1, "tools/call", json!({ "name": "ask_model" }))).await;
        assert_eq!((&asked["method"], &asked["id"]), (&json!("sampling/createMessage"), &json!(0)));
        let said =
            json!({ "role": "assistant", "content": { "type": "text", "text": "Yes." }, "model": "m" });
        let answer = pipes.ask(json!({ "jsonrpc": "2.0", "id": 0, "result": said })).await;
        assert_eq!(answer["result"]["content"][0]["text"], "The model says: Yes.");
    }
}

#[tokio::test]
async fn a_legacy_server_answers_a_probe_with_an_unknown_method_and_requests_before_initialize() {
    let mut pipes = Pipes::speaking(&[Revision::V2025_06_18]);
    let answer = pipes.ask(modern_message("server/discover", json!({}), json!({}))).await;
    assert_eq!(answer["error"]["code"], -32601);
    assert!(pipes.ask(request(1, "tools/list", json!({}))).await["result"]["tools"].is_array());
    let answer = pipes.initialize(Revision::V2025_06_18, json!({})).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
}

#[tokio::test]
async fn both_eras_share_one_pair_of_pipes() {
    let mut pipes = Pipes::new(Server::builder());
    pipes.initialize(Revision::V2025_11_25, json!({})).await;
    let modern = pipes.ask(modern_message("tools/list", json!({}), json!({}))).await;
    assert_eq!(modern["result"]["resultType"], "complete");
    let legacy = pipes.ask(request(1, "tools/list", json!({}))).await;
    assert_eq!(legacy["result"].get("resultType"), None);
}

#[tokio::test]
async fn a_modern_server_names_its_versions_and_answers_discover_even_bare() {
    let mut pipes = Pipes::speaking(&[Revision::V2026_07_28]);
    let answer = pipes.ask(initialize_message("2025-11-25", json!({}))).await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["supported"], json!(["2026-07-28"]));
    let answer = pipes.ask(request(1, "server/discover", json!({}))).await;
    assert_eq!(answer["result"]["supportedVersions"], json!(["2026-07-28"]));
    let answer = pipes.ask(request(1, "tools/list", json!({}))).await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn calls_are_cancelled_by_a_notification_and_not_answered() {
    for modern in [false, true] {
        let mut pipes = Pipes::new(Server::builder());
        let stats = pipes.server.stats();
        let params = json!({ "name": "slow", "arguments": { "seconds": 600 } });
        let id = if modern {
            pipes.send(modern_message("tools/call", params, json!({}))).await;
            json!("m")
        } else {
            pipes.initialize(Revision::V2025_11_25, json!({})).await;
            pipes.send(request(3, "tools/call", params)).await;
            json!(3)
        };
        within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
        let params = json!({ "requestId": id });
        pipes.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })).await;
        within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
        assert_eq!(stats.cancelled(), ["slow"]);
        let pong = pipes.ask(modern_message("server/discover", json!({}), json!({}))).await;
        assert!(pong["result"].is_object(), "nothing came in between");
    }
}

#[tokio::test]
async fn a_listen_lives_until_it_is_cancelled() {
    let mut pipes = Pipes::new(Server::builder());
    let listen = json!({ "notifications": { "promptsListChanged": true } });
    let acknowledged = pipes.ask(modern_message("subscriptions/listen", listen, json!({}))).await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    pipes.server.toggle(Listing::Prompts);
    let changed = pipes.next().await;
    assert_eq!(changed["method"], "notifications/prompts/list_changed");
    assert_eq!(changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], "m");
    let cancel = json!({ "requestId": "m" });
    pipes.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel })).await;
    within(pipes.server.stats().wait_until(|stats| stats.streams_open() == 0)).await;
}

#[tokio::test]
async fn a_batch_is_answered_by_a_batch() {
    let mut pipes = Pipes::new(Server::builder());
    pipes.initialize(Revision::V2025_03_26, json!({})).await;
    let answers =
        pipes.ask(json!([request(1, "ping", json!({})), request(2, "initialize", json!({}))])).await;
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(answers[1]["error"]["code"], -32600);
    let mut pipes = Pipes::new(Server::builder());
    pipes.initialize(Revision::V2025_06_18, json!({})).await;
    assert_eq!(pipes.ask(json!([request(1, "ping", json!({}))])).await["error"]["code"], -32600);
}

#[tokio::test]
async fn faulty_lines_are_answered_and_the_next_ones_served() {
    let mut pipes = Pipes::new(Server::builder().body_bytes_max(1_000));
    assert_eq!(pipes.ask("{").await["error"]["code"], -32700);
    assert_eq!(pipes.ask("[1").await["error"]["code"], -32700);
    assert_eq!(pipes.ask("\u{0}").await["error"]["code"], -32700);
    let answer = pipes.ask(json!({ "jsonrpc": "2.0", "id": 5, "method": 5 })).await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(5), &json!(-32600)));
    assert_eq!(pipes.ask("x".repeat(100_000)).await["error"]["code"], -32600);
    pipes.send("").await;
    let answer = pipes.ask(request(1, "server/discover", json!({}))).await;
    assert!(answer["result"].is_object());
}

#[tokio::test]
async fn the_end_of_input_ends_the_server_after_the_last_answer() {
    let mut pipes = Pipes::new(Server::builder());
    let line = request(1, "server/discover", json!({})).to_string();
    within(pipes.to.write_all(line.as_bytes())).await.unwrap();
    pipes.to.shutdown().await.unwrap();
    assert!(pipes.next().await["result"].is_object(), "a last line without a break counts");
    within(pipes.task).await.unwrap().unwrap();
    assert_eq!(within(pipes.from.next_line()).await.unwrap(), None);
    assert_eq!(pipes.server.stats().sessions(), 0);
}
