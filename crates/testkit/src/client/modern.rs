//! 2026-07-28: everything with each request, questions as results.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::outcome::gist;
use super::{End, Me, Outcome, Task, client_info};
use crate::http::{Http, Places, Reply, Request};
use crate::within;

/// How often one call may ask.
const ROUNDS_MAX: usize = 16;

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const INFO: &str = "io.modelcontextprotocol/clientInfo";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

#[derive(Clone)]
pub(super) struct Modern {
    me: Me,
    http: Http,
    path: String,
    ids: Arc<AtomicI64>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    log_level: Option<String>,
    /// The input schemas of the tools that were listed.
    schemas: HashMap<String, Value>,
    streams: Vec<Task<()>>,
}

impl Modern {
    pub async fn open(places: impl Into<Places>, path: &str, me: Me) -> Result<(Self, Value), Outcome> {
        let modern = Self {
            http: Http::new(places).authorized(me.authorization.clone()),
            me,
            path: path.to_owned(),
            ids: Arc::new(AtomicI64::new(1)),
            state: Arc::default(),
        };
        let outcome = within(modern.request(modern.next_id(), "server/discover", json!({}))).await;
        match outcome.end {
            End::Result(opening) => Ok((modern, opening)),
            _ => Err(outcome),
        }
    }

    pub fn next_id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub fn set_log_level(&self, level: &str) {
        self.state().log_level = Some(level.to_owned());
    }

    /// A message with everything that it needs, in `_meta` and in headers.
    pub fn post(&self, mut message: Value) -> Request {
        if !message["params"].is_object() {
            message["params"] = json!({});
        }
        let meta = &mut message["params"]["_meta"];
        meta[VERSION] = json!(self.me.revision.as_str());
        meta[CAPABILITIES] = self.me.capabilities.clone();
        meta[INFO] = client_info(self.me.revision);
        if let Some(level) = &self.state().log_level {
            meta[LOG_LEVEL] = json!(level);
        }
        let method = message["method"].as_str().unwrap_or_default();
        let mut request = self
            .http
            .post(&self.path, &message)
            .header("mcp-protocol-version", self.me.revision.as_str())
            .header("mcp-method", method);
        let params = &message["params"];
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
            _ => None,
        };
        if let Some(name) = name {
            request = request.header("mcp-name", encoded(name));
        }
        if method == "tools/call"
            && let Some(schema) = name.and_then(|name| self.state().schemas.get(name).cloned())
        {
            request = mirrored(request, &schema, &params["arguments"]);
        }
        request
    }

    pub async fn request(&self, id: i64, method: &str, params: Value) -> Outcome {
        let mut outcome = self.once(id, method, params.clone(), &mut Vec::new()).await;
        for _ in 0..ROUNDS_MAX {
            let End::Result(result) = &outcome.end else { return outcome };
            if result["resultType"] != "input_required" {
                if method == "tools/list" {
                    self.learn(result);
                }
                return outcome;
            }
            let mut again = params.clone();
            let Some(answers) = self.answers(result, &mut outcome.asked) else { return outcome };
            again["inputResponses"] = answers;
            // The state goes back as it came; where none came none goes.
            if let Some(state) = outcome.result().get("requestState") {
                again["requestState"] = state.clone();
            }
            let mut told = outcome.told;
            let next = self.once(self.next_id(), method, again, &mut told).await;
            outcome = Outcome { asked: outcome.asked, told, ..next };
        }
        outcome
    }

    /// The answers to the questions of a result. `None`: one of them cannot be answered, so the call is not
    /// repeated.
    fn answers(&self, result: &Value, asked: &mut Vec<Value>) -> Option<Value> {
        let mut answers = Map::new();
        for (key, question) in result["inputRequests"].as_object().into_iter().flatten() {
            asked.push(gist(question));
            let method = question["method"].as_str().unwrap_or_default();
            answers.insert(key.clone(), (self.me.answers)(method, &question["params"]).ok()?);
        }
        Some(Value::Object(answers))
    }

    pub async fn once(&self, id: i64, method: &str, params: Value, told: &mut Vec<Value>) -> Outcome {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let mut reply = self.post(message).send().await;
        let status = reply.status;
        if !reply.streams() {
            let body: Value = serde_json::from_str(&reply.text().await).unwrap_or_default();
            return Outcome { told: told.clone(), ..Outcome::of_response(status, &body) };
        }
        while let Some(event) = reply.event().await {
            let Ok(message) = serde_json::from_str::<Value>(&event.data) else { continue };
            assert!(event.id.is_none(), "this revision has no event ids");
            assert!(message.get("method").is_none() || message.get("id").is_none(), "a server never asks");
            if message.get("method").is_some() {
                told.push(gist(&message));
            } else if message["id"] == id {
                return Outcome { told: told.clone(), ..Outcome::of_response(status, &message) };
            }
        }
        Outcome { told: told.clone(), ..Outcome::new(status, End::Lost) }
    }

    fn learn(&self, result: &Value) {
        for tool in result["tools"].as_array().into_iter().flatten() {
            if let Some(name) = tool["name"].as_str() {
                self.state().schemas.insert(name.to_owned(), tool["inputSchema"].clone());
            }
        }
    }

    /// Opens a stream of changes and waits for the server's word on it.
    pub async fn listen(&self, uris: &[&str]) -> Result<(), Outcome> {
        let wanted = json!({
            "toolsListChanged": true,
            "promptsListChanged": true,
            "resourcesListChanged": true,
            "resourceSubscriptions": uris,
        });
        self.listen_for(wanted, "resourceSubscriptions").await
    }

    /// The same with a filter of its own, of which the list of this name must be granted whole.
    pub async fn listen_for(&self, wanted: Value, list: &str) -> Result<(), Outcome> {
        let id = self.next_id();
        let wants = wanted[list].clone();
        let params = json!({ "notifications": wanted });
        let message =
            json!({ "jsonrpc": "2.0", "id": id, "method": "subscriptions/listen", "params": params });
        let mut reply = self.post(message).send().await;
        let status = reply.status;
        if !reply.streams() {
            let body: Value = serde_json::from_str(&reply.text().await).unwrap_or_default();
            return Err(Outcome::of_response(status, &body));
        }
        let first = next_message(&mut reply).await.unwrap_or_default();
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
        let granted = &first["params"]["notifications"][list];
        if wants.as_array().is_some_and(|wants| !wants.is_empty()) && *granted != wants {
            return Err(Outcome::new(status, End::Lost));
        }
        let changes = self.me.changes.clone();
        let task = tokio::spawn(async move {
            while let Some(mut message) = next_message(&mut reply).await {
                assert_eq!(message["params"]["_meta"][SUBSCRIPTION], id, "{message}");
                if message.get("method").is_none() {
                    return;
                }
                // Which stream it came on is of no interest to those who watch.
                if let Some(params) = message["params"].as_object_mut() {
                    params.remove("_meta");
                    if params.is_empty() {
                        message.as_object_mut().map(|whole| whole.remove("params"));
                    }
                }
                let _ = changes.send(gist(&message));
            }
        });
        self.state().streams.push(Task(task));
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn next_message(reply: &mut Reply) -> Option<Value> {
    loop {
        if let Ok(message) = serde_json::from_str(&reply.event().await?.data) {
            return Some(message);
        }
    }
}

/// Adds the headers that repeat arguments.
fn mirrored(mut request: Request, schema: &Value, arguments: &Value) -> Request {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let argument = &arguments[name];
        if let Some(header) = property["x-mcp-header"].as_str() {
            let value = match argument {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            request = request.header(&format!("mcp-param-{header}"), encoded(&value));
        }
        request = mirrored(request, property, argument);
    }
    request
}

/// A value as a header may carry it.
#[must_use]
pub fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t');
    let trimmed = value.trim_matches([' ', '\t']) == value;
    let looks_encoded = value.starts_with("=?base64?") && value.ends_with("?=");
    if plain && trimmed && !looks_encoded && !value.is_empty() {
        value.to_owned()
    } else {
        format!("=?base64?{}?=", BASE64_STANDARD.encode(value))
    }
}
