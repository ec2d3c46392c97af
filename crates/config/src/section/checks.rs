//! What is looked at in what passes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Glob;

/// A rule by which contents are looked at, and what becomes of what is found.
///
/// All rules that fit are applied, in their order. See the page on checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckRule {
    /// What the rule is called, in logs and in the answers that it makes.
    ///
    /// Since 0.1.
    pub name: String,

    /// What is looked at.
    ///
    /// By default arguments and results. Since 0.1.
    pub on: Vec<Checked>,

    /// What is looked for.
    ///
    /// Since 0.1.
    pub detectors: Vec<Detector>,

    /// Whether anything is done about what is found, or it is only logged and counted.
    ///
    /// Since 0.1.
    pub mode: CheckMode,

    /// What becomes of what cannot be looked at as a whole: it is too large.
    ///
    /// Since 0.1.
    pub fail: CheckFail,

    /// What is done about what is found.
    ///
    /// Since 0.1.
    pub action: CheckAction,

    /// The endpoints for which the rule holds, as patterns.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<Glob>>,

    /// The upstreams for which the rule holds, as patterns.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstreams: Option<Vec<Glob>>,

    /// The tools and prompts for which the rule holds, as patterns over the upstreams' own names; of a
    /// resource its URI.
    ///
    /// By default all. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Glob>>,
}

impl Default for CheckRule {
    fn default() -> Self {
        Self {
            name: String::new(),
            on: vec![Checked::Arguments, Checked::Results],
            detectors: Vec::new(),
            mode: CheckMode::Enforce,
            fail: CheckFail::Closed,
            action: CheckAction::Block,
            endpoints: None,
            upstreams: None,
            tools: None,
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// What clients send with a call.
    Arguments,
    /// What servers answer, errors included.
    Results,
    /// What servers ask in the middle of a call, and what is answered.
    Questions,
    /// Entries of lists: what servers say of their tools, prompts and resources.
    Descriptions,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// Keys and tokens of known shapes, private keys, and what looks like a password.
    Secrets,
    /// E-mail addresses, telephone numbers, IBANs, cards, US social security numbers.
    Pii,
    /// Texts that talk to a model. A heuristic: it finds usual ways to write them, and is written around.
    Injection,
    /// Characters that a person does not see: direction overrides, zero-width ones, tags.
    Hidden,
}

/// Whether anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckMode {
    /// The action is taken.
    Enforce,
    /// It is logged and counted.
    Observe,
}

/// What becomes of what cannot be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckFail {
    /// It does not pass.
    Closed,
    /// It passes.
    Open,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckAction {
    /// A call is not made, an answer is withheld, an entry is not listed.
    Block,
    /// What was found is blanked, and the rest passes as it is.
    Redact,
}
