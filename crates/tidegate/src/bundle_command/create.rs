//! `tidegate bundle create`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use bundle::{Contents, FILE_BYTES_MAX, MEMBERS_MAX, Manifest, Need, Parameter, SIGNER_LABEL};
use clap::Args;
use config::{Config, Layered, Meaning, StoreUrl};
use model::{Clock as _, SystemClock};
use store::{PinCopy, PinOffice};

use crate::cli::{Output, Source};
use crate::exit::{Coded, FAILURE, failed};
use crate::{keys, load, out, portable_command, state, store_command};

/// Of which deployment, and where to.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    chosen: store_command::Chosen,
    /// The file to write; one that is there is not replaced.
    file: PathBuf,
    /// The name that stands in the signature, such as `example.org/gateway`.
    #[arg(long, value_name = "NAME", default_value = super::SIGNER)]
    signer: String,
    /// Leave the overlay of this environment out.
    #[arg(long, value_name = "NAME")]
    without_env: Vec<String>,
    /// What stands at this key of the configuration itself is no secret.
    #[arg(long, value_name = "KEY")]
    no_secret: Vec<String>,
    /// Also take in the audit logs in the store, as far as they are signed: who did what stands in them.
    #[arg(long)]
    with_records: bool,
}

/// What goes into a bundle.
struct Gathering<'a> {
    arguments: &'a Arguments,
    folder: PathBuf,
    contents: Contents,
    manifest: Manifest,
}

/// Makes one.
pub async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let source = arguments.chosen.source();
    let file = source.config.clone().unwrap_or_else(|| PathBuf::from(load::DEFAULT_FILE));
    if source.mcp_json.is_some() || !file.exists() {
        let text = "make a bundle: there is no configuration file that it could be made of".to_owned();
        return Err(Coded::config(text).into());
    }
    let mut gathering = Gathering::new(&arguments, &file)?;
    gathering.files(&file)?;
    let loaded = load::load(source)?;
    let store = match state::target(&loaded)? {
        StoreUrl::Memory => {
            let text = "sign the bundle: the keys in a store in memory end with the process; give store.url";
            return Err(Coded::config(text.to_owned()).into());
        }
        at => store_command::open_or_make(&at).await?,
    };
    let pins = PinOffice::new(Arc::clone(&store), Arc::new(SystemClock)).copies().await.map_err(failed)?;
    gathering.pins(&pins)?;
    let ring = keys::Follow::start(&loaded.config, Some(&store)).await?;
    if arguments.with_records {
        let taken = super::records::gather(&*store, &ring, &mut gathering.manifest).await;
        gathering.contents.records = taken?;
    }
    let signer = ring.ring().signer(SystemClock.now(), SIGNER_LABEL);
    let Gathering { contents, manifest, .. } = gathering;
    let records: u64 = manifest.records.values().map(|log| log.size.saturating_sub(log.first)).sum();
    let made = bundle::write(manifest, &contents, &arguments.signer, &[&signer]);
    store.close().await;
    let bytes = made.map_err(|error| Coded::new(FAILURE, error.to_string()))?;
    let key = bundle::PublicKey::of(&arguments.signer, &signer).to_string();
    if bundle::PublicKey::parse(&key).is_none() {
        let text = format!("sign as {:?}: a name has no blanks and no \"+\"", arguments.signer);
        return Err(Coded::new(crate::exit::USAGE, text).into());
    }
    let written = write_new(&arguments.file, &bytes, arguments.with_records);
    written.with_context(|| format!("make {}", arguments.file.display()))?;
    let digest = audit::hex(&seal::sha256(&bytes));
    match arguments.chosen.output() {
        Output::Json => {
            let report = serde_json::json!({"file": arguments.file, "bytes": bytes.len(), "sha256": digest,
                "files": contents.files.len(), "pins": pins.len(), "records": records, "key": key});
            out::line(serde_json::to_string_pretty(&report)?);
        }
        Output::Table => {
            let (files, pins, name) = (contents.files.len(), pins.len(), arguments.file.display());
            let records = if arguments.with_records { format!(", {records} records") } else { String::new() };
            out::line(format!("{name}: {files} files, {pins} definitions{records}, {} bytes", bytes.len()));
            out::line(format!("sha256  {digest}\nkey     {key}"));
        }
    }
    Ok(0)
}

/// Writes a file that is not there yet, whole or not at all; for the owner alone where it is `private`.
fn write_new(file: &Path, bytes: &[u8], private: bool) -> std::io::Result<()> {
    let mode = if private { 0o600 } else { 0o666 };
    let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    let written = new.write_all(bytes).and_then(|()| new.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(file);
    }
    written
}

/// The environments that have an overlay beside a file, but this machine's.
pub fn environments(file: &Path) -> anyhow::Result<BTreeSet<String>> {
    let folder = super::target::folder_of(file);
    let own = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let name = entry?.file_name();
        let env = name.to_str().and_then(|name| load::environment_of(own, name));
        found.extend(env.filter(|env| env != load::LOCAL));
    }
    Ok(found)
}

/// Whether a path stays in the folder in which it starts.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// A path as a bundle has it.
fn bundled(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

impl<'a> Gathering<'a> {
    fn new(arguments: &'a Arguments, file: &Path) -> anyhow::Result<Self> {
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.context("make a bundle: the configuration's name is no text")?;
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { program, config: name.to_owned(), ..Manifest::default() };
        let folder = super::target::folder_of(file);
        Ok(Self { arguments, folder, contents: Contents::default(), manifest })
    }

    /// Takes a file in, which is a plain one in the deployment's folder.
    fn take(&mut self, key: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
        let place = self.folder.join(path);
        if !is_inside(path) {
            let how = "it lies outside the configuration's folder, and a bundle has what is inside";
            return Err(Coded::config(format!("take in {key} ({}): {how}", path.display())).into());
        }
        let whole = std::fs::canonicalize(&place).with_context(|| format!("take in {}", place.display()))?;
        let folder = std::fs::canonicalize(&self.folder)?;
        if !whole.starts_with(&folder) {
            let how = "it is a link that leads out of the configuration's folder";
            return Err(Coded::config(format!("take in {key} ({}): {how}", path.display())).into());
        }
        let mut bytes = Vec::new();
        let read =
            File::open(&whole).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
        read.with_context(|| format!("take in {}", place.display()))?;
        if self.contents.files.len() > MEMBERS_MAX {
            return Err(
                Coded::new(FAILURE, format!("make a bundle: it has more than {MEMBERS_MAX} files")).into()
            );
        }
        self.contents.files.insert(bundled(path), bytes.clone());
        Ok(bytes)
    }

    /// The configuration with each of its overlays, and what they name.
    fn files(&mut self, file: &Path) -> anyhow::Result<()> {
        let source = self.arguments.chosen.source();
        let name = self.manifest.config.clone();
        let base = (name.clone(), self.take("the configuration", Path::new(&name))?);
        let mut overlays = BTreeMap::new();
        let mut found = environments(file)?;
        found.retain(|env| !self.arguments.without_env.contains(env));
        for env in found {
            let path = load::overlay(Path::new(&name), &env);
            let bytes = self.take("an overlay", &path)?;
            overlays.insert(env, (path.display().to_string(), bytes));
        }
        self.manifest.environments = overlays.keys().cloned().collect();
        let chosen: Vec<String> = source.env.clone();
        let alone = overlays.keys().filter(|env| !chosen.contains(env)).cloned();
        let mut sets = vec![chosen.clone()];
        sets.extend(alone.map(|env| [chosen.clone(), vec![env]].concat()));
        for envs in sets {
            let missing = |env: &String| Coded::config(format!("find an overlay of the environment {env}"));
            let mut layers = vec![base.clone()];
            for env in &envs {
                layers.push(overlays.get(env).cloned().ok_or_else(|| missing(env))?);
            }
            let env = envs.last().filter(|env| !chosen.contains(env));
            self.configuration(source, &layers, env.map(String::as_str))?;
        }
        Ok(())
    }

    fn configuration(
        &mut self,
        source: &Source,
        layers: &[(String, Vec<u8>)],
        env: Option<&str>,
    ) -> anyhow::Result<()> {
        let layered = load::compose(source, layers)?;
        self.refuse_secrets(&layered)?;
        let Layered { config, .. } = layered;
        for (key, path) in load::parts(&config) {
            self.take(&key, &path)?;
        }
        self.manifest.presets.extend(presets(&config));
        for (name, variable) in &config.variables {
            let default = variable.default.clone();
            let parameter = Parameter { r#type: variable.r#type.as_str().to_owned(), default };
            // The lowest file says what holds where no overlay is chosen.
            self.manifest.variables.entry(name.clone()).or_insert(parameter);
        }
        let needs = Meaning::of(&config, None).references();
        let needs = needs.into_iter().map(|need| (need.key, Need { kind: need.kind, name: need.name }));
        for (key, need) in needs.chain(files_needed(&config)).chain(variables_needed(&config)) {
            self.need(key, need, env);
        }
        Ok(())
    }

    /// What another environment needs at the same key stands beside what is needed where none is chosen.
    fn need(&mut self, key: String, need: Need, env: Option<&str>) {
        match (self.manifest.needs.get(&key), env) {
            (Some(known), _) if *known == need => {}
            (Some(_), Some(env)) => drop(self.manifest.needs.insert(format!("{key}@{env}"), need)),
            _ => drop(self.manifest.needs.insert(key, need)),
        }
    }

    fn refuse_secrets(&self, layered: &Layered) -> anyhow::Result<()> {
        let risky = portable_command::at_risk(layered);
        let risky: Vec<_> = risky.into_iter().filter(|key| !self.arguments.no_secret.contains(key)).collect();
        if risky.is_empty() {
            return Ok(());
        }
        let how = "a bundle has no secrets: write {env: NAME}, {file: PATH} or the like there, or say \
                   --no-secret KEY of one that is none";
        Err(Coded::config(format!(
            "leave the secrets out that stand in the files: {}; {how}",
            risky.join(", ")
        ))
        .into())
    }

    fn pins(&mut self, pins: &[PinCopy]) -> anyhow::Result<()> {
        self.manifest.pins = pins.len() as u64;
        for pin in pins {
            serde_json::to_writer(&mut self.contents.pins, pin)?;
            self.contents.pins.push(b'\n');
        }
        Ok(())
    }
}

/// Variables of the environment that give variables of the configuration their values.
fn variables_needed(config: &Config) -> impl Iterator<Item = (String, Need)> {
    config.variables.iter().filter_map(|(name, variable)| {
        let need = Need { kind: "env".to_owned(), name: variable.env.clone()? };
        Some((format!("variables.{name}"), need))
    })
}

/// The files that stay where they are: certificates, keys, authorities.
fn files_needed(config: &Config) -> Vec<(String, Need)> {
    let mut found = Vec::new();
    let mut need = |key: String, path: Option<&PathBuf>| {
        let need = |path: &PathBuf| Need { kind: "file".to_owned(), name: path.display().to_string() };
        found.extend(path.map(|path| (key, need(path))));
    };
    need("tls.cert".to_owned(), config.tls.as_ref().map(|tls| &tls.cert));
    need("tls.key".to_owned(), config.tls.as_ref().map(|tls| &tls.key));
    need("auth.mtls.ca".to_owned(), config.auth.mtls.as_ref().map(|mtls| &mtls.ca));
    for (name, issuer) in &config.auth.issuers {
        need(format!("auth.issuers.{name}.ca"), issuer.ca.as_ref());
    }
    for (name, upstream) in &config.upstreams {
        need(format!("upstreams.{name}.tls.ca"), upstream.tls.ca.as_ref());
    }
    for (name, export) in &config.audit.exports {
        need(format!("audit.exports.{name}.ca"), export.ca.as_ref());
    }
    found
}

/// The shipped policies and rules that a configuration names, and the digests of their texts here.
pub fn presets(config: &Config) -> BTreeMap<String, String> {
    let digest = |text: &str| audit::hex(&seal::sha256(text.as_bytes()));
    let policies = config.policy.iter().flat_map(|policy| &policy.presets);
    let mut found: BTreeMap<String, String> = policies
        .filter_map(|preset| {
            Some((preset.as_str().to_owned(), digest(&policy::preset(preset.as_str())?.text)))
        })
        .collect();
    let default = config.governance.as_ref().is_some_and(|section| section.rules.is_none());
    let solo = governance::preset("solo").filter(|_| default);
    found.extend(solo.map(|solo| ("governance:solo".to_owned(), digest(solo.text))));
    found
}
