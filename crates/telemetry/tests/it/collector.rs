//! A collector: takes what OTLP over HTTP sends, and reads it by the official schema.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// A collector on a port of its own, until it is dropped.
pub struct Collector {
    pub address: SocketAddr,
    state: Arc<State>,
    task: AbortHandle,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Seen>>,
    came: Notify,
    /// What it answers, where that is not 200.
    status: AtomicU16,
    /// Requests with log records, which came as JSON.
    logs: Mutex<Vec<ExportLogsServiceRequest>>,
    /// What it was asked for.
    paths: Mutex<Vec<String>>,
}

/// A span, in words that tests compare.
#[derive(Debug, Clone)]
pub struct Seen {
    pub service: String,
    pub trace_id: String,
    pub span_id: String,
    pub parent: String,
    pub name: String,
    /// 2: server, 3: client.
    pub kind: i32,
    /// 0: unset, 2: error.
    pub status: i32,
    pub message: String,
    pub state: String,
    pub links: Vec<String>,
    pub attributes: BTreeMap<String, String>,
}

impl Seen {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    pub fn is_server(&self) -> bool {
        self.kind == 2
    }

    pub fn is_client(&self) -> bool {
        self.kind == 3
    }
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let state = Arc::new(State::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&state))).abort_handle();
        Self { address, state, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it takes nothing.
    pub fn refuse(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
    }

    pub fn paths(&self) -> Vec<String> {
        self.state.paths.lock().expect("no panic").clone()
    }

    /// Waits until there are so many log records, and gives the requests that they came by.
    pub async fn logs(&self, number: usize) -> Vec<ExportLogsServiceRequest> {
        let waiting = async {
            loop {
                let came = self.state.came.notified();
                let logs = self.state.logs.lock().expect("no panic").clone();
                let scopes =
                    logs.iter().flat_map(|request| &request.resource_logs).flat_map(|r| &r.scope_logs);
                if scopes.map(|scope| scope.log_records.len()).sum::<usize>() >= number {
                    return logs;
                }
                came.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("they come")
    }

    pub fn spans(&self) -> Vec<Seen> {
        self.state.spans.lock().expect("no panic").clone()
    }

    /// Waits until these spans are there.
    pub async fn wait(&self, enough: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let waiting = async {
            loop {
                let came = self.state.came.notified();
                let spans = self.spans();
                if enough(&spans) {
                    return spans;
                }
                came.await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(60), waiting).await {
            Ok(spans) => spans,
            Err(_) => panic!("they do not come; there are {:#?}", self.spans()),
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| take(Arc::clone(&state), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn take(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    state.paths.lock().expect("no panic").push(request.uri().path().to_owned());
    let json = request.headers().get("content-type").is_none_or(|kind| kind != "application/x-protobuf");
    let body = request.into_body().collect().await?.to_bytes();
    let status = state.status.load(Ordering::SeqCst);
    let mut answer = Response::new(Full::default());
    if json && status == 0 && state.paths.lock().expect("no panic").last().is_some_and(|p| p == "/v1/logs") {
        let request = serde_json::from_slice(&body).expect("OTLP in its JSON encoding");
        state.logs.lock().expect("no panic").push(request);
        state.came.notify_waiters();
        return Ok(answer);
    }
    if json || status != 0 {
        *answer.status_mut() = status.max(400).try_into().expect("a status");
        return Ok(answer);
    }
    let export = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let mut spans = state.spans.lock().expect("no panic");
    for resource in export.resource_spans {
        let about = resource.resource.map(|r| r.attributes).unwrap_or_default();
        let service = about.iter().find(|a| a.key == "service.name").and_then(|a| a.value.as_ref());
        let service = service.map(text).unwrap_or_default();
        spans.extend(resource.scope_spans.into_iter().flat_map(|s| s.spans).map(|s| seen(&service, s)));
    }
    state.came.notify_waiters();
    Ok(answer)
}

fn seen(service: &str, span: Span) -> Seen {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    let status = span.status.unwrap_or_default();
    Seen {
        service: service.to_owned(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name,
        kind: span.kind,
        status: status.code,
        message: status.message,
        state: span.trace_state,
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        attributes: span
            .attributes
            .iter()
            .map(|a| (a.key.clone(), a.value.as_ref().map(text).unwrap_or_default()))
            .collect(),
    }
}

fn text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
