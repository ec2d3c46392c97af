//! What the suite was asked and what it found, read from its files.

use crate::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The folder names of results end with a time like `-2026-11-22T23-07-24-370Z`.
const STAMP: usize = "-2026-11-22T23-07-24-370Z".len();

/// What a revision asks of one role.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    pub scored: Vec<String>,
    /// Scenarios that run and count for nothing in the suite, with its reason.
    pub not_scored: Vec<(String, String)>,
}

/// One scenario's result.
#[derive(Debug, Default)]
pub struct Scenario {
    pub name: String,
    /// Why the suite does not score it; none where it does.
    pub not_scored: Option<String>,
    pub checks: Vec<Check>,
}

/// One check of a scenario.
#[derive(Debug)]
pub struct Check {
    pub id: String,
    pub status: Status,
    pub message: String,
}

/// What the suite says of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    Failure,
    /// Advice.
    Warning,
    /// Does not apply, or only tells.
    Other,
}

impl Requirements {
    /// Reads the suite's requirement file for one role: `server` or `client`.
    ///
    /// The file uses little of YAML, and only that little is understood: lists of names, and of small tables.
    pub fn parse(text: &str, role: &str) -> Self {
        let mut found = Self::default();
        let mut section = "";
        let mut entry: Option<(String, String, String)> = None;
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with([' ', '-'])) {
                section = name;
            } else if let Some(name) = line.strip_prefix("  - scenario: ") {
                found.keep(entry.take(), role);
                entry = Some((name.trim().to_owned(), String::new(), String::new()));
            } else if let Some(name) = line.strip_prefix("  - ").filter(|_| section == role) {
                found.scored.push(name.trim().to_owned());
            } else if let Some((_, leg, reason)) = &mut entry {
                let line = line.trim();
                *leg = line.strip_prefix("leg: ").map_or_else(|| leg.clone(), str::to_owned);
                *reason = line.strip_prefix("reason: ").map_or_else(|| reason.clone(), str::to_owned);
            }
        }
        found.keep(entry, role);
        found
    }

    fn keep(&mut self, entry: Option<(String, String, String)>, role: &str) {
        if let Some((name, leg, reason)) = entry.filter(|(_, leg, _)| leg == role) {
            debug_assert_eq!(leg, role);
            self.not_scored.push((name, reason));
        }
    }
}

impl Scenario {
    /// How many checks have this status.
    pub fn count(&self, status: Status) -> usize {
        self.checks.iter().filter(|check| check.status == status).count()
    }

    /// The ids of the checks that passed, each once.
    pub fn successes(&self) -> BTreeSet<&str> {
        let passed = self.checks.iter().filter(|check| check.status == Status::Success);
        passed.map(|check| check.id.as_str()).collect()
    }

    /// The ids of the checks that failed, each once, with the first message.
    pub fn failures(&self) -> BTreeMap<&str, &str> {
        let mut failures = BTreeMap::new();
        for check in self.checks.iter().filter(|check| check.status == Status::Failure) {
            failures.entry(check.id.as_str()).or_insert(check.message.as_str());
        }
        failures
    }

    /// Whether no check came to a verdict.
    pub fn checked_nothing(&self) -> bool {
        self.count(Status::Success) + self.count(Status::Failure) == 0
    }

    /// Takes note that the suite failed the scenario. It does so without a failed check where something broke
    /// before one was made, or where a client ends with an error, takes too long or is warned.
    pub fn must_have_failed(&mut self) {
        if self.failures().is_empty() {
            let message = "the suite failed the scenario without a failed check; its log says why".to_owned();
            self.checks.push(Check { id: "outcome".to_owned(), status: Status::Failure, message });
        }
    }

    /// A required scenario that checked nothing has not passed.
    pub fn must_have_checked(&mut self) {
        if self.checked_nothing() && self.not_scored.is_none() {
            let message = "the scenario is required and checked nothing".to_owned();
            self.checks.push(Check { id: "no-result".to_owned(), status: Status::Failure, message });
        }
    }
}

/// The checks of every scenario with a result below `folder`, by name. Of several runs the last one counts.
pub fn read(folder: &Path, role: &str) -> Result<BTreeMap<String, Vec<Check>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((path, name)) = folders.pop() {
        let fail = |e: std::io::Error| format!("{}: {e}", path.display());
        let checks = path.join("checks.json");
        if checks.is_file() {
            let text = std::fs::read_to_string(&checks).map_err(fail)?;
            let parsed = parse_checks(&text).map_err(|e| format!("{}: {e}", checks.display()))?;
            if let Some(scenario) = scenario_name(&name, role) {
                found.insert(scenario.to_owned(), parsed);
            }
            continue;
        }
        let entries: std::io::Result<Vec<_>> = std::fs::read_dir(&path).map_err(fail)?.collect();
        let mut entries = entries.map_err(fail)?;
        // The stack hands them out in the order of time, so the last run is kept.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
        for entry in entries.into_iter().filter(|entry| entry.path().is_dir()) {
            let part = entry.file_name().to_string_lossy().into_owned();
            folders.push((entry.path(), if name.is_empty() { part } else { format!("{name}/{part}") }));
        }
    }
    Ok(found)
}

/// The scenario that a result folder is named after.
fn scenario_name<'a>(folder: &'a str, role: &str) -> Option<&'a str> {
    let name = folder.get(..folder.len().checked_sub(STAMP)?)?;
    match role {
        "client" => Some(name),
        role => name.strip_prefix(role)?.strip_prefix('-'),
    }
}

fn parse_checks(text: &str) -> Result<Vec<Check>> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let list = value.as_array().ok_or("is not a list of checks")?;
    let check = |value: &Value| {
        let word = |key: &str| value.get(key).and_then(Value::as_str);
        let status = match word("status")? {
            "SUCCESS" => Status::Success,
            "FAILURE" => Status::Failure,
            "WARNING" => Status::Warning,
            "SKIPPED" | "INFO" => Status::Other,
            // A word that is not known could hide a failure.
            _ => return None,
        };
        let message = word("errorMessage").or(word("description")).unwrap_or_default().to_owned();
        Some(Check { id: word("id")?.to_owned(), status, message })
    };
    list.iter()
        .map(check)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| "holds a check of unknown form".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# A comment.
server:
  - ping
  - tools-list

client:
  - initialize

not_scored:
  - scenario: auth/dpop
    leg: client
    reason: extension
  # between
  - scenario: tasks-lifecycle
    leg: server
    reason: extension
    note: >-
      some words: more words
  - scenario: json-schema
    leg: server
    reason: pending
";

    #[test]
    fn requirements_are_read_for_one_role() {
        let server = Requirements::parse(FILE, "server");
        assert_eq!(server.scored, ["ping", "tools-list"]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(server.not_scored, [pair("tasks-lifecycle", "extension"), pair("json-schema", "pending")]);
        let client = Requirements::parse(FILE, "client");
        assert_eq!(client.scored, ["initialize"]);
        assert_eq!(client.not_scored, [pair("auth/dpop", "extension")]);
    }

    #[test]
    fn checks_are_read_and_unknown_forms_refused() {
        let text = r#"[{"id": "a", "status": "SUCCESS"},
            {"id": "b", "status": "FAILURE", "errorMessage": "no"},
            {"id": "b", "status": "FAILURE", "errorMessage": "again"}, {"id": "c", "status": "SKIPPED"}]"#;
        let checks = parse_checks(text).expect("checks");
        let scenario = Scenario { checks, ..Scenario::default() };
        assert_eq!(scenario.failures(), BTreeMap::from([("b", "no")]));
        assert_eq!((scenario.count(Status::Success), scenario.count(Status::Failure)), (1, 2));
        assert!(parse_checks(r#"[{"id": "a", "status": "NEW"}]"#).is_err());
        assert!(parse_checks("{}").is_err());
    }

    #[test]
    fn a_folder_is_named_after_role_scenario_and_time() {
        let time = "-2026-11-22T23-07-24-370Z";
        assert_eq!(
            scenario_name(&format!("server-server-stateless{time}"), "server"),
            Some("server-stateless")
        );
        assert_eq!(scenario_name(&format!("auth/dpop{time}"), "client"), Some("auth/dpop"));
        let both = format!("authorization-server-authorization-code-grant{time}");
        assert_eq!(scenario_name(&both, "authorization-server"), Some("authorization-code-grant"));
        assert_eq!(scenario_name(&format!("serverless{time}"), "server"), None);
        assert_eq!(scenario_name("short", "client"), None);
    }

    #[test]
    fn a_required_scenario_that_checked_nothing_has_failed() {
        let mut required = Scenario::default();
        required.must_have_checked();
        assert_eq!(required.failures().keys().collect::<Vec<_>>(), [&"no-result"]);
        let mut optional = Scenario { not_scored: Some("extension".to_owned()), ..Scenario::default() };
        optional.must_have_checked();
        assert!(optional.failures().is_empty());
    }

    #[test]
    fn a_scenario_that_the_suite_fails_has_a_failure_even_if_no_check_says_so() {
        let success = Check { id: "a".to_owned(), status: Status::Success, message: String::new() };
        let mut scenario = Scenario { checks: vec![success], ..Scenario::default() };
        scenario.must_have_failed();
        scenario.must_have_failed();
        assert_eq!(scenario.checks.len(), 2);
        assert_eq!(scenario.failures().keys().collect::<Vec<_>>(), [&"outcome"]);
    }

    #[test]
    fn results_are_found_in_nested_folders_and_the_last_run_counts() {
        let folder = std::env::temp_dir().join(format!("xtask-results-{}", std::process::id()));
        let write = |name: &str, status: &str| {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).expect("a folder");
            let text = format!(r#"[{{"id": "x", "status": "{status}"}}]"#);
            std::fs::write(path.join("checks.json"), text).expect("a file");
        };
        write("auth/dpop-2026-11-22T23-07-24-370Z", "FAILURE");
        write("auth/dpop-2026-11-22T23-07-25-370Z", "SUCCESS");
        write("initialize-2026-11-22T23-07-24-370Z", "WARNING");
        let found = read(&folder, "client").expect("results");
        let seen: Vec<_> = found.iter().map(|(name, checks)| (name.as_str(), checks[0].status)).collect();
        assert_eq!(seen, [("auth/dpop", Status::Success), ("initialize", Status::Warning)]);
        std::fs::remove_dir_all(folder).expect("it is there");
    }
}
