//! A server for tests that is told what to answer, request by request.

use std::sync::Arc;

use model::{ManualClock, SeededRng, UpstreamName};
use protocol::Raw;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::{HttpTransport, Limits, Options, Resilience, Sharing, Target, Timeouts, Upstream};

/// The server. Every connection carries one request.
pub(crate) struct Scripted(TcpListener);

/// A request that waits for its answer; dropping it hangs up.
pub(crate) struct Asked {
    /// Everything before the body.
    pub head: String,
    pub body: String,
    stream: TcpStream,
    streams: bool,
}

impl Scripted {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a free port"))
    }

    pub fn url(&self) -> http::Uri {
        let address = self.0.local_addr().expect("it listens");
        format!("http://{address}/mcp").parse().expect("a URL")
    }

    /// The next request.
    pub async fn next(&mut self) -> Asked {
        let (mut stream, _) = self.0.accept().await.expect("a connection");
        let mut text = String::new();
        let mut chunk = [0; 4096];
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() >= body_length(head)
            {
                return Asked { head: head.to_owned(), body: body.to_owned(), stream, streams: false };
            }
            let size = stream.read(&mut chunk).await.expect("bytes");
            assert!(size > 0, "the request breaks off: {text}");
            text.push_str(std::str::from_utf8(&chunk[..size]).expect("text"));
        }
    }
}

fn body_length(head: &str) -> usize {
    let headers = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = headers.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().map_or(0, |(_, length)| length.trim().parse().expect("a length"))
}

impl Asked {
    /// Sends an event; the first one begins the answer.
    pub async fn event(&mut self, data: &str) {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let head = if std::mem::replace(&mut self.streams, true) { "" } else { head };
        let text = format!("{head}data: {data}\n\n");
        self.stream.write_all(text.as_bytes()).await.expect("the client reads");
    }

    /// Sends an empty result as an event.
    pub async fn respond(&mut self) {
        let id = Raw::parse(self.body.clone().into()).ok().and_then(|asked| asked.get("id"));
        let id = id.expect("a request has an id");
        self.event(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)).await;
    }

    /// Answers with a status and a JSON body, in which `ID` stands for the request's id.
    pub async fn answer(mut self, status: &str, body: &str) {
        let id = Raw::parse(self.body.clone().into()).ok().and_then(|asked| asked.get("id"));
        let id =
            id.map_or_else(|| "null".to_owned(), |id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let body = body.replace("ID", &id);
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status}\r\n{kind}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
        self.stream.write_all(text.as_bytes()).await.expect("the client reads");
    }
}

pub(crate) fn options(url: http::Uri) -> Options {
    Options {
        name: UpstreamName::new("scripted").expect("a name"),
        target: Target::Http { url, transport: HttpTransport::Auto, headers: Vec::new(), credentials: None },
        pin: None,
        timeouts: Timeouts::default(),
        concurrency_max: 8,
        limits: Limits::default(),
        sharing: Sharing::Shared,
        resilience: Resilience::default(),
        client_info: Raw::literal(r#"{"name":"test","version":"0"}"#),
    }
}

pub(crate) fn http() -> egress::Http {
    let options = egress::HttpOptions { guard: egress::Guard::Operator, ..egress::HttpOptions::default() };
    egress::Http::new(options).expect("a client")
}

pub(crate) fn upstream(url: http::Uri) -> Arc<Upstream> {
    let (clock, rng) = (Arc::new(ManualClock::default()), Arc::new(SeededRng::new(1)));
    Upstream::new(options(url), http(), clock, rng, Arc::default())
}
