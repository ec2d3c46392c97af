//! Users who are disabled or signed out, at all replicas.

use std::time::Duration;

use config::{HostRule, HostWhen, Issuer as IssuerSection};
use demo::{Listing, Server};
use serde_json::{Value, json};
use testkit::client::{Options, everything};
use testkit::harness::WorldBuilder;
use testkit::http::{Http, Reply};
use testkit::issuer::Issuer;
use testkit::{Client, Revision, World, within};

const URL: &str = "https://gw.example";
/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;
const ANN: (&str, &str) = ("acme", "corp:ann");

fn guarded(issuer: &Issuer) -> WorldBuilder {
    let section = IssuerSection {
        issuer: issuer.url.clone(),
        tenant_claim: Some("tid".to_owned()),
        ..IssuerSection::default()
    };
    World::builder().demo("crm", Server::builder()).replicas(2).config(|config| {
        config.auth.url = Some(URL.to_owned());
        config.auth.allow = Some(vec!["corp".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), section);
    })
}

fn token(issuer: &Issuer, subject: &str, issued: u64) -> String {
    let aud = ["/crm/mcp", "/crm/sse"].map(|path| format!("{URL}{path}"));
    issuer.token(&json!({
        "aud": aud, "sub": subject, "tid": "acme", "iat": issued, "exp": NOW + 3_600, "client_id": "editor",
    }))
}

fn at(world: &World, replica: usize, token: &str) -> Http {
    Http::new(world.address_of(replica)).authorized(Some(format!("Bearer {token}")))
}

/// All replicas read who is barred, as they do every few seconds.
async fn read(world: &World) {
    for replica in world.replicas() {
        replica.app().read_barred().await.expect("a list");
    }
}

async fn ping(http: &Http, session: &str) -> Reply {
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let request = http.post("/crm/mcp", ping).header("mcp-session-id", session);
    request.header("mcp-protocol-version", "2025-11-25").send().await
}

async fn opened(http: &Http) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let reply = http.post("/crm/mcp", hello).send().await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

async fn modern(http: &Http, method: &str, name: &str, mut params: Value) -> Reply {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": "p"});
    let call = json!({"jsonrpc": "2.0", "id": "c", "method": method, "params": params});
    let post = http.post("/crm/mcp", call).header("mcp-protocol-version", "2026-07-28");
    post.header("mcp-method", method).header("mcp-name", name).send().await
}

async fn slow(http: &Http) -> Reply {
    let arguments = json!({"seconds": 3_600, "steps": 100_000});
    modern(http, "tools/call", "slow", json!({"name": "slow", "arguments": arguments})).await
}

/// The rest of a stream, to its end.
async fn rest(stream: &mut Reply) -> String {
    let mut text = String::new();
    while let Some(event) = within(stream.event()).await {
        text.push_str(&event.data);
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_at_one_replica_is_refused_by_the_other_within_seconds() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let (ann, ben) = (token(&issuer, "ann", NOW), token(&issuer, "ben", NOW));
    let session = opened(&at(&world, 0, &ann)).await;
    assert_eq!(ping(&at(&world, 1, &ann), &session).await.status, 200, "sessions are good everywhere");
    let others = opened(&at(&world, 0, &ben)).await;
    world.users().disable(ANN.0, ANN.1).await.expect("disabled");
    // Nobody tells the replicas: they look.
    let refused = within(async {
        loop {
            let reply = ping(&at(&world, 1, &ann), &session).await;
            if reply.status != 200 {
                return reply;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(refused.status, 401, "also by a token that was found good a moment ago");
    let challenge = refused.header("www-authenticate").unwrap_or_default().to_owned();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let body = refused.json().await;
    assert_eq!(body["error"]["data"]["reason"], "invalid_token", "{body}");
    assert!(body.to_string().contains("the user was disabled"), "{body}");
    let newer = token(&issuer, "ann", NOW + 30);
    assert_eq!(ping(&at(&world, 1, &newer), &session).await.status, 401, "also by a new token");
    assert_eq!(ping(&at(&world, 1, &ben), &others).await.status, 200, "others are not meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_disabled_comes_in_again_by_a_token_that_was_issued_later() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let old = token(&issuer, "ann", NOW);
    let session = opened(&at(&world, 0, &old)).await;
    world.users().disable(ANN.0, ANN.1).await.expect("disabled");
    world.clock.advance(Duration::from_secs(10));
    world.users().enable(ANN.0, ANN.1).await.expect("enabled");
    read(&world).await;
    for replica in [0, 1] {
        assert_eq!(ping(&at(&world, replica, &old), &session).await.status, 401);
        let new = token(&issuer, "ann", NOW + 10);
        assert_eq!(ping(&at(&world, replica, &new), &session).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_of_somebody_ends_once_he_is_disabled_and_brings_nothing_more() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let (ann, ben) = (token(&issuer, "ann", NOW), token(&issuer, "ben", NOW));
    let http = at(&world, 1, &ann);
    let changes = json!({"notifications": {"toolsListChanged": true}});
    let mut listens = modern(&http, "subscriptions/listen", "", changes.clone()).await;
    let mut others = modern(&at(&world, 1, &ben), "subscriptions/listen", "", changes).await;
    let session = opened(&http).await;
    let mut own = http.get("/crm/mcp").header("mcp-session-id", &session).send().await;
    let mut pair = http.get("/crm/sse").send().await;
    let mut call = slow(&http).await;
    for stream in [&mut listens, &mut others, &mut own, &mut pair, &mut call] {
        assert!(stream.streams(), "{stream:?}");
        within(stream.event()).await.expect("it is open");
    }
    world.users().disable(ANN.0, ANN.1).await.expect("disabled");
    read(&world).await;
    world.demo("crm").server.toggle(Listing::Tools);
    for stream in [&mut listens, &mut own, &mut pair, &mut call] {
        let rest = rest(stream).await;
        assert!(!rest.contains("list_changed") && !rest.contains("result"), "{rest}");
    }
    let change = within(others.event()).await.expect("others hear of it");
    assert!(change.data.contains("list_changed"), "{change:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_after_its_caller_was_disabled_is_not_given() {
    let issuer = Issuer::start().await;
    let demo = Server::builder().revisions(&[Revision::V2025_06_18]);
    let world = guarded(&issuer).demo("crm", demo).start().await;
    let http = at(&world, 0, &token(&issuer, "ann", NOW));
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "slow", "arguments": {"seconds": 3_600, "steps": 1}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let call = http.post("/crm/mcp", call).header("mcp-protocol-version", "2026-07-28");
    let call = call.header("mcp-method", "tools/call").header("mcp-name", "slow").send();
    let ends = async {
        let stats = world.demo("crm").server.stats();
        while stats.last("tools/call").is_none() {
            tokio::task::yield_now().await;
        }
        world.users().disable(ANN.0, ANN.1).await.expect("disabled");
        read(&world).await;
        // The call comes to an end by that.
        world.demo("crm").server.end_sessions();
    };
    let (reply, ()) = within(async { tokio::join!(call, ends) }).await;
    assert_eq!(reply.status, 401, "{reply:?}");
}

async fn able(world: &World, replica: usize, token: &str) -> Client {
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    let authorization = Some(format!("Bearer {token}"));
    let options = Options { capabilities: Some(capabilities), authorization, ..Options::default() };
    Client::with(world.address_of(replica), "/crm/mcp", Revision::V2026_07_28, options).await
}

async fn begin(client: &Client, tool: &str, arguments: Value) -> String {
    let made = client.call_tool(tool, arguments).await;
    made.result()["taskId"].as_str().expect("a task").to_owned()
}

async fn until(client: &Client, task: &str, status: &str) -> Value {
    within(async {
        loop {
            let found = client.request("tasks/get", json!({"taskId": task})).await.result().clone();
            if found["status"] == status {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_tasks_are_not_for_who_is_disabled_and_what_waits_is_not_begun_for_him() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer)
        .replicas(1)
        .config(|config| {
            let (tools, when) = (config::Glob::new("*").expect("a pattern"), HostWhen::Always);
            config.tasks.host = vec![HostRule { tools, when, required: false }];
            config.tasks.running_max = 1;
        })
        .start()
        .await;
    let ann = able(&world, 0, &token(&issuer, "ann", NOW)).await;
    let ben = able(&world, 0, &token(&issuer, "ben", NOW)).await;
    let done = begin(&ann, "echo", json!({"text": "hello"})).await;
    until(&ann, &done, "completed").await;
    let running = begin(&ben, "slow", json!({"seconds": 3_600})).await;
    until(&ben, &running, "working").await;
    let stats = world.demo("crm").server.stats();
    within(async {
        while stats.last("tools/call").is_none_or(|seen| seen.message["params"]["name"] != "slow") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let waits = begin(&ann, "echo", json!({"text": "never"})).await;
    world.clock.advance(Duration::from_secs(10));
    world.users().disable(ANN.0, ANN.1).await.expect("disabled");
    read(&world).await;
    let refused = ann.request("tasks/get", json!({"taskId": done})).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    // There is room for it now.
    ben.request("tasks/cancel", json!({"taskId": running})).await;
    until(&ben, &running, "cancelled").await;
    let store = tasks::Office::new(
        world.shared_store(),
        std::sync::Arc::clone(&world.clock) as std::sync::Arc<dyn model::Clock>,
    );
    within(async {
        let open = store::TaskFilter { phase: Some(store::TaskPhase::Open), ..Default::default() };
        while !store.find(&open, None, 10).await.expect("a list").is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    world.users().enable(ANN.0, ANN.1).await.expect("enabled");
    read(&world).await;
    let ann = able(&world, 0, &token(&issuer, "ann", NOW + 10)).await;
    let failed = until(&ann, &waits, "failed").await;
    assert_eq!(failed["error"]["data"]["reason"], "user_barred", "{failed}");
    assert_eq!(stats.last("tools/call").expect("a call").message["params"]["name"], "slow");
    assert_eq!(until(&ann, &done, "completed").await["result"]["content"][0]["text"], "hello");
}
