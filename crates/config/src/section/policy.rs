//! Who may do what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may do what: policies in Cedar's language.
///
/// Where the section is there, what no policy permits is denied. The page on policies says how they are
/// written; `tidegate policy check` says what is wrong with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Policies that are shipped, by name.
    ///
    /// `everyone` and `operators` permit, the others forbid something of what is permitted. Since 0.1.
    pub presets: Vec<Preset>,

    /// Files of policies.
    ///
    /// They are read with the configuration, and again when one of them changes. Since 0.1.
    pub files: Vec<PathBuf>,

    /// The arguments that policies may read as `context.arguments`, and their types, for all tools and
    /// prompts: `amount: long`. A member of a member is written with a dot: `options.force: boolean`.
    ///
    /// Where a call has such an argument of another type, a policy that reads it permits nothing, and what it
    /// would forbid is denied. Since 0.1.
    pub arguments: BTreeMap<String, ArgumentType>,
}

/// A shipped set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Whoever may reach an endpoint may use what it offers.
    Everyone,
    /// Operators see and do what their role allows.
    Operators,
    /// Only tools that change nothing.
    ReadOnly,
    /// A tool that may destroy something needs somebody of the group `approvers` to say yes.
    NoDestructiveWithoutApproval,
    /// A tool is for those in a group by which it is labelled.
    PerTeamTools,
}

impl Preset {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Operators => "operators",
            Self::ReadOnly => "read-only",
            Self::NoDestructiveWithoutApproval => "no-destructive-without-approval",
            Self::PerTeamTools => "per-team-tools",
        }
    }
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArgumentType {
    /// A whole number of 64 bits.
    Long,
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A list of whole numbers; one alone is a list of one.
    Longs,
    /// A list of texts; one alone is a list of one.
    Strings,
}

impl Policy {
    pub(super) fn anchor(&mut self, folder: &Path) {
        for file in &mut self.files {
            *file = folder.join(&*file);
        }
    }
}
