//! `tidegate bundle apply`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::Bundle;
use clap::Args;
use config::{Difference, Meaning, StoreUrl};
use model::SystemClock;
use policy::pins::visible;
use serde_json::{Value, json};
use store::{PinCopy, PinKey, PinOffice, PinsBefore, Store};

use super::place::{Staged, Switched};
use super::records::Putting;
use super::target::{Parameters, RECORD, Record, Target, digest};
use crate::by_hand::ByHand;
use crate::cli::{self, Output, Source};
use crate::exit::{Coded, FAILURE, REFUSED, failed};
use crate::{load, out, state, store_command};

/// Which bundle, where to, and what is another thing there.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle.
    file: PathBuf,
    /// The folder; it need not be there.
    #[arg(long, value_name = "FOLDER")]
    to: PathBuf,
    /// The public key with which it has to be signed, as `bundle keys` prints it, or the file that holds it.
    #[arg(long, value_name = "KEY")]
    key: String,
    /// The environment of this machine, whose overlay is checked with the rest; several in their order.
    #[arg(long, value_name = "NAME", value_parser = cli::environment)]
    env: Vec<String>,
    /// Another name for an environment of the bundle.
    #[arg(long, value_name = "NAME=NEW", value_parser = renamed)]
    rename_env: Vec<(String, String)>,
    /// Give a variable its value here.
    #[arg(long, value_name = "NAME=VALUE", value_parser = cli::setting)]
    set: Vec<(String, String)>,
    /// Where a secret is here, as in `upstreams.crm.headers.authorization=env:CRM_TOKEN`; `file:PATH`,
    /// `credential:NAME`.
    #[arg(long, value_name = "KEY=env:NAME|file:PATH|credential:NAME", value_parser = secret)]
    secret: Vec<(String, (String, String))>,
    /// The store here: `sqlite:PATH` or `postgres://…` without a password.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The variable of the environment that has the store's URL here.
    #[arg(long, value_name = "VARIABLE", conflicts_with = "store")]
    store_env: Option<String>,
    /// The file that has the store's URL here.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "store_env"])]
    store_file: Option<String>,
    /// Put the audit logs that are in the bundle into this new folder, each verified, to be kept as evidence.
    #[arg(long, value_name = "FOLDER")]
    records: Option<PathBuf>,
    /// Show what would change, and change nothing.
    #[arg(long)]
    plan: bool,
    /// Also replace files that were changed here, or that no bundle brought.
    #[arg(long)]
    overwrite: bool,
    /// Also where this program ships other texts for the presets that the configuration names.
    #[arg(long)]
    other_presets: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

fn renamed(text: &str) -> Result<(String, String), String> {
    let (old, new) = cli::setting(text)?;
    Ok((cli::environment(&old)?, cli::environment(&new)?))
}

fn secret(text: &str) -> Result<(String, (String, String)), String> {
    let (key, place) = cli::setting(text)?;
    let (kind, name) =
        place.split_once(':').ok_or("write KEY=env:NAME, KEY=file:PATH or KEY=credential:NAME")?;
    if !["env", "file", "credential"].contains(&kind) || name.is_empty() {
        return Err("write KEY=env:NAME, KEY=file:PATH or KEY=credential:NAME".to_owned());
    }
    Ok((key, (kind.to_owned(), name.to_owned())))
}

impl Arguments {
    fn parameters(&self) -> anyhow::Result<Parameters> {
        let place = |kind: &str, name: &String| json!({kind: name});
        let url = self.store.as_ref().map(|url| {
            let has_password = url
                .split_once("://")
                .is_some_and(|(_, rest)| rest.split_once('@').is_some_and(|(user, _)| user.contains(':')));
            let wrong =
                "use --store: others see arguments, and it has a password; use --store-env or --store-file";
            if has_password { Err(Coded::new(crate::exit::USAGE, wrong.to_owned())) } else { Ok(json!(url)) }
        });
        let by_env = self.store_env.as_ref().map(|name| place("env", name));
        let by_file = self.store_file.as_ref().map(|name| place("file", name));
        let store = url.transpose()?.or(by_env).or(by_file);
        let (set, secrets) = (self.set.clone(), self.secret.clone());
        Ok(Parameters { set, secrets, renamed: self.rename_env.clone(), store })
    }

    /// The configuration in a folder, as this machine reads it.
    fn source(&self, folder: &Path, bundle: &Bundle) -> Source {
        let config = Some(folder.join(&bundle.manifest.config));
        Source { config, env: self.env.clone(), ..Source::default() }
    }
}

/// What would change.
#[derive(Debug, Default)]
struct Plan {
    new: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
    /// Files that somebody else has written.
    conflicts: Vec<String>,
    differences: Vec<Difference>,
    pins: Vec<PinKey>,
    store: String,
    /// The logs that are put as files.
    records: Vec<Value>,
}

impl Plan {
    /// What becomes of files.
    fn of(target: &Target, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        for (path, bytes) in files {
            let Some(found) = target.read(path)? else {
                plan.new.push(path.clone());
                continue;
            };
            if found == *bytes {
                continue;
            }
            if target.record.files.get(path) != Some(&digest(&found)) {
                plan.conflicts.push(path.clone());
            }
            plan.changed.push(path.clone());
        }
        for (path, known) in target.record.files.iter().filter(|(path, _)| !files.contains_key(*path)) {
            let Some(found) = target.read(path)? else { continue };
            if digest(&found) != *known {
                plan.conflicts.push(path.clone());
            }
            plan.removed.push(path.clone());
        }
        Ok(plan)
    }

    fn is_nothing(&self) -> bool {
        [&self.new, &self.changed, &self.removed].into_iter().all(Vec::is_empty) && self.pins.is_empty()
    }

    fn show(&self, arguments: &Arguments, target: &Target, done: bool) -> anyhow::Result<()> {
        if arguments.output == Output::Json {
            let pin = |key: &PinKey| json!({"upstream": key.upstream, "kind": key.kind, "name": key.name});
            let pins: Vec<Value> = self.pins.iter().map(pin).collect();
            let report = json!({"folder": target.folder, "applied": done, "new": self.new,
                "changed": self.changed,
                "removed": self.removed, "conflicts": self.conflicts, "differences": self.differences,
                "definitions": pins, "store": self.store, "records": self.records});
            out::line(serde_json::to_string_pretty(&report)?);
            return Ok(());
        }
        for (sign, paths) in [("+", &self.new), ("~", &self.changed), ("-", &self.removed)] {
            for path in paths {
                let conflict =
                    if self.conflicts.contains(path) { "  (not as a bundle brought it)" } else { "" };
                out::line(format!("{sign} {path}{conflict}"));
            }
        }
        for one in &self.differences {
            out::line(format!("  {}", out::plain(&one.to_string())));
        }
        for PinKey { upstream, kind, name } in &self.pins {
            out::line(format!("definition  {kind} {} of {upstream}", visible(name)));
        }
        out::line(format!("store  {}", self.store));
        for log in &self.records {
            let text = |key: &str| log.get(key).and_then(Value::as_str).unwrap_or_default();
            out::line(format!(
                "records of {}  in {}",
                out::plain(text("tenant")),
                out::plain(text("folder"))
            ));
        }
        Ok(())
    }
}

/// Applies one.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let (bundle, bundle_digest) = super::trusted(&arguments.file, &arguments.key)?;
    let pins = pins(&bundle)?;
    let target = Target::at(&arguments.to)?;
    let local = load::overlay(Path::new(&bundle.manifest.config), load::LOCAL).display().to_string();
    // What this machine has of its own stays, and is checked with the rest.
    let there = target.read(&local)?;
    let files = arguments.parameters()?.files(&bundle, there.as_deref())?;
    let mut staging = files.clone();
    let mut record = Record::of(&bundle_digest, &files);
    if files.get(&local) == there.as_ref() {
        // What somebody wrote there by hand does not become what a bundle brought.
        record.files.remove(&local);
        record.files.extend(target.record.files.get(&local).map(|known| (local.clone(), known.clone())));
    }
    staging.insert(RECORD.to_owned(), record.text().into_bytes());
    let staged = Staged::write(&target.folder, &staging).map_err(failed)?;
    let at = check(&arguments, &bundle, &staged, &target).map_err(|error| named(error, &staged, &target))?;
    let mut plan = Plan::of(&target, &files)?;
    plan.store = state::name(&at);
    plan.differences = differences(&arguments, &bundle, &staged, &target);
    plan.pins = would_change(&at, &pins).await?;
    let logs = arguments.records.as_ref().map(|folder| Putting::stage(&bundle, folder)).transpose()?;
    plan.records = logs.as_ref().map(|logs| logs.report.clone()).unwrap_or_default();
    if arguments.plan {
        plan.show(&arguments, &target, false)?;
        return Ok(if plan.conflicts.is_empty() || arguments.overwrite { 0 } else { REFUSED });
    }
    if !plan.conflicts.is_empty() && !arguments.overwrite {
        let all = plan.conflicts.join(", ");
        let text = format!(
            "replace {all} in {}: not as a bundle brought it; see --plan, and say --overwrite",
            target.folder.display()
        );
        return Err(Coded::new(REFUSED, text).into());
    }
    let doing =
        Doing { arguments: &arguments, bundle: &bundle, digest: &bundle_digest, target: &target, at: &at };
    // Where the rest fails, they go again.
    let put = logs.map(Putting::put).transpose()?;
    doing.carry_out(staged, &plan, &pins).await?;
    if let Some(put) = put {
        put.keep();
    }
    plan.show(&arguments, &target, true)?;
    if arguments.output == Output::Table {
        let envs: String = arguments.env.iter().map(|env| format!(" --env {env}")).collect();
        let config = target.folder.join(&bundle.manifest.config);
        if plan.records.is_empty() && !bundle.manifest.records.is_empty() {
            let logs = bundle.manifest.records.len();
            out::line(format!("the bundle also has {logs} audit logs, to be had with --records FOLDER"));
        }
        let word = if plan.is_nothing() { "nothing had to change" } else { "applied" };
        out::line(format!("{word}; start it with: tidegate up --config {}{envs}", config.display()));
    }
    Ok(0)
}

/// An error in the words of the folder that is meant, not of the one in which all waits until it is good.
fn named(error: anyhow::Error, staged: &Staged, target: &Target) -> anyhow::Error {
    let (from, to) = (staged.folder().display().to_string(), target.folder.display().to_string());
    let code = error.downcast_ref::<Coded>().map_or(FAILURE, |coded| coded.code);
    Coded::new(code, format!("{error:#}").replace(&from, &to)).into()
}

/// The definitions in a bundle.
fn pins(bundle: &Bundle) -> anyhow::Result<Vec<PinCopy>> {
    let wrong = |line: usize, why: &str| {
        Coded::new(FAILURE, format!("use line {line} of pins.jsonl in the bundle: {why}"))
    };
    let mut all: Vec<PinCopy> = Vec::new();
    for (line, number) in bundle.contents.pins.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        let copy: PinCopy = serde_json::from_slice(line)
            .map_err(|_| wrong(number, "it is no definition as this program knows it"))?;
        if let Some(fault) = copy.fault() {
            return Err(wrong(number, fault).into());
        }
        if all.last().is_some_and(|last| last.pin.key >= copy.pin.key) {
            return Err(wrong(number, "it is there twice, or not in order").into());
        }
        all.push(copy);
    }
    if all.len() as u64 != bundle.manifest.pins {
        return Err(wrong(all.len(), "there are not as many as the manifest says").into());
    }
    Ok(all)
}

/// Looks whether what was staged can be put in force here. Which store it means.
fn check(
    arguments: &Arguments,
    bundle: &Bundle,
    staged: &Staged,
    target: &Target,
) -> anyhow::Result<StoreUrl> {
    let source = arguments.source(staged.folder(), bundle);
    let file = source.config.clone().unwrap_or_default();
    // With policies and rules.
    load::load(&source)?;
    let mut config = load::layered(&source, &file)?.config;
    let here = super::create::presets(&config);
    for (name, digest) in
        here.iter().filter(|(name, digest)| bundle.manifest.presets.get(*name) != Some(*digest))
    {
        if !arguments.other_presets {
            let text = format!(
                "use the preset {name}: this program ships another text ({}) than the one that made it; \
                 look at what is different, and say --other-presets",
                digest.get(..8).unwrap_or_default()
            );
            return Err(Coded::new(REFUSED, text).into());
        }
    }
    config.anchor_paths(&target.folder);
    let file = Some(target.folder.join(&bundle.manifest.config));
    state::target(&load::Loaded { config, file, warnings: Vec::new(), stamp: None, besides: Vec::new() })
}

/// What the configuration means that it did not mean before; nothing where there was none that can be read.
fn differences(arguments: &Arguments, bundle: &Bundle, staged: &Staged, target: &Target) -> Vec<Difference> {
    let read = |folder: &Path| {
        let source = arguments.source(folder, bundle);
        load::layered(&source, &source.config.clone().unwrap_or_default()).ok()
    };
    let (Some(before), Some(after)) = (read(&target.folder), read(staged.folder())) else {
        return Vec::new();
    };
    let (one, other) = (
        Meaning::of(&before.config, Some(&before.origins)),
        Meaning::of(&after.config, Some(&after.origins)),
    );
    config::diff(&one, &other)
}

fn office(store: &Arc<dyn Store>) -> PinOffice {
    PinOffice::new(Arc::clone(store), Arc::new(SystemClock))
}

/// Which definitions would be others in the store; all where there is none yet.
async fn would_change(at: &StoreUrl, pins: &[PinCopy]) -> anyhow::Result<Vec<PinKey>> {
    if *at == StoreUrl::Memory && !pins.is_empty() {
        let text = "put the definitions into the store: what there is ends with the process; see --store";
        return Err(Coded::config(text.to_owned()).into());
    }
    match store_command::open_if_current(at).await? {
        None => Ok(pins.iter().map(|copy| copy.pin.key.clone()).collect()),
        Some(store) => {
            let found = office(&store).would_change(pins).await;
            store.close().await;
            found.map_err(|error| Coded::store(&error).into())
        }
    }
}

/// What is applied where.
struct Doing<'a> {
    arguments: &'a Arguments,
    bundle: &'a Bundle,
    digest: &'a str,
    target: &'a Target,
    at: &'a StoreUrl,
}

impl Doing<'_> {
    /// Puts the files and the definitions in place: both, or neither.
    async fn carry_out(&self, staged: Staged, plan: &Plan, pins: &[PinCopy]) -> anyhow::Result<()> {
        let source = self.arguments.source(&self.target.folder, self.bundle);
        if self.target.fresh {
            // Nobody serves from there yet. The store may be inside, so that the folder comes first.
            let switched = staged.become_folder(&self.target.folder).map_err(failed)?;
            let Some(store) = self.store().await? else {
                switched.keep();
                return Ok(());
            };
            let put = office(&store).put_copies(pins).await;
            let put = put.map_err(|error| Coded::store(&error));
            if put.is_ok() {
                switched.keep();
                ByHand::once(&source, &store, "bundle apply", self.digest).await?;
            }
            store.close().await;
            return Ok(put.map(drop)?);
        }
        let Some(store) = self.store().await? else {
            self.put_over(staged, plan)?.keep();
            return Ok(());
        };
        // A gateway that serves from there follows the files at once: by then it must know the definitions.
        let recorded = match &source.config {
            Some(file) if file.exists() => {
                // The bundle may be what brings an overlay.
                let mut before = source.clone();
                before.env.retain(|env| load::overlay(file, env).exists());
                Some(ByHand::begin(&before, &store, "bundle apply", self.digest).await?)
            }
            _ => None,
        };
        let first = recorded.is_none();
        let put = self.both(&store, staged, plan, pins).await;
        match recorded {
            Some(recorded) => recorded.end(put).await?,
            None => put?,
        }
        if first {
            ByHand::once(&source, &store, "bundle apply", self.digest).await?;
        }
        store.close().await;
        Ok(())
    }

    async fn both(
        &self,
        store: &Arc<dyn Store>,
        staged: Staged,
        plan: &Plan,
        pins: &[PinCopy],
    ) -> anyhow::Result<()> {
        let office = office(store);
        let before: PinsBefore = office.put_copies(pins).await.map_err(|error| Coded::store(&error))?;
        match self.put_over(staged, plan) {
            Ok(switched) => {
                switched.keep();
                Ok(())
            }
            Err(error) => {
                if let Err(undone) = office.put_back(&before).await {
                    eprintln!("warning: definitions in the store are not as they were: {undone}");
                }
                Err(error)
            }
        }
    }

    fn put_over(&self, staged: Staged, plan: &Plan) -> anyhow::Result<Switched> {
        let mut changed: Vec<String> = plan.new.iter().chain(&plan.changed).cloned().collect();
        changed.push(RECORD.to_owned());
        let put =
            staged.put_over(&self.target.folder, (&changed, &plan.removed), &self.bundle.manifest.config);
        Ok(put.map_err(failed)?)
    }

    async fn store(&self) -> anyhow::Result<Option<Arc<dyn Store>>> {
        match self.at {
            StoreUrl::Memory => Ok(None),
            at => store_command::open_or_make(at).await.map(Some),
        }
    }
}
