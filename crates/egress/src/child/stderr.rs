//! A child's stderr: free text, kept in a small ring and offered to the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncReadExt;
use tokio::process::ChildStderr;
use tokio::sync::watch;

use super::options::StderrSink;
use super::{Exit, abandoned};
use crate::lines::LineReader;

/// The longest line of stderr that is kept, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How many bytes of stderr are kept in all.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// The last lines of a child's stderr.
#[derive(Debug)]
pub(super) struct Tail {
    lines_max: usize,
    ring: Mutex<Ring>,
    /// Whether there will be no more.
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Box<str>>,
    bytes: usize,
}

impl Tail {
    pub(super) fn new(lines_max: usize) -> Self {
        Self { lines_max, ring: Mutex::default(), ended: watch::Sender::new(false) }
    }

    /// Waits until there will be no more lines. Safe to cancel.
    pub(super) async fn ended(&self) {
        // The sender is here, so there is an end.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.lines.iter().map(|line| line.to_string()).collect()
    }

    fn push(&self, line: &str) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += line.len();
        ring.lines.push_back(line.into());
        while ring.lines.len() > self.lines_max || ring.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = ring.lines.pop_front() else { break };
            ring.bytes -= oldest.len();
        }
    }
}

/// Reads stderr to its end. A child must never block on it, so it is read whether anybody wants it or not.
pub(super) async fn read(
    mut stderr: ChildStderr,
    tail: Arc<Tail>,
    sink: Option<StderrSink>,
    mut exit: watch::Receiver<Option<Exit>>,
) {
    let mut reader = LineReader::new(LINE_BYTES_MAX);
    let mut linger = None;
    let take = |line: Result<bytes::Bytes, crate::lines::LineTooLong>| {
        let line = match &line {
            Ok(line) => String::from_utf8_lossy(line),
            Err(_too_long) => format!("[a line of more than {LINE_BYTES_MAX} bytes was left out]").into(),
        };
        tail.push(&line);
        if let Some(sink) = &sink {
            sink(&line);
        }
    };
    loop {
        let read = tokio::select! {
            biased;
            read = stderr.read_buf(reader.room()) => read,
            () = abandoned(&mut exit, &mut linger) => Ok(0),
        };
        while let Some(line) = reader.next_line() {
            take(line);
        }
        if !matches!(read, Ok(1..)) {
            break;
        }
    }
    while let Some(line) = reader.finish() {
        take(line);
    }
    tail.ended.send_replace(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_keeps_the_last_lines_within_both_limits() {
        let tail = Tail::new(2);
        ["a", "b", "c"].iter().for_each(|line| tail.push(line));
        assert_eq!(tail.lines(), ["b", "c"]);
        let tail = Tail::new(1000);
        (0..100).for_each(|_| tail.push(&"x".repeat(LINE_BYTES_MAX)));
        assert_eq!(tail.lines().len(), TAIL_BYTES_MAX / LINE_BYTES_MAX);
        let tail = Tail::new(0);
        tail.push("a");
        assert!(tail.lines().is_empty());
    }
}
