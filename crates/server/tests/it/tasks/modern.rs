//! In the form of the Tasks extension (SEP-2663).

use config::{HostWhen, Span};
use demo::Revision;
use serde_json::{Value, json};
use testkit::client::End;
use testkit::http::Http;

use super::*;

const MODERN: Revision = Revision::V2026_07_28;
const LEGACY: Revision = Revision::V2025_11_25;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_a_task_that_ends_with_what_the_call_would_have_been_answered_with() {
    for upstream in [Revision::V2025_03_26, LEGACY, MODERN] {
        let world = of(upstream).config(always()).start().await;
        let client = able(&world).await;
        assert_eq!(client.opening()["capabilities"]["extensions"][TASKS], json!({}));
        let outcome = client.call_tool("echo", json!({"text": "5"})).await;
        let made = outcome.result();
        assert_eq!((&made["resultType"], &made["status"]), (&json!("task"), &json!("working")), "{made}");
        assert!(made["ttlMs"].as_u64() > Some(0) && made["pollIntervalMs"].as_u64() > Some(0), "{made}");
        assert_eq!(made["createdAt"], "2026-07-28T00:00:00Z");
        let found = ended(&client, made["taskId"].as_str().expect("a name")).await;
        assert_eq!((&found["status"], &found["resultType"]), (&json!("completed"), &json!("complete")));
        assert!(found.get("pollIntervalMs").is_none(), "nothing more will come of it: {found}");
        let plain = world.client("a", MODERN).await.call_tool("echo", json!({"text": "5"})).await;
        assert_eq!(found["result"], *plain.result(), "{upstream}");
        assert_eq!(found["_meta"][LIFECYCLE]["attempt"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_the_same_text_as_often_as_it_is_asked_for_at_any_replica() {
    let world = of(MODERN).replicas(2).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "big", json!({"bytes": 400_000})).await;
    ended(&client, &task).await;
    let mut texts = std::collections::BTreeSet::new();
    for replica in [0, 1, 0, 1] {
        let http = Http::new(world.address_of(replica));
        let capabilities = json!({"extensions": {TASKS: {}}});
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let params = json!({"taskId": task, "_meta": meta});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": params});
        let reply = http.post("/a/mcp", body).header("mcp-protocol-version", "2026-07-28");
        let reply = reply.header("mcp-method", "tasks/get").header("mcp-name", &task).send().await;
        assert_eq!(reply.status, 200);
        texts.insert(reply.text().await);
    }
    assert_eq!(texts.len(), 1);
    assert!(texts.first().is_some_and(|text| text.len() > 400_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_know_what_a_task_is_waits_for_the_result() {
    let world = of(MODERN).config(always()).start().await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        assert_eq!(client.call_tool("echo", json!({"text": "5"})).await.text(), "5", "{revision}");
    }
    let client = world.client("a", MODERN).await;
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let refused = client.request(method, json!({"taskId": "x", "inputResponses": {}})).await;
        assert_eq!(refused.code(), Some(-32021), "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_becomes_a_task_once_it_is_slow_and_is_made_once() {
    for upstream in [LEGACY, MODERN] {
        let world = of(upstream).config(when_slow(60)).start().await;
        let client = able(&world).await;
        assert_eq!(client.call_tool("echo", json!({"text": "5"})).await.text(), "5");
        let calls = world.demo("a").server.stats().requests("tools/call");
        let outcome = client.call_tool_for_progress("slow", json!({"seconds": 0.6, "steps": 12})).await;
        let task = outcome.result()["taskId"].as_str().expect("a task").to_owned();
        assert!(outcome.told.len() < 12, "it was answered before the end");
        let found = ended(&client, &task).await;
        assert_eq!(found["status"], "completed", "{found}");
        assert_eq!(found["result"]["content"][0]["type"], "text");
        assert_eq!(world.demo("a").server.stats().requests("tools/call"), calls + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_become_input_required_and_their_answers_reach_the_tool() {
    for upstream in [LEGACY, MODERN] {
        for (when, what) in [(HostWhen::Always, "always"), (HostWhen::WhenSlow(Span::from_millis(1)), "slow")]
        {
            let world = of(upstream).config(hosting(when)).start().await;
            let client = able(&world).await;
            let outcome =
                client.ask_once("tools/call", json!({"name": "confirm_order", "arguments": {"rounds": 2}}));
            let outcome = outcome.await;
            if outcome.result()["resultType"] == "input_required" {
                // The question came before the call was slow: it is the call's own.
                assert_eq!(what, "slow");
                continue;
            }
            let task = outcome.result()["taskId"].as_str().expect("a task").to_owned();
            let mut keys = Vec::new();
            for _ in 0..2 {
                let found = until(&client, &task, &["input_required", "failed"]).await;
                let (key, question) = {
                    let questions = found["inputRequests"].as_object().expect("questions");
                    assert_eq!(questions.len(), 1, "{found}");
                    questions.iter().next().map(|(key, ask)| (key.clone(), ask.clone())).expect("one")
                };
                assert!(!keys.contains(&key), "keys are never used again: {keys:?}");
                assert_eq!(question["method"], "elicitation/create");
                let content = match question["params"]["requestedSchema"]["properties"].get("quantity") {
                    Some(_) => json!({"quantity": 3, "confirm": true, "sure": true}),
                    None => json!({"confirm": true, "sure": true}),
                };
                // Answers to what nobody asked change nothing.
                let wrong = json!({"taskId": task, "inputResponses": {"nobody-asked": {"action": "accept"}}});
                done(&client, "tasks/update", wrong).await;
                assert_eq!(get(&client, &task).await["status"], "input_required");
                let answer = json!({key.clone(): {"action": "accept", "content": content}});
                let params = json!({"taskId": task, "inputResponses": answer});
                done(&client, "tasks/update", params.clone()).await;
                // Said twice it counts once.
                done(&client, "tasks/update", params).await;
                keys.push(key);
            }
            let found = ended(&client, &task).await;
            assert_eq!(found["result"]["structuredContent"]["ordered"], true, "{upstream} {what}: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_ends_at_once_and_so_does_its_call() {
    for upstream in [LEGACY, MODERN] {
        let world = of(upstream).config(always()).start().await;
        let client = able(&world).await;
        let task = begin(&client, "slow", json!({"seconds": 3_000})).await;
        let stats = world.demo("a").server.stats();
        within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
        done(&client, "tasks/cancel", json!({"taskId": task})).await;
        assert_eq!(get(&client, &task).await["status"], "cancelled");
        within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
        // Once more is as good as once.
        done(&client, "tasks/cancel", json!({"taskId": task})).await;
        assert_eq!(get(&client, &task).await["status"], "cancelled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_task_stays_as_it_is_whatever_is_said_of_it() {
    let world = of(MODERN).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "add", json!({"a": 1, "b": 1})).await;
    let found = ended(&client, &task).await;
    done(&client, "tasks/cancel", json!({"taskId": task})).await;
    done(&client, "tasks/update", json!({"taskId": task, "inputResponses": {"k": {}}})).await;
    assert_eq!(get(&client, &task).await, found);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_each_change_and_the_end_with_its_result() {
    let world = of(MODERN).replicas(2).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "confirm_order", json!({})).await;
    client.watch_tasks(&[&task]).await.expect("a stream");
    let mut answered = false;
    loop {
        let change = client.next_change().await;
        assert_eq!(change["method"], "notifications/tasks", "{change}");
        let params = &change["params"];
        assert_eq!(params["taskId"], task);
        match params["status"].as_str() {
            Some("input_required") if !answered => {
                let key =
                    params["inputRequests"].as_object().and_then(|q| q.keys().next()).expect("one").clone();
                let answer = json!({key: {"action": "accept", "content": {"quantity": 1, "confirm": true}}});
                let params = json!({"taskId": task, "inputResponses": answer});
                done(&client, "tasks/update", params).await;
                answered = true;
            }
            Some("completed") => {
                assert!(params["result"]["content"].is_array(), "{params}");
                break;
            }
            Some("working" | "input_required") => {}
            other => panic!("{other:?}: {change}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_unknown_to_everybody_else() {
    let world = of(MODERN).demo("b", demo::Server::builder()).config(always()).start().await;
    let client = able(&world).await;
    let task = begin(&client, "add", json!({"a": 1, "b": 1})).await;
    ended(&client, &task).await;
    let at_all = {
        let mut capabilities = everything(MODERN);
        capabilities["extensions"][TASKS] = json!({});
        let options = Options { capabilities: Some(capabilities), ..Options::default() };
        world.client_with("mcp", MODERN, options).await
    };
    let swapped: String = task.chars().rev().collect();
    let mut answers = std::collections::BTreeSet::new();
    for (client, name) in
        [(&at_all, task.as_str()), (&client, &swapped), (&client, "no-such-task"), (&client, "")]
    {
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let outcome = client.request(method, json!({"taskId": name, "inputResponses": {}})).await;
            assert_eq!(outcome.code(), Some(-32602), "{method} {name}");
            let End::Error(error) = outcome.end else { unreachable!("it has a code") };
            answers.insert(error.to_string());
        }
    }
    assert_eq!(answers.len(), 1, "nobody learns what is wrong: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_time_is_over_is_said_to_have_expired_and_then_forgotten() {
    let change = |config: &mut Config| {
        always()(config);
        config.tasks.ttl = Span::from_millis(60_000);
        config.tasks.result_retention = Span::from_millis(10_000);
        config.tasks.tombstone = Span::from_millis(60_000);
    };
    let world = of(MODERN).config(change).start().await;
    let client = able(&world).await;
    let task = begin(&client, "add", json!({"a": 1, "b": 1})).await;
    assert_eq!(ended(&client, &task).await["_meta"][LIFECYCLE]["expiresAt"], "2026-07-28T00:01:00Z");
    world.clock.advance(std::time::Duration::from_secs(61));
    let outcome = client.request("tasks/get", json!({"taskId": task})).await;
    let End::Error(error) = &outcome.end else { panic!("{outcome:?}") };
    assert_eq!((&error["code"], &error["data"]["reason"]), (&json!(-32602), &json!("task_expired")));
    assert_eq!(error["data"]["expiredAt"], "2026-07-28T00:01:00Z");
    world.clock.advance(std::time::Duration::from_secs(61));
    within(async {
        loop {
            let outcome = client.request("tasks/get", json!({"taskId": task})).await;
            let End::Error(error) = outcome.end else { panic!("it came back") };
            if error["message"] == "Unknown task" {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_to_be_made_later_is_made_then() {
    let world = of(MODERN).config(always()).start().await;
    let client = able(&world).await;
    let call = json!({"name": "echo", "arguments": {"text": "2"}, "_meta":
        {"io.tidegate/not-before": "2026-07-28T01:00:00Z"}});
    let made = client.request("tools/call", call).await.result().clone();
    assert_eq!(made["_meta"][LIFECYCLE]["nextAttemptAt"], "2026-07-28T01:00:00Z");
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 0);
    world.clock.advance(std::time::Duration::from_secs(3_601));
    let found = ended(&client, made["taskId"].as_str().expect("a name")).await;
    assert_eq!(found["result"]["content"][0]["text"], "2");
    for wrong in [json!("soon"), json!(5), Value::Null, json!("2099-01-01T00:00:00Z")] {
        let call = json!({"name": "add", "arguments": {}, "_meta": {"io.tidegate/not-before": wrong}});
        assert_eq!(client.request("tools/call", call).await.code(), Some(-32602), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_creation_with_one_key_is_one_task() {
    let world = of(MODERN).config(always()).start().await;
    let client = able(&world).await;
    let call = |key: Value, a: u64| {
        let meta = json!({"io.tidegate/idempotency-key": key});
        json!({"name": "add", "arguments": {"a": a, "b": 1}, "_meta": meta})
    };
    let first = client.request("tools/call", call(json!("order-1"), 1)).await.result()["taskId"].clone();
    let again = client.request("tools/call", call(json!("order-1"), 1)).await;
    assert_eq!(again.result()["taskId"], first);
    let other = client.request("tools/call", call(json!("order-2"), 1)).await;
    assert_ne!(other.result()["taskId"], first);
    let differs = client.request("tools/call", call(json!("order-1"), 2)).await;
    let End::Error(error) = differs.end else { panic!("another call has this key") };
    assert_eq!(error["data"]["reason"], "idempotency_key");
    for wrong in [json!(""), json!(1), json!("x".repeat(257))] {
        assert_eq!(client.request("tools/call", call(wrong, 1)).await.code(), Some(-32602));
    }
    for task in [&first, &other.result()["taskId"]] {
        ended(&client, task.as_str().expect("a name")).await;
    }
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_form_of_the_draft_counts_where_the_operator_wants_it() {
    for drafts in [true, false] {
        let change = |config: &mut Config| {
            always()(config);
            config.tasks.sep_3182 = drafts;
        };
        let world = of(MODERN).config(change).start().await;
        let client = able(&world).await;
        let declared = client.opening()["capabilities"]["tools"].get("idempotency").is_some();
        assert_eq!(declared, drafts);
        let call = json!({"name": "add", "arguments": {"a": 1, "b": 1}, "idempotencyKey": "order-1"});
        let first = client.request("tools/call", call.clone()).await.result()["taskId"].clone();
        let again = client.request("tools/call", call).await.result()["taskId"].clone();
        assert_eq!(first == again, drafts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_tasks_and_no_more() {
    let change = |config: &mut Config| {
        always()(config);
        config.tasks.tasks_per_tenant_max = 3;
    };
    let world = of(MODERN).config(change).start().await;
    let client = able(&world).await;
    for _ in 0..3 {
        begin(&client, "add", json!({"a": 1, "b": 1})).await;
    }
    let refused = client.call_tool("add", json!({"a": 1, "b": 1})).await;
    let End::Error(error) = refused.end else { panic!("{refused:?}") };
    assert_eq!((&error["data"]["reason"], &error["data"]["retry"]), (&json!("limit"), &json!("safe")));
    assert_eq!(world.client("a", MODERN).await.call_tool("echo", json!({"text": "2"})).await.text(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_asks_first_becomes_a_task_with_the_answers() {
    for upstream in [LEGACY, MODERN] {
        let world = of(upstream).config(hosting(HostWhen::AfterQuestions)).start().await;
        let client = able(&world).await;
        let outcome = client.call_tool("confirm_order", json!({})).await;
        assert_eq!(outcome.asked.len(), 1, "the question is the call's own: {outcome:?}");
        assert_eq!(outcome.result()["resultType"], "task", "{upstream}");
        let found = ended(&client, outcome.result()["taskId"].as_str().expect("a name")).await;
        assert_eq!(found["result"]["structuredContent"]["ordered"], true, "{upstream}: {found}");
        assert_eq!(client.call_tool("echo", json!({"text": "at once"})).await.text(), "at once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_a_task_or_nothing_is_refused_to_all_who_know_no_tasks() {
    let change = |config: &mut Config| {
        config.tasks.host = vec![HostRule { required: true, ..rule("echo", HostWhen::Always) }];
    };
    let world = of(MODERN).config(change).start().await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        let refused = client.call_tool("echo", json!({"text": "x"})).await;
        let code = if revision == MODERN { -32021 } else { -32601 };
        assert_eq!(refused.code(), Some(code), "{revision}");
        assert!(client.call_tool("add", json!({"a": 1, "b": 1})).await.text().contains('2'), "{revision}");
    }
    let tools = world.client("a", LEGACY).await.request("tools/list", json!({})).await;
    let tools = tools.result()["tools"].as_array().expect("tools").clone();
    let echo = tools.iter().find(|tool| tool["name"] == "echo").expect("a tool");
    assert_eq!(echo["execution"]["taskSupport"], "required");
    let client = able(&world).await;
    begin(&client, "echo", json!({"text": "x"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_a_task_waits_longer_than_that_of_a_call_and_ends_with_its_task() {
    let change = |config: &mut Config| {
        always()(config);
        config.limits.park_time_max = Span::from_millis(1_000);
    };
    let world = of(LEGACY).config(change).start().await;
    let client = able(&world).await;
    let stats = world.demo("a").server.stats();
    let answered = begin(&client, "confirm_order", json!({})).await;
    let given_up = begin(&client, "confirm_order", json!({})).await;
    let found = until(&client, &answered, &["input_required"]).await;
    until(&client, &given_up, &["input_required"]).await;
    world.clock.advance(std::time::Duration::from_secs(1_800));
    done(&client, "tasks/cancel", json!({"taskId": given_up})).await;
    within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
    let key = found["inputRequests"].as_object().and_then(|q| q.keys().next()).expect("one").clone();
    let answer = json!({key: {"action": "accept", "content": {"quantity": 3, "confirm": true}}});
    done(&client, "tasks/update", json!({"taskId": answered, "inputResponses": answer})).await;
    assert_eq!(ended(&client, &answered).await["status"], "completed");
    within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
}
