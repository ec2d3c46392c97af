use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tidegate_egress::{EgressError, Http, HttpOptions, TlsOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::net::{SHORT, Server, echo, options, post, read_to_close, send, serve_http};

/// A certificate authority of the test's own and a server that it vouches for.
struct Authority {
    ca_pem: Vec<u8>,
    acceptor: TlsAcceptor,
}

fn authority(names: &[&str], alpn: &[&str]) -> Authority {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem().into_bytes();
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Authority { ca_pem, acceptor: TlsAcceptor::from(Arc::new(config)) }
}

/// A server that shows a certificate whose key it does not have.
fn impostor() -> Authority {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let other = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(other.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let other = provider.key_provider.load_private_key(other).unwrap();
    let shown = CertifiedKey::new(vec![certificate.der().clone()], other);
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    Authority { ca_pem: certificate.pem().into_bytes(), acceptor: TlsAcceptor::from(Arc::new(config)) }
}

impl Authority {
    async fn echo(&self) -> Server {
        let acceptor = self.acceptor.clone();
        Server::raw(move |tcp, _| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(tls) = acceptor.accept(tcp).await {
                    serve_http(tls, echo).await;
                }
            }
        })
        .await
    }

    /// Speaks HTTP/2 by hand: greets, waits for the first request, writes `frame`, closes when the client
    /// does.
    async fn http2(&self, frame: &'static [u8]) -> Server {
        let acceptor = self.acceptor.clone();
        Server::raw(move |tcp, _| {
            let acceptor = acceptor.clone();
            async move {
                let mut tls = acceptor.accept(tcp).await.unwrap();
                tls.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
                tls.flush().await.unwrap();
                read_to_headers(&mut tls).await;
                tls.write_all(frame).await.unwrap();
                let _ = tls.shutdown().await;
                while let Ok(1..) = tls.read(&mut [0; 1024]).await {}
            }
        })
        .await
    }

    fn client(&self) -> Http {
        let tls = TlsOptions { extra_ca_pem: Some(self.ca_pem.clone()), ..TlsOptions::default() };
        Http::new(HttpOptions { tls, ..options() }).unwrap()
    }
}

async fn read_to_headers(tls: &mut TlsStream<TcpStream>) {
    tls.read_exact(&mut [0; 24]).await.unwrap();
    loop {
        let mut head = [0; 9];
        tls.read_exact(&mut head).await.unwrap();
        let bytes = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        tls.read_exact(&mut vec![0; bytes as usize]).await.unwrap();
        if head[3] == 1 {
            return;
        }
    }
}

fn url(host: &str, server: &Server) -> String {
    format!("https://{host}:{}/", server.address.port())
}

#[tokio::test]
async fn http2_is_spoken_where_the_server_picks_it_and_one_connection_carries_all() {
    let authority = authority(&["localhost"], &["h2", "http/1.1"]);
    let server = authority.echo().await;
    let http = authority.client();
    let first = send(&http, post(&url("localhost", &server), "a")).await.unwrap();
    let second = send(&http, post(&url("localhost", &server), "b")).await.unwrap();
    assert_eq!(first.headers()["x-version"], "HTTP/2.0");
    assert_eq!(first.into_body().collect(10).await.unwrap(), "a");
    assert_eq!(second.into_body().collect(10).await.unwrap(), "b");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn http1_is_spoken_over_tls_where_the_server_knows_no_other() {
    for alpn in [&["http/1.1"][..], &[]] {
        let authority = authority(&["127.0.0.1"], alpn);
        let server = authority.echo().await;
        let response = send(&authority.client(), post(&url("127.0.0.1", &server), "a")).await.unwrap();
        assert_eq!(response.headers()["x-version"], "HTTP/1.1");
        assert_eq!(response.into_body().collect(10).await.unwrap(), "a");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_another_authority_sends_nothing() {
    let known = authority(&["localhost"], &[]);
    let server = known.echo().await;
    let stranger = authority(&["localhost"], &[]);
    for (http, host) in [(known.client(), "127.0.0.1"), (stranger.client(), "localhost")] {
        let error = send(&http, post(&url(host, &server), "a")).await.unwrap_err();
        assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
        assert!(error.nothing_sent());
    }
}

#[tokio::test]
async fn any_certificate_will_do_on_loopback_where_that_was_asked_for() {
    let authority = authority(&["mcp.example.com"], &["h2", "http/1.1"]);
    let server = authority.echo().await;
    let asked = || TlsOptions { any_on_loopback: true, ..TlsOptions::default() };
    let http = Http::new(HttpOptions { tls: asked(), ..options() }).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let response = send(&http, post(&url(host, &server), "a")).await.unwrap();
        assert_eq!(response.headers()["x-version"], "HTTP/2.0");
        assert_eq!(response.into_body().collect(10).await.unwrap(), "a");
    }
    let http = Http::new(options()).unwrap();
    let error = send(&http, post(&url("127.0.0.1", &server), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
    // Who has the certificate and not its key is still found out.
    let impostor = impostor().echo().await;
    let http = Http::new(HttpOptions { tls: asked(), ..options() }).unwrap();
    let error = send(&http, post(&url("127.0.0.1", &impostor), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_a_tls_error() {
    let server = Server::http(echo).await;
    let error =
        send(&authority(&["x"], &[]).client(), post(&url("127.0.0.1", &server), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_handshake_without_an_end_is_a_connect_timeout() {
    let server = Server::raw(|mut tcp, _| async move { read_to_close(&mut tcp).await }).await;
    let ca = authority(&["localhost"], &[]);
    let tls = TlsOptions { extra_ca_pem: Some(ca.ca_pem), ..TlsOptions::default() };
    let http = Http::new(HttpOptions { tls, connect_timeout: SHORT * 5, ..options() }).unwrap();
    let error = send(&http, post(&url("127.0.0.1", &server), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::ConnectTimeout { .. }), "{error:?}");
    assert!(error.nothing_sent());
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_at_the_start() {
    let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for pem in [&b""[..], b"hello", garbage, b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        let tls = TlsOptions { extra_ca_pem: Some(pem.to_vec()), ..TlsOptions::default() };
        let error = Http::new(HttpOptions { tls, ..options() }).unwrap_err();
        assert!(matches!(error, EgressError::Options { option: "extra_ca_pem", .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_stream_that_the_server_refuses_did_not_run() {
    let authority = authority(&["localhost"], &["h2"]);
    let server = authority.http2(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7]).await;
    let error = send(&authority.client(), post(&url("localhost", &server), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::Closed { sent: false, .. }), "{error:?}");
    assert!(error.nothing_sent());
}

#[tokio::test]
async fn a_stream_that_is_reset_for_another_reason_may_have_run() {
    let authority = authority(&["localhost"], &["h2"]);
    let server = authority.http2(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2]).await;
    let error = send(&authority.client(), post(&url("localhost", &server), "a")).await.unwrap_err();
    assert!(matches!(error, EgressError::Closed { sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_goaway_tells_whether_the_stream_was_looked_at() {
    for (last_stream, code, ran) in [(0, 0, false), (0, 11, false), (1, 0, true), (1, 11, true)] {
        let authority = authority(&["localhost"], &["h2"]);
        let frame = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last_stream, 0, 0, 0, code].leak();
        let server = authority.http2(frame).await;
        let error = send(&authority.client(), post(&url("localhost", &server), "a")).await.unwrap_err();
        assert_eq!(error.nothing_sent(), !ran, "{last_stream} {code}: {error:?}");
    }
}
