//! The channels of one upstream: processes, or HTTP+SSE connections.
//!
//! A legacy server behind a channel does not say which call its question belongs to. So a channel whose
//! client can be asked serves one such call at a time, and further calls get channels of their own, up to
//! a limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::UpCall;
use bridge::translate::up;
use model::Principal;
use protocol::json::Object;
use protocol::{Call, Capabilities, Era, Method, Raw, Revision, code, envelope};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::{Instant, timeout};

use super::{Pipe, PipeIncoming, sse_pair, stdio};
use crate::core::{Core, Stats};
use crate::http::HttpLink;
use crate::kept::What;
use crate::legacy::{
    Handshake, Incoming, LegacyRun, Peer, RunStart, Unwanted, class_of, handshake_result, initialize,
};
use crate::modern_run::{self, ModernRun};
use crate::observe::Hop;
use crate::options::Stdio;
use crate::outbound::params_with_token;
use crate::{CallContext, CallError, CallErrorKind, Kept, Line, Place, Reply, Sharing};

/// How long a server on a channel may take to answer `server/discover` before it is taken for a legacy one.
const PROBE_TIME: Duration = Duration::from_secs(10);

/// How long a process that has closed its output may take to end, to know how it ended.
const EXIT_TIME: Duration = Duration::from_secs(1);

/// How a channel is made.
pub(crate) enum Dial {
    Stdio(Stdio),
    SsePair(HttpLink),
}

/// What the server on the channel turned out to be.
#[derive(Debug, Clone)]
pub(crate) enum Spoken {
    Modern { discover: Raw },
    Legacy(Handshake),
}

/// One channel that has been greeted.
pub(crate) struct Channel {
    pub pipe: Arc<Pipe>,
    pub spoken: Spoken,
    class: Option<(Principal, Raw)>,
    child: Option<Arc<egress::Child>>,
    busy: AtomicUsize,
    used: Mutex<Instant>,
}

impl Channel {
    pub fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    /// Since when it has no work.
    fn idles(&self, now: Instant) -> Duration {
        now.duration_since(*self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends what is at its other end.
    pub fn stop(&self) {
        self.pipe.close();
        if let (Some(child), Ok(runtime)) = (self.child.clone(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { child.shutdown().await });
        }
    }
}

/// The use of a channel by one call.
pub(crate) struct Lease {
    channel: Arc<Channel>,
    freed: Arc<Notify>,
    /// Whether the channel ends with it.
    ends: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.ends {
            self.channel.stop();
        }
        *self.channel.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.channel.busy.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_waiters();
    }
}

struct State {
    channels: Vec<Arc<Channel>>,
    /// For whom channels are being opened.
    opening: Vec<(Principal, Raw)>,
    era: Option<Era>,
    failures: u32,
    not_before: Instant,
    last_error: Option<CallError>,
}

/// The channels of one upstream.
pub(crate) struct PipePool {
    core: Arc<Core>,
    dial: Dial,
    revision: Revision,
    max: usize,
    state: Mutex<State>,
    freed: Arc<Notify>,
}

impl PipePool {
    pub fn new(core: Arc<Core>, dial: Dial) -> Self {
        let max = match &dial {
            _ if core.options.sharing == Sharing::PerPrincipal => core.options.limits.kept_max,
            Dial::Stdio(stdio) => stdio.processes_max.max(1),
            Dial::SsePair(_) => core.options.limits.sessions_max,
        };
        let pin = core.options.pin;
        let era = if matches!(dial, Dial::SsePair(_)) { Some(Era::Legacy) } else { pin.map(Revision::era) };
        let state = State {
            channels: Vec::new(),
            opening: Vec::new(),
            era,
            failures: 0,
            not_before: Instant::now(),
            last_error: None,
        };
        // HTTP+SSE is of 2024-11-05, but servers go on offering it and speak newer revisions over it.
        let revision = pin.filter(|r| r.era() == Era::Legacy).unwrap_or(Revision::NEWEST_LEGACY);
        Self { core, dial, revision, max, state: Mutex::new(state), freed: Arc::new(Notify::new()) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A channel for this principal and these capabilities; `alone` asks for one that nobody else uses
    /// meanwhile.
    pub async fn lease(
        &self,
        principal: &Principal,
        capabilities: &Capabilities,
        alone: bool,
    ) -> Result<Lease, CallError> {
        let class = class_of(self.revision, capabilities, &self.core.options.client_info);
        // A process is shared between principals; a connection of the pair, which has a session, is not.
        let owner = match self.dial {
            Dial::Stdio(_) if !self.is_owned() => Principal::anonymous(),
            Dial::Stdio(_) | Dial::SsePair(_) => principal.clone(),
        };
        let key = (owner, class);
        let until = Instant::now() + self.core.options.timeouts.first_byte;
        loop {
            let freed = self.freed.notified();
            match self.try_lease(&key, alone)? {
                Found::Lease(lease) => return Ok(lease),
                Found::Open => return self.open(key).await,
                Found::Wait => {
                    if timeout(until.saturating_duration_since(Instant::now()), freed).await.is_err() {
                        return Err(self.core.error(CallErrorKind::Busy).detail("every channel is taken"));
                    }
                }
            }
        }
    }

    fn try_lease(&self, key: &(Principal, Raw), alone: bool) -> Result<Found, CallError> {
        let mut state = self.state();
        state.channels.retain(|channel| !channel.pipe.is_closed());
        let fits = |channel: &&Arc<Channel>| match &channel.spoken {
            Spoken::Modern { .. } => true,
            Spoken::Legacy(_) => {
                let asks = alone && channel.busy.load(Ordering::Acquire) > 0;
                channel.class.as_ref() == Some(key) && !asks
            }
        };
        if let Some(channel) = state.channels.iter().find(fits) {
            channel.busy.fetch_add(1, Ordering::AcqRel);
            return Ok(Found::Lease(self.leased(channel)));
        }
        // Another channel would know nothing of what this one was told.
        let owned = self.is_owned();
        let theirs = |channel: &Arc<Channel>| channel.class.as_ref() == Some(key);
        if owned && (state.channels.iter().any(theirs) || state.opening.contains(key)) {
            return Ok(Found::Wait);
        }
        // Until the first one has been greeted nobody knows whether one is enough.
        if !state.opening.is_empty()
            && (state.era != Some(Era::Legacy) || state.channels.len() + state.opening.len() >= self.max)
        {
            return Ok(Found::Wait);
        }
        if state.channels.len() + state.opening.len() >= self.max {
            let (now, time) = (Instant::now(), self.idle_time());
            let idle = |c: &Arc<Channel>| !c.is_busy() && (!owned || c.idles(now) >= time);
            let Some(at) = state.channels.iter().position(idle) else {
                if owned {
                    Stats::add(&self.core.stats.sessions_refused);
                    return Err(self.core.error(CallErrorKind::SessionLimit));
                }
                return Ok(Found::Wait);
            };
            state.channels.remove(at).stop();
        }
        if let (Some(error), true) = (&state.last_error, Instant::now() < state.not_before) {
            return Err(error.clone());
        }
        state.opening.push(key.clone());
        Ok(Found::Open)
    }

    fn leased(&self, channel: &Arc<Channel>) -> Lease {
        Lease { channel: Arc::clone(channel), freed: Arc::clone(&self.freed), ends: false }
    }

    /// Whether each channel belongs to a principal.
    fn is_owned(&self) -> bool {
        self.core.options.sharing == Sharing::PerPrincipal
    }

    /// How many channels belong to a principal.
    pub fn owned(&self) -> usize {
        if self.is_owned() { self.state().channels.len() } else { 0 }
    }

    /// How long a channel without work is kept.
    fn idle_time(&self) -> Duration {
        match &self.dial {
            _ if self.is_owned() => self.core.options.limits.kept_idle,
            Dial::Stdio(options) => options.idle_stop,
            Dial::SsePair(_) => Duration::MAX,
        }
    }

    /// Starts a process, or opens a connection, for somebody, who is told how it is found again.
    pub async fn open_kept(&self, capabilities: &Capabilities, name: String) -> Result<Kept, CallError> {
        let place = self.core.kept.reserve(&self.core, &name)?;
        let channel = self.fresh(capabilities).await?;
        // Nobody uses it yet.
        drop(self.leased(&channel));
        place.fill(What::Channel(channel));
        Ok(Kept { name, place: Place::Process })
    }

    async fn fresh(&self, capabilities: &Capabilities) -> Result<Arc<Channel>, CallError> {
        let class = class_of(self.revision, capabilities, &self.core.options.client_info);
        Ok(Arc::new(self.greet(&(Principal::anonymous(), class)).await?))
    }

    /// A channel for a call on this line.
    async fn lease_on(
        &self,
        cx: &CallContext,
        capabilities: &Capabilities,
        alone: bool,
    ) -> Result<Lease, CallError> {
        match &cx.line {
            Line::Usual => self.lease(&cx.principal, capabilities, alone).await,
            Line::Fresh => {
                let channel = self.fresh(capabilities).await?;
                let mut lease = self.leased(&channel);
                lease.ends = true;
                Ok(lease)
            }
            Line::Kept(kept) => self.lease_kept(&kept.name, alone).await,
        }
    }

    /// The channel that was opened for somebody. Whoever may be asked something waits until it is free.
    async fn lease_kept(&self, name: &str, alone: bool) -> Result<Lease, CallError> {
        let until = Instant::now() + self.core.options.timeouts.first_byte;
        loop {
            let freed = self.freed.notified();
            let Some(channel) = self.core.kept.channel(name, self.core.clock.now()) else {
                return Err(self.core.error(CallErrorKind::SessionGone));
            };
            let taken = |busy| (!alone || busy == 0).then_some(busy + 1);
            if channel.busy.fetch_update(Ordering::AcqRel, Ordering::Acquire, taken).is_ok() {
                return Ok(self.leased(&channel));
            }
            if timeout(until.saturating_duration_since(Instant::now()), freed).await.is_err() {
                let text = "another call that may ask something runs in this session";
                return Err(self.core.error(CallErrorKind::Busy).detail(text));
            }
        }
    }

    async fn open(&self, key: (Principal, Raw)) -> Result<Lease, CallError> {
        // Given up only once the channel is there: nobody is to open another one meanwhile.
        let opening = Opening { pool: self, key: &key };
        let opened = self.greet(&key).await.map(Arc::new);
        let mut state = self.state();
        match &opened {
            Ok(channel) => {
                state.failures = 0;
                state.last_error = None;
                state.era = Some(match channel.spoken {
                    Spoken::Modern { .. } => Era::Modern,
                    Spoken::Legacy(_) => Era::Legacy,
                });
                state.channels.push(Arc::clone(channel));
            }
            Err(error) => {
                let (min, max) = match &self.dial {
                    Dial::Stdio(stdio) => (stdio.backoff_min, stdio.backoff_max),
                    Dial::SsePair(_) => (Duration::from_millis(200), Duration::from_secs(10)),
                };
                let wait = min.saturating_mul(1 << state.failures.min(16)).min(max);
                state.failures = state.failures.saturating_add(1);
                state.not_before = Instant::now() + wait;
                state.last_error = Some(error.clone());
            }
        }
        drop(state);
        drop(opening);
        opened.map(|channel| self.leased(&channel))
    }

    /// Makes a channel and finds out, or is told, what is at its other end.
    async fn greet(&self, key: &(Principal, Raw)) -> Result<Channel, CallError> {
        let limit = self.core.options.timeouts.first_byte;
        let (pipe, child) = match &self.dial {
            Dial::Stdio(options) => {
                stdio::start(&self.core, options).map(|(pipe, child)| (pipe, Some(child)))?
            }
            Dial::SsePair(link) => (sse_pair::open(link).await?, None),
        };
        let spoken = match self.introduce(&pipe, key, limit).await {
            Ok(spoken) => spoken,
            Err(error) => return Err(in_words_of_the_child(error, &pipe, child.as_deref()).await),
        };
        let class = matches!(spoken, Spoken::Legacy(_)).then(|| key.clone());
        let used = Mutex::new(Instant::now());
        Ok(Channel { pipe, spoken, class, child, busy: AtomicUsize::new(1), used })
    }

    /// Finds out, or is told, what is at the other end.
    async fn introduce(
        &self,
        pipe: &Arc<Pipe>,
        key: &(Principal, Raw),
        limit: Duration,
    ) -> Result<Spoken, CallError> {
        let era = self.state().era;
        let late = |_| self.core.error(CallErrorKind::Timeout).detail("the handshake took too long");
        match era {
            Some(Era::Legacy) => timeout(limit, self.legacy(pipe, &key.1)).await.map_err(late)?,
            Some(Era::Modern) => timeout(limit, self.probe(pipe)).await.map_err(late)?.and_then(|found| {
                found.ok_or_else(|| {
                    self.core.error(CallErrorKind::OtherRevision).detail("server/discover was refused")
                })
            }),
            None => match timeout(PROBE_TIME.min(limit), self.probe(pipe)).await {
                Ok(Ok(Some(modern))) => Ok(modern),
                Ok(Err(error)) if pipe.is_closed() => Err(error),
                _ => timeout(limit, self.legacy(pipe, &key.1)).await.map_err(late)?,
            },
        }
    }

    /// Asks `server/discover`. `Ok(None)`: whatever it is, it is not modern (basic/transports/stdio,
    /// "Detecting the era").
    async fn probe(&self, pipe: &Arc<Pipe>) -> Result<Option<Spoken>, CallError> {
        Stats::add(&self.core.stats.probes);
        let id = self.core.next_id();
        let call = Call::own(
            Method::Discover,
            &Raw::literal("{}"),
            &Capabilities::none(),
            &self.core.options.client_info,
        );
        let bytes = envelope::request(&id, "server/discover", Some(&call.params.raw()));
        match pipe.request(&id, bytes, true).await?.response().await? {
            Ok(discover) if crate::detect::serves_modern(&discover) => Ok(Some(Spoken::Modern { discover })),
            Ok(_) => Ok(None),
            Err(error) => {
                let modern = matches!(
                    protocol::RpcError::read(&error).code,
                    code::HEADER_MISMATCH | code::MISSING_CAPABILITY
                );
                Ok(modern.then(|| Spoken::Modern { discover: Raw::literal(crate::detect::DISCOVER_UNKNOWN) }))
            }
        }
    }

    async fn legacy(&self, pipe: &Arc<Pipe>, class: &Raw) -> Result<Spoken, CallError> {
        Stats::add(&self.core.stats.handshakes);
        let id = self.core.next_id();
        let mut hop = Hop::greeting(&self.core, class, &id, self.revision);
        let greeted = async { pipe.request(&id, initialize(&id, class), true).await?.response().await };
        let outcome = greeted.await.map_err(|error| hop.fail(error))?;
        hop.answered(&outcome);
        let handshake = handshake_result(&self.core, outcome)?;
        pipe.send(envelope::notification("notifications/initialized", None)).await?;
        Ok(Spoken::Legacy(handshake))
    }

    /// Makes a call.
    pub async fn call(
        &self,
        cx: &CallContext,
        call: &Call,
        permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        let capabilities = call.capabilities();
        // A process of its own would know nothing of the task.
        let asks = call.method.may_ask() && call.method != protocol::Method::TasksResult;
        let alone = capabilities.can_answer() && asks;
        let lease = self.lease_on(cx, &capabilities, alone).await.map_err(CallError::unsent)?;
        let channel = Arc::clone(&lease.channel);
        let id = self.core.next_id();
        let revision = match &channel.spoken {
            Spoken::Modern { .. } => Revision::NEWEST,
            Spoken::Legacy(handshake) => handshake.revision,
        };
        let mut hop = Hop::begin(&self.core, cx, call, &id, revision);
        let call = hop.carry(call);
        let (params, tokens) = params_with_token(&call, &id);
        match &channel.spoken {
            Spoken::Modern { .. } => {
                let bytes = envelope::request(&id, call.method.as_str(), Some(&params));
                let unwanted = Unwanted::new(Peer::Pipe(Arc::clone(&channel.pipe)), &id);
                let incoming = channel.pipe.request(&id, bytes, false).await;
                unwanted.answered();
                let mut incoming = incoming.map_err(|error| hop.fail(error))?;
                incoming.lease = Some(lease);
                let source = modern_run::Source::Pipe { incoming, pipe: Arc::clone(&channel.pipe) };
                ModernRun::new(Arc::clone(&self.core), source, (id, tokens), hop, permit).start().await
            }
            Spoken::Legacy(handshake) => {
                let params = params.object().ok().flatten().unwrap_or_else(Object::empty);
                let params = up::params(handshake.revision, &call.method, &params);
                let bytes = envelope::request(&id, call.method.as_str(), Some(&params));
                let unwanted = Unwanted::new(Peer::Pipe(Arc::clone(&channel.pipe)), &id);
                let incoming = channel.pipe.request(&id, bytes, false).await;
                unwanted.answered();
                let mut incoming = incoming.map_err(|error| hop.fail(error))?;
                incoming.lease = Some(lease);
                let tokens = tokens.map(|t| (t.ours, t.theirs));
                let machine = UpCall::new(handshake.revision, id, &call, tokens);
                let machine = machine.replaying(cx.script.clone());
                let peer = Peer::Pipe(Arc::clone(&channel.pipe));
                let start = RunStart { machine, incoming: Incoming::Pipe(incoming), peer, permit, hop };
                LegacyRun::new(Arc::clone(&self.core), cx, start).start().await
            }
        }
    }

    /// A request of the gateway's own on a leased channel, whose answer is all that matters.
    pub async fn request(
        &self,
        lease: &Lease,
        method: &str,
        params: &Raw,
    ) -> Result<Result<Raw, Raw>, CallError> {
        let id = self.core.next_id();
        let bytes = envelope::request(&id, method, Some(params));
        lease.channel.pipe.request(&id, bytes, true).await?.response().await
    }

    /// Stops what has been idle for long.
    pub fn sweep(&self) {
        let (now, time) = (Instant::now(), self.idle_time());
        let mut state = self.state();
        let (idle, kept): (Vec<_>, _) = state
            .channels
            .drain(..)
            .partition(|channel: &Arc<Channel>| !channel.is_busy() && channel.idles(now) >= time);
        state.channels = kept;
        drop(state);
        idle.iter().for_each(|channel| channel.stop());
    }

    /// Stops everything.
    pub async fn stop_all(&self) {
        let channels: Vec<_> = self.state().channels.drain(..).collect();
        for channel in channels {
            channel.pipe.close();
            if let Some(child) = &channel.child {
                child.shutdown().await;
            }
        }
    }
}

impl Lease {
    /// The channel.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Sends a listen request and keeps its place.
    pub async fn background(
        &self,
        id: &protocol::Id,
        bytes: bytes::Bytes,
    ) -> Result<PipeIncoming, CallError> {
        self.channel.pipe.request(id, bytes, true).await
    }
}

enum Found {
    Lease(Lease),
    Open,
    Wait,
}

/// Counts a channel that is being opened, also where its opener gives up.
struct Opening<'a> {
    pool: &'a PipePool,
    key: &'a (Principal, Raw),
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        if let Some(at) = state.opening.iter().position(|key| key == self.key) {
            state.opening.swap_remove(at);
        }
        drop(state);
        self.pool.freed.notify_waiters();
    }
}

/// How a process ended, and what it said before, is the best hint there is.
async fn in_words_of_the_child(error: CallError, pipe: &Pipe, child: Option<&egress::Child>) -> CallError {
    let Some(child) = child else { return error };
    let mut words: Vec<String> = error.detail.iter().map(ToString::to_string).collect();
    let mut error = error;
    // A message that could not be written says it before the reader has come to the end.
    if (pipe.is_closed() || error.kind == CallErrorKind::Unreachable)
        && let Ok(exit) = timeout(EXIT_TIME, child.exited()).await
    {
        // What it said last may still be on its way.
        let _ = timeout(EXIT_TIME, child.stderr_ended()).await;
        // There was no process to greet.
        error.kind = CallErrorKind::Unreachable;
        words = vec![format!("the process ended: {exit}")];
    }
    let tail = child.stderr_tail();
    if !tail.is_empty() {
        words.push(format!("stderr: {}", tail[tail.len().saturating_sub(5)..].join(" | ")));
    }
    if words.is_empty() { error } else { error.detail(words.join("; ")) }
}
