use std::pin::{Pin, pin};

use futures_util::poll;

use super::*;

fn gate(calls_max: usize, tenant_max: usize, queue_max: usize) -> Arc<Gate> {
    Gate::new(GateLimits { calls_max, tenant_max, queue_max, queue_time: Duration::from_secs(5) })
}

type Waiting = Pin<Box<dyn Future<Output = Result<Place, Shed>>>>;

/// A call that asked for a place and has none yet.
async fn waits(gate: &Arc<Gate>, tenant: &Arc<Tenant>) -> Waiting {
    let (gate, tenant) = (Arc::clone(gate), Arc::clone(tenant));
    let mut waiting: Waiting = Box::pin(async move { gate.enter(&tenant).await });
    assert!(poll!(waiting.as_mut()).is_pending());
    waiting
}

async fn runs(gate: &Arc<Gate>, tenant: &Arc<Tenant>) -> Place {
    match poll!(pin!(gate.enter(tenant))) {
        std::task::Poll::Ready(Ok(place)) => place,
        _ => panic!("there is a place"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_comes_free_goes_to_who_waits_longest() {
    let gate = gate(1, 1, 10);
    let a = gate.tenant("a");
    let place = runs(&gate, &a).await;
    let (first, mut second) = (waits(&gate, &a).await, waits(&gate, &a).await);
    assert_eq!((gate.running(), gate.waiting()), (1, 2));
    drop(place);
    assert!(poll!(second.as_mut()).is_pending());
    let place = first.await.expect("its turn");
    drop(place);
    assert!(second.await.is_ok());
    assert_eq!((gate.running(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn tenants_take_turns_however_many_calls_one_has_waiting() {
    let gate = gate(1, 1, 100);
    let (noisy, quiet) = (gate.tenant("noisy"), gate.tenant("quiet"));
    let mut place = runs(&gate, &noisy).await;
    let mut crowd = Vec::new();
    for _ in 0..50 {
        crowd.push(waits(&gate, &noisy).await);
    }
    let mut one = waits(&gate, &quiet).await;
    let mut before = 0;
    loop {
        drop(place);
        if let std::task::Poll::Ready(turn) = poll!(one.as_mut()) {
            assert!(turn.is_ok());
            break;
        }
        place = crowd.remove(0).await.expect("its turn");
        before += 1;
    }
    assert!(before <= 1, "{before} calls of the noisy tenant went first");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_at_its_own_limit_leaves_room_for_others() {
    let gate = gate(3, 2, 100);
    let (noisy, quiet) = (gate.tenant("noisy"), gate.tenant("quiet"));
    let _held = (runs(&gate, &noisy).await, runs(&gate, &noisy).await);
    let _crowd = (waits(&gate, &noisy).await, waits(&gate, &noisy).await);
    drop(runs(&gate, &quiet).await);
    let place = runs(&gate, &quiet).await;
    assert_eq!((gate.running(), gate.waiting()), (3, 2));
    drop(place);
    assert_eq!((gate.running(), gate.waiting()), (2, 2), "the noisy one does not get it");
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_whose_limit_it_was() {
    let gate = gate(2, 1, 10);
    let (a, b) = (gate.tenant("a"), gate.tenant("b"));
    let _a = runs(&gate, &a).await;
    let shed = gate.enter(&a).await.err().expect("it waits in vain");
    assert_eq!(shed, Shed { reason: Reason::QueueTime, tenant: Some("a".to_owned()), max: 1 });
    let _b = runs(&gate, &b).await;
    let c = gate.tenant("c");
    let shed = gate.enter(&c).await.err().expect("it waits in vain");
    assert_eq!(shed, Shed { reason: Reason::QueueTime, tenant: None, max: 2 });
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_line_is_full_the_longest_queue_loses_its_last() {
    let gate = gate(1, 1, 3);
    let (noisy, quiet) = (gate.tenant("noisy"), gate.tenant("quiet"));
    let place = runs(&gate, &noisy).await;
    let mut crowd = [waits(&gate, &noisy).await, waits(&gate, &noisy).await, waits(&gate, &noisy).await];
    assert_eq!(gate.enter(&noisy).await.err().map(|shed| shed.reason), Some(Reason::QueueFull));
    let mut quiet = waits(&gate, &quiet).await;
    match poll!(crowd[2].as_mut()) {
        std::task::Poll::Ready(Err(shed)) => assert_eq!(shed.reason, Reason::QueueFull),
        _ => panic!("the last one leaves"),
    }
    assert!(poll!(crowd[1].as_mut()).is_pending());
    assert_eq!(gate.waiting(), 3);
    drop(place);
    drop(crowd);
    assert!(poll!(quiet.as_mut()).is_ready());
    assert_eq!(gate.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_takes_no_place_and_leaves_the_line() {
    let gate = gate(1, 1, 10);
    let a = gate.tenant("a");
    let place = runs(&gate, &a).await;
    let (first, second, third) = (waits(&gate, &a).await, waits(&gate, &a).await, waits(&gate, &a).await);
    drop(first);
    assert_eq!(gate.waiting(), 2);
    drop(place);
    // It was given a place, and goes away without having looked.
    drop(second);
    assert!(third.await.is_ok());
    assert_eq!((gate.running(), gate.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_client_leaves_its_place_to_others() {
    let gate = gate(1, 1, 10);
    let a = gate.tenant("a");
    let place = runs(&gate, &a).await;
    let other = waits(&gate, &a).await;
    place.pause();
    let other = other.await.expect("the place came free");
    place.resume();
    assert_eq!(gate.running(), 2, "it goes on at once");
    drop(other);
    let last = waits(&gate, &a).await;
    drop(place);
    assert!(last.await.is_ok());
    assert_eq!(gate.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn higher_limits_let_in_who_waits() {
    let gate = gate(1, 1, 10);
    let a = gate.tenant("a");
    let _place = runs(&gate, &a).await;
    let other = waits(&gate, &a).await;
    let queue_time = Duration::from_secs(5);
    gate.set(GateLimits { calls_max: 2, tenant_max: 2, queue_max: 10, queue_time });
    assert!(other.await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_place_is_lost_or_found_where_many_come_and_go() {
    let gate = gate(3, 2, 10_000);
    let most = Arc::new(AtomicUsize::new(0));
    let mut calls = Vec::new();
    for n in 0..2_000 {
        let (gate, most) = (Arc::clone(&gate), Arc::clone(&most));
        calls.push(tokio::spawn(async move {
            let tenant = gate.tenant(["a", "b", "c"][n % 3]);
            let place = gate.enter(&tenant).await;
            most.fetch_max(gate.running(), Ordering::SeqCst);
            tokio::task::yield_now().await;
            place.is_ok()
        }));
    }
    for call in calls {
        assert!(call.await.expect("it ends"));
    }
    assert_eq!((gate.running(), gate.waiting()), (0, 0));
    assert!(most.load(Ordering::SeqCst) <= 3);
}
