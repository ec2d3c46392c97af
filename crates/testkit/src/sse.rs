//! Server-sent events, as a client reads them (HTML standard, "Interpreting an event stream").

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `event:`; empty where there is none.
    pub name: String,
    /// `id:`
    pub id: Option<String>,
    /// `retry:`, in milliseconds.
    pub retry_ms: Option<u64>,
    /// `data:`, its lines joined.
    pub data: String,
}

/// Collects bytes until they make an event.
#[derive(Debug, Default)]
pub struct Events {
    buffer: Vec<u8>,
}

impl Events {
    /// Takes what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event. Comments are none; an event that only has an id is one here, because a client
    /// has to remember it.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let end = self.end()?;
            let block: Vec<u8> = self.buffer.drain(..end).collect();
            if let Some(event) = read(&String::from_utf8_lossy(&block)) {
                return Some(event);
            }
        }
    }

    /// Where the first block ends, its empty line included.
    fn end(&self) -> Option<usize> {
        let mut line_start = 0;
        while let Some(length) = self.buffer[line_start..].iter().position(|b| *b == b'\n') {
            let line = &self.buffer[line_start..line_start + length];
            line_start += length + 1;
            if line.is_empty() || line == b"\r" {
                return Some(line_start);
            }
        }
        None
    }
}

fn read(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    let mut any = false;
    for line in block.lines().filter(|line| !line.starts_with(':') && !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        any = true;
        match field {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "retry" => event.retry_ms = value.parse().ok(),
            "data" => data.push(value),
            _ => {}
        }
    }
    event.data = data.join("\n");
    any.then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_arrive() {
        let text =
            ": hello\n\nid: 1\ndata:\n\nevent: message\r\nid: 2\r\ndata: a\r\ndata: b\r\n\r\ndata: half";
        for size in [1, 3, text.len()] {
            let mut events = Events::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                events.push(chunk);
                while let Some(event) = events.next_event() {
                    found.push(event);
                }
            }
            let first = Event { id: Some("1".into()), ..Event::default() };
            let second = Event {
                name: "message".into(),
                id: Some("2".into()),
                data: "a\nb".into(),
                ..Event::default()
            };
            assert_eq!(found, [first, second], "{size} bytes at a time");
        }
    }
}
