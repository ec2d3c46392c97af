//! The audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// The record of who did what, which shows whether it was tampered with.
///
/// Each tenant has a log of its own in the store. Its entries are chained and signed with a key of the ring;
/// `tidegate audit` looks through it, proves what is in it and verifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Whether a log is written, and what becomes of a call that cannot be recorded.
    ///
    /// By default `relaxed` where the store outlives the process, and `off` where it does not. Only a start
    /// can change it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<AuditMode>,

    /// What the logs' names (their origins) begin with: a name of your own, as `gateway.example.com`.
    ///
    /// A log is `ORIGIN/TENANT`. Public keys and receipts have its name in them, so choose it once. Only a
    /// start can change it. Since 0.1.
    pub origin: String,

    /// How many records may wait to be written. In `relaxed` those beyond are lost: they are counted, and the
    /// count is recorded. In `strict` their calls wait up to five seconds and are then refused.
    ///
    /// Only a start can change it. Since 0.1.
    #[schemars(range(min = 1))]
    pub queue_max: usize,

    /// After how long a record is signed, at the latest: `100ms` to `1m`. It is sooner where 256 wait.
    ///
    /// What is younger can be cut off the end of a log without a trace, unless `strict` signs it before it
    /// is answered. Only a start can change it. Since 0.1.
    pub checkpoint_interval: Span,

    /// How many days entries are kept. Their hashes stay, so that proofs for what remains go on working.
    ///
    /// A log that is held (`tidegate audit hold`) keeps all. By default they are kept for ever. Only a start
    /// can change it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub retention_days: Option<u32>,

    /// How long captured arguments and results are kept beside the log; their digests stay in it.
    ///
    /// Nothing is captured but what a policy says. Only a start can change it. Since 0.1.
    pub capture_retention: Span,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            mode: None,
            origin: "tidegate".to_owned(),
            queue_max: 8_192,
            checkpoint_interval: Span::from_secs(1),
            retention_days: None,
            capture_retention: Span::from_hours(30 * 24),
        }
    }
}

/// Whether a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditMode {
    /// None is.
    Off,
    /// Calls do not wait for it. What cannot be written in time is lost, counted, and the count recorded.
    Relaxed,
    /// Nothing is answered before its record is durable and signed; what cannot be recorded is refused.
    Strict,
}
