//! What was decided for a task when it was made. A configuration that changes later changes none of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Rng, Timestamp};

/// How long a task and its result live, and when a failed attempt is made again. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRules {
    /// From the creation on: `ttlMs` of the Tasks extension (SEP-2663).
    pub ttl_ms: u64,
    /// How long the result is there after the end, at least.
    pub result_retention_ms: u64,
    /// The longest that anything of the task is there, from its creation on.
    pub retention_max_ms: u64,
    /// How long after that it is told of as expired.
    pub tombstone_ms: u64,
    /// Attempts, the first one counted.
    pub max_attempts: u32,
    /// The pause before the second attempt, doubled with each further one.
    pub backoff_ms: u64,
    /// The longest pause.
    pub backoff_max_ms: u64,
    /// From the creation on: no attempt begins after it.
    pub deadline_ms: Option<u64>,
    /// Whether the call may be made twice without harm: by the operator's word, by a hint that is trusted, or
    /// because the server takes an idempotency key.
    pub repeatable: bool,
}

impl Default for TaskRules {
    fn default() -> Self {
        const HOUR: u64 = 3_600_000;
        Self {
            ttl_ms: HOUR,
            result_retention_ms: HOUR,
            retention_max_ms: 24 * HOUR,
            tombstone_ms: 24 * HOUR,
            max_attempts: 1,
            backoff_ms: 500,
            backoff_max_ms: 30_000,
            deadline_ms: None,
            repeatable: false,
        }
    }
}

impl TaskRules {
    /// When a task that was made then expires while it has no end.
    #[must_use]
    pub fn expires_open(&self, created: Timestamp) -> Timestamp {
        created.plus(Duration::from_millis(self.ttl_ms.min(self.retention_max_ms)))
    }

    /// When one expires that has ended.
    #[must_use]
    pub fn expires_ended(&self, created: Timestamp, ended: Timestamp) -> Timestamp {
        let kept = ended.plus(Duration::from_millis(self.result_retention_ms));
        let longest = created.plus(Duration::from_millis(self.retention_max_ms));
        self.expires_open(created).max(kept).min(longest)
    }

    /// Whether a further attempt may begin at this time, after so many.
    #[must_use]
    pub fn allows_another(&self, created: Timestamp, attempts: u32, at: Timestamp) -> bool {
        let deadline = self.deadline_ms.map_or(self.ttl_ms, |deadline| deadline.min(self.ttl_ms));
        attempts < self.max_attempts && at < created.plus(Duration::from_millis(deadline))
    }

    /// How long to wait after so many attempts: at least half of the pause that the rules give, the rest by
    /// chance, so that tasks that failed together do not come back together. What the server asked for is
    /// waited for at least.
    #[must_use]
    pub fn pause(&self, attempts: u32, asked: Option<Duration>, rng: &dyn Rng) -> Duration {
        let doubled = self.backoff_ms.saturating_mul(1_u64 << attempts.saturating_sub(1).min(32));
        let whole = doubled.min(self.backoff_max_ms.max(self.backoff_ms));
        let mut bytes = [0; 8];
        rng.fill(&mut bytes);
        let half = whole / 2;
        let jitter = if half == 0 { 0 } else { u64::from_le_bytes(bytes) % (half + 1) };
        Duration::from_millis(whole - half + jitter).max(asked.unwrap_or_default())
    }
}
