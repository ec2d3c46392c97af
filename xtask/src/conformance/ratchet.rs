//! The failures that are expected, each with its reason: a list that can only shrink.

use super::cell::CELLS;
use super::results::Scenario;
use crate::Result;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The list, below the root.
pub const FILE: &str = "conformance/expected-failures.toml";

/// Per cell, what is expected to fail.
#[derive(Debug, Default)]
pub struct Ratchet(BTreeMap<String, Vec<Expected>>);

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    scenario: String,
    /// One check; without it, any check of the scenario may fail.
    check: Option<String>,
    /// The check is not made through the gateway, though it passes without it.
    not_made: bool,
}

/// How a scenario compares with the list.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Every failure is listed.
    Expected,
    /// These lines say what is not as the list says.
    Failed(Vec<String>),
}

impl Ratchet {
    /// Understands the list.
    pub fn from_table(table: &Table) -> Result<Self> {
        let mut ratchet = Self::default();
        for (cell, list) in table {
            if !CELLS.iter().any(|known| known.name == cell) {
                return Err(format!("{FILE}: there is no cell {cell}"));
            }
            let list = list.as_array().ok_or_else(|| format!("{FILE}: {cell} is not a list"))?;
            let mut entries: Vec<Expected> = Vec::new();
            for value in list {
                let entry = entry(value).map_err(|e| format!("{FILE}: {cell}: {e}"))?;
                if entries.iter().any(|other| other.scenario == entry.scenario && overlap(other, &entry)) {
                    return Err(format!("{FILE}: {cell}: {} is listed twice", entry.scenario));
                }
                entries.push(entry);
            }
            ratchet.0.insert(cell.clone(), entries);
        }
        Ok(ratchet)
    }

    /// Compares a result with the list.
    pub fn judge(&self, cell: &str, scenario: &Scenario) -> Verdict {
        let listed: Vec<&Expected> = self.failing(cell).filter(|e| e.scenario == scenario.name).collect();
        let failures = scenario.failures();
        let mut faults = Vec::new();
        for (check, message) in &failures {
            let is_listed = listed.iter().any(|e| e.check.as_deref().is_none_or(|id| id == *check));
            if !is_listed {
                faults.push(format!("{}:{check}: {}", scenario.name, first_line(message)));
            }
        }
        for expected in listed {
            let still =
                expected.check.as_deref().map_or(!failures.is_empty(), |id| failures.contains_key(id));
            if !still {
                let id = expected.check.as_ref().map(|id| format!(":{id}")).unwrap_or_default();
                faults.push(format!("{}{id} is stale in {FILE}: it does not fail, remove it", scenario.name));
            }
        }
        match (faults.is_empty(), failures.is_empty()) {
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::Expected,
            (false, _) => Verdict::Failed(faults),
        }
    }

    fn failing(&self, cell: &str) -> impl Iterator<Item = &Expected> {
        self.0.get(cell).into_iter().flatten().filter(|e| !e.not_made)
    }

    /// The checks of a scenario that are expected not to be made through the gateway.
    pub fn not_made(&self, cell: &str, scenario: &str) -> Vec<&str> {
        let listed = self.0.get(cell).into_iter().flatten().filter(|e| e.not_made && e.scenario == scenario);
        listed.filter_map(|e| e.check.as_deref()).collect()
    }

    /// Lines about scenarios that are listed for a cell and did not run at all.
    pub fn unknown(&self, cell: &str, ran: &[Scenario]) -> Vec<String> {
        let listed = self.failing(cell);
        let gone = listed.filter(|e| !ran.iter().any(|scenario| scenario.name == e.scenario));
        gone.map(|e| format!("{} is stale in {FILE}: there is no such scenario, remove it", e.scenario))
            .collect()
    }
}

fn overlap(one: &Expected, other: &Expected) -> bool {
    one.check.is_none() || other.check.is_none() || one.check == other.check
}

fn entry(value: &Value) -> Result<Expected> {
    let table = value.as_table().ok_or("an entry is not a table")?;
    if let Some(key) = table.keys().find(|key| !["scenario", "reason", "not_made"].contains(&key.as_str())) {
        return Err(format!("unknown key {key}"));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    let (name, reason) = (text("scenario"), text("reason"));
    if name.is_empty() {
        return Err("an entry names no scenario".to_owned());
    }
    if reason.len() < 10 {
        return Err(format!("{name} is listed without a reason"));
    }
    let (scenario, check) = name.split_once(':').map_or((name, None), |(scenario, id)| (scenario, Some(id)));
    let not_made = table.get("not_made").and_then(Value::as_bool).unwrap_or(false);
    if not_made && check.is_none() {
        return Err(format!("{name}: not_made is about one check, scenario:check"));
    }
    Ok(Expected { scenario: scenario.to_owned(), check: check.map(str::to_owned), not_made })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::super::results::{Check, Status};
    use super::*;

    const CELL: &str = "2025-11-25_modern";

    fn ratchet(names: &[&str]) -> Ratchet {
        let entry =
            |name: &&str| format!("[[{CELL}]]\nscenario = '{name}'\nreason = 'because it must be so'\n");
        let text: String = names.iter().map(entry).collect();
        Ratchet::from_table(&text.parse().expect("toml")).expect("a list")
    }

    fn scenario(failed: &[&str]) -> Scenario {
        let check = |id: &str, status| Check { id: id.to_owned(), status, message: "why\nmore".to_owned() };
        let mut checks: Vec<_> = failed.iter().map(|id| check(id, Status::Failure)).collect();
        checks.push(check("good", Status::Success));
        Scenario { name: "ping".to_owned(), not_scored: None, checks }
    }

    #[test]
    fn what_is_not_listed_must_pass() {
        assert_eq!(ratchet(&[]).judge(CELL, &scenario(&[])), Verdict::Passed);
        let told = vec!["ping:a: why".to_owned()];
        assert_eq!(ratchet(&[]).judge(CELL, &scenario(&["a", "a"])), Verdict::Failed(told));
    }

    #[test]
    fn a_listed_scenario_covers_all_its_checks_and_a_listed_check_itself_alone() {
        assert_eq!(ratchet(&["ping"]).judge(CELL, &scenario(&["a", "b"])), Verdict::Expected);
        assert_eq!(ratchet(&["ping:a", "ping:b"]).judge(CELL, &scenario(&["a", "b"])), Verdict::Expected);
        let told = vec!["ping:b: why".to_owned()];
        assert_eq!(ratchet(&["ping:a"]).judge(CELL, &scenario(&["a", "b"])), Verdict::Failed(told));
    }

    #[test]
    fn a_listed_failure_that_passes_is_stale() {
        for listed in ["ping", "ping:a"] {
            let Verdict::Failed(told) = ratchet(&[listed]).judge(CELL, &scenario(&[])) else {
                panic!("{listed} is stale");
            };
            assert!(told[0].starts_with(&format!("{listed} is stale")), "{told:?}");
        }
        let verdict = ratchet(&["ping:a", "ping:b"]).judge(CELL, &scenario(&["a"]));
        assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
    }

    #[test]
    fn a_list_counts_for_its_own_cell_only() {
        let verdict = ratchet(&["ping"]).judge("2026-07-28_modern", &scenario(&["a"]));
        assert!(matches!(verdict, Verdict::Failed(_)), "{verdict:?}");
    }

    #[test]
    fn a_listed_scenario_that_does_not_exist_is_stale() {
        assert_eq!(ratchet(&["gone"]).unknown(CELL, &[scenario(&[])]).len(), 1);
        assert!(ratchet(&["ping:x"]).unknown(CELL, &[scenario(&[])]).is_empty());
    }

    #[test]
    fn lists_without_reason_or_with_unknown_cells_or_doubles_are_refused() {
        let line = "scenario = 'ping'\nreason = 'because it must be so'";
        for bad in [
            format!("[[unknown]]\n{line}"),
            format!("[[{CELL}]]\nscenario = 'ping'"),
            format!("[[{CELL}]]\nreason = 'because it must be so'"),
            format!("[[{CELL}]]\n{line}\ncheck = 'x'"),
            format!("[[{CELL}]]\n{line}\n[[{CELL}]]\n{line}"),
        ] {
            assert!(Ratchet::from_table(&bad.parse().expect("toml")).is_err(), "{bad}");
        }
    }
}
