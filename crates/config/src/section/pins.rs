//! Definitions that must stay as they were approved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// How definitions of tools, prompts and resource templates are held to what was approved.
///
/// Names, descriptions, schemas, annotations and the reference to a user interface count. What is approved is
/// kept in the store; `tidegate pins` shows it, approves and rolls back. See the page on pins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pins {
    /// What becomes of a definition that is another one than was approved.
    ///
    /// Since 0.1.
    pub drift: Drift,

    /// What becomes of a definition that is seen for the first time.
    ///
    /// Since 0.1.
    pub first: FirstSight,

    /// How old a list may be by which a call is judged.
    ///
    /// A call whose tool was listed longer ago waits until the list has been read again. What changes within
    /// this time, and of which the server tells nobody, is noticed after it. `0s` reads the list before each
    /// call. How long the server calls its list fresh does not count here. Since 0.1.
    pub reread: Span,
}

impl Default for Pins {
    fn default() -> Self {
        Self { drift: Drift::Quarantine, first: FirstSight::Approve, reread: Span::from_secs(30) }
    }
}

/// What becomes of a definition that is another one than was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// It is used, and shown to operators.
    Allow,
    /// It is used; each call of it is logged and counted.
    Warn,
    /// It is not listed, and a call of it is answered with an error that says why, until it is approved.
    Quarantine,
    /// It is as unknown as one that does not exist, until it is approved.
    Deny,
}

/// What becomes of a definition that is seen for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstSight {
    /// It is approved.
    Approve,
    /// It is neither listed nor called until somebody approves it.
    Quarantine,
}
