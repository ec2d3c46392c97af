//! The audit log of the gateway while its processes are killed: in strict mode nobody ever holds an answer of
//! which there is no record; in relaxed mode what is lost is told.

mod check;
mod client;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Result;
use crate::random::Random;
use crate::replicas::{Plan, Replica};
use crate::upstream::Upstreams;
use check::{Answer, Entry};

/// How long it may take until what a killed process had begun is closed: a minute, and then some on a machine
/// that is busy.
const SETTLE: Duration = Duration::from_secs(120);
/// How often is looked whether it is.
const LOOK: Duration = Duration::from_secs(3);
/// How long clients may take to hear that it is over.
const END: Duration = Duration::from_secs(70);
/// What arguments have in them that a policy denies.
pub const MARK: &str = "-mayNot";
/// Whose log it is: clients here are nobody.
const TENANT: &str = "default";

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    Strict,
    Relaxed,
}

#[derive(Debug, Args)]
pub struct Options {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The store of all replicas.
    #[arg(long, env = "TIDEGATE_STORE_URL", hide_env_values = true)]
    store_url: String,
    /// The key ring of all replicas.
    #[arg(long)]
    keys: PathBuf,
    /// Where each replica listens.
    #[arg(long, value_delimiter = ',')]
    replicas: Vec<String>,
    /// For configurations, logs and the journal.
    #[arg(long)]
    folder: PathBuf,
    /// What a call waits for.
    #[arg(long, value_enum)]
    mode: Mode,
    /// How often a replica is killed, all replicas together.
    #[arg(long, default_value_t = 20)]
    kills: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients at a time.
    #[arg(long, default_value_t = 16)]
    clients: u64,
}

/// What clients were answered.
#[derive(Default)]
pub struct Journal {
    answers: Mutex<Vec<Answer>>,
    refusals: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    fn push(&self, answer: Answer) {
        lock(&self.answers).push(answer);
    }

    fn refused(&self, words: &str) {
        *lock(&self.refusals).entry(words.to_owned()).or_default() += 1;
    }

    /// An answer that must not be, whatever its record says.
    fn wrong(&self, what: String) {
        lock(&self.wrong).push(what);
    }
}

/// What all clients share.
pub struct World {
    places: Vec<String>,
    /// How often each replica was started.
    lives: Vec<AtomicU64>,
    journal: Journal,
    over: tokio::sync::watch::Sender<bool>,
}

impl World {
    fn goes_on(&self) -> bool {
        !*self.over.borrow()
    }
}

/// Runs, tells, and gives back whether all is well.
pub async fn run(options: &Options) -> Result<bool> {
    std::fs::create_dir_all(&options.folder).map_err(|e| format!("{}: {e}", options.folder.display()))?;
    let upstreams = Upstreams::start(&options.folder.join("ledger")).await?;
    let plan = plan(options, &upstreams)?;
    let mut replicas = Vec::new();
    for (number, address) in (1..).zip(&options.replicas) {
        replicas.push(Replica::start(number, address.clone(), plan.clone()).await?);
    }
    println!(
        "{:?}: seed {}, {} kills, {} replicas",
        options.mode,
        options.seed,
        options.kills,
        replicas.len()
    );
    let world = Arc::new(World {
        places: options.replicas.clone(),
        lives: options.replicas.iter().map(|_| AtomicU64::new(0)).collect(),
        journal: Journal::default(),
        over: tokio::sync::watch::Sender::new(false),
    });
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        clients.spawn(client::work(Arc::clone(&world), number, Random::new(options.seed, number)));
    }
    let replicas = kill(replicas, options, &world).await?;
    world.over.send_replace(true);
    if timeout(END, async { while clients.join_next().await.is_some() {} }).await.is_err() {
        world.journal.wrong(format!("a call has not ended within {END:?}"));
        clients.abort_all();
    }
    let killed = begun.elapsed().as_secs();
    settled(&plan, options).await?;
    println!("{killed} s of kills, closed {} s later", begun.elapsed().as_secs() - killed);
    for mut replica in replicas {
        replica.terminate().await?;
    }
    judge(&plan, options, &world.journal).await
}

/// Kills each replica at its own times, and starts it again, so often in all.
async fn kill(replicas: Vec<Replica>, options: &Options, world: &Arc<World>) -> Result<Vec<Replica>> {
    let count = replicas.len() as u64;
    let mut killers = JoinSet::new();
    for (number, mut replica) in (0..).zip(replicas) {
        let world = Arc::clone(world);
        let mut random = Random::new(options.seed, u64::MAX - number);
        let kills = options.kills / count + u64::from(number < options.kills % count);
        killers.spawn(async move {
            let life = &world.lives[usize::try_from(number).unwrap_or(0)];
            for _ in 0..kills {
                sleep(Duration::from_millis(random.between(200, 3_000))).await;
                replica.kill().await?;
                life.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(random.between(0, 300))).await;
                replica.resume().await?;
            }
            sleep(Duration::from_millis(random.between(200, 1_000))).await;
            Ok::<_, String>(replica)
        });
    }
    let mut left = Vec::new();
    while let Some(ended) = killers.join_next().await {
        left.push(ended.map_err(|e| e.to_string())??);
    }
    Ok(left)
}

/// Waits until those that live have closed what those that died had begun, and no longer than they may take.
async fn settled(plan: &Plan, options: &Options) -> Result<()> {
    let begun = Instant::now();
    loop {
        let log = read(plan).await?;
        let told = check::gaps(&log).0.len() as u64;
        let told = options.mode == Mode::Strict || told >= options.kills;
        if (check::untold(&log).is_empty() && told) || begun.elapsed() > SETTLE {
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

async fn read(plan: &Plan) -> Result<Vec<Entry>> {
    let file = plan.folder.join("log.jsonl");
    let to = file.display().to_string();
    plan.gateway(&["audit", "export", "--format", "jsonl", "--tenant", TENANT, "--to", &to]).await?;
    let text = std::fs::read_to_string(&file).map_err(|e| format!("{to}: {e}"))?;
    text.lines().map(Entry::read).collect()
}

/// Holds answers against the log, and has that verified by files and a key.
async fn judge(plan: &Plan, options: &Options, journal: &Journal) -> Result<bool> {
    let log = read(plan).await?;
    let answers = std::mem::take(&mut *lock(&journal.answers));
    let file = options.folder.join("journal.jsonl");
    std::fs::write(&file, lines(&answers)).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut report = check::check(&answers, &log, options.mode == Mode::Strict, options.kills);
    report.violations.append(&mut lock(&journal.wrong));
    match verify(plan).await {
        Ok(said) => println!("verify: {}", said.trim().replace('\n', "\n        ")),
        Err(fault) => report.violations.push(fault),
    }
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for answer in &answers {
        *outcomes.entry(answer.outcome).or_default() += 1;
    }
    println!("answers: {outcomes:?}");
    for (words, count) in &*lock(&journal.refusals) {
        println!("  {count} times {words}");
    }
    if outcomes.len() < 3 {
        report.violations.push("not every kind of answer came: nothing is shown".to_owned());
    }
    Ok(report.tell(options.seed))
}

fn lines(answers: &[Answer]) -> String {
    let line = |answer: &Answer| {
        let Answer { digest, outcome, life, about } = answer;
        json!({"digest": digest, "outcome": outcome, "life": life, "about": about}).to_string() + "\n"
    };
    answers.iter().map(line).collect()
}

/// What a verifier says who has files and a key, and nothing else.
async fn verify(plan: &Plan) -> Result<String> {
    let folder = plan.folder.join("tiles");
    let folder = folder.display().to_string();
    plan.gateway(&["audit", "export", "--format", "tiles", "--tenant", TENANT, "--to", &folder]).await?;
    let keys = plan.gateway(&["audit", "keys", "--output", "json"]).await?;
    let keys: Value = serde_json::from_str(&keys).map_err(|e| format!("audit keys: {e}"))?;
    let own = keys.as_array().into_iter().flatten().find(|key| key["tenant"] == TENANT);
    let key = own.and_then(|key| key["key"].as_str()).ok_or("audit keys: there is none")?;
    plan.offline(&["audit", "verify", &folder, "--key", key]).await
}

fn plan(options: &Options, upstreams: &Upstreams) -> Result<Plan> {
    let base = format!("http://{}", upstreams.address);
    let policies = options.folder.join("soak.cedar");
    let text = format!(
        "@id(\"no-model\")\n@reason(\"nobody asks the model\")\n\
         forbid(principal, action == Action::\"call_tool\", resource)\n\
         when {{ resource == Tool::\"modern/model\" || resource == Tool::\"legacy/model\" }};\n\n\
         @id(\"no-mark\")\n@reason(\"not with these arguments\")\n\
         forbid(principal, action == Action::\"call_tool\", resource)\n\
         when {{ context.arguments has nonce && context.arguments.nonce like \"*{MARK}\" }};\n"
    );
    std::fs::write(&policies, text).map_err(|e| format!("{}: {e}", policies.display()))?;
    let mode = match options.mode {
        Mode::Strict => "mode: strict",
        // Small, so that the bound which a gap tells is one.
        Mode::Relaxed => "mode: relaxed, queue_max: 512",
    };
    let text = format!(
        "audit: {{{mode}}}\n\
         policy: {{presets: [everyone], files: [soak.cedar], arguments: {{nonce: string}}}}\n\
         upstreams:\n  modern: {{url: \"{base}/modern/mcp\"}}\n  legacy: {{url: \"{base}/legacy/mcp\"}}\n"
    );
    Ok(Plan {
        gateway: options.gateway.clone(),
        store_url: options.store_url.clone(),
        keys: options.keys.clone(),
        folder: options.folder.clone(),
        upstreams: text,
        alone: options.replicas.len() == 1,
        database_restarts: false,
    })
}
