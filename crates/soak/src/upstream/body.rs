//! Bodies of answers: whole, or events as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

/// How many events may wait for a slow reader.
const AHEAD_MAX: usize = 256;

/// A body.
pub enum Body {
    Whole(Option<Bytes>),
    Events(mpsc::Receiver<Bytes>),
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(events) => events.poll_recv(context).map(|next| next.map(|b| Ok(Frame::data(b)))),
        }
    }
}

/// Where events of one stream go.
#[derive(Debug, Clone)]
pub struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// Whether somebody still reads.
    pub async fn send(&self, message: &Value) -> bool {
        self.0.send(Bytes::from(format!("event: message\ndata: {message}\n\n"))).await.is_ok()
    }

    /// A line that says nothing but that the stream lives.
    pub async fn comment(&self) -> bool {
        self.0.send(Bytes::from_static(b":\n\n")).await.is_ok()
    }

    /// Ends when nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// A stream of events.
pub fn events() -> (Sender, Response<Body>) {
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    let mut response = Response::new(Body::Events(receiver));
    let kind = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    (Sender(sender), response)
}

/// One document.
pub fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Some(Bytes::from(value.to_string()))));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// No body at all.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Whole(None));
    *response.status_mut() = status;
    response
}
