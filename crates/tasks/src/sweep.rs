//! Forgetting what has expired, and what each tenant has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Timestamp;
use store::StoreError;
use tokio::time::Instant;

use crate::Options;
use crate::claim::LEASES;
use crate::tasks::{Inner, TaskError};

/// How often is swept.
const SWEEP: Duration = Duration::from_secs(10);
/// How often is counted what each tenant has.
const COUNT: Duration = Duration::from_secs(30);
/// So many times as long as it takes is waited before it is counted again, at least.
const COUNT_SHARE: u32 = 50;
/// After so long nobody remembers a worker that is silent.
const WORKERS: Duration = Duration::from_secs(24 * 3_600);
/// What is swept in one transaction: it must not keep others waiting.
const AT_ONCE: usize = 256;
/// The pause between two of them.
const BREATH: Duration = Duration::from_millis(5);

/// What each tenant has: counted now and then, and added to in between.
#[derive(Default)]
pub(crate) struct Usage(Mutex<HashMap<String, (u64, u64)>>);

impl Usage {
    fn all(&self) -> MutexGuard<'_, HashMap<String, (u64, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a tenant may have one more task, of so many bytes.
    pub fn allows(&self, tenant: &str, bytes: u64, options: &Options) -> Result<(), TaskError> {
        let (tasks, used) = self.all().get(tenant).copied().unwrap_or_default();
        if tasks >= options.tasks_per_tenant_max {
            return Err(TaskError::Share { limit: "tasks_per_tenant_max" });
        }
        if used.saturating_add(bytes) > options.bytes_per_tenant_max {
            return Err(TaskError::Share { limit: "bytes_per_tenant_max" });
        }
        Ok(())
    }

    pub fn add(&self, tenant: &str, bytes: u64) {
        let mut all = self.all();
        let (tasks, used) = all.entry(tenant.to_owned()).or_default();
        *tasks += 1;
        *used = used.saturating_add(bytes);
    }
}

/// Sweeps and counts for ever.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut next_count = Instant::now();
    loop {
        let begun = Instant::now();
        if begun >= next_count {
            match count(&inner).await {
                Ok(()) => next_count = Instant::now() + COUNT.max(begun.elapsed() * COUNT_SHARE),
                Err(error) => tracing::warn!(%error, "the shares of tenants were not counted"),
            }
        }
        if let Err(error) = sweep(&inner).await {
            tracing::warn!(%error, "tasks that have expired were not swept");
        }
        tokio::time::sleep(SWEEP).await;
    }
}

async fn count(inner: &Inner) -> Result<(), StoreError> {
    let usage = inner.store.task_usage().await?;
    let usage = usage.into_iter().map(|of| (of.tenant, (of.tasks, of.bytes))).collect();
    *inner.usage.all() = usage;
    Ok(())
}

async fn sweep(inner: &Inner) -> Result<(), StoreError> {
    let tombstone = u64::try_from(inner.options.load().tombstone.as_millis()).unwrap_or(u64::MAX);
    loop {
        let now = inner.now();
        let mut tx = inner.store.begin().await?;
        let tasks = tx.task_sweep(now, tombstone, AT_ONCE).await?;
        let parts = tx.blob_sweep(now, AT_ONCE / 8).await?;
        tx.lease_sweep(LEASES, Timestamp(now.0.saturating_sub(WORKERS.as_millis() as u64))).await?;
        tx.commit().await?;
        if tasks < AT_ONCE as u64 && parts < AT_ONCE as u64 / 8 {
            return Ok(());
        }
        tokio::time::sleep(BREATH).await;
    }
}
