//! What can be wrong with a document, and how it is said.

use super::path::{Path, Seg};
use super::tree::Position;
use crate::advice;
use crate::diagnostic::Diagnostic;

/// Something wrong at one place.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) at: Position,
    pub(crate) path: Path,
    pub(crate) problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone)]
pub(crate) enum Problem {
    /// A key that there is not, and those that there are.
    UnknownKey { known: Vec<&'static str> },
    /// A word that is none of the known ones.
    UnknownWord { given: String, known: Vec<&'static str> },
    /// Another kind of value.
    Kind { expected: String, found: String, hint: Option<String> },
    /// A key that must be there.
    Missing { key: &'static str },
    /// A key that was given before.
    Repeated { first_line: u32 },
    /// Anything else, said in a sentence.
    Other { message: String, hint: Option<String> },
}

/// How many faults of a kind are listed before the rest is left.
pub(crate) const FAULTS_MAX: usize = 50;

/// Puts a fault on a list, unless the list is full. A full one ends by saying so.
pub(crate) fn note(faults: &mut Vec<Fault>, fault: Fault) {
    match faults.len() {
        0..FAULTS_MAX => faults.push(fault),
        FAULTS_MAX => faults.push(Fault::more(fault.at)),
        _ => {}
    }
}

impl Problem {
    pub(crate) fn other(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::Other { message: message.into(), hint }
    }
}

impl Fault {
    /// What ends a list that is full.
    pub(crate) fn more(at: Position) -> Self {
        let problem = Problem::other("there may be more faults than these", None);
        Self { at, path: Path::default(), problem }
    }

    /// The fault as it is shown, in one of `files`.
    pub(crate) fn diagnostic(self, files: &[&str]) -> Diagnostic {
        let (message, hint) = self.words();
        let file = files.get(usize::from(self.at.file)).or(files.first()).copied().unwrap_or_default();
        Diagnostic {
            file: file.to_owned(),
            line: self.at.line,
            column: self.at.column,
            path: self.path.to_string(),
            message,
            hint,
        }
    }

    fn words(&self) -> (String, Option<String>) {
        match &self.problem {
            Problem::UnknownKey { known } => {
                let key = self.path.last_key().unwrap_or_default();
                ("unknown key".to_owned(), Some(unknown_key_hint(&self.path, key, known)))
            }
            Problem::UnknownWord { given, known } => {
                let hint = advice::nearest(given, known.iter().copied())
                    .map_or_else(|| format!("use {}", advice::one_of(known)), advice::did_you_mean);
                (format!("unknown value {given:?}"), Some(hint))
            }
            Problem::Kind { expected, found, hint } => {
                (format!("expected {expected}, found {found}"), hint.clone())
            }
            Problem::Missing { key } => (format!("the key {key:?} is missing"), None),
            Problem::Repeated { first_line } => {
                (format!("this key was given before, in line {first_line}"), None)
            }
            Problem::Other { message, hint } => (message.clone(), hint.clone()),
        }
    }
}

fn unknown_key_hint(path: &Path, key: &str, known: &[&'static str]) -> String {
    let section = path.segs().first().and_then(|seg| match seg {
        Seg::Key(key) => Some(key.as_str()),
        Seg::Index(_) => None,
    });
    if let Some(hint) = advice::foreign_key(section.unwrap_or_default(), key) {
        return hint.to_owned();
    }
    match advice::nearest(key, known.iter().copied()) {
        Some(near) => advice::did_you_mean(near),
        None => format!("the keys here are {}", known.join(", ")),
    }
}
