//! Audit logs.

use bytes::Bytes;
use model::Timestamp;

use super::{Harness, LATER, tx};
use crate::{
    AUDIT_LINE_BYTES_MAX, AuditBatch, AuditContentRow, AuditEntryRow, AuditFilter, AuditNoteRow,
    AuditStore as _, AuditTileRow, AuditWrite, Memory, Store, StoreError,
};

fn entry(log: &str, index: u64) -> AuditEntryRow {
    AuditEntryRow {
        log: log.to_owned(),
        index,
        at: Timestamp(1_000 + index * 10),
        principal: format!("{log}/ann"),
        kind: "tool_call".to_owned(),
        tool: "export".to_owned(),
        outcome: "allowed".to_owned(),
        upstream: "crm".to_owned(),
        operation: format!("op{index}"),
        started: false,
        writer: "w1".to_owned(),
        line: Bytes::from(format!("{{\"line\":\"{index}\u{1f600}'\"}}")),
    }
}

/// Entries from `size` on, with a tile and a content.
pub(super) fn batch(log: &str, size: u64, number: u64) -> AuditBatch {
    let entries: Vec<AuditEntryRow> = (size..size + number).map(|index| entry(log, index)).collect();
    let content = |row: &AuditEntryRow| AuditContentRow {
        log: log.to_owned(),
        index: row.index,
        part: "arguments".to_owned(),
        principal: row.principal.clone(),
        at: row.at,
        data: Bytes::from_static(b"\0\xffsaid"),
    };
    let hashes = Bytes::from(vec![7; 32 * usize::try_from(size + number).expect("small")]);
    AuditBatch {
        log: log.to_owned(),
        size,
        last: format!("digest{}", size + number),
        contents: entries.iter().map(content).collect(),
        entries,
        tiles: vec![AuditTileRow { log: log.to_owned(), level: 0, index: 0, hashes }],
    }
}

async fn append(store: &dyn Store, batch: &AuditBatch) -> bool {
    tx(store, async |tx| tx.audit_append(batch).await).await.expect("an answer")
}

pub(super) async fn entries_are_added_to_a_log_of_the_size_that_was_read(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.audit_log("acme").await.expect("read"), None);
    assert!(!append(&*store, &batch("acme", 1, 1)).await, "it has none yet");
    assert_eq!(store.audit_log("acme").await.expect("read"), None);
    assert!(append(&*store, &batch("acme", 0, 2)).await);
    assert!(!append(&*store, &batch("acme", 0, 2)).await, "another one was first");
    assert!(append(&*store, &batch("acme", 2, 1)).await);
    let log = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!((log.size, log.first, log.last.as_str(), log.signed), (3, 0, "digest3", 0));
    let read = store.audit_entries("acme", 1, 9).await.expect("read");
    assert_eq!(read, [entry("acme", 1), entry("acme", 2)]);
    let tile = store.audit_tile("acme", 0, 0).await.expect("read");
    assert_eq!(tile.map(|tile| tile.len()), Some(96), "it grew");
    assert_eq!(store.audit_tile("acme", 1, 0).await.expect("read"), None);
    assert_eq!(store.audit_contents("acme", 2).await.expect("read"), batch("acme", 2, 1).contents);
    assert!(append(&*store, &batch("globex", 0, 1)).await);
    let logs = store.audit_logs(None, 9).await.expect("read");
    assert_eq!(
        logs.iter().map(|log| (log.log.as_str(), log.size)).collect::<Vec<_>>(),
        [("acme", 3), ("globex", 1)]
    );
    assert_eq!(store.audit_logs(Some("acme"), 9).await.expect("read").len(), 1);
    let mut long = batch("acme", 3, 1);
    long.entries[0].line = Bytes::from(vec![b' '; AUDIT_LINE_BYTES_MAX + 1]);
    let refused = tx(&*store, async |tx| tx.audit_append(&long).await).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "an entry", .. })), "{refused:?}");
    let mut wrong = batch("acme", 3, 1);
    wrong.entries[0].index = 7;
    assert!(tx(&*store, async |tx| tx.audit_append(&wrong).await).await.is_err());
}

pub(super) async fn of_many_who_add_to_a_log_at_one_size_one_does(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert!(append(&*store, &batch("acme", 0, 1)).await);
    let writers = (0..8_u64).map(|number| {
        let store = &store;
        async move {
            let batch = batch("acme", 1, number + 1);
            // Whoever is in another's way is told so, or is too late.
            tx(&**store, async |tx| tx.audit_append(&batch).await).await.unwrap_or(false)
        }
    });
    let wrote = futures_util::future::join_all(writers).await;
    assert_eq!(wrote.iter().filter(|wrote| **wrote).count(), 1, "{wrote:?}");
    let winner = wrote.iter().position(|wrote| *wrote).expect("one") as u64;
    let log = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!(log.size, winner + 2);
    assert_eq!(store.audit_entries("acme", 0, 99).await.expect("read").len() as u64, log.size);
}

pub(super) async fn entries_are_found_by_what_they_are(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut batch = batch("acme", 0, 6);
    batch.entries[1].principal = "acme/bob".to_owned();
    batch.entries[2].tool = "import".to_owned();
    batch.entries[3].outcome = "denied".to_owned();
    batch.entries[4].upstream = "mail".to_owned();
    batch.entries[5].kind = "sign_in".to_owned();
    assert!(append(&*store, &batch).await);
    let acme = || AuditFilter { log: "acme".to_owned(), ..AuditFilter::default() };
    let find = async |filter: AuditFilter, before, limit| {
        let found = store.audit_query(&filter, before, limit).await.expect("read");
        found.iter().map(|row| row.index).collect::<Vec<_>>()
    };
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(find(acme(), None, 9).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(find(acme(), Some(4), 2).await, [3, 2]);
    assert_eq!(find(AuditFilter { log: "other".to_owned(), ..acme() }, None, 9).await, [0_u64; 0]);
    assert_eq!(find(AuditFilter { principal: own("acme/bob"), ..acme() }, None, 9).await, [1]);
    assert_eq!(find(AuditFilter { tool: own("import"), ..acme() }, None, 9).await, [2]);
    assert_eq!(find(AuditFilter { outcome: own("denied"), ..acme() }, None, 9).await, [3]);
    assert_eq!(find(AuditFilter { upstream: own("mail"), ..acme() }, None, 9).await, [4]);
    assert_eq!(find(AuditFilter { kind: own("sign_in"), ..acme() }, None, 9).await, [5]);
    assert_eq!(find(AuditFilter { operation: own("op2"), ..acme() }, None, 9).await, [2]);
    assert_eq!(find(AuditFilter { text: own("4\u{1f600}'"), ..acme() }, None, 9).await, [4]);
    assert_eq!(find(AuditFilter { text: own("%"), ..acme() }, None, 9).await, [0_u64; 0]);
    let (from, to) = (Some(Timestamp(1_010)), Some(Timestamp(1_030)));
    assert_eq!(find(AuditFilter { from, to, ..acme() }, None, 9).await, [2, 1]);
    assert_eq!(find(AuditFilter { from, tool: own("import"), ..acme() }, None, 9).await, [2]);
}

/// A number, of those that follow each other without being alike.
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Adds to two logs, few entries and many at a time, of several callers, writers and operations.
pub async fn audit_story(store: &dyn Store, mut seed: u64) {
    let mut sizes = [0_u64; 2];
    for _ in 0..60 {
        let which = next(&mut seed, 2) as usize;
        let number = if next(&mut seed, 8) == 0 { 40 } else { next(&mut seed, 4) + 1 };
        let log = ["acme", "globex"][which];
        let mut batch = batch(log, sizes[which], number);
        batch.contents.truncate(1);
        batch.tiles[0].hashes.truncate(32);
        for row in &mut batch.entries {
            row.at = Timestamp(1_000 + row.index * 10 + next(&mut seed, 50));
            row.principal = format!("{log}/\u{fc}{}", next(&mut seed, 9));
            row.operation = format!("operation-{}", next(&mut seed, 60));
            if next(&mut seed, 20) == 0 {
                row.operation.clear();
            }
            row.started = next(&mut seed, 2) == 0;
            row.writer = format!("w{}", next(&mut seed, 2));
            let long = usize::try_from(next(&mut seed, 2_000)).expect("small");
            row.line = Bytes::from(format!("{{\"line\":\"{}\"}}", "\u{e9}".repeat(long)));
        }
        sizes[which] += number;
        let size = sizes[which];
        let note = AuditNoteRow { log: log.to_owned(), size, note: format!("note {size}") };
        let note = (next(&mut seed, 2) == 0).then_some(note);
        let write = AuditWrite { batch, note, keep: size.is_multiple_of(3) };
        assert!(store.audit_write(&[write]).await.expect("an answer"));
    }
}

pub(super) async fn entries_are_found_however_they_were_added(harness: &dyn Harness) {
    for seed in 1..4 {
        let (store, memory) = (harness.fresh().await, Memory::new());
        audit_story(&*store, seed).await;
        audit_story(&memory, seed).await;
        assert_eq!(super::all(&*store).await.0, super::all(&memory).await.0);
        let mut seed = seed;
        for step in 0..60 {
            let mut filter = AuditFilter { log: "acme".to_owned(), ..AuditFilter::default() };
            let mut some = || next(&mut seed, 3) == 0;
            let (by_whom, by_operation, by_time, by_text) = (some(), some(), some(), some());
            filter.principal = by_whom.then(|| format!("acme/\u{fc}{}", next(&mut seed, 10)));
            filter.operation = by_operation.then(|| format!("operation-{}", next(&mut seed, 60)));
            filter.from = by_time.then(|| Timestamp(1_000 + next(&mut seed, 3_000)));
            filter.to = by_time.then(|| Timestamp(1_000 + next(&mut seed, 3_000)));
            filter.text = by_text.then(|| "\u{e9}".repeat(next(&mut seed, 900) as usize));
            let (before, most) = (next(&mut seed, 300), next(&mut seed, 40) as usize);
            let before = (before > 100).then_some(before);
            let found = store.audit_query(&filter, before, most).await.expect("read");
            assert_eq!(found, memory.audit_query(&filter, before, most).await.expect("read"), "{filter:?}");
            let from = next(&mut seed, 250);
            let read = store.audit_entries("acme", from, most).await.expect("read");
            assert_eq!(read, memory.audit_entries("acme", from, most).await.expect("read"), "{from} {most}");
            for writer in ["w0", "w1"] {
                let open = store.audit_unclosed(writer, 99).await.expect("read");
                let known = memory.audit_unclosed(writer, 99).await.expect("read");
                assert_eq!(open, known, "{writer}");
            }
            if step % 10 == 9 {
                let below = next(&mut seed, 120);
                let prune = async |store: &dyn Store| {
                    tx(store, async |tx| tx.audit_prune("acme", below).await).await.expect("an answer")
                };
                assert_eq!(prune(&*store).await, prune(&memory).await, "{below}");
                assert_eq!(super::all(&*store).await.0, super::all(&memory).await.0);
            }
        }
        assert_eq!(store.check().await.expect("a look"), Vec::<String>::new());
    }
}

pub(super) async fn what_is_written_together_is_there_or_nothing_of_it(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let write = |log: &str, size: u64, number: u64, keep: bool| {
        let note = AuditNoteRow { log: log.to_owned(), size: size + number, note: format!("{log} signed") };
        AuditWrite { batch: batch(log, size, number), note: Some(note), keep }
    };
    assert!(
        store.audit_write(&[write("acme", 0, 3, true), write("globex", 0, 2, false)]).await.expect("done")
    );
    let log = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!((log.size, log.signed, log.checkpoint.as_str()), (3, 3, "acme signed"));
    assert_eq!(store.audit_notes("acme").await.expect("read").len(), 1);
    assert_eq!(store.audit_notes("globex").await.expect("read"), []);
    assert_eq!(store.audit_contents("globex", 1).await.expect("read").len(), 1);
    let before = super::all(&*store).await.0;
    // Another one was first, with as many as this one has or with more.
    for size in [1, 2, 4] {
        let late = [write("acme", 3, 1, true), write("globex", size, 2, false)];
        assert_eq!(store.audit_write(&late).await.expect("an answer"), size == 2, "{size}");
        if size != 2 {
            assert_eq!(super::all(&*store).await.0, before, "{size}");
        } else {
            break;
        }
    }
    assert!(!store.audit_write(&[write("initech", 7, 1, false)]).await.expect("an answer"), "there is none");
    assert_eq!(store.audit_log("initech").await.expect("read"), None);
    let mut wrong = write("acme", 4, 1, false);
    wrong.note.as_mut().expect("a note").size = 9;
    assert!(store.audit_write(&[wrong]).await.is_err(), "its checkpoint is of something else");
    assert!(store.audit_write(&[write("acme", 4, 1, false)]).await.expect("done"), "it goes on");
}

pub(super) async fn a_beginning_without_an_end_is_found(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut batch = batch("acme", 0, 5);
    for (index, operation) in [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "a")] {
        batch.entries[index].operation = operation.to_owned();
        batch.entries[index].started = index != 2;
    }
    batch.entries[3].writer = "w2".to_owned();
    assert!(append(&*store, &batch).await);
    let unclosed = async |writer: &str| {
        let found = store.audit_unclosed(writer, 9).await.expect("read");
        found.into_iter().map(|row| row.operation).collect::<Vec<_>>()
    };
    // What has ended once and goes on is open again.
    assert_eq!(unclosed("w1").await, ["b", "a"]);
    assert_eq!(unclosed("w2").await, ["c"]);
    assert_eq!(unclosed("w3").await, Vec::<String>::new());
}

pub(super) async fn a_checkpoint_takes_the_place_of_one_of_no_more_entries(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let sign = async |size, note: &str, keep| {
        let row = AuditNoteRow { log: "acme".to_owned(), size, note: note.to_owned() };
        tx(&*store, async |tx| tx.audit_sign(&row, keep).await).await.expect("an answer")
    };
    assert!(sign(0, "nothing", false).await, "that there is nothing is signed, too");
    assert!(append(&*store, &batch("acme", 0, 3)).await);
    assert!(!sign(4, "more", false).await);
    assert!(sign(2, "two", true).await);
    assert!(sign(3, "three", false).await);
    assert!(!sign(2, "two", false).await);
    assert!(sign(3, "later", false).await);
    let log = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!((log.signed, log.checkpoint.as_str(), log.size), (3, "later", 3));
    let notes = store.audit_notes("acme").await.expect("read");
    assert_eq!(notes.iter().map(|row| (row.size, row.note.as_str())).collect::<Vec<_>>(), [(2, "two")]);
}

pub(super) async fn pruning_takes_entries_and_leaves_their_hashes(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert!(append(&*store, &batch("acme", 0, 5)).await);
    assert!(append(&*store, &batch("globex", 0, 5)).await);
    let prune =
        async |below| tx(&*store, async |tx| tx.audit_prune("acme", below).await).await.expect("an answer");
    let hold = async |why: Option<&str>| {
        tx(&*store, async |tx| tx.audit_hold("acme", why).await).await.expect("an answer")
    };
    assert!(hold(Some("case 7")).await);
    assert_eq!(prune(3).await, 0, "it is held");
    let held = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!(held.hold.as_deref(), Some("case 7"));
    assert!(hold(None).await);
    assert_eq!((prune(6).await, prune(3).await, prune(3).await, prune(4).await), (0, 3, 0, 1));
    let log = store.audit_log("acme").await.expect("read").expect("a log");
    assert_eq!((log.first, log.size, log.hold), (4, 5, None));
    assert_eq!(store.audit_entries("acme", 0, 9).await.expect("read"), [entry("acme", 4)]);
    assert_eq!(store.audit_contents("acme", 3).await.expect("read"), []);
    assert!(store.audit_tile("acme", 0, 0).await.expect("read").is_some());
    assert_eq!(store.audit_entries("globex", 0, 9).await.expect("read").len(), 5);
    assert!(append(&*store, &batch("acme", 5, 1)).await, "it goes on");
    let none = tx(&*store, async |tx| tx.audit_hold("none", None).await).await.expect("an answer");
    assert!(!none);
}

pub(super) async fn what_was_said_is_erased_for_one_or_by_age_and_its_entries_stay(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut first = batch("acme", 0, 6);
    for index in [1, 3, 5] {
        first.contents[index].principal = "acme/bob".to_owned();
    }
    assert!(append(&*store, &first).await);
    let erase = async |whose: Option<&str>, before, most| {
        let erased =
            tx(&*store, async |tx| tx.audit_content_erase("acme", whose, Timestamp(before), most).await);
        erased.await.expect("an answer")
    };
    let hold = async |why: Option<&str>| {
        tx(&*store, async |tx| tx.audit_hold("acme", why).await).await.expect("an answer")
    };
    hold(Some("case 7")).await;
    assert_eq!(erase(None, LATER.0, 9).await, 0, "it is held");
    hold(None).await;
    assert_eq!(
        (erase(Some("acme/bob"), LATER.0, 2).await, erase(Some("acme/bob"), LATER.0, 9).await),
        (2, 1)
    );
    assert_eq!(erase(None, 1_020, 9).await, 1);
    let mut left = Vec::new();
    for index in 0..6 {
        left.extend(
            store.audit_contents("acme", index).await.expect("read").into_iter().map(|row| row.index),
        );
    }
    assert_eq!(left, [2, 4]);
    assert_eq!(store.audit_entries("acme", 0, 9).await.expect("read").len(), 6);
    let shown = format!("{:?}", store.audit_contents("acme", 2).await.expect("read"));
    assert!(shown.contains("6 bytes") && !shown.contains("said"), "{shown}");
}
