//! Streams of calls whose client is gone, kept where every replica finds them: should this one end before the
//! client comes back, another has what it missed.
//!
//! Nothing is kept of a stream whose client is there, so calls cost nothing by it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use model::Clock;
use protocol::sse;

use super::buffer::StreamBuffer;
use super::session::Session;
use super::shared::{KeptEvents, SharedSessions};
use crate::app::Limits;

/// The pause after the store could not be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps a stream for as long as it is polled. What it has kept is to be forgotten by [`Keeper::end`].
pub(super) struct Keeper {
    session: Arc<Session>,
    stream: Arc<StreamBuffer>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    /// Whether anything was kept.
    kept: bool,
}

impl Keeper {
    pub fn new(
        session: &Arc<Session>,
        stream: &Arc<StreamBuffer>,
        clock: &Arc<dyn Clock>,
        limits: &Limits,
    ) -> Self {
        let (session, stream, clock) = (Arc::clone(session), Arc::clone(stream), Arc::clone(clock));
        Self { session, stream, clock, limits: *limits, kept: false }
    }

    /// Keeps what comes while the client is gone, for ever.
    pub async fn run(&mut self) {
        let Some((name, shared)) = self.session.shared() else { return std::future::pending().await };
        let (name, shared) = (name.to_owned(), Arc::clone(shared));
        loop {
            self.stream.left().await;
            let mut last = 0;
            while let Some(unread) = self.stream.unread(last).await {
                let expires = self.clock.now().plus(self.limits.detached_time * 2);
                let events = KeptEvents {
                    session: &name,
                    first: unread.first,
                    messages: &unread.messages,
                    events_max: self.limits.stream_buffer_events_max,
                    bytes_max: self.limits.stream_buffer_bytes_max,
                };
                self.kept = true;
                let done = async {
                    let stream = self.stream.name();
                    if !events.messages.is_empty() && !shared.stream_keep(stream, events, expires).await? {
                        // Some of what was kept earlier is out of date.
                        shared.stream_forget(stream).await?;
                        shared.stream_keep(stream, events, expires).await?;
                    }
                    if unread.closed {
                        shared.stream_close(stream, expires).await?;
                    }
                    Ok::<_, super::shared::SharedError>(())
                };
                match done.await {
                    Ok(()) if unread.closed => return std::future::pending().await,
                    Ok(()) => last = unread.first + unread.messages.len() as u64 - 1,
                    Err(error) => {
                        tracing::debug!(%error, "a stream without its client was not kept");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    /// The stream is over. What its client has read is forgotten; what it may still come for expires.
    pub async fn end(self) {
        let Some((_, shared)) = self.session.shared().filter(|_| self.kept && self.stream.is_read()) else {
            return;
        };
        if let Err(error) = shared.stream_forget(self.stream.name()).await {
            tracing::debug!(%error, "what was kept of a stream expires by itself");
        }
    }
}

/// What another replica kept of a stream after an event, as server-sent events, and whether that is all that
/// there will ever be. `None`: nothing was kept.
pub(super) async fn resume(
    session: &Session,
    stream: &str,
    after: u64,
) -> Option<(BoxStream<'static, Bytes>, bool)> {
    let (name, shared) = session.shared()?;
    let (name, shared) = (name.to_owned(), Arc::clone(shared));
    let first = match shared.stream_read(stream, &name, after + 1).await {
        Ok(first) => first?,
        Err(error) => {
            tracing::warn!(%error, "what was kept of a stream cannot be read");
            return None;
        }
    };
    let closed = first.closed;
    let reading = Reading { shared, session: name, stream: stream.to_owned() };
    let events = stream::unfold(Some((reading, Some(first), after)), |state| async move {
        let (reading, part, after) = state?;
        let part = match part {
            Some(part) => part,
            None => reading.shared.stream_read(&reading.stream, &reading.session, after + 1).await.ok()??,
        };
        let last = part.events.last().map_or(after, |(number, _)| *number);
        let events: Vec<Bytes> = part
            .events
            .into_iter()
            .map(|(number, message)| sse::event(Some(&format!("{}.{number}", reading.stream)), &message))
            .collect();
        Some((stream::iter(events), part.more.then_some((reading, None, last))))
    });
    Some((events.flatten().boxed(), closed))
}

struct Reading {
    shared: Arc<dyn SharedSessions>,
    session: String,
    stream: String,
}
