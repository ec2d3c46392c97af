//! `tidegate up`: the main job.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::SystemClock;
use seal::SystemRng;
use server::Gateway;

use crate::cli::Source;
use crate::{demo_server, load, logging, out, table, traces};

/// How often the configuration file is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// Starts the gateway and serves until it is told to stop.
pub async fn run(source: Source, listen: Option<SocketAddr>) -> anyhow::Result<u8> {
    let mut loaded = load::load(&source)?;
    logging::start(&loaded.config.telemetry);
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    let demo = loaded.config.upstreams.is_empty();
    if demo {
        demo_server::add(&mut loaded.config).await?;
    }
    if let Some(listen) = listen {
        loaded.config.listen = listen;
    }
    let telemetry = traces::start(&loaded.config)?;
    let tracer = telemetry.as_ref().map(telemetry::Telemetry::tracer);
    let (clock, rng) = (Arc::new(SystemClock), Arc::new(SystemRng));
    let gateway = Gateway::start_traced(&loaded.config, clock, rng, tracer).await?;
    greet(&gateway, &loaded, demo).await;
    if let Some(file) = loaded.file.filter(|_| !demo) {
        tokio::select! {
            () = watch(&gateway, &source, file, listen) => {}
            () = stopped() => {}
        }
    } else {
        stopped().await;
    }
    eprintln!("stopping: calls under way have {} to finish", loaded.config.drain_timeout);
    gateway.stop().await;
    traces::stop(telemetry).await;
    Ok(0)
}

/// Says what runs where, once the upstreams were asked.
async fn greet(gateway: &Gateway, loaded: &load::Loaded, demo: bool) {
    let generation = gateway.app().generation();
    let base =
        format!("{}://{}", if loaded.config.tls.is_some() { "https" } else { "http" }, gateway.address());
    match &loaded.file {
        Some(file) => out::line(format!("tidegate {} serves {}", env!("CARGO_PKG_VERSION"), file.display())),
        None if demo => out::line(format!(
            "tidegate {} serves its built-in demo server (write a tidegate.yaml to serve your own)",
            env!("CARGO_PKG_VERSION")
        )),
        None => out::line(format!("tidegate {}", env!("CARGO_PKG_VERSION"))),
    }
    out::line("");
    out::line(table::upstreams(&server::survey(&generation).await));
    out::line("");
    out::line(format!("endpoint  {base}/mcp"));
    let mut names: Vec<_> = generation.endpoints.keys().filter(|name| *name != server::EVERYTHING).collect();
    names.sort();
    for name in names {
        out::line(format!("endpoint  {base}/{name}/mcp"));
    }
    out::line(format!("metrics   {base}/metrics"));
    out::line("");
    out::line(format!(
        "for a client:  {{\"mcpServers\": {{\"tidegate\": {{\"type\": \"http\", \"url\": \"{base}/mcp\"}}}}}}"
    ));
}

/// Puts a changed file in force, or says why not and keeps what there is.
async fn watch(gateway: &Gateway, source: &Source, file: PathBuf, listen: Option<SocketAddr>) {
    let mut seen = stamp(&file);
    let mut ticks = tokio::time::interval(WATCH);
    loop {
        ticks.tick().await;
        let now = stamp(&file);
        if now == seen {
            continue;
        }
        seen = now;
        match load::reload(source, &file) {
            Ok(mut config) => {
                if let Some(listen) = listen {
                    config.listen = listen;
                }
                match gateway.reload(&config) {
                    Ok(number) => tracing::info!(generation = number, "the new configuration is in force"),
                    Err(error) => {
                        tracing::error!(%error, "the new configuration was refused; the old one stays")
                    }
                }
            }
            Err(error) => tracing::error!("the new configuration was refused; the old one stays: {error:#}"),
        }
    }
}

/// What changes when a file does, also where it is replaced by a link to another one.
fn stamp(file: &std::path::Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Waits for SIGINT or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
