//! Several replicas that keep a limit together, with a clock that is moved by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use model::ManualClock;
use store::{Fault, Faulty, Memory};

use super::*;

const RATE: Spec = Spec::Rate { amount: 600, per_ms: 60_000, burst: 6 };
const QUOTA: Spec = Spec::Quota { max: 1_000, time: QuotaTime::Day, unit: Unit::Calls };
/// 2026-11-30T12:00:00Z.
const NOON: Timestamp = Timestamp(1_796_040_000_000);

struct World {
    clock: Arc<ManualClock>,
    store: Arc<Faulty>,
    replicas: Vec<Arc<Keeper>>,
}

impl World {
    fn new(replicas: usize) -> Self {
        let clock = Arc::new(ManualClock::at(NOON));
        let store = Arc::new(Faulty::new(Arc::new(Memory::new())));
        let mut world = Self { clock, store, replicas: Vec::new() };
        (0..replicas).for_each(|_| world.join());
        world
    }

    fn join(&mut self) {
        let keeper = Keeper::new(Arc::clone(&self.clock) as Arc<dyn Clock>);
        keeper.keep_in(Arc::clone(&self.store) as Arc<dyn Store>);
        self.replicas.push(Arc::new(keeper));
    }

    async fn take(&self, replica: usize, spec: Spec, amount: u64) -> bool {
        let replicas = self.replicas.len() as u64;
        let taken = self.replicas[replica].take(spec, "r/x/", amount, replicas).await.is_ok();
        // What is leased ahead is leased in a task of its own.
        tokio::task::yield_now().await;
        taken
    }

    /// How many are let through in a minute, where each replica is asked so often in each step of 10 ms.
    async fn minute(&self, asks: &[u64]) -> u64 {
        let mut through = 0;
        for _ in 0..6_000 {
            for (replica, asks) in asks.iter().enumerate() {
                for _ in 0..*asks {
                    through += u64::from(self.take(replica, RATE, 1).await);
                }
            }
            self.clock.advance(Duration::from_millis(10));
        }
        through
    }
}

#[tokio::test(start_paused = true)]
async fn three_replicas_keep_a_rate_within_a_twentieth_over_a_minute() {
    // All flooded; one with most of it; one alone of the three; hardly more than there is.
    for asks in [[3, 3, 3], [9, 1, 1], [2, 0, 0]] {
        let world = World::new(3);
        let through = world.minute(&asks).await;
        assert!((570..=630).contains(&through), "{asks:?}: {through}");
        let again = world.minute(&asks).await;
        assert!((570..=630).contains(&again), "{asks:?}: {again} in the second minute");
        let trips = world.store.faults().count() / 3;
        assert!(trips < 120 * 3 * 8, "{asks:?}: {trips} questions to the store in two minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_let_through_seldom_waits_for_the_store() {
    let world = World::new(3);
    let spec = Spec::Rate { amount: 60_000, per_ms: 60_000, burst: 1_000 };
    let mut through = 0;
    for _ in 0..1_000 {
        // Half of what there is.
        for _ in 0..5 {
            through += u64::from(world.take(0, spec, 1).await);
        }
        world.clock.advance(Duration::from_millis(10));
    }
    assert_eq!(through, 5_000, "nobody is refused below the limit");
    let trips = world.store.faults().count() / 3;
    assert!(trips < 500, "{trips} questions for {through} calls");
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_is_hardly_used_is_never_refused() {
    let world = World::new(3);
    for n in 0..500 {
        assert!(world.take(n % 3, RATE, 1).await, "{n}");
        world.clock.advance(Duration::from_millis(110));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_each_replica_has_an_equal_share_of_a_rate() {
    let world = World::new(3);
    world.store.faults().down(Some(Fault::Before));
    let through = world.minute(&[3, 3, 3]).await;
    assert!((540..=630).contains(&through), "{through}");
    world.store.faults().heal();
    let healed = world.minute(&[3, 3, 3]).await;
    assert!((570..=640).contains(&healed), "{healed} once it is back");
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_leases_no_more_goes_out_than_there_is() {
    // Each question fails in turn in each way; what is doubtful counts as used.
    for fault in [Fault::Before, Fault::After, Fault::Unknown, Fault::Busy] {
        let world = World::new(2);
        let through = AtomicU64::new(0);
        for n in 0..4_000 {
            if n % 50 == 0 {
                world.store.faults().fail(n % 3, fault);
            }
            let taken = world.take((n % 2) as usize, QUOTA, 1).await;
            through.fetch_add(u64::from(taken), Ordering::Relaxed);
            world.clock.advance(Duration::from_millis(100));
        }
        let through = through.into_inner();
        assert!((800..=1_000).contains(&through), "{fault:?}: {through}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_goes_on_after_a_clean_end_as_if_nothing_had_happened() {
    let mut world = World::new(1);
    for n in 0..300 {
        assert!(world.take(0, QUOTA, 1).await, "{n}");
    }
    world.replicas[0].give_back(true).await;
    world.replicas.clear();
    world.join();
    let mut through = 0;
    while world.take(0, QUOTA, 1).await {
        through += 1;
    }
    assert_eq!(through, 700);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_no_more_of_a_quota_is_lost_than_a_hundredth() {
    let mut world = World::new(1);
    for n in 0..300 {
        assert!(world.take(0, QUOTA, 1).await, "{n}");
    }
    world.replicas.clear();
    world.join();
    let mut through = 0;
    while world.take(0, QUOTA, 1).await {
        through += 1;
    }
    assert!((690..=700).contains(&through), "{through}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_begins_anew_with_the_day() {
    let world = World::new(2);
    while world.take(0, QUOTA, 1).await {}
    assert!(!world.take(1, QUOTA, 1).await);
    let refused = world.replicas[1].take(QUOTA, "r/x/", 1, 2).await.expect_err("it is spent");
    assert_eq!(refused.ms.div_ceil(60_000), 12 * 60, "it says when");
    world.clock.advance(Duration::from_secs(12 * 60 * 60));
    assert!(world.take(1, QUOTA, 1).await);
}

#[tokio::test(start_paused = true)]
async fn a_quota_of_bytes_is_over_once_they_have_passed() {
    let world = World::new(2);
    let spec = Spec::Quota { max: 10_000, time: QuotaTime::Day, unit: Unit::Bytes };
    let mut passed = 0;
    for n in 0..100 {
        let Ok(key) = world.replicas[n % 2].take(spec, "q/x/", 0, 2).await else { continue };
        key.charge(400, world.clock.now());
        passed += 400;
        world.clock.advance(Duration::from_millis(500));
    }
    assert!((9_000..=10_800).contains(&passed), "{passed}");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_alone_asks_nobody_for_a_rate() {
    let world = World::new(1);
    let through = world.minute(&[3]).await;
    assert_eq!(through, 606 - 1, "what comes in the minute, and the burst");
    assert_eq!(world.store.faults().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_run_are_counted_until_they_end() {
    let world = World::new(3);
    let spec = Spec::Concurrency(7);
    let mut running = Vec::new();
    for _ in 0..2 {
        running.push(world.replicas[0].take(spec, "c/x/", 1, 3).await.expect("a place"));
    }
    assert!(world.replicas[0].take(spec, "c/x/", 1, 3).await.is_err(), "a third of seven is two");
    running.pop().expect("one").ended();
    assert!(world.replicas[0].take(spec, "c/x/", 1, 3).await.is_ok());
    assert!(world.replicas[0].take(Spec::Concurrency(1), "c/y/", 1, 3).await.is_ok(), "at least one");
}

#[tokio::test(start_paused = true)]
async fn what_another_limit_refused_is_put_back() {
    for replicas in [1, 2] {
        let world = World::new(replicas);
        let spec = Spec::Rate { amount: 1, per_ms: 60_000, burst: 1 };
        let take = || world.replicas[0].take(spec, "r/y/", 1, replicas as u64);
        take().await.expect("one").put_back(1);
        take().await.expect("the same");
        assert!(take().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn what_passed_and_was_not_leased_yet_is_told_at_a_clean_end() {
    let mut world = World::new(1);
    let spec = Spec::Quota { max: 10_000, time: QuotaTime::Day, unit: Unit::Bytes };
    let key = world.replicas[0].take(spec, "q/x/", 0, 1).await.expect("there is some");
    key.charge(6_000, world.clock.now());
    world.replicas[0].give_back(true).await;
    world.replicas.clear();
    world.join();
    let rows = store::BudgetStore::budgets(&*world.store, "q/x/", None, 9).await.expect("read");
    assert_eq!(rows[0].used, 6_000);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_takes_nothing_of_a_budget_along() {
    let world = World::new(2);
    let spec = Spec::Quota { max: 1_000, time: QuotaTime::Day, unit: Unit::Calls };
    world.store.faults().silent(true);
    for _ in 0..10 {
        let keeper = Arc::clone(&world.replicas[0]);
        let asking = tokio::spawn(async move { keeper.take(spec, "q/x/", 1, 2).await.is_ok() });
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        asking.abort();
        assert!(asking.await.is_err(), "he gave up");
    }
    world.store.faults().silent(false);
    let mut through = 0;
    loop {
        let taken = [0, 1].map(|n| world.replicas[n].take(spec, "q/x/", 1, 2));
        let [a, b] = taken;
        let (a, b) = (a.await.is_ok(), b.await.is_ok());
        through += u64::from(a) + u64::from(b);
        tokio::task::yield_now().await;
        if !a && !b {
            break;
        }
    }
    assert!(through >= 985, "{through}");
}
