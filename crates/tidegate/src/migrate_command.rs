//! `tidegate migrate`: another gateway's files as this one's, and what both answer, side by side.

mod calls;
mod compare;
mod from;
mod pair;
mod show;
mod side;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use config::Span;
use serde_json::Value;

use crate::cli::{Output, Source};
use crate::exit::{Coded, REFUSED, USAGE};
use crate::list;
use compare::{Answer, Difference, Ignored};
use pair::{Known, Pairs};
use side::Side;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare another gateway with this configuration: the tools, and the answers to a list of calls.
    Check(Box<Check>),
    /// Write another gateway's files as a configuration, and say what becomes of each field.
    From(from::From),
    /// Write what starts the gateway with the configuration: in a cluster, on a machine, in containers.
    Deploy(from::Deploy),
}

/// Whom to compare with whom, and how.
#[derive(Debug, Args)]
pub struct Check {
    /// The other gateway's URL, such as `http://127.0.0.1:4000/mcp`.
    #[arg(long, value_name = "URL", required_unless_present = "old_config", conflicts_with = "old_config")]
    url: Option<String>,
    /// In place of a gateway that runs: a configuration of ours whose servers are asked, such as the one that
    /// `tidegate import` has made.
    #[arg(long, value_name = "FILE")]
    old_config: Option<PathBuf>,
    /// The other gateway's endpoint in that configuration.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    old_endpoint: String,
    /// A header for the other gateway. Values are kept elsewhere, as other users see the command line.
    #[arg(long, value_name = "NAME=env:VARIABLE|file:PATH", value_parser = side::header)]
    header: Vec<side::Header>,
    #[command(flatten)]
    source: Source,
    /// A Tidegate that runs, in place of the configuration.
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "mcp_json", "endpoint"])]
    new_url: Option<String>,
    /// A header for it.
    #[arg(long, value_name = "NAME=env:VARIABLE|file:PATH", value_parser = side::header)]
    #[arg(requires = "new_url")]
    new_header: Vec<side::Header>,
    /// The endpoint: the name of an upstream or of an endpoint; everything where none is named.
    #[arg(long, value_name = "NAME", default_value = server::EVERYTHING)]
    endpoint: String,
    /// Calls to make on both sides: a JSON list of `tool`, `arguments` and `ignore`, or one such object a
    /// line. They run for real, once on each side.
    #[arg(long, value_name = "FILE")]
    calls: Option<PathBuf>,
    /// What a tool of the other gateway's is called here.
    #[arg(long, value_name = "OLD=NEW", value_parser = rename)]
    rename: Vec<(String, String)>,
    /// What is not looked at: a member of a tool's definition (`description`), or a place in results
    /// (`/structuredContent/at`).
    #[arg(long, value_name = "WHAT")]
    ignore: Vec<String>,
    /// How long one answer of a gateway at a URL may take, from the request to its end. Servers of a
    /// configuration have the times that it says.
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    timeout: Span,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn rename(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("write OLD=NEW".to_owned()),
    }
}

/// A tool of both sides.
struct Tool {
    old: String,
    new: String,
    differences: Vec<Difference>,
}

/// A call that was made on both sides.
struct Call {
    /// As the list of calls names it.
    tool: String,
    /// As it is called there; `None`: it is not there.
    old: Option<String>,
    /// The same here.
    new: Option<String>,
    arguments: Value,
    answers: (Answer, Answer),
    differences: Vec<Difference>,
}

/// What was found.
struct Found {
    tools: Vec<Tool>,
    pairs: Pairs,
    calls: Vec<Call>,
}

impl Found {
    fn same(&self) -> bool {
        self.pairs.only_old.is_empty()
            && self.pairs.only_new.is_empty()
            && self.tools.iter().all(|tool| tool.differences.is_empty())
            && self.calls.iter().all(|call| call.differences.is_empty())
    }
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    let arguments = match command {
        Command::Check(arguments) => arguments,
        Command::From(arguments) => return from::from(&arguments),
        Command::Deploy(arguments) => return from::deploy(&arguments),
    };
    let wanted = arguments.calls.as_deref().map(calls::read).transpose()?.unwrap_or_default();
    let (old, new) = sides(&arguments).await?;
    let found = check(&old, &new, &arguments, wanted).await;
    old.stop().await;
    new.stop().await;
    let found = found?;
    show::print(&found, arguments.output)?;
    Ok(if found.same() { 0 } else { REFUSED })
}

async fn sides(arguments: &Check) -> anyhow::Result<(Side, Side)> {
    let old = match (&arguments.url, &arguments.old_config) {
        (Some(url), _) => {
            Side::of_url("the other gateway", url, &arguments.header, arguments.timeout).await?
        }
        (None, file) => {
            let source = Source { config: file.clone(), ..Source::default() };
            Side::of_config("the other configuration", &source, &arguments.old_endpoint).await?
        }
    };
    let new = match &arguments.new_url {
        Some(url) => Side::of_url("Tidegate", url, &arguments.new_header, arguments.timeout).await,
        None => Side::of_config("the configuration", &arguments.source, &arguments.endpoint).await,
    };
    match new {
        Ok(new) => Ok((old, new)),
        Err(error) => {
            old.stop().await;
            Err(error)
        }
    }
}

async fn check(
    old: &Side,
    new: &Side,
    arguments: &Check,
    wanted: Vec<calls::Wanted>,
) -> anyhow::Result<Found> {
    let (olds, news) = (old.list(list::TOOLS).await?, new.list(list::TOOLS).await?);
    let names = |tools: &[Value]| -> Vec<String> {
        tools.iter().filter_map(|tool| tool["name"].as_str().map(str::to_owned)).collect()
    };
    let known = Known { renames: arguments.rename.iter().cloned().collect(), upstreams: new.upstreams() };
    let pairs = pair::pair(&names(&olds), &names(&news), &known);
    let ignored = Ignored::of(&arguments.ignore);
    let of = |tools: &[Value], name: &str| {
        tools.iter().find(|tool| tool["name"] == name).cloned().unwrap_or_default()
    };
    let tools = pairs.both.iter().map(|(old, new)| Tool {
        old: old.clone(),
        new: new.clone(),
        differences: compare::tools(&of(&olds, old), &of(&news, new), &ignored),
    });
    let tools: Vec<Tool> = tools.collect();
    let mut calls = Vec::new();
    for call in wanted {
        calls.push(make(old, new, &pairs, call, &ignored).await?);
    }
    Ok(Found { tools, pairs, calls })
}

/// Makes one call on both sides, one after the other: what the first one changes, the second one may see.
async fn make(
    old: &Side,
    new: &Side,
    pairs: &Pairs,
    call: calls::Wanted,
    ignored: &Ignored,
) -> anyhow::Result<Call> {
    let arguments = Value::Object(call.arguments);
    let named = pairs.both.iter().find(|(old, _)| *old == call.tool);
    let named = named.or_else(|| pairs.both.iter().find(|(_, new)| *new == call.tool));
    let (old_name, new_name) = match named {
        Some((old, new)) => (Some(old.clone()), Some(new.clone())),
        None => {
            let is_old = pairs.only_old.iter().any(|(name, _)| *name == call.tool);
            let is_new = pairs.only_new.contains(&call.tool);
            if !is_old && !is_new {
                let text = format!("call {:?}: there is no such tool on either side", call.tool);
                return Err(Coded::new(USAGE, text).into());
            }
            (is_old.then(|| call.tool.clone()), is_new.then(|| call.tool.clone()))
        }
    };
    let answers = match (&old_name, &new_name) {
        (Some(there), Some(own)) => (old.call(there, &arguments).await, new.call(own, &arguments).await),
        // With nothing to compare, what the call may change stays as it is.
        (there, own) => (not_asked(there.is_some()), not_asked(own.is_some())),
    };
    let mut here = Ignored { members: Vec::new(), pointers: ignored.pointers.clone() };
    here.pointers.extend(call.ignore);
    let differences = compare::answers(&answers.0, &answers.1, &here);
    Ok(Call { tool: call.tool, old: old_name, new: new_name, arguments, answers, differences })
}

/// Why a side was not asked.
fn not_asked(has_it: bool) -> Answer {
    Answer::NotAsked(if has_it { "the other side has no such tool" } else { "there is no such tool" })
}
