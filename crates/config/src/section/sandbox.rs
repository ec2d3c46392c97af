//! A room of its own for a program.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The program runs in a sandbox of bubblewrap (`bwrap`), and sees the system's programs and libraries, an
/// empty home folder, and nothing else of this machine.
///
/// Where `bwrap` is not in the gateway's `PATH`, the program is not started. `sandbox: {}` is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// Files and folders that it may read besides, by the same paths as outside. They must be there.
    ///
    /// The program itself, if it is no part of the system, and `cwd` are to be among these or in `write`.
    /// Since 0.1.
    pub read: Vec<PathBuf>,

    /// Files and folders that it may read and change.
    ///
    /// Since 0.1.
    pub write: Vec<PathBuf>,

    /// A folder that is its home folder, and stays: what it keeps there (such as downloaded packages) is
    /// there at the next start. It is made where it is not there.
    ///
    /// By default the home folder is empty, and gone with the process. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home: Option<PathBuf>,

    /// Whether it may use the network, this machine's own addresses included.
    ///
    /// A program such as `npx` or `uvx`, which fetches what it runs, does not start without. Since 0.1.
    pub network: bool,
}

impl Sandbox {
    pub(super) fn anchor(&mut self, folder: &Path) {
        for path in self.read.iter_mut().chain(&mut self.write).chain(&mut self.home) {
            // Nothing stays nothing, so that it is found.
            if !path.as_os_str().is_empty() {
                *path = folder.join(&*path);
            }
        }
    }
}
