//! Where upstreams, what they offer, and endpoints are in their life.

use model::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Day, Glob};

/// Where something is in its life.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LifeStage {
    /// Somebody wants it. It is not offered.
    Proposed,
    /// It is offered for trial, where an endpoint says `experimental: true`.
    Experimental,
    /// It is offered.
    #[default]
    Active,
    /// It is offered, and is to go.
    Deprecated,
    /// It is gone. It is not offered.
    Removed,
}

impl LifeStage {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Experimental => "experimental",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Removed => "removed",
        }
    }

    /// Whether it is offered, at a place where what is experimental is offered or is not.
    #[must_use]
    pub const fn is_offered(self, experimental: bool) -> bool {
        match self {
            Self::Active | Self::Deprecated => true,
            Self::Experimental => experimental,
            Self::Proposed | Self::Removed => false,
        }
    }
}

/// Where something is in its life, and when that changes by itself.
///
/// What it comes to is announced in lists, cards, the registry and headers of HTTP: see
/// `docs/extensions/lifecycle.md`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// Where it is.
    ///
    /// Since 0.1.
    pub state: LifeStage,

    /// The day from which it is deprecated, if it is active or experimental until then.
    ///
    /// What is `deprecated` has to have one. By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated_on: Option<Day>,

    /// The day from which it is removed, whatever `state` says.
    ///
    /// By default none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_on: Option<Day>,

    /// What takes its place: an endpoint or an upstream; in `lifecycles` the upstream's own name for it.
    ///
    /// By default nothing. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}

impl Lifecycle {
    /// Where it is at a moment.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> LifeStage {
        let passed = |day: Option<Day>| day.is_some_and(|day| day.begins() <= now);
        match self.state {
            _ if passed(self.removed_on) => LifeStage::Removed,
            LifeStage::Experimental | LifeStage::Active if passed(self.deprecated_on) => {
                LifeStage::Deprecated
            }
            state => state,
        }
    }

    /// Whether there is nothing to say of it: it is active, and stays so.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The moments from which it may be elsewhere in its life.
    pub fn turns(&self) -> impl Iterator<Item = Timestamp> {
        [self.deprecated_on, self.removed_on].into_iter().flatten().map(Day::begins)
    }
}

/// Where some of what an upstream offers is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// What it is about, as patterns over the upstream's own names (a resource's is its URI). Required.
    ///
    /// Since 0.1.
    pub names: Vec<Glob>,

    /// Where that is in its life. Required.
    ///
    /// Since 0.1.
    pub lifecycle: Lifecycle,
}
