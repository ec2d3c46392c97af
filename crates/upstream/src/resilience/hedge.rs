//! After how long a request counts as slow: after a fixed time, or later than most like it were answered.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::Method;

/// When a second request is sent beside one that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After this.
    Fixed(Duration),
    /// After the time in which 95 of a hundred of the last ones of their kind were answered.
    P95,
}

/// Answers of each kind that are remembered.
const WINDOW: usize = 256;
/// With fewer nobody knows what is slow.
const KNOWN_MIN: usize = 20;
/// A timer is no finer.
const AFTER_MIN: Duration = Duration::from_millis(1);
/// Kinds of calls, each of which takes its own time.
const KINDS: usize = 4;

/// How long the last calls of one server took, of each kind.
#[derive(Debug, Default)]
pub(crate) struct Latencies([Mutex<Window>; KINDS]);

#[derive(Debug, Default)]
struct Window {
    micros: Vec<u32>,
    next: usize,
}

fn kind(method: &Method) -> usize {
    match method {
        Method::ToolsCall => 0,
        Method::ResourcesRead => 1,
        Method::PromptsGet | Method::Complete => 2,
        _ => 3,
    }
}

impl Latencies {
    fn with<T>(&self, method: &Method, look: impl FnOnce(&mut Window) -> T) -> T {
        look(&mut self.0[kind(method)].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A call was answered after this time, counted from its first request. So one that was answered by the
    /// second one counts as slow, as it was, and what is learned does not shrink by what is done about it.
    pub fn learn(&self, method: &Method, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        self.with(method, |window| {
            if window.micros.len() < WINDOW {
                window.micros.push(micros);
            } else {
                window.micros[window.next] = micros;
            }
            window.next = (window.next + 1) % WINDOW;
        });
    }

    /// The time in which 95 of a hundred were answered; `None`: too few were to say.
    pub fn p95(&self, method: &Method) -> Option<Duration> {
        let mut micros = self.with(method, |window| window.micros.clone());
        if micros.len() < KNOWN_MIN {
            return None;
        }
        // The smallest that no more than five of a hundred are above.
        let at = (micros.len() * 95).div_ceil(100) - 1;
        let (_, found, _) = micros.select_nth_unstable(at);
        Some(Duration::from_micros(u64::from(*found)).max(AFTER_MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn no_more_than_five_of_a_hundred_were_slower() {
        let known = Latencies::default();
        for took in (1..=100).rev() {
            known.learn(&Method::ResourcesRead, ms(took));
        }
        assert_eq!(known.p95(&Method::ResourcesRead), Some(ms(95)));
        assert_eq!(known.p95(&Method::ToolsCall), None, "each kind has its own");
    }

    #[test]
    fn with_few_answers_nothing_is_known_and_what_is_long_ago_is_forgotten() {
        let known = Latencies::default();
        for _ in 1..KNOWN_MIN {
            known.learn(&Method::ToolsCall, ms(7));
        }
        assert_eq!(known.p95(&Method::ToolsCall), None);
        known.learn(&Method::ToolsCall, ms(7));
        assert_eq!(known.p95(&Method::ToolsCall), Some(ms(7)));
        for _ in 0..WINDOW {
            known.learn(&Method::ToolsCall, ms(40));
        }
        assert_eq!(known.p95(&Method::ToolsCall), Some(ms(40)));
        assert!(known.with(&Method::ToolsCall, |window| window.micros.len()) == WINDOW, "it is bounded");
    }

    #[test]
    fn nothing_is_slow_before_a_timer_could_tell() {
        let known = Latencies::default();
        for _ in 0..KNOWN_MIN {
            known.learn(&Method::ToolsList, Duration::from_micros(90));
        }
        assert_eq!(known.p95(&Method::ToolsList), Some(AFTER_MIN));
    }
}
