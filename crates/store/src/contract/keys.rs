//! The keys of the ring.

use model::Timestamp;

use super::{Harness, tx};
use crate::KeyRow;

pub(super) fn key(id: &str, secret: u8) -> KeyRow {
    KeyRow {
        id: id.to_owned(),
        created: Timestamp(1),
        active_from: Timestamp(2),
        retired_at: None,
        secret: [secret; 32],
    }
}

pub(super) async fn a_key_is_added_once(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let add = async |row: &KeyRow| tx(&*store, async |tx| tx.key_add(row).await).await.expect("an answer");
    assert!(add(&key("b", 0)).await);
    assert!(add(&key("a", 255)).await);
    assert!(!add(&key("a", 3)).await);
    assert_eq!(store.keys().await.expect("read"), [key("a", 255), key("b", 0)]);
}

pub(super) async fn a_key_retires_and_is_forgotten(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for row in [key("a", 1), key("b", 2), key("c", 3)] {
        tx(&*store, async |tx| tx.key_add(&row).await).await.expect("added");
    }
    let retire = async |id: &str, at: Option<u64>| {
        tx(&*store, async |tx| tx.key_retire(id, at.map(Timestamp)).await).await.expect("an answer")
    };
    assert!(retire("a", Some(10)).await && retire("b", Some(20)).await && !retire("x", Some(1)).await);
    assert_eq!(store.keys().await.expect("read")[0].retired_at, Some(Timestamp(10)));
    let sweep =
        async |before| tx(&*store, async |tx| tx.key_sweep(Timestamp(before)).await).await.expect("swept");
    assert_eq!((sweep(10).await, sweep(11).await), (0, 1));
    assert!(retire("b", None).await);
    assert_eq!(sweep(1000).await, 0);
    assert_eq!(store.keys().await.expect("read"), [key("b", 2), key("c", 3)]);
}

pub(super) async fn a_key_is_never_shown(harness: &dyn Harness) {
    let store = harness.fresh().await;
    tx(&*store, async |tx| tx.key_add(&key("a", 0xab)).await).await.expect("added");
    let shown = format!("{:?}", store.keys().await.expect("read"));
    assert!(shown.contains("[secret]") && !shown.contains("171") && !shown.contains("ab,"), "{shown}");
}
