//! Whether a ruleset makes sense. What does not is refused with an example of how it goes wrong.

mod behaviour;
mod grants;
mod names;
mod run;
mod structure;

use std::fmt;

use serde::Serialize;

pub(crate) use behaviour::behaviour;
pub(crate) use structure::structure;

/// Something that is wrong with a ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Fault {
    /// Where: `tracks.standard.acceptance`, or a line.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// How it goes wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
}

impl Fault {
    pub(crate) fn new(place: &str, message: impl Into<String>) -> Self {
        Self { place: place.to_owned(), message: message.into(), witness: None }
    }

    pub(crate) fn shown(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.witness {
            Some(witness) => write!(f, "\n{witness}"),
            None => Ok(()),
        }
    }
}

/// Who does what in which order, and how it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// In order.
    pub steps: Vec<WitnessStep>,
    /// How it ends.
    pub end: String,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WitnessStep {
    /// Days after the beginning.
    pub day: u64,
    /// Who; nobody where it happens by itself.
    pub who: Option<String>,
    /// What.
    pub does: String,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let who = step.who.as_deref().unwrap_or("(by itself)");
            writeln!(f, "  day {}: {who} {}", step.day, step.does)?;
        }
        write!(f, "  so: {}", self.end)
    }
}
