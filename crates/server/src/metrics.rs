//! Counters and histograms, under the names of the OpenTelemetry conventions for MCP where there are some.

mod audit;
mod labels;
mod tasks;
mod upstreams;

use std::fmt::Write as _;
use std::time::Duration;

use model::{TraceFigures, UpstreamName};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use protocol::Revision;

use crate::app::Generation;
pub(crate) use labels::{Asked, ErrorType, Target, method_word};
use labels::{Names, Sent, Served, ServedSession, Upstream, UpstreamSession};

/// The bucket bounds that the conventions ask for, in seconds, and finer ones below for a gateway's own
/// share.
const BUCKETS: [f64; 18] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0,
    300.0,
];
/// Coarser ones for sessions, which last from moments to days.
const SESSION_BUCKETS: [f64; 10] = [0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 3_600.0, 86_400.0];

#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Durations<S> = Family<S, Histogram, Buckets>;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refusal {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Forward {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Limited {
    rule: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckedLabels {
    part: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Read {
    document: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Pinned {
    event: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KeyState {
    state: &'static str,
}

/// The process's metrics.
pub struct Metrics {
    registry: Registry,
    served: Durations<Served>,
    sent: Durations<Sent>,
    served_sessions: Durations<ServedSession>,
    upstream_sessions: Durations<UpstreamSession>,
    refusals: Family<Refusal, Counter>,
    pub(crate) names: Names,
    pub(crate) connections: Gauge,
    pub(crate) streams: Gauge,
    pub(crate) sessions: Gauge,
    pub(crate) reloads: Counter,
    pub(crate) indexes: Counter,
    forwards: Family<Forward, Counter>,
    keys: Family<KeyState, Gauge>,
    shed: Family<Refusal, Counter>,
    limited: Family<Limited, Counter>,
    pins: Family<Pinned, Counter>,
    reads: Family<Read, Counter>,
    checks: Family<CheckedLabels, Counter>,
    pub(crate) calls_running: Gauge,
    pub(crate) calls_waiting: Gauge,
    pub(crate) memory_stage: Gauge,
    pub(crate) memory_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Of what is known of endpoints, and of keys.
fn known(r: &mut Registry) -> (Counter, Family<KeyState, Gauge>, Family<Read, Counter>) {
    let (made, keys) = (Counter::default(), Family::<KeyState, Gauge>::default());
    let reads = Family::<Read, Counter>::default();
    let text = "Questions for what is published about endpoints";
    r.register("tidegate_published_reads", text, Family::clone(&reads));
    r.register("tidegate_tool_indexes_made", "Indexes over tools that were made", Counter::clone(&made));
    r.register("tidegate_keys", "Keys of the ring, by what they are good for", Family::clone(&keys));
    (made, keys, reads)
}

/// Of what is held to approvals, and looked at.
fn guards(
    r: &mut Registry,
) -> (Family<Pinned, Counter>, Family<CheckedLabels, Counter>, Family<Limited, Counter>) {
    let (pins, checks) = (Family::<Pinned, Counter>::default(), Family::<CheckedLabels, Counter>::default());
    let found = "Contents in which a check found something";
    r.register("tidegate_check_findings", found, Family::clone(&checks));
    let text = "What happened to definitions: seen first, drifted, called or refused in spite of that";
    r.register("tidegate_pins", text, Family::clone(&pins));
    let limited = Family::<Limited, Counter>::default();
    let text = "Requests that a limit of what callers may do held back";
    r.register("tidegate_limited_requests", text, Family::clone(&limited));
    (pins, checks, limited)
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let served = durations(r, "mcp_server_operation_duration", "Duration of clients' requests", &BUCKETS);
        let sent =
            durations(r, "mcp_client_operation_duration", "Duration of requests to upstreams", &BUCKETS);
        let served_sessions = durations(
            r,
            "mcp_server_session_duration",
            "Duration of clients' legacy sessions",
            &SESSION_BUCKETS,
        );
        let upstream_sessions = durations(
            r,
            "mcp_client_session_duration",
            "Duration of legacy sessions with upstreams",
            &SESSION_BUCKETS,
        );
        let (refusals, connections, streams) = (Family::default(), Gauge::default(), Gauge::default());
        let (sessions, reloads) = (Gauge::default(), Counter::default());
        let forwards = Family::<Forward, Counter>::default();
        let text = "Requests that were sent on to the replica that they are about";
        r.register("tidegate_forwarded_requests", text, forwards.clone());
        r.register(
            "tidegate_refusals",
            "HTTP requests refused before they were read",
            Family::clone(&refusals),
        );
        r.register("tidegate_connections", "Open connections", Gauge::clone(&connections));
        r.register("tidegate_streams", "Streams that listen for changes", Gauge::clone(&streams));
        let text = "Legacy sessions with state in this process";
        r.register("tidegate_sessions", text, Gauge::clone(&sessions));
        let text = "Configurations put in force after the first";
        r.register("tidegate_config_reloads", text, Counter::clone(&reloads));
        let (indexes, keys, reads) = known(r);
        let [calls_running, calls_waiting, memory_stage, memory_bytes]: [Gauge; 4] = Default::default();
        let shed = Family::<Refusal, Counter>::default();
        r.register("tidegate_calls_running", "Calls that have a place", Gauge::clone(&calls_running));
        r.register("tidegate_calls_waiting", "Calls that wait for a place", Gauge::clone(&calls_waiting));
        let (pins, checks, limited) = guards(r);
        r.register("tidegate_shed_calls", "Calls that were turned away", Family::clone(&shed));
        let text = "How short memory is: 0 not, 1 caches are dropped, 2 no call is begun";
        r.register("tidegate_memory_stage", text, Gauge::clone(&memory_stage));
        r.register("tidegate_memory_resident_bytes", "Memory in use", Gauge::clone(&memory_bytes));
        Self {
            registry,
            served,
            sent,
            served_sessions,
            upstream_sessions,
            refusals,
            names: Names::default(),
            connections,
            streams,
            sessions,
            reloads,
            indexes,
            forwards,
            keys,
            shed,
            limited,
            pins,
            reads,
            checks,
            calls_running,
            calls_waiting,
            memory_stage,
            memory_bytes,
        }
    }

    /// How many keys of the ring are in each state: all of them, so that none is missing where it is zero.
    pub(crate) fn keys(&self, counts: [(seal::State, usize); seal::State::ALL.len()]) {
        for (state, count) in counts {
            let gauge = self.keys.get_or_create(&KeyState { state: state.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a call that was turned away.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&Refusal { reason }).inc();
    }

    /// Counts a request that a limit held back.
    pub(crate) fn limited(&self, rule: &str) {
        self.limited.get_or_create(&Limited { rule: rule.to_owned() }).inc();
    }

    /// Counts what a check found.
    pub(crate) fn checked(&self, part: &'static str, outcome: &'static str) {
        self.checks.get_or_create(&CheckedLabels { part, outcome }).inc();
    }

    /// Counts a question for what is published: a card, the catalog, the registry or metadata.
    pub(crate) fn read(&self, document: &'static str, status: http::StatusCode) {
        self.reads.get_or_create(&Read { document, status: status.as_u16() }).inc();
    }

    /// Counts what happened to a definition.
    pub(crate) fn pinned(&self, event: &'static str) {
        self.pins.get_or_create(&Pinned { event }).inc();
    }

    /// Counts a request that was sent on to another replica.
    pub(crate) fn forwarded(&self, outcome: &'static str) {
        self.forwards.get_or_create(&Forward { outcome }).inc();
    }

    /// Counts a request that was refused at the door.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Refusal { reason }).inc();
    }

    /// A client's request is over.
    pub(crate) fn served(
        &self,
        asked: &Asked<'_>,
        endpoint: &str,
        error: &ErrorType,
        status: Option<i64>,
        took: Duration,
    ) {
        let (gen_ai_tool_name, gen_ai_prompt_name) = asked.names();
        let labels = Served {
            mcp_method_name: method_word(asked.method),
            gen_ai_tool_name,
            gen_ai_prompt_name,
            mcp_protocol_version: asked.revision.as_str(),
            network_transport: asked.transport,
            tidegate_endpoint: endpoint.to_owned(),
            error_type: error.word(),
            rpc_response_status_code: labels::status(status),
        };
        self.served.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A request to an upstream is over.
    pub(crate) fn asked(
        &self,
        asked: &Asked<'_>,
        upstream: &UpstreamName,
        error: &ErrorType,
        status: Option<i64>,
        took: Duration,
    ) {
        let (gen_ai_tool_name, gen_ai_prompt_name) = asked.names();
        let labels = Sent {
            mcp_method_name: method_word(asked.method),
            gen_ai_tool_name,
            gen_ai_prompt_name,
            mcp_protocol_version: asked.revision.as_str(),
            network_transport: asked.transport,
            tidegate_upstream: Upstream(upstream.clone()),
            error_type: error.word(),
            rpc_response_status_code: labels::status(status),
        };
        self.sent.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A client's session is over.
    pub(crate) fn client_session(&self, revision: Revision, lasted: Duration) {
        let labels = ServedSession { mcp_protocol_version: revision.as_str() };
        self.served_sessions.get_or_create(&labels).observe(lasted.as_secs_f64());
    }

    /// A session with an upstream is over.
    pub(crate) fn upstream_session(&self, upstream: &UpstreamName, revision: Revision, lasted: Duration) {
        let tidegate_upstream = Upstream(upstream.clone());
        let labels = UpstreamSession { mcp_protocol_version: revision.as_str(), tidegate_upstream };
        self.upstream_sessions.get_or_create(&labels).observe(lasted.as_secs_f64());
    }

    /// The whole in the OpenMetrics text format. `traces`: what became of spans, where any are
    /// made. `worker`: what became of tasks, where any are kept. `log`:
    /// what became of audit records, where any are written.
    #[must_use]
    pub fn render(
        &self,
        generation: &Generation,
        traces: Option<TraceFigures>,
        worker: Option<::tasks::Figures>,
        log: Option<::audit::Figures>,
    ) -> String {
        let mut out = String::with_capacity(16 * 1024);
        if prometheus_client::encoding::text::encode_registry(&mut out, &self.registry).is_err() {
            return out;
        }
        upstreams::render(&mut out, generation);
        if let Some(figures) = traces {
            spans(&mut out, figures);
        }
        if let Some(figures) = worker {
            tasks::render(&mut out, &figures);
        }
        if let Some(figures) = log {
            audit::render(&mut out, &figures);
        }
        out.push_str("# EOF\n");
        out
    }
}

fn durations<S>(registry: &mut Registry, name: &str, help: &str, buckets: &'static [f64]) -> Durations<S>
where
    S: EncodeLabelSet + Clone + std::hash::Hash + Eq + std::fmt::Debug + Send + Sync + 'static,
{
    let family = Family::new_with_constructor(Buckets(buckets));
    registry.register_with_unit(name, help, Unit::Seconds, Family::clone(&family));
    family
}

/// What became of the spans of this process.
fn spans(out: &mut String, figures: TraceFigures) {
    let TraceFigures { exported, dropped_full, dropped_failed } = figures;
    let (taken, dropped) = ("tidegate_trace_spans_exported", "tidegate_trace_spans_dropped");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {taken} Spans that the collector took.\n# TYPE {taken} counter");
    let _ = writeln!(out, "{taken}_total {exported}");
    let _ = writeln!(out, "# HELP {dropped} Spans that nobody will see.\n# TYPE {dropped} counter");
    let _ = writeln!(out, "{dropped}_total{{reason=\"queue_full\"}} {dropped_full}");
    let _ = writeln!(out, "{dropped}_total{{reason=\"export_failed\"}} {dropped_failed}");
}
