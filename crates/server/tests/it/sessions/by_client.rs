//! `per-client`: each session of a legacy client has sessions of its own with its upstreams.

use std::time::Duration;

use config::{Sharing, Span};
use demo::Server;
use serde_json::{Value, json};
use testkit::http::Http;
use testkit::{Client, End, Revision, World, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    KINDS, Kind, demo_sessions_become, metric, remember, remembered, sessions_become, shared, sweep, world,
};

const HTTP: Kind = Kind::Http(Revision::V2025_11_25);
const PROGRAM: Kind = Kind::Program(Revision::V2025_11_25);
const LEGACY: [Revision; 4] =
    [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

#[tokio::test(flavor = "multi_thread")]
async fn every_legacy_client_is_remembered_by_itself_through_any_replica() {
    for kind in KINDS {
        for replicas in [1, 3] {
            let world = world(kind, replicas, shared(Sharing::PerClient)).await;
            for revision in LEGACY {
                let about = format!("{kind:?}, {replicas} replicas, a client of {revision}");
                let (one, two) = (world.client("a", revision).await, world.client("mcp", revision).await);
                assert_eq!(remember(&one, "a").await, ["a"], "{about}");
                let other = two.call_tool("a_remember", json!({"word": "b"})).await;
                assert_eq!(remembered(&other), ["b"], "{about}");
                assert_eq!(remember(&one, "c").await, ["a", "c"], "{about}");
                assert_eq!(remember(&one, "d").await, ["a", "c", "d"], "{about}");
                let read = one.request("resources/read", json!({"uri": "demo://readme"})).await;
                assert!(matches!(read.end, End::Result(_)), "{about}: {read:?}");
                let expected = if revision == Revision::V2024_11_05 { None } else { Some(204) };
                assert_eq!((one.close().await, two.close().await), (expected, expected), "{about}");
                drop((one, two));
                sessions_become(&world, 0).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_in_the_middle_of_a_call_are_answered_through_any_replica() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 3, shared(Sharing::PerClient)).await;
        let client = world.client("a", Revision::V2025_11_25).await;
        for _ in 0..4 {
            let outcome = client.call_tool("confirm_order", json!({"rounds": 2})).await;
            assert_eq!(outcome.asked.len(), 2, "{kind:?}: {outcome:?}");
            assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_the_process_of_its_session() {
    let world = world(PROGRAM, 3, shared(Sharing::PerClient)).await;
    let client = world.client("a", Revision::V2025_03_26).await;
    for round in 1..=3 {
        let call = || ("tools/call", json!({"name": "remember", "arguments": {"word": "a"}}));
        let outcomes = client.batch(vec![call(), call()]).await;
        let most = outcomes.iter().map(|outcome| remembered(outcome).len()).max();
        assert_eq!(most, Some(round * 2), "{outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_clients_session_is_the_end_of_its_session_upstream() {
    let world = world(HTTP, 2, shared(Sharing::PerClient)).await;
    let client = world.client("a", Revision::V2025_11_25).await;
    // Each replica finds out once what the server speaks, in a session of its own. The last request goes to
    // the replica that did not open the client's.
    for _ in 0..3 {
        remember(&client, "a").await;
    }
    assert_eq!(metric(&world, "sessions"), 1);
    let before = world.demo("a").server.stats().sessions();
    assert_eq!(client.close().await, Some(204));
    demo_sessions_become(&world, before - 1).await;
    sessions_become(&world, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_client_has_a_session_for_each_request() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, shared(Sharing::PerClient)).await;
        let client = world.client("a", Revision::V2026_07_28).await;
        assert_eq!(remember(&client, "a").await, ["a"]);
        assert_eq!(remember(&client, "b").await, ["b"]);
        let outcome = client.call_tool("confirm_order", json!({"rounds": 2})).await;
        assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{outcome:?}");
        assert_eq!(metric(&world, "sessions"), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_server_serves_all_as_before() {
    let world = world(Kind::Http(Revision::V2026_07_28), 1, shared(Sharing::PerClient)).await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        assert_eq!(remember(&client, "a").await, ["a"]);
    }
    assert_eq!(metric(&world, "sessions"), 0);
}

/// A session whose upstream session the server has forgotten: the server was told so by somebody else.
async fn forget_upstream(world: &World) {
    let seen = world.demo("a").server.stats().last("tools/call").expect("a call");
    let id = seen.headers.get("mcp-session-id").expect("a session");
    let http = Http::new(world.demo("a").address());
    let deleted = http.request(http::Method::DELETE, "/mcp").header("mcp-session-id", id).send().await;
    assert_eq!(deleted.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_upstream_session_is_gone_begins_again() {
    let world = world(HTTP, 2, shared(Sharing::PerClient)).await;
    let client = world.client("a", Revision::V2025_06_18).await;
    // Each replica finds out once what the server speaks, in a session of its own.
    assert_eq!(remember(&client, "a").await, ["a"]);
    assert_eq!(remember(&client, "b").await, ["a", "b"]);
    forget_upstream(&world).await;
    let runs = world.demo("a").server.stats().requests("initialize");
    let outcome = client.call_tool("remember", json!({"word": "c"})).await;
    assert_eq!(outcome.status, 404, "{outcome:?}");
    for _ in 0..2 {
        assert_eq!(client.request("ping", json!({})).await.status, 404, "at every replica");
    }
    assert_eq!(world.demo("a").server.stats().requests("initialize"), runs, "nothing was made up for it");
    let again = world.client("a", Revision::V2025_06_18).await;
    assert_eq!(remember(&again, "c").await, ["c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_process_was_at_a_replica_that_is_gone_begins_again() {
    let world = world(PROGRAM, 2, shared(Sharing::PerClient)).await;
    let first = Client::connect(world.address_of(0), "/a/mcp", Revision::V2025_11_25).await;
    remember(&first, "a").await;
    let session = first.session_id().expect("a session");
    let second = Http::new(world.address_of(1));
    let call = |id: i64| {
        let params = json!({"name": "remember", "arguments": {"word": "b"}});
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        second.post("/a/mcp", call).header("mcp-session-id", &session).send()
    };
    assert_eq!(call(1).await.status, 200);
    world.lose(0);
    assert_eq!(call(2).await.status, 404);
    world.find(0);
    assert_eq!(call(3).await.status, 200, "it was never ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refused_at_the_limit_and_what_is_not_used_ends() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, |upstream| {
            upstream.sessions = Sharing::PerClient;
            upstream.sessions_max = 1;
            upstream.session_idle = Span::from_mins(5);
        })
        .await;
        let first = world.client("a", Revision::V2025_11_25).await;
        assert_eq!(remember(&first, "a").await, ["a"]);
        let options = testkit::client::Options::default();
        let refused = Client::try_with(world.places(), "/a/mcp", Revision::V2025_11_25, options).await;
        assert_eq!(refused.err().and_then(|outcome| outcome.code()), Some(-31006));
        world.clock.advance(Duration::from_secs(301));
        sweep(&world);
        assert_eq!((metric(&world, "sessions"), metric(&world, "sessions_refused")), (0, 1));
        within(async { while first.call_tool("remember", json!({"word": "a"})).await.status != 404 {} })
            .await;
        let second = world.client("a", Revision::V2025_11_25).await;
        assert_eq!(remember(&second, "b").await, ["b"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_on_standard_input_and_output_has_its_own_until_it_hangs_up() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, shared(Sharing::PerClient)).await;
        let (mut ours, theirs) = tokio::io::duplex(64 * 1024);
        let (input, output) = tokio::io::split(theirs);
        let app = std::sync::Arc::clone(world.gateway().app());
        let serving = tokio::spawn(server_on_stdio(app, input, output));
        let call = |id: i64, word: &str| {
            let params = json!({"name": "remember", "arguments": {"word": word}});
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
        };
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"}}});
        for (message, expected) in
            [(hello, Value::Null), (call(2, "a"), json!(["a"])), (call(3, "b"), json!(["a", "b"]))]
        {
            ours.write_all(format!("{message}\n").as_bytes()).await.expect("it reads");
            let answer = within(answer_to(&mut ours, &message["id"])).await;
            let words = &answer["result"]["structuredContent"]["words"];
            assert_eq!(*words, expected, "{kind:?}: {answer}");
        }
        assert_eq!(metric(&world, "sessions"), 1);
        drop(ours);
        within(serving).await.expect("no panic");
        sessions_become(&world, 0).await;
    }
}

async fn server_on_stdio(
    app: std::sync::Arc<tidegate_server::App>,
    input: tokio::io::ReadHalf<tokio::io::DuplexStream>,
    output: tokio::io::WriteHalf<tokio::io::DuplexStream>,
) {
    tidegate_server::serve_stdio(app, "a", input, output).await.expect("nothing breaks");
}

/// The response of this id; whatever comes before it is passed over.
async fn answer_to(stream: &mut tokio::io::DuplexStream, id: &Value) -> Value {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await.expect("an answer") {
            b'\n' => {
                let message: Value = serde_json::from_slice(&line).expect("JSON");
                if message["id"] == *id {
                    return message;
                }
                line.clear();
            }
            byte => line.push(byte),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_sessions_than_fit_into_an_id_are_refused_before_any_is_opened() {
    let nobody = config::Upstream {
        url: Some("http://127.0.0.1:9/mcp".to_owned()),
        sessions: Sharing::PerClient,
        ..config::Upstream::default()
    };
    let builder = World::builder().demo("a", Server::builder()).config(|config| {
        for number in 0..40 {
            config.upstreams.insert(format!("u{number}"), nobody.clone());
        }
    });
    let world = builder.start().await;
    let options = testkit::client::Options::default();
    let refused = Client::try_with(world.places(), "/mcp", Revision::V2025_11_25, options).await;
    assert_eq!(refused.err().and_then(|outcome| outcome.code()), Some(-31006));
    let client = world.client("a", Revision::V2025_11_25).await;
    assert_eq!(client.call_tool("echo", json!({"text": "x"})).await.text(), "x", "others are served");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_could_not_be_reached_at_first_is_an_error_and_others_are_served() {
    let memory = || Server::builder().memory(true).revisions(&[Revision::V2025_11_25]);
    let builder = World::builder().demo_with("a", memory(), shared(Sharing::PerClient));
    let nobody = config::Upstream {
        url: Some("http://127.0.0.1:9/mcp".to_owned()),
        sessions: Sharing::PerClient,
        ..config::Upstream::default()
    };
    let world = builder.config(|config| drop(config.upstreams.insert("b".to_owned(), nobody))).start().await;
    let client = world.client("mcp", Revision::V2025_11_25).await;
    assert_eq!(remembered(&client.call_tool("a_remember", json!({"word": "a"})).await), ["a"]);
    let failed = client.call_tool("b_remember", json!({"word": "a"})).await;
    assert_eq!((failed.status, failed.code()), (200, Some(-31001)), "{failed:?}");
    assert_eq!(remembered(&client.call_tool("a_remember", json!({"word": "b"})).await), ["a", "b"]);
}
