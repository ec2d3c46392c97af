//! The running gateway: started, reloaded, stopped.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use config::Config;
use identity::{Dpop, DpopOptions};
use model::{Clock, Rng, Tracer};
use protocol::Raw;
use seal::KeyRing;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use upstream::Upstream;

use crate::app::{App, Generation, Limits};
use crate::barred::StoreBars;
use crate::compose::{ComposeError, Shared, compose};
use crate::drain::Phase;
use crate::handles::Handles;
use crate::hub::Hub;
use crate::listener::Listener;
use crate::note;
use crate::overload::memory::{self, System};
use crate::overload::{Gate, Stage};
use crate::pins::PinBoard;
use crate::recheck;
use crate::replica::{Inside, Replicas};
use crate::tls::{self, TlsError};
use crate::trace::Watch;
use crate::vault::StoreVault;

/// How often it is looked at the end whether anything is still under way.
const REST_LOOK: Duration = Duration::from_millis(50);
/// So many looks in a row must find nothing: what another replica brings has just left here then.
const REST_LOOKS: u32 = 10;
/// How often what waited or idled too long is looked for.
const SWEEP: Duration = Duration::from_secs(5);
/// How often what users have granted is sealed anew where that is due.
const TEND: Duration = Duration::from_secs(300);
/// How often it is looked after what is left of limits.
const RATES: Duration = Duration::from_secs(60);
/// How long connections are kept after a takeover for one more answer.
const LAST_ANSWER: Duration = Duration::from_secs(1);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration cannot be put in force.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// What a process brings for whatever it serves.
#[derive(Clone)]
pub struct Process {
    /// For all decisions that depend on the time.
    pub clock: Arc<dyn Clock>,
    /// A cryptographically strong source.
    pub rng: Arc<dyn Rng>,
    /// The keys of handles, the same for all replicas.
    pub keys: Arc<KeyRing>,
    /// Makes spans, where anybody wants them.
    pub tracer: Option<Arc<dyn Tracer>>,
}

impl Process {
    /// One with keys of its own, which last as long as itself.
    #[must_use]
    pub fn alone(clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Self {
        let keys = Arc::new(KeyRing::generate(&*rng));
        Self { clock, rng, keys, tracer: None }
    }
}

/// A gateway that serves.
pub struct Gateway {
    app: Arc<App>,
    shared: Shared,
    address: SocketAddr,
    /// The listening socket once more, to be handed on.
    socket: OwnedFd,
    listener: JoinHandle<()>,
    sweeper: JoinHandle<()>,
    watcher: JoinHandle<()>,
    barred: JoinHandle<()>,
    pins: JoinHandle<()>,
    rechecks: JoinHandle<()>,
    /// The listener for other replicas.
    inside: Option<JoinHandle<()>>,
}

/// A gateway that listens nowhere: for the command line and for standard input and output.
pub struct Embedded {
    app: Arc<App>,
}

impl Embedded {
    /// Puts a configuration in force. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ComposeError`]
    pub fn start(config: &Config, clock: Arc<dyn Clock>, rng: Arc<dyn Rng>) -> Result<Self, ComposeError> {
        Self::start_traced(config, clock, rng, None)
    }

    /// The same, with somebody to make spans of its work.
    ///
    /// # Errors
    /// [`ComposeError`]
    pub fn start_traced(
        config: &Config,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        tracer: Option<Arc<dyn Tracer>>,
    ) -> Result<Self, ComposeError> {
        Ok(Self { app: prepare(config, Process { tracer, ..Process::alone(clock, rng) })?.0 })
    }

    /// The process.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Ends the upstreams' sessions and processes.
    pub async fn stop(self) {
        for upstream in self.app.generation().all_upstreams() {
            upstream.shutdown().await;
        }
    }
}

/// A gateway that has a configuration and serves nobody yet.
pub struct Prepared {
    app: Arc<App>,
    shared: Shared,
    tls: Option<Arc<rustls::ServerConfig>>,
    inside: Option<JoinHandle<()>>,
}

impl Prepared {
    /// The process.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Starts to serve other replicas at an internal address, and gives it with the port that the operating
    /// system chose.
    ///
    /// # Errors
    /// [`StartError::Listen`]
    pub async fn listen_inside(&mut self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        listen_inside(&self.app, &mut self.inside, address).await
    }

    /// Starts to serve clients. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn listen(self, config: &Config) -> Result<Gateway, StartError> {
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = Listener::bind(config.listen, self.tls.clone()).await.map_err(failed)?;
        self.serve(listener).map_err(failed)
    }

    /// The same, on a socket that listens already, whatever address the configuration names. It must be in
    /// non-blocking mode.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn listen_on(self, config: &Config, socket: TcpListener) -> Result<Gateway, StartError> {
        let failed = |source| StartError::Listen { address: config.listen, source };
        let listener = Listener::on(socket, self.tls.clone()).map_err(failed)?;
        self.serve(listener).map_err(failed)
    }

    fn serve(self, listener: Listener) -> std::io::Result<Gateway> {
        let Self { app, shared, tls, inside } = self;
        let (address, socket) = (listener.address()?, listener.socket()?);
        // It listens once.
        let _ = app.place.set((address, tls.is_some()));
        let listener = tokio::spawn(listener.run(Arc::clone(&app)));
        let sweeper = tokio::spawn(sweep(Arc::clone(&app)));
        let watcher = tokio::spawn(watch_memory(Arc::clone(&app)));
        let list = Arc::clone(&app.barred);
        let barred = tokio::spawn(async move { list.follow().await });
        let board = Arc::clone(&app.pins);
        let pins = tokio::spawn(async move { board.follow().await });
        let rechecks = tokio::spawn(recheck::follow(Arc::clone(&app)));
        keep_checked(&app.generation());
        Ok(Gateway {
            app,
            shared,
            address,
            socket,
            listener,
            sweeper,
            watcher,
            barred,
            pins,
            rechecks,
            inside,
        })
    }
}

async fn listen_inside(
    app: &Arc<App>,
    inside: &mut Option<JoinHandle<()>>,
    address: SocketAddr,
) -> Result<SocketAddr, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = Inside::bind(address, app).await.map_err(failed)?;
    let address = listener.address().map_err(failed)?;
    if let Some(before) = inside.replace(tokio::spawn(listener.run())) {
        before.abort();
    }
    Ok(address)
}

fn prepare(config: &Config, process: Process) -> Result<(Arc<App>, Shared), ComposeError> {
    let Process { clock, rng, keys, tracer } = process;
    let handles = Handles { keys, clock, rng, state_time: config.limits.park_time_max.duration() };
    let info = json!({"name": "tidegate", "title": "Tidegate", "version": env!("CARGO_PKG_VERSION")});
    let d = &config.auth.dpop;
    let proofs = DpopOptions {
        window: d.window.duration(),
        nonces: d.nonces,
        seen_max: d.remembered_max,
        ..DpopOptions::default()
    };
    let (vault_clock, vault_rng) = (Arc::clone(&handles.clock), Arc::clone(&handles.rng));
    let barred = Arc::new(StoreBars::new(Arc::clone(&handles.clock)));
    let watch = Watch::new(tracer);
    let (clock, metrics, hub) =
        (Arc::clone(&handles.clock), Arc::clone(&watch.metrics), Arc::new(Hub::default()));
    let pins = Arc::new(PinBoard::new(clock, metrics, Arc::clone(&hub)));
    let shared = Shared {
        barred,
        pins,
        seen: Arc::default(),
        vault: Arc::new(StoreVault::new(Arc::clone(&handles.keys), vault_clock, vault_rng)),
        dpop: Arc::new(Dpop::new(proofs, Arc::clone(&handles.keys))),
        handles,
        hub,
        server_info: Raw::from_value(&info),
        parked: Arc::default(),
        watch,
        gate: Gate::new(Limits::default().gate()),
    };
    let generation = compose(config, &shared, None)?;
    let handles = &shared.handles;
    let (keys, clock, rng) =
        (Arc::clone(&handles.keys), Arc::clone(&handles.clock), Arc::clone(&handles.rng));
    let replicas = Replicas::new(keys, clock, rng).map_err(ComposeError::Replicas)?;
    Ok((App::new(generation, &shared, Arc::new(replicas)), shared))
}

impl Gateway {
    /// Starts to serve a configuration. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(
        config: &Config,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, StartError> {
        Self::start_as(config, Process::alone(clock, rng)).await
    }

    /// The same, in a process that brings its own keys or makes spans.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start_as(config: &Config, process: Process) -> Result<Self, StartError> {
        Self::prepare(config, process)?.listen(config).await
    }

    /// Puts a configuration in force, and serves nobody yet: so that this replica knows the others before a
    /// client comes. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn prepare(config: &Config, process: Process) -> Result<Prepared, StartError> {
        let (app, shared) = prepare(config, process)?;
        let tls = tls::server_config(config, &shared.handles.clock)?;
        Ok(Prepared { app, shared, tls, inside: None })
    }

    /// The listening socket once more, for a process that is about to serve it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn socket(&self) -> std::io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// The address that is listened on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to serve other replicas at an internal address, and gives it with the port that the operating
    /// system chose.
    ///
    /// # Errors
    /// [`StartError::Listen`]
    pub async fn listen_inside(&mut self, address: SocketAddr) -> Result<SocketAddr, StartError> {
        listen_inside(&self.app, &mut self.inside, address).await
    }

    /// The process.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Puts another configuration in force. Calls under way finish under theirs; upstreams that are no longer
    /// wanted are stopped once those have had their time.
    ///
    /// # Errors
    /// [`ComposeError`]; the configuration in force stays.
    pub fn reload(&self, config: &Config) -> Result<u64, ComposeError> {
        let before = self.app.generation();
        let generation = compose(config, &self.shared, Some(&before))?;
        let number = generation.number;
        let kept: Vec<Arc<Upstream>> = generation.all_upstreams();
        let mut event = note::own_event(&self.app, "config_change");
        event.details.insert("generation", number.to_string());
        event.details.insert("policy", generation.policy.version().to_owned());
        keep_checked(&generation);
        self.app.replace(generation);
        note::happened(&self.app, event);
        self.app.metrics.reloads.inc();
        let gone: Vec<_> =
            before.all_upstreams().into_iter().filter(|u| !kept.iter().any(|k| Arc::ptr_eq(k, u))).collect();
        let time = before.limits.drain_time;
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            for upstream in gone {
                upstream.shutdown().await;
            }
        });
        Ok(number)
    }

    /// Stops: whoever asks is told to go elsewhere, after a while nothing new is let in, what is under way
    /// has its time, then upstreams are stopped.
    pub async fn stop(self) {
        self.app.drain.advance(Phase::Leaving);
        tokio::time::sleep(self.app.generation().limits.drain_delay).await;
        self.finish().await;
    }

    /// Stops after another process has begun to serve the same listening socket: what waits there is its
    /// business from now on.
    pub async fn hand_over(self) {
        self.app.drain.hand_over();
        // Connections are kept for a moment, so that their next answer can say that it is the last.
        tokio::time::sleep(self.app.generation().limits.drain_delay.max(LAST_ANSWER)).await;
        self.finish().await;
    }

    async fn finish(self) {
        // Nobody can be let in any more by a socket that listens on.
        drop(self.socket);
        self.app.drain.advance(Phase::Draining);
        let end = Instant::now() + self.app.generation().limits.drain_time;
        // What tasks run goes on for as long as other calls may, and then at another replica.
        let tasks = async {
            if let Some(tasks) = self.app.tasks() {
                tasks.stop(end.duration_since(Instant::now())).await;
            }
        };
        // The listener ends by itself within the drain time.
        let _ = tokio::join!(self.listener, tasks);
        if !self.app.replicas().peers().is_empty() {
            // What waits here for a client's answer gets it by way of another replica.
            let at_rest = at_rest(&self.app, &self.shared.parked);
            if tokio::time::timeout_at(end, at_rest).await.is_err() {
                tracing::warn!("calls that waited for answers are cut off at the end of the drain");
            }
        }
        self.app.drain.advance(Phase::Over);
        self.sweeper.abort();
        self.watcher.abort();
        self.barred.abort();
        self.pins.abort();
        self.rechecks.abort();
        if let Some(inside) = self.inside {
            inside.abort();
        }
        for upstream in self.app.generation().all_upstreams() {
            upstream.shutdown().await;
        }
    }
}

/// Checks the upstreams that are to be checked, from now on; those that are checked already go on. A process
/// that serves nobody does not: what it does is asked for.
fn keep_checked(generation: &Generation) {
    generation.upstreams().iter().for_each(Upstream::keep_checked);
}

/// Waits until no call runs or waits for an answer, and what was said last has left.
async fn at_rest(app: &App, parked: &AtomicUsize) {
    let mut looks = tokio::time::interval(REST_LOOK);
    let mut quiet = 0;
    while quiet < REST_LOOKS {
        looks.tick().await;
        let busy = parked.load(Ordering::Relaxed) > 0 || app.gate.running() > 0;
        quiet = if busy { 0 } else { quiet + 1 };
    }
}

async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP);
    let (mut tended, mut kept) = (Instant::now(), Instant::now());
    loop {
        ticks.tick().await;
        let generation = app.generation();
        let used = !generation.users.is_empty() || !generation.sign_ins.is_empty();
        if tended.elapsed() >= TEND && used {
            tended = Instant::now();
            if let Err(error) = app.vault.tend().await {
                tracing::warn!(%error, "what users have granted was not looked after");
            }
        }
        if kept.elapsed() >= RATES && !generation.rates.is_empty() {
            kept = Instant::now();
            app.rates.tend().await;
        }
        app.turn_lives();
        for upstream in app.generation().all_upstreams() {
            upstream.sweep();
        }
    }
}

/// Looks at the memory of the process, and gives up what it can do without.
async fn watch_memory(app: Arc<App>) {
    let mut system = System::new();
    let mut looks = tokio::time::interval(memory::LOOK);
    let mut shrunk = None;
    loop {
        looks.tick().await;
        let (before, now) = app.memory.look(&mut system, app.generation().limits.memory_max);
        if before != now {
            let (resident, ceiling) = app.memory.figures();
            tracing::warn!(before = before.as_str(), now = now.as_str(), resident, ceiling, "memory");
        }
        let due = now > before || shrunk.is_none_or(|at: Instant| at.elapsed() >= SWEEP);
        if now >= Stage::Soft && due {
            shrunk = Some(Instant::now());
            app.shrink();
        }
    }
}
