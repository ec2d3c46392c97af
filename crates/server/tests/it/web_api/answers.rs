//! What an API answers, as results and errors.

use config::Breaker;
use serde_json::json;
use testkit::web_api::{Said, WebApi};

use super::{begin, client, row, section, shop, tools, world_with};

#[tokio::test(flavor = "multi_thread")]
async fn texts_pictures_and_pages_come_as_what_they_are() {
    let (api, world) = begin().await;
    let client = client(&world).await;
    api.answer("GET /v2/terms", Said::of(200, "text/markdown", "# Terms"));
    api.answer("GET /v2/products/hat/picture", Said::of(200, "image/png", &b"\x89PNG"[..]));
    let page = Said::json(200, &json!({"items": [], "next_cursor": "c2"}));
    api.answer("GET /v2/orders", page.with("link", "</v2/orders?cursor=c2>; rel=\"next\""));
    assert_eq!(client.call_tool("getTerms", json!({})).await.text(), "# Terms");
    let picture = client.call_tool("getPicture", json!({"sku": "hat"})).await;
    let block = json!({"type": "image", "data": "iVBORw==", "mimeType": "image/png"});
    assert_eq!(picture.result()["content"], json!([block]));
    let page = client.call_tool("listOrders", json!({})).await;
    assert_eq!(page.result()["structuredContent"]["next_cursor"], "c2");
    assert_eq!(page.result()["_meta"]["io.tidegate/openapi"], json!({"status": 200, "next": "cursor=c2"}));
    // Whoever may see nothing shows nothing.
    assert_eq!(api.asked("GET /v2/terms")[0].header("x-shop-key"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_api_refuses_is_a_result_with_its_words() {
    let (api, world) = begin().await;
    let client = client(&world).await;
    let problem = json!({"title": "Not found", "detail": "no order o-9", "order": "o-9"});
    api.answer("GET /v2/orders/o-9", Said::of(404, "application/problem+json", problem.to_string()));
    api.answer(
        "GET /v2/orders/o-8",
        Said::Answer(302, vec![("location", "http://127.0.0.1:9/".to_owned())], "".into()),
    );
    let outcome = client.call_tool("getOrder", json!({"orderId": "o-9"})).await;
    assert_eq!(outcome.result()["isError"], true);
    assert_eq!(
        outcome.text(),
        "The server answered 404 Not Found:\nNot found: no order o-9\n{\"order\":\"o-9\"}"
    );
    let outcome = client.call_tool("getOrder", json!({"orderId": "o-8"})).await;
    assert!(outcome.text().contains("a redirection, which is not followed"), "{outcome:?}");
    assert_eq!(row(&world).await.state, "up", "it answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_come_later_hears_when_and_a_refused_credential_is_the_operators_business() {
    let (api, world) = begin().await;
    let client = client(&world).await;
    let later = Said::json(429, &json!({"detail": "slow down"})).with("retry-after", "7");
    api.answer("GET /v2/orders", later);
    api.answer("GET /v2/orders/o-1", Said::json(401, &json!({"detail": "who is sesame?"})));
    api.answer("GET /v2/terms", Said::json(401, &json!({"detail": "sign in"})));
    let outcome = client.call_tool("listOrders", json!({})).await;
    let text = format!("{outcome:?}");
    assert_eq!(outcome.code(), Some(-31003), "{text}");
    assert!(text.contains("\"retryAfterMs\": Number(7000)") && text.contains("429"), "{text}");
    let outcome = client.call_tool("getOrder", json!({"orderId": "o-1"})).await;
    let text = format!("{outcome:?}");
    assert!(outcome.code().is_some() && text.contains("unauthorized"), "{text}");
    assert!(!text.contains("sesame"), "{text}");
    assert_eq!(row(&world).await.state, "unauthorized");
    // Where nothing was shown it is what the API says to whoever calls.
    let outcome = client.call_tool("getTerms", json!({})).await;
    assert!(outcome.result()["isError"] == true && outcome.text().contains("sign in"), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_fails_is_left_alone_for_a_while() {
    let api = WebApi::start(&shop()).await;
    let world = world_with(section(&api), |upstream| {
        upstream.resilience.breaker = Some(Breaker { calls_min: 3, ..Breaker::default() });
    })
    .await;
    let client = client(&world).await;
    api.answer("GET /v2/terms", Said::json(500, &json!({"detail": "oh"})));
    for _ in 0..3 {
        assert_eq!(client.call_tool("getTerms", json!({})).await.result()["isError"], true);
    }
    let outcome = client.call_tool("getTerms", json!({})).await;
    assert_eq!(outcome.code(), Some(-31001), "{outcome:?}");
    assert_eq!(api.asked("GET /v2/terms").len(), 3, "nothing more was sent");
    assert_eq!(tools(&client).await.len(), 8, "what it has is known without asking it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_or_not_as_declared_says_that_the_call_was_made() {
    let api = WebApi::start(&shop()).await;
    let world = world_with(section(&api), |_| ()).await;
    let client = client(&world).await;
    api.answer("GET /v2/terms", Said::of(200, "text/plain", vec![b'x'; 5 * 1024 * 1024]));
    api.answer("GET /v2/orders", Said::json(200, &json!(["no object"])));
    let outcome = client.call_tool("getTerms", json!({})).await;
    assert!(
        outcome.result()["isError"] == true && outcome.text().contains("The call was made"),
        "{outcome:?}"
    );
    let outcome = client.call_tool("listOrders", json!({})).await;
    assert!(
        outcome.result()["isError"] == true && outcome.text().contains("The call was made"),
        "{outcome:?}"
    );
}
