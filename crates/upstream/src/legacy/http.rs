//! Streamable HTTP with sessions (2025-03-26 to 2025-11-25).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridge::UpCall;
use bridge::translate::up;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use model::Principal;
use protocol::headers::{SESSION, VERSION};
use protocol::{Call, Capabilities, Id, Message, Raw, Revision, envelope};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};

use super::{
    Handshake, Incoming, LegacyRun, Peer, RunStart, SideCalls, Unwanted, class_of, handshake_result,
    in_words, initialize,
};
use crate::core::{Core, Stats};
use crate::http::{Answer, EventStream, HttpLink, Refusal, trace_headers};
use crate::observe::Hop;
use crate::outbound::params_with_token;
use crate::{CallContext, CallError, CallErrorKind, Outcome, Reply};

/// How long a session waits for its own stream before its first call. Most servers answer at once; some only
/// with the first event.
const SIDE_WAIT: Duration = Duration::from_secs(1);

/// A session with the server, shared by all calls of one principal and one class of capabilities.
pub(crate) struct Session {
    pub handshake: Handshake,
    /// The session id and version headers that every request repeats.
    pub headers: HeaderMap,
    side: Option<Side>,
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

/// The connector.
pub(crate) struct LegacyHttp {
    core: Arc<Core>,
    link: HttpLink,
    revision: Revision,
    sessions: Mutex<HashMap<Key, Entry>>,
    /// The capabilities that were asked for last, and their class: most clients are of one kind.
    last_class: Mutex<Option<(Raw, Raw)>>,
}

impl LegacyHttp {
    pub fn new(core: Arc<Core>, link: HttpLink) -> Self {
        let revision = core.options.pin.unwrap_or(Revision::NEWEST_LEGACY);
        Self { core, link, revision, sessions: Mutex::default(), last_class: Mutex::default() }
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
        let cell = self.cell(key);
        let wait =
            timeout(self.core.options.timeouts.first_byte, cell.get_or_try_init(|| self.open(&key.class)));
        match wait.await {
            Ok(session) => session.map(Arc::clone),
            Err(_) => Err(self.core.error(CallErrorKind::Timeout).detail("the handshake took too long")),
        }
    }

    fn cell(&self, key: &Key) -> Arc<OnceCell<Arc<Session>>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(entry) = sessions.get_mut(key) {
            entry.used = now;
            return Arc::clone(&entry.cell);
        }
        if sessions.len() >= self.core.options.limits.sessions_max {
            let oldest = sessions.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            if let Some(entry) = oldest.and_then(|key| sessions.remove(&key)) {
                self.close(entry);
            }
        }
        let cell = Arc::new(OnceCell::new());
        sessions.insert(key.clone(), Entry { cell: Arc::clone(&cell), used: now });
        cell
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
        if session.headers.contains_key(SESSION) {
            let link = self.link.clone();
            tokio::spawn(async move {
                let _ = link.send(http::Method::DELETE, session.headers.clone(), Bytes::new()).await;
            });
        }
    }

    /// Ends all sessions.
    pub fn close_all(&self) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, entry) in sessions.drain() {
            self.close(entry);
        }
    }

    async fn open(&self, class: &Raw) -> Result<Arc<Session>, CallError> {
        Stats::add(&self.core.stats.handshakes);
        let id = self.core.next_id();
        let mut hop = Hop::greeting(&self.core, class, &id, self.revision);
        let (outcome, headers) = self.greet(class, &id).await.map_err(|error| hop.fail(error))?;
        hop.answered(&outcome);
        let handshake = handshake_result(&self.core, outcome)?;
        let mut own = HeaderMap::new();
        own.insert(VERSION, HeaderValue::from_static(handshake.revision.as_str()));
        if let Some(session) = headers.get(SESSION) {
            own.insert(SESSION, session.clone());
        }
        let note = envelope::notification("notifications/initialized", None);
        if let Answer::Refused(refusal) = self.link.post(own.clone(), note, None).await?.0 {
            return Err(self.refused(&refusal));
        }
        let side = if wants_side(&handshake, class) { Some(self.listen(&own, class).await) } else { None };
        Ok(Arc::new(Session { handshake, headers: own, side }))
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
    async fn listen(&self, headers: &HeaderMap, class: &Raw) -> Side {
        let calls = Arc::new(SideCalls::default());
        let (sender, tried) = watch::channel(false);
        let reader = super::side::read(self.link.clone(), headers.clone(), Arc::clone(&calls), sender);
        let side = Side { calls, tried, reader: tokio::spawn(reader).abort_handle() };
        if can_answer(class) {
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
        let error = self.core.error(kind);
        match &refusal.error {
            Some(body) => error.detail(in_words(body)),
            None => error.detail(refusal.status),
        }
    }

    /// Makes a call. A session that the server has forgotten is opened anew, once: nothing ran.
    pub async fn call(
        &self,
        cx: &CallContext,
        call: &Call,
        permit: OwnedSemaphorePermit,
    ) -> Result<Reply, CallError> {
        let capabilities = call.capabilities();
        let key = self.key(&cx.principal, &capabilities);
        let mut fresh = false;
        loop {
            let session = self.session_of(&key).await.map_err(CallError::unsent)?;
            let id = self.core.next_id();
            let revision = session.handshake.revision;
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
            let asks = capabilities.can_answer() && call.method.may_ask();
            let listens = asks || call.meta.log_level.is_some();
            let side = session.side.as_ref().filter(|_| listens).map(|side| side.calls.join(&id));
            let answer = self.ask(&session, headers, bytes, &id).await.map_err(|error| hop.fail(error))?;
            let tokens = tokens.map(|t| (t.ours, t.theirs));
            let mut machine = UpCall::new(revision, id.clone(), &call, tokens);
            match answer {
                Answer::Refused(refusal) if forgotten(&refusal, &session) && !fresh => {
                    self.forget(&key, &session);
                    fresh = true;
                    hop.fail(self.refused(&refusal));
                }
                Answer::Refused(refusal) => return hop.reply(refused_call(self, &refusal)),
                Answer::Accepted => {
                    let error = self.core.error(CallErrorKind::Invalid);
                    return Err(hop.fail(error.detail("no answer to a request")));
                }
                Answer::Large(body) => return Ok(Reply::Ready(Outcome::Result(hop.stream(body)))),
                Answer::Outcome(outcome) => {
                    let response = protocol::Response { id: Some(id), outcome };
                    return hop.reply(done(&self.core, machine.on_message(Message::Response(response))));
                }
                Answer::Events(events) => {
                    let headers = session.headers.clone();
                    let peer = Peer::Http { link: self.link.clone(), headers: headers.clone() };
                    let logs = call.meta.log_level.is_some();
                    let incoming = Incoming::http(events, &self.link, headers, side, logs);
                    let start = RunStart { machine, incoming, peer, permit, hop };
                    return LegacyRun::new(Arc::clone(&self.core), cx, start).start().await;
                }
            }
        }
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

fn forgotten(refusal: &Refusal, session: &Session) -> bool {
    refusal.status == StatusCode::NOT_FOUND && session.headers.contains_key(SESSION)
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
