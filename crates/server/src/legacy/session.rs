//! Legacy sessions: sealed in their id, with what a process keeps for them on the side.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use model::{Principal, Timestamp};
use moka::notification::RemovalCause;
use protocol::{Capabilities, Id, Raw, Revision};
use seal::{Binding, Purpose};
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::buffer::StreamBuffer;
use super::shared::{SessionChange, SessionState, SharedError, SharedSessions};
use crate::app::{App, Limits};
use crate::line::Lines;
use crate::metrics::Metrics;
use crate::note::aside::Expiries;
use crate::replica::{self, Replicas, Word};

/// The longest session id that is given out, in characters: proxies and clients limit their headers.
const ID_CHARS_MAX: usize = 6 * 1024;

/// How long a client that subscribes waits for its upstreams.
const SETTLE_WAIT: Duration = Duration::from_secs(5);

/// A client's answer to a question of ours.
pub(crate) type ClientAnswer = (Id, Result<Raw, Raw>);

/// What a session was opened with.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub revision: Revision,
    /// As the capabilities of modern requests.
    pub capabilities: Raw,
    pub client_info: Raw,
    /// The sessions with upstreams that belong to it. `None`: it is none that anything could belong to.
    pub lines: Option<Arc<Lines>>,
}

/// A session as this process knows it.
pub(crate) struct Session {
    pub opened: Opened,
    /// Where other replicas know it, too: how.
    common: Option<Common>,
    log_level: Mutex<Option<Raw>>,
    ended: AtomicBool,
    next: AtomicU64,
    questions: Mutex<HashMap<Id, mpsc::UnboundedSender<ClientAnswer>>>,
    calls: Mutex<HashMap<Id, Arc<Notify>>>,
    streams: Mutex<HashMap<String, Arc<StreamBuffer>>>,
    /// The stream that carries changes, and the task that writes it.
    own: Mutex<Option<(Arc<StreamBuffer>, tokio::task::AbortHandle)>>,
    /// The resources that the client subscribed to.
    uris: Mutex<BTreeSet<String>>,
    uris_changed: Notify,
    /// How often they have changed.
    uris_number: AtomicU64,
    /// Up to which change the upstreams have been told.
    uris_heard: watch::Sender<u64>,
    /// Taken when it ends.
    lasts: Mutex<Option<Lasts>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn new(opened: Opened, common: Option<Common>) -> Self {
        Self {
            opened,
            common,
            log_level: Mutex::default(),
            ended: AtomicBool::new(false),
            next: AtomicU64::new(1),
            questions: Mutex::default(),
            calls: Mutex::default(),
            streams: Mutex::default(),
            own: Mutex::default(),
            uris: Mutex::default(),
            uris_changed: Notify::new(),
            uris_number: AtomicU64::new(0),
            uris_heard: watch::Sender::new(0),
            lasts: Mutex::default(),
        }
    }

    /// One whose duration is measured from here on.
    fn measured(opened: Opened, metrics: &Arc<Metrics>, common: Option<Common>) -> Self {
        let (metrics, revision) = (Arc::clone(metrics), opened.revision);
        let session = Self::new(opened, common);
        *locked(&session.lasts) = Some(Lasts { metrics, revision, start: Instant::now() });
        session
    }

    /// A session that nobody can name again.
    pub fn unkept(opened: Opened) -> Arc<Self> {
        Arc::new(Self::new(opened, None))
    }

    /// What the client can do.
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::read(Some(&self.opened.capabilities))
    }

    /// A number that this process gives out once for this session.
    pub fn next_number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Expects an answer.
    pub fn ask(&self, id: &Id, answers: mpsc::UnboundedSender<ClientAnswer>) {
        locked(&self.questions).insert(id.clone(), answers);
    }

    /// No longer expects it.
    pub fn forget_question(&self, id: &Id) {
        locked(&self.questions).remove(id);
    }

    /// Takes a client's answer; false where nobody asked.
    pub fn answer(&self, id: &Id, outcome: Result<Raw, Raw>) -> bool {
        let waiting = locked(&self.questions).remove(id);
        waiting.is_some_and(|waiting| waiting.send((id.clone(), outcome)).is_ok())
    }

    /// Announces a call that can be cancelled. `None`: a call with this id runs already.
    pub fn begin(self: &Arc<Self>, id: &Id) -> Option<Running> {
        let cancel = Arc::new(Notify::new());
        let mut calls = locked(&self.calls);
        if calls.contains_key(id) {
            return None;
        }
        calls.insert(id.clone(), Arc::clone(&cancel));
        drop(calls);
        Some(Running { session: Arc::clone(self), id: id.clone(), cancel })
    }

    /// Cancels a call; false where it does not run here.
    pub fn cancel(&self, id: &Id) -> bool {
        let running = locked(&self.calls).get(id).map(Arc::clone);
        running.inspect(|cancel| cancel.notify_one()).is_some()
    }

    /// Keeps a stream findable.
    pub fn keep(&self, stream: &Arc<StreamBuffer>) {
        locked(&self.streams).insert(stream.name().to_owned(), Arc::clone(stream));
    }

    /// Finds a stream.
    pub fn stream(&self, name: &str) -> Option<Arc<StreamBuffer>> {
        locked(&self.streams).get(name).cloned()
    }

    /// Forgets a stream.
    pub fn drop_stream(&self, name: &str) {
        locked(&self.streams).remove(name);
    }

    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        locked(&self.calls).values().for_each(|cancel| cancel.notify_one());
        for (_, stream) in locked(&self.streams).drain() {
            stream.close();
        }
        self.set_own(None);
        locked(&self.lasts).take();
    }

    /// Makes this the stream that carries changes; the one before ends.
    pub fn set_own(&self, own: Option<(Arc<StreamBuffer>, tokio::task::AbortHandle)>) {
        let before = std::mem::replace(&mut *locked(&self.own), own);
        if let Some((stream, writer)) = before {
            writer.abort();
            stream.close();
            self.drop_stream(stream.name());
        }
    }

    /// The log level that the client asked for.
    pub fn log_level(&self) -> Option<Raw> {
        locked(&self.log_level).clone()
    }

    /// Makes a client's change, for all replicas. `Ok(false)`: as many resources as allowed are subscribed
    /// to.
    ///
    /// # Errors
    /// [`SharedError`]: nothing was changed here.
    pub async fn change(&self, change: SessionChange) -> Result<bool, SharedError> {
        let Some(common) = &self.common else { return Ok(self.change_here(change)) };
        let Some(shared) = common.names.shared.get() else { return Ok(self.change_here(change)) };
        if !shared.change(&common.name, change, common.expires).await? {
            return Ok(false);
        }
        self.reload().await?;
        if let Some(replicas) = common.names.replicas.get() {
            replica::say(replicas, &Word::Sessions(vec![common.name.clone()])).await;
        }
        Ok(true)
    }

    /// The session's name and where its state is, where other replicas know it, too.
    pub fn shared(&self) -> Option<(&str, &Arc<dyn SharedSessions>)> {
        let common = self.common.as_ref()?;
        Some((&common.name, common.names.shared.get()?))
    }

    fn change_here(&self, change: SessionChange) -> bool {
        match change {
            SessionChange::Level(level) => *locked(&self.log_level) = Some(Raw::string(&level)),
            SessionChange::End => self.end(),
            SessionChange::Subscribe(uri, max) => {
                let mut uris = locked(&self.uris).clone();
                if uris.len() >= max && !uris.contains(&uri) {
                    return false;
                }
                uris.insert(uri);
                self.set_uris(uris);
            }
            SessionChange::Unsubscribe(uri) => {
                let mut uris = locked(&self.uris).clone();
                uris.remove(&uri);
                self.set_uris(uris);
            }
        }
        true
    }

    fn set_uris(&self, new: BTreeSet<String>) {
        let mut uris = locked(&self.uris);
        *uris = new;
        // Under the lock, so that who reads the number before the set misses nothing.
        self.uris_number.fetch_add(1, Ordering::AcqRel);
        drop(uris);
        self.uris_changed.notify_one();
    }

    /// Learns what the session has become at other replicas, the first time that it is met here.
    async fn learn(&self) {
        let Some(common) = &self.common else { return };
        if common.learnt.load(Ordering::Acquire) {
            return;
        }
        // Without the store a session is served as it was opened: that is better than not at all.
        if let Err(error) = self.reload().await {
            tracing::warn!(%error, "a session is served as it was opened");
        }
    }

    /// Reads what the session has become.
    pub async fn reload(&self) -> Result<(), SharedError> {
        let Some(common) = &self.common else { return Ok(()) };
        let Some(shared) = common.names.shared.get() else { return Ok(()) };
        let state = shared.read(&common.name).await?;
        common.learnt.store(true, Ordering::Release);
        if let Some(state) = state {
            self.become_as(common, state);
        }
        Ok(())
    }

    /// Newer states win, in whatever order they come.
    fn become_as(&self, common: &Common, state: SessionState) {
        let mut version = locked(&common.version);
        if state.version <= *version {
            return;
        }
        *version = state.version;
        *locked(&self.log_level) = state.log_level.as_deref().map(Raw::string);
        if *locked(&self.uris) != state.uris {
            self.set_uris(state.uris);
        }
        if state.ended {
            self.end();
        }
    }

    /// How often the subscriptions have changed.
    pub fn uris_number(&self) -> u64 {
        self.uris_number.load(Ordering::Acquire)
    }

    /// The upstreams have been told of the subscriptions as they were after so many changes.
    pub fn uris_heard(&self, number: u64) {
        self.uris_heard.send_replace(number);
    }

    /// Waits until the upstreams have been told of the subscriptions, though not for long. Without a stream
    /// nobody hears of changes, so there is nothing to wait for.
    pub async fn uris_settled(&self) {
        let number = self.uris_number();
        if locked(&self.own).is_some() {
            let mut heard = self.uris_heard.subscribe();
            let _ = tokio::time::timeout(SETTLE_WAIT, heard.wait_for(|heard| *heard >= number)).await;
        }
    }

    /// The resources that the client subscribed to.
    pub fn uris(&self) -> BTreeSet<String> {
        locked(&self.uris).clone()
    }

    /// Waits until they change.
    pub async fn uris_changed(&self) {
        self.uris_changed.notified().await;
    }
}

/// How other replicas know a session, too.
struct Common {
    name: String,
    expires: Timestamp,
    /// The version of its state that is known here.
    version: Mutex<u64>,
    /// Whether its state was ever read.
    learnt: AtomicBool,
    names: Arc<Names>,
}

/// The sessions of this process by their names, and where their states are.
#[derive(Default)]
struct Names {
    sessions: Mutex<HashMap<String, Weak<Session>>>,
    shared: OnceLock<Arc<dyn SharedSessions>>,
    replicas: OnceLock<Arc<Replicas>>,
    expiries: OnceLock<Expiries>,
}

impl Names {
    /// A session was left alone for as long as its id is good. One that only makes room for others can be
    /// opened again.
    fn forgotten(&self, known: &Known, why: RemovalCause) {
        let over = why == RemovalCause::Expired && !known.session.ended.load(Ordering::Acquire);
        if let Some(expiries) = self.expiries.get().filter(|_| over) {
            let revision = known.session.opened.revision;
            expiries.note(&known.principal, &known.endpoint, revision.as_str());
        }
    }
}

impl Drop for Common {
    fn drop(&mut self) {
        let mut sessions = locked(&self.names.sessions);
        // Another one of the same name may have taken the place meanwhile.
        if sessions.get(&self.name).is_some_and(|session| session.strong_count() == 0) {
            sessions.remove(&self.name);
        }
    }
}

/// How long a session lasts: until this goes.
struct Lasts {
    metrics: Arc<Metrics>,
    revision: Revision,
    start: Instant,
}

impl Drop for Lasts {
    fn drop(&mut self) {
        self.metrics.client_session(self.revision, self.start.elapsed());
    }
}

/// A call under way; dropping it takes its name back.
pub(crate) struct Running {
    session: Arc<Session>,
    id: Id,
    cancel: Arc<Notify>,
}

impl Running {
    /// Waits for the client to cancel. Safe to cancel itself.
    pub async fn cancelled(&self) {
        self.cancel.notified().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        locked(&self.session.calls).remove(&self.id);
    }
}

/// The sessions that this process keeps something for.
pub struct Sessions {
    /// By id. What an id opens to is kept with it, as to open it costs as much as half of a call.
    known: moka::sync::Cache<String, Known>,
    /// Those without an id, by the name of their stream.
    local: moka::sync::Cache<String, Arc<Session>>,
    names: Arc<Names>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

/// A session and what its id is bound to.
#[derive(Clone)]
struct Known {
    session: Arc<Session>,
    principal: Principal,
    endpoint: Arc<str>,
    /// When the id expires, or its key retires.
    expires: Timestamp,
    /// The key ring's generation that opened the id.
    keys: u64,
}

impl Known {
    /// Whether opening the id would succeed.
    fn opens(&self, binding: &Binding<'_>, now: Timestamp) -> bool {
        self.principal == *binding.principal && *self.endpoint == *binding.endpoint && now < self.expires
    }
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits, metrics: Arc<Metrics>) -> Self {
        let names = Arc::new(Names::default());
        let own = Arc::clone(&names);
        let known = moka::sync::Cache::builder()
            .max_capacity(limits.sessions_max as u64)
            .time_to_idle(limits.session_time)
            .eviction_listener(move |_, known: Known, why| own.forgotten(&known, why))
            .build();
        let local = moka::sync::Cache::builder()
            .max_capacity(limits.sessions_max as u64)
            .time_to_idle(limits.session_time)
            .build();
        Self { known, local, names, limits, metrics }
    }

    /// Says where the states of sessions are, and who else serves them.
    pub(crate) fn share(&self, shared: Arc<dyn SharedSessions>, replicas: &Arc<Replicas>) {
        // A second time would be the same ones: sessions belong to one process.
        let _ = (self.names.shared.set(shared), self.names.replicas.set(Arc::clone(replicas)));
    }

    /// Records from now on which of them end by themselves.
    pub(crate) fn record_with(&self, expiries: Expiries) {
        // A second recorder would be the same one: a process has one log.
        let _ = self.names.expiries.set(expiries);
    }

    /// Reads anew what these sessions have become, as far as they are known here.
    pub(crate) async fn reload(&self, names: &[String]) {
        for name in names {
            let session = locked(&self.names.sessions).get(name).and_then(Weak::upgrade);
            if let Some(session) = session {
                match session.reload().await {
                    Ok(()) => session.uris_settled().await,
                    Err(error) => tracing::warn!(%error, "a session's change was not read"),
                }
            }
        }
    }

    /// Drops what is kept for clients that may come back though they have had it.
    pub(crate) fn shrink(&self) {
        let known = self.known.iter().map(|(_, known)| known.session);
        for session in known.chain(self.local.iter().map(|(_, session)| session)) {
            locked(&session.streams).values().for_each(|stream| stream.shrink());
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.known.entry_count() + self.local.entry_count()
    }

    /// Opens a session and gives its id.
    pub(crate) fn open(&self, app: &App, principal: &Principal, endpoint: &str, opened: Opened) -> String {
        let opened = within_limits(opened);
        let lines = opened.lines.as_ref().filter(|lines| lines.size() > 0).map(|lines| lines.write());
        let mut random = [0; 16];
        app.rng.fill(&mut random);
        let name: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let mut payload = json!({
            "s": name,
            "r": opened.revision.as_str(),
            "c": opened.capabilities.to_value(),
            "i": opened.client_info.to_value(),
        });
        if let Some(lines) = lines {
            payload["u"] = lines;
        }
        let binding = Binding { principal, endpoint, purpose: Purpose::Session };
        let now = app.clock.now();
        let expires = now.plus(self.limits.session_time);
        app.handles.keys.seal(&*app.rng, now, &binding, expires, payload.to_string().as_bytes())
    }

    /// The session of an id. `None`: made up, somebody else's, of another endpoint, expired or ended.
    pub(crate) async fn find(
        &self,
        app: &App,
        principal: &Principal,
        endpoint: &str,
        id: &str,
    ) -> Option<Arc<Session>> {
        let binding = Binding { principal, endpoint, purpose: Purpose::Session };
        let (now, keys) = (app.clock.now(), app.handles.keys.generation());
        let known = match self.known.get(id) {
            Some(known) if known.keys == keys => known.opens(&binding, now).then_some(known)?,
            Some(known) => self.opened_again(app, &binding, now, id, Known { keys, ..known })?,
            None => self.opened(app, &binding, now, id, keys)?,
        };
        known.session.learn().await;
        (!known.session.ended.load(Ordering::Acquire)).then_some(known.session)
    }

    /// A session that was opened with other keys than there are now: one of them may be gone, and what it
    /// sealed is unknown from then on.
    fn opened_again(
        &self,
        app: &App,
        binding: &Binding<'_>,
        now: Timestamp,
        id: &str,
        known: Known,
    ) -> Option<Known> {
        let (_, expires) = app.handles.keys.open_with_expiry(binding, now, id)?;
        let known = Known { expires, ..known };
        self.known.insert(id.to_owned(), known.clone());
        Some(known)
    }

    /// A session whose id this process sees for the first time, or again after it was left alone for long.
    fn opened(&self, app: &App, binding: &Binding<'_>, now: Timestamp, id: &str, keys: u64) -> Option<Known> {
        let (payload, expires) = app.handles.keys.open_with_expiry(binding, now, id)?;
        let payload = Raw::parse(payload.into()).ok()?.object().ok()??;
        let name = payload.get("s")?.as_str()?.into_owned();
        let revision = Revision::parse(&payload.get("r")?.as_str()?)?;
        let (capabilities, client_info) = (payload.get("c")?, payload.get("i")?);
        let lines = Some(Arc::new(Lines::read(payload.get("u").as_ref())));
        let opened = Opened { revision, capabilities, client_info, lines };
        Some(self.known.get_with(id.to_owned(), || Known {
            session: self.named(name, expires, opened),
            principal: binding.principal.clone(),
            endpoint: binding.endpoint.into(),
            expires,
            keys,
        }))
    }

    fn named(&self, name: String, expires: Timestamp, opened: Opened) -> Arc<Session> {
        let common = Common {
            name: name.clone(),
            expires,
            version: Mutex::default(),
            learnt: AtomicBool::default(),
            names: Arc::clone(&self.names),
        };
        let session = Arc::new(Session::measured(opened, &self.metrics, Some(common)));
        locked(&self.names.sessions).insert(name, Arc::downgrade(&session));
        session
    }

    /// A session that lives in this process alone: of the transport that has no session ids.
    pub(crate) fn local(&self, name: String, opened: Opened) -> Arc<Session> {
        let session = Arc::new(Session::measured(opened, &self.metrics, None));
        self.local.insert(name, Arc::clone(&session));
        session
    }
}

/// What does not fit into a header is left out, least important first: pictures, then what only describes.
fn within_limits(mut opened: Opened) -> Opened {
    let lines = opened.lines.as_ref().map_or(0, |lines| lines.size());
    let size =
        |o: &Opened| (o.capabilities.as_bytes().len() + o.client_info.as_bytes().len() + lines + 256) * 4 / 3;
    if size(&opened) > ID_CHARS_MAX
        && let Ok(Some(info)) = opened.client_info.object()
    {
        let short = |name: &str| info.get(name).filter(|v| v.as_bytes().len() <= 256);
        let empty = protocol::json::Object::empty();
        opened.client_info =
            empty.edit().put("name", short("name")).put("version", short("version")).finish();
    }
    if size(&opened) > ID_CHARS_MAX
        && let Ok(Some(declared)) = opened.capabilities.object()
    {
        opened.capabilities = declared.edit().remove("experimental").remove("extensions").finish();
    }
    if size(&opened) > ID_CHARS_MAX {
        opened.capabilities = Raw::literal("{}");
    }
    opened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_was_opened_before_is_still_bound_to_who_where_and_until_when() {
        let (me, you) = (Principal::new("t", "me"), Principal::new("t", "you"));
        let namesake = Principal::new("u", "me");
        let opened = Opened {
            revision: Revision::V2025_11_25,
            capabilities: Raw::literal("{}"),
            client_info: Raw::literal("{}"),
            lines: None,
        };
        let known = Known {
            session: Session::unkept(opened),
            principal: me.clone(),
            endpoint: "crm".into(),
            expires: Timestamp(2_000),
            keys: 1,
        };
        let at = |principal, endpoint| Binding { principal, endpoint, purpose: Purpose::Session };
        assert!(known.opens(&at(&me, "crm"), Timestamp(1_999)));
        assert!(!known.opens(&at(&me, "crm"), Timestamp(2_000)), "expired");
        assert!(!known.opens(&at(&you, "crm"), Timestamp(0)), "another principal");
        assert!(!known.opens(&at(&namesake, "crm"), Timestamp(0)), "another tenant");
        assert!(!known.opens(&at(&me, "all"), Timestamp(0)), "another endpoint");
    }
}
