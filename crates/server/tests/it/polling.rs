//! A client of 2025-11-25 that is sent away, or loses its stream, comes back for the rest.

use demo::Server;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};
use testkit::{World, within};

const TASK: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"slow",
    "arguments":{"seconds":0.4,"steps":4},"_meta":{"progressToken":"p"}}}"#;

/// A session, by hand.
async fn opened(http: &Http) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let reply = http.post("/a/mcp", hello).send().await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

/// Reads to the end of this stream: the last id and the messages.
async fn rest(mut reply: Reply, messages: &mut Vec<Value>) -> Option<String> {
    let mut last = None;
    while let Some(event) = within(reply.event()).await {
        last = event.id.or(last);
        messages.extend(serde_json::from_str::<Value>(&event.data).ok());
    }
    last
}

fn steps(messages: &[Value]) -> Vec<u64> {
    messages.iter().filter_map(|m| m["params"]["progress"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_sent_away_to_poll_gets_every_message_once_and_the_result_last() {
    let world = World::builder().demo("a", Server::builder());
    let after = config::Span::from_millis(50);
    let world = world.config(|config| config.sessions.poll_after = Some(after)).start().await;
    let http = Http::new(world.address());
    let session = opened(&http).await;
    let mut messages = Vec::new();
    let call = http.post("/a/mcp", TASK).header("mcp-session-id", &session).send().await;
    let mut last = rest(call, &mut messages).await.expect("an id to come back with");
    let mut polls = 0;
    while !messages.iter().any(|m| m["id"] == 7) {
        polls += 1;
        assert!(polls < 1_000, "it never ends: {messages:?}");
        let again = http.get("/a/mcp").header("mcp-session-id", &session).header("last-event-id", &last);
        last = rest(again.send().await, &mut messages).await.unwrap_or(last);
    }
    assert!(polls > 1, "it was sent away more than once");
    assert_eq!(steps(&messages), [1, 2, 3, 4]);
    assert_eq!(messages.last().expect("messages")["id"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lost_its_stream_comes_back_after_the_last_event_it_saw() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let http = Http::new(world.address());
    let session = opened(&http).await;
    let mut call = http.post("/a/mcp", TASK).header("mcp-session-id", &session).send().await;
    let mut last = String::new();
    let mut messages = Vec::new();
    while steps(&messages).is_empty() {
        let event = within(call.event()).await.expect("progress");
        last = event.id.expect("an id");
        messages.extend(serde_json::from_str::<Value>(&event.data).ok());
    }
    drop(call);
    let again = http.get("/a/mcp").header("mcp-session-id", &session).header("last-event-id", &last);
    rest(again.send().await, &mut messages).await;
    assert_eq!(steps(&messages), [1, 2, 3, 4]);
    assert_eq!(messages.last().expect("messages")["id"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_does_not_come_back_in_time_is_cancelled() {
    let world = World::builder().demo("a", Server::builder());
    let time = config::Span::from_millis(50);
    let world = world.config(|config| config.sessions.resume_timeout = time).start().await;
    let http = Http::new(world.address());
    let session = opened(&http).await;
    let body = TASK.replace(r#""seconds":0.4,"steps":4"#, r#""seconds":3600,"steps":36000"#);
    let mut call = http.post("/a/mcp", body).header("mcp-session-id", &session).send().await;
    let last = within(call.event()).await.expect("an event").id.expect("an id");
    drop(call);
    let upstream = &world.demo("a").server;
    within(async {
        while upstream.stats().cancelled().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // It is told so, after what there still was, and does not wait for ever.
    let (mut last, mut messages) = (last, Vec::new());
    for _ in 0..3 {
        let again = http.get("/a/mcp").header("mcp-session-id", &session).header("last-event-id", &last);
        last = rest(again.send().await, &mut messages).await.unwrap_or(last);
    }
    let end = messages.last().expect("an end");
    assert_eq!((&end["id"], &end["error"]["code"]), (&json!(7), &json!(-31007)), "{end}");
}
