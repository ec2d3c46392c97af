//! What came of a simulated year.

use std::fmt::Write as _;

use serde::Serialize;

use crate::ruleset::Risk;
use crate::state::Status;

/// What became of one proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its number.
    pub id: u64,
    /// The day on which it came.
    pub day: u32,
    /// Its domain.
    pub domain: Option<String>,
    /// How much harm it can do.
    pub risk: Risk,
    /// Where it ended.
    pub status: Status,
    /// Whether its domain accepted it.
    pub by_domain: bool,
    /// Days from its coming to its acceptance.
    pub days_to_acceptance: Option<u32>,
    /// Days from the first moment of its review to its acceptance.
    pub days_in_review: Option<u32>,
    /// What the core did about it.
    pub core_acts: u32,
    /// What others did.
    pub acts: u32,
}

/// What came of a year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Each proposal.
    pub rows: Vec<Row>,
}

/// How numbers are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half are at most this.
    pub median: u32,
    /// Nine of ten are at most this.
    pub p90: u32,
}

impl Spread {
    fn of(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        let at = |percent: usize| {
            let index = (numbers.len() * percent).div_ceil(100).saturating_sub(1);
            numbers.get(index).copied().unwrap_or(0)
        };
        Self { count: numbers.len(), median: at(50), p90: at(90) }
    }
}

impl Figures {
    /// Days from coming to acceptance.
    #[must_use]
    pub fn waiting(&self) -> Spread {
        Spread::of(self.rows.iter().filter_map(|row| row.days_to_acceptance).collect())
    }

    /// Days from the beginning of a review to acceptance.
    #[must_use]
    pub fn review(&self) -> Spread {
        Spread::of(self.rows.iter().filter_map(|row| row.days_in_review).collect())
    }

    /// What the core did in all.
    #[must_use]
    pub fn core_acts(&self) -> u32 {
        self.rows.iter().map(|row| row.core_acts).sum()
    }

    /// What everybody else did.
    #[must_use]
    pub fn other_acts(&self) -> u32 {
        self.rows.iter().map(|row| row.acts).sum()
    }

    /// Proposals that ended in a state.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }

    /// Proposals that were accepted at some time.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.waiting().count
    }

    /// So many of a hundred acceptances are the domains'.
    #[must_use]
    pub fn by_domain_percent(&self) -> usize {
        let own = self.rows.iter().filter(|row| row.by_domain).count();
        (own * 100).checked_div(self.accepted()).unwrap_or(0)
    }

    /// A line of figures, and its heading.
    #[must_use]
    pub fn summary(&self, name: &str) -> String {
        let (waiting, review) = (self.waiting(), self.review());
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {}% |",
            self.rows.len(),
            self.accepted(),
            self.count(Status::Rejected),
            waiting.median,
            waiting.p90,
            review.median,
            review.p90,
            self.core_acts(),
            self.by_domain_percent(),
        )
    }

    /// The heading of [`Figures::summary`].
    pub const HEADING: &str = "| | came | accepted | rejected | days, median | days, p90 | in review, median \
        | in review, p90 | acts of the core | decided in domains |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

    /// All rows, as comma-separated values with a heading.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text =
            "id,day,domain,risk,status,by_domain,days_to_acceptance,days_in_review,core_acts,acts\n"
                .to_owned();
        let number = |n: Option<u32>| n.map_or_else(String::new, |n| n.to_string());
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{},{},{},{},{},{},{},{},{},{}",
                row.id,
                row.day,
                row.domain.as_deref().unwrap_or_default(),
                row.risk.as_str(),
                row.status.as_str(),
                row.by_domain,
                number(row.days_to_acceptance),
                number(row.days_in_review),
                row.core_acts,
                row.acts,
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_the_numbers_themselves() {
        let spread = Spread::of((1..=10).rev().collect());
        assert_eq!((spread.count, spread.median, spread.p90), (10, 5, 9));
        assert_eq!(Spread::of(vec![7]), Spread { count: 1, median: 7, p90: 7 });
        assert_eq!(Spread::of(Vec::new()), Spread { count: 0, median: 0, p90: 0 });
    }
}
