//! 2025-03-26 to 2025-11-25: sessions over Streamable HTTP.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use demo::Revision;
use serde_json::{Value, json};

use super::outcome::gist;
use super::pair::answer;
use super::{End, Me, Outcome, Task, initialize_params};
use crate::http::{Http, Places, Reply, Request};
use crate::within;

/// How often a client comes back for the rest of one stream.
const RESUMES_MAX: usize = 16;

#[derive(Clone)]
pub(super) struct Session {
    me: Me,
    http: Http,
    path: String,
    id: Option<String>,
    ids: Arc<AtomicI64>,
    own_stream: Arc<Mutex<Option<Task<()>>>>,
}

impl Session {
    pub async fn open(places: impl Into<Places>, path: &str, me: Me) -> Result<(Self, Value), Outcome> {
        let params = initialize_params(&me);
        let mut session = Self {
            http: Http::new(places).authorized(me.authorization.clone()),
            me,
            path: path.to_owned(),
            id: None,
            ids: Arc::new(AtomicI64::new(1)),
            own_stream: Arc::default(),
        };
        let id = session.next_id();
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params });
        let reply = session.http.post(path, &message).send().await;
        let given = reply.header("mcp-session-id").map(str::to_owned);
        let outcome = within(session.converse(&json!(id), reply)).await;
        let End::Result(opening) = outcome.end else { return Err(outcome) };
        session.id = given;
        session.post(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).send().await;
        Ok((session, opening))
    }

    pub fn next_id(&self) -> i64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn post(&self, message: &Value) -> Request {
        self.headed(self.http.post(&self.path, message))
    }

    fn headed(&self, mut request: Request) -> Request {
        if let Some(id) = &self.id {
            request = request.header("mcp-session-id", id);
        }
        if self.me.revision >= Revision::V2025_06_18 {
            request = request.header("mcp-protocol-version", self.me.revision.as_str());
        }
        request
    }

    pub async fn request(&self, id: i64, method: &str, params: Value) -> Outcome {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.post(&message).send().await;
        self.converse(&json!(id), reply).await
    }

    pub async fn batch(&self, requests: Vec<(&str, Value)>) -> Vec<Outcome> {
        let ids: Vec<i64> = requests.iter().map(|_| self.next_id()).collect();
        let mut messages = Vec::with_capacity(ids.len());
        for ((method, params), id) in requests.into_iter().zip(&ids) {
            messages.push(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        }
        let mut reply = self.post(&Value::Array(messages)).send().await;
        let status = reply.status;
        let mut answers = Vec::new();
        if reply.streams() {
            while answers.len() < ids.len() {
                let Some(event) = reply.event().await else { break };
                match serde_json::from_str(&event.data).unwrap_or_default() {
                    Value::Array(more) => answers.extend(more),
                    message if message.get("method").is_some() => {
                        self.take(&message, &mut Outcome::new(status, End::Lost)).await;
                    }
                    message => answers.push(message),
                }
            }
        } else {
            match reply.json().await {
                Value::Array(all) => answers = all,
                // One error for the whole batch.
                error => return ids.iter().map(|_| Outcome::of_response(status, &error)).collect(),
            }
        }
        let of = |id: &i64| answers.iter().find(|answer| answer["id"].as_i64() == Some(*id));
        let outcome =
            |id| of(id).map_or(Outcome::new(status, End::Lost), |a| Outcome::of_response(status, a));
        ids.iter().map(outcome).collect()
    }

    /// Reads an answer to its end, in pieces if the server wants it so.
    async fn converse(&self, id: &Value, mut reply: Reply) -> Outcome {
        let mut outcome = Outcome::new(reply.status, End::Lost);
        for _ in 0..=RESUMES_MAX {
            if !reply.streams() {
                let body: Value = serde_json::from_str(&reply.text().await).unwrap_or_default();
                outcome.end = Outcome::of_response(outcome.status, &body).end;
                return outcome;
            }
            let mut last_id = None;
            while let Some(event) = reply.event().await {
                last_id = event.id.or(last_id);
                let Ok(message) = serde_json::from_str::<Value>(&event.data) else { continue };
                if message.get("method").is_some() {
                    self.take(&message, &mut outcome).await;
                } else if message["id"] == *id {
                    outcome.end = Outcome::of_response(outcome.status, &message).end;
                    return outcome;
                }
            }
            // The rest can be fetched from after the last event, if events have ids.
            let Some(last_id) = last_id else { return outcome };
            let again = self.headed(self.http.get(&self.path)).header("last-event-id", &last_id);
            reply = again.send().await;
            if !reply.streams() {
                return outcome;
            }
        }
        outcome
    }

    /// Takes what is no response.
    async fn take(&self, message: &Value, outcome: &mut Outcome) {
        let method = message["method"].as_str().unwrap_or_default();
        match message.get("id") {
            Some(id) => {
                outcome.asked.push(gist(message));
                self.post(&answer(&self.me, method, message, id)).send().await;
            }
            None => outcome.told.push(gist(message)),
        }
    }

    /// Opens the stream for everything that belongs to no request, unless it is open.
    pub async fn listen(&self) -> Result<(), Outcome> {
        if self.own_stream.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let mut reply = self.headed(self.http.get(&self.path)).send().await;
        if !reply.streams() {
            return Err(Outcome::new(reply.status, End::Lost));
        }
        let session = self.clone();
        let task = tokio::spawn(async move {
            while let Some(event) = reply.event().await {
                let Ok(message) = serde_json::from_str::<Value>(&event.data) else { continue };
                let mut outcome = Outcome::new(200, End::Lost);
                session.take(&message, &mut outcome).await;
                for change in outcome.told {
                    let _ = session.me.changes.send(change);
                }
            }
        });
        *self.own_stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(Task(task));
        Ok(())
    }

    pub async fn delete(&self) -> u16 {
        self.headed(self.http.request(http::Method::DELETE, &self.path)).send().await.status
    }
}
