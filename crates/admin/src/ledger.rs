//! What all replicas have to know of sessions, in the store: which have ended, and which ways back were
//! taken.

use std::sync::Arc;
use std::time::Duration;

use model::{Clock, Rng, Timestamp};
use store::{Store, StoreError};

use crate::text::hex;

/// What begins the names of leases of sessions that have ended.
const ENDED: &str = "operator-ended/";
/// What begins the names of leases of ways back that were taken.
const TAKEN: &str = "operator-back/";
/// How often the store is asked again that was busy.
const TRIES: u32 = 5;
/// How long between.
const PAUSE: Duration = Duration::from_millis(20);

/// By the store's leases, which nobody gives back here: what was written once holds until it is of no use.
pub struct Ledger {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
}

impl Ledger {
    /// Whether this is the first time that a way back is taken, at whichever replica.
    pub async fn first(&self, way: &str, until: Timestamp) -> Result<bool, StoreError> {
        self.write(TAKEN, way, until).await
    }

    /// Ends a session at all replicas. `until`: when it would have ended by itself.
    pub async fn end(&self, session: &str, until: Timestamp) -> Result<(), StoreError> {
        // One that has ended before is as it should be.
        self.write(ENDED, session, until.plus(seal::CLOCK_SKEW_MAX)).await.map(drop)
    }

    /// Whether a session was ended.
    pub async fn is_over(&self, session: &str) -> Result<bool, StoreError> {
        Ok(self.store.lease(&format!("{ENDED}{session}")).await?.is_some())
    }

    /// Whether nobody has written this before.
    async fn write(&self, kind: &str, name: &str, until: Timestamp) -> Result<bool, StoreError> {
        let mut somebody = [0; 16];
        self.rng.fill(&mut somebody);
        let (name, somebody) = (format!("{kind}{name}"), hex(&somebody));
        let mut tries = 0;
        loop {
            match self.write_once(kind, &name, &somebody, until).await {
                Err(StoreError::Conflict | StoreError::Busy) if tries < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * tries).await;
                }
                done => return done,
            }
        }
    }

    async fn write_once(
        &self,
        kind: &str,
        name: &str,
        somebody: &str,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        let first = tx.lease_take(name, somebody, now, until).await?.is_some();
        tx.lease_sweep(kind, now).await?;
        tx.commit().await?;
        Ok(first)
    }
}
