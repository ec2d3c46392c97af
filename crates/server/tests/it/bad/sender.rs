//! Sends the rows as a client of one revision would.

use std::collections::HashMap;
use std::time::Duration;

use demo::Server;
use http::Method;
use serde_json::{Value, json};
use testkit::client::{Options, encoded};
use testkit::harness::path;
use testkit::http::{Http, Reply, Request};
use testkit::{Client, Revision, World, within};

use super::handles::HANDLES;
use super::row::{Answer, Change, Row};

/// The version that modern rows name unless they say otherwise.
const NOW: &str = "2026-07-28";
/// One upstream, so that the endpoint of everything and the upstream's own are two endpoints.
const UPSTREAM: &str = "crm";

/// A gateway with limits that can be reached.
pub async fn world(seed: u64) -> World {
    let limits = |config: &mut config::Config| {
        config.limits.page_size = 3;
        config.limits.request_bytes_max = config::Size::from_kib(64);
        config.limits.header_bytes_max = config::Size::from_kib(16);
        config.limits.header_read_timeout = config::Span::from_secs(1);
        config.limits.body_read_timeout = config::Span::from_secs(1);
    };
    let hidden = |upstream: &mut config::Upstream| {
        upstream.hide = vec![config::Glob::new("toggle").expect("a pattern")]
    };
    let demo = Server::builder().revisions(&[Revision::V2026_07_28]);
    let world = World::builder().seed(seed).config(limits).demo_with(UPSTREAM, demo, hidden).start().await;
    // What the gateway keeps of the upstream it shall have, so that no row makes it ask.
    for endpoint in ["mcp", UPSTREAM] {
        let client = world.client(endpoint, Revision::V2026_07_28).await;
        for list in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
            client.request(list, json!({})).await;
        }
    }
    world
}

/// Handles of all kinds, by their names in the rows.
pub struct Handles {
    known: HashMap<String, String>,
    /// Kept open: their streams are handles.
    _clients: Vec<Client>,
}

impl Handles {
    /// `other` is a gateway with other keys.
    pub async fn collect(world: &World, other: &World) -> Self {
        let mut known = HashMap::new();
        let mut clients = Vec::new();
        // Another client, so that it is not given the same list again.
        let old = Found::look(world, "mcp", json!({ "elicitation": {} })).await;
        // A day is the longest that any of them lasts.
        world.clock.advance(Duration::from_secs(25 * 3_600));
        let own = Found::look(world, "mcp", able()).await;
        let elsewhere = Found::look(world, UPSTREAM, able()).await;
        let foreign = Found::look(other, "mcp", able()).await;
        for (at, kind) in ["SESSION", "CURSOR", "STATE"].into_iter().enumerate() {
            let good = &own.all[at];
            known.insert(format!("{kind}_OWN"), good.clone());
            for handle in HANDLES {
                let value = match handle {
                    "OTHER_ENDPOINT" => elsewhere.all[at].clone(),
                    "OTHER_GATEWAY" => foreign.all[at].clone(),
                    "EXPIRED" => old.all[at].clone(),
                    "CHANGED" => changed(good, good.len() / 2),
                    "CHANGED_AT_ITS_END" => changed(good, good.len() - 1),
                    "CUT" => good[..good.len() - 4].to_owned(),
                    "LENGTHENED" => format!("{good}AAAA"),
                    _ => good.to_uppercase(),
                };
                assert_ne!(value, *good, "{kind} {handle}");
                known.insert(format!("{kind}_{handle}"), value);
            }
        }
        known.insert(
            "CURSOR_ESCAPED".to_owned(),
            format!("\\u{:04x}{}", own.all[1].as_bytes()[0], &own.all[1][1..]),
        );
        let resources = world.client("mcp", Revision::V2026_07_28).await;
        let list = resources.request("resources/list", json!({})).await;
        known.insert("CURSOR_OTHER_LIST".to_owned(), text(list.result(), "nextCursor"));
        let upstream = world.demo(UPSTREAM).client(Revision::V2026_07_28).await;
        known.insert("STATE_OF_THE_UPSTREAM".to_owned(), state(&upstream, "confirm_order").await);
        let ended = world.client("mcp", Revision::V2025_11_25).await;
        known.insert("SESSION_ENDED".to_owned(), ended.session_id().expect("a session"));
        assert_eq!(ended.close().await, Some(204));
        for (name, endpoint) in [("STREAM_ENDED", "mcp"), ("STREAM_OTHER_ENDPOINT", UPSTREAM)] {
            let client = world.client(endpoint, Revision::V2024_11_05).await;
            known.insert(name.to_owned(), client.stream_name().expect("a stream"));
            clients.push(client);
        }
        clients.remove(0);
        Self { known, _clients: clients }
    }

    fn fill_in(&self, own: &HashMap<String, String>, text: &[u8]) -> Vec<u8> {
        // Bytes that are no text hold no handles.
        let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
        let mut parts = text.split('$');
        let mut filled = parts.next().unwrap_or_default().to_owned();
        while let Some(name) = parts.next() {
            match own.get(name).or_else(|| self.known.get(name)) {
                Some(handle) => {
                    filled.push_str(handle);
                    filled.push_str(parts.next().unwrap_or_default());
                }
                None => {
                    filled.push('$');
                    filled.push_str(name);
                }
            }
        }
        filled.into_bytes()
    }
}

/// What the senders declare.
fn able() -> Value {
    json!({ "elicitation": {}, "sampling": {}, "roots": {} })
}

/// A session id, a cursor of the tools, a request state.
struct Found {
    all: [String; 3],
}

impl Found {
    async fn look(world: &World, endpoint: &str, capabilities: Value) -> Self {
        let session = world.client(endpoint, Revision::V2025_11_25).await;
        let options = Options { capabilities: Some(capabilities), ..Options::default() };
        let modern = world.client_with(endpoint, Revision::V2026_07_28, options).await;
        let tools = modern.request("tools/list", json!({})).await;
        let tool = if endpoint == "mcp" { "crm_confirm_order" } else { "confirm_order" };
        let session = session.session_id().expect("a session");
        Self { all: [session, text(tools.result(), "nextCursor"), state(&modern, tool).await] }
    }
}

/// The state that a question comes with.
async fn state(client: &Client, tool: &str) -> String {
    let asked = client.ask_once("tools/call", json!({ "name": tool, "arguments": { "item": "a" } })).await;
    text(asked.result(), "requestState")
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("no {member} in {value}")).to_owned()
}

/// With another letter at one place.
fn changed(handle: &str, at: usize) -> String {
    let mut bytes = handle.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("letters")
}

/// A client of one revision that says what it is told to.
pub struct Sender<'a> {
    handles: &'a Handles,
    revision: Revision,
    http: Http,
    /// Where it posts.
    path: String,
    own: HashMap<String, String>,
    /// 2024-11-05: where answers come.
    stream: Option<Reply>,
}

impl<'a> Sender<'a> {
    pub async fn connect(world: &World, handles: &'a Handles, revision: Revision) -> Self {
        let http = Http::new(world.address());
        let mut sender =
            Self { handles, revision, http, path: path("mcp"), own: HashMap::new(), stream: None };
        match revision {
            Revision::V2026_07_28 => {}
            Revision::V2024_11_05 => sender.open_stream(world).await,
            _ => {
                let client = world.client("mcp", revision).await;
                sender.own.insert("SESSION_OWN".to_owned(), client.session_id().expect("a session"));
            }
        }
        sender
    }

    async fn open_stream(&mut self, world: &World) {
        let mut stream = self.http.get("/sse").send().await;
        let endpoint = within(stream.event()).await.expect("an endpoint");
        let (_, name) = endpoint.data.split_once('=').expect("a name");
        self.own.insert("STREAM_OWN".to_owned(), name.to_owned());
        self.path = endpoint.data;
        self.stream = Some(stream);
        let info = json!({ "name": "a", "version": "1" });
        let params = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": info });
        for message in [
            json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        ] {
            assert_eq!(self.http.post(&self.path, message).send().await.status, 202);
        }
        assert!(self.next_message().await.get("result").is_some());
        // With the stream begins the listening to the upstream, which is no row's doing.
        let stats = world.demo(UPSTREAM).server.stats();
        within(stats.wait_until(|stats| stats.streams_open() > 0)).await;
    }

    async fn next_message(&mut self) -> Value {
        let stream = self.stream.as_mut().expect("a stream");
        let event = within(stream.event()).await.expect("a message");
        serde_json::from_str(&event.data).expect("JSON")
    }

    /// Sends a row and compares the answer.
    pub async fn check(&mut self, row: &Row) -> Result<(), String> {
        let body = self.body(row);
        let reply = self.send(row, &body).await?;
        let id = serde_json::from_slice::<Value>(&body).ok().map(|message| message["id"].clone());
        let expected = row.answer_for(self.revision);
        let status = reply.status;
        let found = format!("not {expected:?} but {status}");
        match expected {
            Answer::Status(expected) if status == expected => Ok(()),
            Answer::Status(_) => Err(format!("{found} {}", reply.text().await)),
            Answer::Plain(expected, words) => {
                let text = reply.text().await;
                (status == expected && text.contains(words)).then_some(()).ok_or(format!("{found} {text}"))
            }
            Answer::Good | Answer::Error(200, ..) if status == 202 && self.stream.is_some() => {
                let message = self.next_message().await;
                compare(expected, &message, id.as_ref()).map_err(|why| format!("{why}: {message}"))
            }
            Answer::Good if status != 200 => Err(format!("{found} {}", reply.text().await)),
            Answer::Error(expected, ..) if status != expected => {
                Err(format!("{found} {}", reply.text().await))
            }
            Answer::Good | Answer::Error(..) => {
                let text = reply.text().await;
                let message = serde_json::from_str(&text).map_err(|_| format!("no JSON: {text}"))?;
                compare(expected, &message, id.as_ref()).map_err(|why| format!("{why}: {message}"))
            }
        }
    }

    /// On a connection of its own: what a refusal does to its connection is not the next row's concern. A
    /// refusal that comes before all is sent can be lost with the connection (RFC 9112, section 9.6).
    async fn send(&mut self, row: &Row, body: &[u8]) -> Result<Reply, String> {
        const TRIES_MAX: usize = 4;
        let mut lost = String::new();
        for _ in 0..TRIES_MAX {
            self.http = Http::new(self.http.address());
            match self.request(row, body).try_send().await {
                Ok(reply) => return Ok(reply),
                Err(error) => lost = format!("no answer: {error:?}"),
            }
            if !matches!(row.answer, Answer::Error(413, ..) | Answer::Status(431)) {
                break;
            }
        }
        Err(lost)
    }

    fn body(&self, row: &Row) -> Vec<u8> {
        let meta = if self.revision.is_modern() {
            json!({
                "io.modelcontextprotocol/protocolVersion": NOW,
                "io.modelcontextprotocol/clientCapabilities": able(),
            })
        } else {
            json!({})
        };
        let body = match String::from_utf8(row.body.clone()) {
            Ok(text) => text.replace("META", &meta.to_string()).into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        self.handles.fill_in(&self.own, &body)
    }

    fn request(&self, row: &Row, body: &[u8]) -> Request {
        let method = Method::from_bytes(row.method.as_bytes()).expect("a method");
        let path = row.path.map_or_else(
            || self.path.clone().into_bytes(),
            |p| self.handles.fill_in(&self.own, p.as_bytes()),
        );
        let mut request = self.http.request(method, &String::from_utf8_lossy(&path));
        request = if row.method == "POST" {
            request
                .body(body.to_vec())
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
        } else {
            request.header("accept", "text/event-stream")
        };
        request = self.usual(request, row, body);
        for change in &row.headers {
            request = match change {
                Change::Set(name, value) => request.header(name, self.handles.fill_in(&self.own, value)),
                Change::Add(name, value) if name == "host" => {
                    request.header(name, "localhost").also(name, value)
                }
                Change::Add(name, value) => request.also(name, self.handles.fill_in(&self.own, value)),
                Change::Remove(name) => request.without(name),
            };
        }
        request
    }

    /// The headers of a good client of the revision.
    fn usual(&self, mut request: Request, row: &Row, body: &[u8]) -> Request {
        if !self.revision.is_modern() {
            if let Some(session) = self.own.get("SESSION_OWN") {
                request = request.header("mcp-session-id", session);
            }
            if self.revision >= Revision::V2025_06_18 {
                request = request.header("mcp-protocol-version", self.revision.as_str());
            }
            return request;
        }
        if row.method != "POST" {
            return request;
        }
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or("tools/list");
        request = request.header("mcp-protocol-version", NOW).header("mcp-method", encoded(method));
        let member = match method {
            "tools/call" | "prompts/get" => "name",
            "resources/read" => "uri",
            "tasks/get" => "taskId",
            _ => return request,
        };
        match message["params"][member].as_str() {
            Some(name) => request.header("mcp-name", encoded(name)),
            None => request,
        }
    }
}

/// Whether a response is the expected one, and for this request.
fn compare(expected: Answer, message: &Value, id: Option<&Value>) -> Result<(), String> {
    let id = id.filter(|id| id.is_string() || id.is_i64() || id.is_u64());
    let answered = message.get("id").filter(|id| !id.is_null());
    if answered.is_some() && id.is_some() && answered != id {
        return Err(format!("an answer to {answered:?}"));
    }
    match expected {
        Answer::Error(_, code, words) => {
            let error = &message["error"];
            let text = error["message"].as_str().unwrap_or_default();
            if error["code"] != code || !text.contains(words) {
                return Err(format!("not {code} {words:?}"));
            }
            // Where JSON could not be read there is no id to answer to.
            let readable = code != -32700 && code != -31006 && id.is_some();
            if readable && answered.is_none() && error["code"] == -32602 {
                return Err("an answer to nobody".to_owned());
            }
            Ok(())
        }
        Answer::Good if message.get("result").is_some() && answered.is_some() => Ok(()),
        _ => Err("no result".to_owned()),
    }
}
