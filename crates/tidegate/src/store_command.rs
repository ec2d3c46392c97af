//! `tidegate store`: what outlives the process, looked at, kept and moved.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use config::StoreUrl;
use model::{Clock as _, SystemClock};
use serde_json::json;
use std::sync::Arc;
use store::{Dump, DumpError, Record, RecordSink, Store, StoreError};

use crate::by_hand::ByHand;
use crate::cli::{Output, Source};
use crate::exit::{Coded, FAILURE};
use crate::{load, out, state};

/// A replica that wrote within this time, by its own clock, is taken to live.
const LIVES: Duration = Duration::from_secs(60);

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look whether all is in order, and say what is in it. Changes nothing.
    Check(Chosen),
    /// Bring the schema to the version of this program, or to another one. `up` does the first by itself.
    Migrate {
        #[command(flatten)]
        chosen: Chosen,
        /// The version; one less than now goes one step back, for an older program.
        #[arg(long, value_name = "VERSION")]
        to: Option<u32>,
    },
    /// Write all that it holds into a file, keys included. It may be in use meanwhile.
    Backup {
        #[command(flatten)]
        chosen: Chosen,
        /// The file; one that is there is not replaced.
        file: PathBuf,
    },
    /// Put what a backup holds into the store, which must be empty.
    Restore {
        #[command(flatten)]
        chosen: Chosen,
        /// The file.
        file: PathBuf,
    },
    /// Copy all that it holds into another store, which must be empty, and compare the two.
    Move {
        #[command(flatten)]
        chosen: Chosen,
        /// The variable of the environment that holds the other store's URL.
        #[arg(long, value_name = "VARIABLE", required_unless_present = "to")]
        to_env: Option<String>,
        /// The other store: `sqlite:PATH` or `postgres://…`. Others on this machine see arguments: a URL with
        /// a password belongs into the environment.
        #[arg(long, value_name = "URL", conflicts_with = "to_env")]
        to: Option<String>,
        /// Also while replicas use it. What they change meanwhile may be lost.
        #[arg(long)]
        force: bool,
    },
}

/// Which store, and how to tell of it.
#[derive(Debug, Args)]
pub struct Chosen {
    #[command(flatten)]
    source: Source,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Check(chosen) => check(&chosen).await,
        Command::Migrate { chosen, to } => migrate(&chosen, to).await,
        Command::Backup { chosen, file } => backup(&chosen, &file).await,
        Command::Restore { chosen, file } => restore(&chosen, &file).await,
        Command::Move { chosen, to_env, to, force } => {
            let url = match (to, to_env) {
                (Some(url), _) => url,
                (None, Some(name)) => std::env::var(&name).map_err(|_| {
                    Coded::config(format!("read the environment variable {name}: it is not set"))
                })?,
                (None, None) => return Err(Coded::config("find the other store".to_owned()).into()),
            };
            move_to(&chosen, &url, force).await
        }
    }
}

/// Opens a store that is there and that a gateway may use meanwhile, for another command.
pub async fn open_in_use(chosen: &Chosen) -> anyhow::Result<Arc<dyn Store>> {
    let target = chosen.target()?;
    let (found, latest) = versions(&target).await?;
    if found != latest {
        return Err(Coded::new(FAILURE, format!("use the store: {}", fault_of(found, latest))).into());
    }
    open(&target).await
}

/// The store of a configuration, if there is one by now with the schema of this program.
pub async fn open_if_there(source: &Source) -> anyhow::Result<Option<Arc<dyn Store>>> {
    open_if_current(&state::target(&load::load(source)?)?).await
}

/// The store at a place, if there is one by now with the schema of this program.
pub async fn open_if_current(target: &StoreUrl) -> anyhow::Result<Option<Arc<dyn Store>>> {
    let (found, latest) = versions(target).await?;
    if *target == StoreUrl::Memory || found != latest { Ok(None) } else { open(target).await.map(Some) }
}

/// The store at a place, which is made where there is none; one of another version is refused.
pub async fn open_or_make(target: &StoreUrl) -> anyhow::Result<Arc<dyn Store>> {
    let (found, latest) = versions(target).await?;
    if found != 0 && found != latest {
        return Err(Coded::new(FAILURE, format!("use the store: {}", fault_of(found, latest))).into());
    }
    open(target).await
}

/// What is wrong with the version of a schema.
fn fault_of(found: u32, latest: u32) -> String {
    match found {
        0 => "there is no store yet; `tidegate up` or `tidegate store migrate` makes it".to_owned(),
        found if found < latest => {
            format!("its schema has version {found}; `tidegate store migrate` brings it to {latest}")
        }
        found => format!("its schema has version {found}, and this program works with {latest}"),
    }
}

impl Chosen {
    /// How to print.
    pub fn output(&self) -> Output {
        self.output
    }

    /// The configuration.
    pub fn load(&self) -> anyhow::Result<load::Loaded> {
        load::load(&self.source)
    }

    /// Where the configuration comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    fn target(&self) -> anyhow::Result<StoreUrl> {
        let target = state::target(&load::load(&self.source)?)?;
        if target == StoreUrl::Memory {
            let text = "use the store: what there is ends with the process; give store.url";
            return Err(Coded::config(text.to_owned()).into());
        }
        Ok(target)
    }
}

/// Opens a store that is there, with the schema of this program.
async fn open(target: &StoreUrl) -> anyhow::Result<Arc<dyn Store>> {
    let store = state::open_target(target).await?;
    store.ok_or_else(|| Coded::config("use the store: it ends with the process".to_owned()).into())
}

/// The version of the schema in a store, and the one that this program works with.
async fn versions(target: &StoreUrl) -> anyhow::Result<(u32, u32)> {
    match target {
        StoreUrl::Memory => Ok((0, 0)),
        StoreUrl::Sqlite(file) => {
            let found = store_sqlite::version(file).await;
            Ok((found.map_err(|error| Coded::store(&error))?, store_sqlite::LATEST))
        }
        StoreUrl::Postgres(url) => {
            let found = store_postgres::version(url.expose()).await;
            Ok((found.map_err(|error| Coded::store(&error))?, store_postgres::LATEST))
        }
    }
}

async fn check(chosen: &Chosen) -> anyhow::Result<u8> {
    let target = chosen.target()?;
    let (found, latest) = versions(&target).await?;
    if found != latest {
        let how = fault_of(found, latest);
        return Err(Coded::new(FAILURE, format!("check the store: {how}")).into());
    }
    let store = open(&target).await?;
    let wrong = store.check().await.map_err(|error| Coded::store(&error))?;
    let mut counts = Counts::default();
    store.export(&mut counts).await.map_err(|error| Coded::store(&error))?;
    let replicas = store.replicas().await.map_err(|error| Coded::store(&error))?.len();
    store.close().await;
    match chosen.output {
        Output::Json => {
            let report = json!({"schema": found, "replicas": replicas, "held": counts.0, "faults": wrong});
            out::line(serde_json::to_string_pretty(&report)?);
        }
        Output::Table => {
            let held: Vec<String> = counts.0.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            out::line(format!("schema {found}; {replicas} replicas, {}", held.join(", ")));
            wrong.iter().for_each(|line| out::line(format!("fault: {line}")));
            if wrong.is_empty() {
                out::line("all is in order".to_owned());
            }
        }
    }
    Ok(if wrong.is_empty() { 0 } else { FAILURE })
}

/// How much there is of each kind.
struct Counts(BTreeMap<&'static str, u64>);

impl Default for Counts {
    fn default() -> Self {
        let kinds = [
            "sessions",
            "subscriptions",
            "streams",
            "events",
            "leases",
            "keys",
            "grants",
            "budgets",
            "tasks",
            "values",
        ];
        Self(kinds.into_iter().map(|kind| (kind, 0)).collect())
    }
}

#[async_trait::async_trait]
impl RecordSink for Counts {
    async fn put(&mut self, record: Record) -> Result<(), StoreError> {
        let kind = match record {
            Record::Seq { .. } => return Ok(()),
            Record::Session { .. } => "sessions",
            Record::SessionUri { .. } => "subscriptions",
            Record::Stream { .. } => "streams",
            Record::StreamEvent { .. } => "events",
            Record::Lease { .. } => "leases",
            Record::Key(_) => "keys",
            Record::Grant(_) => "grants",
            Record::Budget(_) => "budgets",
            Record::Task(_) => "tasks",
            Record::Blob { .. } => "values",
            Record::AuditLog(_) => "audit logs",
            Record::AuditEntry(_) => "audit entries",
            Record::AuditContent(_) => "captured contents",
            // Of their logs.
            Record::AuditTile(_) | Record::AuditNote(_) => return Ok(()),
            // Counted with their values.
            Record::BlobPart { .. } => return Ok(()),
        };
        *self.0.entry(kind).or_default() += 1;
        Ok(())
    }
}

async fn migrate(chosen: &Chosen, to: Option<u32>) -> anyhow::Result<u8> {
    let now = SystemClock.now();
    let target = chosen.target()?;
    let (found, latest) = versions(&target).await?;
    let wanted = to.unwrap_or(latest);
    if wanted.abs_diff(found) > 1 && wanted < found {
        let text = format!("migrate the store: from version {found} it goes back one step at a time");
        return Err(Coded::new(FAILURE, text).into());
    }
    // A log is written with the schema of this program alone: before it goes, or once it is there.
    if found == latest && wanted != found {
        recorded(chosen, "store migrate", &format!("{found} to {wanted}")).await?;
    }
    match &target {
        StoreUrl::Memory => {}
        StoreUrl::Sqlite(file) => {
            store_sqlite::migrate(file, wanted, now).await.map_err(|error| Coded::store(&error))?;
        }
        StoreUrl::Postgres(url) => {
            store_postgres::migrate(url.expose(), wanted, now).await.map_err(|error| Coded::store(&error))?;
        }
    }
    // One that was just made has no log yet, nor the keys that sign it.
    if found != 0 && found != latest && wanted == latest {
        recorded(chosen, "store migrate", &format!("{found} to {wanted}")).await?;
    }
    match chosen.output {
        Output::Json => out::line(json!({"from": found, "to": wanted}).to_string()),
        Output::Table if found == wanted => out::line(format!("the schema has version {found} already")),
        Output::Table => out::line(format!("the schema went from version {found} to {wanted}")),
    }
    Ok(0)
}

/// Records something that cannot be recorded both before and after it.
async fn recorded(chosen: &Chosen, command: &str, target: &str) -> anyhow::Result<()> {
    match open_if_there(&chosen.source).await? {
        Some(store) => ByHand::once(&chosen.source, &store, command, target).await,
        None => Ok(()),
    }
}

fn refused(error: DumpError) -> anyhow::Error {
    match error {
        DumpError::Store(StoreError::Conflict) => not_empty(),
        other => Coded::store(&other).into(),
    }
}

fn not_empty() -> anyhow::Error {
    Coded::new(FAILURE, "fill the store: it is not empty".to_owned()).into()
}

async fn backup(chosen: &Chosen, file: &Path) -> anyhow::Result<u8> {
    let store = open(&chosen.target()?).await?;
    // The keys are in it: whoever has it has all. Before it, so that it is in there.
    recorded(chosen, "store backup", &file.display().to_string()).await?;
    // For its owner alone: the keys are in it.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let opened = opened.with_context(|| format!("make {}", file.display()))?;
    let mut to = BufWriter::new(opened);
    let written = store::write_dump(&*store, &mut to).await;
    let dump = match written {
        Ok(dump) => dump,
        Err(error) => {
            drop(to);
            let _ = std::fs::remove_file(file);
            return Err(refused(error));
        }
    };
    to.flush().and_then(|()| to.get_ref().sync_all()).with_context(|| format!("write {}", file.display()))?;
    store.close().await;
    told(chosen, &dump, &format!("wrote {}", file.display()))
}

async fn restore(chosen: &Chosen, file: &Path) -> anyhow::Result<u8> {
    let from = File::open(file).with_context(|| format!("read {}", file.display()))?;
    let store = open(&chosen.target()?).await?;
    empty(&*store).await?;
    store::read_dump(&*store, &mut BufReader::new(from)).await.map_err(refused)?;
    let dump = store::write_dump(&*store, &mut std::io::sink()).await.map_err(refused)?;
    ByHand::once(&chosen.source, &store, "store restore", &file.display().to_string()).await?;
    store.close().await;
    told(chosen, &dump, &format!("restored {}", file.display()))
}

async fn move_to(chosen: &Chosen, url: &str, force: bool) -> anyhow::Result<u8> {
    let target =
        StoreUrl::parse(url).map_err(|error| Coded::config(format!("use the other store: {error}")))?;
    let source = chosen.target()?;
    if source == target {
        return Err(Coded::config("use the other store: it is the same one".to_owned()).into());
    }
    let from = open(&source).await?;
    if !force {
        at_rest(&*from).await?;
    }
    let to = open(&target).await?;
    empty(&*to).await?;
    // It goes along to the other one.
    ByHand::once(&chosen.source, &from, "store move", &state::name(&target)).await?;
    store::copy(&*from, &*to).await.map_err(|error| match error {
        StoreError::Conflict => not_empty(),
        other => Coded::store(&other).into(),
    })?;
    let (before, after) = (
        store::write_dump(&*from, &mut std::io::sink()).await.map_err(refused)?,
        store::write_dump(&*to, &mut std::io::sink()).await.map_err(refused)?,
    );
    from.close().await;
    to.close().await;
    if before != after {
        let text = "move the store: the two hold different things; was the first one changed meanwhile?";
        return Err(Coded::new(FAILURE, text.to_owned()).into());
    }
    told(chosen, &after, "moved; both stores hold the same. Put the other one's URL into store.url")
}

/// Refuses a store that holds something.
async fn empty(store: &dyn Store) -> anyhow::Result<()> {
    let mut counts = Counts::default();
    store.export(&mut counts).await.map_err(|error| Coded::store(&error))?;
    if counts.0.values().any(|count| *count > 0) { Err(not_empty()) } else { Ok(()) }
}

/// Refuses a store that replicas use.
async fn at_rest(store: &dyn Store) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let rows = store.replicas().await.map_err(|error| Coded::store(&error))?;
    match rows.iter().find(|row| now.since(row.at) < LIVES) {
        None => Ok(()),
        Some(row) => {
            let text = format!(
                "move the store: replica {} used it {} s ago; stop all and wait a minute, or --force",
                row.id,
                now.since(row.at).as_secs()
            );
            Err(Coded::new(FAILURE, text).into())
        }
    }
}

fn told(chosen: &Chosen, dump: &Dump, what: &str) -> anyhow::Result<u8> {
    match chosen.output {
        Output::Json => out::line(json!({"records": dump.records, "digest": dump.digest}).to_string()),
        Output::Table => out::line(format!("{what}: {} records, digest {}", dump.records, dump.digest)),
    }
    Ok(0)
}
