//! What clients were told of their tasks, and what must hold of them whatever happens.

use std::collections::BTreeMap;

use model::task::TaskState;

use crate::world::Journal;

/// What is known of a task that was acknowledged.
struct Known {
    repeatable: bool,
    cancelled: bool,
    /// The last version that anybody was told.
    version: u64,
    end: Option<(TaskState, u64, String)>,
}

/// The tasks of one seed.
pub struct Ledger {
    seed: u64,
    tasks: BTreeMap<String, Known>,
}

impl Ledger {
    pub fn new(seed: u64) -> Self {
        Self { seed, tasks: BTreeMap::new() }
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    pub fn name(&self, index: usize) -> Option<String> {
        self.tasks.keys().nth(index).cloned()
    }

    pub fn names(&self) -> Vec<String> {
        self.tasks.keys().cloned().collect()
    }

    /// Those without an end that anybody was told of.
    pub fn open(&self) -> Vec<String> {
        self.tasks.iter().filter(|(_, known)| known.end.is_none()).map(|(id, _)| id.clone()).collect()
    }

    pub fn made(&mut self, id: String, repeatable: bool) {
        let known = Known { repeatable, cancelled: false, version: 0, end: None };
        self.tasks.entry(id).or_insert(known);
    }

    /// Somebody wants it cancelled, whether that is heard or not.
    pub fn cancelled(&mut self, id: &str) {
        self.tasks.get_mut(id).expect("it was acknowledged").cancelled = true;
    }

    /// Versions never go back, and an end never changes.
    pub fn seen(&mut self, id: &str, state: TaskState, version: u64, text: String) {
        let seed = self.seed;
        let known = self.tasks.get_mut(id).expect("it was acknowledged");
        assert!(version >= known.version, "seed {seed}: {version} after {}", known.version);
        known.version = version;
        if state.is_open() {
            assert!(known.end.is_none(), "seed {seed}: {id} is open again");
            return;
        }
        let now = (state, version, text);
        let end = known.end.get_or_insert_with(|| now.clone());
        assert_eq!(*end, now, "seed {seed}: an end has changed");
    }

    /// Every task has an end, and one that it may have.
    pub fn settled(&self, journal: &Journal) {
        let seed = self.seed;
        for (id, known) in &self.tasks {
            let Some((state, _, _)) = &known.end else { panic!("seed {seed}: {id} has no end") };
            let effects = journal.effects(id);
            assert!(known.repeatable || effects <= 1, "seed {seed}: {id} took effect {effects} times");
            match state {
                TaskState::Completed => assert!(effects >= 1, "seed {seed}: {id} took no effect"),
                TaskState::Failed => {
                    assert!(!known.repeatable, "seed {seed}: {id} may run again and was given up");
                }
                TaskState::Cancelled => assert!(known.cancelled, "seed {seed}: nobody cancelled {id}"),
                other => panic!("seed {seed}: {id} is {other:?}"),
            }
        }
    }
}
