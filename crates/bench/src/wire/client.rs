//! An MCP client of either era on one connection.

use clap::ValueEnum;

use super::connection::{Connection, Head};
use crate::Result;

/// Ids have one width, so that a request keeps its length from call to call.
const FIRST_ID: u64 = 1_000_000_000;

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Era {
    /// 2026-07-28: everything on each request.
    Modern,
    /// 2025-11-25: a session.
    Legacy,
}

impl Era {
    pub fn revision(self) -> &'static str {
        match self {
            Self::Modern => "2026-07-28",
            Self::Legacy => "2025-11-25",
        }
    }
}

/// An endpoint, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub authority: String,
    pub path: String,
    pub era: Era,
}

impl Target {
    /// Reads a URL such as `http://127.0.0.1:7400/mcp`.
    pub fn new(url: &str, era: Era) -> Result<Self> {
        let (authority, path) = url
            .strip_prefix("http://")
            .and_then(|rest| rest.split_once('/'))
            .ok_or_else(|| format!("{url} is not http://HOST:PORT/PATH"))?;
        Ok(Self { authority: authority.to_owned(), path: format!("/{path}"), era })
    }
}

/// A request in all its bytes but for the id.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    id_at: usize,
    /// How many bytes of headers came from [`Template::authorize`].
    authorized: usize,
}

impl Template {
    /// Puts these headers in the place of those that were put there before.
    pub fn authorize(&mut self, headers: &str) {
        let Some(at) = memchr::memmem::find(&self.bytes, b"\r\n").map(|at| at + 2) else { return };
        self.bytes.splice(at..at + self.authorized, headers.bytes());
        self.id_at = self.id_at - self.authorized + headers.len();
        self.authorized = headers.len();
    }

    fn with_id(&mut self, id: u64) -> &[u8] {
        let digits = id.to_string();
        if let Some(place) = self.bytes.get_mut(self.id_at..self.id_at + digits.len()) {
            place.copy_from_slice(digits.as_bytes());
        }
        &self.bytes
    }
}

/// A client with its connection, and its session where it has one.
#[derive(Debug)]
pub struct Client {
    pub connection: Connection,
    target: Target,
    session: Option<String>,
    last_id: u64,
    /// Whether it declares that it knows what a task is.
    tasks: bool,
}

impl Client {
    /// Connects; a legacy client also opens its session.
    pub async fn open(target: &Target) -> Result<Self> {
        let connection = Connection::open(&target.authority).await?;
        let target = target.clone();
        let mut client = Self { connection, target, session: None, last_id: FIRST_ID, tasks: false };
        if client.target.era == Era::Legacy {
            client.greet().await?;
        }
        Ok(client)
    }

    /// Declares with each template from now on that it knows what a task is.
    pub fn knows_tasks(&mut self) {
        self.tasks = true;
    }

    async fn greet(&mut self) -> Result<()> {
        let fields = r#""protocolVersion":"2025-11-25","capabilities":{},
            "clientInfo":{"name":"tidegate-bench","version":"1"}"#;
        let mut template = self.template("initialize", None, fields, None);
        let (head, _) = self.exchange(&mut template, &mut Vec::new()).await?;
        self.session = head.session;
        let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let bytes = self.post("notifications/initialized", None, note);
        self.connection.send(&bytes).await?;
        let head = self.connection.head().await?;
        self.connection.body(&mut Vec::new()).await?;
        if head.status == 202 { Ok(()) } else { Err(format!("notifications/initialized: {}", head.status)) }
    }

    /// A request for `method` about `name`, with these members as its parameters. With a progress token the
    /// server may tell how far it is.
    pub fn template(
        &self,
        method: &str,
        name: Option<&str>,
        fields: &str,
        progress: Option<&str>,
    ) -> Template {
        let mut meta = Vec::new();
        if self.target.era == Era::Modern {
            meta.push(r#""io.modelcontextprotocol/protocolVersion":"2026-07-28""#.to_owned());
            let able =
                if self.tasks { r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"# } else { "{}" };
            meta.push(format!(r#""io.modelcontextprotocol/clientCapabilities":{able}"#));
            let info = r#"{"name":"tidegate-bench","version":"1"}"#;
            meta.push(format!(r#""io.modelcontextprotocol/clientInfo":{info}"#));
        }
        if let Some(token) = progress {
            meta.push(format!(r#""progressToken":"{token}""#));
        }
        let comma = if fields.is_empty() || meta.is_empty() { "" } else { "," };
        let meta = if meta.is_empty() { String::new() } else { format!(r#""_meta":{{{}}}"#, meta.join(",")) };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{FIRST_ID},"method":"{method}","params":{{{fields}{comma}{meta}}}}}"#
        );
        let bytes = self.post(method, name, &body);
        let id_at = bytes.len() - body.len() + r#"{"jsonrpc":"2.0","id":"#.len();
        Template { bytes, id_at, authorized: 0 }
    }

    fn post(&self, method: &str, name: Option<&str>, body: &str) -> Vec<u8> {
        let Target { authority, path, era } = &self.target;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
            body.len()
        );
        if method != "initialize" {
            head += &format!("MCP-Protocol-Version: {}\r\n", era.revision());
        }
        match era {
            Era::Modern => head += &format!("Mcp-Method: {method}\r\n"),
            Era::Legacy => head += &self.session_header(),
        }
        if let (Era::Modern, Some(name)) = (era, name) {
            head += &format!("Mcp-Name: {name}\r\n");
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    fn session_header(&self) -> String {
        self.session.as_ref().map_or_else(String::new, |id| format!("Mcp-Session-Id: {id}\r\n"))
    }

    /// Sends a request with an id of its own, which it gives back.
    pub async fn send(&mut self, template: &mut Template) -> Result<u64> {
        self.last_id += 1;
        self.connection.send(template.with_id(self.last_id)).await?;
        Ok(self.last_id)
    }

    /// Asks for a legacy session's own stream.
    pub async fn send_get(&mut self) -> Result<()> {
        let Target { authority, path, era } = &self.target;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/event-stream\r\n\
             MCP-Protocol-Version: {}\r\n{}\r\n",
            era.revision(),
            self.session_header()
        );
        self.connection.send(request.as_bytes()).await
    }

    /// Sends a request and reads the whole answer. `false`: the server has too much to do, and says so.
    pub async fn try_exchange(&mut self, template: &mut Template, body: &mut Vec<u8>) -> Result<bool> {
        self.send(template).await?;
        let head = self.connection.head().await?;
        self.connection.body(body).await?;
        match head.status {
            200 => Ok(true),
            503 => Ok(false),
            status => Err(format!("neither a result nor a refusal: {status}")),
        }
    }

    /// Sends a request and reads the whole answer, which must be the result of this one.
    pub async fn exchange(&mut self, template: &mut Template, body: &mut Vec<u8>) -> Result<(Head, u64)> {
        let id = self.send(template).await?;
        let head = self.connection.head().await?;
        self.connection.body(body).await?;
        let mut expected = [0; 16];
        let expected = write_id(&mut expected, id);
        let found = |needle: &[u8]| memchr::memmem::find(body, needle).is_some();
        if head.status != 200 || !found(expected) || !found(b"\"result\"") || found(b"\"isError\":true") {
            let text = String::from_utf8_lossy(body.get(..body.len().min(400)).unwrap_or_default());
            return Err(format!("no result of request {id}: status {}, {text}", head.status));
        }
        Ok((head, id))
    }
}

/// `"id":` and the number, which no other answer has. Nothing is allocated, as this runs on every call.
fn write_id(into: &mut [u8; 16], id: u64) -> &[u8] {
    let (name, digits) = into.split_at_mut(5);
    name.copy_from_slice(b"\"id\":");
    let mut rest = id;
    for digit in digits.iter_mut().take(10).rev() {
        *digit = b'0' + u8::try_from(rest % 10).expect("a digit");
        rest /= 10;
    }
    into.get(..15).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::new("http://127.0.0.1:1/a/mcp", Era::Modern).unwrap();
        assert_eq!((target.authority.as_str(), target.path.as_str()), ("127.0.0.1:1", "/a/mcp"));
        assert!(Target::new("https://127.0.0.1:1/a", Era::Modern).is_err());
        assert!(Target::new("http://127.0.0.1:1", Era::Modern).is_err());
    }

    #[test]
    fn an_id_is_written_as_json_writes_it() {
        assert_eq!(write_id(&mut [0; 16], 1_000_000_027), b"\"id\":1000000027");
    }

    #[test]
    fn headers_take_the_place_of_those_before_them() {
        let bytes = b"POST / HTTP/1.1\r\nHost: h\r\n\r\n1000000000".to_vec();
        let id_at = bytes.len() - 10;
        let mut template = Template { bytes, id_at, authorized: 0 };
        for headers in ["A: long one\r\n", "A: b\r\n"] {
            template.authorize(headers);
            let sent = String::from_utf8(template.with_id(1_000_000_007).to_vec()).unwrap();
            assert_eq!(sent, format!("POST / HTTP/1.1\r\n{headers}Host: h\r\n\r\n1000000007"));
        }
    }

    #[test]
    fn a_template_changes_nothing_but_the_id() {
        let bytes = b"x 1000000000 y".to_vec();
        let mut template = Template { bytes, id_at: 2, authorized: 0 };
        assert_eq!(template.with_id(1_000_000_042), b"x 1000000042 y");
        assert_eq!(template.with_id(1_000_000_043), b"x 1000000043 y");
    }
}
