//! Transactions, and the store as a whole.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::{Harness, LATER, all, tx};
use crate::{Changed, Store, StoreError};

async fn level(store: &dyn Store, name: &str) -> Option<String> {
    store.session(name).await.expect("read").and_then(|row| row.level)
}

pub(super) async fn nothing_of_a_dropped_transaction_is_seen(harness: &dyn Harness) {
    let store = harness.fresh().await;
    tx(&*store, async |tx| tx.session_subscribe("s", "a", 9, LATER).await).await.expect("subscribed");
    let before = all(&*store).await;
    let mut dropped = store.begin().await.expect("begun");
    dropped.session_level_set("s", "info", LATER).await.expect("set");
    dropped.session_subscribe("t", "a", 9, LATER).await.expect("subscribed");
    dropped.session_unsubscribe("s", "a", LATER).await.expect("unsubscribed");
    dropped.lease_take("l", "o", LATER, LATER).await.expect("taken");
    dropped.key_add(&super::keys::key("k", 1)).await.expect("added");
    drop(dropped);
    assert_eq!(all(&*store).await, before);
    assert_eq!(store.sessions_changed(crate::Seq(1), 9).await.expect("read"), []);
}

pub(super) async fn nothing_of_a_transaction_is_seen_before_its_commit(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut open = store.begin().await.expect("begun");
    open.session_level_set("s", "info", LATER).await.expect("set");
    // A store may let readers wait for the end of a change, but show nothing of it.
    let early = level(&*store, "s").now_or_never().flatten();
    assert_eq!(early, None);
    open.commit().await.expect("committed");
    assert_eq!(level(&*store, "s").await.as_deref(), Some("info"));
}

pub(super) async fn a_transaction_sees_its_own_changes(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let changed = tx(&*store, async |tx| {
        tx.session_subscribe("s", "a", 1, LATER).await?;
        let full = tx.session_subscribe("s", "b", 1, LATER).await?;
        tx.session_end("s", LATER).await?;
        Ok([full, tx.session_level_set("s", "info", LATER).await?])
    });
    assert_eq!(changed.await.expect("committed"), [Changed::Full, Changed::Ended]);
}

pub(super) async fn a_transaction_that_is_dropped_in_the_middle_of_a_verb_leaves_nothing(
    harness: &dyn Harness,
) {
    let store = harness.fresh().await;
    for _ in 0..20 {
        let mut open = store.begin().await.expect("begun");
        open.session_level_set("s", "info", LATER).await.expect("set");
        // Polled once, and then forgotten.
        let _ = open.session_subscribe("s", "a", 9, LATER).now_or_never();
        drop(open);
        assert_eq!(store.session("s").await.expect("read"), None);
    }
    // A commit that nobody waited for took place as a whole or not at all.
    for n in 0..20 {
        let name = n.to_string();
        let mut open = store.begin().await.expect("begun");
        open.session_level_set(&name, "info", LATER).await.expect("set");
        open.session_subscribe(&name, "a", 9, LATER).await.expect("subscribed");
        let _ = open.commit().now_or_never();
        // Whatever became of it is through once the next one is.
        tx(&*store, async |tx| tx.session_level_set("x", "info", LATER).await).await.expect("set");
        let row = store.session(&name).await.expect("read");
        assert!(row.is_none_or(|row| row.uris.len() == 1 && row.level.is_some()));
    }
}

pub(super) async fn what_was_committed_is_found_by_others(harness: &dyn Harness) {
    let store = harness.fresh().await;
    tx(&*store, async |tx| tx.session_level_set("s", "info", LATER).await).await.expect("set");
    let Some(other) = harness.again().await else { return };
    assert_eq!(level(&*other, "s").await.as_deref(), Some("info"));
    tx(&*other, async |tx| tx.session_level_set("s", "debug", LATER).await).await.expect("set");
    assert_eq!(level(&*store, "s").await.as_deref(), Some("debug"));
    store.close().await;
    tx(&*other, async |tx| tx.session_subscribe("s", "a", 9, LATER).await).await.expect("subscribed");
    other.close().await;
    let third = harness.again().await.expect("as before");
    let row = third.session("s").await.expect("read").expect("a session");
    assert_eq!((row.level.as_deref(), row.uris.len(), row.seq.0), (Some("debug"), 1, 3));
}

pub(super) async fn a_commit_wakes_whoever_waits(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut wakes = store.wakes();
    wakes.mark_unchanged();
    tx(&*store, async |tx| tx.session_level_set("s", "info", LATER).await).await.expect("set");
    wakes.changed().await.expect("the store is there");
}

pub(super) async fn a_closed_store_refuses(harness: &dyn Harness) {
    let store = harness.fresh().await;
    store.close().await;
    let refused = [
        store.begin().await.err(),
        store.session("s").await.err(),
        store.replicas().await.err(),
        store.keys().await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StoreError::Unavailable { maybe_written: false, .. })), "{error:?}");
    }
    store.close().await;
}

pub(super) async fn a_store_that_is_in_order_says_so(harness: &dyn Harness) {
    let store: Arc<dyn Store> = harness.fresh().await;
    assert_eq!(store.check().await.expect("looked"), Vec::<String>::new());
    tx(&*store, async |tx| tx.session_subscribe("s", "a", 9, LATER).await).await.expect("subscribed");
    assert_eq!(store.check().await.expect("looked"), Vec::<String>::new());
}
