//! One POST and what it brings back.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use egress::{EgressError, Http, ResponseBody};
use futures_util::StreamExt as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use protocol::json::{Extractor, Piece};
use protocol::{Id, Message, Raw};
use tokio::time::Instant;

use super::EventStream;
use crate::core::{Core, Stats};
use crate::resilience::Sending;
use crate::timed::timed;
use crate::{Body, CallError, CallErrorKind, Credentials, Next, Why};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The way to one MCP endpoint.
#[derive(Clone)]
pub(crate) struct HttpLink {
    pub core: Arc<Core>,
    way: Arc<Way>,
}

struct Way {
    http: Http,
    url: Uri,
    timeouts: egress::Timeouts,
    headers: HeaderMap,
    credentials: Option<Arc<dyn Credentials>>,
    /// Whether it leads to this one address, also where the server has several.
    straight: bool,
}

/// The header of a proof of possession (RFC 9449, section 4.1).
const POSSESSION: http::HeaderName = http::HeaderName::from_static("dpop");
/// How often a request is sent that the server refuses for its proof.
const PROOFS_MAX: u32 = 3;

/// What a POST brought back.
pub(crate) enum Answer {
    /// The request's response.
    Outcome(Result<Raw, Raw>),
    /// The request's result, too large to be kept.
    Large(Body),
    /// A stream of messages.
    Events(EventStream),
    /// Nothing, and that is fine.
    Accepted,
    /// The server did not take it.
    Refused(Refusal),
}

/// A status that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    /// The JSON-RPC error in the body, where there is one.
    pub error: Option<Raw>,
    /// How long the server asks to wait (RFC 9110, section 10.2.3), as far as it says so in seconds.
    pub retry_after: Option<Duration>,
}

/// The longest wait that a server is believed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What `Retry-After` says in seconds. A date is for clients that trust their clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(text.trim().parse().ok()?).min(RETRY_AFTER_MAX))
}

impl HttpLink {
    pub fn new(core: Arc<Core>, http: Http, url: Uri, extra: &[(http::HeaderName, HeaderValue)]) -> Self {
        let limits = core.options.timeouts;
        let timeouts = egress::Timeouts {
            first_byte: Some(limits.first_byte),
            idle: Some(limits.idle),
            ..egress::Timeouts::default()
        };
        let mut headers: HeaderMap = extra.iter().cloned().collect();
        if let Some(host) = host_of(&url) {
            headers.entry(HOST).or_insert(host);
        }
        Self { core, way: Arc::new(Way { http, url, timeouts, headers, credentials: None, straight: false }) }
    }

    /// The same way, on which the gateway proves itself by these.
    pub fn proving(&self, credentials: Option<Arc<dyn Credentials>>) -> Self {
        let Way { http, url, timeouts, headers, .. } = &*self.way;
        let (http, url, headers) = (http.clone(), url.clone(), headers.clone());
        let way = Way { http, url, timeouts: *timeouts, headers, credentials, straight: false };
        Self { core: Arc::clone(&self.core), way: Arc::new(way) }
    }

    /// The way to this one address of the server.
    pub fn straight(&self, url: Uri) -> Self {
        let Way { http, timeouts, credentials, .. } = &*self.way;
        let mut headers = self.way.headers.clone();
        // What the operator says in its place goes to all of them.
        if headers.get(HOST) == host_of(&self.way.url).as_ref()
            && let Some(host) = host_of(&url)
        {
            headers.insert(HOST, host);
        }
        let (http, credentials) = (http.clone(), credentials.clone());
        let way = Way { http, url, timeouts: *timeouts, headers, credentials, straight: true };
        Self { core: Arc::clone(&self.core), way: Arc::new(way) }
    }

    /// The same way with another path: where an HTTP+SSE server wants its messages.
    pub fn at(&self, url: Uri) -> Self {
        let Way { http, timeouts, headers, credentials, .. } = &*self.way;
        let (http, headers, credentials) = (http.clone(), headers.clone(), credentials.clone());
        let way = Way { http, url, timeouts: *timeouts, headers, credentials, straight: false };
        Self { core: Arc::clone(&self.core), way: Arc::new(way) }
    }

    /// Where it leads.
    pub fn url(&self) -> &Uri {
        &self.way.url
    }

    fn request(&self, method: Method, headers: HeaderMap, body: Bytes) -> Request<egress::Body> {
        let mut request = Request::new(egress::Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.way.url.clone();
        *request.headers_mut() = headers;
        let all = request.headers_mut();
        for (name, value) in self.way.headers.iter() {
            all.insert(name.clone(), value.clone());
        }
        request
    }

    /// Sends a message and gives the response's head.
    pub async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, CallError> {
        if method == Method::POST {
            headers.insert(CONTENT_TYPE, JSON);
            headers.insert(ACCEPT, BOTH);
        }
        self.ask(method, headers, body).await
    }

    /// Sends a request that is no message of the protocol, and gives the response's head.
    pub async fn ask(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, CallError> {
        match &self.way.credentials {
            None => self.send_once(self.request(method, headers, body)).await,
            // Boxed, so that calls of servers without do not carry it.
            Some(credentials) => Box::pin(self.prove(credentials, method, headers, body)).await,
        }
    }

    async fn send_once(&self, request: Request<egress::Body>) -> Result<Response<ResponseBody>, CallError> {
        Stats::add(&self.core.stats.requests);
        let (request, sending) = self.addressed(request);
        let sent = self.way.http.send(request, &self.way.timeouts).await;
        if let Some(sending) = sending {
            let failed = sent.as_ref().map_or(true, |response| response.status().is_server_error());
            if sending.answered(failed, Instant::now()) {
                Stats::add(&self.core.keeping.stats.ejections);
            }
        }
        sent.map_err(|error| egress_error(&self.core, &error))
    }

    /// The request for one of the server's addresses, where it has several.
    fn addressed(&self, mut request: Request<egress::Body>) -> (Request<egress::Body>, Option<Sending>) {
        let balance = self.core.keeping.balance.as_ref().filter(|_| !self.way.straight);
        let Some(balance) = balance else { return (request, None) };
        let Some((url, sending)) = balance.pick(Instant::now()) else { return (request, None) };
        // What the operator says in its place goes to all of them.
        if request.headers().get(HOST) == host_of(&self.way.url).as_ref()
            && let Some(host) = host_of(&url)
        {
            request.headers_mut().insert(HOST, host);
        }
        *request.uri_mut() = url;
        (request, Some(sending))
    }

    /// Sends a request with a proof, and again with another one where the server wants that.
    async fn prove(
        &self,
        credentials: &Arc<dyn Credentials>,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, CallError> {
        let mut attempt = 0;
        loop {
            let proof = credentials.proof(&method, &self.way.url).await.map_err(|error| {
                let kind = match error.why {
                    Why::Passing => CallErrorKind::Unreachable,
                    Why::Lasting => CallErrorKind::Unauthorized,
                    Why::Consent => CallErrorKind::Consent,
                };
                self.core.error(kind).detail(&error).unsent()
            })?;
            let mut request = self.request(method.clone(), headers.clone(), body.clone());
            if let Some(proof) = &proof {
                request.headers_mut().insert(AUTHORIZATION, proof.authorization.clone());
                if let Some(possession) = &proof.possession {
                    request.headers_mut().insert(POSSESSION, possession.clone());
                }
            }
            let response = self.send_once(request).await?;
            credentials.answered(response.headers());
            let status = response.status();
            let used = proof.as_ref().map(|proof| &proof.authorization);
            let refused = status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN;
            let next = match refused {
                true => credentials.refused(status, response.headers(), used, attempt),
                false => Next::GiveUp,
            };
            attempt += 1;
            match next {
                Next::Again if attempt < PROOFS_MAX => {}
                Next::Consent => return Err(self.core.error(CallErrorKind::Consent).unsent()),
                Next::Again | Next::GiveUp => return Ok(response),
            }
        }
    }

    /// Posts a message; `id` is the request's, `None` for notifications and responses.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
        id: Option<&Id>,
    ) -> Result<(Answer, HeaderMap), CallError> {
        let response = self.send(Method::POST, headers, body).await?;
        let (head, body) = response.into_parts();
        let answer = self.answer(head.status, &head.headers, body, id).await?;
        Ok((answer, head.headers))
    }

    async fn answer(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: ResponseBody,
        id: Option<&Id>,
    ) -> Result<Answer, CallError> {
        if !status.is_success() {
            let retry_after = retry_after(headers);
            return Ok(Answer::Refused(self.refusal(status, retry_after, body).await));
        }
        let Some(id) = id else { return Ok(Answer::Accepted) };
        match media_type(headers) {
            "application/json" => self.json(body, id).await,
            "text/event-stream" => Ok(Answer::Events(EventStream::new(Arc::clone(&self.core), body))),
            _ if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT => Ok(Answer::Accepted),
            other => Err(self.invalid(format!("a {status} answer of type {other:?}"))),
        }
    }

    async fn refusal(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        body: ResponseBody,
    ) -> Refusal {
        let limit = self.core.options.limits.response_buffer_bytes_max;
        let body = body.collect(limit).await.unwrap_or_default();
        let error = match Message::parse(body) {
            Ok(Message::Response(response)) => response.outcome.err(),
            _ => None,
        };
        Refusal { status, error, retry_after }
    }

    /// Reads a JSON answer: whole where it fits, as a stream where it does not.
    async fn json(&self, mut body: ResponseBody, id: &Id) -> Result<Answer, CallError> {
        let limit = self.core.options.limits.response_buffer_bytes_max;
        let mut kept: Vec<Bytes> = Vec::new();
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| self.after_head(&error))?;
            size += chunk.len();
            kept.push(chunk);
            if size > limit {
                return self.large(kept, body, id.clone());
            }
        }
        let whole = match kept.len() {
            1 => kept.pop().unwrap_or_default(),
            _ => {
                let mut whole = BytesMut::with_capacity(size);
                kept.iter().for_each(|chunk| whole.extend_from_slice(chunk));
                whole.freeze()
            }
        };
        match Message::parse(whole) {
            Ok(Message::Response(response)) if response.id.as_ref() == Some(id) => {
                Ok(Answer::Outcome(response.outcome))
            }
            Ok(Message::Response(response)) if response.id.is_none() && response.outcome.is_err() => {
                Ok(Answer::Outcome(response.outcome))
            }
            Ok(Message::Response(_)) => Err(self.invalid("a response to another request")),
            Ok(_) => Err(self.invalid("a JSON answer that is no response")),
            Err(error) => Err(self.invalid(error)),
        }
    }

    fn large(&self, kept: Vec<Bytes>, body: ResponseBody, id: Id) -> Result<Answer, CallError> {
        let stream = LargeResult {
            core: Arc::clone(&self.core),
            extractor: Extractor::new(64 * 1024),
            chunks: kept.into(),
            body,
            id,
            seen_id: false,
            ready: std::collections::VecDeque::new(),
        };
        let stream = futures_util::stream::unfold(Some(stream), |state| async move {
            let mut state = state?;
            match state.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(state))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        let late = self.core.error(CallErrorKind::Timeout);
        Ok(Answer::Large(Body::Stream(timed(stream, self.core.options.timeouts.total, late))))
    }

    fn invalid(&self, detail: impl std::fmt::Display) -> CallError {
        self.core.error(CallErrorKind::Invalid).detail(detail)
    }

    fn after_head(&self, error: &EgressError) -> CallError {
        egress_error(&self.core, error)
    }
}

/// What `Host` says, written once for all requests. Over TLS the connection may turn out to speak HTTP/2,
/// which has another place for it.
fn host_of(url: &Uri) -> Option<HeaderValue> {
    let host = url.host().filter(|_| url.scheme_str() == Some("http"))?;
    let text = match url.port_u16() {
        None | Some(80) => host.to_owned(),
        Some(port) => format!("{host}:{port}"),
    };
    HeaderValue::from_str(&text).ok()
}

/// A result on its way through.
struct LargeResult {
    core: Arc<Core>,
    extractor: Extractor,
    chunks: std::collections::VecDeque<Bytes>,
    body: ResponseBody,
    id: Id,
    seen_id: bool,
    ready: std::collections::VecDeque<Bytes>,
}

impl LargeResult {
    async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
        let invalid = |core: &Core, what: &str| core.error(CallErrorKind::Invalid).detail(what);
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Ok(Some(bytes));
            }
            let chunk = match self.chunks.pop_front() {
                Some(chunk) => chunk,
                None => match self.body.next().await {
                    Some(chunk) => chunk.map_err(|error| egress_error(&self.core, &error))?,
                    None if self.extractor.is_done() && self.seen_id => return Ok(None),
                    None => {
                        return Err(self
                            .core
                            .error(CallErrorKind::Broke)
                            .detail("the result ends too early"));
                    }
                },
            };
            let mut pieces = Vec::new();
            self.extractor
                .feed(&chunk, &mut pieces)
                .map_err(|error| invalid(&self.core, &error.to_string()))?;
            for piece in pieces {
                match piece {
                    Piece::Result(bytes) => self.ready.push_back(bytes),
                    Piece::Member(key, value) => match &*key {
                        b"\"id\"" if value == self.id.raw().as_bytes() => self.seen_id = true,
                        b"\"id\"" => return Err(invalid(&self.core, "a response to another request")),
                        b"\"error\"" => {
                            return Err(invalid(&self.core, "an error of more than the buffer's size"));
                        }
                        _ => {}
                    },
                }
            }
        }
    }
}

/// The media type without its parameters, in the case in which it came if it is one we know.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    ["application/json", "text/event-stream"]
        .into_iter()
        .find(|k| k.eq_ignore_ascii_case(kind))
        .unwrap_or(kind)
}

/// What an egress error means for a call.
pub(crate) fn egress_error(core: &Core, error: &EgressError) -> CallError {
    let kind = if error.nothing_sent() {
        CallErrorKind::Unreachable
    } else {
        match error {
            EgressError::FirstByteTimeout { .. }
            | EgressError::IdleTimeout { .. }
            | EgressError::TotalTimeout { .. } => CallErrorKind::Timeout,
            EgressError::BadResponse { .. } | EgressError::BodyTooLarge { .. } => CallErrorKind::Invalid,
            _ => CallErrorKind::Broke,
        }
    };
    core.error(kind).detail(chain(error))
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
