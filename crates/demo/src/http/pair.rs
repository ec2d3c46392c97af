//! The HTTP+SSE pair of 2024-11-05: everything to the client on one stream, everything from it by POST.

use std::sync::Arc;

use ::http::{Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::mpsc;

use super::body::{self, Body};
use super::{Arrival, sse};
use crate::call::{Frame, Outlet};
use crate::legacy::Connection;
use crate::rpc::{Kind, Malformed, Message};
use crate::server::Server;
use crate::stats::{Gauge, Held};

/// How many messages the server may be ahead of its client.
const AHEAD_MAX: usize = 64;

/// `GET /sse`
pub(crate) fn get(request: &Arrival<'_>) -> Response<Body> {
    if !request.accepts(sse::MEDIA_TYPE) {
        return body::empty(StatusCode::NOT_ACCEPTABLE);
    }
    let server = request.server;
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    let connection = Connection::new(server.clone(), Outlet::Channel(sender));
    let id = server.keys().id();
    {
        let pairs = &mut server.sessions().pairs;
        if pairs.len() >= server.config().sessions_max {
            return body::empty(StatusCode::SERVICE_UNAVAILABLE);
        }
        pairs.insert(id.clone(), connection);
    }
    let endpoint = Bytes::from(format!("event: endpoint\ndata: /messages?sessionId={id}\n\n"));
    let open = server.seen().hold(Gauge::StreamsOpen);
    let registered = Registered { server: server.clone(), id };
    let pair = Pair { endpoint: Some(endpoint), frames: receiver, _registered: registered, _open: open };
    sse::response(pair, server.config().keep_alive)
}

/// `POST /messages?sessionId=…`
pub(crate) async fn post(request: &Arrival<'_>, incoming: Incoming) -> Response<Body> {
    let id = request.query.split('&').find_map(|pair| pair.strip_prefix("sessionId="));
    let connection = id.and_then(|id| request.server.sessions().pairs.get(id).cloned());
    let Some(connection) = connection else { return body::empty(StatusCode::NOT_FOUND) };
    let value = match body::read(request, incoming).await {
        Ok(value) => value,
        Err(refused) => return *refused,
    };
    match value {
        Value::Array(messages) => {
            tokio::spawn(async move {
                let answer = connection.receive_batch(messages).await;
                send(&connection, answer).await;
            });
        }
        value => {
            let message = match Message::new(value) {
                Ok(message) => message,
                Err(Malformed { id, error }) => {
                    return request.error(StatusCode::BAD_REQUEST, id.as_ref(), &error);
                }
            };
            request.server.seen().saw(&message, &request.headers);
            // What follows `initialize` may rely on it, so that is not left to a task.
            if message.method() == "initialize" || message.kind() != Kind::Request {
                let answer = connection.receive(message).await;
                send(&connection, answer).await;
            } else {
                tokio::spawn(async move {
                    let answer = connection.receive(message).await;
                    send(&connection, answer).await;
                });
            }
        }
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"Accepted")).boxed_unsync());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

async fn send(connection: &Arc<Connection>, answer: Option<Value>) {
    if let Some(answer) = answer {
        connection.outlet().send(answer).await;
    }
}

struct Pair {
    endpoint: Option<Bytes>,
    frames: mpsc::Receiver<Frame>,
    _registered: Registered,
    _open: Held,
}

impl sse::Events for Pair {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(endpoint) = self.endpoint.take() {
            return Some(endpoint);
        }
        loop {
            match self.frames.recv().await? {
                Frame::Message(message) => return Some(sse::event(None, message.to_string().as_bytes())),
                // Nothing can be resumed here, so nothing is hung up.
                Frame::HangUp => {}
            }
        }
    }
}

/// Ends the connection when its stream is dropped.
struct Registered {
    server: Server,
    id: String,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let connection = self.server.sessions().pairs.remove(&self.id);
        if let Some(connection) = connection {
            connection.close();
        }
    }
}
