//! One stream to a legacy client, which may leave and come back (transports, "Resumability and Redelivery").
//!
//! What is written stays until it has been delivered and room is needed; nothing undelivered is ever
//! dropped. A writer waits for a slow reader, and for one that is gone as long as the limit says; then the
//! stream is over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use protocol::sse;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::app::Limits;

/// How long a stream that was read to its end can still be resumed: the last bytes may have been lost on
/// the way.
const LINGER: Duration = Duration::from_secs(5);

/// A stream that nobody will read any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// One stream.
pub(crate) struct StreamBuffer {
    name: String,
    events_max: usize,
    bytes_max: usize,
    detached_time: Duration,
    /// Its reader is no client, but copies what it reads, and would not come back.
    copied: bool,
    inner: Mutex<Inner>,
    written: Notify,
    read: Notify,
}

struct Inner {
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    next: u64,
    delivered: u64,
    closed: bool,
    /// The reader is to leave once it has read everything, and to come back.
    hang_up: bool,
    reader: u64,
    attached: bool,
    detached_at: Instant,
}

impl StreamBuffer {
    /// A stream of this name; names are unguessable where they leave the process.
    pub fn new(name: String, limits: &Limits) -> Arc<Self> {
        Arc::new(Self::with(name, limits, false))
    }

    /// A stream whose messages are copied onto one that cannot be polled.
    pub fn copied(name: String, limits: &Limits) -> Arc<Self> {
        Arc::new(Self::with(name, limits, true))
    }

    fn with(name: String, limits: &Limits, copied: bool) -> Self {
        Self {
            name,
            events_max: limits.stream_buffer_events_max.max(1),
            bytes_max: limits.stream_buffer_bytes_max,
            detached_time: limits.detached_time,
            copied,
            inner: Mutex::new(Inner {
                events: VecDeque::new(),
                bytes: 0,
                next: 1,
                delivered: 0,
                closed: false,
                hang_up: false,
                reader: 0,
                attached: false,
                detached_at: Instant::now(),
            }),
            written: Notify::new(),
            read: Notify::new(),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes a message, once there is room for it.
    pub async fn push(&self, message: Bytes) -> Result<(), Gone> {
        loop {
            let read = self.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            let wait = {
                let mut inner = self.inner();
                if inner.closed {
                    return Err(Gone);
                }
                inner.make_room(self.events_max, self.bytes_max, message.len());
                let full = inner.events.len() >= self.events_max
                    || (inner.bytes + message.len() > self.bytes_max && !inner.events.is_empty());
                if !full {
                    let seq = inner.next;
                    inner.next += 1;
                    inner.bytes += message.len();
                    inner.events.push_back((seq, message));
                    drop(inner);
                    self.written.notify_waiters();
                    return Ok(());
                }
                if inner.attached {
                    self.detached_time
                } else {
                    self.detached_time.saturating_sub(inner.detached_at.elapsed())
                }
            };
            if tokio::time::timeout(wait, read).await.is_err() && !self.inner().attached {
                self.close();
                return Err(Gone);
            }
        }
    }

    /// Sends the reader away once it has read what there is; it will come back for the rest (SEP-1699).
    pub fn hang_up(&self) {
        if self.copied {
            return;
        }
        self.inner().hang_up = true;
        self.written.notify_waiters();
    }

    /// Drops what has been delivered: a client that comes back for it will find it gone.
    pub fn shrink(&self) {
        let mut inner = self.inner();
        inner.make_room(1, 0, 0);
        inner.events.shrink_to_fit();
    }

    /// Nothing more will be written.
    pub fn close(&self) {
        self.inner().closed = true;
        self.written.notify_waiters();
        self.read.notify_waiters();
    }

    /// Waits until nobody has read for as long as the limit says.
    pub async fn abandoned(&self) {
        loop {
            let read = self.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            let left = {
                let inner = self.inner();
                match inner.attached {
                    true => None,
                    false => Some(self.detached_time.saturating_sub(inner.detached_at.elapsed())),
                }
            };
            match left {
                Some(Duration::ZERO) => return,
                Some(left) => drop(tokio::time::timeout(left, read).await),
                None => read.await,
            }
        }
    }

    /// Waits until a closed stream is of no more use: read to its end and a little longer, or abandoned.
    pub async fn over(&self) {
        tokio::select! {
            () = self.abandoned() => {}
            () = self.read_to_end() => tokio::time::sleep(LINGER.min(self.detached_time)).await,
        }
    }

    /// Waits until a reader has left before the end.
    pub async fn left(&self) {
        loop {
            let read = self.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            if self.inner().is_left() {
                return;
            }
            read.await;
        }
    }

    /// What is there after an event while nobody reads, once there is something. `None`: somebody reads, or
    /// has read all.
    pub async fn unread(&self, after: u64) -> Option<Unread> {
        loop {
            let (written, read) = (self.written.notified(), self.read.notified());
            tokio::pin!(written, read);
            written.as_mut().enable();
            read.as_mut().enable();
            {
                let inner = self.inner();
                if !inner.is_left() {
                    return None;
                }
                let skip = inner.events.partition_point(|(seq, _)| *seq <= after);
                let mut rest = inner.events.iter().skip(skip).peekable();
                let first = rest.peek().map_or(inner.next, |(seq, _)| *seq);
                let messages: Vec<Bytes> = rest.map(|(_, message)| message.clone()).collect();
                if !messages.is_empty() || inner.closed {
                    return Some(Unread { first, messages, closed: inner.closed });
                }
            }
            tokio::select! {
                () = written => {}
                () = read => {}
            }
        }
    }

    /// Whether all of a closed stream was read.
    pub fn is_read(&self) -> bool {
        let inner = self.inner();
        inner.closed && inner.delivered + 1 >= inner.next
    }

    async fn read_to_end(&self) {
        loop {
            let read = self.read.notified();
            tokio::pin!(read);
            read.as_mut().enable();
            {
                let inner = self.inner();
                if inner.closed && inner.delivered + 1 >= inner.next {
                    return;
                }
            }
            read.await;
        }
    }

    /// Reads from after this event; whoever read before is sent away. `None`: that event is not there any
    /// more.
    pub fn attach(self: &Arc<Self>, after: u64) -> Option<Reader> {
        let mut inner = self.inner();
        let oldest = inner.events.front().map_or(inner.next, |(seq, _)| *seq);
        if after + 1 < oldest || after >= inner.next {
            return None;
        }
        inner.reader += 1;
        inner.attached = true;
        let number = inner.reader;
        drop(inner);
        self.written.notify_waiters();
        self.read.notify_waiters();
        Some(Reader { buffer: Arc::clone(self), number, at: after })
    }
}

/// What nobody has read.
pub(crate) struct Unread {
    /// The number of the first message, or of the next one where there is none.
    pub first: u64,
    pub messages: Vec<Bytes>,
    /// Whether nothing will come after these.
    pub closed: bool,
}

impl Inner {
    /// Whether there was a reader, and it is gone before the end.
    fn is_left(&self) -> bool {
        self.reader > 0 && !self.attached && !(self.closed && self.delivered + 1 >= self.next)
    }

    /// Drops what was delivered as far as room is needed.
    fn make_room(&mut self, events_max: usize, bytes_max: usize, more: usize) {
        while self.events.len() >= events_max || self.bytes + more > bytes_max {
            match self.events.front() {
                Some((seq, _)) if *seq <= self.delivered => {
                    if let Some((_, message)) = self.events.pop_front() {
                        self.bytes -= message.len();
                    }
                }
                _ => return,
            }
        }
    }
}

/// The reading end of a stream.
pub(crate) struct Reader {
    buffer: Arc<StreamBuffer>,
    number: u64,
    at: u64,
}

impl Reader {
    /// The next message and its event id. `None`: the stream ended, or somebody else reads it now.
    pub async fn next(&mut self) -> Option<(String, Bytes)> {
        loop {
            let written = self.buffer.written.notified();
            tokio::pin!(written);
            written.as_mut().enable();
            {
                let mut inner = self.buffer.inner();
                if inner.reader != self.number {
                    return None;
                }
                let at = self.at;
                let skip = inner.events.partition_point(|(seq, _)| *seq <= at);
                if let Some((seq, message)) = inner.events.get(skip).cloned() {
                    self.at = seq;
                    inner.delivered = inner.delivered.max(seq);
                    drop(inner);
                    self.buffer.read.notify_waiters();
                    return Some((format!("{}.{seq}", self.buffer.name), message));
                }
                if inner.closed || std::mem::take(&mut inner.hang_up) {
                    return None;
                }
            }
            written.await;
        }
    }

    /// The same as server-sent events, with ids where the client may come back.
    pub async fn next_event(&mut self, with_ids: bool) -> Option<Bytes> {
        let (id, message) = self.next().await?;
        Some(sse::event(with_ids.then_some(id.as_str()), &message))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut inner = self.buffer.inner();
        if inner.reader == self.number {
            inner.attached = false;
            inner.detached_at = Instant::now();
            drop(inner);
            self.buffer.read.notify_waiters();
        }
    }
}

/// The stream's name and the event's number of an event id.
pub(crate) fn split_event_id(id: &str) -> Option<(&str, u64)> {
    let (name, seq) = id.rsplit_once('.')?;
    Some((name, seq.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(events: usize) -> Limits {
        Limits {
            stream_buffer_events_max: events,
            stream_buffer_bytes_max: 1_000,
            detached_time: Duration::from_secs(5),
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_comes_back_misses_nothing() {
        let buffer = StreamBuffer::new("s".into(), &limits(8));
        let mut first = buffer.attach(0).expect("new");
        for n in 0..3u8 {
            buffer.push(Bytes::from(vec![n])).await.expect("room");
        }
        assert_eq!(first.next().await, Some(("s.1".into(), Bytes::from_static(&[0]))));
        drop(first);
        buffer.push(Bytes::from_static(&[3])).await.expect("room");
        let mut second = buffer.attach(1).expect("still there");
        for n in 1..4u8 {
            assert_eq!(second.next().await.map(|(_, m)| m[0]), Some(n));
        }
        buffer.close();
        assert_eq!(second.next().await, None);
        assert!(buffer.attach(9).is_none(), "an event that never was");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_reader_that_can_come_back_is_sent_away() {
        let (polled, copied) =
            (StreamBuffer::new("p".into(), &limits(8)), StreamBuffer::copied("c".into(), &limits(8)));
        for buffer in [&polled, &copied] {
            buffer.hang_up();
            buffer.push(Bytes::from_static(b"1")).await.expect("room");
        }
        let mut reader = copied.attach(0).expect("new");
        assert_eq!(reader.next().await.map(|(_, message)| message), Some(Bytes::from_static(b"1")));
        let writer = Arc::clone(&copied);
        tokio::spawn(async move { writer.push(Bytes::from_static(b"2")).await });
        assert_eq!(reader.next().await.map(|(_, message)| message), Some(Bytes::from_static(b"2")));
        let mut reader = polled.attach(1).expect("still there");
        assert_eq!(reader.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_stream_waits_for_its_reader_and_then_gives_up() {
        let buffer = StreamBuffer::new("s".into(), &limits(2));
        for n in 0..2u8 {
            buffer.push(Bytes::from(vec![n])).await.expect("room");
        }
        assert_eq!(buffer.push(Bytes::from_static(&[2])).await, Err(Gone), "nobody came to read");
        assert_eq!(buffer.push(Bytes::new()).await, Err(Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn delivered_events_make_room_and_undelivered_ones_never_do() {
        let buffer = StreamBuffer::new("s".into(), &limits(2));
        let mut reader = buffer.attach(0).expect("new");
        let writer = tokio::spawn({
            let buffer = Arc::clone(&buffer);
            async move {
                for n in 0..50u8 {
                    buffer.push(Bytes::from(vec![n])).await.expect("a reader reads");
                }
                buffer.close();
            }
        });
        let mut seen = Vec::new();
        while let Some((_, message)) = reader.next().await {
            seen.push(message[0]);
        }
        writer.await.expect("the writer ends");
        assert_eq!(seen, (0..50).collect::<Vec<u8>>());
        assert!(buffer.attach(1).is_none(), "long gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_reader_takes_over() {
        let buffer = StreamBuffer::new("s".into(), &limits(4));
        let mut first = buffer.attach(0).expect("new");
        let mut second = buffer.attach(0).expect("again");
        buffer.push(Bytes::from_static(b"x")).await.expect("room");
        assert_eq!(first.next().await, None);
        drop(first);
        assert!(second.next().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_unread_is_told_while_nobody_reads() {
        let buffer = StreamBuffer::new("s".into(), &limits(8));
        let mut reader = buffer.attach(0).expect("new");
        for n in 0..2u8 {
            buffer.push(Bytes::from(vec![n])).await.expect("room");
        }
        reader.next().await.expect("the first one");
        assert!(buffer.unread(0).await.is_none(), "somebody reads");
        drop(reader);
        buffer.left().await;
        let unread = buffer.unread(0).await.expect("nobody reads");
        assert_eq!((unread.first, unread.messages.len(), unread.closed), (1, 2, false));
        let more = tokio::join!(buffer.unread(2), async {
            buffer.push(Bytes::from_static(b"x")).await.expect("room");
        });
        let unread = more.0.expect("nobody reads");
        assert_eq!((unread.first, unread.messages.len(), unread.closed), (3, 1, false));
        buffer.close();
        let unread = buffer.unread(3).await.expect("nobody reads");
        assert_eq!((unread.first, unread.messages.len(), unread.closed), (4, 0, true));
        let mut again = buffer.attach(1).expect("still there");
        while again.next().await.is_some() {}
        drop(again);
        assert!(buffer.unread(0).await.is_none(), "all was read");
    }

    #[tokio::test(start_paused = true)]
    async fn where_memory_is_short_only_what_was_not_delivered_is_kept() {
        let buffer = StreamBuffer::new("s".into(), &limits(8));
        let mut reader = buffer.attach(0).expect("new");
        for n in 0..3u8 {
            buffer.push(Bytes::from(vec![n])).await.expect("room");
        }
        for _ in 0..2 {
            reader.next().await.expect("it was written");
        }
        drop(reader);
        buffer.shrink();
        assert!(buffer.attach(0).is_none() && buffer.attach(1).is_none(), "dropped");
        let mut reader = buffer.attach(2).expect("still there");
        assert_eq!(reader.next().await.map(|(_, m)| m[0]), Some(2));
    }

    #[test]
    fn event_ids_split_at_the_last_dot() {
        assert_eq!(split_event_id("a.b.7"), Some(("a.b", 7)));
        for bad in ["", "7", "a.", "a.x", "a.-1"] {
            assert_eq!(split_event_id(bad), None, "{bad}");
        }
    }
}
