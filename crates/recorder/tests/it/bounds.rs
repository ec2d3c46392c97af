//! What is bounded: how long retention waits for an export, and what waits of captured contents.

use std::sync::Arc;
use std::time::Duration;

use audit::{Content, Event, Recorder as _};
use recorder::{Export, Options, Sending};
use store::{AuditStore as _, Fault};

use crate::exports::{all_delivered, figures, folder, lines_of, record, sending};
use crate::{DAY, World, call, strict};

/// Entries of `acme` and `globex`, of which an export delivers those of `acme` alone.
fn keeping(export: Export) -> Options {
    Options { retention: Some(DAY * 30), export_wait: DAY * 7, exports: vec![export], ..strict() }
}

fn only_acme() -> Sending {
    Sending { tenants: Arc::new(|log| log == "acme"), batch: 1_000, ..sending("siem") }
}

#[tokio::test(start_paused = true)]
async fn retention_waits_for_an_export_and_goes_on_once_it_has_delivered() {
    let (world, folder) = (World::new(), folder("waits"));
    let path = folder.join("later").join("audit.jsonl");
    let options = keeping(Export::to_file(only_acme(), path.clone()));
    let recorder = world.start(options.clone());
    record(&recorder, "acme", 300).await;
    record(&recorder, "globex", 300).await;
    recorder.stop().await;
    world.clock.advance(DAY * 31);
    let recorder = world.start(options);
    // Logs have their turn by name: `acme` was looked at before.
    world.wait_for("globex", "audit_prune", 1).await;
    let log = world.store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!((log.first, log.size), (0, 300), "it waits");
    std::fs::create_dir(folder.join("later")).expect("a folder");
    world.wait_for("acme", "audit_prune", 1).await;
    recorder.stop().await;
    assert_eq!(world.store.audit_log("acme").await.expect("read").expect("a log").first, 256);
    assert!(lines_of(&path).len() >= 300, "all were delivered before");
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(start_paused = true)]
async fn retention_waits_no_longer_than_it_may_and_what_it_left_out_is_counted() {
    let (world, folder) = (World::new(), folder("no-longer"));
    let path = folder.join("audit.jsonl");
    let options = keeping(Export::to_file(only_acme(), path.clone()));
    let recorder = world.start(options.clone());
    record(&recorder, "acme", 10).await;
    all_delivered(&recorder, 10).await;
    std::fs::remove_dir_all(&folder).expect("remove");
    record(&recorder, "acme", 290).await;
    recorder.stop().await;
    world.clock.advance(DAY * 38);
    let recorder = world.start(options);
    world.wait_for("acme", "audit_prune", 1).await;
    assert_eq!(world.store.audit_log("acme").await.expect("read").expect("a log").first, 256);
    std::fs::create_dir_all(&folder).expect("a folder");
    all_delivered(&recorder, 45).await;
    let told = figures(&recorder);
    recorder.stop().await;
    // Of 301 entries, ten were delivered before and 256 were pruned.
    assert_eq!((told.delivered, told.missed), (45, 246));
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test(start_paused = true)]
async fn what_is_captured_beyond_64_mib_while_it_waits_is_recorded_by_its_digest_alone() {
    const LARGE: usize = 4 * 1024 * 1024 - 16;
    let world = World::new();
    let bytes: Arc<[u8]> = vec![b'a'; LARGE].into();
    let event = || {
        let mut event: Event = call("acme");
        let (digest, captured) = (seal::sha256(&bytes), Some(Arc::clone(&bytes)));
        event.arguments = Some(Content { digest, bytes: LARGE as u64, captured });
        event
    };
    let recorder = world.start(Options::default());
    world.store.faults().down(Some(Fault::Before));
    for _ in 0..20 {
        recorder.note(event());
    }
    while recorder.counts().failed == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.store.faults().down(None);
    world.wait_for("acme", "tool_call", 20).await;
    // Once they are written, there is room again.
    recorder.record(event()).await.expect("recorded");
    recorder.stop().await;
    let entries = world.store.audit_entries("acme", 0, 99).await.expect("read");
    let calls = entries.iter().filter(|entry| entry.kind == "tool_call");
    let mut kept = Vec::new();
    for entry in calls {
        let contents = world.store.audit_contents("acme", entry.index).await.expect("read");
        let said = String::from_utf8_lossy(&entry.line).contains(r#""captured":"no: too much waits""#);
        assert_eq!(contents.is_empty(), said, "{}", entry.index);
        kept.push(!contents.is_empty());
    }
    let mut expected = vec![true; 16];
    expected.extend([false; 4]);
    expected.push(true);
    assert_eq!(kept, expected);
    assert_eq!(world.verified("acme", world.key("acme")).await.finding, None);
}
