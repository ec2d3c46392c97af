//! Two servers with the same resources behind one endpoint: every link leads back to who gave it.

use demo::Server;
use serde_json::{Value, json};
use testkit::{Revision, World};

async fn twins() -> World {
    World::builder().demo("a", Server::builder()).demo("b", Server::builder()).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_a_result_lead_to_the_server_that_gave_them() {
    let world = twins().await;
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        let client = world.client("mcp", revision).await;
        let uris = |result: &Value| -> Vec<String> {
            let blocks = result["content"].as_array().expect("content");
            let of =
                |block: &Value| block["uri"].as_str().or(block["resource"]["uri"].as_str()).map(String::from);
            blocks.iter().filter_map(of).collect()
        };
        let first = client.call_tool("a_attach", json!({})).await;
        assert_eq!(uris(first.result()), ["demo://logo", "demo://readme", "demo://readme"], "{revision}");
        let second = client.call_tool("b_attach", json!({})).await;
        let wrapped =
            ["tidegate://b/demo://logo", "tidegate://b/demo://readme", "tidegate://b/demo://readme"];
        assert_eq!(uris(second.result()), wrapped, "{revision}");

        let others = || world.demo("a").server.stats().requests_total();
        let before = others();
        let read = client.request("resources/read", json!({ "uri": wrapped[1] })).await;
        assert_eq!(read.result()["contents"][0]["uri"], wrapped[1], "{revision}");
        assert_eq!(others(), before, "{revision}: nothing is read from the other server");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_own_endpoint_a_server_gives_its_links_as_they_are() {
    let world = twins().await;
    let client = world.client("b", Revision::V2026_07_28).await;
    let result = client.call_tool("attach", json!({})).await;
    assert_eq!(result.result()["content"][2]["uri"], "demo://logo");
}
