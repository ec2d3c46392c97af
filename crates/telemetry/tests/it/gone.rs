//! A collector that is gone, or slow, or full: calls do not notice, and what is dropped is counted.

use std::net::SocketAddr;

use demo::Revision;
use model::TraceFigures;
use serde_json::json;
use testkit::within;
use tokio::net::TcpListener;

use crate::World;
use crate::collector::Collector;

/// Waits for figures that only change while nobody looks.
async fn figures(world: &World, enough: impl Fn(&TraceFigures) -> bool) -> TraceFigures {
    within(async {
        loop {
            let figures = world.tracer.figures();
            if enough(&figures) {
                return figures;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_no_call_up_and_what_does_not_fit_is_counted() {
    // It accepts connections, as far as the system does that alone, and reads nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address: SocketAddr = silent.local_addr().expect("it listens");
    let url = format!("http://{address}");
    let world = World::start(&url, Revision::V2026_07_28, |o| o.queue_max = 8).await;
    let client = world.client(Revision::V2026_07_28).await;
    // The first batch is on its way for good, the queue behind it is full, and the rest is dropped.
    for _ in 0..50 {
        let outcome = client.call_tool("crm_echo", json!({ "text": "x" })).await;
        assert_eq!(outcome.text(), "x");
    }
    let figures = figures(&world, |f| f.dropped_full > 0).await;
    assert_eq!(figures.exported, 0);
    let metrics = world.metrics().await;
    let full = "tidegate_trace_spans_dropped_total{reason=\"queue_full\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(full)).expect("a line");
    assert!(line.parse::<u64>().expect("a number") >= figures.dropped_full);
    within(world.gateway.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_a_collector_refuses_are_counted_and_not_sent_for_ever() {
    let collector = Collector::start().await;
    collector.refuse(400);
    let world = World::start(&collector.url(), Revision::V2026_07_28, |_| ()).await;
    let client = world.client(Revision::V2026_07_28).await;
    assert_eq!(client.call_tool("crm_echo", json!({ "text": "x" })).await.text(), "x");
    let failed = figures(&world, |f| f.dropped_failed > 0).await;
    assert_eq!((failed.exported, failed.dropped_full), (0, 0));
    let metrics = world.metrics().await;
    assert!(metrics.contains("tidegate_trace_spans_dropped_total{reason=\"export_failed\"} "), "{metrics}");
    assert!(collector.spans().is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_the_end_is_still_sent() {
    let collector = Collector::start().await;
    let world = World::start(&collector.url(), Revision::V2026_07_28, |_| ()).await;
    let client = world.client(Revision::V2026_07_28).await;
    client.call_tool("crm_echo", json!({ "text": "x" })).await;
    let tracer = world.tracer.clone();
    world.stop().await;
    let spans = collector.spans();
    assert!(spans.iter().any(|s| s.is_server()) && spans.iter().any(|s| s.is_client()), "{spans:?}");
    assert_eq!(tracer.figures().exported, spans.len() as u64);
}
