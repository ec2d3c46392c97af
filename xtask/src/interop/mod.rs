//! The gateway between programs of others: clients and servers of the official SDKs, several servers at once.
//!
//! What the clients do and what they expect is in `interop/`, in the language of most of them.

mod chromium;
mod python;
mod wants;
mod world;

use crate::npm::Packages;
use crate::run::{Counts, Outcome, bound, show};
use crate::workspace::Workspace;
use crate::{Result, build};
use serde_json::{Map, json};
use std::path::PathBuf;
use wants::Wants;
use world::{Programs, World};

/// The oldest node that all packages run on.
const NODE_MAJOR_MIN: u32 = 20;

/// The kinds of clients, which `interop/client.mjs` describes.
const CLIENTS: [&str; 13] = [
    "v1",
    "v1-sse",
    "v2",
    "v2-legacy",
    "rmcp",
    "rmcp-legacy",
    "oidc",
    "broker",
    "sso",
    "guardrails",
    "discovery",
    "onboarding",
    "portability",
];

/// Kinds that install large programs or wait long for them, which a whole run has by `--all` alone.
const LARGE: [&str; 2] = ["programs", "migration"];

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    client: Option<String>,
    /// With the clients that install large programs.
    all: bool,
    /// A part of the names of the cases to run.
    only: Option<String>,
    /// The gateway to test instead of one that is built here.
    gateway: Option<PathBuf>,
    /// To run no client, but to leave that to somebody at another terminal.
    serve: bool,
}

impl Options {
    /// Reads the arguments.
    pub fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--client" => options.client = Some(value()?),
                "--all" => options.all = true,
                "--only" => options.only = Some(value()?),
                "--gateway" => options.gateway = Some(PathBuf::from(value()?)),
                "--serve" => options.serve = true,
                other => return Err(format!("unexpected argument {other}")),
            }
        }
        Ok(options)
    }

    fn clients(&self) -> Result<Vec<&'static str>> {
        let known = CLIENTS.into_iter().chain(LARGE);
        let Some(wanted) = &self.client else {
            return Ok(if self.all { known.collect() } else { CLIENTS.to_vec() });
        };
        let chosen: Vec<_> = known.clone().filter(|kind| kind == wanted).collect();
        if chosen.is_empty() {
            let known: Vec<_> = known.collect();
            return Err(format!("there is no client {wanted}; there are {}", known.join(", ")));
        }
        Ok(chosen)
    }
}

/// Runs what the options choose.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let counts = run_clients(workspace, options)?;
    println!("\n{counts}");
    if counts.failed > 0 { Err("interop failed".to_owned()) } else { Ok(()) }
}

/// Runs every client; counts cases.
pub fn run_all(workspace: &Workspace) -> Result<Outcome> {
    run_clients(workspace, &Options::default()).map(Outcome::Ran)
}

/// The programs of others that are written in JavaScript.
pub fn packages(workspace: &Workspace) -> Result<Packages> {
    Packages::install(workspace, "interop", "interop", NODE_MAJOR_MIN)
}

fn run_clients(workspace: &Workspace, options: &Options) -> Result<Counts> {
    let clients = options.clients()?;
    let packages = packages(workspace)?;
    let programs = programs(workspace, options)?;
    let mut counts = Counts::default();
    let time_server = match python::time_server(workspace)? {
        python::Found::Program(program) => Some(program),
        python::Found::Nothing(why) => {
            println!("skipped the upstream mcp-server-time: {why}");
            counts.skipped += 1;
            None
        }
    };
    let mut world = World::start(workspace, &programs, &packages, time_server.as_deref())?;
    // Kept until all clients are through, and gone with this function.
    let python = time_server.as_ref().map(|program| program.with_file_name("python"));
    let wants = Wants::find(workspace, &clients, python.as_deref())?;
    world.tell(wants.description());
    if let Some(python) = &python {
        // The environment of that server has the SDK that it is made with, whose clients sign in as well.
        world.tell(Map::from_iter([("python".to_owned(), json!(python))]));
    }
    if options.serve {
        println!("export INTEROP_WORLD='{}'", world.description());
        println!("serving until the standard input ends");
        // An error means the same as the end.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        return world.stop().map(|()| Counts::ONE);
    }
    for client in clients {
        counts.add(run_client(workspace, client, options, &packages, &world)?);
    }
    if counts == (Counts { skipped: counts.skipped, ..Counts::default() }) {
        return Err("no client has such a case".to_owned());
    }
    match world.stop() {
        Ok(()) => {
            println!("ok gateway: it stops when it is asked to, and so do its processes");
            counts.passed += 1;
        }
        Err(message) => {
            println!("FAILED gateway: it stops when it is asked to, and so do its processes: {message}");
            counts.failed += 1;
        }
    }
    Ok(counts)
}

fn run_client(
    workspace: &Workspace,
    client: &str,
    options: &Options,
    packages: &Packages,
    world: &World,
) -> Result<Counts> {
    let mut command = bound(&packages.node);
    command.current_dir(workspace.root.join("interop")).args(["client.mjs", client]);
    command.env("INTEROP_WORLD", world.description());
    if let Some(only) = &options.only {
        command.env("INTEROP_ONLY", only);
    }
    let (status, output) = show(workspace, &format!("interop-{client}"), &mut command)?;
    let mut counts = case_counts(&output);
    if !status.success() && counts.failed == 0 {
        // It did not even come to the cases, or not to their end.
        println!("FAILED {client}: ended with {status}");
        counts.failed = 1;
    }
    Ok(counts)
}

fn programs(workspace: &Workspace, options: &Options) -> Result<Programs> {
    let Some(path) = &options.gateway else {
        let [gateway, fixture] = build::programs(workspace, ["tidegate", "tidegate-fixture"])?;
        return Ok(Programs { gateway, fixture });
    };
    let gateway = std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let [fixture] = build::programs(workspace, ["tidegate-fixture"])?;
    Ok(Programs { gateway, fixture })
}

/// What the lines of `interop/harness.mjs` add up to.
fn case_counts(output: &str) -> Counts {
    let mut counts = Counts::default();
    for line in output.lines() {
        match line.split_once(' ').map(|(word, _)| word) {
            Some("ok") => counts.passed += 1,
            Some("FAILED") => counts.failed += 1,
            Some("skipped") => counts.skipped += 1,
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_client_is_chosen_by_its_name() {
        let clients = |args: &[&str]| options(args).and_then(|options| options.clients());
        assert_eq!(clients(&[]), Ok(CLIENTS.to_vec()));
        assert_eq!(clients(&["--all"]), Ok(CLIENTS.into_iter().chain(LARGE).collect()));
        assert_eq!(clients(&["--client", "v2"]), Ok(vec!["v2"]));
        assert_eq!(clients(&["--client", "programs"]), Ok(vec!["programs"]));
        assert!(clients(&["--client", "v"]).is_err());
        assert!(options(&["--client"]).is_err());
        assert!(options(&["--fast"]).is_err());
    }

    #[test]
    fn cases_are_counted_by_the_first_word_of_their_line() {
        let output = "ok v1: one (3)\nFAILED v1: two: it is ok\nskipped v1: three: why\n  ok inner\nok";
        assert_eq!(case_counts(output), Counts { passed: 1, failed: 1, expected: 0, skipped: 1 });
    }
}
