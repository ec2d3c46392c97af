//! 2024-11-05 over HTTP+SSE: everything comes on one stream, and goes by POST to the URL that its first
//! event names.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::outcome::gist;
use super::{End, Me, Outcome, Task, belongs_to_a_request, initialize_params};
use crate::http::{Http, Places, Reply, Request};
use crate::within;

pub(super) struct Pair {
    shared: Arc<Shared>,
    ids: AtomicI64,
    _reader: Task<()>,
}

struct Shared {
    me: Me,
    http: Http,
    /// Where to post.
    path: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<i64, oneshot::Sender<Value>>,
    asked: Vec<Value>,
    told: Vec<Value>,
}

impl Pair {
    pub async fn open(places: impl Into<Places>, path: &str, me: Me) -> Result<(Self, Value), Outcome> {
        let http = Http::new(places).authorized(me.authorization.clone());
        let path = path.strip_suffix("mcp").map_or_else(|| path.to_owned(), |start| format!("{start}sse"));
        let mut stream = http.get(&path).send().await;
        if !stream.streams() {
            return Err(Outcome::new(stream.status, End::Lost));
        }
        let endpoint = within(stream.event()).await;
        let Some(endpoint) = endpoint.filter(|event| event.name == "endpoint") else {
            return Err(Outcome::new(stream.status, End::Lost));
        };
        let path =
            endpoint.data.strip_prefix(&format!("http://{}", http.address())).unwrap_or(&endpoint.data);
        let shared =
            Arc::new(Shared { me, http: http.clone(), path: path.to_owned(), state: Mutex::default() });
        let reader = Task(tokio::spawn(read(Arc::clone(&shared), stream)));
        let pair = Self { shared, ids: AtomicI64::new(1), _reader: reader };
        let outcome =
            within(pair.request(pair.next_id(), "initialize", initialize_params(&pair.shared.me))).await;
        let End::Result(opening) = outcome.end else { return Err(outcome) };
        pair.send(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        Ok((pair, opening))
    }

    pub fn next_id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub fn path(&self) -> &str {
        &self.shared.path
    }

    pub async fn send(&self, message: &Value) -> Reply {
        self.shared.post(message).send().await
    }

    pub async fn request(&self, id: i64, method: &str, params: Value) -> Outcome {
        let (sender, answer) = oneshot::channel();
        let (asked, told) = {
            let state = &mut self.shared.state();
            state.waiting.insert(id, sender);
            (state.asked.len(), state.told.len())
        };
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.send(&message).await;
        if reply.status != 202 {
            self.shared.state().waiting.remove(&id);
            let status = reply.status;
            let body = serde_json::from_str(&reply.text().await).unwrap_or_default();
            return Outcome::of_response(status, &body);
        }
        // Where the stream has ended nobody sends any more.
        let mut outcome = match answer.await {
            Ok(message) => Outcome::of_response(200, &message),
            Err(_) => Outcome::new(200, End::Lost),
        };
        let state = self.shared.state();
        outcome.asked = state.asked[asked..].to_vec();
        outcome.told = state.told[told..].to_vec();
        outcome
    }
}

impl Shared {
    fn post(&self, message: &Value) -> Request {
        self.http.post(&self.path, message).without("accept")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(shared: Arc<Shared>, mut stream: Reply) {
    while let Some(event) = stream.event().await {
        let Ok(message) = serde_json::from_str::<Value>(&event.data) else { continue };
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => {
                let answer = answer(&shared.me, method, &message, id);
                shared.state().asked.push(gist(&message));
                shared.post(&answer).send().await;
            }
            (Some(method), None) if belongs_to_a_request(method) => shared.state().told.push(gist(&message)),
            (Some(_), None) => drop(shared.me.changes.send(gist(&message))),
            (None, id) => {
                let waiting = id.and_then(Value::as_i64).and_then(|id| shared.state().waiting.remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(message);
                }
            }
        }
    }
    shared.state().waiting.clear();
}

/// The response to a question.
pub(super) fn answer(me: &Me, method: &str, message: &Value, id: &Value) -> Value {
    match (me.answers)(method, &message["params"]) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}
