//! Ends: by a client, by time, by size, by the end of a worker.

use std::time::Duration;

use model::task::{TaskRules, TaskState};
use store::{TaskPhase, TaskStore as _};
use tasks::{NewTask, Options, TaskError};

use crate::world::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_stays_so_whenever_it_is_cancelled_and_whatever_comes_of_its_call() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let at = world.after(Duration::from_secs(100));
    let waiting = made(&a, NewTask { not_before: Some(at), ..new("effect; result x") }).await;
    let running = made(&a, new("sleep 5000; effect; result x")).await;
    let asking = made(&a, new("ask name; effect; result x")).await;
    asked(&a, &asking).await;
    for id in [&waiting, &running, &asking] {
        assert_eq!(b.tasks.cancel(id, Some(HOLDER)).await.expect("there").state, TaskState::Cancelled);
    }
    tokio::time::sleep(200 * SECOND).await;
    for id in [&waiting, &running, &asking] {
        let view = get(&a, id).await.expect("there");
        assert_eq!((view.task.state, view.outcome), (TaskState::Cancelled, None));
        assert_eq!(world.journal.effects(id), 0, "its call was dropped");
    }
    let done = made(&a, new("result x")).await;
    let before = text(&ended(&a, &done).await);
    assert_eq!(b.tasks.cancel(&done, Some(HOLDER)).await.expect("there").state, TaskState::Completed);
    assert_eq!(text(&get(&b, &done).await.expect("there")), before);
    assert!(matches!(b.tasks.cancel(&done, Some("x")).await, Err(TaskError::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_not_ended_in_its_time_is_given_up() {
    let world = World::new();
    let worker = world.worker("a");
    let rules = TaskRules { ttl_ms: 5_000, ..TaskRules::default() };
    let id = made(&worker, NewTask { rules, ..new("sleep 9000; effect; result x") }).await;
    tokio::time::sleep(6 * SECOND).await;
    let gone = get(&worker, &id).await;
    assert!(matches!(gone, Err(TaskError::Expired { at }) if at == START.plus(5 * SECOND)), "{gone:?}");
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!(world.journal.effects(&id), 0, "its call was dropped");
    assert_eq!(worker.tasks.figures().expired, 1);
}

#[tokio::test(start_paused = true)]
async fn a_result_is_kept_for_its_time_then_told_of_as_expired_and_then_forgotten() {
    let world = World::new();
    let options = Options { tombstone: 100 * SECOND, lease: LEASE, ..Options::default() };
    let worker = world.worker_with("a", options);
    let rules = TaskRules { ttl_ms: 10_000, result_retention_ms: 30_000, ..TaskRules::default() };
    let id = made(&worker, NewTask { rules, key: Some("k".to_owned()), ..new("sleep 5000; result x") }).await;
    let expires = ended(&worker, &id).await.task.expires;
    assert_eq!(expires, START.plus(35 * SECOND), "it may be longer than the time to live");
    tokio::time::sleep(29 * SECOND).await;
    assert!(get(&worker, &id).await.is_ok());
    tokio::time::sleep(2 * SECOND).await;
    assert!(matches!(get(&worker, &id).await, Err(TaskError::Expired { at }) if at == expires));
    // What it held is given up within the next sweep, and its key is free.
    tokio::time::sleep(15 * SECOND).await;
    let row = world.store.task(&id).await.expect("read").expect("a tombstone");
    assert_eq!((row.phase, row.outcome.len(), row.call.len()), (TaskPhase::Gone, 0, 0));
    let again = worker.tasks.create(NewTask { key: Some("k".to_owned()), ..new("result y") }).await;
    assert!(!again.expect("made").repeated);
    tokio::time::sleep(130 * SECOND).await;
    assert!(matches!(get(&worker, &id).await, Err(TaskError::Unknown)));
    assert_eq!(world.store.task(&id).await.expect("read"), None);
}

#[tokio::test(start_paused = true)]
async fn a_large_result_is_the_same_bytes_and_one_that_is_too_large_says_so() {
    let world = World::new();
    let options = Options { result_bytes_max: 4 << 20, lease: LEASE, ..Options::default() };
    let (a, b) = (world.worker_with("a", options), world.worker_with("b", options));
    let large = made(&a, new("big 3000000")).await;
    let too_large = made(&a, new("big 5000000")).await;
    let here = text(&ended(&a, &large).await);
    assert_eq!((here.len(), text(&ended(&b, &large).await) == here), (3_000_011, true));
    let row = world.store.task(&large).await.expect("read").expect("a task");
    assert!(row.outcome.len() < 1_000, "it is elsewhere");
    let view = ended(&a, &too_large).await;
    assert_eq!(view.task.state, TaskState::Failed);
    assert!(text(&view).contains("tasks.result_bytes_max"), "{}", text(&view));
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_breaks_fails_its_task_alone() {
    let world = World::new();
    let worker = world.worker("a");
    let broken = made(&worker, new("panic")).await;
    let good = made(&worker, new("sleep 10; result x")).await;
    let view = ended(&worker, &broken).await;
    assert_eq!(view.task.failure.expect("a reason").class, "internal");
    assert_eq!(ended(&worker, &good).await.task.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_lets_end_what_can_and_leaves_the_rest_to_others_at_once() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let short = made(&a, new("sleep 3000; effect; result x")).await;
    let long = made(&a, repeatable("sleep 60000; effect; result x", 2)).await;
    let once = made(&a, new("sleep 60000; effect; result x")).await;
    a.tasks.stop(Duration::from_secs(5)).await;
    assert_eq!(world.clock.now(), START.plus(5 * SECOND));
    assert!(matches!(a.tasks.create(new("result x")).await, Err(TaskError::Stopping)));
    assert_eq!(get(&b, &short).await.expect("there").task.state, TaskState::Completed);
    assert_eq!(ended(&b, &once).await.task.state, TaskState::Failed);
    let taken = world.clock.now().since(START.plus(5 * SECOND));
    assert!(taken < LEASE, "nobody waits for a lease that was given back: {taken:?}");
    assert!(text(&ended(&b, &long).await).contains("\"by\":\"b\""));
    let attempts: Vec<_> = world.journal.attempts(&long).iter().map(|entry| entry.worker).collect();
    assert_eq!(attempts, ["a", "b"]);
    assert_eq!(world.journal.effects(&long), 1);
}
