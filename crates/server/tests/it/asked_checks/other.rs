//! Somebody who is asked: a server on loopback that answers as a test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

/// What it answers.
#[derive(Clone)]
pub(super) enum Answer {
    Json(Value),
    /// With a status and a text, and a header where that has one.
    Plain(u16, Option<(&'static str, &'static str)>, String),
    /// Never.
    Silence,
}

/// A request that came.
#[derive(Clone)]
pub(super) struct Heard {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Heard {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

type Says = dyn Fn(&Heard) -> Answer + Send + Sync;

pub(super) struct Other {
    pub(super) at: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Other {
    pub(super) async fn start(says: impl Fn(&Heard) -> Answer + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = socket.local_addr().expect("an address");
        let (heard, says) = (Arc::<Mutex<Vec<Heard>>>::default(), Arc::new(says) as Arc<Says>);
        let all = Arc::clone(&heard);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (all, says) = (Arc::clone(&all), Arc::clone(&says));
                let service = service_fn(move |request| {
                    let (all, says) = (Arc::clone(&all), Arc::clone(&says));
                    async move { Ok::<_, Infallible>(answer(request, &all, &*says).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { at, heard, server }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// What it heard until now.
    pub(super) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody broke it").clone()
    }
}

async fn answer(request: Request<Incoming>, all: &Mutex<Vec<Heard>>, says: &Says) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let heard = Heard { path: head.uri.path().to_owned(), headers: head.headers, body };
    all.lock().expect("nobody broke it").push(heard.clone());
    let (status, header, text) = match says(&heard) {
        Answer::Json(value) => (200, Some(("content-type", "application/json")), value.to_string()),
        Answer::Plain(status, header, text) => (status, header, text),
        Answer::Silence => std::future::pending().await,
    };
    let mut response = Response::builder().status(status);
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(text))).expect("a response")
}

/// A port where nobody listens, and that nobody else is given while the test runs.
pub(super) fn nobody() -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let url = format!("http://{}/x", socket.local_addr().expect("an address"));
    std::mem::forget(socket);
    url
}
