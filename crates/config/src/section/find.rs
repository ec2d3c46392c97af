//! Finding the right tool of many.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Three tools that find, describe and call the tools of an endpoint (docs/finding.md).
///
/// `call` is no way around anything: policies, checks, pins, limits and the audit log know the tool inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Find {
    /// Whether the endpoint lists its own tools as well.
    ///
    /// A tool of its own that is called `search`, `describe` or `call` is then left out of the list; `call`
    /// still calls it. Since 0.1.
    pub beside: bool,

    /// How many tools a search finds that does not say how many it wants.
    ///
    /// From 1 to 50. Since 0.1.
    #[schemars(range(min = 1))]
    pub limit: usize,

    /// Words and phrases that mean the same, group by group, besides those that ship with the gateway:
    /// `[ticket, work item]`.
    ///
    /// At most 2,000 groups of 2 to 32. Since 0.1.
    pub synonyms: Vec<Vec<String>>,
}

impl Default for Find {
    fn default() -> Self {
        Self { beside: false, limit: 8, synonyms: Vec::new() }
    }
}
