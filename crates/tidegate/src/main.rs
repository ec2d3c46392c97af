//! The gateway's program: arguments, exit codes, what is printed.

mod add_command;
mod approvals_command;
mod arguments;
mod ask;
mod audit_command;
mod audit_log;
mod auth_command;
mod bundle_command;
mod by_hand;
mod call;
mod cli;
mod config_command;
mod demo_server;
mod discover_command;
mod embedded;
mod exit;
mod governance_command;
mod governed;
mod health;
mod keys;
mod limits_command;
mod list;
mod load;
mod logging;
mod migrate_command;
mod operators;
mod out;
mod pins_command;
mod policy_command;
mod portable_command;
mod progress;
mod question;
mod registry_command;
mod running_command;
mod service;
mod signals;
mod sockets;
mod state;
mod stdio;
mod store_command;
mod table;
mod takeover;
mod tasks_command;
mod traces;
mod up;
mod users_command;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

/// How long what is left of the work may take to be dropped.
const LEAVE: Duration = Duration::from_millis(100);

/// Calls are many small allocations on several threads, which this allocator is good at: about a fifth more
/// calls a second than with the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are no errors and go to stdout.
            let code = if error.use_stderr() { exit::USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tidegate: failed to start the runtime: {error}");
            return ExitCode::from(exit::FAILURE);
        }
    };
    let code = runtime.block_on(async {
        let stops_itself = cli.stops_itself();
        let work = cli.run();
        if stops_itself {
            return code(work.await);
        }
        tokio::select! {
            // First, so that signals are listened to before anything is started.
            biased;
            code = signals::interrupted() => code,
            done = work => code(done),
        }
    });
    // Processes end with what holds them; reads of stdin cannot be cancelled, and are not waited for.
    runtime.shutdown_timeout(LEAVE);
    ExitCode::from(code)
}

/// The exit code, once an error has been told.
fn code(done: anyhow::Result<u8>) -> u8 {
    done.unwrap_or_else(|error| {
        eprintln!("tidegate: failed to {error:#}");
        exit::of(&error)
    })
}
