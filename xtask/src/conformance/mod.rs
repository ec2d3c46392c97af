//! The protocol's conformance suite, run in cells against the gateway, and its results against a list of
//! expected failures that only shrinks.

mod cell;
mod ratchet;
mod report;
mod results;
mod suite;

use crate::Result;
use crate::run::{Counts, cargo};
use crate::workspace::Workspace;
use cell::{CELLS, Cell, Programs, Stage, Subject};
use ratchet::Ratchet;
use report::Report;
use results::{Requirements, Scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use suite::{Scope, Suite};

/// Drives the gateway's upstream side for the client role; that role runs where it exists.
const DRIVER: &str = "conformance/client-driver";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    cell: Option<String>,
    scenario: Option<String>,
    list: bool,
    /// The gateway to test instead of one that is built here.
    gateway: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments.
    pub fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--cell" => options.cell = Some(value()?).filter(|cell| cell != "all"),
                "--scenario" => options.scenario = Some(value()?),
                "--gateway" => options.gateway = Some(PathBuf::from(value()?)),
                "--list" => options.list = true,
                other => return Err(format!("unexpected argument {other}")),
            }
        }
        Ok(options)
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        let Some(wanted) = &self.cell else { return Ok(CELLS.to_vec()) };
        let chosen: Vec<Cell> =
            CELLS.into_iter().filter(|cell| cell.name == wanted || cell.group == wanted).collect();
        if chosen.is_empty() {
            let known: Vec<_> = CELLS.iter().flat_map(|cell| [cell.group, cell.name]).collect();
            return Err(format!("there is no cell {wanted}; there are all, {}", known.join(", ")));
        }
        Ok(chosen)
    }
}

/// Runs what the options choose, or lists the cells.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    if options.list {
        for cell in CELLS {
            println!("{:<20} --cell {}", cell.name, cell.group);
        }
        return Ok(());
    }
    let counts = run_cells(workspace, &options.cells()?, options)?;
    println!("\n{counts}");
    if counts.failed > 0 { Err("conformance failed".to_owned()) } else { Ok(()) }
}

/// Runs every cell; counts scenarios.
pub fn run_all(workspace: &Workspace) -> Result<Counts> {
    run_cells(workspace, &CELLS, &Options::default())
}

fn run_cells(workspace: &Workspace, cells: &[Cell], options: &Options) -> Result<Counts> {
    let ratchet = Ratchet::from_table(&workspace.read_toml(ratchet::FILE)?)?;
    let suite = Suite::install(workspace)?;
    let scenario = options.scenario.as_deref();
    let mut programs = build(workspace)?;
    if let Some(gateway) = &options.gateway {
        programs.gateway = std::path::absolute(gateway).map_err(|e| format!("{}: {e}", gateway.display()))?;
    }
    let driver = workspace.root.join(DRIVER);
    let mut counts = Counts::default();
    let mut reports = Vec::new();
    println!("@modelcontextprotocol/conformance {}", suite.version);
    for cell in cells {
        if cell.subject == Subject::Client && !driver.is_file() {
            println!("{}: skipped, there is no {DRIVER}", cell.name);
            counts.skipped += 1;
            continue;
        }
        let folder = workspace.root.join("out/conformance").join(cell.name);
        // One cell that cannot run leaves the others their results.
        let report = match run_cell(cell, &suite, &programs, &driver, scenario, &folder) {
            Ok(scenarios) => Report::judge(*cell, scenarios, &ratchet, scenario),
            Err(message) => Report::broken(*cell, message),
        };
        let report = report.compared_with(&reports);
        report.print();
        counts.add(report.counts());
        reports.push(report);
    }
    report::print_table(&reports);
    report::write_summary(workspace, &suite.version, &reports)?;
    Ok(counts)
}

fn run_cell(
    cell: &Cell,
    suite: &Suite,
    programs: &Programs,
    driver: &Path,
    scenario: Option<&str>,
    folder: &Path,
) -> Result<Vec<Scenario>> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let results = folder.join("results");
    std::fs::create_dir_all(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let asked = asked(cell, &suite.requirements(cell.revision)?, scenario);
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let server = match cell.subject {
        Subject::Gateway { upstream } => Some((upstream, true)),
        Subject::Server { era } => Some((era, false)),
        Subject::Client => None,
    };
    match server {
        Some((era, gateway)) => {
            let stage = Stage::start(era, gateway, programs, folder)?;
            if scenario.is_none() {
                suite.run_server(&stage.url, cell.revision, Scope::Requirements, folder)?;
            }
            let single = asked.iter().map(|s| s.name.as_str());
            for name in single.filter(|name| scenario.is_some() || cell.extra_scenarios().contains(name)) {
                suite.run_server(&stage.url, cell.revision, Scope::Scenario(name), folder)?;
            }
        }
        None => {
            let command = format!("{} {}", driver.display(), programs.gateway.display());
            for scenario in &asked {
                suite.run_client(&command, cell.revision, &scenario.name, folder)?;
            }
        }
    }
    let mut found = results::read(&results, cell.role())?;
    let filled = asked.into_iter().map(|mut scenario| {
        scenario.checks = found.remove(&scenario.name).unwrap_or_default();
        scenario.must_have_checked();
        scenario
    });
    Ok(filled.collect())
}

/// The scenarios that a cell must have results for, still without any.
fn asked(cell: &Cell, requirements: &str, only: Option<&str>) -> Vec<Scenario> {
    let requirements = Requirements::parse(requirements, cell.role());
    let scored = requirements.scored.into_iter().map(|name| (name, None));
    let not_scored = requirements.not_scored.into_iter().map(|(name, reason)| (name, Some(reason)));
    let extra = cell.extra_scenarios().iter().map(|name| ((*name).to_owned(), Some("in no set".to_owned())));
    let all = scored.chain(not_scored).chain(extra);
    // Authorization of the upstream side is tested where it is built, with servers that ask for it.
    let in_scope = all.filter(|(name, _)| !name.starts_with("auth/"));
    let chosen = in_scope.filter(|(name, _)| only.is_none_or(|only| only == name));
    chosen.map(|(name, not_scored)| Scenario { name, not_scored, checks: Vec::new() }).collect()
}

/// Builds the gateway and the server that stands behind it.
fn build(workspace: &Workspace) -> Result<Programs> {
    let mut command = cargo(workspace);
    command.args(["build", "--quiet", "--package", "tidegate", "--package", "tidegate-fixture", "--bins"]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().map_err(|e| format!("cargo does not start: {e}"))?;
    if !output.status.success() {
        return Err("tidegate or tidegate-fixture cannot be built".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let program =
        |name: &str| executable(&text, name).ok_or_else(|| format!("cargo built no program {name}"));
    Ok(Programs { gateway: program("tidegate")?, server: program("tidegate-fixture")? })
}

/// Where cargo says that it put a program.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut artifacts =
        messages.filter(|m| m.get("reason").and_then(Value::as_str) == Some("compiler-artifact"));
    artifacts.find_map(|message| {
        let target = message.get("target")?.get("name")?.as_str()?;
        let path = message.get("executable")?.as_str()?;
        (target == name).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn cells_are_chosen_by_name_or_group() {
        let count = |args: &[&str]| options(args).and_then(|o| o.cells()).map(|cells| cells.len());
        assert_eq!(count(&[]), Ok(8));
        assert_eq!(count(&["--cell", "all"]), Ok(8));
        assert_eq!(count(&["--cell", "direct"]), Ok(2));
        assert_eq!(count(&["--cell", "2025-11-25_modern"]), Ok(1));
        assert_eq!(count(&["--cell", "modern-legacy"]), Ok(1));
        assert!(count(&["--cell", "modern"]).is_err());
        assert!(options(&["--cell"]).is_err());
        assert!(options(&["--fast"]).is_err());
    }

    #[test]
    fn a_cell_asks_for_required_unscored_and_extra_scenarios_but_not_for_authorization() {
        let text = "server:\n  - ping\nclient:\n  - init\n  - auth/x\n\
                    not_scored:\n  - scenario: tasks\n    leg: server\n";
        let names =
            |cell: &Cell, only| asked(cell, text, only).into_iter().map(|s| s.name).collect::<Vec<_>>();
        let modern = CELLS.iter().find(|cell| cell.name == "2026-07-28_modern").expect("a cell");
        assert_eq!(names(modern, None).len(), 2 + modern.extra_scenarios().len());
        assert_eq!(names(modern, Some("tasks")), ["tasks"]);
        let client = CELLS.iter().find(|cell| cell.name == "client_2025-11-25").expect("a cell");
        assert_eq!(names(client, None), ["init"]);
    }

    #[test]
    fn programs_are_found_in_what_cargo_prints() {
        let messages = r#"{"reason": "compiler-artifact", "target": {"name": "x"}, "executable": null}
            {"reason": "compiler-artifact", "target": {"name": "x"}, "executable": "/a/x"}
            {"reason": "build-finished", "success": true}"#;
        assert_eq!(executable(messages, "x"), Some(PathBuf::from("/a/x")));
        assert_eq!(executable(messages, "y"), None);
    }
}
