//! One request on one connection, as through a balancer that keeps none.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::End;
use super::events::{Event, Events};

/// How many requests were sent.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// How many requests all clients have sent so far.
pub fn requests() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

/// An answer whose body may still be coming. Dropping it closes the connection.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub session: Option<String>,
    pub streams: bool,
    body: Incoming,
    events: Events,
}

/// Sends a request.
pub async fn send(
    authority: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Reply, End> {
    let stream = TcpStream::connect(authority).await.map_err(|_| End::Cut("connect"))?;
    let _ = stream.set_nodelay(true);
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| End::Cut("connect"))?;
    // What becomes of it shows in the answer.
    tokio::spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| End::Cut("no path"))?;
    let all = headers.iter().copied().chain([("host", authority), ("content-type", "application/json")]);
    for (name, value) in all {
        let name = header::HeaderName::from_bytes(name.as_bytes()).map_err(|_| End::Cut("no header"))?;
        let value = header::HeaderValue::from_str(value).map_err(|_| End::Cut("no header"))?;
        request.headers_mut().insert(name, value);
    }
    REQUESTS.fetch_add(1, Ordering::Relaxed);
    let response = sender.send_request(request).await.map_err(|_| End::Cut("head"))?;
    let (head, body) = response.into_parts();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let streams = text("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let (status, session) = (head.status.as_u16(), text("mcp-session-id"));
    Ok(Reply { status, session, streams, body, events: Events::default() })
}

/// The headers of a POST besides those of the revision.
pub const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

impl Reply {
    /// The whole body as JSON; null where it is none.
    pub async fn json(self) -> Result<Value, End> {
        let bytes = self.body.collect().await.map_err(|_| End::Cut("body"))?.to_bytes();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// The next event; `None`: the stream has ended, in order or not.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.next() {
                return Some(event);
            }
            if let Ok(data) = self.body.frame().await?.ok()?.into_data() {
                self.events.push(&data);
            }
        }
    }
}
