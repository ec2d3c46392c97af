//! Writes the audit log: an extension behind `audit::Recorder`.
//!
//! One task of each process takes events from a bounded queue and writes them in batches, each with one
//! commit: to the log of each event's tenant. What it writes is signed a moment later, or with it, where
//! nothing may be answered before. Replicas write to the same logs; the store lets one add at a time.

mod export;
mod format;
mod office;
mod prove;
mod rows;
mod tail;
mod upkeep;
mod write;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use audit::{Event, Figures, Receipt, Recorded, Unwritten};
use model::{Clock, Rng};
use seal::KeyRing;
use store::Store;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use export::{Bucket, Export, Headers, Sending};
pub use format::Format;
pub use office::{AuditOffice, Cursor};
pub use prove::{ProofError, Put, files, prove};

/// For what the ring's keys sign logs.
pub const LABEL: &str = "audit log";
/// Tenants of which lost events are counted by themselves.
const LOST_TENANTS_MAX: usize = 1_000;
/// Captured contents that wait to be written, in bytes: the queue counts events alone.
const CAPTURED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How long an event waits for a place in the queue, where nothing is answered before its record is durable.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the log is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether nothing may be answered before its record is durable.
    pub strict: bool,
    /// What the origin of each log begins with.
    pub origin: String,
    /// How many events may wait.
    pub queue: usize,
    /// After how long a record is signed, at the latest.
    pub checkpoint: Duration,
    /// How long entries are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// How long what was captured is kept.
    pub capture_retention: Duration,
    /// Where entries go as they come.
    pub exports: Vec<Export>,
    /// How much longer entries are kept, at most, that an export has not delivered.
    pub export_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strict: false,
            origin: "tidegate".to_owned(),
            queue: 8_192,
            checkpoint: Duration::from_secs(1),
            retention: None,
            capture_retention: Duration::from_secs(30 * 24 * 3_600),
            exports: Vec::new(),
            export_wait: Duration::from_secs(7 * 24 * 3_600),
        }
    }
}

/// What has become of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that are durable.
    pub written: u64,
    /// Events that there was no room for.
    pub lost: u64,
    /// Events that wait.
    pub waiting: u64,
    /// Commits.
    pub commits: u64,
    /// Tries to write that failed.
    pub failed: u64,
    /// Checkpoints that were signed.
    pub signed: u64,
}

#[derive(Default)]
struct Numbers {
    written: AtomicU64,
    lost: AtomicU64,
    commits: AtomicU64,
    failed: AtomicU64,
    signed: AtomicU64,
}

/// An event on its way.
struct Item {
    event: Event,
    reply: Option<oneshot::Sender<Result<Recorded, Unwritten>>>,
    /// What it has captured has a place until this is gone.
    _room: Option<Room>,
}

/// A place for captured contents.
struct Room {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.captured.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the task and the port share.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    keys: Arc<KeyRing>,
    options: Options,
    /// The name of this process as a writer.
    writer: String,
    numbers: Numbers,
    /// Bytes of captured contents that wait.
    captured: AtomicU64,
    /// Lost events that no record tells of yet, by tenant.
    lost: Mutex<BTreeMap<Arc<str>, u64>>,
}

impl Shared {
    fn lose(&self, tenant: &Arc<str>, number: u64) {
        self.numbers.lost.fetch_add(number, Ordering::Relaxed);
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let tenant = if lost.len() < LOST_TENANTS_MAX || lost.contains_key(tenant) {
            Arc::clone(tenant)
        } else {
            Arc::from("")
        };
        *lost.entry(tenant).or_default() += number;
    }

    /// Makes room for what an event has captured. Where there is none, it is recorded by its digest alone.
    fn room(self: &Arc<Self>, event: &mut Event) -> Option<Room> {
        rows::bound(event);
        let contents = [&mut event.arguments, &mut event.result];
        let captured = || contents.iter().filter_map(|said| said.as_ref()?.captured.as_ref());
        let bytes: u64 = captured().map(|bytes| bytes.len() as u64).sum();
        if bytes == 0 {
            return None;
        }
        let room = Room { shared: Arc::clone(self), bytes };
        if self.captured.fetch_add(bytes, Ordering::Relaxed) + bytes > CAPTURED_BYTES_MAX {
            contents.into_iter().flatten().for_each(|said| said.captured = None);
            event.details.insert("captured", "no: too much waits".to_owned());
            return None;
        }
        Some(room)
    }

    fn take_lost(&self) -> BTreeMap<Arc<str>, u64> {
        std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes the audit log.
pub struct Recorder {
    shared: Arc<Shared>,
    /// `None` once it was stopped.
    queue: Mutex<Option<mpsc::Sender<Item>>>,
    capacity: usize,
    task: Mutex<Option<JoinHandle<()>>>,
    upkeep: JoinHandle<()>,
    exports: Vec<export::Exporter>,
}

impl Recorder {
    /// Starts to write. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        keys: Arc<KeyRing>,
        options: Options,
    ) -> Arc<Self> {
        let mut name = [0; 8];
        rng.fill(&mut name);
        let capacity = options.queue.max(1);
        let (queue, items) = mpsc::channel(capacity);
        let shared = Arc::new(Shared {
            store,
            clock,
            rng,
            keys,
            options,
            writer: audit::hex(&name),
            numbers: Numbers::default(),
            captured: AtomicU64::new(0),
            lost: Mutex::default(),
        });
        let task = tokio::spawn(write::run(Arc::clone(&shared), items));
        let upkeep = tokio::spawn(upkeep::run(Arc::clone(&shared), queue.downgrade()));
        let exports = shared.options.exports.iter().map(|export| export::start(&shared, export)).collect();
        let (task, queue) = (Mutex::new(Some(task)), Mutex::new(Some(queue)));
        Arc::new(Self { shared, queue, capacity, task, upkeep, exports })
    }

    /// Writes what waits, signs it, and ends. What is told afterwards is refused.
    pub async fn stop(&self) {
        self.exports.iter().for_each(export::Exporter::stop);
        for export in &self.exports {
            export.ended().await;
        }
        self.abort();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // Where it panicked, that was said.
            drop(task.await);
        }
    }

    /// What has become of events.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let numbers = &self.shared.numbers;
        let free = self.sender().map_or(self.capacity, |queue| queue.capacity());
        Counts {
            written: read(&numbers.written),
            lost: read(&numbers.lost),
            waiting: (self.capacity - free) as u64,
            commits: read(&numbers.commits),
            failed: read(&numbers.failed),
            signed: read(&numbers.signed),
        }
    }

    /// Ends what goes on by itself. What was not delivered is, by whoever is next.
    fn abort(&self) {
        self.upkeep.abort();
        self.exports.iter().for_each(export::Exporter::abort);
    }

    fn sender(&self) -> Option<mpsc::Sender<Item>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.abort();
    }
}

#[async_trait]
impl audit::Recorder for Recorder {
    fn is_strict(&self) -> bool {
        self.shared.options.strict
    }

    fn note(&self, mut event: Event) {
        let tenant = Arc::clone(&event.tenant);
        let item = Item { _room: self.shared.room(&mut event), event, reply: None };
        let sent = self.sender().is_some_and(|queue| queue.try_send(item).is_ok());
        if !sent {
            self.shared.lose(&tenant, 1);
        }
    }

    async fn record(&self, mut event: Event) -> Result<Recorded, Unwritten> {
        let refused = |why: &str| Unwritten(why.to_owned());
        let queue = self.sender().ok_or_else(|| refused("it was stopped"))?;
        let (reply, done) = oneshot::channel();
        let item = Item { _room: self.shared.room(&mut event), event, reply: Some(reply) };
        match queue.send_timeout(item, PATIENCE).await {
            Ok(()) => {}
            Err(_) => return Err(refused("too many records wait")),
        }
        drop(queue);
        done.await.unwrap_or_else(|_| Err(refused("it was stopped")))
    }

    fn figures(&self) -> Option<Figures> {
        let Counts { written, lost, waiting, commits, failed, signed } = self.counts();
        let exports = self.exports.iter().map(|export| export.tally.figures()).collect();
        Some(Figures { written, lost, waiting, commits, failed, signed, exports })
    }

    async fn receipt(&self, of: &Recorded) -> Option<Receipt> {
        let tenant = audit::tenant_of(&of.origin)?;
        prove(&*self.shared.store, &tenant, of.index, false).await.ok()
    }
}
