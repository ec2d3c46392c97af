//! Server-sent events (WHATWG HTML, "Server-sent events"), as the transports use them.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The event's type; `None` means `message`.
    pub event: Option<String>,
    /// The event's id, for `Last-Event-ID`.
    pub id: Option<String>,
    /// How long to wait before reconnecting, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The payload; empty for an event that only carries an id or a retry time.
    pub data: Bytes,
}

/// The stream holds an event larger than the reader takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("read a server-sent event of more than {limit_bytes} bytes")]
pub struct EventTooLarge {
    /// The limit.
    pub limit_bytes: usize,
}

/// Reads a stream of events from chunks of bytes, however they are cut.
#[derive(Debug)]
pub struct Reader {
    limit: usize,
    line: BytesMut,
    event: Event,
    data: BytesMut,
    has_data: bool,
    touched: bool,
    skip_lf: bool,
    started: bool,
}

impl Reader {
    /// A reader that refuses events of more than `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit: limit_bytes,
            line: BytesMut::new(),
            event: Event::default(),
            data: BytesMut::new(),
            has_data: false,
            touched: false,
            skip_lf: false,
            started: false,
        }
    }

    /// Takes a chunk and gives the events that it completes.
    ///
    /// # Errors
    /// [`EventTooLarge`]; the reader is of no use afterwards.
    pub fn feed(&mut self, mut chunk: Bytes, events: &mut Vec<Event>) -> Result<(), EventTooLarge> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.skip_lf) && chunk[0] == b'\n' {
                let _ = chunk.split_to(1);
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', &chunk) else {
                self.guard(chunk.len())?;
                self.line.extend_from_slice(&chunk);
                return Ok(());
            };
            self.guard(end)?;
            let part = chunk.split_to(end);
            self.skip_lf = chunk[0] == b'\r';
            let _ = chunk.split_to(1);
            let line = if self.line.is_empty() {
                part
            } else {
                self.line.extend_from_slice(&part);
                std::mem::take(&mut self.line).freeze()
            };
            self.line(line, events);
        }
        Ok(())
    }

    fn guard(&self, more: usize) -> Result<(), EventTooLarge> {
        if self.line.len() + self.data.len() + self.event.data.len() + more > self.limit {
            return Err(EventTooLarge { limit_bytes: self.limit });
        }
        Ok(())
    }

    fn line(&mut self, mut line: Bytes, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) && line.starts_with(b"\xef\xbb\xbf") {
            let _ = line.split_to(3);
        }
        if line.is_empty() {
            self.dispatch(events);
            return;
        }
        let colon = memchr::memchr(b':', &line);
        if colon == Some(0) {
            return;
        }
        let name = line.slice(..colon.unwrap_or(line.len()));
        let mut value = colon.map_or_else(Bytes::new, |at| line.slice(at + 1..));
        if value.first() == Some(&b' ') {
            let _ = value.split_to(1);
        }
        match &*name {
            b"data" => self.put_data(value),
            b"event" => self.event.event = Some(String::from_utf8_lossy(&value).into_owned()),
            b"id" if !value.contains(&0) => {
                self.event.id = Some(String::from_utf8_lossy(&value).into_owned());
                self.touched = true;
            }
            b"retry" => {
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                if let (true, Ok(text)) = (digits, std::str::from_utf8(&value)) {
                    self.event.retry_ms = text.parse().ok();
                    self.touched = true;
                }
            }
            _ => {}
        }
    }

    /// The first data line is kept as the slice that it is: most events have just one.
    fn put_data(&mut self, value: Bytes) {
        if !self.has_data {
            self.event.data = value;
            self.has_data = true;
            return;
        }
        if self.data.is_empty() {
            self.data.extend_from_slice(&self.event.data);
            self.event.data = Bytes::new();
        }
        self.data.put_u8(b'\n');
        self.data.extend_from_slice(&value);
    }

    fn dispatch(&mut self, events: &mut Vec<Event>) {
        let mut event = std::mem::take(&mut self.event);
        let has_data = std::mem::take(&mut self.has_data);
        let touched = std::mem::take(&mut self.touched);
        if !self.data.is_empty() {
            event.data = std::mem::take(&mut self.data).freeze();
        }
        if has_data || touched {
            events.push(event);
        }
    }
}

/// Writes one message as an event, with an id where the stream can be resumed.
#[must_use]
pub fn event(id: Option<&str>, data: &[u8]) -> Bytes {
    named_event("message", id, data)
}

/// Writes an event of this type. `data` must not contain line breaks; JSON without them never does.
#[must_use]
pub fn named_event(name: &str, id: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + name.len() + id.map_or(0, str::len) + 24);
    out.put_slice(b"event: ");
    out.put_slice(name.as_bytes());
    if let Some(id) = id {
        out.put_slice(b"\nid: ");
        out.put_slice(id.as_bytes());
    }
    for line in data.split(|b| *b == b'\n' || *b == b'\r') {
        out.put_slice(b"\ndata: ");
        out.put_slice(line);
    }
    out.put_slice(b"\n\n");
    out.freeze()
}

/// Writes an event that carries an id and a retry time and no message (SEP-1699).
#[must_use]
pub fn priming(id: &str, retry_ms: Option<u64>) -> Bytes {
    let retry = retry_ms.map(|ms| format!("retry: {ms}\n")).unwrap_or_default();
    Bytes::from(format!("id: {id}\n{retry}data: \n\n"))
}

/// Writes how long a client should wait before it comes back, in milliseconds, and no message.
#[must_use]
pub fn retry(ms: u64) -> Bytes {
    Bytes::from(format!("retry: {ms}\n\n"))
}

/// A comment, which keeps a quiet connection open.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Event> {
        let mut reader = Reader::new(1_000);
        let mut events = Vec::new();
        for chunk in chunks {
            reader.feed(Bytes::copy_from_slice(chunk), &mut events).expect("small");
        }
        events
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let first = b"\xef\xbb\xbfid: 7\nretry: 30\ndata: \n\n: note\r\nevent: message\r\n".as_slice();
        let text = &[first, b"data:{\"a\":1}\r\n\r\ndata: x\ndata: y\r\rdata: lost"].concat()[..];
        let whole = read(&[text]);
        assert_eq!(whole.len(), 3);
        assert_eq!(
            (whole[0].id.as_deref(), whole[0].retry_ms, whole[0].data.len()),
            (Some("7"), Some(30), 0)
        );
        assert_eq!(&*whole[1].data, b"{\"a\":1}");
        assert_eq!(&*whole[2].data, b"x\ny");
        for at in 0..text.len() {
            assert_eq!(read(&[&text[..at], &text[at..]]), whole, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn an_event_over_the_limit_is_refused_before_it_is_kept() {
        let mut reader = Reader::new(100);
        let mut events = Vec::new();
        let line = Bytes::from(vec![b'x'; 60]);
        assert!(reader.feed(line.clone(), &mut events).is_ok());
        assert_eq!(reader.feed(line, &mut events), Err(EventTooLarge { limit_bytes: 100 }));
        let mut reader = Reader::new(100);
        let lines = Bytes::from("data: 0123456789\n".repeat(20));
        assert!(reader.feed(lines, &mut events).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text =
            [event(Some("s-1"), b"{}"), priming("s-2", Some(500)), retry(7), Bytes::from_static(KEEP_ALIVE)];
        let events = read(&[&text.concat()]);
        assert_eq!(events.len(), 3);
        assert_eq!((events[2].retry_ms, events[2].data.len()), (Some(7), 0));
        assert_eq!((events[0].id.as_deref(), &*events[0].data), (Some("s-1"), &b"{}"[..]));
        assert_eq!((events[1].id.as_deref(), events[1].retry_ms), (Some("s-2"), Some(500)));
    }
}
