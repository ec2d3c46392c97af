//! 2025-03-26 to 2025-11-25: sessions over Streamable HTTP.

use http::Method;
use serde_json::{Value, json};

use super::http::{ACCEPT, Reply, send};
use super::{Ask, End, Revision, Watch};

/// How often a client comes back for the rest of one stream.
const RESUMES_MAX: usize = 4;

/// A client with a session.
#[derive(Debug)]
pub struct Session {
    authority: String,
    path: String,
    revision: Revision,
    id: Option<String>,
    last: u64,
}

impl Session {
    pub async fn open(authority: &str, endpoint: &str, revision: Revision) -> Result<Self, End> {
        let (authority, path) = (authority.to_owned(), endpoint.to_owned());
        let mut session = Self { authority, path, revision, id: None, last: 0 };
        let params = json!({
            "protocolVersion": revision.as_str(),
            "capabilities": revision.capabilities(),
            "clientInfo": {"name": "soak", "version": "1"},
        });
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let mut reply = session.post(&message).await?;
        let (status, id) = (reply.status, reply.session.take());
        let answer = if reply.streams {
            let mut answer = Value::Null;
            while let Some(event) = reply.event().await {
                let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
                if message["id"] == 0 {
                    answer = message;
                    break;
                }
            }
            answer
        } else {
            reply.json().await?
        };
        match End::of(status, &answer) {
            End::Result(_) => session.id = id,
            end => return Err(end),
        }
        let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        match session.post(&note).await?.status {
            202 => Ok(session),
            status => Err(End::Status(status)),
        }
    }

    async fn send(&self, method: Method, more: &[(&str, &str)], body: String) -> Result<Reply, End> {
        let mut headers = more.to_vec();
        if let Some(id) = &self.id {
            headers.push(("mcp-session-id", id));
            if self.revision >= Revision::V2025_06_18 {
                headers.push(("mcp-protocol-version", self.revision.as_str()));
            }
        }
        send(&self.authority, method, &self.path, &headers, body).await
    }

    async fn post(&self, message: &Value) -> Result<Reply, End> {
        self.send(Method::POST, &[ACCEPT], message.to_string()).await
    }

    pub async fn request(&mut self, method: &str, params: Value, ask: &mut Ask, resume: bool) -> End {
        self.last += 1;
        let id = json!(self.last);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        match self.converse(&id, &message, ask, resume).await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn converse(
        &self,
        id: &Value,
        message: &Value,
        ask: &mut Ask,
        mut hang_up: bool,
    ) -> Result<End, End> {
        let mut reply = self.post(message).await?;
        for _ in 0..=RESUMES_MAX {
            if !reply.streams {
                let status = reply.status;
                return Ok(End::of(status, &reply.json().await?));
            }
            let mut seen = None;
            while let Some(event) = reply.event().await {
                seen = event.id.or(seen);
                let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
                if let Some(method) = message["method"].as_str() {
                    if let Some(question) = message.get("id") {
                        let answer = ask.answer(method, &message["params"]).await;
                        let answer = json!({"jsonrpc": "2.0", "id": question, "result": answer});
                        let taken = self.post(&answer).await?;
                        if taken.status != 202 {
                            return Ok(End::of(taken.status, &taken.json().await?));
                        }
                    }
                } else if message["id"] == *id {
                    return Ok(End::of(200, &message));
                }
                if hang_up && seen.is_some() {
                    hang_up = false;
                    break;
                }
            }
            // The rest can be fetched from after the last event, if events have ids.
            let Some(seen) = seen else { return Ok(End::Cut("stream")) };
            let accept = ("accept", "text/event-stream");
            reply = self.send(Method::GET, &[accept, ("last-event-id", &seen)], String::new()).await?;
            if !reply.streams {
                let status = reply.status;
                // What is left of a call whose stream is unknown is nothing.
                return Ok(match End::of(status, &reply.json().await?) {
                    End::Status(404) => End::Cut("the rest of the stream is gone"),
                    end => end,
                });
            }
        }
        Ok(End::Cut("the stream ends again and again"))
    }

    pub async fn watch(&mut self, uri: &str) -> Result<Watch, End> {
        let mut ask = Ask { nonce: String::new(), strange: Vec::new(), think: std::time::Duration::ZERO };
        let reply = self.send(Method::GET, &[("accept", "text/event-stream")], String::new()).await?;
        if !reply.streams {
            return Err(End::Status(reply.status));
        }
        match self.request("resources/subscribe", json!({"uri": uri}), &mut ask, false).await {
            End::Result(_) => Ok(Watch(reply)),
            end => Err(end),
        }
    }

    pub async fn delete(&self) -> Result<u16, End> {
        Ok(self.send(Method::DELETE, &[], String::new()).await?.status)
    }
}
