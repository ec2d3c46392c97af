//! The reader of server-sent events.

use bytes::Bytes;
use protocol::sse::{Event, EventTooLarge, Reader, named_event, priming};

/// The limits that the first byte of the input chooses from.
const LIMITS: [usize; 8] = [0, 1, 8, 32, 64, 256, 1024, 65_536];

/// Any bytes as a stream of events: the first byte is the limit, the second the size of the chunks.
///
/// * However the bytes are cut, the events are the same, and the same event is too large.
/// * They are those that a second reading of the specification finds.
/// * No event holds more than the limit.
/// * An event that was read, written and read again is the same event.
///
/// # Panics
/// Where one of these does not hold.
pub fn sse(data: &[u8]) {
    let [limit, size, stream @ ..] = data else { return };
    let limit = LIMITS[usize::from(*limit) % LIMITS.len()];
    let whole = read(limit, &[stream]);
    let chunks: Vec<&[u8]> = stream.chunks(usize::from(size % 32) + 1).collect();
    assert_eq!(read(limit, &chunks), whole, "in chunks");
    assert_eq!(read(limit, &stream.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    // Every cut in a short stream, and as many in a long one.
    for at in (0..stream.len()).step_by(stream.len() / 64 + 1) {
        assert_eq!(read(limit, &[&stream[..at], &stream[at..]]), whole, "cut at {at}");
    }
    let (events, end) = whole;
    let expected = reference(stream);
    match end {
        Ok(()) => assert_eq!(events, expected, "another reading of the stream"),
        Err(_) => assert!(expected.starts_with(&events), "another reading of the stream's beginning"),
    }
    for event in &events {
        let words = [&event.event, &event.id];
        let longest = words.into_iter().flatten().map(|text| text.chars().count()).max().unwrap_or(0);
        assert!(event.data.len().max(longest) <= limit, "more than the limit of {limit}: {event:?}");
        assert_written(event);
    }
}

fn read(limit: usize, chunks: &[&[u8]]) -> (Vec<Event>, Result<(), EventTooLarge>) {
    let mut reader = Reader::new(limit);
    let mut events = Vec::new();
    let end = chunks.iter().try_for_each(|chunk| reader.feed(Bytes::copy_from_slice(chunk), &mut events));
    (events, end)
}

/// Events as the specification reads them from a whole stream, but for what the reader does on purpose: an
/// event without data is one where it carries an id, a retry time or an empty data line.
fn reference(stream: &[u8]) -> Vec<Event> {
    let text = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let text: Vec<u8> = {
        // CR LF is one end of a line, and so is a CR alone.
        let mut out = Vec::new();
        for (at, byte) in text.iter().enumerate() {
            match byte {
                b'\r' => out.push(b'\n'),
                b'\n' if at > 0 && text[at - 1] == b'\r' => {}
                other => out.push(*other),
            }
        }
        out
    };
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    // What follows the last end of a line is no line yet.
    lines.pop();
    let (mut events, mut event, mut data) = (Vec::new(), Event::default(), None::<Vec<u8>>);
    let mut touched = false;
    for line in lines {
        if line.is_empty() {
            let has_data = data.is_some();
            event.data = data.take().unwrap_or_default().into();
            let done = std::mem::take(&mut event);
            if std::mem::take(&mut touched) || has_data {
                events.push(done);
            }
            continue;
        }
        let colon = line.iter().position(|b| *b == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let words = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => match &mut data {
                Some(data) => *data = [data.as_slice(), b"\n", value].concat(),
                None => data = Some(value.to_vec()),
            },
            b"event" => event.event = Some(words()),
            b"id" if !value.contains(&0) => (event.id, touched) = (Some(words()), true),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                (event.retry_ms, touched) = (words().parse().ok(), true);
            }
            _ => {}
        }
    }
    events
}

fn assert_written(event: &Event) {
    let name = event.event.as_deref().unwrap_or("message");
    let written = named_event(name, event.id.as_deref(), &event.data);
    let want = Event { event: Some(name.to_owned()), retry_ms: None, ..event.clone() };
    assert_eq!(read(usize::MAX, &[&written]), (vec![want], Ok(())), "written and read");
    if let Some(id) = &event.id {
        let want = Event { event: None, data: Bytes::new(), ..event.clone() };
        let written = priming(id, event.retry_ms);
        assert_eq!(read(usize::MAX, &[&written]), (vec![want], Ok(())), "an id written and read");
    }
}
