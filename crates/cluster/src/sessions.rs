//! What clients change in their sessions, in the store.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::Timestamp;
use server::{SessionChange, SessionState, SharedError, SharedSessions};
use store::{Changed, Store, StoreError};

use crate::retry;

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
}
