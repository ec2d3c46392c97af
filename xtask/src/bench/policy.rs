//! What it costs to decide by policies, without a network: 500 policies and 2,000 tools.

use super::Measured;
use super::figure::{Bound, Figure};
use super::stage::{Stage, number};
use crate::Result;

/// What is measured: its place in what the client prints, its name, what it is, and the most that it may be.
const HELD: [(&str, &str, &str, Bound); 6] = [
    ("/decide/p50_us", "policy_decide", "a decision, warm, p50", Bound::AtMost(20.0)),
    ("/decide/p99_us", "policy_decide_p99", "a decision, warm, p99", Bound::None),
    (
        "/decide_forbidden/p50_us",
        "policy_forbidden",
        "a decision against a rule on an argument, p50",
        Bound::AtMost(20.0),
    ),
    ("/list_again/p50_us", "policy_list", "2,000 tools for one principal, again", Bound::AtMost(5_000.0)),
    ("/list_first/p50_us", "policy_list_first", "2,000 tools for one principal, the first time", Bound::None),
    ("/load_ms", "policy_load", "to read and check the policies", Bound::None),
];

/// The engine in a process of its own.
pub fn run(stage: &Stage) -> Result<Measured> {
    let (count, lists) = (stage.choose("20000", "2000"), stage.choose("50", "5"));
    let mut rounds = Vec::new();
    for _ in 0..stage.options.rounds {
        rounds.push(stage.client(&["decide", "--count", count, "--lists", lists])?);
    }
    let mut figures = Vec::new();
    for (place, name, what, bound) in HELD {
        let all = rounds.iter().map(|round| number(round, place)).collect::<Result<Vec<f64>>>()?;
        let unit = if place == "/load_ms" { "ms" } else { "µs" };
        figures.push(Figure::of_rounds(name, what, &all, unit, bound));
    }
    Ok(Measured { figures, details: rounds.into() })
}
