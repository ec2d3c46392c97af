//! `/mcp` in the legacy era: sessions, streams that can be resumed, requests that outlive a connection.

use std::sync::Arc;

use ::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use serde_json::Value;

use super::body::{self, Body, Refused};
use super::{Arrival, LAST_EVENT_ID, SESSION_ID, VERSION, sse};
use crate::call::Outlet;
use crate::legacy::{self, Event, Reader, Session, StreamLog, batch_fault};
use crate::revision::Revision;
use crate::rpc::{self, Kind, Malformed, Message, RpcError};
use crate::server::Server;
use crate::stats::{Gauge, Held};

/// After how long a client that lost its stream may come back, in milliseconds.
const RETRY_MS: u64 = 100;

pub(crate) async fn post(request: &Arrival<'_>, message: Message) -> Response<Body> {
    if message.method() == "initialize"
        && message.kind() == Kind::Request
        && request.header(SESSION_ID).is_none()
    {
        return initialize(request, &message);
    }
    if request.server.config().sessionless {
        return post_sessionless(request, message).await;
    }
    let session = match session(request) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    if message.kind() != Kind::Request {
        session.receive(&message);
        return body::empty(StatusCode::ACCEPTED);
    }
    let server = request.server.clone();
    answer(request, &session, move |session, outlet| async move {
        legacy::respond(&server, &session, message, outlet).await
    })
    .await
}

pub(crate) async fn post_batch(request: &Arrival<'_>, messages: Vec<Value>) -> Response<Body> {
    let session = match session(request) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    if let Some(error) = batch_fault(Some(session.revision()), &messages) {
        return request.error(StatusCode::BAD_REQUEST, None, &error);
    }
    let mut requests = Vec::new();
    for message in messages {
        match Message::new(message) {
            Ok(message) => {
                request.server.seen().saw(&message, &request.headers);
                match message.kind() {
                    Kind::Request => requests.push(message),
                    Kind::Notification | Kind::Response => session.receive(&message),
                }
            }
            Err(Malformed { id, error }) => {
                return request.error(StatusCode::BAD_REQUEST, id.as_ref(), &error);
            }
        }
    }
    if requests.is_empty() {
        return body::empty(StatusCode::ACCEPTED);
    }
    let server = request.server.clone();
    answer(request, &session, move |session, outlet| async move {
        let answers =
            requests.into_iter().map(|message| legacy::respond(&server, &session, message, outlet.clone()));
        let answers: Vec<_> = futures_util::future::join_all(answers).await.into_iter().flatten().collect();
        (!answers.is_empty()).then_some(Value::Array(answers))
    })
    .await
}

/// `GET /mcp`: the stream for everything that belongs to no request, or one that broke off.
pub(crate) fn get(request: &Arrival<'_>) -> Response<Body> {
    if request.server.config().sessionless {
        return body::not_allowed("POST");
    }
    if !request.accepts(sse::MEDIA_TYPE) {
        let error = RpcError::new(rpc::BAD_REQUEST, "Not Acceptable: Client must accept text/event-stream");
        return request.error(StatusCode::NOT_ACCEPTABLE, None, &error);
    }
    let session = match session(request) {
        Ok(session) => session,
        Err(refused) => return *refused,
    };
    let reader = match request.header(LAST_EVENT_ID) {
        Some(id) => resume(&session, id),
        None => session.standalone().and_then(|log| log.read(None).ok()),
    };
    match reader {
        Some(reader) => stream(request.server, &session, reader),
        None => {
            let error = RpcError::new(rpc::BAD_REQUEST, "Bad Request: That event is not kept here");
            request.error(StatusCode::BAD_REQUEST, None, &error)
        }
    }
}

pub(crate) fn delete(request: &Arrival<'_>) -> Response<Body> {
    if request.server.config().sessionless {
        return body::not_allowed("POST");
    }
    match session(request) {
        Ok(session) => {
            let id = request.header(SESSION_ID).unwrap_or_default();
            request.server.sessions().streamable.remove(id);
            session.close();
            body::empty(StatusCode::OK)
        }
        Err(refused) => *refused,
    }
}

fn initialize(request: &Arrival<'_>, message: &Message) -> Response<Body> {
    let server = request.server;
    let agreed = match legacy::initialize(server, message.params()) {
        Ok(agreed) => agreed,
        Err(error) => return request.error(StatusCode::OK, Some(message.id()), &error),
    };
    let result = rpc::success(message.id(), agreed.result);
    if server.config().sessionless {
        return body::json(StatusCode::OK, &result);
    }
    let standalone = StreamLog::new(0, agreed.revision >= Revision::V2025_11_25);
    let session = Session::new(server, agreed.revision, agreed.capabilities, Outlet::Log(standalone));
    let id = server.keys().id();
    keep(server, &id, &session);
    let mut response = if server.config().stream_answers {
        sse::response(Once(Some(result)), server.config().keep_alive)
    } else {
        body::json(StatusCode::OK, &result)
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(SESSION_ID, id);
    }
    response
}

/// Keeps a session; the one that was unused for longest makes room.
fn keep(server: &Server, id: &str, session: &Arc<Session>) {
    let evicted = {
        let sessions = &mut server.sessions().streamable;
        let full = sessions.len() >= server.config().sessions_max;
        let oldest = sessions.iter().filter(|_| full).min_by_key(|(_, session)| session.used());
        let oldest = oldest.map(|(id, _)| id.clone());
        sessions.insert(id.to_owned(), Arc::clone(session));
        oldest.and_then(|oldest| sessions.remove(&oldest))
    };
    if let Some(session) = evicted {
        session.close();
    }
}

/// The session that a request names.
fn session(request: &Arrival<'_>) -> Result<Arc<Session>, Refused> {
    let bad = |why: String| {
        let error = RpcError::new(rpc::BAD_REQUEST, format!("Bad Request: {why}"));
        Box::new(request.error(StatusCode::BAD_REQUEST, None, &error))
    };
    let Some(id) = request.header(SESSION_ID) else {
        return Err(bad("No valid session ID provided".to_owned()));
    };
    let session = request.server.sessions().streamable.get(id).cloned();
    let session = session.ok_or_else(|| {
        let error = RpcError::new(rpc::SESSION_NOT_FOUND, "Session not found");
        Box::new(request.error(StatusCode::NOT_FOUND, None, &error))
    })?;
    match request.header(VERSION) {
        Some(version) if version != session.revision().as_str() => Err(bad(format!(
            "Unsupported protocol version: {version} (this session speaks {})",
            session.revision()
        ))),
        _ => {
            session.touch();
            Ok(session)
        }
    }
}

async fn post_sessionless(request: &Arrival<'_>, message: Message) -> Response<Body> {
    if message.kind() != Kind::Request {
        return body::empty(StatusCode::ACCEPTED);
    }
    let asked = request.header(VERSION).unwrap_or(Revision::V2025_03_26.as_str());
    let spoken = Revision::parse(asked).filter(|asked| request.server.config().legacy().any(|r| r == *asked));
    match spoken {
        Some(revision) => {
            let answer = legacy::respond_sessionless(request.server, revision, message).await;
            body::json(StatusCode::OK, &answer)
        }
        None => {
            let why = format!("Bad Request: Unsupported protocol version: {asked}");
            request.error(StatusCode::BAD_REQUEST, None, &RpcError::new(rpc::BAD_REQUEST, why))
        }
    }
}

/// Runs a request on a stream of its own, which stays when the connection goes, and answers with one document
/// if nothing comes before the answer.
async fn answer<F, W>(request: &Arrival<'_>, session: &Arc<Session>, work: F) -> Response<Body>
where
    F: FnOnce(Arc<Session>, Outlet) -> W,
    W: Future<Output = Option<Value>> + Send + 'static,
{
    let (Some(log), server) = (session.open_stream(), request.server) else {
        let error = RpcError::new(rpc::INTERNAL_ERROR, "Too many open requests");
        return request.error(StatusCode::SERVICE_UNAVAILABLE, None, &error);
    };
    let Ok(reader) = log.read(None) else {
        return body::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let number = log.number();
    let work = work(Arc::clone(session), Outlet::Log(Arc::clone(&log)));
    tokio::spawn(async move {
        if let Some(answer) = work.await {
            log.push(&answer, true).await;
        }
        log.finish();
    });
    match reader.peek().await {
        Some(Event { last: true, data, .. }) if !server.config().stream_answers => {
            session.forget_stream(number);
            body::json_bytes(StatusCode::OK, data)
        }
        _ => stream(server, session, reader),
    }
}

/// The reader of the stream that an event id belongs to.
fn resume(session: &Session, id: &str) -> Option<Reader> {
    let (stream, event) = id.split_once('-')?;
    session.stream(stream.parse().ok()?)?.read(Some(event.parse().ok()?)).ok()
}

fn stream(server: &Server, session: &Session, reader: Reader) -> Response<Body> {
    let number = reader.log().number();
    let primes = session.revision() >= Revision::V2025_11_25;
    let priming = primes.then(|| sse::priming(&event_id(number, reader.taken()), RETRY_MS));
    let open = server.seen().hold(Gauge::StreamsOpen);
    sse::response(Reading { number, priming, reader, _open: open }, server.config().keep_alive)
}

fn event_id(stream: u64, event: u64) -> String {
    format!("{stream}-{event}")
}

struct Reading {
    number: u64,
    priming: Option<Bytes>,
    reader: Reader,
    _open: Held,
}

impl sse::Events for Reading {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(priming) = self.priming.take() {
            return Some(priming);
        }
        let event = self.reader.next().await?;
        Some(sse::event(Some(&event_id(self.number, event.number)), &event.data))
    }
}

/// A stream of one message.
struct Once(Option<Value>);

impl sse::Events for Once {
    async fn next(&mut self) -> Option<Bytes> {
        self.0.take().map(|message| sse::event(None, message.to_string().as_bytes()))
    }
}
