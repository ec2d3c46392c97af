//! The configuration under rules of who may decide what.

pub mod desk;
mod impact;
mod life;
mod records;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use config::{Config, Governance};
use governance::{Engine, Ruleset};
use governor::{Actor, Office, Via, hash};
use model::{Rng as _, SystemClock};
use seal::SystemRng;
use store::Store;
use tokio::task::JoinHandle;

use crate::cli::Source;
use crate::exit::Coded;
use crate::load;
use desk::ConfigDesk;

/// How often is looked what fell due.
const TICK: Duration = Duration::from_secs(10);
/// The ruleset of a configuration that names none.
const DEFAULT: &str = "solo";

/// The offices of a configuration: one as long as its rules are the same.
pub struct Governed {
    source: Source,
    file: PathBuf,
    store: Arc<dyn Store>,
    owner: String,
    office: Mutex<Option<Arc<Office>>>,
}

/// The text of the ruleset that a configuration names, in a folder.
fn rules_text(section: &Governance, folder: &Path) -> Result<String, String> {
    match &section.rules {
        None => governance::preset(DEFAULT).map(|preset| preset.text.to_owned()).ok_or_else(String::new),
        Some(rules) => {
            let file = folder.join(rules);
            let text = crate::governance_command::text(&file, governance::limits::FILE_BYTES_MAX as u64);
            text.map_err(|error| format!("{error:#}"))
        }
    }
}

/// The rules that were looked at last. To try them out takes up to seconds, and a command needs them often.
static TRIED: Mutex<Option<(String, Arc<Engine>)>> = Mutex::new(None);

/// The rules of a text, if they make sense.
pub fn engine(text: &str) -> Result<Arc<Engine>, String> {
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, engine)) = tried.as_ref().filter(|(known, _)| known == text) {
        return Ok(Arc::clone(engine));
    }
    let rules = Ruleset::from_yaml(text).map_err(|fault| fault.to_string())?;
    let engine = Engine::new(rules).map_err(|faults| {
        let all: Vec<_> = faults.iter().map(ToString::to_string).collect();
        all.join("\n")
    })?;
    let (_, engine) = tried.insert((text.to_owned(), Arc::new(engine)));
    Ok(Arc::clone(engine))
}

/// Looks whether the rules of a loaded configuration make sense.
///
/// # Errors
/// Where they do not.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let Some(section) = config.governance.as_ref().filter(|section| section.rules.is_some()) else {
        return Ok(());
    };
    // The paths are anchored by now.
    let checked = rules_text(section, Path::new("")).and_then(|text| engine(&text));
    checked.map(drop).map_err(|error| Coded::config(format!("use governance.rules: {error}")).into())
}

impl Governed {
    /// For the configuration in this file.
    pub fn new(source: &Source, file: &Path, store: Arc<dyn Store>) -> Self {
        let mut random = [0; 12];
        SystemRng.fill(&mut random);
        let owner = format!("governor-{}", audit::hex(&random));
        Self { source: source.clone(), file: file.to_owned(), store, owner, office: Mutex::new(None) }
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// The section as the file has it now; `None` where there is none.
    pub fn section(&self) -> Result<Option<Governance>, String> {
        let layered = load::layered(&self.source, &self.file).map_err(|error| format!("{error:#}"))?;
        Ok(layered.config.governance)
    }

    /// The office under the rules as they are now.
    pub fn office(&self, section: &Governance) -> Result<Arc<Office>, String> {
        let text = rules_text(section, self.folder())?;
        let rules = hash(text.as_bytes());
        let mut office = self.office.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(office) = office.as_ref().filter(|office| office.rules() == rules) {
            return Ok(Arc::clone(office));
        }
        let engine = engine(&text)?;
        let desk = Arc::new(ConfigDesk::new(&self.file, Arc::clone(&self.store)).with_overlays(&self.source));
        let (store, clock) = (Arc::clone(&self.store), Arc::new(SystemClock));
        let new = Arc::new(Office::new((engine, rules), store, desk, clock, self.owner.clone()));
        Ok(Arc::clone(office.insert(new)))
    }
}

#[async_trait]
impl admin::Governs for Governed {
    fn office(&self) -> Result<Option<Arc<Office>>, String> {
        self.section()?.map(|section| Self::office(self, &section)).transpose()
    }

    fn actor(&self, operator: &admin::OperatorName<'_>) -> Result<Actor, String> {
        let section = self.section()?.unwrap_or_default();
        let office = Self::office(self, &section)?;
        let named = section.operators.get(operator.name).cloned();
        let alone = office.alone().filter(|_| operator.is_admin).map(str::to_owned);
        let person = named.or(alone).unwrap_or_else(|| operator.subject.to_owned());
        Ok(Actor { person, operator: operator.name.to_owned(), via: Via::Admin })
    }
}

/// Lets happen what falls due, as long as this is held.
pub struct Ticking(JoinHandle<()>);

impl Ticking {
    /// Begins.
    pub fn start(governed: Arc<Governed>) -> Self {
        Self(tokio::spawn(async move {
            let mut told = String::new();
            loop {
                tokio::time::sleep(TICK).await;
                let office = admin::Governs::office(&*governed);
                let failed = match office {
                    Ok(None) => None,
                    Ok(Some(office)) => office.tick().await.err().map(|error| error.to_string()),
                    Err(error) => Some(error),
                };
                match failed {
                    Some(error) if error != told => {
                        tracing::warn!(%error, "what fell due under the rules did not happen");
                        told = error;
                    }
                    Some(_) => {}
                    None => told.clear(),
                }
            }
        }))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.abort();
    }
}
