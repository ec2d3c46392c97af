//! `tidegate import`.

mod gateway;
mod there;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use config::mcp_json::names_for;
use config::{Given, Layer};
use portable::{Deployment, Format, Imported, Moved, Origin, Report, Server, Target, Tidegate};
use serde_json::{Value, json};

use super::files::{self, Text};
use super::{code, diff, is_table, read, said, take, tell};
use crate::by_hand::ByHand;
use crate::cli::{Output, Source};
use crate::exit::{Coded, REFUSED, USAGE};
use crate::load::DEFAULT_FILE;
use crate::{add_command, out, store_command, table};

pub use gateway::read as read_gateway;
use there::{Place, There};

/// Whose configuration, and where it goes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The program whose configuration it is: `claude-code`, `cursor`, `codex`, …; or the gateway:
    /// `agentgateway`, `contextforge`, `docker`, `litellm`, `metamcp` or `toolhive`; or `mcpb`, a bundle.
    #[arg(value_name = "FROM", required_unless_present = "all", conflicts_with = "all")]
    from: Option<String>,
    /// Its file; the one in the user's home where none is named. Several files of a gateway are read as one,
    /// such as Docker's catalog with what is beside it.
    #[arg(value_name = "PATH", conflicts_with = "all")]
    paths: Vec<PathBuf>,
    /// Everything that is found in the home of the user who asks.
    #[arg(long)]
    all: bool,
    /// The gateway's configuration; `tidegate.yaml` in this folder where none is named.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Move secrets that stand in those files into files in this folder, which only the user can read.
    /// Without it, servers with such secrets are left out.
    #[arg(long, value_name = "FOLDER")]
    secrets: Option<PathBuf>,
    /// Put servers in the place of upstreams of the same names, with all that the configuration says of
    /// those. Without it they get names of their own.
    #[arg(long)]
    replace: bool,
    /// Write the configuration. Without it, what would be written is shown.
    #[arg(long)]
    write: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Why a server is left out that the configuration has no place for.
const NOT_TAKEN: &str = "the gateway does not take it: see below";
/// What becomes of a server where there is an upstream of the same name.
const REPLACES: &str = "it replaces the one that was there";
const SAME: &str = "it is there already, and stays as it is";
const BESIDE: &str = "another one is called as it was: --replace puts this one in its place";

/// A server that is packed with all it needs: nobody's configuration, and taken over as `tidegate add` does.
const BUNDLE: &str = "mcpb";

/// What became of one server.
struct Row {
    client: &'static str,
    file: String,
    /// What it is called there; empty where it is about the file.
    name: String,
    /// What it is called here; `None`: it was left out.
    own: Option<String>,
    why: String,
}

/// All that was read.
#[derive(Default)]
struct Gathered {
    deployment: Deployment,
    rows: Vec<Row>,
    report: Report,
    refused: bool,
}

/// Reads, shows, and writes where it is asked to.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    if arguments.from.as_deref() == Some(BUNDLE) {
        let [path] = arguments.paths.as_slice() else {
            return Err(Coded::new(USAGE, "import a bundle: name its one file".to_owned()).into());
        };
        let (config, write) = (arguments.config.as_deref(), arguments.write);
        return add_command::bundle(path, config, write, arguments.output).await;
    }
    let file = arguments.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    if !arguments.write {
        return work(&arguments, &file);
    }
    let source = Source { config: Some(file.clone()).filter(|file| file.exists()), ..Source::default() };
    let doing = match store_command::open_if_there(&source).await? {
        Some(store) => {
            let what = arguments.from.as_deref().unwrap_or("all");
            Some(ByHand::begin(&source, &store, "import", what).await?)
        }
        None => None,
    };
    let done = work(&arguments, &file);
    match doing {
        Some(doing) => doing.end(done).await,
        None => done,
    }
}

/// What is to be written.
struct Taken {
    all: Gathered,
    moved: Vec<Moved>,
    /// The configuration.
    text: String,
    /// The files that it names beside it.
    beside: Vec<(Text, String)>,
}

impl Taken {
    /// Whether a server is taken over. A file with none in it is not made.
    fn has_any(&self) -> bool {
        self.all.rows.iter().any(|row| row.own.is_some())
    }
}

fn work(arguments: &Arguments, file: &Path) -> anyhow::Result<u8> {
    let old = files::named(file)?;
    let known = known_servers(&old)?;
    let taken = match arguments.from.as_deref().and_then(super::gateway) {
        Some(format) => gateway::take(arguments, format, &old, &known)?,
        None => of_clients(arguments, &old, &known)?,
    };
    let others = taken.beside.iter().filter(|(old, new)| old.text.as_ref().is_some_and(|text| text != new));
    if let Some((other, _)) = others.into_iter().next().filter(|_| arguments.write) {
        let text = format!("write {}: there is another file already", other.path.display());
        return Err(Coded::new(REFUSED, text).into());
    }
    let writes = arguments.write && (old.text.is_some() || taken.has_any());
    if writes {
        put_secrets(&taken.moved)?;
        // What names others comes after them.
        let mut changes = taken.beside.clone();
        changes.push((old.clone(), taken.text.clone()));
        changes.retain(|(old, new)| old.text.as_deref() != Some(new.as_str()));
        files::replace_all(&changes)?;
    }
    show(arguments, &taken, file, &old, writes)?;
    Ok(code(&taken.all.report, taken.all.refused))
}

/// Takes over what clients have.
fn of_clients(arguments: &Arguments, old: &Text, known: &Deployment) -> anyhow::Result<Taken> {
    let places = places(arguments)?;
    let there = There { known, secrets: arguments.secrets.as_deref(), replace: arguments.replace };
    let mut all = gather(&places, &there)?;
    let moved = secrets(arguments, &mut all)?;
    let target = Target { file: &old.path.display().to_string(), existing: old.text.as_deref(), remove: &[] };
    let written = Tidegate
        .export(&all.deployment, &target)
        .map_err(|fault| Coded::config(format!("write the configuration: {fault}")))?;
    let (left, _) = portable::reduce(&all.deployment, &Tidegate);
    for row in &mut all.rows {
        if row.why != SAME && row.own.as_ref().is_some_and(|own| !left.servers.contains_key(own)) {
            row.own = None;
            NOT_TAKEN.clone_into(&mut row.why);
            all.refused = true;
        }
    }
    all.report.extend(written.report);
    Ok(Taken { all, moved, text: written.text, beside: Vec::new() })
}

/// Which files are read.
fn places(arguments: &Arguments) -> anyhow::Result<Vec<(&'static dyn Format, PathBuf)>> {
    let Some(from) = &arguments.from else { return files::known(&portable::clients()) };
    let format = super::format(from)?;
    match arguments.paths.as_slice() {
        [] => {}
        [path] => return Ok(vec![(format, path.clone())]),
        [_, _, ..] => {
            let text = format!("read several files: {} has one", format.title());
            return Err(Coded::new(USAGE, text).into());
        }
    }
    let found = files::known(&[format])?;
    if found.is_empty() {
        let text =
            format!("find a file of {}: there is none ({}); name it", format.title(), files::places(format));
        return Err(Coded::new(USAGE, text).into());
    }
    Ok(found)
}

/// The servers that the gateway has, with the values of variables that are known.
fn known_servers(old: &Text) -> anyhow::Result<Deployment> {
    let Some(text) = &old.text else { return Ok(Deployment::default()) };
    let name = old.path.display().to_string();
    // A variable without a value is given one at the start, which is not known here.
    match config::load_layers(&[Layer { name: &name, bytes: text.as_bytes() }], &Given::default()) {
        Ok(layered) => said(&layered, &name),
        Err(_) => read(text, &name),
    }
}

fn gather(places: &[(&'static dyn Format, PathBuf)], there: &There<'_>) -> anyhow::Result<Gathered> {
    let mut all = Gathered::default();
    let mut pending: Vec<(usize, String, Server)> = Vec::new();
    for (format, path) in places {
        let shown = path.display().to_string();
        let row = |name: &str, own: Option<String>, why: String, all: &mut Gathered| {
            let (client, file, name) = (format.name(), shown.clone(), name.to_owned());
            all.rows.push(Row { client, file, name, own, why });
        };
        let read = match imported(*format, path) {
            Ok(read) => read,
            Err(why) => {
                all.refused = true;
                row("", None, why, &mut all);
                continue;
            }
        };
        for refused in read.refused {
            all.refused = true;
            row(&refused.name, None, refused.fault.to_string(), &mut all);
        }
        take(&mut all.report, format.name(), read.report);
        for (name, server) in read.deployment.servers {
            if is_gateway(&server) {
                row(&name, None, "it is the gateway itself".to_owned(), &mut all);
                continue;
            }
            row(&name, None, String::new(), &mut all);
            pending.push((all.rows.len() - 1, name, server));
        }
        all.deployment.inputs.extend(read.deployment.inputs);
    }
    name(&mut all, pending, there)?;
    Ok(all)
}

fn imported(format: &dyn Format, path: &Path) -> Result<Imported, String> {
    let read = files::read(path)?;
    let Some(text) = read.text else { return Err("there is no such file".to_owned()) };
    let digest = format!("sha256:{}", audit::hex(&seal::sha256(text.as_bytes())));
    let file = path.display().to_string();
    let origin = Origin { file: &file, digest: Some(&digest), ..Origin::default() };
    format.import(&text, &origin).map_err(|fault| fault.to_string())
}

/// Whether an entry points at a gateway of this kind, as `tidegate export` writes it.
fn is_gateway(server: &Server) -> bool {
    let words: Vec<&str> = server.argv.iter().filter_map(portable::Text::as_plain).collect();
    match words.as_slice() {
        [program, "stdio", ..] => Path::new(program).file_name().is_some_and(|name| name == "tidegate"),
        [] if server.container.is_none() => server.provenance.as_ref().is_some_and(|from| {
            let rest = from.name.strip_prefix(super::export::NAME);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        }),
        _ => false,
    }
}

/// Gives each server its name. What several clients have alike is one server.
fn name(all: &mut Gathered, pending: Vec<(usize, String, Server)>, there: &There<'_>) -> anyhow::Result<()> {
    let bare = |server: &Server| Server { provenance: None, ..server.clone() };
    let mut kept: Vec<(usize, String, Server)> = Vec::new();
    let mut twins: Vec<(usize, usize)> = Vec::new();
    for (row, name, server) in pending {
        let twin = kept.iter().position(|(_, other, one)| *other == name && bare(one) == bare(&server));
        match twin {
            Some(twin) => twins.push((row, twin)),
            None => kept.push((row, name, server)),
        }
    }
    // Two that are called alike and are different get the name of their client at the end.
    let mut originals: Vec<String> = Vec::new();
    let mut whys: Vec<&'static str> = Vec::new();
    for (row, name, server) in &kept {
        let client = all.rows.get(*row).map_or("", |row| row.client);
        let (original, why) = match there.place(name, client, server, &originals)? {
            Place::Free(original) => (original, ""),
            Place::Beside(original) => (original, BESIDE),
            Place::Same(original) => (original, SAME),
            Place::Instead(original) => (original, REPLACES),
        };
        whys.push(why);
        originals.push(original);
    }
    // Nothing is called like an upstream that is there, but what is that one or takes its place.
    let taken = there.known.servers.keys().map(String::as_str);
    let taken: Vec<&str> = taken.chain(originals.iter().map(String::as_str)).collect();
    let names = names_for(&taken).split_off(there.known.servers.len());
    for (((row, _, server), own), why) in kept.into_iter().zip(&names).zip(whys) {
        if let Some(row) = all.rows.get_mut(row) {
            row.own = Some(own.clone());
            why.clone_into(&mut row.why);
        }
        if why == REPLACES {
            there.tell(own, &mut all.report);
        }
        if why != SAME {
            all.deployment.servers.insert(own.clone(), server);
        }
    }
    for (row, twin) in twins {
        if let Some(row) = all.rows.get_mut(row) {
            row.own = names.get(twin).cloned();
            "as in another client".clone_into(&mut row.why);
        }
    }
    Ok(())
}

/// Moves secrets out, or leaves the servers out in which they stand.
fn secrets(arguments: &Arguments, all: &mut Gathered) -> anyhow::Result<Vec<Moved>> {
    let mut moved = Vec::new();
    if let Some(folder) = &arguments.secrets {
        let folder = std::path::absolute(folder).context("find the folder of secrets")?;
        moved = move_into(&mut all.deployment, &folder);
        for one in &moved {
            all.report.approximated(one.path.clone(), false, "the secret is in a file of its own now");
        }
    }
    for found in portable::inline(&all.deployment) {
        let Some(own) = found.server else { continue };
        let why = if found.movable {
            "a secret stands in it: give --secrets FOLDER, or put it into the environment"
        } else {
            "a secret stands in its command or URL, from where it cannot be moved"
        };
        all.report.dropped(found.path, false, why);
        all.deployment.servers.shift_remove(&own);
        all.refused = true;
        for row in all.rows.iter_mut().filter(|row| row.own.as_deref() == Some(own.as_str())) {
            row.own = None;
            why.clone_into(&mut row.why);
        }
    }
    let servers = &all.deployment.servers;
    moved.retain(|one| one.server.as_ref().is_some_and(|own| servers.contains_key(own)));
    Ok(moved)
}

fn move_into(deployment: &mut Deployment, folder: &Path) -> Vec<Moved> {
    portable::move_inline(deployment, &mut |path| {
        // Keys that callers come with are made anew, and these go nowhere.
        let of_server = path.starts_with("servers.");
        of_server.then(|| folder.join(slug(path)).display().to_string())
    })
}

/// A file's name for the place of a secret.
fn slug(path: &str) -> String {
    let path = path.strip_prefix("servers.").unwrap_or(path);
    path.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(120).collect()
}

fn put_secrets(moved: &[Moved]) -> anyhow::Result<()> {
    for one in moved {
        let file = Path::new(&one.place);
        files::private_folder(file.parent().unwrap_or(Path::new(".")))?;
        files::private(file, one.value.expose().as_bytes())?;
    }
    let folder = moved.first().and_then(|one| Path::new(&one.place).parent());
    if let Some(warning) = folder.and_then(files::open_to_others) {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

/// Variables of the environment that upstreams need and that are not set here, with the keys that name them.
fn unset(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let Ok(config) = config::load_str(text, "") else { return found };
    for need in config::Meaning::of(&config, None).references() {
        let upstream = need.key.strip_prefix("upstreams.").and_then(|rest| rest.split('.').next());
        let is_used = upstream.and_then(|name| config.upstreams.get(name)).is_some_and(|one| one.enabled);
        if need.kind == "env" && is_used && std::env::var_os(&need.name).is_none() {
            found.entry(need.name).or_default().push(need.key);
        }
    }
    found
}

fn show(arguments: &Arguments, taken: &Taken, file: &Path, old: &Text, written: bool) -> anyhow::Result<()> {
    let Taken { all, moved, text: new, beside } = taken;
    let (existing, is_same) = (old.text.as_deref(), old.text.as_deref() == Some(new.as_str()));
    // As in the table: what stands there already may have secrets in it.
    let shown = |text: &str| portable::hide(text, &[text]);
    if !is_table(arguments.output) {
        let rows: Vec<Value> = all
            .rows
            .iter()
            .map(|row| {
                json!({ "client": row.client, "file": row.file, "server": row.name, "upstream": row.own,
                        "remark": row.why })
            })
            .collect();
        let moved: Vec<Value> =
            moved.iter().map(|one| json!({ "from": one.path, "to": one.place })).collect();
        let beside: Vec<Value> =
            beside.iter().map(|(file, text)| json!({ "file": file.path, "text": shown(text) })).collect();
        let document = json!({ "servers": rows, "report": all.report.to_json(), "secrets": moved,
                               "unset": unset(new),
                               "config": file, "text": shown(new), "beside": beside, "written": written });
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(());
    }
    let mut rows = table::new(&["client", "file", "server", "upstream", "remark"]);
    for row in &all.rows {
        let own = row.own.as_deref().unwrap_or("left out");
        let cells = [row.client, row.file.as_str(), row.name.as_str(), own, row.why.as_str()];
        rows.add_row(cells.map(|cell| out::plain(cell).into_owned()));
    }
    out::line(table::text(&rows));
    out::line("");
    tell(&all.report);
    for one in moved {
        out::line(format!("secret  {} -> {}", out::plain(&one.path), one.place));
    }
    out::line("");
    if !arguments.write {
        for (file, text) in beside {
            let before = file.text.as_deref().unwrap_or_default();
            diff::show(&Tidegate, &file.path.display().to_string(), before, text);
        }
    }
    for (variable, keys) in unset(new) {
        out::line(format!("set     {variable}: the gateway does not start without it ({})", keys.join(", ")));
    }
    for (file, _) in beside.iter().filter(|_| written) {
        out::line(format!("wrote {}", file.path.display()));
    }
    match (arguments.write, is_same) {
        (true, _) if !written => out::line("nothing was written: there is no server to take over"),
        (_, true) => out::line(format!("{} says it already", file.display())),
        (true, false) => out::line(format!("wrote {}", file.display())),
        (false, false) => {
            diff::show(&Tidegate, &file.display().to_string(), existing.unwrap_or_default(), new);
            out::line("nothing was written: --write does it");
        }
    }
    Ok(())
}
