//! `tidegate up`: the main job.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use config::{Config, Upstream};
use model::SystemClock;
use recorder::Recorder;
use seal::SystemRng;
use server::{Gateway, Process};
use store::Store;

use crate::cli::Source;
use crate::exit::{Coded, FAILURE};
use crate::governed::{Governed, Ticking};
use crate::operators::{InForce, Operators};
use crate::takeover::{Heirs, Predecessor};
use crate::{
    audit_log, demo_server, keys, load, logging, operators, out, service, signals, sockets, state, table,
    traces, watch,
};

/// How long the start waits for upstreams before it says what it knows.
const SURVEY_PATIENCE: Duration = Duration::from_secs(3);

/// What every configuration gets besides what stands in its file.
#[derive(Debug, Default)]
pub struct Additions {
    /// From the command line.
    listen: Option<SocketAddr>,
    /// From the command line.
    takeover: Option<PathBuf>,
    /// What stands in where no upstream is configured, once it was needed.
    demo: Option<Upstream>,
}

impl Additions {
    /// Adds them.
    pub async fn apply(&mut self, config: &mut Config) -> anyhow::Result<()> {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        if let Some(takeover) = &self.takeover {
            config.takeover = Some(takeover.clone());
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
pub async fn run(
    source: Source,
    listen: Option<SocketAddr>,
    takeover: Option<PathBuf>,
) -> anyhow::Result<u8> {
    let mut loaded = load::load(&source)?;
    logging::start(&loaded.config.telemetry);
    let mut stop = signals::Stop::new()?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut additions = Additions { listen, takeover, demo: None };
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
    let in_force = InForce::default();
    in_force.put(&loaded.config);
    let Started { gateway, heirs, place, log, operators, ticking } =
        start((&source, &loaded), &in_force, process, store).await?;
    let demo = additions.demo.is_some();
    let watch = watch::Watch::new(source, &loaded, additions, keys, in_force)?;
    let replaced = tokio::select! {
        _ = async { tokio::join!(greet(&gateway, &loaded, &operators, demo), watch.run(&gateway)) } => false,
        () = stop.asked() => false,
        () = replaced(heirs.as_ref(), &gateway) => true,
    };
    // Their places belong to the next one.
    match heirs {
        Some(heirs) if replaced => heirs.leave_path(),
        heirs => drop(heirs),
    }
    drop((operators, ticking));
    let code = tokio::select! {
        () = async {
            end(gateway, replaced, &loaded.config).await;
            stop_log(log.as_ref()).await;
            place.leave().await;
        } => 0,
        () = stop.asked() => {
            tracing::warn!("told twice to stop: calls under way are cut off");
            FAILURE
        }
    };
    traces::stop(telemetry).await;
    Ok(code)
}

/// What runs.
struct Started {
    gateway: Gateway,
    heirs: Option<Heirs>,
    place: state::Place,
    log: Option<Arc<Recorder>>,
    operators: Operators,
    /// `None`: there is no file that could be under rules.
    ticking: Option<Ticking>,
}

/// Starts to serve: on the service manager's socket, on that of the gateway whose place this process takes,
/// or on one of its own.
async fn start(
    (source, loaded): (&Source, &load::Loaded),
    in_force: &InForce,
    process: Process,
    store: Option<Arc<dyn Store>>,
) -> anyhow::Result<Started> {
    let config = &loaded.config;
    let operators = operators::place(config)?;
    let mut predecessor = None;
    let mut socket = sockets::activated()?;
    if let Some(path) = &config.takeover
        && let Some((found, theirs)) = Predecessor::find(path).await?
    {
        let address = theirs.local_addr().context("use the socket of the gateway that serves")?;
        if !sockets::fits(address, config.listen) {
            tracing::warn!(%address, "the gateway that serves does so elsewhere; it will stop all the same");
        } else if socket.is_none() {
            socket = Some(theirs);
        }
        predecessor = Some(found);
    }
    let keys = Arc::clone(&process.keys);
    let mut prepared = Gateway::prepare(config, process).map_err(|error| Coded::start(&error))?;
    let durable = store.is_some();
    let place = state::Place::take(&mut prepared, loaded, store, &keys).await?;
    // Before anybody is served.
    let log = match audit_log::start(config, place.tasks(), durable, &keys) {
        Ok(log) => log,
        Err(error) => {
            place.leave().await;
            return Err(error);
        }
    };
    if let Some(log) = &log {
        let app = prepared.app();
        audit::Recorder::note(&**log, audit_log::started(app));
        app.record_with(Arc::clone(log) as Arc<dyn audit::Recorder>);
    }
    let file = loaded.file.as_ref().filter(|_| source.mcp_json.is_none());
    let governed = file.map(|file| Arc::new(Governed::new(source, file, Arc::clone(place.tasks()))));
    let theirs = (prepared.app(), place.tasks(), &keys);
    let operators = match Operators::start(config, operators, theirs, governed.as_ref(), in_force).await {
        Ok(operators) => operators,
        Err(error) => {
            stop_log(log.as_ref()).await;
            place.leave().await;
            return Err(error);
        }
    };
    let gateway = match socket {
        Some(socket) => prepared.listen_on(config, socket),
        None => prepared.listen(config).await,
    };
    let gateway = match gateway {
        Ok(gateway) => gateway,
        Err(error) => {
            stop_log(log.as_ref()).await;
            place.leave().await;
            return Err(Coded::start(&error).into());
        }
    };
    if let Some(predecessor) = predecessor {
        predecessor.replace().await?;
        tracing::info!("took over; the gateway that served before drains");
    }
    let heirs = config.takeover.as_deref().map(Heirs::bind).transpose()?;
    service::ready();
    let ticking = governed.map(Ticking::start);
    Ok(Started { gateway, heirs, place, log, operators, ticking })
}

/// Writes what waits for the log, and that the gateway stops.
async fn stop_log(log: Option<&Arc<Recorder>>) {
    if let Some(log) = log {
        audit::Recorder::note(&**log, audit_log::own("gateway_stop"));
        log.stop().await;
    }
}

async fn replaced(heirs: Option<&Heirs>, gateway: &Gateway) {
    match heirs {
        Some(heirs) => heirs.replaced(gateway).await,
        None => std::future::pending().await,
    }
}

/// Lets what is under way end.
async fn end(gateway: Gateway, replaced: bool, config: &Config) {
    let time = config.drain_timeout;
    if replaced {
        tracing::info!("another process has taken over: calls under way have {time} to finish");
        gateway.hand_over().await;
    } else {
        service::stopping();
        tracing::info!("stopping: calls under way have {time} to finish");
        gateway.stop().await;
    }
}

/// Says what runs where, once the upstreams were asked.
async fn greet(gateway: &Gateway, loaded: &load::Loaded, operators: &Operators, demo: bool) {
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
    if let Some(address) = operators.address() {
        out::line(format!("admin     http://{address}/v1/"));
    }
    if let Ok(target) = state::target(loaded) {
        out::line(format!("store     {}", state::name(&target)));
    }
    out::line("");
    out::line(format!(
        "for a client:  {{\"mcpServers\": {{\"tidegate\": {{\"type\": \"http\", \"url\": \"{base}/mcp\"}}}}}}"
    ));
}
