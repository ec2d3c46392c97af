//! Tasks.

use std::sync::Arc;

use bytes::Bytes;
use model::Timestamp;

use super::{Harness, all, tx};
use crate::{
    Fence, Guard, Store, StoreError, TASK_HEAD_BYTES_MAX, TaskChange, TaskFilter, TaskMade, TaskPhase,
    TaskPut, TaskRow, TaskUsage,
};

fn row(id: &str, due: u64) -> TaskRow {
    TaskRow {
        id: id.to_owned(),
        tenant: "t".to_owned(),
        holder: "h".to_owned(),
        key: None,
        phase: TaskPhase::Open,
        owner: None,
        due: Timestamp(due),
        version: 1,
        head: Bytes::from_static(b"\0\xff head"),
        call: Bytes::from_static(b"call"),
        outcome: Bytes::new(),
    }
}

fn keyed(id: &str, key: &str) -> TaskRow {
    TaskRow { key: Some(key.to_owned()), ..row(id, 5) }
}

/// What becomes of a task by a change of this phase.
fn change(row: &TaskRow, phase: TaskPhase) -> TaskChange {
    TaskChange {
        id: row.id.clone(),
        version: row.version,
        phase,
        owner: row.owner.clone(),
        due: row.due,
        head: Bytes::from(format!("head {}", row.version + 1)),
        outcome: None,
    }
}

async fn create(store: &dyn Store, row: &TaskRow) -> Result<TaskMade, StoreError> {
    let mut tx = store.begin().await?;
    let made = tx.task_create(row).await?;
    tx.commit().await?;
    Ok(made)
}

async fn made(store: &dyn Store, row: &TaskRow) {
    assert_eq!(create(store, row).await.expect("an answer"), TaskMade::Done, "{}", row.id);
}

async fn put(store: &dyn Store, change: &TaskChange) -> Result<TaskPut, StoreError> {
    let mut tx = store.begin().await?;
    let done = tx.task_put(change, None).await?;
    tx.commit().await?;
    Ok(done)
}

async fn found(store: &dyn Store, id: &str) -> TaskRow {
    store.task(id).await.expect("read").expect("a task")
}

/// Ends a task with this outcome.
async fn end(store: &dyn Store, id: &str, due: u64, outcome: &'static [u8]) {
    let row = found(store, id).await;
    let (due, outcome) = (Timestamp(due), Some(Bytes::from_static(outcome)));
    let ended = TaskChange { owner: None, due, outcome, ..change(&row, TaskPhase::Ended) };
    assert_eq!(put(store, &ended).await.expect("an answer"), TaskPut::Done);
}

async fn sweep(store: &dyn Store, now: u64, tombstone: u64, limit: usize) -> u64 {
    let swept = tx(store, async |tx| tx.task_sweep(Timestamp(now), tombstone, limit).await);
    swept.await.expect("swept")
}

async fn ids(store: &dyn Store, filter: &TaskFilter) -> Vec<String> {
    let rows = store.tasks(filter, None, 100).await.expect("read");
    rows.into_iter().map(|row| row.id).collect()
}

pub(super) async fn a_task_is_kept_as_it_was_made(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.task("a").await.expect("read"), None);
    let large = Bytes::from(vec![7; 300_000]);
    let rows = [
        TaskRow { owner: Some("w".to_owned()), ..row("a", 7) },
        TaskRow { tenant: "\u{1f600}'".to_owned(), call: large, ..keyed("b", "k") },
        TaskRow { phase: TaskPhase::Gone, call: Bytes::new(), ..row("c", u64::from(u32::MAX)) },
    ];
    for row in &rows {
        made(&*store, row).await;
        assert_eq!(found(&*store, &row.id).await, *row);
    }
    assert!(matches!(create(&*store, &rows[0]).await, Err(StoreError::Conflict)));
    let too_large = TaskRow { head: Bytes::from(vec![0; TASK_HEAD_BYTES_MAX + 1]), ..row("d", 1) };
    assert!(matches!(create(&*store, &too_large).await, Err(StoreError::TooLarge { .. })));
    let long = TaskRow { tenant: "x".repeat(2_000), ..row("d", 1) };
    assert!(matches!(create(&*store, &long).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.check().await.expect("looked"), Vec::<String>::new());
}

pub(super) async fn a_key_makes_a_repeated_creation_the_same_task(harness: &dyn Harness) {
    let store = harness.fresh().await;
    made(&*store, &keyed("a", "k")).await;
    made(&*store, &keyed("b", "other")).await;
    let same = TaskMade::Same("a".to_owned());
    assert_eq!(create(&*store, &keyed("c", "k")).await.expect("an answer"), same);
    assert_eq!(create(&*store, &keyed("a", "k")).await.expect("its own name"), same);
    end(&*store, "a", 10, b"done").await;
    assert_eq!(create(&*store, &keyed("c", "k")).await.expect("an answer"), same);
    assert_eq!(store.task("c").await.expect("read"), None);
    assert_eq!(sweep(&*store, 10, 10, 9).await, 1);
    // Whose key is gone, may be made anew.
    made(&*store, &keyed("c", "k")).await;
    let back = change(&found(&*store, "a").await, TaskPhase::Open);
    assert!(matches!(put(&*store, &back).await, Err(StoreError::Conflict)));
    // Those without a key have none in common.
    made(&*store, &row("d", 1)).await;
    made(&*store, &row("e", 1)).await;
}

pub(super) async fn of_many_who_make_a_task_of_one_key_one_does(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let other = harness.again().await.unwrap_or_else(|| Arc::clone(&store));
    let creators: Vec<_> = (0..20)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &store } else { &other });
            tokio::spawn(async move {
                loop {
                    match create(&*store, &keyed(&format!("t{n}"), "k")).await {
                        Ok(TaskMade::Done) => return format!("t{n}"),
                        Ok(TaskMade::Same(id)) => return id,
                        Err(StoreError::Conflict | StoreError::Busy) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for creator in creators {
        names.insert(creator.await.expect("no panic"));
    }
    assert_eq!(names.len(), 1, "{names:?}");
    assert_eq!(ids(&*store, &TaskFilter::default()).await.len(), 1);
}

pub(super) async fn a_change_is_made_of_what_was_read_and_of_nothing_else(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let first = TaskRow { owner: Some("w".to_owned()), ..row("a", 7) };
    made(&*store, &first).await;
    let asked = TaskChange { due: Timestamp(9), ..change(&first, TaskPhase::Open) };
    assert_eq!(put(&*store, &asked).await.expect("an answer"), TaskPut::Done);
    let second = found(&*store, "a").await;
    assert_eq!(second, TaskRow { due: Timestamp(9), version: 2, head: "head 2".into(), ..first.clone() });
    assert_eq!(put(&*store, &asked).await.expect("an answer"), TaskPut::Stale);
    let ended = TaskChange { owner: None, outcome: Some("done".into()), ..change(&second, TaskPhase::Ended) };
    assert_eq!(put(&*store, &ended).await.expect("an answer"), TaskPut::Done);
    let third = found(&*store, "a").await;
    let expected = TaskRow {
        phase: TaskPhase::Ended,
        owner: None,
        version: 3,
        head: "head 3".into(),
        call: Bytes::new(),
        outcome: "done".into(),
        ..second
    };
    assert_eq!(third, expected);
    // Its outcome stays where nothing is said of it, and goes with the task.
    assert_eq!(put(&*store, &change(&third, TaskPhase::Ended)).await.expect("an answer"), TaskPut::Done);
    let fourth = found(&*store, "a").await;
    assert_eq!((&fourth.outcome[..], fourth.version), (&b"done"[..], 4));
    assert_eq!(put(&*store, &change(&fourth, TaskPhase::Gone)).await.expect("an answer"), TaskPut::Done);
    assert_eq!(found(&*store, "a").await.outcome, Bytes::new());
    let none = TaskChange { id: "b".to_owned(), ..asked };
    assert_eq!(put(&*store, &none).await.expect("an answer"), TaskPut::Stale);
    let too_large = TaskChange { head: Bytes::from(vec![0; TASK_HEAD_BYTES_MAX + 1]), ..none };
    assert!(matches!(put(&*store, &too_large).await, Err(StoreError::TooLarge { .. })));
}

pub(super) async fn who_lost_his_lease_changes_nothing(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let take = async |owner: &str, now: u64| {
        let (now, until) = (Timestamp(now), Timestamp(now + 10));
        tx(&*store, async |tx| tx.lease_take("l", owner, now, until).await).await.expect("an answer")
    };
    let guarded = async |change: &TaskChange, owner: &str, fence: Fence| {
        let guard = Guard { name: "l", owner, fence };
        tx(&*store, async |tx| tx.task_put(change, Some(guard)).await).await.expect("an answer")
    };
    made(&*store, &row("a", 7)).await;
    let first = change(&found(&*store, "a").await, TaskPhase::Open);
    assert_eq!(guarded(&first, "w", Fence(1)).await, TaskPut::Fenced, "there is no lease");
    let fence = take("w", 10).await.expect("free");
    assert_eq!(guarded(&first, "w", fence).await, TaskPut::Done);
    assert_eq!(guarded(&first, "w", fence).await, TaskPut::Stale);
    let second = change(&found(&*store, "a").await, TaskPhase::Open);
    let lost = take("x", 20).await.expect("it has run out");
    assert_eq!(guarded(&second, "w", fence).await, TaskPut::Fenced);
    assert_eq!(guarded(&first, "w", fence).await, TaskPut::Fenced, "this is said first");
    assert_eq!(guarded(&second, "w", lost).await, TaskPut::Fenced);
    assert_eq!(guarded(&second, "x", lost).await, TaskPut::Done);
    // One that ran out and that nobody took is held.
    let third = change(&found(&*store, "a").await, TaskPhase::Open);
    assert_eq!(guarded(&third, "x", lost).await, TaskPut::Done);
    assert!(tx(&*store, async |tx| tx.lease_release("l", "x", lost).await).await.expect("released"));
    let fourth = change(&found(&*store, "a").await, TaskPhase::Open);
    assert_eq!(guarded(&fourth, "x", lost).await, TaskPut::Fenced);
    assert_eq!(found(&*store, "a").await.version, 4);
}

pub(super) async fn of_many_who_change_a_task_one_does(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let other = harness.again().await.unwrap_or_else(|| Arc::clone(&store));
    made(&*store, &row("a", 7)).await;
    let first = found(&*store, "a").await;
    let changers: Vec<_> = (0..20)
        .map(|n: u64| {
            let store = Arc::clone(if n.is_multiple_of(2) { &store } else { &other });
            let change = TaskChange { due: Timestamp(n), ..change(&first, TaskPhase::Open) };
            tokio::spawn(async move {
                loop {
                    match put(&*store, &change).await {
                        Ok(done) => return (done, n),
                        Err(StoreError::Conflict | StoreError::Busy) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut done = Vec::new();
    for changer in changers {
        let (put, n) = changer.await.expect("no panic");
        done.extend((put == TaskPut::Done).then_some(n));
    }
    assert_eq!(done.len(), 1, "{done:?}");
    let last = found(&*store, "a").await;
    assert_eq!((last.version, last.due), (2, Timestamp(done[0])));
}

pub(super) async fn tasks_are_given_out_by_what_has_to_be_done(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.task_next_due().await.expect("read"), None);
    for (id, due, owner) in [
        ("a", 30, None),
        ("b", 10, None),
        ("c", 20, Some("w")),
        ("d", 10, None),
        ("e", 20, Some("x")),
        ("f", 20, Some("w")),
    ] {
        made(&*store, &TaskRow { owner: owner.map(str::to_owned), ..row(id, due) }).await;
    }
    let due = async |now, limit| {
        let rows = store.tasks_due(Timestamp(now), limit).await.expect("read");
        rows.into_iter().map(|row| (row.id, row.call)).collect::<Vec<_>>()
    };
    let named = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), "call".into())).collect::<Vec<_>>();
    assert_eq!(due(9, 9).await, named(&[]));
    assert_eq!(due(10, 9).await, named(&["b", "d"]));
    assert_eq!(due(30, 9).await, named(&["b", "d", "a"]));
    assert_eq!(due(30, 1).await, named(&["b"]));
    assert_eq!(store.task_next_due().await.expect("read"), Some(Timestamp(10)));
    assert_eq!(store.task_owners().await.expect("read"), ["w", "x"]);
    let owned = async |owner, limit| {
        let rows = store.tasks_owned(owner, limit).await.expect("read");
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(owned("w", 9).await, ["c", "f"]);
    assert_eq!(owned("w", 1).await, ["c"]);
    assert_eq!(owned("y", 9).await, Vec::<String>::new());
    for id in ["b", "c", "d", "e"] {
        end(&*store, id, 40, b"done").await;
    }
    assert_eq!(due(99, 9).await, named(&["a"]));
    assert_eq!(store.task_owners().await.expect("read"), ["w"]);
    assert_eq!(store.task_next_due().await.expect("read"), Some(Timestamp(30)));
}

pub(super) async fn tasks_are_listed_the_newest_first(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (n, (holder, tenant)) in
        [("h", "t"), ("i", "t"), ("h", "u"), ("h", "t"), ("i", "u")].iter().enumerate()
    {
        let (holder, tenant) = ((*holder).to_owned(), (*tenant).to_owned());
        made(&*store, &TaskRow { holder, tenant, ..row(&format!("n{n}"), 5) }).await;
    }
    end(&*store, "n3", 10, b"done").await;
    end(&*store, "n2", 5, b"done").await;
    assert_eq!(sweep(&*store, 5, 100, 9).await, 1);
    let of = |holder: &str| TaskFilter { holder: Some(holder.to_owned()), ..TaskFilter::default() };
    assert_eq!(
        ids(&*store, &TaskFilter::default()).await,
        ["n4", "n3", "n1", "n0"],
        "not those that are gone"
    );
    assert_eq!(ids(&*store, &of("h")).await, ["n3", "n0"]);
    assert_eq!(ids(&*store, &of("nobody")).await, Vec::<String>::new());
    let ended = TaskFilter { phase: Some(TaskPhase::Ended), ..TaskFilter::default() };
    assert_eq!(ids(&*store, &ended).await, ["n3"]);
    let gone = TaskFilter { phase: Some(TaskPhase::Gone), ..of("h") };
    assert_eq!(ids(&*store, &gone).await, ["n2"]);
    let tenant = TaskFilter { tenant: Some("t".to_owned()), ..TaskFilter::default() };
    assert_eq!(ids(&*store, &tenant).await, ["n3", "n1", "n0"]);
    let page = store.tasks(&TaskFilter::default(), Some("n3"), 1).await.expect("read");
    assert_eq!(page.iter().map(|row| &*row.id).collect::<Vec<_>>(), ["n1"]);
    let head = &page[0];
    assert_eq!(
        (&head.call[..], &head.outcome[..], &head.head[..]),
        (&b""[..], &b""[..], &b"\0\xff head"[..])
    );
    let mut versions = store.task_versions(&["n0", "n3", "n0", "x"].map(str::to_owned)).await.expect("read");
    versions.sort_unstable();
    assert_eq!(versions, [("n0".to_owned(), 1), ("n3".to_owned(), 2)]);
    assert_eq!(store.task_versions(&[]).await.expect("read"), []);
}

pub(super) async fn what_a_tenant_has_is_counted(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.task_usage().await.expect("read"), []);
    made(&*store, &row("a", 5)).await;
    made(&*store, &row("b", 5)).await;
    made(&*store, &TaskRow { tenant: "u".to_owned(), ..row("c", 5) }).await;
    end(&*store, "b", 9, b"outcome").await;
    let usage = |tenant: &str, tasks, bytes| TaskUsage { tenant: tenant.to_owned(), tasks, bytes };
    let found = store.task_usage().await.expect("read");
    assert_eq!(found, [usage("t", 2, 11 + 6 + 7), usage("u", 1, 11)]);
    assert_eq!(found[1].bytes, found_bytes(&*store, "c").await);
    assert_eq!(sweep(&*store, 9, 9, 9).await, 1);
    assert_eq!(store.task_usage().await.expect("read")[0], usage("t", 1, 11));
}

async fn found_bytes(store: &dyn Store, id: &str) -> u64 {
    found(store, id).await.bytes()
}

pub(super) async fn a_sweep_leaves_that_a_task_was_there_and_then_nothing(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (id, due) in [("a", 30), ("b", 10), ("c", 20), ("d", 90)] {
        made(&*store, &keyed(id, id)).await;
        end(&*store, id, due, b"done").await;
    }
    made(&*store, &row("open", 1)).await;
    assert_eq!(sweep(&*store, 9, 100, 9).await, 0);
    assert_eq!(sweep(&*store, 30, 100, 2).await, 2, "those first that have been due the longest");
    let gone = found(&*store, "b").await;
    let head = (gone.phase, gone.due, gone.version, &gone.outcome[..], &gone.head[..]);
    assert_eq!(head, (TaskPhase::Gone, Timestamp(130), 3, &b""[..], &b"head 2"[..]));
    assert_eq!(found(&*store, "a").await.phase, TaskPhase::Ended);
    assert_eq!(sweep(&*store, 30, 100, 9).await, 1);
    assert_eq!(sweep(&*store, 30, 100, 9).await, 0);
    assert_eq!(sweep(&*store, 130, 100, 2).await, 2, "one that has ended, and one that is gone");
    assert_eq!(found(&*store, "d").await.phase, TaskPhase::Gone);
    assert_eq!(sweep(&*store, 130, 100, 9).await, 2);
    for id in ["a", "b", "c"] {
        assert_eq!(store.task(id).await.expect("read"), None, "{id}");
    }
    // Without a tombstone nothing is left at once.
    end(&*store, "open", 140, b"done").await;
    assert_eq!(sweep(&*store, 140, 0, 9).await, 1);
    assert_eq!(store.task("open").await.expect("read"), None);
    assert_eq!(found(&*store, "d").await.phase, TaskPhase::Gone);
}

pub(super) async fn a_large_value_is_there_once_it_is_kept(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let part = async |name: &str, part: u32, data: &'static [u8], expires: u64| {
        let (data, expires) = (Bytes::from_static(data), Timestamp(expires));
        tx(&*store, async |tx| tx.blob_put(name, part, &data, expires).await).await
    };
    let keep = async |name: &str, parts: u32, expires: u64| {
        let kept = tx(&*store, async |tx| tx.blob_keep(name, parts, Timestamp(expires)).await);
        kept.await.expect("an answer")
    };
    let swept = async |now: u64, limit: usize| {
        tx(&*store, async |tx| tx.blob_sweep(Timestamp(now), limit).await).await.expect("swept")
    };
    let whole = async |name: &str| store.blob(name).await.expect("read");
    assert_eq!(whole("a").await, None);
    assert!(!keep("a", 1, 9).await);
    part("a", 1, b"\0two", 10).await.expect("put");
    assert!(!keep("a", 1, 9).await && !keep("a", 2, 9).await && !keep("a", 0, 9).await);
    part("a", 0, b"one\xff", 20).await.expect("put");
    assert!(matches!(part("a", 0, b"again", 20).await, Err(StoreError::Conflict)));
    assert!(!keep("a", 1, 9).await && !keep("a", 3, 9).await);
    assert_eq!(whole("a").await, None, "it is not kept yet");
    assert_eq!(swept(19, 9).await, 0, "the latest of its parts counts");
    assert!(keep("a", 2, 15).await);
    assert_eq!(whole("a").await.as_deref(), Some(&b"one\xff\0two"[..]));
    assert!(matches!(part("a", 2, b"more", 20).await, Err(StoreError::Conflict)));
    assert_eq!(swept(14, 9).await, 0);
    part("b", 0, b"b", 12).await.expect("put");
    assert_eq!(swept(15, 2).await, 2, "that of b, and the first of a");
    assert_eq!(whole("a").await, None, "it is whole no more");
    assert_eq!(swept(15, 9).await, 1);
    assert_eq!(swept(15, 9).await, 0);
    part("a", 0, b"anew", 30).await.expect("its name is free");
    assert!(matches!(part("a", 256, b"x", 30).await, Err(StoreError::TooLarge { .. })));
    assert_eq!(store.check().await.expect("looked"), Vec::<String>::new());
}

pub(super) async fn tasks_and_large_values_move_to_another_store(harness: &dyn Harness) {
    let store = harness.fresh().await;
    made(&*store, &keyed("a", "k")).await;
    made(&*store, &TaskRow { owner: Some("w".to_owned()), ..row("b", 5) }).await;
    end(&*store, "a", 10, b"done").await;
    let filled = tx(&*store, async |tx| {
        for part in 0..3 {
            tx.blob_put("whole", part, &Bytes::from(vec![0, 255]), Timestamp(50)).await?;
        }
        tx.blob_keep("whole", 3, Timestamp(60)).await?;
        tx.blob_put("begun", 4, &Bytes::from_static(b"x"), Timestamp(50)).await
    });
    filled.await.expect("filled");
    let held = all(&*store).await;
    assert_eq!(held.0.len(), 1 + 2 + 2 + 4, "{held:?}");
    let mut dump = Vec::new();
    crate::write_dump(&*store, &mut dump).await.expect("written");
    let other = harness.fresh().await;
    crate::read_dump(&*other, &mut &dump[..]).await.expect("read");
    assert_eq!(all(&*other).await, held);
    assert_eq!(other.task_owners().await.expect("read"), ["w"]);
    assert_eq!(create(&*other, &keyed("c", "k")).await.expect("an answer"), TaskMade::Same("a".to_owned()));
    assert_eq!(other.blob("whole").await.expect("read").expect("whole").len(), 6);
    assert_eq!(other.blob("begun").await.expect("read"), None);
}
