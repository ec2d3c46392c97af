//! A legacy POST.

use std::sync::Arc;
use std::time::Duration;

use bridge::DownCall;
use bridge::translate::down;
use bridge::translate::down::CallMeta;
use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode};
use model::ReplicaId;
use protocol::headers::{SESSION, VERSION};
use protocol::{
    Call, Capabilities, Id, Message, Method, Notification, Raw, Request, Revision, RpcError, code, envelope,
    sse,
};
use serde_json::json;
use upstream::{Body, Outcome, Reply};

use super::buffer::StreamBuffer;
use super::drive::{Drive, FirstReply};
use super::kept::Keeper;
use super::session::{Opened, Running, Session};
use super::shared::{SessionChange, SharedError};
use crate::answer::{self, Accepts, Answer};
use crate::app::Exchange;
use crate::extensions;
use crate::hosted;
use crate::http::Turn;
use crate::note::aside::{self, Over};
use crate::pipeline::{execute, severity};
use crate::trace::Operation;
use crate::{line, modern};

/// A call that takes longer is answered on a stream.
const STREAM_AFTER: Duration = Duration::from_secs(5);

/// Serves one message of a legacy client.
pub(crate) async fn post(mut x: Exchange, message: Message) -> Turn {
    if let Message::Request(request) = &message
        && request.method == Method::Initialize
    {
        x.request_id = Some(request.id.clone());
        return Turn::Here(initialize(x, request).await);
    }
    let session = match session_of(&x, &message).await {
        Ok(session) => session,
        Err(answer) => return Turn::Here(*answer),
    };
    enter(&mut x, &session);
    match message {
        Message::Request(request) => {
            if let Some(owner) = line_owner(&x, &request).await {
                let (id, method, revision) = (request.id, request.method, session.opened.revision);
                let handle = x.endpoint.has_handles() && x.lines.as_ref().is_none_or(|l| l.size() == 0);
                return Turn::owner(owner, move |ran| match (ran, handle) {
                    (true, _) => answer::error(Some(&id), &modern::gone(ran)),
                    (false, false) => line::begin_again(Some(&id)),
                    (false, true) => {
                        let result = down::result(&method, revision, line::unknown_handle());
                        answer::json(StatusCode::OK, envelope::result(&id, &result))
                    }
                });
            }
            Turn::Here(request_over_http(x, session, request).await)
        }
        Message::Notification(note) => {
            if let Err(error) = aside::notified(&x, &note).await {
                let unrecorded = answer::error_with(StatusCode::SERVICE_UNAVAILABLE, None, &error.to_raw());
                return Turn::Here(unrecorded);
            }
            let known = notification(&session, &note);
            let answer = answer::empty(StatusCode::ACCEPTED);
            // The call may run on another replica: its id is the client's and does not say.
            if known || x.forwarded { Turn::Here(answer) } else { Turn::Everybody(answer) }
        }
        Message::Response(response) => {
            let Some(id) = response.id else { return Turn::Here(answer::empty(StatusCode::ACCEPTED)) };
            if let Some(owner) = asked_by(&id).and_then(|name| x.elsewhere(&name)) {
                return Turn::owner(owner, nobody_asks);
            }
            session.answer(&id, response.outcome);
            Turn::Here(answer::empty(StatusCode::ACCEPTED))
        }
    }
}

/// The replica whose process a request is about, if that is another one.
async fn line_owner(x: &Exchange, request: &Request) -> Option<ReplicaId> {
    let may = x.endpoint.has_handles() || x.lines.as_ref().is_some_and(|lines| lines.any_elsewhere(x));
    if may { Box::pin(line::owner(x, &request.method, request.params.as_ref())).await } else { None }
}

/// The beginning of the ids of all questions.
const QUESTION: &str = "tidegate-";

/// The id of a new question to the client. It says which replica waits for the answer.
pub(super) fn question_id(x: &Exchange, session: &Session) -> Id {
    let own = x.app.replicas.me().owns(&session.next_number().to_string());
    Id::string(&format!("{QUESTION}{own}"))
}

fn asked_by(id: &Id) -> Option<String> {
    id.raw().as_str()?.strip_prefix(QUESTION).map(str::to_owned)
}

/// The replica that asked is gone, and its call with it.
fn nobody_asks(_ran: bool) -> Answer {
    let text = "Nobody waits for this answer any more: the gateway's replica that asked is gone";
    answer::error_with(StatusCode::BAD_REQUEST, None, &RpcError::new(code::PARKED_GONE, text).to_raw())
}

/// The exchange as this session's client makes it.
pub(super) fn enter(x: &mut Exchange, session: &Session) {
    x.revision = session.opened.revision;
    let declared = extensions::declared(x, session.opened.capabilities.clone());
    x.caller.capabilities = Capabilities::read(Some(&declared));
    x.caller.client_info = session.opened.client_info.clone();
    x.lines = session.opened.lines.clone();
}

/// The session that a request names, or one without anything for a client that names a legacy revision alone.
pub(super) async fn session_of(x: &Exchange, message: &Message) -> Result<Arc<Session>, Box<Answer>> {
    let id = match message {
        Message::Request(request) => Some(&request.id),
        _ => None,
    };
    let refuse = |status, text: &str| {
        let error = RpcError::new(code::SERVER_LEGACY, text).to_raw();
        Err(Box::new(answer::error_with(status, id, &error)))
    };
    let version = match x.headers.get(VERSION).map(|v| v.to_str().ok().and_then(Revision::parse)) {
        None => None,
        Some(Some(revision)) => Some(revision),
        Some(None) => {
            return refuse(StatusCode::BAD_REQUEST, "Bad Request: unsupported MCP-Protocol-Version");
        }
    };
    let mut ids = x.headers.get_all(SESSION).iter();
    match (ids.next(), ids.next()) {
        (Some(sealed), None) => {
            let sealed = sealed.to_str().unwrap_or_default();
            let found = x.app.sessions.find(&x.app, &x.caller.principal, x.endpoint.name(), sealed);
            match found.await {
                Some(session) => Ok(session),
                None => refuse(StatusCode::NOT_FOUND, "Session not found: initialize again"),
            }
        }
        (Some(_), Some(_)) => {
            refuse(StatusCode::BAD_REQUEST, "Bad Request: Mcp-Session-Id stands more than once")
        }
        (None, _) => match version {
            Some(revision) if matches!(message, Message::Request(_)) => Ok(sessionless(revision)),
            _ => refuse(
                StatusCode::BAD_REQUEST,
                "Bad Request: initialize first, or name a revision in MCP-Protocol-Version",
            ),
        },
    }
}

/// A client that never said what it can do can do nothing. The session is for this one request.
fn sessionless(revision: Revision) -> Arc<Session> {
    let none = Raw::literal("{}");
    Session::unkept(Opened { revision, capabilities: none.clone(), client_info: none, lines: None })
}

/// What an `initialize` asks for, read and granted.
pub(super) async fn handshake(x: &Exchange, request: &Request) -> Result<(Opened, Raw), RpcError> {
    let mut operation = Operation::own(x, &request.method, request.params.as_ref());
    let granted = grant(x, request).await;
    operation.speaks(granted.as_ref().map_or(Revision::NEWEST_LEGACY, |(opened, _)| opened.revision));
    operation.over(granted).await
}

async fn grant(x: &Exchange, request: &Request) -> Result<(Opened, Raw), RpcError> {
    let params = request.params.as_ref().map(Raw::object).transpose();
    let params = params.map_err(|e| RpcError::invalid_params(format!("Invalid params: {e}")))?.flatten();
    let Some(params) = params else {
        return Err(RpcError::invalid_params("Invalid params: initialize needs params"));
    };
    let asked = params.get("protocolVersion");
    let Some(asked) = asked.as_ref().and_then(|v| v.as_str()) else {
        return Err(RpcError::invalid_params("Invalid params: \"protocolVersion\" must be a string"));
    };
    // Whatever else is asked for, a session is granted in the newest revision that has sessions.
    let granted = Revision::parse(&asked)
        .filter(|r| r.era() == protocol::Era::Legacy)
        .unwrap_or(Revision::NEWEST_LEGACY);
    // Some clients leave one of these out, which harms nobody; another type is a mistake worth telling.
    let object = |name: &str| match params.get(name) {
        None => Ok(Raw::literal("{}")),
        Some(raw) if protocol::call::is_object(&raw) => Ok(raw),
        Some(_) => Err(RpcError::invalid_params(format!("Invalid params: \"{name}\" must be an object"))),
    };
    let declared = object("capabilities")?;
    let opened = Opened {
        revision: granted,
        capabilities: extensions::declared(x, down::client_capabilities(granted, &declared)),
        client_info: object("clientInfo")?,
        lines: None,
    };
    let discover = extensions::offered(x, x.endpoint.discover(&x.caller.principal).await?);
    let able = Capabilities::read(Some(&opened.capabilities));
    let opened = Opened { lines: Some(Box::pin(line::open_all(x, &able)).await?), ..opened };
    let info = discover.get("_meta").and_then(|m| m.get(protocol::latest::meta::SERVER_INFO));
    let info = info.unwrap_or_else(|| x.app.server_info.clone());
    let tasks = match hosted::legacy_capability(x) {
        Some(own) => Some(own),
        None => x.endpoint.legacy_tasks(&x.caller.principal).await,
    };
    let result = down::initialize_result(granted, &discover, &info, None, tasks.as_ref());
    Ok((opened, result))
}

async fn initialize(x: Exchange, request: &Request) -> Answer {
    match handshake(&x, request).await {
        Ok((opened, result)) => {
            let id = x.app.sessions.open(&x.app, &x.caller.principal, x.endpoint.name(), opened);
            let bytes = envelope::result(&request.id, &result);
            let accepts = Accepts::read(&x.headers);
            let mut answer = if accepts.json {
                answer::json(StatusCode::OK, bytes)
            } else {
                answer::events(Box::pin(futures_util::stream::iter([Ok(sse::event(None, &bytes))])))
            };
            if let Ok(value) = HeaderValue::from_str(&id) {
                answer.headers_mut().insert(SESSION, value);
            }
            answer
        }
        Err(error) => {
            let error = down::error(&Method::Initialize, Revision::NEWEST_LEGACY, error.to_raw());
            answer::error_with(StatusCode::OK, Some(&request.id), &error)
        }
    }
}

/// Takes a notification: the gateway's own affair in every case. `false`: it cancels a call that is not here.
pub(super) fn notification(session: &Session, note: &Notification) -> bool {
    if note.method != Method::Cancelled {
        return true;
    }
    let id = note.params.as_ref().and_then(|p| p.get("requestId")).and_then(Id::from_raw);
    id.is_none_or(|id| session.cancel(&id))
}

/// What follows from a request.
pub(super) enum Served {
    /// Its response, whole.
    Response(bytes::Bytes),
    /// Its response, too large to be kept.
    Large(upstream::BodyStream),
    /// Its response comes on this stream, after other messages.
    Stream(Arc<StreamBuffer>),
    /// A limit holds it back for so many seconds: the response says so.
    Later(bytes::Bytes, u64),
    /// The client no longer wants it.
    Cancelled,
    /// The client's session has ended, as it could only go on in part: the response says so.
    Ended(bytes::Bytes),
}

async fn request_over_http(x: Exchange, session: Arc<Session>, request: Request) -> Answer {
    let accepts = Accepts::read(&x.headers);
    if !accepts.json && !accepts.events {
        let error = RpcError::new(
            code::SERVER_LEGACY,
            "Not Acceptable: Accept must name application/json and text/event-stream",
        );
        return answer::error_with(StatusCode::NOT_ACCEPTABLE, Some(&request.id), &error.to_raw());
    }
    let id = request.id.clone();
    let revision = session.opened.revision;
    let limits = x.generation.limits;
    let app = Arc::clone(&x.app);
    let named = id.clone();
    let served = serve(x, Arc::clone(&session), request, || {
        StreamBuffer::new(super::name::of_call(&app, &named), &limits)
    })
    .await;
    match served {
        Served::Later(bytes, seconds) => answer::too_many(answer::json(StatusCode::OK, bytes), seconds),
        Served::Response(bytes) if accepts.json => answer::json(StatusCode::OK, bytes),
        Served::Ended(_) => line::begin_again(Some(&id)),
        Served::Response(bytes) => {
            answer::events(Box::pin(futures_util::stream::iter([Ok(sse::event(None, &bytes))])))
        }
        Served::Large(chunks) => {
            answer::streamed_result(&id, Box::pin(chunks.map(|c| c.map_err(Into::into))))
        }
        Served::Cancelled => answer::empty(StatusCode::ACCEPTED),
        Served::Stream(stream) => {
            session.keep(&stream);
            super::get::stream_answer(&app, &stream, 0, revision)
                .unwrap_or_else(|| answer::empty(StatusCode::NO_CONTENT))
        }
    }
}

/// Serves a request: at once where nothing comes before its response, else on a stream that a task writes.
pub(super) async fn serve(
    mut x: Exchange,
    session: Arc<Session>,
    request: Request,
    stream: impl FnOnce() -> Arc<StreamBuffer>,
) -> Served {
    let Request { id, method, params } = request;
    let revision = session.opened.revision;
    let failed = |error: &RpcError| {
        let bytes = envelope::error(Some(&id), &down::error(&method, revision, error.to_raw()));
        match answer::later(error) {
            None => Served::Response(bytes),
            Some(seconds) => Served::Later(bytes, seconds),
        }
    };
    x.request_id = Some(id.clone());
    if let Some(answer) = own(&x, &session, &method, params.as_ref()).await {
        if method == Method::Subscribe {
            session.uris_settled().await;
        }
        let answer = Operation::own(&x, &method, params.as_ref()).over(answer).await;
        return match answer {
            Ok(result) => Served::Response(envelope::result(&id, &result)),
            Err(error) => failed(&error),
        };
    }
    if !known(&x, &method) {
        let error = RpcError::method_not_found(method.as_str());
        return failed(&Operation::own(&x, &method, params.as_ref()).refused(error).await);
    }
    let Some(running) = session.begin(&id) else {
        return failed(&RpcError::invalid_request("a request with this id is under way"));
    };
    let call = match modern_call(&x, &session, &method, params.as_ref()) {
        Ok(call) => call,
        Err(error) => return failed(&error),
    };
    let (own_x, own_call) = (x.clone(), call.clone());
    let mut reply: FirstReply = Box::pin(async move { execute(&own_x, &own_call).await });
    let first = tokio::select! {
        first = &mut reply => first,
        () = running.cancelled() => return Served::Cancelled,
        // A stream can be resumed where a single answer would be lost with its connection.
        () = tokio::time::sleep(STREAM_AFTER) => {
            let down = DownCall::new(revision, call);
            return drive(Drive { x, session, id, down, stream: stream() }, reply, running);
        }
    };
    match first {
        Err(error) if ends(&x, &error) => {
            aside::session_over(&x, Over::Upstream);
            end(&session).await;
            Served::Ended(envelope::error(Some(&id), &error.to_raw()))
        }
        Err(error) => failed(&error),
        Ok(Reply::Ready(Outcome::Error(error))) => {
            Served::Response(envelope::error(Some(&id), &down::error(&method, revision, error)))
        }
        Ok(Reply::Ready(Outcome::Result(Body::Stream(chunks)))) => Served::Large(chunks),
        Ok(Reply::Ready(Outcome::Result(Body::Whole(result)))) if !DownCall::is_question(&result) => {
            Served::Response(envelope::result(&id, &down::result(&method, revision, result)))
        }
        Ok(reply) => {
            let down = DownCall::new(revision, call);
            let reply = Box::pin(std::future::ready(Ok(reply)));
            drive(Drive { x, session, id, down, stream: stream() }, reply, running)
        }
    }
}

/// Whether a call failed for want of a session that the client's own was opened with.
pub(super) fn ends(x: &Exchange, error: &RpcError) -> bool {
    error.code == code::SESSION_GONE && x.lines.is_some()
}

/// Ends a session at every replica.
pub(super) async fn end(session: &Session) {
    if let Err(error) = session.change(SessionChange::End).await {
        // It ends here, and elsewhere with the next call of this kind.
        tracing::warn!(%error, "the end of a session could not be shared");
        session.end();
    }
}

/// Goes on with a call in a task of its own, which writes to the call's stream.
fn drive(drive: Drive, reply: FirstReply, running: Running) -> Served {
    let (stream, session) = (Arc::clone(&drive.stream), Arc::clone(&drive.session));
    let served = Served::Stream(Arc::clone(&stream));
    let mut keeper = Keeper::new(&session, &stream, &drive.x.app.clock, &drive.x.generation.limits);
    tokio::spawn(async move {
        let work = async {
            drive.run(reply, running).await;
            stream.close();
            // What was written can still be fetched for a while by a client that lost its connection.
            stream.over().await;
        };
        tokio::select! {
            () = work => {}
            () = keeper.run() => {}
        }
        session.drop_stream(stream.name());
        keeper.end().await;
    });
    served
}

/// The client's request as a modern one.
fn modern_call(
    x: &Exchange,
    session: &Session,
    method: &Method,
    params: Option<&Raw>,
) -> Result<Call, RpcError> {
    // Legacy servers log until they are told otherwise, so a legacy client that says nothing gets everything.
    let level = session.log_level().unwrap_or_else(|| Raw::literal("\"debug\""));
    let about = CallMeta {
        capabilities: &x.caller.capabilities.raw,
        client_info: Some(&session.opened.client_info),
        log_level: Some(&level),
    };
    let params = down::call(method, params, about);
    let call = Call::read(method.clone(), Some(&params))
        .map_err(|error| RpcError::invalid_params(format!("Invalid params: {error}")))?;
    // Where no tasks were declared, a wish for one is ignored (2025-11-25, "Tasks"): its result could not be
    // asked for here.
    let has_tasks = x.endpoint.has_legacy_tasks() || hosted::legacy_capability(x).is_some();
    let no_tasks = !has_tasks && call.params.has("task");
    Ok(if no_tasks { call.with("task", None) } else { call })
}

/// Methods that go on to an upstream.
fn known(x: &Exchange, method: &Method) -> bool {
    match method {
        Method::Discover | Method::Listen | Method::TasksUpdate => false,
        Method::TasksList | Method::TasksResult => {
            x.endpoint.has_legacy_tasks() || hosted::legacy_capability(x).is_some()
        }
        Method::Other(text) => x.endpoint.answers(text) && !extensions::refuses(x, method),
        method => method.modern_request(),
    }
}

/// Requests that the gateway answers itself.
async fn own(
    x: &Exchange,
    session: &Session,
    method: &Method,
    params: Option<&Raw>,
) -> Option<Result<Raw, RpcError>> {
    let text = |name: &str| params.and_then(|p| p.get(name)).and_then(|v| v.as_str().map(|s| s.into_owned()));
    let invalid = |what: &str| Some(Err(RpcError::invalid_params(format!("Invalid params: {what}"))));
    let limit = x.generation.limits.subscriptions_per_stream_max;
    let change = match method {
        Method::Ping => return Some(Ok(Raw::literal("{}"))),
        Method::SetLevel => match text("level").filter(|l| severity(l).is_some()) {
            Some(level) => SessionChange::Level(level),
            None => return invalid("\"level\" must be one of the eight levels of RFC 5424"),
        },
        Method::Subscribe | Method::Unsubscribe => match text("uri") {
            Some(uri) if *method == Method::Subscribe => SessionChange::Subscribe(uri, limit),
            Some(uri) => SessionChange::Unsubscribe(uri),
            None => return invalid("\"uri\" must be a string"),
        },
        _ => return None,
    };
    Some(match session.change(change).await {
        Ok(true) => Ok(Raw::literal("{}")),
        Ok(false) => {
            Err(RpcError::new(code::LIMIT, format!("more than {limit} resources are subscribed to")))
        }
        Err(error) => Err(unshared(&error)),
    })
}

/// A change that could not be made where all replicas see it.
pub(super) fn unshared(error: &SharedError) -> RpcError {
    tracing::warn!(error = error as &dyn std::error::Error, "a session could not be changed");
    let text = "The gateway cannot reach its store: nothing was changed, try again";
    RpcError::new(code::INTERNAL, text).with(json!({
        "reason": "store_unavailable",
        "fault": model::Fault::Gateway.as_str(),
        "retry": model::Retry::Safe.as_str(),
    }))
}
