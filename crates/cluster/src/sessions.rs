//! What clients change in their sessions, in the store.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::Timestamp;
use server::{KeptEvents, KeptPart, SessionChange, SessionState, SharedError, SharedSessions};
use store::{Appended, Changed, Store, StoreError, StreamLimits};

use crate::retry;

/// Events of a stream that are read at a time.
const EVENTS_MAX: usize = 64;

/// The sessions of a store.
pub struct StoreSessions(Arc<dyn Store>);

impl StoreSessions {
    /// Those of this one.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

fn unreachable(error: StoreError) -> SharedError {
    SharedError(Arc::new(error))
}

impl SharedSessions for StoreSessions {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SessionState>, SharedError>> {
        async move {
            let row = self.0.session(name).await.map_err(unreachable)?;
            Ok(row.map(|row| SessionState {
                version: row.seq.0,
                log_level: row.level,
                uris: row.uris,
                ended: row.ended,
            }))
        }
        .boxed()
    }

    fn change<'a>(
        &'a self,
        name: &'a str,
        change: SessionChange,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        async move {
            let changed = retry::change(&*self.0, |tx| {
                let (name, change) = (name.to_owned(), change.clone());
                async move {
                    match change {
                        SessionChange::Level(level) => tx.session_level_set(&name, &level, expires).await,
                        SessionChange::Subscribe(uri, max) => {
                            tx.session_subscribe(&name, &uri, max, expires).await
                        }
                        SessionChange::Unsubscribe(uri) => tx.session_unsubscribe(&name, &uri, expires).await,
                        SessionChange::End => tx.session_end(&name, expires).await,
                    }
                }
                .boxed()
            });
            // Of a session that was ended meanwhile nothing is changed: who reads it next learns that.
            Ok(changed.await.map_err(unreachable)? != Changed::Full)
        }
        .boxed()
    }

    fn stream_keep<'a>(
        &'a self,
        stream: &'a str,
        events: KeptEvents<'a>,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        let limits = StreamLimits { events: events.events_max as u64, bytes: events.bytes_max as u64 };
        let messages: Arc<[Bytes]> = events.messages.into();
        async move {
            let end = events.first + messages.len() as u64;
            let appended = retry::change(&*self.0, |tx| {
                let (stream, session) = (stream.to_owned(), events.session.to_owned());
                let messages = Arc::clone(&messages);
                async move {
                    tx.stream_append(&stream, &session, events.first, &messages, limits, expires).await
                }
                .boxed()
            });
            Ok(match appended.await.map_err(unreachable)? {
                Appended::Done => true,
                // It was done before, and the answer was lost.
                Appended::Expected(next) => next == end,
                Appended::Full | Appended::Closed => false,
            })
        }
        .boxed()
    }

    fn stream_close<'a>(
        &'a self,
        stream: &'a str,
        expires: Timestamp,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        async move {
            let closed = retry::change(&*self.0, |tx| {
                let stream = stream.to_owned();
                async move { tx.stream_close(&stream, expires).await }.boxed()
            });
            closed.await.map(drop).map_err(unreachable)
        }
        .boxed()
    }

    fn stream_forget<'a>(&'a self, stream: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        async move {
            let dropped = retry::change(&*self.0, |tx| {
                let stream = stream.to_owned();
                async move { tx.stream_drop(&stream).await }.boxed()
            });
            dropped.await.map(drop).map_err(unreachable)
        }
        .boxed()
    }

    fn stream_read<'a>(
        &'a self,
        stream: &'a str,
        session: &'a str,
        from: u64,
    ) -> BoxFuture<'a, Result<Option<KeptPart>, SharedError>> {
        async move {
            let part = self.0.stream_from(stream, from, EVENTS_MAX).await.map_err(unreachable)?;
            let part = part.filter(|part| part.head.session == session && part.head.first <= from);
            Ok(part.map(|part| {
                let next = part.events.last().map_or(from, |(number, _)| number + 1);
                KeptPart { events: part.events, more: next < part.head.next, closed: part.head.closed }
            }))
        }
        .boxed()
    }
}
