//! How far something is, on a terminal and nowhere else.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

/// How often the line is drawn anew.
const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 24;

/// A line on stderr that is drawn anew; nothing where that is no terminal.
pub struct Bar {
    next: Option<Instant>,
    begun: Instant,
    drawn: bool,
}

impl Bar {
    /// None is drawn yet.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { next: std::io::stderr().is_terminal().then_some(now), begun: now, drawn: false }
    }

    /// So much is done of what is known to be there.
    pub fn show(&mut self, done: u64, known: u64, what: &str) {
        let now = Instant::now();
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = Some(now + EVERY);
        self.drawn = true;
        let rate = done as f64 / now.duration_since(self.begun).as_secs_f64().max(0.001);
        let text = format!("\r\u{1b}[K{} {done} of {known} {what}, {rate:.0}/s", bar(done, known));
        let mut err = std::io::stderr().lock();
        // A terminal that went away is no reason to stop.
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            let mut err = std::io::stderr().lock();
            let _ = err.write_all(b"\r\x1b[K").and_then(|()| err.flush());
        }
    }
}

fn bar(done: u64, known: u64) -> String {
    let share = (done.min(known) as f64 / known.max(1) as f64 * WIDTH as f64) as usize;
    format!("[{}{}]", "#".repeat(share), "-".repeat(WIDTH - share))
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 0), format!("[{}]", "-".repeat(24)));
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(12), "-".repeat(12)));
        assert_eq!(bar(9, 3), format!("[{}]", "#".repeat(24)));
    }
}
