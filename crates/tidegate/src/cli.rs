//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    add_command, approvals_command, audit_command, auth_command, bundle_command, call, config_command,
    discover_command, governance_command, health, keys, limits_command, list, load, migrate_command,
    pins_command, policy_command, portable_command, registry_command, running_command, stdio, store_command,
    tasks_command, up, users_command,
};

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
    /// Lay the overlay of this environment over the configuration, such as `tidegate.production.yaml`;
    /// several in their order.
    #[arg(long, value_name = "NAME", value_parser = environment, conflicts_with = "mcp_json")]
    pub env: Vec<String>,
    /// Give a variable of the configuration its value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "mcp_json")]
    pub set: Vec<(String, String)>,
}

/// The name of an environment, which is part of a file's name.
pub fn environment(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match text {
        load::LOCAL => Err("the overlay of this machine is always used".to_owned()),
        _ if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) => {
            Err("a name has 1 to 32 of a-z, 0-9 and -".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// A name and a value.
pub fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// What the commands that use an endpoint share.
#[derive(Debug, Clone, Args)]
pub struct Use {
    #[command(flatten)]
    pub source: Source,
    /// The endpoint: the name of an upstream or of an endpoint; everything where none is named.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    pub endpoint: String,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the gateway; with no configuration, in front of a built-in demo server.
    Up {
        #[command(flatten)]
        source: Source,
        /// Listen here, whatever the configuration says.
        #[arg(long, value_name = "ADDRESS", value_parser = config::parse_listen)]
        listen: Option<SocketAddr>,
        /// Take the place of the gateway that is found behind this path, and let others take this one's.
        #[arg(long, value_name = "PATH")]
        takeover: Option<PathBuf>,
    },
    /// List the tools of an endpoint.
    Tools(Use),
    /// List the resources and resource templates of an endpoint.
    Resources(Use),
    /// List the prompts of an endpoint.
    Prompts(Use),
    /// Call a tool; shows its progress and asks its questions on the terminal.
    Call(call::Arguments),
    /// Show what the upstreams are and how they do.
    Upstreams(running_command::Arguments),
    /// Ask the gateway on this machine whether it takes work; exit with 0 if it does, else with 1.
    Health(health::Arguments),
    /// Check the configuration, or explain its keys.
    Config {
        #[command(subcommand)]
        command: config_command::Command,
    },
    /// The whole deployment as one signed file: made here, looked at, verified, applied elsewhere.
    Bundle {
        #[command(subcommand)]
        command: bundle_command::Command,
    },
    /// Check the policies, try them, see why they decide, and what other ones would change.
    Policy {
        #[command(subcommand)]
        command: policy_command::Command,
    },
    /// Rules of who may decide what: check them, try them, see what a change would need.
    Governance {
        #[command(subcommand)]
        command: governance_command::Command,
    },
    /// Propose a change of the configuration, under the rules that it names.
    Propose(governance_command::Propose),
    /// Show what is proposed: its change, its impact, what it needs; or say something of it.
    Review(governance_command::Review),
    /// Vote on a revision of a proposal.
    Vote(governance_command::Vote),
    /// Stop a proposal, or what was accepted while that can still be done.
    Veto(governance_command::Veto),
    /// Decide on a revision of a proposal, where the rules ask somebody to.
    Decide(governance_command::Decide),
    /// Show what happened to a proposal, or to all.
    History(governance_command::History),
    /// Make API keys, or see what the configuration makes of a token.
    Auth {
        #[command(subcommand)]
        command: auth_command::Command,
    },
    /// Look at the key ring that seals what clients carry, or change its keys.
    Keys {
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Look at what outlives the process, keep it, bring it to another version, move it elsewhere.
    Store {
        #[command(subcommand)]
        command: store_command::Command,
    },
    /// Show the limits of what callers may do, and how much of them is used.
    Limits(limits_command::Arguments),
    /// Look at the tasks that the gateway keeps, end them, or let them be tried again at once.
    Tasks {
        #[command(subcommand)]
        command: tasks_command::Command,
    },
    /// Look through the audit log, prove what is in it, verify it, export it, and say what is kept.
    Audit {
        #[command(subcommand)]
        command: audit_command::Command,
    },
    /// Definitions of tools, prompts and resource templates: what was approved, and what was seen instead.
    Pins {
        #[command(subcommand)]
        command: pins_command::Command,
    },
    /// Let users in no more, or again, and look at what they have granted.
    Users {
        #[command(subcommand)]
        command: users_command::Command,
    },
    /// Look at the calls that wait for somebody's yes, and say yes or no.
    Approvals {
        #[command(subcommand)]
        command: approvals_command::Command,
    },
    /// Add a server to the configuration: from its URL, its card, an entry of a registry, a bundle or an
    /// OpenAPI document.
    Add(Box<add_command::Arguments>),
    /// Take over the servers that other programs have in their configurations.
    Import(portable_command::Import),
    /// Point other programs at the gateway, or write its configuration as theirs.
    Export(portable_command::Export),
    /// Look what a domain, a URL or a list of them publishes about its servers, and what of it contradicts.
    Discover(discover_command::Arguments),
    /// Keep copies of registries, search them, and look at what is in them.
    Registry {
        #[command(subcommand)]
        command: registry_command::Command,
    },
    /// Move here from another gateway: compare what it answers with what this configuration answers.
    Migrate {
        #[command(subcommand)]
        command: migrate_command::Command,
    },
    /// Serve one endpoint on standard input and output.
    Stdio {
        #[command(flatten)]
        source: Source,
        /// The endpoint: the name of an upstream or of an endpoint; everything where none is named.
        #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
        endpoint: String,
    },
}

impl Cli {
    /// Whether the command has an order of its own for ending when a signal says so.
    pub fn stops_itself(&self) -> bool {
        matches!(self.command, Command::Up { .. } | Command::Stdio { .. })
    }

    /// Does what was asked for and gives the exit code.
    pub async fn run(self) -> anyhow::Result<u8> {
        match self.command {
            Command::Up { source, listen, takeover } => up::run(source, listen, takeover).await,
            Command::Tools(wanted) => list::run(&wanted, &[list::TOOLS]).await,
            Command::Resources(wanted) => list::run(&wanted, &[list::RESOURCES, list::TEMPLATES]).await,
            Command::Prompts(wanted) => list::run(&wanted, &[list::PROMPTS]).await,
            Command::Call(arguments) => call::run(arguments).await,
            Command::Upstreams(arguments) => running_command::run(arguments).await,
            Command::Health(arguments) => health::run(arguments).await,
            Command::Config { command } => config_command::run(command).await,
            Command::Bundle { command } => bundle_command::run(command).await,
            Command::Policy { command } => policy_command::run(command),
            Command::Governance { command } => governance_command::run(command).await,
            Command::Propose(arguments) => governance_command::propose(arguments).await,
            Command::Review(arguments) => governance_command::review(arguments).await,
            Command::Vote(arguments) => governance_command::vote(arguments).await,
            Command::Veto(arguments) => governance_command::veto(arguments).await,
            Command::Decide(arguments) => governance_command::decide(arguments).await,
            Command::History(arguments) => governance_command::history(arguments).await,
            Command::Auth { command } => auth_command::run(command).await,
            Command::Keys { command } => keys::run(command).await,
            Command::Store { command } => store_command::run(command).await,
            Command::Limits(arguments) => limits_command::run(arguments).await,
            Command::Tasks { command } => tasks_command::run(command).await,
            Command::Audit { command } => audit_command::run(command).await,
            Command::Pins { command } => pins_command::run(command).await,
            Command::Users { command } => users_command::run(command).await,
            Command::Approvals { command } => approvals_command::run(command).await,
            Command::Add(arguments) => add_command::run(*arguments).await,
            Command::Import(arguments) => portable_command::import(arguments).await,
            Command::Export(arguments) => portable_command::export(arguments).await,
            Command::Discover(arguments) => discover_command::run(arguments).await,
            Command::Registry { command } => registry_command::run(command).await,
            Command::Migrate { command } => migrate_command::run(command).await,
            Command::Stdio { source, endpoint } => stdio::run(&source, &endpoint).await,
        }
    }
}
