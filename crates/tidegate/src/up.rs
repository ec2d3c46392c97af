//! `tidegate up`: the main job.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, Upstream};
use model::SystemClock;
use seal::SystemRng;
use server::{Gateway, Process};

use crate::cli::Source;
use crate::exit::{Coded, FAILURE};
use crate::{demo_server, keys, load, logging, out, signals, state, table, traces, watch};

/// How long the start waits for upstreams before it says what it knows.
const SURVEY_PATIENCE: Duration = Duration::from_secs(3);

/// What every configuration gets besides what stands in its file.
#[derive(Debug, Default)]
pub struct Additions {
    /// From the command line.
    listen: Option<SocketAddr>,
    /// What stands in where no upstream is configured, once it was needed.
    demo: Option<Upstream>,
}

impl Additions {
    /// Adds them.
    pub async fn apply(&mut self, config: &mut Config) -> anyhow::Result<()> {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if config.upstreams.is_empty() {
            let demo = match &self.demo {
                Some(demo) => demo.clone(),
                None => self.demo.insert(demo_server::start().await?).clone(),
            };
            config.upstreams.insert(demo_server::NAME.to_owned(), demo);
        }
        Ok(())
    }
}

/// Starts the gateway and serves until it is told to stop.
pub async fn run(source: Source, listen: Option<SocketAddr>) -> anyhow::Result<u8> {
    let mut loaded = load::load(&source)?;
    logging::start(&loaded.config.telemetry);
    let mut stop = signals::Stop::new()?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut additions = Additions { listen, demo: None };
    additions.apply(&mut loaded.config).await?;
    let store = state::open(&loaded).await?;
    let keys = keys::Follow::start(&loaded.config, store.as_ref()).await?;
    let telemetry = traces::start(&loaded.config)?;
    let process = Process {
        clock: Arc::new(SystemClock),
        rng: Arc::new(SystemRng),
        keys: Arc::clone(keys.ring()),
        tracer: telemetry.as_ref().map(telemetry::Telemetry::tracer),
    };
    let mut prepared = Gateway::prepare(&loaded.config, process).map_err(|error| Coded::start(&error))?;
    let place = state::Place::take(&mut prepared, &loaded.config, store, keys.ring()).await?;
    let gateway = prepared.listen(&loaded.config).await.map_err(|error| Coded::start(&error));
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(error) => {
            place.leave().await;
            return Err(error.into());
        }
    };
    let demo = additions.demo.is_some();
    let watch = watch::Watch::new(source, &loaded, additions, keys)?;
    tokio::select! {
        _ = async { tokio::join!(greet(&gateway, &loaded, demo), watch.run(&gateway)) } => {}
        () = stop.asked() => {}
    }
    tracing::info!("stopping: calls under way have {} to finish", loaded.config.drain_timeout);
    let code = tokio::select! {
        () = async { gateway.stop().await; place.leave().await } => 0,
        () = stop.asked() => {
            tracing::warn!("told twice to stop: calls under way are cut off");
            FAILURE
        }
    };
    traces::stop(telemetry).await;
    Ok(code)
}

/// Says what runs where, once the upstreams were asked.
async fn greet(gateway: &Gateway, loaded: &load::Loaded, demo: bool) {
    let generation = gateway.app().generation();
    let base =
        format!("{}://{}", if loaded.config.tls.is_some() { "https" } else { "http" }, gateway.address());
    let program = format!("tidegate {}", env!("CARGO_PKG_VERSION"));
    match &loaded.file {
        Some(file) if demo => out::line(format!(
            "{program} serves its built-in demo server, as {} names no upstreams",
            file.display()
        )),
        Some(file) => out::line(format!("{program} serves {}", file.display())),
        None => out::line(format!(
            "{program} serves its built-in demo server (write a {} to serve your own)",
            load::DEFAULT_FILE
        )),
    }
    out::line("");
    out::line(table::upstreams(&server::survey(&generation, SURVEY_PATIENCE).await));
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
