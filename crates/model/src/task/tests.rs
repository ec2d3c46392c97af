//! Every state with every command, and any sequence of them.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{SeededRng, Timestamp};

const NOW: Timestamp = Timestamp(10_000);

fn rules(repeatable: bool) -> TaskRules {
    TaskRules { repeatable, max_attempts: 3, ..TaskRules::default() }
}

fn failure() -> AttemptFailure {
    AttemptFailure { class: "timeout".to_owned(), error: "{}".to_owned(), may_have_run: true }
}

fn to(change: Result<Change, Refusal>) -> Task {
    match change.expect("possible") {
        Change::To(task) => *task,
        Change::Same => panic!("nothing changed"),
    }
}

fn in_state(state: TaskState, repeatable: bool) -> Task {
    let running = Task::running(Timestamp(1_000), "a", rules(repeatable));
    let fence = running.fence;
    let step = |command| to(running.apply(Timestamp(2_000), command));
    match state {
        TaskState::Waiting => Task::waiting(Timestamp(1_000), Timestamp(1_000), rules(repeatable)),
        TaskState::Running => running,
        TaskState::Asking => step(Command::Ask { fence, questions: vec![("1".to_owned(), "{}".to_owned())] }),
        TaskState::Completed => step(Command::End { fence, how: Ending::Completed, failure: None }),
        TaskState::Failed => step(Command::End { fence, how: Ending::Failed, failure: Some(failure()) }),
        TaskState::Cancelled => step(Command::Cancel),
        TaskState::Gone => to(running.apply(running.expires, Command::Expire)),
    }
}

fn commands() -> Vec<(&'static str, Command)> {
    let end = |how| Command::End { fence: 1, how, failure: None };
    vec![
        ("claim", Command::Claim { worker: "b".to_owned(), lost: false }),
        ("claim of a lost one", Command::Claim { worker: "b".to_owned(), lost: true }),
        ("ask", Command::Ask { fence: 1, questions: vec![("2".to_owned(), "{}".to_owned())] }),
        ("ask, fenced", Command::Ask { fence: 0, questions: vec![("2".to_owned(), "{}".to_owned())] }),
        ("answer", Command::Answer { answers: vec![("q1".to_owned(), "1".to_owned())] }),
        ("answer to nothing", Command::Answer { answers: vec![("q9".to_owned(), "1".to_owned())] }),
        ("follow", Command::Follow { fence: 1, upstream_task: "t".to_owned() }),
        ("say", Command::Say { fence: 1, message: Some("half".to_owned()) }),
        ("retry", Command::Retry { fence: 1, at: NOW, failure: failure() }),
        ("retry, fenced", Command::Retry { fence: 0, at: NOW, failure: failure() }),
        ("complete", end(Ending::Completed)),
        ("complete, fenced", Command::End { fence: 2, how: Ending::Completed, failure: None }),
        ("fail", end(Ending::Failed)),
        ("cancel", Command::Cancel),
        ("hasten", Command::Hasten),
        ("expire", Command::Expire),
    ]
}

#[test]
fn every_command_does_one_thing_in_every_state() {
    let mut table = String::new();
    for (name, command) in commands() {
        let _ = write!(table, "{name}:");
        for state in TaskState::ALL {
            let task = in_state(state, false);
            let outcome = match task.apply(NOW, command.clone()) {
                Ok(Change::Same) => "same".to_owned(),
                Ok(Change::To(to)) => {
                    assert_eq!(to.version, task.version + 1, "{name} on {state:?}");
                    to.state.word().to_owned()
                }
                Err(refusal) => format!("{refusal:?}"),
            };
            let _ = write!(table, " {outcome}");
        }
        table.push('\n');
    }
    // In the columns: waiting, running, asking, completed, failed, cancelled, gone.
    let expected = "\
claim: running NotDue NotDue Ended Ended Ended Ended
claim of a lost one: running running asking Ended Ended Ended Ended
ask: Fenced asking asking Ended Ended Ended Ended
ask, fenced: Fenced Fenced Fenced Ended Ended Ended Ended
answer: same same running Ended Ended Ended Ended
answer to nothing: same same same Ended Ended Ended Ended
follow: Fenced running asking Ended Ended Ended Ended
say: Fenced running asking Ended Ended Ended Ended
retry: Fenced waiting waiting Ended Ended Ended Ended
retry, fenced: Fenced Fenced Fenced Ended Ended Ended Ended
complete: Fenced completed completed Ended Ended Ended Ended
complete, fenced: Fenced Fenced Fenced Ended Ended Ended Ended
fail: Fenced failed failed Ended Ended Ended Ended
cancel: cancelled cancelled cancelled Ended Ended Ended Ended
hasten: waiting OutOfTurn OutOfTurn Ended Ended Ended Ended
expire: NotDue NotDue NotDue NotDue NotDue NotDue same
";
    assert_eq!(table, expected);
}

#[test]
fn a_lost_attempt_is_made_again_only_where_that_does_no_harm() {
    let claim = || Command::Claim { worker: "b".to_owned(), lost: true };
    let lost = |task: &Task| to(task.apply(NOW, claim()));
    let given_up = lost(&in_state(TaskState::Running, false));
    assert_eq!((given_up.next(), given_up.attempts), (Next::GiveUp, 1));
    assert_eq!(lost(&given_up).next(), Next::GiveUp, "whoever takes it over next does the same");
    let again = lost(&in_state(TaskState::Running, true));
    assert_eq!((again.next(), again.attempts), (Next::Run, 2));
    let mut often = in_state(TaskState::Running, true);
    for _ in 0..20 {
        often = lost(&often);
    }
    assert_eq!(often.next(), Next::Run, "workers that die are no fault of the call");
    let late = often.apply(often.created.plus(std::time::Duration::from_secs(3_600)), claim());
    assert_eq!(to(late).next(), Next::GiveUp, "the deadline holds");
    let follow = Command::Follow { fence: 1, upstream_task: "t".to_owned() };
    let followed = lost(&to(in_state(TaskState::Running, false).apply(NOW, follow)));
    assert_eq!((followed.next(), followed.attempts), (Next::Follow, 1));
}

#[test]
fn a_question_keeps_its_key_when_a_call_is_made_again_and_is_new_when_asked_twice() {
    let ask = |task: &Task, own: &str| {
        let questions = vec![(own.to_owned(), "{}".to_owned())];
        to(task.apply(NOW, Command::Ask { fence: task.fence, questions }))
    };
    let answer = |task: &Task, key: &str| {
        to(task.apply(NOW, Command::Answer { answers: vec![(key.to_owned(), "1".to_owned())] }))
    };
    let keys = |task: &Task| task.questions.iter().map(|q| q.key.clone()).collect::<Vec<_>>().join(" ");
    let asked = answer(&ask(&in_state(TaskState::Running, true), "1"), "q1");
    assert_eq!((asked.state, &*keys(&asked)), (TaskState::Running, "q1"));
    let twice = ask(&asked, "1");
    assert_eq!((twice.state, &*keys(&twice)), (TaskState::Asking, "q1 q2"));
    let claimed = to(twice.apply(NOW, Command::Claim { worker: "b".to_owned(), lost: true }));
    let again = ask(&claimed, "1");
    assert_eq!((again.state, &*keys(&again)), (TaskState::Asking, "q1 q2"), "it waits for q2 still");
    let again = ask(&again, "1");
    assert_eq!(keys(&again), "q1 q2");
    let retried = Command::Retry { fence: again.fence, at: NOW, failure: failure() };
    let retried = to(again.apply(NOW, retried));
    let running = to(retried.apply(NOW, Command::Claim { worker: "b".to_owned(), lost: false }));
    let superseded = ask(&ask(&running, "1"), "1");
    assert_eq!(keys(&superseded), "q1 q2 q3", "nobody answers q2 any more");
    let late = superseded.apply(NOW, Command::Answer { answers: vec![("q2".to_owned(), "1".to_owned())] });
    assert_eq!(late, Ok(Change::Same));
}

#[test]
fn a_task_asks_a_limited_number_of_questions() {
    let mut task = in_state(TaskState::Running, false);
    for number in 0..256 {
        let questions = vec![(number.to_string(), "{}".to_owned())];
        task = to(task.apply(NOW, Command::Ask { fence: 1, questions }));
    }
    let one_more = Command::Ask { fence: 1, questions: vec![("x".to_owned(), "{}".to_owned())] };
    assert_eq!(task.apply(NOW, one_more), Err(Refusal::TooMany));
}

#[test]
fn a_task_lives_as_long_as_its_rules_say() {
    let rules = TaskRules {
        ttl_ms: 10_000,
        result_retention_ms: 20_000,
        retention_max_ms: 25_000,
        ..TaskRules::default()
    };
    let task = Task::running(Timestamp(0), "a", rules);
    let end =
        |at| to(task.apply(Timestamp(at), Command::End { fence: 1, how: Ending::Completed, failure: None }));
    assert_eq!(task.expires, Timestamp(10_000));
    assert_eq!(end(1_000).expires, Timestamp(21_000), "the result stays for its retention");
    assert_eq!(end(9_000).expires, Timestamp(25_000), "and nothing longer than the longest");
    assert!(!end(9_000).is_over(Timestamp(24_999)) && end(9_000).is_over(Timestamp(25_000)));
}

#[test]
fn a_pause_doubles_up_to_its_limit_with_some_chance_and_is_as_long_as_the_server_asks() {
    let rules = TaskRules { backoff_ms: 100, backoff_max_ms: 1_000, ..TaskRules::default() };
    let rng = SeededRng::new(7);
    for (attempts, whole) in [(1, 100), (2, 200), (4, 800), (5, 1_000), (40, 1_000), (u32::MAX, 1_000)] {
        for _ in 0..50 {
            let pause = rules.pause(attempts, None, &rng).as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{attempts}: {pause}");
        }
    }
    let asked = std::time::Duration::from_secs(9);
    assert_eq!(rules.pause(1, Some(asked), &rng), asked);
}

#[test]
fn polls_are_asked_for_more_seldom_with_age_and_sooner_before_something_is_due() {
    let s = std::time::Duration::from_secs;
    let task = Task::running(Timestamp(0), "a", TaskRules::default());
    let at = |task: &Task, now: u64| task.poll_interval(Timestamp(now * 1_000), s(1), s(30));
    assert_eq!([at(&task, 0), at(&task, 100), at(&task, 1_000)], [s(1), s(10), s(30)]);
    assert_eq!([at(&task, 3_560), at(&task, 3_599)], [s(10), s(1)]);
    let failed = Command::Retry { fence: 1, at: Timestamp(1_004_000), failure: failure() };
    let waiting = to(task.apply(Timestamp(1_000_000), failed));
    assert_eq!(at(&waiting, 1_000), s(4));
}

#[test]
fn a_record_is_read_as_it_was_written() {
    for state in TaskState::ALL {
        let task = in_state(state, true);
        let text = serde_json::to_string(&task).expect("text");
        assert_eq!(serde_json::from_str::<Task>(&text).expect("a task"), task, "{text}");
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let fence = 0_u64..6;
    let keys = proptest::collection::vec((0_u8..5, 0_u8..3), 0..3);
    prop_oneof![
        (any::<bool>(), 0_u8..3).prop_map(|(lost, w)| Command::Claim { worker: format!("w{w}"), lost }),
        (fence.clone(), keys.clone()).prop_map(|(fence, all)| Command::Ask {
            fence,
            questions: all.iter().map(|(own, ask)| (own.to_string(), ask.to_string())).collect(),
        }),
        keys.prop_map(|all| Command::Answer {
            answers: all.iter().map(|(key, value)| (format!("q{key}"), value.to_string())).collect(),
        }),
        fence.clone().prop_map(|fence| Command::Follow { fence, upstream_task: "t".to_owned() }),
        (fence.clone(), 0_u64..20_000).prop_map(|(fence, at)| Command::Retry {
            fence,
            at: Timestamp(at),
            failure: failure(),
        }),
        (fence, any::<bool>(), 0_u8..4).prop_map(|(fence, good, rare)| {
            let how = if good { Ending::Completed } else { Ending::Failed };
            // Most sequences are to go on for a while.
            Command::End { fence: fence + u64::from(rare) * 100, how, failure: None }
        }),
        Just(Command::Hasten),
        (0_u8..8).prop_map(|n| if n == 0 { Command::Cancel } else { Command::Expire }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_ends_are_final_claims_are_exclusive_and_keys_stay(
        repeatable in any::<bool>(),
        steps in proptest::collection::vec((any_command(), 0_u64..2_000), 1..60),
    ) {
        let mut now = Timestamp(0);
        let mut task = Task::waiting(now, now, rules(repeatable));
        for (command, pause) in steps {
            now = Timestamp(now.0 + pause);
            let before = task.clone();
            let fence = match &command {
                Command::Ask { fence, .. } | Command::Follow { fence, .. } | Command::Say { fence, .. }
                | Command::Retry { fence, .. } | Command::End { fence, .. } => Some(*fence),
                _ => None,
            };
            let Ok(Change::To(next)) = task.apply(now, command.clone()) else { continue };
            task = *next;
            prop_assert_eq!(task.version, before.version + 1);
            prop_assert!(task.updated >= before.updated);
            if !before.state.is_open() {
                prop_assert_eq!(task.state, TaskState::Gone);
            }
            if let Some(fence) = fence {
                prop_assert_eq!(fence, before.fence, "only whoever has it changes it");
            }
            let claimed = matches!(command, Command::Claim { .. });
            prop_assert_eq!(task.fence, before.fence + u64::from(claimed));
            let has_owner = matches!(task.state, TaskState::Running | TaskState::Asking);
            prop_assert_eq!(task.owner.is_some(), has_owner);
            prop_assert_eq!(task.state == TaskState::Asking, task.open_questions().next().is_some());
            if before.attempts > 0 && task.attempts > before.attempts && before.state != TaskState::Waiting {
                prop_assert!(repeatable, "an attempt that may have run is made again");
            }
            if task.state == TaskState::Gone {
                break;
            }
            for (old, new) in before.questions.iter().zip(&task.questions) {
                prop_assert_eq!(&old.key, &new.key);
                if old.state != QuestionState::Open {
                    prop_assert_eq!(&old.state, &new.state, "an answer stays");
                }
            }
            let mut keys: Vec<_> = task.questions.iter().map(|q| &q.key).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), task.questions.len());
        }
    }
}
