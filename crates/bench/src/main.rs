//! What a benchmark of the gateway is made of: a server behind it, and clients in front of it that measure.
//!
//! `cargo xtask bench` starts these programs and puts their numbers together. Each client prints one JSON
//! object.

mod load;
mod process;
mod upstream;
mod wire;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

/// What went wrong, in words.
type Result<T> = std::result::Result<T, String>;

#[derive(Debug, Parser)]
#[command(name = "tidegate-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve both eras, each under its own path: `/modern/TOOLS/mcp` and `/legacy/TOOLS/mcp`.
    Upstream {
        /// Where to listen; port 0 takes any.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Call a tool again and again, on some connections, as fast as possible or at a rate.
    Calls(load::calls::Options),
    /// Call a tool once whose answer is large or long, and watch the memory of a process meanwhile.
    Transfer(load::transfer::Options),
    /// Open streams that only listen, and weigh a process without and with them.
    Idle(load::idle::Options),
    /// List all tools, page by page.
    List(load::list::Options),
    /// Search among the tools of an endpoint.
    Find(load::find::Options),
    /// Judge requests in this process, without a network.
    Admit(load::admit::Options),
    /// Decide by policies in this process, without a network.
    Decide(load::decide::Options),
    /// Fill a store with tasks.
    Fill(load::fill::Options),
    /// Start a gateway and take the time until it has answered a call.
    Start(load::start::Options),
}

fn main() -> ExitCode {
    let Cli { role } = Cli::parse();
    // One thread: what is measured needs the other cores.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tidegate-bench: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(LocalSet::new().run_until(run(role))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tidegate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(role: Role) -> Result<()> {
    let measured = match role {
        Role::Upstream { listen } => return upstream::run(listen).await,
        Role::Calls(options) => load::calls::run(&options).await?,
        Role::Transfer(options) => load::transfer::run(&options).await?,
        Role::Idle(options) => load::idle::run(&options).await?,
        Role::List(options) => load::list::run(&options).await?,
        Role::Find(options) => load::find::run(&options).await?,
        Role::Admit(options) => load::admit::run(&options).await?,
        Role::Decide(options) => load::decide::run(&options)?,
        Role::Fill(options) => load::fill::run(&options).await?,
        Role::Start(options) => load::start::run(&options).await?,
    };
    println!("{measured}");
    Ok(())
}
