//! Workers over one store, which can be frozen and cut off.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::task::{Next, TaskRules, TaskState};
use model::{Clock, SeededRng, Timestamp};
use store::{Faults, Faulty, Memory, Store};
use tasks::{Failed, Made, NewTask, Options, Outcome, Ran, Run, Runner, TaskError, Tasks, View};
use tokio::sync::watch;
use tokio::time::Instant;

pub const HOLDER: &str = "holder";
pub const LEASE: Duration = Duration::from_secs(10);
/// When every test begins.
pub const START: Timestamp = Timestamp(1_785_196_800_000);

/// The time of tokio, which stands still while somebody works.
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        START.plus(self.0.elapsed())
    }
}

/// An attempt: who made it, of which task, which one, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub worker: &'static str,
    pub id: String,
    pub attempt: u32,
    pub at: Timestamp,
    /// Whether it came to its effect.
    pub effect: bool,
}

/// What was done, by all workers.
#[derive(Default)]
pub struct Journal(Mutex<Vec<Entry>>);

impl Journal {
    pub fn all(&self) -> Vec<Entry> {
        self.0.lock().expect("no panic").clone()
    }

    pub fn attempts(&self, id: &str) -> Vec<Entry> {
        self.all().into_iter().filter(|entry| entry.id == id && !entry.effect).collect()
    }

    pub fn effects(&self, id: &str) -> usize {
        self.all().iter().filter(|entry| entry.id == id && entry.effect).count()
    }
}

/// Does what the call says: steps with `;` between them, each a word and maybe a value.
struct Script {
    worker: &'static str,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    frozen: watch::Receiver<bool>,
}

impl Script {
    fn note(&self, run: &Run, effect: bool) {
        let (id, attempt) = (run.id.clone(), run.task.attempts);
        let entry = Entry { worker: self.worker, id, attempt, at: self.clock.now(), effect };
        self.journal.0.lock().expect("no panic").push(entry);
    }

    async fn thawed(&self) {
        // Its sender may be gone with the test.
        let _ = self.frozen.clone().wait_for(|frozen| !frozen).await;
    }

    async fn step(&self, run: &Run, step: &str) -> Option<Ran> {
        let (word, value) = step.trim().split_once(' ').unwrap_or((step.trim(), ""));
        let number = || value.parse::<u64>().expect("a number");
        match word {
            "sleep" => tokio::time::sleep(Duration::from_millis(number())).await,
            "hang" => std::future::pending().await,
            "panic" => panic!("as the script wants it"),
            // It is the server's task, and not called again.
            "effect" if run.next == Next::Follow => {}
            "effect" => {
                self.thawed().await;
                self.note(run, true);
            }
            "say" => run.tell.say(Some(value.to_owned())).await.ok()?,
            "ask" => match run.tell.ask(vec![(value.to_owned(), format!("{{\"ask\":\"{value}\"}}"))]).await {
                Ok(Ok(answers)) => assert_eq!(answers[0].0, value),
                Ok(Err(refusal)) => return Some(failed("refused", &refusal.to_string(), true, false, None)),
                Err(_) => return Some(Ran::Lost),
            },
            "follow" => run.tell.follow(value).await.ok()?,
            // Until this attempt it fails like this.
            "fail" => {
                let words: Vec<&str> = value.split(' ').collect();
                let until: u32 = words[0].parse().expect("a number");
                let may = words.contains(&"may_have_run");
                let after = words.iter().find_map(|word| word.strip_prefix("after="));
                let after = after.map(|ms| Duration::from_millis(ms.parse().expect("a number")));
                if run.task.attempts < until {
                    return Some(failed("timeout", "no answer", may, !words.contains(&"final"), after));
                }
            }
            "is_error" if u64::from(run.task.attempts) < number() => {
                let result = Bytes::from_static(br#"{"isError":true}"#);
                return Some(Ran::Result { result, transient: Some("is_error") });
            }
            "is_error" => {}
            "result" => {
                self.thawed().await;
                let result = Bytes::from(format!("{{\"by\":\"{}\",\"text\":\"{value}\"}}", self.worker));
                return Some(Ran::Result { result, transient: None });
            }
            "big" => {
                let filler = "x".repeat(usize::try_from(number()).expect("it fits"));
                let result = Bytes::from(format!("{{\"text\":\"{filler}\"}}"));
                return Some(Ran::Result { result, transient: None });
            }
            other => panic!("there is no step {other}"),
        }
        None
    }
}

fn failed(class: &'static str, text: &str, may: bool, transient: bool, after: Option<Duration>) -> Ran {
    let error = Bytes::from(format!("{{\"code\":-31002,\"message\":\"{text}\"}}"));
    Ran::Failed(Failed { class, error, may_have_run: may, transient, retry_after: after })
}

#[async_trait]
impl Runner for Script {
    async fn run(&self, run: Run) -> Ran {
        if run.next == Next::GiveUp {
            return failed("interrupted", "its worker is gone", true, false, None);
        }
        self.note(&run, false);
        let text = String::from_utf8(run.call.to_vec()).expect("a script");
        for step in text.split(';') {
            if let Some(ran) = self.step(&run, step).await {
                self.thawed().await;
                return ran;
            }
        }
        panic!("the script does not end: {text}")
    }
}

/// One worker.
pub struct Worker {
    pub tasks: Tasks,
    pub faults: Arc<Faults>,
    frozen: watch::Sender<bool>,
}

impl Worker {
    /// It stands still from now on, as after SIGSTOP.
    pub fn freeze(&self) {
        self.faults.silent(true);
        self.frozen.send_replace(true);
    }

    /// It goes on where it stood.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
        self.faults.silent(false);
    }
}

/// A store, and what was done by its workers.
pub struct World {
    pub store: Arc<Memory>,
    pub journal: Arc<Journal>,
    pub clock: Arc<dyn Clock>,
    seed: u64,
}

impl World {
    pub fn new() -> Self {
        Self::seeded(7)
    }

    pub fn seeded(seed: u64) -> Self {
        let clock = Arc::new(PausedClock(Instant::now()));
        Self::timed(seed, clock)
    }

    pub fn timed(seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self { store: Arc::new(Memory::new()), journal: Arc::default(), clock, seed }
    }

    pub fn worker(&self, name: &'static str) -> Worker {
        self.worker_with(name, Options { lease: LEASE, ..Options::default() })
    }

    pub fn worker_with(&self, name: &'static str, options: Options) -> Worker {
        let store = Faulty::new(Arc::clone(&self.store) as Arc<dyn Store>);
        self.hire(name, options, store, Arc::clone(&self.clock))
    }

    /// A worker with its own way to the store, and its own idea of the time.
    pub fn hire(&self, name: &'static str, options: Options, store: Faulty, clock: Arc<dyn Clock>) -> Worker {
        let faults = Arc::clone(store.faults());
        let store: Arc<dyn Store> = Arc::new(store);
        let frozen = watch::Sender::new(false);
        let journal = Arc::clone(&self.journal);
        let script = Script { worker: name, journal, clock: Arc::clone(&clock), frozen: frozen.subscribe() };
        let own =
            name.bytes().fold(self.seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let rng = Arc::new(SeededRng::new(own));
        let tasks = Tasks::start(store, clock, rng, Arc::new(script), name, options);
        Worker { tasks, faults, frozen }
    }

    pub fn after(&self, span: Duration) -> Timestamp {
        self.clock.now().plus(span)
    }
}

/// A task of this script.
pub fn new(script: &str) -> NewTask {
    NewTask {
        tenant: "tenant".to_owned(),
        holder: HOLDER.to_owned(),
        key: None,
        call: Bytes::copy_from_slice(script.as_bytes()),
        rules: TaskRules::default(),
        not_before: None,
        labels: BTreeMap::new(),
    }
}

/// The same, and it may run twice and be tried so often.
pub fn repeatable(script: &str, max_attempts: u32) -> NewTask {
    let rules = TaskRules { repeatable: true, max_attempts, ..TaskRules::default() };
    NewTask { rules, ..new(script) }
}

pub async fn made(worker: &Worker, task: NewTask) -> String {
    let Made { view, repeated } = worker.tasks.create(task).await.expect("made");
    assert!(!repeated);
    view.id
}

pub async fn get(worker: &Worker, id: &str) -> Result<View, TaskError> {
    worker.tasks.get(id, HOLDER).await
}

/// Waits for the end, up to a day.
pub async fn ended(worker: &Worker, id: &str) -> View {
    let view = worker.tasks.wait(id, HOLDER, |_| false, Duration::from_secs(86_400)).await.expect("a task");
    assert!(!view.task.state.is_open(), "{view:?}");
    view
}

/// Waits until it asks.
pub async fn asked(worker: &Worker, id: &str) -> View {
    let asks = |task: &model::task::Task| task.state == TaskState::Asking;
    worker.tasks.wait(id, HOLDER, asks, Duration::from_secs(60)).await.expect("a task")
}

pub fn text(view: &View) -> String {
    match &view.outcome {
        Some(Outcome::Result(bytes) | Outcome::Error(bytes)) => {
            String::from_utf8(bytes.to_vec()).expect("text")
        }
        None => String::new(),
    }
}
