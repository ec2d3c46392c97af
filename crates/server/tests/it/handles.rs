//! Handles that are not what they seem: altered, swapped, expired, of another gateway. The answer is that for
//! one that was made up, to the byte.

use std::time::Duration;

use demo::Server;
use serde_json::{Value, json};
use testkit::http::Http;
use testkit::{Revision, World, within};

const MODERN: &str = "2026-07-28";
const MADE_UP: &str = "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A gateway in front of two servers. `seed`: of its keys, too.
async fn world(seed: u64) -> (World, Http) {
    let legacy = || Server::builder().revisions(&[Revision::V2025_11_25]);
    let world = World::builder().demo("a", legacy()).demo("b", legacy()).seed(seed);
    let world = world.config(|config| config.limits.page_size = 3).start().await;
    let http = Http::new(world.address());
    (world, http)
}

/// What is said to whoever shows a handle: the status and the body.
type Said = (u16, String);

async fn session_used(http: &Http, endpoint: &str, session: &str) -> Said {
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    let reply = http.post(&format!("/{endpoint}/mcp"), ping).header("mcp-session-id", session).send().await;
    (reply.status, within(reply.text()).await)
}

async fn modern(http: &Http, endpoint: &str, method: &str, mut params: Value) -> Said {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}});
    let name = params["name"].as_str().map(str::to_owned);
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let post = http.post(&format!("/{endpoint}/mcp"), call).header("mcp-protocol-version", MODERN);
    let post = post.header("mcp-method", method);
    let post = match name {
        Some(name) => post.header("mcp-name", &name),
        None => post,
    };
    let reply = post.send().await;
    (reply.status, within(reply.text()).await)
}

async fn cursor_used(http: &Http, endpoint: &str, cursor: &str) -> Said {
    modern(http, endpoint, "tools/list", json!({"cursor": cursor})).await
}

async fn state_used(http: &Http, endpoint: &str, state: &str) -> Said {
    let params =
        json!({"name": "confirm_order", "arguments": {}, "requestState": state, "inputResponses": {}});
    modern(http, endpoint, "tools/call", params).await
}

/// A session id, a cursor and a request state of the endpoint `a`.
async fn handles(http: &Http) -> [String; 3] {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let session =
        http.post("/a/mcp", hello).send().await.header("mcp-session-id").unwrap_or_default().to_owned();
    let field = |(_, body): Said, pointer: &str| {
        let body: Value = serde_json::from_str(&body).expect("JSON");
        body.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{body}")).to_owned()
    };
    let page = modern(http, "a", "tools/list", json!({})).await;
    let cursor = field(page, "/result/nextCursor");
    let asked = modern(http, "a", "tools/call", json!({"name": "confirm_order", "arguments": {}})).await;
    [session, cursor, field(asked, "/result/requestState")]
}

/// Shows a handle of each kind.
async fn used(http: &Http, endpoint: &str, kind: usize, handle: &str) -> Said {
    match kind {
        0 => session_used(http, endpoint, handle).await,
        1 => cursor_used(http, endpoint, handle).await,
        _ => state_used(http, endpoint, handle).await,
    }
}

/// The handle with one character replaced, for each of them, and a little shorter and longer.
fn altered(handle: &str) -> Vec<String> {
    let other = |c: u8| if c == b'A' { 'B' } else { 'A' };
    let with = |at: usize, c: char| {
        let mut changed = handle.to_owned();
        changed.replace_range(at..=at, &c.to_string());
        changed
    };
    let mut all: Vec<String> = handle.bytes().enumerate().map(|(at, c)| with(at, other(c))).collect();
    all.push(handle[..handle.len() - 1].to_owned());
    all.push(format!("{handle}A"));
    all.push(format!("{handle}{handle}"));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_or_swapped_or_foreign_handle_gets_the_answer_of_one_that_never_was() {
    let ((_world, http), (_other_world, other)) = (world(1).await, world(2).await);
    let (ours, theirs) = (handles(&http).await, handles(&other).await);
    for (kind, handle) in ours.iter().enumerate() {
        let unknown = used(&http, "a", kind, MADE_UP).await;
        assert_ne!(used(&http, "a", kind, handle).await, unknown, "the right one is known");
        let mut wrong = altered(handle);
        wrong.push(theirs[kind].clone());
        wrong.extend(ours.iter().enumerate().filter(|(other, _)| *other != kind).map(|(_, h)| h.clone()));
        for wrong in wrong {
            assert_eq!(used(&http, "a", kind, &wrong).await, unknown, "kind {kind}: {wrong} for {handle}");
        }
        let elsewhere = used(&http, "b", kind, MADE_UP).await;
        assert_eq!(used(&http, "b", kind, handle).await, elsewhere, "kind {kind} at another endpoint");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_handle_gets_the_answer_of_one_that_never_was() {
    let (world, http) = world(1).await;
    let ours = handles(&http).await;
    world.clock.advance(Duration::from_secs(366 * 24 * 3_600));
    for (kind, handle) in ours.iter().enumerate() {
        assert_eq!(
            used(&http, "a", kind, handle).await,
            used(&http, "a", kind, MADE_UP).await,
            "kind {kind}"
        );
    }
}
