//! The body of a response: bounded in time and size, and cancelled by dropping it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::error::EgressError;

/// What [`ResponseBody::collect`] reserves at most before it has seen the bytes: a peer's `Content-Length` is
/// a claim.
const RESERVE_BYTES_MAX: usize = 256 * 1024;

/// The body of a response, as it comes in.
///
/// Nothing is read ahead of what is asked for but for one read of the connection, so a large body passes in
/// constant memory. Dropping it before its end cancels the exchange: an HTTP/1.1 connection is closed, an
/// HTTP/2 stream reset. After an error the exchange is over, and the body ends.
///
/// It can be read as a [`Stream`] of data, by [`chunk`](Self::chunk), whole by [`collect`](Self::collect), or
/// handed on as an [`http_body::Body`], which also keeps trailers.
#[derive(Debug)]
pub struct ResponseBody<B = Incoming> {
    /// `None` once the exchange is over.
    inner: Option<B>,
    idle: Option<Duration>,
    /// The end of the whole exchange, and the limit it came from.
    total: Option<(Instant, Duration)>,
    /// The limit in bytes, and how much of it is left.
    limit: Option<(u64, u64)>,
    /// Made when the body first has to wait; a body that is there at once never touches a timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// The timer runs for the wait at hand.
    waiting: bool,
}

impl<B> ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    pub(crate) fn new(inner: B, idle: Option<Duration>, total: Option<(Instant, Duration)>) -> Self {
        Self { inner: Some(inner), idle, total, limit: None, timer: None, waiting: false }
    }

    /// Ends the body with [`EgressError::BodyTooLarge`] once it gives more than `limit_bytes` bytes in all.
    #[must_use]
    pub fn limit(mut self, limit_bytes: u64) -> Self {
        self.limit = Some((limit_bytes, limit_bytes));
        self
    }

    /// The next piece of the body, or `None` at its end. Safe to cancel. Trailers are skipped.
    ///
    /// # Errors
    /// [`EgressError::IdleTimeout`], [`EgressError::TotalTimeout`], [`EgressError::BodyTooLarge`], or
    /// [`EgressError::Closed`] when the connection ended before the body did.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, EgressError>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// The whole body. One that came in one piece is not copied.
    ///
    /// # Errors
    /// [`EgressError::BodyTooLarge`] as soon as the body is known to have more than `max_bytes` bytes, before
    /// any are read where the head says so; else as [`chunk`](Self::chunk).
    pub async fn collect(mut self, max_bytes: usize) -> Result<Bytes, EgressError> {
        let limit_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
        self.limit = Some((limit_bytes, limit_bytes));
        let announced = Body::size_hint(&self).lower();
        if announced > limit_bytes {
            return Err(EgressError::BodyTooLarge { limit_bytes });
        }
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await.transpose()? else { return Ok(first) };
        let reserve = usize::try_from(announced).unwrap_or(usize::MAX).min(RESERVE_BYTES_MAX);
        let mut whole = BytesMut::with_capacity(reserve.max(first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(more) = self.chunk().await.transpose()? {
            whole.extend_from_slice(&more);
        }
        Ok(whole.freeze())
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, EgressError>>> {
        loop {
            match ready!(Pin::new(&mut *self).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Takes note of a frame that came in.
    fn admit(&mut self, frame: &Frame<Bytes>) -> Result<(), EgressError> {
        self.waiting = false;
        if let Some((end, after)) = self.total
            && Instant::now() >= end
        {
            return Err(EgressError::TotalTimeout { after });
        }
        if let (Some((limit_bytes, left)), Some(data)) = (&mut self.limit, frame.data_ref()) {
            let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
            *left = left.checked_sub(bytes).ok_or(EgressError::BodyTooLarge { limit_bytes: *limit_bytes })?;
        }
        Ok(())
    }

    /// Runs the timer while nothing comes in.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<EgressError> {
        if !self.waiting {
            let Some(deadline) = self.deadline() else { return Poll::Pending };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(deadline))),
            }
            self.waiting = true;
        }
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(match (self.total, self.idle) {
            (Some((end, after)), _) if end <= Instant::now() => EgressError::TotalTimeout { after },
            (_, Some(after)) | (Some((_, after)), None) => EgressError::IdleTimeout { after },
            (None, None) => return Poll::Pending,
        })
    }

    fn deadline(&self) -> Option<Instant> {
        let idle = self.idle.and_then(|after| Instant::now().checked_add(after));
        match (idle, self.total) {
            (Some(idle), Some((end, _))) => Some(idle.min(end)),
            (Some(idle), None) => Some(idle),
            (None, Some((end, _))) => Some(end),
            (None, None) => None,
        }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = EgressError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, EgressError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let error = match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => match this.admit(&frame) {
                Ok(()) => return Poll::Ready(Some(Ok(frame))),
                Err(error) => error,
            },
            Poll::Ready(Some(Err(error))) => EgressError::Closed { sent: true, source: Arc::new(error) },
            Poll::Ready(None) => {
                this.inner = None;
                return Poll::Ready(None);
            }
            Poll::Pending => ready!(this.poll_timeout(cx)),
        };
        this.inner = None;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Stream for ResponseBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Item = Result<Bytes, EgressError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_chunk(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;
    use tokio::sync::mpsc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    type Pieces = mpsc::UnboundedSender<Bytes>;

    /// A body that gives what is sent to it, for tests under a clock that stands still.
    fn body(
        idle: Option<Duration>,
        total: Option<Duration>,
    ) -> (Pieces, ResponseBody<impl Body<Data = Bytes, Error = Infallible> + Unpin>) {
        let (pieces, given) = mpsc::unbounded_channel::<Bytes>();
        let frames = stream::unfold(given, |mut given| async move {
            given.recv().await.map(|piece| (Ok::<_, Infallible>(Frame::data(piece)), given))
        });
        let total = total.map(|after| (Instant::now() + after, after));
        (pieces, ResponseBody::new(StreamBody::new(Box::pin(frames)), idle, total))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_the_body_with_the_limit_in_the_error() {
        let (pieces, mut body) = body(Some(SECOND), None);
        pieces.send(Bytes::from_static(b"a")).unwrap();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "a");
        assert!(matches!(body.chunk().await, Some(Err(EgressError::IdleTimeout { after: SECOND }))));
        assert!(body.chunk().await.is_none(), "after an error the body is over");
        assert!(pieces.is_closed(), "the exchange is let go at once");
    }

    #[tokio::test(start_paused = true)]
    async fn each_piece_starts_the_idle_time_anew() {
        let (pieces, mut body) = body(Some(SECOND), None);
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(SECOND * 9 / 10).await;
                pieces.send(Bytes::from_static(b"a")).unwrap();
            }
        });
        for _ in 0..5 {
            assert_eq!(body.chunk().await.unwrap().unwrap(), "a");
        }
        assert!(body.chunk().await.is_none());
        slow.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_time_holds_however_busy_the_body_is() {
        let (pieces, mut body) = body(Some(SECOND * 9), Some(SECOND));
        for _ in 0..3 {
            pieces.send(Bytes::from_static(b"a")).unwrap();
        }
        body.chunk().await.unwrap().unwrap();
        tokio::time::advance(SECOND).await;
        assert!(matches!(body.chunk().await, Some(Err(EgressError::TotalTimeout { after: SECOND }))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_time_ends_a_silent_body_too() {
        let (_pieces, mut body) = body(None, Some(SECOND));
        assert!(matches!(body.chunk().await, Some(Err(EgressError::TotalTimeout { after: SECOND }))));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_ends_with_the_limit_in_the_error() {
        let (pieces, body) = body(None, None);
        let mut body = body.limit(3);
        pieces.send(Bytes::from_static(b"ab")).unwrap();
        pieces.send(Bytes::from_static(b"cd")).unwrap();
        body.chunk().await.unwrap().unwrap();
        assert!(matches!(body.chunk().await, Some(Err(EgressError::BodyTooLarge { limit_bytes: 3 }))));
    }

    #[tokio::test]
    async fn collect_takes_exactly_the_limit_and_no_more() {
        for (max_bytes, expected) in [(4, Some("abcd")), (3, None)] {
            let (pieces, body) = body(None, None);
            pieces.send(Bytes::from_static(b"ab")).unwrap();
            pieces.send(Bytes::from_static(b"cd")).unwrap();
            drop(pieces);
            assert_eq!(body.collect(max_bytes).await.ok().as_deref(), expected.map(str::as_bytes));
        }
    }

    #[tokio::test]
    async fn collect_does_not_copy_a_body_of_one_piece() {
        let (pieces, body) = body(None, None);
        let piece = Bytes::from(vec![b'x'; 100]);
        pieces.send(piece.clone()).unwrap();
        drop(pieces);
        assert_eq!(body.collect(100).await.unwrap().as_ptr(), piece.as_ptr());
    }
}
