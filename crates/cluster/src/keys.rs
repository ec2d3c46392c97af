//! The key ring, kept in the store.

use std::time::Duration;

use futures_util::FutureExt as _;
use model::{Clock, ReplicaId, Rng, Timestamp};
use seal::{KEY_BYTES, Key};
use store::{KeyRow, Store, StoreError};

use crate::retry;

/// The lease of whoever changes the ring.
const LEASE: &str = "keys";
/// How long a change may take. Longer than clocks may be apart.
const LEASE_TIME: Duration = Duration::from_secs(60);
/// How long to wait for another who changes the ring.
const PATIENCE: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Why the ring in the store is not had or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The store.
    #[error("use the key ring in the store")]
    Store(#[from] StoreError),
    /// Another one changes the ring for too long.
    #[error("change the key ring in the store: another one has been changing it for long")]
    Held,
    /// Refused by who wanted to change it.
    #[error("{0}")]
    Refused(Box<dyn std::error::Error + Send + Sync>),
}

/// The keys in the store, in the order of their ids.
///
/// # Errors
/// Where the store cannot be reached.
pub async fn find(store: &dyn Store) -> Result<Vec<Key>, StoreError> {
    let rows = store.keys().await?;
    Ok(rows
        .into_iter()
        .map(|row| Key::new(row.secret, row.created, row.active_from, row.retired_at))
        .collect())
}

/// The keys in the store; a first one is made where there is none, by one of all who ask at the same time.
///
/// # Errors
/// [`KeysError`]
pub async fn first(store: &dyn Store, clock: &dyn Clock, rng: &dyn Rng) -> Result<Vec<Key>, KeysError> {
    let found = find(store).await?;
    if !found.is_empty() {
        return Ok(found);
    }
    change(store, clock, rng, |keys| {
        Ok(if keys.is_empty() { seal::first(rng, clock.now()) } else { keys.to_vec() })
    })
    .await
}

/// Changes the ring, with nobody between. Gives the new one.
///
/// # Errors
/// [`KeysError`]
pub async fn change(
    store: &dyn Store,
    clock: &dyn Clock,
    rng: &dyn Rng,
    change: impl FnOnce(&[Key]) -> Result<Vec<Key>, Box<dyn std::error::Error + Send + Sync>>,
) -> Result<Vec<Key>, KeysError> {
    let owner = ReplicaId::random(rng).to_string();
    let fence = take(store, clock, &owner).await?;
    let changed = async {
        let before = find(store).await?;
        let after = change(&before).map_err(KeysError::Refused)?;
        write(store, clock.now(), &before, &after, (&owner, fence)).await?;
        Ok(after)
    };
    let changed = changed.await;
    let released = retry::change(store, |tx| {
        let owner = owner.clone();
        async move { tx.lease_release(LEASE, &owner, fence).await }.boxed()
    });
    if let Err(error) = released.await {
        tracing::warn!(%error, "the lease on the key ring runs out by itself");
    }
    changed
}

async fn take(store: &dyn Store, clock: &dyn Clock, owner: &str) -> Result<store::Fence, KeysError> {
    for _ in 0..PATIENCE {
        let now = clock.now();
        let taken = retry::change(store, |tx| {
            let owner = owner.to_owned();
            async move { tx.lease_take(LEASE, &owner, now, now.plus(LEASE_TIME)).await }.boxed()
        });
        if let Some(fence) = taken.await? {
            return Ok(fence);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(KeysError::Held)
}

/// Writes the difference, if the lease is still held.
async fn write(
    store: &dyn Store,
    now: Timestamp,
    before: &[Key],
    after: &[Key],
    (owner, fence): (&str, store::Fence),
) -> Result<(), KeysError> {
    let mut tx = store.begin().await?;
    // In the same transaction: one that was held up until another took the lease writes nothing.
    if !tx.lease_renew(LEASE, owner, fence, now.plus(LEASE_TIME)).await? {
        return Err(KeysError::Held);
    }
    for key in after {
        let row = row(key);
        match before.iter().find(|old| old.term().id == key.term().id) {
            None => drop(tx.key_add(&row).await?),
            Some(old) if old.term().retired_at != key.term().retired_at => {
                tx.key_retire(&row.id, row.retired_at).await?;
            }
            Some(_) => {}
        }
    }
    for old in before {
        if !after.iter().any(|key| key.term().id == old.term().id) {
            // Forgotten: retired at the beginning of time, and swept.
            tx.key_retire(&old.term().id.to_string(), Some(Timestamp(0))).await?;
        }
    }
    tx.key_sweep(Timestamp(1)).await?;
    tx.commit().await?;
    Ok(())
}

fn row(key: &Key) -> KeyRow {
    let term = key.term();
    let secret: [u8; KEY_BYTES] = *key.secret();
    KeyRow {
        id: term.id.to_string(),
        created: term.created,
        active_from: term.active_from,
        retired_at: term.retired_at,
        secret,
    }
}
