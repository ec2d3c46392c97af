//! The directory of replicas.

use model::{ReplicaId, Timestamp};

use super::{Harness, tx};
use crate::ReplicaRow;

fn replica(id: &str, at: u64) -> ReplicaRow {
    ReplicaRow {
        id: ReplicaId::parse(id).expect("a name"),
        url: "http://10.0.0.7:7401".to_owned(),
        started: Timestamp(1),
        at: Timestamp(at),
        beat: 1,
        version: "0.1.0".to_owned(),
        keys: "0001abff".to_owned(),
        draining: false,
    }
}

pub(super) async fn a_replica_is_as_it_told_last(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let (one, two) = (replica("00000000000a", 5), replica("00000000000b", 5));
    for row in [&two, &one] {
        tx(&*store, async |tx| tx.replica_beat(row).await).await.expect("told");
    }
    assert_eq!(store.replicas().await.expect("read"), [one.clone(), two.clone()]);
    let later = ReplicaRow { beat: 2, draining: true, at: Timestamp(9), url: String::new(), ..one };
    tx(&*store, async |tx| tx.replica_beat(&later).await).await.expect("told");
    assert_eq!(store.replicas().await.expect("read"), [later, two]);
}

pub(super) async fn a_replica_that_left_or_was_silent_too_long_is_not_listed(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let rows = ["00000000000a", "00000000000b", "00000000000c", "00000000000d"];
    let rows: Vec<ReplicaRow> =
        rows.into_iter().zip([5, 9, 10, 11]).map(|(id, at)| replica(id, at)).collect();
    for row in &rows {
        tx(&*store, async |tx| tx.replica_beat(row).await).await.expect("told");
    }
    tx(&*store, async |tx| tx.replica_leave(&rows[3].id).await).await.expect("left");
    tx(&*store, async |tx| tx.replica_leave(&rows[3].id).await).await.expect("left again");
    let swept = tx(&*store, async |tx| tx.replica_sweep(Timestamp(10)).await).await.expect("swept");
    assert_eq!(swept, 2);
    assert_eq!(store.replicas().await.expect("read"), [rows[2].clone()]);
}

pub(super) async fn a_replica_is_kept_as_it_was_written(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let odd = ReplicaRow {
        url: "http://[::1]:1/ä'\"\\;--".to_owned(),
        started: Timestamp(0),
        at: Timestamp(i64::MAX as u64),
        beat: i64::MAX as u64,
        version: "\u{1f600}\n".to_owned(),
        keys: String::new(),
        ..replica("ffffffffffff", 0)
    };
    tx(&*store, async |tx| tx.replica_beat(&odd).await).await.expect("told");
    assert_eq!(store.replicas().await.expect("read"), [odd]);
}
