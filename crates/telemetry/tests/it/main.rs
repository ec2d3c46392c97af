//! Calls through a gateway, as a collector sees them.

mod collector;
mod document;
mod gone;
mod lines;
mod logs;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;

use config::{Config, Upstream};
use demo::{Revision, Server};
use model::{ManualClock, SeededRng, Timestamp, Tracer};
use server::{Gateway, Process};
use testkit::{Client, Demo};
use tidegate_telemetry::{Options, Telemetry};

use collector::Collector;

/// A gateway in front of one server, with its traces.
struct World {
    demo: Demo,
    gateway: Gateway,
    telemetry: Telemetry,
    tracer: Arc<dyn Tracer>,
}

impl World {
    async fn start(collector: &str, upstream: Revision, change: impl FnOnce(&mut Options)) -> Self {
        Self::with(collector, upstream, change, |_| ()).await
    }

    async fn with(
        collector: &str,
        upstream: Revision,
        change: impl FnOnce(&mut Options),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let demo = Demo::start(Server::builder().revisions(&[upstream])).await;
        let mut config = Config { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() };
        configure(&mut config);
        let section = Upstream { url: Some(demo.url()), ..Upstream::default() };
        config.upstreams.insert("crm".to_owned(), section);
        let mut options = Options::new(collector, "gate");
        change(&mut options);
        let telemetry = Telemetry::start(&options, Arc::new(SeededRng::new(7))).expect("it starts");
        let tracer = telemetry.tracer();
        let clock = Arc::new(ManualClock::at(Timestamp(1_785_196_800_000)));
        let rng = Arc::new(SeededRng::new(1));
        let process = Process { tracer: Some(telemetry.tracer()), ..Process::alone(clock, rng) };
        let gateway = Gateway::start_as(&config, process).await.expect("the gateway starts");
        gateway.app().host_tasks(testkit::harness::memory());
        Self { demo, gateway, telemetry, tracer }
    }

    async fn client(&self, revision: Revision) -> Client {
        Client::connect(self.gateway.address(), "/mcp", revision).await
    }

    async fn metrics(&self) -> String {
        let http = testkit::http::Http::new(self.gateway.address());
        http.request("GET".parse().expect("a method"), "/metrics").send().await.text().await
    }

    /// Stops in order, so that everything has been sent.
    async fn stop(self) {
        testkit::within(self.gateway.stop()).await;
        testkit::within(self.telemetry.stop()).await;
    }
}

/// A gateway and a collector that takes its spans.
async fn watched(upstream: Revision) -> (World, Collector) {
    let collector = Collector::start().await;
    (World::start(&collector.url(), upstream, |_| ()).await, collector)
}
