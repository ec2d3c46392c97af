//! Tasks that a server has of its own.

use config::{CheckRule, Checked, Detector, Upstream};
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::{Client, Outcome, Revision, World};

use super::other::{Answer, Heard, Other};
use super::stopped;

/// A server whose one tool is a task, which asks or ends with somebody's address.
fn serve(asks: bool, heard: &Heard) -> Answer {
    let message: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    let tool = json!({"name": "slow", "inputSchema": {"type": "object"}});
    let task = |more: Value| {
        let mut task = json!({
            "resultType": "complete", "taskId": "t1", "createdAt": "2026-11-23T06:48:00Z",
            "lastUpdatedAt": "2026-11-23T06:48:00Z", "ttlMs": 60_000, "pollIntervalMs": 50,
        });
        task.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        task
    };
    let question = json!({"q": {"method": "elicitation/create", "params": {
        "mode": "form", "message": "Is it ann@example.org?",
        "requestedSchema": {"type": "object", "properties": {}},
    }}});
    let result = match message["method"].as_str().unwrap_or_default() {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"],
            "ttlMs": 0, "cacheScope": "private",
            "capabilities": {"tools": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
            "serverInfo": {"name": "own", "version": "1"},
        }),
        "tools/list" => {
            json!({"resultType": "complete", "tools": [tool], "ttlMs": 0, "cacheScope": "private"})
        }
        "tools/call" => task(json!({"resultType": "task", "status": "working"})),
        "tasks/get" if asks => task(json!({"status": "input_required", "inputRequests": question})),
        "tasks/get" => task(json!({"status": "completed", "result": {
            "resultType": "complete", "content": [{"type": "text", "text": "ann@example.org"}],
        }})),
        "tasks/update" => json!({"resultType": "complete"}),
        _ => return Answer::Plain(404, None, String::new()),
    };
    Answer::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}

/// What a client gets who makes a task of it and reads it, and what he gets who answers.
async fn read(on: &[Checked], asks: bool) -> (Outcome, Outcome, usize) {
    let server = Other::start(move |heard| serve(asks, heard)).await;
    let rule = CheckRule {
        name: "r".to_owned(),
        on: on.to_vec(),
        detectors: vec![Detector::Pii],
        tools: Some(vec![config::Glob::new("slow").expect("a pattern")]),
        ..CheckRule::default()
    };
    let url = Some(server.url("/mcp"));
    let world = World::builder().config(move |config| {
        config.checks = vec![rule];
        config.upstreams.insert("own".to_owned(), Upstream { url, ..Upstream::default() });
    });
    let world = world.start().await;
    let mut capabilities = testkit::client::everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    let client = Client::with(world.address(), "/own/mcp", Revision::V2026_07_28, options).await;
    let made = client.call_tool("slow", json!({})).await;
    let id = made.result()["taskId"].clone();
    let found = client.request("tasks/get", json!({"taskId": id})).await;
    let answers = json!({"q": {"action": "accept", "content": {"who": "bob@example.org"}}});
    let answered = client.request("tasks/update", json!({"taskId": id, "inputResponses": answers})).await;
    let updates =
        server.heard().iter().filter(|heard| String::from_utf8_lossy(&heard.body).contains("bob@")).count();
    (found, answered, updates)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_servers_own_task_comes_to_is_looked_at_as_any_result() {
    let (found, _, _) = read(&[Checked::Arguments], false).await;
    assert_eq!(found.result()["result"]["content"][0]["text"], "ann@example.org", "{found:?}");
    let (found, _, _) = read(&[Checked::Results], false).await;
    assert!(stopped(&found).is_some_and(|text| text.contains("withheld")), "{found:?}");
    assert!(!format!("{found:?}").contains("ann@"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_servers_own_task_asks_and_is_answered_is_looked_at_as_any_question() {
    let (found, _, updates) = read(&[Checked::Arguments], true).await;
    assert!(
        found.result()["inputRequests"]["q"]["params"]["message"] == "Is it ann@example.org?",
        "{found:?}"
    );
    assert_eq!(updates, 1);
    let (found, answered, updates) = read(&[Checked::Questions], true).await;
    assert!(stopped(&found).is_some(), "{found:?}");
    assert!(stopped(&answered).is_some_and(|text| text.contains("Nothing ran")), "{answered:?}");
    assert_eq!(updates, 0);
}
