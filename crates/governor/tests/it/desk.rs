//! Files in memory, of which each line `kind:name = value` is a record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use governance::{Effect, Engine, Risk, Ruleset};
use governor::{Actor, Desk, Draft, Files, Look, Office, Via, hash};
use model::{ManualClock, Timestamp};
use store::Store;

pub const FILE: &str = "gateway.txt";

#[derive(Default)]
pub struct Papers(pub Mutex<Files>);

fn records(files: &Files) -> BTreeMap<String, String> {
    let lines = files.values().flat_map(|text| text.lines());
    lines.filter_map(|line| line.split_once(" = ")).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[async_trait::async_trait]
impl Desk for Papers {
    fn files(&self) -> Result<Files, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn look(&self, before: &Files, after: &Files) -> Result<Look, String> {
        let (before, after) = (records(before), records(after));
        let names = before.keys().chain(after.keys());
        let changed: BTreeMap<_, _> = names
            .filter(|name| before.get(*name) != after.get(*name))
            .map(|name| (name.clone(), after.get(name).cloned().unwrap_or_default()))
            .collect();
        let kind =
            changed.keys().next().and_then(|name| name.split_once(':')).map(|(kind, _)| kind.to_owned());
        let effect = match changed.values().any(String::is_empty) {
            true => Effect::Remove,
            false => Effect::Change,
        };
        let kind = kind.ok_or("nothing is under rules")?;
        Ok(Look { kind, records: changed, risk: Risk::Low, effect, ..Look::default() })
    }

    fn records(&self, files: &Files) -> Result<BTreeMap<String, String>, String> {
        Ok(records(files))
    }

    fn write(&self, before: &Files, after: &Files) -> Result<(), String> {
        let mut files = self.0.lock().unwrap();
        if *files != *before {
            return Err("they are others by now".to_owned());
        }
        files.clone_from(after);
        Ok(())
    }
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub papers: Arc<Papers>,
    pub clock: Arc<ManualClock>,
    pub office: Office,
}

pub fn engine(text: &str) -> (Arc<Engine>, String) {
    let engine = Engine::new(Ruleset::from_yaml(text).unwrap()).unwrap();
    (Arc::new(engine), hash(text.as_bytes()))
}

impl World {
    pub fn under(preset: &str) -> Self {
        let store: Arc<dyn Store> = Arc::new(store::Memory::default());
        let papers = Arc::new(Papers::default());
        papers.0.lock().unwrap().insert(FILE.to_owned(), "upstream:crm = a\n\nlimits\n".to_owned());
        // A Tuesday.
        let clock = Arc::new(ManualClock::at(Timestamp(1_796_115_600_000)));
        let rules = engine(governance::preset(preset).unwrap().text);
        let office = Office::new(rules, Arc::clone(&store), papers.clone(), clock.clone(), "one".to_owned());
        Self { store, papers, clock, office }
    }

    /// Another process that uses the same store and the same files.
    pub fn other(&self, text: &str) -> Office {
        let (store, papers, clock) = (Arc::clone(&self.store), self.papers.clone(), self.clock.clone());
        Office::new(engine(text), store, papers, clock, "other".to_owned())
    }

    pub fn text(&self) -> String {
        self.papers.0.lock().unwrap()[FILE].clone()
    }

    /// The files with something replaced.
    pub fn with(&self, old: &str, new: &str) -> Files {
        let text = self.text();
        assert!(text.contains(old), "{text}");
        Files::from([(FILE.to_owned(), text.replacen(old, new, 1))])
    }

    pub fn days(&self, days: u64) {
        self.clock.advance(Duration::from_secs(days * 86_400));
    }
}

pub fn who(person: &str) -> Actor {
    Actor { person: person.to_owned(), operator: format!("default/{person}"), via: Via::Admin }
}

pub fn draft(title: &str) -> Draft {
    Draft { title: title.to_owned(), ..Draft::default() }
}
