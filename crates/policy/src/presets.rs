//! Policies that are shipped.

use crate::PolicyFile;

/// A shipped set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All of them.
pub const PRESETS: [Preset; 5] = [
    Preset { name: "everyone", text: include_str!("../presets/everyone.cedar") },
    Preset { name: "operators", text: include_str!("../presets/operators.cedar") },
    Preset { name: "read-only", text: include_str!("../presets/read-only.cedar") },
    Preset {
        name: "no-destructive-without-approval",
        text: include_str!("../presets/no-destructive-without-approval.cedar"),
    },
    Preset { name: "per-team-tools", text: include_str!("../presets/per-team-tools.cedar") },
];

/// The preset of a name, as a file.
#[must_use]
pub fn preset(name: &str) -> Option<PolicyFile> {
    let found = PRESETS.into_iter().find(|preset| preset.name == name)?;
    Some(PolicyFile { name: format!("{name}.cedar"), text: found.text.to_owned() })
}
