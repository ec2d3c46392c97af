//! What is kept of the upstreams' answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Size, Span};

/// What is kept of the upstreams' answers.
///
/// An upstream's own hints (`ttlMs`, `cacheScope`) are followed; these keys say what holds without a hint,
/// and how far a hint may go. A change notification ends what it concerns at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Whether answers to reads are kept.
    ///
    /// Lists are kept in any case, since names could not be resolved without them. Since 0.1.
    pub enabled: bool,

    /// How long a list is fresh whose upstream gave no hint, as legacy upstreams do.
    ///
    /// `list_ttl` of an upstream goes before it. Since 0.1.
    pub list_ttl: Span,

    /// The longest time that anything is fresh, whatever its upstream says.
    ///
    /// Since 0.1.
    pub ttl_max: Span,

    /// How many answers are kept.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub entries_max: usize,

    /// How much all kept answers may take together.
    ///
    /// Since 0.1.
    pub bytes_max: Size,

    /// The largest answer that is kept.
    ///
    /// Since 0.1.
    pub entry_bytes_max: Size,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: true,
            list_ttl: Span::from_mins(5),
            ttl_max: Span::from_hours(1),
            entries_max: 10_000,
            bytes_max: Size::from_mib(64),
            entry_bytes_max: Size::from_mib(1),
        }
    }
}
