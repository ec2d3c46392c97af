//! 2024-11-05 over HTTP+SSE: everything comes on one stream, and goes by POST to the URL that its first event
//! names.

use http::Method;
use serde_json::{Value, json};

use super::http::{Reply, send};
use super::{Ask, End, Revision};

/// A client with its stream.
#[derive(Debug)]
pub struct Pair {
    authority: String,
    /// Where to post.
    path: String,
    stream: Reply,
    last: u64,
}

impl Pair {
    pub async fn open(authority: &str, endpoint: &str) -> Result<Self, End> {
        let path =
            endpoint.strip_suffix("mcp").map_or_else(|| endpoint.to_owned(), |start| format!("{start}sse"));
        let accept = ("accept", "text/event-stream");
        let mut stream = send(authority, Method::GET, &path, &[accept], String::new()).await?;
        if !stream.streams {
            return Err(End::Status(stream.status));
        }
        let first = stream.event().await.filter(|event| event.name == "endpoint");
        let path = first.ok_or(End::Cut("no endpoint"))?.data;
        let path = path.strip_prefix(&format!("http://{authority}")).unwrap_or(&path).to_owned();
        let mut pair = Self { authority: authority.to_owned(), path, stream, last: 0 };
        let params = json!({
            "protocolVersion": Revision::V2024_11_05.as_str(),
            "capabilities": Revision::V2024_11_05.capabilities(),
            "clientInfo": {"name": "soak", "version": "1"},
        });
        let mut ask = Ask { nonce: String::new(), strange: Vec::new(), think: std::time::Duration::ZERO };
        match pair.request("initialize", params, &mut ask).await {
            End::Result(_) => {}
            end => return Err(end),
        }
        pair.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        Ok(pair)
    }

    async fn post(&self, message: &Value) -> Result<(), End> {
        let reply = send(&self.authority, Method::POST, &self.path, &[], message.to_string()).await?;
        match reply.status {
            200..=299 => Ok(()),
            status => Err(End::of(status, &reply.json().await?)),
        }
    }

    pub async fn request(&mut self, method: &str, params: Value, ask: &mut Ask) -> End {
        self.last += 1;
        let id = json!(self.last);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        if let Err(end) = self.post(&message).await {
            return end;
        }
        while let Some(event) = self.stream.event().await {
            let message: Value = serde_json::from_str(&event.data).unwrap_or_default();
            if let Some(method) = message["method"].as_str() {
                let Some(question) = message.get("id") else { continue };
                let answer = ask.answer(method, &message["params"]).await;
                let answer = json!({"jsonrpc": "2.0", "id": question, "result": answer});
                if let Err(end) = self.post(&answer).await {
                    return end;
                }
            } else if message["id"] == id {
                return End::of(200, &message);
            }
        }
        End::Cut("stream")
    }
}
