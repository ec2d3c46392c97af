//! Traces, where the configuration names a collector.

use std::sync::Arc;

use anyhow::Context as _;
use config::Config;
use seal::SystemRng;
use telemetry::{Options, Telemetry};

/// Starts them. Must be called within a tokio runtime.
pub fn start(config: &Config) -> anyhow::Result<Option<Telemetry>> {
    let section = &config.telemetry;
    let Some(endpoint) = &section.otlp_endpoint else { return Ok(None) };
    let mut options = Options::new(endpoint, &section.service_name);
    options.sample_ratio = 1.0 / f64::from(section.sample_one_in.max(1));
    Telemetry::start(&options, Arc::new(SystemRng)).map(Some).context("send traces")
}

/// Sends what still waits.
pub async fn stop(telemetry: Option<Telemetry>) {
    if let Some(telemetry) = telemetry {
        telemetry.stop().await;
    }
}
