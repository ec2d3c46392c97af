//! The protocol's conformance suite, run in cells against the gateway, and its results against a list of
//! expected failures that only shrinks.

mod cell;
mod ratchet;
mod report;
mod results;
mod suite;

use crate::run::{Counts, Outcome};
use crate::workspace::Workspace;
use crate::{Result, build, cluster, interop};
use cell::{CELLS, Cell, Front, Programs, Stage, Subject};
use ratchet::Ratchet;
use report::Report;
use results::{Requirements, Scenario};
use std::path::{Path, PathBuf};
use suite::{Scope, Suite};

/// Drives the gateway's upstream side for the client role, which runs where this program exists.
///
/// The suite calls it with the gateway's program and the address of the server of one scenario, and names the
/// scenario in `MCP_CONFORMANCE_SCENARIO`. It must end, and leave nothing running that holds its output.
const DRIVER: &str = "conformance/client-driver";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    cell: Option<String>,
    scenario: Option<String>,
    list: bool,
    /// The gateway to test instead of one that is built here.
    gateway: Option<PathBuf>,
    /// So many replicas of it behind a balancer, instead of one alone.
    replicas: Option<usize>,
}

/// As many replicas as fit on one machine.
const REPLICAS_MAX: usize = 9;

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
                "--replicas" => {
                    let text = value()?;
                    let count = text.parse().ok().filter(|count| (1..=REPLICAS_MAX).contains(count));
                    options.replicas =
                        Some(count.ok_or_else(|| format!("--replicas {text}: 1 to {REPLICAS_MAX}"))?);
                }
                "--list" => options.list = true,
                other => return Err(format!("unexpected argument {other}")),
            }
        }
        Ok(options)
    }

    fn cells(&self) -> Result<Vec<Cell>> {
        // The others have one gateway: one that nobody calls, and one that calls itself by its own address.
        let several = |cell: &Cell| !matches!(cell.subject, Subject::Client | Subject::Issuer);
        let of_all = CELLS.into_iter().filter(|cell| self.replicas.is_none() || several(cell));
        let Some(wanted) = &self.cell else { return Ok(of_all.collect()) };
        let chosen: Vec<Cell> = of_all.filter(|cell| cell.name == wanted || cell.group == wanted).collect();
        if chosen.is_empty() {
            let known: Vec<_> = CELLS.iter().flat_map(|cell| [cell.group, cell.name]).collect();
            return Err(format!("there is no cell {wanted}; there are all, {}", known.join(", ")));
        }
        Ok(chosen)
    }
}

impl Options {
    /// Where the results go, below the root.
    fn folder(&self) -> String {
        match self.replicas {
            None => "out/conformance".to_owned(),
            Some(count) => format!("out/conformance-{count}-replicas"),
        }
    }

    fn front<'a>(&self, workspace: &'a Workspace) -> Front<'a> {
        self.replicas.map_or(Front::One, |count| Front::Replicas(count, workspace))
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

/// How many replicas the check has: enough that a request seldom comes to the right one by chance.
const REPLICAS: usize = 3;

/// The same cells through several replicas, where the machine has what that takes.
pub fn run_all_through_replicas(workspace: &Workspace) -> Result<Outcome> {
    if let Some(why) = cluster::missing(workspace)? {
        return Ok(Outcome::Skipped(why));
    }
    let options = Options { replicas: Some(REPLICAS), ..Options::default() };
    run_cells(workspace, &options.cells()?, &options).map(Outcome::Ran)
}

fn run_cells(workspace: &Workspace, cells: &[Cell], options: &Options) -> Result<Counts> {
    let ratchet = Ratchet::from_table(&workspace.read_toml(ratchet::FILE)?)?;
    let suite = Suite::install(workspace)?;
    let scenario = options.scenario.as_deref();
    let programs = programs(workspace, cells, options)?;
    let driver = workspace.root.join(DRIVER);
    if cells.iter().any(|cell| cell.subject == Subject::Issuer) {
        interop::packages(workspace)?;
    }
    let mut counts = Counts::default();
    let mut reports = Vec::new();
    println!("@modelcontextprotocol/conformance {}", suite.version);
    for cell in cells {
        if cell.subject == Subject::Client && !driver.is_file() {
            println!("{}: skipped, there is no {DRIVER}", cell.name);
            counts.skipped += 1;
            continue;
        }
        let folder = workspace.root.join(options.folder()).join(cell.name);
        // One cell that cannot run leaves the others their results.
        let report =
            match run_cell(cell, &suite, (&programs, &driver), options.front(workspace), scenario, &folder) {
                Ok(scenarios) if scenarios.is_empty() => continue,
                Ok(scenarios) => Report::judge(*cell, scenarios, &ratchet, scenario.is_none()),
                Err(message) => Report::broken(*cell, message),
            };
        let report = report.compared_with(&reports, &ratchet);
        report.print();
        counts.add(report.counts());
        reports.push(report);
    }
    let asked_servers = cells.iter().any(|cell| cell.subject != Subject::Client);
    if let Some(name) = scenario.filter(|_| reports.is_empty() && asked_servers) {
        return Err(format!("none of these cells has a scenario {name}"));
    }
    report::print_table(&reports);
    report::write_summary(&workspace.root.join(options.folder()), &suite.version, &reports)?;
    Ok(counts)
}

fn run_cell(
    cell: &Cell,
    suite: &Suite,
    (programs, driver): (&Programs, &Path),
    front: Front<'_>,
    scenario: Option<&str>,
    folder: &Path,
) -> Result<Vec<Scenario>> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let results = folder.join("results");
    std::fs::create_dir_all(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let mut scenarios = asked(cell, &suite.requirements(cell.revision)?, scenario);
    if scenarios.is_empty() {
        return Ok(scenarios);
    }
    let mut content = true;
    let disliked = match cell.subject {
        Subject::Gateway { upstream: era, .. } | Subject::Server { era } => {
            let gateway = matches!(cell.subject, Subject::Gateway { .. });
            let adopts = matches!(cell.subject, Subject::Gateway { adopts: true, .. });
            let front = if gateway { front } else { Front::None };
            let mut stage = Stage::start(era, adopts, front, programs, folder)?;
            let disliked = run_server(cell, suite, &stage, &scenarios, scenario.is_none(), folder)?;
            stage.must_live()?;
            disliked
        }
        Subject::Client => {
            let command = format!("{} {}", driver.display(), programs.gateway.display());
            run_client(cell, suite, &command, &scenarios, folder)?
        }
        Subject::Issuer => {
            content = suite.run_issuer(programs, cell.revision, folder)?;
            Vec::new()
        }
    };
    let mut found = results::read(&results, cell.role())?;
    if cell.subject == Subject::Issuer {
        // One scenario goes on from the other's results, so that all are run whichever is asked for.
        found.retain(|name, _| scenarios.iter().any(|scenario| scenario.name == *name));
    }
    for scenario in &mut scenarios {
        scenario.checks = found.remove(&scenario.name).unwrap_or_default();
        scenario.must_have_checked();
        if disliked.contains(&scenario.name) {
            scenario.must_have_failed();
        }
    }
    if !content && scenarios.iter().all(|scenario| scenario.failures().is_empty()) {
        return Err("the suite is not content and no check says why; its log does".to_owned());
    }
    match found.into_keys().next() {
        Some(name) => Err(format!("the suite ran {name}, which its requirements do not name")),
        None => Ok(scenarios),
    }
}

/// Runs scenarios against a server, the required ones as one set where all are asked for.
///
/// Gives back the names of those run alone that the suite fails; of a set it does not say.
fn run_server(
    cell: &Cell,
    suite: &Suite,
    stage: &Stage,
    scenarios: &[Scenario],
    whole: bool,
    folder: &Path,
) -> Result<Vec<String>> {
    if whole {
        suite.run_server(&stage.url, cell.revision, Scope::Requirements, folder)?;
    }
    let alone = |name: &str| !whole || cell.extra_scenarios().contains(&name);
    let mut disliked = Vec::new();
    for scenario in scenarios.iter().filter(|scenario| alone(&scenario.name)) {
        if !suite.run_server(&stage.url, cell.revision, Scope::Scenario(&scenario.name), folder)? {
            disliked.push(scenario.name.clone());
        }
    }
    Ok(disliked)
}

/// Runs scenarios against a client, one by one. Gives back the names of those that the suite fails.
fn run_client(
    cell: &Cell,
    suite: &Suite,
    command: &str,
    scenarios: &[Scenario],
    folder: &Path,
) -> Result<Vec<String>> {
    let mut disliked = Vec::new();
    for scenario in scenarios {
        if !suite.run_client(command, cell.revision, &scenario.name, folder)? {
            disliked.push(scenario.name.clone());
        }
    }
    Ok(disliked)
}

/// The scenarios that a cell must have results for, still without any.
fn asked(cell: &Cell, requirements: &str, only: Option<&str>) -> Vec<Scenario> {
    let requirements = Requirements::parse(requirements, cell.role());
    let scored = requirements.scored.into_iter().map(|name| (name, None));
    let not_scored = requirements.not_scored.into_iter().map(|(name, reason)| (name, Some(reason)));
    let unscored = (cell.subject != Subject::Issuer).then(|| "in no set".to_owned());
    let extra = cell.extra_scenarios().iter().map(|name| ((*name).to_owned(), unscored.clone()));
    let all = scored.chain(not_scored).chain(extra);
    let chosen = all.filter(|(name, _)| only.is_none_or(|only| only == name));
    chosen.map(|(name, not_scored)| Scenario { name, not_scored, checks: Vec::new() }).collect()
}

/// The programs that the cells need, built where none is named.
fn programs(workspace: &Workspace, cells: &[Cell], options: &Options) -> Result<Programs> {
    let direct_only = cells.iter().all(|cell| matches!(cell.subject, Subject::Server { .. }));
    let gateway = match &options.gateway {
        Some(path) => std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?,
        // Cells without a gateway never start it.
        None if direct_only => PathBuf::from("tidegate"),
        None => {
            let [gateway, server] = build::programs(workspace, ["tidegate", "tidegate-fixture"])?;
            return Ok(Programs { gateway, server });
        }
    };
    let [server] = build::programs(workspace, ["tidegate-fixture"])?;
    Ok(Programs { gateway, server })
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
        assert_eq!(count(&[]), Ok(10));
        assert_eq!(count(&["--cell", "all"]), Ok(10));
        assert_eq!(count(&["--cell", "issuer"]), Ok(1));
        assert_eq!(count(&["--cell", "direct"]), Ok(2));
        assert_eq!(count(&["--cell", "2025-11-25_modern"]), Ok(1));
        assert_eq!(count(&["--cell", "modern-legacy"]), Ok(1));
        assert_eq!(count(&["--replicas", "3"]), Ok(7));
        assert!(count(&["--replicas", "3", "--cell", "client"]).is_err());
        assert!(count(&["--replicas", "3", "--cell", "issuer"]).is_err());
        assert!(options(&["--replicas", "0"]).is_err());
        assert!(count(&["--cell", "modern"]).is_err());
        assert!(options(&["--cell"]).is_err());
        assert!(options(&["--fast"]).is_err());
    }

    #[test]
    fn a_cell_asks_for_required_unscored_and_extra_scenarios() {
        let text = "server:\n  - ping\nclient:\n  - init\n  - auth/x\n\
                    not_scored:\n  - scenario: tasks\n    leg: server\n";
        let names =
            |cell: &Cell, only| asked(cell, text, only).into_iter().map(|s| s.name).collect::<Vec<_>>();
        let modern = CELLS.iter().find(|cell| cell.name == "2026-07-28_modern").expect("a cell");
        assert_eq!(names(modern, None).len(), 2 + modern.extra_scenarios().len());
        assert_eq!(names(modern, Some("tasks")), ["tasks"]);
        let client = CELLS.iter().find(|cell| cell.name == "client_2025-11-25").expect("a cell");
        let all = names(client, None);
        assert_eq!(all[..2], ["init", "auth/x"]);
        assert_eq!(all[2..], *client.extra_scenarios());
    }
}
