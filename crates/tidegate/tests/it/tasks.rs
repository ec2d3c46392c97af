//! `tidegate tasks`, and tasks that outlive the program.

use serde_json::{Value, json};
use testkit::client::{Options, everything};
use testkit::{Client, Revision, within};

use crate::program::{Folder, Up};

const TASKS: &str = "store: {url: 'sqlite:a.db'}\ntasks: {lease: 1s, host: [{when: always}]}\n";

async fn able(up: &Up) -> Client {
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    Client::with(up.http.address(), "/demo/mcp", Revision::V2026_07_28, options).await
}

async fn begin(client: &Client, tool: &str, arguments: Value) -> String {
    let made = client.call_tool(tool, arguments).await;
    made.result()["taskId"].as_str().expect("a task").to_owned()
}

/// Asks until the task has this status.
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
async fn an_operator_sees_tasks_and_ends_them_while_the_gateway_runs() {
    let folder = Folder::with(TASKS);
    let said = folder.run(&["tasks", "list"]).await.bad(1);
    assert!(said.contains("there is no store yet"), "{said}");
    let up = folder.up(&[]).await;
    assert_eq!(folder.run(&["tasks", "list"]).await.good(), "there are no such tasks\n");
    let client = able(&up).await;
    let quick = begin(&client, "echo", json!({"text": "hello"})).await;
    until(&client, &quick, "completed").await;
    let slow = begin(&client, "slow", json!({"seconds": 3_000})).await;
    let listed = folder.run(&["tasks", "list", "--output", "json"]).await.json();
    let states: Vec<_> = listed.as_array().unwrap().iter().map(|task| task["state"].clone()).collect();
    assert_eq!(states, ["running", "completed"], "the newest first: {listed}");
    assert_eq!(listed[0]["labels"]["tool"], "slow");
    let (running, done) = (listed[0]["id"].as_str().unwrap(), listed[1]["id"].as_str().unwrap());
    let table = folder.run(&["tasks", "list", "--state", "completed"]).await.good();
    assert!(table.contains(done) && !table.contains(running), "{table}");
    assert_eq!(folder.run(&["tasks", "list", "--tool", "none"]).await.good(), "there are no such tasks\n");
    let shown = folder.run(&["tasks", "show", done, "--output", "json"]).await.json();
    assert_eq!(shown["result"]["content"][0]["text"], "hello");
    assert!(folder.run(&["tasks", "show", done]).await.good().contains("hello"));
    let exported = folder.run(&["tasks", "export"]).await.good();
    assert_eq!(exported.lines().count(), 2);
    assert!(exported.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{exported}");
    let said = folder.run(&["tasks", "retry", running]).await.bad(1);
    assert!(said.contains("retry the task"), "{said}");
    assert_eq!(folder.run(&["tasks", "cancel", running]).await.good(), format!("{running} is cancelled\n"));
    until(&client, &slow, "cancelled").await;
    let watched = folder.run(&["tasks", "watch", running]).await.good();
    assert!(watched.trim_end().ends_with("cancelled  attempt 1"), "{watched}");
    let said = folder.run(&["tasks", "show", "nothing"]).await.bad(1);
    assert!(said.contains("the task is unknown"), "{said}");
    let metrics = up.metrics().await;
    assert!(metrics.contains("tidegate_tasks_created_total 2\n"), "{metrics}");
    assert!(metrics.contains("tidegate_tasks_completed_total 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_on_after_a_restart_and_ends_as_it_says() {
    let folder = Folder::with(&format!("{TASKS}drain_timeout: 1s\n"));
    let mut up = folder.up(&[]).await;
    let client = able(&up).await;
    let quick = begin(&client, "echo", json!({"text": "hello"})).await;
    let before = until(&client, &quick, "completed").await;
    // Nothing says that it may run twice.
    let once = begin(&client, "slow", json!({"seconds": 3_000})).await;
    let asking = begin(&client, "confirm_order", json!({})).await;
    until(&client, &asking, "input_required").await;
    assert_eq!(up.stop().await, 0);
    let up = folder.up(&[]).await;
    let client = able(&up).await;
    assert_eq!(until(&client, &quick, "completed").await, before);
    let failed = until(&client, &once, "failed").await;
    assert_eq!(failed["_meta"]["io.tidegate/task-lifecycle"]["failure"]["mayHaveRun"], true, "{failed}");
    assert_eq!(failed["error"]["data"]["retry"], "may_have_run");
}
