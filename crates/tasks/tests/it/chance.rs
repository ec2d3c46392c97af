//! Anything in any order: workers that are frozen, killed and replaced, stores that fail, clients that answer
//! and cancel, against what must hold whatever happens.
//!
//! `TASKS_SEED=N` runs one seed again; `TASKS_SEEDS=N` runs so many.

use std::time::Duration;

use model::task::TaskRules;
use model::{Rng as _, SeededRng};
use store::Fault;
use tasks::{NewTask, TaskError, View};

use crate::ledger::Ledger;
use crate::world::*;

const STEPS: usize = 80;
const SEEDS: u64 = 100;
/// A name for each worker that there ever is.
pub const NAMES: [&str; 24] = [
    "w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12", "w13", "w14", "w15",
    "w16", "w17", "w18", "w19", "w20", "w21", "w22", "w23",
];
pub const SCRIPTS: [&str; 7] = [
    "sleep 900; effect; result x",
    "effect; sleep 2500; result x",
    "ask q; sleep 300; effect; result x",
    "ask q; ask r; effect; result x",
    "say half; sleep 5000; effect; result x",
    "fail 3; effect; result x",
    "effect; follow theirs; sleep 4000; result x",
];

struct Chance {
    seed: u64,
    rng: SeededRng,
    world: World,
    alive: Vec<Worker>,
    frozen: Vec<Worker>,
    /// They never come back, and nobody stops them.
    dead: Vec<Worker>,
    names: usize,
    keys: u64,
    ledger: Ledger,
}

impl Chance {
    fn new(seed: u64) -> Self {
        let world = World::seeded(seed);
        let mut chance = Self {
            seed,
            rng: SeededRng::new(seed),
            world,
            alive: Vec::new(),
            frozen: Vec::new(),
            dead: Vec::new(),
            names: 0,
            keys: 0,
            ledger: Ledger::new(seed),
        };
        (0..3).for_each(|_| chance.hire());
        chance
    }

    fn below(&self, count: usize) -> usize {
        usize::try_from(self.rng.next_u64() % count.max(1) as u64).expect("small")
    }

    fn hire(&mut self) {
        if let Some(name) = NAMES.get(self.names) {
            self.alive.push(self.world.worker(name));
            self.names += 1;
        }
    }

    fn some_task(&self) -> Option<String> {
        self.ledger.name(self.below(self.ledger.len()))
    }

    async fn step(&mut self) {
        match self.below(24) {
            0..=4 => self.create().await,
            5..=9 => self.look().await,
            10..=12 => self.answer().await,
            13 => self.cancel().await,
            14 if self.alive.len() > 1 => {
                let worker = self.alive.swap_remove(self.below(self.alive.len()));
                worker.freeze();
                self.frozen.push(worker);
            }
            15 if !self.frozen.is_empty() => {
                let worker = self.frozen.swap_remove(self.below(self.frozen.len()));
                worker.thaw();
                self.alive.push(worker);
            }
            16 if self.alive.len() > 1 && self.names < NAMES.len() => {
                let worker = self.alive.swap_remove(self.below(self.alive.len()));
                worker.freeze();
                self.dead.push(worker);
                self.hire();
            }
            17 | 18 => {
                let faults = [Fault::Before, Fault::Busy, Fault::After, Fault::Unknown];
                let worker = &self.alive[self.below(self.alive.len())];
                worker.faults.fail(self.below(12) as u64, faults[self.below(4)]);
            }
            _ => tokio::time::sleep(Duration::from_millis(self.rng.next_u64() % 4_000)).await,
        }
    }

    async fn create(&mut self) {
        let repeatable = self.below(2) == 0;
        let rules = TaskRules { repeatable, max_attempts: 5, ..TaskRules::default() };
        let script = SCRIPTS[self.below(SCRIPTS.len())];
        self.keys += 1;
        let key = Some(format!("key {}", self.keys));
        // With its key it is made until somebody acknowledges it.
        for _ in 0..20 {
            let new = NewTask { rules: rules.clone(), key: key.clone(), ..new(script) };
            let worker = &self.alive[self.below(self.alive.len())];
            match worker.tasks.create(new).await {
                Ok(made) => {
                    self.ledger.made(made.view.id, repeatable);
                    return;
                }
                Err(TaskError::Store { .. }) => tokio::time::sleep(Duration::from_millis(300)).await,
                Err(error) => panic!("seed {}: {error}", self.seed),
            }
        }
    }

    async fn look(&mut self) {
        let Some(id) = self.some_task() else { return };
        let worker = &self.alive[self.below(self.alive.len())];
        match worker.tasks.get(&id, HOLDER).await {
            Ok(view) => self.seen(&view),
            Err(TaskError::Store { .. }) => {}
            Err(error) => panic!("seed {}: {id} is lost: {error}", self.seed),
        }
    }

    fn seen(&mut self, view: &View) {
        self.ledger.seen(&view.id, view.task.state, view.task.version, text(view));
    }

    async fn answer(&mut self) {
        let Some(id) = self.some_task() else { return };
        let worker = &self.alive[self.below(self.alive.len())];
        let Ok(view) = worker.tasks.get(&id, HOLDER).await else { return };
        let keys: Vec<String> = view.questions().map(|(key, _)| key.to_owned()).collect();
        let answers = keys.into_iter().map(|key| (key, "\"yes\"".to_owned())).collect();
        // Where it is refused somebody answers later.
        let _ = worker.tasks.answer(&id, HOLDER, answers).await;
    }

    async fn cancel(&mut self) {
        let Some(id) = self.some_task() else { return };
        let worker = &self.alive[self.below(self.alive.len())];
        self.ledger.cancelled(&id);
        let _ = worker.tasks.cancel(&id, Some(HOLDER)).await;
    }

    /// All is well from now on: every task must end, and as it may.
    async fn settle(mut self) {
        self.frozen.iter().for_each(Worker::thaw);
        self.alive.append(&mut self.frozen);
        self.alive.iter().for_each(|worker| worker.faults.heal());
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            for id in self.ledger.names() {
                let view = get(&self.alive[0], &id).await.expect("the store is well");
                self.seen(&view);
                let answers = view.questions().map(|(key, _)| (key.to_owned(), "\"yes\"".to_owned()));
                let answers: Vec<_> = answers.collect();
                if !answers.is_empty() {
                    self.alive[0].tasks.answer(&id, HOLDER, answers).await.expect("the store is well");
                }
            }
        }
        self.ledger.settled(&self.world.journal);
        for worker in self.alive.drain(..).chain(self.dead.drain(..)) {
            worker.thaw();
            worker.tasks.stop(Duration::ZERO).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_no_task_is_lost_no_end_changes_and_nothing_is_done_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TASKS_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TASKS_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let mut chance = Chance::new(seed);
        for _ in 0..STEPS {
            chance.step().await;
        }
        chance.settle().await;
    }
}
