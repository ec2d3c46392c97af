//! A soak: clients of every revision, servers that keep a ledger, and replicas of the gateway that are
//! killed, stopped and restarted at random.
//!
//! `cargo xtask soak` makes the ground (database, key ring, balancer) and starts this program. At the end the
//! ledgers must agree: what clients saw, and what upstreams did.

mod audit;
mod client;
mod database;
mod ledger;
mod limits;
mod random;
mod replicas;
mod run;
mod tasks;
mod trouble;
mod upstream;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What went wrong, in words.
type Result<T> = std::result::Result<T, String>;

#[derive(Debug, Parser)]
#[command(name = "tidegate-soak", version, about)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Run, and exit with 1 where something was not as it must be.
    Run(run::Options),
    /// Kill replicas while they have tasks, and exit with 1 where one was lost, changed or done twice.
    Tasks(tasks::Options),
    /// Kill replicas while they write the audit log, and exit with 1 where an answer has no record.
    Audit(audit::Options),
    /// Ask replicas for more than a limit lets through, and exit with 1 where they do not keep it together.
    Limits(limits::Options),
    /// Be a server on standard input and output.
    Stdio {
        /// The file for what was done.
        #[arg(long)]
        ledger: PathBuf,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().role {
        Role::Run(options) => run::run(&options).await,
        Role::Tasks(options) => tasks::run(&options).await,
        Role::Audit(options) => audit::run(&options).await,
        Role::Limits(options) => limits::run(&options).await,
        Role::Stdio { ledger } => upstream::stdio(&ledger).await.map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tidegate-soak: {error}");
            ExitCode::FAILURE
        }
    }
}
