//! Checks of upstreams by requests of the gateway's own, of servers of every revision.

use config::{HealthCheck, Revision as Pin, Span};
use demo::Server;
use serde_json::json;
use testkit::http::Http;
use testkit::{Demo, Revision, World, within};

/// Checks as often, each of which may take as long.
fn every(ms: u64) -> HealthCheck {
    let (interval, timeout) = (Span::from_millis(ms), Span::from_millis(ms));
    HealthCheck { interval, timeout, down_after: 2, ..HealthCheck::default() }
}

async fn metrics(http: &Http) -> String {
    http.get("/metrics").send().await.text().await
}

/// Waits until a line stands at `/metrics`.
async fn until(http: &Http, line: &str) {
    within(async {
        while !metrics(http).await.lines().any(|found| found == line) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_every_revision_is_checked_by_a_request_that_does_nothing_and_its_end_is_noticed() {
    for revision in Revision::ALL {
        let demo = Server::builder().revisions(&[revision]);
        let mut world = World::builder()
            .demo_with("crm", demo, |upstream| upstream.resilience.health = Some(every(400)))
            .start()
            .await;
        let http = Http::new(world.address());
        let method = if revision == Revision::V2026_07_28 { "server/discover" } else { "ping" };
        within(async {
            while world.demo("crm").server.stats().requests(method) < 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        until(&http, "tidegate_upstream_health{upstream=\"crm\",health=\"up\"} 1").await;
        assert_eq!(world.demo("crm").server.stats().requests("tools/list"), 0, "nobody asked for anything");
        drop(world.demos.remove("crm"));
        until(&http, "tidegate_upstream_health{upstream=\"crm\",health=\"down\"} 1").await;
        let text = metrics(&http).await;
        assert!(text.contains("state=\"unhealthy\""), "{text}");
        assert!(text.contains("tidegate_upstream_up{upstream=\"crm\"} 0"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_goes_to_an_address_that_is_down() {
    let modern = || Server::builder().revisions(&[Revision::V2026_07_28]);
    let other = Demo::start(modern()).await;
    let gone = Demo::start(modern()).await.url();
    let urls = vec![other.url(), gone.clone()];
    let world = World::builder()
        .demo_with("crm", modern(), |upstream| {
            upstream.urls = urls;
            upstream.revision = Some(Pin::V2026_07_28);
            upstream.resilience.health = Some(every(100));
        })
        .start()
        .await;
    let http = Http::new(world.address());
    let place = gone.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let labels = format!("upstream=\"crm\",address=\"{place}\"");
    until(&http, &format!("tidegate_upstream_address_up{{{labels}}} 0")).await;
    let client = world.client("crm", Revision::V2026_07_28).await;
    for _ in 0..12 {
        let _ = client.call_tool("echo", json!({"text": "x"})).await.result();
    }
    let calls = [world.demo("crm").server.stats(), other.server.stats()].map(|s| s.requests("tools/call"));
    assert_eq!(calls.iter().sum::<u64>(), 12);
    assert!(calls.iter().all(|calls| *calls > 0), "{calls:?}");
    until(&http, "tidegate_upstream_health{upstream=\"crm\",health=\"up\"} 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_nobody_is_asked() {
    let world = World::builder().demo("crm", Server::builder()).start().await;
    let text = metrics(&Http::new(world.address())).await;
    assert!(!text.contains("tidegate_upstream_health{"), "{text}");
    assert_eq!(world.demo("crm").server.stats().http_requests(), 0);
}
