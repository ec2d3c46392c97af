//! A minimal HTTP client, and what one has to say in each era.

use std::net::SocketAddr;
use std::time::Duration;

use demo::{Builder, Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Nothing here takes that long unless it hangs.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("it hangs")
}

/// A server on a port of its own.
pub struct Served {
    pub address: SocketAddr,
    pub server: Server,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Served {
    pub async fn new(builder: Builder) -> Self {
        Self::of(builder.build()).await
    }

    pub async fn all() -> Self {
        Self::new(Server::builder()).await
    }

    pub async fn speaking(revisions: &[Revision]) -> Self {
        Self::new(Server::builder().revisions(revisions)).await
    }

    pub async fn of(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.clone().serve_http(listener, stopped));
        Self { address, server, stop: Some(stop), task }
    }

    /// Stops in order.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        within(&mut self.task).await.unwrap();
    }

    /// Breaks off.
    pub async fn kill(&mut self) {
        self.task.abort();
        assert!(within(&mut self.task).await.unwrap_err().is_cancelled());
    }

    pub fn get(&self, path: &str) -> Request {
        Request::new(self.address, "GET", path).header("Accept", "text/event-stream")
    }

    pub fn post(&self, path: &str, body: impl ToString) -> Request {
        let mut request = Request::new(self.address, "POST", path);
        request.body = body.to_string().into_bytes();
        request
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
    }

    pub fn delete(&self, path: &str) -> Request {
        Request::new(self.address, "DELETE", path)
    }

    /// A request of the modern era, with everything that it needs.
    pub fn modern(&self, method: &str, params: Value, capabilities: Value) -> Request {
        let message = modern_message(method, params, capabilities);
        let request = self.post("/mcp", &message);
        let request = request.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", method);
        match message["params"]["name"].as_str().or(message["params"]["uri"].as_str()) {
            Some(name) if method != "completion/complete" => request.header("Mcp-Name", name),
            _ => request,
        }
    }

    /// The result of a modern request that is answered with one document.
    pub async fn ask_modern(&self, method: &str, params: Value) -> Value {
        let mut response = self.modern(method, params, json!({})).send().await;
        assert_eq!(response.status, 200);
        response.json().await["result"].clone()
    }

    pub async fn initialize(&self, revision: Revision, capabilities: Value) -> Session<'_> {
        let body = initialize_message(revision.as_str(), capabilities);
        let mut response = self.post("/mcp", body).send().await;
        assert_eq!(response.status, 200);
        let id = response.header("mcp-session-id").unwrap().to_owned();
        let answer = response.message().await;
        assert_eq!(answer["result"]["protocolVersion"], revision.as_str());
        let session = Session { served: self, id, revision, initialized: answer["result"].clone() };
        let done =
            session.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).send().await;
        assert_eq!(done.status, 202);
        session
    }
}

pub fn initialize_message(version: &str, capabilities: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": {
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": { "name": "test", "version": "0" },
    } })
}

pub fn modern_message(method: &str, mut params: Value, capabilities: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    json!({ "jsonrpc": "2.0", "id": "m", "method": method, "params": params })
}

/// A legacy client over Streamable HTTP.
pub struct Session<'a> {
    pub served: &'a Served,
    pub id: String,
    pub revision: Revision,
    pub initialized: Value,
}

impl Session<'_> {
    pub fn post(&self, body: impl ToString) -> Request {
        self.with_headers(self.served.post("/mcp", body))
    }

    pub fn get(&self) -> Request {
        self.with_headers(self.served.get("/mcp"))
    }

    pub fn delete(&self) -> Request {
        self.with_headers(self.served.delete("/mcp"))
    }

    fn with_headers(&self, request: Request) -> Request {
        let request = request.header("Mcp-Session-Id", &self.id);
        match self.revision >= Revision::V2025_06_18 {
            true => request.header("MCP-Protocol-Version", self.revision.as_str()),
            false => request,
        }
    }

    pub async fn request(&self, id: i64, method: &str, params: Value) -> Response {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.post(message).send().await
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> Response {
        self.request(1, "tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// The result of a request that is answered with one document.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let mut response = self.request(1, method, params).await;
        assert_eq!(response.status, 200);
        let answer = response.message().await;
        assert!(answer.get("result").is_some(), "{answer}");
        answer["result"].clone()
    }

    /// Answers a request of the server.
    pub async fn respond(&self, request: &Value, result: Value) {
        let answer = json!({ "jsonrpc": "2.0", "id": request["id"], "result": result });
        assert_eq!(self.post(answer).send().await.status, 202);
    }
}

/// A request that was not sent yet.
#[derive(Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(address: SocketAddr, method: &str, path: &str) -> Self {
        let headers = vec![("Host".to_owned(), address.to_string())];
        Self { address, method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() }
    }

    /// Adds a header, even if there is one.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn replace(self, name: &str, value: &str) -> Self {
        self.without(name).header(name, value)
    }

    #[expect(clippy::disallowed_methods, reason = "the test client dials the server under test")]
    pub async fn send(self) -> Response {
        within(async move {
            let mut stream = BufReader::new(TcpStream::connect(self.address).await.unwrap());
            let mut head = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
            for (name, value) in &self.headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
            stream.get_mut().write_all(head.as_bytes()).await.unwrap();
            // A server that refuses early need not read the rest.
            let _ = stream.get_mut().write_all(&self.body).await;
            Response::read(stream).await
        })
        .await
    }
}

/// A response whose body may still be coming. Dropping it closes the connection.
pub struct Response {
    pub status: u16,
    headers: Vec<(String, String)>,
    stream: BufReader<TcpStream>,
    /// What is left of the body, or of its current chunk.
    left: usize,
    chunked: bool,
    buffer: Vec<u8>,
}

/// An event of a stream.
#[derive(Debug, Default, PartialEq)]
pub struct Event {
    pub name: Option<String>,
    pub id: Option<String>,
    pub retry: Option<u64>,
    pub data: String,
}

impl Event {
    pub fn message(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Response {
    async fn read(mut stream: BufReader<TcpStream>) -> Self {
        let status_line = line(&mut stream).await;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line(&mut stream).await;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut response = Self { status, headers, stream, left: 0, chunked: false, buffer: Vec::new() };
        response.chunked = response.header("transfer-encoding") == Some("chunked");
        response.left = response.header("content-length").map_or(0, |length| length.parse().unwrap());
        response
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn streams(&self) -> bool {
        self.header("content-type") == Some("text/event-stream")
    }

    /// More of the body; false at its end, or where it broke off.
    async fn more(&mut self) -> bool {
        if self.chunked && self.left == 0 {
            let size = line(&mut self.stream).await;
            self.left = usize::from_str_radix(&size, 16).unwrap_or(0);
        }
        if self.left == 0 {
            return false;
        }
        let mut chunk = vec![0; self.left.min(1 << 16)];
        let Ok(read @ 1..) = self.stream.read(&mut chunk).await else { return false };
        self.buffer.extend_from_slice(&chunk[..read]);
        self.left -= read;
        if self.chunked && self.left == 0 {
            line(&mut self.stream).await;
        }
        true
    }

    pub async fn bytes(&mut self) -> Vec<u8> {
        within(async { while self.more().await {} }).await;
        std::mem::take(&mut self.buffer)
    }

    pub async fn json(&mut self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        let bytes = self.bytes().await;
        serde_json::from_slice(&bytes).unwrap()
    }

    /// The next event of a stream; comments are skipped. `None`: it ended.
    pub async fn event(&mut self) -> Option<Event> {
        assert!(self.streams());
        within(async {
            loop {
                while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                    let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                    if let Some(event) = event(std::str::from_utf8(&block).unwrap()) {
                        return Some(event);
                    }
                }
                if !self.more().await {
                    return None;
                }
            }
        })
        .await
    }

    /// Whether a comment comes next.
    pub async fn comment(&mut self) -> bool {
        within(async { while self.buffer.is_empty() && self.more().await {} }).await;
        self.buffer.starts_with(b":")
    }

    /// The next event with a message. `None`: the stream ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let event = self.event().await?;
            if !event.data.is_empty() {
                return Some(event.message());
            }
        }
    }

    /// All messages that are left.
    pub async fn rest(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }

    /// The one message, however it comes.
    pub async fn message(&mut self) -> Value {
        match self.streams() {
            true => self.next().await.expect("a message"),
            false => self.json().await,
        }
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    // Where it broke off, that is an empty line.
    let _ = stream.read_line(&mut line).await;
    line.trim_end().to_owned()
}

fn event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut any = false;
    for line in block.lines().filter(|line| !line.starts_with(':')) {
        let (field, value) = line.split_once(": ").or(line.split_once(':')).unwrap_or((line, ""));
        match field {
            "event" => event.name = Some(value.to_owned()),
            "id" => event.id = Some(value.to_owned()),
            "retry" => event.retry = Some(value.parse().unwrap()),
            "data" => event.data.push_str(value),
            "" => continue,
            other => panic!("unknown field {other}"),
        }
        any = true;
    }
    any.then_some(event)
}
