//! What is written of the configuration as files of its own: for another gateway, for where this one is to
//! run, for registries and for those who look before they connect.

use std::path::{Path, PathBuf};

use config::Config;
use model::{Clock as _, SystemClock};
use portable::{Format, GATEWAYS, Report, RunsAt, Target, Tidegate};
use serde_json::{Value, json};

use super::super::deployed::refuse_secrets;
use super::super::{code, deployed, files, is_table, told};
use super::{Arguments, Plan, Planned, base, finish, own, source};
use crate::exit::{Coded, FAILURE, REFUSED, USAGE};
use crate::{load, out};

/// The name of a server card, and of an entry of a registry.
const CARD: &str = "card";
const ENTRY: &str = "server-json";

/// What is written.
#[derive(Clone, Copy)]
pub enum Whole {
    /// The nearest equivalent of another gateway's.
    Gateway(&'static dyn Format),
    /// What starts this one.
    Runs(RunsAt),
    /// What it tells of an endpoint: a card, or an entry of a registry.
    Told(&'static str),
}

impl Whole {
    fn name(self) -> &'static str {
        match self {
            Self::Gateway(format) => format.name(),
            Self::Runs(place) => place.name(),
            Self::Told(name) => name,
        }
    }

    /// By what secrets in its files are found.
    fn format(self) -> &'static dyn Format {
        match self {
            Self::Gateway(format) => format,
            Self::Runs(_) | Self::Told(_) => &Tidegate,
        }
    }
}

fn all() -> impl Iterator<Item = Whole> {
    let gateways = GATEWAYS.iter().filter(|format| format.exports()).map(|format| Whole::Gateway(*format));
    gateways.chain(RunsAt::ALL.map(Whole::Runs)).chain([CARD, ENTRY].map(Whole::Told))
}

/// What has this name.
pub fn find(name: &str) -> Option<Whole> {
    all().find(|one| one.name() == name)
}

/// All names, in their order.
pub fn names() -> Vec<&'static str> {
    all().map(Whole::name).collect()
}

/// Texts by their names, the first of which is the one that is asked for, and what became of the rest.
struct Texts {
    /// `None`: the file is the one that was named.
    files: Vec<(Option<String>, String)>,
    report: Report,
}

/// Shows it, or writes it where it is asked to.
pub fn work(arguments: &Arguments, to: Whole, config: &Config, file: &Path) -> anyhow::Result<u8> {
    if !matches!(to, Whole::Told(_)) && (arguments.endpoint != server::EVERYTHING || arguments.url.is_some())
    {
        let text = format!("export to {}: all is written; --endpoint and --url are for others", to.name());
        return Err(Coded::new(USAGE, text).into());
    }
    let texts = texts(arguments, to, config, file)?;
    let Some(path) = &arguments.path else {
        if arguments.write {
            let text = format!("export to {}: say where to write it", to.name());
            return Err(Coded::new(USAGE, text).into());
        }
        return print(arguments, to, &texts);
    };
    let mut plan = Plan { report: texts.report, makes_folders: true, ..Plan::default() };
    for (name, text) in texts.files {
        let path = place(path, to, name.as_deref());
        let old = files::named(&path)?;
        let (of, format) = (to.name(), to.format());
        plan.files.push(Planned { of, format, old, new: text, removed: Vec::new() });
    }
    if arguments.write {
        prepare(arguments, &plan)?;
    }
    finish(arguments, &plan)
}

/// Where a file goes: into the folder that was named, or beside the file that was.
fn place(named: &Path, to: Whole, name: Option<&str>) -> PathBuf {
    match (to, name) {
        (Whole::Runs(_), Some(name)) => named.join(name),
        (_, Some(name)) => named.with_file_name(name),
        (_, None) => named.to_owned(),
    }
}

/// Looks whether nothing is lost that is there.
fn prepare(arguments: &Arguments, plan: &Plan) -> anyhow::Result<()> {
    let others = plan.files.iter().filter(|file| file.old.text.is_some() && file.is_changed());
    let others: Vec<String> = others.map(|file| file.old.path.display().to_string()).collect();
    if !others.is_empty() && !arguments.replace {
        let text = format!(
            "write {}: there is another file already; --replace writes over it, and keeps what it was",
            others.join(", ")
        );
        return Err(Coded::new(REFUSED, text).into());
    }
    Ok(())
}

fn texts(arguments: &Arguments, to: Whole, config: &Config, file: &Path) -> anyhow::Result<Texts> {
    match to {
        Whole::Gateway(format) => {
            refuse_secrets(&load::layered(&source(arguments), file)?)?;
            let name = arguments.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
            // A file that is there is replaced whole or not at all.
            let target = Target { file: &name, ..Target::default() };
            let written = format.export(&own(arguments, file)?, &target);
            let written = written
                .map_err(|fault| Coded::new(FAILURE, format!("write it for {}: {fault}", format.title())))?;
            let mut files = vec![(None, written.text)];
            files.extend(written.beside.into_iter().map(|(name, text)| (Some(name), text)));
            Ok(Texts { files, report: written.report })
        }
        Whole::Runs(place) => {
            let made = deployed(place, &source(arguments))?;
            let files = made.files.into_iter().map(|(name, text)| (Some(name), text)).collect();
            Ok(Texts { files, report: made.report })
        }
        Whole::Told(name) => {
            let text = announced(arguments, name, config)?;
            Ok(Texts { files: vec![(None, text)], report: Report::default() })
        }
    }
}

/// What the gateway serves as the card of an endpoint, or as its entry of a registry.
fn announced(arguments: &Arguments, name: &str, config: &Config) -> anyhow::Result<String> {
    let endpoint = arguments.endpoint.as_str();
    let base = base(arguments, config)?;
    let told = server::announced(config, endpoint, &base, SystemClock.now())
        .map_err(|error| Coded::compose(&error))?;
    let refused = |why: &str| {
        let text = format!("tell of the endpoint {:?}: {why}", out::plain(endpoint));
        anyhow::Error::from(Coded::new(REFUSED, text))
    };
    let told = told.ok_or_else(|| refused("nothing is told of it: write `discovery.cards`"))?;
    let document = match name {
        CARD => {
            told.card.ok_or_else(|| refused("it is private, and has no card: say `visibility: public`"))?
        }
        _ => told.entry,
    };
    let value: Value = serde_json::from_slice(&document)?;
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

/// Prints what would be written: one file as it is, so that it can be piped, and several with their names.
fn print(arguments: &Arguments, to: Whole, texts: &Texts) -> anyhow::Result<u8> {
    if !is_table(arguments.output) {
        let files =
            texts.files.iter().map(|(name, text)| json!({"client": to.name(), "file": name, "text": text}));
        let files: Vec<Value> = files.collect();
        let document = json!({ "files": files, "report": texts.report.to_json(), "written": false });
        out::line(serde_json::to_string_pretty(&document)?);
        return Ok(code(&texts.report, false));
    }
    let alone = texts.files.len() == 1;
    for (index, (name, text)) in texts.files.iter().enumerate() {
        if !alone {
            let gap = if index == 0 { "" } else { "\n" };
            out::line(format!("{gap}# {}", name.as_deref().unwrap_or(to.name())));
        }
        out::foreign(text.trim_end_matches('\n'));
    }
    if !texts.report.losses().is_empty() {
        eprintln!("{}", told(&texts.report));
    }
    Ok(code(&texts.report, false))
}
