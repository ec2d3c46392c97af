//! Leases.

use std::sync::Arc;

use model::Timestamp;

use super::{Harness, tx};
use crate::limit::NAME_BYTES_MAX;
use crate::{Fence, Store, StoreError};

async fn take(store: &dyn Store, owner: &str, now: u64, until: u64) -> Option<Fence> {
    let (now, until) = (Timestamp(now), Timestamp(until));
    tx(store, async |tx| tx.lease_take("l", owner, now, until).await).await.expect("an answer")
}

async fn take_once(store: &dyn Store, owner: &str) -> Result<Option<Fence>, StoreError> {
    let mut tx = store.begin().await?;
    let fence = tx.lease_take("l", owner, Timestamp(1), Timestamp(9)).await?;
    tx.commit().await?;
    Ok(fence)
}

async fn renew(store: &dyn Store, owner: &str, fence: Fence, until: u64) -> bool {
    tx(store, async |tx| tx.lease_renew("l", owner, fence, Timestamp(until)).await).await.expect("an answer")
}

async fn release(store: &dyn Store, owner: &str, fence: Fence) -> bool {
    tx(store, async |tx| tx.lease_release("l", owner, fence).await).await.expect("an answer")
}

pub(super) async fn a_lease_has_one_holder(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.lease("l").await.expect("read"), None);
    assert_eq!(take(&*store, "a", 10, 20).await, Some(Fence(1)));
    assert_eq!(take(&*store, "b", 19, 30).await, None);
    let row = store.lease("l").await.expect("read").expect("a lease");
    assert_eq!((row.owner.as_deref(), row.fence, row.until), (Some("a"), Fence(1), Timestamp(20)));
    assert_eq!(take(&*store, "b", 20, 30).await, Some(Fence(2)), "it has run out");
    assert_eq!(take(&*store, "a", 20, 30).await, None);
    assert!(release(&*store, "b", Fence(2)).await);
    assert!(!release(&*store, "b", Fence(2)).await);
    assert_eq!(store.lease("l").await.expect("read").expect("a lease").owner, None);
    assert_eq!(take(&*store, "a", 21, 30).await, Some(Fence(3)), "it was given back");
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let at = Timestamp(1);
    for (name, owner) in [("l", &*long), (&long, "a")] {
        let refused = tx(&*store, async |tx| tx.lease_take(name, owner, at, at).await).await;
        assert!(matches!(refused, Err(StoreError::TooLarge { .. })));
    }
}

pub(super) async fn a_lease_that_was_lost_is_not_renewed(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert!(!renew(&*store, "a", Fence(1), 9).await, "there is none");
    let first = take(&*store, "a", 10, 20).await.expect("free");
    assert!(renew(&*store, "a", first, 30).await);
    assert_eq!(take(&*store, "b", 29, 40).await, None);
    assert!(!renew(&*store, "b", first, 50).await);
    assert!(!renew(&*store, "a", Fence(first.0 + 1), 50).await);
    let second = take(&*store, "b", 30, 40).await.expect("it has run out");
    assert!(!renew(&*store, "a", first, 50).await);
    assert!(!release(&*store, "a", first).await);
    assert!(renew(&*store, "b", second, 60).await);
    // Nobody took it meanwhile.
    assert!(renew(&*store, "b", second, 5).await && renew(&*store, "b", second, 70).await);
    assert!(release(&*store, "b", second).await);
    assert!(!renew(&*store, "b", second, 80).await);
}

pub(super) async fn a_fence_grows_whenever_a_lease_is_taken(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let mut last = Fence(0);
    for (owner, now) in [("a", 0), ("a", 0), ("b", 10), ("b", 11), ("a", 30)] {
        let fence = take(&*store, owner, now, now + 10).await.expect("free");
        assert!(fence > last);
        last = fence;
    }
    release(&*store, "a", last).await;
    assert!(take(&*store, "a", 30, 40).await.expect("free") > last);
}

pub(super) async fn of_many_who_take_a_lease_one_gets_it(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let other = harness.again().await.unwrap_or_else(|| Arc::clone(&store));
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &store } else { &other });
            tokio::spawn(async move {
                loop {
                    let owner = n.to_string();
                    match take_once(&*store, &owner).await {
                        Ok(fence) => return fence,
                        Err(StoreError::Conflict | StoreError::Busy) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.expect("no panic"));
    }
    assert_eq!(taken, [Fence(1)]);
}

pub(super) async fn leases_of_a_kind_are_forgotten_once_they_ran_out(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (name, until) in [("w/a", 10), ("w/b", 20), ("w", 10), ("x/w/", 10)] {
        let taken = tx(&*store, async |tx| tx.lease_take(name, "o", Timestamp(1), Timestamp(until)).await);
        assert!(taken.await.expect("an answer").is_some());
    }
    let sweep = async |before: u64| {
        tx(&*store, async |tx| tx.lease_sweep("w/", Timestamp(before)).await).await.expect("swept")
    };
    assert_eq!(sweep(10).await, 0);
    assert_eq!(sweep(11).await, 1);
    assert_eq!(store.lease("w/a").await.expect("read"), None);
    for name in ["w/b", "w", "x/w/"] {
        assert!(store.lease(name).await.expect("read").is_some(), "{name}");
    }
}
