//! What the whole process shares, and what one configuration makes of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use catalog::{Caller, Endpoint, Source};
use http::{HeaderMap, HeaderName};
use model::{Clock, ReplicaId, Rng, TraceContext};
use protocol::{Id, Raw, Revision};
use upstream::{Change, Upstream};

use crate::barred::StoreBars;
use crate::checks::Checks;
use crate::compose::Shared;
use crate::door::Issuers;
use crate::drain::{self, Drain, Phase};
use crate::extensions::Extensions;
use crate::find::Finder;
use crate::guard::Guard;
use crate::handles::{Handles, Holder};
use crate::hosted::{Hosting, News, TaskRunner};
use crate::hub::Hub;
use crate::legacy::{Pair, Sessions, SharedSessions};
use crate::line::Lines;
use crate::metrics::Metrics;
use crate::note::{Noted, aside};
use crate::overload::{Gate, GateLimits, MemoryWatch, Place, Tenant};
use crate::pins::PinBoard;
use crate::policies::Labels;
use crate::published::Shown;
use crate::rates::Keeper;
use crate::replay::Repeatable;
use crate::replica::Replicas;
use crate::trace::{Choices, Watch};
use crate::vault::StoreVault;

/// Limits on what clients may do; see the configuration reference for each.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest request body.
    pub request_bytes_max: usize,
    /// The largest head of a request.
    pub header_bytes_max: usize,
    /// Header fields of a request.
    pub header_count_max: usize,
    /// How long the head of a request may take to arrive.
    pub header_read_timeout: Duration,
    /// Calls at a time; streams that only listen are not counted.
    pub calls_max: usize,
    /// Of them, those of one tenant.
    pub calls_per_tenant_max: usize,
    /// Calls that wait for their turn.
    pub queue_max: usize,
    /// How long one waits.
    pub queue_time_max: Duration,
    /// Bytes of memory that the process may have; `None`: what its control group may.
    pub memory_max: Option<u64>,
    /// Resources that one stream may be about.
    pub subscriptions_per_stream_max: usize,
    /// How long a body may take to arrive.
    pub body_read_timeout: Duration,
    /// Connections at a time.
    pub connections_max: usize,
    /// Streams that only listen, at a time.
    pub streams_max: usize,
    /// Messages in one batch.
    pub batch_max: usize,
    /// Events that wait for a legacy client on one stream.
    pub stream_buffer_events_max: usize,
    /// Bytes that wait for a legacy client on one stream.
    pub stream_buffer_bytes_max: usize,
    /// Legacy sessions with state in this process.
    pub sessions_max: usize,
    /// How long a legacy session lasts without use.
    pub session_time: Duration,
    /// How long a legacy call waits for the client to come back to its stream.
    pub detached_time: Duration,
    /// How long a client may take to answer a question.
    pub answer_time: Duration,
    /// After this long a legacy stream is closed for the client to poll (2025-11-25); `None`: never.
    pub poll_after: Option<Duration>,
    /// How long everything is still served once the process was told to stop.
    pub drain_delay: Duration,
    /// How long a drain waits for calls under way.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes_max: 4 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            header_count_max: 100,
            header_read_timeout: Duration::from_secs(10),
            calls_max: 4_096,
            calls_per_tenant_max: 3_072,
            queue_max: 1_024,
            queue_time_max: Duration::from_secs(5),
            memory_max: None,
            subscriptions_per_stream_max: 1_000,
            body_read_timeout: Duration::from_secs(30),
            connections_max: 10_000,
            streams_max: 8_192,
            batch_max: 64,
            stream_buffer_events_max: 1_024,
            stream_buffer_bytes_max: 4 * 1024 * 1024,
            sessions_max: 10_000,
            session_time: Duration::from_secs(24 * 3_600),
            detached_time: Duration::from_secs(60),
            answer_time: Duration::from_secs(300),
            poll_after: None,
            drain_delay: Duration::ZERO,
            drain_time: Duration::from_secs(20),
        }
    }
}

/// Sessions with upstreams of which is remembered that their openers know of their use.
const TOLD_MAX: u64 = 10_000;
/// Questions whose yes was used, and how long that is remembered: longer than a question stands.
const CONFIRMED_MAX: u64 = 100_000;
const CONFIRMED_TIME: Duration = Duration::from_secs(25 * 3_600);
/// How often the opener of a session is told that it is used at another replica.
const TELL_AFTER: Duration = Duration::from_secs(15);
impl Limits {
    pub(crate) fn gate(&self) -> GateLimits {
        GateLimits {
            calls_max: self.calls_max,
            tenant_max: self.calls_per_tenant_max,
            queue_max: self.queue_max,
            queue_time: self.queue_time_max,
        }
    }
}

/// The endpoint of everything, served at `/mcp`. No upstream or endpoint can have that name.
pub const EVERYTHING: &str = "mcp";

/// What one configuration makes of the gateway. Calls finish under the one that they began with.
pub struct Generation {
    /// Counted from one.
    pub number: u64,
    /// By name; [`EVERYTHING`] is always there.
    pub endpoints: HashMap<String, Arc<Endpoint>>,
    /// By the upstream's name.
    pub sources: HashMap<String, Arc<Source>>,
    /// What is looked for in what passes.
    pub(crate) checks: Checks,
    /// Which calls become tasks, and what holds for those.
    pub(crate) hosting: Hosting,
    /// What each upstream was made of, to know which can be kept.
    pub fingerprints: HashMap<String, (u64, u64)>,
    /// Client headers that may go to an upstream, by the upstream's name.
    pub forward_headers: HashMap<String, Vec<HeaderName>>,
    /// Which tools may run twice, by the upstream's name.
    pub repeatable: HashMap<String, Repeatable>,
    /// What decides who may do what.
    pub policy: Arc<policy::Engine>,
    /// What operators say of what upstreams offer.
    pub labels: Labels,
    /// Hosts and origins.
    pub guard: Guard,
    /// Who comes in.
    pub(crate) gate: identity::Gate,
    /// Those who say who somebody is.
    pub(crate) issuers: Issuers,
    /// Users who prove themselves to upstreams, by the upstream's name.
    pub(crate) users: HashMap<String, Arc<identity::Users>>,
    /// How users sign in with a browser, by the issuer's name.
    pub(crate) sign_ins: HashMap<String, identity::SignIn>,
    /// The gateway as an authorization server, where it is one.
    pub(crate) broker: Option<Arc<identity::Broker>>,
    /// Where its users sign in, in the operator's order.
    pub(crate) broker_sign_ins: Vec<String>,
    /// What clients reach the gateway by, where the operator says so.
    pub(crate) url: Option<String>,
    /// What is told about endpoints to those who look before they connect.
    pub(crate) shown: Shown,
    /// Limits.
    pub limits: Limits,
    /// What is told of calls.
    pub watch: Choices,
    /// Limits of what callers may do.
    pub(crate) rates: Vec<config::Rate>,
    /// What finds tools, by the endpoint's name.
    pub(crate) finders: HashMap<String, Arc<Finder>>,
    /// Which extensions of the protocol pass; `None`: all.
    pub(crate) extensions: Option<Extensions>,
    /// Who has a share, by the endpoint's name.
    pub(crate) tenants: HashMap<String, Arc<Tenant>>,
}

impl Generation {
    /// All upstreams in the order of their names.
    #[must_use]
    pub fn upstreams(&self) -> Vec<Arc<Upstream>> {
        let mut all: Vec<_> = self.sources.values().map(|s| Arc::clone(s.upstream())).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all
    }

    /// The same with those of users, in no order.
    #[must_use]
    pub fn all_upstreams(&self) -> Vec<Arc<Upstream>> {
        self.sources.values().flat_map(|source| source.all_upstreams()).collect()
    }

    /// An endpoint that is served now.
    #[must_use]
    pub fn endpoint(&self, name: &str, now: model::Timestamp) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(name).filter(|endpoint| endpoint.is_served(now))
    }

    /// What decides who may do what; `None`: no policy is configured, and whoever is let in may do all.
    #[must_use]
    pub fn policy(&self) -> Option<&Arc<policy::Engine>> {
        Some(&self.policy).filter(|policy| policy.has_policies())
    }

    /// How somebody signs in at an issuer with a browser, for pages apart from clients: nothing that he signs
    /// in with is kept for upstreams. `None`: nobody can there.
    #[must_use]
    pub fn sign_in(&self, issuer: &str) -> Option<identity::SignIn> {
        let known = self.sign_ins.get(issuer)?;
        Some(identity::SignIn {
            issuer: Arc::clone(&known.issuer),
            client: known.client.clone(),
            scopes: known.scopes.clone(),
            keeps: None,
            recheck: None,
            barred: Arc::clone(&known.barred),
            clock: Arc::clone(&known.clock),
            rng: Arc::clone(&known.rng),
        })
    }
}

/// The process.
pub struct App {
    pub(crate) generation: ArcSwap<Generation>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) handles: Handles,
    pub(crate) sessions: Arc<Sessions>,
    /// Open connections of the HTTP+SSE transport.
    pub(crate) pairs: moka::sync::Cache<String, Arc<Pair>>,
    pub(crate) replicas: Arc<Replicas>,
    /// The sessions with upstreams of which their openers were told a moment ago that they are used here.
    pub(crate) told: moka::sync::Cache<String, ()>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watch: Watch,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Arc<dyn Rng>,
    pub(crate) server_info: Raw,
    pub(crate) calls: AtomicUsize,
    pub(crate) gate: Arc<Gate>,
    pub(crate) memory: MemoryWatch,
    pub(crate) drain: Drain,
    /// Where clients are served, and whether with TLS; once they are.
    pub(crate) place: OnceLock<(SocketAddr, bool)>,
    /// Tasks of the gateway's own, once there is a store for them.
    pub(crate) tasks: OnceLock<tasks::Tasks>,
    /// Of those that are made here.
    pub(crate) task_news: News,
    /// What users have granted.
    pub(crate) vault: Arc<StoreVault>,
    /// Who is let in no more.
    pub(crate) barred: Arc<StoreBars>,
    /// Which definitions are approved.
    pub(crate) pins: Arc<PinBoard>,
    /// Who was let in a moment ago.
    pub(crate) seen: Arc<identity::Seen>,
    /// Where audit records go, once there is somewhere.
    pub(crate) recorder: OnceLock<Arc<dyn audit::Recorder>>,
    /// Calls that wait for somebody's yes, once there is a store for them.
    pub(crate) approvals: OnceLock<store::ApprovalOffice>,
    /// Questions whose yes was used, where there is no store for them.
    pub(crate) confirmed: moka::sync::Cache<String, ()>,
    /// What is left of limits.
    pub(crate) rates: Arc<Keeper>,
    /// How many days had come, by the upstream's name, when clients were last told.
    turned: Mutex<HashMap<String, usize>>,
    replaced: tokio::sync::Notify,
}

impl App {
    /// A process under this configuration.
    #[must_use]
    pub(crate) fn new(generation: Generation, shared: &Shared, replicas: Arc<Replicas>) -> Arc<Self> {
        let (hub, handles, watch) = (Arc::clone(&shared.hub), shared.handles.clone(), shared.watch.clone());
        let (gate, vault) = (Arc::clone(&shared.gate), Arc::clone(&shared.vault));
        gate.set(generation.limits.gate());
        let (clock, rng) = (Arc::clone(&handles.clock), Arc::clone(&handles.rng));
        hub.join(&replicas);
        let rates = Arc::new(Keeper::new(Arc::clone(&clock)));
        let sessions = Arc::new(Sessions::new(generation.limits, Arc::clone(&watch.metrics)));
        let generation_pairs = generation.limits.sessions_max as u64;
        Arc::new(Self {
            generation: ArcSwap::from_pointee(generation),
            hub,
            handles,
            sessions,
            pairs: moka::sync::Cache::new(generation_pairs),
            replicas,
            told: moka::sync::Cache::builder().max_capacity(TOLD_MAX).time_to_live(TELL_AFTER).build(),
            metrics: Arc::clone(&watch.metrics),
            watch,
            clock,
            rng,
            server_info: shared.server_info.clone(),
            calls: AtomicUsize::new(0),
            gate,
            memory: MemoryWatch::default(),
            drain: Drain::default(),
            place: OnceLock::new(),
            tasks: OnceLock::new(),
            task_news: News::default(),
            vault,
            barred: Arc::clone(&shared.barred),
            pins: Arc::clone(&shared.pins),
            seen: Arc::clone(&shared.seen),
            recorder: OnceLock::new(),
            approvals: OnceLock::new(),
            confirmed: moka::sync::Cache::builder()
                .max_capacity(CONFIRMED_MAX)
                .time_to_live(CONFIRMED_TIME)
                .build(),
            rates,
            turned: Mutex::default(),
            replaced: tokio::sync::Notify::new(),
        })
    }

    /// A new name for a session with an upstream, free among all replicas, that says where it was opened.
    pub(crate) fn session_name(&self) -> String {
        let mut random = [0; 12];
        self.rng.fill(&mut random);
        let random: String = random.iter().map(|b| format!("{b:02x}")).collect();
        self.replicas.me().owns(&random)
    }

    /// This process among others.
    #[must_use]
    pub fn replicas(&self) -> &Arc<Replicas> {
        &self.replicas
    }

    /// Says where what clients change in their sessions is kept for all replicas. Once, at the start.
    pub fn share_sessions(&self, shared: Arc<dyn SharedSessions>) {
        self.sessions.share(shared, &self.replicas);
    }

    /// Keeps tasks in this store from now on. Once, at the start. Must be called within a tokio runtime.
    pub fn host_tasks(self: &Arc<Self>, store: Arc<dyn store::Store>) {
        let worker = self.replicas.me().as_str();
        let (clock, rng) = (Arc::clone(&self.clock), Arc::clone(&self.rng));
        let options = self.generation().hosting.options();
        let tasks = tasks::Tasks::start(store, clock, rng, TaskRunner::new(self), worker, options);
        // A second one would have nothing to do: a process has one store.
        let _ = self.tasks.set(tasks);
    }

    /// Records what is done from now on. Once, at the start.
    pub fn record_with(&self, recorder: Arc<dyn audit::Recorder>) {
        self.sessions.record_with(aside::expiries(self, &recorder));
        let _ = self.recorder.set(recorder);
    }

    /// Where audit records go, where there is somewhere.
    #[must_use]
    pub fn recorder(&self) -> Option<&Arc<dyn audit::Recorder>> {
        self.recorder.get()
    }

    /// Keeps what users grant, who is barred, what waits for a yes, and which definitions are approved, in
    /// this store from now on. Once, at the start.
    pub fn keep_grants(&self, store: Arc<dyn store::Store>) {
        self.vault.keep_in(Arc::clone(&store));
        self.pins.keep_in(Arc::clone(&store));
        let _ = self.approvals.set(store::ApprovalOffice::new(Arc::clone(&store), Arc::clone(&self.clock)));
        self.barred.keep_in(store);
    }

    /// Whether the yes to a question is used for the first time.
    ///
    /// # Errors
    /// Where nobody knows.
    pub(crate) async fn confirmed_once(&self, nonce: &str) -> Result<bool, store::StoreError> {
        match self.approvals.get() {
            Some(office) => office.once(nonce, CONFIRMED_TIME).await,
            None => Ok(self.confirmed.entry_by_ref(nonce).or_insert(()).is_fresh()),
        }
    }

    /// Shares limits of what callers may do by this store from now on, and keeps quotas in it. Once, at the
    /// start.
    pub fn share_rates(&self, store: Arc<dyn store::Store>) {
        self.rates.keep_in(store);
    }

    /// Gives back what was leased of quotas and not used. Once nobody is served any more.
    pub async fn return_rates(&self) {
        self.rates.give_back(true).await;
    }

    /// Tells clients of the lists of which something came to be elsewhere in its life by its day. What is
    /// listed and called goes by the day itself.
    pub fn turn_lives(&self) {
        let (now, generation) = (self.clock.now(), self.generation());
        let mut known = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = HashMap::new();
        for (upstream, life) in generation.labels.lives() {
            let passed = life.turns().passed(now);
            if known.get(upstream).is_some_and(|before| *before != passed) {
                for change in [Change::Tools, Change::Prompts, Change::Resources] {
                    self.hub.changed(upstream, change);
                }
            }
            fresh.insert(upstream.to_owned(), passed);
        }
        *known = fresh;
    }

    /// Reads which definitions are approved, as is done every few seconds: once before anybody is served.
    ///
    /// # Errors
    /// Those of the store; what was known stays in force.
    pub async fn read_pins(&self) -> Result<(), store::StoreError> {
        self.pins.read().await
    }

    /// Reads who is barred, as is done every few seconds: once before anybody is served.
    ///
    /// # Errors
    /// Those of the store; who was barred stays so.
    pub async fn read_barred(&self) -> Result<(), store::StoreError> {
        self.barred.read().await
    }

    /// Where others say who is let in no more.
    #[must_use]
    pub fn bars(&self) -> Arc<dyn identity::Bars> {
        Arc::clone(&self.barred) as Arc<dyn identity::Bars>
    }

    /// Whether a caller is barred.
    #[must_use]
    pub fn is_barred(&self, caller: &identity::Caller) -> bool {
        self.barred.list().refuses(caller)
    }

    /// Tasks of the gateway's own.
    #[must_use]
    pub fn tasks(&self) -> Option<&tasks::Tasks> {
        self.tasks.get()
    }

    /// Reads anew what these sessions have become at other replicas, as far as they are known here.
    pub async fn reload_sessions(&self, names: &[String]) {
        self.sessions.reload(names).await;
    }

    /// The configuration in force.
    #[must_use]
    pub fn generation(&self) -> Arc<Generation> {
        self.generation.load_full()
    }

    /// Drops what is kept only to be faster, or for clients that may come back.
    pub(crate) fn shrink(&self) {
        let generation = self.generation();
        generation.sources.values().for_each(|source| source.shrink());
        generation.endpoints.values().for_each(|endpoint| endpoint.shrink());
        generation.finders.values().for_each(|finder| finder.shrink());
        self.sessions.shrink();
    }

    /// Puts another configuration in force; calls under way keep theirs.
    pub fn replace(&self, generation: Generation) -> Arc<Generation> {
        self.gate.set(generation.limits.gate());
        if let Some(tasks) = self.tasks.get() {
            tasks.set(generation.hosting.options());
        }
        let before = self.generation.swap(Arc::new(generation));
        self.replaced.notify_waiters();
        before
    }

    /// Waits for a configuration newer than this one. Safe to cancel.
    pub(crate) async fn newer(&self, number: u64) -> Arc<Generation> {
        loop {
            let replaced = self.replaced.notified();
            tokio::pin!(replaced);
            replaced.as_mut().enable();
            let generation = self.generation();
            if generation.number > number {
                return generation;
            }
            replaced.await;
        }
    }

    /// Waits until the process was told to stop: from now on others should take what it would have taken.
    /// Safe to cancel.
    pub async fn draining(&self) {
        self.drain.reached(Phase::Leaving).await;
    }

    /// Waits for a phase of the end. Safe to cancel.
    pub async fn reached(&self, phase: Phase) {
        self.drain.reached(phase).await;
    }

    /// Whether a phase of the end has been reached.
    #[must_use]
    pub fn has_reached(&self, phase: Phase) -> bool {
        self.drain.has_reached(phase)
    }

    /// What tells a client when to come back to a stream that the drain closes; nothing for other ends.
    pub(crate) fn farewell(&self) -> Option<Bytes> {
        self.has_reached(Phase::Draining).then(|| protocol::sse::retry(drain::come_back_ms(&*self.rng)))
    }
}

/// A call whose replica is gone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost {
    /// Whether the answer to its question may have got there before.
    pub answered: bool,
}

/// One request at one endpoint, on its way.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub app: Arc<App>,
    pub generation: Arc<Generation>,
    pub endpoint: Arc<Endpoint>,
    pub caller: Caller,
    /// Who calls, as far as that was proved.
    pub who: Arc<identity::Caller>,
    /// The client's own headers. Nothing of them goes upstream but what the operator lets through.
    pub headers: Arc<HeaderMap>,
    /// Whether the request came over HTTP, where headers repeat parts of the body.
    pub over_http: bool,
    /// Whether another replica sent it on to this one: it goes no further.
    pub forwarded: bool,
    /// The client certificate of the connection that it came by.
    pub certificate: Option<Arc<identity::Certificate>>,
    /// What the client speaks.
    pub revision: Revision,
    /// The sessions with upstreams that belong to the client's; `None` for a client without a session.
    pub lines: Option<Arc<Lines>>,
    /// Whether the call is made again in place of one whose replica is gone, and what is known of that one.
    pub replay: Option<Lost>,
    /// The request's own id, for who traces it.
    pub request_id: Option<Id>,
    /// The call's place among those that run, where it needs one; it lasts as long as any part of the call.
    pub place: Option<Arc<Place>>,
    /// What a call has that a task makes; `None`: a client waits for it.
    pub hosted: Option<Arc<HostedCall>>,
    /// Where the request came from; `None`: not over a network.
    pub address: Option<std::net::IpAddr>,
    /// What is known of the operation for the audit log, where it is recorded.
    pub noted: Option<Arc<Noted>>,
    /// How long ago the user may have signed in, once that was found to be too long: over HTTP the answer is
    /// a challenge then.
    pub stale: Arc<OnceLock<Duration>>,
    /// Whether the client called `call`, and this is the call inside: no header of his repeats what it says.
    pub through: bool,
}

/// What a call has that a task makes.
#[derive(Debug, Clone)]
pub(crate) struct HostedCall {
    /// What its upstream knows its attempts by.
    pub key: Option<String>,
    /// How long it may wait for its client's answers; `None`: as long as any call.
    pub until: Option<model::Timestamp>,
    /// The operation that it goes on with.
    pub operation: Option<Arc<str>>,
    /// For what somebody has said yes.
    pub granted: String,
    /// The approval that it waited for.
    pub approval: Option<String>,
}

impl Exchange {
    /// Goes on under another configuration, as streams do that outlive one. `false`: the endpoint is gone, or
    /// the caller would not be let in any more.
    pub fn move_to(&mut self, generation: Arc<Generation>) -> bool {
        let name = self.endpoint.name();
        let endpoint = generation.endpoint(name, self.app.clock.now()).map(Arc::clone);
        let endpoint = endpoint.filter(|_| !self.over_http || generation.gate.still(name, &self.who));
        self.generation = generation;
        endpoint.is_some_and(|endpoint| {
            self.endpoint = endpoint;
            true
        })
    }

    /// Waits until what the caller proved is no longer good, or he is barred. Safe to cancel.
    pub async fn expired(&self) {
        let left = self.who.left(self.app.clock.now());
        let ended = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = ended => {}
            () = self.app.barred.list().refused(&self.who) => {}
        }
    }

    /// The same for what outlives the call and does not count as one.
    pub fn unplaced(&self) -> Self {
        Self { place: None, ..self.clone() }
    }

    /// The same as a part of a task, which nobody waits for.
    pub fn hosted_here(&self) -> Self {
        let hosted = Some(Arc::new(HostedCall {
            key: None,
            until: None,
            operation: self.noted.as_ref().map(|n| n.operation()),
            granted: String::new(),
            approval: None,
        }));
        Self { place: None, hosted, ..self.clone() }
    }

    /// The same as the client of this call makes it.
    pub fn entered(mut self, call: &protocol::Call) -> Self {
        crate::modern::enter(&mut self, call);
        self
    }

    /// Where the thing of this name lives, if that is another replica and this request may still go there.
    pub fn elsewhere(&self, name: &str) -> Option<ReplicaId> {
        if self.forwarded { None } else { self.app.replicas.elsewhere(name) }
    }

    /// The same, as a part of this span.
    pub fn traced(&self, trace: TraceContext) -> Self {
        let mut traced = self.clone();
        traced.caller.trace = Some(trace);
        traced
    }

    /// The same, of which this is known for the audit log.
    pub fn noted(&self, noted: Arc<Noted>) -> Self {
        Self { noted: Some(noted), ..self.clone() }
    }

    /// The same for the call that stands in a call of `call`.
    pub fn through(&self) -> Self {
        Self { through: true, ..self.clone() }
    }

    pub fn holder(&self) -> Holder<'_> {
        Holder { principal: &self.caller.principal, endpoint: self.endpoint.name() }
    }

    /// The client's headers that this upstream may see.
    pub fn forwarded(&self, upstream: &str) -> HeaderMap {
        let mut out = HeaderMap::new();
        for name in self.generation.forward_headers.get(upstream).into_iter().flatten() {
            for value in self.headers.get_all(name) {
                out.append(name.clone(), value.clone());
            }
        }
        // A header that repeats an argument by a rule that we do not know passes unchanged (transports,
        // "Custom headers").
        for (name, value) in
            self.headers.iter().filter(|(n, _)| n.as_str().starts_with(protocol::headers::PARAM_PREFIX))
        {
            out.append(name.clone(), value.clone());
        }
        out
    }
}
