//! `handle`: clients open and close sessions, and name them in arguments.

use std::collections::BTreeMap;
use std::time::Duration;

use config::{Sharing, Span};
use demo::Server;
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::{Client, Outcome, Revision, World, within};

use super::{KINDS, Kind, demo_sessions_become, metric, remembered, sessions_become, shared, sweep, world};

const HTTP: Kind = Kind::Http(Revision::V2025_11_25);
const PROGRAM: Kind = Kind::Program(Revision::V2025_11_25);

async fn open(client: &Client) -> String {
    handle_of(&client.call_tool("session_open", json!({})).await)
}

fn handle_of(outcome: &Outcome) -> String {
    let told: Value = serde_json::from_str(outcome.text()).unwrap_or_else(|_| panic!("{outcome:?}"));
    told["session"].as_str().unwrap_or_else(|| panic!("{outcome:?}")).to_owned()
}

async fn remember_in(client: &Client, session: &str, word: &str) -> Vec<String> {
    remembered(&client.call_tool("remember", json!({"word": word, "session": session})).await)
}

/// Whether a tool was answered as one whose session is not known.
fn is_unknown(outcome: &Outcome) -> bool {
    let result = outcome.result();
    result["isError"] == true && outcome.text().starts_with("Unknown session: nothing ran.")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_has_as_many_memories_as_it_opens_sessions_through_any_replica() {
    for kind in KINDS {
        for replicas in [1, 3] {
            let world = world(kind, replicas, shared(Sharing::Handle)).await;
            for revision in Revision::ALL {
                let client = world.client("a", revision).await;
                let (one, two) = (open(&client).await, open(&client).await);
                let about = format!("{kind:?}, {replicas} replicas, a client of {revision}");
                assert_eq!(remember_in(&client, &one, "a").await, ["a"], "{about}");
                assert_eq!(remember_in(&client, &two, "b").await, ["b"], "{about}");
                assert_eq!(remember_in(&client, &one, "c").await, ["a", "c"], "{about}");
                assert_eq!(remember_in(&client, &one, "d").await, ["a", "c", "d"], "{about}");
                let closed = client.call_tool("session_close", json!({"session": one})).await;
                assert_eq!(closed.text(), "The session is closed.", "{about}: {closed:?}");
                for arguments in [json!({"session": one}), json!({"word": "e", "session": one})] {
                    let tool = if arguments["word"].is_null() { "session_close" } else { "remember" };
                    // A server may not say that it knew a session which is closed.
                    let again = client.call_tool(tool, arguments).await;
                    assert!(tool == "session_close" || is_unknown(&again), "{about}: {again:?}");
                }
                assert_eq!(remember_in(&client, &two, "f").await, ["b", "f"], "{about}");
                client.call_tool("session_close", json!({"session": two})).await;
            }
            sessions_become(&world, 0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_handle_runs_in_a_session_that_ends_with_it() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, shared(Sharing::Handle)).await;
        for revision in [Revision::V2026_07_28, Revision::V2025_06_18] {
            let client = world.client("a", revision).await;
            for arguments in [json!({"word": "a"}), json!({"word": "a", "session": null})] {
                assert_eq!(remembered(&client.call_tool("remember", arguments).await), ["a"]);
            }
        }
        assert_eq!(metric(&world, "sessions"), 0);
        if kind == HTTP {
            let before = world.demo("a").server.stats().requests("initialize");
            let client = world.client("a", Revision::V2026_07_28).await;
            let session = open(&client).await;
            remember_in(&client, &session, "a").await;
            client.call_tool("session_close", json!({"session": session})).await;
            let opened = world.demo("a").server.stats().requests("initialize") - before;
            assert_eq!(opened, 1, "one session for the handle and none for its calls");
            // What is left is the session that lists come from, and that of the gateway itself.
            demo_sessions_become(&world, 3).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_a_session_is_one_request_upstream() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, shared(Sharing::Handle)).await;
        for capabilities in [json!({}), json!({"elicitation": {"form": {}}})] {
            let options = Options { capabilities: Some(capabilities), ..Options::default() };
            let client = world.client_with("a", Revision::V2026_07_28, options).await;
            let session = open(&client).await;
            remember_in(&client, &session, "a").await;
            let before = metric(&world, "requests");
            for _ in 0..3 {
                remember_in(&client, &session, "b").await;
            }
            assert_eq!(metric(&world, "requests") - before, 3, "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_one_call_lasts_until_its_questions_are_answered() {
    let world = world(HTTP, 1, shared(Sharing::Handle)).await;
    let client = world.client("a", Revision::V2026_07_28).await;
    client.request("tools/list", json!({})).await;
    let before = world.demo("a").server.stats().sessions();
    let params = json!({"name": "confirm_order", "arguments": {"rounds": 2}});
    let asked = client.ask_once("tools/call", params.clone()).await;
    assert_eq!(asked.result()["resultType"], "input_required", "{asked:?}");
    assert_eq!(world.demo("a").server.stats().sessions(), before + 1);
    let mut again = params;
    again["requestState"] = asked.result()["requestState"].clone();
    again["inputResponses"] = json!({"q1": {"action": "decline"}});
    let declined = client.ask_once("tools/call", again).await;
    assert_eq!(declined.result()["structuredContent"]["ordered"], false, "{declined:?}");
    demo_sessions_become(&world, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_are_listed_with_the_argument_and_the_server_never_sees_it() {
    let world = world(HTTP, 1, shared(Sharing::Handle)).await;
    for revision in [Revision::V2026_07_28, Revision::V2025_03_26] {
        let direct = world.client("a", revision).await;
        let all = world.client("mcp", revision).await;
        for (client, prefix) in [(&direct, ""), (&all, "a_")] {
            let listed = client.request("tools/list", json!({})).await;
            let tools: BTreeMap<&str, &Value> = listed.result()["tools"]
                .as_array()
                .expect("tools")
                .iter()
                .map(|tool| (tool["name"].as_str().expect("a name"), tool))
                .collect();
            let named = |name: &str| tools[format!("{prefix}{name}").as_str()];
            assert_eq!(named("remember")["inputSchema"]["properties"]["session"]["type"], "string");
            assert_eq!(named("remember")["inputSchema"]["required"], json!(["word"]));
            assert_eq!(named("session_close")["inputSchema"]["required"], json!(["session"]));
            assert_eq!(named("session_open")["inputSchema"]["properties"], json!({}));
            let session = handle_of(&client.call_tool(&format!("{prefix}session_open"), json!({})).await);
            let arguments = json!({"word": "a", "session": session});
            let outcome = client.call_tool(&format!("{prefix}remember"), arguments).await;
            assert_eq!(remembered(&outcome), ["a"]);
            let seen = world.demo("a").server.stats().last("tools/call").expect("a call");
            assert_eq!(seen.message["params"]["arguments"], json!({"word": "a"}));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_tools_are_filtered_and_renamed_like_any_of_the_servers() {
    let world = world(HTTP, 1, |upstream| {
        upstream.sessions = Sharing::Handle;
        upstream.aliases = BTreeMap::from([("session_open".to_owned(), "begin".to_owned())]);
        upstream.hide = vec![config::Glob::new("session_close").expect("a pattern")];
    })
    .await;
    let client = world.client("mcp", Revision::V2026_07_28).await;
    let session = handle_of(&client.call_tool("a_begin", json!({})).await);
    let outcome = client.call_tool("a_remember", json!({"word": "a", "session": session})).await;
    assert_eq!(remembered(&outcome), ["a"]);
    for hidden in ["a_session_open", "a_session_close"] {
        assert_eq!(client.call_tool(hidden, json!({"session": session})).await.code(), Some(-32602));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_of_another_place_or_none_at_all_is_unknown_in_the_same_words() {
    let memory = || Server::builder().memory(true).revisions(&[Revision::V2025_11_25]);
    let builder = World::builder().demo_with("a", memory(), shared(Sharing::Handle));
    let builder = builder.demo_with("b", memory(), shared(Sharing::Handle));
    let world = builder.start().await;
    for revision in [Revision::V2026_07_28, Revision::V2025_11_25] {
        let (direct, all) = (world.client("a", revision).await, world.client("mcp", revision).await);
        let own = open(&direct).await;
        let of_all = handle_of(&all.call_tool("a_session_open", json!({})).await);
        let mut tampered = own.clone().into_bytes();
        tampered[40] = if tampered[40] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).expect("text");
        let mut said = Vec::new();
        for (client, tool, handle) in [
            (&all, "a_remember", json!(own)),
            (&direct, "remember", json!(of_all)),
            (&all, "b_remember", json!(of_all)),
            (&direct, "remember", json!(tampered)),
            (&direct, "remember", json!("")),
            (&direct, "remember", json!(7)),
            (&direct, "remember", json!({"session": own})),
            (&direct, "session_close", json!("made up")),
        ] {
            let outcome = client.call_tool(tool, json!({"word": "a", "session": handle})).await;
            assert!(is_unknown(&outcome), "{tool} {handle}: {outcome:?}");
            said.push(outcome.result().clone());
        }
        said.dedup();
        assert_eq!(said.len(), 1, "{said:?}");
        // Nothing of it reached anybody's session.
        assert_eq!(remember_in(&direct, &own, "b").await, ["b"]);
    }
    let client = world.client("a", Revision::V2026_07_28).await;
    let own = open(&client).await;
    world.clock.advance(Duration::from_secs(24 * 3_600));
    assert!(is_unknown(&client.call_tool("remember", json!({"word": "a", "session": own})).await), "expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_in_the_middle_of_a_call_are_answered_through_any_replica() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 3, shared(Sharing::Handle)).await;
        for revision in [Revision::V2026_07_28, Revision::V2025_11_25] {
            let client = world.client("a", revision).await;
            let session = open(&client).await;
            for _ in 0..4 {
                let arguments = json!({"rounds": 2, "session": session});
                let outcome = client.call_tool("confirm_order", arguments).await;
                assert_eq!(outcome.asked.len(), 2, "{kind:?}, a client of {revision}: {outcome:?}");
                assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{outcome:?}");
            }
            let outcome = client.call_tool("confirm_order", json!({"rounds": 2})).await;
            assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{outcome:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handle_of_a_process_whose_replica_is_gone_is_unknown() {
    let world = world(PROGRAM, 2, shared(Sharing::Handle)).await;
    for revision in [Revision::V2026_07_28, Revision::V2025_11_25] {
        let first = Client::connect(world.address_of(0), "/a/mcp", revision).await;
        let second = Client::connect(world.address_of(1), "/a/mcp", revision).await;
        let session = open(&first).await;
        assert_eq!(remember_in(&second, &session, "a").await, ["a"]);
        world.lose(0);
        let lost = second.call_tool("remember", json!({"word": "b", "session": session})).await;
        assert!(is_unknown(&lost), "{lost:?}");
        world.find(0);
        assert_eq!(remember_in(&second, &session, "c").await, ["a", "c"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_modern_server_has_no_sessions_to_open() {
    let world = world(Kind::Http(Revision::V2026_07_28), 1, shared(Sharing::Handle)).await;
    let client = world.client("a", Revision::V2026_07_28).await;
    let listed = client.request("tools/list", json!({})).await;
    assert!(!listed.result().to_string().contains("session_open"));
    assert_eq!(remembered(&client.call_tool("remember", json!({"word": "a"})).await), ["a"]);
    assert_eq!(client.call_tool("session_open", json!({})).await.code(), Some(-32602));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_refused_at_the_limit_and_what_is_not_used_ends() {
    for kind in [HTTP, PROGRAM] {
        let world = world(kind, 1, |upstream| {
            upstream.sessions = Sharing::Handle;
            upstream.sessions_max = 2;
            upstream.session_idle = Span::from_mins(5);
        })
        .await;
        let client = world.client("a", Revision::V2026_07_28).await;
        let (first, second) = (open(&client).await, open(&client).await);
        let third = client.call_tool("session_open", json!({})).await;
        assert_eq!(third.code(), Some(-31006), "{third:?}");
        assert_eq!((metric(&world, "sessions"), metric(&world, "sessions_refused")), (2, 1));
        world.clock.advance(Duration::from_secs(200));
        remember_in(&client, &second, "a").await;
        world.clock.advance(Duration::from_secs(200));
        // It was not used for 400 s. Whoever has not put its last call down yet is swept the next time.
        within(async {
            while metric(&world, "sessions") != 1 {
                sweep(&world);
                tokio::task::yield_now().await;
            }
        })
        .await;
        // The server is told in the background.
        within(async {
            let call = || client.call_tool("remember", json!({"word": "a", "session": first}));
            while !is_unknown(&call().await) {}
        })
        .await;
        assert_eq!(remember_in(&client, &second, "b").await, ["a", "b"]);
        open(&client).await;
    }
}
