//! One HTTP request, from its head to its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use model::Principal;
use protocol::{EnvelopeError, Message, Revision, RpcError, code};

use crate::answer::{self, Answer};
use crate::app::{App, Exchange, Generation};
use crate::route::{Route, route};
use crate::{legacy, modern};

/// Serves a request. Never fails: whatever goes wrong has an answer.
pub(crate) async fn serve<B>(app: Arc<App>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if let Some(refusal) = refuse_coding(request.headers()) {
        app.metrics.refused("coding");
        return refusal;
    }
    let generation = app.generation();
    let guard = &generation.guard;
    if let Some(refusal) = guard.refuse(request.uri(), request.headers()) {
        app.metrics.refused("host_or_origin");
        return refusal;
    }
    let origin: HeaderMap = request
        .headers()
        .get(http::header::ORIGIN)
        .map(|o| (http::header::ORIGIN, o.clone()))
        .into_iter()
        .collect();
    let mut answer = if *request.method() == Method::OPTIONS {
        guard.preflight(request.headers())
    } else {
        dispatch(&app, &generation, request).await
    };
    guard.cors(&origin, &mut answer);
    answer
}

/// The answer to a request whose body is coded in a way that another reader might undo differently.
///
/// Chunks are the one coding that everybody reads alike, and only where they are named once: what follows
/// another body on the connection may be part of it, so the connection ends (RFC 9112, section 6.1).
fn refuse_coding(headers: &HeaderMap) -> Option<Answer> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if chunked(coding) => {}
        _ => {
            let error = RpcError::invalid_request("Transfer-Encoding must be chunked, once");
            let mut answer = answer::error(None, &error);
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            return Some(answer);
        }
    }
    let plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !plain(value)).then(|| {
        let error = RpcError::invalid_request("Content-Encoding: a body must not be compressed").to_raw();
        answer::error_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, &error)
    })
}

async fn dispatch<B>(app: &Arc<App>, generation: &Arc<Generation>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let path = request.uri().path().to_owned();
    let route = route(&path);
    let get = *request.method() == Method::GET;
    match route {
        Route::Metrics if get => metrics(app, generation),
        Route::Live if get => answer::text(StatusCode::OK, "ok\n"),
        Route::Ready if get && app.is_draining() => {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        }
        Route::Ready if get => answer::text(StatusCode::OK, "ok\n"),
        Route::Metrics | Route::Live | Route::Ready => not_allowed("GET"),
        Route::Unknown => answer::text(
            StatusCode::NOT_FOUND,
            "Nothing is served here. Endpoints are at /mcp and /NAME/mcp.\n",
        ),
        Route::Mcp(name) | Route::Sse(name) | Route::Messages(name) => {
            let Some(endpoint) = generation.endpoints.get(name) else {
                return answer::text(StatusCode::NOT_FOUND, "There is no endpoint of that name.\n");
            };
            if app.is_draining() {
                return draining();
            }
            let x = Exchange {
                app: Arc::clone(app),
                generation: Arc::clone(generation),
                endpoint: Arc::clone(endpoint),
                caller: modern::unknown_caller(Principal::anonymous()),
                headers: Arc::new(request.headers().clone()),
                over_http: true,
                revision: Revision::NEWEST,
            };
            let Some(_call) = Call::begin(app, generation.limits.calls_max) else {
                app.metrics.refused("calls_max");
                return busy(generation.limits.calls_max);
            };
            endpoint_request(x, route, request).await
        }
    }
}

/// One of the requests that are served at a time.
struct Call<'a>(&'a App);

impl<'a> Call<'a> {
    fn begin(app: &'a App, max: usize) -> Option<Self> {
        let before = app.calls.fetch_add(1, Ordering::AcqRel);
        let call = Self(app);
        (before < max).then_some(call)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn endpoint_request<B>(x: Exchange, route: Route<'_>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    match (route, request.method()) {
        (Route::Mcp(_), &Method::POST) => post(x, request).await,
        (Route::Mcp(_), &Method::GET) => legacy::get(x).await,
        (Route::Mcp(_), &Method::DELETE) => legacy::delete(&x),
        (Route::Mcp(_), _) => not_allowed("GET, POST, DELETE"),
        (Route::Sse(_), &Method::GET) => {
            let path = request.uri().path().trim_end_matches("sse").to_owned() + "messages";
            legacy::pair_open(&x, &path)
        }
        (Route::Messages(_), &Method::POST) => {
            let query = request.uri().query().unwrap_or_default().to_owned();
            match message(&x, request).await {
                Ok(Incoming::One(message)) => legacy::pair_post(x, &query, *message).await,
                Ok(Incoming::Batch(body)) => match Message::parse(body) {
                    Err(error) => unreadable(&error),
                    Ok(_) => {
                        answer::error(None, &RpcError::invalid_request("Invalid request: expected an object"))
                    }
                },
                Err(answer) => *answer,
            }
        }
        (Route::Sse(_), _) => not_allowed("GET"),
        _ => not_allowed("POST"),
    }
}

async fn post<B>(x: Exchange, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    match message(&x, request).await {
        Ok(Incoming::One(message)) if modern::is_modern(&x.headers, &message) => {
            modern::post(x, *message).await
        }
        Ok(Incoming::One(message)) => legacy::post(x, *message).await,
        Ok(Incoming::Batch(body)) => legacy::batch(x, body).await,
        Err(answer) => *answer,
    }
}

enum Incoming {
    One(Box<Message>),
    Batch(Bytes),
}

/// Reads the message of a POST.
async fn message<B>(x: &Exchange, request: Request<B>) -> Result<Incoming, Box<Answer>>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if !is_json(request.headers()) {
        let error = RpcError::invalid_request("Content-Type must be application/json").to_raw();
        return Err(Box::new(answer::error_with(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, &error)));
    }
    let limits = &x.generation.limits;
    let read = read_body(request.into_body(), limits.request_bytes_max);
    let body = match tokio::time::timeout(limits.body_read_timeout, read).await {
        Ok(Ok(body)) => body,
        Ok(Err(BodyError::TooLarge)) => {
            x.app.metrics.refused("body_too_large");
            let text = format!(
                "the body is larger than {} bytes (limit request_bytes_max)",
                limits.request_bytes_max
            );
            let error = RpcError::new(code::LIMIT, text).to_raw();
            return Err(Box::new(answer::error_with(StatusCode::PAYLOAD_TOO_LARGE, None, &error)));
        }
        Ok(Err(BodyError::Broken)) => {
            return Err(Box::new(answer::error(
                None,
                &RpcError::invalid_request("the body ended too early"),
            )));
        }
        Err(_slow) => {
            x.app.metrics.refused("body_too_slow");
            let error =
                RpcError::new(code::LIMIT, "the body came too slowly (limit body_read_timeout)").to_raw();
            return Err(Box::new(answer::error_with(StatusCode::REQUEST_TIMEOUT, None, &error)));
        }
    };
    if body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[') {
        return Ok(Incoming::Batch(body));
    }
    match Message::parse(body) {
        Ok(message) => Ok(Incoming::One(Box::new(message))),
        Err(error) => Err(Box::new(unreadable(&error))),
    }
}

/// The answer to what is no message.
fn unreadable(error: &EnvelopeError) -> Answer {
    let (id, error) = error.to_rpc();
    answer::error(id.as_ref(), &error)
}

enum BodyError {
    TooLarge,
    Broken,
}

/// Reads a body without growing past the limit; one that comes in one piece is not copied.
async fn read_body<B>(mut body: B, max: usize) -> Result<Bytes, BodyError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > max as u64 {
        return Err(BodyError::TooLarge);
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(BodyError::Broken) };
        let Ok(data) = frame.into_data() else { continue };
        let size = first.as_ref().map_or(all.len(), Bytes::len);
        if size + data.len() > max {
            return Err(BodyError::TooLarge);
        }
        match first.take() {
            None if all.is_empty() => first = Some(data),
            before => {
                if let Some(before) = before {
                    all.extend_from_slice(&before);
                }
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn metrics(app: &App, generation: &Generation) -> Answer {
    app.metrics.sessions.set(i64::try_from(app.sessions.count()).unwrap_or(i64::MAX));
    let mut answer = answer::text(StatusCode::OK, app.metrics.render(generation));
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = answer::text(StatusCode::METHOD_NOT_ALLOWED, "That method has no meaning here.\n");
    answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(allow));
    answer
}

fn draining() -> Answer {
    unavailable("this gateway is shutting down: nothing ran, try again")
}

fn busy(max: usize) -> Answer {
    unavailable(&format!(
        "this gateway serves {max} requests at a time (limit calls_max): nothing ran, try again"
    ))
}

fn unavailable(text: &str) -> Answer {
    let error = RpcError::new(code::LIMIT, text).to_raw();
    let mut answer = answer::error_with(StatusCode::SERVICE_UNAVAILABLE, None, &error);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
