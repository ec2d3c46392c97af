//! Workers that are lost, and come back.

use std::time::Duration;

use model::task::TaskState;
use model::{Rng as _, SeededRng};

use crate::world::*;

#[tokio::test(start_paused = true)]
async fn what_a_lost_worker_had_is_taken_over_once_its_lease_is_over() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let again = made(&a, repeatable("sleep 3000; effect; result x", 2)).await;
    let once = made(&a, new("sleep 3000; effect; result x")).await;
    let followed = made(&a, new("follow upstream task; sleep 3000; result x")).await;
    let asking = made(&a, repeatable("ask name; effect; result x", 2)).await;
    let key = asked(&a, &asking).await.questions().next().expect("one").0.to_owned();
    a.freeze();
    let lost = world.clock.now();
    assert!(text(&ended(&b, &again).await).contains("\"by\":\"b\""));
    let taken = world.journal.attempts(&again)[1].at.since(lost);
    assert!(taken >= LEASE && taken < 2 * LEASE, "{taken:?}");
    let view = ended(&b, &once).await;
    let failure = view.task.failure.clone().expect("a reason");
    assert_eq!((view.task.state, failure.class.as_str()), (TaskState::Failed, "interrupted"));
    assert!(failure.may_have_run);
    // Whoever hosts it knows how it goes: it is asked and not called again.
    assert_eq!(ended(&b, &followed).await.task.state, TaskState::Completed);
    // The question is the same one, by the same key.
    let view = asked(&b, &asking).await;
    assert_eq!(view.questions().next().expect("one").0, key);
    b.tasks.answer(&asking, HOLDER, vec![(key, "\"me\"".to_owned())]).await.expect("taken");
    assert!(text(&ended(&b, &asking).await).contains("\"by\":\"b\""));
    assert_eq!(b.tasks.figures().taken_over, 4);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_asked_for_again_by_whoever_takes_over() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let id = made(&a, repeatable("ask name; sleep 3000; effect; result x", 2)).await;
    let key = asked(&a, &id).await.questions().next().expect("one").0.to_owned();
    a.tasks.answer(&id, HOLDER, vec![(key, "\"me\"".to_owned())]).await.expect("taken");
    a.freeze();
    let view = ended(&b, &id).await;
    assert_eq!((view.task.state, view.task.questions.len()), (TaskState::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_cut_off_with_all_others_loses_nothing() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let id = made(&a, new("sleep 60000; effect; result x")).await;
    for _ in 0..3 {
        for worker in [&a, &b] {
            worker.faults.down(Some(store::Fault::Before));
        }
        tokio::time::sleep(2 * LEASE).await;
        for worker in [&a, &b] {
            worker.faults.down(None);
        }
        tokio::time::sleep(LEASE / 2).await;
    }
    assert!(text(&ended(&b, &id).await).contains("\"by\":\"a\""));
    assert_eq!((a.tasks.figures().leases_lost, world.journal.effects(&id)), (0, 1));
}

/// A worker stands still past its lease, at any moment of its work, and then goes on.
#[tokio::test(start_paused = true)]
async fn a_worker_that_comes_back_after_its_lease_writes_nothing_500_times() {
    let mut taken_over = 0;
    for seed in 0..500 {
        let world = World::seeded(seed);
        let rng = SeededRng::new(seed);
        let (a, b) = (world.worker("a"), world.worker("b"));
        let script = ["sleep 600; effect; result x", "ask q; sleep 500; effect; result x"];
        let script = script[usize::try_from(rng.next_u64() % 2).expect("small")];
        let id = made(&a, repeatable(script, 3)).await;
        let answering = {
            let (tasks, id) = (b.tasks.clone(), id.clone());
            tokio::spawn(async move {
                loop {
                    let Ok(view) = tasks.get(&id, HOLDER).await else { return };
                    for (key, _) in view.questions() {
                        let answer = vec![(key.to_owned(), "1".to_owned())];
                        tasks.answer(&id, HOLDER, answer).await.expect("taken");
                    }
                    if !view.task.state.is_open() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(40)).await;
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(rng.next_u64() % 700)).await;
        a.freeze();
        let view = ended(&b, &id).await;
        answering.await.expect("no panic");
        let (version, outcome) = (view.task.version, text(&view));
        a.thaw();
        tokio::time::sleep(3 * LEASE).await;
        let after = get(&b, &id).await.expect("there");
        assert_eq!((after.task.version, text(&after)), (version, outcome.clone()), "seed {seed}");
        assert_eq!(text(&get(&a, &id).await.expect("there")), outcome, "seed {seed}");
        if outcome.contains("\"by\":\"b\"") {
            taken_over += 1;
            assert_eq!(a.tasks.figures().leases_lost, 1, "seed {seed}");
        }
        // It works again, under another name.
        let next = made(&a, new("result y")).await;
        assert!(text(&ended(&a, &next).await).contains("\"by\":\"a\""), "seed {seed}");
        for worker in [a, b] {
            worker.tasks.stop(Duration::ZERO).await;
        }
    }
    assert!(taken_over > 250, "{taken_over}");
}
