//! The gateway's program: arguments, exit codes, what is printed.

mod arguments;
mod ask;
mod call;
mod cli;
mod config_command;
mod demo_server;
mod embedded;
mod exit;
mod list;
mod load;
mod logging;
mod out;
mod signals;
mod stdio;
mod table;
mod traces;
mod up;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

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
    let code = match runtime.block_on(cli.run()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: failed to {error:#}");
            exit::of(&error)
        }
    };
    // Reads of stdin cannot be cancelled: nothing waits for them.
    runtime.shutdown_background();
    ExitCode::from(code)
}
