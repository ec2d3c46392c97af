//! The gate for the desk: what changed, and nothing slow.

use crate::Result;
use crate::check::{check_layers, check_tidy, clippy, clippy_of, fmt, tests, tests_of};
use crate::run::{Counts, Outcome, Step, steps};
use crate::workspace::Workspace;

/// Runs the quick steps over the crates that changed since main, or over all.
pub fn run(workspace: &Workspace, all: bool) -> Result {
    let mut chosen = vec![
        Step { name: "fmt", run: fmt },
        Step { name: "layers", run: check_layers },
        Step { name: "tidy", run: check_tidy },
    ];
    if all {
        chosen.push(Step { name: "clippy", run: clippy });
        chosen.push(Step { name: "tests", run: tests });
    } else {
        chosen.push(Step { name: "clippy", run: |workspace| on_changed(workspace, clippy_of) });
        chosen.push(Step { name: "tests", run: |workspace| on_changed(workspace, tests_of) });
    }
    steps(workspace, &chosen)
}

fn on_changed(workspace: &Workspace, run: fn(&Workspace, &[String]) -> Result<Outcome>) -> Result<Outcome> {
    let packages = packages(workspace, &changed_files(workspace)?);
    if packages.is_empty() {
        println!("no crate changed since main");
        return Ok(Outcome::Ran(Counts::default()));
    }
    println!("{}", packages.join(" "));
    run(workspace, &packages)
}

/// What differs from where this work left main, with files that git does not know yet.
fn changed_files(workspace: &Workspace) -> Result<Vec<String>> {
    let bases = ["origin/main", "main"];
    let base = bases.iter().find_map(|base| workspace.git(&["merge-base", "HEAD", base]).ok());
    let base = base.unwrap_or_else(|| "HEAD".to_owned());
    let tracked = workspace.git(&["diff", "--name-only", base.trim()])?;
    let new = workspace.git(&["ls-files", "--others", "--exclude-standard"])?;
    Ok(tracked.lines().chain(new.lines()).map(str::to_owned).collect())
}

/// Cargo's arguments for the packages that these files belong to.
fn packages(workspace: &Workspace, files: &[String]) -> Vec<String> {
    let shared = ["Cargo.toml", "Cargo.lock", "clippy.toml", ".cargo/config.toml"];
    if files.iter().any(|file| shared.contains(&file.as_str())) {
        return vec!["--workspace".to_owned()];
    }
    let mut names: Vec<&str> =
        files.iter().filter_map(|file| workspace.member_of_file(file)).map(|m| m.package.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().flat_map(|name| ["-p".to_owned(), name.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_files_name_their_packages_once() {
        let workspace = Workspace::open().expect("the workspace is here");
        let files = ["xtask/src/main.rs", "xtask/src/run.rs", "crates/model/src/lib.rs", "README.md"];
        let files = files.map(str::to_owned);
        assert_eq!(packages(&workspace, &files), ["-p", "tidegate-model", "-p", "xtask"]);
        assert!(packages(&workspace, &["README.md".to_owned()]).is_empty());
    }

    #[test]
    fn a_change_that_concerns_all_means_all() {
        let workspace = Workspace::open().expect("the workspace is here");
        assert_eq!(packages(&workspace, &["Cargo.lock".to_owned()]), ["--workspace"]);
    }
}
