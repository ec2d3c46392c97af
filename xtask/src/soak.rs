//! The soak: three replicas behind nginx, killed and stopped at random, under clients of every revision.
//!
//! What it does and what it wants to see is in `crates/soak`; here is the ground that it stands on.

use crate::cluster::balancer::{Balancer, Options as Balance};
use crate::cluster::{Ground, STORE_URL, make_keys};
use crate::postgres::{self, Control, Found, free_ports};
use crate::run::{Counts, Outcome, Running, bound};
use crate::workspace::Workspace;
use crate::{Result, build, cluster};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where configurations, logs and the ledger go.
const FOLDER: &str = "out/soak";
/// Where those of a run go that is a part of the benchmark.
const FOLDER_OF_BENCH: &str = "out/bench/mix";
/// Where those of the audit log go, each kind of run in a folder of its own.
const FOLDER_OF_AUDIT: &str = "out/soak-audit";
/// Where those of tasks go.
const FOLDER_OF_TASKS: &str = "out/soak-tasks";
/// Where those of limits go.
const FOLDER_OF_LIMITS: &str = "out/soak-limits";
/// How many replicas there are, unless the command line says so.
const REPLICAS: usize = 3;
/// As many as fit on one machine.
const REPLICAS_MAX: u64 = 9;
/// How long a replica that stands still may keep a client waiting until the balancer gives up on it.
const SILENCE: Duration = Duration::from_secs(20);

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    minutes: f64,
    seed: Option<u64>,
    /// Clients of each revision.
    clients: Option<u64>,
    gateway: Option<PathBuf>,
    /// Leave the replicas alone.
    calm: bool,
    /// Restart all replicas in order so many times over, and nothing else: no call may fail.
    rolling: Option<u64>,
    replicas: Option<usize>,
    /// Kill replicas that have tasks, so often, and nothing else.
    tasks: Option<u64>,
    /// Kill replicas that write the audit log, so often in each of its modes, and nothing else.
    audit: Option<u64>,
    /// Ask replicas for more than a rate lets through, for so many seconds, and nothing else.
    limits: Option<u64>,
    /// With tasks, the audit log or limits: the store.
    store: Option<StoreKind>,
    /// Restart the database every 5 to 40 seconds, too.
    restart_database: bool,
    /// With tasks: how many are made at the beginning and wait to the end.
    waiting: Option<u64>,
    /// Where to write what was counted, for programs.
    report: Option<PathBuf>,
}

/// What replicas keep their tasks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// One replica has it.
    Sqlite,
    Postgres,
}

impl Options {
    /// A run that leaves its replicas alone, for what it counts.
    pub fn calm(replicas: usize, minutes: &str, report: &Path) -> Result<Self> {
        let mut options = Self::parse(&["--minutes".to_owned(), minutes.to_owned()])?;
        (options.calm, options.replicas, options.seed) = (true, Some(replicas), Some(1));
        options.report = Some(report.to_owned());
        Ok(options)
    }

    /// Reads the arguments.
    pub fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { minutes: 5.0, ..Self::default() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--minutes" => {
                    let text = value()?;
                    let minutes = text.parse().ok().filter(|minutes| (0.5..=100_000.0).contains(minutes));
                    options.minutes = minutes.ok_or_else(|| format!("--minutes {text}: 0.5 or more"))?;
                }
                "--seed" => options.seed = Some(number(arg, &value()?)?),
                "--clients" => options.clients = Some(number(arg, &value()?)?),
                "--gateway" => options.gateway = Some(PathBuf::from(value()?)),
                "--replicas" => {
                    let count = number(arg, &value()?)?;
                    let count = Some(count).filter(|count| (1..=REPLICAS_MAX).contains(count));
                    let count = count.and_then(|count| usize::try_from(count).ok());
                    options.replicas = Some(count.ok_or_else(|| format!("{arg}: 1 to {REPLICAS_MAX}"))?);
                }
                "--calm" => options.calm = true,
                "--restart-database" => options.restart_database = true,
                "--waiting" => options.waiting = Some(number(arg, &value()?)?),
                "--tasks" => options.tasks = Some(number(arg, &value()?)?),
                "--audit" => options.audit = Some(number(arg, &value()?)?),
                "--limits" => {
                    let seconds = Some(number(arg, &value()?)?).filter(|seconds| *seconds > 0);
                    options.limits = Some(seconds.ok_or_else(|| format!("{arg}: 1 or more"))?);
                }
                "--store" => {
                    options.store = Some(match value()?.as_str() {
                        "sqlite" => StoreKind::Sqlite,
                        "postgres" => StoreKind::Postgres,
                        other => return Err(format!("--store {other}: sqlite or postgres")),
                    });
                }
                "--rolling" => options.rolling = Some(number(arg, &value()?)?),
                other => return Err(format!("unexpected argument {other}")),
            }
        }
        Ok(options)
    }
}

fn number(arg: &str, text: &str) -> Result<u64> {
    text.parse().map_err(|_| format!("{arg} {text}: a whole number"))
}

/// Runs it. Fails with the seed where something was not as it must be.
pub fn run(workspace: &Workspace, options: &Options) -> Result {
    let [gateway, soak] = build::programs(workspace, ["tidegate", "tidegate-soak"])?;
    let gateway = match &options.gateway {
        Some(path) => std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?,
        None => gateway,
    };
    if let Some(kills) = options.audit {
        let stores = options.store.map_or(vec![StoreKind::Sqlite, StoreKind::Postgres], |store| vec![store]);
        let seed = options.seed.unwrap_or_else(any_seed);
        let counts = kill_with_audit(workspace, &stores, (kills, seed), [&gateway, &soak])?;
        return if counts.failed == 0 { Ok(()) } else { Err(format!("the audit log failed: seed {seed}")) };
    }
    if let Some(seconds) = options.limits {
        return flood(workspace, options, seconds, [&gateway, &soak]);
    }
    let Some(cycles) = options.tasks else { return run_with(workspace, options, &gateway, &soak) };
    let stores = match options.store {
        Some(store) => vec![store],
        None if options.restart_database => vec![StoreKind::Postgres],
        None => vec![StoreKind::Sqlite, StoreKind::Postgres],
    };
    let seed = options.seed.unwrap_or_else(any_seed);
    let mut more = vec!["--cycles".to_owned(), cycles.to_string(), "--seed".to_owned(), seed.to_string()];
    if let Some(waiting) = options.waiting {
        more.extend(["--waiting".to_owned(), waiting.to_string()]);
    }
    let control = if options.restart_database { Some(control(workspace)?) } else { None };
    if let Some(control) = &control {
        let seconds = Duration::from_secs_f64(options.minutes * 60.0).as_secs();
        more.extend(["--database".to_owned(), control.address()]);
        more.extend(["--seconds".to_owned(), seconds.to_string()]);
    }
    stores.into_iter().try_for_each(|store| kill_with_tasks(workspace, store, &more, [&gateway, &soak]))
}

/// Databases to be had one for each run, which can be stopped.
fn control(workspace: &Workspace) -> Result<Control> {
    match postgres::find(workspace)? {
        Found::Programs(programs) => Control::listen(&programs, workspace),
        Found::Nothing(why) => Err(why),
    }
}

/// How often replicas are killed in a check, with each store.
const CYCLES: u64 = 30;
/// How often those that write the audit log are, in each mode.
const AUDIT_KILLS: u64 = 6;

/// Kills replicas that have tasks, and such that write the audit log, with each store that this machine has.
pub fn kill_all(workspace: &Workspace) -> Result<Outcome> {
    let [gateway, soak] = build::programs(workspace, ["tidegate", "tidegate-soak"])?;
    let mut counts = Counts::default();
    let missing = cluster::missing_database(workspace)?;
    let seed = any_seed();
    let arguments = ["--cycles", &CYCLES.to_string(), "--seed", &seed.to_string()].map(str::to_owned);
    for store in [StoreKind::Sqlite, StoreKind::Postgres] {
        match &missing {
            Some(why) if store == StoreKind::Postgres => {
                println!("skipped with PostgreSQL: {why}");
                counts.skipped += 1;
            }
            _ => match kill_with_tasks(workspace, store, &arguments, [&gateway, &soak]) {
                Ok(()) => counts.passed += 1,
                Err(error) => {
                    println!("{error}");
                    counts.failed += 1;
                }
            },
        }
    }
    let stores = [StoreKind::Sqlite, StoreKind::Postgres];
    counts.add(kill_with_audit(workspace, &stores, (AUDIT_KILLS, seed), [&gateway, &soak])?);
    Ok(Outcome::Ran(counts))
}

/// Kills replicas that write the audit log, in both modes, with each of these stores that this machine has,
/// all at the same time: most of it is waiting until others close what the dead had begun.
fn kill_with_audit(
    workspace: &Workspace,
    stores: &[StoreKind],
    (kills, seed): (u64, u64),
    [gateway, soak]: [&Path; 2],
) -> Result<Counts> {
    let missing = cluster::missing_database(workspace)?;
    let (mut counts, mut started) = (Counts::default(), Vec::new());
    for store in stores {
        if let Some(why) = missing.as_ref().filter(|_| *store == StoreKind::Postgres) {
            println!("skipped the audit log with PostgreSQL: {why}");
            counts.skipped += 1;
            continue;
        }
        for mode in ["strict", "relaxed"] {
            started.push(AuditRun::start(workspace, *store, mode, (kills, seed), [gateway, soak])?);
        }
    }
    for mut run in started {
        let status = run.running.finish(AUDIT_END)?;
        println!("{}", run.running.whole_output()?.trim_end());
        if status.success() {
            counts.passed += 1;
        } else {
            println!("the audit log failed: cargo xtask soak --audit {kills} --seed {seed}; {}", run.place);
            counts.failed += 1;
        }
    }
    Ok(counts)
}

/// Asks replicas for more than a rate lets through. Fails where together they let through more, or less.
fn flood(workspace: &Workspace, options: &Options, seconds: u64, [gateway, soak]: [&Path; 2]) -> Result {
    let folder = workspace.root.join(FOLDER_OF_LIMITS);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let ground = match options.store {
        Some(StoreKind::Sqlite) => None,
        Some(StoreKind::Postgres) | None => Some(Ground::start(workspace, gateway, &folder, "soak-limits")?),
    };
    let (url, keys) = match &ground {
        Some(ground) => (ground.store_url(), ground.keys()),
        None => (format!("sqlite:{}", folder.join("store.db").display()), make_keys(gateway, &folder)?),
    };
    let addresses = free_ports(options.replicas.unwrap_or(REPLICAS))?;
    let addresses: Vec<_> = addresses.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut command = bound(soak);
    command.arg("limits").arg("--gateway").arg(gateway).arg("--keys").arg(keys);
    command.arg("--replicas").arg(addresses.join(",")).env(STORE_URL, url).arg("--folder").arg(&folder);
    command.arg("--seconds").arg(seconds.to_string());
    let status = command.status().map_err(|e| format!("tidegate-soak does not start: {e}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "the limit was not kept: cargo xtask soak --limits {seconds}; logs are in {FOLDER_OF_LIMITS}"
    ))
}

/// How long that may take.
const AUDIT_END: Duration = Duration::from_secs(3_600);

/// One mode with one store, under way.
struct AuditRun {
    running: Running,
    place: String,
    _ground: Option<Ground>,
}

impl AuditRun {
    fn start(
        workspace: &Workspace,
        store: StoreKind,
        mode: &str,
        (kills, seed): (u64, u64),
        [gateway, soak]: [&Path; 2],
    ) -> Result<Self> {
        let (word, count) = match store {
            StoreKind::Sqlite => ("sqlite", 1),
            StoreKind::Postgres => ("postgres", REPLICAS),
        };
        let name = format!("{mode}-{word}");
        let place = format!("{FOLDER_OF_AUDIT}/{name}");
        let folder = workspace.root.join(&place);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let ground = match store {
            StoreKind::Sqlite => None,
            StoreKind::Postgres => {
                Some(Ground::start(workspace, gateway, &folder, &format!("soak-audit-{mode}"))?)
            }
        };
        let (url, keys) = match &ground {
            Some(ground) => (ground.store_url(), ground.keys()),
            None => (format!("sqlite:{}", folder.join("store.db").display()), make_keys(gateway, &folder)?),
        };
        let addresses: Vec<_> = free_ports(count)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut command = bound(soak);
        command.arg("audit").arg("--gateway").arg(gateway).arg("--keys").arg(keys);
        command.arg("--replicas").arg(addresses.join(",")).env(STORE_URL, url).arg("--folder").arg(&folder);
        command.args(["--mode", mode, "--kills", &kills.to_string(), "--seed", &seed.to_string()]);
        let running = Running::start(&format!("the soak of {name}"), &mut command, &folder.join("soak.log"))?;
        Ok(Self { running, place, _ground: ground })
    }
}

/// Kills replicas that have tasks. Fails with the seed where one was lost, changed or done twice.
pub fn kill_with_tasks(
    workspace: &Workspace,
    store: StoreKind,
    arguments: &[String],
    [gateway, soak]: [&Path; 2],
) -> Result {
    let folder = workspace.root.join(FOLDER_OF_TASKS);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (word, count, ground) = match store {
        StoreKind::Sqlite => ("sqlite", 1, None),
        StoreKind::Postgres => {
            ("postgres", REPLICAS, Some(Ground::start(workspace, gateway, &folder, "soak-tasks")?))
        }
    };
    let (url, keys) = match &ground {
        Some(ground) => (ground.store_url(), ground.keys()),
        None => (format!("sqlite:{}", folder.join("store.db").display()), make_keys(gateway, &folder)?),
    };
    let addresses: Vec<_> = free_ports(count)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut command = bound(soak);
    command.arg("tasks").arg("--gateway").arg(gateway).arg("--keys").arg(keys);
    command.arg("--replicas").arg(addresses.join(",")).env(STORE_URL, url).arg("--folder").arg(&folder);
    command.args(arguments);
    let status = command.status().map_err(|e| format!("tidegate-soak does not start: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let arguments = arguments.join(" ");
    Err(format!("tasks were harmed with {word}, {arguments}; logs are in {FOLDER_OF_TASKS}"))
}

/// One of its own for each run: a run of the same seed does the same to replicas at the same times.
fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs()) % 1_000_000
}

/// The same, with programs that are built already.
pub fn run_with(workspace: &Workspace, options: &Options, gateway: &Path, soak: &Path) -> Result {
    let place = if options.report.is_some() { FOLDER_OF_BENCH } else { FOLDER };
    let folder = workspace.root.join(place);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let ground = Ground::start(workspace, gateway, &folder, "soak")?;
    let count = options.replicas.unwrap_or(REPLICAS);
    let addresses: Vec<_> = free_ports(count)?.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let names: Vec<_> = addresses.iter().map(String::as_str).collect();
    let balancer = Balancer::start(&names, &Balance { silence: SILENCE, ..Balance::default() }, &folder)?;
    let seed = options.seed.unwrap_or_else(any_seed);
    let mut command = bound(soak);
    command.arg("run").arg("--gateway").arg(gateway).arg("--keys").arg(ground.keys());
    command.arg("--replicas").arg(addresses.join(",")).env(STORE_URL, ground.store_url());
    command.arg("--balancer").arg(balancer.url.trim_start_matches("http://"));
    command.arg("--folder").arg(&folder);
    command.arg("--minutes").arg(options.minutes.to_string()).arg("--seed").arg(seed.to_string());
    if let Some(clients) = options.clients {
        command.arg("--clients").arg(clients.to_string());
    }
    if let Some(report) = &options.report {
        command.arg("--report").arg(report);
    }
    if options.calm {
        command.arg("--calm");
    }
    let control = if options.restart_database { Some(control(workspace)?) } else { None };
    if let Some(control) = &control {
        command.arg("--database").arg(control.address());
    }
    if let Some(rounds) = options.rolling {
        command.arg("--rolling").arg(rounds.to_string());
    }
    let status = command.status().map_err(|e| format!("tidegate-soak does not start: {e}"))?;
    if status.success() {
        return Ok(());
    }
    let minutes = options.minutes;
    Err(format!("the soak failed: cargo xtask soak --minutes {minutes} --seed {seed}; logs are in {place}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_and_nonsense_is_refused() {
        let options =
            |args: &[&str]| Options::parse(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        let read = options(&["--minutes", "1.5", "--seed", "7", "--calm"]).expect("good");
        assert_eq!((read.minutes, read.seed, read.calm), (1.5, Some(7), true));
        assert_eq!(options(&["--audit", "20"]).expect("good").audit, Some(20));
        assert_eq!(options(&["--limits", "60"]).expect("good").limits, Some(60));
        for bad in [
            &["--audit"][..],
            &["--limits", "0"],
            &["--minutes", "0"],
            &["--seed", "x"],
            &["--seed"],
            &["--fast"],
        ] {
            assert!(options(bad).is_err(), "{bad:?}");
        }
    }
}
