//! Documents that change, and documents that cannot be used.

use config::{Drift, FirstSight, OpenApi, Pins, Secret, Span};
use serde_json::json;
use testkit::harness::World;
use testkit::web_api::{DOCUMENT, Said, WebApi};
use testkit::{Revision, within};

use super::{begin, client, everything, names, row, section, shop, until_names, world_with};

const ALL: [&str; 8] = [
    "addNote",
    "cancelOrder",
    "createOrder",
    "getOrder",
    "getPicture",
    "getTerms",
    "listOrders",
    "replaceOrder",
];

/// Waits until it is said that an older document is in use, and gives the reason.
async fn until_old(world: &World) -> String {
    within(async {
        loop {
            let found = row(world).await;
            if found.state == "old_document" {
                return found.error.expect("a reason");
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn until_up(world: &World) {
    within(async {
        while row(world).await.state != "up" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_document_changes_the_tools_and_whoever_listens_is_told() {
    let (api, world) = begin().await;
    for revision in [Revision::V2026_07_28, Revision::V2025_11_25] {
        let client = world.client("shop", revision).await;
        assert_eq!(names(&client).await, ALL);
        client.watch(&[]).await.expect("it listens");
        let mut document = shop();
        document["paths"]["/orders"].as_object_mut().expect("a path").remove("post");
        api.set_document(document.to_string());
        assert_eq!(client.next_change().await["method"], "notifications/tools/list_changed");
        let fewer: Vec<_> = ALL.into_iter().filter(|name| *name != "createOrder").collect();
        assert_eq!(names(&client).await, fewer, "{revision}");
        assert_eq!(client.call_tool("createOrder", json!({"body": {"sku": "x"}})).await.code(), Some(-32602));
        api.set_document(shop().to_string());
        until_names(&client, &ALL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_asked_for_by_what_is_new_and_never_for_a_call() {
    let api = WebApi::start(&shop()).await;
    let slow = OpenApi { refresh: Some(Span::from_mins(5)), ..section(&api) };
    let world = world_with(slow, |_| ()).await;
    let client = client(&world).await;
    api.answer("GET /v2/terms", Said::of(200, "text/plain", "x"));
    for _ in 0..5 {
        let _ = client.call_tool("getTerms", json!({})).await.result();
        assert_eq!(names(&client).await, ALL);
    }
    assert_eq!(api.asked(&format!("GET {DOCUMENT}")).len(), 1);
    drop(world);
    let world = world_with(section(&api), |_| ()).await;
    api.until_asked(&format!("GET {DOCUMENT}"), 4).await;
    let tags: Vec<_> =
        api.asked(&format!("GET {DOCUMENT}")).iter().map(|a| a.header("if-none-match").to_owned()).collect();
    assert_eq!(tags[..4], ["", "", "\"v1\"", "\"v1\""]);
    assert_eq!(row(&world).await.state, "up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_document_that_cannot_be_used_leaves_the_tools_as_they_were_and_is_told_of() {
    let (api, world) = begin().await;
    let client = client(&world).await;
    assert_eq!(names(&client).await, ALL);
    let mut elsewhere = shop();
    elsewhere["servers"] = json!([{"url": "http://127.0.0.1:9/v2"}]);
    let mut more = shop();
    more["components"]["securitySchemes"]["admin"] = json!({"type": "http", "scheme": "basic"});
    more["paths"]["/terms"]["put"] = json!({"security": [{"admin": []}], "responses": {}});
    for (document, says) in [
        ("{\"openapi\": \"3.1.0\", ".to_owned(), "the document cannot be read"),
        (json!({"swagger": "2.0", "paths": {}}).to_string(), "Swagger 2.0"),
        (json!({"openapi": "3.1.0", "paths": {}}).to_string(), "no operation that can be called"),
        (elsewhere.to_string(), "another host than its own"),
        (more.to_string(), "\"openapi.credentials.admin\""),
    ] {
        api.set_document(document);
        let error = until_old(&world).await;
        assert!(error.starts_with("its tools are those of an older document: "), "{error}");
        assert!(error.contains(says), "{error}");
        assert_eq!(names(&client).await, ALL, "{says}");
        let metrics = testkit::http::Http::new(world.address()).get("/metrics").send().await.text().await;
        assert!(metrics.contains("tidegate_upstream_up{upstream=\"shop\"} 1"), "calls go on: {metrics}");
        assert!(metrics.contains("state=\"old_document\""), "{metrics}");
        api.set_document(shop().to_string());
        until_up(&world).await;
    }
    assert_eq!(api.all_asked().len(), 0, "no request went anywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_comes_late_is_used_once_it_is_there() {
    let (mut document, folder) = (shop(), tempfile::tempdir().expect("a folder"));
    document["servers"] = json!([]);
    let file = folder.path().join("shop.json");
    let api = WebApi::start(&document).await;
    let late = OpenApi {
        document: file.display().to_string(),
        server: Some(format!("{}/v3/", api.url)),
        ..section(&api)
    };
    let world = world_with(late, |_| ()).await;
    let found = row(&world).await;
    assert_eq!(found.state, "document");
    assert!(found.error.expect("a reason").contains("shop.json: No such file"), "the file is named");
    let listening = everything(&world).await;
    assert!(!names(&listening).await.iter().any(|name| name.starts_with("shop_")));
    listening.watch(&[]).await.expect("it listens");
    std::fs::write(&file, document.to_string()).expect("a file");
    assert_eq!(listening.next_change().await["method"], "notifications/tools/list_changed");
    let client = client(&world).await;
    until_names(&client, &ALL).await;
    api.answer("GET /v3/terms", Said::of(200, "text/plain", "x"));
    assert_eq!(
        client.call_tool("getTerms", json!({})).await.text(),
        "x",
        "the operator says where the API is"
    );
    std::fs::remove_file(&file).expect("a file");
    assert!(until_old(&world).await.contains("No such file"));
    assert_eq!(client.call_tool("getTerms", json!({})).await.text(), "x");
    document["paths"].as_object_mut().expect("paths").remove("/terms");
    std::fs::write(&file, document.to_string()).expect("a file");
    until_up(&world).await;
    assert_eq!(names(&client).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_whose_requests_go_elsewhere_has_drifted_though_its_definition_reads_the_same() {
    let api = WebApi::start(&shop()).await;
    let pins = Pins { drift: Drift::Quarantine, first: FirstSight::Approve, reread: Span::from_secs(0) };
    let world = world_with(section(&api), |upstream| upstream.pins = Some(pins)).await;
    let client = client(&world).await;
    api.answer("GET /v2/terms", Said::of(200, "text/plain", "x"));
    assert_eq!(client.call_tool("getTerms", json!({})).await.text(), "x");
    let mut document = shop();
    let terms = document["paths"].as_object_mut().expect("paths").remove("/terms").expect("it is there");
    document["paths"]["/admin/reset"] = terms;
    api.set_document(document.to_string());
    let others: Vec<_> = ALL.into_iter().filter(|name| *name != "getTerms").collect();
    until_names(&client, &others).await;
    let refused = client.call_tool("getTerms", json!({})).await;
    assert!(refused.code() == Some(-32602) && format!("{refused:?}").contains("quarantined"), "{refused:?}");
    assert!(api.asked("GET /v2/admin/reset").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_changes_nothing_of_it_reads_no_document_and_another_choice_does() {
    let api = WebApi::start(&shop()).await;
    let slow = OpenApi { refresh: Some(Span::from_mins(5)), ..section(&api) };
    let world = world_with(slow, |_| ()).await;
    let client = client(&world).await;
    assert_eq!(names(&client).await, ALL);
    let mut config = world.config.clone();
    let shop = config.upstreams.get_mut("shop").expect("a section");
    shop.description = Some("A shop.".to_owned());
    world.gateway().reload(&config).expect("it is right");
    assert_eq!(names(&client).await, ALL);
    assert_eq!(api.asked(&format!("GET {DOCUMENT}")).len(), 1);
    let openapi = config.upstreams.get_mut("shop").and_then(|shop| shop.openapi.as_mut()).expect("a section");
    openapi.include = Some(vec![config::Glob::new("tag:catalog").expect("a pattern")]);
    openapi.credentials.insert("api_key".to_owned(), Secret::plain("other"));
    world.gateway().reload(&config).expect("it is right");
    until_names(&client, &["getPicture", "getTerms"]).await;
    assert_eq!(api.asked(&format!("GET {DOCUMENT}")).len(), 2);
}
