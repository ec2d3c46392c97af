//! `tidegate registry`: copies of registries, kept up to date, searched and looked at.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use discovery::registry::{self, Entry, Limits, Status, write_response};
use discovery::{Address, Reach};
use http::HeaderValue;
use model::{Clock, SystemClock};
use scout::{Copy, Fetcher, Reaching, Registry, RegistryError, Synced};
use serde_json::Value;

use crate::by_hand::ByHand;
use crate::cli::{Output, Source};
use crate::exit::{Coded, REFUSED, USAGE, failed};
use crate::progress::Bar;
use crate::{out, state, store_command, table};

/// Versions that a copy has at most: as many as can be searched.
const VERSIONS_MAX: usize = 100_000;

/// What to do with copies of registries.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the copy of a registry up to date: all of it the first time, later what changed.
    Sync {
        /// The registry's URL, without `/v0.1`.
        #[arg(value_name = "URL")]
        url: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        source: Source,
        /// Go through the whole list, as is done once a day anyway.
        #[arg(long)]
        full: bool,
        /// The variable of the environment that holds a token for the registry.
        #[arg(long, value_name = "VARIABLE")]
        token_env: Option<String>,
        /// Over plain HTTP also beyond this machine.
        #[arg(long)]
        plain: bool,
    },
    /// Search a copy by name, title and description.
    Search {
        /// What stands somewhere in them; everything where nothing is given.
        #[arg(default_value = "")]
        text: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
        /// All versions, and not only the latest.
        #[arg(long)]
        all: bool,
        /// Also what was deleted.
        #[arg(long)]
        deleted: bool,
    },
    /// Show an entry of a copy, as its publisher wrote it, with what the registry says of it.
    Show {
        /// Its name: `com.acme/crm`.
        name: String,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
        /// The version.
        #[arg(long, default_value = "latest")]
        version: String,
    },
}

/// Where copies are, and how to print.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// The folder of copies; `registries` in the state folder where none is named.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Which copy.
#[derive(Debug, Clone, Args)]
pub struct Which {
    /// The registry's URL; the only one of which there is a copy where none is named.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
}

/// Does it.
pub async fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Sync { url, place, source, full, token_env, plain } => {
            let base =
                scout::base_of(&url).map_err(|why| Coded::new(USAGE, format!("use {url:?}: {why}")))?;
            if !base.is_https() && base.reach() != Reach::Loopback && !plain {
                let why = "over plain HTTP anybody on the way can write what it says; --plain allows it";
                return Err(Coded::new(USAGE, format!("use {}: {why}", base.as_str())).into());
            }
            let authorization = token_env.as_deref().map(token).transpose()?;
            let doing = match store_command::open_if_there(&source).await? {
                Some(store) => Some(ByHand::begin(&source, &store, "registry sync", base.as_str()).await?),
                None => None,
            };
            let done = sync(&base, &place, full, authorization.as_ref()).await;
            let synced = match doing {
                Some(doing) => doing.end(done).await?,
                None => done?,
            };
            told(&synced, place.output)
        }
        Command::Search { text, place, which, all, deleted } => search(&text, &place, &which, all, deleted),
        Command::Show { name, place, which, version } => show(&name, &version, &place, &which),
    }
}

fn token(variable: &str) -> anyhow::Result<HeaderValue> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| Coded::config(format!("read the variable {variable}: it is not set")))?;
    let mut header = HeaderValue::from_str(&format!("Bearer {}", value.trim()))
        .map_err(|_| Coded::config(format!("use the variable {variable}: no header can carry it")))?;
    header.set_sensitive(true);
    Ok(header)
}

async fn sync(
    base: &Address,
    place: &Place,
    full: bool,
    authorization: Option<&HeaderValue>,
) -> anyhow::Result<Synced> {
    // The operator says where it is; redirects lead nowhere else.
    let fetcher = Fetcher::new(&Reaching { private: true, ..Reaching::default() }).map_err(failed)?;
    let folder = folder(place)?.join(folder_of(base));
    let mut registry = Registry::open(&folder, base).map_err(failed)?;
    let mut limits = Limits { every: Duration::ZERO, rows_max: VERSIONS_MAX, ..Limits::default() };
    if full {
        limits.full_every = Duration::ZERO;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut bar = Bar::new();
    let mut progress =
        |pages: u32, versions: usize| bar.show(versions as u64, versions as u64, &pages_of(pages));
    let synced = registry.sync(&fetcher, &clock, &limits, authorization, &mut progress).await;
    bar.clear();
    Ok(synced.map_err(failed)?)
}

fn pages_of(pages: u32) -> String {
    format!("versions, page {pages}")
}

fn told(synced: &Synced, output: Output) -> anyhow::Result<u8> {
    if output == Output::Json {
        out::line(serde_json::to_string_pretty(synced)?);
        return Ok(if synced.done { 0 } else { REFUSED });
    }
    out::line(format!("{} versions, {} of them new or changed", synced.versions, synced.changed));
    for (what, all) in [
        ("deprecated", &synced.deprecated),
        ("deleted", &synced.deleted),
        ("not listed any more", &synced.gone),
    ] {
        all.iter().for_each(|one| out::line(format!(" {what}: {}", out::plain(one))));
    }
    for oddity in &synced.oddities {
        out::line(format!(" odd: {}", out::plain(&serde_json::to_string(oddity)?)));
    }
    synced.refused.iter().for_each(|fault| out::line(format!(" not taken: {}", out::plain(fault))));
    match &synced.why {
        None => Ok(0),
        Some(why) => {
            let text = format!("bring the copy up to date: {}", out::plain(why));
            Err(Coded::new(REFUSED, text).into())
        }
    }
}

fn search(text: &str, place: &Place, which: &Which, all: bool, deleted: bool) -> anyhow::Result<u8> {
    let copy = copy(place, which)?;
    let deleted = if deleted { "true" } else { "false" };
    let mut pairs = vec![("limit", "100"), ("include_deleted", deleted), ("search", text)];
    if !all {
        pairs.push(("version", "latest"));
    }
    let mut found: Vec<&Entry> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut pairs = pairs.clone();
        pairs.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let query = registry::query(pairs).map_err(|error| Coded::new(USAGE, format!("search: {error}")))?;
        let (page, next) = copy.shelf.list(&query, |_| true);
        found.extend(page);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    if place.output == Output::Json {
        let all: Vec<Value> = found.iter().map(|entry| write_response(entry).to_value()).collect();
        out::line(serde_json::to_string_pretty(&all)?);
        return Ok(0);
    }
    let mut rows = table::new(&["name", "version", "status", "run by", "description"]);
    for entry in &found {
        let text = |text: &str| out::plain(text).into_owned();
        rows.add_row(vec![
            text(&entry.server.name),
            text(&entry.server.version),
            entry.official.status.word().to_owned(),
            ways(entry),
            text(&entry.server.description),
        ]);
    }
    if found.is_empty() {
        eprintln!("nothing of {} is called so", copy.url);
    } else {
        out::line(table::text(&rows));
    }
    Ok(0)
}

/// The ways to use a server, in a word each.
fn ways(entry: &Entry) -> String {
    let packages = entry.server.packages.iter().map(|package| package.registry_type.as_str());
    let remotes = entry.server.remotes.iter().map(|_| "remote");
    let mut all: Vec<&str> = packages.chain(remotes).collect();
    all.dedup();
    out::plain(&all.join(", ")).into_owned()
}

fn show(name: &str, version: &str, place: &Place, which: &Which) -> anyhow::Result<u8> {
    let copy = copy(place, which)?;
    let Some(entry) = copy.entry(name, version) else {
        let text = format!("find {name} {version} in the copy of {}", copy.url);
        return Err(Coded::new(REFUSED, text).into());
    };
    let document = write_response(entry).to_value();
    if place.output == Output::Json {
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(0);
    }
    if entry.official.status != Status::Active {
        let why = entry.official.status_message.as_deref().unwrap_or("no reason is given");
        eprintln!("warning: it is {}: {}", entry.official.status.word(), out::plain(why));
    }
    let all: Vec<&str> =
        copy.shelf.versions(name, true, |_| true).iter().map(|entry| entry.server.version.as_str()).collect();
    out::foreign(&serde_json::to_string_pretty(&document["server"])?);
    out::line(format!("versions: {}", out::plain(&all.join(", "))));
    Ok(0)
}

/// The copy that is meant.
pub fn copy_of(folder: Option<PathBuf>, registry: Option<String>) -> anyhow::Result<Copy> {
    copy(&Place { folder, output: Output::Table }, &Which { registry })
}

fn copy(place: &Place, which: &Which) -> anyhow::Result<Copy> {
    let folder = folder(place)?;
    if let Some(url) = &which.registry {
        let base = scout::base_of(url).map_err(|why| Coded::new(USAGE, format!("use {url:?}: {why}")))?;
        return Ok(Copy::read(&folder.join(folder_of(&base))).map_err(failed)?);
    }
    let mut all = Vec::new();
    for found in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = found.with_context(|| format!("look into {}", folder.display()))?.path();
        match Copy::read(&path) {
            Ok(copy) => all.push(copy),
            Err(RegistryError::Nothing(_)) => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
    match all.len() {
        1 => Ok(all.remove(0)),
        0 => Err(failed(RegistryError::Nothing(folder.display().to_string())).into()),
        _ => {
            let urls: Vec<&str> = all.iter().map(|copy| copy.url.as_str()).collect();
            let text = format!("choose a registry: give --registry one of {}", urls.join(", "));
            Err(Coded::new(USAGE, text).into())
        }
    }
}

fn folder(place: &Place) -> anyhow::Result<PathBuf> {
    let folder = place.folder.clone().or_else(|| state::folder("registries"));
    folder.ok_or_else(|| Coded::new(USAGE, "know where copies are: give --folder".to_owned()).into())
}

/// The folder of one copy: by its host for people, and by a digest so that no two are the same.
fn folder_of(base: &Address) -> PathBuf {
    let [a, b, c, d, ..] = seal::sha256(base.normal().as_bytes());
    let host = base.host();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    let host: String = host.chars().map(plain).collect();
    Path::new(&format!("{}-{a:02x}{b:02x}{c:02x}{d:02x}", host.trim_start_matches('.'))).to_owned()
}
