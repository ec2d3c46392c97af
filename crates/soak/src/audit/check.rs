//! What clients hold, against what the log says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Result;

/// How many violations are told in words; all are counted.
const TOLD_MAX: usize = 40;

/// A process: which replica, and how often that had been started before.
pub type Life = (usize, u64);

/// An answer that a client holds whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 of the arguments' bytes as they were sent, in the log's spelling.
    pub digest: String,
    /// What of its record the answer makes certain: `allowed`, `denied` or `error`.
    pub outcome: &'static str,
    /// Which process gave it; `None` where that was killed about then.
    pub life: Option<Life>,
    /// Who asked for what, for people.
    pub about: String,
}

/// What of an entry of the log is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    pub index: u64,
    pub kind: String,
    pub outcome: String,
    pub operation: String,
    pub phase: String,
    pub digest: Option<String>,
    details: BTreeMap<String, String>,
}

impl Entry {
    /// Reads a line of `tidegate audit export --format jsonl`.
    pub fn read(line: &str) -> Result<Self> {
        let row: Value = serde_json::from_str(line).map_err(|e| format!("the export: {e}: {line}"))?;
        let record = &row["record"];
        let detail = &record["detail"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let details = detail["details"].as_object().into_iter().flatten();
        Ok(Self {
            index: row["index"].as_u64().ok_or_else(|| format!("the export: no index: {line}"))?,
            kind: text(&record["event_type"]),
            outcome: text(&record["outcome"]),
            operation: text(&detail["operation"]),
            phase: text(&detail["phase"]),
            digest: detail["arguments"]["digest"].as_str().map(str::to_owned),
            details: details.map(|(key, value)| (key.clone(), text(value))).collect(),
        })
    }

    fn is_start(&self) -> bool {
        self.phase == "started"
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.details.get(name)?.parse().ok()
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub answers: usize,
    pub entries: usize,
    /// Answers without a record.
    pub missing: usize,
    /// Operations that were closed because their process had died.
    pub unknown: usize,
    /// Processes of which records may be lost, as the log says.
    pub gaps: usize,
    /// How many those may be.
    pub lost_max: u64,
    pub violations: Vec<String>,
}

impl Report {
    /// Prints what was seen. Whether all is well.
    pub fn tell(&self, seed: u64) -> bool {
        let Self { answers, entries, missing, unknown, gaps, lost_max, .. } = self;
        println!("{answers} answers, {entries} entries; {unknown} operations were closed as unknown");
        println!("{missing} answers have no record; {gaps} gaps of at most {lost_max} records are recorded");
        for what in self.violations.iter().take(TOLD_MAX) {
            println!("  VIOLATION {what}");
        }
        println!("{} violations; seed {seed}", self.violations.len());
        self.violations.is_empty() && self.answers > 0
    }
}

/// Operations that began, of which no later entry says how they ended.
pub fn open(log: &[Entry]) -> Vec<&Entry> {
    let mut open: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in log.iter().filter(|entry| !entry.operation.is_empty()) {
        if entry.is_start() {
            open.insert(&entry.operation, entry);
        } else {
            open.remove(&*entry.operation);
        }
    }
    open.into_values().collect()
}

/// Those of which nothing tells that they may be open: an end that a living process had no room for was lost,
/// and counted.
pub fn untold(log: &[Entry]) -> Vec<&Entry> {
    let open = open(log);
    if open.len() as u64 <= gaps(log).1 { Vec::new() } else { open }
}

/// By process, how many records a gap says may be lost of it, and how many were counted as lost.
pub fn gaps(log: &[Entry]) -> (BTreeMap<&str, u64>, u64) {
    let (mut unknown, mut counted) = (BTreeMap::new(), 0);
    for gap in log.iter().filter(|entry| entry.kind == "audit_gap") {
        let writer = gap.details.get("writer").map_or("", String::as_str);
        match gap.number("lost") {
            Some(number) => counted += number,
            None => drop(unknown.insert(writer, gap.number("lost_max").unwrap_or(0))),
        }
    }
    (unknown, counted)
}

/// Holds what clients were answered against the log. `kills`: how many processes were killed.
pub fn check(answers: &[Answer], log: &[Entry], strict: bool, kills: u64) -> Report {
    let mut ends: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for entry in log.iter().filter(|entry| !entry.is_start()) {
        if let Some(digest) = &entry.digest {
            ends.entry(digest).or_default().insert(&entry.outcome);
        }
    }
    let mut report = Report { answers: answers.len(), entries: log.len(), ..Report::default() };
    report.unknown = log.iter().filter(|entry| entry.kind == "outcome_unknown").count();
    let mut missing: Vec<&Answer> = Vec::new();
    for answer in answers {
        match ends.get(&*answer.digest) {
            None => missing.push(answer),
            // That it was asked back has a record of its own; its end has none.
            Some(outcomes) if outcomes.iter().all(|outcome| *outcome == "deferred") => missing.push(answer),
            Some(outcomes) if !outcomes.contains(answer.outcome) => report.violations.push(format!(
                "{} was answered as {}, and the log says {outcomes:?}",
                answer.about, answer.outcome
            )),
            Some(_) => {}
        }
    }
    report.missing = missing.len();
    for entry in if strict { open(log) } else { untold(log) } {
        report.violations.push(format!("entry {}: {} has no end", entry.index, entry.operation));
    }
    for entry in twice(log) {
        report.violations.push(format!("{entry} was closed as unknown, and has an end of its own"));
    }
    if strict {
        let lost = missing.iter().map(|answer| format!("{}: no record", answer.about));
        report.violations.extend(lost);
    } else {
        bounded(&mut report, &missing, log, kills);
    }
    report
}

/// Operations with more ends than beginnings, where one of those is that nobody knows how they ended.
fn twice(log: &[Entry]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, (u64, u64, bool)> = BTreeMap::new();
    for entry in log.iter().filter(|entry| !entry.operation.is_empty()) {
        let (starts, ends, unknown) = counts.entry(&entry.operation).or_default();
        *(if entry.is_start() { starts } else { ends }) += 1;
        *unknown |= entry.kind == "outcome_unknown";
    }
    let double = counts.into_iter().filter(|(_, (starts, ends, unknown))| *unknown && ends > starts);
    double.map(|(operation, _)| operation).collect()
}

/// In relaxed mode: each process that was killed has its gap, and nothing is lost beyond what they say.
fn bounded(report: &mut Report, missing: &[&Answer], log: &[Entry], kills: u64) {
    let (unknown, counted) = gaps(log);
    report.gaps = unknown.len();
    report.lost_max = unknown.values().sum::<u64>() + counted;
    let each = unknown.values().max().copied().unwrap_or(0) + counted;
    if (report.gaps as u64) < kills {
        report.violations.push(format!("{kills} processes were killed, and there are {} gaps", report.gaps));
    }
    let mut lives: BTreeMap<Life, u64> = BTreeMap::new();
    for life in missing.iter().filter_map(|answer| answer.life) {
        *lives.entry(life).or_default() += 1;
    }
    if lives.len() > report.gaps && counted == 0 {
        let text = format!("{} processes lost something, and there are {} gaps", lives.len(), report.gaps);
        report.violations.push(text);
    }
    for ((replica, life), number) in lives.into_iter().filter(|(_, number)| *number > each) {
        let text =
            format!("start {life} of replica {} lost {number}, and at most {each} are told", replica + 1);
        report.violations.push(text);
    }
    if missing.len() as u64 > report.lost_max {
        let text = format!("{} records are missing, and at most {} are told", missing.len(), report.lost_max);
        report.violations.push(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(name: &str, outcome: &'static str) -> Answer {
        Answer { digest: format!("sha256:{name}"), outcome, life: Some((0, 1)), about: name.to_owned() }
    }

    fn entry(index: u64, phase: &str, operation: &str, digest: Option<&str>, outcome: &str) -> Entry {
        let mut detail = json!({"operation": operation, "phase": phase});
        if let Some(digest) = digest {
            detail["arguments"] = json!({"bytes": "3", "digest": format!("sha256:{digest}")});
        }
        let record = json!({"event_type": "tool_call", "outcome": outcome, "detail": detail});
        Entry::read(&json!({"log": "default", "index": index, "record": record}).to_string()).expect("read")
    }

    fn special(index: u64, kind: &str, operation: &str, details: &Value) -> Entry {
        let detail = json!({"operation": operation, "phase": "completed", "details": details});
        let record = json!({"event_type": kind, "outcome": "error", "detail": detail});
        Entry::read(&json!({"index": index, "record": record}).to_string()).expect("read")
    }

    fn gap(index: u64, writer: &str, max: &str) -> Entry {
        special(index, "audit_gap", "", &json!({"lost": "unknown", "lost_max": max, "writer": writer}))
    }

    /// A call that went well, one that was denied, and one whose process died.
    fn log() -> Vec<Entry> {
        vec![
            entry(0, "started", "a", Some("one"), "allowed"),
            entry(1, "completed", "a", Some("one"), "allowed"),
            entry(2, "single", "b", Some("two"), "denied"),
            entry(3, "started", "c", Some("three"), "allowed"),
            special(4, "outcome_unknown", "c", &json!({})),
        ]
    }

    fn answers() -> Vec<Answer> {
        vec![answer("one", "allowed"), answer("two", "denied")]
    }

    #[test]
    fn a_log_with_all_records_is_in_order() {
        let report = check(&answers(), &log(), true, 1);
        assert_eq!((report.violations, report.missing, report.unknown), (vec![], 0, 1));
    }

    #[test]
    fn each_record_that_is_taken_away_is_missed() {
        for (at, complaint) in [(1, "one: no record"), (2, "two: no record"), (4, "c has no end")] {
            let mut log = log();
            log.remove(at);
            let found = check(&answers(), &log, true, 1).violations;
            assert!(found.iter().any(|what| what.contains(complaint)), "{complaint}: {found:?}");
        }
    }

    #[test]
    fn a_beginning_alone_is_no_record_of_an_answer() {
        let mut all = answers();
        all.push(answer("three", "allowed"));
        assert_eq!(check(&all, &log(), true, 1).violations, ["three: no record"]);
    }

    #[test]
    fn a_question_alone_is_no_record_of_an_answer() {
        let mut log = log();
        log[1].outcome = "deferred".to_owned();
        assert_eq!(check(&answers(), &log, true, 1).violations, ["one: no record"]);
    }

    #[test]
    fn a_record_that_says_something_else_is_found() {
        let found = check(&[answer("two", "allowed")], &log(), true, 1).violations;
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_second_turn_without_an_end_is_open_although_the_first_has_one() {
        let mut log = log();
        log.push(entry(5, "started", "a", Some("one"), "allowed"));
        assert_eq!(open(&log).len(), 1);
    }

    #[test]
    fn an_end_that_was_counted_as_lost_may_lack_and_no_other() {
        let mut log = log();
        log.push(special(5, "audit_gap", "", &json!({"lost": "1", "writer": "w"})));
        log.push(entry(6, "started", "d", None, "allowed"));
        assert_eq!((open(&log).len(), untold(&log).len()), (1, 0));
        log.push(entry(7, "started", "e", None, "allowed"));
        assert_eq!(untold(&log).len(), 2);
    }

    #[test]
    fn what_ended_and_was_closed_as_unknown_is_found() {
        let mut log = log();
        log.push(entry(5, "completed", "c", Some("three"), "allowed"));
        assert_eq!(check(&answers(), &log, true, 1).violations.len(), 1);
    }

    #[test]
    fn what_relaxed_loses_must_be_told_for_each_process_and_as_many() {
        let mut all = answers();
        all.extend([answer("lost", "allowed"), answer("also", "allowed")]);
        let told = |gaps: &[Entry], kills| {
            let log: Vec<Entry> = log().into_iter().chain(gaps.iter().cloned()).collect();
            check(&all, &log, false, kills).violations.len()
        };
        assert_eq!(told(&[gap(5, "w1", "8")], 1), 0);
        assert_eq!(told(&[gap(5, "w1", "8")], 2), 1);
        assert_eq!(told(&[gap(5, "w1", "8"), gap(6, "w1", "8")], 2), 1);
        assert!(told(&[gap(5, "w1", "1")], 1) > 0);
        assert!(told(&[], 1) > 0);
    }
}
