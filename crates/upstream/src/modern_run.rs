//! One call on a modern server whose answer comes as a stream of messages.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use protocol::{Id, Message, Raw, envelope};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use crate::core::{Core, Stats, deadline};
use crate::http::EventStream;
use crate::observe::Hop;
use crate::outbound::{self, Tokens};
use crate::pipe::{Pipe, PipeIncoming};
use crate::{Body, CallError, CallErrorKind, Item, Outcome, Reply};

/// Where the messages come from.
pub(crate) enum Source {
    /// The call's own stream; closing it cancels the call.
    Http(EventStream),
    /// Its share of a channel; a word on the channel cancels the call.
    Pipe { incoming: PipeIncoming, pipe: Arc<Pipe> },
}

/// A call under way.
pub(crate) struct ModernRun {
    core: Arc<Core>,
    source: Source,
    id: Id,
    tokens: Option<Tokens>,
    until: Instant,
    ended: bool,
    hop: Hop,
    _permit: OwnedSemaphorePermit,
}

impl ModernRun {
    pub fn new(
        core: Arc<Core>,
        source: Source,
        (id, tokens): (Id, Option<Tokens>),
        hop: Hop,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let until = deadline(core.options.timeouts.total);
        Self { core, source, id, tokens, until, ended: false, hop, _permit: permit }
    }

    /// Waits for the first item: most streams carry nothing but the response.
    pub async fn start(mut self) -> Result<Reply, CallError> {
        match self.next().await? {
            Item::Done(outcome) => Ok(Reply::Ready(outcome)),
            first @ (Item::Notification { .. } | Item::HungUp) => {
                let rest = futures_util::stream::unfold(Some(self), |run| async move {
                    let mut run = run?;
                    let item = run.next().await;
                    let more = matches!(item, Ok(Item::Notification { .. }));
                    Some((item, more.then_some(run)))
                });
                Ok(Reply::Stream(Box::pin(futures_util::stream::iter([Ok(first)]).chain(rest))))
            }
        }
    }

    async fn message(&mut self) -> Result<Option<Message>, CallError> {
        let message = match &mut self.source {
            Source::Http(events) => timeout_at(self.until, events.message()).await,
            Source::Pipe { incoming, .. } => timeout_at(self.until, incoming.next()).await,
        };
        message.map_err(|_| self.core.error(CallErrorKind::Timeout))?
    }

    async fn next(&mut self) -> Result<Item, CallError> {
        match self.item().await {
            Ok(Item::Done(outcome)) => Ok(Item::Done(self.hop.done(outcome))),
            Ok(item) => Ok(item),
            Err(error) => Err(self.hop.fail(error)),
        }
    }

    async fn item(&mut self) -> Result<Item, CallError> {
        loop {
            match self.message().await? {
                None => {
                    self.ended = true;
                    return Err(self.core.error(CallErrorKind::Broke));
                }
                Some(Message::Response(response)) if response.id.as_ref().is_none_or(|id| *id == self.id) => {
                    self.ended = true;
                    return Ok(Item::Done(whole(response.outcome)));
                }
                Some(Message::Notification(note)) => {
                    let params =
                        outbound::notification_params(self.tokens.as_ref(), &note.method, note.params);
                    if let Some(params) = params {
                        return Ok(Item::Notification { method: note.method, params });
                    }
                }
                // A modern server sends no requests, and only our own response; anything else is a stray.
                Some(Message::Response(_) | Message::Request(_)) => Stats::add(&self.core.stats.strays),
            }
        }
    }
}

impl Drop for ModernRun {
    fn drop(&mut self) {
        let Source::Pipe { pipe, .. } = &self.source else { return };
        if self.ended || pipe.is_closed() {
            return;
        }
        let params = Raw::trusted(Bytes::from(format!(r#"{{"requestId":{}}}"#, self.id.raw())));
        let bytes = envelope::notification("notifications/cancelled", Some(&params));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let pipe = Arc::clone(pipe);
            runtime.spawn(async move {
                let _ = pipe.send(bytes).await;
            });
        }
    }
}

/// An outcome that is all there.
pub(crate) fn whole(outcome: Result<Raw, Raw>) -> Outcome {
    match outcome {
        Ok(result) => Outcome::Result(Body::Whole(result)),
        Err(error) => Outcome::Error(error),
    }
}
