//! What a process knows of definitions.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use model::Clock;
use policy::pins::{Kind, Named, suspicions, warnings};
use store::{First, Memory, PinKey, PinOffice, PinRow, PinState, Sighting, Store, StoreError};
use upstream::Change;

use crate::follow::{self, Words};
use crate::hub::Hub;
use crate::metrics::Metrics;

/// How often is asked whether something changed.
const READ: Duration = Duration::from_secs(5);
/// What is said of that.
const WORDS: Words = Words {
    lost: "what is approved cannot be read: what was known stays in force",
    again: "what is approved is known again",
};
/// Sightings that could not be written yet, at most.
const UNWRITTEN_MAX: usize = 10_000;
/// Pins of one upstream, at most: a server that lists other names each time fills nothing.
const PER_UPSTREAM_MAX: usize = 20_000;
/// Warnings that were logged and are not logged again.
const WARNED_MAX: usize = 10_000;

/// The pins of a process. Until there is a store they last as long as the process.
pub(crate) struct PinBoard {
    office: ArcSwap<PinOffice>,
    clock: Arc<dyn Clock>,
    /// By upstream, kind and name.
    known: RwLock<Known>,
    epoch: AtomicU64,
    serial: AtomicU64,
    /// What could not be written; it is not approved until it is.
    unwritten: Mutex<HashMap<(PinKey, String), (Sighting, First)>>,
    warned: Mutex<HashSet<String>>,
    /// Held while pins are noted or read, so that nothing that is noted meanwhile is forgotten.
    changing: tokio::sync::Mutex<()>,
    pub(super) metrics: Arc<Metrics>,
    /// Tells clients that a list is another one.
    hub: Arc<Hub>,
}

type Known = HashMap<String, HashMap<(String, String), Arc<PinRow>>>;

/// Lists that are others now, by upstream and kind.
type News = HashSet<(String, String)>;

/// Whether a client may see another list where a pin was the one and is the other.
fn decides(old: Option<&PinRow>, new: Option<&PinRow>) -> bool {
    let hashes = |row: &PinRow| row.approved.iter().map(|version| version.hash.clone()).collect::<Vec<_>>();
    match (old, new) {
        (Some(old), Some(new)) => old.state() != new.state() || hashes(old) != hashes(new),
        // It is listed by now or was not before, whatever its state: nobody has decided on it.
        (None, Some(new)) => new.state() == PinState::Denied,
        (_, None) => old.is_some(),
    }
}

fn differences(before: &Known, after: &Known) -> News {
    let none = HashMap::new();
    let mut news = News::new();
    for upstream in before.keys().chain(after.keys()) {
        let (old, new) = (before.get(upstream).unwrap_or(&none), after.get(upstream).unwrap_or(&none));
        for key in old.keys().chain(new.keys()) {
            if decides(old.get(key).map(Arc::as_ref), new.get(key).map(Arc::as_ref)) {
                news.insert((upstream.clone(), key.0.clone()));
            }
        }
    }
    news
}

impl std::fmt::Debug for PinBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinBoard").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl PinBoard {
    pub(crate) fn new(clock: Arc<dyn Clock>, metrics: Arc<Metrics>, hub: Arc<Hub>) -> Self {
        let office = PinOffice::new(Arc::new(Memory::new()), Arc::clone(&clock));
        Self {
            office: ArcSwap::from_pointee(office),
            clock,
            known: RwLock::default(),
            epoch: AtomicU64::new(1),
            serial: AtomicU64::new(0),
            unwritten: Mutex::default(),
            warned: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            metrics,
            hub,
        }
    }

    /// Keeps the pins in this store from now on. Once, at the start.
    pub(crate) fn keep_in(&self, store: Arc<dyn Store>) {
        self.office.store(Arc::new(PinOffice::new(store, Arc::clone(&self.clock))));
        // Whatever its number is, it is another one.
        self.serial.store(u64::MAX, Ordering::Release);
    }

    /// A number that is another one whenever something may be approved, or no longer.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// What is known of a definition.
    pub(super) fn row(&self, key: &PinKey) -> Option<Arc<PinRow>> {
        self.with(&key.upstream, &key.kind, &key.name, Arc::clone)
    }

    fn with<T>(
        &self,
        upstream: &str,
        kind: &str,
        name: &str,
        look: impl FnOnce(&Arc<PinRow>) -> T,
    ) -> Option<T> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(upstream)?.get(&(kind.to_owned(), name.to_owned())).map(look)
    }

    fn learn(&self, rows: Vec<PinRow>) {
        if rows.is_empty() {
            return;
        }
        let mut news = News::new();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let PinKey { upstream, kind, name } = row.key.clone();
            let new = Arc::new(row);
            let old =
                known.entry(upstream.clone()).or_default().insert((kind.clone(), name), Arc::clone(&new));
            if decides(old.as_deref(), Some(&new)) {
                news.insert((upstream, kind));
            }
        }
        drop(known);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.spread(news);
    }

    fn has_room(&self, upstream: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(upstream).is_none_or(|pins| pins.len() < PER_UPSTREAM_MAX)
    }

    /// Takes note of definitions that were seen, of one upstream. What is known already costs nothing more.
    pub(super) async fn see(&self, upstream: &str, sightings: Vec<Sighting>, first: First) {
        let mut news: Vec<Sighting> = sightings;
        news.retain(|s| !self.row(&s.key).is_some_and(|row| row.knows(&s.hash)));
        if news.is_empty() {
            return;
        }
        if !self.has_room(upstream) {
            tracing::warn!(upstream, "there are too many names to pin: further ones are not approved");
            return;
        }
        news.truncate(PER_UPSTREAM_MAX);
        let _one_at_a_time = self.changing.lock().await;
        match self.office.load_full().see(&news, first).await {
            Ok(rows) => {
                for (sighting, row) in news.iter().zip(&rows) {
                    self.tell(sighting, row);
                }
                self.learn(rows);
            }
            Err(error) => {
                tracing::warn!(upstream, %error, "definitions could not be noted: they are not approved");
                let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
                for sighting in news {
                    if unwritten.len() < UNWRITTEN_MAX {
                        let name = (sighting.key.clone(), sighting.hash.clone());
                        unwritten.insert(name, (sighting, first));
                    }
                }
            }
        }
    }

    /// Says what was seen: once for each definition.
    fn tell(&self, sighting: &Sighting, row: &PinRow) {
        let PinKey { upstream, kind, name } = &sighting.key;
        let hash = &sighting.hash;
        let (found, state) = (suspicions(&sighting.text), row.state());
        self.metrics.pinned(match state {
            PinState::Approved => "first_sight",
            PinState::Quarantined => "quarantined",
            PinState::Drifted | PinState::Denied => "drift",
        });
        if !found.is_empty() {
            let found = found.join(", ");
            tracing::warn!(upstream, kind, name, hash, found, "a definition looks suspicious");
        }
        match state {
            PinState::Approved => tracing::debug!(upstream, kind, name, hash, "a definition is pinned"),
            PinState::Quarantined => {
                tracing::warn!(upstream, kind, name, hash, "a definition waits to be approved");
            }
            PinState::Drifted | PinState::Denied => {
                let state = state.word();
                tracing::warn!(
                    upstream,
                    kind,
                    name,
                    hash,
                    state,
                    "a definition is another than was approved"
                );
            }
        }
    }

    /// Says, once, what stands side by side and should not.
    pub(super) fn compare(&self, endpoint: &str, all: &[Named<'_>]) {
        for warning in warnings(all) {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            if warned.len() < WARNED_MAX && warned.insert(format!("{endpoint}\n{warning}")) {
                drop(warned);
                self.metrics.pinned(warning.word());
                tracing::warn!(endpoint, %warning, "two servers' tools may be mistaken for each other");
            }
        }
    }

    /// Reads what others have said, if they have. What could not be written before is written first.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays in force.
    pub(crate) async fn read(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing.lock().await;
        self.write_again().await?;
        let office = self.office.load_full();
        if office.serial().await? == self.serial.load(Ordering::Acquire) {
            return Ok(());
        }
        let (serial, rows) = office.all().await?;
        let mut fresh = Known::new();
        for row in rows {
            let PinKey { upstream, kind, name } = row.key.clone();
            fresh.entry(upstream).or_default().insert((kind, name), Arc::new(row));
        }
        let news = differences(&self.known.read().unwrap_or_else(PoisonError::into_inner), &fresh);
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.serial.store(serial, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.spread(news);
        Ok(())
    }

    /// Tells clients of these lists, after what they are judged by is in force.
    fn spread(&self, news: News) {
        for (upstream, kind) in news {
            let change = match Kind::of(&kind) {
                Some(Kind::Tool) => Change::Tools,
                Some(Kind::Prompt) => Change::Prompts,
                Some(Kind::Template) => Change::Resources,
                None => continue,
            };
            self.hub.changed(&upstream, change);
        }
    }

    /// Reads as [`Self::read`] does, where something of this upstream is pinned.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays in force.
    pub(crate) async fn read_if_used(&self, upstream: &str) -> Result<(), StoreError> {
        let used = self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(upstream);
        if used { self.read().await } else { Ok(()) }
    }

    async fn write_again(&self) -> Result<(), StoreError> {
        let waiting: Vec<(Sighting, First)> = {
            let unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            unwritten.values().cloned().collect()
        };
        for first in [First::Approve, First::Quarantine] {
            let of: Vec<Sighting> =
                waiting.iter().filter(|(_, f)| *f == first).map(|(sighting, _)| sighting.clone()).collect();
            if of.is_empty() {
                continue;
            }
            let rows = self.office.load_full().see(&of, first).await?;
            for (sighting, row) in of.iter().zip(&rows) {
                self.tell(sighting, row);
                let name = (sighting.key.clone(), sighting.hash.clone());
                self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            }
            self.learn(rows);
        }
        Ok(())
    }

    /// Reads again and again.
    pub(crate) async fn follow(&self) {
        follow::follow(READ, WORDS, || self.read()).await;
    }
}
