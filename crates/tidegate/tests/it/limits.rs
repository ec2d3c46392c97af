//! Limits that several processes keep together, and `tidegate limits`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::program::{DEMO, Folder, Up, call};

/// Replicas find one another within this.
const WARM: Duration = Duration::from_secs(8);
/// How long is counted, in seconds. A run by hand can have it longer.
const SECONDS: u64 = 10;
const SECONDS_VARIABLE: &str = "TIDEGATE_TEST_LIMITS_SECONDS";
/// The rate, a second.
const RATE: u64 = 100;

fn folder() -> Folder {
    Folder::with(&format!(
        "listen: 127.0.0.1:0\nstore: {{url: 'sqlite:data/t.db'}}\nreplica: {{listen: 127.0.0.1:0}}\n\
         upstreams: {{demo: {{command: {DEMO}}}}}\n\
         rates:\n\
         - {{name: all, rate: {RATE}/1s, burst: 1, match: {{tools: [echo]}}}}\n\
         - {{name: few, quota: {{calls: 50, per: month}}, match: {{tools: [add]}}}}\n"
    ))
}

async fn echo(up: &Up) -> u16 {
    call(&up.http, "/demo/mcp", "echo", json!({"text": "x"})).send().await.status
}

/// Calls until the end, and counts what was let through from `from` on.
async fn flood(up: &Up, from: Instant, end: Instant) -> (u64, u64) {
    let (mut through, mut refused) = (0, 0);
    loop {
        let status = echo(up).await;
        let now = Instant::now();
        if now >= end {
            return (through, refused);
        }
        if now >= from {
            through += u64::from(status == 200);
            refused += u64::from(status == 429);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_keep_a_rate_within_a_twentieth() {
    let folder = folder();
    let (mut a, mut b, mut c) = (folder.up(&[]).await, folder.up(&[]).await, folder.up(&[]).await);
    let seconds = std::env::var(SECONDS_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let from = Instant::now() + WARM;
    let end = from + Duration::from_secs(seconds);
    let counts = tokio::join!(flood(&a, from, end), flood(&b, from, end), flood(&c, from, end));
    let [(one, _), (two, _), (three, _)] = [counts.0, counts.1, counts.2];
    let (through, all) = (one + two + three, RATE * seconds);
    println!("{through} of {all} in {seconds} s: {counts:?}");
    assert!(counts.0.1 + counts.1.1 + counts.2.1 > 0, "more was asked for than there is: {counts:?}");
    assert!(through * 20 <= all * 21 && through * 20 >= all * 19, "{through} of {all}: {counts:?}");
    for up in [&mut a, &mut b, &mut c] {
        assert_eq!(up.stop().await, 0);
    }
}

#[tokio::test]
async fn what_is_used_of_a_quota_outlives_the_process_and_is_shown() {
    let folder = folder();
    let add = async |up: &Up| call(&up.http, "/demo/mcp", "add", json!({"a": 1, "b": 2})).send().await.status;
    let mut up = folder.up(&[]).await;
    for _ in 0..30 {
        assert_eq!(add(&up).await, 200);
    }
    assert_eq!(up.stop().await, 0);
    let shown: Value = folder.run(&["limits", "few", "--output", "json"]).await.json();
    assert_eq!((&shown["rule"], &shown["used"], &shown["of"]), (&json!("few"), &json!(30), &json!("all")));
    assert_eq!(shown["limit"], "50 calls a month");
    assert!(shown["until"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{shown}");
    let mut up = folder.up(&[]).await;
    let mut through = 0;
    while add(&up).await == 200 {
        through += 1;
    }
    assert_eq!(through, 20);
    let table = folder.run(&["limits"]).await.good();
    assert!(table.contains("RULE") && table.contains("50 calls a month") && table.contains("all"), "{table}");
    assert_eq!(up.stop().await, 0);
    let said = folder.run(&["limits", "none"]).await.bad(3);
    assert!(said.contains("there is no such rule"), "{said}");
}
