//! Bodies of answers. Large ones are made while they are sent: the server holds none of them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A piece of a large result.
static FILLER: [u8; 64 * 1024] = [b'a'; 64 * 1024];

/// The body of an answer.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Whole(Option<Bytes>),
    /// `before`, then so much text, then `after`.
    Large {
        before: Option<Bytes>,
        left: usize,
        after: Option<Bytes>,
    },
    /// Progress from `at` to `count`, and then the last event.
    Events {
        token: String,
        at: u64,
        count: u64,
        last: Option<Bytes>,
    },
    /// One event, and then nothing until the client goes.
    Open(Option<Bytes>),
}

impl Body {
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    pub fn large(before: Bytes, left: usize, after: Bytes) -> Self {
        Self(Kind::Large { before: Some(before), left, after: Some(after) })
    }

    /// A stream of `count` notifications of progress under this token (as JSON), and a last event.
    pub fn progress(token: String, count: u64, last: Bytes) -> Self {
        Self(Kind::Events { token, at: 0, count, last: Some(last) })
    }

    pub fn open(first: Bytes) -> Self {
        Self(Kind::Open(Some(first)))
    }
}

impl Kind {
    fn next(&mut self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) | Self::Open(bytes) => bytes.take(),
            Self::Large { before, left, after } => before.take().or_else(|| {
                let size = FILLER.len().min(*left);
                *left -= size;
                let piece = FILLER.get(..size).filter(|piece| !piece.is_empty());
                piece.map(Bytes::from_static).or_else(|| after.take())
            }),
            Self::Events { token, at, count, last } => {
                if *at == *count {
                    return last.take();
                }
                *at += 1;
                Some(progress(token, *at, *count))
            }
        }
    }

    fn ended(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Large { after, .. } => after.is_none(),
            Self::Events { last, .. } => last.is_none(),
            Self::Open(_) => false,
        }
    }
}

fn progress(token: &str, at: u64, count: u64) -> Bytes {
    let params =
        format!(r#"{{"progressToken":{token},"progress":{at},"total":{count},"message":"step {at}"}}"#);
    let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
    format!("event: message\ndata: {message}\n\n").into()
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.next() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            // Nothing ever wakes it: the connection's end drops it.
            None if matches!(self.0, Kind::Open(_)) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.ended()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(length(bytes) as u64),
            Kind::Large { before, left, after } => {
                SizeHint::with_exact((length(before) + left + length(after)) as u64)
            }
            Kind::Events { .. } | Kind::Open(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(body: Body) -> Vec<u8> {
        let mut kind = body.0;
        std::iter::from_fn(|| kind.next()).flatten().collect()
    }

    #[test]
    fn a_large_body_is_as_long_as_it_says() {
        use http_body::Body as _;
        let body = Body::large(Bytes::from_static(b"<"), 200_000, Bytes::from_static(b">"));
        assert_eq!(body.size_hint().exact(), Some(200_002));
        let bytes = all(body);
        assert_eq!(bytes.len(), 200_002);
        assert!(bytes.starts_with(b"<aaa") && bytes.ends_with(b"aaa>"));
    }

    #[test]
    fn progress_comes_before_the_last_event() {
        let text = all(Body::progress("\"t\"".to_owned(), 3, Bytes::from_static(b"end")));
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.matches("\"progressToken\":\"t\"").count(), 3);
        assert!(text.ends_with("end"));
    }
}
