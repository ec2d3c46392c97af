//! The one gate.

use crate::postgres::ForTests;
use crate::run::{Counts, Outcome, Step, answers, cargo, must, show, steps};
use crate::workspace::Workspace;
use crate::{Result, build, conformance, deploy, generate, interop, layers, secrets, soak, tidy};
use std::process::Command;

const STEPS: &[Step] = &[
    Step { name: "fmt", run: fmt },
    Step { name: "layers", run: check_layers },
    Step { name: "tidy", run: check_tidy },
    Step { name: "clippy", run: clippy },
    Step { name: "tests", run: tests },
    Step { name: "doc tests", run: doc_tests },
    Step { name: "generated", run: generated },
    Step { name: "deny", run: deny },
    Step { name: "deploy", run: deploy::check },
    Step { name: "conformance", run: conformance_all },
    Step { name: "replicas", run: conformance::run_all_through_replicas },
    Step { name: "killed", run: soak::kill_all },
];

/// Tests against programs of others, besides the conformance suite. They run last, as they install most.
///
/// The logs of all of them are searched for secrets at the very end.
const FOREIGN: &[Step] =
    &[Step { name: "interop", run: interop::run_all }, Step { name: "secrets", run: secrets::check }];

/// Runs every step.
pub fn run(workspace: &Workspace) -> Result {
    let all: Vec<Step> =
        STEPS.iter().chain(FOREIGN).map(|step| Step { name: step.name, run: step.run }).collect();
    steps(workspace, &all)
}

/// Formatting as rustfmt.toml wants it.
pub fn fmt(workspace: &Workspace) -> Result<Outcome> {
    must(workspace, "fmt", cargo(workspace).args(["fmt", "--all", "--check"]))
}

/// The edges between crates.
pub fn check_layers(workspace: &Workspace) -> Result<Outcome> {
    let edges = layers::run(workspace)?;
    println!("{edges} edges, all listed");
    Ok(Outcome::Ran(Counts::ONE))
}

/// Sizes, documentation, tidiness.
pub fn check_tidy(workspace: &Workspace) -> Result<Outcome> {
    let files = tidy::run(workspace)?;
    println!("{files} files, nothing to say");
    Ok(Outcome::Ran(Counts::ONE))
}

/// Clippy over everything.
pub fn clippy(workspace: &Workspace) -> Result<Outcome> {
    clippy_of(workspace, &["--workspace".to_owned()])
}

/// Clippy, warnings denied, over the packages that the arguments name.
pub fn clippy_of(workspace: &Workspace, packages: &[String]) -> Result<Outcome> {
    let mut command = cargo(workspace);
    command.arg("clippy").args(packages).args(["--all-targets", "--quiet", "--", "-D", "warnings"]);
    must(workspace, "clippy", &mut command)
}

/// All tests but those in documentation.
pub fn tests(workspace: &Workspace) -> Result<Outcome> {
    let outcome = tests_of(workspace, &["--workspace".to_owned()]);
    build::tests_are_built();
    outcome
}

/// Tests of the packages that the arguments name.
///
/// With nextest where it is installed: it is faster, and keeps tests apart. Tests that need a PostgreSQL get
/// one; where there is none they are left out, and the sum says so.
pub fn tests_of(workspace: &Workspace, packages: &[String]) -> Result<Outcome> {
    let mut command = cargo(workspace);
    if has_nextest(workspace) {
        command.args(["nextest", "run", "--cargo-quiet", "--no-fail-fast", "--no-tests=pass"]);
        command.args(["--status-level=fail", "--hide-progress-bar"]);
    } else {
        command.args(["test", "--all-targets", "--no-fail-fast", "--quiet"]);
    }
    command.args(packages);
    let postgres = ForTests::start(workspace, packages)?;
    postgres.tell(&mut command);
    let outcome = counted(workspace, "tests", &mut command)?;
    let (Some(why), &Outcome::Ran(mut counts)) = (postgres.missing(), &outcome) else { return Ok(outcome) };
    println!("skipped the tests on PostgreSQL: {why}");
    // nextest counts them, libtest does not.
    counts.skipped = counts.skipped.max(1);
    Ok(Outcome::Ran(counts))
}

fn doc_tests(workspace: &Workspace) -> Result<Outcome> {
    let mut command = cargo(workspace);
    command.args(["test", "--doc", "--workspace", "--no-fail-fast", "--quiet"]);
    counted(workspace, "doc-tests", &mut command)
}

fn has_nextest(workspace: &Workspace) -> bool {
    answers(cargo(workspace).args(["nextest", "--version"]))
}

/// Runs tests and counts what they report.
fn counted(workspace: &Workspace, name: &str, command: &mut Command) -> Result<Outcome> {
    let (status, output) = show(workspace, name, command)?;
    let mut counts = test_counts(&output);
    if !status.success() && counts.failed == 0 {
        // It did not even come to the tests.
        counts.failed = 1;
    }
    Ok(Outcome::Ran(counts))
}

/// The sums in the output of `cargo test` (one per test program) and of `cargo nextest run` (one).
fn test_counts(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines().map(str::trim) {
        let libtest = line.strip_prefix("test result: ");
        let nextest = line.strip_prefix("Summary [").and_then(|rest| rest.split_once(" run: "));
        let Some(sums) = libtest.or(nextest.map(|(_, sums)| sums)) else { continue };
        let mut words = sums.split([' ', ',', ';']).filter(|word| !word.is_empty());
        let mut number = 0;
        for word in words.by_ref() {
            match word {
                "passed" => counts.passed += number,
                "failed" | "timed" => counts.failed += number,
                "skipped" | "ignored" => counts.skipped += number,
                other => number = other.trim_start_matches('(').parse().unwrap_or(0),
            }
        }
    }
    counts
}

fn generated(workspace: &Workspace) -> Result<Outcome> {
    let passed = generate::run(workspace, true)?;
    Ok(Outcome::Ran(Counts { passed, ..Counts::default() }))
}

fn conformance_all(workspace: &Workspace) -> Result<Outcome> {
    conformance::run_all(workspace).map(Outcome::Ran)
}

/// Licences, banned and doubled crates, sources; advisories where their database can be had.
fn deny(workspace: &Workspace) -> Result<Outcome> {
    if !answers(cargo(workspace).args(["deny", "--version"])) {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed: cargo install --locked cargo-deny".to_owned(),
        ));
    }
    // What is built here was fetched already; crates for other platforms may not have been.
    answers(cargo(workspace).args(["fetch", "--quiet"]));
    let mut command = cargo(workspace);
    command.args(["deny", "--workspace", "--offline", "check", "--hide-inclusion-graph"]);
    let mut counts = match must(workspace, "deny", command.args(["bans", "licenses", "sources"]))? {
        Outcome::Ran(counts) => counts,
        skipped @ Outcome::Skipped(_) => return Ok(skipped),
    };
    let mut command = cargo(workspace);
    command.args(["deny", "--workspace", "check", "--hide-inclusion-graph", "advisories"]);
    let (status, output) = show(workspace, "advisories", &mut command)?;
    let unreachable =
        output.contains("failed to fetch advisory database") || output.contains("failed to load advisory");
    counts.add(match (status.success(), unreachable) {
        (true, _) => Counts::ONE,
        (false, true) => {
            println!("the advisory database cannot be reached from here: advisories are skipped");
            Counts { skipped: 1, ..Counts::default() }
        }
        (false, false) => Counts { failed: 1, ..Counts::default() },
    });
    Ok(Outcome::Ran(counts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_libtest_are_added_up() {
        let output = "running 2 tests\n\
            test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.1s";
        assert_eq!(test_counts(output), Counts { passed: 7, failed: 3, expected: 0, skipped: 1 });
    }

    #[test]
    fn the_sum_of_nextest_is_understood() {
        let output =
            "     Summary [   0.512s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 4 skipped";
        assert_eq!(test_counts(output), Counts { passed: 9, failed: 3, expected: 0, skipped: 4 });
        let output = "     Summary [   0.004s] 1/3 tests run: 1 passed, 0 skipped";
        assert_eq!(test_counts(output), Counts { passed: 1, ..Counts::default() });
    }

    #[test]
    fn every_step_has_its_own_name() {
        let mut names: Vec<_> = STEPS.iter().chain(FOREIGN).map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STEPS.len() + FOREIGN.len());
    }
}
