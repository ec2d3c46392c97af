//! What replicas may use together: a rate, or so much of something in a day or a month.
//!
//! A replica leases a part ahead of need and hands it out itself. What a row says was used is what was
//! leased, so that all replicas together never hand out more than there is, whatever becomes of one of them.

use async_trait::async_trait;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::row::ms;

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// So much from `start` on, until somebody asks with a later start.
    Window {
        /// When it began.
        start: Timestamp,
        /// How much there is.
        max: u64,
    },
    /// At most `max` at a time, to which `refill` come in each `per_ms`, evenly.
    Bucket {
        /// The most that waits to be used.
        max: u64,
        /// How much comes.
        refill: u64,
        /// In how long, in milliseconds.
        per_ms: u64,
    },
}

/// What somebody wants of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetAsk<'a> {
    /// Of which.
    pub name: &'a str,
    /// How much there is of it.
    pub budget: Budget,
    /// How much is wanted.
    pub want: u64,
    /// Now.
    pub now: Timestamp,
    /// When nobody needs to know any more how much was used.
    pub expires: Timestamp,
}

/// What was given of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetGrant {
    /// How much: what was wanted, or what there was.
    pub granted: u64,
    /// How much is left for others.
    pub left: u64,
    /// How long until there is one more, in milliseconds; 0 where there is one. `None`: not before the next
    /// window.
    pub wait_ms: Option<u64>,
}

/// How much of a budget was leased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRow {
    /// What it is found by.
    pub name: String,
    /// When the window began, or up to when the bucket was refilled.
    #[serde(with = "ms")]
    pub at: Timestamp,
    /// How much was leased and has not come back, in parts.
    pub used: u64,
    /// How many parts one has: what comes into a bucket in a millisecond is rarely a whole one.
    pub unit: u64,
    /// When it can be forgotten.
    #[serde(with = "ms")]
    pub expires: Timestamp,
}

impl BudgetRow {
    /// How much is used, in whole ones, at this time.
    #[must_use]
    pub fn used_at(&self, budget: Budget, now: Timestamp) -> u64 {
        let row = self.turned(budget, now);
        row.used.div_ceil(row.unit.max(1))
    }

    /// The row as it is at this time, in the budget's own parts.
    fn turned(&self, budget: Budget, now: Timestamp) -> Self {
        let mut row = self.clone();
        let unit = unit(budget);
        if row.unit != unit {
            let parts = u128::from(row.used) * u128::from(unit) / u128::from(row.unit.max(1));
            row.used = u64::try_from(parts).unwrap_or(u64::MAX);
            row.unit = unit;
        }
        match budget {
            // A later window stays as it is: whoever asks has a clock that is behind.
            Budget::Window { start, .. } if row.at < start => (row.at, row.used) = (start, 0),
            Budget::Window { .. } => {}
            Budget::Bucket { refill, .. } => {
                let passed = now.0.saturating_sub(row.at.0);
                row.used = row.used.saturating_sub(passed.saturating_mul(refill));
                row.at = row.at.max(now);
            }
        }
        row
    }

    /// What the row becomes where somebody asks, and what he is given, for every backend alike.
    #[must_use]
    pub fn lease(row: Option<&Self>, ask: &BudgetAsk<'_>) -> (Self, BudgetGrant) {
        let unit = unit(ask.budget);
        let (max, began) = match ask.budget {
            Budget::Window { start, max } => (max, start),
            Budget::Bucket { max, .. } => (max, ask.now),
        };
        let new = || Self { name: ask.name.to_owned(), at: began, used: 0, unit, expires: ask.expires };
        let mut row = row.map_or_else(new, |row| row.turned(ask.budget, ask.now));
        let all = max.saturating_mul(unit);
        let free = all.saturating_sub(row.used) / unit;
        let granted = ask.want.min(free);
        row.used = row.used.saturating_add(granted.saturating_mul(unit));
        row.expires = row.expires.max(ask.expires);
        let left = free - granted;
        let wait_ms = match ask.budget {
            _ if left > 0 => Some(0),
            Budget::Window { .. } => None,
            Budget::Bucket { refill, .. } => {
                let over = row.used.saturating_add(unit).saturating_sub(all);
                Some(over.div_ceil(refill.max(1)))
            }
        };
        (row, BudgetGrant { granted, left, wait_ms })
    }

    /// The row where so much of what was leased comes back unused. Of another window than the row's nothing
    /// comes back.
    #[must_use]
    pub fn returned(&self, budget: Budget, amount: u64) -> Self {
        match budget {
            Budget::Window { start, .. } if start != self.at => self.clone(),
            Budget::Window { .. } | Budget::Bucket { .. } => {
                let parts = amount.saturating_mul(self.unit);
                Self { used: self.used.saturating_sub(parts), ..self.clone() }
            }
        }
    }
}

fn unit(budget: Budget) -> u64 {
    match budget {
        Budget::Window { .. } => 1,
        Budget::Bucket { per_ms, .. } => per_ms.max(1),
    }
}

/// Reading budgets. What is promised for [`crate::Store`] holds here, too.
#[async_trait]
pub trait BudgetStore: Send + Sync {
    /// Budgets whose names begin so, by name, after the one of the name `after` where that is given; at most
    /// `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn budgets(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BudgetRow>, StoreError>;
}

/// Changing budgets. What is promised for [`crate::Tx`] holds here, too.
#[async_trait]
pub trait BudgetTx: Send {
    /// Leases of a budget what is wanted, or what there is. All leases together never have more than there
    /// is, whoever takes them at the same time.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn budget_lease(&mut self, ask: &BudgetAsk<'_>) -> Result<BudgetGrant, StoreError>;

    /// Gives back what was leased and not used. Says whether there is such a budget.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn budget_return(&mut self, name: &str, budget: Budget, amount: u64) -> Result<bool, StoreError>;

    /// Forgets budgets that have expired, at most `limit`. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn budget_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(budget: Budget, want: u64, now: u64) -> BudgetAsk<'static> {
        BudgetAsk { name: "b", budget, want, now: Timestamp(now), expires: Timestamp(now + 1_000_000) }
    }

    #[test]
    fn a_bucket_says_when_there_is_one_more() {
        let budget = Budget::Bucket { max: 2, refill: 100, per_ms: 60_000 };
        let (row, grant) = BudgetRow::lease(None, &ask(budget, 5, 1_000));
        assert_eq!(grant, BudgetGrant { granted: 2, left: 0, wait_ms: Some(600) });
        let (row, grant) = BudgetRow::lease(Some(&row), &ask(budget, 1, 1_599));
        assert_eq!((grant.granted, grant.wait_ms), (0, Some(1)));
        let (_, grant) = BudgetRow::lease(Some(&row), &ask(budget, 1, 1_600));
        assert_eq!((grant.granted, grant.wait_ms), (1, Some(600)));
    }

    #[test]
    fn a_window_ends_with_the_next_one_and_not_by_a_clock_that_is_behind() {
        let at = |start| Budget::Window { start: Timestamp(start), max: 10 };
        let (row, _) = BudgetRow::lease(None, &ask(at(100), 10, 150));
        let (row, grant) = BudgetRow::lease(Some(&row), &ask(at(200), 8, 210));
        assert_eq!((grant.granted, row.at, row.used), (8, Timestamp(200), 8));
        let (row, grant) = BudgetRow::lease(Some(&row), &ask(at(100), 8, 199));
        assert_eq!((grant.granted, grant.wait_ms, row.at), (2, None, Timestamp(200)));
        assert_eq!(row.returned(at(100), 5), row, "it is of another window");
        assert_eq!(row.returned(at(200), 5).used, 5);
    }

    #[test]
    fn a_budget_of_another_rate_goes_on_with_what_was_used() {
        let slow = Budget::Bucket { max: 10, refill: 1, per_ms: 60_000 };
        let fast = Budget::Bucket { max: 10, refill: 1, per_ms: 1_000 };
        let (row, _) = BudgetRow::lease(None, &ask(slow, 6, 0));
        let (_, grant) = BudgetRow::lease(Some(&row), &ask(fast, 10, 0));
        assert_eq!(grant.granted, 4);
    }

    proptest! {
        #[test]
        fn a_bucket_never_gives_more_than_came_into_it(
            max in 1_u64..50,
            refill in 1_u64..2_000,
            per_ms in prop_oneof![Just(1_000_u64), Just(60_000), Just(3_600_000)],
            steps in prop::collection::vec((0_u64..5_000, 0_u64..80, 0_u64..10), 1..80),
        ) {
            let budget = Budget::Bucket { max, refill, per_ms };
            let (mut row, mut given, mut latest, mut clock) = (None::<BudgetRow>, 0_u64, 0, 10_000);
            let mut first = None;
            for (step, want, behind) in steps {
                clock += step;
                // Replicas' clocks differ: one that is behind brings nothing back.
                let now = clock - behind * 100;
                latest = latest.max(now);
                let first = *first.get_or_insert(now);
                let (next, grant) = BudgetRow::lease(row.as_ref(), &ask(budget, want, now));
                row = Some(next);
                given += grant.granted;
                let came = u128::from(latest - first) * u128::from(refill) / u128::from(per_ms);
                prop_assert!(u128::from(given) <= u128::from(max) + came, "{given} of {max} and {came}");
            }
        }

        #[test]
        fn whoever_wants_all_of_a_bucket_gets_all_that_comes(refill in 1_u64..500, every in 1_u64..500) {
            let (max, per_ms, time) = (1_000, 60_000, 120_000);
            let budget = Budget::Bucket { max, refill, per_ms };
            let (mut row, mut given, mut now) = (None, 0, 0);
            while now <= time {
                let (next, grant) = BudgetRow::lease(row.as_ref(), &ask(budget, u64::MAX, now));
                row = Some(next);
                given += grant.granted;
                now += every;
            }
            prop_assert_eq!(given, max + (now - every) * refill / per_ms);
        }
    }
}
