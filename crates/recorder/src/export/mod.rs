//! Entries on their way to others, as they come: each export has a task, of which one among all replicas
//! works at a time, and a cursor for each log in the store.
//!
//! A cursor moves once the other side has taken the entries before it. Where it cannot be moved then, they
//! are sent once more: nothing is left out, and what comes twice is told apart by its log and its index.

mod file;
mod http;
mod otlp;
mod s3;
mod syslog;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::Uri;
use async_trait::async_trait;
use audit::ExportFigures;
use egress::EgressError;
use model::Timestamp;
use store::{AuditEntryRow, Fence, StoreError};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;

use crate::office::AuditOffice;
use crate::{Format, Shared};

pub use http::Headers;
pub use s3::Bucket;

/// How often is looked whether there is something new.
const LOOK: Duration = Duration::from_millis(500);
/// The first pause after a failure.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a lease holds beyond what a delivery may take.
const LEASE_MORE: Duration = Duration::from_secs(20);
/// Logs that are read at once, and logs of which is remembered how far they were delivered.
const LOGS: usize = 256;
const NEXT_MAX: usize = 10_000;
/// Entries that are read at once, whatever was planned.
const BATCH_MAX: usize = 1_000;
/// How long an export may take to end.
const END: Duration = Duration::from_secs(2);
/// What is sent at once, in bytes: more than one entry, where that is less.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is sent, and how.
#[derive(Clone)]
pub struct Sending {
    /// What the export is called. Its cursors are found by that.
    pub name: Arc<str>,
    /// In which words.
    pub format: Format,
    /// Of which tenants.
    pub tenants: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// How many entries are sent at once.
    pub batch: usize,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// The longest pause after a failure.
    pub pause_max: Duration,
}

/// Entries that go to somebody as they come.
#[derive(Clone)]
pub struct Export {
    sending: Sending,
    taker: Arc<dyn Taker>,
}

impl Export {
    /// To the end of a file, which is made where there is none.
    #[must_use]
    pub fn to_file(sending: Sending, path: PathBuf) -> Self {
        Self { sending, taker: Arc::new(file::File(path)) }
    }

    /// Each batch by a POST to a URL, with these headers. `ca`: certificate authorities to trust besides the
    /// system's, as PEM.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn by_http(
        sending: Sending,
        url: Uri,
        headers: Headers,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, EgressError> {
        let taker = http::Post::new(url, headers, ca, &sending)?;
        Ok(Self { sending, taker: Arc::new(taker) })
    }

    /// Each batch by a connection to a syslog server at this host and port, with TLS or without.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn to_syslog(
        sending: Sending,
        authority: &str,
        tls: bool,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, EgressError> {
        let taker = syslog::Syslog::new(authority, tls, ca, sending.timeout)?;
        Ok(Self { sending, taker: Arc::new(taker) })
    }

    /// Each batch as log records to an OpenTelemetry collector: its base URL, what this gateway is called
    /// there, and headers.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn to_otlp(
        sending: Sending,
        url: &Uri,
        service: String,
        headers: Headers,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, EgressError> {
        let taker = otlp::Otlp::new(url, service, headers, ca, &sending)?;
        Ok(Self { sending, taker: Arc::new(taker) })
    }

    /// Each batch as an object of a bucket.
    ///
    /// # Errors
    /// Where the certificates cannot be used.
    pub fn to_s3(sending: Sending, bucket: Bucket, ca: Option<Vec<u8>>) -> Result<Self, EgressError> {
        let taker = s3::S3::new(bucket, ca, &sending)?;
        Ok(Self { sending, taker: Arc::new(taker) })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        &self.sending.name
    }

    /// Whether it sends a log.
    pub(crate) fn takes(&self, log: &str) -> bool {
        (self.sending.tenants)(log)
    }
}

impl std::fmt::Debug for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sending { name, format, .. } = &self.sending;
        f.debug_struct("Export").field("name", name).field("format", format).finish_non_exhaustive()
    }
}

/// Why somebody did not take entries. It names no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("write to the file")]
    File(#[source] std::io::Error),
    #[error("reach the other side")]
    Egress(#[from] EgressError),
    #[error("have them taken: the answer is {0}")]
    Status(u16),
    #[error("have them taken: the answer is {0} {1}")]
    Object(u16, String),
    #[error("make a request of its address and its names")]
    Address,
    #[error("send them as a whole")]
    Broke(#[source] std::io::Error),
    #[error("have them taken within {0:?}")]
    Slow(Duration),
    #[error("use the store")]
    Store(#[from] StoreError),
}

/// Entries of one log that are sent together.
pub(crate) struct Batch<'a> {
    rows: &'a [AuditEntryRow],
    lines: &'a [String],
    now: Timestamp,
}

impl Batch<'_> {
    /// The lines, each with its end.
    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }
}

/// Whoever takes entries.
#[async_trait]
pub(crate) trait Taker: Send + Sync {
    /// Returns once they are taken. Says how many of them were rejected for good.
    async fn take(&self, batch: &Batch<'_>) -> Result<u64, Refused>;

    /// Whether a batch that comes again has to be the same one: what it holds is part of its name.
    fn names_batches(&self) -> bool {
        false
    }
}

/// What an export counts.
#[derive(Debug)]
pub(crate) struct Tally {
    name: Arc<str>,
    delivered: AtomicU64,
    failed: AtomicU64,
    missed: AtomicU64,
    behind: AtomicU64,
    /// Whether this process is the one that delivers.
    mine: AtomicBool,
}

impl Tally {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let zero = AtomicU64::default;
        Self {
            name,
            delivered: zero(),
            failed: zero(),
            missed: zero(),
            behind: zero(),
            mine: AtomicBool::new(false),
        }
    }

    pub(crate) fn figures(&self) -> ExportFigures {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        ExportFigures {
            name: Arc::clone(&self.name),
            delivered: read(&self.delivered),
            failed: read(&self.failed),
            missed: read(&self.missed),
            behind: self.mine.load(Ordering::Relaxed).then(|| read(&self.behind)),
        }
    }
}

struct State {
    shared: Arc<Shared>,
    sending: Sending,
    taker: Arc<dyn Taker>,
    tally: Arc<Tally>,
    lease: String,
    /// By which taking of the lease it delivers.
    fence: Option<Fence>,
    /// Up to where logs were delivered, as far as is remembered.
    next: BTreeMap<String, u64>,
}

/// A log that has entries to deliver.
struct Due {
    log: String,
    first: u64,
    size: u64,
}

/// An export that goes on.
pub(crate) struct Exporter {
    task: Mutex<Option<JoinHandle<()>>>,
    abort: AbortHandle,
    stop: watch::Sender<bool>,
    /// What it counts.
    pub(crate) tally: Arc<Tally>,
}

impl Exporter {
    /// Ends it after the delivery that it is at, so that nothing is delivered again by whoever is next. What
    /// he needs is given back.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended, though not for long.
    pub(crate) async fn ended(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(END, task).await.is_err()
        {
            self.abort();
        }
    }

    pub(crate) fn abort(&self) {
        self.abort.abort();
    }
}

/// Starts to deliver.
pub(crate) fn start(shared: &Arc<Shared>, export: &Export) -> Exporter {
    let Export { sending, taker } = export.clone();
    let tally = Arc::new(Tally::new(Arc::clone(&sending.name)));
    let lease = format!("audit/export/{}", audit::hex(&seal::sha256(sending.name.as_bytes())));
    let (shared, counted) = (Arc::clone(shared), Arc::clone(&tally));
    let state = State { shared, sending, taker, tally: counted, lease, fence: None, next: BTreeMap::new() };
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(run(state, stopped));
    Exporter { abort: task.abort_handle(), task: Mutex::new(Some(task)), stop, tally }
}

/// Delivers until it is told to stop.
async fn run(mut state: State, mut stopped: watch::Receiver<bool>) {
    let name = Arc::clone(&state.sending.name);
    let (mut pause, mut failing) = (PAUSE, false);
    loop {
        let wait = match state.once(&stopped).await {
            Ok(moved) => {
                if failing && moved > 0 {
                    failing = false;
                    tracing::info!(export = &*name, "an export of the audit log goes on");
                }
                pause = PAUSE;
                if moved > 0 { Duration::ZERO } else { LOOK }
            }
            Err(error) => {
                state.tally.failed.fetch_add(1, Ordering::Relaxed);
                if !failing {
                    failing = true;
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(export = &*name, %error, source, "an export of the audit log waits");
                }
                let now = pause;
                pause = (pause * 2).min(state.sending.pause_max.max(PAUSE));
                now
            }
        };
        tokio::select! {
            biased;
            // Whoever could tell it is gone, or has.
            _ = stopped.wait_for(|stopped| *stopped) => break,
            () = sleep(wait) => {}
        }
    }
    if let Err(error) = state.release().await {
        tracing::debug!(export = &*name, %error, "an export keeps its lease until it runs out");
    }
}

impl State {
    /// Goes through all logs once. Says how many entries were delivered.
    async fn once(&mut self, stopped: &watch::Receiver<bool>) -> Result<u64, Refused> {
        if !self.hold().await? {
            return Ok(0);
        }
        let mut moved = 0;
        for due in self.look().await? {
            if *stopped.borrow() {
                break;
            }
            let delivered = self.deliver(&due).await?;
            moved += delivered;
            // The lease holds for one delivery.
            if delivered > 0 && !self.hold().await? {
                break;
            }
        }
        Ok(moved)
    }

    /// Which logs have entries to deliver.
    async fn look(&mut self) -> Result<Vec<Due>, Refused> {
        let (mut due, mut behind) = (Vec::new(), 0);
        let mut after: Option<String> = None;
        loop {
            let logs = self.shared.store.audit_logs(after.as_deref(), LOGS).await?;
            let Some(last) = logs.last() else { break };
            after = Some(last.log.clone());
            for row in logs {
                if !(self.sending.tenants)(&row.log) {
                    continue;
                }
                let next = match self.next.get(&row.log) {
                    Some(next) => *next,
                    None => {
                        let office = AuditOffice(&*self.shared.store);
                        let next = office.cursor(&self.sending.name, &row.log).await?.next;
                        self.remember(&row.log, next);
                        next
                    }
                };
                let left = row.size.saturating_sub(next.max(row.first));
                behind += left;
                if left > 0 && due.len() < NEXT_MAX {
                    due.push(Due { log: row.log, first: row.first, size: row.size });
                }
            }
        }
        self.tally.behind.store(behind, Ordering::Relaxed);
        Ok(due)
    }

    /// Whether this process is the one that delivers, for as long as one delivery may take.
    async fn hold(&mut self) -> Result<bool, StoreError> {
        let now = self.shared.clock.now();
        let until = now.plus(self.sending.timeout + LEASE_MORE);
        let mut tx = self.shared.store.begin().await?;
        self.fence = tx.lease_take(&self.lease, &self.shared.writer, now, until).await?;
        tx.commit().await?;
        let mine = self.fence.is_some();
        self.tally.mine.store(mine, Ordering::Relaxed);
        if !mine {
            self.next.clear();
        }
        Ok(mine)
    }

    /// Gives the lease back, so that whoever is next need not wait for its end.
    async fn release(&mut self) -> Result<(), StoreError> {
        let Some(fence) = self.fence.take() else { return Ok(()) };
        let mut tx = self.shared.store.begin().await?;
        tx.lease_release(&self.lease, &self.shared.writer, fence).await?;
        tx.commit().await
    }

    /// Delivers the next entries of a log. Says how many.
    async fn deliver(&mut self, Due { log, first, size }: &Due) -> Result<u64, Refused> {
        let shared = Arc::clone(&self.shared);
        let office = AuditOffice(&*shared.store);
        let mut from = office.cursor(&self.sending.name, log).await?;
        let begin = from.next.max(*first);
        let most = from.until.map_or(self.sending.batch.max(1), |until| {
            usize::try_from(until.saturating_sub(begin)).unwrap_or(0).clamp(1, BATCH_MAX)
        });
        let mut rows = shared.store.audit_entries(log, begin, most).await?;
        let Some(place) = rows.first().map(|row| row.index) else {
            self.remember(log, *size);
            return Ok(0);
        };
        let lines = self.lines(&rows);
        rows.truncate(lines.len());
        let next = place + rows.len() as u64;
        if self.taker.names_batches() && from.until != Some(next) {
            if !office.cursor_plan(&self.sending.name, log, from, next).await? {
                self.next.clear();
                return Ok(0);
            }
            from = office.cursor(&self.sending.name, log).await?;
        }
        let timeout = self.sending.timeout;
        let batch = Batch { rows: &rows, lines: &lines, now: shared.clock.now() };
        let taken = tokio::time::timeout(timeout, self.taker.take(&batch)).await;
        let rejected = taken.unwrap_or(Err(Refused::Slow(timeout)))?;
        if rejected > 0 {
            self.reject(log, rejected);
        }
        // A new export begins with what is there.
        if from.next > 0 && place > from.next {
            self.miss(log, place - from.next);
        }
        let delivered = rows.len() as u64;
        if office.cursor_move(&self.sending.name, log, from, next).await? {
            self.remember(log, next);
        } else {
            // Another one has moved it: what it says goes.
            self.next.clear();
        }
        self.tally.delivered.fetch_add(delivered, Ordering::Relaxed);
        let fewer = |behind: u64| Some(behind.saturating_sub(delivered));
        let _ = self.tally.behind.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        Ok(delivered)
    }

    /// The entries as they are sent: as many as may be sent at once.
    fn lines(&self, rows: &[AuditEntryRow]) -> Vec<String> {
        let (mut lines, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        for row in rows {
            let line = self.sending.format.line(row);
            bytes += line.len();
            if bytes > BATCH_BYTES_MAX && !lines.is_empty() {
                break;
            }
            lines.push(line);
        }
        lines
    }

    fn remember(&mut self, log: &str, next: u64) {
        if self.next.len() >= NEXT_MAX {
            self.next.clear();
        }
        self.next.insert(log.to_owned(), next);
    }

    /// Entries were rejected for good by the other side.
    fn reject(&self, log: &str, number: u64) {
        self.tally.missed.fetch_add(number, Ordering::Relaxed);
        let export = &*self.sending.name;
        tracing::warn!(export, log, number, "entries were rejected by whom they were exported to");
    }

    /// Entries were pruned before they were delivered.
    fn miss(&self, log: &str, number: u64) {
        self.tally.missed.fetch_add(number, Ordering::Relaxed);
        let export = &*self.sending.name;
        tracing::warn!(export, log, number, "entries were pruned before they were exported");
    }
}
