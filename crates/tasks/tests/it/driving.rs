//! What becomes of a task while all is well, and when its call fails.

use std::time::Duration;

use model::task::{TaskRules, TaskState};
use store::{Fault, TaskStore as _};
use tasks::{NewTask, Options, TaskError};

use crate::world::*;

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_task_is_stored_before_its_maker_hears_of_it_and_ends_with_its_result() {
    let world = World::new();
    let worker = world.worker("a");
    let id = made(&worker, new("sleep 100; effect; result done")).await;
    let row = world.store.task(&id).await.expect("read").expect("stored");
    assert_eq!((row.holder.as_str(), row.owner.as_deref(), row.version), (HOLDER, Some("a"), 1));
    assert_eq!(get(&worker, &id).await.expect("there").task.state, TaskState::Running);
    let view = ended(&worker, &id).await;
    assert_eq!(view.task.state, TaskState::Completed);
    assert_eq!(text(&view), r#"{"by":"a","text":"done"}"#);
    assert_eq!(text(&ended(&worker, &id).await), text(&view));
    assert_eq!((world.journal.effects(&id), world.journal.attempts(&id).len()), (1, 1));
    let stranger = worker.tasks.get(&id, "somebody").await;
    assert!(matches!(stranger, Err(TaskError::Unknown)));
}

#[tokio::test(start_paused = true)]
async fn a_repeated_creation_with_a_key_is_the_same_task() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let keyed = || NewTask { key: Some("k".to_owned()), ..new("sleep 50; effect; result x") };
    let id = made(&a, keyed()).await;
    for worker in [&a, &b] {
        let again = worker.tasks.create(keyed()).await.expect("made");
        assert!(again.repeated && again.view.id == id);
    }
    ended(&a, &id).await;
    assert!(b.tasks.create(keyed()).await.expect("made").repeated);
    assert_eq!(world.journal.effects(&id), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_tried_again_after_a_pause_that_grows() {
    let world = World::new();
    let worker = world.worker("a");
    let rules = TaskRules { max_attempts: 4, backoff_ms: 1_000, repeatable: true, ..TaskRules::default() };
    let id = made(&worker, NewTask { rules, ..new("fail 4 may_have_run; result late") }).await;
    let view = ended(&worker, &id).await;
    assert_eq!((view.task.state, view.task.attempts), (TaskState::Completed, 4));
    let times: Vec<_> = world.journal.attempts(&id).iter().map(|entry| entry.at).collect();
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1].0 - pair[0].0) / 500).collect();
    // Half of each is chance: 0.5 to 1 s, 1 to 2 s, 2 to 4 s.
    assert!((1..=2).contains(&pauses[0]) && (2..=4).contains(&pauses[1]) && (4..=8).contains(&pauses[2]));
    assert_eq!(worker.tasks.figures().retries, 3);
}

#[tokio::test(start_paused = true)]
async fn what_fails_too_often_ends_with_its_last_failure() {
    let world = World::new();
    let worker = world.worker("a");
    let id = made(&worker, repeatable("fail 99 may_have_run; result x", 3)).await;
    let view = ended(&worker, &id).await;
    let failure = view.task.failure.clone().expect("a reason");
    assert_eq!((view.task.state, view.task.attempts), (TaskState::Failed, 3));
    assert_eq!((failure.class.as_str(), failure.may_have_run), ("timeout", true));
    assert!(text(&view).contains("no answer"));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_run_and_must_not_run_twice_is_not_tried_again() {
    let world = World::new();
    let worker = world.worker("a");
    let rules = TaskRules { max_attempts: 5, ..TaskRules::default() };
    let of = |script| NewTask { rules: rules.clone(), ..new(script) };
    let may = made(&worker, of("fail 2 may_have_run; result x")).await;
    let not = made(&worker, of("fail 2; result x")).await;
    let last = made(&worker, of("fail 2 final; result x")).await;
    assert_eq!(ended(&worker, &may).await.task.state, TaskState::Failed);
    assert_eq!(ended(&worker, &not).await.task.state, TaskState::Completed, "nothing was sent");
    assert_eq!(ended(&worker, &last).await.task.state, TaskState::Failed);
    let attempts = [&may, &not, &last].map(|id| world.journal.attempts(id).len());
    assert_eq!(attempts, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_to_come_back_is_not_called_sooner() {
    let world = World::new();
    let worker = world.worker("a");
    let id = made(&worker, repeatable("fail 2 after=90000; result x", 2)).await;
    ended(&worker, &id).await;
    let attempts = world.journal.attempts(&id);
    assert!(attempts[1].at.since(attempts[0].at) >= Duration::from_secs(90), "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_attempts_and_not_the_one_under_way() {
    let world = World::new();
    let worker = world.worker("a");
    let deadline = |script| {
        let task = repeatable(script, 100);
        NewTask { rules: TaskRules { deadline_ms: Some(5_000), ..task.rules }, ..task }
    };
    let failing = made(&worker, deadline("fail 99; result x")).await;
    let slow = made(&worker, deadline("sleep 20000; result x")).await;
    assert_eq!(ended(&worker, &failing).await.task.state, TaskState::Failed);
    let last = world.journal.attempts(&failing).last().expect("some").at;
    assert!(last.since(START) <= Duration::from_secs(5), "{last:?}");
    assert_eq!(ended(&worker, &slow).await.task.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_says_that_it_failed_is_tried_again_and_its_last_words_are_the_result() {
    let world = World::new();
    let worker = world.worker("a");
    let heals = made(&worker, repeatable("is_error 3; result well", 5)).await;
    let never = made(&worker, repeatable("is_error 99; result x", 2)).await;
    assert!(text(&ended(&worker, &heals).await).contains("well"));
    let view = ended(&worker, &never).await;
    assert_eq!((view.task.state, text(&view).as_str()), (TaskState::Completed, r#"{"isError":true}"#));
}

#[tokio::test(start_paused = true)]
async fn questions_have_keys_of_their_own_and_take_one_answer_each() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let id = made(&a, new("ask name; ask name; result x")).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let view = asked(&b, &id).await;
        let open: Vec<(String, String)> =
            view.questions().map(|(key, ask)| (key.to_owned(), ask.to_owned())).collect();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].1, r#"{"ask":"name"}"#);
        keys.push(open[0].0.clone());
        let answer = |key: &str| vec![(key.to_owned(), "\"me\"".to_owned())];
        // Of others nothing is taken.
        b.tasks.answer(&id, HOLDER, answer("never-asked")).await.expect("passed over");
        assert_eq!(get(&b, &id).await.expect("there").task.state, TaskState::Asking);
        assert!(matches!(b.tasks.answer(&id, "x", answer(&open[0].0)).await, Err(TaskError::Unknown)));
        b.tasks.answer(&id, HOLDER, answer(&open[0].0)).await.expect("taken");
        b.tasks.answer(&id, HOLDER, answer(&open[0].0)).await.expect("passed over");
    }
    assert_eq!(ended(&b, &id).await.task.state, TaskState::Completed);
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test(start_paused = true)]
async fn a_change_by_another_worker_is_heard_within_200_ms() {
    let world = World::new();
    let (a, b) = (world.worker("a"), world.worker("b"));
    let id = made(&a, new("sleep 1000; say half; sleep 1000; result x")).await;
    let mut changes = b.tasks.watch(&id);
    changes.changed().await.expect("what it is now");
    for at in [1_000, 2_000] {
        changes.changed().await.expect("a change");
        let late = world.clock.now().since(START.plus(at * MS));
        assert!(late <= 200 * MS, "{late:?}");
    }
    assert_eq!(get(&b, &id).await.expect("there").task.state, TaskState::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_begin_later_begins_then() {
    let world = World::new();
    let worker = world.worker("a");
    let at = world.after(Duration::from_secs(1_800));
    let id = made(&worker, NewTask { not_before: Some(at), ..new("result x") }).await;
    assert_eq!(get(&worker, &id).await.expect("there").task.state, TaskState::Waiting);
    ended(&worker, &id).await;
    let begun = world.journal.attempts(&id)[0].at;
    assert!(begun >= at && begun.since(at) <= Duration::from_secs(1), "{begun:?}");
    // An operator who does not want to wait.
    let at = world.after(Duration::from_secs(1_800));
    let id = made(&worker, NewTask { not_before: Some(at), ..new("result x") }).await;
    worker.tasks.hasten(&id).await.expect("there").expect("it waits");
    ended(&worker, &id).await;
    assert!(world.clock.now() < at);
}

#[tokio::test(start_paused = true)]
async fn so_many_run_at_a_time_and_the_others_wait_for_their_turn() {
    let world = World::new();
    let worker = world.worker_with("a", Options { running_max: 3, lease: LEASE, ..Options::default() });
    let mut ids = Vec::new();
    for _ in 0..9 {
        ids.push(made(&worker, new("sleep 1000; effect; result x")).await);
    }
    for id in &ids {
        ended(&worker, id).await;
    }
    let mut times: Vec<_> = world.journal.all().iter().filter(|e| !e.effect).map(|entry| entry.at).collect();
    times.sort_unstable();
    assert!(times[3].since(times[0]) >= 1_000 * MS && times[6].since(times[3]) >= 1_000 * MS, "{times:?}");
    assert!(ids.iter().all(|id| world.journal.effects(id) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_its_share_and_others_have_theirs() {
    let world = World::new();
    let options =
        Options { tasks_per_tenant_max: 2, bytes_per_tenant_max: 4_096, lease: LEASE, ..Options::default() };
    let worker = world.worker_with("a", options);
    let of = |tenant: &str, script: &str| NewTask { tenant: tenant.to_owned(), ..new(script) };
    for _ in 0..2 {
        made(&worker, of("one", "hang")).await;
    }
    let full = worker.tasks.create(of("one", "hang")).await;
    assert!(matches!(full, Err(TaskError::Share { limit: "tasks_per_tenant_max" })), "{full:?}");
    let large = worker.tasks.create(of("two", &"x".repeat(5_000))).await;
    assert!(matches!(large, Err(TaskError::Share { limit: "bytes_per_tenant_max" })), "{large:?}");
    made(&worker, of("two", "hang")).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_takes_no_new_tasks_and_loses_none_that_run() {
    for fault in [Fault::Before, Fault::Busy, Fault::Unknown] {
        let world = World::new();
        let worker = world.worker("a");
        let id = made(&worker, new("sleep 1000; effect; result x")).await;
        worker.faults.down(Some(fault));
        let refused = worker.tasks.create(new("effect; result y")).await;
        assert!(matches!(refused, Err(TaskError::Store { maybe_written: false, .. })), "{refused:?}");
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(world.journal.effects(&id), 1, "it goes on meanwhile");
        worker.faults.down(None);
        assert_eq!(ended(&worker, &id).await.task.state, TaskState::Completed);
        assert_eq!(world.journal.all().iter().filter(|entry| entry.effect).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_in_doubt_makes_one_task_or_none_that_runs() {
    // Every operation of a creation fails in every way.
    for fault in [Fault::Before, Fault::After, Fault::Unknown] {
        for later in 0..6 {
            let world = World::seeded(later);
            let worker = world.worker("a");
            ended(&worker, &made(&worker, new("result x")).await).await;
            worker.faults.fail(later, fault);
            let created = worker.tasks.create(new("sleep 10; effect; result y")).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
            let effects = world.journal.all().iter().filter(|entry| entry.effect).count();
            match created {
                Ok(made) => {
                    assert_eq!(ended(&worker, &made.view.id).await.task.state, TaskState::Completed);
                    assert_eq!(effects, 1, "{fault:?} {later}");
                }
                Err(_) => assert_eq!(effects, 0, "{fault:?} {later}: its maker was told that nothing ran"),
            }
        }
    }
}
