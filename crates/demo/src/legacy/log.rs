//! The events of one stream, kept for a while so that a client that lost it can go on where it was.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

/// How many events are kept.
const EVENTS_MAX: usize = 256;
/// How many bytes of events are kept; a single larger event is kept until it is read.
const BYTES_MAX: usize = 1 << 20;

/// One stream: a request's own, or the one that a GET opens.
#[derive(Debug)]
pub(crate) struct StreamLog {
    number: u64,
    /// Whether a reader knows an event id before the first event.
    primed: bool,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// The number of the newest event; they count from 1.
    newest: u64,
    /// The number of the newest event that a reader took.
    taken: u64,
    /// Moves with each reader, so that an older one notices.
    readers: u64,
    reading: bool,
    finished: bool,
    /// The last event that the reader gets before it is sent away.
    hung_up: Option<u64>,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub number: u64,
    /// A message as JSON.
    pub data: Bytes,
    /// Whether it answers the request whose stream this is.
    pub last: bool,
}

/// The event that a client asks to go on from is not kept any more, or never was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost;

impl StreamLog {
    pub fn new(number: u64, primed: bool) -> Arc<Self> {
        Arc::new(Self { number, primed, state: Mutex::default(), changed: Notify::new() })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Adds an event. Waits while a reader is behind by as much as is kept.
    pub async fn push(&self, message: &Value, last: bool) {
        let data = Bytes::from(message.to_string());
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                state.evict(data.len());
                let unread = state.events.front().is_some_and(|event| event.number > state.taken);
                if !(state.reading && unread && state.is_full(data.len())) {
                    state.add(data, last);
                    break;
                }
            }
            changed.await;
        }
        self.changed.notify_waiters();
    }

    /// Adds an event without waiting; the oldest make room.
    pub fn push_now(&self, message: &Value) {
        let mut state = self.state();
        let data = Bytes::from(message.to_string());
        if state.finished {
            return;
        }
        state.add(data, false);
        drop(state);
        self.changed.notify_waiters();
    }

    /// No event follows.
    pub fn finish(&self) {
        self.state().finished = true;
        self.changed.notify_waiters();
    }

    pub fn is_finished(&self) -> bool {
        self.state().finished
    }

    /// Sends the reader away once it has everything that there is now, unless it could not come back.
    pub fn hang_up(&self) {
        let mut state = self.state();
        if self.primed || state.newest > 0 {
            state.hung_up = Some(state.newest);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Sends the reader away at once.
    pub fn break_off(&self) {
        self.state().readers += 1;
        self.changed.notify_waiters();
    }

    /// Reads on after that event, or after what was read so far. An earlier reader ends.
    pub fn read(self: &Arc<Self>, after: Option<u64>) -> Result<Reader, Lost> {
        let mut state = self.state();
        let after = after.unwrap_or(state.taken);
        let oldest = state.events.front().map_or(state.newest + 1, |event| event.number);
        if after > state.newest || after + 1 < oldest {
            return Err(Lost);
        }
        state.taken = after;
        state.readers += 1;
        state.reading = true;
        state.hung_up = None;
        let reader = state.readers;
        drop(state);
        self.changed.notify_waiters();
        Ok(Reader { log: Arc::clone(self), reader })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change under this lock is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self, coming: usize) -> bool {
        self.events.len() >= EVENTS_MAX || (!self.events.is_empty() && self.bytes + coming > BYTES_MAX)
    }

    /// Makes room for that many bytes, as far as what was read allows.
    fn evict(&mut self, coming: usize) {
        while self.is_full(coming)
            && let Some(event) =
                self.events.front().filter(|event| !self.reading || event.number <= self.taken)
        {
            self.bytes -= event.data.len();
            self.events.pop_front();
        }
    }

    fn add(&mut self, data: Bytes, last: bool) {
        while self.is_full(data.len())
            && let Some(event) = self.events.pop_front()
        {
            self.bytes -= event.data.len();
        }
        self.newest += 1;
        self.bytes += data.len();
        self.events.push_back(Event { number: self.newest, data, last });
    }
}

/// The one who reads a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<StreamLog>,
    reader: u64,
}

impl Reader {
    pub fn log(&self) -> &Arc<StreamLog> {
        &self.log
    }

    /// The id of the last event that was read.
    pub fn taken(&self) -> u64 {
        self.log.state().taken
    }

    /// The next event, without taking it. `None`: the stream ends here.
    pub async fn peek(&self) -> Option<Event> {
        loop {
            let changed = self.log.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.log.state();
                if state.readers != self.reader || state.hung_up.is_some_and(|last| last <= state.taken) {
                    return None;
                }
                let next = state.events.iter().find(|event| event.number > state.taken);
                if next.is_some() || state.finished {
                    return next.cloned();
                }
            }
            changed.await;
        }
    }

    /// The next event. `None`: the stream ends here.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.peek().await?;
        let mut state = self.log.state();
        if state.readers != self.reader {
            return None;
        }
        state.taken = event.number;
        // A large event is not kept for the sake of a client that might come back.
        if state.bytes > BYTES_MAX {
            state.evict(0);
        }
        drop(state);
        self.log.changed.notify_waiters();
        Some(event)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.log.state();
        if state.readers == self.reader {
            state.reading = false;
        }
        drop(state);
        self.log.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn numbers(reader: &mut Reader, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(reader.next().await.unwrap().number);
        }
        numbers
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_goes_on_after_its_last_event() {
        let log = StreamLog::new(1, true);
        let mut reader = log.read(None).unwrap();
        for n in 0..3 {
            log.push(&json!(n), false).await;
        }
        assert_eq!(numbers(&mut reader, 2).await, [1, 2]);
        drop(reader);
        log.push(&json!(3), true).await;
        log.finish();
        let mut again = log.read(Some(1)).unwrap();
        assert_eq!(numbers(&mut again, 3).await, [2, 3, 4]);
        assert!(again.next().await.is_none());
    }

    #[tokio::test]
    async fn without_a_reader_the_oldest_events_go_and_cannot_be_asked_for() {
        let log = StreamLog::new(1, true);
        for n in 0..EVENTS_MAX + 10 {
            log.push(&json!(n), false).await;
        }
        assert_eq!(log.read(Some(9)).unwrap_err(), Lost);
        let mut reader = log.read(Some(10)).unwrap();
        assert_eq!(numbers(&mut reader, 1).await, [11]);
        assert_eq!(log.read(Some(10_000)).unwrap_err(), Lost);
    }

    #[tokio::test]
    async fn a_writer_waits_for_a_slow_reader_and_nothing_is_lost() {
        let log = StreamLog::new(1, true);
        let mut reader = log.read(None).unwrap();
        let writing = async {
            for n in 0..2_000 {
                log.push(&json!(n), false).await;
            }
            log.finish();
        };
        let reading = async {
            let mut seen = Vec::new();
            while let Some(event) = reader.next().await {
                seen.push(event.number);
                tokio::task::yield_now().await;
            }
            seen
        };
        let ((), seen) = tokio::join!(writing, reading);
        assert_eq!(seen, (1..=2_000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_second_reader_ends_the_first() {
        let log = StreamLog::new(0, true);
        let mut first = log.read(None).unwrap();
        let mut second = log.read(None).unwrap();
        log.push(&json!(1), false).await;
        assert!(first.next().await.is_none());
        drop(first);
        assert_eq!(numbers(&mut second, 1).await, [1]);
    }

    #[tokio::test]
    async fn a_large_event_is_read_once() {
        let log = StreamLog::new(1, true);
        let mut reader = log.read(None).unwrap();
        log.push(&json!("x".repeat(2 * BYTES_MAX)), true).await;
        log.finish();
        assert!(reader.next().await.is_some());
        assert!(reader.next().await.is_none());
        assert_eq!(log.read(Some(0)).unwrap_err(), Lost);
    }

    #[tokio::test]
    async fn hanging_up_needs_an_event_id_to_come_back_with() {
        let log = StreamLog::new(1, false);
        let mut reader = log.read(None).unwrap();
        log.hang_up();
        log.push(&json!(1), false).await;
        assert_eq!(numbers(&mut reader, 1).await, [1]);
        log.hang_up();
        log.push(&json!(2), true).await;
        assert!(reader.next().await.is_none(), "what came later is for whoever comes back");
        assert_eq!(numbers(&mut log.read(Some(1)).unwrap(), 1).await, [2]);
    }
}
