//! What clients change in their sessions.

use std::collections::BTreeMap;

use model::Timestamp;

use super::{Harness, LATER, tx};
use crate::limit::{LEVEL_BYTES_MAX, NAME_BYTES_MAX, URI_BYTES_MAX};
use crate::{Changed, Seq, Store, StoreError};

async fn subscribe(store: &dyn Store, name: &str, uri: &str, max: usize) -> Changed {
    tx(store, async |tx| tx.session_subscribe(name, uri, max, LATER).await).await.expect("subscribed")
}

pub(super) async fn a_session_is_what_its_changes_made_it(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.session("s").await.expect("read"), None);
    let set = async |level: &str| {
        tx(&*store, async |tx| tx.session_level_set("s", level, LATER).await).await.expect("set")
    };
    let first = set("info").await;
    assert_eq!(set("debug").await, Changed::Done(Seq(2)));
    assert_eq!(first, Changed::Done(Seq(1)), "the first change of all");
    assert_eq!(subscribe(&*store, "s", "file:///a", 9).await, Changed::Done(Seq(3)));
    assert_eq!(subscribe(&*store, "s", "file:///b", 9).await, Changed::Done(Seq(4)));
    let unsubscribed = tx(&*store, async |tx| tx.session_unsubscribe("s", "file:///a", LATER).await).await;
    assert_eq!(unsubscribed.expect("unsubscribed"), Changed::Done(Seq(5)));
    let row = store.session("s").await.expect("read").expect("a session");
    assert_eq!((row.level.as_deref(), row.ended, row.expires), (Some("debug"), false, LATER));
    assert_eq!(row.uris.into_iter().collect::<Vec<_>>(), ["file:///b"]);
    assert_eq!((row.seq, store.sessions_seq().await.expect("read")), (Seq(5), Seq(5)));
    assert_eq!(store.session("t").await.expect("read"), None, "another session is another one");
}

pub(super) async fn a_session_that_ended_stays_ended(harness: &dyn Harness) {
    let store = harness.fresh().await;
    subscribe(&*store, "s", "file:///a", 9).await;
    let end = async || tx(&*store, async |tx| tx.session_end("s", LATER).await).await.expect("ended");
    assert_eq!(end().await, Changed::Done(Seq(2)));
    assert_eq!(end().await, Changed::Ended);
    assert_eq!(subscribe(&*store, "s", "file:///b", 9).await, Changed::Ended);
    let level = tx(&*store, async |tx| tx.session_level_set("s", "info", LATER).await).await;
    assert_eq!(level.expect("an answer"), Changed::Ended);
    let row = store.session("s").await.expect("read").expect("a session");
    assert_eq!((row.ended, row.seq, row.uris.len(), row.level), (true, Seq(2), 0, None));
    let never = tx(&*store, async |tx| tx.session_end("t", LATER).await).await.expect("ended");
    assert_eq!(never, Changed::Done(Seq(3)), "one in which nothing was changed ends as well");
}

pub(super) async fn a_session_takes_so_many_subscriptions_and_no_more(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(subscribe(&*store, "s", "a", 2).await, Changed::Done(Seq(1)));
    assert_eq!(subscribe(&*store, "s", "b", 2).await, Changed::Done(Seq(2)));
    assert_eq!(subscribe(&*store, "s", "c", 2).await, Changed::Full);
    assert!(matches!(subscribe(&*store, "s", "b", 2).await, Changed::Done(_)), "it has this one");
    tx(&*store, async |tx| tx.session_unsubscribe("s", "a", LATER).await).await.expect("unsubscribed");
    assert!(matches!(subscribe(&*store, "s", "c", 2).await, Changed::Done(_)));
    assert_eq!(subscribe(&*store, "t", "c", 0).await, Changed::Full);
    assert_eq!(store.session("t").await.expect("read"), None, "nothing was changed");
}

async fn subscribe_once(store: &dyn Store, uri: &str) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    let changed = tx.session_subscribe("s", uri, 20, LATER).await?;
    tx.commit().await?;
    Ok(changed)
}

pub(super) async fn a_limit_holds_however_many_subscribe_at_the_same_time(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                loop {
                    let uri = format!("file:///{n}");
                    match subscribe_once(&*store, &uri).await {
                        Ok(changed) => return changed,
                        Err(StoreError::Conflict | StoreError::Busy) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += usize::from(matches!(task.await.expect("no panic"), Changed::Done(_)));
    }
    let row = store.session("s").await.expect("read").expect("a session");
    assert_eq!((done, row.uris.len()), (20, 20));
}

pub(super) async fn a_session_expires_when_its_latest_change_says(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let set = async |name: &str, expires| {
        tx(&*store, async |tx| tx.session_level_set(name, "info", Timestamp(expires)).await)
            .await
            .expect("set")
    };
    set("s", 10).await;
    set("t", 10).await;
    set("t", 30).await;
    set("t", 20).await;
    subscribe(&*store, "u", "a", 1).await;
    let sweep =
        async |now| tx(&*store, async |tx| tx.session_sweep(Timestamp(now)).await).await.expect("swept");
    assert_eq!((sweep(9).await, sweep(10).await, sweep(29).await, sweep(30).await), (0, 1, 0, 1));
    assert_eq!(store.session("t").await.expect("read"), None);
    let left = store.sessions_changed(Seq(0), 9).await.expect("read");
    assert_eq!(left.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), ["u"]);
    let again = set("s", 50).await;
    assert_eq!(again, Changed::Done(Seq(6)), "numbers are not used twice");
    assert!(store.session("s").await.expect("read").expect("a session").uris.is_empty());
}

pub(super) async fn the_feed_tells_of_each_session_at_its_last_change(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for name in ["a", "b", "c", "a"] {
        tx(&*store, async |tx| tx.session_level_set(name, "info", LATER).await).await.expect("set");
    }
    let feed = async |after, limit| {
        let found = store.sessions_changed(Seq(after), limit).await.expect("read");
        found.into_iter().map(|(seq, name)| format!("{}{name}", seq.0)).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(feed(0, 9).await, "2b 3c 4a");
    assert_eq!(feed(0, 2).await, "2b 3c");
    assert_eq!(feed(2, 9).await, "3c 4a");
    assert_eq!(feed(4, 9).await, "");
    assert_eq!(feed(u64::MAX, 9).await, "");
    let undone = async {
        let mut tx = store.begin().await.expect("begun");
        tx.session_level_set("d", "info", LATER).await.expect("set");
    };
    undone.await;
    assert_eq!(feed(4, 9).await, "");
    tx(&*store, async |tx| tx.session_end("c", LATER).await).await.expect("ended");
    assert_eq!(feed(2, 9).await, "4a 5c");
}

/// Two changes in one transaction, so that commits and numbers could get out of step.
async fn set_two(store: &dyn Store, writer: u64, change: u64) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    tx.session_level_set(&format!("{writer}-{change}"), "info", LATER).await?;
    tokio::task::yield_now().await;
    tx.session_level_set(&format!("{writer}-{}", change + 1), "info", LATER).await?;
    tx.commit().await
}

pub(super) async fn the_feed_misses_nothing_while_many_write(harness: &dyn Harness) {
    const WRITERS: u64 = 8;
    const CHANGES: u64 = 20;
    let store = harness.fresh().await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = std::sync::Arc::clone(&store);
            tokio::spawn(async move {
                let mut change = 0;
                while change < CHANGES {
                    match set_two(&*store, writer, change).await {
                        Ok(_) => change += 2,
                        Err(StoreError::Conflict | StoreError::Busy) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut seen = BTreeMap::new();
    let mut last = Seq(0);
    while seen.len() < usize::try_from(WRITERS * CHANGES).expect("few") {
        let done = writers.iter().all(tokio::task::JoinHandle::is_finished);
        let found = store.sessions_changed(last, 7).await.expect("read");
        assert!(!(done && found.is_empty()), "of {} only {} were told", WRITERS * CHANGES, seen.len());
        for (seq, name) in found {
            assert!(seq > last && seen.insert(name, seq).is_none());
            last = seq;
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
}

pub(super) async fn names_are_told_apart_byte_by_byte(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let names = ["a", "A", "a ", "\u{e9}", "e\u{301}", "a%", "a_", "'", "", "\u{1f600}"];
    for (level, name) in names.iter().enumerate() {
        let level = level.to_string();
        tx(&*store, async |tx| tx.session_level_set(name, &level, LATER).await).await.expect("set");
    }
    for (level, name) in names.iter().enumerate() {
        let row = store.session(name).await.expect("read").expect("a session");
        assert_eq!(row.level, Some(level.to_string()), "{name:?}");
    }
}

pub(super) async fn a_value_that_is_too_long_is_refused_by_name(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let x = |bytes| "x".repeat(bytes);
    let (name, level, uri) = (x(NAME_BYTES_MAX), x(LEVEL_BYTES_MAX), x(URI_BYTES_MAX));
    tx(&*store, async |tx| tx.session_level_set(&name, &level, LATER).await).await.expect("just fits");
    assert!(matches!(subscribe(&*store, &name, &uri, 1).await, Changed::Done(_)));
    for (name, level, uri, said) in [
        (x(NAME_BYTES_MAX + 1), x(1), x(1), "store the name of a session of more than 256 bytes"),
        (x(1), x(LEVEL_BYTES_MAX + 1), x(1), "store a log level of more than 64 bytes"),
        (x(1), x(1), x(URI_BYTES_MAX + 1), "store a URI of more than 16384 bytes"),
    ] {
        let set = tx(&*store, async |tx| {
            tx.session_level_set(&name, &level, LATER).await?;
            tx.session_subscribe(&name, &uri, 9, LATER).await
        });
        assert_eq!(set.await.expect_err(said).to_string(), said);
    }
    assert_eq!(store.session("x").await.expect("read"), None);
}
