//! Tasks of the gateway's own: their calls go to servers that know nothing of tasks.

mod legacy;
mod modern;
mod retried;

use config::{Config, Glob, HostRule, HostWhen, Span, Upstream};
use demo::{Revision, Server};
use serde_json::{Value, json};
use testkit::client::{End, Options, everything};
use testkit::harness::WorldBuilder;
use testkit::{Client, World, within};

const TASKS: &str = "io.modelcontextprotocol/tasks";
const LIFECYCLE: &str = "io.tidegate/task-lifecycle";

fn rule(tools: &str, when: HostWhen) -> HostRule {
    HostRule { tools: Glob::new(tools).expect("a pattern"), when, required: false }
}

fn hosting(when: HostWhen) -> impl FnOnce(&mut Config) {
    move |config| config.tasks.host = vec![rule("*", when)]
}

fn always() -> impl FnOnce(&mut Config) {
    hosting(HostWhen::Always)
}

fn when_slow(ms: u64) -> impl FnOnce(&mut Config) {
    hosting(HostWhen::WhenSlow(Span::from_millis(ms)))
}

/// A demo server of this revision, behind the gateway as `a`.
fn of(revision: Revision) -> WorldBuilder {
    with(revision, |_| ())
}

fn with(revision: Revision, change: impl FnOnce(&mut Upstream)) -> WorldBuilder {
    World::builder().demo_with("a", Server::builder().revisions(&[revision]), change)
}

/// A modern client that knows what a task is.
async fn able(world: &World) -> Client {
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"][TASKS] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    world.client_with("a", Revision::V2026_07_28, options).await
}

/// Calls a tool, which becomes a task: its name.
async fn begin(client: &Client, tool: &str, arguments: Value) -> String {
    let outcome = client.call_tool(tool, arguments).await;
    let result = outcome.result();
    assert_eq!(result["resultType"], "task", "{result}");
    result["taskId"].as_str().expect("a name").to_owned()
}

async fn get(client: &Client, task: &str) -> Value {
    client.request("tasks/get", json!({ "taskId": task })).await.result().clone()
}

/// Asks until the task is in one of these states.
async fn until(client: &Client, task: &str, states: &[&str]) -> Value {
    within(async {
        loop {
            let found = get(client, task).await;
            if states.contains(&found["status"].as_str().unwrap_or_default()) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn ended(client: &Client, task: &str) -> Value {
    until(client, task, &["completed", "failed", "cancelled"]).await
}

/// Makes a request that must be answered with a result, whatever it is.
async fn done(client: &Client, method: &str, params: Value) {
    let outcome = client.request(method, params).await;
    assert!(matches!(outcome.end, End::Result(_)), "{outcome:?}");
}
