//! Replicas that find one another in a store in memory. The time is the tests' own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use cluster::{JoinError, KeysError, Member, Timing, Told};
use config::Config;
use model::{Clock, ReplicaId, SystemClock, Timestamp};
use seal::{KeyRing, SystemRng};
use server::{App, Gateway, Process};
use store::{Fault, Faulty, KeyRow, Memory, ReplicaRow, Store};

const TIMING: Timing = Timing { every: Duration::from_secs(2), lost_after: Duration::from_secs(10) };

struct Replica {
    app: Arc<App>,
    keys: Arc<KeyRing>,
}

fn replica(keys: &Arc<KeyRing>) -> Replica {
    let process = Process {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        keys: Arc::clone(keys),
        tracer: None,
    };
    let prepared = Gateway::prepare(&Config::default(), process).unwrap();
    Replica { app: Arc::clone(prepared.app()), keys: Arc::clone(keys) }
}

fn ring() -> Arc<KeyRing> {
    Arc::new(KeyRing::generate(&SystemRng))
}

impl Replica {
    async fn join(&self, store: &Arc<dyn Store>) -> Result<Member, JoinError> {
        let told = Told { url: "http://127.0.0.1:9".to_owned(), version: "0.1.0".to_owned() };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Member::join(&self.app, Arc::clone(store), Arc::clone(&self.keys), clock, told, TIMING).await
    }

    fn me(&self) -> ReplicaId {
        self.app.replicas().me().clone()
    }

    fn knows(&self, other: &ReplicaId) -> bool {
        self.app.replicas().peers().iter().any(|peer| peer.id == *other)
    }

    /// Waits until the other one is known, or no more.
    async fn until(&self, other: &ReplicaId, known: bool) -> Duration {
        let start = tokio::time::Instant::now();
        while self.knows(other) != known {
            assert!(start.elapsed() < Duration::from_secs(60), "it never happens");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        start.elapsed()
    }
}

async fn write(store: &Arc<dyn Store>, row: &ReplicaRow) {
    let mut tx = store.begin().await.unwrap();
    tx.replica_beat(row).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn replicas_find_one_another_and_say_when_they_leave() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let keys = ring();
    let (a, b) = (replica(&keys), replica(&keys));
    let joined = a.join(&store).await.unwrap();
    assert!(a.app.replicas().peers().is_empty());
    let other = b.join(&store).await.unwrap();
    assert!(b.knows(&a.me()), "at once, before it serves");
    assert!(a.knows(&b.me()), "what it hands out from now on is known there");
    other.leave().await;
    assert_eq!(store.replicas().await.unwrap().len(), 1);
    let waited = a.until(&b.me(), false).await;
    assert!(waited <= TIMING.every * 2, "{waited:?}");
    joined.leave().await;
    assert!(store.replicas().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_falls_silent_is_given_up_and_comes_back() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let a = replica(&ring());
    let silent = ReplicaRow {
        id: ReplicaId::parse("00000000000a").unwrap(),
        url: "http://127.0.0.1:9".to_owned(),
        started: SystemClock.now(),
        at: SystemClock.now(),
        beat: 1,
        version: String::new(),
        keys: a.keys.fingerprint(SystemClock.now()).to_string(),
        draining: false,
    };
    write(&store, &silent).await;
    let joined = a.join(&store).await.unwrap();
    assert!(a.knows(&silent.id));
    let waited = a.until(&silent.id, false).await;
    assert!(waited >= TIMING.lost_after - TIMING.every && waited <= TIMING.lost_after + TIMING.every * 2);
    write(&store, &ReplicaRow { beat: 2, ..silent.clone() }).await;
    a.until(&silent.id, true).await;
    joined.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_other_keys_is_refused_with_both() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let (a, b) = (replica(&ring()), replica(&ring()));
    let joined = a.join(&store).await.unwrap();
    let refused = b.join(&store).await.err().unwrap();
    let said = refused.to_string();
    let print = |replica: &Replica| replica.keys.fingerprint(SystemClock.now()).to_string();
    assert!(said.starts_with("join the other replicas: ") && said.contains(a.me().as_str()), "{said}");
    assert!(said.contains(&print(&a)) && said.contains(&print(&b)) && said.contains("keys.file"), "{said}");
    assert_eq!(store.replicas().await.unwrap().len(), 1, "it is not in the directory");
    joined.leave().await;
    b.join(&store).await.unwrap().leave().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_replica_with_other_keys_left_behind_refuses_nobody() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let a = replica(&ring());
    let dead = ReplicaRow {
        id: ReplicaId::parse("00000000000a").unwrap(),
        url: "http://127.0.0.1:9".to_owned(),
        started: SystemClock.now(),
        at: SystemClock.now(),
        beat: 1,
        version: String::new(),
        keys: ring().fingerprint(SystemClock.now()).to_string(),
        draining: false,
    };
    write(&store, &dead).await;
    let joined = a.join(&store).await.unwrap();
    assert!(!a.knows(&dead.id), "nothing that it sealed could be opened");
    joined.leave().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_nobody_is_given_up() {
    let faulty = Arc::new(Faulty::new(Arc::new(Memory::new())));
    let store: Arc<dyn Store> = Arc::<Faulty>::clone(&faulty);
    let keys = ring();
    let (a, b) = (replica(&keys), replica(&keys));
    let (first, second) = (a.join(&store).await.unwrap(), b.join(&store).await.unwrap());
    a.until(&b.me(), true).await;
    // Every operation of both, for many times as long as it takes to give one up.
    for later in 0..400 {
        faulty.faults().fail(later, Fault::Before);
    }
    let before = faulty.faults().count();
    while faulty.faults().count() < before + 400 {
        assert!(a.knows(&b.me()) && b.knows(&a.me()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(a.knows(&b.me()) && b.knows(&a.me()));
    }
    first.leave().await;
    second.leave().await;
}

#[tokio::test]
async fn of_many_who_need_a_first_key_one_makes_it() {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let asked = (0..8).map(|_| cluster::first_keys(&*store, &SystemClock, &SystemRng));
    let rings = futures_util::future::join_all(asked).await;
    let ids: Vec<Vec<_>> =
        rings.into_iter().map(|keys| keys.unwrap().iter().map(|key| key.term().id).collect()).collect();
    assert_eq!(ids[0].len(), 1);
    assert!(ids.iter().all(|other| *other == ids[0]), "{ids:?}");
}

#[tokio::test]
async fn a_ring_in_the_store_is_changed_as_a_whole() {
    let store = Memory::new();
    let first = cluster::first_keys(&store, &SystemClock, &SystemRng).await.unwrap();
    let rotation = seal::Rotation { after: Duration::ZERO, keep: Duration::from_secs(60) };
    let rotated = cluster::change_keys(&store, &SystemClock, &SystemRng, |keys| {
        seal::rotate(keys, &SystemRng, SystemClock.now(), rotation).map_err(Into::into)
    });
    let rotated = rotated.await.unwrap();
    let mut found = cluster::find_keys(&store).await.unwrap();
    let mut expected = rotated;
    found.sort_by_key(|key| key.term().id);
    expected.sort_by_key(|key| key.term().id);
    assert_eq!(found, expected);
    assert!(found.iter().any(|key| key.term().id == first[0].term().id && key.term().retired_at.is_some()));
    let refused =
        cluster::change_keys(&store, &SystemClock, &SystemRng, |_| Err("not this one".into())).await;
    assert!(matches!(refused, Err(KeysError::Refused(_))));
    // One that is no longer wanted goes.
    let newest = found.iter().find(|key| key.term().retired_at.is_none()).unwrap().clone();
    let kept = [newest];
    let kept_only = cluster::change_keys(&store, &SystemClock, &SystemRng, |_| Ok(kept.to_vec()));
    kept_only.await.unwrap();
    assert_eq!(cluster::find_keys(&store).await.unwrap(), kept);
}

#[tokio::test(start_paused = true)]
async fn whoever_changes_the_ring_is_not_disturbed() {
    let store = Memory::new();
    let now = SystemClock.now();
    let mut tx = store.begin().await.unwrap();
    tx.lease_take("keys", "somebody", now, now.plus(Duration::from_secs(600))).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let held = cluster::first_keys(&store, &SystemClock, &SystemRng).await;
    assert!(matches!(held, Err(KeysError::Held)), "{held:?}");
    let row = KeyRow {
        id: "x".to_owned(),
        created: Timestamp(0),
        active_from: Timestamp(0),
        retired_at: None,
        secret: [1; 32],
    };
    let mut tx = store.begin().await.unwrap();
    tx.key_add(&row).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(cluster::first_keys(&store, &SystemClock, &SystemRng).await.unwrap().len(), 1);
}
