//! The switch: what a server answers to clients of an era that it does not speak.

use demo::{Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Served, initialize_message};

const MODERN: &[Revision] = &[Revision::V2026_07_28];

#[tokio::test]
async fn a_session_gets_the_revision_that_it_asks_for_if_that_is_spoken() {
    let served = Served::all().await;
    for revision in Revision::LEGACY {
        let session = served.initialize(revision, json!({})).await;
        let capabilities = &session.initialized["capabilities"];
        assert_eq!(capabilities.get("completions").is_some(), revision > Revision::V2024_11_05);
        let info = session.initialized["serverInfo"].as_object().unwrap();
        assert_eq!(info.contains_key("title"), revision >= Revision::V2025_06_18);
    }
}

#[tokio::test]
async fn an_unknown_or_modern_revision_is_answered_with_the_newest_legacy_one() {
    for (revisions, newest) in [(&Revision::ALL[..], "2025-11-25"), (&Revision::ALL[..3], "2025-06-18")] {
        let served = Served::speaking(revisions).await;
        for asked in ["2026-07-28", "1999-01-01"] {
            let mut response = served.post("/mcp", initialize_message(asked, json!({}))).send().await;
            assert_eq!(response.json().await["result"]["protocolVersion"], newest);
        }
    }
}

#[tokio::test]
async fn a_legacy_server_takes_a_modern_request_for_one_without_a_session() {
    let served = Served::speaking(&Revision::LEGACY).await;
    let mut response = served.modern("server/discover", json!({}), json!({})).send().await;
    assert_eq!(response.status, 400);
    let answer = response.json().await;
    assert_eq!(answer["error"]["code"], -32000);
    assert_eq!(answer["id"], Value::Null);
    assert!(answer.as_object().unwrap().contains_key("id"));
}

#[tokio::test]
async fn a_legacy_session_does_not_know_modern_methods() {
    let served = Served::speaking(&[Revision::V2025_11_25]).await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    for method in ["server/discover", "subscriptions/listen", "nonsense"] {
        let mut response = session.request(1, method, json!({})).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.json().await["error"]["code"], -32601, "{method}");
    }
}

#[tokio::test]
async fn a_modern_server_names_its_versions_to_a_legacy_client() {
    let served = Served::speaking(MODERN).await;
    let mut response = served.post("/mcp", initialize_message("2025-06-18", json!({}))).send().await;
    assert_eq!(response.status, 400);
    let error = response.json().await["error"].clone();
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"], json!({ "supported": ["2026-07-28"], "requested": "2025-06-18" }));
}

#[tokio::test]
async fn a_modern_server_has_nothing_but_post() {
    let served = Served::speaking(MODERN).await;
    for request in [served.get("/mcp"), served.delete("/mcp")] {
        let response = request.send().await;
        assert_eq!(response.status, 405);
        assert_eq!(response.header("allow"), Some("POST"));
    }
    assert_eq!(served.get("/sse").send().await.status, 404);
}

#[tokio::test]
async fn the_oldest_revision_alone_has_the_pair_alone() {
    let served = Served::speaking(&[Revision::V2024_11_05]).await;
    let message = initialize_message("2024-11-05", json!({}));
    assert_eq!(served.post("/mcp", &message).send().await.status, 404);
    assert_eq!(served.post("/sse", &message).send().await.status, 405);
    assert!(served.get("/sse").send().await.streams());
}

#[tokio::test]
async fn the_oldest_and_the_newest_together_share_no_endpoint() {
    let served = Served::speaking(&[Revision::V2024_11_05, Revision::V2026_07_28]).await;
    assert_eq!(served.get("/mcp").send().await.status, 405);
    let mut response = served.post("/mcp", initialize_message("2024-11-05", json!({}))).send().await;
    assert_eq!(response.json().await["error"]["code"], -32022);
    assert!(served.get("/sse").send().await.streams());
    assert_eq!(served.ask_modern("tools/list", json!({})).await["resultType"], "complete");
}

#[tokio::test]
async fn both_eras_share_one_endpoint() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let legacy = session.ask("tools/list", json!({})).await;
    let modern = served.ask_modern("tools/list", json!({})).await;
    assert!(legacy.get("resultType").is_none() && legacy.get("ttlMs").is_none());
    assert_eq!(legacy["tools"].as_array().unwrap().len(), modern["tools"].as_array().unwrap().len());
    // A session id on a modern request means nothing, known or not.
    let request = served.modern("tools/list", json!({}), json!({})).header("Mcp-Session-Id", "gone");
    let response = request.send().await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("mcp-session-id"), None);
}

#[tokio::test]
async fn a_server_may_name_its_legacy_versions() {
    let served = Served::new(Server::builder().list_legacy_versions(true)).await;
    let result = served.ask_modern("server/discover", json!({})).await;
    assert_eq!(
        result["supportedVersions"],
        json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
    );
}

#[tokio::test]
async fn what_is_not_offered_is_neither_advertised_nor_known() {
    let served = Served::new(Server::builder().prompts(false).resources(false)).await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    assert_eq!(
        session.initialized["capabilities"],
        json!({ "logging": {}, "tools": { "listChanged": true } })
    );
    for method in ["prompts/list", "resources/list", "resources/subscribe", "completion/complete"] {
        let mut response = session.request(1, method, json!({ "uri": "demo://readme" })).await;
        assert_eq!(response.json().await["error"]["code"], -32601, "{method}");
        let mut response = served.modern(method, json!({}), json!({})).send().await;
        assert_eq!(response.status, 404);
        assert_eq!(response.json().await["error"]["code"], -32601, "{method}");
    }
}
