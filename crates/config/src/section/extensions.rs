//! What becomes of extensions of the protocol.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::value::Glob;

/// Which extensions of the protocol clients and servers may agree on through the gateway.
///
/// One that may not pass is taken out of what a client declares and out of what a server offers, so that
/// neither uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Extensions {
    /// What becomes of those that `named` does not name.
    ///
    /// Since 0.1.
    pub others: ExtensionState,

    /// Extensions, by their identifiers: `io.modelcontextprotocol/ui`.
    ///
    /// Since 0.1.
    pub named: IndexMap<String, Extension>,
}

/// An extension.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Extension {
    /// What becomes of it.
    ///
    /// Since 0.1.
    pub state: ExtensionState,

    /// What clients are told of it, in place of what servers say: its settings, an object.
    ///
    /// Where no server of an endpoint offers it, nothing is told. By default what the servers say. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Map<String, Value>>,

    /// The methods that it brings, as patterns: `skills/*`. Where it may not pass, they are unknown.
    ///
    /// Methods of the protocol's own revisions are not meant by it. Since 0.1.
    pub methods: Vec<Glob>,
}

/// What becomes of an extension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtensionState {
    /// It passes.
    #[default]
    Allowed,
    /// It passes at endpoints with `experimental: true`.
    Experimental,
    /// It passes nowhere.
    Refused,
}

impl ExtensionState {
    /// Whether it passes, at a place where what is experimental is offered or is not.
    #[must_use]
    pub const fn passes(self, experimental: bool) -> bool {
        match self {
            Self::Allowed => true,
            Self::Experimental => experimental,
            Self::Refused => false,
        }
    }
}

impl Extensions {
    /// Whether nothing is said, so that all passes as it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.others == ExtensionState::Allowed && self.named.is_empty()
    }
}
