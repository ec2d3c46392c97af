//! What is from the Python package index, in an environment of its own.

use crate::Result;
use crate::run::{Running, answers, bound, tail};
use crate::workspace::Workspace;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What pins the server and all it needs.
const REQUIREMENTS: &str = "interop/requirements.txt";

/// The longest that fetching the packages may take.
const INSTALL: Duration = Duration::from_secs(400);

/// The server, or the reason why it cannot be had here.
#[derive(Debug)]
pub enum Found {
    Program(PathBuf),
    Nothing(&'static str),
}

/// Installs what the requirements pin, unless that is there already.
pub fn time_server(workspace: &Workspace) -> Result<Found> {
    let python = |args: &[&str]| answers(Command::new("python3").args(args));
    if !python(&["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]) {
        return Ok(Found::Nothing("python3, 3.10 or newer, is not installed"));
    }
    if !python(&["-c", "import venv, ensurepip"]) {
        return Ok(Found::Nothing("python3 has no venv: install python3-venv"));
    }
    let folder = workspace.root.join(".cache/interop-python");
    let stamp = workspace.read_text(REQUIREMENTS)?;
    let stamp_file = folder.join(".installed");
    if std::fs::read_to_string(&stamp_file).unwrap_or_default() != stamp {
        println!("installing mcp-server-time …");
        step(workspace, "venv", Path::new("python3"), &["-m", "venv", "--clear"], &folder)?;
        let requirements = workspace.root.join(REQUIREMENTS);
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        step(workspace, "pip", &folder.join("bin/python"), &pip, &requirements)?;
        std::fs::write(&stamp_file, &stamp).map_err(|e| format!("{}: {e}", stamp_file.display()))?;
    }
    Ok(Found::Program(folder.join("bin/mcp-server-time")))
}

fn step(workspace: &Workspace, name: &str, program: &Path, args: &[&str], last: &Path) -> Result {
    let log = workspace.root.join(format!("out/check/interop-{name}.log"));
    let mut running = Running::start(name, bound(program).args(args).arg(last), &log)?;
    let status = running.finish(INSTALL)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{name} failed ({status}):\n{}", tail(&running.whole_output()?, 20)))
}
