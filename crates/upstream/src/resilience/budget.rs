//! How many further attempts there may be: a share of the calls, and a few besides.

use std::sync::atomic::{AtomicU64, Ordering};

/// The parts of one attempt.
const ONE: u64 = 100;

/// What is left for further attempts of all calls on one server.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    left: AtomicU64,
    max: u64,
    /// What each call adds, in parts.
    adds: u64,
}

impl RetryBudget {
    /// So many besides, at most at a time, and so many of a hundred calls.
    pub fn new(besides: u64, percent: u64) -> Self {
        let max = besides.saturating_mul(ONE).max(if percent > 0 { ONE } else { 0 });
        Self { left: AtomicU64::new(besides.saturating_mul(ONE)), max, adds: percent }
    }

    /// A call is made.
    pub fn call(&self) {
        let add = |left: u64| Some(left.saturating_add(self.adds).min(self.max));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Further attempts that there may be now.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed) / ONE
    }

    /// Takes a further attempt, where there is one.
    pub fn take(&self) -> bool {
        let take = |left: u64| left.checked_sub(ONE);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_few_attempts_and_a_share_of_the_calls() {
        let budget = RetryBudget::new(3, 20);
        let mut taken = 0;
        for _ in 0..1_000 {
            budget.call();
            taken += u32::from(budget.take());
        }
        assert!((200..=203).contains(&taken), "{taken}");
        assert_eq!(RetryBudget::new(3, 20).left(), 3);
        let none = RetryBudget::new(0, 0);
        none.call();
        assert!(!none.take());
        let rare = RetryBudget::new(0, 10);
        assert!(!rare.take());
        (0..10).for_each(|_| rare.call());
        assert!(rare.take() && !rare.take());
    }
}
