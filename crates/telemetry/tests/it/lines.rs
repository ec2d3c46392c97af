//! The log: one line a call, and nothing in it that is nobody's business.

use std::io::Write;
use std::sync::{Mutex, OnceLock};

use config::LogCalls;
use demo::Revision;
use serde_json::{Value, json};

use crate::World;
use crate::collector::Collector;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps the log of the whole process, as the program writes it.
fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let builder = tracing_subscriber::fmt().with_env_filter("info").with_writer(|| Log);
        builder.json().flatten_event(true).init();
    });
}

/// The lines on calls of this trace.
pub fn of_trace(trace: &str) -> Vec<Value> {
    let log = String::from_utf8(LOG.lock().expect("no panic").clone()).expect("text");
    let lines = log.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    lines.filter(|line: &Value| line["trace_id"] == trace).collect()
}

/// Makes calls that end in several ways, and gives their lines.
pub async fn calls(log_calls: LogCalls, trace: &str) -> Vec<Value> {
    listen();
    let collector = Collector::start().await;
    let choose = |config: &mut config::Config| config.telemetry.log_calls = log_calls;
    let world = World::with(&collector.url(), Revision::V2025_11_25, |_| (), choose).await;
    let client = world.client(Revision::V2026_07_28).await;
    let meta = json!({ "traceparent": format!("00-{trace}-00f067aa0ba902b7-01") });
    for (tool, arguments) in [
        ("crm_echo", json!({ "text": "hunter2" })),
        ("crm_fail", json!({ "why": "hunter2" })),
        ("crm_nothing", json!({ "text": "hunter2" })),
    ] {
        let params = json!({ "name": tool, "arguments": arguments, "_meta": meta });
        client.request("tools/call", params).await;
    }
    client.request("prompts/get", json!({ "name": "crm_nothing", "_meta": meta })).await;
    world.stop().await;
    of_trace(trace)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_one_line_where_all_are_asked_for() {
    let trace = "10000000000000000000000000000001";
    let lines = calls(LogCalls::All, trace).await;
    let told = |line: &Value| {
        ["method", "tool", "outcome", "code"]
            .map(|field| line[field].to_string().trim_matches('"').to_owned())
    };
    let told: Vec<_> = lines.iter().map(told).collect();
    assert_eq!(
        told,
        [
            ["tools/call", "crm_echo", "ok", "null"],
            ["tools/call", "crm_fail", "tool_error", "null"],
            ["tools/call", "crm_nothing", "error", "-32602"],
            ["prompts/get", "null", "error", "-32602"],
        ]
    );
    for line in &lines {
        let of = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            (of("upstream"), of("endpoint"), of("level")),
            ("crm".into(), "mcp".into(), "INFO".into())
        );
        let revisions = (of("client_revision"), of("upstream_revision"));
        assert_eq!(revisions, ("2026-07-28".into(), "2025-11-25".into()));
        assert!(line["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    }
    assert!(!format!("{lines:?}").contains("hunter2"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_failures_are_lines_unless_told_otherwise_and_none_where_none_are_wanted() {
    let lines = calls(LogCalls::default(), "10000000000000000000000000000002").await;
    let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["tool_error", "error", "error"]);
    assert!(calls(LogCalls::None, "10000000000000000000000000000003").await.is_empty());
}
