//! Names where several upstreams meet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the names of tools and prompts are made where several upstreams meet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// What stands between the upstream's name and its own name for a tool.
    ///
    /// One to four of `_` and `.`. Upstream names have neither, so the first one always ends the upstream's
    /// name. Since 0.1.
    #[schemars(length(min = 1, max = 4))]
    pub separator: String,

    /// The longest name, in characters; 48 to 128. A longer one is cut and ends in a hash of the whole.
    ///
    /// Since 0.1.
    #[schemars(range(min = 48, max = 128))]
    pub max: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self { separator: "_".to_owned(), max: 64 }
    }
}
