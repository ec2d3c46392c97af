//! How the program stops.

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};
use testkit::{Revision, within};

use crate::program::{Folder, Up, call};

const REVISION: &str = "2025-06-18";

async fn ready(http: &Http) -> (u16, String) {
    let reply = http.request(Method::GET, "/readyz").send().await;
    (reply.status, reply.text().await)
}

/// Waits until the gateway says that it stops.
async fn not_ready(up: &Up) -> String {
    within(async {
        loop {
            let (status, why) = ready(&up.http).await;
            if status == 503 {
                return why;
            }
        }
    })
    .await
}

/// A session of a revision with sessions, by hand.
async fn opened(http: &Http) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": REVISION, "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "t", "version": "1"}}});
    let reply = http.post("/mcp", hello).send().await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

/// The last message of a stream that ends in order, and the retry time that stands on it last.
async fn ended(mut reply: Reply) -> (Value, Option<u64>) {
    let (mut last, mut retry) = (Value::Null, None);
    while let Some(event) = within(reply.event()).await {
        retry = event.retry_ms.or(retry);
        if let Ok(message) = serde_json::from_str(&event.data) {
            last = message;
        }
    }
    (last, retry)
}

#[tokio::test]
async fn during_the_delay_everything_is_served_and_who_asks_is_told_to_leave() {
    let mut up = Folder::with("drain_delay: 60s").up(&[]).await;
    assert_eq!(ready(&up.http).await, (200, "ok\n".to_owned()));
    up.program.signal(Signal::TERM);
    assert_eq!(not_ready(&up).await, "draining: this process was told to stop\n");
    let fresh = Http::new(up.address);
    let reply = call(&fresh, "/mcp", "demo_echo", json!({"text": "late"})).send().await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
    let said = reply.text().await;
    assert!(said.contains("late"), "{said}");
    // A stream that is opened now still hears of changes: nobody is sent away before the delay is over.
    up.client("/mcp", Revision::V2026_07_28).await.watch(&[]).await.unwrap();
    up.program.signal(Signal::TERM);
    assert_eq!(up.program.ended().await, 1);
}

#[tokio::test]
async fn after_the_delay_no_connection_is_taken_and_the_gateway_ends() {
    let mut up = Folder::with("drain_delay: 300ms").up(&[]).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(up.stop().await, 0);
    assert!(begun.elapsed().as_millis() >= 300);
    assert!(Http::new(up.address).request(Method::GET, "/readyz").try_send().await.is_err());
}

#[tokio::test]
async fn calls_that_do_not_end_in_time_are_told_so_on_their_streams() {
    let mut up = Folder::with("drain_timeout: 100ms").up(&[]).await;
    let arguments = json!({"seconds": 3600, "steps": 100_000});
    let mut modern = up.call("/mcp", "demo_slow", arguments.clone()).send().await;
    within(modern.event()).await.expect("progress");
    // One that asks for no events and waits for its whole answer.
    let whole = up.call("/mcp", "demo_slow", arguments.clone()).header("accept", "application/json");
    let whole = tokio::spawn(whole.send());
    let session = opened(&up.http).await;
    let params = json!({"name": "demo_slow", "arguments": arguments, "_meta": {"progressToken": "p"}});
    let slow = json!({"jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": params});
    let mut legacy = up.http.post("/mcp", slow).header("mcp-session-id", &session).send().await;
    within(legacy.event()).await.expect("progress");
    // One that waits for its client's answer.
    let params = json!({"name": "demo_confirm_order", "arguments": {}});
    let asks = json!({"jsonrpc": "2.0", "id": "asks", "method": "tools/call", "params": params});
    let mut asked = up.http.post("/mcp", asks).header("mcp-session-id", &session).send().await;
    let question = within(asked.event()).await.expect("a question");
    assert!(question.data.contains("elicitation/create"), "{}", question.data);
    up.program.signal(Signal::TERM);
    let whole = whole.await.expect("an answer").json().await;
    for (id, last) in [
        (json!(1), ended(modern).await.0),
        (json!(1), whole),
        (json!("mine"), ended(legacy).await.0),
        (json!("asks"), ended(asked).await.0),
    ] {
        assert_eq!((&last["id"], &last["error"]["code"]), (&id, &json!(-31007)), "{last}");
        let data = &last["error"]["data"];
        assert_eq!([&data["reason"], &data["retry"]], ["gateway_stopping", "may_have_run"], "{last}");
    }
    assert_eq!(up.program.ended().await, 0);
}

#[tokio::test]
async fn streams_that_listen_end_with_the_time_to_come_back() {
    let mut up = Folder::with("drain_timeout: 50s").up(&[]).await;
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"notifications": {"toolsListChanged": true}, "_meta": meta});
    let listen = json!({"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": params});
    let modern = up.http.post("/mcp", listen).header("mcp-protocol-version", "2026-07-28");
    let mut modern = modern.header("mcp-method", "subscriptions/listen").send().await;
    within(modern.event()).await.expect("it is acknowledged");
    let session = opened(&up.http).await;
    let legacy = up.http.get("/mcp").header("mcp-session-id", &session).send().await;
    let mut oldest = up.http.get("/sse").send().await;
    within(oldest.event()).await.expect("where to post");
    up.program.signal(Signal::TERM);
    let (last, retry) = ended(modern).await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(9), &json!("complete")), "{last}");
    let mut times = vec![retry];
    for stream in [legacy, oldest] {
        times.push(ended(stream).await.1);
    }
    assert!(times.iter().all(|time| time.is_some_and(|ms| (500..5_500).contains(&ms))), "{times:?}");
    assert_eq!(up.program.ended().await, 0);
}

#[tokio::test]
async fn a_connection_that_was_let_in_before_the_drain_has_its_request_served() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut up = Folder::new().up(&["--listen", "127.0.0.1:0"]).await;
    #[expect(clippy::disallowed_methods, reason = "a client that connects and says nothing yet")]
    let mut early = tokio::net::TcpStream::connect(up.address).await.unwrap();
    // It has been accepted once a later one is served.
    ready(&Http::new(up.address)).await;
    up.program.signal(Signal::TERM);
    up.program.stderr.find("stopping").await;
    within(async { while Http::new(up.address).request(Method::GET, "/").try_send().await.is_ok() {} }).await;
    early.write_all(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut said = String::new();
    within(early.read_to_string(&mut said)).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200") && said.contains("connection: close"), "{said}");
    assert_eq!(up.program.ended().await, 0);
}

#[tokio::test]
async fn an_http2_connection_is_told_to_go_and_its_call_ends_on_it() {
    let mut up = Folder::new().up(&["--listen", "127.0.0.1:0"]).await;
    #[expect(clippy::disallowed_methods, reason = "a client of HTTP/2 made by hand")]
    let stream = tokio::net::TcpStream::connect(up.address).await.unwrap();
    let (mut client, connection) = within(h2::client::handshake(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": "p"});
    let params = json!({"name": "demo_slow", "arguments": {"seconds": 1, "steps": 2}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let request = http::Request::post(format!("http://{}/mcp", up.address))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "demo_slow")
        .body(())
        .unwrap();
    let (response, mut sending) = client.send_request(request, false).unwrap();
    sending.send_data(bytes::Bytes::from(body), true).unwrap();
    let mut body = within(response).await.unwrap().into_body();
    let mut all = within(body.data()).await.expect("progress").unwrap().to_vec();
    up.program.signal(Signal::TERM);
    within(async {
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await;
    while let Some(chunk) = within(body.data()).await {
        all.extend_from_slice(&chunk.unwrap());
    }
    let all = String::from_utf8(all).unwrap();
    assert!(all.contains("Done after 1 s"), "{all}");
    within(connection).await.unwrap().expect("it ends in order");
    assert_eq!(up.program.ended().await, 0);
}
