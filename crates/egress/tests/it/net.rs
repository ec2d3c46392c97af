//! Servers on loopback whose every byte the test decides.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_egress::{Body, EgressError, Guard, Http, HttpOptions, ResponseBody, Timeouts};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// Far more than anything here takes: a test that would hang fails instead.
pub const LONG: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
pub const SHORT: Duration = Duration::from_millis(100);

/// A server that is told apart by what it does with each connection.
pub struct Server {
    pub address: SocketAddr,
    accepted: Arc<AtomicU32>,
}

impl Server {
    /// Runs `serve` for each connection, with its number.
    pub async fn raw<F, Fut>(serve: F) -> Self
    where
        F: Fn(TcpStream, u32) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicU32::new(0));
        let count = accepted.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(serve(tcp, count.fetch_add(1, Ordering::SeqCst)));
            }
        });
        Self { address, accepted }
    }

    /// A proper HTTP server.
    pub async fn http<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
    {
        Self::raw(move |tcp, _| serve_http(tcp, answer.clone())).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections came in.
    pub fn accepted(&self) -> u32 {
        self.accepted.load(Ordering::SeqCst)
    }
}

/// Serves HTTP/1.1 or, where the client begins so, HTTP/2.
pub async fn serve_http<T, F, Fut>(stream: T, answer: F)
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, std::convert::Infallible>(answer(request).await) }
    });
    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Reads one request's head and whatever body came with it.
pub async fn read_request(tcp: &mut TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        if tcp.read_buf(&mut read).await.unwrap_or(0) == 0 {
            break;
        }
    }
    read
}

/// Reads until the other side has closed.
pub async fn read_to_close(tcp: &mut TcpStream) {
    let mut rest = [0; 1024];
    while let Ok(1..) = tcp.read(&mut rest).await {}
}

pub fn options() -> HttpOptions {
    HttpOptions { guard: Guard::Operator, ..HttpOptions::default() }
}

pub fn client() -> Http {
    Http::new(options()).unwrap()
}

pub fn post(url: &str, body: &'static str) -> Request<Body> {
    Request::post(url).body(Body::from(body)).unwrap()
}

/// Sends and fails loudly where an answer would never come.
pub async fn send(http: &Http, request: Request<Body>) -> Result<Response<ResponseBody>, EgressError> {
    send_within(http, request, Timeouts::default()).await
}

pub async fn send_within(
    http: &Http,
    request: Request<Body>,
    timeouts: Timeouts,
) -> Result<Response<ResponseBody>, EgressError> {
    tokio::time::timeout(LONG, http.send(request, &timeouts)).await.expect("send() hangs")
}

/// Answers with what it was sent: the body as the body, the head's lines in headers of their own.
pub async fn echo(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut response = Response::builder().header("x-uri", head.uri.to_string());
    for (name, value) in &head.headers {
        response = response.header(format!("x-was-{name}"), value);
    }
    response.header("x-version", format!("{:?}", head.version)).body(Full::new(body)).unwrap()
}
