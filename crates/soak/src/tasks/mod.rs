//! Tasks of the gateway while its replicas are killed: none that was acknowledged is lost, none that has
//! ended changes, and what may happen once alone happens at most once.

mod api;
mod client;
mod record;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::database::Database;
use crate::random::Random;
use crate::replicas::{Plan, Replica};
use crate::upstream::Upstreams;
use crate::{Result, ledger};
use record::Records;

/// How long it may take until every task has ended, once nobody is killed any more.
const SETTLE: Duration = Duration::from_secs(60);
/// Clients that make the tasks which wait.
const WAITERS: u64 = 50;
/// After so long of silence another replica takes a replica's tasks over: soon, where replicas are killed,
/// and not before one whose database was away has come back.
const LEASES: [&str; 2] = ["1s", "5s"];

#[derive(Debug, Args)]
pub struct Options {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The store of all replicas; none where there is a control.
    #[arg(long, env = "TIDEGATE_STORE_URL", hide_env_values = true, default_value = "")]
    store_url: String,
    /// Where a database is to be had that is stopped and started again: host and port.
    #[arg(long)]
    database: Option<String>,
    /// How long that goes on, once no replica is killed any more.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Tasks that are made at the beginning, which wait until the end.
    #[arg(long, default_value_t = 0)]
    waiting: u64,
    /// The key ring of all replicas.
    #[arg(long)]
    keys: PathBuf,
    /// Where each replica listens.
    #[arg(long, value_delimiter = ',')]
    replicas: Vec<String>,
    /// For configurations, logs and the ledger.
    #[arg(long)]
    folder: PathBuf,
    /// How often a replica is killed, all replicas together.
    #[arg(long, default_value_t = 60)]
    cycles: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients at a time.
    #[arg(long, default_value_t = 32)]
    clients: u64,
}

/// What all clients share.
struct World {
    places: Vec<String>,
    records: Records,
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
    let file = options.folder.join("ledger");
    let _ = std::fs::remove_file(&file);
    let upstreams = Upstreams::start(&file).await?;
    let database = match &options.database {
        Some(control) => Some(Database::start(control).await?),
        None => None,
    };
    let store_url = database.as_ref().map_or(&options.store_url, |database| &database.url).clone();
    let plan = plan(options, store_url, &upstreams, &file)?;
    let mut replicas = Vec::new();
    for (number, address) in (1..).zip(&options.replicas) {
        replicas.push(Replica::start(number, address.clone(), plan.clone()).await?);
    }
    println!("seed {}, {} kills, {} replicas", options.seed, options.cycles, replicas.len());
    let world = Arc::new(World {
        places: options.replicas.clone(),
        records: Records::default(),
        over: tokio::sync::watch::Sender::new(false),
    });
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for number in 0..options.clients {
        clients.spawn(client::work(Arc::clone(&world), number, Random::new(options.seed, number)));
    }
    let mut waiting = JoinSet::new();
    for number in 0..WAITERS.min(options.waiting) {
        let count = options.waiting / WAITERS + u64::from(number < options.waiting % WAITERS);
        let random = Random::new(options.seed, 1_000 + number);
        waiting.spawn(client::wait(Arc::clone(&world), number, count, options.seconds, random));
    }
    let restarted = restart(database, options, Arc::clone(&world));
    let (replicas, _database) = tokio::try_join!(kill(replicas, options), restarted)?;
    world.over.send_replace(true);
    let settled = timeout(SETTLE, async {
        while waiting.join_next().await.is_some() {}
        while clients.join_next().await.is_some() {}
    });
    let settled = settled.await;
    println!("{} s", begun.elapsed().as_secs());
    if settled.is_err() {
        clients.abort_all();
        let open = world.records.open();
        world.records.violation(format!("{} tasks have not ended within {SETTLE:?}", open.len()));
        client::show(&world, &open).await;
    }
    client::look_again(&world).await;
    world.records.compare(&ledger::read(&file).unwrap_or_default());
    match plan.check_store().await {
        Ok(said) => println!("store: {}", said.trim().replace('\n', "\n       ")),
        Err(fault) => world.records.violation(fault),
    }
    drop(replicas);
    Ok(world.records.tell(options.seed))
}

/// Kills each replica at its own times, and starts it again, so often in all.
async fn kill(replicas: Vec<Replica>, options: &Options) -> Result<Vec<Replica>> {
    let count = replicas.len() as u64;
    let mut killers = JoinSet::new();
    for (number, mut replica) in (0..).zip(replicas) {
        let mut random = Random::new(options.seed, u64::MAX - number);
        let cycles = options.cycles / count + u64::from(number < options.cycles % count);
        killers.spawn(async move {
            for _ in 0..cycles {
                sleep(Duration::from_millis(random.between(300, 4_000))).await;
                replica.kill().await?;
                sleep(Duration::from_millis(random.between(0, 500))).await;
                replica.resume().await?;
            }
            Ok::<_, String>(replica)
        });
    }
    let mut left = Vec::new();
    while let Some(ended) = killers.join_next().await {
        left.push(ended.map_err(|e| e.to_string())??);
    }
    Ok(left)
}

/// Restarts the database every 5 to 40 seconds, and gives it back as it runs.
async fn restart(
    database: Option<Database>,
    options: &Options,
    world: Arc<World>,
) -> Result<Option<Database>> {
    let end = Instant::now() + Duration::from_secs(options.seconds);
    let mut random = Random::new(options.seed, u64::MAX / 2);
    let Some(mut database) = database else {
        tokio::time::sleep_until(end).await;
        return Ok(None);
    };
    let mut count = 0;
    loop {
        let next = Instant::now() + Duration::from_millis(random.between(5_000, 40_000));
        if next > end {
            tokio::time::sleep_until(end).await;
            println!("the database was restarted {count} times");
            return Ok(Some(database));
        }
        tokio::time::sleep_until(next).await;
        count += 1;
        println!("  the database is restarted; {} tasks are open", world.records.open().len());
        database.restart(&mut random).await?;
    }
}

fn plan(
    options: &Options,
    store_url: String,
    upstreams: &Upstreams,
    ledger: &std::path::Path,
) -> Result<Plan> {
    let own = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    let base = format!("http://{}", upstreams.address);
    let command = json!([own, "stdio", "--ledger", ledger]);
    // What may run twice is said by the operator, and what fails on the way is tried again.
    let safe = "idempotent: [echo, slow, ask_safe], \
                retries: [{max_attempts: 20, backoff: 100ms, backoff_max: 1s}]";
    let lease = LEASES[usize::from(options.database.is_some())];
    let text = format!(
        "tasks:\n  lease: {lease}\n  running_max: 4096\n  poll_interval: 100ms\n  poll_interval_max: 1s\n  \
         host: [{{when: always}}]\nupstreams:\n  modern: {{url: \"{base}/modern/mcp\", {safe}}}\n  \
         legacy: {{url: \"{base}/legacy/mcp\", {safe}}}\n  stdio: {{command: {command}, {safe}}}\n"
    );
    Ok(Plan {
        gateway: options.gateway.clone(),
        store_url,
        keys: options.keys.clone(),
        folder: options.folder.clone(),
        upstreams: text,
        database_restarts: options.database.is_some(),
        alone: options.replicas.len() == 1,
    })
}
