//! Calls that fail, and are made again where that is safe.

use config::{Glob, KeyPlace, RetryOn, RetryRule, Span, Upstream};
use demo::Revision;
use serde_json::json;

use super::*;

fn rule_on(on: Vec<RetryOn>) -> RetryRule {
    RetryRule {
        tools: Glob::all(),
        max_attempts: 3,
        backoff: Span::from_millis(20),
        backoff_max: Span::from_millis(40),
        retry_on: on,
        deadline: None,
        idempotency_key: None,
    }
}

/// Lets time pass until the task has ended.
async fn ended_in_time(world: &World, client: &Client, task: &str) -> Value {
    within(async {
        loop {
            let found = get(client, task).await;
            if found["status"] != "working" {
                return found;
            }
            world.clock.advance(std::time::Duration::from_millis(10));
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_may_pass_is_tried_again_where_the_operator_says_that_the_tool_may_run_twice() {
    for revision in [Revision::V2025_06_18, Revision::V2026_07_28] {
        for repeatable in [true, false] {
            let change = |upstream: &mut Upstream| {
                upstream.retries = vec![rule_on(vec![RetryOn::Code(-32_001)])];
                upstream.idempotent = if repeatable { vec![Glob::all()] } else { Vec::new() };
            };
            let world = with(revision, change).config(always()).start().await;
            let client = able(&world).await;
            let task = begin(&client, "rpc_error", json!({"code": -32_001, "message": "not now"})).await;
            let found = ended_in_time(&world, &client, &task).await;
            assert_eq!(
                (&found["status"], &found["error"]["code"]),
                (&json!("failed"), &json!(-32_001)),
                "{found}"
            );
            let attempts = if repeatable { 3 } else { 1 };
            assert_eq!(found["_meta"][LIFECYCLE]["attempt"], attempts);
            assert_eq!(
                found["_meta"][LIFECYCLE]["failure"],
                json!({"class": "rpc_error", "mayHaveRun": true})
            );
            assert_eq!(world.demo("a").server.stats().requests("tools/call"), attempts);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_nobody_named_is_final() {
    let change = |upstream: &mut Upstream| {
        upstream.retries = vec![rule_on(vec![RetryOn::Code(-32_001)])];
        upstream.idempotent = vec![Glob::all()];
    };
    let world = with(Revision::V2026_07_28, change).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "rpc_error", json!({"code": -32_003, "message": "no"})).await;
    assert_eq!(ended(&client, &task).await["error"]["code"], -32_003);
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_says_itself_that_it_failed_is_tried_again_where_its_words_fit() {
    let text = Glob::new("*").expect("a pattern");
    let change = |upstream: &mut Upstream| {
        upstream.retries = vec![rule_on(vec![RetryOn::IsError(text)])];
        upstream.idempotent = vec![Glob::all()];
    };
    let world = with(Revision::V2025_11_25, change).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "fail", json!({})).await;
    let found = ended_in_time(&world, &client, &task).await;
    // What the tool said last is the result.
    assert_eq!(
        (&found["status"], &found["result"]["isError"]),
        (&json!("completed"), &json!(true)),
        "{found}"
    );
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_a_key_gets_the_same_one_with_each_attempt() {
    let places = [
        KeyPlace::Meta("example.com/key".to_owned()),
        KeyPlace::Argument("request_id".to_owned()),
        KeyPlace::Header("x-request-key".to_owned()),
    ];
    for place in places {
        let key = place.clone();
        let change = |upstream: &mut Upstream| {
            let rule = rule_on(vec![RetryOn::Code(-32_001)]);
            upstream.retries = vec![RetryRule { idempotency_key: Some(key), ..rule }];
        };
        let world = with(Revision::V2026_07_28, change).config(always()).start().await;
        let client = able(&world).await;
        let stats = world.demo("a").server.stats();
        let task = begin(&client, "rpc_error", json!({"code": -32_001, "message": "not now"})).await;
        let mut keys = std::collections::BTreeSet::new();
        for count in 1..=3 {
            within(async {
                while stats.requests("tools/call") < count {
                    world.clock.advance(std::time::Duration::from_millis(10));
                    get(&client, &task).await;
                }
            })
            .await;
            let seen = stats.last("tools/call").expect("a call");
            keys.insert(match &place {
                KeyPlace::Meta(name) => seen.message["params"]["_meta"][name].clone().to_string(),
                KeyPlace::Argument(name) => seen.message["params"]["arguments"][name].clone().to_string(),
                KeyPlace::Header(name) => seen.headers[name].to_str().expect("text").to_owned(),
            });
        }
        assert_eq!(ended_in_time(&world, &client, &task).await["status"], "failed");
        assert_eq!(keys.len(), 1, "{place:?}: {keys:?}");
        assert!(keys.first().is_some_and(|key| key.len() >= 32), "{keys:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_was_not_asked_and_is_asked_again() {
    let change = |upstream: &mut Upstream| upstream.retries = vec![rule_on(vec![RetryOn::Connect])];
    let mut world = with(Revision::V2025_11_25, change).config(always()).start().await;
    let client = able(&world).await;
    // The gateway knows its tools before it goes.
    done(&client, "tools/list", json!({})).await;
    world.demos.remove("a");
    // Connections that were open break first.
    let knower_of_nothing = world.client("a", Revision::V2026_07_28).await;
    within(async {
        loop {
            let outcome = knower_of_nothing.call_tool("add", json!({"a": 1, "b": 1})).await;
            let End::Error(error) = outcome.end else { panic!("nobody is there: {outcome:?}") };
            if error["data"]["reason"] == "unreachable" {
                return;
            }
        }
    })
    .await;
    let task = begin(&client, "add", json!({"a": 1, "b": 1})).await;
    let found = ended_in_time(&world, &client, &task).await;
    assert_eq!(found["status"], "failed");
    assert_eq!(found["_meta"][LIFECYCLE]["attempt"], 3, "{found}");
}
