//! A change of files: what is replaced by what, with enough around it to find the place again.
//!
//! A proposal waits for days while others are put in force. So a change is no new text of a whole file, which
//! would take others back, but pieces of it. A piece whose place cannot be found is a conflict.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::Files;

/// The largest change, written as JSON.
pub const CHANGE_BYTES_MAX: usize = 1024 * 1024;
/// Lines around a piece by which its place is found.
const AROUND: usize = 3;
/// Pairs of lines that are compared; beyond that, all between the first and the last difference is one piece.
const PAIRS_MAX: usize = 4_000_000;

/// A piece of a file: these lines become those.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// The line at which it began, from 0.
    pub at: usize,
    /// Lines before it, which stay.
    pub before: Vec<String>,
    /// What goes.
    pub old: Vec<String>,
    /// What comes.
    pub new: Vec<String>,
    /// Lines behind it, which stay.
    pub after: Vec<String>,
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It comes in, with this text.
    Added(String),
    /// It goes, and had this text.
    Gone(String),
    /// Pieces of it change.
    Changed(Vec<Hunk>),
}

/// What becomes of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change(pub BTreeMap<String, FileChange>);

/// A change does not fit the files as they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} is no longer as it was where this changes it (line {line})")]
pub struct Conflict {
    /// Which file.
    pub file: String,
    /// Where the change was, from 1.
    pub line: usize,
}

fn lines(text: &str) -> Vec<&str> {
    text.split('\n').collect()
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Runs of lines that are not the same: from and to in both.
fn runs(a: &[&str], b: &[&str]) -> Vec<(usize, usize, usize, usize)> {
    let head = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    if a.is_empty() && b.is_empty() {
        return Vec::new();
    }
    let whole = vec![(head, head + a.len(), head, head + b.len())];
    if a.len().saturating_mul(b.len()) > PAIRS_MAX {
        return whole;
    }
    // How many lines of the rest are common, from each place on.
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = match a[i] == b[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let (from_a, from_b) = (i, j);
        while i < a.len() || j < b.len() {
            match (i < a.len(), j < b.len()) {
                (true, true) if a[i] == b[j] => break,
                (true, true) if common[(i + 1) * width + j] >= common[i * width + j + 1] => i += 1,
                (true, false) => i += 1,
                _ => j += 1,
            }
        }
        found.push((head + from_a, head + i, head + from_b, head + j));
    }
    found
}

fn hunks(before: &str, after: &str) -> Vec<Hunk> {
    let (a, b) = (lines(before), lines(after));
    let runs = runs(&a, &b);
    let hunk = |(index, &(a_from, a_to, b_from, b_to)): (usize, &(usize, usize, usize, usize))| {
        // Around a piece stands what stays, and nothing of another piece.
        let least = index.checked_sub(1).map_or(0, |before| runs[before].1);
        let most = runs.get(index + 1).map_or(a.len(), |next| next.0);
        Hunk {
            at: a_from,
            before: owned(&a[a_from.saturating_sub(AROUND).max(least)..a_from]),
            old: owned(&a[a_from..a_to]),
            new: owned(&b[b_from..b_to]),
            after: owned(&a[a_to..(a_to + AROUND).min(most)]),
        }
    };
    runs.iter().enumerate().map(hunk).collect()
}

impl Hunk {
    /// Where it fits: with all that is around it, or with what is before or behind it alone.
    fn place(&self, text: &[String], expected: usize) -> Option<usize> {
        let fits = |at: usize, lines: &[String]| text.get(at..at + lines.len()) == Some(lines);
        let found = |front: bool, back: bool| {
            let near = |at: &usize| {
                let before =
                    !front || (*at >= self.before.len() && fits(at - self.before.len(), &self.before));
                before && fits(*at, &self.old) && (!back || fits(at + self.old.len(), &self.after))
            };
            if near(&expected) {
                return Some(expected);
            }
            let mut all = (0..=text.len()).filter(near);
            // Of two places none is guessed.
            all.next().filter(|_| all.next().is_none())
        };
        let one_side = |front: bool| {
            let around = if front { &self.before } else { &self.after };
            let tells = around.iter().chain(&self.old).any(|line| !line.trim().is_empty());
            if tells { found(front, !front) } else { None }
        };
        found(true, true).or_else(|| one_side(true)).or_else(|| one_side(false))
    }

    fn reversed(&self, shift: isize) -> Self {
        let Self { at, before, old, new, after } = self.clone();
        Self { at: at.saturating_add_signed(shift), before, old: new, new: old, after }
    }
}

fn patched(file: &str, text: &str, hunks: &[Hunk]) -> Result<String, Conflict> {
    let mut now = owned(&lines(text));
    let mut shift = 0_isize;
    for hunk in hunks {
        let expected = hunk.at.saturating_add_signed(shift);
        let conflict = || Conflict { file: file.to_owned(), line: hunk.at + 1 };
        let at = hunk.place(&now, expected).ok_or_else(conflict)?;
        now.splice(at..at + hunk.old.len(), hunk.new.iter().cloned());
        shift += at as isize - expected as isize + hunk.new.len() as isize - hunk.old.len() as isize;
    }
    Ok(now.join("\n"))
}

impl Change {
    /// What makes `after` of `before`.
    #[must_use]
    pub fn between(before: &Files, after: &Files) -> Self {
        let names = before.keys().chain(after.keys());
        let of = |name: &String| match (before.get(name), after.get(name)) {
            (None, Some(text)) => Some(FileChange::Added(text.clone())),
            (Some(text), None) => Some(FileChange::Gone(text.clone())),
            (Some(old), Some(new)) if old != new => Some(FileChange::Changed(hunks(old, new))),
            _ => None,
        };
        Self(names.filter_map(|name| Some((name.clone(), of(name)?))).collect())
    }

    /// The files once it is made.
    ///
    /// # Errors
    /// [`Conflict`]
    pub fn apply(&self, files: &Files) -> Result<Files, Conflict> {
        let mut now = files.clone();
        for (file, change) in &self.0 {
            let conflict = || Conflict { file: file.clone(), line: 1 };
            match (change, files.get(file)) {
                (FileChange::Added(text), None) => {
                    now.insert(file.clone(), text.clone());
                }
                (FileChange::Gone(text), Some(found)) if text == found => {
                    now.remove(file);
                }
                (FileChange::Changed(hunks), Some(found)) => {
                    now.insert(file.clone(), patched(file, found, hunks)?);
                }
                _ => return Err(conflict()),
            }
        }
        Ok(now)
    }

    /// What takes it back.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let of = |change: &FileChange| match change {
            FileChange::Added(text) => FileChange::Gone(text.clone()),
            FileChange::Gone(text) => FileChange::Added(text.clone()),
            FileChange::Changed(hunks) => {
                let mut shift = 0_isize;
                let mut back = Vec::with_capacity(hunks.len());
                for hunk in hunks {
                    back.push(hunk.reversed(shift));
                    shift += hunk.new.len() as isize - hunk.old.len() as isize;
                }
                FileChange::Changed(back)
            }
        };
        Self(self.0.iter().map(|(file, change)| (file.clone(), of(change))).collect())
    }

    /// As a person reads it, with `+` and `-` before what comes and goes.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (file, change) in &self.0 {
            let mut put = |sign: &str, line: &str| {
                let _ = writeln!(text, "{sign}{line}");
            };
            put("--- ", file);
            match change {
                FileChange::Added(all) => all.lines().for_each(|line| put("+", line)),
                FileChange::Gone(all) => all.lines().for_each(|line| put("-", line)),
                FileChange::Changed(hunks) => {
                    for hunk in hunks {
                        put("@@ line ", &(hunk.at + 1).to_string());
                        hunk.before.iter().for_each(|line| put(" ", line));
                        hunk.old.iter().for_each(|line| put("-", line));
                        hunk.new.iter().for_each(|line| put("+", line));
                        hunk.after.iter().for_each(|line| put(" ", line));
                    }
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn files(text: &str) -> Files {
        Files::from([("a.yaml".to_owned(), text.to_owned())])
    }

    fn change(before: &str, after: &str) -> Change {
        Change::between(&files(before), &files(after))
    }

    const BASE: &str =
        "listen: 127.0.0.1:1\nupstreams:\n  crm:\n    url: http://a\n  hr:\n    url: http://b\nlimits: {}\n";

    #[test]
    fn two_changes_of_one_file_are_made_one_after_the_other_and_taken_back_in_any_order() {
        let one = change(BASE, &BASE.replace("http://a", "http://a2"));
        let other = change(BASE, &BASE.replace("limits:", "  pay:\n    url: http://c\nlimits:"));
        let both = other.apply(&one.apply(&files(BASE)).unwrap()).unwrap();
        assert!(both["a.yaml"].contains("http://a2") && both["a.yaml"].contains("http://c"));
        let back = one.reversed().apply(&both).unwrap();
        assert_eq!(back, other.apply(&files(BASE)).unwrap());
        assert_eq!(other.reversed().apply(&back).unwrap(), files(BASE));
    }

    #[test]
    fn two_that_add_at_the_same_place_both_find_it() {
        let add =
            |name: &str| change(BASE, &BASE.replace("limits:", &format!("  {name}: {{url: x}}\nlimits:")));
        let both = add("two").apply(&add("one").apply(&files(BASE)).unwrap()).unwrap();
        assert!(both["a.yaml"].contains("one:") && both["a.yaml"].contains("two:"), "{both:?}");
    }

    #[test]
    fn what_is_no_longer_there_is_a_conflict_and_of_two_places_none_is_guessed() {
        let one = change(BASE, &BASE.replace("http://a", "http://a2"));
        let moved = files(&BASE.replace("http://a", "http://z"));
        let conflict = one.apply(&moved).unwrap_err();
        assert_eq!((conflict.file.as_str(), conflict.line), ("a.yaml", 4));
        let twice = "x\n1\ny\n".repeat(2);
        let hunk = change("x\n1\ny\n", "x\n2\ny\n");
        let FileChange::Changed(hunks) = &hunk.0["a.yaml"] else { panic!("{hunk:?}") };
        let elsewhere = Hunk { at: 40, after: Vec::new(), ..hunks[0].clone() };
        assert_eq!(elsewhere.place(&owned(&lines(&twice)), 40), None);
    }

    #[test]
    fn files_that_come_and_go_are_those_that_were_seen() {
        let (none, one) = (Files::new(), files("text\n"));
        let come = Change::between(&none, &one);
        assert_eq!(come.apply(&none).unwrap(), one);
        assert_eq!(come.reversed().apply(&one).unwrap(), none);
        assert!(come.apply(&one).is_err() && come.reversed().apply(&files("other\n")).is_err());
        assert_eq!(come.text(), "--- a.yaml\n+text\n");
    }

    proptest! {
        #[test]
        fn any_change_makes_what_it_was_made_of_and_takes_it_back(
            before in "([abc\r]{0,2}\n){0,12}[ab]{0,1}", after in "([abc\r]{0,2}\n){0,12}[ab]{0,1}",
        ) {
            let change = change(&before, &after);
            prop_assert_eq!(change.apply(&files(&before)).unwrap(), files(&after));
            prop_assert_eq!(change.reversed().apply(&files(&after)).unwrap(), files(&before));
        }
    }
}
