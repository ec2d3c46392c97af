//! What came out of a cell, for people and for programs.

use super::cell::Cell;
use super::ratchet::{Ratchet, Verdict};
use super::results::{Scenario, Status};
use crate::Result;
use crate::run::Counts;
use serde_json::{Value, json};
use std::path::Path;

/// A cell's results and how they compare with the list.
#[derive(Debug)]
pub struct Report {
    pub cell: Cell,
    scenarios: Vec<(Scenario, Verdict)>,
    /// What is wrong besides the scenarios' own results.
    faults: Vec<String>,
}

impl Report {
    /// Compares the results of a cell with the list. Only a whole run tells which listed scenarios are gone.
    pub fn judge(cell: Cell, scenarios: Vec<Scenario>, ratchet: &Ratchet, whole: bool) -> Self {
        let faults = if whole { ratchet.unknown(cell.name, &scenarios) } else { Vec::new() };
        let judged = scenarios.into_iter().map(|scenario| {
            let verdict = ratchet.judge(cell.name, &scenario);
            (scenario, verdict)
        });
        Self { cell, scenarios: judged.collect(), faults }
    }

    /// The report of a cell that could not run.
    pub fn broken(cell: Cell, message: String) -> Self {
        Self { cell, scenarios: Vec::new(), faults: vec![message] }
    }

    /// The report, with the checks that pass without the gateway and were not made through it.
    pub fn compared_with(mut self, others: &[Self], ratchet: &Ratchet) -> Self {
        let control =
            self.cell.control().and_then(|name| others.iter().find(|other| other.cell.name == name));
        for (direct, _) in control.into_iter().flat_map(|control| &control.scenarios) {
            let through = self.scenarios.iter().find(|(scenario, _)| scenario.name == direct.name);
            let Some((through, _)) = through else { continue };
            // What fails is told by the comparison with the list.
            let told = through.failures();
            let lost = direct.successes().into_iter().filter(|id| !told.contains_key(id));
            let lost: Vec<_> = lost.filter(|id| !through.successes().contains(id)).collect();
            let known = ratchet.not_made(self.cell.name, direct.name.as_str());
            let made = known.iter().filter(|id| !lost.contains(id));
            self.faults.extend(made.map(|id| format!("{}:{id} is listed as not made, and is", direct.name)));
            let lost: Vec<_> = lost.into_iter().filter(|id| !known.contains(id)).collect();
            if !lost.is_empty() {
                let what = format!(
                    "{}: passes directly, and was not even checked: {}",
                    direct.name,
                    lost.join(", ")
                );
                self.faults.push(what);
            }
        }
        self
    }

    /// How many scenarios went how; a fault of the cell itself counts as one that failed.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { failed: self.faults.len(), ..Counts::default() };
        for (scenario, verdict) in &self.scenarios {
            match verdict {
                Verdict::Passed if scenario.checked_nothing() => counts.skipped += 1,
                Verdict::Passed => counts.passed += 1,
                Verdict::Expected => counts.expected += 1,
                Verdict::Failed(_) => counts.failed += 1,
            }
        }
        counts
    }

    /// Prints what is not as the list says.
    pub fn print(&self) {
        let name = self.cell.name;
        for fault in &self.faults {
            println!("{name}: {fault}");
        }
        for (_, verdict) in &self.scenarios {
            if let Verdict::Failed(lines) = verdict {
                lines.iter().for_each(|line| println!("{name}: {line}"));
            }
        }
    }

    /// How many scenarios passed and failed, expected or not. One that checked nothing did neither.
    fn passed_and_failed(&self, scored: bool) -> (usize, usize) {
        let mut sums = (0, 0);
        for (scenario, _) in self.scenarios.iter().filter(|(s, _)| s.not_scored.is_none() == scored) {
            sums.0 += usize::from(scenario.failures().is_empty() && !scenario.checked_nothing());
            sums.1 += usize::from(!scenario.failures().is_empty());
        }
        sums
    }

    fn checks(&self) -> (usize, usize) {
        let sum = |status| self.scenarios.iter().map(|(scenario, _)| scenario.count(status)).sum();
        (sum(Status::Success), sum(Status::Failure))
    }

    fn json(&self) -> Value {
        let scenarios: Vec<Value> =
            self.scenarios.iter().map(|(s, verdict)| scenario_json(s, verdict)).collect();
        let ((passed, failed), (not_scored_passed, not_scored_failed)) =
            (self.passed_and_failed(true), self.passed_and_failed(false));
        let (checks_passed, checks_failed) = self.checks();
        json!({
            "cell": self.cell.name,
            "requirements": self.cell.revision,
            "scored": { "passed": passed, "failed": failed },
            "not_scored": { "passed": not_scored_passed, "failed": not_scored_failed },
            "checks": { "passed": checks_passed, "failed": checks_failed },
            "faults": self.faults,
            "scenarios": scenarios,
        })
    }
}

fn scenario_json(scenario: &Scenario, verdict: &Verdict) -> Value {
    let word = match verdict {
        Verdict::Passed if scenario.checked_nothing() => "skipped by the suite",
        Verdict::Passed => "passed",
        Verdict::Expected => "expected failure",
        Verdict::Failed(_) => "not as expected",
    };
    json!({
        "scenario": scenario.name,
        "verdict": word,
        "not_scored": scenario.not_scored,
        "checks_passed": scenario.count(Status::Success),
        "warnings": scenario.count(Status::Warning),
        "failures": scenario.failures(),
    })
}

/// Prints one line per cell.
pub fn print_table(reports: &[Report]) {
    println!(
        "\n{:<20} {:>8} {:>8}   {:<22} {:<20} as expected",
        "cell", "passed", "failed", "not scored", "checks"
    );
    for report in reports {
        let (passed, failed) = report.passed_and_failed(true);
        let (other_passed, other_failed) = report.passed_and_failed(false);
        let (checks, bad_checks) = report.checks();
        println!(
            "{:<20} {passed:>8} {failed:>8}   {:<22} {:<20} {}",
            report.cell.name,
            format!("{other_passed} passed, {other_failed} failed"),
            format!("{checks} of {}", checks + bad_checks),
            if report.counts().failed == 0 { "yes" } else { "NO" },
        );
    }
}

/// Writes everything for programs.
pub fn write_summary(folder: &Path, version: &str, reports: &[Report]) -> Result {
    let cells: Vec<Value> = reports.iter().map(Report::json).collect();
    let summary = json!({ "suite": version, "cells": cells });
    let path = folder.join("summary.json");
    let text = serde_json::to_string_pretty(&summary).map_err(|e| e.to_string())?;
    std::fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::cell::CELLS;
    use super::super::results::Check;
    use super::*;

    #[test]
    fn a_scenario_without_results_fails_its_cell() {
        let mut scenario = Scenario { name: "ping".to_owned(), ..Scenario::default() };
        scenario.must_have_checked();
        let report = Report::judge(CELLS[0], vec![scenario], &Ratchet::default(), true);
        assert_eq!(report.counts(), Counts { failed: 1, ..Counts::default() });
        assert_eq!(report.passed_and_failed(true), (0, 1));
    }

    #[test]
    fn a_cell_that_could_not_run_has_failed() {
        let report = Report::broken(CELLS[0], "no server".to_owned());
        assert_eq!(report.counts(), Counts { failed: 1, ..Counts::default() });
    }

    fn report(cell: &str, passed: &[&str], failed: &[&str]) -> Report {
        let cell = CELLS.into_iter().find(|known| known.name == cell).expect("a cell");
        let check = |id: &str, status| Check { id: id.to_owned(), status, message: String::new() };
        let mut checks: Vec<_> = passed.iter().map(|id| check(id, Status::Success)).collect();
        checks.extend(failed.iter().map(|id| check(id, Status::Failure)));
        let scenario = Scenario { name: "ping".to_owned(), not_scored: None, checks };
        Report::judge(cell, vec![scenario], &Ratchet::default(), true)
    }

    #[test]
    fn what_passes_directly_must_be_checked_through_the_gateway_of_the_same_era() {
        let direct = [report("direct_2026-07-28", &["a", "b", "c"], &[])];
        let through = report("2026-07-28_modern", &["a"], &["b"]).compared_with(&direct, &Ratchet::default());
        assert_eq!(through.faults, ["ping: passes directly, and was not even checked: c"]);
        assert!(
            report("2026-07-28_modern", &["a", "b", "c"], &[])
                .compared_with(&direct, &Ratchet::default())
                .faults
                .is_empty()
        );
        assert!(
            report("2026-07-28_legacy", &["a"], &[])
                .compared_with(&direct, &Ratchet::default())
                .faults
                .is_empty()
        );
        assert!(
            report("2026-07-28_modern", &["a"], &[])
                .compared_with(&[], &Ratchet::default())
                .faults
                .is_empty()
        );
    }
}
