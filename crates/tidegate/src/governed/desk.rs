//! The files that are under rules: the configuration, and the policies and the ruleset that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use config::Config;
use governance::Risk;
use governor::{Check, Desk, Files, Impact, Look, hash};
use model::{Clock as _, SystemClock};
use policy::{Engine, PolicyFile};
use store::{PinOffice, Store};

use super::impact::{self, Side};
use super::life;
use super::records::{KINDS, Parts, Turn};
use crate::cli::Source;
use crate::load;

/// The largest file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The files of a configuration.
pub struct ConfigDesk {
    file: PathBuf,
    folder: PathBuf,
    name: String,
    /// Files that the configuration does not name and that are rules all the same.
    rules: BTreeSet<String>,
    /// Files that are laid over the configuration, the lowest first; not all of them need be there.
    overlays: Vec<String>,
    /// Whether overlays of other environments lie beside it and are rules, each as a whole.
    other_overlays: bool,
    source: Source,
    store: Arc<dyn Store>,
}

/// Whether a file lies in the configuration's folder, so that it is under rules.
fn is_inside(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Files that a configuration names, and that are under rules with it.
pub fn named(config: &Config) -> BTreeSet<String> {
    let policies = config.policy.iter().flat_map(|policy| &policy.files);
    let rules = config.governance.iter().filter_map(|section| section.rules.as_ref());
    let inside = policies.chain(rules).filter(|path| is_inside(path));
    inside.filter_map(|path| path.to_str().map(str::to_owned)).collect()
}

fn read(path: &Path) -> Result<String, String> {
    crate::governance_command::text(path, FILE_BYTES_MAX).map_err(|error| format!("{error:#}"))
}

impl ConfigDesk {
    pub fn new(file: &Path, store: Arc<dyn Store>) -> Self {
        // A link is followed, so that what is written is what it points at.
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        Self {
            file: file.to_owned(),
            folder,
            name,
            rules: BTreeSet::new(),
            overlays: Vec::new(),
            other_overlays: false,
            source: Source::default(),
            store,
        }
    }

    /// Also these files are rules.
    pub fn with_rules(self, rules: BTreeSet<String>) -> Self {
        Self { rules, ..self }
    }

    /// Also the overlays that are asked for are part of the configuration.
    pub fn with_overlays(self, source: &Source) -> Self {
        let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let overlays = load::overlays(source, &self.file).into_iter().filter_map(name).collect();
        Self { overlays, source: source.clone(), ..self }
    }

    /// Also overlays that are not asked for are rules, each as a whole: what they make of the configuration
    /// elsewhere is not known here, so that a change of one is nobody's small change.
    pub fn with_other_overlays(self) -> Self {
        Self { other_overlays: true, ..self }
    }

    /// Whether a file is no part of the configuration and rules all the same.
    fn is_rule(&self, name: &String) -> bool {
        let other = || !self.is_config(name) && load::environment_of(&self.name, name).is_some();
        self.rules.contains(name) || (self.other_overlays && other())
    }

    fn parse(&self, files: &Files) -> Result<Config, String> {
        let text = files.get(&self.name).ok_or_else(|| format!("{} is not there", self.name))?;
        let mut layers = vec![(self.name.clone(), text.clone().into_bytes())];
        for name in &self.overlays {
            layers.extend(files.get(name).map(|text| (name.clone(), text.clone().into_bytes())));
        }
        let layered = load::compose(&self.source, &layers);
        layered.map(|layered| layered.config).map_err(|error| format!("{error:#}"))
    }

    /// Whether a file is the configuration, or a part of it.
    fn is_config(&self, name: &String) -> bool {
        *name == self.name || self.overlays.contains(name)
    }

    /// What decides for a configuration whose files are these.
    fn policies(&self, config: &Config, files: &Files) -> Result<Engine, String> {
        let Some(section) = &config.policy else { return Ok(Engine::allow_all()) };
        let shipped = section.presets.iter().filter_map(|preset| policy::preset(preset.as_str()));
        let mut all: Vec<PolicyFile> = shipped.collect();
        for path in &section.files {
            let name = path.display().to_string();
            let text = match files.get(&name) {
                Some(text) => text.clone(),
                None if is_inside(path) => return Err(format!("the file of policies {name} is not there")),
                None => read(&self.folder.join(path))?,
            };
            all.push(PolicyFile { name, text });
        }
        let faults = |faults: Vec<policy::Fault>| {
            let all: Vec<_> = faults.iter().map(ToString::to_string).collect();
            all.join("\n")
        };
        Engine::load(all, server::policies::options(config)).map_err(faults)
    }

    /// That the files are a configuration that can be put in force. What decides by it.
    fn sound(&self, config: &Config, files: &Files) -> Result<Engine, String> {
        let names = named(config);
        let known = |name: &String| self.is_config(name) || names.contains(name) || self.is_rule(name);
        if let Some(other) = files.keys().find(|name| !known(name)) {
            return Err(format!("the configuration names no file {other:?} in its folder"));
        }
        if let Some(rules) = config.governance.as_ref().and_then(|section| section.rules.as_ref()) {
            let name = rules.display().to_string();
            let text = match files.get(&name) {
                Some(text) => text.clone(),
                None if is_inside(rules) => return Err(format!("the ruleset {name} is not there")),
                None => read(&self.folder.join(rules))?,
            };
            super::engine(&text).map_err(|error| format!("{name}: {error}"))?;
        }
        self.policies(config, files)
    }

    fn path(&self, name: &str) -> PathBuf {
        if name == self.name { self.file.clone() } else { self.folder.join(name) }
    }

    fn replace(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        let cannot = |error: std::io::Error| format!("write {}: {error}", path.display());
        // A link stays one.
        let path = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(cannot)?;
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let beside = folder.join(format!(".{file_name}.tidegate-{}", std::process::id()));
        let written = (|| {
            let mut file = std::fs::File::create(&beside)?;
            let mode = std::fs::metadata(&path).map_or(0o600, |found| found.permissions().mode() & 0o777);
            file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            std::fs::File::open(folder)?.sync_all()
        })();
        written.map_err(|error| {
            let _ = std::fs::remove_file(&beside);
            cannot(error)
        })
    }
}

/// What a change touches, and how it is to be judged.
struct Touched {
    records: BTreeMap<String, String>,
    risk: Risk,
    summary: Vec<String>,
}

impl Touched {
    fn add(&mut self, kind: &str, name: &str, after: Option<&str>, risk: Risk) {
        let becomes = after.map(|text| hash(text.as_bytes())).unwrap_or_default();
        self.records.insert(format!("{kind}:{name}"), becomes);
        self.risk = self.risk.max(risk);
    }

    fn kind(&self) -> &'static str {
        let has = |kind: &&str| self.records.keys().any(|record| record.starts_with(&format!("{kind}:")));
        KINDS.into_iter().find(has).unwrap_or("policy")
    }
}

/// Whether a file is something: the configuration or an overlay of it; a rule.
type Is<'a> = &'a dyn Fn(&String) -> bool;

fn touched(
    before: (&Config, &Files),
    after: (&Config, &Files),
    (is_config, is_rule): (Is<'_>, Is<'_>),
) -> Result<Touched, String> {
    let records = BTreeMap::new();
    let mut touched = Touched { records, risk: Risk::Low, summary: Vec::new() };
    for Turn { record: (kind, name), after, risk, about } in Parts::of(before.0)?.turns(&Parts::of(after.0)?)
    {
        touched.summary.push(about);
        touched.add(kind, &name, after.as_deref(), risk);
    }
    let rules = |config: &Config| config.governance.as_ref().and_then(|section| section.rules.clone());
    let ours: Vec<_> = [rules(before.0), rules(after.0)].into_iter().flatten().collect();
    let names: BTreeSet<&String> = before.1.keys().chain(after.1.keys()).collect();
    for name in names.into_iter().filter(|name| !is_config(name) && before.1.get(*name) != after.1.get(*name))
    {
        let rules = is_rule(name) || ours.iter().any(|rules| rules == Path::new(name));
        let kind = if rules { "ruleset" } else { "policy" };
        touched.summary.push(format!("the file {name} is another one"));
        touched.add(kind, name, after.1.get(name).map(String::as_str), Risk::High);
    }
    // What the files of the configuration themselves become.
    let own: Vec<&str> =
        after.1.iter().filter(|(name, _)| is_config(name)).map(|(_, text)| &**text).collect();
    let own = (!own.is_empty()).then(|| own.concat());
    // A secret that stands in the file is not in any text, and is another one all the same.
    if touched.records.is_empty() && before.0 != after.0 {
        touched.summary.push("a secret that stands in the file is another one".to_owned());
        touched.add("credential", "secrets", own.as_deref(), Risk::High);
    }
    if touched.records.is_empty() {
        touched.summary.push("only comments and blanks are others".to_owned());
        touched.add("endpoint", "comments", own.as_deref(), Risk::Low);
    }
    Ok(touched)
}

#[async_trait]
impl Desk for ConfigDesk {
    fn files(&self) -> Result<Files, String> {
        let mut files = Files::from([(self.name.clone(), read(&self.file)?)]);
        for name in self.overlays.iter().filter(|name| self.folder.join(name).exists()) {
            files.insert(name.clone(), read(&self.folder.join(name))?);
        }
        for name in named(&self.parse(&files)?) {
            let text = read(&self.path(&name))?;
            files.insert(name, text);
        }
        Ok(files)
    }

    async fn look(&self, before: &Files, after: &Files) -> Result<Look, String> {
        let (old, new) = (self.parse(before)?, self.parse(after)?);
        let policies = (self.policies(&old, before)?, self.sound(&new, after)?);
        let is: (Is<'_>, Is<'_>) = (&|name| self.is_config(name), &|name| self.is_rule(name));
        let mut touched = touched((&old, before), (&new, after), is)?;
        let lives = life::of(&old, &new, touched.records.keys(), SystemClock.now())?;
        touched.summary.extend(lives.summary);
        let passed = |name: &str, about: String| Check { name: name.to_owned(), passed: true, about };
        let checks = vec![
            passed(
                "configuration",
                format!("{} upstreams, {} endpoints", new.upstreams.len(), new.endpoints.len()),
            ),
            passed("policies", format!("{} in force", policies.1.len())),
        ];
        let pins = PinOffice::new(Arc::clone(&self.store), Arc::new(SystemClock));
        let known = pins.all().await.map_err(|error| error.to_string())?.1;
        let side = |config, engine| Side { config, engine };
        let found = impact::of(&known, side(&old, &policies.0), side(&new, &policies.1));
        let impact = Impact { summary: touched.summary.clone(), ..found };
        let (kind, risk) = (touched.kind().to_owned(), touched.risk);
        let (effect, goes) = (lives.effect, lives.goes);
        Ok(Look { kind, records: touched.records, risk, effect, goes, checks, impact })
    }

    fn records(&self, files: &Files) -> Result<BTreeMap<String, String>, String> {
        let config = self.parse(files)?;
        let mut records = Parts::of(&config)?.versions();
        let rules = config.governance.as_ref().and_then(|section| section.rules.as_ref());
        for (name, text) in files.iter().filter(|(name, _)| !self.is_config(name)) {
            let is_rules = self.is_rule(name) || rules.is_some_and(|rules| rules == Path::new(name));
            let kind = if is_rules { "ruleset" } else { "policy" };
            records.insert(format!("{kind}:{name}"), hash(text.as_bytes()));
        }
        Ok(records)
    }

    fn write(&self, before: &Files, after: &Files) -> Result<(), String> {
        if self.files()? != *before {
            return Err("the files were changed by somebody else meanwhile".to_owned());
        }
        let changed = |name: &&String| before.get(*name) != after.get(*name);
        // What the configuration names is there before it does, and goes after it.
        for name in after.keys().filter(changed).filter(|name| **name != self.name) {
            self.replace(name, &after[name])?;
        }
        if before.get(&self.name) != after.get(&self.name) {
            self.replace(&self.name, after.get(&self.name).map_or("", String::as_str))?;
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            let path = self.path(name);
            std::fs::remove_file(&path).map_err(|error| format!("remove {}: {error}", path.display()))?;
        }
        Ok(())
    }
}
