//! Demo servers, and a gateway in front of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use cluster::StoreSessions;
use config::{Config, Upstream};
use demo::{Builder, Revision, Server};
use model::{Clock, ManualClock, Rng, SeededRng, Timestamp};
use seal::KeyRing;
use server::{Gateway, Peer, Process};
use store::{Memory, PinOffice, Store, UserOffice};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Client;
use crate::client::Options;
use crate::http::Places;
use crate::within;

/// Where the clock of a [`World`] begins: 2026-07-28.
const BEGINNING: Timestamp = Timestamp(1_785_196_800_000);

/// A demo server on a port of its own, until it is dropped.
pub struct Demo {
    /// The server, for its switches and its statistics.
    pub server: Server,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Demo {
    /// One with choices of its own.
    ///
    /// # Panics
    /// If the machine has no port left.
    pub async fn start(builder: Builder) -> Self {
        let server = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let task = tokio::spawn(server.clone().serve_http(listener, std::future::pending::<()>()));
        Self { server, address, task }
    }

    /// One that speaks a single revision.
    pub async fn speaking(revision: Revision) -> Self {
        Self::start(Server::builder().revisions(&[revision])).await
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL that a configuration names: the oldest revision alone has its stream elsewhere.
    #[must_use]
    pub fn url(&self) -> String {
        let pair_only = self.server.revisions() == [Revision::V2024_11_05];
        format!("http://{}/{}", self.address, if pair_only { "sse" } else { "mcp" })
    }

    /// A client of it.
    pub async fn client(&self, revision: Revision) -> Client {
        Client::connect(self.address, "/mcp", revision).await
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A gateway in front of demo servers, with a clock that stands still until it is told to move.
pub struct World {
    /// The demo servers, by the names of their upstreams.
    pub demos: BTreeMap<String, Demo>,
    /// The clock of handles: sessions, cursors, request states.
    pub clock: Arc<ManualClock>,
    /// The configuration that is in force.
    pub config: Config,
    gateway: Gateway,
    /// The second replica and those after it.
    others: Vec<Gateway>,
    peers: Vec<Peer>,
    store: Arc<dyn Store>,
}

/// What a [`World`] will be.
#[derive(Default)]
pub struct WorldBuilder {
    demos: Vec<(String, Builder, Upstream)>,
    config: Config,
    seed: u64,
    /// Besides the first.
    replicas: usize,
}

impl WorldBuilder {
    /// Starts as many replicas of the gateway, which know one another.
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count.saturating_sub(1);
        self
    }

    /// Puts a demo server behind the gateway, as an upstream of this name.
    #[must_use]
    pub fn demo(self, name: impl Into<String>, builder: Builder) -> Self {
        self.demo_with(name, builder, |_| ())
    }

    /// The same, with other choices in its section of the configuration.
    #[must_use]
    pub fn demo_with(
        mut self,
        name: impl Into<String>,
        builder: Builder,
        change: impl FnOnce(&mut Upstream),
    ) -> Self {
        let mut upstream = Upstream::default();
        change(&mut upstream);
        self.demos.push((name.into(), builder, upstream));
        self
    }

    /// Puts one that speaks a single revision behind the gateway, as [`upstream_name`].
    #[must_use]
    pub fn speaking(self, revision: Revision) -> Self {
        self.demo(upstream_name(revision), Server::builder().revisions(&[revision]))
    }

    /// One of each revision.
    #[must_use]
    pub fn all_revisions(self) -> Self {
        Revision::ALL.into_iter().fold(self, Self::speaking)
    }

    /// The seed of the gateway's keys: gateways of one seed know one another's handles. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Changes the configuration; the upstreams are added to it.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts everything.
    ///
    /// # Panics
    /// If the gateway does not start.
    pub async fn start(self) -> World {
        let Self { demos: builders, mut config, seed, replicas } = self;
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut demos = BTreeMap::new();
        for (name, builder, upstream) in builders {
            let demo = Demo::start(builder).await;
            let upstream = Upstream { url: Some(demo.url()), ..upstream };
            config.upstreams.insert(name.clone(), upstream);
            demos.insert(name, demo);
        }
        let clock = Arc::new(ManualClock::at(BEGINNING));
        let rng: Arc<dyn Rng> = Arc::new(SeededRng::new(seed));
        let keys = Arc::new(KeyRing::generate(&*rng));
        let clocks = Arc::clone(&clock) as Arc<dyn Clock>;
        let process = Process { keys, ..Process::alone(clocks, rng) };
        let mut gateway = start(&config, &process).await;
        let mut others = Vec::new();
        let mut peers = Vec::new();
        if replicas > 0 {
            peers.push(listen_inside(&mut gateway).await);
            for _ in 0..replicas {
                let mut other = start(&config, &process).await;
                peers.push(listen_inside(&mut other).await);
                others.push(other);
            }
        }
        let store = memory();
        let shared = Arc::new(StoreSessions::new(Arc::clone(&store)));
        for gateway in std::iter::once(&gateway).chain(&others) {
            gateway.app().share_sessions(Arc::clone(&shared) as Arc<dyn server::SharedSessions>);
            gateway.app().host_tasks(Arc::clone(&store));
            gateway.app().keep_grants(Arc::clone(&store));
        }
        let world = World { demos, clock, config, gateway, others, peers, store };
        world.introduce(&world.peers);
        world
    }
}

async fn start(config: &Config, process: &Process) -> Gateway {
    let gateway = Gateway::start_as(config, process.clone()).await;
    gateway.unwrap_or_else(|error| panic!("the gateway does not start: {error:?}"))
}

async fn listen_inside(gateway: &mut Gateway) -> Peer {
    let address = gateway.listen_inside(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let address = address.unwrap_or_else(|error| panic!("no internal listener: {error:?}"));
    let url = format!("http://{address}").parse().expect("an address is a URL");
    Peer { id: gateway.app().replicas().me().clone(), url }
}

impl World {
    /// Tells all replicas who lives.
    fn introduce(&self, peers: &[Peer]) {
        self.replicas().for_each(|gateway| gateway.app().replicas().set_peers(peers.iter().cloned()));
    }

    /// What all replicas share.
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The same, to be held.
    #[must_use]
    pub fn shared_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Users, as an operator sees and changes them.
    #[must_use]
    pub fn users(&self) -> UserOffice {
        UserOffice::new(Arc::clone(&self.store), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    /// Definitions, as an operator sees them and decides.
    #[must_use]
    pub fn pins(&self) -> PinOffice {
        PinOffice::new(Arc::clone(&self.store), Arc::clone(&self.clock) as Arc<dyn Clock>)
    }

    /// All replicas, the first one first.
    pub fn replicas(&self) -> impl Iterator<Item = &Gateway> {
        std::iter::once(&self.gateway).chain(&self.others)
    }

    /// The address of a replica, counted from 0.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn address_of(&self, replica: usize) -> SocketAddr {
        self.replicas().nth(replica).expect("so many replicas").address()
    }

    /// Makes the others believe that a replica is gone. Counted from 0.
    pub fn lose(&self, replica: usize) {
        let id = self.replicas().nth(replica).map(|gateway| gateway.app().replicas().me().clone());
        let left: Vec<_> = self.peers.iter().filter(|peer| Some(&peer.id) != id.as_ref()).cloned().collect();
        self.introduce(&left);
    }

    /// Takes back what [`World::lose`] said of it and of all others.
    pub fn find(&self, replica: usize) {
        assert!(replica < self.peers.len(), "so many replicas");
        self.introduce(&self.peers);
    }

    /// Choices first.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// The gateway's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The demo server of this upstream.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn demo(&self, name: &str) -> &Demo {
        self.demos.get(name).expect("a demo of that name")
    }

    /// All replicas in turn, as through a balancer.
    #[must_use]
    pub fn places(&self) -> Places {
        self.replicas().map(Gateway::address).collect::<Vec<_>>().into()
    }

    /// A usual client of an endpoint: `mcp` is that of everything, others are `NAME/mcp`.
    pub async fn client(&self, endpoint: &str, revision: Revision) -> Client {
        Client::connect(self.places(), &path(endpoint), revision).await
    }

    /// A client with choices of its own.
    pub async fn client_with(&self, endpoint: &str, revision: Revision, options: Options) -> Client {
        Client::with(self.places(), &path(endpoint), revision, options).await
    }

    /// Stops the gateway in order.
    pub async fn stop(self) {
        within(self.gateway.stop()).await;
    }
}

/// A store that ends with the test.
#[must_use]
pub fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::new())
}

/// The path of an endpoint; that of everything is called `mcp`.
#[must_use]
pub fn path(endpoint: &str) -> String {
    if endpoint == "mcp" { "/mcp".to_owned() } else { format!("/{endpoint}/mcp") }
}

/// The name of the upstream that speaks this revision alone.
#[must_use]
pub fn upstream_name(revision: Revision) -> String {
    format!("r{revision}")
}
