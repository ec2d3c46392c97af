//! Legacy sessions: sealed in their id, with what a process keeps for them on the side.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Principal, Timestamp};
use protocol::{Capabilities, Id, Raw, Revision};
use seal::{Binding, Purpose};
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::buffer::StreamBuffer;
use crate::app::{App, Limits};
use crate::metrics::Metrics;

/// The longest session id that is given out, in characters: proxies and clients limit their headers.
const ID_CHARS_MAX: usize = 6 * 1024;

/// How long a client that subscribes waits for its upstreams.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// A client's answer to a question of ours.
pub(crate) type ClientAnswer = (Id, Result<Raw, Raw>);

/// What a session was opened with.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub revision: Revision,
    /// As the capabilities of modern requests.
    pub capabilities: Raw,
    pub client_info: Raw,
}

/// A session as this process knows it.
pub(crate) struct Session {
    pub opened: Opened,
    pub log_level: Mutex<Option<Raw>>,
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
    fn new(opened: Opened) -> Self {
        Self {
            opened,
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
    fn measured(opened: Opened, metrics: &Arc<Metrics>) -> Self {
        let (metrics, revision) = (Arc::clone(metrics), opened.revision);
        let session = Self::new(opened);
        *locked(&session.lasts) = Some(Lasts { metrics, revision, start: Instant::now() });
        session
    }

    /// A session that nobody can name again.
    pub fn unkept(opened: Opened) -> Arc<Self> {
        Arc::new(Self::new(opened))
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

    /// Cancels a call.
    pub fn cancel(&self, id: &Id) {
        if let Some(cancel) = locked(&self.calls).get(id) {
            cancel.notify_one();
        }
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

    /// Subscribes to a resource, or no longer. `Err`: as many as allowed are subscribed to.
    pub fn subscribe(&self, uri: &str, wanted: bool, max: usize) -> Result<(), usize> {
        let mut uris = locked(&self.uris);
        if !wanted {
            uris.remove(uri);
        } else if uris.len() >= max && !uris.contains(uri) {
            return Err(max);
        } else {
            uris.insert(uri.to_owned());
        }
        // Under the lock, so that who reads the number before the set misses nothing.
        self.uris_number.fetch_add(1, Ordering::AcqRel);
        drop(uris);
        self.uris_changed.notify_one();
        Ok(())
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
        let known = moka::sync::Cache::builder()
            .max_capacity(limits.sessions_max as u64)
            .time_to_idle(limits.session_time)
            .build();
        let local = moka::sync::Cache::builder()
            .max_capacity(limits.sessions_max as u64)
            .time_to_idle(limits.session_time)
            .build();
        Self { known, local, limits, metrics }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.known.entry_count() + self.local.entry_count()
    }

    /// Opens a session and gives its id.
    pub(crate) fn open(&self, app: &App, principal: &Principal, endpoint: &str, opened: Opened) -> String {
        let opened = within_limits(opened);
        let mut random = [0; 16];
        app.rng.fill(&mut random);
        let name: String = random.iter().map(|b| format!("{b:02x}")).collect();
        let payload = json!({
            "s": name,
            "r": opened.revision.as_str(),
            "c": opened.capabilities.to_value(),
            "i": opened.client_info.to_value(),
        });
        let binding = Binding { principal, endpoint, purpose: Purpose::Session };
        let now = app.clock.now();
        let expires = now.plus(self.limits.session_time);
        app.handles.keys.seal(&*app.rng, now, &binding, expires, payload.to_string().as_bytes())
    }

    /// The session of an id. `None`: made up, somebody else's, of another endpoint, expired or ended.
    pub(crate) fn find(
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
        let revision = Revision::parse(&payload.get("r")?.as_str()?)?;
        let (capabilities, client_info) = (payload.get("c")?, payload.get("i")?);
        let opened = Opened { revision, capabilities, client_info };
        Some(self.known.get_with(id.to_owned(), || Known {
            session: Arc::new(Session::measured(opened, &self.metrics)),
            principal: binding.principal.clone(),
            endpoint: binding.endpoint.into(),
            expires,
            keys,
        }))
    }

    /// Ends a session for good, as far as this process remembers.
    pub(crate) fn end(&self, session: &Session) {
        session.end();
    }

    /// A session that lives in this process alone: of the transport that has no session ids.
    pub(crate) fn local(&self, name: String, opened: Opened) -> Arc<Session> {
        let session = Arc::new(Session::measured(opened, &self.metrics));
        self.local.insert(name, Arc::clone(&session));
        session
    }
}

/// What does not fit into a header is left out, least important first: pictures, then what only describes.
fn within_limits(mut opened: Opened) -> Opened {
    let size = |o: &Opened| (o.capabilities.as_bytes().len() + o.client_info.as_bytes().len() + 256) * 4 / 3;
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
