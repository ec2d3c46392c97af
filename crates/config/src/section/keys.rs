//! The key ring that seals handles.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the key ring is that seals what clients carry: session ids, cursors, request states, task ids.
///
/// All replicas of a gateway need the same ring. By default it is in the store, where the first start makes
/// a key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The file with the ring, which `tidegate keys generate` makes. It is read again whenever it changes.
    ///
    /// By default, and without `env`, the ring is in the store. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,

    /// The variable of the gateway's environment with the text of the ring. It is read at the start alone.
    ///
    /// By default, and without `file`, the ring is in the store. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

impl Keys {
    pub(super) fn anchor(&mut self, folder: &Path) {
        if let Some(file) = &mut self.file {
            *file = folder.join(&*file);
        }
    }
}
