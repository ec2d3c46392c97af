//! One upstream: what it is, how it is doing, and calls on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Clock, Rng, UpstreamName};
use protocol::{Call, Capabilities, Raw, Revision};
use tokio::sync::{Mutex as AsyncMutex, broadcast};
use tokio::time::Instant;

use crate::api::ApiHttp;
use crate::core::{Change, Core, Stats};
use crate::detect::{self, Connector, Found};
use crate::http::HttpLink;
use crate::options::Target;
use crate::pipe::{Dial, PipePool};
use crate::resilience::{is_free, may_again};
use crate::{
    AddressHealth, Again, Api, CallContext, CallError, CallErrorKind, Circuit, Condition, Credentials,
    HedgeAfter, Kept, Observer, Options, Place, Reply, ResilienceStats,
};

/// How an upstream is doing.
#[derive(Debug, Clone)]
pub struct Health {
    /// In one word: `up`, `untried`, `unhealthy` by checks, `old_document`, or the reason why not, as
    /// [`CallErrorKind::as_str`].
    pub state: &'static str,
    /// What it speaks, once that is known.
    pub revision: Option<Revision>,
    /// The last error, for the operator.
    pub error: Option<CallError>,
    /// How long its last answer took.
    pub latency: Option<Duration>,
    /// How many calls run on it.
    pub in_flight: u64,
    /// How many calls wait for input.
    pub parked: usize,
    /// How many sessions it has that belong to a principal, a client or a handle.
    pub sessions: usize,
    /// Whether calls go to it at all; `None`: it has no breaker.
    pub circuit: Option<Circuit>,
    /// What checks say; `None`: there are none.
    pub condition: Option<Condition>,
    /// Further requests that there may be now, of those made again and those beside slow ones.
    pub budget_left: u64,
    /// Its addresses, where it has several.
    pub addresses: Vec<AddressHealth>,
}

impl Health {
    /// Whether it is used.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == "up" || self.state == OLD_DOCUMENT
    }
}

/// What an upstream said of itself.
#[derive(Debug, Clone)]
pub struct Discovery {
    /// What is spoken with it.
    pub revision: Revision,
    /// Its `DiscoverResult`, or what a legacy handshake says in that shape.
    pub discover: Raw,
    /// The experimental tasks of 2025-11-25, where it has them.
    pub tasks: Option<Raw>,
}

/// The word for a server that is used as an older document describes it, as the new one cannot be used.
const OLD_DOCUMENT: &str = "old_document";
/// The word for a server that checks have found to be down.
const UNHEALTHY: &str = "unhealthy";
/// A failed attempt is not repeated before this has passed, doubled with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest pause before a call is made again; who is asked to wait longer tells its client.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);
/// The longest pause between attempts to find out.
const BACKOFF_MAX: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Attempts {
    failures: u32,
    not_before: Option<Instant>,
    error: Option<CallError>,
}

/// One server behind the gateway.
pub struct Upstream {
    core: Arc<Core>,
    http: egress::Http,
    found: Mutex<Option<Arc<Found>>>,
    finding: AsyncMutex<Attempts>,
    last_error: Mutex<Option<CallError>>,
    pub(crate) listener: AsyncMutex<crate::listen::State>,
    pub(crate) checks: crate::check::Checks,
    /// The task that looks whether its document has changed.
    pub(crate) follows: crate::check::Checks,
}

impl Upstream {
    /// An upstream that nothing has been sent to yet. `parked` counts the calls that wait for input on all
    /// upstreams.
    #[must_use]
    pub fn new(
        options: Options,
        http: egress::Http,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        parked: Arc<AtomicUsize>,
    ) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::new(Core::new(options, clock, rng, parked)),
            http,
            found: Mutex::new(None),
            finding: AsyncMutex::new(Attempts::default()),
            last_error: Mutex::new(None),
            listener: AsyncMutex::default(),
            checks: crate::check::Checks::default(),
            follows: crate::check::Checks::default(),
        })
    }

    /// The same server with other credentials: those of one user. It shares limits and counters with this
    /// one, and nothing else.
    #[must_use]
    pub fn on_behalf(&self, of: Arc<dyn Credentials>) -> Arc<Self> {
        let mut options = self.core.options.clone();
        match &mut options.target {
            Target::Http { credentials, .. } | Target::Api { credentials, .. } => *credentials = Some(of),
            Target::Stdio(_) => {}
        }
        Arc::new(Self {
            core: Arc::new(self.core.beside(options)),
            http: self.http.clone(),
            found: Mutex::new(None),
            finding: AsyncMutex::new(Attempts::default()),
            last_error: Mutex::new(None),
            listener: AsyncMutex::default(),
            checks: crate::check::Checks::default(),
            follows: crate::check::Checks::default(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &UpstreamName {
        &self.core.options.name
    }

    /// What it was told at its start.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.core.options
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.core.stats
    }

    /// What became of what is done where it fails.
    #[must_use]
    pub fn resilience(&self) -> &ResilienceStats {
        &self.core.keeping.stats
    }

    /// Says who hears of its requests from now on. Only the first one is heard.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        // A second one has nothing to say: an upstream belongs to one gateway.
        let _ = self.core.observer.set(observer);
    }

    /// Its changes from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.core.changes.subscribe()
    }

    /// Says who hears of each change before those who have [`Upstream::changes`]; it must return at once, and
    /// says false once it no longer has to hear.
    pub fn on_change(&self, hear: impl Fn(&Change) -> bool + Send + Sync + 'static) {
        self.core.first.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hear));
    }

    /// Says that something is another one, as if the server had told of it.
    pub fn changed(&self, change: Change) {
        self.core.changed(change);
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn http(&self) -> &egress::Http {
        &self.http
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let found = self.known();
        let error = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Calls go on as before.
        let old = self.api().and_then(|api| api.fault()).filter(|_| error.is_none());
        let latency = self.core.stats.latency_us.load(Ordering::Relaxed);
        let owned = match found.as_ref().map(|found| &found.connector) {
            Some(Connector::Pipe(pool)) => pool.owned(),
            Some(Connector::LegacyHttp(http)) => http.owned(),
            Some(Connector::ModernHttp(_) | Connector::Api(_)) | None => 0,
        };
        let circuit = self.core.keeping.circuit();
        let (balance, condition) = (self.core.keeping.balance.as_ref(), self.core.keeping.condition());
        Health {
            state: match (&error, &found) {
                _ if circuit == Some(Circuit::Open) => CallErrorKind::CircuitOpen.as_str(),
                _ if condition == Some(Condition::Down) => UNHEALTHY,
                (Some(error), _) => error.kind.as_str(),
                (None, Some(_)) if old.is_some() => OLD_DOCUMENT,
                (None, Some(_)) => "up",
                (None, None) => "untried",
            },
            revision: found.map(|f| f.revision),
            error: error.or(old),
            latency: (latency > 0).then(|| Duration::from_micros(latency)),
            in_flight: self.core.stats.in_flight.load(Ordering::Relaxed),
            parked: self.core.lot.len(),
            sessions: owned + self.core.kept.len(),
            circuit,
            condition,
            budget_left: self.core.keeping.budget.left(),
            addresses: balance.map(|balance| balance.health(Instant::now())).unwrap_or_default(),
        }
    }

    pub(crate) fn known(&self) -> Option<Arc<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is spoken with it, found out where that is not known; one attempt at a time for everybody.
    pub(crate) async fn connector(&self) -> Result<Arc<Found>, CallError> {
        match self.known() {
            Some(found) => Ok(found),
            // Boxed, so that calls do not carry what is needed once.
            None => Box::pin(self.find_out()).await,
        }
    }

    async fn find_out(&self) -> Result<Arc<Found>, CallError> {
        let mut attempts = self.finding.lock().await;
        if let Some(found) = self.known() {
            return Ok(found);
        }
        if let (Some(error), Some(at)) = (&attempts.error, attempts.not_before)
            && Instant::now() < at
        {
            return Err(error.clone());
        }
        // Whatever goes wrong here, the calls that wait for it have not left.
        match self.find().await.map_err(|error| self.with_pin(error).unsent()) {
            Ok(found) => {
                let found = Arc::new(found);
                tracing::info!(upstream = %self.name(), revision = %found.revision, "connected");
                let waited = attempts.error.as_ref().is_some_and(|e| e.kind == CallErrorKind::Consent);
                *attempts = Attempts::default();
                if waited {
                    // What was given out until now was not of the server.
                    self.core.changed(Change::Gap);
                }
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&found));
                self.note(None);
                Ok(found)
            }
            // It may be given any moment, and is asked for without the server.
            Err(error) if error.kind == CallErrorKind::Consent => {
                attempts.not_before = None;
                attempts.error = Some(error.clone());
                self.note(Some(error.clone()));
                Err(error)
            }
            Err(error) => {
                tracing::warn!(upstream = %self.name(), %error, "cannot use the upstream");
                let wait = BACKOFF_MIN.saturating_mul(1 << attempts.failures.min(10)).min(BACKOFF_MAX);
                attempts.failures = attempts.failures.saturating_add(1);
                // Another address may answer at once.
                let several = self.core.keeping.balance.is_some();
                attempts.not_before = (!several).then(|| Instant::now() + wait);
                attempts.error = Some(error.clone());
                self.note(Some(error.clone()));
                Err(error)
            }
        }
    }

    /// The error with the revision that is pinned, where that is what the server does not speak.
    fn with_pin(&self, error: CallError) -> CallError {
        match (error.kind, self.core.options.pin) {
            (CallErrorKind::OtherRevision, Some(pin)) => {
                let detail = error.detail.as_deref().unwrap_or("it was refused").to_owned();
                error.detail(format!("{pin} is pinned: {detail}"))
            }
            _ => error,
        }
    }

    /// The way to its URL, on which the gateway does not prove itself; `None`: it has none.
    pub(crate) fn link(&self) -> Option<HttpLink> {
        let (url, headers) = match &self.core.options.target {
            Target::Http { url, headers, .. } => (url, headers),
            Target::Api { api, .. } => (api.home()?, &api.options().headers),
            Target::Stdio(_) => return None,
        };
        Some(HttpLink::new(Arc::clone(&self.core), self.http.clone(), url.clone(), headers))
    }

    async fn find(&self) -> Result<Found, CallError> {
        match &self.core.options.target {
            Target::Http { url, transport, headers, credentials } => {
                let link = HttpLink::new(Arc::clone(&self.core), self.http.clone(), url.clone(), headers);
                detect::http(&self.core, link.proving(credentials.clone()), *transport).await
            }
            Target::Stdio(stdio) => {
                detect::pipe(PipePool::new(Arc::clone(&self.core), Dial::Stdio(stdio.clone()))).await
            }
            Target::Api { api, credentials } => {
                ApiHttp::find(api, (&self.core, &self.http), credentials.clone()).await
            }
        }
    }

    /// Whether a call that asks a question stays open in this process until the answer: on a legacy server it
    /// does.
    #[must_use]
    pub fn holds_questions(&self) -> bool {
        self.known().is_some_and(|found| found.revision.era() == protocol::Era::Legacy)
    }

    /// What it says of itself, asked once.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn discovery(&self) -> Result<Discovery, CallError> {
        let found = self.connector().await?;
        let (discover, tasks) = (found.discover.clone(), found.tasks.clone());
        Ok(Discovery { revision: found.revision, discover, tasks })
    }

    /// Makes a call.
    ///
    /// # Errors
    /// Why there is no answer: who caused it and whether a retry is safe. An error of the upstream's own
    /// is an [`crate::Outcome::Error`].
    pub async fn call(self: &Arc<Self>, cx: &CallContext, call: &Call) -> Result<Reply, CallError> {
        Stats::add(&self.core.stats.calls);
        let _running = Running::new(&self.core.stats);
        let start = Instant::now();
        let twice = self.api().and_then(|api| api.made_twice(cx, call, &self.core));
        let reply = match &twice {
            Some((cx, call)) => Box::pin(self.persist(cx, call)).await,
            None => Box::pin(self.persist(cx, call)).await,
        };
        match &reply {
            Ok(_) => {
                let us = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.core.stats.latency_us.store(us.max(1), Ordering::Relaxed);
                self.note(None);
            }
            Err(error) => self.failed(error),
        }
        match reply {
            Err(CallError { instead: Some(result), .. }) => Ok(Reply::result(result)),
            reply => reply,
        }
    }

    fn api(&self) -> Option<&Arc<Api>> {
        match &self.core.options.target {
            Target::Api { api, .. } => Some(api),
            Target::Http { .. } | Target::Stdio(_) => None,
        }
    }

    /// Makes it, and again where it failed and that does no harm, as far as there may be further attempts.
    async fn persist(self: &Arc<Self>, cx: &CallContext, call: &Call) -> Result<Reply, CallError> {
        let (options, keeping) = (&self.core.options.resilience, &self.core.keeping);
        keeping.budget.call();
        let mut attempt = 0;
        loop {
            let reply = self.hedged(cx, call).await;
            let Err(error) = &reply else { return reply };
            let asked = error.retry_after.unwrap_or_default();
            if attempt >= options.retries || asked > RETRY_WAIT_MAX || !may_again(cx, call, error) {
                return reply;
            }
            if !keeping.budget.take() {
                Stats::add(&keeping.stats.retries_refused);
                return reply;
            }
            Stats::add(&keeping.stats.retries);
            let backoff = options.backoff.saturating_mul(1 << attempt.min(10)).min(RETRY_WAIT_MAX);
            // Up to half of it is left out, so that calls that failed together do not come back together.
            let parts = 512 + u32::try_from(self.core.rng.next_u64() % 512).unwrap_or(0);
            tokio::time::sleep((backoff * parts / 1_024).max(asked)).await;
            attempt += 1;
        }
    }

    /// Makes it, and once more beside where it is slow and twice is as once. The first answer counts.
    async fn hedged(self: &Arc<Self>, cx: &CallContext, call: &Call) -> Result<Reply, CallError> {
        let wanted = self.core.options.resilience.hedge_after;
        // What may be repeated may still not be done twice at the same time.
        let beside = || self.api().is_none_or(|api| api.only_reads(call));
        let Some(wanted) = wanted.filter(|_| cx.again == Again::Repeatable && is_free(cx, call) && beside())
        else {
            return self.passed(cx, call).await;
        };
        let known = self.core.keeping.latencies.as_ref();
        let after = match wanted {
            HedgeAfter::Fixed(after) => Some(after),
            HedgeAfter::P95 => known.and_then(|known| known.p95(&call.method)),
        };
        let begun = Instant::now();
        let reply = match after {
            Some(after) => self.twice(cx, call, after).await,
            None => self.passed(cx, call).await,
        };
        if let Some(known) = known.filter(|_| reply.is_ok()) {
            known.learn(&call.method, begun.elapsed());
        }
        reply
    }

    /// Makes it, and once more beside where it has no answer after this.
    async fn twice(
        self: &Arc<Self>,
        cx: &CallContext,
        call: &Call,
        after: Duration,
    ) -> Result<Reply, CallError> {
        let keeping = &self.core.keeping;
        let mut first = Box::pin(self.passed(cx, call));
        tokio::select! {
            biased;
            reply = &mut first => return reply,
            () = tokio::time::sleep(after) => {}
        }
        if !keeping.budget.take() {
            Stats::add(&keeping.stats.retries_refused);
            return first.await;
        }
        Stats::add(&keeping.stats.hedges);
        let mut second = Box::pin(self.passed(cx, call));
        let (reply, is_second) = tokio::select! {
            biased;
            reply = &mut first => (reply, false),
            reply = &mut second => (reply, true),
        };
        // Dropping the other one cancels it.
        let (reply, is_second) = match (reply, is_second) {
            (Err(_), false) => (second.await, true),
            (Err(_), true) => (first.await, false),
            (reply, is_second) => (reply, is_second),
        };
        keeping.stats.hedges_won.fetch_add(u64::from(is_second && reply.is_ok()), Ordering::Relaxed);
        reply
    }

    /// Makes it, unless the server is left alone.
    async fn passed(self: &Arc<Self>, cx: &CallContext, call: &Call) -> Result<Reply, CallError> {
        // What has begun goes on, and the tools of a web API are known without asking it.
        let known = self.api().is_some() && call.method != protocol::Method::ToolsCall;
        if known || call.params.has("requestState") {
            return self.call_inner(cx, call).await;
        }
        let passing = self.core.keeping.admit();
        let passing =
            passing.map_err(|wait| self.core.error(CallErrorKind::CircuitOpen).after(Some(wait)))?;
        match self.call_inner(cx, call).await {
            Ok(Reply::Ready(outcome)) => {
                passing.ended(None);
                Ok(Reply::Ready(outcome))
            }
            Ok(Reply::Stream(items)) => Ok(Reply::Stream(passing.over(items))),
            Err(error) => {
                passing.ended(Some(&error));
                Err(error)
            }
        }
    }

    async fn call_inner(self: &Arc<Self>, cx: &CallContext, call: &Call) -> Result<Reply, CallError> {
        let found = self.connector().await?;
        let permit = self.core.slot().await?;
        if found.revision.era() == protocol::Era::Legacy {
            if let Some(name) = call.text("requestState") {
                let now = self.core.clock.now();
                let parked = self.core.lot.take(&name, &cx.principal, now);
                let run = parked.ok_or_else(|| self.core.error(CallErrorKind::ParkedGone))?;
                return Box::pin(run.resume(call, permit)).await;
            }
            if call.method == protocol::Method::Discover {
                return Ok(Reply::result(found.discover.clone()));
            }
        }
        match &found.connector {
            Connector::ModernHttp(http) => http.call(cx, call, permit).await,
            Connector::LegacyHttp(http) => Box::pin(http.call(cx, call, permit)).await,
            Connector::Pipe(pool) => Box::pin(pool.call(cx, call, permit)).await,
            Connector::Api(api) => Box::pin(api.call(cx, call, permit)).await,
        }
    }

    /// Gives up a call that waits for answers, by the name in its request state: nobody will answer. The
    /// server is told. Nothing happens where there is none.
    pub fn give_up(&self, name: &str, principal: &model::Principal) {
        drop(self.core.lot.take(name, principal, self.core.clock.now()));
    }

    fn failed(&self, error: &CallError) {
        // What the server speaks may have changed while it could not be reached: look again next time.
        let gone = matches!(error.kind, CallErrorKind::Unreachable | CallErrorKind::OtherRevision);
        let http = matches!(self.core.options.target, Target::Http { .. });
        // One of several addresses is not the server.
        if gone && http && self.core.keeping.balance.is_none() {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        if error.kind.fault() == model::Fault::Upstream && error.kind != CallErrorKind::CircuitOpen {
            self.note(Some(error.clone()));
        }
    }

    /// Takes note of a failure that shows only when an answer is used, for [`Upstream::health`].
    pub fn failed_otherwise(&self, error: CallError) {
        self.note(Some(error));
    }

    pub(crate) fn note(&self, error: Option<CallError>) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some() || error.is_some() {
            *last = error;
        }
    }

    /// Opens a session, or starts a process, under a name that is free among all replicas. `None`: a modern
    /// server, which has no sessions.
    ///
    /// # Errors
    /// [`CallErrorKind::SessionLimit`], or why it cannot be reached. Nothing ran.
    pub async fn open_session(
        &self,
        capabilities: &Capabilities,
        name: String,
    ) -> Result<Option<Kept>, CallError> {
        let found = self.connector().await?;
        if found.revision.era() == protocol::Era::Modern {
            return Ok(None);
        }
        let _permit = self.core.slot().await?;
        let opened = match &found.connector {
            Connector::ModernHttp(_) | Connector::Api(_) => return Ok(None),
            Connector::LegacyHttp(http) => Box::pin(http.open_kept(capabilities, name)).await,
            Connector::Pipe(pool) => Box::pin(pool.open_kept(capabilities, name)).await,
        };
        opened.map(Some).map_err(CallError::unsent).inspect_err(|error| self.failed(error))
    }

    /// Ends a session that was opened before, as far as that can be done here: a process that another replica
    /// started goes on.
    pub async fn close_session(&self, kept: &Kept) {
        self.core.kept.remove(&kept.name);
        if let Place::Server { session, revision, .. } = &kept.place
            && let Ok(found) = self.connector().await
            && let Connector::LegacyHttp(http) = &found.connector
        {
            http.close_kept(&kept.name, session.as_deref(), *revision).await;
        }
    }

    /// Takes note that a session which was opened here is used, or was closed, at another replica.
    pub fn session_told(&self, name: &str, closed: bool) {
        if closed {
            self.core.kept.remove(name);
        } else {
            self.core.kept.touch(name, self.core.clock.now());
        }
    }

    /// Drops what waited or idled too long. Called now and then.
    pub fn sweep(&self) {
        let now = self.core.clock.now();
        drop(self.core.lot.sweep(now));
        self.core.kept.sweep(now);
        match self.known().as_ref().map(|found| &found.connector) {
            Some(Connector::Pipe(pool)) => pool.sweep(),
            Some(Connector::LegacyHttp(http)) => http.sweep(),
            Some(Connector::ModernHttp(_) | Connector::Api(_)) | None => {}
        }
    }

    /// Ends its sessions and processes.
    pub async fn shutdown(&self) {
        self.checks.stop();
        self.follows.stop();
        self.listener.lock().await.stop();
        self.core.kept.stop();
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        match found.as_ref().map(|f| &f.connector) {
            Some(Connector::Pipe(pool)) => pool.stop_all().await,
            Some(Connector::LegacyHttp(http)) => http.close_all(),
            Some(Connector::ModernHttp(_) | Connector::Api(_)) | None => {}
        }
    }
}

/// Counts a call while it is being made.
struct Running<'a>(&'a Stats);

impl<'a> Running<'a> {
    fn new(stats: &'a Stats) -> Self {
        stats.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(stats)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
