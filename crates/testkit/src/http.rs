//! HTTP requests made by hand, and their answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::sse::{Event, Events};
use crate::within;

/// Where requests go: to one address, or to several in turn, as through a balancer that knows nothing.
#[derive(Debug, Clone)]
pub struct Places {
    addresses: Arc<[SocketAddr]>,
    next: Arc<AtomicUsize>,
}

impl From<SocketAddr> for Places {
    fn from(address: SocketAddr) -> Self {
        vec![address].into()
    }
}

impl From<Vec<SocketAddr>> for Places {
    fn from(addresses: Vec<SocketAddr>) -> Self {
        Self { addresses: addresses.into(), next: Arc::default() }
    }
}

impl Places {
    fn next(&self) -> SocketAddr {
        self.addresses[self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.len()]
    }
}

/// Requests over kept connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: legacy::Client<HttpConnector, Full<Bytes>>,
    places: Places,
    authorization: Option<String>,
}

impl Http {
    /// A client of its own, with connections of its own.
    #[must_use]
    pub fn new(places: impl Into<Places>) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { client, places: places.into(), authorization: None }
    }

    /// The same, with an `Authorization` header on each request.
    #[must_use]
    pub fn authorized(mut self, authorization: Option<String>) -> Self {
        self.authorization = authorization;
        self
    }

    /// Where to; the first place where there are several.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.places.addresses[0]
    }

    /// A request that was not sent yet.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Request {
        let http = self.clone();
        let headers = self.authorization.iter().map(|text| (header::AUTHORIZATION, header_value(text)));
        let headers = headers.collect();
        Request { http, method, path: path.to_owned(), headers, body: Bytes::new() }
    }

    /// A GET that asks for events.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path).header("accept", "text/event-stream")
    }

    /// A POST of JSON, by a client that takes JSON and events.
    #[must_use]
    pub fn post(&self, path: &str, body: impl ToString) -> Request {
        let mut request = self.request(Method::POST, path);
        request.body = Bytes::from(body.to_string());
        request
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
    }
}

/// A request that was not sent yet.
#[derive(Debug, Clone)]
pub struct Request {
    http: Http,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Sets a header; one of that name goes.
    ///
    /// # Panics
    /// If it is none that HTTP could carry.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.insert(header_name(name), header_value(value));
        self
    }

    /// Adds a header, even if there is one of that name.
    ///
    /// # Panics
    /// If it is none that HTTP could carry.
    #[must_use]
    pub fn also(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(header_name(name), header_value(value));
        self
    }

    /// Takes a header away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(self) -> Reply {
        match self.try_send().await {
            Ok(reply) => reply,
            Err(error) => panic!("no answer: {error:?}"),
        }
    }

    /// Sends it.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn try_send(self) -> Result<Reply, legacy::Error> {
        let uri: Uri = format!("http://{}{}", self.http.places.next(), self.path).parse().expect("a path");
        let mut request = ::http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        let response = within(self.http.client.request(request)).await?;
        let (parts, body) = response.into_parts();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body, events: Events::default() })
    }
}

fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("a header's name")
}

fn header_value(value: impl AsRef<[u8]>) -> HeaderValue {
    HeaderValue::from_bytes(value.as_ref()).expect("a header's value")
}

/// An answer whose body may still be coming. Dropping it closes its connection.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    events: Events,
}

impl Reply {
    /// The value of a header that is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether its body is a stream of events.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.header(header::CONTENT_TYPE.as_str()).is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The whole body.
    ///
    /// # Panics
    /// If it breaks off.
    pub async fn bytes(self) -> Bytes {
        within(self.body.collect()).await.expect("a whole body").to_bytes()
    }

    /// The body as text.
    pub async fn text(self) -> String {
        String::from_utf8_lossy(&self.bytes().await).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub async fn json(self) -> Value {
        let text = self.text().await;
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("no JSON ({error}): {text:?}"),
        }
    }

    /// The next event. `None`: the stream ended or broke off. Waits as long as it takes.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.next_event() {
                return Some(event);
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.events.push(&data);
            }
        }
    }
}
