//! What every connector of one upstream shares.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bridge::Script;
use model::{Clock, Principal, Rng};
use protocol::{Id, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::kept::Registry;
use crate::options::Target;
use crate::park::Lot;
use crate::resilience::Keeping;
use crate::{Again, CallError, CallErrorKind, Line, Observer, Options, Watched};

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
    /// Sessions that were not opened because there are as many as allowed.
    pub sessions_refused: AtomicU64,
    /// The last answer's latency, in microseconds.
    pub latency_us: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Hears of a change before anybody else; false once it no longer has to.
pub(crate) type First = Box<dyn Fn(&Change) -> bool + Send + Sync>;

/// What every connector of one upstream shares.
pub(crate) struct Core {
    pub options: Options,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub stats: Arc<Stats>,
    /// What is done where the server fails.
    pub keeping: Arc<Keeping>,
    pub lot: Lot,
    /// Sessions that were opened for somebody.
    pub kept: Registry,
    pub changes: broadcast::Sender<Change>,
    /// Those who hear of changes first: what is kept must have ended when a client is told to look again.
    pub first: Mutex<Vec<First>>,
    /// Set once, where anybody wants to know.
    pub observer: OnceLock<Arc<dyn Observer>>,
    slots: Arc<Semaphore>,
    ids: AtomicU64,
}

impl Core {
    pub fn new(options: Options, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>, parked: Arc<AtomicUsize>) -> Self {
        let url = match &options.target {
            Target::Http { url, .. } => Some(url),
            Target::Stdio(_) | Target::Api { .. } => None,
        };
        Self {
            keeping: Arc::new(Keeping::new(&options.resilience, url)),
            slots: Arc::new(Semaphore::new(options.concurrency_max)),
            lot: Lot::new(options.limits, parked),
            kept: Registry::new(options.limits.kept_max, options.limits.kept_idle),
            options,
            clock,
            rng,
            stats: Arc::default(),
            changes: broadcast::channel(256).0,
            first: Mutex::default(),
            observer: OnceLock::new(),
            ids: AtomicU64::new(1),
        }
    }

    /// The same upstream for somebody of his own: what is counted and limited is so for all of them together,
    /// and what is known is known for each.
    pub fn beside(&self, options: Options) -> Self {
        let (clock, rng) = (Arc::clone(&self.clock), Arc::clone(&self.rng));
        Self {
            stats: Arc::clone(&self.stats),
            keeping: Arc::clone(&self.keeping),
            slots: Arc::clone(&self.slots),
            changes: self.changes.clone(),
            observer: self.observer.clone(),
            ..Self::new(options, clock, rng, self.lot.total())
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
        self.first.lock().unwrap_or_else(PoisonError::into_inner).retain(|hear| hear(&change));
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
    /// In which of the upstream's sessions.
    pub line: Line,
    /// Whether no other process uses these sessions: what belongs to one may stay open between calls.
    pub alone: bool,
    /// What was asked and answered before, where the call is made again.
    pub script: Option<Arc<dyn Script>>,
    /// Until when it may wait for answers to its questions; `None`: as long as any call may.
    pub waits_until: Option<model::Timestamp>,
    /// Whether it may be made again where it fails.
    pub again: Again,
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
            line: Line::default(),
            alone: true,
            script: None,
            waits_until: None,
            again: Again::default(),
        }
    }
}

/// When a call must have ended.
pub(crate) fn deadline(total: Duration) -> tokio::time::Instant {
    tokio::time::Instant::now() + total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn who_keeps_something_hears_of_a_change_before_it_is_told() {
        let upstream = testing::upstream(http::Uri::from_static("http://127.0.0.1:1/mcp"));
        let told = upstream.changes();
        let mut changes = upstream.changes();
        let heard = Arc::new(AtomicUsize::new(0));
        let hears = Arc::clone(&heard);
        upstream.on_change(move |change| {
            assert_eq!(*change, Change::Tools);
            assert!(told.is_empty(), "nobody was told yet");
            hears.fetch_add(1, Ordering::Relaxed);
            false
        });
        upstream.core().changed(Change::Tools);
        upstream.core().changed(Change::Tools);
        assert_eq!(changes.recv().await, Ok(Change::Tools));
        assert_eq!(heard.load(Ordering::Relaxed), 1, "it no longer had to hear");
    }
}
