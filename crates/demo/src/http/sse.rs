//! Event streams out.

use std::convert::Infallible;
use std::time::Duration;

use ::http::{HeaderValue, Response, header};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::body::Body;

pub(crate) const MEDIA_TYPE: &str = "text/event-stream";

/// Something that makes one event after the other.
pub(crate) trait Events: Send + 'static {
    /// The next event, encoded. `None`: the stream ends. Dropped between two events, it loses none.
    fn next(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// A response that streams, with a comment whenever nothing came for a while.
pub(crate) fn response(events: impl Events, keep_alive: Duration) -> Response<Body> {
    let frames = stream::unfold(events, move |mut events| async move {
        let event = match tokio::time::timeout(keep_alive, events.next()).await {
            Ok(event) => event?,
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok::<_, Infallible>(Frame::data(event)), events))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// An event with a message, which has no line breaks.
pub(crate) fn event(id: Option<&str>, data: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(data.len() + 64);
    event.put_slice(b"event: message\n");
    if let Some(id) = id {
        event.put_slice(format!("id: {id}\n").as_bytes());
    }
    event.put_slice(b"data: ");
    event.put_slice(data);
    event.put_slice(b"\n\n");
    event.freeze()
}

/// An event without a message, so that the client knows where to go on, and after how many milliseconds.
pub(crate) fn priming(id: &str, retry_ms: u64) -> Bytes {
    Bytes::from(format!("id: {id}\nretry: {retry_ms}\ndata: \n\n"))
}
