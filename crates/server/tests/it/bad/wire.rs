//! Bytes that two readers of HTTP would take apart differently, and bytes that are no HTTP.
//!
//! Whoever stands before the gateway may read them as one request and the gateway as two (RFC 9112, section
//! 11.2). Each of these hides a call of `crm_counter`; none of them may run it.

/// What is sent on one connection, and the statuses that come back before it is closed.
pub struct WireRow {
    pub what: &'static str,
    pub bytes: Vec<u8>,
    pub answers: Vec<u16>,
    /// How often the hidden tool runs.
    pub runs: u64,
    /// The client sends nothing more and says so; otherwise a good request for `/healthz` follows, whose
    /// answer is the last one if the connection is still in order.
    pub ends: bool,
    /// The client sends nothing more and does not say so.
    pub waits: bool,
}

impl WireRow {
    fn answers(mut self, answers: &[u16]) -> Self {
        self.answers = answers.to_vec();
        self
    }

    fn runs(mut self) -> Self {
        self.runs = 1;
        self
    }

    fn ends(mut self) -> Self {
        self.ends = true;
        self
    }

    fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

fn wire(what: &'static str, bytes: impl AsRef<[u8]>) -> WireRow {
    WireRow { what, bytes: bytes.as_ref().to_vec(), answers: vec![400], runs: 0, ends: false, waits: false }
}

const CALL: &str = concat!(
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"crm_counter","_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}}}"#
);

/// The lines of a good call's head, but for the first, `Host` and what says how long the body is.
const LINES: &str = "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
    MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: crm_counter\r\n";

const HOST: &str = "Host: localhost\r\n";

/// A call with these further lines and this body.
fn call(lines: &str, body: &str) -> String {
    format!("POST /mcp HTTP/1.1\r\n{HOST}{LINES}{lines}\r\n{body}")
}

/// A good call, to be hidden.
fn hidden() -> String {
    call(&format!("Content-Length: {}\r\n", CALL.len()), CALL)
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

pub fn rows() -> Vec<WireRow> {
    let mut rows = lengths();
    rows.extend(encodings());
    rows.extend(chunk_sizes());
    rows.extend(request_lines());
    rows.extend(fields());
    rows.extend(no_http());
    rows.extend(controls());
    rows
}

fn lengths() -> Vec<WireRow> {
    let length = |what, value: &str| wire(what, call(&format!("Content-Length: {value}\r\n"), CALL));
    let n = CALL.len();
    vec![
        wire("two lengths that differ", call(&format!("Content-Length: {n}\r\nContent-Length: 0\r\n"), CALL)),
        wire(
            "two lengths that differ, the smaller first",
            call(&format!("Content-Length: 0\r\nContent-Length: {n}\r\n"), &hidden()),
        ),
        length("two lengths in one field", &format!("{n}, 0")),
        length("a length with a plus", &format!("+{n}")),
        length("a negative length", "-1"),
        length("a hexadecimal length", "0x5"),
        length("a length with a fraction", &format!("{n}.0")),
        length("a length with letters", &format!("{n}a")),
        length("an empty length", ""),
        length("a length with a space in it", "1 2"),
        length("a length past 64 bits", "36893488147419103232"),
        length("a length of all bits", "18446744073709551615").answers(&[431]),
        length("a length in other digits", "\u{663}\u{663}"),
        wire("a length on a folded line", call(&format!("Content-Length:\r\n {n}\r\n"), CALL)),
        wire("a length that is too small", call("Content-Length: 10\r\n", CALL)).answers(&[400, 400]),
        wire("a length that is too large", call(&format!("Content-Length: {}\r\n", n + 10), CALL)).ends(),
        wire("no length", call("", CALL)).answers(&[400, 400]),
        wire("a length far over the limit", call("Content-Length: 1099511627776\r\n", CALL)).answers(&[413]),
    ]
}

fn encodings() -> Vec<WireRow> {
    let hides = |what, lines: &str, start: &str| wire(what, call(lines, &format!("{start}{}", hidden())));
    let n = CALL.len();
    vec![
        hides(
            "a length and chunks, the length first",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        hides(
            "chunks and a length, the chunks first",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "0\r\n\r\n",
        ),
        hides(
            "a length of nothing and chunks",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        wire(
            "a length and chunks around a good body",
            call(&format!("Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n"), &chunked(CALL)),
        )
        // By the chunks alone, and the connection is closed (RFC 9112, section 6.1).
        .answers(&[200])
        .runs(),
        hides("an encoding that is almost chunked", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        hides("the encoding identity", "Transfer-Encoding: identity\r\n", ""),
        hides("chunked before identity", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        hides("chunked twice in one field", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        hides(
            "chunked and then identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "0\r\n\r\n",
        ),
        hides("chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        hides("chunked with a space before the colon", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        hides("chunked with a vertical tab", "Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"),
        hides("chunked on a folded line", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        hides("chunked behind a bare CR", "X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        hides("an empty encoding", "Transfer-Encoding:\r\n", "0\r\n\r\n"),
        hides(
            "chunked under a name with an underscore",
            "Transfer_Encoding: chunked\r\nContent-Length: 0\r\n",
            "",
        )
        .answers(&[400, 200, 200])
        .runs(),
        wire(
            "chunks in HTTP/1.0",
            format!(
                "POST /mcp HTTP/1.0\r\n{HOST}{LINES}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{}",
                hidden()
            ),
        ),
    ]
}

fn chunk_sizes() -> Vec<WireRow> {
    let chunks = |what, body: &str| wire(what, call("Transfer-Encoding: chunked\r\n", body));
    let n = CALL.len();
    vec![
        chunks("a chunk size that is no number", &format!("zz\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a negative chunk size", &format!("-{n:x}\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk size with a plus", &format!("+{n:x}\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk size with 0x", &format!("0x{n:x}\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("an empty chunk size", &format!("\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk size past 64 bits", &format!("fffffffffffffffff\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk size that wraps around", &format!("10000000000000{n:x}\r\n{CALL}\r\n0\r\n\r\n"))
            .answers(&[408])
            .waits(),
        chunks("a chunk size with spaces in it", &format!("1 0\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk that is longer than its size", &format!("5\r\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk that is shorter than its size", &format!("{:x}\r\n{CALL}\r\n0\r\n\r\n", n + 1)),
        chunks("a chunk with a line feed behind its size", &format!("{n:x}\n{CALL}\r\n0\r\n\r\n")),
        chunks("a chunk with a line feed in its extension", &format!("{n:x};a\nb\r\n{CALL}\r\n0\r\n\r\n")),
        chunks(
            "a chunk with an extension of 100,000 letters",
            &format!("{n:x};{}\r\n{CALL}\r\n0\r\n\r\n", "x".repeat(100_000)),
        ),
        chunks("chunks without an end", &format!("{n:x}\r\n{CALL}\r\n")).ends(),
        chunks("chunks with a good call as trailer", &format!("0\r\n{}", hidden())),
        chunks("no chunks at all", CALL),
    ]
}

fn request_lines() -> Vec<WireRow> {
    let head = |what, head: &str| {
        wire(what, format!("{head}\r\n{LINES}Content-Length: {}\r\n\r\n{CALL}", CALL.len()))
    };
    let line = |what, line: &str| head(what, &format!("{line}\r\nHost: localhost"));
    vec![
        line("an address of another host", "POST http://evil.example/mcp HTTP/1.1").answers(&[403, 200]),
        line("an address behind a user's name", "POST http://localhost@evil.example/mcp HTTP/1.1")
            .answers(&[403, 200]),
        line("an address by https of another host", "POST https://evil.example:443/mcp HTTP/1.1")
            .answers(&[403, 200]),
        line("a tunnel", "CONNECT evil.example:443 HTTP/1.1").answers(&[403, 200]),
        line("a tunnel to ourselves", "CONNECT localhost:80 HTTP/1.1").answers(&[403, 200]),
        line("a star", "POST * HTTP/1.1").answers(&[404, 200]),
        line("no address", "POST HTTP/1.1"),
        line("an address with a space", "POST /mcp /mcp HTTP/1.1"),
        line("an address with a tab", "POST\t/mcp\tHTTP/1.1"),
        line("an address with a NUL", "POST /mcp\0 HTTP/1.1"),
        line("an address without a slash", "POST mcp HTTP/1.1").answers(&[403, 200]),
        line("an address that is a path upwards", "POST /../mcp HTTP/1.1").answers(&[404, 200]),
        line("a method with a bracket", "PO(ST /mcp HTTP/1.1"),
        line("a method in small letters", "post /mcp HTTP/1.1").answers(&[405, 200]),
        line("no version of HTTP", "POST /mcp"),
        line("HTTP/1.2", "POST /mcp HTTP/1.2"),
        line("HTTP/2.0 in text", "POST /mcp HTTP/2.0"),
        line("http in small letters", "POST /mcp http/1.1"),
        line("HTTP of two digits", "POST /mcp HTTP/1.10"),
        line("a space before the method", " POST /mcp HTTP/1.1"),
        head("no host", "POST /mcp HTTP/1.1").answers(&[403, 200]),
        head("no host in HTTP/1.0", "POST /mcp HTTP/1.0").answers(&[403]),
        head("two hosts", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost").answers(&[403, 200]),
        head("the address and the host differ", "POST http://localhost/mcp HTTP/1.1\r\nHost: evil.example")
            .answers(&[403, 200]),
    ]
}

fn fields() -> Vec<WireRow> {
    let field = |what, field: &[u8]| {
        let start = format!("POST /mcp HTTP/1.1\r\n{HOST}{LINES}Content-Length: {}\r\n", CALL.len());
        wire(what, [start.as_bytes(), field, b"\r\n\r\n", CALL.as_bytes()].concat())
    };
    vec![
        field("a line without a colon", b"X-Nothing"),
        field("a line without a name", b": nothing"),
        field("a name with a space", b"X Y: z"),
        field("a name with a space before its colon", b"X : z"),
        field("a name with a bracket", b"X(Y): z"),
        field("a name with a byte that is no ASCII", b"X\xe9: z"),
        field("a value with a NUL", b"X: a\0b"),
        field("a value with a bare CR", b"X: a\rb"),
        field("a value with an escape character", b"X: a\x1bb"),
        field("a folded line", b"X: a\r\n b"),
        field("a line folded by a tab", b"X: a\r\n\tb"),
        wire("a first line that is folded", format!("POST /mcp HTTP/1.1\r\n {HOST}\r\n{CALL}")),
        field("a name in two spellings that differ", b"MCP-NAME: crm_echo").answers(&[400, 200]),
    ]
}

fn no_http() -> Vec<WireRow> {
    let get = |body: &str| format!("GET /mcp HTTP/1.1\r\n{HOST}Content-Length: {}\r\n\r\n{body}", body.len());
    let lost = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\n{HOST}{LINES}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    vec![
        wire("nothing", "").answers(&[]).ends(),
        wire("nothing at all, for long", "").answers(&[]).waits(),
        wire("half a head, for long", "POST /mcp HTTP/1.1\r\nHost: local").answers(&[]).waits(),
        wire("half a body, for long", call("Content-Length: 500\r\n", "{")).answers(&[408]).waits(),
        wire("half a chunk, for long", call("Transfer-Encoding: chunked\r\n", "ff\r\n{"))
            .answers(&[408])
            .waits(),
        wire("half a head", "POST /mcp HTTP/1.1\r\nHost: local").answers(&[]).ends(),
        wire("half a body", call("Content-Length: 500\r\n", "{")).ends(),
        wire("HTTP/0.9", "GET /mcp\r\n"),
        wire("a TLS handshake", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03".as_slice()),
        wire("a line of another protocol", "EHLO example.com\r\n"),
        wire("a message without HTTP", format!("{CALL}\r\n\r\n")),
        wire("a thousand NULs", [0; 1_000]),
        wire("a good call in the body of a GET", get(&hidden())).answers(&[405, 200]),
        wire("a good call in the body for nobody", lost("/nobody/mcp", &hidden())).answers(&[404, 200]),
        wire("a good call in a body that is no message", lost("/mcp", &hidden())).answers(&[400, 200]),
        wire(
            "a good call in the body of a form",
            lost("/mcp", &hidden()).replacen("application/json\r", "text/plain\r", 1),
        )
        .answers(&[415, 200]),
    ]
}

/// What is odd and good: it shows that the hidden call does run where it is not hidden.
fn controls() -> Vec<WireRow> {
    let n = CALL.len();
    vec![
        wire("a good call", hidden()).answers(&[200, 200]).runs(),
        wire("a good call in chunks", call("Transfer-Encoding: chunked\r\n", &chunked(CALL)))
            .answers(&[200, 200])
            .runs(),
        wire("chunked in capitals", call("Transfer-Encoding: CHUNKED\r\n", &chunked(CALL)))
            .answers(&[200, 200])
            .runs(),
        wire(
            "a good call in chunks with a trailer",
            call(
                "Transfer-Encoding: chunked\r\n",
                &format!("{n:x};a=b\r\n{CALL}\r\n0\r\nMcp-Name: crm_echo\r\n\r\n"),
            ),
        )
        .answers(&[200, 200])
        .runs(),
        wire("the same length twice", call(&format!("Content-Length: {n}\r\nContent-Length: {n}\r\n"), CALL))
            .answers(&[200, 200])
            .runs(),
        wire("empty lines before the call", format!("\r\n\r\n{}", hidden())).answers(&[200, 200]).runs(),
        wire("a call whose lines end in line feeds", hidden().replace("\r\n", "\n"))
            .answers(&[200, 200])
            .runs(),
        wire("a good call in HTTP/1.0", hidden().replacen("HTTP/1.1", "HTTP/1.0", 1)).answers(&[200]).runs(),
        wire("a call with the whole address", hidden().replacen("/mcp", "http://localhost/mcp", 1))
            .answers(&[200, 200])
            .runs(),
        wire(
            "an upgrade to something else",
            call(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {n}\r\n"), CALL),
        )
        .answers(&[200, 200])
        .runs(),
    ]
}
