//! In the form of 2025-11-25.

use demo::Revision;
use serde_json::json;
use testkit::client::End;

use super::*;

const LEGACY: Revision = Revision::V2025_11_25;
const RELATED: &str = "io.modelcontextprotocol/related-task";

async fn begin_legacy(client: &Client, tool: &str, arguments: Value) -> String {
    let call = json!({"name": tool, "arguments": arguments, "task": {"ttl": 60_000}});
    let outcome = client.request("tools/call", call).await;
    let task = &outcome.result()["task"];
    assert_eq!((&task["status"], &task["ttl"]), (&json!("working"), &json!(60_000)), "{outcome:?}");
    task["taskId"].as_str().expect("a name").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_which_tools_may_run_as_tasks_and_decides_itself() {
    for upstream in [Revision::V2024_11_05, LEGACY, Revision::V2026_07_28] {
        let world = of(upstream).config(always()).start().await;
        let client = world.client("a", LEGACY).await;
        assert!(client.opening()["capabilities"]["tasks"]["requests"]["tools"]["call"].is_object());
        let tools = client.request("tools/list", json!({})).await;
        let tools = tools.result()["tools"].as_array().expect("tools").clone();
        assert!(tools.iter().all(|tool| tool["execution"]["taskSupport"] == "optional"), "{tools:?}");
        assert_eq!(client.call_tool("echo", json!({"text": "5"})).await.text(), "5");
        let task = begin_legacy(&client, "echo", json!({"text": "5"})).await;
        let result = client.request("tasks/result", json!({"taskId": task})).await;
        assert_eq!(result.text(), "5");
        assert_eq!(result.result()["_meta"][RELATED]["taskId"], task);
        let found = get(&client, &task).await;
        assert_eq!(found["status"], "completed", "{found}");
        assert!(found.get("ttlMs").is_none() && found.get("resultType").is_none(), "{found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_clients_see_nothing_of_tasks() {
    let world = of(LEGACY).config(always()).start().await;
    for revision in [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18] {
        let client = world.client("a", revision).await;
        assert!(client.opening()["capabilities"].get("tasks").is_none());
        let tools = client.request("tools/list", json!({})).await;
        assert!(
            tools.result()["tools"].as_array().expect("tools").iter().all(|t| t.get("execution").is_none())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_is_waited_for_and_questions_come_meanwhile() {
    for upstream in [Revision::V2025_06_18, LEGACY, Revision::V2026_07_28] {
        let world = of(upstream).config(always()).start().await;
        let client = world.client("a", LEGACY).await;
        let task = begin_legacy(&client, "confirm_order", json!({"rounds": 2})).await;
        let outcome = client.request("tasks/result", json!({"taskId": task})).await;
        assert_eq!(outcome.asked.len(), 2, "{outcome:?}");
        assert_eq!(outcome.result()["structuredContent"]["ordered"], true, "{upstream}: {outcome:?}");
        // Questions of a task say whose they are.
        let related = &outcome.asked[0]["params"]["_meta"][RELATED]["taskId"];
        assert_eq!(*related, task, "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_listed_the_newest_first_on_as_many_pages_as_it_takes() {
    let world = of(LEGACY).config(always()).start().await;
    let client = world.client("a", LEGACY).await;
    let mut made = Vec::new();
    for _ in 0..105 {
        made.push(begin_legacy(&client, "add", json!({"a": 1, "b": 1})).await);
        world.clock.advance(std::time::Duration::from_millis(1));
    }
    made.reverse();
    let mut listed = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let params = cursor.as_ref().map_or(json!({}), |cursor| json!({"cursor": cursor}));
        let page = client.request("tasks/list", params).await.result().clone();
        listed.extend(
            page["tasks"]
                .as_array()
                .expect("tasks")
                .iter()
                .map(|t| t["taskId"].as_str().expect("a name").to_owned()),
        );
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(listed, made);
    let wrong = client.request("tasks/list", json!({"cursor": "made-up"})).await;
    assert_eq!(wrong.code(), Some(-32602));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_cancelled_once_and_what_waits_for_it_hears_of_that() {
    let world = of(LEGACY).config(always()).start().await;
    let client = world.client("a", LEGACY).await;
    let task = begin_legacy(&client, "slow", json!({"seconds": 3_000})).await;
    let waiting = client.start("tasks/result", json!({"taskId": task}));
    let cancelled = client.request("tasks/cancel", json!({"taskId": task})).await;
    assert_eq!(cancelled.result()["status"], "cancelled");
    let outcome = waiting.outcome().await;
    assert!(matches!(outcome.end, End::Error(_)), "{outcome:?}");
    let again = client.request("tasks/cancel", json!({"taskId": task})).await;
    assert_eq!(again.code(), Some(-32602));
    let stats = world.demo("a").server.stats();
    within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_tool_is_a_failed_task() {
    let world = of(LEGACY).config(always()).start().await;
    let client = world.client("a", LEGACY).await;
    let task = begin_legacy(&client, "fail", json!({})).await;
    assert_eq!(ended(&client, &task).await["status"], "failed");
    let result = client.request("tasks/result", json!({"taskId": task})).await;
    assert_eq!(result.result()["isError"], true);
    let task = begin_legacy(&client, "rpc_error", json!({"code": -32_001, "message": "no"})).await;
    assert_eq!(ended(&client, &task).await["status"], "failed");
    assert_eq!(client.request("tasks/result", json!({"taskId": task})).await.code(), Some(-32_001));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_of_its_tasks_on_its_stream() {
    let world = of(LEGACY).config(always()).start().await;
    let client = world.client("a", LEGACY).await;
    client.watch(&[]).await.expect("a stream");
    let task = begin_legacy(&client, "add", json!({"a": 1, "b": 1})).await;
    loop {
        let change = client.next_change().await;
        if change["method"] == "notifications/tasks/status" && change["params"]["status"] == "completed" {
            assert_eq!(change["params"]["taskId"], task);
            break;
        }
    }
}
