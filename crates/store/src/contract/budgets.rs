//! What replicas may use together.

use model::Timestamp;

use super::{Harness, LATER, tx};
use crate::{Budget, BudgetAsk, BudgetGrant, BudgetRow, NAME_BYTES_MAX, Store, StoreError};

const BUCKET: Budget = Budget::Bucket { max: 10, refill: 1, per_ms: 1_000 };

fn window(start: u64) -> Budget {
    Budget::Window { start: Timestamp(start), max: 10 }
}

/// Wants so much of a budget at this time.
pub(super) fn ask(name: &str, budget: Budget, want: u64, now: u64) -> BudgetAsk<'_> {
    BudgetAsk { name, budget, want, now: Timestamp(now), expires: LATER }
}

async fn lease(store: &dyn Store, ask: &BudgetAsk<'_>) -> BudgetGrant {
    tx(store, async |tx| tx.budget_lease(ask).await).await.expect("an answer")
}

pub(super) async fn a_budget_gives_what_is_wanted_or_what_there_is(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (name, budget) in [("w", window(5)), ("\u{1f600}'", BUCKET)] {
        let first = lease(&*store, &ask(name, budget, 7, 5)).await;
        assert_eq!((first.granted, first.left), (7, 3), "{name}");
        let second = lease(&*store, &ask(name, budget, 7, 5)).await;
        assert_eq!((second.granted, second.left), (3, 0), "{name}");
        assert_eq!(lease(&*store, &ask(name, budget, 7, 5)).await.granted, 0, "{name}");
    }
    assert_eq!(lease(&*store, &ask("\u{1f600}'", BUCKET, 7, 2_005)).await.granted, 2);
    assert_eq!(lease(&*store, &ask("w", window(6), 7, 6)).await.granted, 7);
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let refused = tx(&*store, async |tx| tx.budget_lease(&ask(&long, BUCKET, 1, 1)).await).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { what: "the name of a budget", .. })), "{refused:?}");
}

pub(super) async fn many_who_lease_of_a_budget_never_have_more_than_there_is(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (name, budget) in [("w", window(5)), ("b", BUCKET)] {
        let askers = (0..8).map(|_| {
            let store = &store;
            async move {
                // Whoever is in another's way is told so, and has nothing then.
                let done = tx(&**store, async |tx| tx.budget_lease(&ask(name, budget, 3, 5)).await).await;
                done.map_or(0, |grant| grant.granted)
            }
        });
        let had: u64 = futures_util::future::join_all(askers).await.iter().sum();
        let left = lease(&*store, &ask(name, budget, 99, 5)).await.granted;
        assert_eq!(had + left, 10, "{name}");
    }
}

pub(super) async fn what_was_leased_and_not_used_comes_back(harness: &dyn Harness) {
    let store = harness.fresh().await;
    let back = async |name: &str, budget, amount| {
        tx(&*store, async |tx| tx.budget_return(name, budget, amount).await).await.expect("an answer")
    };
    for (name, budget) in [("w", window(5)), ("b", BUCKET)] {
        assert!(!back(name, budget, 1).await, "there is none");
        lease(&*store, &ask(name, budget, 10, 5)).await;
        assert!(back(name, budget, 4).await);
        assert_eq!(lease(&*store, &ask(name, budget, 9, 5)).await.granted, 4, "{name}");
        assert!(back(name, budget, 99).await);
        assert_eq!(
            lease(&*store, &ask(name, budget, 99, 5)).await.granted,
            10,
            "no more than there ever was"
        );
    }
    assert!(back("w", window(4), 5).await);
    assert_eq!(lease(&*store, &ask("w", window(5), 9, 5)).await.granted, 0, "it was of another window");
}

pub(super) async fn budgets_are_listed_by_how_their_names_begin(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for name in ["r/a", "r/b", "r/b%", "q/a"] {
        lease(&*store, &ask(name, BUCKET, 1, 5)).await;
    }
    let list = async |prefix: &str, after: Option<&str>, limit| {
        let found = store.budgets(prefix, after, limit).await.expect("read");
        found.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 9).await, ["q/a", "r/a", "r/b", "r/b%"]);
    assert_eq!(list("r/", Some("r/a"), 1).await, ["r/b"]);
    assert_eq!(list("r/b%", None, 9).await, ["r/b%"]);
    let found = store.budgets("r/a", None, 9).await.expect("read");
    let row =
        BudgetRow { name: "r/a".to_owned(), at: Timestamp(5), used: 1_000, unit: 1_000, expires: LATER };
    assert_eq!(found, [row]);
}

pub(super) async fn a_budget_expires_when_its_latest_lease_says(harness: &dyn Harness) {
    let store = harness.fresh().await;
    for (name, expires) in [("a", 10), ("b", 20), ("c", 30), ("c", 5)] {
        lease(&*store, &BudgetAsk { expires: Timestamp(expires), ..ask(name, BUCKET, 1, 1) }).await;
    }
    let sweep = async |at, most| {
        tx(&*store, async |tx| tx.budget_sweep(Timestamp(at), most).await).await.expect("swept")
    };
    assert_eq!((sweep(9, 9).await, sweep(20, 1).await, sweep(20, 9).await, sweep(20, 9).await), (0, 1, 1, 0));
    let left = store.budgets("", None, 9).await.expect("read");
    assert_eq!(left.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["c"]);
}
