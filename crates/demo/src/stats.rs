//! What reached the server: for tests, which wait for it instead of sleeping.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::HeaderMap;
use serde_json::Value;
use tokio::sync::watch;

use crate::rpc::{Kind, Message};

/// How many messages of each kind are kept, newest last.
const KEPT_MAX: usize = 256;
/// How large a kept message is at most, roughly, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// How many different methods are counted; those past it count as `(other)`.
const METHODS_MAX: usize = 200;
/// How long a counted method is at most; a longer one counts as `(other)`.
const METHOD_BYTES_MAX: usize = 128;

/// One message that reached the server.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method; empty for a response.
    pub method: String,
    /// All of it; `null` if it is larger than some 64 KiB.
    pub message: Arc<Value>,
    /// The headers that it came with; none on stdio.
    pub headers: Arc<HeaderMap>,
}

/// A handle on what a [`crate::Server`] has seen. Clones show the same.
#[derive(Clone)]
pub struct Stats {
    inner: Arc<Inner>,
}

struct Inner {
    log: Mutex<Log>,
    gauges: [AtomicU64; 6],
    /// Moves whenever something here does.
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    requests: BTreeMap<String, u64>,
    last: BTreeMap<String, Seen>,
    notifications: VecDeque<Seen>,
    responses: VecDeque<Seen>,
    cancelled: VecDeque<String>,
    headers: Arc<HeaderMap>,
}

/// A number in [`Stats`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gauge {
    ConnectionsAccepted,
    ConnectionsOpen,
    HttpRequests,
    StreamsOpen,
    CallsRunning,
    Sessions,
}

impl Stats {
    pub(crate) fn new() -> Self {
        let inner =
            Inner { log: Mutex::default(), gauges: Default::default(), version: watch::Sender::new(0) };
        Self { inner: Arc::new(inner) }
    }

    /// How many requests of this method arrived.
    #[must_use]
    pub fn requests(&self, method: &str) -> u64 {
        self.log().requests.get(method).copied().unwrap_or(0)
    }

    /// How many requests of each method arrived.
    #[must_use]
    pub fn methods(&self) -> BTreeMap<String, u64> {
        self.log().requests.clone()
    }

    /// How many requests arrived.
    #[must_use]
    pub fn requests_total(&self) -> u64 {
        self.log().requests.values().sum()
    }

    /// The last request or notification of this method.
    #[must_use]
    pub fn last(&self, method: &str) -> Option<Seen> {
        self.log().last.get(method).cloned()
    }

    /// The headers of the last HTTP request, whatever it was.
    #[must_use]
    pub fn last_headers(&self) -> HeaderMap {
        HeaderMap::clone(&self.log().headers)
    }

    /// The notifications that arrived, oldest first; the last 256.
    #[must_use]
    pub fn notifications(&self) -> Vec<Seen> {
        self.log().notifications.iter().cloned().collect()
    }

    /// How many notifications of this method arrived, among the last 256 of any.
    #[must_use]
    pub fn notified(&self, method: &str) -> usize {
        self.log().notifications.iter().filter(|seen| seen.method == method).count()
    }

    /// The responses to the server's own requests, oldest first; the last 256.
    #[must_use]
    pub fn responses(&self) -> Vec<Seen> {
        self.log().responses.iter().cloned().collect()
    }

    /// The calls that ended because the client cancelled or went away: the name of the tool, else the method.
    #[must_use]
    pub fn cancelled(&self) -> Vec<String> {
        self.log().cancelled.iter().cloned().collect()
    }

    /// How many HTTP connections were accepted.
    #[must_use]
    pub fn connections_accepted(&self) -> u64 {
        self.gauge(Gauge::ConnectionsAccepted)
    }

    /// How many HTTP connections are open.
    #[must_use]
    pub fn connections_open(&self) -> u64 {
        self.gauge(Gauge::ConnectionsOpen)
    }

    /// How many HTTP requests arrived.
    #[must_use]
    pub fn http_requests(&self) -> u64 {
        self.gauge(Gauge::HttpRequests)
    }

    /// How many event streams are open, and listens on stdio.
    #[must_use]
    pub fn streams_open(&self) -> u64 {
        self.gauge(Gauge::StreamsOpen)
    }

    /// How many requests are being worked on.
    #[must_use]
    pub fn calls_running(&self) -> u64 {
        self.gauge(Gauge::CallsRunning)
    }

    /// How many legacy sessions there are, on any transport.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.gauge(Gauge::Sessions)
    }

    /// Waits until the condition holds. It is asked again after every change.
    pub async fn wait_until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.inner.version.subscribe();
        // The sender lives in `self`, so waiting for the next change cannot fail.
        while !condition(self) && changes.changed().await.is_ok() {}
    }

    pub(crate) fn gauge(&self, gauge: Gauge) -> u64 {
        self.inner.gauges[gauge as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, gauge: Gauge) {
        self.inner.gauges[gauge as usize].fetch_add(1, Ordering::Relaxed);
        self.moved();
    }

    /// Counts one more until the guard is dropped.
    pub(crate) fn hold(&self, gauge: Gauge) -> Held {
        self.add(gauge);
        Held { stats: self.clone(), gauge }
    }

    pub(crate) fn saw_http(&self, headers: &Arc<HeaderMap>) {
        self.log().headers = Arc::clone(headers);
        self.add(Gauge::HttpRequests);
    }

    pub(crate) fn saw(&self, message: &Message, headers: &Arc<HeaderMap>) {
        let mut log = self.log();
        let name = message.method();
        let known =
            name.len() <= METHOD_BYTES_MAX && (log.last.len() < METHODS_MAX || log.last.contains_key(name));
        let method = if known { name.to_owned() } else { "(other)".to_owned() };
        let small = size_within(message.whole(), MESSAGE_BYTES_MAX).is_some();
        let seen = Seen {
            method: method.clone(),
            message: if small { Arc::clone(message.whole()) } else { Arc::default() },
            headers: Arc::clone(headers),
        };
        match message.kind() {
            Kind::Request => *log.requests.entry(method.clone()).or_default() += 1,
            Kind::Notification => keep(&mut log.notifications, seen.clone()),
            Kind::Response => {
                keep(&mut log.responses, seen);
                drop(log);
                return self.moved();
            }
        }
        log.last.insert(method, seen);
        drop(log);
        self.moved();
    }

    pub(crate) fn saw_cancelled(&self, what: &str) {
        keep(&mut self.log().cancelled, what.chars().take(METHOD_BYTES_MAX).collect());
        self.moved();
    }

    fn moved(&self) {
        self.inner.version.send_modify(|version| *version += 1);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // Nothing panics while it holds the lock; and if it did, the counts would still be counts.
        self.inner.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stats").field("requests", &self.methods()).finish_non_exhaustive()
    }
}

/// See [`Stats::hold`].
#[derive(Debug)]
pub(crate) struct Held {
    stats: Stats,
    gauge: Gauge,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stats.inner.gauges[self.gauge as usize].fetch_sub(1, Ordering::Relaxed);
        self.stats.moved();
    }
}

/// What is left of the budget, in bytes, once the value is paid for.
fn size_within(value: &Value, budget: usize) -> Option<usize> {
    let budget = budget.checked_sub(8)?;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(budget),
        Value::String(text) => budget.checked_sub(text.len()),
        Value::Array(entries) => entries.iter().try_fold(budget, |left, entry| size_within(entry, left)),
        Value::Object(members) => members
            .iter()
            .try_fold(budget, |left, (name, member)| size_within(member, left.checked_sub(name.len())?)),
    }
}

fn keep<T>(list: &mut VecDeque<T>, entry: T) {
    if list.len() == KEPT_MAX {
        list.pop_front();
    }
    list.push_back(entry);
}
