//! Programs of this workspace, built for a test of them.

use crate::Result;
use crate::run::cargo;
use crate::workspace::Workspace;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

/// Packages that have programs. Features of what they use differ with what is built beside them, so they are
/// always built together: another selection would compile most of it once more.
const PACKAGES: [&str; 3] = ["tidegate", "tidegate-fixture", "tidegate-soak"];

static TESTS_ARE_BUILT: AtomicBool = AtomicBool::new(false);

/// From here on programs are those that are built beside the tests: these were built before.
pub fn tests_are_built() {
    TESTS_ARE_BUILT.store(true, Ordering::Relaxed);
}

/// Builds the programs of these packages, which have the packages' names, and says where they are.
pub fn programs<const N: usize>(workspace: &Workspace, names: [&str; N]) -> Result<[PathBuf; N]> {
    let mut command = cargo(workspace);
    command.args(["build", "--quiet", "--bins", "--message-format=json-render-diagnostics"]);
    if TESTS_ARE_BUILT.load(Ordering::Relaxed) {
        command.args(["--workspace", "--tests"]);
    } else {
        command.args(PACKAGES.iter().flat_map(|name| ["--package", name]));
    }
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cargo does not start: {e}"))?;
    if !output.status.success() {
        return Err(format!("{} cannot be built", names.join(" or ")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut paths = names.map(|_| PathBuf::new());
    for (path, name) in paths.iter_mut().zip(names) {
        *path = executable(&text, name).ok_or_else(|| format!("cargo built no program {name}"))?;
    }
    Ok(paths)
}

/// Where cargo says that it put a program.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut artifacts =
        messages.filter(|m| m.get("reason").and_then(Value::as_str) == Some("compiler-artifact"));
    artifacts.find_map(|message| {
        if message.get("profile").and_then(|profile| profile.get("test")) == Some(&Value::Bool(true)) {
            return None;
        }
        let target = message.get("target")?.get("name")?.as_str()?;
        let path = message.get("executable")?.as_str()?;
        (target == name).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_prints() {
        let messages = r#"{"reason": "compiler-artifact", "target": {"name": "x"}, "executable": null}
        {"reason": "compiler-artifact", "profile": {"test": true}, "target": {"name": "x"}, "executable": ""}
            {"reason": "compiler-artifact", "profile": {}, "target": {"name": "x"}, "executable": "/a/x"}
            {"reason": "build-finished", "success": true}"#;
        assert_eq!(executable(messages, "x"), Some(PathBuf::from("/a/x")));
        assert_eq!(executable(messages, "y"), None);
    }
}
