//! 2026-07-28: no sessions, and questions as results.

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::body::{Body, Sender, empty, events, json as document};
use super::http::Shared;
use super::tools::{self, Call};

const VERSION: &str = "2026-07-28";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

pub async fn post(shared: &Shared, message: Value) -> Response<Body> {
    let id = message["id"].clone();
    if id.is_null() {
        return empty(StatusCode::ACCEPTED);
    }
    let params = &message["params"];
    let known = |mut result: Value| {
        result["resultType"] = json!("complete");
        result["ttlMs"] = json!(600_000);
        result["cacheScope"] = json!("public");
        document(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "result": result}))
    };
    match message["method"].as_str().unwrap_or_default() {
        "server/discover" => known(json!({
            "supportedVersions": [VERSION],
            "capabilities": tools::capabilities(),
            "serverInfo": {"name": "soak-modern", "version": "1"},
        })),
        "tools/list" => known(tools::list()),
        "resources/list" => known(tools::resources()),
        "resources/templates/list" => known(json!({"resourceTemplates": []})),
        "subscriptions/listen" => listen(shared, &id, params),
        "tools/call" => match Call::read(params) {
            Some(call) => run(shared, &id, params, call).await,
            None => document(StatusCode::OK, &error(&id, -32602, "unknown tool or no nonce")),
        },
        _ => document(StatusCode::NOT_FOUND, &error(&id, -32601, "unknown method")),
    }
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

async fn run(shared: &Shared, id: &Value, params: &Value, call: Call) -> Response<Body> {
    let answer = params["inputResponses"].get("word");
    if let (Some(question), None) = (call.question(), answer) {
        let question = json!({"method": question.method, "params": question.params});
        let result = json!({
            "resultType": "input_required",
            "inputRequests": {"word": question},
            "requestState": format!("state of {}", call.nonce()),
        });
        return document(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
    if call.question().is_some() && params["requestState"] != format!("state of {}", call.nonce()) {
        return document(StatusCode::OK, &error(id, -32602, "this is the state of another call"));
    }
    call.take_effect(&shared.ledger);
    let mut result = call.result(answer);
    result["resultType"] = json!("complete");
    let last = json!({"jsonrpc": "2.0", "id": id, "result": result});
    let (sender, response) = events();
    let (one, token) = (shared.counts.one(), params["_meta"]["progressToken"].clone());
    tokio::spawn(async move {
        let _one = one;
        tokio::select! {
            () = work(&sender, &call, &token) => drop(sender.send(&last).await),
            () = sender.closed() => {}
        }
    });
    response
}

/// Takes its time, and tells of it where the client wants to know.
pub async fn work(sender: &Sender, call: &Call, token: &Value) {
    for (step, pause) in call.steps() {
        tokio::time::sleep(pause).await;
        if !token.is_null() {
            let params = json!({"progressToken": token, "progress": step});
            let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params});
            sender.send(&note).await;
        }
    }
}

fn listen(shared: &Shared, id: &Value, params: &Value) -> Response<Body> {
    let wanted = params["notifications"]["resourceSubscriptions"].clone();
    let (sender, response) = events();
    let (mut ticks, id) = (shared.ticks.subscribe(), id.clone());
    tokio::spawn(async move {
        let meta = json!({SUBSCRIPTION: id});
        let listens = wanted.as_array().is_some_and(|uris| uris.iter().any(|uri| uri == tools::RESOURCE));
        let agreed = if listens { json!({"resourceSubscriptions": wanted}) } else { json!({}) };
        let first = json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": {"_meta": meta, "notifications": agreed}});
        if !sender.send(&first).await {
            return;
        }
        let change = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": {"_meta": meta, "uri": tools::RESOURCE}});
        while ticks.recv().await.is_ok_or_lagged() {
            let open = if listens { sender.send(&change).await } else { sender.comment().await };
            if !open {
                return;
            }
        }
    });
    response
}

/// A receiver that missed some ticks goes on with the next one.
pub trait OkOrLagged {
    fn is_ok_or_lagged(&self) -> bool;
}

impl OkOrLagged for Result<(), tokio::sync::broadcast::error::RecvError> {
    fn is_ok_or_lagged(&self) -> bool {
        !matches!(self, Err(tokio::sync::broadcast::error::RecvError::Closed))
    }
}
