//! HTTP that carries no message to an endpoint, or not for this gateway.

use super::row::{From, Row, bare, good, post};

const TYPE: &str = "content-type";

pub fn rows() -> Vec<Row> {
    let mut rows = types();
    rows.extend(sizes());
    rows.extend(methods());
    rows.extend(paths());
    rows.extend(hosts());
    rows.extend(origins());
    rows
}

fn types() -> Vec<Row> {
    let wrong =
        |what, value: &[u8]| good(what).header(TYPE, value).error(415, -32600, "must be application/json");
    let accept =
        |what, value: &[u8]| good(what).header("accept", value).error(406, -32600, "Accept must name");
    vec![
        good("no content type").without(TYPE).error(415, -32600, "must be application/json"),
        good("the content type twice").also(TYPE, "application/json").error(
            415,
            -32600,
            "must be application/json",
        ),
        wrong("text", b"text/plain"),
        wrong("JSON as text", b"text/json"),
        wrong("a form by its type", b"application/x-www-form-urlencoded"),
        wrong("a form in parts", b"multipart/form-data; boundary=x"),
        wrong("events", b"text/event-stream"),
        wrong("a stream of JSON", b"application/x-ndjson"),
        wrong("JSON of a kind", b"application/vnd.example+json"),
        wrong("almost JSON", b"application/jsonp"),
        wrong("JSON and text", b"application/json, text/plain"),
        wrong("an empty content type", b""),
        wrong("a content type of bytes", b"application/json\xff"),
        wrong("any type", b"*/*"),
        good("JSON in UTF-8").header(TYPE, "application/json; charset=utf-8"),
        good("JSON in capitals").header(TYPE, "Application/JSON"),
        good("a compressed body, so it says").header("content-encoding", "gzip").error(
            415,
            -32600,
            "Content-Encoding",
        ),
        accept("a client that takes pages", b"text/html").from(From::Modern),
        accept("a client that takes nothing", b"").from(From::Modern),
        accept("a client that takes bytes", b"\xff").from(From::Modern),
        good("a client of a session that takes pages")
            .from(From::Sessions)
            .header("accept", "text/html")
            .error(406, -32000, "Accept must name"),
        bare("a stream for a client that takes JSON", "GET")
            .from(From::Sessions)
            .header("accept", "application/json")
            .plain(406, "text/event-stream"),
    ]
}

/// The limits are 64 KiB for a body, 16 KiB and 100 fields for a head.
fn sizes() -> Vec<Row> {
    let large = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"x":"{}","_meta":META}}}}"#,
        "x".repeat(70_000)
    );
    let mut rows = vec![
        post("a body of 70,000 bytes", large).error(413, -31006, "request_bytes_max"),
        post("70,000 spaces", " ".repeat(70_000)).error(413, -31006, "request_bytes_max"),
        good("a header of 30,000 letters")
            .from(From::Modern)
            .header("x-long", "x".repeat(30_000))
            .status(431),
        good("an address of 30,000 letters")
            .from(From::Modern)
            .at(format!("/mcp?{}", "x".repeat(30_000)).leak())
            .status(431),
    ];
    let crowd = good("200 headers").from(From::Modern).status(431);
    rows.push((0..200).fold(crowd, |row, n| row.header(&format!("x-{n}"), "1")));
    rows
}

fn methods() -> Vec<Row> {
    let none = |what, method| bare(what, method).from(From::Modern).plain(405, "no meaning here");
    let mut rows = vec![
        none("PUT", "PUT"),
        none("PATCH", "PATCH"),
        none("TRACE", "TRACE"),
        none("a method of our own", "LIST"),
        bare("HEAD", "HEAD").from(From::Modern).status(405),
        bare("GET without a session", "GET").from(From::Modern).plain(405, "without a session"),
        bare("DELETE without a session", "DELETE").from(From::Modern).plain(405, "without a session"),
    ];
    for (what, method, path) in [
        ("POST to a stream", "POST", "/sse"),
        ("DELETE of a stream", "DELETE", "/sse"),
        ("GET of messages", "GET", "/messages"),
        ("POST to the metrics", "POST", "/metrics"),
        ("DELETE of the metrics", "DELETE", "/metrics"),
        ("POST to the health", "POST", "/healthz"),
        ("PUT to the readiness", "PUT", "/readyz"),
    ] {
        rows.push(none(what, method).at(path));
    }
    rows
}

fn paths() -> Vec<Row> {
    let nothing =
        |path: &'static str| good(format!("the path {path}").leak()).from(From::Modern).at(path).status(404);
    let mut rows: Vec<Row> = [
        "/",
        "/mcp/",
        "//mcp",
        "/MCP",
        "/mcp/mcp/mcp",
        "/%6dcp",
        "/mcp%2f",
        "/mcp;x=1",
        "/.//mcp",
        "/./mcp",
        "/crm/../mcp",
        "/crm",
        "/crm/",
        "/crm/MCP",
        "/crm//mcp",
        "/crm%2fmcp",
        "/CRM/mcp",
        "/nobody/mcp",
        "/crm/mcp/x",
        "/%63rm/mcp",
        "/metrics/",
        "/healthz/x",
        "/favicon.ico",
        "/.well-known/x",
        "/crm\u{e9}/mcp",
    ]
    .into_iter()
    .filter(|path| path.is_ascii())
    .map(nothing)
    .collect();
    rows.push(good("a query, which means nothing").from(From::Modern).at("/mcp?x=1&sessionId=2"));
    rows
}

fn hosts() -> Vec<Row> {
    let foreign = |host: &str| {
        good(format!("the host {host:?}").leak()).from(From::Modern).header("host", host).plain(403, "Host")
    };
    let mut rows: Vec<Row> = [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::]",
        "[::ffff:127.0.0.1]",
        "user@localhost",
        "localhost@evil.example",
        "localhost:80:80",
        "localhost:",
        "localhost:port",
        "localhost:99999",
        "localhost, evil.example",
        "localhost evil.example",
        "localhost/x",
        "localhost#x",
        "*",
        "",
        "localhost.",
    ]
    .into_iter()
    .map(foreign)
    .collect();
    rows.extend([
        good("two hosts").from(From::Modern).also("host", "evil.example").plain(403, "Host"),
        good("a host of bytes").from(From::Modern).header("host", b"localhost\xff").plain(403, "Host"),
        good("the host in capitals").from(From::Modern).header("host", "LOCALHOST:7400"),
        good("the host by IPv6").from(From::Modern).header("host", "[::1]:7400"),
    ]);
    rows
}

fn origins() -> Vec<Row> {
    let foreign = |origin: &str| {
        good(format!("the origin {origin:?}").leak())
            .from(From::Modern)
            .header("origin", origin)
            .plain(403, "Origin")
    };
    let mut rows: Vec<Row> = [
        "http://evil.example",
        "https://evil.example",
        "null",
        "",
        "file://",
        "http://localhost.evil.example",
        "http://127.0.0.1.nip.io",
        "http://evil.example@localhost",
        "http://localhost@evil.example",
        "localhost",
        "http://0.0.0.0",
        "http://localhost/mcp",
        "http://localhost,http://evil.example",
        "http://localhost http://evil.example",
        "*",
        "javascript:alert(1)",
        "chrome-extension://abc",
        "http://[::1",
        "http://local host",
        "ftp://localhost",
    ]
    .into_iter()
    .map(foreign)
    .collect();
    rows.extend([
        good("two origins")
            .from(From::Modern)
            .header("origin", "http://localhost")
            .also("origin", "http://localhost")
            .plain(403, "Origin"),
        good("a page of this machine").from(From::Modern).header("origin", "http://localhost:3000"),
        good("a foreign page in a session")
            .from(From::Sessions)
            .header("origin", "https://evil.example")
            .plain(403, "Origin"),
        bare("a foreign page asks before it calls", "OPTIONS")
            .from(From::Modern)
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "POST")
            .plain(403, "Origin"),
        bare("a foreign page opens a stream", "GET")
            .from(From::Modern)
            .at("/sse")
            .header("origin", "https://evil.example")
            .plain(403, "Origin"),
        bare("a foreign page reads the metrics", "GET")
            .from(From::Modern)
            .at("/metrics")
            .header("origin", "https://evil.example")
            .plain(403, "Origin"),
    ]);
    rows
}
