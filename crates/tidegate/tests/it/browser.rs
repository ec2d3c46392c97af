//! Pages in browsers: who may call, and what they may see.

use http::Method;
use testkit::{Demo, Revision};

use crate::program::{Folder, Up};

const INITIALIZE: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","#,
    r#""capabilities":{},"clientInfo":{"name":"page","version":"1"}}}"#
);

async fn up() -> Up {
    Folder::new().up(&["--listen", "127.0.0.1:0"]).await
}

#[tokio::test]
async fn a_foreign_host_or_origin_is_refused_before_anything_else() {
    let up = up().await;
    let port = up.address.port();
    for path in ["/mcp", "/demo/mcp", "/nothing/mcp", "/metrics", "/elsewhere"] {
        for host in ["evil.example".to_owned(), format!("127.0.0.1.nip.io:{port}"), "0.0.0.0".to_owned()] {
            let reply = up.http.post(path, INITIALIZE).header("host", &host).send().await;
            assert_eq!((reply.status, reply.header("mcp-session-id")), (403, None), "{path} at {host}");
            assert_eq!(reply.text().await, "This gateway does not answer to that Host. See `hosts`.\n");
        }
        for origin in ["https://evil.example", "null", "http://localhost.evil.example"] {
            for method in [Method::POST, Method::OPTIONS] {
                let request = up.http.request(method.clone(), path).body(INITIALIZE).header("origin", origin);
                let reply = request.send().await;
                assert_eq!(reply.status, 403, "{method} {path} from {origin}");
                assert_eq!(reply.header("access-control-allow-origin"), None);
            }
        }
    }
    let reply = up.http.post("/mcp", INITIALIZE).header("host", format!("localhost:{port}")).send().await;
    assert_eq!(reply.status, 200);
    assert!(up.metrics().await.contains("tidegate_refusals_total{reason=\"host_or_origin\"} 45"));
}

#[tokio::test]
async fn probes_are_answered_under_any_host_and_nothing_else_is() {
    let up = up().await;
    for host in ["10.244.0.7:7400", "probe", "evil.example", "[fd00::7]:7400"] {
        for path in ["/healthz", "/readyz"] {
            let reply = up.http.request(Method::GET, path).header("host", host).send().await;
            assert_eq!((reply.status, reply.text().await.as_str()), (200, "ok\n"), "{path} at {host}");
        }
        for path in ["/mcp", "/demo/mcp", "/sse", "/metrics", "/healthz/", "/readyz/mcp"] {
            let reply = up.http.request(Method::GET, path).header("host", host).send().await;
            assert_eq!(reply.status, 403, "{path} at {host}");
        }
        assert_eq!(up.http.post("/mcp", INITIALIZE).header("host", host).send().await.status, 403, "{host}");
    }
    // A page is still held against the list of origins.
    for path in ["/healthz", "/readyz"] {
        let page = up.http.request(Method::GET, path).header("origin", "https://evil.example");
        let reply = page.header("host", "10.244.0.7:7400").send().await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (403, None), "{path}");
    }
}

#[tokio::test]
async fn a_page_of_this_machine_may_call_and_read_the_answer() {
    let up = up().await;
    let origin = "http://localhost:5173";
    let wanted = "content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id";
    let preflight = up
        .http
        .request(Method::OPTIONS, "/mcp")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", wanted)
        .send()
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(origin));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some(wanted));
    assert_eq!(preflight.header("access-control-allow-credentials"), None, "cookies mean nothing here");
    let vary = preflight.header("vary").unwrap_or_default().to_ascii_lowercase();
    assert!(vary.contains("origin"), "{vary}");

    let reply = up.http.post("/mcp", INITIALIZE).header("origin", origin).send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, Some(origin)));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    for name in ["mcp-session-id", "mcp-protocol-version", "www-authenticate"] {
        assert!(exposed.split(", ").any(|one| one == name), "{name}: {exposed}");
    }
    assert!(reply.header("mcp-session-id").is_some());
    // An error is for the page to read, too.
    let reply = up.http.post("/mcp", "{").header("origin", origin).send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (400, Some(origin)));
}

#[tokio::test]
async fn hosts_and_origins_are_what_the_configuration_says() {
    let demo = Demo::speaking(Revision::V2026_07_28).await;
    let folder = Folder::with(&format!(
        "hosts: [mcp.example.com]\norigins: ['https://app.example.com']\nupstreams: {{a: {{url: '{}'}}}}",
        demo.url()
    ));
    let mut up = folder.up(&[]).await;
    let post = || up.http.post("/mcp", INITIALIZE);
    assert_eq!(post().send().await.status, 403, "the list replaces the default");
    let reply = post().header("host", "mcp.example.com").send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None));
    let page = |origin: &str| post().header("host", "mcp.example.com:443").header("origin", origin);
    assert_eq!(page("https://app.example.com").send().await.status, 200);
    assert_eq!(page("http://localhost:5173").send().await.status, 403);
    assert_eq!(up.stop().await, 0);
}
