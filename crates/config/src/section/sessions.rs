//! Sessions of legacy clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::Span;

/// Sessions of clients that speak a revision with sessions (2025-11-25 and older).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// How long a session lasts. A client that comes later gets 404, and opens a new one.
    ///
    /// Since 0.1.
    pub ttl: Span,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { ttl: Span::from_hours(24) }
    }
}
