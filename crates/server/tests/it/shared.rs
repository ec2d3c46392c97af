//! Wishes that an endpoint of several servers cannot grant.

use demo::Server;
use serde_json::json;
use testkit::{Revision, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_for_a_task_is_ignored_where_no_tasks_were_declared() {
    let world = World::builder().demo("a", Server::builder()).demo("b", Server::builder()).start().await;
    let client = world.client("mcp", Revision::V2025_11_25).await;
    assert!(client.opening()["capabilities"].get("tasks").is_none());
    let params = json!({"name": "a_echo", "arguments": {"text": "now"}, "task": {"ttl": 1_000}});
    let outcome = client.request("tools/call", params).await;
    assert_eq!(outcome.text(), "now");
    let seen = world.demo("a").server.stats().last("tools/call").expect("a call");
    assert!(seen.message["params"].get("task").is_none(), "{:?}", seen.message);
}
