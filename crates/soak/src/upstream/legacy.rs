//! 2025-11-25 with sessions: questions are requests on the stream of the call.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::body::{Body, empty, events, json as document};
use super::http::Shared;
use super::modern::{OkOrLagged as _, work};
use super::tools::{self, Call};

/// The most sessions there are; the gateway has one for each client that asks questions.
const SESSIONS_MAX: usize = 100_000;

/// All sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    all: Mutex<HashMap<String, Arc<Session>>>,
    last: AtomicU64,
}

/// What a client left here.
#[derive(Debug, Default)]
pub struct Session {
    waiting: Mutex<HashMap<String, oneshot::Sender<Value>>>,
    running: Mutex<HashMap<String, oneshot::Sender<()>>>,
    subscribed: Mutex<HashSet<String>>,
    asked: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is done under these locks leaves the maps whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A name for the next question, and where its answer will come.
    pub fn question(&self) -> (String, oneshot::Receiver<Value>) {
        let name = format!("q{}", self.asked.fetch_add(1, Ordering::Relaxed));
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(name.clone(), sender);
        (name, receiver)
    }

    /// Takes the response to a question. One that nobody waits for is of no use.
    pub fn answered(&self, message: &Value) {
        let waiting = message["id"].as_str().and_then(|name| lock(&self.waiting).remove(name));
        if let Some(waiting) = waiting {
            let _ = waiting.send(message["result"].clone());
        }
    }

    /// Ends when the client no longer wants this request.
    pub fn begin(&self, id: &Value) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.running).insert(id.to_string(), sender);
        receiver
    }

    /// The request is over.
    pub fn end(&self, id: &Value) {
        lock(&self.running).remove(&id.to_string());
    }
}

/// What a result of `initialize` is.
pub fn initialized() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": tools::capabilities(),
        "serverInfo": {"name": "soak-legacy", "version": "1"},
    })
}

/// What needs neither a session nor time; `None` for everything else.
pub fn known(method: &str) -> Option<Value> {
    match method {
        "tools/list" => Some(tools::list()),
        "resources/list" => Some(tools::resources()),
        "resources/templates/list" => Some(json!({"resourceTemplates": []})),
        "ping" => Some(json!({})),
        _ => None,
    }
}

/// An answer that is an error.
pub fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

pub fn post(shared: &Shared, session: Option<&str>, message: Value) -> Response<Body> {
    let (id, method) = (&message["id"], message["method"].as_str().unwrap_or_default());
    let result = |result: Value| {
        document(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    };
    if method == "initialize" {
        let name = format!("soak-{}", shared.sessions.last.fetch_add(1, Ordering::Relaxed));
        let mut all = lock(&shared.sessions.all);
        if all.len() >= SESSIONS_MAX {
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        all.insert(name.clone(), Arc::default());
        let mut response = result(initialized());
        let value = HeaderValue::from_str(&name).expect("a session's name is plain text");
        response.headers_mut().insert("mcp-session-id", value);
        return response;
    }
    let Some(session) = session.and_then(|name| lock(&shared.sessions.all).get(name).cloned()) else {
        return empty(if session.is_some() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST });
    };
    if method.is_empty() {
        session.answered(&message);
        return empty(StatusCode::ACCEPTED);
    }
    if id.is_null() {
        if method == "notifications/cancelled" {
            session.end(&message["params"]["requestId"]);
        }
        return empty(StatusCode::ACCEPTED);
    }
    if let Some(value) = known(method) {
        return result(value);
    }
    let uri = message["params"]["uri"].as_str().unwrap_or_default().to_owned();
    match method {
        "resources/subscribe" => {
            lock(&session.subscribed).insert(uri);
            result(json!({}))
        }
        "resources/unsubscribe" => {
            lock(&session.subscribed).remove(&uri);
            result(json!({}))
        }
        "tools/call" => match Call::read(&message["params"]) {
            Some(call) => run(shared, &session, &message, call),
            None => document(StatusCode::OK, &error(id, -32602, "unknown tool or no nonce")),
        },
        _ => document(StatusCode::OK, &error(id, -32601, "unknown method")),
    }
}

fn run(shared: &Shared, session: &Arc<Session>, message: &Value, call: Call) -> Response<Body> {
    let (sender, response) = events();
    let (one, ledger, session) = (shared.counts.one(), Arc::clone(&shared.ledger), Arc::clone(session));
    let (id, token) = (message["id"].clone(), message["params"]["_meta"]["progressToken"].clone());
    tokio::spawn(async move {
        let _one = one;
        let unwanted = session.begin(&id);
        let work = async {
            let mut answer = None;
            if let Some(question) = call.question() {
                let (name, receiver) = session.question();
                let asked = json!({"jsonrpc": "2.0", "id": name, "method": question.method,
                    "params": question.params});
                sender.send(&asked).await;
                match receiver.await {
                    Ok(said) => answer = Some(said),
                    Err(_) => return,
                }
            }
            call.take_effect(&ledger);
            work(&sender, &call, &token).await;
            let result = call.result(answer.as_ref());
            sender.send(&json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
        };
        tokio::select! {
            () = work => {}
            _ = unwanted => {}
            // Who is gone takes no answer, and here no stream is taken up again.
            () = sender.closed() => {}
        }
        session.end(&id);
    });
    response
}

pub fn get(shared: &Shared, session: Option<&str>) -> Response<Body> {
    let Some(session) = session.and_then(|name| lock(&shared.sessions.all).get(name).cloned()) else {
        return empty(StatusCode::NOT_FOUND);
    };
    let (sender, response) = events();
    let mut ticks = shared.ticks.subscribe();
    tokio::spawn(async move {
        let change = json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
            "params": {"uri": tools::RESOURCE}});
        while ticks.recv().await.is_ok_or_lagged() {
            let listens = lock(&session.subscribed).contains(tools::RESOURCE);
            let open = if listens { sender.send(&change).await } else { sender.comment().await };
            if !open {
                return;
            }
        }
    });
    response
}

pub fn delete(shared: &Shared, session: Option<&str>) -> Response<Body> {
    let gone = session.and_then(|name| lock(&shared.sessions.all).remove(name));
    empty(if gone.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND })
}
