//! `tidegate governance`: who may decide what.

mod files;

use clap::Subcommand;

/// What to do with rules of who may decide what.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say everything that is wrong with a ruleset, with an example of how it goes wrong; exit with 0 if it
    /// is good, else with 3.
    Check(files::Check),
    /// Let made-up people live a year under a ruleset, with delegation and without: waiting times, the load
    /// on the core, the share that is decided in domains.
    Simulate(files::Simulate),
    /// Play commands from a file under a ruleset, and say why each proposal is where it is then.
    Explain(files::Explain),
}

/// Does it.
#[expect(clippy::unused_async, reason = "commands that use a store follow")]
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check(arguments) => files::check(&arguments),
        Command::Simulate(arguments) => files::simulate(&arguments),
        Command::Explain(arguments) => files::explain(&arguments),
    }
}
