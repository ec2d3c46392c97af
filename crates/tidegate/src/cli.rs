//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A gateway for the Model Context Protocol: any client revision to any server revision.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Source {
    /// The configuration file; `tidegate.yaml` in this folder where there is one.
    #[arg(long, value_name = "FILE", conflicts_with = "mcp_json")]
    pub config: Option<PathBuf>,
    /// Serve the servers of a client's file (`mcpServers`) as it is.
    #[arg(long, value_name = "FILE")]
    pub mcp_json: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway; with no configuration, in front of a built-in demo server.
    Up {
        #[command(flatten)]
        source: Source,
        /// Listen here, whatever the configuration says.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
    },
}

impl Cli {
    /// Does what was asked for and gives the exit code.
    pub async fn run(self) -> anyhow::Result<u8> {
        match self.command {
            Command::Up { source, listen } => crate::up::run(source, listen).await,
        }
    }
}
