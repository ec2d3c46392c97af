//! Every client reaches every server, several at once behind one endpoint.

use serde_json::{Value, json};
use testkit::harness::upstream_name;
use testkit::{Revision, World};

fn names(list: &Value, member: &str, field: &str) -> Vec<String> {
    let entries = list[member].as_array().expect("a list");
    entries.iter().map(|entry| entry[field].as_str().expect("a string").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_client_sees_the_tools_of_all_servers_at_one_endpoint_and_can_call_each() {
    let world = World::builder().all_revisions().start().await;
    for revision in Revision::ALL {
        let client = world.client("mcp", revision).await;
        let tools = client.request("tools/list", json!({})).await;
        let tools = names(tools.result(), "tools", "name");
        for upstream in Revision::ALL.map(upstream_name) {
            let own = tools.iter().filter(|name| name.starts_with(&format!("{upstream}_"))).count();
            assert_eq!(own, 17, "{revision} sees all of {upstream}'s tools");
            let echo = client.call_tool(&format!("{upstream}_echo"), json!({ "text": "hello" })).await;
            assert_eq!(echo.text(), "hello", "{revision} calls {upstream}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_is_one_request_to_the_server_in_every_pair_of_revisions() {
    let world = World::builder().all_revisions().start().await;
    for revision in Revision::ALL {
        for upstream in Revision::ALL.map(upstream_name) {
            let client = world.client(&upstream, revision).await;
            // The first call may have to learn what it needs: schemas, a session for these capabilities.
            client.call_tool("echo", json!({ "text": "first" })).await;
            let stats = world.demo(&upstream).server.stats();
            let (http, requests) = (stats.http_requests(), stats.requests_total());
            client.call_tool("echo", json!({ "text": "second" })).await;
            assert_eq!(
                (stats.http_requests() - http, stats.requests_total() - requests),
                (1, 1),
                "{revision} on {upstream}"
            );
        }
    }
}
