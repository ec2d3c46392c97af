//! 2026-07-28: everything with each request, questions as results.

use http::Method;
use serde_json::{Map, Value, json};

use super::http::{ACCEPT, Reply, send};
use super::{Ask, End, Revision, Watch};

const REVISION: Revision = Revision::V2026_07_28;
/// How often one call may ask.
const ROUNDS_MAX: usize = 8;

/// A client; it keeps nothing but the number of its last request.
#[derive(Debug)]
pub struct Modern {
    authority: String,
    path: String,
    last: u64,
}

impl Modern {
    pub fn new(authority: &str, endpoint: &str) -> Self {
        Self { authority: authority.to_owned(), path: endpoint.to_owned(), last: 0 }
    }

    async fn post(&mut self, method: &str, mut params: Value) -> Result<(Value, Reply), End> {
        self.last += 1;
        let id = json!(self.last);
        let meta = &mut params["_meta"];
        meta["io.modelcontextprotocol/protocolVersion"] = json!(REVISION.as_str());
        meta["io.modelcontextprotocol/clientCapabilities"] = REVISION.capabilities();
        let name = params["name"].as_str().unwrap_or_default().to_owned();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let mut headers = vec![ACCEPT, ("mcp-protocol-version", REVISION.as_str()), ("mcp-method", method)];
        if method == "tools/call" {
            headers.push(("mcp-name", &name));
        }
        let reply = send(&self.authority, Method::POST, &self.path, &headers, message.to_string()).await?;
        Ok((id, reply))
    }

    async fn once(&mut self, method: &str, params: Value) -> End {
        let (id, mut reply) = match self.post(method, params).await {
            Ok(sent) => sent,
            Err(end) => return end,
        };
        if !reply.streams {
            let status = reply.status;
            return reply.json().await.map_or_else(|end| end, |message| End::of(status, &message));
        }
        while let Some(event) = reply.event().await {
            let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
            if message["id"] == id && message.get("method").is_none() {
                return End::of(200, &message);
            }
        }
        End::Cut("stream")
    }

    pub async fn request(&mut self, method: &str, params: Value, ask: &mut Ask) -> End {
        let mut next = params.clone();
        for _ in 0..ROUNDS_MAX {
            let end = self.once(method, next).await;
            let End::Result(result) = &end else { return end };
            if result["resultType"] != "input_required" {
                return end;
            }
            let mut answers = Map::new();
            for (key, question) in result["inputRequests"].as_object().into_iter().flatten() {
                let asked = question["method"].as_str().unwrap_or_default();
                answers.insert(key.clone(), ask.answer(asked, &question["params"]).await);
            }
            next = params.clone();
            next["inputResponses"] = Value::Object(answers);
            if let Some(state) = result.get("requestState") {
                next["requestState"] = state.clone();
            }
        }
        End::Cut("it asks again and again")
    }

    pub async fn watch(&mut self, uri: &str) -> Result<Watch, End> {
        let params = json!({"notifications": {"resourceSubscriptions": [uri]}});
        let (_, mut reply) = self.post("subscriptions/listen", params).await?;
        if !reply.streams {
            let status = reply.status;
            return Err(End::of(status, &reply.json().await?));
        }
        let first = reply.event().await.ok_or(End::Cut("stream"))?;
        if !first.data.contains("subscriptions/acknowledged") {
            return Err(End::Cut("no acknowledgement"));
        }
        Ok(Watch(reply))
    }
}
