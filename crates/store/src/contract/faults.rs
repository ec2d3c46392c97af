//! What stays where something fails.

use std::sync::Arc;

use bytes::Bytes;
use model::Timestamp;

use super::audit::batch;
use super::budgets::ask;
use super::grants::grant;
use super::keys::key;
use super::{Harness, LATER, all, tx};
use crate::{Budget, Fault, Faulty, Memory, StoreError, StreamLimits, Tx};

const STEPS: u64 = 6;

/// A step of a scripted run: several verbs in one transaction.
async fn step(tx: &mut dyn Tx, number: u64) -> Result<(), StoreError> {
    let limits = StreamLimits { events: 99, bytes: 999 };
    let name = format!("s{}", number % 3);
    tx.session_subscribe(&name, &format!("file:///{number}"), 2, LATER).await?;
    match number % 3 {
        0 => drop(tx.session_level_set(&name, "info", LATER).await?),
        1 => drop(tx.lease_take("l", &name, Timestamp(number), Timestamp(number + 2)).await?),
        _ => drop(tx.key_add(&key(&name, 1)).await?),
    }
    tx.grant_put(&grant(&name, "crm")).await?;
    let budget = Budget::Window { start: Timestamp(number / 4), max: 5 };
    tx.budget_lease(&ask("b", budget, 2, number)).await?;
    tx.budget_return("b", budget, 1).await?;
    tx.audit_append(&batch("acme", number, 1)).await?;
    let events = [Bytes::from(number.to_string())];
    // Where the step before left nothing, this is refused, in both stores alike.
    tx.stream_append("st", "s", number, &events, limits, LATER).await?;
    if number == STEPS - 1 {
        tx.session_end(&name, LATER).await?;
        tx.stream_close("st", LATER).await?;
    }
    Ok(())
}

/// Each operation of a scripted run fails in each way: what is said of it must be what is held.
pub(super) async fn what_failed_left_nothing_and_what_is_doubtful_is_whole(harness: &dyn Harness) {
    let dry = Faulty::new(Arc::new(Memory::new()));
    for number in 0..STEPS {
        tx(&dry, async |tx| step(tx, number).await).await.expect("no fault");
    }
    let operations = dry.faults().count();
    assert!(operations > STEPS * 4);
    // All ways at each operation with the store in memory; others are slower, and see each way at some.
    for at in 0..operations {
        for (way, fault) in [Fault::Before, Fault::Busy, Fault::After, Fault::Unknown].into_iter().enumerate()
        {
            if harness.again().await.is_some() && !(at + way as u64).is_multiple_of(4) {
                continue;
            }
            run(harness, at, fault).await;
        }
    }
}

async fn run(harness: &dyn Harness, at: u64, fault: Fault) {
    let inner = harness.fresh().await;
    let store = Faulty::new(Arc::clone(&inner));
    let model = Memory::new();
    store.faults().fail(at, fault);
    for number in 0..STEPS {
        let before = all(&model).await;
        let done = tx(&store, async |tx| step(tx, number).await).await;
        match done {
            Ok(()) => tx(&model, async |tx| step(tx, number).await).await.expect("no fault"),
            Err(StoreError::Unavailable { maybe_written: true, .. }) => {
                if all(&*inner).await != before {
                    tx(&model, async |tx| step(tx, number).await).await.expect("no fault");
                }
            }
            Err(_) => {}
        }
        assert_eq!(all(&*inner).await, all(&model).await, "{fault:?} at {at}, step {number}: {done:?}");
    }
}
