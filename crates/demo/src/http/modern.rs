//! `POST /mcp` in the modern era: the request lives as long as its response does.

use std::pin::Pin;

use ::http::{Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use super::body::{self, Body};
use super::{Arrival, sse};
use crate::call::{Call, Frame, Outlet};
use crate::modern::{self, Admitted, Listen};
use crate::rpc::{self, Kind, Message, RpcError};
use crate::stats::{Gauge, Held};

/// How many messages a request may be ahead of its client.
const AHEAD_MAX: usize = 16;

pub(crate) async fn post(request: &Arrival<'_>, message: Message) -> Response<Body> {
    match message.kind() {
        Kind::Request => {}
        Kind::Notification => return body::empty(StatusCode::ACCEPTED),
        Kind::Response => {
            let error =
                RpcError::new(rpc::INVALID_REQUEST, "Invalid request: nothing was asked of the client");
            return request.error(StatusCode::BAD_REQUEST, None, &error);
        }
    }
    let server = request.server;
    if message.method() == "initialize" && !modern::is_modern(&message) {
        let asked = message.params()["protocolVersion"].as_str().unwrap_or_default();
        return refusal(message.id(), &crate::legacy::unsupported(server, asked));
    }
    let id = message.id().clone();
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    let call = match modern::admit(server, message, Some(&request.headers), Outlet::Channel(sender)) {
        Ok(Admitted::Call(call)) => call,
        Ok(Admitted::Listen(listen)) => return sse::response(Listening(listen), server.config().keep_alive),
        Err(error) => return refusal(&id, &error),
    };
    let streams = server.config().stream_answers;
    let mut exchange = Exchange::new(call, receiver);
    match exchange.step().await {
        Step::Finished(response) if !streams || modern::status(&response) != StatusCode::OK => {
            body::json(modern::status(&response), &response)
        }
        first => {
            let open = server.seen().hold(Gauge::StreamsOpen);
            let streaming = Streaming { exchange, first: Some(first), ended: false, _open: open };
            sse::response(streaming, server.config().keep_alive)
        }
    }
}

fn refusal(id: &Value, error: &RpcError) -> Response<Body> {
    let response = rpc::failure(Some(id), error);
    // What is refused before it runs never answers 200, but for faults in the parameters of one method.
    let status = match (error.code, modern::status(&response)) {
        (rpc::INVALID_PARAMS, StatusCode::OK) => StatusCode::BAD_REQUEST,
        (_, status) => status,
    };
    body::json(status, &response)
}

/// A request and what it sends before its response. Dropping it cancels the request.
struct Exchange {
    call: Pin<Box<dyn Future<Output = Value> + Send>>,
    frames: mpsc::Receiver<Frame>,
    response: Option<Value>,
}

enum Step {
    Message(Value),
    HangUp,
    Finished(Value),
}

impl Exchange {
    fn new(call: Call, frames: mpsc::Receiver<Frame>) -> Self {
        Self { call: Box::pin(modern::respond(call)), frames, response: None }
    }

    /// What comes next. Not to be called once it has finished.
    async fn step(&mut self) -> Step {
        loop {
            let frame = if self.response.is_some() {
                self.frames.try_recv().ok()
            } else {
                tokio::select! {
                    biased;
                    Some(frame) = self.frames.recv() => Some(frame),
                    response = &mut self.call => {
                        self.response = Some(response);
                        continue;
                    }
                }
            };
            match (frame, self.response.take()) {
                (Some(frame), response) => {
                    self.response = response;
                    return match frame {
                        Frame::Message(message) => Step::Message(message),
                        Frame::HangUp => Step::HangUp,
                    };
                }
                (None, Some(response)) => return Step::Finished(response),
                (None, None) => {}
            }
        }
    }
}

struct Streaming {
    exchange: Exchange,
    first: Option<Step>,
    ended: bool,
    _open: Held,
}

impl sse::Events for Streaming {
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let step = match self.first.take() {
            Some(step) => step,
            None => self.exchange.step().await,
        };
        let message = match step {
            Step::Message(message) => message,
            Step::HangUp => return None,
            Step::Finished(response) => {
                self.ended = true;
                response
            }
        };
        Some(sse::event(None, message.to_string().as_bytes()))
    }
}

struct Listening(Listen);

impl sse::Events for Listening {
    async fn next(&mut self) -> Option<Bytes> {
        Some(sse::event(None, self.0.next().await?.to_string().as_bytes()))
    }
}
