//! `tidegate pins`: definitions in the store, for whoever operates the gateway. It may run meanwhile.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use model::SystemClock;
use policy::pins::visible;
use serde_json::Value;
use store::{PinError, PinKey, PinOffice, PinRow, PinState};

use crate::by_hand::ByHand;
use crate::cli::Output;
use crate::exit::{Coded, FAILURE};
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// What to do with definitions of tools, prompts and resource templates. Replicas that run follow within
/// seconds.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List definitions, and whether they are the approved ones.
    List {
        #[command(flatten)]
        chosen: Chosen,
        /// Only those of this upstream.
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
        /// Only those in this state: approved, drifted, quarantined or denied.
        #[arg(long, value_enum)]
        state: Option<State>,
    },
    /// Show what is known of a definition: what was approved, by whom, and what was seen.
    Show {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        pin: Pin,
    },
    /// Show what is different in a definition that was seen, and which hash to approve.
    Diff {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        pin: Pin,
        /// The beginning of its hash; the one that was seen last where none is given.
        #[arg(long)]
        hash: Option<String>,
    },
    /// Approve a definition, in place of the one that was approved.
    Approve {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        pin: Pin,
        /// The beginning of its hash, as `diff` prints it.
        hash: String,
        /// Who approves it.
        #[arg(long, value_name = "NAME", default_value = "command line")]
        by: String,
        /// Leave those approved that are: for a server that shows its users different ones.
        #[arg(long)]
        also: bool,
    },
    /// Approve what was approved before the last time.
    RollBack {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        pin: Pin,
        /// Who says so.
        #[arg(long, value_name = "NAME", default_value = "command line")]
        by: String,
    },
    /// Say that no definition is to be used, until one is approved.
    Deny {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        pin: Pin,
        /// Who says so.
        #[arg(long, value_name = "NAME", default_value = "command line")]
        by: String,
    },
}

/// Which definition.
#[derive(Debug, Args)]
pub struct Pin {
    /// The upstream.
    upstream: String,
    /// The upstream's own name for it; of a template the template.
    name: String,
    /// What it is.
    #[arg(long, value_enum, default_value_t = Kind::Tool)]
    kind: Kind,
}

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource template.
    Template,
}

/// What is to be said of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It is the approved one.
    Approved,
    /// Another was seen.
    Drifted,
    /// None was approved.
    Quarantined,
    /// None is to be used.
    Denied,
}

impl State {
    fn is(self, state: PinState) -> bool {
        let own = match self {
            Self::Approved => PinState::Approved,
            Self::Drifted => PinState::Drifted,
            Self::Quarantined => PinState::Quarantined,
            Self::Denied => PinState::Denied,
        };
        own == state
    }
}

impl Pin {
    fn key(&self) -> PinKey {
        let kind = match self.kind {
            Kind::Tool => policy::pins::Kind::Tool,
            Kind::Prompt => policy::pins::Kind::Prompt,
            Kind::Template => policy::pins::Kind::Template,
        };
        let (upstream, name) = (self.upstream.clone(), self.name.clone());
        PinKey { upstream, kind: kind.word().to_owned(), name }
    }
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::List { chosen, upstream, state } => list(&chosen, upstream.as_deref(), state).await,
        Command::Show { chosen, pin } => {
            let row = find(&open(&chosen).await?, &pin.key()).await?;
            out::line(serde_json::to_string_pretty(&admin::pin_report(&row))?);
            Ok(0)
        }
        Command::Diff { chosen, pin, hash } => diff(&chosen, &pin.key(), hash.as_deref()).await,
        Command::Approve { chosen, pin, hash, by, also } => {
            let (office, doing) = begin(&chosen, "pins approve", &pin).await?;
            let doing = doing.says("as", &by).says("hash", &hash);
            let done = office.approve(&pin.key(), &hash, also, &by).await;
            told(&chosen, &doing.end(done.map_err(refused)).await?)
        }
        Command::RollBack { chosen, pin, by } => {
            let (office, doing) = begin(&chosen, "pins roll-back", &pin).await?;
            let done = office.roll_back(&pin.key(), &by).await;
            told(&chosen, &doing.says("as", &by).end(done.map_err(refused)).await?)
        }
        Command::Deny { chosen, pin, by } => {
            let (office, doing) = begin(&chosen, "pins deny", &pin).await?;
            let done = office.deny(&pin.key(), &by).await;
            told(&chosen, &doing.says("as", &by).end(done.map_err(refused)).await?)
        }
    }
}

async fn open(chosen: &Chosen) -> anyhow::Result<PinOffice> {
    let store = store_command::open_in_use(chosen).await?;
    Ok(PinOffice::new(store, Arc::new(SystemClock)))
}

/// The same, for what changes something, which is recorded.
async fn begin(chosen: &Chosen, command: &str, pin: &Pin) -> anyhow::Result<(PinOffice, ByHand)> {
    let store = store_command::open_in_use(chosen).await?;
    let PinKey { upstream, kind, name } = pin.key();
    let doing = ByHand::begin(chosen.source(), &store, command, &name).await?;
    let office = PinOffice::new(store, Arc::new(SystemClock));
    Ok((office, doing.says("upstream", &upstream).says("kind", &kind)))
}

async fn find(office: &PinOffice, key: &PinKey) -> anyhow::Result<PinRow> {
    let row = office.pin(key).await.map_err(|error| Coded::store(&error))?;
    Ok(row.ok_or_else(|| refused(PinError::Unknown(key.clone())))?)
}

fn refused(error: PinError) -> Coded {
    match error {
        PinError::Store(error) => Coded::store(&error),
        error => Coded::new(FAILURE, visible(&error.to_string())),
    }
}

fn told(chosen: &Chosen, row: &PinRow) -> anyhow::Result<u8> {
    match chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&admin::pin_report(row))?),
        Output::Table => {
            let PinKey { upstream, kind, name } = &row.key;
            let hash = row.approved.first().map_or("none", |version| version.hash.as_str());
            let state = row.state().word();
            out::line(format!("{kind} {} of {upstream} is {state}; approved is {hash}", visible(name)));
        }
    }
    Ok(0)
}

async fn list(chosen: &Chosen, upstream: Option<&str>, state: Option<State>) -> anyhow::Result<u8> {
    let (_, mut all) = open(chosen).await?.all().await.map_err(|error| Coded::store(&error))?;
    all.retain(|row| upstream.is_none_or(|upstream| upstream == row.key.upstream));
    all.retain(|row| state.is_none_or(|state| state.is(row.state())));
    all.sort_by(|a, b| a.key.cmp(&b.key));
    match chosen.output() {
        Output::Json => {
            let all: Vec<Value> = all.iter().map(admin::pin_report).collect();
            out::line(serde_json::to_string_pretty(&all)?);
        }
        Output::Table if all.is_empty() => out::line("there are no such definitions"),
        Output::Table => {
            let mut rows =
                table::new(&["upstream", "kind", "name", "state", "approved by", "approved", "seen"]);
            for row in &all {
                let approved = row.approved.first();
                let by = approved.and_then(|v| v.approved.as_ref()).map_or("-", |approval| &approval.by);
                rows.add_row(vec![
                    row.key.upstream.clone(),
                    row.key.kind.clone(),
                    visible(&row.key.name),
                    row.state().word().to_owned(),
                    visible(by),
                    approved.map_or_else(|| "-".to_owned(), |version| short(&version.hash)),
                    row.seen.first().map_or_else(|| "-".to_owned(), |version| short(&version.hash)),
                ]);
            }
            out::line(table::text(&rows));
        }
    }
    Ok(0)
}

/// Enough of a hash to name it.
fn short(hash: &str) -> String {
    hash.chars().take(17).collect()
}

async fn diff(chosen: &Chosen, key: &PinKey, hash: Option<&str>) -> anyhow::Result<u8> {
    let office = open(chosen).await?;
    let row = find(&office, key).await?;
    let report = admin::pin_diff(&office, &row, hash).await.map_err(refused)?;
    if chosen.output() == Output::Json {
        out::line(serde_json::to_string_pretty(&report)?);
        return Ok(0);
    }
    let Some(seen) = report["seen"].as_str() else {
        out::line("nothing was seen but what is approved");
        return Ok(0);
    };
    out::line(format!("approved: {}", report["approved"].as_str().unwrap_or("none")));
    out::line(format!("seen:     {seen}"));
    out::line(report["diff"].as_str().unwrap_or_default().trim_end());
    for found in report["findings"].as_array().into_iter().flatten() {
        out::line(format!("! {}", found.as_str().unwrap_or_default()));
    }
    Ok(0)
}
