//! What users have granted.

use bytes::Bytes;
use model::Timestamp;

use super::{Harness, LATER, tx};
use crate::{GRANT_BYTES_MAX, GrantFilter, GrantRow, Store, StoreError};

/// One that was not written yet.
pub(super) fn grant(name: &str, upstream: &str) -> GrantRow {
    GrantRow {
        name: name.to_owned(),
        tenant: "acme".to_owned(),
        holder: "idp:ann".to_owned(),
        upstream: upstream.to_owned(),
        version: 0,
        expires: LATER,
        data: Bytes::from_static(b"\0\xffsealed"),
    }
}

async fn put(store: &dyn Store, row: &GrantRow) -> bool {
    tx(store, async |tx| tx.grant_put(row).await).await.expect("an answer")
}

pub(super) async fn a_grant_is_kept_as_it_was_written(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for name in ["g", "\u{1f600}'"] {
        let mut row = grant(name, "crm");
        assert!(put(&*store, &row).await);
        row.version = 1;
        assert_eq!(store.grant(name).await.expect("read"), Some(row));
    }
    assert_eq!(store.grant("h").await.expect("read"), None);
    let long = GrantRow { data: Bytes::from(vec![0; GRANT_BYTES_MAX + 1]), ..grant("l", "crm") };
    let refused = tx(&*store, async |tx| tx.grant_put(&long).await).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "a grant", .. })), "{refused:?}");
}

pub(super) async fn a_grant_is_written_over_what_was_read_and_nothing_else(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let first = grant("g", "crm");
    assert!(put(&*store, &first).await);
    assert!(!put(&*store, &first).await, "there is one by now");
    let second = GrantRow { version: 1, data: Bytes::from_static(b"other"), expires: Timestamp(7), ..first };
    assert!(put(&*store, &second).await);
    assert!(!put(&*store, &second).await, "it was written since");
    assert_eq!(store.grant("g").await.expect("read"), Some(GrantRow { version: 2, ..second.clone() }));
    let remove = async || tx(&*store, async |tx| tx.grant_remove("g").await).await.expect("an answer");
    assert!(remove().await);
    assert!(!remove().await);
    assert!(!put(&*store, &GrantRow { version: 2, ..second }).await, "it is gone, and does not come back");
    assert_eq!(store.grant("g").await.expect("read"), None);
}

pub(super) async fn of_many_who_write_a_grant_one_does(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let writers = (0..8_u8).map(|number| {
        let store = &store;
        async move {
            let row = GrantRow { data: Bytes::from(vec![number]), ..grant("g", "crm") };
            // Whoever is in another's way is told so, or is too late.
            tx(&**store, async |tx| tx.grant_put(&row).await).await.unwrap_or(false)
        }
    });
    let wrote = futures_util::future::join_all(writers).await;
    assert_eq!(wrote.iter().filter(|wrote| **wrote).count(), 1, "{wrote:?}");
    let kept = store.grant("g").await.expect("read").expect("it is there");
    let winner = wrote.iter().position(|wrote| *wrote).expect("one");
    assert_eq!((kept.version, usize::from(kept.data[0])), (1, winner));
}

pub(super) async fn grants_are_listed_by_whose_and_what_for(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let rows = [
        grant("a", "crm"),
        GrantRow { holder: "idp:bob".to_owned(), ..grant("b", "crm") },
        GrantRow { tenant: "other".to_owned(), ..grant("c", "crm") },
        grant("d", "mail"),
    ];
    for row in &rows {
        assert!(put(&*store, row).await);
    }
    let list = async |filter: GrantFilter, after: Option<&str>, limit| {
        let found = store.grants(&filter, after, limit).await.expect("read");
        found.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(list(GrantFilter::default(), None, 9).await, ["a", "b", "c", "d"]);
    assert_eq!(list(GrantFilter::default(), Some("a"), 2).await, ["b", "c"]);
    let ann = GrantFilter { tenant: own("acme"), holder: own("idp:ann"), upstream: None };
    assert_eq!(list(ann.clone(), None, 9).await, ["a", "d"]);
    assert_eq!(list(GrantFilter { upstream: own("mail"), ..ann.clone() }, None, 9).await, ["d"]);
    assert_eq!(list(GrantFilter { upstream: own(""), ..ann }, None, 9).await, Vec::<String>::new());
    assert_eq!(
        list(GrantFilter { upstream: own("crm"), ..GrantFilter::default() }, Some("b"), 9).await,
        ["c"]
    );
}

pub(super) async fn a_grant_expires_and_is_forgotten(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (name, at) in [("a", 10), ("b", 20), ("c", 30)] {
        assert!(put(&*store, &GrantRow { expires: Timestamp(at), ..grant(name, "crm") }).await);
    }
    let sweep = async |at, most| {
        tx(&*store, async |tx| tx.grant_sweep(Timestamp(at), most).await).await.expect("swept")
    };
    assert_eq!((sweep(9, 9).await, sweep(20, 1).await, sweep(20, 9).await, sweep(20, 9).await), (0, 1, 1, 0));
    let left = store.grants(&GrantFilter::default(), None, 9).await.expect("read");
    assert_eq!(left.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c"]);
}

pub(super) async fn a_grant_is_never_shown(harness: &dyn Harness) {
    let store = harness.fresh().await;
    assert!(put(&*store, &grant("g", "crm")).await);
    let shown = format!("{:?}", store.grant("g").await.expect("read"));
    assert!(shown.contains("8 bytes") && !shown.contains("sealed"), "{shown}");
}
