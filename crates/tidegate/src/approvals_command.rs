//! `tidegate approvals`: calls that wait for somebody's yes, for whoever operates the gateway.

use std::sync::Arc;

use clap::{Args, Subcommand};
use model::{Clock as _, SystemClock};
use serde_json::Value;
use store::{Approval, ApprovalError, ApprovalOffice, Decider, Store};
use tasks::Office;

use crate::by_hand::ByHand;
use crate::cli::Output;
use crate::exit::{Coded, FAILURE};
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// What to do with calls that wait. The gateway may run meanwhile, and goes on with them at once.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List calls that somebody was asked about, the newest first; those that have ended for a day.
    List {
        #[command(flatten)]
        chosen: Chosen,
        /// Only those of callers of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// Only those in this state: pending, approved, refused, used or expired.
        #[arg(long)]
        state: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
    },
    /// Show one, with the arguments as they will run.
    Show {
        #[command(flatten)]
        chosen: Chosen,
        /// Its id, as `list` prints it.
        id: String,
    },
    /// Say yes: the call is made once, with these arguments.
    Approve {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        said: Said,
    },
    /// Say no: nothing is done.
    Refuse {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        said: Said,
    },
}

/// What is said to which call.
#[derive(Debug, Args)]
pub struct Said {
    /// Its id, as `list` prints it.
    id: String,
    /// Who says it; it is written down.
    #[arg(long = "as", value_name = "NAME", env = "USER")]
    by: String,
    /// Why. The caller sees it where the answer is no.
    #[arg(long)]
    reason: Option<String>,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::List { chosen, tenant, state, limit } => {
            let (office, _) = open(&chosen).await?;
            let mut found = office.list(tenant.as_deref(), usize::MAX).await.map_err(|e| Coded::store(&e))?;
            let now = SystemClock.now();
            found.retain(|found| state.as_deref().is_none_or(|word| word == found.word(now)));
            found.truncate(limit);
            match chosen.output() {
                Output::Json => {
                    let all: Vec<Value> = found.iter().map(|a| admin::approval_report(a, now)).collect();
                    out::line(serde_json::to_string_pretty(&all)?);
                }
                Output::Table if found.is_empty() => out::line("nothing waits"),
                Output::Table => out::line(listed(&found)),
            }
            Ok(0)
        }
        Command::Show { chosen, id } => {
            let (office, _) = open(&chosen).await?;
            let found = office.find(&id).await.map_err(|error| Coded::store(&error))?;
            let Some(found) = found else { return Err(failed(&id, &ApprovalError::Unknown).into()) };
            show(&chosen, &found)
        }
        Command::Approve { chosen, said } => decide(&chosen, &said, true).await,
        Command::Refuse { chosen, said } => decide(&chosen, &said, false).await,
    }
}

async fn open(chosen: &Chosen) -> anyhow::Result<(ApprovalOffice, Arc<dyn Store>)> {
    let store = store_command::open_in_use(chosen).await?;
    Ok((ApprovalOffice::new(Arc::clone(&store), Arc::new(SystemClock)), store))
}

fn failed(id: &str, error: &ApprovalError) -> Coded {
    match error {
        ApprovalError::Store(error) => Coded::store(error),
        error => Coded::new(FAILURE, format!("the approval {id}: {error}")),
    }
}

async fn decide(chosen: &Chosen, said: &Said, yes: bool) -> anyhow::Result<u8> {
    let (office, store) = open(chosen).await?;
    let command = if yes { "approvals approve" } else { "approvals refuse" };
    let doing = ByHand::begin(chosen.source(), &store, command, &said.id).await?.says("as", &said.by);
    let by = Decider::Operator(&said.by);
    let decided = office.decide(&said.id, &by, yes, said.reason.as_deref()).await;
    let decided = doing.end(decided.map_err(|error| failed(&said.id, &error))).await?;
    if let Some(task) = &decided.task {
        // One that is not let begin now begins when the approval ends, and is over then.
        let hastened = Office::new(store, Arc::new(SystemClock)).hasten(task).await;
        if let Err(error) = hastened {
            tracing::warn!(%error, task, "the task of an approval was not let begin");
        }
    }
    show(chosen, &decided)
}

fn show(chosen: &Chosen, approval: &Approval) -> anyhow::Result<u8> {
    let report = admin::approval_report(approval, SystemClock.now());
    match chosen.output() {
        Output::Json => out::line(serde_json::to_string_pretty(&report)?),
        Output::Table => {
            for (name, value) in report.as_object().into_iter().flatten() {
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                out::line(format!("{name:<10} {}", out::plain(&text)));
            }
        }
    }
    Ok(0)
}

fn listed(found: &[Approval]) -> String {
    let now = SystemClock.now();
    let mut rows = table::new(&["approval", "state", "caller", "tool", "arguments", "for"]);
    for one in found {
        let plain = |text: &str| out::plain(text).into_owned();
        rows.add_row(vec![
            one.id.clone(),
            one.word(now).to_owned(),
            plain(&format!("{} of {}", one.subject, one.tenant)),
            plain(&format!("{} of {}", one.tool, one.upstream)),
            plain(model::cut(&one.arguments, 60)),
            plain(&one.groups.join(", ")),
        ]);
    }
    table::text(&rows)
}
