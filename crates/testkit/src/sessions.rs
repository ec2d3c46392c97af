//! What clients change in their sessions, kept in memory for all replicas of a test.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use model::Timestamp;
use server::{SessionChange, SessionState, SharedError, SharedSessions};

#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, SessionState>>);

impl SharedSessions for Sessions {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SessionState>, SharedError>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        async move { Ok(found) }.boxed()
    }

    fn change<'a>(
        &'a self,
        name: &'a str,
        change: SessionChange,
        _expires: Timestamp,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = all.entry(name.to_owned()).or_default();
        state.version += 1;
        let done = match change {
            SessionChange::Level(level) => {
                state.log_level = Some(level);
                true
            }
            SessionChange::Subscribe(uri, max) => {
                state.uris.contains(&uri) || (state.uris.len() < max && state.uris.insert(uri))
            }
            SessionChange::Unsubscribe(uri) => {
                state.uris.remove(&uri);
                true
            }
            SessionChange::End => {
                state.ended = true;
                true
            }
        };
        async move { Ok(done) }.boxed()
    }
}
