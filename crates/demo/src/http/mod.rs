//! The HTTP transports: `/mcp` for Streamable HTTP in both eras, `/sse` and `/messages` for the pair of
//! 2024-11-05.

mod body;
mod legacy;
mod modern;
mod pair;
mod sse;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::rpc::{self, Kind, Malformed, Message, RpcError};
use crate::server::{Change, Server};
use crate::stats::Gauge;
use body::Body;

/// How long open connections may take to finish once the server stops.
const DRAIN: Duration = Duration::from_secs(5);
/// How long to wait after a connection could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a client may take to send its headers, or to think of another request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);
/// How many connections are open at most; the next ones are closed at once.
const CONNECTIONS_MAX: usize = 32_768;

pub(crate) const SESSION_ID: &str = "mcp-session-id";
pub(crate) const VERSION: &str = "mcp-protocol-version";
const LAST_EVENT_ID: &str = "last-event-id";

impl Server {
    /// Serves HTTP until `shutdown` is ready, then ends streams in order and lets running requests finish for
    /// a while. Dropped before that, it breaks off like a process that was killed. Either way all sessions
    /// over HTTP end.
    pub async fn serve_http(self, listener: TcpListener, shutdown: impl Future) {
        let ended = EndSessions(self.clone());
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                _ = &mut shutdown => break,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok(_) if connections.len() >= CONNECTIONS_MAX => {}
                    Ok((stream, _)) => {
                        // Small answers are not to wait for more; where that cannot be set, they do.
                        let _ = stream.set_nodelay(true);
                        let watcher = graceful.watcher();
                        let server = self.clone();
                        connections.spawn(async move { server.connection(stream, Some(watcher)).await });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
        drop(listener);
        self.announce(&Change::Closing);
        self.end_pairs();
        // Whatever is left after that is cut off with the set.
        let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
        drop(ended);
    }

    /// Serves one HTTP connection, whatever it is made of, until it ends.
    pub async fn serve_connection<IO>(&self, io: IO)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.connection(io, None).await;
    }

    async fn connection<IO>(&self, io: IO, watcher: Option<hyper_util::server::graceful::Watcher>)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stats = self.seen();
        stats.add(Gauge::ConnectionsAccepted);
        let _open = stats.hold(Gauge::ConnectionsOpen);
        let server = self.clone();
        let service = service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.route(request).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        builder.http2().timer(TokioTimer::new());
        let connection = builder.serve_connection(TokioIo::new(io), service);
        // How a connection ended concerns its client alone.
        let _ = match watcher {
            Some(watcher) => watcher.watch(connection).await,
            None => connection.await,
        };
    }

    async fn route(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, incoming) = request.into_parts();
        let headers = Arc::new(parts.headers);
        self.seen().saw_http(&headers);
        let request = Arrival { server: self, headers, query: parts.uri.query().unwrap_or_default() };
        let headers = &request.headers;
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or(parts.uri.authority().map(|authority| authority.as_str()));
        if !is_local(host, headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default())) {
            let error = RpcError::new(rpc::BAD_REQUEST, "Forbidden: this server is for local use");
            return request.error(StatusCode::FORBIDDEN, None, &error);
        }
        let config = self.config();
        match (parts.uri.path(), parts.method) {
            ("/mcp", Method::POST) if config.has_streamable() => request.post(incoming).await,
            ("/mcp", Method::GET) if config.has_http_sessions() => legacy::get(&request),
            ("/mcp", Method::DELETE) if config.has_http_sessions() => legacy::delete(&request),
            ("/mcp", _) if config.has_streamable() => {
                body::not_allowed(if config.has_http_sessions() { "GET, POST, DELETE" } else { "POST" })
            }
            ("/sse", Method::GET) if config.has_pair() => pair::get(&request),
            ("/sse", _) if config.has_pair() => body::not_allowed("GET"),
            ("/messages", Method::POST) if config.has_pair() => pair::post(&request, incoming).await,
            ("/messages", _) if config.has_pair() => body::not_allowed("POST"),
            _ => body::empty(StatusCode::NOT_FOUND),
        }
    }
}

/// A request whose body was not read yet.
pub(crate) struct Arrival<'a> {
    server: &'a Server,
    headers: Arc<HeaderMap>,
    query: &'a str,
}

impl Arrival<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn accepts(&self, kind: &str) -> bool {
        let accepted = self.headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let mut accepted = accepted.flat_map(|accept| accept.split(','));
        accepted.any(|accepted| {
            let accepted = accepted.split(';').next().unwrap_or_default().trim();
            accepted == kind || accepted == "*/*"
        })
    }

    /// A JSON-RPC error. Without an id, a server of old writes `null`, and a newer one leaves the member out.
    fn error(&self, status: StatusCode, id: Option<&Value>, error: &RpcError) -> Response<Body> {
        let null = (!self.server.config().has_modern()).then_some(&Value::Null);
        body::json(status, &rpc::failure(id.or(null), error))
    }

    /// `POST /mcp`, in whichever era.
    async fn post(&self, incoming: Incoming) -> Response<Body> {
        if !self.accepts("application/json") || !self.accepts(sse::MEDIA_TYPE) {
            let why = "Not Acceptable: Client must accept both application/json and text/event-stream";
            return self.error(StatusCode::NOT_ACCEPTABLE, None, &RpcError::new(rpc::BAD_REQUEST, why));
        }
        let value = match body::read(self, incoming).await {
            Ok(value) => value,
            Err(refused) => return *refused,
        };
        let message = match value {
            Value::Array(messages) if self.server.config().has_http_sessions() => {
                return legacy::post_batch(self, messages).await;
            }
            value => match Message::new(value) {
                Ok(message) => message,
                Err(Malformed { id, error }) => {
                    return self.error(StatusCode::BAD_REQUEST, id.as_ref(), &error);
                }
            },
        };
        self.server.seen().saw(&message, &self.headers);
        if self.is_modern(&message) {
            modern::post(self, message).await
        } else {
            legacy::post(self, message).await
        }
    }

    fn is_modern(&self, message: &Message) -> bool {
        let config = self.server.config();
        match (config.has_http_sessions(), config.has_modern()) {
            (_, false) => false,
            (false, true) => true,
            (true, true) => {
                let names_modern = self
                    .header(VERSION)
                    .is_some_and(|version| config.legacy().all(|legacy| legacy.as_str() != version));
                crate::modern::is_modern(message)
                    || (message.kind() == Kind::Request
                        && message.method() != "initialize"
                        && !self.headers.contains_key(SESSION_ID)
                        && names_modern)
            }
        }
    }
}

/// Ends all legacy sessions when dropped.
struct EndSessions(Server);

impl Drop for EndSessions {
    fn drop(&mut self) {
        self.0.end_sessions();
    }
}

/// Whether a request is for this machine and, if a page sent it, from a page of this machine. A name other
/// than localhost may be one that a foreign page pointed here.
fn is_local(host: Option<&str>, origin: Option<&str>) -> bool {
    let local = |authority: &str| {
        let name = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
    };
    let page = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(local)
    };
    host.is_none_or(local) && origin.is_none_or(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_other_than_localhost_are_foreign() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7400", "[::1]:80", "192.168.1.2"] {
            assert!(is_local(Some(host), None), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:80", "", "[evil]:80"] {
            assert!(!is_local(Some(host), None), "{host}");
        }
        assert!(is_local(Some("localhost"), Some("http://localhost:3000")));
        for origin in ["http://evil.example", "null", "localhost", "file://localhost"] {
            assert!(!is_local(Some("localhost"), Some(origin)), "{origin}");
        }
    }
}
