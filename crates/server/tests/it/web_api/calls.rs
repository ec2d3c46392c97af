//! Calls of tools as requests.

use serde_json::{Value, json};
use testkit::Revision;
use testkit::web_api::Said;

use super::{begin, client, section, shop, tools, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_tools_for_clients_of_every_revision() {
    let (api, world) = begin().await;
    let order = json!({"id": "o-1", "sku": "hat", "status": "open"});
    api.answer("GET /v2/orders/o-1", Said::json(200, &order));
    for (count, revision) in Revision::ALL.into_iter().enumerate() {
        let client = world.client("shop", revision).await;
        let listed = tools(&client).await;
        let names: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
        let all = [
            "addNote",
            "cancelOrder",
            "createOrder",
            "getOrder",
            "getPicture",
            "getTerms",
            "listOrders",
            "replaceOrder",
        ];
        assert_eq!(names, all, "{revision}");
        let outcome = client.call_tool("getOrder", json!({"orderId": "o-1"})).await;
        assert_eq!(serde_json::from_str::<Value>(outcome.text()).expect("JSON"), order, "{revision}");
        if revision >= Revision::V2025_06_18 {
            assert_eq!(outcome.result()["structuredContent"], order, "{revision}");
        }
        assert_eq!(api.asked("GET /v2/orders/o-1").len(), count + 1, "one call is one request");
    }
    assert_eq!(
        api.asked("GET /openapi.json").iter().filter(|a| a.header("if-none-match").is_empty()).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_come_from_methods_and_a_key_of_idempotency_is_not_asked_for() {
    let (_api, world) = begin().await;
    let listed = tools(&client(&world).await).await;
    let tool = |name: &str| listed.iter().find(|tool| tool["name"] == name).expect("a tool").clone();
    let hints = |name: &str| {
        let all = &tool(name)["annotations"];
        ["readOnlyHint", "destructiveHint", "idempotentHint"].map(|hint| all[hint].as_bool())
    };
    assert_eq!(hints("listOrders"), [Some(true), Some(false), Some(true)]);
    assert_eq!(hints("cancelOrder"), [Some(false), Some(true), Some(true)]);
    assert_eq!(hints("createOrder"), [Some(false), None, Some(false)]);
    assert_eq!(tool("createOrder")["inputSchema"]["required"], json!(["body"]));
    assert!(
        tool("listOrders")["description"].as_str().expect("text").contains("cursor"),
        "pages are told of"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_go_where_the_document_says_with_the_credential_and_what_the_operator_lets_through() {
    let api = testkit::web_api::WebApi::start(&shop()).await;
    let world = world_with(section(&api), |upstream| {
        upstream.headers = [("X-Team".to_owned(), config::Secret::plain("blue"))].into();
    })
    .await;
    api.answer("GET /v2/orders", Said::json(200, &json!({"items": []})));
    api.answer("POST /v2/orders/a%20b/notes", Said::Answer(204, Vec::new(), "".into()));
    let client = client(&world).await;
    let arguments =
        json!({"status": ["open", "sent&x=1"], "limit": 5, "X-Request-Id": "r-1", "cursor": null});
    let asked = client.call_tool("listOrders", arguments).await;
    assert!(asked.result().get("isError").is_none(), "{asked:?}");
    let asked = &api.asked("GET /v2/orders")[0];
    assert_eq!(asked.query, "status=open&status=sent%26x%3D1&limit=5");
    assert_eq!((asked.header("x-shop-key"), asked.header("x-team")), ("sesame", "blue"));
    assert_eq!(asked.header("x-request-id"), "r-1");
    let ours = asked.headers.keys().find(|name| name.as_str().starts_with("mcp-"));
    assert_eq!(ours, None, "nothing of the protocol goes to an API that knows nothing of it");

    let outcome = client.call_tool("addNote", json!({"orderId": "a b", "body": {"text": "x & y"}})).await;
    assert_eq!(outcome.text(), "Done (204 No Content); the server answered nothing more.");
    let asked = &api.asked("POST /v2/orders/a%20b/notes")[0];
    assert_eq!(&asked.body[..], b"text=x+%26+y");
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_be_sent_are_a_result_that_says_so_and_nothing_is_sent() {
    let (api, world) = begin().await;
    let client = client(&world).await;
    for (tool, arguments, says) in [
        ("getOrder", json!({}), "\"orderId\" is required"),
        ("getOrder", json!({"orderId": ".."}), "would lead out of the path"),
        ("getOrder", json!({"orderId": "%2e%2e/admin"}), "would lead out of the path"),
        ("getOrder", json!({"orderId": "a", "evil": 1}), "there is no argument \"evil\""),
        ("listOrders", json!({"X-Request-Id": "a\r\nX-Evil: 1"}), "visible ASCII"),
        ("createOrder", json!({}), "\"body\" is required"),
    ] {
        let outcome = client.call_tool(tool, arguments).await;
        assert_eq!(outcome.result()["isError"], true);
        assert!(
            outcome.text().starts_with("The call was not made:") && outcome.text().contains(says),
            "{outcome:?}"
        );
    }
    assert_eq!(client.call_tool("noSuch", json!({})).await.code(), Some(-32602));
    assert_eq!(api.all_asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_ends_at_the_api_too() {
    let (api, world) = begin().await;
    api.answer("GET /v2/orders", Said::Nothing);
    for (count, revision) in [Revision::V2026_07_28, Revision::V2025_11_25].into_iter().enumerate() {
        let client = world.client("shop", revision).await;
        let running = client.start("tools/call", json!({"name": "listOrders", "arguments": {}}));
        api.until_asked("GET /v2/orders", count + 1).await;
        running.cancel().await;
        api.until_given_up(count + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_made_again_only_where_http_says_that_twice_is_as_once_or_by_the_same_key() {
    let api = testkit::web_api::WebApi::start(&shop()).await;
    let world = world_with(section(&api), |upstream| upstream.resilience.retries = 2).await;
    let client = client(&world).await;
    let failing = || Said::json(500, &json!({"detail": "the database is gone"}));
    let good = || Said::json(200, &json!({"id": "o-1", "sku": "hat"}));
    for place in ["GET /v2/orders/o-1", "PUT /v2/orders/o-1", "DELETE /v2/orders/o-1", "POST /v2/orders"] {
        api.answer(place, failing());
        api.answer(place, good());
    }
    for place in ["POST /v2/orders/o-1/notes", "GET /v2/orders"] {
        api.answer(place, failing());
    }
    let one = json!({"orderId": "o-1"});
    for tool in ["getOrder", "replaceOrder", "cancelOrder"] {
        let outcome = client.call_tool(tool, one.clone()).await;
        assert!(outcome.result().get("isError").is_none(), "{tool}: {outcome:?}");
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(api.asked(&format!("{method} /v2/orders/o-1")).len(), 2, "{method}");
    }
    // It is asked three times, and the client is told what the API says.
    let outcome = client.call_tool("listOrders", json!({})).await;
    assert_eq!(outcome.result()["isError"], true);
    assert!(outcome.text().contains("500") && outcome.text().contains("the database is gone"), "{outcome:?}");
    assert_eq!(api.asked("GET /v2/orders").len(), 3);
    let outcome = client.call_tool("createOrder", json!({"body": {"sku": "hat"}})).await;
    assert!(outcome.result().get("isError").is_none(), "{outcome:?}");
    let keys: Vec<_> =
        api.asked("POST /v2/orders").iter().map(|a| a.header("idempotency-key").to_owned()).collect();
    assert_eq!((keys.len(), keys[0].len()), (2, 32), "{keys:?}");
    assert_eq!(keys[0], keys[1], "by the same key the API knows that it is the same");
    let own = json!({"body": {"sku": "hat"}, "Idempotency-Key": "mine"});
    let _ = client.call_tool("createOrder", own).await.result();
    assert_eq!(api.asked("POST /v2/orders")[2].header("idempotency-key"), "mine");
    // Of other requests nobody knows whether they ran.
    let outcome = client.call_tool("addNote", json!({"orderId": "o-1", "body": {"text": "x"}})).await;
    assert_eq!(outcome.result()["isError"], true);
    assert_eq!(api.asked("POST /v2/orders/o-1/notes").len(), 1);
}
