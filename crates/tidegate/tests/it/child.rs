//! Upstreams that are processes.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;
use testkit::Revision;
use tokio::time::{Duration, Instant};

use crate::program::{DEMO, Folder, PROGRAM, text};

/// The process id that a script wrote, once it is there.
pub async fn pid_in(folder: &Folder, name: &str) -> Pid {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let text = std::fs::read_to_string(folder.path(name)).unwrap_or_default();
        if let Some(id) = text.strip_suffix('\n').and_then(|id| id.parse().ok()) {
            return Pid::from_raw(id).unwrap();
        }
        assert!(Instant::now() < until, "no process id in {name}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a process is no more.
pub async fn is_gone(process: Pid) {
    let until = Instant::now() + Duration::from_secs(30);
    while test_kill_process(process).is_ok() {
        assert!(Instant::now() < until, "{process:?} is still there");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A `command` that runs this before it becomes the demo server.
fn script(before: &str) -> String {
    let server = format!("exec \"{PROGRAM}\" stdio --config /dev/null --endpoint demo");
    format!("[sh, -c, '{before} {server}']")
}

#[tokio::test]
async fn only_what_is_configured_reaches_a_process() {
    let folder = Folder::new();
    folder.write("token", "sesame\n");
    folder.configure(&format!(
        "upstreams:\n  files:\n    command: {}\n    env: {{PLAIN: here, TOKEN: {{file: token}}, \
         PASSED: {{env: GATEWAY_PASSED}}, LANG: C.UTF-8}}\n",
        script("env > seen.env;")
    ));
    let mut command = folder.command(&["call", "files_echo", "--arg", "text=x"]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command
        .env("HOME", "/home/gate")
        .env("LANG", "xx")
        .env("GATEWAY_SECRET", "no")
        .env("GATEWAY_PASSED", "yes");
    let output = testkit::within(command.output()).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "x\n", "{output:?}");
    let seen = folder.read("seen.env");
    let value = |name: &str| seen.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(value("PLAIN"), Some("here"));
    assert_eq!(value("TOKEN"), Some("sesame"));
    assert_eq!(value("PASSED"), Some("yes"));
    assert_eq!(value("LANG"), Some("C.UTF-8"), "what is configured replaces what is passed on");
    assert_eq!(value("HOME"), Some("/home/gate"));
    // What a shell adds by itself is none of the gateway's.
    let own = ["PLAIN", "TOKEN", "PASSED", "LANG", "HOME", "PATH", "PWD", "OLDPWD", "SHLVL", "_"];
    let others: Vec<_> =
        seen.lines().filter(|line| !own.contains(&line.split('=').next().unwrap())).collect();
    assert_eq!(others, Vec::<&str>::new());
}

#[tokio::test]
async fn a_crash_fails_its_own_calls_alone_and_the_process_comes_back() {
    let folder = Folder::with(&format!(
        "upstreams:\n  frail:\n    command: {}\n    stdio: {{restart_backoff_min: 10ms}}\n  \
         solid: {{command: {DEMO}}}\n",
        script("echo $$ > pid;")
    ));
    let mut up = folder.up(&[]).await;
    let client = up.client("/mcp", Revision::V2025_11_25).await;
    let slow = |name: &str| json!({"name": name, "arguments": {"seconds": 2, "steps": 20}});
    let fine = client.start("tools/call", slow("solid_slow"));
    let mut lost = up.call("/mcp", "frail_slow", slow("")["arguments"].clone()).send().await;
    lost.event().await.unwrap();
    kill_process(pid_in(&folder, "pid").await, Signal::KILL).unwrap();
    let mut last = String::new();
    while let Some(event) = testkit::within(lost.event()).await {
        last = event.data;
    }
    assert!(last.contains("\"code\":-31003") && last.contains("\"retry\":\"may_have_run\""), "{last}");
    let outcome = client.call_tool("frail_echo", json!({"text": "back"})).await;
    assert_eq!(text(outcome.result()), "back");
    assert!(text(fine.outcome().await.result()).starts_with("Done"), "the other process did not notice");
    assert!(up.metrics().await.contains("tidegate_upstream_starts_total{upstream=\"frail\"} 2"));
    assert_eq!(up.stop().await, 0);
    is_gone(pid_in(&folder, "pid").await).await;
}

#[tokio::test]
async fn a_flood_of_errors_neither_stops_a_process_nor_the_gateway() {
    let flood = "i=0; while [ $i -lt 20000 ]; do echo \"line $i of a flood\" >&2; i=$((i+1)); done;";
    let folder = Folder::with(&format!("upstreams:\n  noisy: {{command: {}}}\n", script(flood)));
    let ran = folder.run(&["call", "noisy_echo", "--arg", "text=heard"]).await;
    assert_eq!(ran.good(), "heard\n");
    let folder = Folder::with(&format!("upstreams:\n  noisy: {{command: [sh, -c, '{flood} exit 7']}}\n"));
    let said = folder.run(&["call", "noisy_echo"]).await.bad(4);
    assert!(
        said.contains("cause: the process ended: exit code 7; stderr: line 19995 of a flood | "),
        "{said}"
    );
    assert!(said.len() < 1_000, "{said}");
}

#[tokio::test]
async fn what_a_process_writes_beside_the_protocol_is_read_over() {
    let folder = Folder::with(&format!(
        "upstreams:\n  chatty: {{command: {}}}\n",
        script("echo Starting up; echo {not json;")
    ));
    let ran = folder.run(&["call", "chatty_echo", "--arg", "text=heard"]).await;
    assert_eq!(ran.good(), "heard\n");
}

#[tokio::test]
async fn a_command_that_is_interrupted_leaves_no_process_behind() {
    let deaf = "echo $$ > pid; while read -r line; do :; done; sleep 3600";
    let folder = Folder::with(&format!("upstreams: {{deaf: {{command: [sh, -c, '{deaf}']}}}}"));
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut program = folder.start(&["tools"]);
        let child = pid_in(&folder, "pid").await;
        program.signal(signal);
        assert_eq!(program.ended().await, code);
        is_gone(child).await;
        std::fs::remove_file(folder.path("pid")).unwrap();
    }
}
