//! The suite itself: installed at the pinned version, and run.

use super::cell::Programs;
use crate::Result;
use crate::npm::Packages;
use crate::run::{Running, bound};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest node that the suite runs on.
const NODE_MAJOR_MIN: u32 = 22;

/// The longest a run of a whole requirement set may take.
const RUN: Duration = Duration::from_secs(400);

/// An installed suite.
#[derive(Debug)]
pub struct Suite {
    node: PathBuf,
    package: PathBuf,
    /// Where the programs of others are.
    interop: PathBuf,
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
        let Packages { node, modules } =
            Packages::install(workspace, "conformance", ".cache/conformance", NODE_MAJOR_MIN)?;
        let package = modules.join("@modelcontextprotocol/conformance");
        let manifest = package.join("package.json");
        let text = std::fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("the suite: {e}"))?;
        let version =
            value.get("version").and_then(serde_json::Value::as_str).unwrap_or("unknown").to_owned();
        Ok(Self { node, package, interop: workspace.root.join("interop"), version })
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

    /// Runs all scenarios against the gateway as an authorization server, with a provider at which somebody
    /// signs in: both are those of `interop/`, which must be installed.
    pub fn run_issuer(&self, programs: &Programs, revision: &str, folder: &Path) -> Result<bool> {
        let mut command = bound(&self.node);
        command
            .current_dir(&self.interop)
            .arg("authorization.mjs")
            .args([&programs.gateway, &programs.server]);
        command.arg(self.package.join("dist/index.js")).arg(folder).arg(revision);
        let log = folder.join("logs/suite.log");
        Running::start("the suite", &mut command, &log)?.finish(RUN).map(|status| status.success())
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
