use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_egress::{Child, ChildOptions, EgressError, Exit, LineTooLong, Lines, Party, spawns_total};
use tokio::sync::mpsc;

use crate::net::{LONG, SHORT};

fn options(argv: &[&str]) -> ChildOptions {
    ChildOptions { argv: argv.iter().map(|word| (*word).to_owned()).collect(), ..ChildOptions::default() }
}

fn spawn(argv: &[&str]) -> (Child, Lines) {
    spawn_with(options(argv))
}

fn spawn_with(options: ChildOptions) -> (Child, Lines) {
    let mut child = Child::spawn(options).unwrap();
    let lines = child.take_lines().unwrap();
    (child, lines)
}

/// The next line, or a failure where it would never come.
async fn next(lines: &mut Lines) -> Option<Result<Bytes, EgressError>> {
    tokio::time::timeout(LONG, lines.next()).await.expect("next() hangs")
}

async fn text(lines: &mut Lines) -> String {
    String::from_utf8(next(lines).await.unwrap().unwrap().to_vec()).unwrap()
}

async fn exited(child: &Child) -> Exit {
    tokio::time::timeout(LONG, child.exited()).await.expect("the child does not end")
}

/// Whether a process runs: there, and no zombie.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).is_some_and(|state| state != 'Z')
}

async fn until_gone(pid: &str) {
    let gone = async {
        while runs(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, gone).await.expect("the process stays");
}

#[tokio::test]
async fn lines_go_in_and_come_back_in_order_and_closing_stdin_ends_the_child() {
    let (child, mut lines) = spawn(&["cat"]);
    let large = Bytes::from(vec![b'x'; 1024 * 1024]);
    let sender = async {
        for line in [Bytes::from_static(b"{\"id\":1}"), large.clone(), Bytes::from_static(b"\xff")] {
            child.send_line(line).await.unwrap();
        }
    };
    let receiver = async {
        assert_eq!(next(&mut lines).await.unwrap().unwrap(), "{\"id\":1}");
        assert!(next(&mut lines).await.unwrap().unwrap() == large);
        assert_eq!(next(&mut lines).await.unwrap().unwrap(), &b"\xff"[..]);
    };
    tokio::join!(sender, receiver);
    assert_eq!(child.exit(), None);
    let exit = tokio::time::timeout(LONG, child.shutdown()).await.unwrap();
    assert_eq!(exit, Some(Exit { code: Some(0), signal: None }));
    assert!(next(&mut lines).await.is_none());
}

#[tokio::test]
async fn lines_that_were_accepted_are_written_before_stdin_closes() {
    let (child, mut lines) = spawn(&["cat"]);
    for n in 0..10 {
        child.send_line(Bytes::from(n.to_string())).await.unwrap();
    }
    tokio::time::timeout(LONG, child.shutdown()).await.unwrap();
    for n in 0..10 {
        assert_eq!(text(&mut lines).await, n.to_string());
    }
    let error = child.send_line(Bytes::from_static(b"late")).await.unwrap_err();
    assert!(matches!(error, EgressError::ChildGone { exit: Some(_) }), "{error:?}");
    assert!(error.nothing_sent());
}

#[tokio::test]
async fn words_are_passed_as_they_are_and_no_shell_reads_them() {
    let (_child, mut lines) = spawn(&["echo", "$HOME", "`id`", "a;b", "*", "'"]);
    assert_eq!(text(&mut lines).await, "$HOME `id` a;b * '");
}

#[tokio::test]
async fn the_environment_is_the_short_list_and_what_is_configured() {
    let env = vec![("TOKEN".to_owned(), "a b".to_owned()), ("LANG".to_owned(), "xx".to_owned())];
    let (_child, mut lines) = spawn_with(ChildOptions { env, ..options(&["env"]) });
    let mut seen = BTreeSet::new();
    while let Some(line) = next(&mut lines).await {
        seen.insert(String::from_utf8(line.unwrap().to_vec()).unwrap());
    }
    assert!(seen.contains("TOKEN=a b") && seen.contains("LANG=xx"), "{seen:?}");
    let names: BTreeSet<&str> = seen.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let allowed = BTreeSet::from(["PATH", "HOME", "LANG", "TMPDIR", "USER", "TOKEN"]);
    assert!(names.is_subset(&allowed), "{names:?}");
    assert!(std::env::vars_os().count() > allowed.len(), "the test's own environment must have more to hide");
}

#[tokio::test]
async fn the_working_directory_is_the_one_asked_for() {
    let (_child, mut lines) = spawn_with(ChildOptions { cwd: Some("/".into()), ..options(&["pwd"]) });
    assert_eq!(text(&mut lines).await, "/");
}

#[tokio::test]
async fn options_that_cannot_work_start_nothing() {
    let env = |name: &str, value: &str| ChildOptions {
        env: vec![(name.to_owned(), value.to_owned())],
        ..options(&["cat"])
    };
    let bad = [
        options(&[]),
        options(&[""]),
        options(&["cat", "a\0b"]),
        env("", "x"),
        env("A=B", "x"),
        env("A", "\0"),
    ];
    for options in bad {
        let error = Child::spawn(options).unwrap_err();
        assert!(matches!(error, EgressError::Options { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_and_each_attempt_is_counted() {
    let before = spawns_total();
    let error = Child::spawn(options(&["tidegate-no-such-program", "x"])).unwrap_err();
    let EgressError::Spawn { program, source } = &error else { panic!("{error:?}") };
    assert_eq!((&**program, source.kind()), ("tidegate-no-such-program", std::io::ErrorKind::NotFound));
    assert_eq!(error.party(), Party::Gateway);
    assert!(spawns_total() > before);
}

#[tokio::test]
async fn secrets_do_not_show_in_debug_output() {
    let env = vec![("TOKEN".to_owned(), "s3cret".to_owned())];
    let shown = format!("{:?}", ChildOptions { env, ..options(&["cat", "--key=s3cret"]) });
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_crash_ends_the_lines_and_says_how() {
    let (child, mut lines) = spawn(&["sh", "-c", "echo one; printf half; exit 3"]);
    assert_eq!(text(&mut lines).await, "one");
    assert_eq!(text(&mut lines).await, "half");
    assert!(next(&mut lines).await.is_none());
    let exit = exited(&child).await;
    assert_eq!((exit, exit.to_string()), (Exit { code: Some(3), signal: None }, "exit code 3".to_owned()));
    assert_eq!(child.exit(), Some(exit));
    let error = child.send_line(Bytes::from_static(b"x")).await.unwrap_err();
    assert!(matches!(error, EgressError::ChildGone { exit: Some(Exit { code: Some(3), .. }) }), "{error:?}");
}

#[tokio::test]
async fn a_child_that_was_killed_names_the_signal() {
    let (child, _lines) = spawn(&["sh", "-c", "kill -9 $$"]);
    assert_eq!(exited(&child).await.to_string(), "signal 9");
}

#[tokio::test]
async fn lines_that_cannot_be_sent_are_refused_before_they_are() {
    let (child, _lines) = spawn_with(ChildOptions { line_bytes_max: 8, ..options(&["cat"]) });
    for line in ["", "a\nb", "a\n", "a\rb", "a\r"] {
        let error = child.send_line(Bytes::from_static(line.as_bytes())).await.unwrap_err();
        assert!(matches!(error, EgressError::BadLine { .. }) && error.nothing_sent(), "{line:?}: {error:?}");
    }
    let error = child.send_line(Bytes::from_static(b"123456789")).await.unwrap_err();
    assert!(matches!(error, EgressError::LineTooLong(LineTooLong { limit_bytes: 8 })), "{error:?}");
    child.send_line(Bytes::from_static(b"12345678")).await.unwrap();
}

#[tokio::test]
async fn an_over_long_line_is_an_error_with_the_limit_and_the_next_line_is_read() {
    let argv = ["sh", "-c", "printf '%01000000d\\r\\n\\nok\\r\\n' 7"];
    let (_child, mut lines) = spawn_with(ChildOptions { line_bytes_max: 5000, ..options(&argv) });
    let error = next(&mut lines).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "read a line of more than 5000 bytes");
    assert_eq!(text(&mut lines).await, "ok");
    assert!(next(&mut lines).await.is_none());
}

#[tokio::test]
async fn the_last_lines_of_stderr_are_kept_and_all_of_them_offered_to_the_log() {
    let (seen, mut all) = mpsc::unbounded_channel();
    let script = "i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; printf '\\377end' >&2";
    let (child, mut lines) = spawn_with(ChildOptions {
        stderr_lines_max: 3,
        on_stderr: Some(Arc::new(move |line: &str| seen.send(line.to_owned()).unwrap())),
        ..options(&["sh", "-c", script])
    });
    let mut offered = Vec::new();
    while offered.last().is_none_or(|line| line != "\u{fffd}end") {
        offered.push(tokio::time::timeout(LONG, all.recv()).await.unwrap().unwrap());
    }
    assert_eq!(offered.len(), 501);
    assert_eq!(child.stderr_tail(), ["line 498", "line 499", "\u{fffd}end"]);
    assert!(next(&mut lines).await.is_none(), "stderr is not stdout");
}

#[tokio::test]
async fn all_of_stderr_is_there_once_it_has_ended() {
    let script = "i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done";
    let (child, _lines) = spawn(&["sh", "-c", script]);
    tokio::time::timeout(LONG, child.stderr_ended()).await.unwrap();
    assert_eq!(child.stderr_tail().last().map(String::as_str), Some("line 4999"));
    // It stays ended.
    tokio::time::timeout(LONG, child.stderr_ended()).await.unwrap();
}

#[tokio::test]
async fn a_child_that_does_not_read_makes_the_sender_wait() {
    let (child, _lines) = spawn(&["sleep", "1000"]);
    let line = Bytes::from(vec![b'x'; 128 * 1024]);
    let many = async {
        for _ in 0..100 {
            child.send_line(line.clone()).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(SHORT, many).await.is_err(), "the queue has no limit");
}

#[tokio::test]
async fn shutdown_asks_with_sigterm_when_closing_stdin_is_not_enough() {
    let (child, _lines) = spawn_with(ChildOptions { kill_grace: SHORT, ..options(&["sleep", "1000"]) });
    let exit = tokio::time::timeout(LONG, child.shutdown()).await.unwrap().unwrap();
    assert_eq!(exit, Exit { code: None, signal: Some(15) });
    assert_eq!(child.shutdown().await, Some(exit), "it may be called again");
}

#[tokio::test]
async fn shutdown_kills_a_child_that_ignores_sigterm() {
    let argv = ["sh", "-c", "trap '' TERM; echo ready; exec sleep 1000"];
    let (child, mut lines) = spawn_with(ChildOptions { kill_grace: SHORT, ..options(&argv) });
    assert_eq!(text(&mut lines).await, "ready");
    let exit = tokio::time::timeout(LONG, child.shutdown()).await.unwrap();
    assert_eq!(exit, Some(Exit { code: None, signal: Some(9) }));
}

#[tokio::test]
async fn dropping_a_child_kills_it_and_what_it_started() {
    let argv = ["sh", "-c", "trap '' TERM; sleep 1000 & echo $!; wait"];
    let (child, mut lines) = spawn(&argv);
    let pids = [child.id().to_string(), text(&mut lines).await];
    assert!(pids.iter().all(|pid| runs(pid)), "{pids:?}");
    drop(child);
    for pid in pids {
        until_gone(&pid).await;
    }
}

#[tokio::test]
async fn what_a_child_leaves_behind_is_ended_before_its_end_is_reported() {
    let argv = ["sh", "-c", "trap '' TERM; sleep 1000 & echo $!; exit 0"];
    let (child, mut lines) = spawn_with(ChildOptions { kill_grace: SHORT, ..options(&argv) });
    let left = text(&mut lines).await;
    assert_eq!(exited(&child).await.code, Some(0));
    until_gone(&left).await;
}

#[tokio::test]
async fn orphans_that_come_to_us_are_reaped_and_do_not_delay_the_end() {
    // What process 1 of a container is by nature.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let (child, mut lines) =
        spawn_with(ChildOptions { kill_grace: LONG * 2, ..options(&["sh", "-c", "sleep 1000 & echo $!"]) });
    let orphan = text(&mut lines).await;
    assert_eq!(exited(&child).await.code, Some(0));
    assert!(!std::path::Path::new(&format!("/proc/{orphan}")).exists(), "not even a zombie is left");
}

#[tokio::test]
async fn a_process_that_left_the_group_cannot_hold_the_lines_open() {
    let argv = ["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & read go"];
    let (child, mut lines) = spawn(&argv);
    let escaped = text(&mut lines).await;
    child.send_line(Bytes::from_static(b"go")).await.unwrap();
    assert_eq!(exited(&child).await.code, Some(0));
    assert!(next(&mut lines).await.is_none());
    assert!(runs(&escaped), "the test must have one that got away");
    let escaped = rustix::process::Pid::from_raw(escaped.parse().unwrap()).unwrap();
    rustix::process::kill_process(escaped, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn reading_can_be_cancelled_between_any_two_bytes() {
    let (child, mut lines) = spawn(&["cat"]);
    assert!(tokio::time::timeout(Duration::from_millis(1), lines.next()).await.is_err());
    child.send_line(Bytes::from_static(b"still here")).await.unwrap();
    assert_eq!(text(&mut lines).await, "still here");
}
