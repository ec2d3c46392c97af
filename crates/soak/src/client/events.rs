//! Events of a stream, as they come.

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: Option<String>,
    pub data: String,
}

/// What has come and is no whole event yet.
#[derive(Debug, Default)]
pub struct Events(Vec<u8>);

impl Events {
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes.iter().filter(|byte| **byte != b'\r'));
    }

    /// The next whole event; comments are none.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.0.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.0.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&block);
            let mut event = Event::default();
            let mut any = false;
            for line in text.lines() {
                let Some((field, value)) = line.split_once(':').filter(|(field, _)| !field.is_empty()) else {
                    continue;
                };
                any = true;
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "event" => value.clone_into(&mut event.name),
                    "id" => event.id = Some(value.to_owned()),
                    "data" => event.data.push_str(value),
                    _ => {}
                }
            }
            if any {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_arrive() {
        let text = ":\n\nid: 1\ndata:\n\nevent: message\r\nid: 2\r\ndata: a\r\n\r\ndata: half";
        for size in [1, 7, text.len()] {
            let mut events = Events::default();
            let mut found = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                events.push(chunk);
                while let Some(event) = events.next() {
                    found.push((event.id.unwrap_or_default(), event.data));
                }
            }
            assert_eq!(found, [("1".to_owned(), String::new()), ("2".to_owned(), "a".to_owned())]);
        }
    }
}
