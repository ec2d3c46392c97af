//! The HTTP client: one pool, keep-alive, typed errors that say whether anything was sent.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use tokio::time::Instant;

use crate::body::ResponseBody;
use crate::connect::{Connector, ConnectorParts, Dial, dial_tcp};
use crate::error::EgressError;
use crate::guard::Guard;
use crate::resolve::{Resolve, SystemResolver};
use crate::settle::SettledExecutor;
use crate::tls::{Tls, TlsOptions};

/// The body of a request. It is there as a whole, so that a request which was not sent can be sent again.
pub type Body = Full<Bytes>;

/// How often an open HTTP/2 connection with streams on it is asked for a sign of life.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long the sign of life may take.
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What holds for all requests of a client.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// For the name, the connection and TLS together.
    pub connect_timeout: Duration,
    /// How long a connection is kept without use.
    pub pool_idle_timeout: Duration,
    /// How many unused connections are kept for each scheme, host and port; 0 keeps none.
    pub pool_max_idle_per_host: usize,
    /// Who wrote the targets.
    pub guard: Guard,
    /// Whom to trust.
    pub tls: TlsOptions,
    /// Sent where a request has none of its own.
    pub user_agent: Option<HeaderValue>,
}

impl Default for HttpOptions {
    /// The careful choices: public targets only, five seconds to connect.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(90),
            pool_max_idle_per_host: 256,
            guard: Guard::Public,
            tls: TlsOptions::default(),
            user_agent: Some(HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")))),
        }
    }
}

/// The times of one exchange; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From the call of [`Http::send`] to the response's head, with the connection where one must be made.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response's body.
    pub idle: Option<Duration>,
    /// From the call of [`Http::send`] to the end of the response's body.
    pub total: Option<Duration>,
}

/// An HTTP client with its own pool. Cheap to clone; clones share the pool.
///
/// Speaks HTTP/1.1 to `http` URLs, and HTTP/2 or HTTP/1.1 to `https` URLs, whichever the server picks.
/// Redirects are not followed, proxies named by the environment are not used, no header is added but `host`,
/// `content-length` and `user-agent`, and bodies are not decoded.
///
/// # What is sent twice
///
/// A server may close a kept connection in the moment in which a request is put on it. hyper tells three
/// cases apart, and so does this client:
///
/// * The connection's task had not yet taken the request: no byte was written. hyper hands the request back,
///   and the pool puts it on another connection (`retry_canceled_requests`). This repeats only as long as
///   kept connections turn out dead; on a new connection it becomes [`EgressError::Closed`] with `sent:
///   false`.
/// * The task had taken it: any part may have been written. It is never sent again here, and the error says
///   `sent: true`. The task looks for the server's close before it takes a request, so this is the rarer
///   case.
/// * HTTP/2 only: the server says that it did not look at the request (`REFUSED_STREAM`, or a `GOAWAY` that
///   names an earlier stream; RFC 9113, section 8.7). It is not sent again here, but the error says `sent:
///   false`.
#[derive(Clone)]
pub struct Http {
    client: legacy::Client<Connector, Body>,
    guard: Guard,
    user_agent: Option<HeaderValue>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl Http {
    /// A client that resolves names with the operating system. Opens nothing yet.
    ///
    /// # Errors
    /// [`EgressError::Options`] when the extra certificates cannot be used.
    pub fn new(options: HttpOptions) -> Result<Self, EgressError> {
        Self::with_resolver(options, Arc::new(SystemResolver::default()))
    }

    /// A client that resolves names with `resolver`.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with_resolver(options: HttpOptions, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        Self::with_dial(options, resolver, Box::new(dial_tcp))
    }

    /// A client whose connections are made by `dial`, for tests that must see which address is dialled.
    pub(crate) fn with_dial(
        options: HttpOptions,
        resolver: Arc<dyn Resolve>,
        dial: Box<Dial>,
    ) -> Result<Self, EgressError> {
        let connector = Connector(Arc::new(ConnectorParts {
            guard: options.guard,
            timeout: options.connect_timeout,
            resolver,
            tls: Tls::new(&options.tls)?,
            dial,
        }));
        let client = legacy::Client::builder(SettledExecutor)
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_max_idle_per_host)
            .retry_canceled_requests(true)
            .http2_keep_alive_interval(H2_PING_INTERVAL)
            .http2_keep_alive_timeout(H2_PING_TIMEOUT)
            .build(connector);
        Ok(Self { client, guard: options.guard, user_agent: options.user_agent })
    }

    /// Sends a request and waits for the response's head.
    ///
    /// The URL must be absolute. Every status is a response, redirects and errors too. Dropping the future
    /// cancels the request: an HTTP/1.1 connection on which it had begun is closed, an HTTP/2 stream is
    /// reset.
    ///
    /// # Errors
    /// See [`EgressError`]; [`EgressError::nothing_sent`] tells whether the request may have run.
    pub async fn send(
        &self,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<ResponseBody>, EgressError> {
        self.guard.check_url(request.uri())?;
        // The version is the connection's business; one that a caller copied from its own client must not
        // matter.
        *request.version_mut() = Version::HTTP_11;
        if let Some(user_agent) = &self.user_agent {
            request.headers_mut().entry(USER_AGENT).or_insert_with(|| user_agent.clone());
        }
        let total = timeouts.total.and_then(|after| Some((Instant::now().checked_add(after)?, after)));
        let exchange = self.client.request(request);
        let response = match head_deadline(timeouts, total) {
            Some((deadline, error)) => {
                tokio::time::timeout_at(deadline, exchange).await.map_err(|_elapsed| error)?
            }
            None => exchange.await,
        };
        match response {
            Ok(response) => Ok(response.map(|body: Incoming| ResponseBody::new(body, timeouts.idle, total))),
            Err(error) => Err(classify(error)),
        }
    }
}

/// When the response's head must be there, and what it means if it is not.
fn head_deadline(timeouts: &Timeouts, total: Option<(Instant, Duration)>) -> Option<(Instant, EgressError)> {
    let first_byte = timeouts.first_byte.and_then(|after| Some((Instant::now().checked_add(after)?, after)));
    match (first_byte, total) {
        (Some((at, _)), Some((end, after))) if end < at => Some((end, EgressError::TotalTimeout { after })),
        (Some((at, after)), _) => Some((at, EgressError::FirstByteTimeout { after })),
        (None, Some((end, after))) => Some((end, EgressError::TotalTimeout { after })),
        (None, None) => None,
    }
}

/// Makes one of ours of what hyper reports.
fn classify(error: legacy::Error) -> EgressError {
    if let Some(ours) = error.source().and_then(|e| e.downcast_ref::<EgressError>()) {
        return ours.clone();
    }
    // An error without a connection's data comes from before a request was put on one: the pool, or the
    // handshake of HTTP/2 itself. `is_canceled` comes only from the places in hyper that hand the request
    // back unsent.
    let unsent = error.is_connect() || error.connect_info().is_none();
    let hyper = error.source().and_then(|e| e.downcast_ref::<hyper::Error>());
    let sent = !unsent && !hyper.is_some_and(|e| e.is_canceled() || refused_by_peer(e));
    if sent && hyper.is_some_and(hyper::Error::is_parse) {
        return EgressError::BadResponse { source: Arc::new(error) };
    }
    EgressError::Closed { sent, source: Arc::new(error) }
}

/// Whether an HTTP/2 server says that it did not look at the request (RFC 9113, section 8.7).
///
/// h2 gives a stream the error of a remote `GOAWAY` only where the frame named an earlier stream as the last.
fn refused_by_peer(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|e| e.downcast_ref::<h2::Error>());
    h2.is_some_and(|e| {
        e.is_remote() && (e.is_go_away() || (e.is_reset() && e.reason() == Some(h2::Reason::REFUSED_STREAM)))
    })
}
