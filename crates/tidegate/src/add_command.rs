//! `tidegate add`: from a card, an entry of a registry, a bundle, an OpenAPI document or a URL to an
//! upstream, seen and agreed to before anything is written.

mod api;
mod edit;
mod plan;
mod probe;
mod runtime;
mod sandbox;
mod subject;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, ValueEnum};
use config::Config;
use discovery::Weight;
use model::{Clock as _, SystemClock, UpstreamName};
use serde_json::json;

use crate::by_hand::ByHand;
use crate::cli::{self, Output, Source};
use crate::exit::{Coded, FAILURE, REFUSED, USAGE};
use crate::load::DEFAULT_FILE;
use crate::{load, out, store_command};
use plan::Proposal;
use subject::Subject;

/// What to add, and what is known of it.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The URL of a server or of its card; a file with an entry of a registry (`server.json`), a card, a
    /// bundle (`.mcpb`) or an OpenAPI document; or the name of an entry in a copy of a registry, also as
    /// NAME@VERSION.
    #[arg(value_name = "WHAT")]
    what: String,
    /// The configuration file; `tidegate.yaml` in this folder where none is named. It is made where there is
    /// none.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Hold it against the configuration with the overlay of this environment laid over; several in their
    /// order. It is added to the configuration itself.
    #[arg(long, value_name = "NAME", value_parser = cli::environment)]
    env: Vec<String>,
    /// Give a variable of the configuration its value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = cli::setting)]
    variable: Vec<(String, String)>,
    /// What the upstream is called; the last part of the server's name where nothing is said.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is, where that cannot be told from its name.
    #[arg(long = "as", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// Which of several packages or remotes: `packages/0`, `remotes/1`.
    #[arg(long, value_name = "WHICH")]
    pick: Option<String>,
    /// An answer to what is asked for; several times for what may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Where a secret is kept that is asked for. Secrets themselves are never written.
    #[arg(long = "secret", value_name = "KEY=env:VARIABLE|file:PATH", value_parser = secret)]
    secrets: Vec<(String, SecretPlace)>,
    /// The registry of whose copy an entry is taken, by its URL.
    #[arg(long, value_name = "URL")]
    registry: Option<String>,
    /// The folder of copies of registries.
    #[arg(long, value_name = "FOLDER")]
    registries: Option<PathBuf>,
    /// A registry of packages that may be used besides the usual ones.
    #[arg(long = "package-registry", value_name = "URL")]
    package_registries: Vec<String>,
    /// The SHA-256 that a bundle must have.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// The folder in which bundles are unpacked; `bundles` in the state folder where none is named.
    #[arg(long, value_name = "FOLDER")]
    bundles: Option<PathBuf>,
    /// Where the web API is that an OpenAPI document describes.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Which operations of an OpenAPI document become tools: `operationId`, `METHOD:/path` or `tag:NAME`,
    /// with `*` and `?`. All where nothing is said.
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Which operations of an OpenAPI document do not.
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Start it in a sandbox of bubblewrap, in which it sees the system's programs and an empty home folder.
    #[arg(long)]
    sandbox: bool,
    /// What it may read there, too.
    #[arg(long, value_name = "PATH", requires = "sandbox")]
    read: Vec<PathBuf>,
    /// What it may read and change there.
    #[arg(long, value_name = "PATH", requires = "sandbox")]
    write: Vec<PathBuf>,
    /// Let it use the network there. What a package runner has to fetch does not start without, so it is
    /// allowed then.
    #[arg(long, requires = "sandbox")]
    network: bool,
    /// Also fetch from private addresses and take remotes on this machine, over plain HTTP.
    #[arg(long)]
    private: bool,
    /// Start it, or connect to it, before anything is asked: show its tools and their hashes.
    #[arg(long)]
    probe: bool,
    /// Agree beforehand.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// The arguments by themselves.
#[derive(Debug, Parser)]
struct Alone {
    #[command(flatten)]
    arguments: Arguments,
}

/// Adds a bundle, as `tidegate import` does: looks, and writes where that is said.
pub async fn bundle(file: &Path, config: Option<&Path>, write: bool, output: Output) -> anyhow::Result<u8> {
    let mut words: Vec<OsString> = vec!["add".into(), "--as".into(), "bundle".into()];
    words.push(if write { "--yes".into() } else { "--dry-run".into() });
    words.extend(config.into_iter().flat_map(|config| ["--config".into(), config.into()]));
    words.extend(["--".into(), file.into()]);
    let Alone { arguments } = Alone::try_parse_from(words)?;
    run(Arguments { output, ..arguments }).await
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A server that is reached at this URL.
    Url,
    /// A server card.
    Card,
    /// An entry of a registry.
    Server,
    /// A bundle.
    Bundle,
    /// An OpenAPI document.
    #[value(name = "openapi")]
    OpenApi,
}

/// Where a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretPlace {
    Env(String),
    File(String),
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        // An option is a key, too.
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

fn secret(text: &str) -> Result<(String, SecretPlace), String> {
    let (key, place) = pair(text).map_err(|_| "write KEY=env:VARIABLE or KEY=file:PATH".to_owned())?;
    match place.split_once(':') {
        Some(("env", name)) if !name.is_empty() => Ok((key, SecretPlace::Env(name.to_owned()))),
        Some(("file", path)) if !path.is_empty() => Ok((key, SecretPlace::File(path.to_owned()))),
        _ => Err("a secret is kept elsewhere: write KEY=env:VARIABLE or KEY=file:PATH".to_owned()),
    }
}

/// A change that was made ready.
struct Change {
    file: PathBuf,
    old: Option<String>,
    new: String,
    after: Config,
    block: Vec<String>,
}

/// Adds it, once somebody has agreed.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let mut found = subject::find(&arguments).await?;
    let proposal = plan::proposal(&arguments, &mut found.subject).await?;
    UpstreamName::new(&proposal.name).map_err(|error| Coded::new(USAGE, format!("{error}; give --name")))?;
    if !proposal.fits {
        return Err(refused(&found.origin, &proposal).into());
    }
    let change = change(&arguments, &proposal, &found.origin)?;
    let mut tools = None;
    if arguments.probe {
        unpack(&arguments, &mut found.subject)?;
        let folder = folder_of(&change.file);
        tools = Some(probe::tools(&change.after, &proposal.name, folder).await?);
    }
    tell(&arguments, &found, &proposal, &change, tools.as_deref())?;
    if arguments.dry_run || !agreed(&arguments)? {
        return Ok(if arguments.dry_run { 0 } else { REFUSED });
    }
    unpack(&arguments, &mut found.subject)?;
    write(&arguments, &change, &proposal.name, &found.origin).await?;
    if arguments.output == Output::Table {
        out::line(format!("added {} to {}", proposal.name, change.file.display()));
    }
    Ok(0)
}

fn refused(origin: &str, proposal: &Proposal) -> Coded {
    let mut text = format!("plan {}:", out::plain(origin));
    for fault in proposal.faults.iter().filter(|fault| fault.weight == Weight::Refused) {
        text.push_str(&format!("\n  {}", out::plain(&fault.to_string())));
    }
    for needed in proposal.needed.iter().filter(|needed| !needed.answered && needed.required) {
        let what = out::plain(needed.description.as_deref().unwrap_or("nothing is said of it")).into_owned();
        let key = out::plain(&needed.key);
        let how = if needed.secret { format!("--secret {key}=env:…") } else { format!("--set {key}=…") };
        text.push_str(&format!("\n  {how}: {}", what.lines().next().unwrap_or_default()));
    }
    Coded::new(REFUSED, text)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the new text of the configuration, and holds it against the old one.
fn change(arguments: &Arguments, proposal: &Proposal, origin: &str) -> anyhow::Result<Change> {
    let file = arguments.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    // A link stays, and what it points at is replaced.
    let file = std::fs::canonicalize(&file).unwrap_or(file);
    let old = read(&file)?;
    let today = discovery::moment_to_text(SystemClock.now());
    let origin: String = origin.chars().filter(|c| !c.is_control()).take(200).collect();
    let remark = format!("Added on {} from {}", today.get(..10).unwrap_or_default(), out::plain(&origin));
    let block = edit::block(&proposal.name, &remark, &proposal.lines);
    let text = old.as_deref().unwrap_or(portable::SCHEMA_LINE);
    let source = source(arguments, Some(file.clone()));
    let known = load::layered_over(&source, &file, text.as_bytes().to_vec())?.config;
    if known.upstreams.contains_key(&proposal.name) || known.endpoints.contains_key(&proposal.name) {
        let text = format!("add {}: there is one that is called so; give --name", proposal.name);
        return Err(Coded::new(USAGE, text).into());
    }
    let read = |text: &str| {
        let layered = load::layered_over(&source, &file, text.as_bytes().to_vec());
        layered.map(|layered| layered.config).map_err(|error| format!("{error:#}"))
    };
    let added = edit::added(text, &read, &proposal.name, &block);
    let (new, after) = added.map_err(|error| {
        let shown: String = block.iter().map(|line| format!("\n  {line}")).collect();
        Coded::new(FAILURE, format!("{error}{shown}"))
    })?;
    Ok(Change { file, old, new, after, block })
}

fn source(arguments: &Arguments, config: Option<PathBuf>) -> Source {
    Source { config, env: arguments.env.clone(), set: arguments.variable.clone(), mcp_json: None }
}

fn read(file: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Coded::config(format!("read {}: {error}", file.display())).into()),
    }
}

fn unpack(arguments: &Arguments, subject: &mut Subject) -> anyhow::Result<()> {
    let Subject::Bundle(bundle) = subject else { return Ok(()) };
    bundle.unpack(&subject::bundles(arguments)?).map_err(crate::exit::failed)?;
    Ok(())
}

fn tell(
    arguments: &Arguments,
    found: &subject::Found,
    proposal: &Proposal,
    change: &Change,
    tools: Option<&[probe::Tool]>,
) -> anyhow::Result<()> {
    if arguments.output == Output::Json {
        let faults: Vec<String> = proposal.faults.iter().map(ToString::to_string).collect();
        let document = json!({
            "name": proposal.name, "origin": found.origin, "file": change.file, "block": change.block,
            "argv": proposal.argv, "url": proposal.url, "sandbox": proposal.sandbox,
            "needed": proposal.needed, "remarks": found.remarks, "faults": faults,
            "risks": proposal.risks, "hashes": proposal.hashes, "tools": tools,
        });
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    out::line(format!("from    {}", out::plain(&found.origin)));
    if let Some(argv) = &proposal.argv {
        let words: Vec<String> =
            argv.iter().map(|word| out::plain(&json!(word).to_string()).into_owned()).collect();
        out::line(format!("starts  {}", words.join(" ")));
    }
    if let Some(url) = &proposal.url {
        out::line(format!("reaches {}", out::plain(url)));
    }
    if let Some(sandbox) = &proposal.sandbox {
        out::line(format!("sandbox {}", out::plain(sandbox)));
    }
    for needed in &proposal.needed {
        let kind = if needed.secret { "secret" } else { "value" };
        let state = if needed.answered { "given" } else { "not given" };
        let what = needed.description.as_deref().unwrap_or_default().lines().next().unwrap_or_default();
        let line = format!("asks    {} ({kind}, {state}) {what}", needed.key);
        out::line(out::plain(line.trim_end()));
    }
    for (word, all) in
        [("hash    ", &proposal.hashes), ("mind    ", &proposal.risks), ("remark  ", &found.remarks)]
    {
        all.iter().for_each(|line| out::line(format!("{word}{}", out::plain(line))));
    }
    for fault in &proposal.faults {
        out::line(format!("remark  {}", out::plain(&fault.to_string())));
    }
    for tool in tools.into_iter().flatten() {
        out::line(format!("tool    {} {}", tool.name, tool.pin));
        tool.findings.iter().for_each(|finding| out::line(format!("        ! {}", out::plain(finding))));
    }
    out::line(format!("writes  {}", change.file.display()));
    change.block.iter().for_each(|line| out::line(format!("  + {line}")));
    Ok(())
}

fn agreed(arguments: &Arguments) -> anyhow::Result<bool> {
    if arguments.yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        let text =
            "ask whether to add it: standard input is no terminal; --yes agrees, --dry-run does nothing";
        return Err(Coded::new(USAGE, text.to_owned()).into());
    }
    crate::ask::yes("Add it? [y/N]")
}

/// Puts the new text in the place of the old one, if that is still what it was.
async fn write(arguments: &Arguments, change: &Change, name: &str, origin: &str) -> anyhow::Result<()> {
    let source = match &change.old {
        Some(_) => source(arguments, Some(change.file.clone())),
        None => Source::default(),
    };
    let doing = match store_command::open_if_there(&source).await? {
        Some(store) => Some(ByHand::begin(&source, &store, "add", name).await?.says("origin", origin)),
        None => None,
    };
    let done = put(change);
    match doing {
        Some(doing) => doing.end(done).await,
        None => done,
    }
}

fn put(change: &Change) -> anyhow::Result<()> {
    // Nobody comes between the look and the change.
    let _lock = scout::lock(&change.file).with_context(|| format!("write {}", change.file.display()))?;
    if read(&change.file)? != change.old {
        let text = format!("write {}: somebody changed it meanwhile; begin again", change.file.display());
        return Err(Coded::new(FAILURE, text).into());
    }
    scout::replace(&change.file, change.new.as_bytes())
        .with_context(|| format!("write {}", change.file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_its_place_and_never_written() {
        assert_eq!(secret("KEY=env:NAME"), Ok(("KEY".to_owned(), SecretPlace::Env("NAME".to_owned()))));
        assert_eq!(secret("--k=file:/a"), Ok(("--k".to_owned(), SecretPlace::File("/a".to_owned()))));
        for text in ["KEY=hunter2", "KEY=env:", "KEY", "=env:X"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }
}
