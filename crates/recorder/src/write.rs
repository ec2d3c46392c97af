//! The task that writes: batches, each with one commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use audit::{Event, Outcome, Recorded, Unwritten};
use model::Timestamp;
use store::{AuditWrite, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep};

use crate::office::{AuditOffice, Writer};
use crate::tail::Tail;
use crate::{Item, Shared, rows};

/// Records of one commit at most: what one costs, a wait for the disk above all, is shared by many.
pub(crate) const BATCH: usize = 1_024;
/// Records after which a log is signed, though its time has not come.
const SIGN_AFTER: u64 = 256;
/// How often another one may have been first before it is given up.
const TRIES: u32 = 20;
/// The pause after a failure, and the longest one.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often this process tells of itself.
const BEAT: Duration = Duration::from_secs(10);
/// Logs whose ends are kept in memory.
const TAILS_MAX: usize = 1_000;
/// How long the end may take, where the store does not answer.
const END: Duration = Duration::from_secs(10);

/// The pause between two batches that nobody waits for.
const LINGER: Duration = Duration::from_millis(20);

/// Takes events until nobody can give any more.
pub(crate) async fn run(shared: Arc<Shared>, mut items: mpsc::Receiver<Item>) {
    let mut state = State { shared, tails: BTreeMap::new(), logs: BTreeSet::new(), beat: None };
    let mut tick = interval(state.shared.options.checkpoint.max(Duration::from_millis(10)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            number = items.recv_many(&mut batch, BATCH) => {
                if number == 0 {
                    break;
                }
                state.take(std::mem::take(&mut batch)).await;
                // Where nobody waits, others have the store meanwhile, and the next batch is larger.
                if number < BATCH && !state.shared.options.strict {
                    tokio::time::sleep(LINGER).await;
                }
                // While many come, the clock has its turn too.
                if state.is_due(tick.period()) {
                    state.tick().await;
                }
            }
            _ = tick.tick() => state.tick().await,
        }
    }
    let end = tokio::time::timeout(END, async {
        state.tick().await;
        AuditOffice(&*state.shared.store).writer_remove(&state.shared.writer).await
    });
    if !matches!(end.await, Ok(Ok(()))) {
        tracing::warn!("the audit log's writer ended without saying so; others will close its records");
    }
}

struct State {
    shared: Arc<Shared>,
    tails: BTreeMap<Arc<str>, Tail>,
    logs: BTreeSet<String>,
    beat: Option<Instant>,
}

/// Events of one log, each with its place in the batch.
type Split<'a> = BTreeMap<Arc<str>, Vec<(usize, &'a Event)>>;

impl State {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn is_due(&self, period: Duration) -> bool {
        let now = self.now();
        self.tails.values().any(|tail| tail.signed < tail.size() && now.since(tail.signed_at) >= period)
    }

    /// Writes a batch, however often it takes; where nothing may be answered before, once.
    async fn take(&mut self, mut items: Vec<Item>) {
        for item in &mut items {
            rows::bound(&mut item.event);
        }
        self.announce(&items);
        self.beat().await;
        let mut pause = PAUSE;
        loop {
            let events: Vec<&Event> = items.iter().map(|item| &item.event).collect();
            let error = match self.write(&events).await {
                Ok(recorded) => {
                    self.answer(items, recorded);
                    return;
                }
                Err(error) => error,
            };
            self.shared.numbers.failed.fetch_add(1, Ordering::Relaxed);
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, source, "the audit log was not written");
            if self.shared.options.strict {
                self.refuse(items, &error);
                return;
            }
            // They wait, and the queue behind them: what it has no room for is counted.
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Tells of logs that are written to for the first time, before they are: whoever buries this process has
    /// to know in which something may be missing.
    fn announce(&mut self, items: &[Item]) {
        for item in items {
            if self.logs.len() < TAILS_MAX && !self.logs.contains(&*item.event.tenant) {
                self.logs.insert(item.event.tenant.to_string());
                self.beat = None;
            }
        }
    }

    fn answer(&self, items: Vec<Item>, recorded: Vec<Recorded>) {
        self.shared.numbers.written.fetch_add(items.len() as u64, Ordering::Relaxed);
        for (item, recorded) in items.into_iter().zip(recorded) {
            if let Some(reply) = item.reply {
                // Whoever asked may have gone.
                drop(reply.send(Ok(recorded)));
            }
        }
    }

    fn refuse(&self, items: Vec<Item>, error: &StoreError) {
        for item in items {
            match item.reply {
                Some(reply) => drop(reply.send(Err(Unwritten(error.to_string())))),
                None => self.shared.lose(&item.event.tenant, 1),
            }
        }
    }

    /// Writes events of several logs in one transaction.
    async fn write(&mut self, events: &[&Event]) -> Result<Vec<Recorded>, StoreError> {
        for tries in 0..TRIES {
            match self.write_once(events).await {
                Ok(Some(recorded)) => return Ok(recorded),
                Ok(None) | Err(StoreError::Conflict) => {
                    // Another replica was first.
                    self.tails.clear();
                    let ms = self.shared.rng.next_u64() % (5 + u64::from(tries) * 5);
                    sleep(Duration::from_millis(ms)).await;
                }
                Err(error) => {
                    self.tails.clear();
                    return Err(error);
                }
            }
        }
        Err(StoreError::Busy)
    }

    /// The same, once. `None`: another one has added to a log.
    async fn write_once(&mut self, events: &[&Event]) -> Result<Option<Vec<Recorded>>, StoreError> {
        let mut split = Split::new();
        for (at, event) in events.iter().enumerate() {
            split.entry(Arc::clone(&event.tenant)).or_default().push((at, event));
        }
        for log in split.keys() {
            self.tail(log).await?;
        }
        let mut recorded: Vec<Option<Recorded>> = vec![None; events.len()];
        let now = self.now();
        let mut tails = Vec::with_capacity(split.len());
        let mut writes = Vec::with_capacity(split.len());
        for (log, events) in &split {
            let mut tail = self.tails[log].clone();
            let only: Vec<&Event> = events.iter().map(|(_, event)| *event).collect();
            let (write, places) = self.add(&mut tail, &only, now);
            for ((at, _), place) in events.iter().zip(places) {
                recorded[*at] = Some(place);
            }
            writes.push(write);
            tails.push((Arc::clone(log), tail));
        }
        match self.shared.store.audit_write(&writes).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(StoreError::Unavailable { maybe_written: true, source }) => {
                // The answer was lost: what is found in the first one's place says what it was.
                let first = writes.first().and_then(|write| write.batch.entries.first());
                let Some(first) = first else { return Err(StoreError::ambiguous(source)) };
                let found = self.shared.store.audit_entries(&first.log, first.index, 1).await?;
                if found.first() != Some(first) {
                    return Err(StoreError::ambiguous(source));
                }
            }
            Err(error) => return Err(error),
        }
        let signed = writes.iter().filter(|write| write.note.is_some()).count() as u64;
        self.shared.numbers.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.numbers.signed.fetch_add(signed, Ordering::Relaxed);
        self.tails.extend(tails);
        Ok(recorded.into_iter().collect())
    }

    /// What is added to a log by these events, signed where it is time, and where each of them is.
    fn add(&self, tail: &mut Tail, events: &[&Event], now: Timestamp) -> (AuditWrite, Vec<Recorded>) {
        let (mut batch, places) = tail.batch(&self.shared, events);
        let sign = self.shared.options.strict || tail.size() - tail.signed >= SIGN_AFTER;
        let change = if sign { tail.key_change(&self.shared, now) } else { None };
        if let Some(change) = &change {
            let (more, _) = tail.batch(&self.shared, &[change]);
            batch.entries.extend(more.entries);
            batch.tiles.extend(more.tiles);
            batch.last = more.last;
        }
        let note = sign.then(|| tail.sign(&self.shared, now, change.is_some()));
        (AuditWrite { batch, note, keep: change.is_some() }, places)
    }

    /// The end of a log, read where it is not known.
    async fn tail(&mut self, log: &Arc<str>) -> Result<(), StoreError> {
        if !self.tails.contains_key(log) {
            if self.tails.len() >= TAILS_MAX {
                self.tails.retain(|_, tail| tail.signed < tail.size());
            }
            let tail = Tail::load(&self.shared, log).await?;
            self.tails.insert(Arc::clone(log), tail);
        }
        Ok(())
    }

    /// Tells what was lost, signs what is not signed, and tells of itself.
    async fn tick(&mut self) {
        self.beat().await;
        self.gaps().await;
        let now = self.now();
        let due: Vec<Arc<str>> = self
            .tails
            .iter()
            .filter(|(_, tail)| tail.signed < tail.size())
            .map(|(log, _)| log.clone())
            .collect();
        for log in due {
            if let Err(error) = self.sign(&log, now).await {
                self.shared.numbers.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the audit log was not signed");
            }
        }
    }

    async fn sign(&mut self, log: &Arc<str>, now: Timestamp) -> Result<(), StoreError> {
        let Some(tail) = self.tails.get(log).cloned() else { return Ok(()) };
        match sign(&self.shared, tail, now).await {
            Ok(Some(tail)) => {
                self.tails.insert(Arc::clone(log), tail);
                Ok(())
            }
            other => {
                // Another replica has added to it; it is read again, and signed at the next tick.
                self.tails.remove(log);
                self.tail(log).await?;
                other.map(drop)
            }
        }
    }

    /// Records how many events were lost.
    async fn gaps(&mut self) {
        for (tenant, number) in self.shared.take_lost() {
            let mut event = Event::new("audit_gap", self.now(), &tenant, "@tidegate");
            event.outcome = Outcome::Error;
            event.details.insert("lost", number.to_string());
            event.details.insert("writer", self.shared.writer.clone());
            if self.write(&[&event]).await.is_err() {
                // Counted again, and told at the next tick.
                self.shared.numbers.lost.fetch_sub(number, Ordering::Relaxed);
                self.shared.lose(&tenant, number);
            }
        }
    }

    async fn beat(&mut self) {
        if self.beat.is_some_and(|last| last.elapsed() < BEAT) {
            return;
        }
        let writer = Writer {
            name: self.shared.writer.clone(),
            beat: self.now().0,
            strict: self.shared.options.strict,
            queue: (self.shared.options.queue + BATCH) as u64,
            logs: self.logs.clone(),
        };
        match AuditOffice(&*self.shared.store).writer_put(&writer).await {
            Ok(()) => self.beat = Some(Instant::now()),
            Err(error) => tracing::warn!(%error, "the audit log's writer could not tell of itself"),
        }
    }
}

/// Signs a log as it is. `None`: another one has added to it.
pub(crate) async fn sign(
    shared: &Shared,
    mut tail: Tail,
    now: Timestamp,
) -> Result<Option<Tail>, StoreError> {
    let change = tail.key_change(shared, now);
    let mut tx = shared.store.begin().await?;
    if let Some(change) = &change {
        let (batch, _) = tail.batch(shared, &[change]);
        if !tx.audit_append(&batch).await? {
            return Ok(None);
        }
    }
    let note = tail.sign(shared, now, change.is_some());
    if !tx.audit_sign(&note, change.is_some()).await? {
        return Ok(None);
    }
    tx.commit().await?;
    shared.numbers.signed.fetch_add(1, Ordering::Relaxed);
    Ok(Some(tail))
}
