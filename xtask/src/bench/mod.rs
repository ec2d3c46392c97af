//! The benchmark: the gateway against the server called directly, and against nginx before the same
//! server, in one run.
//!
//! Rounds are interleaved (direct, nginx, gateway, direct, …), and what is compared is compared within a
//! round, so that a machine that is slower for a while is so for all.

mod auth;
mod calls;
mod catalog;
mod figure;
mod footprint;
mod guarded;
mod instructions;
mod lists;
mod machine;
mod memory;
pub mod nginx;
mod plot;
mod policy;
mod program;
mod replicas;
mod report;
mod stage;
mod svg;
mod tasks;
mod tenants;

use crate::Result;
use crate::run::cargo;
use crate::workspace::Workspace;
use figure::Figure;
use serde_json::{Map, Value, json};
use stage::Stage;
use std::path::PathBuf;
use std::time::Instant;

/// Where the results of a whole run are kept.
const FOLDER: &str = "docs/bench";
/// Where the results of a part, or of a quick run, go.
const SCRATCH: &str = "out/bench";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Short and rough: whether all runs, and about how fast.
    quick: bool,
    /// One part only.
    only: Option<String>,
    rounds: usize,
    /// Measure the programs that were built before.
    no_build: bool,
    /// Several replicas, and nothing else.
    replicas: bool,
}

/// One part of the benchmark.
struct Part {
    name: &'static str,
    run: fn(&Stage) -> Result<Measured>,
}

/// What a part found.
pub struct Measured {
    figures: Vec<Figure>,
    details: Value,
}

const PARTS: [Part; 15] = [
    Part { name: "throughput", run: calls::throughput },
    Part { name: "paced", run: calls::paced },
    Part { name: "single", run: calls::single },
    Part { name: "tenants", run: tenants::run },
    Part { name: "tasks", run: tasks::run },
    Part { name: "auth", run: auth::run },
    Part { name: "guarded", run: guarded::run },
    Part { name: "policy", run: policy::run },
    Part { name: "transfer", run: memory::transfer },
    Part { name: "idle", run: memory::idle },
    Part { name: "lists", run: lists::run },
    Part { name: "catalog", run: catalog::run },
    Part { name: "footprint", run: footprint::run },
    Part { name: "requests", run: calls::requests },
    Part { name: "instructions", run: instructions::run },
];

impl Options {
    /// Reads the arguments.
    pub fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { quick: false, only: None, rounds: 0, no_build: false, replicas: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--no-build" => options.no_build = true,
                "--replicas" => options.replicas = true,
                "--only" => options.only = Some(value()?),
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|rounds| (1..=99).contains(rounds));
                    options.rounds = rounds.ok_or_else(|| format!("--rounds {text}: 1 to 99"))?;
                }
                other => return Err(format!("unexpected argument {other}")),
            }
        }
        if options.rounds == 0 {
            options.rounds = if options.quick { 1 } else { 5 };
        }
        match &options.only {
            Some(_) if options.replicas => Err("--replicas has no parts".to_owned()),
            Some(only) if PARTS.iter().all(|part| part.name != only) => {
                let known: Vec<_> = PARTS.iter().map(|part| part.name).collect();
                Err(format!("there is no part {only}; there are {}", known.join(", ")))
            }
            _ => Ok(options),
        }
    }

    /// Whether the results are fit to be kept.
    fn whole(&self) -> bool {
        !self.quick && !self.no_build && self.only.is_none() && self.rounds >= 5
    }
}

/// Builds, measures, prints and writes the results.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    if options.replicas {
        return replicas::run(workspace, options);
    }
    if let Err(missing) = nginx::found() {
        println!("{missing}");
    }
    let programs = build(workspace, options)?;
    let mut facts = machine::facts(workspace)?;
    let stage = Stage::start(programs, options)?;
    let (mut figures, mut details) = (Vec::new(), Map::new());
    for part in PARTS.iter().filter(|part| options.only.as_deref().is_none_or(|only| only == part.name)) {
        let begun = Instant::now();
        println!("== {}", part.name);
        let measured = (part.run)(&stage).map_err(|e| format!("{}: {e}", part.name))?;
        for figure in &measured.figures {
            println!("{figure}");
        }
        println!("   {:.0} s", begun.elapsed().as_secs_f64());
        figures.extend(measured.figures);
        details.insert(part.name.to_owned(), measured.details);
    }
    drop(stage);
    facts["load_average_after"] = machine::load_average();
    let missed = figures.iter().filter(|figure| figure.met() == Some(false)).count();
    let results = json!({
        "machine": facts,
        "run": {"rounds": options.rounds, "quick": options.quick},
        "figures": figures.iter().map(Figure::to_json).collect::<Vec<_>>(),
        "details": details,
    });
    let kept = options.whole() && nginx::found().is_ok() && instructions::version().is_some();
    let folder = write(workspace, kept, &results)?;
    println!("\n{} figures, {missed} missed; written to {folder}", figures.len());
    Ok(())
}

/// The programs of the benchmark, as they are released.
#[derive(Debug, Clone)]
pub struct Programs {
    pub gateway: PathBuf,
    pub bench: PathBuf,
}

fn build(workspace: &Workspace, options: &Options) -> Result<Programs> {
    let mut command = cargo(workspace);
    command.args(["build", "--release", "--quiet", "--package", "tidegate", "--package", "tidegate-bench"]);
    if !options.no_build && !command.status().map_err(|e| format!("cargo does not start: {e}"))?.success() {
        return Err("the programs cannot be built".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let folder = workspace.root.join(target).join("release");
    Ok(Programs { gateway: folder.join("tidegate"), bench: folder.join("tidegate-bench") })
}

fn write(workspace: &Workspace, kept: bool, results: &Value) -> Result<&'static str> {
    let folder = if kept { FOLDER } else { SCRATCH };
    let path = workspace.root.join(folder);
    let fail = |e: std::io::Error| format!("{folder}: {e}");
    std::fs::create_dir_all(&path).map_err(fail)?;
    let text = serde_json::to_string_pretty(results).map_err(|e| e.to_string())?;
    std::fs::write(path.join("results.json"), text + "\n").map_err(fail)?;
    std::fs::write(path.join("results.svg"), plot::draw(results)).map_err(fail)?;
    if kept {
        let page = path.join("README.md");
        let text = std::fs::read_to_string(&page).map_err(fail)?;
        std::fs::write(page, report::insert(&text, results)?).map_err(fail)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_a_whole_run_of_five_rounds_is_kept() {
        assert!(options(&[]).is_ok_and(|o| o.whole() && o.rounds == 5));
        assert!(options(&["--rounds", "7"]).is_ok_and(|o| o.whole()));
        assert!(options(&["--rounds", "4"]).is_ok_and(|o| !o.whole()));
        assert!(options(&["--quick"]).is_ok_and(|o| !o.whole() && o.rounds == 1));
        assert!(options(&["--only", "paced"]).is_ok_and(|o| !o.whole()));
        assert!(options(&["--no-build"]).is_ok_and(|o| !o.whole()));
    }

    #[test]
    fn arguments_that_mean_nothing_are_refused() {
        for bad in [&["--only", "fast"][..], &["--rounds", "0"], &["--rounds"], &["--rounds", "x"], &["x"]] {
            assert!(options(bad).is_err(), "{bad:?}");
        }
    }
}
