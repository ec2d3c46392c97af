//! Trying again what the store could not do at once.

use std::time::Duration;

use futures_util::future::BoxFuture;
use model::Retry;
use store::{Store, StoreError, Tx};

/// How often something is tried.
const TRIES: u32 = 5;
/// The pause after the first try; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// Does something in a transaction, and tries again where that is safe. What is done must be right also where
/// it was done before: a commit whose answer was lost is tried again.
pub(crate) async fn change<T>(
    store: &dyn Store,
    change: impl for<'a> Fn(&'a mut dyn Tx) -> BoxFuture<'a, Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match once(store, &change).await {
            Err(error) if error.retry() != Retry::Useless => {
                tracing::debug!(%error, "the store is tried again");
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            done => return done,
        }
    }
    once(store, &change).await
}

async fn once<T>(
    store: &dyn Store,
    change: impl for<'a> Fn(&'a mut dyn Tx) -> BoxFuture<'a, Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let mut tx = store.begin().await?;
    let done = change(&mut *tx).await?;
    tx.commit().await?;
    Ok(done)
}
