//! What comes back from an upstream.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use protocol::{Method, Raw};

use crate::CallError;

/// The answer to a call: at once, or after notifications.
pub enum Reply {
    /// Nothing came before the outcome.
    Ready(Outcome),
    /// Notifications, then the outcome. Dropping it cancels the call.
    Stream(ItemStream),
}

/// Notifications, then one [`Item::Done`].
pub type ItemStream = Pin<Box<dyn Stream<Item = Result<Item, CallError>> + Send>>;

/// One thing that a call brings.
#[derive(Debug)]
pub enum Item {
    /// Progress, a log message, or something that the gateway does not know.
    Notification {
        /// Its method.
        method: Method,
        /// Its parameters.
        params: Option<Raw>,
    },
    /// The server hung up in the middle of the call, to go on when it is asked again (SEP-1699); the
    /// gateway asks. Only for callers that want to know.
    HungUp,
    /// The end.
    Done(Outcome),
}

/// How a call ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result, which may be a question.
    Result(Body),
    /// With an error object of the upstream's own.
    Error(Raw),
}

/// A result.
pub enum Body {
    /// Here it is.
    Whole(Raw),
    /// It is too large to be kept: its bytes, as they come.
    Stream(BodyStream),
}

/// The bytes of one JSON value in chunks.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, CallError>> + Send>>;

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(raw) => write!(f, "Whole({raw:?})"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(outcome) => write!(f, "Ready({outcome:?})"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Reply {
    /// A result that is whole.
    #[must_use]
    pub fn result(raw: Raw) -> Self {
        Self::Ready(Outcome::Result(Body::Whole(raw)))
    }

    /// The outcome alone; notifications are dropped. For calls of the gateway's own.
    ///
    /// # Errors
    /// Those of the stream; `Ok(None)` never happens with a stream that keeps its promise to end with an
    /// outcome.
    pub async fn outcome(self) -> Result<Option<Outcome>, CallError> {
        match self {
            Self::Ready(outcome) => Ok(Some(outcome)),
            Self::Stream(mut items) => {
                while let Some(item) = items.next().await {
                    if let Item::Done(outcome) = item? {
                        return Ok(Some(outcome));
                    }
                }
                Ok(None)
            }
        }
    }
}
