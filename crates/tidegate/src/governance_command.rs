//! `tidegate governance`: who may decide what.

mod acts;
mod files;
mod git;
mod records;
mod repository;
mod signers;

use clap::Subcommand;

pub use acts::{Decide, History, Propose, Review, Veto, Vote, decide, history, propose, review, veto, vote};
pub use files::text;

/// What to do with rules of who may decide what.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a ruleset that is shipped, to be made one's own: its people are examples.
    Preset(files::Preset),
    /// Say everything that is wrong with a ruleset, with an example of how it goes wrong; exit with 0 if it
    /// is good, else with 3.
    Check(files::Check),
    /// Let made-up people live a year under a ruleset, with delegation and without: waiting times, the load
    /// on the core, the share that is decided in domains.
    Simulate(files::Simulate),
    /// Play commands from a file under a ruleset, and say why each proposal is where it is then.
    Explain(files::Explain),
    /// List proposals, the newest first.
    List(acts::List),
    /// List what the configuration is made of: each record with its version, its domain and owners, and where
    /// it is in its life as far as decisions say.
    Records(records::Records),
    /// Put another change in place of the one that was proposed. Votes, blocks and evidence for it are void.
    Revise(acts::Revise),
    /// Take back what is in force.
    Rollback(acts::Rollback),
    /// Turn to a level above, where a domain does not come to an end.
    Escalate(acts::Escalate),
    /// Answer somebody who turned to a level above.
    Answer(acts::Answer),
    /// Put a change in force before anybody has decided, to be reviewed afterwards.
    Emergency(acts::Emergency),
    /// Take a proposal of one's own back.
    Withdraw(acts::Withdraw),
    /// Let happen what fell due, and put into the files what is in force. A gateway does so by itself.
    Tick(acts::Tick),
    /// Say what a branch of a Git repository needs under the rules of the branch that it is to go into; exit
    /// with 0 if it is accepted, else with 4.
    Plan(git::Branch),
    /// The same, and where it is accepted write down what happened, for the commit that merges it.
    Apply(git::Branch),
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Preset(arguments) => files::preset(&arguments),
        Command::Check(arguments) => files::check(&arguments),
        Command::Simulate(arguments) => files::simulate(&arguments),
        Command::Explain(arguments) => files::explain(&arguments),
        Command::List(arguments) => acts::list(arguments).await,
        Command::Records(arguments) => records::records(arguments).await,
        Command::Revise(arguments) => acts::revise(arguments).await,
        Command::Rollback(arguments) => acts::rollback(arguments).await,
        Command::Escalate(arguments) => acts::escalate(arguments).await,
        Command::Answer(arguments) => acts::answer(arguments).await,
        Command::Emergency(arguments) => acts::emergency(arguments).await,
        Command::Withdraw(arguments) => acts::withdraw(arguments).await,
        Command::Tick(arguments) => acts::tick(arguments).await,
        Command::Plan(branch) => git::run(&branch, false).await,
        Command::Apply(branch) => git::run(&branch, true).await,
    }
}
