//! A web API with an OpenAPI document, which answers as it is told and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::within;

/// Where its document is.
pub const DOCUMENT: &str = "/openapi.json";

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path: `GET /pets`.
    pub place: String,
    /// What follows the path's question mark.
    pub query: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// A header's text; nothing where there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Said {
    /// A status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// Nothing, for as long as somebody waits.
    Nothing,
}

impl Said {
    /// JSON.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::of(status, "application/json", body.to_string())
    }

    /// Something of a media type.
    #[must_use]
    pub fn of(status: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer(status, vec![("content-type", media_type.to_owned())], body.into())
    }

    /// The same with a further header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Answer(_, headers, _) = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

#[derive(Default)]
struct State {
    document: Bytes,
    version: u64,
    answers: HashMap<String, VecDeque<Said>>,
    asked: Vec<Asked>,
    given_up: usize,
}

/// The API.
pub struct WebApi {
    /// Where it is.
    pub url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WebApi {
    /// Starts one with a document, at [`DOCUMENT`]. What it is not told to answer is 404.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(document: &Value) -> Self {
        let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let served = Arc::clone(&served);
                let service = service_fn(move |request| {
                    let served = Arc::clone(&served);
                    async move { Ok::<_, Infallible>(answer(&served, request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let api = Self { url, state, server };
        api.set_document(document.to_string());
        api
    }

    /// The URL of its document.
    #[must_use]
    pub fn document_url(&self) -> String {
        format!("{}{DOCUMENT}", self.url)
    }

    /// Has another document from now on.
    pub fn set_document(&self, document: impl Into<Bytes>) {
        let mut state = lock(&self.state);
        state.document = document.into();
        state.version += 1;
    }

    /// Answers this from now on to requests for `GET /pets`, after what it was told before has been answered.
    pub fn answer(&self, place: &str, said: Said) {
        lock(&self.state).answers.entry(place.to_owned()).or_default().push_back(said);
    }

    /// What it was asked for at this place.
    #[must_use]
    pub fn asked(&self, place: &str) -> Vec<Asked> {
        lock(&self.state).asked.iter().filter(|asked| asked.place == place).cloned().collect()
    }

    /// All that it was asked for but its document.
    #[must_use]
    pub fn all_asked(&self) -> Vec<Asked> {
        let document = format!("GET {DOCUMENT}");
        lock(&self.state).asked.iter().filter(|asked| asked.place != document).cloned().collect()
    }

    /// Waits until it was asked so often for something at this place.
    pub async fn until_asked(&self, place: &str, times: usize) {
        within(async {
            while self.asked(place).len() < times {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits until so many have given up to wait for an answer.
    pub async fn until_given_up(&self, times: usize) {
        within(async {
            while lock(&self.state).given_up < times {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

impl Drop for WebApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Counts one who does not wait any longer.
struct Waits<'a>(&'a Mutex<State>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        lock(self.0).given_up += 1;
    }
}

async fn answer(state: &Mutex<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let place = format!("{} {}", head.method, head.uri.path());
    let query = head.uri.query().unwrap_or_default().to_owned();
    let said = {
        let mut state = lock(state);
        state.asked.push(Asked { place: place.clone(), query, headers: head.headers.clone(), body });
        match state.answers.get_mut(&place) {
            Some(all) if all.len() > 1 => all.pop_front(),
            Some(all) => all.front().cloned(),
            None if place == format!("GET {DOCUMENT}") => Some(document(&state, &head.headers)),
            None => None,
        }
    };
    let (status, headers, body) = match said {
        Some(Said::Answer(status, headers, body)) => (status, headers, body),
        Some(Said::Nothing) => {
            let _waits = Waits(state);
            std::future::pending::<()>().await;
            (500, Vec::new(), Bytes::new())
        }
        None => (404, Vec::new(), Bytes::from_static(b"nothing is here")),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("a header's value");
        response.headers_mut().append(HeaderName::from_static(name), value);
    }
    response
}

fn document(state: &State, headers: &HeaderMap) -> Said {
    let tag = format!("\"v{}\"", state.version);
    let known = headers.get("if-none-match").is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let said = match known {
        true => Said::Answer(304, Vec::new(), Bytes::new()),
        false => Said::of(200, "application/json", state.document.clone()),
    };
    said.with("etag", &tag)
}
