//! Both servers over HTTP: `/modern/mcp` and `/legacy/mcp`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::body::{Body, empty};
use super::{legacy, modern};
use crate::ledger::Ledger;

/// The largest body of a request.
const BODY_MAX: usize = 1 << 20;
/// How often the resource changes.
const TICK: Duration = Duration::from_secs(1);

/// What is going on.
#[derive(Debug, Default)]
pub struct Counts(AtomicU64);

impl Counts {
    pub fn running(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more until the value goes.
    pub fn one(self: &Arc<Self>) -> impl Drop + Send + use<> {
        struct One(Arc<Counts>);
        impl Drop for One {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        One(Arc::clone(self))
    }
}

/// What both servers share.
#[derive(Clone)]
pub struct Shared {
    pub ledger: Arc<Ledger>,
    pub counts: Arc<Counts>,
    /// A word whenever the resource has changed.
    pub ticks: broadcast::Sender<()>,
    pub sessions: Arc<legacy::Sessions>,
}

pub async fn serve(listener: TcpListener, ledger: Arc<Ledger>, counts: Arc<Counts>) {
    let (ticks, _) = broadcast::channel(16);
    let shared = Shared { ledger, counts, ticks: ticks.clone(), sessions: Arc::default() };
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(TICK);
        loop {
            interval.tick().await;
            // Nobody may listen.
            let _ = ticks.send(());
        }
    });
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            // A client that goes away is no fault of the server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_MAX).collect().await else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let message: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let session = head.headers.get("mcp-session-id").and_then(|id| id.to_str().ok());
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/modern/mcp") => modern::post(shared, message).await,
        (&Method::POST, "/legacy/mcp") => legacy::post(shared, session, message),
        (&Method::GET, "/legacy/mcp") => legacy::get(shared, session),
        (&Method::DELETE, "/legacy/mcp") => legacy::delete(shared, session),
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}
