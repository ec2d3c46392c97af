//! A gateway inside the command: the commands use the configuration themselves and need none that runs.

use std::sync::Arc;

use anyhow::Context as _;
use config::Config;
use model::SystemClock;
use protocol::{Capabilities, Raw, RpcError};
use seal::SystemRng;
use server::{Embedded, Local};
use telemetry::Telemetry;

use crate::cli::Source;
use crate::exit::{Coded, REFUSED, USAGE};
use crate::{demo_server, load, logging, traces};

/// Starts one, with the demo server where nothing is configured.
pub async fn start(source: &Source) -> anyhow::Result<Embedded> {
    let config = prepare(source).await?;
    Embedded::start(&config, Arc::new(SystemClock), Arc::new(SystemRng)).context("use the configuration")
}

/// The same, with traces where a collector is configured.
pub async fn start_traced(source: &Source) -> anyhow::Result<(Embedded, Option<Telemetry>)> {
    let config = prepare(source).await?;
    let telemetry = traces::start(&config)?;
    let tracer = telemetry.as_ref().map(Telemetry::tracer);
    let gateway = Embedded::start_traced(&config, Arc::new(SystemClock), Arc::new(SystemRng), tracer)
        .context("use the configuration")?;
    Ok((gateway, telemetry))
}

async fn prepare(source: &Source) -> anyhow::Result<Config> {
    let mut loaded = load::load(source)?;
    // These commands print results: what is only information stays quiet.
    loaded.config.telemetry.log_level = config::LogLevel::Error;
    logging::start(&loaded.config.telemetry);
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    if loaded.config.upstreams.is_empty() {
        demo_server::add(&mut loaded.config).await?;
    }
    Ok(loaded.config)
}

/// An endpoint of it, for a client with these capabilities.
pub fn endpoint(gateway: &Embedded, name: &str, capabilities: &'static str) -> anyhow::Result<Local> {
    let capabilities = Capabilities::read(Some(&Raw::literal(capabilities)));
    Local::new(gateway.app(), name, capabilities).ok_or_else(|| {
        let mut known: Vec<String> = gateway.app().generation().endpoints.keys().cloned().collect();
        known.sort();
        let text = format!("find the endpoint {name:?}; there are: {}", known.join(", "));
        Coded { code: USAGE, text }.into()
    })
}

/// A JSON-RPC error as the command's own.
pub fn refused(what: &str, error: &RpcError) -> anyhow::Error {
    let mut text = format!("{what}: {} (code {})", error.message, error.code);
    if let Some(data) = &error.data {
        text.push_str(&format!("\n  data: {data}"));
    }
    Coded { code: REFUSED, text }.into()
}
