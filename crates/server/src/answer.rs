//! What goes back over HTTP.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use protocol::{Id, Raw, RpcError, code, envelope, http_status, sse};

/// Why a body breaks off: the connection is closed, so that nobody takes the part for the whole.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;
/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;
/// An answer.
pub(crate) type Answer = Response<Body>;
/// The chunks of a streamed answer.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How long a stream may be silent before a comment keeps it open.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// A text for people.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = Response::new(full(Bytes::from(text.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// The same answer, which breaks off after so long: what listens ends with the proof that it was opened by.
pub(crate) fn ends_after(answer: Answer, left: Option<Duration>) -> Answer {
    let Some(left) = left else { return answer };
    answer.map(|body| {
        let frames = BodyStream::new(body).take_until(Box::pin(tokio::time::sleep(left)));
        StreamBody::new(frames).boxed_unsync()
    })
}

/// The same answer, of which nothing more leaves once this comes to pass. Events end; of anything else nobody
/// is to take the part for the whole.
pub(crate) fn ends_with(answer: Answer, end: impl Future<Output = ()> + Send + 'static) -> Answer {
    let events = answer.headers().get(CONTENT_TYPE) == Some(&EVENTS);
    answer.map(|body| {
        let parts = (BodyStream::new(body), Box::pin(end));
        let frames = futures_util::stream::unfold(Some(parts), move |parts| async move {
            let (mut body, mut end) = parts?;
            tokio::select! {
                biased;
                () = &mut end => (!events).then(|| (Err(BodyError::from("its reader is barred")), None)),
                frame = body.next() => Some((frame?, Some((body, end)))),
            }
        });
        StreamBody::new(frames).boxed_unsync()
    })
}

/// Whether more of an answer comes later.
pub(crate) fn streams(answer: &Answer) -> bool {
    answer.body().size_hint().exact().is_none()
}

/// One JSON document.
pub(crate) fn json(status: StatusCode, bytes: Bytes) -> Answer {
    let mut answer = Response::new(full(bytes));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// An error as a JSON-RPC response with its HTTP status.
pub(crate) fn error(id: Option<&Id>, error: &RpcError) -> Answer {
    let status = StatusCode::from_u16(http_status(error.code)).unwrap_or(StatusCode::OK);
    match later(error) {
        None => error_with(status, id, &error.to_raw()),
        Some(seconds) => too_many(json(StatusCode::OK, envelope::error(id, &error.to_raw())), seconds),
    }
}

/// After how many seconds whoever is held back by a limit of what callers may do should come again.
pub(crate) fn later(error: &RpcError) -> Option<u64> {
    let data = error.data.as_ref().filter(|_| error.code == code::LIMIT)?;
    Some(data.get("retryAfterMs")?.as_u64()?.div_ceil(1_000).max(1))
}

/// The same answer as one that says so in HTTP, too (RFC 6585, section 4).
pub(crate) fn too_many(mut answer: Answer, seconds: u64) -> Answer {
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// An error object as a JSON-RPC response.
pub(crate) fn error_with(status: StatusCode, id: Option<&Id>, error: &Raw) -> Answer {
    json(status, envelope::error(id, error))
}

/// One JSON document whose result comes in chunks.
pub(crate) fn streamed_result(id: &Id, result: Chunks) -> Answer {
    let head = futures_util::stream::iter([Ok(envelope::result_head(id))]);
    let tail = futures_util::stream::iter([Ok(Bytes::from_static(b"}"))]);
    let mut answer = Response::new(stream_body(Box::pin(head.chain(result).chain(tail))));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

fn stream_body(chunks: Chunks) -> Body {
    StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync()
}

/// A body in chunks, without headers.
pub(crate) fn streamed(chunks: Chunks) -> Answer {
    Response::new(stream_body(chunks))
}

/// A stream of events, kept open with comments.
pub(crate) fn events(chunks: Chunks) -> Answer {
    let mut answer = Response::new(stream_body(Box::pin(kept_alive(chunks))));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, EVENTS);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    answer
}

fn kept_alive(chunks: Chunks) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    futures_util::stream::unfold(Some(chunks), |chunks| async move {
        let mut chunks = chunks?;
        match tokio::time::timeout(KEEP_ALIVE, chunks.next()).await {
            Ok(Some(chunk)) => Some((chunk, Some(chunks))),
            Ok(None) => None,
            Err(_silent) => Some((Ok(Bytes::from_static(sse::KEEP_ALIVE)), Some(chunks))),
        }
    })
}

/// What a client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepts {
    pub json: bool,
    pub events: bool,
}

impl Accepts {
    /// Reads `Accept`; a client that names nothing takes anything.
    pub fn read(headers: &HeaderMap) -> Self {
        let mut found = Self { json: false, events: false };
        let mut named = false;
        for value in headers.get_all(ACCEPT) {
            named = true;
            for range in value.to_str().unwrap_or_default().split(',') {
                let range = range.split(';').next().unwrap_or_default().trim();
                let is = |names: [&str; 3]| names.iter().any(|name| name.eq_ignore_ascii_case(range));
                found.json |= is(["application/json", "application/*", "*/*"]);
                found.events |= is(["text/event-stream", "text/*", "*/*"]);
            }
        }
        if named { found } else { Self { json: true, events: true } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(value: &'static str) -> (bool, bool) {
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]);
        let found = Accepts::read(&headers);
        (found.json, found.events)
    }

    #[test]
    fn accept_is_read_as_media_ranges() {
        assert_eq!(accepts("application/json, text/event-stream"), (true, true));
        assert_eq!(accepts("Application/JSON;q=0.9"), (true, false));
        assert_eq!(accepts("text/event-stream"), (false, true));
        assert_eq!(accepts("*/*"), (true, true));
        assert_eq!(accepts("text/html"), (false, false));
        let none = Accepts::read(&HeaderMap::new());
        assert!(none.json && none.events);
    }
}
