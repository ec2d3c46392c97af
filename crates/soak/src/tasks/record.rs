//! What became of each task, and whether that may be.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// How many violations are told in words; all are counted.
const TOLD_MAX: usize = 40;

/// What a call may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Take effect once.
    Once,
    /// Run again.
    Again,
}

/// A task that was acknowledged.
#[derive(Debug, Clone)]
pub struct Task {
    pub id: String,
    pub endpoint: String,
    pub nonce: String,
}

#[derive(Debug, Default)]
struct Book {
    /// By their nonces; those that nobody acknowledged, too.
    begun: BTreeMap<String, Kind>,
    tasks: BTreeMap<String, (Task, Option<Value>)>,
    ended: Vec<String>,
    refusals: BTreeMap<String, u64>,
    /// How often something that had ended was looked at again.
    looks: u64,
    violations: u64,
}

/// All records.
#[derive(Debug, Default)]
pub struct Records(Mutex<Book>);

impl Records {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that must not be.
    pub fn violation(&self, what: String) {
        let mut book = self.book();
        book.violations += 1;
        if book.violations <= TOLD_MAX as u64 {
            println!("  VIOLATION {what}");
        }
    }

    pub fn begun(&self, nonce: &str, kind: Kind) {
        self.book().begun.insert(nonce.to_owned(), kind);
    }

    pub fn refused(&self, error: &Value) {
        let words = format!("{} {}", error["code"], error["message"]);
        *self.book().refusals.entry(words).or_default() += 1;
    }

    /// The client was told of it.
    pub fn acknowledged(&self, task: &Task) {
        self.book().tasks.insert(task.nonce.clone(), (task.clone(), None));
    }

    /// It was seen at its end, for the first time or again.
    pub fn ended(&self, task: &Task, found: Value) {
        let mut book = self.book();
        let Some((_, end)) = book.tasks.get_mut(&task.nonce) else { return };
        let before = end.get_or_insert_with(|| found.clone()).clone();
        if before == found {
            book.looks += 1;
        }
        if !book.ended.contains(&task.nonce) {
            book.ended.push(task.nonce.clone());
        }
        drop(book);
        if before != found {
            self.violation(format!("{} has ended as {before}, and is now {found}", task.nonce));
        }
    }

    /// Some task that has ended.
    pub fn any_ended(&self, chance: u64) -> Option<Task> {
        let book = self.book();
        let count = book.ended.len() as u64;
        let at = usize::try_from(chance.checked_rem(count)?).ok()?;
        book.tasks.get(book.ended.get(at)?).map(|(task, _)| task.clone())
    }

    pub fn all_ended(&self) -> Vec<Task> {
        let book = self.book();
        book.ended.iter().filter_map(|nonce| Some(book.tasks.get(nonce)?.0.clone())).collect()
    }

    /// Those that have not ended.
    pub fn open(&self) -> Vec<Task> {
        let book = self.book();
        let open = book.tasks.values().filter(|(_, end)| end.is_none());
        open.map(|(task, _)| task.clone()).collect()
    }

    /// Holds what tasks came to against what servers did.
    pub fn compare(&self, effects: &BTreeMap<String, u32>) {
        let mut wrong = Vec::new();
        let book = self.book();
        for (nonce, kind) in &book.begun {
            let count = effects.get(nonce).copied().unwrap_or(0);
            if *kind == Kind::Once && count > 1 {
                wrong.push(format!("{nonce} took effect {count} times"));
            }
            let Some((_, Some(end))) = book.tasks.get(nonce) else { continue };
            let completed = end["status"] == "completed";
            let text = end["result"]["content"][0]["text"].as_str().unwrap_or_default();
            if completed && count == 0 {
                wrong.push(format!("{nonce} is completed and took no effect"));
            }
            if completed && !text.starts_with(nonce.as_str()) {
                wrong.push(format!("{nonce} has the result {text:?}"));
            }
            let said = &end["_meta"]["io.tidegate/task-lifecycle"]["failure"]["mayHaveRun"];
            if !completed && count > 0 && *said != true {
                wrong.push(format!("{nonce} took effect, and its end does not say that it may have: {end}"));
            }
            if !completed && *kind == Kind::Again {
                wrong.push(format!("{nonce} may run again, and was given up: {end}"));
            }
        }
        drop(book);
        wrong.into_iter().for_each(|what| self.violation(what));
    }

    /// Prints what was seen. Whether all is well.
    pub fn tell(&self, seed: u64) -> bool {
        let book = self.book();
        let mut ends: BTreeMap<String, u64> = BTreeMap::new();
        for (_, end) in book.tasks.values() {
            let status = end.as_ref().map_or("open", |end| end["status"].as_str().unwrap_or("none"));
            *ends.entry(status.to_owned()).or_default() += 1;
        }
        println!(
            "{} calls, {} tasks acknowledged: {ends:?}; {} looks at ends",
            book.begun.len(),
            book.tasks.len(),
            book.looks
        );
        let attempts = book
            .tasks
            .values()
            .filter_map(|(_, end)| end.as_ref()?["_meta"]["io.tidegate/task-lifecycle"]["attempt"].as_u64());
        println!("{} tasks were tried more than once", attempts.filter(|count| *count > 1).count());
        for (words, count) in &book.refusals {
            println!("  {count} times {words}");
        }
        let good = book.violations == 0 && !book.tasks.is_empty();
        println!("{} violations; seed {seed}", book.violations);
        good
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(nonce: &str) -> Task {
        Task { id: "i".to_owned(), endpoint: "/e".to_owned(), nonce: nonce.to_owned() }
    }

    fn records(kind: Kind, end: Value, effects: &[(&str, u32)]) -> u64 {
        let records = Records::default();
        let task = task("n");
        records.begun("n", kind);
        records.acknowledged(&task);
        records.ended(&task, end);
        records.compare(&effects.iter().map(|(nonce, count)| ((*nonce).to_owned(), *count)).collect());
        records.book().violations
    }

    #[test]
    fn what_must_not_be_is_found() {
        let done = json!({"status": "completed", "result": {"content": [{"text": "n|w"}]}});
        let failure = |said: bool| json!({"failure": {"mayHaveRun": said}});
        let failed =
            |said: bool| json!({"status": "failed", "_meta": {"io.tidegate/task-lifecycle": failure(said)}});
        assert_eq!(records(Kind::Once, done.clone(), &[("n", 1)]), 0);
        assert_eq!(records(Kind::Again, done.clone(), &[("n", 3)]), 0);
        assert_eq!(records(Kind::Once, failed(true), &[("n", 1)]), 0);
        assert_eq!(records(Kind::Once, failed(false), &[]), 0);
        assert_eq!(records(Kind::Once, done.clone(), &[("n", 2)]), 1);
        assert_eq!(records(Kind::Once, done, &[]), 1);
        assert_eq!(records(Kind::Once, failed(false), &[("n", 1)]), 1);
        assert_eq!(records(Kind::Again, failed(true), &[("n", 1)]), 1);
    }

    #[test]
    fn an_end_that_changes_is_found() {
        let records = Records::default();
        let task = task("n");
        records.acknowledged(&task);
        for status in ["completed", "completed", "failed"] {
            records.ended(&task, json!({"status": status}));
        }
        assert_eq!(records.book().violations, 1);
        assert!(records.open().is_empty());
    }
}
