//! TLS and HTTP/2.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use demo::Server;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use testkit::{Demo, within};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::program::{Folder, Up};

/// A folder with a certificate for 127.0.0.1 and its key.
fn certified() -> (Folder, CertificateDer<'static>) {
    certified_for("127.0.0.1")
}

/// The same for another name.
pub fn certified_for(name: &str) -> (Folder, CertificateDer<'static>) {
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    folder.write("cert.pem", &certificate.pem());
    folder.write("key.pem", &key.serialize_pem());
    (folder, certificate.der().clone())
}

async fn connect(up: &Up) -> TcpStream {
    #[expect(clippy::disallowed_methods, reason = "a client of the program under test")]
    let stream = within(TcpStream::connect(up.address)).await.unwrap();
    stream
}

/// A connection whose two sides agreed on one of these.
async fn secure(up: &Up, trusted: &CertificateDer<'static>, alpn: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::IpAddress(up.address.ip().into());
    within(TlsConnector::from(Arc::new(config)).connect(name, connect(up).await)).await.unwrap()
}

fn echo(text: &str) -> (String, Value) {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": "a_echo", "arguments": {"text": text}, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    (body.to_string(), json!(text))
}

/// Several calls at a time over one HTTP/2 connection.
async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    scheme: &'static str,
) {
    let (client, connection) = within(h2::client::handshake(stream)).await.unwrap();
    tokio::spawn(connection);
    let calls = (0..8).map(|number| {
        let mut client = client.clone();
        async move {
            let (body, expected) = echo(&number.to_string());
            let request = http::Request::post(format!("{scheme}://{address}/mcp"))
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "tools/call")
                .header("mcp-name", "a_echo")
                .body(())
                .unwrap();
            let (response, mut sending) = client.send_request(request, false).unwrap();
            sending.send_data(Bytes::from(body), true).unwrap();
            let response = response.await.unwrap();
            assert_eq!(response.status(), 200);
            let (mut body, mut all) = (response.into_body(), Vec::new());
            while let Some(chunk) = body.data().await {
                all.extend_from_slice(&chunk.unwrap());
            }
            let answer: Value = serde_json::from_slice(&all).unwrap();
            assert_eq!(answer["result"]["content"][0]["text"], expected, "{answer}");
        }
    });
    let calls: Vec<_> = calls.map(tokio::spawn).collect();
    for call in calls {
        within(call).await.unwrap();
    }
}

#[tokio::test]
async fn tls_is_served_by_configuration_over_http_1_and_http_2() {
    let demo = Demo::start(Server::builder()).await;
    let (folder, certificate) = certified();
    folder.configure(&format!(
        "tls: {{cert: cert.pem, key: key.pem}}\nupstreams: {{a: {{url: '{}'}}}}",
        demo.url()
    ));
    let mut up = folder.up(&[]).await;
    let seen = up.program.stdout.seen.join("\n");
    assert!(seen.contains(&format!("endpoint  https://{}/mcp", up.address)), "{seen}");
    assert!(seen.contains(&format!("\"url\": \"https://{}/mcp\"", up.address)), "{seen}");

    let stream = secure(&up, &certificate, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    http2(stream, up.address, "https").await;

    let head =
        |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let own = up.address.to_string();
    // A probe speaks to an address that the gateway does not know, with TLS as without.
    for (path, host, status) in [
        ("/healthz", own.as_str(), "200"),
        ("/readyz", "10.244.0.7:7400", "200"),
        ("/mcp", "10.244.0.7:7400", "403"),
    ] {
        let mut stream = secure(&up, &certificate, &["http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        within(stream.write_all(head(path, host).as_bytes())).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(status != "200" || answer.ends_with("\r\n\r\nok\n"), "{path}: {answer}");
    }

    // Somebody who speaks plain HTTP gets nothing, and the others do not notice.
    let mut plain = connect(&up).await;
    within(plain.write_all(head("/healthz", &own).as_bytes())).await.unwrap();
    let mut answer = Vec::new();
    let _ = within(plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    http2(secure(&up, &certificate, &["h2"]).await, up.address, "https").await;
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn http_2_without_tls_is_served_to_who_knows_that_it_is() {
    let demo = Demo::start(Server::builder()).await;
    let folder = Folder::with(&format!("upstreams: {{a: {{url: '{}'}}}}", demo.url()));
    let mut up = folder.up(&[]).await;
    http2(connect(&up).await, up.address, "http").await;
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_stops_the_start() {
    let (folder, _) = certified();
    let (other, _) = certified();
    folder.write("other.pem", &other.read("key.pem"));
    folder.write("empty.pem", "");
    let cases = [
        ("cert.pem", "other.pem", "other.pem is not the key of cert.pem"),
        ("empty.pem", "key.pem", "empty.pem: there is no certificate in it"),
        ("cert.pem", "cert.pem", "cert.pem: there is no private key in it"),
        ("gone.pem", "key.pem", "gone.pem: I/O error: No such file or directory (os error 2)"),
    ];
    for (cert, key, why) in cases {
        folder.configure(&format!("tls: {{cert: {cert}, key: {key}}}"));
        let said = folder.run(&["up"]).await.bad(3);
        assert_eq!(said, format!("tidegate: failed to use the configuration: use tls: {why}\n"));
    }
}
