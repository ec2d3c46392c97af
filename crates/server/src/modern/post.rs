//! A modern POST: its checks in the order that satisfies every rule, and its answer.

use std::borrow::Cow;

use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use model::ReplicaId;
use protocol::headers::{self, VERSION};
use protocol::latest::{self, meta};
use protocol::{
    Call, Capabilities, Id, Message, Meta, Method, Raw, Request, Revision, RpcError, code, envelope,
    http_status, sse,
};
use serde_json::json;
use upstream::{Body, CallError, Item, ItemStream, Outcome, Reply};

use super::listen::listen;
use crate::answer::{self, Accepts, Answer, BodyError, Chunks};
use crate::app::{Exchange, Lost};
use crate::extensions;
use crate::http::{Turn, unavailable};
use crate::line;
use crate::note::aside;
use crate::pipeline::execute;
use crate::trace::Operation;

/// Whether a message is a modern one: by a header that names a revision with `_meta`, or by its `_meta`.
pub(crate) fn is_modern(headers: &HeaderMap, message: &Message) -> bool {
    let named = headers.get(VERSION).and_then(|v| v.to_str().ok());
    let modern =
        |v: &str| Revision::parse(v).map_or(v > Revision::NEWEST_LEGACY.as_str(), |r| r >= Revision::NEWEST);
    if named.is_some_and(modern) {
        return true;
    }
    let params = match message {
        Message::Request(request) => request.params.as_ref(),
        Message::Notification(note) => note.params.as_ref(),
        Message::Response(_) => None,
    };
    Meta::read(params).is_ok_and(|meta| meta.is_modern())
}

/// Serves a modern message.
pub(crate) async fn post(x: Exchange, message: Message) -> Turn {
    Turn::Here(match message {
        Message::Request(request) => {
            let id = request.id.clone();
            match serve(x, request).await {
                Ok(answer) => answer,
                Err(Refused::Elsewhere(owner, about)) => {
                    return Turn::Owner(owner, Box::new(move |ran| Box::pin(instead(id, *about, ran))));
                }
                Err(Refused::Envelope(error)) => {
                    answer::error_with(StatusCode::BAD_REQUEST, Some(&id), &error.to_raw())
                }
                Err(Refused::Later(error)) if error.code == code::LIMIT => unavailable(Some(&id), &error),
                Err(Refused::Call(error) | Refused::Later(error)) => answer::error(Some(&id), &error),
            }
        }
        // The core defines none over HTTP; whoever sends one is told that it arrived.
        Message::Notification(note) => match aside::notified(&x, &note).await {
            Ok(()) => answer::empty(StatusCode::ACCEPTED),
            Err(error) => answer::error_with(StatusCode::SERVICE_UNAVAILABLE, None, &error.to_raw()),
        },
        Message::Response(_) => {
            let text = "a client of this revision sends no responses: put answers into inputResponses";
            answer::error(None, &RpcError::invalid_request(text))
        }
    })
}

/// What a client hears where the replica is gone that held its call open.
///
/// `retried`: whether the answer to the question may have got there first.
pub(crate) fn gone(retried: bool) -> RpcError {
    let text = "The gateway's replica that held this call open is gone. \
                The call may have run in part: make it again only if that does no harm";
    RpcError::new(code::PARKED_GONE, text).with(json!({
        "reason": "replica_gone",
        "fault": model::Fault::Gateway.as_str(),
        "retry": model::Retry::MayHaveRun.as_str(),
        "answered": retried,
    }))
}

/// Why a request was not served.
enum Refused {
    /// Another replica must serve it.
    Elsewhere(ReplicaId, Box<About>),
    /// Headers and metadata are not as the revision asks: always 400.
    Envelope(RpcError),
    /// The error decides.
    Call(RpcError),
    /// There is no room for a stream, or not for long enough.
    Later(RpcError),
}

/// What another replica is to go on with.
struct About {
    x: Exchange,
    call: Call,
    /// Whether it is a call that waits there, and not only a session in which this one is to run.
    waits: bool,
}

impl About {
    /// Without a place here: the call takes one there, and two replicas must not wait for one another.
    fn of(x: Exchange, call: Call, waits: bool) -> Self {
        Self { x: Exchange { place: None, ..x }, call, waits }
    }
}

/// The answer where that replica is gone. `ran`: whether the request may have got there.
async fn instead(id: Id, about: About, ran: bool) -> Answer {
    let About { mut x, call, waits } = about;
    let accepts = Accepts::read(&x.headers);
    if !waits {
        return match ran {
            true => answer::error(Some(&id), &gone(ran)),
            false => answer(&id, Reply::result(line::unknown_handle()), accepts).await,
        };
    }
    // It may be made again here, where that does no harm, and goes no further.
    x.forwarded = true;
    x.replay = Some(Lost { answered: ran });
    match execute(&x, &call).await {
        Ok(reply) => answer(&id, reply, accepts).await,
        Err(error) => answer::error(Some(&id), &error),
    }
}

impl From<RpcError> for Refused {
    fn from(error: RpcError) -> Self {
        Self::Call(error)
    }
}

async fn serve(mut x: Exchange, request: Request) -> Result<Answer, Refused> {
    let accepts = Accepts::read(&x.headers);
    if !accepts.json && !accepts.events {
        let text = "Accept must name application/json and text/event-stream";
        let error = RpcError::invalid_request(text).to_raw();
        return Ok(answer::error_with(StatusCode::NOT_ACCEPTABLE, Some(&request.id), &error));
    }
    let call = Call::read(request.method, request.params.as_ref())
        .map_err(|error| Refused::Envelope(RpcError::invalid_params(format!("Invalid params: {error}"))))?;
    x.request_id = Some(request.id.clone());
    if let Err(error) = check(&x.headers, &call) {
        return Err(Refused::Envelope(Operation::begin(&x, &call).refused(error).await));
    }
    let call = extensions::narrowed(&x, call);
    let waits = held_elsewhere(&x, &call);
    enter(&mut x, &call);
    if let Some(owner) = waits {
        return Err(Refused::Elsewhere(owner, Box::new(About::of(x, call, true))));
    }
    if call.method == Method::ToolsCall
        && x.endpoint.has_handles()
        && let Some(owner) = Box::pin(line::owner(&x, &call.method, Some(&call.params.raw()))).await
    {
        return Err(Refused::Elsewhere(owner, Box::new(About::of(x, call, false))));
    }
    if !served(&x, &call.method) {
        let error = RpcError::method_not_found(call.method.as_str());
        return Err(Operation::begin(&x, &call).refused(error).await.into());
    }
    if call.method == Method::Listen {
        return listen(x, request.id, &call).await.map_err(Refused::Later);
    }
    let reply = execute(&x, &call).await?;
    Ok(answer(&request.id, reply, accepts).await)
}

/// The replica that holds the call open which this one goes on with, if that is another.
fn held_elsewhere(x: &Exchange, call: &Call) -> Option<ReplicaId> {
    if x.forwarded {
        return None;
    }
    let owner = x.app.handles.state_owner(x.holder(), &call.params.get("requestState")?)?;
    (owner != *x.app.replicas.me()).then_some(owner)
}

/// The exchange as the client of this call makes it.
pub(crate) fn enter(x: &mut Exchange, call: &Call) {
    x.caller.capabilities = call.capabilities();
    if let Some(info) = call.meta.client_info.clone() {
        x.caller.client_info = info;
    }
}

/// Headers against body, version, required metadata: in this order (transports, "Error responses").
fn check(headers: &HeaderMap, call: &Call) -> Result<(), RpcError> {
    let header = headers::single(headers, &VERSION)?;
    let Some(header) = header else {
        return Err(RpcError::header_mismatch(format!("Header mismatch: the {VERSION} header is missing")));
    };
    let header = header
        .to_str()
        .map_err(|_| RpcError::header_mismatch(format!("Header mismatch: {VERSION} is not text")))?;
    let version = version_of(call)?;
    if version != header {
        return Err(RpcError::header_mismatch(format!("Header mismatch: {VERSION} differs from the body")));
    }
    headers::check_standard(headers, &call.method, call.target().as_deref())?;
    check_body(call)
}

fn missing(key: &str) -> RpcError {
    RpcError::invalid_params(format!("Invalid params: _meta lacks {key}"))
}

fn version_of(call: &Call) -> Result<Cow<'_, str>, RpcError> {
    let Some(version) = call.meta.protocol_version.as_ref() else {
        return Err(missing(meta::PROTOCOL_VERSION));
    };
    version.as_str().ok_or_else(|| {
        RpcError::invalid_params(format!("Invalid params: {} must be a string", meta::PROTOCOL_VERSION))
    })
}

/// The part of the checks that does not depend on headers.
pub(crate) fn check_body(call: &Call) -> Result<(), RpcError> {
    let version = version_of(call)?;
    if version != latest::DATE {
        let supported: Vec<&str> = Revision::ALL.iter().rev().map(|r| r.as_str()).collect();
        return Err(RpcError::unsupported_version(&version, &supported));
    }
    match &call.meta.client_capabilities {
        None => Err(missing(meta::CLIENT_CAPABILITIES)),
        Some(raw) if !protocol::call::is_object(raw) => {
            let text = format!("Invalid params: {} must be an object", meta::CLIENT_CAPABILITIES);
            Err(RpcError::invalid_params(text))
        }
        Some(_) => check_meta(call),
    }
}

fn check_meta(call: &Call) -> Result<(), RpcError> {
    let invalid = |what: &str| Err(RpcError::invalid_params(format!("Invalid params: {what}")));
    if call.meta.client_info.as_ref().is_some_and(|i| !protocol::call::is_object(i)) {
        return invalid("clientInfo must be an object");
    }
    if let Some(level) = &call.meta.log_level {
        let known = level.as_str().is_some_and(|l| crate::pipeline::severity(&l).is_some());
        if !known {
            return invalid("logLevel must be one of the eight levels of RFC 5424");
        }
    }
    if call.meta.progress_token.as_ref().is_some_and(|t| Id::from_raw(t.clone()).is_none()) {
        return invalid("progressToken must be a string or an integer");
    }
    Ok(())
}

/// Methods of the core and the extensions we know; at a direct endpoint also those that only its upstream
/// may know.
pub(crate) fn served(x: &Exchange, method: &Method) -> bool {
    let other = |text: &str| x.endpoint.answers(text) && !extensions::refuses(x, method);
    method.modern_request() || matches!(method, Method::Other(text) if other(text))
}

async fn answer(id: &Id, reply: Reply, accepts: Accepts) -> Answer {
    match reply {
        Reply::Ready(outcome) => ready(id, outcome, accepts),
        Reply::Stream(items) if accepts.events => answer::events(stream(id.clone(), items)),
        Reply::Stream(items) => match Reply::Stream(items).outcome().await {
            Ok(Some(outcome)) => ready(id, outcome, accepts),
            Ok(None) => {
                answer::error(Some(id), &RpcError::new(code::UPSTREAM_BROKE, "The upstream broke off"))
            }
            Err(error) => answer::error(Some(id), &error.to_rpc()),
        },
    }
}

fn ready(id: &Id, outcome: Outcome, accepts: Accepts) -> Answer {
    if !accepts.json {
        return answer::events(Box::pin(outcome_event(id, outcome)));
    }
    match outcome {
        Outcome::Result(Body::Whole(result)) => answer::json(StatusCode::OK, envelope::result(id, &result)),
        Outcome::Result(Body::Stream(chunks)) => {
            answer::streamed_result(id, Box::pin(chunks.map(|chunk| chunk.map_err(boxed))))
        }
        Outcome::Error(error) => {
            let status = http_status(RpcError::read(&error).code);
            answer::error_with(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), Some(id), &error)
        }
    }
}

fn boxed(error: CallError) -> BodyError {
    Box::new(error)
}

/// Notifications, then the response, as events.
fn stream(id: Id, items: ItemStream) -> Chunks {
    Box::pin(items.flat_map(move |item| -> Chunks {
        match item {
            Ok(Item::Notification { method, params }) => {
                let message = envelope::notification(method.as_str(), params.as_ref());
                Box::pin(futures_util::stream::iter([Ok(sse::event(None, &message))]))
            }
            Ok(Item::HungUp) => Box::pin(futures_util::stream::empty()),
            Ok(Item::Done(outcome)) => Box::pin(outcome_event(&id, outcome)),
            Err(error) => {
                let message = envelope::error(Some(&id), &error.to_rpc().to_raw());
                Box::pin(futures_util::stream::iter([Ok(sse::event(None, &message))]))
            }
        }
    }))
}

/// The response as one event. JSON has no line breaks outside of its white space, so a large result can
/// pass in chunks.
fn outcome_event(id: &Id, outcome: Outcome) -> Chunks {
    let one = |message: bytes::Bytes| -> Chunks {
        Box::pin(futures_util::stream::iter([Ok(sse::event(None, &message))]))
    };
    match outcome {
        Outcome::Result(Body::Whole(result)) => one(envelope::result(id, &result)),
        Outcome::Error(error) => one(envelope::error(Some(id), &error)),
        Outcome::Result(Body::Stream(chunks)) => {
            let mut head = b"event: message\ndata: ".to_vec();
            head.extend_from_slice(&envelope::result_head(id));
            let head = futures_util::stream::iter([Ok(bytes::Bytes::from(head))]);
            let tail = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"}\n\n"))]);
            let flat = chunks.map(|chunk| chunk.map(unbroken).map_err(boxed));
            Box::pin(head.chain(flat).chain(tail))
        }
    }
}

fn unbroken(chunk: bytes::Bytes) -> bytes::Bytes {
    if memchr::memchr2(b'\n', b'\r', &chunk).is_none() {
        return chunk;
    }
    let flat: Vec<u8> = chunk.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }).collect();
    bytes::Bytes::from(flat)
}

/// The caller of a request that has not been read yet.
pub(crate) fn unknown_caller(principal: model::Principal) -> catalog::Caller {
    let client_info = Raw::literal("{}");
    catalog::Caller { principal, capabilities: Capabilities::none(), client_info, trace: None }
}
