//! Waking other processes for changes of tasks.
//!
//! A NOTIFY in a transaction makes its COMMIT wait for all others that have one (PostgreSQL 15, "NOTIFY"),
//! and tasks change often. So it is sent a moment after the commit, once for all changes of that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::Failure;
use crate::listen::channel;
use crate::pool::Pool;
use crate::run::within;

/// Changes that come together are told of once.
const DEBOUNCE: Duration = Duration::from_millis(20);

pub(crate) struct Herald {
    pool: Pool,
    /// Whether the next one is on its way.
    pending: AtomicBool,
}

impl Herald {
    pub fn new(pool: Pool) -> Arc<Self> {
        Arc::new(Self { pool, pending: AtomicBool::new(false) })
    }

    /// Tells all processes in a moment. Nothing is promised: wake-ups are hints.
    pub fn tell(self: &Arc<Self>) {
        if self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let herald = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(DEBOUNCE).await;
            herald.pending.store(false, Ordering::Release);
            if let Err(failure) = herald.send().await {
                tracing::debug!(?failure, "other replicas were not woken");
            }
        });
    }

    async fn send(&self) -> Result<(), Failure> {
        let mut lease = self.pool.acquire().await?;
        let (time, name) = (lease.settings().answer(), channel(lease.schema()));
        let connection = lease.begin_use();
        let sending = async {
            Ok(sqlx::query("SELECT pg_notify($1, '')").bind(name).execute(connection).await.map(drop)?)
        };
        within(time, sending).await?;
        lease.used_well();
        Ok(())
    }
}
