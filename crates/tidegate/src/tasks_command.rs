//! `tidegate tasks`: the tasks in the store, for whoever operates the gateway. It may run meanwhile.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use model::task::{Task, TaskState};
use model::{Clock, SystemClock};
use seal::time_to_text;
use serde_json::{Value, json};
use store::{TaskFilter, TaskPhase};
use tasks::{Office, TaskError, View};

use crate::by_hand::ByHand;
use crate::cli::Output;
use crate::exit::{Coded, FAILURE};
use crate::store_command::{self, Chosen};
use crate::{out, table};

/// How many tasks are read at a time.
const PAGE: usize = 500;
/// How often is looked whether something has changed.
const LOOK: Duration = Duration::from_millis(500);

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List tasks, the newest first.
    List {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        which: Which,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
    },
    /// Show all that is known of a task, what it came to included.
    Show {
        #[command(flatten)]
        chosen: Chosen,
        /// Its name, as `list` prints it.
        id: String,
    },
    /// Show what becomes of a task, until it has ended.
    Watch {
        #[command(flatten)]
        chosen: Chosen,
        /// Its name, as `list` prints it.
        id: String,
    },
    /// Cancel a task. Its call upstream is cancelled by whoever makes it.
    Cancel {
        #[command(flatten)]
        chosen: Chosen,
        /// Its name, as `list` prints it.
        id: String,
    },
    /// Let a task that waits for its next attempt be tried now.
    Retry {
        #[command(flatten)]
        chosen: Chosen,
        /// Its name, as `list` prints it.
        id: String,
    },
    /// Print all tasks that fit with what they came to, one JSON document on each line.
    Export {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        which: Which,
    },
}

/// Which tasks.
#[derive(Debug, Args)]
pub struct Which {
    /// Only those of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Only those in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only those of this tool, as clients call it.
    #[arg(long)]
    tool: Option<String>,
}

/// The states of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// Waits for its first or next attempt.
    Waiting,
    /// Is being tried.
    Running,
    /// Waits for its client's answers.
    Asking,
    /// Has a result.
    Completed,
    /// Has an error.
    Failed,
    /// Was cancelled.
    Cancelled,
    /// Has expired; only that it was there is known.
    Gone,
}

impl State {
    fn state(self) -> TaskState {
        match self {
            Self::Waiting => TaskState::Waiting,
            Self::Running => TaskState::Running,
            Self::Asking => TaskState::Asking,
            Self::Completed => TaskState::Completed,
            Self::Failed => TaskState::Failed,
            Self::Cancelled => TaskState::Cancelled,
            Self::Gone => TaskState::Gone,
        }
    }
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::List { chosen, which, limit } => list(&chosen, &which, limit).await,
        Command::Show { chosen, id } => {
            let office = open(&chosen).await?;
            let view = office.inspect(&id).await.map_err(|error| refused(&error))?;
            print(&chosen, &view)?;
            Ok(0)
        }
        Command::Watch { chosen, id } => watch(&chosen, &id).await,
        Command::Cancel { chosen, id } => {
            let (office, doing) = begin(&chosen, "tasks cancel", &id).await?;
            doing
                .end(changed(&id, "cancel", office.cancel(&id).await))
                .await
                .and_then(|state| told(&chosen, &id, state))
        }
        Command::Retry { chosen, id } => {
            let (office, doing) = begin(&chosen, "tasks retry", &id).await?;
            doing
                .end(changed(&id, "retry", office.hasten(&id).await))
                .await
                .and_then(|state| told(&chosen, &id, state))
        }
        Command::Export { chosen, which } => export(&chosen, &which).await,
    }
}

async fn open(chosen: &Chosen) -> anyhow::Result<Office> {
    let store = store_command::open_in_use(chosen).await?;
    Ok(Office::new(store, Arc::new(SystemClock)))
}

fn refused(error: &TaskError) -> Coded {
    Coded::store(error)
}

/// The same, for what changes something, which is recorded.
async fn begin(chosen: &Chosen, command: &str, id: &str) -> anyhow::Result<(Office, ByHand)> {
    let store = store_command::open_in_use(chosen).await?;
    let doing = ByHand::begin(chosen.source(), &store, command, id).await?;
    Ok((Office::new(store, Arc::new(SystemClock)), doing))
}

/// What a task that was to be changed has become.
fn changed<R: std::fmt::Display>(
    id: &str,
    what: &str,
    done: Result<Result<Task, R>, TaskError>,
) -> Result<TaskState, Coded> {
    let refusal = |refusal| Coded::new(FAILURE, format!("{what} the task {id}: {refusal}"));
    done.map_err(|error| refused(&error))?.map(|task| task.state).map_err(refusal)
}

fn told(chosen: &Chosen, id: &str, state: TaskState) -> anyhow::Result<u8> {
    match chosen.output() {
        Output::Json => out::line(json!({"id": id, "state": state.word()}).to_string()),
        Output::Table => out::line(format!("{id} is {}", state.word())),
    }
    Ok(0)
}

impl Which {
    /// What the store can choose by.
    fn filter(&self) -> TaskFilter {
        let phase = self.state.map(|state| match state.state() {
            TaskState::Waiting | TaskState::Running | TaskState::Asking => TaskPhase::Open,
            TaskState::Completed | TaskState::Failed | TaskState::Cancelled => TaskPhase::Ended,
            TaskState::Gone => TaskPhase::Gone,
        });
        TaskFilter { holder: None, tenant: self.tenant.clone(), phase }
    }

    fn fits(&self, view: &View) -> bool {
        let state = self.state.is_none_or(|state| state == State::Gone || view.task.state == state.state());
        state && self.tool.as_ref().is_none_or(|tool| view.task.labels.get("tool") == Some(tool))
    }
}

/// All that fit, page by page, until `each` has had enough.
async fn all(office: &Office, which: &Which, mut each: impl AsyncFnMut(View) -> bool) -> anyhow::Result<()> {
    let filter = which.filter();
    let mut after: Option<String> = None;
    loop {
        let page = office.find(&filter, after.as_deref(), PAGE).await.map_err(|error| refused(&error))?;
        after = page.last().map(|view| view.id.clone());
        let over = page.len() < PAGE;
        for view in page.into_iter().filter(|view| which.fits(view)) {
            if !each(view).await {
                return Ok(());
            }
        }
        if over {
            return Ok(());
        }
    }
}

async fn list(chosen: &Chosen, which: &Which, limit: usize) -> anyhow::Result<u8> {
    let office = open(chosen).await?;
    let mut views = Vec::new();
    all(&office, which, async |view| {
        views.push(view);
        views.len() < limit
    })
    .await?;
    match chosen.output() {
        Output::Json => {
            let all: Vec<Value> = views.iter().map(report).collect();
            out::line(serde_json::to_string_pretty(&all)?);
        }
        Output::Table if views.is_empty() => out::line("there are no such tasks".to_owned()),
        Output::Table => {
            let headings = ["task", "state", "tool", "endpoint", "attempts", "created", "expires"];
            let mut rows = table::new(&headings);
            for View { id, task, .. } in &views {
                let label = |name: &str| task.labels.get(name).cloned().unwrap_or_default();
                let attempts = format!("{} of {}", task.attempts, task.rules.max_attempts);
                let (created, expires) = (time_to_text(task.created), time_to_text(task.expires));
                let tool = out::plain(&label("tool")).into_owned();
                let state = task.state.word().to_owned();
                rows.add_row(vec![id.clone(), state, tool, label("endpoint"), attempts, created, expires]);
            }
            out::line(table::text(&rows));
        }
    }
    Ok(0)
}

async fn export(chosen: &Chosen, which: &Which) -> anyhow::Result<u8> {
    let office = open(chosen).await?;
    let mut failed = None;
    all(&office, which, async |view| match office.inspect(&view.id).await {
        Ok(view) => {
            out::line(report(&view).to_string());
            true
        }
        // It was forgotten meanwhile.
        Err(TaskError::Unknown) => true,
        Err(error) => {
            failed = Some(error);
            false
        }
    })
    .await?;
    failed.map_or(Ok(0), |error| Err(refused(&error).into()))
}

async fn watch(chosen: &Chosen, id: &str) -> anyhow::Result<u8> {
    let office = open(chosen).await?;
    let mut known = 0;
    loop {
        let view = office.inspect(id).await.map_err(|error| refused(&error))?;
        if view.task.version > known {
            known = view.task.version;
            match chosen.output() {
                Output::Json => out::line(report(&view).to_string()),
                Output::Table => {
                    let message = view.task.message.as_deref().map(out::plain).unwrap_or_default();
                    let (at, state) = (time_to_text(view.task.updated), view.task.state.word());
                    out::line(format!("{at}  {state}  attempt {}  {message}", view.task.attempts).trim_end());
                }
            }
        }
        if !view.task.state.is_open() {
            return Ok(0);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn print(chosen: &Chosen, view: &View) -> anyhow::Result<()> {
    let report = report(view);
    if chosen.output() == Output::Json {
        out::line(serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let mut rows = table::new(&["", ""]);
    rows.set_header(Vec::<String>::new());
    for (name, value) in report.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        rows.add_row(vec![name.clone(), out::plain(&text).into_owned()]);
    }
    out::line(table::text(&rows));
    Ok(())
}

fn report(view: &View) -> Value {
    admin::task_report(view, SystemClock.now())
}
