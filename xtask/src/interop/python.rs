//! What is from the Python package index, in environments of its own.

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
    installed(workspace, REQUIREMENTS, &folder, || {
        println!("installing mcp-server-time …");
        step(workspace, "venv", Path::new("python3"), &["-m", "venv", "--clear"], &folder)?;
        let requirements = workspace.root.join(REQUIREMENTS);
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        step(workspace, "pip", &folder.join("bin/python"), &pip, &requirements)
    })?;
    Ok(Found::Program(folder.join("bin/mcp-server-time")))
}

/// Installs what `interop/portability/NAME.txt` pins, with the uv of the environment that has `python`, and
/// gives its Python. What cannot live beside other versions of the same packages has one of its own.
pub fn environment(workspace: &Workspace, python: &Path, name: &str) -> Result<PathBuf> {
    let requirements = format!("interop/portability/{name}.txt");
    let folder = workspace.root.join(format!(".cache/interop-{name}"));
    let own = folder.join("bin/python");
    installed(workspace, &requirements, &folder, || {
        println!("installing {name} …");
        let uv = python.with_file_name("uv");
        let python = python.display().to_string();
        step(workspace, "uv", &uv, &["venv", "--quiet", "--clear", "--python", &python], &folder)?;
        let own = own.display().to_string();
        let cache = workspace.root.join(".cache/interop-uv").display().to_string();
        // What this machine trusts, also where somebody between here and the registry speaks for it.
        let install = ["pip", "install", "--quiet", "--system-certs", "--cache-dir", &cache];
        let args = [&install[..], &["--python", &own, "-r"]].concat();
        step(workspace, "uv", &uv, &args, &workspace.root.join(&requirements))
    })?;
    Ok(own)
}

/// Does what installs something into a folder, unless the same is there already.
fn installed(
    workspace: &Workspace,
    requirements: &str,
    folder: &Path,
    install: impl FnOnce() -> Result,
) -> Result {
    let stamp = workspace.read_text(requirements)?;
    let stamp_file = folder.join(".installed");
    if std::fs::read_to_string(&stamp_file).unwrap_or_default() == stamp {
        return Ok(());
    }
    install()?;
    std::fs::write(&stamp_file, &stamp).map_err(|e| format!("{}: {e}", stamp_file.display()))
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
