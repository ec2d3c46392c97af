//! What the recorder writes, and what becomes of it where something fails.

mod bounds;
mod exports;
mod objects;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use audit::{Content, Event, Known, Outcome, Phase, PublicKey, Recorder as _, Tampering, verify};
use model::{ManualClock, SeededRng, Timestamp};
use recorder::{LABEL, Options, Recorder, files, prove};
use seal::{Key, KeyRing};
use store::{AuditFilter, AuditStore as _, Fault, Faulty, Memory};

const NOW: Timestamp = Timestamp(1_795_416_480_123);
const DAY: Duration = Duration::from_secs(24 * 3_600);

struct World {
    store: Arc<Faulty>,
    clock: Arc<ManualClock>,
    keys: Arc<KeyRing>,
    seed: std::sync::atomic::AtomicU64,
}

impl World {
    fn new() -> Self {
        Self {
            store: Arc::new(Faulty::new(Arc::new(Memory::new()))),
            clock: Arc::new(ManualClock::at(NOW)),
            keys: Arc::new(KeyRing::from_key(&[7; 32])),
            seed: std::sync::atomic::AtomicU64::new(1),
        }
    }

    fn start(&self, options: Options) -> Arc<Recorder> {
        let seed = self.seed.fetch_add(1_000, std::sync::atomic::Ordering::SeqCst);
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        Recorder::start(store, clock, Arc::new(SeededRng::new(seed)), Arc::clone(&self.keys), options)
    }

    fn key(&self, tenant: &str) -> PublicKey {
        PublicKey::of(&audit::origin("tidegate", tenant), &self.keys.signer(NOW, LABEL))
    }

    async fn folder(&self, tenant: &str) -> BTreeMap<String, Vec<u8>> {
        let mut folder = BTreeMap::new();
        let mut put = |path: &str, bytes: &[u8]| {
            folder.insert(path.to_owned(), bytes.to_vec());
            Ok(())
        };
        files(&*self.store, tenant, &mut put).await.expect("files");
        folder
    }

    /// What the verifier says of a log.
    async fn verified(&self, tenant: &str, key: PublicKey) -> audit::Report {
        verify(&self.folder(tenant).await, &Known { keys: vec![key], ..Known::default() })
    }

    async fn kinds(&self, tenant: &str) -> Vec<String> {
        let entries = self.store.audit_entries(tenant, 0, 9_999).await.expect("read");
        entries.into_iter().map(|entry| entry.kind).collect()
    }

    /// Waits until a log has so many entries of a kind.
    async fn wait_for(&self, tenant: &str, kind: &str, number: usize) {
        loop {
            let filter =
                AuditFilter { log: tenant.to_owned(), kind: Some(kind.to_owned()), ..AuditFilter::default() };
            // What fails is looked at again.
            if self.store.audit_query(&filter, None, 9_999).await.is_ok_and(|found| found.len() >= number) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn strict() -> Options {
    Options { strict: true, ..Options::default() }
}

fn call(tenant: &str) -> Event {
    let mut event = Event::new("tool_call", NOW, tenant, "ann");
    event.target = Some("export".into());
    event
}

#[tokio::test(start_paused = true)]
async fn a_record_is_durable_signed_and_proved_once_it_is_answered_in_strict_mode() {
    let world = World::new();
    let recorder = world.start(strict());
    for number in 0..3 {
        let recorded = recorder.record(call("acme")).await.expect("recorded");
        assert_eq!((recorded.index, recorded.origin.as_str()), (number, "tidegate/acme"));
        let receipt = recorder.receipt(&recorded).await.expect("signed with it");
        assert_eq!(receipt.check(&world.key("acme")).map(|checkpoint| checkpoint.size), Ok(number + 1));
        assert_eq!(receipt.leaf, audit::hex(&recorded.leaf));
    }
    let other = recorder.record(call("globex")).await.expect("recorded");
    assert_eq!((other.index, other.origin.as_str()), (0, "tidegate/globex"), "a log of its own");
    let report = world.verified("acme", world.key("acme")).await;
    assert_eq!((report.finding, report.size, report.signed), (None, 3, 3));
    let receipt = prove(&*world.store, "acme", 1, true).await.expect("a proof");
    assert!(receipt.entry.as_ref().is_some_and(|entry| entry.contains("export")));
    assert!(receipt.check(&world.key("acme")).is_ok());
    recorder.stop().await;
    assert!(recorder.record(call("acme")).await.is_err(), "it was stopped");
}

#[tokio::test(start_paused = true)]
async fn in_relaxed_mode_all_is_written_and_signed_a_moment_later() {
    let world = World::new();
    let recorder = world.start(Options::default());
    for _ in 0..700 {
        recorder.note(call("acme"));
    }
    world.wait_for("acme", "tool_call", 700).await;
    while world.store.audit_log("acme").await.expect("read").expect("a log").signed < 700 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let report = world.verified("acme", world.key("acme")).await;
    assert_eq!((report.finding, report.signed), (None, 700));
    let counts = recorder.counts();
    assert_eq!((counts.written, counts.lost, counts.waiting), (700, 0, 0));
    assert!(counts.commits < 100, "they were written together: {counts:?}");
    recorder.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_counted_and_the_count_recorded() {
    let world = World::new();
    let recorder = world.start(Options { queue: 5, ..Options::default() });
    for _ in 0..12 {
        recorder.note(call("acme"));
    }
    world.wait_for("acme", "audit_gap", 1).await;
    assert_eq!((recorder.counts().lost, recorder.counts().written), (7, 5));
    let entries = world.store.audit_entries("acme", 0, 99).await.expect("read");
    let gap = entries.iter().find(|entry| entry.kind == "audit_gap").expect("the gap");
    assert!(String::from_utf8_lossy(&gap.line).contains(r#""lost":"7""#));
    recorder.stop().await;
    assert_eq!(world.verified("acme", world.key("acme")).await.finding, None);
}

#[tokio::test(start_paused = true)]
async fn with_a_full_disk_strict_refuses_and_goes_on_once_there_is_room() {
    let world = World::new();
    let recorder = world.start(strict());
    recorder.record(call("acme")).await.expect("recorded");
    world.store.faults().down(Some(Fault::Before));
    for _ in 0..3 {
        recorder.record(call("acme")).await.expect_err("there is no room");
    }
    world.store.faults().down(None);
    recorder.record(call("acme")).await.expect("recorded");
    recorder.stop().await;
    assert_eq!(world.verified("acme", world.key("acme")).await.finding, None);
    let calls = world.kinds("acme").await.iter().filter(|kind| *kind == "tool_call").count();
    assert_eq!(calls, 2, "what was refused is not in it");
}

#[tokio::test(start_paused = true)]
async fn with_a_full_disk_relaxed_keeps_what_it_has_room_for() {
    let world = World::new();
    let recorder = world.start(Options { queue: 4, ..Options::default() });
    recorder.record(call("acme")).await.expect("recorded");
    world.store.faults().down(Some(Fault::Before));
    for _ in 0..20 {
        recorder.note(call("acme"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while recorder.counts().failed == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.store.faults().down(None);
    world.wait_for("acme", "audit_gap", 1).await;
    recorder.stop().await;
    let counts = recorder.counts();
    assert!(counts.lost > 0 && counts.failed > 0, "{counts:?}");
    assert_eq!(counts.written + counts.lost, 21);
    assert_eq!(world.verified("acme", world.key("acme")).await.finding, None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_not_written_twice() {
    // Both ways, at each of the operations that may be the commit.
    for at in 0..14 {
        for fault in [Fault::After, Fault::Unknown] {
            let world = World::new();
            let recorder = world.start(Options::default());
            recorder.record(call("acme")).await.expect("recorded");
            world.store.faults().fail(at, fault);
            recorder.record(call("acme")).await.expect("recorded in the end");
            world.store.faults().heal();
            recorder.stop().await;
            let calls = world.kinds("acme").await.iter().filter(|kind| *kind == "tool_call").count();
            assert_eq!(calls, 2, "{fault:?} at {at}");
            assert_eq!(world.verified("acme", world.key("acme")).await.finding, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_processes_write_to_one_log() {
    let world = World::new();
    let (one, other) = (world.start(strict()), world.start(strict()));
    for _ in 0..20 {
        let (a, b) = tokio::join!(one.record(call("acme")), other.record(call("acme")));
        assert_ne!(a.expect("recorded").index, b.expect("recorded").index);
    }
    one.stop().await;
    other.stop().await;
    let report = world.verified("acme", world.key("acme")).await;
    assert_eq!((report.finding, report.size), (None, 40));
}

#[tokio::test(start_paused = true)]
async fn what_a_process_that_died_had_begun_is_closed_and_its_gap_recorded() {
    let world = World::new();
    let dead = world.start(Options::default());
    let mut begun = call("acme");
    (begun.phase, begun.operation) = (Phase::Started, "op1".into());
    dead.record(begun.clone()).await.expect("recorded");
    let mut ended = begun.clone();
    (ended.operation, ended.phase) = ("op2".into(), Phase::Started);
    dead.record(ended.clone()).await.expect("recorded");
    ended.phase = Phase::Completed;
    dead.record(ended).await.expect("recorded");
    std::mem::forget(dead);
    world.clock.advance(Duration::from_secs(3_600));
    let recorder = world.start(Options::default());
    world.wait_for("acme", "audit_gap", 1).await;
    recorder.stop().await;
    let entries = world.store.audit_entries("acme", 0, 99).await.expect("read");
    let closed: Vec<_> = entries.iter().filter(|entry| entry.kind == "outcome_unknown").collect();
    assert_eq!(closed.iter().map(|entry| entry.operation.as_str()).collect::<Vec<_>>(), ["op1"]);
    assert_eq!((closed[0].principal.as_str(), closed[0].tool.as_str()), ("acme/ann", "export"));
    assert_eq!(closed[0].outcome, Outcome::Error.as_str());
}

#[tokio::test(start_paused = true)]
async fn what_dies_young_has_its_gap_too() {
    let world = World::new();
    let dead = world.start(Options { queue: 10, ..Options::default() });
    dead.note(call("acme"));
    world.wait_for("acme", "tool_call", 1).await;
    std::mem::forget(dead);
    world.clock.advance(Duration::from_secs(3_600));
    let recorder = world.start(Options::default());
    for tenant in ["acme", "default"] {
        world.wait_for(tenant, "audit_gap", 1).await;
    }
    recorder.stop().await;
    let entries = world.store.audit_entries("acme", 0, 99).await.expect("read");
    let gap = entries.iter().find(|entry| entry.kind == "audit_gap").expect("the gap");
    // Those that wait, and those of one batch.
    assert!(String::from_utf8_lossy(&gap.line).contains(r#""lost_max":"1034""#), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_announced_under_the_one_before() {
    let world = World::new();
    let old = world.key("acme");
    let recorder = world.start(strict());
    recorder.record(call("acme")).await.expect("recorded");
    let key = |byte: u8, from| Key::new([byte; 32], Timestamp(0), Timestamp(from), None);
    world.keys.replace(&[key(7, 0), key(8, 1)], NOW).expect("a ring");
    assert_ne!(world.key("acme"), old);
    recorder.record(call("acme")).await.expect("recorded");
    recorder.record(call("acme")).await.expect("recorded");
    recorder.stop().await;
    assert_eq!(world.kinds("acme").await, ["tool_call", "tool_call", "key_change", "tool_call"]);
    for known in [old, world.key("acme")] {
        assert_eq!(world.verified("acme", known).await.finding, None);
    }
    let other = PublicKey::of("tidegate/acme", &KeyRing::from_key(&[9; 32]).signer(NOW, LABEL));
    let finding = world.verified("acme", other).await.finding.expect("found");
    assert_eq!(finding.what, Tampering::OtherKey);
}

#[tokio::test(start_paused = true)]
async fn old_entries_are_pruned_and_captured_content_erased_and_the_rest_is_verified() {
    let world = World::new();
    let options = Options { retention: Some(DAY * 30), capture_retention: DAY, ..strict() };
    let recorder = world.start(options.clone());
    for number in 0..300 {
        let mut event = call("acme");
        if number > 280 {
            let said = format!("secret {number}");
            event.arguments = Some(Content {
                digest: seal::sha256(said.as_bytes()),
                bytes: said.len() as u64,
                captured: Some(Arc::from(said.as_bytes())),
            });
        }
        recorder.record(event).await.expect("recorded");
    }
    recorder.stop().await;
    let kept = world.store.audit_contents("acme", 299).await.expect("read");
    assert_eq!(&kept[0].data[16..], b"secret 299");
    let line = world.store.audit_entries("acme", 299, 1).await.expect("read").pop().expect("an entry").line;
    let digest = audit::hex(&audit::Captured::digest(&kept[0].data[..16], b"secret 299"));
    let line = String::from_utf8_lossy(&line).into_owned();
    assert!(line.contains(&digest) && !line.contains("secret 299"), "{line}");

    world.clock.advance(DAY * 31);
    let recorder = world.start(options);
    world.wait_for("acme", "audit_prune", 1).await;
    recorder.stop().await;
    let log = world.store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!(log.first, 256);
    assert_eq!(world.store.audit_contents("acme", 299).await.expect("read"), []);
    let report = world.verified("acme", world.key("acme")).await;
    assert_eq!((report.finding, report.first), (None, 256));
    assert!(prove(&*world.store, "acme", 3, false).await.expect("a proof").check(&world.key("acme")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_log_is_signed_again() {
    let world = World::new();
    let recorder = world.start(strict());
    recorder.record(call("acme")).await.expect("recorded");
    world.clock.advance(Duration::from_secs(700));
    let later = Some(Timestamp(NOW.0 + 700_000));
    while world.verified("acme", world.key("acme")).await.at != later {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    recorder.stop().await;
}
