//! Documents that mean no good.

use config::{Glob, OpenApi, Secret, Span, Timeouts};
use serde_json::{Value, json};
use testkit::web_api::{DOCUMENT, Said, WebApi};
use testkit::within;

use super::{client, everything, names, row, section, shop, tools, world_with};

fn of(paths: Value) -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths})
}

fn open(api: &WebApi) -> OpenApi {
    OpenApi { document: api.document_url(), refresh: Some(Span::from_millis(100)), ..OpenApi::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_never_says_to_which_host_a_credential_goes() {
    let other = WebApi::start(&shop()).await;
    for url in [other.url.clone(), "//evil.example".to_owned(), "http://u:p@127.0.0.1/".to_owned()] {
        let mut document = shop();
        document["servers"] = json!([{"url": url}]);
        let api = WebApi::start(&document).await;
        let world = world_with(section(&api), |_| ()).await;
        let found = row(&world).await;
        assert_eq!(found.state, "document", "{url}");
        let outcome = everything(&world).await.call_tool("shop_getTerms", json!({})).await;
        assert_eq!(outcome.code(), Some(-31002), "{url}: {outcome:?}");
    }
    // One of its operations is elsewhere.
    let mut document = shop();
    document["paths"]["/terms"]["servers"] = json!([{"url": other.url}]);
    let api = WebApi::start(&document).await;
    let world = world_with(section(&api), |_| ()).await;
    assert!(!names(&client(&world).await).await.contains(&"getTerms".to_owned()));
    assert_eq!(other.all_asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirection_of_a_document_is_told_and_not_followed() {
    let (secret, api) = (WebApi::start(&shop()).await, WebApi::start(&shop()).await);
    let to = format!("{}?token=hunter2", secret.document_url());
    let sent = Said::Answer(302, Vec::new(), "".into()).with("location", &to);
    api.answer(&format!("GET {DOCUMENT}"), sent);
    let world = world_with(section(&api), |_| ()).await;
    let found = row(&world).await;
    let error = found.error.expect("a reason");
    assert!(error.contains("redirections are not followed") && !error.contains("hunter2"), "{error}");
    assert_eq!(secret.asked(&format!("GET {DOCUMENT}")).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_headers_of_the_api_go_to_its_own_host_alone() {
    let (elsewhere, api) = (WebApi::start(&shop()).await, WebApi::start(&shop()).await);
    let own = OpenApi { server: Some(format!("{}/v2", api.url)), ..section(&elsewhere) };
    let team = [("X-Team".to_owned(), Secret::plain("blue"))];
    let world = world_with(own, |upstream| upstream.headers = team.clone().into()).await;
    assert_eq!(names(&client(&world).await).await.len(), 8);
    let asked = &elsewhere.asked(&format!("GET {DOCUMENT}"))[0];
    assert_eq!((asked.header("x-team"), asked.header("x-shop-key")), ("", ""));
    let world = world_with(section(&api), |upstream| upstream.headers = team.into()).await;
    assert_eq!(names(&client(&world).await).await.len(), 8);
    let asked = &api.asked(&format!("GET {DOCUMENT}"))[0];
    assert_eq!((asked.header("x-team"), asked.header("x-shop-key")), ("blue", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn references_out_of_a_document_are_never_fetched_and_circles_end() {
    let other = WebApi::start(&shop()).await;
    let schema = |schema: Value| json!({"application/json": {"schema": schema}});
    let mut document = of(json!({
        "/a": {"post": {"operationId": "remote", "responses": {},
            "requestBody": {"content": schema(json!({"$ref": format!("{}/schema.json", other.url)}))}}},
        "/b": {"$ref": format!("{}/paths.json", other.url)},
        "/c": {"post": {"operationId": "circle", "responses": {},
            "requestBody": {"content": schema(json!({"$ref": "#/components/schemas/Loop"}))}}},
        "/d": {"post": {"operationId": "tree", "responses": {},
            "requestBody": {"content": schema(json!({"$ref": "#/components/schemas/Node"}))}}},
        "/e": {"get": {"operationId": "header", "responses": {}, "parameters": [
            {"name": "q", "in": "query", "schema": {"type": "string", "x-mcp-header": "Authorization"}},
            {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
            {"name": "Host", "in": "header", "schema": {"type": "string"}}]}},
    }));
    document["components"] = json!({"schemas": {
        "Loop": {"allOf": [{"$ref": "#/components/schemas/Loop"}]},
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}},
    }});
    let api = WebApi::start(&document).await;
    let world = world_with(open(&api), |_| ()).await;
    let client = client(&world).await;
    assert_eq!(names(&client).await, ["header", "tree"]);
    assert_eq!(other.all_asked().len() + other.asked(&format!("GET {DOCUMENT}")).len(), 0);
    let header = tools(&client).await.remove(0);
    assert_eq!(header["inputSchema"]["properties"], json!({"q": {"type": "string"}}));
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_operations_are_refused_until_somebody_chooses() {
    let path = |at: usize| (format!("/p{at}"), json!({"get": {"responses": {}}}));
    let document = of((0..5_001).map(path).collect());
    let api = WebApi::start(&document).await;
    let world = world_with(open(&api), |_| ()).await;
    let error = row(&world).await.error.expect("a reason");
    assert!(error.contains("more than 5000 operations; choose some"), "{error}");
    let chosen = OpenApi { include: Some(vec![Glob::new("GET:/p1??").expect("a pattern")]), ..open(&api) };
    let world = world_with(chosen, |_| ()).await;
    assert_eq!(names(&client(&world).await).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_huge_or_never_comes_holds_up_nobody_else() {
    let (huge, slow, good) = (
        WebApi::start(&of(json!({}))).await,
        WebApi::start(&of(json!({}))).await,
        WebApi::start(&shop()).await,
    );
    huge.set_document(vec![b' '; 10 * 1024 * 1024 + 1]);
    slow.answer(&format!("GET {DOCUMENT}"), Said::Nothing);
    let (huge_api, slow_api) = (open(&huge), open(&slow));
    let world = testkit::World::builder()
        .config(|config| {
            let short = Timeouts { first_byte: Span::from_millis(300), ..Timeouts::default() };
            for (name, section) in [("huge", huge_api), ("slow", slow_api), ("shop", section(&good))] {
                let upstream = config::Upstream {
                    openapi: Some(section),
                    timeouts: short.clone(),
                    ..Default::default()
                };
                config.upstreams.insert(name.to_owned(), upstream);
            }
        })
        .start()
        .await;
    assert_eq!(names(&client(&world).await).await.len(), 8);
    let generation = world.gateway().app().generation();
    within(async {
        loop {
            let rows = tidegate_server::survey(&generation, std::time::Duration::from_secs(10)).await;
            let of = |name: &str| rows.iter().find(|row| row.name == name).expect("a row");
            let huge =
                of("huge").error.as_deref().is_some_and(|error| error.contains("more than 10485760 bytes"));
            if huge && of("slow").state == "timeout" && of("shop").state == "up" {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}
