//! Requests of a client of 2026-07-28 that knows what a task is.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::client::http::{ACCEPT, send};

/// Longer than any answer takes where the replica lives.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a request ended.
pub enum Answer {
    Result(Value),
    Error(Value),
    /// Nobody answered.
    None,
}

/// Asks one replica.
pub async fn ask(place: &str, endpoint: &str, method: &str, mut params: Value) -> Answer {
    let meta = &mut params["_meta"];
    meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "soak-tasks", "version": "1"});
    meta["io.modelcontextprotocol/clientCapabilities"] =
        json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let name = params["name"].as_str().or(params["taskId"].as_str()).unwrap_or_default().to_owned();
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let headers =
        [ACCEPT, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", method), ("mcp-name", &name)];
    let asked = async {
        let mut reply = send(place, Method::POST, endpoint, &headers, message.to_string()).await.ok()?;
        if !reply.streams {
            return reply.json().await.ok();
        }
        loop {
            let message: Value = serde_json::from_str(&reply.event().await?.data).unwrap_or_default();
            if message["id"] == 1 && message.get("method").is_none() {
                return Some(message);
            }
        }
    };
    let Ok(Some(mut message)) = timeout(PATIENCE, asked).await else { return Answer::None };
    if message.get("result").is_some() {
        return Answer::Result(message["result"].take());
    }
    match message.get("error") {
        Some(error) => Answer::Error(error.clone()),
        None => Answer::None,
    }
}
