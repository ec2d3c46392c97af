//! `tidegate audit`: the audit logs in the store, looked through, proved, verified and kept.

mod verify;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use audit::{Event, PublicKey, Recorder as _, origin};
use clap::{Args, Subcommand, ValueEnum};
use model::{Clock as _, SystemClock, Timestamp};
use recorder::{Format, LABEL};
use serde_json::{Value, json};
use store::{AuditEntryRow, AuditFilter, Store, StoreError};

use crate::cli::Output;
use crate::exit::{Coded, FAILURE};
use crate::store_command::{self, Chosen};
use crate::{audit_log, by_hand, keys, load, out, table};

/// Entries that are read at a time.
const PAGE: usize = 500;
/// How often is looked whether there is something new.
const LOOK: Duration = Duration::from_millis(500);
/// Rows that are erased in one transaction.
const ERASED: usize = 256;

/// What to do with audit logs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the last entries of a log, and with `--follow` those that come.
    Tail {
        #[command(flatten)]
        of: Of,
        /// So many at first.
        #[arg(long, default_value_t = 20, value_name = "COUNT")]
        lines: usize,
        /// Go on until it is interrupted.
        #[arg(long)]
        follow: bool,
    },
    /// Look for entries of a log, the last first.
    Query {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        which: Which,
        /// Only those before this place, to go on where another query ended.
        #[arg(long, value_name = "INDEX")]
        before: Option<u64>,
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        limit: usize,
    },
    /// Print the receipt of an entry: what shows that it is in the log, to whoever has the public key.
    Prove {
        #[command(flatten)]
        of: Of,
        /// Its place, as `query` prints it.
        index: u64,
        /// Leave the entry itself out.
        #[arg(long)]
        without_entry: bool,
    },
    /// Verify a folder that `export --format tiles` wrote, or a receipt. Needs a public key, and no store.
    Verify(verify::Arguments),
    /// Write a log: as tiles into a folder, or its entries as lines.
    Export {
        #[command(flatten)]
        of: Of,
        /// As what.
        #[arg(long, value_enum, default_value_t = As::Jsonl)]
        format: As,
        /// The folder or the file; without it, lines are printed. What is there is replaced.
        #[arg(long, value_name = "PATH", required_if_eq("format", "tiles"))]
        to: Option<PathBuf>,
        /// The first entry.
        #[arg(long, default_value_t = 0, value_name = "INDEX")]
        from: u64,
    },
    /// Print the public keys of the logs, by which others verify them.
    Keys(Chosen),
    /// Erase what was captured of a principal's arguments and results. The log stays as it is.
    Erase {
        #[command(flatten)]
        of: Of,
        /// Whose: the subject, inside the tenant.
        #[arg(long)]
        subject: String,
        /// Why; it is recorded.
        #[arg(long)]
        reason: String,
    },
    /// Keep everything of a log, whatever its retention says, or keep it no more.
    Hold {
        #[command(flatten)]
        of: Of,
        /// Why; it is recorded.
        #[arg(long)]
        reason: String,
        /// Keep it no more.
        #[arg(long)]
        release: bool,
    },
}

/// Which log.
#[derive(Debug, Args)]
pub struct Of {
    #[command(flatten)]
    chosen: Chosen,
    /// The tenant whose log it is.
    #[arg(long, default_value = audit_log::OWN)]
    tenant: String,
}

/// Which entries.
#[derive(Debug, Args)]
pub struct Which {
    /// Not before this moment, as 2026-11-23T06:48:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    /// Only those of this subject of the tenant.
    #[arg(long)]
    subject: Option<String>,
    /// Only those of this kind, as `tool_call`.
    #[arg(long)]
    kind: Option<String>,
    /// Only those of this tool, prompt or resource, by its own name.
    #[arg(long)]
    tool: Option<String>,
    /// Only those that ended so: `allowed`, `denied`, `deferred` or `error`.
    #[arg(long)]
    outcome: Option<String>,
    /// Only those at this upstream.
    #[arg(long)]
    upstream: Option<String>,
    /// Only those of this operation.
    #[arg(long)]
    operation: Option<String>,
    /// Only those with this text in their lines.
    #[arg(long)]
    text: Option<String>,
}

/// What a log is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// Files that anybody verifies (C2SP tlog-tiles).
    Tiles,
    /// The entries, one JSON document on each line.
    Jsonl,
    /// Events of the Open Cybersecurity Schema Framework, one on each line.
    Ocsf,
    /// Common Event Format, one event on each line.
    Cef,
}

fn moment(text: &str) -> Result<Timestamp, String> {
    seal::time_from_text(text).ok_or_else(|| "expected a moment as 2026-11-23T06:48:00Z".to_owned())
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Tail { of, lines, follow } => tail(&of, lines, follow).await,
        Command::Query { of, which, before, limit } => {
            let store = of.open().await?;
            let found = store.audit_query(&which.filter(&of.tenant), before, limit).await.map_err(failed)?;
            show(&of, &found)?;
            Ok(0)
        }
        Command::Prove { of, index, without_entry } => {
            let store = of.open().await?;
            let receipt = recorder::prove(&*store, &of.tenant, index, !without_entry).await;
            let receipt = receipt.map_err(|error| Coded::store(&error))?;
            out::line(serde_json::to_string_pretty(&receipt)?);
            Ok(0)
        }
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Export { of, format, to, from } => export(&of, format, to, from).await,
        Command::Keys(chosen) => public_keys(&chosen).await,
        Command::Erase { of, subject, reason } => erase(&of, &subject, &reason).await,
        Command::Hold { of, reason, release } => hold(&of, &reason, release).await,
    }
}

fn failed(error: StoreError) -> Coded {
    Coded::store(&error)
}

impl Of {
    async fn open(&self) -> anyhow::Result<Arc<dyn Store>> {
        store_command::open_in_use(&self.chosen).await
    }

    /// Records what an operator does, durably, before it is done.
    async fn record(&self, store: &Arc<dyn Store>, mut event: Event, reason: &str) -> anyhow::Result<()> {
        let recorder = audit_log::by_hand(self.chosen.source(), store).await?;
        event.details.insert("reason", reason.to_owned());
        let recorded = recorder.record(event).await;
        recorder.stop().await;
        recorded.map(drop).map_err(|error| Coded::store(&error).into())
    }
}

impl Which {
    fn filter(&self, tenant: &str) -> AuditFilter {
        AuditFilter {
            log: tenant.to_owned(),
            from: self.from,
            to: self.to,
            principal: self.subject.as_deref().map(|subject| audit::principal(tenant, subject)),
            kind: self.kind.clone(),
            tool: self.tool.clone(),
            outcome: self.outcome.clone(),
            upstream: self.upstream.clone(),
            operation: self.operation.clone(),
            text: self.text.clone(),
        }
    }
}

fn report(row: &AuditEntryRow) -> Value {
    let record = serde_json::from_slice(&row.line).unwrap_or(Value::Null);
    json!({"index": row.index, "record": record})
}

fn show(of: &Of, rows: &[AuditEntryRow]) -> anyhow::Result<()> {
    match of.chosen.output() {
        Output::Json => {
            let all: Vec<Value> = rows.iter().map(report).collect();
            out::line(serde_json::to_string_pretty(&all)?);
        }
        Output::Table if rows.is_empty() => out::line("there are no such entries"),
        Output::Table => {
            let mut shown = table::new(&["index", "when", "who", "what", "tool", "upstream", "outcome"]);
            for row in rows {
                let plain = |text: &str| out::plain(text).into_owned();
                let at = audit::moment(row.at);
                let (who, tool) = (plain(&row.principal), plain(&row.tool));
                let (kind, upstream) = (plain(&row.kind), plain(&row.upstream));
                shown.add_row(vec![
                    row.index.to_string(),
                    at,
                    who,
                    kind,
                    tool,
                    upstream,
                    row.outcome.clone(),
                ]);
            }
            out::line(table::text(&shown));
        }
    }
    Ok(())
}

async fn tail(of: &Of, lines: usize, follow: bool) -> anyhow::Result<u8> {
    let store = of.open().await?;
    let filter = AuditFilter { log: of.tenant.clone(), ..AuditFilter::default() };
    let mut rows = store.audit_query(&filter, None, lines).await.map_err(failed)?;
    rows.reverse();
    let mut next = match rows.last() {
        Some(last) => last.index + 1,
        None => store.audit_log(&of.tenant).await.map_err(failed)?.map_or(0, |log| log.size),
    };
    loop {
        for row in &rows {
            match of.chosen.output() {
                Output::Json => out::line(report(row).to_string()),
                Output::Table => {
                    let AuditEntryRow { index, principal, kind, tool, outcome, .. } = row;
                    let text =
                        format!("{}  {index}  {principal}  {kind}  {tool}  {outcome}", audit::moment(row.at));
                    out::line(out::plain(&text));
                }
            }
        }
        if !follow {
            return Ok(0);
        }
        tokio::time::sleep(LOOK).await;
        rows = store.audit_entries(&of.tenant, next, PAGE).await.map_err(failed)?;
        next = rows.last().map_or(next, |row| row.index + 1);
    }
}

async fn export(of: &Of, format: As, to: Option<PathBuf>, from: u64) -> anyhow::Result<u8> {
    let store = of.open().await?;
    let format = match (format, &to) {
        (As::Tiles, Some(folder)) => {
            let mut put = |path: &str, bytes: &[u8]| {
                let path = folder.join(path);
                let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                made.and_then(|()| std::fs::write(&path, bytes)).map_err(StoreError::unavailable)
            };
            let size = recorder::files(&*store, &of.tenant, &mut put).await;
            let size = size.map_err(|error| Coded::store(&error))?;
            out::line(format!("{size} entries are in {}", folder.display()));
            return Ok(0);
        }
        (As::Tiles | As::Jsonl, _) => Format::JsonLines,
        (As::Ocsf, _) => Format::Ocsf,
        (As::Cef, _) => Format::Cef,
    };
    let mut file = match &to {
        Some(path) => {
            let file = std::fs::File::create(path);
            Some(std::io::BufWriter::new(file.with_context(|| format!("write {}", path.display()))?))
        }
        None => None,
    };
    let mut next = from;
    loop {
        let rows = store.audit_entries(&of.tenant, next, PAGE).await.map_err(failed)?;
        for row in &rows {
            let line = format.line(row);
            match &mut file {
                Some(file) => std::io::Write::write_all(file, format!("{line}\n").as_bytes())?,
                None => out::line(line),
            }
        }
        match rows.last() {
            Some(last) => next = last.index + 1,
            None => break,
        }
    }
    if let Some(mut file) = file {
        std::io::Write::flush(&mut file).context("write the entries")?;
    }
    Ok(0)
}

async fn public_keys(chosen: &Chosen) -> anyhow::Result<u8> {
    let loaded = load::load(chosen.source())?;
    let store = store_command::open_in_use(chosen).await?;
    let ring = keys::Follow::start(&loaded.config, Some(&store)).await?;
    let now = SystemClock.now();
    let logs = store.audit_logs(None, PAGE).await.map_err(failed)?;
    let signing = ring.ring().signer(now, LABEL).id();
    let mut all = Vec::new();
    for log in &logs {
        let name = origin(&loaded.config.audit.origin, &log.log);
        for signer in ring.ring().signers(now, LABEL) {
            let key = PublicKey::of(&name, &signer).to_string();
            all.push((log.log.clone(), key, signer.id() == signing));
        }
    }
    match chosen.output() {
        Output::Json => {
            let all: Vec<Value> = all
                .iter()
                .map(|(tenant, key, signs)| json!({"tenant": tenant, "key": key, "signs": signs}))
                .collect();
            out::line(serde_json::to_string_pretty(&all)?);
        }
        Output::Table => {
            let mut shown = table::new(&["tenant", "key", "signs"]);
            for (tenant, key, signs) in all {
                shown.add_row(vec![tenant, key, if signs { "yes" } else { "" }.to_owned()]);
            }
            out::line(table::text(&shown));
        }
    }
    Ok(0)
}

async fn erase(of: &Of, subject: &str, reason: &str) -> anyhow::Result<u8> {
    let store = of.open().await?;
    let log = store.audit_log(&of.tenant).await.map_err(failed)?;
    let log = log.ok_or_else(|| Coded::new(FAILURE, format!("find the log of the tenant {}", of.tenant)))?;
    if let Some(why) = log.hold {
        return Err(Coded::new(FAILURE, format!("erase anything: the log is held ({why})")).into());
    }
    let mut event = by_hand::event("audit_erase", &of.tenant);
    event.details.insert("of", subject.to_owned());
    of.record(&store, event, reason).await?;
    let principal = audit::principal(&of.tenant, subject);
    let mut erased = 0;
    loop {
        let mut tx = store.begin().await.map_err(failed)?;
        let now = SystemClock.now();
        let some = tx.audit_content_erase(&of.tenant, Some(&principal), now, ERASED).await.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        erased += some;
        if some < ERASED as u64 {
            break;
        }
    }
    match of.chosen.output() {
        Output::Json => out::line(json!({"erased": erased}).to_string()),
        Output::Table => out::line(format!("{erased} captured contents were erased")),
    }
    Ok(0)
}

async fn hold(of: &Of, reason: &str, release: bool) -> anyhow::Result<u8> {
    let store = of.open().await?;
    let kind = if release { "audit_release" } else { "audit_hold" };
    of.record(&store, by_hand::event(kind, &of.tenant), reason).await?;
    let mut tx = store.begin().await.map_err(failed)?;
    tx.audit_hold(&of.tenant, Some(reason).filter(|_| !release)).await.map_err(failed)?;
    tx.commit().await.map_err(failed)?;
    let state = if release { "not held" } else { "held" };
    match of.chosen.output() {
        Output::Json => out::line(json!({"tenant": of.tenant, "held": !release}).to_string()),
        Output::Table => out::line(format!("the log of the tenant {} is {state}", of.tenant)),
    }
    Ok(0)
}
