//! A real browser, for the pages that people see.

use crate::Result;
use crate::run::{Running, answers, tail};
use crate::workspace::Workspace;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// What it is called, by who packages it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// The longest that installing it may take.
const INSTALL: Duration = Duration::from_secs(400);

/// The program, or the reason why it cannot be had here.
#[derive(Debug)]
pub enum Found {
    Program(PathBuf),
    Nothing(String),
}

/// Finds it; installs it where this machine's way to do that is known.
pub fn find(workspace: &Workspace) -> Result<Found> {
    let mut found = on_path();
    if found.is_none() && is_root() && answers(Command::new("apt-get").arg("--version")) {
        install(workspace)?;
        found = on_path();
    }
    Ok(found.map_or_else(
        || Found::Nothing("Chromium is not installed (Debian: apt-get install chromium)".to_owned()),
        Found::Program,
    ))
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let all = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    // What is there and does not start, as a stub that only names another package, is none.
    all.into_iter().find(|program| program.is_file() && answers(Command::new(program).arg("--version")))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).trim() == "0")
}

/// Installs the machine's own package. Where that fails, the caller finds that nothing is there.
fn install(workspace: &Workspace) -> Result {
    println!("installing Chromium …");
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "--no-install-recommends", "chromium", "fonts-liberation"]);
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let log = workspace.root.join("out/check/chromium-install.log");
    let mut apt = Running::start("apt-get", &mut command, &log)?;
    match apt.finish(INSTALL) {
        Ok(status) if status.success() => {}
        Ok(status) => println!("apt-get failed ({status}):\n{}", tail(&apt.whole_output()?, 5)),
        Err(message) => println!("{message}"),
    }
    Ok(())
}
