//! Streamable HTTP with sessions (2025-03-26 to 2025-11-25).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bridge::UpCall;
use bridge::translate::up;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use model::Principal;
use protocol::headers::SESSION;
use protocol::{Call, Capabilities, Id, Message, Raw, Revision, envelope};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};

use super::{
    Handshake, Incoming, LegacyRun, Peer, RunStart, SideCalls, Unwanted, class_of, handshake_result,
    in_words, initialize,
};
use crate::core::{Core, Stats};
use crate::http::{Answer, EventStream, HttpLink, Refusal, trace_headers};
use crate::kept::{What, end_at_server, headers_of};
use crate::observe::Hop;
use crate::outbound::params_with_token;
use crate::{Body, CallContext, CallError, CallErrorKind, Kept, Line, Outcome, Place, Reply, Sharing};

/// How long a session waits for its own stream before its first call. Most servers answer at once; some only
/// with the first event.
const SIDE_WAIT: Duration = Duration::from_secs(1);

/// How long a session that was opened for somebody keeps its own stream after a call.
const HELD_TIME: Duration = Duration::from_secs(60);

/// A session with the server: shared by all calls of one principal and one class of capabilities, or kept for
/// one client or one handle.
pub(crate) struct Session {
    pub revision: Revision,
    /// What the server said; unknown where the session was opened elsewhere.
    pub handshake: Option<Handshake>,
    /// The session id and version headers that every request repeats.
    pub headers: HeaderMap,
    side: Option<Side>,
    /// Where it is ended when nobody uses it any more.
    ends: Option<HttpLink>,
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(link), Ok(runtime)) = (self.ends.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let headers = std::mem::take(&mut self.headers);
        runtime.spawn(async move { end_at_server(&link, &headers).await });
    }
}

/// A session's own stream, read until this value goes.
struct Side {
    calls: Arc<SideCalls>,
    /// Whether the server has answered to the first attempt to open it.
    tried: watch::Receiver<bool>,
    reader: tokio::task::AbortHandle,
}

impl Side {
    /// Waits until it is open, or there is none. A server that takes longer still gets its calls, as it
    /// would have without the wait.
    async fn stands(&self) {
        let _ = timeout(SIDE_WAIT, self.tried.clone().wait_for(|tried| *tried)).await;
    }
}

impl Session {
    /// Waits until the server can tell of changes, or it is clear that it does not.
    pub async fn listens(&self) {
        if let Some(side) = &self.side {
            side.stands().await;
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    principal: Principal,
    class: Raw,
}

struct Entry {
    cell: Arc<OnceCell<Arc<Session>>>,
    used: Instant,
}

impl Entry {
    fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        now.duration_since(self.used) >= idle
    }
}

/// The connector.
pub(crate) struct LegacyHttp {
    core: Arc<Core>,
    link: HttpLink,
    revision: Revision,
    sessions: Mutex<HashMap<Key, Entry>>,
    /// Sessions that were opened for somebody, as long as calls run in them.
    kept: Mutex<HashMap<String, Weak<Session>>>,
    /// Those of them that stay open for a while after a call.
    held: Mutex<HashMap<String, (Arc<Session>, Instant)>>,
    /// The capabilities that were asked for last, and their class: most clients are of one kind.
    last_class: Mutex<Option<(Raw, Raw)>>,
}

impl LegacyHttp {
    pub fn new(core: Arc<Core>, link: HttpLink) -> Self {
        let revision = core.options.pin.unwrap_or(Revision::NEWEST_LEGACY);
        Self {
            core,
            link,
            revision,
            sessions: Mutex::default(),
            kept: Mutex::default(),
            held: Mutex::default(),
            last_class: Mutex::default(),
        }
    }

    fn key(&self, principal: &Principal, capabilities: &Capabilities) -> Key {
        let mut last = self.last_class.lock().unwrap_or_else(PoisonError::into_inner);
        let class = match &*last {
            Some((declared, class)) if *declared == capabilities.raw => class.clone(),
            _ => {
                let class = class_of(self.revision, capabilities, &self.core.options.client_info);
                *last = Some((capabilities.raw.clone(), class.clone()));
                class
            }
        };
        drop(last);
        Key { principal: principal.clone(), class }
    }

    /// The session of this principal and class, made where there is none.
    pub async fn session(
        &self,
        principal: &Principal,
        capabilities: &Capabilities,
    ) -> Result<Arc<Session>, CallError> {
        self.session_of(&self.key(principal, capabilities)).await
    }

    async fn session_of(&self, key: &Key) -> Result<Arc<Session>, CallError> {
        let cell = self.cell(key)?;
        let wait =
            timeout(self.core.options.timeouts.first_byte, cell.get_or_try_init(|| self.open(&key.class)));
        match wait.await {
            Ok(session) => session.map(Arc::clone),
            Err(_) => Err(self.core.error(CallErrorKind::Timeout).detail("the handshake took too long")),
        }
    }

    fn cell(&self, key: &Key) -> Result<Arc<OnceCell<Arc<Session>>>, CallError> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(entry) = sessions.get_mut(key) {
            entry.used = now;
            return Ok(Arc::clone(&entry.cell));
        }
        let limits = &self.core.options.limits;
        let own = self.core.options.sharing == Sharing::PerPrincipal;
        if sessions.len() >= if own { limits.kept_max } else { limits.sessions_max } {
            let oldest = sessions.iter().min_by_key(|(_, entry)| entry.used);
            let oldest = oldest.filter(|(_, entry)| !own || entry.is_idle(now, limits.kept_idle));
            match oldest.map(|(key, _)| key.clone()).and_then(|key| sessions.remove(&key)) {
                Some(entry) => self.close(entry),
                // Somebody's state is in each of them.
                None => {
                    Stats::add(&self.core.stats.sessions_refused);
                    return Err(self.core.error(CallErrorKind::SessionLimit));
                }
            }
        }
        let cell = Arc::new(OnceCell::new());
        sessions.insert(key.clone(), Entry { cell: Arc::clone(&cell), used: now });
        Ok(cell)
    }

    /// Ends the sessions of principals that were not used for long.
    pub fn sweep(&self) {
        let late = Instant::now().checked_sub(HELD_TIME);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|_, (_, used)| late.is_none_or(|late| *used > late));
        drop(held);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, s| s.strong_count() > 0);
        if self.core.options.sharing != Sharing::PerPrincipal {
            return;
        }
        let (now, idle) = (Instant::now(), self.core.options.limits.kept_idle);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let late: Vec<Key> =
            sessions.iter().filter(|(_, e)| e.is_idle(now, idle)).map(|(key, _)| key.clone()).collect();
        late.iter().filter_map(|key| sessions.remove(key)).for_each(|entry| self.close(entry));
    }

    /// How many sessions there are that belong to a principal.
    pub fn owned(&self) -> usize {
        let own = self.core.options.sharing == Sharing::PerPrincipal;
        if own { self.sessions.lock().unwrap_or_else(PoisonError::into_inner).len() } else { 0 }
    }

    /// Opens a session for somebody, who is told how it is found again.
    pub async fn open_kept(&self, capabilities: &Capabilities, name: String) -> Result<Kept, CallError> {
        let place = self.core.kept.reserve(&self.core, &name)?;
        let class = class_of(self.revision, capabilities, &self.core.options.client_info);
        let opening = timeout(self.core.options.timeouts.first_byte, self.introduce(&class));
        let late = |_| self.core.error(CallErrorKind::Timeout).detail("the handshake took too long");
        let (handshake, headers) = opening.await.map_err(late)??;
        let session = headers.get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let revision = handshake.revision;
        let link = self.link.clone();
        place.fill(What::Session { link, headers, _handshake: Some(handshake) });
        Ok(Kept { name, place: Place::Server { session, revision, asks: can_answer(&class) } })
    }

    /// Ends a session that was opened for somebody, here or at another replica.
    pub async fn close_kept(&self, name: &str, session: Option<&str>, revision: Revision) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        end_at_server(&self.link, &headers_of(session, revision)).await;
    }

    /// The session in which a call runs.
    async fn session_on(&self, cx: &CallContext, key: &Key) -> Result<Arc<Session>, CallError> {
        match &cx.line {
            Line::Usual => self.session_of(key).await,
            Line::Fresh => {
                let late = |_| self.core.error(CallErrorKind::Timeout).detail("the handshake took too long");
                let opening = timeout(self.core.options.timeouts.first_byte, self.introduce(&key.class));
                let (handshake, headers) = opening.await.map_err(late)??;
                let revision = handshake.revision;
                let side =
                    if can_answer(&key.class) { Some(self.listen(&headers, true).await) } else { None };
                let ends = Some(self.link.clone());
                Ok(Arc::new(Session { revision, handshake: Some(handshake), headers, side, ends }))
            }
            Line::Kept(kept) => {
                let session = self.attach(kept).await?;
                if cx.alone && session.side.is_some() {
                    self.hold(kept, &session);
                }
                Ok(session)
            }
        }
    }

    /// Keeps a session's own stream open between calls.
    fn hold(&self, kept: &Kept, session: &Arc<Session>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < self.core.options.limits.kept_max || held.contains_key(&kept.name) {
            held.insert(kept.name.clone(), (Arc::clone(session), Instant::now()));
        }
    }

    /// A session that was opened before, maybe at another replica. Its own stream is open while calls run in
    /// it here: most servers have one such stream, and other replicas may need it next. Without other
    /// replicas it stays open for a while.
    async fn attach(&self, kept: &Kept) -> Result<Arc<Session>, CallError> {
        let Place::Server { session, revision, asks } = &kept.place else {
            return Err(self.core.error(CallErrorKind::SessionGone));
        };
        self.core.kept.touch(&kept.name, self.core.clock.now());
        let known = || {
            let all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(&kept.name).and_then(Weak::upgrade)
        };
        if let Some(session) = known() {
            session.listens().await;
            return Ok(session);
        }
        let headers = headers_of(session.as_deref(), *revision);
        let side = if *asks { Some(self.listen(&headers, false).await) } else { None };
        let own = Session { revision: *revision, handshake: None, headers, side, ends: None };
        let session = {
            let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let session = all.get(&kept.name).and_then(Weak::upgrade).unwrap_or_else(|| Arc::new(own));
            all.insert(kept.name.clone(), Arc::downgrade(&session));
            session
        };
        session.listens().await;
        Ok(session)
    }

    fn forget(&self, key: &Key, session: &Arc<Session>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let same = sessions.get(key).and_then(|e| e.cell.get()).is_some_and(|s| Arc::ptr_eq(s, session));
        if same {
            sessions.remove(key);
        }
    }

    /// Ends a session at the server, where it has one. Best effort.
    fn close(&self, entry: Entry) {
        let Some(session) = entry.cell.get().cloned() else { return };
        let link = self.link.clone();
        tokio::spawn(async move { end_at_server(&link, &session.headers).await });
    }

    /// Ends all sessions.
    pub fn close_all(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, entry) in sessions.drain() {
            self.close(entry);
        }
    }

    async fn open(&self, class: &Raw) -> Result<Arc<Session>, CallError> {
        let (handshake, headers) = self.introduce(class).await?;
        let wanted = wants_side(&handshake, class);
        let side = if wanted { Some(self.listen(&headers, can_answer(class)).await) } else { None };
        let revision = handshake.revision;
        Ok(Arc::new(Session { revision, handshake: Some(handshake), headers, side, ends: None }))
    }

    /// The handshake, and the headers of its session.
    async fn introduce(&self, class: &Raw) -> Result<(Handshake, HeaderMap), CallError> {
        Stats::add(&self.core.stats.handshakes);
        let id = self.core.next_id();
        let mut hop = Hop::greeting(&self.core, class, &id, self.revision);
        let (outcome, headers) = self.greet(class, &id).await.map_err(|error| hop.fail(error))?;
        hop.answered(&outcome);
        let handshake = handshake_result(&self.core, outcome)?;
        let mut own = headers_of(None, handshake.revision);
        if let Some(session) = headers.get(SESSION) {
            own.insert(SESSION, session.clone());
        }
        let note = envelope::notification("notifications/initialized", None);
        if let Answer::Refused(refusal) = self.link.post(own.clone(), note, None).await?.0 {
            return Err(self.refused(&refusal));
        }
        Ok((handshake, own))
    }

    /// Sends `initialize`.
    async fn greet(&self, class: &Raw, id: &Id) -> Result<(Result<Raw, Raw>, HeaderMap), CallError> {
        let (answer, headers) = self.link.post(HeaderMap::new(), initialize(id, class), Some(id)).await?;
        let outcome = match answer {
            Answer::Outcome(outcome) => outcome,
            Answer::Events(mut events) => first_response(&self.core, &mut events, id).await?,
            Answer::Refused(refusal) => return Err(self.refused(&refusal)),
            Answer::Accepted | Answer::Large(_) => {
                return Err(self.core.error(CallErrorKind::Invalid).detail("no answer to initialize"));
            }
        };
        Ok((outcome, headers))
    }

    /// Opens the session's own stream. Where the client can be asked something the stream has to stand before
    /// the first call: what a server asks on a stream that is not open yet is lost.
    async fn listen(&self, headers: &HeaderMap, stands: bool) -> Side {
        let calls = Arc::new(SideCalls::default());
        let (sender, tried) = watch::channel(false);
        let reader = super::side::read(self.link.clone(), headers.clone(), Arc::clone(&calls), sender);
        let side = Side { calls, tried, reader: tokio::spawn(reader).abort_handle() };
        if stands {
            side.stands().await;
        }
        side
    }

    fn refused(&self, refusal: &Refusal) -> CallError {
        let kind = match (&refusal.error, refusal.status.as_u16()) {
            (_, 401 | 403) => CallErrorKind::Unauthorized,
            (Some(_), _) | (None, 400 | 404 | 405 | 406 | 415) => CallErrorKind::OtherRevision,
            (None, status) => CallErrorKind::Status(status),
        };
        let error = self.core.error(kind).after(refusal.retry_after);
        match &refusal.error {
            Some(body) => error.detail(in_words(body)),
            None => error.detail(refusal.status),
        }
    }

    /// Makes a call. A session that the server has forgotten is opened anew, once: nothing ran. One that was
    /// opened for somebody is not: what the server remembered is gone.
    pub async fn call(
        &self,
        cx: &CallContext,
        call: &Call,
        mut permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        let key = self.key(&cx.principal, &call.capabilities());
        let mut fresh = false;
        loop {
            let session = self.session_on(cx, &key).await.map_err(CallError::unsent)?;
            match self.call_in(&session, cx, call, permit).await? {
                Tried::Replied(reply) => return Ok(reply),
                Tried::Forgotten(error, back) => match &cx.line {
                    Line::Usual if !fresh => {
                        self.forget(&key, &session);
                        (fresh, permit) = (true, back);
                    }
                    Line::Kept(kept) => {
                        self.core.kept.remove(&kept.name);
                        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&kept.name);
                        return Err(self.core.error(CallErrorKind::SessionGone));
                    }
                    Line::Usual | Line::Fresh => return Err(error),
                },
            }
        }
    }

    async fn call_in(
        &self,
        session: &Arc<Session>,
        cx: &CallContext,
        call: &Call,
        permit: OwnedSemaphorePermit,
    ) -> Result<Tried, CallError> {
        let id = self.core.next_id();
        let revision = session.revision;
        let mut hop = Hop::begin(&self.core, cx, call, &id, revision);
        let call = hop.carry(call);
        let (params, tokens) = params_with_token(&call, &id);
        let params = params.object().ok().flatten().unwrap_or_else(protocol::json::Object::empty);
        let params = up::params(revision, &call.method, &params);
        let bytes = envelope::request(&id, call.method.as_str(), Some(&params));
        let mut headers = cx.headers.clone();
        trace_headers(&call, &mut headers);
        headers.extend(session.headers.iter().map(|(k, v)| (k.clone(), v.clone())));
        // Announced before it is sent: the question may overtake the head of the answer.
        let asks = call.capabilities().can_answer() && call.method.may_ask();
        let listens = asks || call.meta.log_level.is_some();
        let side = session.side.as_ref().filter(|_| listens).map(|side| side.calls.join(&id));
        let answer = self.ask(session, headers, bytes, &id).await.map_err(|error| hop.fail(error))?;
        let tokens = tokens.map(|t| (t.ours, t.theirs));
        let mut machine = UpCall::new(revision, id.clone(), &call, tokens).replaying(cx.script.clone());
        let reply = match answer {
            Answer::Refused(refusal) if forgotten(&refusal, session) => {
                return Ok(Tried::Forgotten(hop.fail(self.refused(&refusal)), permit));
            }
            Answer::Refused(refusal) => hop.reply(refused_call(self, &refusal))?,
            Answer::Accepted => {
                let error = self.core.error(CallErrorKind::Invalid);
                return Err(hop.fail(error.detail("no answer to a request")));
            }
            Answer::Large(body) => Reply::Ready(Outcome::Result(while_read(hop.stream(body), session))),
            Answer::Outcome(outcome) => {
                let response = protocol::Response { id: Some(id), outcome };
                hop.reply(done(&self.core, machine.on_message(Message::Response(response))))?
            }
            Answer::Events(events) => {
                let peer = Peer::Http { link: self.link.clone(), headers: session.headers.clone() };
                let logs = call.meta.log_level.is_some();
                let incoming = Incoming::http(events, &self.link, session, side, logs);
                let start = RunStart { machine, incoming, peer, permit, hop };
                LegacyRun::new(Arc::clone(&self.core), cx, start).start().await?
            }
        };
        Ok(Tried::Replied(reply))
    }

    /// Sends a call's request. A server that is not waited for any more is told so.
    async fn ask(
        &self,
        session: &Session,
        headers: HeaderMap,
        bytes: Bytes,
        id: &protocol::Id,
    ) -> Result<Answer, CallError> {
        let peer = Peer::Http { link: self.link.clone(), headers: session.headers.clone() };
        let unwanted = Unwanted::new(peer, id);
        let answer = self.link.post(headers, bytes, Some(id)).await;
        // What took too long may still run.
        if !matches!(&answer, Err(error) if error.kind == CallErrorKind::Timeout) {
            unwanted.answered();
        }
        answer.map(|(answer, _)| answer)
    }

    /// Sends a request whose answer is all that matters: `resources/subscribe` and the like.
    pub async fn request(
        &self,
        session: &Session,
        method: &str,
        params: &Raw,
    ) -> Result<Result<Raw, Raw>, CallError> {
        let id = self.core.next_id();
        let bytes = envelope::request(&id, method, Some(params));
        match self.link.post(session.headers.clone(), bytes, Some(&id)).await?.0 {
            Answer::Outcome(outcome) => Ok(outcome),
            Answer::Events(mut events) => first_response(&self.core, &mut events, &id).await,
            Answer::Refused(refusal) => Err(self.refused(&refusal)),
            Answer::Accepted | Answer::Large(_) => Err(self.core.error(CallErrorKind::Invalid)),
        }
    }
}

/// What a call in a session came to.
enum Tried {
    Replied(Reply),
    /// The server does not know the session any more; with the error that says so, and the call's slot.
    Forgotten(CallError, OwnedSemaphorePermit),
}

/// A result that is read from a session which lasts as long as that takes.
fn while_read(body: Body, session: &Arc<Session>) -> Body {
    match body {
        Body::Stream(chunks) if session.ends.is_some() => {
            let session = Arc::clone(session);
            Body::Stream(Box::pin(chunks.map(move |chunk| {
                let _lasts = &session;
                chunk
            })))
        }
        other => other,
    }
}

/// Whether there is anything to hear on a session's own stream.
fn wants_side(handshake: &Handshake, class: &Raw) -> bool {
    let has = |raw: &Raw, what: &[u8]| memchr::memmem::find(raw.as_bytes(), what).is_some();
    let changes = handshake.discover.get("capabilities");
    can_answer(class) || changes.is_some_and(|c| has(&c, b"\"listChanged\"") || has(&c, b"\"subscribe\""))
}

/// Whether a server may ask the clients of this class anything.
fn can_answer(class: &Raw) -> bool {
    class.get("capabilities").is_some_and(|c| c.as_bytes() != b"{}")
}

/// Whether the server does not know the session. It is to say so with 404; the examples that many servers
/// were made from say it with 400 and in words.
fn forgotten(refusal: &Refusal, session: &Session) -> bool {
    let in_words = |error: &Raw| {
        let message = protocol::RpcError::read(error).message.to_ascii_lowercase();
        message.contains("session id") || message.contains("session not found")
    };
    session.headers.contains_key(SESSION)
        && match refusal.status {
            StatusCode::NOT_FOUND => true,
            StatusCode::BAD_REQUEST => refusal.error.as_ref().is_some_and(in_words),
            _ => false,
        }
}

fn refused_call(http: &LegacyHttp, refusal: &Refusal) -> Result<Reply, CallError> {
    match &refusal.error {
        Some(error) => Ok(Reply::Ready(Outcome::Error(error.clone()))),
        None => Err(http.refused(refusal)),
    }
}

/// The reply of a machine that has just seen its response.
pub(super) fn done(core: &Core, action: Option<bridge::UpAction>) -> Result<Reply, CallError> {
    match action {
        Some(bridge::UpAction::Done(Ok(result))) => Ok(Reply::result(result)),
        Some(bridge::UpAction::Done(Err(error))) => Ok(Reply::Ready(Outcome::Error(error))),
        _ => Err(core.error(CallErrorKind::Invalid)),
    }
}

/// The response on a stream that may carry other things before it.
async fn first_response(
    core: &Core,
    events: &mut EventStream,
    id: &protocol::Id,
) -> Result<Result<Raw, Raw>, CallError> {
    while let Some(message) = events.message().await? {
        if let Message::Response(response) = message
            && response.id.as_ref().is_none_or(|found| found == id)
        {
            return Ok(response.outcome);
        }
    }
    Err(core.error(CallErrorKind::Broke))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use model::{ManualClock, SeededRng};
    use protocol::Method;

    use super::*;
    use crate::testing::{self, Scripted};

    const GREETING: &str = concat!(
        r#"{"jsonrpc":"2.0","id":ID,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"#,
        r#""serverInfo":{"name":"scripted","version":"0"}}}"#
    );

    fn connector(url: http::Uri) -> LegacyHttp {
        let (clock, rng) = (Arc::new(ManualClock::default()), Arc::new(SeededRng::new(1)));
        let core = Arc::new(Core::new(testing::options(url.clone()), clock, rng, Arc::default()));
        LegacyHttp::new(Arc::clone(&core), HttpLink::new(core, testing::http(), url, &[]))
    }

    #[tokio::test]
    async fn a_session_whose_client_can_be_asked_stands_once_its_own_stream_does() {
        let mut server = Scripted::start().await;
        let http = Arc::new(connector(server.url()));
        let able = Capabilities::read(Some(&Raw::literal(r#"{"elicitation":{}}"#)));
        let opener = Arc::clone(&http);
        let opening =
            tokio::spawn(async move { opener.session(&Principal::anonymous(), &able).await.map(drop) });
        server.next().await.answer("200 OK", GREETING).await;
        server.next().await.answer("202 Accepted", "").await;
        let stream = server.next().await;
        assert!(stream.head.starts_with("GET "), "{}", stream.head);
        assert!(!opening.is_finished(), "a question now would find no stream to come by");
        stream.answer("405 Method Not Allowed", "").await;
        opening.await.expect("no panic").expect("a session, also with a server that has no such stream");
    }

    #[tokio::test]
    async fn a_call_that_nobody_wants_any_more_is_cancelled_before_its_answer_begins() {
        let mut server = Scripted::start().await;
        let http = Arc::new(connector(server.url()));
        let caller = Arc::clone(&http);
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let calling = tokio::spawn(async move {
            let params = Raw::literal(r#"{"name":"slow","arguments":{}}"#);
            let call = Call::own(Method::ToolsCall, &params, &Capabilities::none(), &Raw::literal("{}"));
            caller.call(&CallContext::own(), &call, permit).await.map(drop)
        });
        server.next().await.answer("200 OK", GREETING).await;
        server.next().await.answer("202 Accepted", "").await;
        let asked = server.next().await;
        let id = Raw::parse(asked.body.clone().into()).expect("JSON").get("id").expect("an id");
        calling.abort();
        let told = server.next().await;
        let told = Raw::parse(told.body.clone().into()).expect("JSON");
        assert_eq!(told.get("method"), Some(Raw::literal(r#""notifications/cancelled""#)));
        assert_eq!(told.get("params").and_then(|params| params.get("requestId")), Some(id));
    }

    #[tokio::test]
    async fn a_session_that_the_server_does_not_know_is_opened_anew_or_gone_if_it_was_somebodys() {
        let refusals = [
            ("404 Not Found", ""),
            (
                "400 Bad Request",
                concat!(
                    r#"{"jsonrpc":"2.0","id":null,"error":"#,
                    r#"{"code":-32000,"message":"Bad Request: No valid session id provided"}}"#
                ),
            ),
        ];
        for (status, body) in refusals {
            let mut server = Scripted::start().await;
            let http = Arc::new(connector(server.url()));
            let place =
                Place::Server { session: Some("s".into()), revision: Revision::V2025_11_25, asks: false };
            let kept = Kept { name: "0123456789ab-x".into(), place };
            let params = Raw::literal(r#"{"name":"x"}"#);
            let call = Call::own(Method::ToolsCall, &params, &Capabilities::none(), &Raw::literal("{}"));
            let cx = CallContext { line: Line::Kept(kept), ..CallContext::own() };
            let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
            let caller = Arc::clone(&http);
            let calling = tokio::spawn(async move { caller.call(&cx, &call, permit).await.map(drop) });
            let asked = server.next().await;
            assert!(asked.head.to_ascii_lowercase().contains("mcp-session-id: s"), "{}", asked.head);
            asked.answer(status, body).await;
            let error = calling.await.expect("no panic").expect_err("what it remembered is gone");
            assert_eq!(error.kind, CallErrorKind::SessionGone, "{status}");
        }
    }

    #[tokio::test]
    async fn a_call_whose_stream_breaks_and_whose_server_is_gone_may_have_run() {
        let mut server = Scripted::start().await;
        let http = Arc::new(connector(server.url()));
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let calling = tokio::spawn(async move {
            let params = Raw::literal(r#"{"name":"slow","arguments":{}}"#);
            let call = Call::own(Method::ToolsCall, &params, &Capabilities::none(), &Raw::literal("{}"));
            http.call(&CallContext::own(), &call, permit).await.map(drop)
        });
        server.next().await.answer("200 OK", GREETING).await;
        server.next().await.answer("202 Accepted", "").await;
        let mut asked = server.next().await;
        // An event without a message, from which the stream could be picked up again at once.
        asked.event("\nid: 1\nretry: 0").await;
        drop(server);
        drop(asked);
        let error = calling.await.expect("no panic").expect_err("nobody is there to answer");
        assert_eq!((error.kind, error.kind.retry()), (CallErrorKind::Broke, model::Retry::MayHaveRun));
    }

    const LOG: &str =
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#;

    /// A call that wants log messages: how many came, and that the result did.
    async fn logged(http: Arc<LegacyHttp>, able: Capabilities) -> usize {
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().expect("a permit");
        let params = r#"{"name":"x","arguments":{},"_meta":{"io.modelcontextprotocol/logLevel":"info"}}"#;
        let call = Call::own(Method::ToolsCall, &Raw::literal(params), &able, &Raw::literal("{}"));
        let mut items = match http.call(&CallContext::own(), &call, permit).await.expect("an answer") {
            Reply::Stream(items) => items,
            Reply::Ready(Outcome::Result(_)) => return 0,
            Reply::Ready(Outcome::Error(error)) => panic!("{error}"),
        };
        let mut logs = 0;
        while let Some(item) = items.next().await {
            match item.expect("no error") {
                crate::Item::Done(Outcome::Result(_)) => return logs,
                crate::Item::Notification { .. } => logs += 1,
                other => panic!("{other:?}"),
            }
        }
        panic!("no result after {logs} messages")
    }

    #[tokio::test]
    async fn what_is_logged_beside_a_call_is_heard_also_after_its_response() {
        let mut server = Scripted::start().await;
        let http = Arc::new(connector(server.url()));
        let able = Capabilities::read(Some(&Raw::literal(r#"{"elicitation":{}}"#)));
        let first = tokio::spawn(logged(Arc::clone(&http), able.clone()));
        server.next().await.answer("200 OK", GREETING).await;
        server.next().await.answer("202 Accepted", "").await;
        let mut beside = server.next().await;
        beside.event("\nid: 1").await;
        let mut asked = server.next().await;
        beside.event(LOG).await;
        asked.event("\nid: 2").await;
        asked.respond().await;
        assert!(first.await.expect("no panic") <= 1, "the first call may be too early to know");
        let second = tokio::spawn(logged(Arc::clone(&http), able));
        let mut asked = server.next().await;
        asked.respond().await;
        beside.event(LOG).await;
        assert_eq!(second.await.expect("no panic"), 1);
    }
}
