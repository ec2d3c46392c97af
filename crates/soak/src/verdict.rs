//! What was seen, and what of it must not be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::{End, Revision};

/// How many violations are told in words; all are counted.
const TOLD_MAX: usize = 40;

/// What a client can see in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    Answered,
    /// A JSON-RPC error or a tool's error, with words.
    Refused,
    /// 404, 502, 503 or 504.
    Status,
    Cut,
}

/// All records. Clones are the same.
#[derive(Debug, Default, Clone)]
pub struct Verdict(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    /// By revision and kind of call.
    rows: BTreeMap<(Revision, &'static str), BTreeMap<Seen, u64>>,
    /// The calls that were answered and must have had an effect.
    paid: BTreeMap<String, bool>,
    /// What errors said, and how often.
    words: BTreeMap<String, u64>,
    reopened: u64,
    heard: u64,
    violations: u64,
    told: Vec<String>,
}

impl Verdict {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something that must not be.
    pub fn violation(&self, what: String) {
        let mut book = self.book();
        book.violations += 1;
        if book.told.len() < TOLD_MAX {
            println!("  VIOLATION {what}");
            book.told.push(what);
        }
    }

    /// A client had to introduce itself again.
    pub fn reopened(&self) {
        self.book().reopened += 1;
    }

    /// A change that was listened for has come.
    pub fn heard(&self) {
        self.book().heard += 1;
    }

    /// A call that must take effect once if it is answered, and never twice.
    pub fn paid(&self, nonce: &str, answered: bool) {
        self.book().paid.insert(nonce.to_owned(), answered);
    }

    /// The end of a call. `excused`: something happened to a replica at that time.
    pub fn call(&self, revision: Revision, what: &'static str, end: &End, expected: &str, excused: bool) {
        let who = format!("{} {what}", revision.as_str());
        let seen = match end {
            End::Result(result) if result["isError"] == true => Seen::Refused,
            End::Result(result) => {
                let text = result["content"][0]["text"].as_str().unwrap_or_default();
                if text != expected {
                    self.violation(format!("{who}: the answer is {text:?} and not {expected:?}"));
                }
                Seen::Answered
            }
            End::Error { .. } => Seen::Refused,
            End::Status(404 | 502 | 503 | 504) => Seen::Status,
            End::Status(status) => {
                self.violation(format!("{who}: status {status}"));
                Seen::Status
            }
            End::Cut(_) => Seen::Cut,
            End::Late => {
                self.violation(format!("{who}: no answer until the deadline"));
                Seen::Cut
            }
        };
        if seen != Seen::Answered {
            if !excused {
                self.violation(format!("{who}: without a cause: {}", words(end)));
            }
            *self.book().words.entry(words(end)).or_default() += 1;
        }
        *self.book().rows.entry((revision, what)).or_default().entry(seen).or_default() += 1;
    }

    /// Holds what clients saw against what upstreams did.
    pub fn compare(&self, effects: &BTreeMap<String, u32>) {
        let paid = self.book().paid.clone();
        for (nonce, answered) in &paid {
            match (answered, effects.get(nonce).copied().unwrap_or(0)) {
                (true, 1) | (false, 0 | 1) => {}
                (_, count) => {
                    let said = if *answered { "answered" } else { "not answered" };
                    self.violation(format!("{nonce} was {said} and took effect {count} times"));
                }
            }
        }
        for nonce in effects.keys().filter(|nonce| !paid.contains_key(*nonce)) {
            self.violation(format!("{nonce} took effect, and no client called it"));
        }
    }

    pub fn violations(&self) -> u64 {
        self.book().violations
    }

    /// How many calls were answered.
    pub fn answered(&self) -> u64 {
        self.book().rows.values().filter_map(|row| row.get(&Seen::Answered)).sum()
    }

    /// Prints everything as a table.
    pub fn print(&self) {
        let book = self.book();
        println!(
            "\n{:<12} {:<10} {:>9} {:>9} {:>9} {:>9}",
            "client", "call", "answered", "error", "status", "cut"
        );
        for ((revision, what), row) in &book.rows {
            let count = |seen| row.get(&seen).copied().unwrap_or(0);
            println!(
                "{:<12} {what:<10} {:>9} {:>9} {:>9} {:>9}",
                revision.as_str(),
                count(Seen::Answered),
                count(Seen::Refused),
                count(Seen::Status),
                count(Seen::Cut),
            );
        }
        println!("\nchanges heard: {}", book.heard);
        println!("clients that introduced themselves again: {}", book.reopened);
        let mut words: Vec<_> = book.words.iter().collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (words, count) in words.into_iter().take(24) {
            println!("{count:>6} × {words}");
        }
    }
}

/// What an end says, without what is different each time.
fn words(end: &End) -> String {
    let text = match end {
        End::Result(result) => format!("tool error: {}", result["content"][0]["text"]),
        End::Error { code, message } => format!("error {code}: {message}"),
        End::Status(status) => format!("status {status}"),
        End::Cut(where_) => format!("cut: {where_}"),
        End::Late => "late".to_owned(),
    };
    let word = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let name = bare.len() >= 8 && bare.chars().any(|c| c.is_ascii_digit());
        if name { word.replace(bare, "…") } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(text: &str) -> End {
        End::Result(json!({"content": [{"type": "text", "text": text}]}))
    }

    #[test]
    fn an_answer_of_another_call_is_a_violation_whatever_happened() {
        let verdict = Verdict::default();
        verdict.call(Revision::V2026_07_28, "echo", &answer("a"), "a", false);
        assert_eq!(verdict.violations(), 0);
        verdict.call(Revision::V2026_07_28, "echo", &answer("b"), "a", true);
        assert_eq!(verdict.violations(), 1);
    }

    #[test]
    fn what_goes_wrong_needs_a_cause_and_a_hang_has_none() {
        let verdict = Verdict::default();
        let error = End::Error { code: -32603, message: "gone".to_owned() };
        verdict.call(Revision::V2025_11_25, "pay", &error, "a", true);
        assert_eq!(verdict.violations(), 0);
        verdict.call(Revision::V2025_11_25, "pay", &error, "a", false);
        assert_eq!(verdict.violations(), 1);
        verdict.call(Revision::V2025_11_25, "pay", &End::Late, "a", true);
        assert_eq!(verdict.violations(), 2);
        verdict.call(Revision::V2025_11_25, "pay", &End::Status(500), "a", true);
        assert_eq!(verdict.violations(), 3);
    }

    #[test]
    fn the_ledgers_agree_or_it_is_told() {
        let verdict = Verdict::default();
        for (nonce, answered) in [("once", true), ("lost", false), ("perhaps", false)] {
            verdict.paid(nonce, answered);
        }
        let effects = |all: &[(&str, u32)]| all.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
        verdict.compare(&effects(&[("once", 1), ("perhaps", 1)]));
        assert_eq!(verdict.violations(), 0);
        verdict.compare(&effects(&[("once", 2), ("perhaps", 2), ("nobody's", 1)]));
        assert_eq!(verdict.violations(), 3);
        verdict.compare(&effects(&[]));
        assert_eq!(verdict.violations(), 4, "answered, and nothing was done");
    }

    #[test]
    fn words_are_the_same_for_all_replicas() {
        let end = |message: &str| End::Error { code: 1, message: message.to_owned() };
        assert_eq!(words(&end("replica r1234567 is gone")), words(&end("replica r7654321 is gone")));
    }
}
