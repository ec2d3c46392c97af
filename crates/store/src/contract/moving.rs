//! From one store to another.

use bytes::Bytes;

use super::audit::batch;
use super::budgets::ask;
use super::grants::grant;
use super::keys::key;
use super::{Harness, LATER, all, tx};
use crate::{AuditNoteRow, Budget, Memory, Record, Store, StreamLimits, copy, read_dump, write_dump};

/// Something of each kind.
async fn fill(store: &dyn Store) {
    let limits = StreamLimits { events: 9, bytes: 99 };
    let events = [Bytes::from_static(b"\0\xff one"), Bytes::new()];
    let filled = tx(store, async |tx| {
        for name in ["s", "t", "\u{1f600}'"] {
            tx.session_level_set(name, "info", LATER).await?;
            tx.session_subscribe(name, "file:///a", 9, LATER).await?;
            tx.session_subscribe(name, "file:///b", 9, LATER).await?;
        }
        tx.session_end("t", LATER).await?;
        tx.stream_append("st", "s", 3, &events, limits, LATER).await?;
        tx.stream_append("empty", "s", 0, &[], limits, LATER).await?;
        tx.stream_close("st", LATER).await?;
        let fence = tx.lease_take("l", "a", LATER, LATER).await?.expect("free");
        tx.lease_release("l", "a", fence).await?;
        tx.lease_take("m", "a", LATER, LATER).await?;
        tx.key_add(&key("a", 7)).await?;
        tx.key_add(&key("b", 8)).await?;
        tx.grant_put(&grant("g", "crm")).await?;
        tx.grant_put(&grant("\u{1f600}", "")).await?;
        let bucket = Budget::Bucket { max: 9, refill: 1, per_ms: 60_000 };
        tx.budget_lease(&ask("r/\u{1f600}", bucket, 2, 7)).await?;
        tx.budget_lease(&ask("q", Budget::Window { start: LATER, max: 9 }, 3, 7)).await?;
        tx.audit_append(&batch("acme", 0, 2)).await?;
        let note = AuditNoteRow { log: "acme".to_owned(), size: 1, note: "signed".to_owned() };
        tx.audit_sign(&note, true).await?;
        tx.audit_hold("acme", Some("case 7")).await?;
        tx.key_retire("a", Some(LATER)).await
    });
    assert!(filled.await.expect("filled"));
}

pub(super) async fn all_that_is_held_moves_to_another_store(harness: &dyn Harness) {
    let store = harness.fresh().await;
    fill(&*store).await;
    let held = all(&*store).await;
    assert_eq!(held.0.len(), 1 + 3 + 4 + 2 + 2 + 2 + 2 + 2 + 2 + 7, "{held:?}");
    let mut dump = Vec::new();
    let written = write_dump(&*store, &mut dump).await.expect("written");
    assert_eq!(written.records, held.0.len() as u64);
    // Through memory, and back into one of this kind.
    let memory = Memory::new();
    read_dump(&memory, &mut &dump[..]).await.expect("read");
    assert_eq!(all(&memory).await, held);
    let other = harness.fresh().await;
    read_dump(&*other, &mut &dump[..]).await.expect("read");
    assert_eq!(all(&*other).await, held);
    assert_eq!(write_dump(&*other, &mut std::io::sink()).await.expect("written"), written);
    let copied = harness.fresh().await;
    copy(&memory, &*copied).await.expect("copied");
    assert_eq!(all(&*copied).await, held);
    assert!(copy(&memory, &*copied).await.is_err(), "it is not empty");
    // It goes on where the first one was.
    tx(&*other, async |tx| tx.session_level_set("u", "info", LATER).await).await.expect("set");
    let numbers = held.0.iter().find_map(|record| match record {
        Record::Seq { seq } => Some(*seq),
        _ => None,
    });
    assert_eq!(other.sessions_seq().await.expect("read").0, numbers.expect("a number").0 + 1);
    // Not into one that holds the same already.
    assert!(read_dump(&*other, &mut &dump[..]).await.is_err());
}

pub(super) async fn a_dump_that_was_changed_is_refused_and_nothing_is_taken_in(harness: &dyn Harness) {
    let memory = Memory::new();
    fill(&memory).await;
    let mut dump = Vec::new();
    write_dump(&memory, &mut dump).await.expect("written");
    let lines: Vec<&[u8]> = dump.split_inclusive(|byte| *byte == b'\n').collect();
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let text = String::from_utf8(dump.clone()).expect("JSON");
    let damaged = [
        (without(0), "this is no dump of a store"),
        (without(3), "was changed, lost or added"),
        (without(lines.len() - 1), "no record"),
        (dump[..dump.len() - 1].to_vec(), "cut off"),
        (text.replace("file:///b", "file:///c").into_bytes(), "was changed, lost or added"),
        (text.replace("\"tidegate_store\":1", "\"tidegate_store\":2").into_bytes(), "format 2 is unknown"),
        ([&dump[..], b"{}\n"].concat(), "something follows the end"),
        (Vec::new(), "this is no dump of a store"),
        (b"\xff\n".to_vec(), "this is no dump of a store"),
    ];
    let store = harness.fresh().await;
    let before = all(&*store).await;
    for (damaged, said) in damaged {
        let refused = read_dump(&*store, &mut &damaged[..]).await.expect_err(said);
        assert!(refused.to_string().contains(said), "{refused}, not {said}");
        assert_eq!(all(&*store).await, before, "{said}");
    }
}
