//! How often something may fail.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::Timestamp;

/// How many failures in a row are looked at.
const BURST: u64 = 60;
/// After how long one more may fail.
const EVERY: Duration = Duration::from_secs(1);

/// Bounds failures: where there were too many, nothing more is looked at for a moment. So nobody guesses on
/// and on, and the log stays readable. Everybody who comes is on this machine, or behind one proxy, so there
/// is nothing to tell one from another by.
#[derive(Debug, Default)]
pub struct Bound {
    /// Until when the failures so far are paid for, at one in [`EVERY`].
    paid: Mutex<Timestamp>,
}

impl Bound {
    /// How long nothing is looked at; `None`: it is.
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        let paid = *self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let free = EVERY.saturating_mul(u32::try_from(BURST - 1).unwrap_or(u32::MAX));
        paid.since(now).checked_sub(free).filter(|wait| !wait.is_zero())
    }

    /// What was taken for a failure is none.
    pub fn succeeded(&self) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        paid.0 = paid.0.saturating_sub(u64::try_from(EVERY.as_millis()).unwrap_or(0));
    }

    /// Something has failed.
    pub fn failed(&self, now: Timestamp) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(now).plus(EVERY);
    }
}

/// How many wrong secrets are remembered.
const WRONG_MAX: usize = 16;

/// The last secrets that were wrong, by their hashes. Whoever brings one again guesses nothing: a program
/// that was forgotten when a token changed must not keep others out.
#[derive(Debug, Default)]
pub struct Wrong(Mutex<VecDeque<[u8; 32]>>);

impl Wrong {
    /// Whether this one is known.
    pub fn has(&self, hash: &[u8; 32]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    /// One more.
    pub fn add(&self, hash: [u8; 32]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == WRONG_MAX {
            known.pop_front();
        }
        known.push_back(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_sixty_failures_one_a_second_is_looked_at() {
        let (bound, mut now) = (Bound::default(), Timestamp(1_000_000));
        for count in 0..60 {
            assert_eq!(bound.wait(now), None, "{count}");
            bound.failed(now);
        }
        assert_eq!(bound.wait(now), Some(Duration::from_secs(1)));
        now = now.plus(Duration::from_millis(999));
        assert!(bound.wait(now).is_some());
        now = now.plus(Duration::from_millis(1));
        assert_eq!(bound.wait(now), None);
        bound.failed(now);
        assert!(bound.wait(now).is_some(), "and one alone");
        now = now.plus(Duration::from_secs(60));
        for count in 0..60 {
            assert_eq!(bound.wait(now), None, "{count}, after a minute");
            bound.failed(now);
        }
        assert!(bound.wait(now).is_some());
    }

    #[test]
    fn of_wrong_secrets_the_last_sixteen_are_known() {
        let wrong = Wrong::default();
        for byte in 0..17 {
            assert!(!wrong.has(&[byte; 32]));
            wrong.add([byte; 32]);
        }
        assert!(!wrong.has(&[0; 32]) && (1..17).all(|byte| wrong.has(&[byte; 32])));
    }
}
