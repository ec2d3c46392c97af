//! A disk that fails, and a process that is killed, at each write and each sync of a scripted run.
//! `strace` makes the system calls fail.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use store::{Changed, Store, StoreError, TaskChange, TaskMade, TaskPhase, TaskPut, TaskRow, TaskStore as _};
use store_sqlite::SqliteStore;

use super::{LATER, NOW};

/// Transactions of the run.
const STEPS: u32 = 8;
/// The system calls by which SQLite changes its files.
const CALLS: [&str; 5] = ["pwrite64", "fdatasync", "fsync", "ftruncate", "unlink"];
/// Set, each fault is tried, and else every tenth: all take minutes.
const EVERY: &str = "TIDEGATE_TEST_EVERY_FAULT";
/// What the child is told by.
const FILE: &str = "TIDEGATE_TEST_STORE_FILE";

/// The run itself, in a process of its own: says of each step what it was told.
#[tokio::test]
#[ignore = "it is no test, but what the test starts"]
async fn child() {
    let Some(file) = std::env::var_os(FILE) else { return };
    // The harness has begun a line.
    println!();
    let store = match SqliteStore::open(Path::new(&file), NOW).await {
        Ok(store) => store,
        Err(error) => return println!("not opened: {error}"),
    };
    for step in 0..STEPS {
        match subscribe(&store, step).await {
            Ok(Changed::Done(_)) => println!("done {step}"),
            Ok(other) => println!("{other:?}"),
            Err(StoreError::Unavailable { maybe_written: true, .. }) => println!("maybe {step}"),
            Err(_) => println!("not {step}"),
        }
    }
    store.close().await;
}

async fn subscribe(store: &SqliteStore, step: u32) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    // Enough to need several pages, and two rows that must stay together.
    let changed = tx.session_subscribe("s", &format!("{step} {}", "x".repeat(3_000)), 99, LATER).await?;
    tx.session_level_set(&format!("with {step}"), "info", LATER).await?;
    assert_eq!(tx.task_create(&task(step)).await?, TaskMade::Done);
    // A task of its own ends, with an outcome that lies beside it.
    let (id, blob) = (format!("ending {step}"), format!("outcome {step}"));
    let begun = TaskRow { id: id.clone(), ..task(step) };
    assert_eq!(tx.task_create(&begun).await?, TaskMade::Done);
    for part in 0..2 {
        tx.blob_put(&blob, part, &Bytes::from(vec![b'o'; 5_000]), LATER).await?;
    }
    let (head, outcome) = (Bytes::from_static(b"ended"), Some(Bytes::from(blob.clone())));
    let phase = TaskPhase::Ended;
    let ended = TaskChange { id, version: 1, phase, owner: None, due: LATER, head, outcome };
    assert_eq!(tx.task_put(&ended, None).await?, TaskPut::Done);
    assert!(tx.blob_keep(&blob, 2, LATER).await?);
    tx.commit().await?;
    Ok(changed)
}

fn task(step: u32) -> TaskRow {
    TaskRow {
        id: format!("task {step}"),
        tenant: "t".to_owned(),
        holder: "h".to_owned(),
        key: None,
        phase: TaskPhase::Open,
        owner: None,
        due: LATER,
        version: 1,
        head: Bytes::from_static(b"begun"),
        call: Bytes::from(vec![b'c'; 2_000]),
        outcome: Bytes::new(),
    }
}

/// Whether a step's tasks are there, and whole.
async fn has_tasks(store: &SqliteStore, step: u32, fault: &str) -> bool {
    let open = store.task(&format!("task {step}")).await.unwrap();
    let ended = store.task(&format!("ending {step}")).await.unwrap();
    let outcome = store.blob(&format!("outcome {step}")).await.unwrap();
    assert_eq!(open.as_ref().map(|row| row.call.len()), open.as_ref().map(|_| 2_000), "{fault}");
    assert_eq!((ended.is_some(), outcome.is_some()), (open.is_some(), open.is_some()), "{fault}");
    if let (Some(ended), Some(outcome)) = (ended, outcome) {
        assert_eq!((ended.phase, ended.version, outcome.len()), (TaskPhase::Ended, 2, 10_000), "{fault}");
        assert!(ended.call.is_empty() && ended.outcome == format!("outcome {step}"), "{fault}");
    }
    open.is_some()
}

/// Runs the child under strace with a fault. Its words, or why there is no strace.
fn run(file: &Path, fault: &[&str], log: &Path) -> Result<String, String> {
    let this = std::env::current_exe().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the process whose disk fails")]
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(","))]).args(fault).arg("-o").arg(log);
    strace.arg(this).args(["--ignored", "--exact", "disk::child", "--nocapture", "--test-threads=1"]);
    let output = strace.env(FILE, file).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if said.contains("running 1 test") {
        Ok(said)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The steps that the child said this word of.
fn steps(said: &str, word: &str) -> BTreeSet<u32> {
    said.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok()).collect()
}

/// What is in the store afterwards, which must be in order.
async fn found(file: &Path, fault: &str) -> BTreeSet<u32> {
    let store = SqliteStore::open(file, NOW).await.unwrap_or_else(|error| panic!("{fault}: {error:?}"));
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new(), "{fault}");
    let row = store.session("s").await.unwrap().unwrap_or_default();
    let found: BTreeSet<u32> =
        row.uris.iter().map(|uri| uri.split(' ').next().unwrap().parse().unwrap()).collect();
    for step in 0..STEPS {
        let other = store.session(&format!("with {step}")).await.unwrap();
        assert_eq!(other.is_some(), found.contains(&step), "{fault}: half of step {step}");
        let tasks = has_tasks(&store, step, fault).await;
        assert_eq!(tasks, found.contains(&step), "{fault}: half of step {step}");
    }
    // It goes on.
    assert!(subscribe(&store, 1000).await.is_ok(), "{fault}");
    store.close().await;
    found
}

#[tokio::test]
async fn what_was_answered_outlives_a_failing_disk_and_a_kill_at_every_write_and_sync() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let dry = folder.path().join("dry.db");
    let said = match run(&dry, &[], &log) {
        Ok(said) => said,
        Err(why) => return eprintln!("skipped: strace cannot be used here: {}", why.trim()),
    };
    assert_eq!(steps(&said, "done").len(), STEPS as usize, "{said}");
    let calls = std::fs::read_to_string(&log).unwrap();
    let stride = if std::env::var_os(EVERY).is_some() { 1 } else { 10 };
    let (mut faults, mut runs, mut failed) = (0, 0, 0);
    for call in CALLS {
        let count = calls.lines().filter(|line| line.contains(&format!(" {call}("))).count();
        for at in 1..=count {
            for effect in ["error=EIO", "error=ENOSPC", "signal=KILL"] {
                faults += 1;
                if faults % stride != 0 {
                    continue;
                }
                let fault = format!("{call}:{effect}:when={at}");
                let file = folder.path().join(format!("{runs}.db"));
                let said = run(&file, &["-e", &format!("inject={fault}")], &log).unwrap();
                let (done, not, maybe) = (steps(&said, "done"), steps(&said, "not"), steps(&said, "maybe"));
                let found = found(&file, &fault).await;
                assert!(
                    done.is_subset(&found),
                    "{fault}: {done:?} were answered, {found:?} are there\n{said}"
                );
                assert!(
                    not.is_disjoint(&found),
                    "{fault}: {not:?} were refused, {found:?} are there\n{said}"
                );
                runs += 1;
                failed += usize::from(done.len() < STEPS as usize);
                assert!(
                    effect.starts_with("signal")
                        || done.len() + not.len() + maybe.len() == STEPS as usize
                        || said.contains("not opened"),
                    "{fault}: {said}"
                );
            }
        }
    }
    println!("{runs} faults, {failed} of them seen by the run");
    assert!(failed * 2 > runs, "most faults meet something: {failed} of {runs}");
}
