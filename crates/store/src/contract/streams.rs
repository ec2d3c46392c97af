//! What is kept of streams.

use bytes::Bytes;
use model::Timestamp;

use super::{Harness, LATER, tx};
use crate::limit::EVENT_BYTES_MAX;
use crate::{Appended, Store, StoreError, StreamLimits, StreamPart};

const MANY: StreamLimits = StreamLimits { events: 1000, bytes: 1_000_000 };

fn events(texts: &[&'static str]) -> Vec<Bytes> {
    texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
}

async fn append(store: &dyn Store, first: u64, texts: &[&'static str], limits: StreamLimits) -> Appended {
    let events = events(texts);
    tx(store, async |tx| tx.stream_append("st", "s", first, &events, limits, LATER).await)
        .await
        .expect("told")
}

async fn read(store: &dyn Store, from: u64, limit: usize) -> (Vec<(u64, Bytes)>, StreamPart) {
    let part = store.stream_from("st", from, limit).await.expect("read").expect("a stream");
    (part.events.clone(), part)
}

pub(super) async fn a_stream_gives_its_events_in_order(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert_eq!(store.stream_from("st", 0, 9).await.expect("read"), None);
    assert_eq!(append(&*store, 7, &["a", "b"], MANY).await, Appended::Done);
    assert_eq!(append(&*store, 9, &["", "d\0\u{ff}"], MANY).await, Appended::Done);
    assert_eq!(append(&*store, 11, &[], MANY).await, Appended::Done);
    let (all, part) = read(&*store, 0, 9).await;
    let numbered: Vec<(u64, Bytes)> = (7..).zip(events(&["a", "b", "", "d\0\u{ff}"])).collect();
    assert_eq!(all, numbered);
    assert_eq!((part.head.first, part.head.next, part.head.bytes, part.head.closed), (7, 11, 6, false));
    assert_eq!((part.head.session.as_str(), part.head.expires), ("s", LATER));
    assert_eq!(read(&*store, 9, 9).await.0, numbered[2..]);
    assert_eq!(read(&*store, 8, 2).await.0, numbered[1..3]);
    assert_eq!(read(&*store, 11, 9).await.0, []);
    assert_eq!(read(&*store, u64::MAX, 9).await.0, []);
    assert_eq!(store.stream_from("other", 0, 9).await.expect("read"), None);
}

pub(super) async fn events_are_added_all_or_none(harness: &dyn Harness) {
    let store = harness.fresh().await;
    append(&*store, 1, &["a"], MANY).await;
    for wrong in [0, 1, 3, u64::MAX] {
        assert_eq!(append(&*store, wrong, &["b", "c"], MANY).await, Appended::Expected(2), "{wrong}");
    }
    assert_eq!(read(&*store, 0, 9).await.0.len(), 1);
}

pub(super) async fn a_stream_keeps_no_more_than_it_may(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let limits = StreamLimits { events: 3, bytes: 5 };
    assert_eq!(append(&*store, 0, &["a", "b"], limits).await, Appended::Done);
    assert_eq!(append(&*store, 2, &["c", "d"], limits).await, Appended::Full);
    assert_eq!(append(&*store, 2, &["cdef"], limits).await, Appended::Full);
    assert_eq!(append(&*store, 2, &["cde"], limits).await, Appended::Done);
    assert_eq!(append(&*store, 3, &[""], limits).await, Appended::Full);
    assert_eq!(read(&*store, 0, 9).await.0.len(), 3);
    let big = [Bytes::from(vec![0; EVENT_BYTES_MAX + 1])];
    let refused = tx(&*store, async |tx| tx.stream_append("b", "s", 0, &big, MANY, LATER).await).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "an event", .. })), "{refused:?}");
}

pub(super) async fn a_closed_stream_takes_nothing(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let close =
        async |name: &str| tx(&*store, async |tx| tx.stream_close(name, LATER).await).await.expect("closed");
    assert!(!close("st").await, "there is none");
    append(&*store, 0, &["a"], MANY).await;
    assert!(close("st").await);
    assert!(close("st").await);
    assert_eq!(append(&*store, 1, &["b"], MANY).await, Appended::Closed);
    let (events, part) = read(&*store, 0, 9).await;
    assert_eq!((events.len(), part.head.closed), (1, true));
}

pub(super) async fn a_stream_belongs_to_one_session(harness: &dyn Harness) {
    let store = harness.fresh().await;
    append(&*store, 0, &["a"], MANY).await;
    let events = events(&["b"]);
    let other = tx(&*store, async |tx| tx.stream_append("st", "t", 1, &events, MANY, LATER).await).await;
    assert_eq!(other.expect("told"), Appended::Expected(1));
    assert_eq!(read(&*store, 0, 9).await.0.len(), 1);
}

pub(super) async fn a_stream_expires_when_its_latest_change_says(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let one = events(&["a"]);
    for (name, first, expires) in [("st", 0, 10), ("su", 0, 10), ("su", 1, 20), ("su", 2, 15), ("sv", 0, 10)]
    {
        let at = Timestamp(expires);
        let done = tx(&*store, async |tx| tx.stream_append(name, "s", first, &one, MANY, at).await).await;
        assert_eq!(done.expect("told"), Appended::Done);
    }
    assert!(tx(&*store, async |tx| tx.stream_drop("sv").await).await.expect("dropped"));
    assert!(!tx(&*store, async |tx| tx.stream_drop("sv").await).await.expect("dropped"));
    let sweep =
        async |now| tx(&*store, async |tx| tx.stream_sweep(Timestamp(now)).await).await.expect("swept");
    assert_eq!((sweep(9).await, sweep(10).await, sweep(19).await), (0, 1, 0));
    assert_eq!(store.stream_from("st", 0, 9).await.expect("read"), None);
    assert_eq!(store.stream_from("su", 0, 9).await.expect("read").expect("a stream").events.len(), 3);
    assert_eq!(append(&*store, 5, &["x"], MANY).await, Appended::Done, "another stream of that name");
    assert_eq!(read(&*store, 0, 9).await.0.len(), 1);
}
