//! docs/telemetry.md lists what there is, and nothing that there is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use audit::{Event, ExportFigures, Figures, Recorded, Recorder, Unwritten};
use demo::Revision;
use serde_json::json;
use testkit::within;

use crate::World;
use crate::collector::Collector;
use crate::lines;

const DOCUMENT: &str = include_str!("../../../../docs/telemetry.md");

/// A recorder that counts, and an export that is its own.
struct Counting;

#[async_trait]
impl Recorder for Counting {
    fn is_strict(&self) -> bool {
        false
    }

    fn note(&self, _: Event) {}

    async fn record(&self, _: Event) -> Result<Recorded, Unwritten> {
        Err(Unwritten("nothing is written".to_owned()))
    }

    fn figures(&self) -> Option<Figures> {
        let name = Arc::from("siem");
        let export = ExportFigures { name, delivered: 1, failed: 0, missed: 0, behind: Some(2) };
        Some(Figures { exports: vec![export], ..Figures::default() })
    }
}

/// The words in code font in the first columns of the tables of a section.
fn listed(section: &str) -> BTreeSet<String> {
    let section = DOCUMENT.split("\n## ").find(|s| s.starts_with(section)).expect("a section");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let first = rows.map(|row| row.split('|').nth(1).expect("a column"));
    first.flat_map(|column| column.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_label_is_in_the_document() {
    let collector = Collector::start().await;
    let world = World::start(&collector.url(), Revision::V2025_11_25, |_| ()).await;
    world.gateway.app().record_with(Arc::new(Counting));
    for revision in [Revision::V2026_07_28, Revision::V2025_06_18] {
        let client = world.client(revision).await;
        client.request("tools/list", json!({})).await;
        client.request("tools/list", json!({})).await;
        assert_eq!(client.call_tool("crm_echo", json!({ "text": "x" })).await.text(), "x");
        client.call_tool("crm_made_up", json!({})).await;
        client.request("made/up", json!({})).await;
        within(client.close()).await;
    }
    // The fourth kind of histogram: a session with the upstream ends when it is asked to.
    for upstream in world.gateway.app().generation().upstreams() {
        within(upstream.shutdown()).await;
    }
    let http = testkit::http::Http::new(world.gateway.address());
    let refused = http.post("/mcp", "{}").header("origin", "http://elsewhere.example").send().await;
    assert_eq!(refused.status, 403);
    assert_eq!(http.get("/mcp/server-card").send().await.status, 404);
    let metrics = within(async {
        loop {
            let metrics = world.metrics().await;
            if metrics.contains("mcp_client_session_duration_seconds_count") {
                return metrics;
            }
        }
    })
    .await;
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<String> =
        names.map(|line| line.split(' ').next().expect("a name").to_owned()).collect();
    assert_eq!(names, listed("Metrics"));

    let samples = metrics.lines().filter(|line| !line.starts_with('#'));
    for label in samples.filter_map(|line| line.split_once('{')).flat_map(|(_, rest)| rest.split("=\"")) {
        let label = label.rsplit([',', '{', '"']).next().unwrap_or_default();
        if label.starts_with(|c: char| c.is_ascii_lowercase()) && label != "le" {
            assert!(DOCUMENT.contains(&format!("`{label}`")), "{label}");
        }
    }
    let counted = |text: &str| metrics.lines().any(|line| line.starts_with(text) && !line.ends_with(" 0"));
    let operation = |side: &str, method: &str, rest: &str| {
        let name = format!("mcp_{side}_operation_duration_seconds_count{{mcp_method_name=\"{method}\"{rest}");
        assert!(counted(&name), "{name}\n{metrics}");
    };
    operation("server", "tools/call", ",gen_ai_tool_name=\"crm_echo\"");
    operation("client", "tools/call", ",gen_ai_tool_name=\"echo\"");
    operation("server", "_OTHER", "");
    operation("server", "initialize", "");
    operation("client", "initialize", "");
    for text in [
        "mcp_server_session_duration_seconds_count{mcp_protocol_version=\"2025-06-18\"",
        "mcp_client_session_duration_seconds_count{mcp_protocol_version=\"2025-11-25\"",
        "tidegate_list_cache_hits_total{upstream=\"crm\"}",
        "tidegate_list_cache_misses_total{upstream=\"crm\"}",
        "tidegate_upstream_requests_total{upstream=\"crm\"}",
    ] {
        assert!(counted(text), "{text}\n{metrics}");
    }
    assert!(!metrics.contains("made_up") && !metrics.contains("made/up"), "what clients make up is no label");
    within(world.gateway.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attribute_of_a_span_is_in_the_document() {
    let collector = Collector::start().await;
    let world = World::start(&collector.url(), Revision::V2026_07_28, |_| ()).await;
    let client = world.client(Revision::V2026_07_28).await;
    client.call_tool("crm_echo", json!({ "text": "x" })).await;
    client.call_tool("crm_fail", json!({})).await;
    client.request("prompts/get", json!({ "name": "crm_nothing" })).await;
    client.request("resources/read", json!({ "uri": "demo://nothing" })).await;
    world.stop().await;
    let seen: BTreeSet<String> =
        collector.spans().iter().flat_map(|span| span.attributes.keys().cloned()).collect();
    assert_eq!(seen, listed("Traces"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_of_a_line_is_in_the_document() {
    let lines = lines::calls(config::LogCalls::All, "20000000000000000000000000000001").await;
    let beside = ["timestamp", "level", "message", "target"];
    let fields = lines.iter().filter_map(|line| line.as_object()).flat_map(|line| line.keys());
    let seen: BTreeSet<String> = fields.filter(|f| !beside.contains(&f.as_str())).cloned().collect();
    assert_eq!(seen, listed("Logs"));
}
