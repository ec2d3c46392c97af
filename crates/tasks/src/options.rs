//! What the operator decides, and what is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Limits and times of all tasks of a process. Those of one task are in its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// After so long of silence the tasks of a worker are taken over.
    pub lease: Duration,
    /// Attempts that run at a time here; others wait.
    pub running_max: usize,
    /// Tasks of one tenant that are not gone.
    pub tasks_per_tenant_max: u64,
    /// Their bytes.
    pub bytes_per_tenant_max: u64,
    /// The largest result.
    pub result_bytes_max: usize,
    /// How long a task that has expired is told of as expired.
    pub tombstone: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            running_max: 1_024,
            tasks_per_tenant_max: 10_000,
            bytes_per_tenant_max: 256 * 1024 * 1024,
            result_bytes_max: 16 * 1024 * 1024,
            tombstone: Duration::from_secs(24 * 3_600),
        }
    }
}

/// Counted since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) created: AtomicU64,
    pub(crate) repeated: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) attempts: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) taken_over: AtomicU64,
    pub(crate) leases_lost: AtomicU64,
    pub(crate) fenced: AtomicU64,
    /// Milliseconds, of all tasks that ended here together.
    pub(crate) ages: AtomicU64,
    /// Milliseconds.
    pub(crate) behind: AtomicU64,
}

/// What is counted, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Tasks that this process has made.
    pub created: u64,
    /// Creations that turned out to be repeated ones.
    pub repeated: u64,
    /// Creations that were refused: a share is used up, or the store cannot be written to.
    pub refused: u64,
    /// Attempts that were begun here.
    pub attempts: u64,
    /// Attempts that failed and are made again.
    pub retries: u64,
    /// Tasks that ended with a result.
    pub completed: u64,
    /// Tasks that ended with an error.
    pub failed: u64,
    /// Tasks that were cancelled here.
    pub cancelled: u64,
    /// Tasks whose time was over before they ended.
    pub expired: u64,
    /// Tasks that were taken over from workers that were lost.
    pub taken_over: u64,
    /// How often this worker lost its lease.
    pub leases_lost: u64,
    /// Writes that came too late.
    pub fenced: u64,
    /// Attempts under way.
    pub running: u64,
    /// How old the tasks were that ended with a result or an error, all together, in milliseconds.
    pub ages_ms: u64,
    /// How long the task waits that has been due the longest and that nobody has claimed.
    pub behind: Duration,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self, running: u64) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            created: of(&self.created),
            repeated: of(&self.repeated),
            refused: of(&self.refused),
            attempts: of(&self.attempts),
            retries: of(&self.retries),
            completed: of(&self.completed),
            failed: of(&self.failed),
            cancelled: of(&self.cancelled),
            expired: of(&self.expired),
            taken_over: of(&self.taken_over),
            leases_lost: of(&self.leases_lost),
            fenced: of(&self.fenced),
            running,
            ages_ms: of(&self.ages),
            behind: Duration::from_millis(of(&self.behind)),
        }
    }
}
