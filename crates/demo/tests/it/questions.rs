//! Questions in the middle of a call, live in the legacy era and as results in the modern one.

use demo::{Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Served, Session};

fn everything() -> Value {
    json!({
        "elicitation": { "form": {}, "url": {} },
        "sampling": { "tools": {} },
        "roots": { "listChanged": true },
    })
}

fn accept(content: Value) -> Value {
    json!({ "action": "accept", "content": content })
}

/// Calls a tool and answers what it asks with what is given for the method.
async fn converse(
    session: &Session<'_>,
    method: &str,
    params: Value,
    answers: &[(&str, Value)],
) -> (Vec<Value>, Value) {
    let mut response = session.request(9, method, params).await;
    let mut asked = Vec::new();
    let mut answers = answers.iter();
    loop {
        let message = response.message().await;
        if message.get("method").is_none() {
            assert_eq!(answers.len(), 0, "not everything was asked for");
            return (asked, message);
        }
        if message.get("id").is_some() {
            let (expected, answer) = answers.next().expect("one question too many");
            assert_eq!(message["method"], *expected);
            session.respond(&message, answer.clone()).await;
        }
        asked.push(message);
    }
}

#[tokio::test]
async fn a_legacy_client_is_asked_on_the_stream_of_the_call() {
    let served = Served::all().await;
    for (revision, mode) in [(Revision::V2025_06_18, Value::Null), (Revision::V2025_11_25, json!("form"))] {
        let session = served.initialize(revision, everything()).await;
        let params = json!({ "name": "confirm_order", "arguments": { "item": "hats" } });
        let answer = accept(json!({ "quantity": 3, "confirm": true }));
        let (asked, answer) =
            converse(&session, "tools/call", params, &[("elicitation/create", answer)]).await;
        assert_eq!(asked[0]["params"]["mode"], mode);
        assert_eq!(asked[0]["params"]["requestedSchema"]["required"], json!(["quantity", "confirm"]));
        assert_eq!(answer["result"]["structuredContent"], json!({ "ordered": true, "quantity": 3 }));
    }
}

#[tokio::test]
async fn two_rounds_are_two_questions() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, everything()).await;
    let params = json!({ "name": "confirm_order", "arguments": { "rounds": 2 } });
    let answers = [
        ("elicitation/create", accept(json!({ "quantity": 2 }))),
        ("elicitation/create", accept(json!({ "confirm": true }))),
    ];
    let (asked, answer) = converse(&session, "tools/call", params.clone(), &answers).await;
    assert_eq!(asked[1]["params"]["message"], "Order 2 cups of tea?");
    assert_eq!(answer["result"]["structuredContent"], json!({ "ordered": true, "quantity": 2 }));
    let decline = [("elicitation/create", json!({ "action": "decline" }))];
    let (_, answer) = converse(&session, "tools/call", params, &decline).await;
    assert_eq!(answer["result"]["structuredContent"], json!({ "ordered": false, "quantity": 0 }));
}

#[tokio::test]
async fn the_model_and_the_roots_can_be_asked_for_in_every_legacy_revision() {
    let served = Served::all().await;
    for revision in Revision::LEGACY {
        let session = served.initialize(revision, everything()).await;
        let said =
            json!({ "role": "assistant", "content": { "type": "text", "text": "A gate." }, "model": "m" });
        let answers = [("sampling/createMessage", said)];
        let (_, answer) = converse(&session, "tools/call", json!({ "name": "ask_model" }), &answers).await;
        assert_eq!(answer["result"]["content"][0]["text"], "The model says: A gate.");
        let answers = [("roots/list", json!({ "roots": [{ "uri": "file:///a" }] }))];
        let (_, answer) =
            converse(&session, "tools/call", json!({ "name": "list_my_roots" }), &answers).await;
        assert_eq!(answer["result"]["content"][0]["text"], "The roots: file:///a");
    }
}

#[tokio::test]
async fn a_legacy_client_is_not_asked_for_what_it_did_not_declare() {
    let served = Served::all().await;
    for revision in Revision::LEGACY {
        let session = served.initialize(revision, json!({})).await;
        for tool in ["confirm_order", "ask_model", "list_my_roots", "interview", "open_page"] {
            let mut response = session.call(tool, json!({})).await;
            assert_eq!(response.json().await["result"]["isError"], true, "{tool}");
        }
        let mut response = session.request(1, "prompts/get", json!({ "name": "plan" })).await;
        assert_eq!(response.json().await["error"]["code"], -32603);
    }
    let session = served.initialize(Revision::V2025_03_26, everything()).await;
    let mut response = session.call("confirm_order", json!({})).await;
    assert_eq!(response.json().await["result"]["isError"], true, "no elicitation in this revision");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_or_is_an_error_fails_the_tool() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, everything()).await;
    let params = json!({ "name": "confirm_order" });
    let bad = [("elicitation/create", accept(json!({ "quantity": "many", "confirm": true })))];
    let (_, answer) = converse(&session, "tools/call", params, &bad).await;
    assert_eq!(answer["result"]["isError"], true);

    let mut response = session.call("ask_model", json!({})).await;
    let asked = response.next().await.unwrap();
    let error = json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": -1, "message": "no" } });
    assert_eq!(session.post(error).send().await.status, 202);
    let answer = response.next().await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "the client answered with error -1: no");
}

#[tokio::test]
async fn a_question_that_nobody_answers_in_time_is_taken_back() {
    let served = Served::new(Server::builder().ask_timeout(std::time::Duration::from_millis(1))).await;
    let session = served.initialize(Revision::V2025_11_25, everything()).await;
    let messages = session.call("list_my_roots", json!({})).await.rest().await;
    assert_eq!(messages[0]["method"], "roots/list");
    assert_eq!(messages[1]["method"], "notifications/cancelled");
    assert_eq!(messages[1]["params"]["requestId"], messages[0]["id"]);
    assert_eq!(messages[2]["result"]["isError"], true);
}

#[tokio::test]
async fn prompts_and_resources_ask_too() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, everything()).await;
    let answers = [("elicitation/create", accept(json!({ "goal": "peace" })))];
    let (_, answer) = converse(&session, "prompts/get", json!({ "name": "plan" }), &answers).await;
    assert_eq!(answer["result"]["messages"][0]["content"]["text"], "Make a plan for peace.");
    let answers = [("elicitation/create", accept(json!({ "quarter": "Q2" })))];
    let (_, answer) = converse(&session, "resources/read", json!({ "uri": "demo://report" }), &answers).await;
    assert_eq!(answer["result"]["contents"][0]["text"], "The report of Q2: all is well.");
}

#[tokio::test]
async fn a_page_is_opened_by_a_request_or_by_an_error() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, everything()).await;
    let answers = [("elicitation/create", json!({ "action": "accept" }))];
    let (asked, answer) = converse(&session, "tools/call", json!({ "name": "open_page" }), &answers).await;
    assert_eq!(asked[0]["params"]["mode"], "url");
    assert_eq!(asked[1]["method"], "notifications/elicitation/complete");
    assert_eq!(asked[1]["params"]["elicitationId"], asked[0]["params"]["elicitationId"]);
    assert_eq!(answer["result"]["content"][0]["text"], "The page was opened.");

    let mut response = session.call("open_page", json!({ "via": "error" })).await;
    let error = response.json().await["error"].clone();
    assert_eq!(error["code"], -32042);
    assert_eq!(error["data"]["elicitations"][0]["mode"], "url");
    let mut response = session.call("open_page", json!({ "via": "error" })).await;
    assert_eq!(response.json().await["result"]["content"][0]["text"], "The page was opened.");
}

async fn modern(served: &Served, method: &str, params: Value) -> Value {
    served.modern(method, params, everything()).send().await.message().await
}

/// The same request again, with answers and the state that came.
fn retry(mut params: Value, asked: &Value, responses: Value) -> Value {
    params["inputResponses"] = responses;
    params["requestState"] = asked["result"]["requestState"].clone();
    params
}

#[tokio::test]
async fn a_modern_client_is_asked_by_a_result_and_calls_again() {
    let served = Served::all().await;
    let params = json!({ "name": "confirm_order", "arguments": { "rounds": 2, "item": "hats" } });
    let first = modern(&served, "tools/call", params.clone()).await;
    assert_eq!(first["result"]["resultType"], "input_required");
    assert_eq!(first["result"].get("ttlMs"), None);
    let request = &first["result"]["inputRequests"]["quantity"];
    assert_eq!((&request["method"], request.get("id")), (&json!("elicitation/create"), None));

    let answer = json!({ "quantity": accept(json!({ "quantity": 4 })), "unasked": 1 });
    let second = modern(&served, "tools/call", retry(params.clone(), &first, answer)).await;
    assert_eq!(second["result"]["inputRequests"]["confirm"]["params"]["message"], "Order 4 hats?");
    let answer = json!({ "confirm": accept(json!({ "confirm": true })) });
    let third = modern(&served, "tools/call", retry(params, &second, answer)).await;
    assert_eq!(third["result"]["resultType"], "complete");
    assert_eq!(third["result"]["structuredContent"], json!({ "ordered": true, "quantity": 4 }));
}

#[tokio::test]
async fn what_is_missing_or_does_not_fit_is_asked_for_again() {
    let served = Served::all().await;
    let params = json!({ "name": "interview" });
    let first = modern(&served, "tools/call", params.clone()).await;
    let keys = |asked: &Value| {
        let mut keys: Vec<_> =
            asked["result"]["inputRequests"].as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&first), "model roots user");
    let answers = json!({ "user": accept(json!({ "name": "Ada" })), "roots": { "roots": "none" } });
    let second = modern(&served, "tools/call", retry(params.clone(), &first, answers)).await;
    assert_eq!(keys(&second), "model roots");
    let answers = json!({
        "roots": { "roots": [] },
        "model": { "role": "assistant", "content": { "type": "text", "text": "m1" }, "model": "m" },
    });
    let third = modern(&served, "tools/call", retry(params, &second, answers)).await;
    assert_eq!(third["result"]["content"][0]["text"], "The user is Ada; the model is m1; the roots are .");
}

#[tokio::test]
async fn a_request_state_is_good_for_its_own_request_and_time() {
    let now = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1_000));
    let clock = std::sync::Arc::clone(&now);
    let builder = Server::builder().state_ttl_ms(500);
    let served = Served::new(builder.clock(move || clock.load(std::sync::atomic::Ordering::Relaxed))).await;
    let other = Served::all().await;
    let params = json!({ "name": "confirm_order", "arguments": { "item": "a", "rounds": 2 } });
    let first = modern(&served, "tools/call", params.clone()).await;
    let answer = json!({ "quantity": accept(json!({ "quantity": 1 })) });
    let good = retry(params.clone(), &first, answer);
    let code = async |served: &Served, params: Value| {
        modern(served, "tools/call", params).await["error"]["code"].clone()
    };

    let mut reordered = good.clone();
    reordered["arguments"] = json!({ "rounds": 2, "item": "a" });
    assert_eq!(modern(&served, "tools/call", reordered).await["result"]["resultType"], "input_required");
    let mut changed = good.clone();
    changed["arguments"]["item"] = json!("b");
    assert_eq!(code(&served, changed).await, -32602);
    let mut tampered = good.clone();
    tampered["requestState"] = json!(format!("{}x", good["requestState"].as_str().unwrap()));
    assert_eq!(code(&served, tampered).await, -32602);
    let mut wrong = good.clone();
    wrong["requestState"] = json!(7);
    assert_eq!(code(&served, wrong).await, -32602);
    assert_eq!(code(&other, good.clone()).await, -32602);
    now.store(1_501, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(code(&served, good).await, -32602);
}

#[tokio::test]
async fn a_modern_client_is_told_what_it_would_have_to_declare() {
    let served = Served::all().await;
    for (tool, arguments, required) in [
        ("confirm_order", json!({}), json!({ "elicitation": { "form": {} } })),
        ("open_page", json!({}), json!({ "elicitation": { "url": {} } })),
        ("ask_model", json!({}), json!({ "sampling": {} })),
        ("ask_model", json!({ "with_tools": true }), json!({ "sampling": { "tools": {} } })),
        ("list_my_roots", json!({}), json!({ "roots": {} })),
    ] {
        let params = json!({ "name": tool, "arguments": arguments });
        let mut response = served.modern("tools/call", params, json!({})).send().await;
        assert_eq!(response.status, 400);
        let error = response.json().await["error"].clone();
        assert_eq!(error["code"], -32021);
        assert_eq!(error["data"]["requiredCapabilities"], required);
    }
}

#[tokio::test]
async fn modern_prompts_and_resources_ask_too() {
    let served = Served::all().await;
    for (method, params, key, answer, text) in [
        ("prompts/get", json!({ "name": "plan" }), "goal", json!({ "goal": "x" }), "Make a plan for x."),
        ("resources/read", json!({ "uri": "demo://report" }), "quarter", json!({ "quarter": "Q1" }), "Q1"),
        ("tools/call", json!({ "name": "open_page" }), "page", json!({}), "The page was opened."),
    ] {
        let first = modern(&served, method, params.clone()).await;
        assert_eq!(first["result"]["resultType"], "input_required", "{first}");
        let second = modern(&served, method, retry(params, &first, json!({ key: accept(answer) }))).await;
        assert_eq!(second["result"]["resultType"], "complete");
        assert!(second.to_string().contains(text), "{second}");
        assert_eq!(second["result"].get("ttlMs"), (method == "resources/read").then_some(&json!(0)));
    }
}
