//! Counters and histograms, under the names of the OpenTelemetry conventions for MCP where there are some.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use protocol::{Call, Method, Raw, code};
use tokio::time::Instant;

use crate::app::{Exchange, Generation};

/// The bucket bounds that the conventions ask for, in seconds, and finer ones below for a gateway's own
/// share.
const BUCKETS: [f64; 18] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Operation {
    mcp_method_name: String,
    mcp_protocol_version: &'static str,
    tidegate_endpoint: String,
    error_type: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    operations: Family<Operation, Histogram>,
    refusals: Family<Refusal, Counter>,
    pub(crate) connections: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) reloads: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let operations = Family::<Operation, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (refusals, connections, streams) = (Family::default(), Gauge::default(), Gauge::default());
        let (sessions, reloads) = (Gauge::default(), Counter::default());
        let text = "Duration of MCP requests as seen by clients";
        registry.register_with_unit("mcp_server_operation_duration", text, Unit::Seconds, operations.clone());
        registry.register(
            "tidegate_refusals",
            "HTTP requests refused before they were read",
            Family::clone(&refusals),
        );
        registry.register("tidegate_connections", "Open connections", Gauge::clone(&connections));
        registry.register("tidegate_streams", "Streams that listen for changes", Gauge::clone(&streams));
        registry.register(
            "tidegate_sessions",
            "Legacy sessions with state in this process",
            Gauge::clone(&sessions),
        );
        registry.register(
            "tidegate_config_reloads",
            "Configurations put in force after the first",
            Counter::clone(&reloads),
        );
        Self { registry, operations, refusals, connections, streams, sessions, reloads }
    }

    /// Counts a request that was refused at the door.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Refusal { reason }).inc();
    }

    /// Starts to measure an operation.
    pub(crate) fn operation<'a>(&'a self, x: &Exchange, call: &Call) -> Started<'a> {
        // A method that we do not know is a client's own text: it must not grow the set of labels.
        let method = match &call.method {
            Method::Other(_) => "_OTHER",
            known => known.as_str(),
        };
        let labels = Operation {
            mcp_method_name: method.to_owned(),
            mcp_protocol_version: x.revision.as_str(),
            tidegate_endpoint: x.endpoint.name().to_owned(),
            error_type: String::new(),
        };
        Started { metrics: self, labels, start: Instant::now() }
    }

    /// The whole in the OpenMetrics text format.
    #[must_use]
    pub fn render(&self, generation: &Generation) -> String {
        let mut out = String::with_capacity(16 * 1024);
        if prometheus_client::encoding::text::encode_registry(&mut out, &self.registry).is_err() {
            return out;
        }
        upstreams(&mut out, generation);
        out.push_str("# EOF\n");
        out
    }
}

/// What the upstreams count themselves.
fn upstreams(out: &mut String, generation: &Generation) {
    type Read = fn(&upstream::Stats) -> u64;
    let counters: [(&str, &str, Read); 6] = [
        ("requests", "Requests sent to upstreams", |s| s.requests.load(Ordering::Relaxed)),
        ("calls", "Calls made on upstreams", |s| s.calls.load(Ordering::Relaxed)),
        ("handshakes", "Legacy handshakes made", |s| s.handshakes.load(Ordering::Relaxed)),
        ("probes", "Era detections made", |s| s.probes.load(Ordering::Relaxed)),
        ("starts", "Processes started", |s| s.starts.load(Ordering::Relaxed)),
        ("strays", "Messages that belonged to nothing", |s| s.strays.load(Ordering::Relaxed)),
    ];
    let all = generation.upstreams();
    for (name, help, read) in counters {
        let _ =
            writeln!(out, "# HELP tidegate_upstream_{name} {help}.\n# TYPE tidegate_upstream_{name} counter");
        for upstream in &all {
            let _ = writeln!(
                out,
                "tidegate_upstream_{name}_total{{upstream=\"{}\"}} {}",
                upstream.name(),
                read(upstream.stats())
            );
        }
    }
    type ReadHealth = fn(&upstream::Health) -> u64;
    let gauges: [(&str, &str, ReadHealth); 3] = [
        ("up", "Whether the last attempt to use the upstream succeeded", |h| u64::from(h.state == "up")),
        ("in_flight", "Calls under way on the upstream", |h| h.in_flight),
        ("parked", "Calls that wait for input", |h| h.parked as u64),
    ];
    for (name, help, read) in gauges {
        let _ =
            writeln!(out, "# HELP tidegate_upstream_{name} {help}.\n# TYPE tidegate_upstream_{name} gauge");
        for upstream in &all {
            let _ = writeln!(
                out,
                "tidegate_upstream_{name}{{upstream=\"{}\"}} {}",
                upstream.name(),
                read(&upstream.health())
            );
        }
    }
    out.push_str(
        "# HELP tidegate_upstream_state 1 for the state that the upstream is in.
",
    );
    out.push_str(
        "# TYPE tidegate_upstream_state gauge
",
    );
    for upstream in &all {
        let health = upstream.health();
        let revision = health.revision.map_or("", protocol::Revision::as_str);
        let (name, state) = (upstream.name(), health.state);
        let _ = writeln!(
            out,
            "tidegate_upstream_state{{upstream=\"{name}\",state=\"{state}\",revision=\"{revision}\"}} 1"
        );
    }
}

/// An operation being measured.
pub(crate) struct Started<'a> {
    metrics: &'a Metrics,
    labels: Operation,
    start: Instant,
}

impl Started<'_> {
    fn end(mut self, error_type: String) {
        self.labels.error_type = error_type;
        let took: Duration = self.start.elapsed();
        self.metrics.operations.get_or_create(&self.labels).observe(took.as_secs_f64());
    }

    pub fn succeeded(self) {
        self.end(String::new());
    }

    /// A result may say that the tool failed.
    pub fn answered(self, result: &Raw) {
        let failed = memchr::memmem::find(result.as_bytes(), b"\"isError\"").is_some()
            && result.get("isError").is_some_and(|e| e.as_bool() == Some(true));
        self.end(if failed { "tool_error".to_owned() } else { String::new() });
    }

    /// Codes of the protocol and of ours stand for themselves; an upstream's own could be anything.
    pub fn failed(self, code: i64) {
        let known = (-32768..=-32000).contains(&code)
            || (code::NOT_TRANSLATABLE..=code::UPSTREAM_UNREACHABLE).contains(&code);
        self.end(if known { code.to_string() } else { "_OTHER".to_owned() });
    }
}
