//! A year under a ruleset: how long proposals wait, who does the work, and what delegation changes.
//!
//! The engine is the real one; only people are made up. What they do follows from [`Habits`] and a seed, and
//! so do the proposals of [`stream`]: a comparison of two rulesets has the same proposals and the same
//! people.

mod figures;
mod people;
mod plot;
mod stream;

pub use figures::{Figures, Row, Spread};
pub use people::Habits;
pub use plot::plot;
pub use stream::{Arrival, Parameters, stream};

use crate::engine::Engine;
use crate::time::Date;
use model::Timestamp;

/// The first day of every simulated year, a Monday.
const FIRST_DAY: Date = Date { year: 2027, month: 1, day: 4 };

/// The morning of a simulated day.
fn morning(day: u32) -> Timestamp {
    Timestamp(FIRST_DAY.start().0 + u64::from(day) * 24 * 3_600_000 + 9 * 3_600_000)
}

/// Lets people work on proposals until all have come and had their time.
#[must_use]
pub fn simulate(engine: &Engine, arrivals: &[Arrival], habits: &Habits) -> Figures {
    let last = arrivals.iter().map(|arrival| arrival.day).max().unwrap_or(0);
    let mut year = people::Year::new(engine, habits);
    for day in 0..=last.saturating_add(habits.days_after) {
        year.day(day, arrivals);
    }
    year.figures(arrivals)
}
