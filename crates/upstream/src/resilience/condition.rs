//! How a server or one of its addresses is, by checks of the gateway's own: one bad answer says little,
//! several in a row say that it is down.

use std::time::Duration;

/// How it is found out how a server is, without waiting for calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthOptions {
    /// How often, about.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// What to get of each address; `None`: a request of the protocol that does nothing.
    pub path: Option<String>,
    /// After so many failures in a row it is down.
    pub down_after: u32,
    /// After so many good answers in a row it is up again.
    pub up_after: u32,
}

/// What checks say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl Condition {
    /// In one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What the last checks of one thing said.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    condition: Condition,
    /// Answers in a row that contradict it.
    against: u32,
}

impl Gauge {
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Takes note of a check, and gives what is so from now on where it was not before.
    pub fn learn(&mut self, well: bool, options: &HealthOptions) -> Option<Condition> {
        let (next, enough) = match (self.condition, well) {
            (Condition::Up, true) | (Condition::Down, false) => {
                self.against = 0;
                return None;
            }
            // Of what nothing is known one good answer says enough.
            (Condition::Unknown, true) => (Condition::Up, 1),
            (Condition::Down, true) => (Condition::Up, options.up_after),
            (Condition::Unknown | Condition::Up, false) => (Condition::Down, options.down_after),
        };
        self.against = self.against.saturating_add(1);
        if self.against < enough {
            return None;
        }
        (self.condition, self.against) = (next, 0);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> HealthOptions {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(2));
        HealthOptions { interval, timeout, path: None, down_after: 3, up_after: 2 }
    }

    fn after(checks: &str) -> (Gauge, Vec<Condition>) {
        let mut gauge = Gauge::default();
        let changes = checks.chars().filter_map(|check| gauge.learn(check == '+', &options())).collect();
        (gauge, changes)
    }

    #[test]
    fn one_good_answer_is_enough_at_the_beginning_and_failures_have_to_be_several_in_a_row() {
        use Condition::{Down, Unknown, Up};
        for (checks, condition, changes) in [
            ("", Unknown, vec![]),
            ("+", Up, vec![Up]),
            ("--", Unknown, vec![]),
            ("---", Down, vec![Down]),
            ("+--+--+--", Up, vec![Up]),
            ("+---", Down, vec![Up, Down]),
            ("---+", Down, vec![Down]),
            ("---+-+", Down, vec![Down]),
            ("---++", Up, vec![Down, Up]),
        ] {
            let (gauge, seen) = after(checks);
            assert_eq!((gauge.condition(), seen), (condition, changes), "{checks}");
        }
    }

    #[test]
    fn a_good_answer_among_failures_begins_the_count_anew_also_before_anything_is_known() {
        assert_eq!(after("--+--").0.condition(), Condition::Up);
        assert_eq!(after("--+---").0.condition(), Condition::Down);
    }
}
