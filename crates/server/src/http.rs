//! One HTTP request, from its head to its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use catalog::Endpoint;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, ORIGIN, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::Full;
use identity::Certificate;
use model::ReplicaId;
use protocol::{Id, Message, Revision, RpcError};

use crate::answer::{self, Answer};
use crate::app::{App, Exchange, Generation};
use crate::body::{self, Incoming};
use crate::door::{self, Knock};
use crate::drain::{self, Phase};
use crate::overload::{Reason, SIGNED_ON, Shed, Stage};
use crate::replica::{self, Received};
use crate::route::{BrokerRoute, Route, route};
use crate::{account, agree, broker, consent, legacy, life, modern, note, published};

/// Serves a request. Never fails: whatever goes wrong has an answer.
pub(crate) async fn serve<B>(app: Arc<App>, request: Request<B>) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    serve_from(app, request, false).await
}

/// Serves a request that another replica has sent on, like any client's: all checks are made again.
pub(crate) async fn serve_forwarded(app: Arc<App>, request: Request<Full<Bytes>>) -> Answer {
    serve_from(app, request, true).await
}

/// Where a request came from: said by the listener, or by the replica that it came to first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct From(pub std::net::IpAddr);

/// By what way a request came.
struct Came {
    /// Whether another replica sent it on.
    forwarded: bool,
    /// The client's certificate.
    certificate: Option<Arc<Certificate>>,
    address: Option<std::net::IpAddr>,
}

async fn serve_from<B>(app: Arc<App>, request: Request<B>, forwarded: bool) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (mut head, mut body) = request.into_parts();
    let waits = head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT);
    let mut answer = serve_parts(app, (&mut head, forwarded), &mut body).await;
    if waits && !body::drained(&mut body).await {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

async fn serve_parts<B>(app: Arc<App>, (head, forwarded): (&mut Parts, bool), body: B) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    // The listener says it, or another replica's. Nothing that a client sends becomes an extension.
    let certificate = head.extensions.remove::<Arc<Certificate>>();
    let address = head.extensions.remove::<From>().map(|From(address)| address);
    if let Some(refusal) = refuse_coding(&head.headers) {
        app.metrics.refused("coding");
        return refusal;
    }
    let generation = app.generation();
    let guard = &generation.guard;
    if let Some(refusal) = guard.refuse(&head.uri, &head.headers) {
        app.metrics.refused("host_or_origin");
        return refusal;
    }
    let origin = head.headers.get(ORIGIN).cloned();
    let for_any_page = route(head.uri.path()).is_for_any_page();
    let mut answer = if head.method == Method::OPTIONS {
        guard.preflight(&head.headers)
    } else {
        dispatch(&app, &generation, (head, Came { forwarded, certificate, address }), body).await
    };
    if for_any_page {
        guard.cors_for_any(&mut answer);
    } else if let Some(origin) = origin {
        guard.cors(origin, &mut answer);
    }
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

async fn dispatch<B>(
    app: &Arc<App>,
    generation: &Arc<Generation>,
    (head, came): (&mut Parts, Came),
    body: B,
) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (method, headers) = (std::mem::take(&mut head.method), std::mem::take(&mut head.headers));
    let uri = std::mem::take(&mut head.uri);
    let route = route(uri.path());
    let get = method == Method::GET;
    match route {
        Route::Metrics if get => metrics(app, generation),
        Route::Live if get => answer::text(StatusCode::OK, "ok\n"),
        Route::Ready if get => ready(app),
        Route::Connect if get => Box::pin(consent::connect(app, generation, &uri, &headers)).await,
        Route::Callback if get => {
            let answer = Box::pin(consent::callback(app, generation, &uri, &headers)).await;
            note::form_answered(app, ("sign_in_return", None), came.address, answer).await
        }
        Route::Client if get => consent::client_document(app, generation, &headers),
        Route::Account | Route::Agree | Route::Broker(_) => {
            let parts = (&method, &uri, &headers);
            Box::pin(pages((app, generation), route, parts, (came.address, body))).await
        }
        Route::Metrics | Route::Live | Route::Ready | Route::Connect | Route::Callback | Route::Client => {
            not_allowed("GET")
        }
        Route::ResourceMetadata(..) | Route::Card(_) | Route::Catalog | Route::Registry(_) => {
            Box::pin(beforehand((app, generation), route, (&method, &uri, &headers), &came)).await
        }
        Route::Unknown => answer::text(
            StatusCode::NOT_FOUND,
            "Nothing is served here. Endpoints are at /mcp and /NAME/mcp.\n",
        ),
        Route::Mcp(name) | Route::Sse(name) | Route::Messages(name) => {
            let Some(endpoint) = generation.endpoints.get(name) else {
                return answer::text(StatusCode::NOT_FOUND, "There is no endpoint of that name.\n");
            };
            if let Some(refusal) = life::refusal(endpoint, app.clock.now()) {
                return refusal;
            }
            let asked = (&method, &uri, headers);
            let mut answer = at_endpoint((app, generation), (endpoint, route), asked, came, body).await;
            life::announce(endpoint, &mut answer);
            answer
        }
    }
}

/// What an endpoint answers.
async fn at_endpoint<B>(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    (endpoint, route): (&Arc<Endpoint>, Route<'_>),
    (method, uri, headers): (&Method, &Uri, HeaderMap),
    came: Came,
    body: B,
) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let name = endpoint.name();
    // Who was let in before the drain is served, also if what they ask for comes only now.
    if app.has_reached(Phase::Ending) {
        return unavailable(None, &drain::too_late());
    }
    // Before anything of them is read, and before they take a place.
    let own = came.certificate.clone();
    let certificate = own.as_ref();
    let knock = Knock { endpoint: name, method, uri, headers: &headers, certificate };
    let who = match door::admit(app, generation, &knock).await {
        Ok(who) => who,
        Err(refusal) => return *refusal,
    };
    let x = exchange((app, generation), endpoint, who, (headers, came));
    // Those that run and those that wait, before anything of them is read.
    let max = generation.limits.calls_max.saturating_add(generation.limits.queue_max);
    let Some(_call) = Call::begin(app, max) else {
        app.metrics.refused("calls_max");
        let max = generation.limits.calls_max;
        return shed(app, None, &Shed { reason: Reason::QueueFull, tenant: None, max });
    };
    let (who, headers) = (Arc::clone(&x.who), Arc::clone(&x.headers));
    let stale = Arc::clone(&x.stale);
    let answer = endpoint_request(x, route, (method, uri), body).await;
    let knock = Knock { endpoint: name, method, uri, headers: &headers, certificate };
    let answer = door::unless_stale(app, generation, &knock, stale.get(), answer);
    unless_barred((app, generation), who, &knock, answer)
}

/// What those get who look before they connect.
async fn beforehand(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    route: Route<'_>,
    request: (&Method, &Uri, &HeaderMap),
    came: &Came,
) -> Answer {
    let document = match route {
        Route::Card(_) => "card",
        Route::Catalog => "catalog",
        Route::Registry(_) => "registry",
        _ => "resource_metadata",
    };
    let answer = published((app, generation), route, request, came).await;
    app.metrics.read(document, answer.status());
    answer
}

async fn published(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    route: Route<'_>,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    came: &Came,
) -> Answer {
    let get = method == Method::GET;
    match route {
        Route::ResourceMetadata(name, path) if get => door::metadata(app, generation, (name, path), headers),
        Route::Card(name) if get || method == Method::HEAD => published::card(app, generation, name, headers),
        Route::Catalog if get || method == Method::HEAD => published::catalog(app, generation, headers),
        Route::Registry(rest) if get => {
            let max = generation.limits.calls_max.saturating_add(generation.limits.queue_max);
            let Some(_call) = Call::begin(app, max) else {
                app.metrics.refused("calls_max");
                let max = generation.limits.calls_max;
                return shed(app, None, &Shed { reason: Reason::QueueFull, tenant: None, max });
            };
            let certificate = came.certificate.as_ref();
            let knock = Knock { endpoint: "", method, uri, headers, certificate };
            published::registry(app, generation, rest, &knock).await
        }
        Route::Registry(_) | Route::ResourceMetadata(..) => not_allowed("GET"),
        _ => not_allowed("GET, HEAD"),
    }
}

fn ready(app: &App) -> Answer {
    if !app.has_reached(Phase::Leaving) {
        return answer::text(StatusCode::OK, "ok\n");
    }
    let why = if app.drain.is_handed_over() {
        "draining: another process has taken over\n"
    } else {
        "draining: this process was told to stop\n"
    };
    answer::text(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// The largest form or document that the authorization server reads, in bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;

/// What people and clients get who want tokens, or want to see what they have granted.
async fn pages<B>(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    route: Route<'_>,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    (address, body): (Option<std::net::IpAddr>, B),
) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let body = if method == Method::POST {
        match body::read_form(app, generation, body, FORM_BYTES_MAX).await {
            Ok(body) => body,
            Err(answer) => return *answer,
        }
    } else {
        Bytes::new()
    };
    if route == Route::Agree && method == Method::POST {
        let form = broker::form(headers, &body).unwrap_or_default();
        return agree::said((app, generation), form, headers, address).await;
    }
    let answer = page((app, generation), &route, (method, uri, headers), &body).await;
    if method != Method::POST {
        return answer;
    }
    let kind = match route {
        Route::Account => "account_change",
        Route::Broker(BrokerRoute::Authorize) => "client_consent",
        Route::Broker(BrokerRoute::Token) => "token_issue",
        Route::Broker(BrokerRoute::Register) => "client_register",
        Route::Broker(BrokerRoute::Revoke) => "token_revoke",
        _ => return answer,
    };
    let form = broker::form(headers, &body).unwrap_or_default();
    let mut fields = form_urlencoded::parse(form.as_bytes());
    let client = fields.find(|(name, _)| name == "client_id").map(|(_, client)| client);
    note::form_answered(app, (kind, client.as_deref()), address, answer).await
}

async fn page(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    route: &Route<'_>,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    body: &Bytes,
) -> Answer {
    let form = || broker::form(headers, body).unwrap_or_default();
    let (get, post) = (method == Method::GET, method == Method::POST);
    let part = match route {
        Route::Account if get => return account::shown(app, generation, uri, headers).await,
        Route::Account if post => return account::changed(app, generation, form(), headers).await,
        Route::Agree if get => return agree::shown(app, generation, uri, headers).await,
        Route::Broker(part) => part,
        _ => return not_allowed("GET, POST"),
    };
    let Some(broker) = &generation.broker else {
        return answer::text(
            StatusCode::NOT_FOUND,
            "This gateway is no authorization server. See `auth.broker`.\n",
        );
    };
    match part {
        BrokerRoute::Metadata if get => broker::metadata(app, generation, broker, headers),
        BrokerRoute::Jwks if get => broker::jwks(broker),
        BrokerRoute::Authorize if get => broker::asked(app, generation, broker, uri, headers).await,
        BrokerRoute::Authorize if post => broker::decided(app, generation, broker, form(), headers).await,
        BrokerRoute::Token if post => broker::token(app, generation, broker, headers, body).await,
        BrokerRoute::Register if post => broker::register(broker, headers, body).await,
        BrokerRoute::Revoke if post => broker::revoke(app, generation, broker, headers, body).await,
        BrokerRoute::Metadata | BrokerRoute::Jwks => not_allowed("GET"),
        BrokerRoute::Authorize => not_allowed("GET, POST"),
        BrokerRoute::Token | BrokerRoute::Register | BrokerRoute::Revoke => not_allowed("POST"),
    }
}

/// The answer, as far as its reader is not barred meanwhile: what is still to come of it ends then.
fn unless_barred(
    (app, generation): (&Arc<App>, &Generation),
    who: Arc<identity::Caller>,
    knock: &Knock<'_>,
    answer: Answer,
) -> Answer {
    let list = app.barred.list();
    if list.refuses(&who) {
        return door::barred(app, generation, knock);
    }
    if !answer::streams(&answer) {
        return answer;
    }
    let list = Arc::clone(list);
    answer::ends_with(answer, async move { list.refused(&who).await })
}

/// What is known of a request before it is read.
fn exchange(
    (app, generation): (&Arc<App>, &Arc<Generation>),
    endpoint: &Arc<catalog::Endpoint>,
    who: Arc<identity::Caller>,
    (headers, came): (HeaderMap, Came),
) -> Exchange {
    Exchange {
        app: Arc::clone(app),
        generation: Arc::clone(generation),
        endpoint: Arc::clone(endpoint),
        caller: modern::unknown_caller(who.principal.clone()),
        who,
        headers: Arc::new(headers),
        over_http: true,
        forwarded: came.forwarded,
        certificate: came.certificate,
        revision: Revision::NEWEST,
        lines: None,
        replay: None,
        request_id: None,
        place: None,
        hosted: None,
        address: came.address,
        noted: None,
        stale: Arc::default(),
        through: false,
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

/// What of an exchange its request is sent on with, once the exchange is somebody else's.
struct Sender {
    app: Arc<App>,
    headers: Arc<HeaderMap>,
    certificate: Option<Arc<Certificate>>,
    address: Option<std::net::IpAddr>,
}

impl Sender {
    fn of(x: &Exchange) -> Self {
        let (headers, certificate) = (Arc::clone(&x.headers), x.certificate.clone());
        Self { app: Arc::clone(&x.app), headers, certificate, address: x.address }
    }

    async fn take_turn(&self, turn: Turn, (method, target): (&Method, &Uri), body: Bytes) -> Answer {
        let certificate = self.certificate.as_ref();
        let (headers, address) = (&self.headers, self.address);
        let received = Received { method, target, headers, certificate, address, body };
        take_turn(&self.app, turn, received).await
    }
}

async fn endpoint_request<B>(
    mut x: Exchange,
    route: Route<'_>,
    (method, uri): (&Method, &Uri),
    body: B,
) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    match (route, method) {
        (Route::Mcp(_), &Method::POST) => post(x, uri, body).await,
        (Route::Mcp(_), &Method::GET) => {
            let sender = Sender::of(&x);
            let left = x.who.left(x.app.clock.now());
            let turn = Box::pin(legacy::get(x)).await;
            answer::ends_after(sender.take_turn(turn, (method, uri), Bytes::new()).await, left)
        }
        (Route::Mcp(_), &Method::DELETE) => legacy::delete(&x).await,
        (Route::Mcp(_), _) => not_allowed("GET, POST, DELETE"),
        (Route::Sse(_), &Method::GET) => {
            let path = uri.path().trim_end_matches("sse").to_owned() + "messages";
            let left = x.who.left(x.app.clock.now());
            answer::ends_after(legacy::pair_open(&x, &path), left)
        }
        (Route::Messages(_), &Method::POST) => {
            let query = uri.query().unwrap_or_default();
            match body::read(&x, body).await {
                Ok(Incoming::One(message, body)) => {
                    if let Err(answer) = Box::pin(place_for(&mut x, &message)).await {
                        return *answer;
                    }
                    let sender = Sender::of(&x);
                    // What is answered here is only that it came.
                    x.stale = Arc::default();
                    let turn = Box::pin(legacy::pair_post(x, query, *message)).await;
                    sender.take_turn(turn, (method, uri), body).await
                }
                Ok(Incoming::Batch(all)) => match Message::parse(all) {
                    Err(error) => body::unreadable(&error),
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

async fn post<B>(mut x: Exchange, uri: &Uri, body: B) -> Answer
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    // Boxed, because a connection keeps room for all that it may have to hold, also while it idles.
    let (message, body) = match body::read(&x, body).await {
        Ok(Incoming::One(message, body)) => (message, body),
        Ok(Incoming::Batch(all)) => {
            if let Err(answer) = Box::pin(place(&mut x, None)).await {
                return *answer;
            }
            let sender = Sender::of(&x);
            // One answer for several requests is no challenge to any of them.
            x.stale = Arc::default();
            let turn = Box::pin(legacy::batch(x, all.clone())).await;
            return Box::pin(sender.take_turn(turn, (&Method::POST, uri), all)).await;
        }
        Err(answer) => return *answer,
    };
    if let Err(answer) = Box::pin(place_for(&mut x, &message)).await {
        return *answer;
    }
    let sender = Sender::of(&x);
    let turn = if modern::is_modern(&x.headers, &message) {
        Box::pin(modern::post(x, *message)).await
    } else {
        Box::pin(legacy::post(x, *message)).await
    };
    match turn {
        Turn::Here(answer) => answer,
        other => Box::pin(sender.take_turn(other, (&Method::POST, uri), body)).await,
    }
}

/// Who answers a request.
pub(crate) enum Turn {
    /// This replica does.
    Here(Answer),
    /// What it is about lives elsewhere; the answer that stands in where that replica is gone.
    Owner(ReplicaId, Gone),
    /// This replica does, and all others are to hear of it.
    Everybody(Answer),
}

/// The answer in place of an owner that gave none, made of whether the request may have had an effect.
pub(crate) type Gone = Box<dyn FnOnce(bool) -> BoxFuture<'static, Answer> + Send>;

impl Turn {
    /// A request for its owner, with an answer in its place that is there at once.
    pub fn owner(owner: ReplicaId, gone: impl FnOnce(bool) -> Answer + Send + 'static) -> Self {
        Self::Owner(owner, Box::new(move |ran| std::future::ready(gone(ran)).boxed()))
    }
}

async fn take_turn(app: &Arc<App>, turn: Turn, received: Received<'_>) -> Answer {
    match turn {
        Turn::Here(answer) => answer,
        Turn::Everybody(answer) => {
            replica::tell_others(&app.replicas, received).await;
            answer
        }
        Turn::Owner(owner, gone) => match replica::forward(&app.replicas, &owner, received).await {
            Ok(answer) => {
                app.metrics.forwarded("answered");
                answer
            }
            Err(error) => {
                app.metrics.forwarded("failed");
                tracing::warn!(%error, "a request could not be sent on to its replica");
                gone(error.may_have_run()).await
            }
        },
    }
}

fn metrics(app: &App, generation: &Generation) -> Answer {
    let figure = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    app.metrics.sessions.set(figure(app.sessions.count()));
    app.metrics.calls_running.set(figure(app.gate.running() as u64));
    app.metrics.calls_waiting.set(figure(app.gate.waiting() as u64));
    app.metrics.memory_stage.set(app.memory.stage() as i64);
    app.metrics.memory_bytes.set(figure(app.memory.figures().0));
    app.metrics.keys(app.handles.keys.counts(app.clock.now()));
    let mut answer = answer::text(
        StatusCode::OK,
        app.metrics.render(
            generation,
            app.watch.tracer.as_ref().map(|tracer| tracer.figures()),
            app.tasks().map(tasks::Tasks::figures),
            app.recorder().and_then(|recorder| recorder.figures()),
        ),
    );
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn not_allowed(allow: &'static str) -> Answer {
    let mut answer = answer::text(StatusCode::METHOD_NOT_ALLOWED, "That method has no meaning here.\n");
    answer.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static(allow));
    answer
}

/// Gives a request a place among those that run, once there is one.
async fn place(x: &mut Exchange, id: Option<&Id>) -> Result<(), Box<Answer>> {
    let app = Arc::clone(&x.app);
    if app.memory.stage() == Stage::Hard {
        return Err(Box::new(shed(&app, id, &Shed::memory())));
    }
    let tenant = match x.who.issuer {
        // One that signed on shares with others of its tenant, at whatever endpoint.
        Some(_) => app.gate.tenant(&format!("{SIGNED_ON}{}", x.who.principal.tenant())),
        // There is one for each endpoint.
        None => match x.generation.tenants.get(x.endpoint.name()) {
            Some(tenant) => Arc::clone(tenant),
            None => return Ok(()),
        },
    };
    let entered = tokio::select! {
        biased;
        entered = app.gate.enter(&tenant) => entered,
        () = app.reached(Phase::Ending) => return Err(Box::new(unavailable(id, &drain::too_late()))),
    };
    match entered {
        // It came free because everything is ended.
        Ok(_) if app.has_reached(Phase::Ending) => Err(Box::new(unavailable(id, &drain::too_late()))),
        Ok(place) => {
            x.place = Some(Arc::new(place));
            Ok(())
        }
        Err(refused) => Err(Box::new(shed(&app, id, &refused))),
    }
}

/// The same for a message, if it is a request: answers and notifications help what runs already to its end.
async fn place_for(x: &mut Exchange, message: &Message) -> Result<(), Box<Answer>> {
    match message {
        Message::Request(request) => place(x, Some(&request.id)).await,
        _ => Ok(()),
    }
}

/// The answer to who finds no place.
pub(crate) fn shed(app: &App, id: Option<&Id>, refused: &Shed) -> Answer {
    app.metrics.shed(refused.reason.as_str());
    let mut answer = unavailable(id, &refused.to_rpc());
    // Not all at the same time.
    let seconds = 1 + app.rng.next_u64() % 3;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// An answer to who comes at the wrong time.
pub(crate) fn unavailable(id: Option<&Id>, error: &RpcError) -> Answer {
    let mut answer = answer::error_with(StatusCode::SERVICE_UNAVAILABLE, id, &error.to_raw());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
