//! Rulesets that are shipped.

use crate::check::Fault;
use crate::ruleset::Ruleset;

/// A shipped ruleset. Its people are examples: whoever takes it names his own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// Its text.
    pub text: &'static str,
}

impl Preset {
    /// The ruleset.
    ///
    /// # Errors
    /// What is wrong with its text; a test holds that nothing is.
    pub fn ruleset(&self) -> Result<Ruleset, Fault> {
        Ruleset::from_yaml(self.text)
    }
}

/// All of them.
pub const PRESETS: [Preset; 4] = [
    Preset {
        name: "solo",
        about: "No ceremony: changes apply at once, and are recorded.",
        text: include_str!("../presets/solo.yaml"),
    },
    Preset {
        name: "team",
        about: "Two pairs of eyes, silence is consent for what is harmless, and an emergency path.",
        text: include_str!("../presets/team.yaml"),
    },
    Preset {
        name: "enterprise",
        about: "Domains decide for themselves under limits; a core with veto, escalation and audit by \
            sample.",
        text: include_str!("../presets/enterprise.yaml"),
    },
    Preset {
        name: "mcp-2026",
        about: "The protocol's own process, with delegation to working groups as a switch.",
        text: include_str!("../presets/mcp-2026.yaml"),
    },
];

/// The preset of a name.
#[must_use]
pub fn preset(name: &str) -> Option<Preset> {
    PRESETS.into_iter().find(|preset| preset.name == name)
}
