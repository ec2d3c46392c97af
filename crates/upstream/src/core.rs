//! What every connector of one upstream shares.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::{Clock, Principal, Rng};
use protocol::{Id, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::park::Lot;
use crate::{CallError, CallErrorKind, Observer, Options, Watched};

/// Something changed at an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources or templates.
    Resources,
    /// The contents of the resource with this URI, or of one below it.
    Resource(Arc<str>),
    /// The state of the task with this id, as the parameters of `notifications/tasks` (Tasks extension).
    Task(Arc<str>, Raw),
    /// The upstream's changes were not heard for a while: anything may have changed.
    Gap,
}

/// Counters of one upstream; the server turns them into metrics.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests sent, of every kind.
    pub requests: AtomicU64,
    /// Calls that the gateway took on.
    pub calls: AtomicU64,
    /// Calls under way.
    pub in_flight: AtomicU64,
    /// Legacy handshakes made.
    pub handshakes: AtomicU64,
    /// Era detections made.
    pub probes: AtomicU64,
    /// Processes started.
    pub starts: AtomicU64,
    /// Messages that belonged to nothing.
    pub strays: AtomicU64,
    /// The last answer's latency, in microseconds.
    pub latency_us: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every connector of one upstream shares.
pub(crate) struct Core {
    pub options: Options,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub stats: Stats,
    pub lot: Lot,
    pub changes: broadcast::Sender<Change>,
    /// Set once, where anybody wants to know.
    pub observer: OnceLock<Arc<dyn Observer>>,
    slots: Arc<Semaphore>,
    ids: AtomicU64,
}

impl Core {
    pub fn new(options: Options, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, parked: Arc<AtomicUsize>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(options.concurrency_max)),
            lot: Lot::new(options.limits, parked),
            options,
            clock,
            rng,
            stats: Stats::default(),
            changes: broadcast::channel(256).0,
            observer: OnceLock::new(),
            ids: AtomicU64::new(1),
        }
    }

    /// An id that is unique among our requests to this upstream.
    pub fn next_id(&self) -> Id {
        Id::number(self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// An error of this upstream.
    pub fn error(&self, kind: CallErrorKind) -> CallError {
        CallError::new(&self.options.name, kind)
    }

    /// Waits for one of the upstream's slots, at most as long as for a connection.
    pub async fn slot(&self) -> Result<OwnedSemaphorePermit, CallError> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Ok(permit);
        }
        let wait =
            tokio::time::timeout(self.options.timeouts.connect, Arc::clone(&self.slots).acquire_owned());
        match wait.await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(self.error(CallErrorKind::Busy)),
        }
    }

    /// Tells everybody who listens.
    pub fn changed(&self, change: Change) {
        // Nobody listening is fine.
        let _ = self.changes.send(change);
    }

    /// A random name that nobody can guess.
    pub fn random_name(&self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Who calls, and what of the client's request goes along.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// On whose behalf.
    pub principal: Principal,
    /// Client headers that the operator lets through, `Mcp-Param-*` of no known rule among them.
    pub headers: http::HeaderMap,
    /// The tool's `x-mcp-header` rules, where its schema is known.
    pub rules: Option<Arc<[protocol::headers::ParamRule]>>,
    /// Whether the client wants to know when the server hangs up to be polled ([`crate::Item::HungUp`]).
    pub polls: bool,
    /// For whoever watches.
    pub watched: Watched,
}

impl CallContext {
    /// A call of the gateway's own.
    #[must_use]
    pub fn own() -> Self {
        Self {
            principal: Principal::new("gateway", "gateway"),
            headers: http::HeaderMap::new(),
            rules: None,
            polls: false,
            watched: Watched::default(),
        }
    }
}

/// When a call must have ended.
pub(crate) fn deadline(total: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + total
}
