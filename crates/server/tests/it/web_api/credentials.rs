//! What an operation demands of who calls, and what is shown.

use std::collections::BTreeMap;

use config::{OpenApi, Secret, UpstreamAuth};
use serde_json::{Value, json};
use testkit::issuer::Issuer;
use testkit::web_api::{Said, WebApi};
use testkit::{Client, World};

use super::{client, everything, names, row, section, shop, world_with};

/// One operation for each way to prove oneself.
fn guarded() -> Value {
    let responses = json!({"200": {"description": "x"}});
    let operation = |security: Value| json!({"get": {"security": [security], "responses": responses}});
    json!({
        "openapi": "3.0.3",
        "info": {"title": "Guarded", "version": "1"},
        "paths": {
            "/query": operation(json!({"query": []})),
            "/cookie": operation(json!({"cookie": []})),
            "/basic": operation(json!({"basic": []})),
            "/bearer": operation(json!({"bearer": []})),
            "/oauth": operation(json!({"oauth": ["read"]})),
            "/both": operation(json!({"query": [], "basic": []})),
            "/open": operation(json!({})),
        },
        "components": {"securitySchemes": {
            "query": {"type": "apiKey", "in": "query", "name": "key"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "sid"},
            "basic": {"type": "http", "scheme": "basic"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "oauth": {"type": "oauth2", "flows": {"clientCredentials": {
                "tokenUrl": "http://127.0.0.1:9/steal", "scopes": {"read": "Reads."}}}},
        }},
    })
}

fn secrets(list: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    list.iter().map(|(name, value)| ((*name).to_owned(), Secret::plain(*value))).collect()
}

fn answer_all(api: &WebApi) {
    for place in ["query", "cookie", "basic", "bearer", "oauth", "both", "open"] {
        api.answer(&format!("GET /{place}"), Said::of(200, "text/plain", "ok"));
    }
}

async fn call(client: &Client, place: &str) {
    let outcome = client.call_tool(&format!("get_{place}"), json!({})).await;
    assert_eq!(outcome.text(), "ok", "{place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_credential_is_shown_where_its_scheme_says_and_nowhere_else() {
    let api = WebApi::start(&guarded()).await;
    answer_all(&api);
    let given = secrets(&[
        ("query", "a&b=c"),
        ("cookie", "c;d"),
        ("basic", "ann:pass"),
        ("bearer", "t1"),
        ("oauth", "t2"),
    ]);
    let world = world_with(OpenApi { credentials: given, ..section(&api) }, |_| ()).await;
    let client = client(&world).await;
    for place in ["query", "cookie", "basic", "bearer", "oauth", "both", "open"] {
        call(&client, place).await;
    }
    let shown = |place: &str| {
        let asked = api.asked(&format!("GET /{place}")).remove(0);
        (asked.query.clone(), asked.header("cookie").to_owned(), asked.header("authorization").to_owned())
    };
    let is = |query: &str, cookie: &str, authorization: &str| {
        (query.to_owned(), cookie.to_owned(), authorization.to_owned())
    };
    assert_eq!(shown("query"), is("key=a%26b%3Dc", "", ""));
    assert_eq!(shown("cookie"), is("", "sid=c%3Bd", ""));
    assert_eq!(shown("basic"), is("", "", "Basic YW5uOnBhc3M="));
    assert_eq!(shown("bearer"), is("", "", "Bearer t1"));
    assert_eq!(shown("oauth"), is("", "", "Bearer t2"));
    assert_eq!(shown("both"), is("key=a%26b%3Dc", "", "Basic YW5uOnBhc3M="));
    assert_eq!(shown("open"), is("", "", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_before_anybody_calls_and_what_needs_it_can_be_left_out() {
    let api = WebApi::start(&guarded()).await;
    let given = secrets(&[("query", "k"), ("basic", "a:b"), ("cookie", "c"), ("bearer", "t")]);
    let lacks = OpenApi { credentials: given, ..section(&api) };
    let world = world_with(lacks.clone(), |_| ()).await;
    let found = row(&world).await;
    assert_eq!((found.state, found.tools), ("document", None));
    assert_eq!(
        found.error.expect("a reason"),
        "a credential is missing: 1 of its operations (get_oauth) demand \"oauth\" (a token of OAuth 2.0): \
         give \"openapi.credentials.oauth\" or \"auth\", or leave them out with \"openapi.exclude\""
    );
    let refused = everything(&world).await.call_tool("shop_get_open", json!({})).await;
    assert_eq!(refused.code(), Some(-31002), "{refused:?}");
    assert_eq!(api.all_asked().len(), 0);
    let exclude = vec![config::Glob::new("GET:/oauth").expect("a pattern")];
    let world = world_with(OpenApi { exclude, ..lacks }, |_| ()).await;
    assert_eq!(names(&client(&world).await).await.len(), 6);
}

/// A gateway with a token of its own, from an authorization server.
async fn with_tokens(api: &WebApi, issuer: &Issuer) -> World {
    let given = secrets(&[("query", "k"), ("cookie", "c"), ("basic", "a:b")]);
    let own = OpenApi { credentials: given, server: Some(api.url.clone()), ..section(api) };
    let auth = UpstreamAuth {
        client_id: "gateway".to_owned(),
        client_secret: Some(Secret::plain("hush")),
        issuer: Some(issuer.url.clone()),
        scopes: vec!["read".to_owned()],
        ..UpstreamAuth::default()
    };
    world_with(own, |upstream| upstream.auth = Some(auth)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_come_from_whom_the_operator_names_and_a_refused_one_is_replaced_once() {
    let (api, issuer) = (WebApi::start(&guarded()).await, Issuer::start().await);
    api.answer("GET /oauth", Said::json(401, &json!({})));
    answer_all(&api);
    issuer.answer(200, json!({"access_token": "of-issuer", "token_type": "Bearer", "expires_in": 3600}));
    let world = with_tokens(&api, &issuer).await;
    let client = client(&world).await;
    for place in ["oauth", "bearer", "basic", "open"] {
        call(&client, place).await;
    }
    let shown = |place: &str| -> Vec<String> {
        let asked = api.asked(&format!("GET /{place}"));
        asked.iter().map(|asked| asked.header("authorization").to_owned()).collect()
    };
    assert_eq!(shown("oauth"), ["Bearer of-issuer", "Bearer of-issuer"]);
    assert_eq!(shown("bearer"), ["Bearer of-issuer"]);
    assert_eq!(shown("basic"), ["Basic YTpi"]);
    assert_eq!(shown("open"), [""], "what nobody asks for is not shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_for_nothing_is_a_mistake() {
    let api = WebApi::start(&shop()).await;
    let given = secrets(&[("api_key", "k"), ("apikey", "k2")]);
    let world = world_with(OpenApi { credentials: given, ..section(&api) }, |_| ()).await;
    let found = row(&world).await;
    let error = found.error.expect("a reason");
    assert!(found.state == "document" && error.contains("\"apikey\"") && !error.contains("k2"), "{error}");
}
