//! The server behind what is measured: small and fast, so that it hides nothing.
//!
//! `/modern/TOOLS/mcp` speaks 2026-07-28, `/legacy/TOOLS/mcp` 2025-11-25 with sessions; both answer with JSON
//! and offer that many tools. Anything may stand between the number and `mcp`, so that one server can be
//! many; `after-20` there has each message answered after 20 milliseconds.

mod body;
mod content;
pub mod issuer;
mod rpc;

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::Result;
use crate::wire::Era;
use body::Body;
use issuer::Issuer;

/// The largest body of a request.
const BODY_MAX: usize = 8 << 20;

/// The longest that a call may be asked to take, in milliseconds.
const PAUSE_MS_MAX: u64 = 60_000;

/// What the server counts, and its authorization server once somebody asks for it.
#[derive(Default)]
struct Stats {
    /// HTTP requests with a message, streams and ends of sessions included.
    requests: Cell<u64>,
    sessions: Cell<u64>,
    issuer: OnceCell<Issuer>,
}

/// Serves until the process is stopped. The first line of output is the address.
pub async fn run(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await.map_err(|e| format!("listen on {listen}: {e}"))?;
    println!("listening http://{}", listener.local_addr().map_err(|e| e.to_string())?);
    serve(listener).await
}

async fn serve(listener: TcpListener) -> Result<()> {
    let stats = Rc::new(Stats::default());
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            // Out of descriptors, most likely: later there may be some.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let stats = Rc::clone(&stats);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let stats = Rc::clone(&stats);
                async move { Ok::<_, Infallible>(answer(&stats, request).await) }
            });
            // A client that goes away is no fault of the server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// How long a call takes, in milliseconds, where the path says so: `/modern/10/after-20/mcp`.
fn pause(path: &str) -> Duration {
    let asked = path.split('/').find_map(|part| part.strip_prefix("after-")?.parse().ok());
    Duration::from_millis(asked.unwrap_or(0).min(PAUSE_MS_MAX))
}

/// What a path stands for.
fn route(path: &str) -> Option<(Era, usize)> {
    let mut parts = path.strip_prefix('/')?.split('/');
    let era = match parts.next()? {
        "modern" => Era::Modern,
        "legacy" => Era::Legacy,
        _ => return None,
    };
    let tools = parts.next()?.parse().ok().filter(|tools| *tools <= content::TOOLS_MAX)?;
    (parts.next_back() == Some("mcp")).then_some((era, tools))
}

async fn answer(stats: &Stats, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if path == "/stats" {
        let asked = stats.issuer.get().map_or(0, Issuer::asked);
        let (requests, sessions) = (stats.requests.get(), stats.sessions.get());
        let text = format!(r#"{{"requests":{requests},"sessions":{sessions},"issuer_asked":{asked}}}"#);
        return rpc::json(StatusCode::OK, text.into());
    }
    if path.starts_with("/issuer") || path.starts_with("/.well-known/") {
        let (head, body) = request.into_parts();
        let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
            return rpc::empty(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let issuer = stats.issuer.get_or_init(Issuer::new);
        return issuer.answer(host.unwrap_or_default(), head.uri.path(), &body.to_bytes());
    }
    let Some((era, tools)) = route(path) else { return rpc::empty(StatusCode::NOT_FOUND) };
    stats.requests.set(stats.requests.get() + 1);
    let pause = pause(path);
    match (request.method(), era) {
        (&Method::POST, _) => {
            let (head, body) = request.into_parts();
            match Limited::new(body, BODY_MAX).collect().await {
                Ok(body) => {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    post(stats, era, tools, &head.headers, &body.to_bytes())
                }
                Err(_) => rpc::empty(StatusCode::PAYLOAD_TOO_LARGE),
            }
        }
        (&Method::GET, Era::Legacy) => rpc::events(Body::open(Bytes::from_static(b":\n\n"))),
        (&Method::DELETE, Era::Legacy) => rpc::empty(StatusCode::OK),
        _ => rpc::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn post(stats: &Stats, era: Era, tools: usize, headers: &http::HeaderMap, body: &[u8]) -> Response<Body> {
    let Ok(call) = serde_json::from_slice::<rpc::Call<'_>>(body) else {
        return rpc::error(StatusCode::BAD_REQUEST, None, -32700, "not JSON");
    };
    let Some(id) = call.id else { return rpc::empty(StatusCode::ACCEPTED) };
    match (era, &*call.method) {
        (Era::Legacy, "initialize") => {
            stats.sessions.set(stats.sessions.get() + 1);
            let session = format!("bench-{}", stats.sessions.get());
            rpc::with_session(rpc::result(id, content::initialized()), &session)
        }
        (Era::Legacy, _) if !headers.contains_key("mcp-session-id") => {
            rpc::error(StatusCode::BAD_REQUEST, Some(id), -32600, "no session")
        }
        (Era::Modern, _)
            if headers.get("mcp-method").is_none_or(|m| m.as_bytes() != call.method.as_bytes()) =>
        {
            rpc::error(StatusCode::BAD_REQUEST, Some(id), -32020, "Mcp-Method is not the method")
        }
        (Era::Modern, "server/discover") => rpc::result(id, content::discovered()),
        (Era::Modern, "subscriptions/listen") => content::listen(id),
        (_, "tools/list") => rpc::result(id, &content::tools(era, tools)),
        (_, "tools/call") => content::call(era, id, call.params),
        (Era::Legacy, "ping") => rpc::result(id, "{}"),
        (Era::Legacy, _) => rpc::error(StatusCode::OK, Some(id), -32601, "unknown method"),
        (Era::Modern, _) => rpc::error(StatusCode::NOT_FOUND, Some(id), -32601, "unknown method"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A server of the test's own, on the test's runtime; where it listens.
    pub async fn started() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(serve(listener));
        format!("http://{address}")
    }

    #[test]
    fn a_path_names_era_and_number_of_tools() {
        assert_eq!(route("/modern/7/mcp"), Some((Era::Modern, 7)));
        assert_eq!(route("/legacy/500/u3/mcp"), Some((Era::Legacy, 500)));
        assert_eq!(route("/legacy/500/u3"), None);
        assert_eq!(route("/legacy/many/mcp"), None);
        assert_eq!(route("/modern/1000000000/mcp"), None);
        assert_eq!(route("/mcp"), None);
    }

    #[test]
    fn a_path_may_say_how_long_a_call_takes() {
        assert_eq!(route("/modern/10/after-20/mcp"), Some((Era::Modern, 10)));
        assert_eq!(pause("/modern/10/after-20/mcp"), Duration::from_millis(20));
        assert_eq!(pause("/modern/10/after-99999999999/mcp"), Duration::from_millis(PAUSE_MS_MAX));
        assert_eq!(pause("/modern/10/after-x/mcp"), Duration::ZERO);
        assert_eq!(pause("/modern/10/mcp"), Duration::ZERO);
    }
}
