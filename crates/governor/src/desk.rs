//! What a change of files means, and where the files are.

use std::collections::BTreeMap;

use async_trait::async_trait;
use governance::{Effect, Risk};
use model::Timestamp;
use serde::{Deserialize, Serialize};

/// Files that are under rules: their texts by their names. A name that is not there is a file that is not.
pub type Files = BTreeMap<String, String>;

/// What a change of files is, whatever its author says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Of which kind: the strictest of all that it touches.
    pub kind: String,
    /// What it touches, as `kind:name`, and what becomes of each: a hash, empty for what goes.
    pub records: BTreeMap<String, String>,
    /// The least harm that it can do.
    pub risk: Risk,
    /// What it does to the life of its records, at the least.
    pub effect: Effect,
    /// What of it goes by itself one day, where that day is another one than before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub goes: BTreeMap<String, Goes>,
    /// Whether all is well with the files as they would be.
    pub checks: Vec<Check>,
    /// Who gains and loses what.
    pub impact: Impact,
}

/// When something goes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goes {
    /// From when it is deprecated, where the files say it.
    pub from: Option<Timestamp>,
    /// When it goes.
    pub at: Timestamp,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What.
    pub name: String,
    /// Whether it is well.
    pub passed: bool,
    /// What there is to say.
    pub about: String,
}

/// Who gains and loses what by a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Impact {
    /// What comes in, goes or is another one, in words.
    pub summary: Vec<String>,
    /// Who could use what afterwards that he cannot now: `caller: tool`.
    pub gains: Vec<String>,
    /// Who could no longer use what.
    pub loses: Vec<String>,
    /// Pairs of a caller and a tool that were asked about.
    pub asked: u64,
    /// Whether there is more than is told.
    pub more: bool,
}

/// Whoever knows what the files are.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The files as they are.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    fn files(&self) -> Result<Files, String>;

    /// What it would mean to have `after` in place of `before`.
    ///
    /// # Errors
    /// Why it cannot be had: a file that is under no rules, a text that is no configuration.
    async fn look(&self, before: &Files, after: &Files) -> Result<Look, String>;

    /// The records that stand in the files, as `kind:name`, and a hash of each: its version.
    ///
    /// # Errors
    /// Why they cannot be had, in words.
    fn records(&self, files: &Files) -> Result<BTreeMap<String, String>, String>;

    /// Writes the files that are another one than before, each as a whole.
    ///
    /// # Errors
    /// Why it was not done; some of the files may have been written.
    fn write(&self, before: &Files, after: &Files) -> Result<(), String>;
}
