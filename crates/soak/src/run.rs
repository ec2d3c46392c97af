//! The run: clients at work, replicas in trouble, and the count at the end.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Ask, Client, End, Revision, Watch};
use crate::database::Database;
use crate::random::Random;
use crate::replicas::{Plan, Replica};
use crate::trouble::{self, ECHO, Kind, Troubles};
use crate::upstream::{RESOURCE, Upstreams};
use crate::verdict::Verdict;
use crate::{Result, client, ledger};

/// The names of the upstreams, as the gateway puts them before those of tools.
const UPSTREAMS: [&str; 3] = ["modern", "legacy", "stdio"];
/// How long a stream of changes may be silent where nothing is wrong; the resource changes every second.
const SILENCE: Duration = Duration::from_secs(15);
/// What a replica may grow by from when it was warm.
const GROWTH_MAX_KIB: u64 = 40 * 1024;
/// When it is warm.
const WARM: Duration = Duration::from_secs(25);
/// The code of errors that say that nothing ran and that the call may be made again.
const LIMIT: i64 = -31006;
/// What an error says where nothing was done because the store is away.
const TRY_AGAIN: &str = "try again";
/// Longer than any number of restarts takes.
const FAR: Duration = Duration::from_secs(24 * 3_600);
/// How long clients go on after the last restart.
const AFTER: Duration = Duration::from_secs(5);
/// How long it may take until nothing is open any more.
const SETTLE: Duration = Duration::from_secs(90);

#[derive(Debug, Args)]
pub struct Options {
    /// The gateway's program.
    #[arg(long)]
    gateway: PathBuf,
    /// The store of all replicas; none where there is a control.
    #[arg(long, env = "TIDEGATE_STORE_URL", hide_env_values = true, default_value = "")]
    store_url: String,
    /// Where a database is to be had that is stopped and started again, too: host and port.
    #[arg(long)]
    database: Option<String>,
    /// The key ring of all replicas.
    #[arg(long)]
    keys: PathBuf,
    /// Where each replica listens.
    #[arg(long, value_delimiter = ',')]
    replicas: Vec<String>,
    /// Host and port of the balancer before them.
    #[arg(long)]
    balancer: String,
    /// For configurations, logs and the ledger.
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients of each revision.
    #[arg(long, default_value_t = 4)]
    clients: u64,
    /// How long a replica that stands still is taken for a living one.
    #[arg(long, default_value_t = 12)]
    lease_seconds: u64,
    /// Leave the replicas alone.
    #[arg(long)]
    calm: bool,
    /// Restart all replicas in order, one after the other, so many times over and do nothing else to them: no
    /// call may fail then. The run is as long as that takes.
    #[arg(long, value_name = "ROUNDS", default_value_t = 0)]
    rolling: u64,
    /// Write what was counted to this file, for programs.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What all clients share.
#[derive(Clone)]
struct World {
    balancer: Arc<str>,
    verdict: Verdict,
    troubles: Troubles,
    end: Arc<Mutex<Instant>>,
    /// Whether replicas are only restarted in order, so that no call may fail.
    orderly: bool,
    nonces: Arc<AtomicU64>,
}

impl World {
    fn goes_on(&self) -> bool {
        Instant::now() < self.end()
    }

    fn end(&self) -> Instant {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call may have ended like this. An orderly end lets calls finish, and takes along what only
    /// one process knows: the client introduces itself again, or its stream ends, and nothing ran.
    fn excuse(&self, end: &End, from: Instant) -> bool {
        let clear = matches!(end, End::Error { message, .. } if message.contains(TRY_AGAIN));
        let within = self.troubles.excuse(from, Instant::now(), clear);
        let over = match end {
            End::Status(404) => true,
            End::Error { code, message } => *code == LIMIT && message.contains("nothing ran"),
            _ => false,
        };
        within && (!self.orderly || over)
    }
}

/// Runs, tells, and gives back whether all is well.
pub async fn run(options: &Options) -> Result<bool> {
    std::fs::create_dir_all(&options.folder).map_err(|e| format!("{}: {e}", options.folder.display()))?;
    let ledger_file = options.folder.join("ledger");
    let _ = std::fs::remove_file(&ledger_file);
    let upstreams = Upstreams::start(&ledger_file).await?;
    let mut database = match &options.database {
        Some(control) => Some(Database::start(control).await?),
        None => None,
    };
    let store_url = database.as_ref().map_or(&options.store_url, |database| &database.url).clone();
    let plan = plan(options, store_url, &upstreams, &ledger_file)?;
    let mut replicas = Vec::new();
    for (number, address) in (1..).zip(&options.replicas) {
        replicas.push(Replica::start(number, address.clone(), plan.clone()).await?);
    }
    let world = World {
        balancer: options.balancer.as_str().into(),
        verdict: Verdict::default(),
        troubles: Troubles::default(),
        end: Arc::new(Mutex::new(Instant::now() + Duration::from_secs_f64(options.minutes * 60.0))),
        orderly: options.rolling > 0,
        nonces: Arc::default(),
    };
    println!("seed {}, {} minutes, {} replicas", options.seed, options.minutes, replicas.len());
    let mut tasks = clients(options, &world);
    sleep(WARM.min(world.end() - Instant::now())).await;
    let mut warm = 0;
    for replica in &replicas {
        warm = warm.max(replica.resident_kib()?);
    }
    if options.rolling > 0 {
        *world.end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + FAR;
        trouble::roll(&mut replicas, &world.troubles, options.rolling).await?;
        *world.end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + AFTER;
    } else {
        let lease = Duration::from_secs(options.lease_seconds);
        let mut random = Random::new(options.seed, u64::MAX);
        let made = async {
            if options.calm {
                return Ok(());
            }
            trouble::make(&mut replicas, &world.troubles, &mut random, lease, world.end()).await
        };
        let mut other = Random::new(options.seed, u64::MAX - 1);
        let restarted = trouble::restart(database.as_mut(), &world.troubles, &mut other, world.end());
        tokio::try_join!(made, restarted)?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|e| format!("a client: {e}"))?;
    }
    count(&mut replicas, &upstreams, &world, warm).await?;
    if let Some(file) = &options.report {
        report(file, &replicas, &world).await?;
    }
    match plan.check_store().await {
        Ok(said) => println!("\nstore: {}", said.trim().replace('\n', "\n       ")),
        Err(fault) => world.verdict.violation(fault),
    }
    world.verdict.compare(&ledger::read(&ledger_file).unwrap_or_default());
    world.verdict.print();
    Ok(tell(&world, options.seed))
}

fn plan(options: &Options, store_url: String, upstreams: &Upstreams, ledger: &Path) -> Result<Plan> {
    let own = std::env::current_exe().map_err(|e| format!("this program: {e}"))?;
    let base = format!("http://{}", upstreams.address);
    let command = json!([own, "stdio", "--ledger", ledger]);
    let text = format!(
        "limits: {{park_time_max: 40s}}\nsessions: {{resume_timeout: 15s}}\n\
         upstreams:\n  modern: {{url: \"{base}/modern/mcp\"}}\n  legacy: {{url: \"{base}/legacy/mcp\"}}\n  \
         stdio: {{command: {command}}}\n"
    );
    Ok(Plan {
        gateway: options.gateway.clone(),
        store_url,
        keys: options.keys.clone(),
        folder: options.folder.clone(),
        upstreams: text,
        alone: false,
        database_restarts: options.database.is_some(),
    })
}

fn clients(options: &Options, world: &World) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for revision in Revision::ALL {
        for number in 0..options.clients {
            let random = Random::new(options.seed, (revision as u64) << 32 | number);
            tasks.spawn(work(world.clone(), revision, random));
        }
        // The oldest revision has no stream of its own for changes: it has one for everything.
        if revision != Revision::V2024_11_05 {
            for endpoint in ["/modern/mcp", "/legacy/mcp"] {
                tasks.spawn(watch(world.clone(), revision, endpoint));
            }
        }
    }
    tasks
}

/// A client that calls one tool after another.
async fn work(world: World, revision: Revision, mut random: Random) {
    let mut client = None;
    while world.goes_on() {
        let Some(open) = client.as_mut() else {
            client = open_client(&world, "/mcp", revision).await;
            continue;
        };
        if !call(&world, open, revision, &mut random).await {
            world.verdict.reopened();
            client = None;
        }
        sleep(Duration::from_millis(random.between(20, 300))).await;
    }
    if let Some(client) = client {
        client.close().await;
    }
}

/// A client, or the record of why there is none.
async fn open_client(world: &World, endpoint: &str, revision: Revision) -> Option<Client> {
    let begun = Instant::now();
    match Client::open(&world.balancer, endpoint, revision).await {
        Ok(client) => Some(client),
        Err(end) => {
            let excused = world.excuse(&end, begun);
            world.verdict.call(revision, "open", &end, "", excused);
            sleep(Duration::from_millis(200)).await;
            None
        }
    }
}

/// Makes a call. Gives back whether the client is still of use.
async fn call(world: &World, client: &mut Client, revision: Revision, random: &mut Random) -> bool {
    let mut kinds = vec![(4, "echo"), (5, "pay"), (3, "model"), (2, "slow")];
    if revision.elicits() {
        kinds.extend([(4, "ask"), (2, "ask_safe")]);
    }
    if revision == Revision::V2025_11_25 {
        kinds.push((3, "resume"));
    }
    let what = random.weighed(&kinds).unwrap_or("echo");
    let upstream = random.weighed(&UPSTREAMS.map(|name| (1, name))).unwrap_or("modern");
    let nonce = format!("n{}-{upstream}-{what}", world.nonces.fetch_add(1, Ordering::Relaxed));
    let (ms, steps) = match what {
        "pay" => (random.between(0, 400), 1),
        "slow" | "resume" => (random.between(300, 3_000), 5),
        _ => (0, 1),
    };
    let tool = if what == "resume" { "slow" } else { what };
    let mut params = json!({
        "name": format!("{upstream}_{tool}"),
        "arguments": {"nonce": nonce, "ms": ms, "steps": steps},
    });
    if tool == "slow" {
        params["_meta"] = json!({"progressToken": nonce});
    }
    let think = Duration::from_millis(random.between(0, 1_500));
    let mut ask = Ask { nonce: nonce.clone(), strange: Vec::new(), think };
    let begun = Instant::now();
    let end = client.request("tools/call", params, &mut ask, what == "resume").await;
    let excused = world.excuse(&end, begun);
    for strange in ask.strange {
        world.verdict.violation(format!("{} {nonce} was asked {strange}", revision.as_str()));
    }
    let asks = matches!(what, "ask" | "ask_safe" | "model");
    let expected = if asks { format!("{nonce}|w-{nonce}") } else { nonce.clone() };
    if matches!(what, "pay" | "ask" | "model") {
        let answered = matches!(&end, End::Result(result) if result["isError"] != true);
        world.verdict.paid(&nonce, answered);
    }
    world.verdict.call(revision, what, &end, &expected, excused);
    match end {
        End::Result(_) | End::Error { .. } => true,
        // A pair is its stream, and a session that is unknown is over.
        End::Status(404) | End::Cut(_) | End::Late => matches!(client, Client::Modern(_)),
        End::Status(_) => true,
    }
}

/// A client that only listens, and must never be left without news for long.
async fn watch(world: World, revision: Revision, endpoint: &str) {
    let mut heard = Instant::now();
    while world.goes_on() {
        let Some(mut client) = open_client(&world, endpoint, revision).await else { continue };
        match client.watch(RESOURCE).await {
            Ok(mut stream) => listen(&world, revision, endpoint, &mut stream, &mut heard).await,
            Err(end) => {
                let excused = world.excuse(&end, heard);
                world.verdict.call(revision, "watch", &end, "", excused);
            }
        }
        client.close().await;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Hears until the stream ends or is silent for too long.
async fn listen(world: &World, revision: Revision, endpoint: &str, stream: &mut Watch, heard: &mut Instant) {
    while world.goes_on() {
        let excused = || world.troubles.excuse(*heard, Instant::now(), false);
        match timeout(SILENCE, stream.next()).await {
            Ok(true) => {
                world.verdict.heard();
                *heard = Instant::now();
            }
            Ok(false) => {
                if !excused() {
                    let what = format!("{} at {endpoint}: a stream ended without a cause", revision.as_str());
                    world.verdict.violation(what);
                }
                return world.verdict.reopened();
            }
            Err(_) => {
                if !excused() {
                    let what = format!("{} at {endpoint}: no news for {SILENCE:?}", revision.as_str());
                    world.verdict.violation(what);
                }
                return world.verdict.reopened();
            }
        }
    }
}

/// What programs want to know.
async fn report(file: &Path, replicas: &[Replica], world: &World) -> Result<()> {
    let mut forwarded = 0.0;
    for replica in replicas {
        forwarded += replica.metric("tidegate_forwarded_requests_total").await?;
    }
    let requests = client::requests();
    let told = json!({"requests": requests, "forwarded": forwarded, "answered": world.verdict.answered()});
    std::fs::write(file, format!("{told}\n")).map_err(|e| format!("{}: {e}", file.display()))
}

/// What is left when all clients are gone: nothing.
async fn count(replicas: &mut [Replica], upstreams: &Upstreams, world: &World, warm: u64) -> Result<()> {
    let kept = ["tidegate_streams", "tidegate_upstream_parked", "tidegate_upstream_in_flight"];
    let begun = Instant::now();
    let left = loop {
        let mut left = Vec::new();
        for replica in &*replicas {
            for name in kept {
                let value = replica.metric(name).await?;
                if value > 0.0 {
                    left.push(format!("{}: {name} is {value}", replica.name));
                }
            }
        }
        if upstreams.running() > 0 {
            left.push(format!("{} calls still run upstream", upstreams.running()));
        }
        if left.is_empty() || begun.elapsed() > SETTLE {
            break left;
        }
        sleep(Duration::from_millis(500)).await;
    };
    left.into_iter().for_each(|what| world.verdict.violation(format!("left over: {what}")));
    println!(
        "\n{:<12} {:>12} {:>12} {:>12} {:>12}",
        "replica", "RSS warm", "RSS at end", "sessions", "forwarded"
    );
    for replica in replicas {
        if let Some(status) = replica.ended()? {
            world.verdict.violation(format!("{} has ended by itself ({status})", replica.name));
            continue;
        }
        let resident = replica.resident_kib()?;
        let sessions = replica.metric("tidegate_sessions").await?;
        let forwarded = replica.metric("tidegate_forwarded_requests_total").await?;
        println!("{:<12} {:>8} KiB {:>8} KiB {sessions:>12} {forwarded:>12}", replica.name, warm, resident);
        if resident > warm + GROWTH_MAX_KIB {
            world.verdict.violation(format!("{} grew from {warm} to {resident} KiB", replica.name));
        }
    }
    Ok(())
}

fn tell(world: &World, seed: u64) -> bool {
    let happened = |kinds: &[Kind]| {
        let counts = kinds.iter().map(|kind| format!("{kind} {}", world.troubles.count(*kind)));
        counts.collect::<Vec<_>>().join(", ")
    };
    println!("\nreplicas were: {}", happened(&[Kind::Killed, Kind::Frozen, Kind::Restarted]));
    println!("the database was: {}", happened(&[Kind::Database, Kind::DatabaseFrozen]));
    let (violations, answered) = (world.verdict.violations(), world.verdict.answered());
    if answered == 0 {
        println!("nothing was answered at all; seed {seed}");
        return false;
    }
    println!("{answered} calls answered, {violations} violations, seed {seed} (echo {} s)", ECHO.as_secs());
    violations == 0
}
