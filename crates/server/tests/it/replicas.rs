//! Several replicas, one of which is gone, or is not what it seems.

use demo::Server;
use serde_json::{Value, json};
use testkit::http::{Http, Reply};
use testkit::{Revision, World, within};

const MODERN: &str = "2026-07-28";

async fn two(revision: Revision) -> (World, Http, Http) {
    let demo = Server::builder().revisions(&[revision]);
    let world = World::builder().demo("a", demo).replicas(2).start().await;
    let (first, second) = (Http::new(world.address_of(0)), Http::new(world.address_of(1)));
    (world, first, second)
}

/// A modern call of the tool that asks the user.
async fn ask(http: &Http, answers: Option<(&Value, &Value)>) -> Value {
    let mut params = json!({"name": "confirm_order", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}});
    if let Some((state, responses)) = answers {
        params["requestState"] = state.clone();
        params["inputResponses"] = responses.clone();
    }
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let post = http.post("/a/mcp", call).header("mcp-protocol-version", MODERN);
    let reply = post.header("mcp-method", "tools/call").header("mcp-name", "confirm_order").send().await;
    within(reply.json()).await
}

fn answered(asked: &Value) -> (Value, Value) {
    let questions = asked["result"]["inputRequests"].as_object().expect("questions");
    let answer = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), answer.clone())).collect();
    (asked["result"]["requestState"].clone(), answers.into())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_at_another_replica_goes_on_there() {
    let (_world, first, second) = two(Revision::V2025_11_25).await;
    let asked = ask(&first, None).await;
    let (state, answers) = answered(&asked);
    let done = ask(&second, Some((&state, &answers))).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waited_at_a_replica_that_is_gone_ends_with_an_error_that_says_so() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let (state, answers) = answered(&ask(&first, None).await);
    world.lose(0);
    let failed = ask(&second, Some((&state, &answers))).await;
    assert_eq!(failed["error"]["code"], -31007, "{failed}");
    let data = &failed["error"]["data"];
    assert_eq!(
        [&data["reason"], &data["fault"], &data["retry"]],
        ["replica_gone", "gateway", "may_have_run"],
        "{failed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_servers_question_can_be_answered_at_any_replica_also_if_the_first_is_gone() {
    let (world, first, second) = two(Revision::V2026_07_28).await;
    let (state, answers) = answered(&ask(&first, None).await);
    world.lose(0);
    let done = ask(&second, Some((&state, &answers))).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
}

/// A session of 2025-11-25, by hand.
async fn opened(http: &Http) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "t", "version": "1"}}});
    let reply = http.post("/a/mcp", hello).send().await;
    reply.header("mcp-session-id").expect("a session").to_owned()
}

async fn message(stream: &mut Reply) -> (Option<String>, Value) {
    loop {
        let event = within(stream.event()).await.expect("an event");
        if let Ok(message) = serde_json::from_str(&event.data) {
            return (event.id, message);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_to_the_stream_of_a_call_on_a_lost_replica_hears_that_it_ended() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let call = json!({"jsonrpc": "2.0", "id": "my call", "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 3600, "steps": 360_000},
        "_meta": {"progressToken": "p"}}});
    let mut stream = first.post("/a/mcp", call).header("mcp-session-id", &session).send().await;
    let (last, _) = message(&mut stream).await;
    drop(stream);
    world.lose(0);
    let last = last.expect("an id to come back with");
    let again = second.get("/a/mcp").header("mcp-session-id", &session).header("last-event-id", &last);
    let mut again = again.send().await;
    // What was kept of the stream comes first.
    let end = loop {
        let (_, message) = message(&mut again).await;
        if message["method"] != "notifications/progress" {
            break message;
        }
    };
    assert_eq!((&end["id"], &end["error"]["code"]), (&json!("my call"), &json!(-31007)), "{end}");
    assert!(within(again.event()).await.is_none(), "nothing comes after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_to_hear_of_changes_hears_them_here_where_their_replica_just_died() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let mut stream = first.get("/a/mcp").header("mcp-session-id", &session).send().await;
    let last = within(stream.event()).await.expect("an event").id.expect("an id to come back with");
    drop(stream);
    // It is not missed yet, and nobody listens there any more.
    let mut replicas = world.replicas().map(|replica| replica.app().replicas());
    let (dead, alive) = (replicas.next().expect("the first"), replicas.next().expect("the second"));
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let url = format!("http://{nowhere}").parse().expect("a URL");
    alive.set_peers([tidegate_server::Peer { id: dead.me().clone(), url }]);
    let again = second.get("/a/mcp").header("mcp-session-id", &session).header("last-event-id", &last);
    let mut again = again.send().await;
    assert_eq!(again.status, 200, "an empty answer would tell the client not to come back");
    assert!(within(again.event()).await.expect("an event").id.is_some());
    world.demo("a").server.toggle(demo::Listing::Tools);
    let (_, change) = message(&mut again).await;
    assert!(change["method"].as_str().is_some_and(|m| m.ends_with("list_changed")), "{change}");
}

/// Waits until a stream was kept to its end.
async fn kept(world: &World, stream: &str) {
    within(async {
        while !world
            .store()
            .stream_from(stream, 0, 1)
            .await
            .expect("read")
            .is_some_and(|part| part.head.closed)
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_after_its_calls_replica_was_lost_misses_nothing_of_a_call_that_ended() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let call = json!({"jsonrpc": "2.0", "id": "my call", "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 1, "steps": 200},
        "_meta": {"progressToken": "p"}}});
    let mut stream = first.post("/a/mcp", call).header("mcp-session-id", &session).send().await;
    let (last, progress) = message(&mut stream).await;
    let mut seen = progress["params"]["progress"].as_f64().expect("progress");
    drop(stream);
    let last = last.expect("an id to come back with");
    let (name, _) = last.rsplit_once('.').expect("a stream and a number");
    kept(&world, name).await;
    world.lose(0);
    let back = |session: &str| {
        let get = second.get("/a/mcp").header("mcp-session-id", session);
        get.header("last-event-id", &last)
    };
    let mut again = back(&session).send().await;
    let end = loop {
        let (_, message) = message(&mut again).await;
        let Some(progress) = message["params"]["progress"].as_f64() else { break message };
        assert!(progress > seen, "in order, and none twice");
        seen = progress;
    };
    assert_eq!((&end["id"], &end["result"]["isError"]), (&json!("my call"), &Value::Null), "{end}");
    assert!(within(again.event()).await.is_none(), "nothing comes after it");
    // What was kept is another session's no more than the stream itself.
    let other = opened(&second).await;
    let (_, end) = message(&mut back(&other).send().await).await;
    assert_eq!(end["error"]["code"], -31007, "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_of_a_call_whose_client_stays() {
    let (world, first, _) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 1, "steps": 20},
        "_meta": {"progressToken": "p"}}});
    let mut stream = first.post("/a/mcp", call).header("mcp-session-id", &session).send().await;
    let (last, _) = message(&mut stream).await;
    while within(stream.event()).await.is_some() {}
    let last = last.expect("an id");
    let (name, _) = last.rsplit_once('.').expect("a stream and a number");
    assert_eq!(world.store().stream_from(name, 0, 1).await.expect("read"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_question_of_a_lost_replica_is_refused_and_the_session_goes_on() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "confirm_order", "arguments": {}}});
    let mut stream = first.post("/a/mcp", call).header("mcp-session-id", &session).send().await;
    let (_, question) = message(&mut stream).await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    world.lose(0);
    let late = second.post("/a/mcp", answer.clone()).header("mcp-session-id", &session).send().await;
    assert_eq!(late.status, 400);
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    let ping = second.post("/a/mcp", ping).header("mcp-session-id", &session).send().await;
    assert_eq!(ping.status, 200);
    // The call itself still waits: the client may yet reach the replica that asks.
    let own = first.post("/a/mcp", answer).header("mcp-session-id", &session).send().await;
    assert_eq!(own.status, 202);
    let (_, end) = message(&mut stream).await;
    assert_eq!(end["id"], 2, "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_cancelled_through_a_replica_that_does_not_run_it() {
    let (world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let call = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": {"name": "slow", "arguments": {"seconds": 3600, "steps": 360_000},
        "_meta": {"progressToken": "p"}}});
    let mut stream = first.post("/a/mcp", call).header("mcp-session-id", &session).send().await;
    message(&mut stream).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}});
    let told = second.post("/a/mcp", cancel).header("mcp-session-id", &session).send().await;
    assert_eq!(told.status, 202);
    let upstream = &world.demo("a").server;
    within(async {
        while upstream.stats().cancelled().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_is_unknown_at_every_replica() {
    let (_world, first, second) = two(Revision::V2025_11_25).await;
    let session = opened(&first).await;
    let ping = json!({"jsonrpc": "2.0", "id": 3, "method": "ping"});
    let ping = |http: &Http| http.post("/a/mcp", &ping).header("mcp-session-id", &session);
    assert_eq!(ping(&second).send().await.status, 200);
    let delete = first.request(http::Method::DELETE, "/a/mcp").header("mcp-session-id", &session);
    assert_eq!(delete.send().await.status, 204);
    assert_eq!(ping(&second).send().await.status, 404);
    assert_eq!(ping(&first).send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_internal_listener_serves_nobody_without_a_proof() {
    let (world, ..) = two(Revision::V2026_07_28).await;
    let peers = world.replicas().next().expect("a replica").app().replicas().peers();
    let address = peers[0].url.authority().expect("an address").as_str();
    let inside = Http::new(address.parse::<std::net::SocketAddr>().expect("an address"));
    for path in ["/replica/2/requests", "/replica/1/words"] {
        assert_eq!(inside.post(path, "{}").send().await.status, 403, "{path}");
        let made_up = "0123456789ab 0123456789ab 1785196800000 00112233445566778899aabbccddeeff 00000000.00";
        let reply = inside.post(path, "{}").header("tidegate-replica", made_up).send().await;
        assert_eq!(reply.status, 403, "{path}");
        assert_eq!(inside.get(path).send().await.status, 404, "{path}");
    }
    for path in ["/mcp", "/a/mcp", "/metrics", "/healthz", "/"] {
        assert_eq!(inside.post(path, "{}").send().await.status, 404, "{path}");
    }
}
