//! What got lost on the way, and what that means.

use std::fmt;

use serde::Serialize;

/// What became of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It means the same.
    Kept,
    /// It means nearly the same. What guards is at least as strict as it was; else it counts as dropped.
    Approximated,
    /// It is not there any more.
    Dropped,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kept => "kept",
            Self::Approximated => "approximated",
            Self::Dropped => "dropped",
        })
    }
}

/// What became of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Where it was: `servers.files.tools.deny`.
    pub path: String,
    /// What became of it.
    pub fate: Fate,
    /// Whether it keeps somebody from doing something.
    pub guards: bool,
    /// What that means, in a sentence. Never contains a value that may be secret.
    pub meaning: String,
}

/// What became of the fields of a configuration, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Report {
    losses: Vec<Loss>,
}

impl Report {
    /// How many fields a report has at most; further ones that were kept are not told.
    pub const LOSSES_MAX: usize = 50_000;

    /// Says what became of a field.
    pub fn note(&mut self, path: impl Into<String>, fate: Fate, guards: bool, meaning: impl Into<String>) {
        if self.losses.len() < Self::LOSSES_MAX || fate != Fate::Kept {
            self.losses.push(Loss { path: path.into(), fate, guards, meaning: meaning.into() });
        }
    }

    /// Says that a field was kept.
    pub fn kept(&mut self, path: impl Into<String>, guards: bool) {
        self.note(path, Fate::Kept, guards, "it means the same");
    }

    /// Says that a field was approximated. What guards is no weaker than it was.
    pub fn approximated(&mut self, path: impl Into<String>, guards: bool, meaning: impl Into<String>) {
        self.note(path, Fate::Approximated, guards, meaning);
    }

    /// Says that a field was dropped.
    pub fn dropped(&mut self, path: impl Into<String>, guards: bool, meaning: impl Into<String>) {
        self.note(path, Fate::Dropped, guards, meaning);
    }

    /// Takes over what another report says: of a second step.
    pub fn extend(&mut self, other: Self) {
        self.losses.extend(other.losses);
    }

    /// All of it.
    #[must_use]
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// What was not kept.
    pub fn changed(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(|loss| loss.fate != Fate::Kept)
    }

    /// Whether something that guards is not there any more.
    #[must_use]
    pub fn guards_lost(&self) -> bool {
        self.losses.iter().any(|loss| loss.guards && loss.fate == Fate::Dropped)
    }

    /// Rows of a table: what became of which field, whether it guards, what that means.
    pub fn rows(&self) -> impl Iterator<Item = [String; 4]> {
        self.losses.iter().map(|loss| {
            let guards = if loss.guards { "yes" } else { "" };
            [loss.path.clone(), loss.fate.to_string(), guards.to_owned(), loss.meaning.clone()]
        })
    }

    /// For programs: the fields, and whether something that guards was lost.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "guards_lost": self.guards_lost(), "fields": self.losses })
    }
}

impl fmt::Display for Report {
    /// A table of what was not kept, and a line with how many were.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.changed().map(|loss| loss.path.chars().count()).max().unwrap_or(0).min(60);
        for loss in self.changed() {
            let mark = if loss.guards { '!' } else { ' ' };
            writeln!(f, "{mark} {:width$}  {:12}  {}", loss.path, loss.fate, loss.meaning)?;
        }
        let kept = self.losses.len() - self.changed().count();
        write!(f, "  {kept} fields kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guard_that_is_gone_counts_as_lost() {
        let mut report = Report::default();
        report.kept("a", true);
        report.approximated("b", true, "it is stricter");
        report.dropped("c", false, "nobody sees it");
        assert!(!report.guards_lost());
        report.dropped("d", true, "all tools are offered");
        assert!(report.guards_lost());
        assert_eq!(
            report.to_string(),
            "! b  approximated  it is stricter\n  c  dropped       nobody sees it\n\
             ! d  dropped       all tools are offered\n  1 fields kept"
        );
        assert_eq!(report.to_json()["fields"][3]["fate"], "dropped");
        assert_eq!(report.rows().count(), 4);
    }
}
