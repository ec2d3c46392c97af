//! A call that waited at a replica which is gone: made again elsewhere where that does no harm.

use config::{Glob, Sharing, Upstream};
use serde_json::{Value, json};
use testkit::{Client, Outcome, Revision, World};

use super::{Kind, world};

const KINDS: [Kind; 3] = [
    Kind::Http(Revision::V2025_06_18),
    Kind::Http(Revision::V2025_11_25),
    Kind::Program(Revision::V2025_11_25),
];

fn repeatable(upstream: &mut Upstream) {
    upstream.idempotent = vec![Glob::new("confirm_*").expect("a pattern")];
}

/// A modern client at each of two replicas.
async fn at_both(world: &World) -> [Client; 2] {
    let at = |replica| Client::connect(world.address_of(replica), "/a/mcp", Revision::V2026_07_28);
    [at(0).await, at(1).await]
}

/// The parameters of a retry: all that is asked is answered.
fn answered(params: &Value, asked: &Outcome, content: &Value) -> Value {
    let result = asked.result();
    assert_eq!(result["resultType"], "input_required", "{asked:?}");
    let questions = result["inputRequests"].as_object().expect("questions");
    let answer = json!({"action": "accept", "content": content});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), answer.clone())).collect();
    let mut again = params.clone();
    again["requestState"] = result["requestState"].clone();
    again["inputResponses"] = answers.into();
    again
}

fn order() -> Value {
    json!({"name": "confirm_order", "arguments": {"rounds": 2}})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_questions_get_the_same_answers_and_the_client_sees_one_call() {
    for kind in KINDS {
        let world = world(kind, 2, repeatable).await;
        let [first, second] = at_both(&world).await;
        let one = first.ask_once("tools/call", order()).await;
        let two = first.ask_once("tools/call", answered(&order(), &one, &json!({"quantity": 7}))).await;
        world.lose(0);
        let done = second.ask_once("tools/call", answered(&order(), &two, &json!({"confirm": true}))).await;
        assert_eq!(done.result()["structuredContent"], json!({"ordered": true, "quantity": 7}), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_made_again_may_ask_more_and_be_lost_again() {
    for kind in KINDS {
        let world = world(kind, 3, repeatable).await;
        let [first, second] = at_both(&world).await;
        let third = Client::connect(world.address_of(2), "/a/mcp", Revision::V2026_07_28).await;
        let one = first.ask_once("tools/call", order()).await;
        world.lose(0);
        let two = second.ask_once("tools/call", answered(&order(), &one, &json!({"quantity": 5}))).await;
        assert!(two.result()["inputRequests"].to_string().contains("Order 5"), "{two:?}");
        world.lose(1);
        let done = third.ask_once("tools/call", answered(&order(), &two, &json!({"confirm": true}))).await;
        assert_eq!(done.result()["structuredContent"], json!({"ordered": true, "quantity": 5}), "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_answered_is_asked_again() {
    let world = world(KINDS[1], 2, repeatable).await;
    let [first, second] = at_both(&world).await;
    let one = first.ask_once("tools/call", order()).await;
    let mut empty = answered(&order(), &one, &json!({}));
    empty["inputResponses"] = json!({});
    world.lose(0);
    let again = second.ask_once("tools/call", empty).await;
    assert_eq!(again.result()["inputRequests"], one.result()["inputRequests"]);
    let two = second.ask_once("tools/call", answered(&order(), &again, &json!({"quantity": 2}))).await;
    let done = second.ask_once("tools/call", answered(&order(), &two, &json!({"confirm": true}))).await;
    assert_eq!(done.result()["structuredContent"]["quantity"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_too_large_to_be_carried_are_lost_with_the_replica() {
    let world = world(KINDS[1], 2, repeatable).await;
    let [first, second] = at_both(&world).await;
    let one = first.ask_once("tools/call", order()).await;
    let large = json!({"quantity": 7, "note": "x".repeat(16 * 1024)});
    let two = first.ask_once("tools/call", answered(&order(), &one, &large)).await;
    let state = two.result()["requestState"].as_str().expect("a state");
    assert!(state.len() < 1024, "{} characters", state.len());
    world.lose(0);
    let failed = second.ask_once("tools/call", answered(&order(), &two, &json!({"confirm": true}))).await;
    assert_eq!(failed.code(), Some(-31007), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_only_reads_and_may_always_be_asked_for_again() {
    let world = world(KINDS[1], 2, |_| ()).await;
    let [first, second] = at_both(&world).await;
    let listed = first.request("prompts/list", json!({})).await;
    let prompts = listed.result()["prompts"].as_array().expect("prompts").clone();
    for prompt in prompts {
        let params = json!({"name": prompt["name"], "arguments": {}});
        let one = first.ask_once("prompts/get", params.clone()).await;
        let asks =
            matches!(&one.end, testkit::End::Result(result) if result["resultType"] == "input_required");
        if !asks {
            continue;
        }
        world.lose(0);
        let again = second.ask_once("prompts/get", answered(&params, &one, &json!({}))).await;
        assert_ne!(again.code(), Some(-31007), "{again:?}");
        world.find(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_another_way_ends_with_an_error_and_the_server_is_told() {
    let world = world(KINDS[1], 2, |upstream| upstream.trust_hints = true).await;
    let [first, second] = at_both(&world).await;
    // Hints are known from the list.
    second.request("tools/list", json!({})).await;
    first.request("tools/list", json!({})).await;
    let params = json!({"name": "guess", "arguments": {}});
    let one = first.ask_once("tools/call", params.clone()).await;
    world.lose(0);
    let failed = second.ask_once("tools/call", answered(&params, &one, &json!({"number": 1}))).await;
    assert_eq!(failed.code(), Some(-31007), "{failed:?}");
    let testkit::End::Error(error) = &failed.end else { panic!("{failed:?}") };
    assert_eq!([&error["data"]["reason"], &error["data"]["retry"]], ["replay_differs", "safe"]);
    world.demo("a").server.stats().wait_until(|stats| !stats.cancelled().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_trust_or_a_name_nothing_is_made_again() {
    let world = world(KINDS[1], 2, |_| ()).await;
    let [first, second] = at_both(&world).await;
    first.request("tools/list", json!({})).await;
    for (params, content) in
        [(json!({"name": "guess", "arguments": {}}), json!({"number": 1})), (order(), json!({"quantity": 1}))]
    {
        let one = first.ask_once("tools/call", params.clone()).await;
        world.lose(0);
        let runs = world.demo("a").server.stats().requests("tools/call");
        let failed = second.ask_once("tools/call", answered(&params, &one, &content)).await;
        let testkit::End::Error(error) = &failed.end else { panic!("{failed:?}") };
        assert_eq!([&error["data"]["reason"], &error["data"]["retry"]], ["replica_gone", "may_have_run"]);
        assert_eq!(world.demo("a").server.stats().requests("tools/call"), runs, "it did not run again");
        world.find(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_a_session_is_made_again_in_the_same_session() {
    let world = world(KINDS[1], 2, |upstream| {
        upstream.sessions = Sharing::Handle;
        repeatable(upstream);
    })
    .await;
    let [first, second] = at_both(&world).await;
    let opened = first.call_tool("session_open", json!({})).await;
    let session = opened.result()["structuredContent"]["session"].clone();
    let params = json!({"name": "confirm_order", "arguments": {"rounds": 1, "session": session}});
    let one = first.ask_once("tools/call", params.clone()).await;
    world.lose(0);
    let content = json!({"quantity": 4, "confirm": true});
    let done = second.ask_once("tools/call", answered(&params, &one, &content)).await;
    assert_eq!(done.result()["structuredContent"], json!({"ordered": true, "quantity": 4}));
}
