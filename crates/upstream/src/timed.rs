//! An answer that comes in pieces ends in time, too.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout};

use crate::error::CallError;
use crate::reply::BodyStream;

/// The same pieces, as long as they have been waited for no longer than `left` in all; then `late`. The time
/// in which nobody asks for a piece is the client's and does not count.
pub(crate) fn timed<S>(chunks: S, left: Duration, late: CallError) -> BodyStream
where
    S: Stream<Item = Result<Bytes, CallError>> + Send + 'static,
{
    let state = Some((Box::pin(chunks), left, late));
    Box::pin(futures_util::stream::unfold(state, |state| async move {
        let (mut chunks, left, late) = state?;
        let begun = Instant::now();
        match timeout(left, chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                let left = left.saturating_sub(begun.elapsed());
                Some((Ok(chunk), Some((chunks, left, late))))
            }
            Ok(Some(Err(error))) => Some((Err(error), None)),
            Ok(None) => None,
            Err(_) => Some((Err(late), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::CallErrorKind;

    /// A piece a second, for ever.
    fn dripping() -> impl Stream<Item = Result<Bytes, CallError>> + Send {
        futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        })
    }

    fn late() -> CallError {
        CallError::new(&model::UpstreamName::new("crm").expect("a name"), CallErrorKind::Timeout)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_bit_by_bit_for_ever_ends_when_its_time_is_over() {
        let all: Vec<_> = timed(dripping(), Duration::from_millis(5_500), late()).collect().await;
        assert_eq!(all.len(), 6);
        assert!(all[..5].iter().all(Result::is_ok));
        assert_eq!(all[5].as_ref().expect_err("late").kind, CallErrorKind::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_time_loses_none_of_it() {
        let mut chunks = timed(dripping(), Duration::from_millis(5_500), late());
        for _ in 0..5 {
            assert!(chunks.next().await.expect("a piece").is_ok());
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        assert!(chunks.next().await.expect("the end").is_err());
        assert!(chunks.next().await.is_none());
    }
}
