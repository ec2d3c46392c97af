//! Traces to an OpenTelemetry collector, over OTLP on HTTP.
//!
//! An extension: the core knows [`model::Tracer`] alone, and makes no span where it is not given one. Ending
//! a span puts it into a bounded queue and returns. A thread of its own takes batches out of the queue and
//! sends them. When the collector is slow or gone the queue fills up, and what no longer fits is dropped and
//! counted: no call ever waits for a collector.

mod export;
mod ids;
mod queue;
mod tracer;

use std::sync::Arc;
use std::time::Duration;

use egress::{EgressError, Guard, Http, HttpOptions};
use model::{Rng, Tracer};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};

use crate::export::{Client, Counted};
use crate::ids::Ids;
use crate::queue::Bounded;
use crate::tracer::OtlpTracer;

/// How many spans wait to be sent at most; about a kilobyte each.
const QUEUE_MAX: usize = 8_192;
/// How many are sent at a time.
const BATCH_MAX: usize = 512;
/// How long a span waits for others before it is sent.
const BATCH_TIME: Duration = Duration::from_secs(1);
/// How long the collector may take to answer, retries included.
const EXPORT_TIME: Duration = Duration::from_secs(10);
/// How long the last spans may take at the end.
const STOP_TIME: Duration = Duration::from_secs(3);
/// Where an OTLP receiver takes traces, below its base URL (OTLP, "OTLP/HTTP Request").
const TRACES_PATH: &str = "/v1/traces";

/// What goes where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The collector's base URL, such as `http://127.0.0.1:4318`; one that ends in `/v1/traces` is taken as
    /// it is.
    pub endpoint: String,
    /// The name of this service.
    pub service_name: String,
    /// Its version.
    pub service_version: String,
    /// The share of traces that begin here and are recorded, from 0 to 1. A trace that came in is recorded
    /// exactly if its sender records it.
    pub sample_ratio: f64,
    /// How many spans wait at most.
    pub queue_max: usize,
}

impl Options {
    /// The usual choices for this collector.
    #[must_use]
    pub fn new(endpoint: &str, service_name: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            service_name: service_name.to_owned(),
            service_version: env!("CARGO_PKG_VERSION").to_owned(),
            sample_ratio: 1.0,
            queue_max: QUEUE_MAX,
        }
    }
}

/// Why no traces are sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The client for the collector could not be made.
    #[error("prepare a client for the collector")]
    Client(#[source] EgressError),
    /// The library does not take the URL, or a variable of the environment that it reads.
    #[error("use telemetry.otlp_endpoint")]
    Exporter(#[source] ExporterBuildError),
}

/// Traces under way to a collector.
pub struct Telemetry {
    provider: SdkTracerProvider,
    tracer: Arc<OtlpTracer>,
}

impl Telemetry {
    /// Starts. Connects to nothing before there is something to send. Must be called within a tokio runtime
    /// with more than one thread, or a current one that does not block in [`Telemetry::stop`].
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(options: &Options, rng: Arc<dyn Rng>) -> Result<Self, StartError> {
        // The operator wrote the URL: any address is allowed.
        let http =
            HttpOptions { guard: Guard::Operator, pool_max_idle_per_host: 1, ..HttpOptions::default() };
        let http = Http::new(http).map_err(StartError::Client)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new(http, EXPORT_TIME))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces_url(&options.endpoint))
            .with_timeout(EXPORT_TIME)
            .build()
            .map_err(StartError::Exporter)?;
        let counts = Arc::default();
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(options.queue_max.max(1))
            .with_max_export_batch_size(BATCH_MAX.min(options.queue_max.max(1)))
            .with_scheduled_delay(BATCH_TIME)
            .build();
        let exporter = Counted::new(exporter, Arc::clone(&counts));
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
        let resource = Resource::builder()
            .with_service_name(options.service_name.clone())
            .with_attribute(opentelemetry::KeyValue::new("service.version", options.service_version.clone()))
            .build();
        let root = Sampler::TraceIdRatioBased(options.sample_ratio);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(root)))
            .with_id_generator(Ids(rng))
            .with_resource(resource)
            .with_span_processor(Bounded::new(processor, options.queue_max.max(1), Arc::clone(&counts)))
            .build();
        let tracer = Arc::new(OtlpTracer::new(provider.tracer("tidegate"), counts));
        Ok(Self { provider, tracer })
    }

    /// What makes the spans.
    #[must_use]
    pub fn tracer(&self) -> Arc<dyn Tracer> {
        Arc::clone(&self.tracer) as Arc<dyn Tracer>
    }

    /// Sends what still waits, as far as that is possible in a few seconds.
    pub async fn stop(self) {
        let provider = self.provider;
        // The library waits for its thread, and the thread for the runtime that carries its requests.
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(STOP_TIME)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}

fn traces_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    if base.ends_with(TRACES_PATH) { base.to_owned() } else { format!("{base}{TRACES_PATH}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_a_base_url_once() {
        for (given, asked) in [
            ("http://a:4318", "http://a:4318/v1/traces"),
            ("http://a:4318/", "http://a:4318/v1/traces"),
            ("http://a/otel", "http://a/otel/v1/traces"),
            ("http://a/v1/traces", "http://a/v1/traces"),
        ] {
            assert_eq!(traces_url(given), asked);
        }
    }
}
