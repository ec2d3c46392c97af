//! `cargo xtask …`: the checks, generators and foreign test suites of this workspace.

mod bench;
mod build;
mod check;
mod cluster;
mod conformance;
mod deploy;
mod generate;
mod interop;
mod layers;
mod npm;
mod postgres;
mod quick;
mod run;
mod secrets;
mod soak;
mod tidy;
mod workspace;

use std::process::ExitCode;
use workspace::Workspace;

/// What went wrong, in words for the person at the terminal; empty where all is said already.
type Result<T = ()> = std::result::Result<T, String>;

const HELP: &str = "\
usage: cargo xtask COMMAND

  check                         the one gate: everything below, and every test
  quick [--all]                 fmt, layers, tidy, clippy and tests of the crates that changed since main
  layers                        which crate may use which (layers.toml)
  tidy                          size, documentation and tidiness of the sources (tidy.toml)
  gen [--check]                 write the generated files, or say which are out of date
  conformance [--cell CELL] [--scenario NAME] [--gateway PROGRAM] [--replicas N] [--list]
                                the protocol's conformance suite against the gateway, in cells; through N
                                replicas behind nginx, with one request per connection and PostgreSQL
  interop [--client CLIENT | --all] [--only TEXT] [--gateway PROGRAM] [--serve]
                                clients and servers of the official SDKs around the gateway (interop/); with
                                --all also large programs that read what it exports
  secrets                       the logs that these two have left, searched for secrets
  deploy                        the examples in deploy/, by the programs that would read them
  bench [--quick] [--only PART | --replicas] [--rounds N] [--no-build]
                                figures against the server called directly and against nginx (docs/bench)
  soak [--minutes N] [--seed S] [--clients N] [--replicas N] [--calm] [--rolling N]
                                three replicas that are killed, stopped and restarted at random
  soak --tasks KILLS [--store sqlite|postgres] [--seed S] [--waiting N]
                                replicas that are killed while they have tasks: none may be lost or done twice
  soak --audit KILLS [--store sqlite|postgres] [--seed S]
                                replicas that are killed while they write the audit log, in each mode: no
                                answer may be without its record, and no loss without its gap
  soak --limits SECONDS [--store sqlite|postgres] [--replicas N]
                                replicas that are asked for more than a rate lets through: together they
                                keep it within a twentieth
  soak … --restart-database [--minutes N]
                                either, while PostgreSQL is killed or stopped every 5 to 40 s; with --calm
                                nothing else happens
  postgres                      a PostgreSQL for tests that are run by hand, until it is interrupted
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            if !message.is_empty() {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result {
    let (command, rest) = args.split_first().map_or(("help", args), |(first, rest)| (first.as_str(), rest));
    let workspace = Workspace::open()?;
    match command {
        "check" => {
            no_arguments(rest)?;
            check::run(&workspace)
        }
        "quick" => quick::run(&workspace, flag(rest, "--all")?),
        "layers" => {
            no_arguments(rest)?;
            layers::run(&workspace).map(|edges| println!("layers: {edges} edges, all listed"))
        }
        "tidy" => {
            no_arguments(rest)?;
            tidy::run(&workspace).map(|files| println!("tidy: {files} files, nothing to say"))
        }
        "gen" => generate::run(&workspace, flag(rest, "--check")?).map(|_| ()),
        "bench" => bench::run(&workspace, &bench::Options::parse(rest)?),
        "conformance" => conformance::run(&workspace, &conformance::Options::parse(rest)?),
        "deploy" => {
            no_arguments(rest)?;
            run::steps(&workspace, &[run::Step { name: "deploy", run: deploy::check }])
        }
        "interop" => interop::run(&workspace, &interop::Options::parse(rest)?),
        "secrets" => {
            no_arguments(rest)?;
            run::steps(&workspace, &[run::Step { name: "secrets", run: secrets::check }])
        }
        "soak" => soak::run(&workspace, &soak::Options::parse(rest)?),
        "postgres" => {
            no_arguments(rest)?;
            postgres::run(&workspace)
        }
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("there is no `cargo xtask {other}`\n\n{HELP}")),
    }
}

fn no_arguments(args: &[String]) -> Result {
    args.first().map_or(Ok(()), |first| Err(format!("unexpected argument {first}\n\n{HELP}")))
}

/// Whether the only flag that is known here was given.
fn flag(args: &[String], name: &str) -> Result<bool> {
    match args.iter().find(|arg| *arg != name) {
        Some(other) => Err(format!("unexpected argument {other}\n\n{HELP}")),
        None => Ok(!args.is_empty()),
    }
}
