use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use tidegate_egress::{Body, EgressError, Guard, Http, HttpOptions, Party, Refusal, Resolve, Timeouts};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};

use crate::net::{
    LONG, SHORT, Server, client, echo, options, post, read_request, read_to_close, send, send_within,
};

#[tokio::test]
async fn a_request_and_its_answer_pass_unchanged() {
    let server = Server::http(echo).await;
    let request = Request::post(server.url("/mcp?x=1")).header("x-a", "b").body(Body::from("hello")).unwrap();
    let response = send(&client(), request).await.unwrap();
    let headers = response.headers().clone();
    assert_eq!(headers["x-uri"], "/mcp?x=1");
    assert_eq!(headers["x-was-x-a"], "b");
    assert_eq!(headers["x-was-host"], server.address.to_string());
    assert_eq!(headers["x-was-content-length"], "5");
    assert!(headers["x-was-user-agent"].to_str().unwrap().starts_with("tidegate/"));
    let added: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("x-was-")).collect();
    assert_eq!(added.len(), 4, "nothing else is added: {added:?}");
    assert_eq!(response.into_body().collect(100).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_user_agent_of_the_request_stays() {
    let server = Server::http(echo).await;
    let request =
        Request::get(server.url("/")).header(header::USER_AGENT, "mine").body(Body::default()).unwrap();
    assert_eq!(send(&client(), request).await.unwrap().headers()["x-was-user-agent"], "mine");
}

#[tokio::test]
async fn a_version_copied_from_elsewhere_does_not_matter() {
    let server = Server::http(echo).await;
    for version in [Version::HTTP_2, Version::HTTP_10, Version::HTTP_3] {
        let mut request = post(&server.url("/"), "x");
        *request.version_mut() = version;
        assert_eq!(send(&client(), request).await.unwrap().headers()["x-version"], "HTTP/1.1");
    }
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    let server = Server::http(echo).await;
    let http = client();
    for _ in 0..5 {
        let response = send(&http.clone(), post(&server.url("/"), "x")).await.unwrap();
        response.into_body().collect(10).await.unwrap();
        settle().await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn without_a_pool_each_request_has_its_own_connection() {
    let server = Server::http(echo).await;
    let http = Http::new(HttpOptions { pool_max_idle_per_host: 0, ..options() }).unwrap();
    for _ in 0..3 {
        let response = send(&http, post(&server.url("/"), "x")).await.unwrap();
        response.into_body().collect(10).await.unwrap();
        settle().await;
    }
    assert_eq!(server.accepted(), 3);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let canary = Server::http(echo).await;
    let to = canary.url("/elsewhere");
    let server = Server::http(move |_| {
        let to = to.clone();
        async move {
            Response::builder()
                .status(StatusCode::TEMPORARY_REDIRECT)
                .header(header::LOCATION, to)
                .body(Full::default())
                .unwrap()
        }
    })
    .await;
    let response = send(&client(), post(&server.url("/"), "x")).await.unwrap();
    assert_eq!(response.status(), 307);
    assert_eq!(response.headers()[header::LOCATION], canary.url("/elsewhere"));
    assert_eq!(canary.accepted(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_unnoticed() {
    let (closed, mut was_closed) = mpsc::channel(9);
    let server = Server::raw(move |mut tcp, _| {
        let closed = closed.clone();
        async move {
            read_request(&mut tcp).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            drop(tcp);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let http = client();
    for n in 1..=3 {
        let response = send(&http, post(&server.url("/"), "x")).await.unwrap();
        assert_eq!(response.into_body().collect(10).await.unwrap(), "ok");
        was_closed.recv().await.unwrap();
        settle().await;
        assert_eq!(server.accepted(), n);
    }
}

#[tokio::test]
async fn a_request_that_meets_a_close_is_sent_again_unless_it_was_begun() {
    let go = Arc::new(Notify::new());
    let (closed, mut was_closed) = mpsc::channel(9);
    let told = go.clone();
    let server = Server::raw(move |mut tcp, _| {
        let (closed, told) = (closed.clone(), told.clone());
        async move {
            read_request(&mut tcp).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            told.notified().await;
            drop(tcp);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let http = client();
    let mut answered = 0;
    for _ in 0..20 {
        // The connection is in the pool, and its close on the way, while the next request is made. Nearly
        // always the connection's task sees the close before the request, and then nobody may notice.
        match send(&http, post(&server.url("/"), "x")).await {
            Ok(response) => {
                assert_eq!(response.into_body().collect(10).await.unwrap(), "ok");
                answered += 1;
                settle().await;
                go.notify_one();
                was_closed.recv().await.unwrap();
            }
            Err(error) => assert!(!error.nothing_sent(), "given up although nothing was sent: {error:?}"),
        }
    }
    assert!(answered > 1, "no request came to a connection just closed");
    assert_eq!(server.accepted(), answered, "a request was sent twice");
}

#[tokio::test]
async fn a_server_that_closes_instead_of_answering_may_have_run_the_request() {
    let server = Server::raw(|mut tcp, _| async move {
        read_request(&mut tcp).await;
    })
    .await;
    let error = send(&client(), post(&server.url("/"), "x")).await.unwrap_err();
    assert!(matches!(error, EgressError::Closed { sent: true, .. }), "{error:?}");
    assert!(!error.nothing_sent());
    assert_eq!(error.party(), Party::Upstream);
    assert_eq!(server.accepted(), 1, "it must not be sent again");
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let error = send(&client(), post(&format!("http://{address}/"), "x")).await.unwrap_err();
    let EgressError::Connect { authority, source } = &error else { panic!("{error:?}") };
    assert_eq!(**authority, *address.to_string());
    assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(error.nothing_sent());
}

#[tokio::test]
async fn a_bad_url_is_the_callers_fault_and_sent_nothing() {
    for url in ["/relative", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1:70000/"] {
        let error = send(&client(), post(url, "x")).await.unwrap_err();
        assert!(matches!(error, EgressError::BadUrl { .. }), "{url}: {error:?}");
        assert!(error.nothing_sent());
        assert_eq!(error.party(), Party::Caller);
    }
}

#[tokio::test]
async fn a_silent_server_ends_in_a_first_byte_timeout_and_the_connection_is_closed() {
    let (closed, mut was_closed) = mpsc::channel(1);
    let server = Server::raw(move |mut tcp, _| {
        let closed = closed.clone();
        async move {
            read_request(&mut tcp).await;
            read_to_close(&mut tcp).await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let timeouts = Timeouts { first_byte: Some(SHORT), ..Timeouts::default() };
    let error = send_within(&client(), post(&server.url("/"), "x"), timeouts).await.unwrap_err();
    assert!(matches!(error, EgressError::FirstByteTimeout { after: SHORT }), "{error:?}");
    assert!(!error.nothing_sent());
    tokio::time::timeout(LONG, was_closed.recv()).await.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn the_total_time_counts_before_the_head_too() {
    let server = Server::raw(|mut tcp, _| async move { read_to_close(&mut tcp).await }).await;
    let timeouts = Timeouts { first_byte: Some(LONG), total: Some(SHORT), ..Timeouts::default() };
    let error = send_within(&client(), post(&server.url("/"), "x"), timeouts).await.unwrap_err();
    assert!(matches!(error, EgressError::TotalTimeout { after: SHORT }), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_falls_silent_ends_in_an_idle_timeout() {
    let server = Server::raw(|mut tcp, _| async move {
        read_request(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        read_to_close(&mut tcp).await;
    })
    .await;
    let timeouts = Timeouts { idle: Some(SHORT * 5), ..Timeouts::default() };
    let response = send_within(&client(), post(&server.url("/"), "x"), timeouts).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "first");
    let error = body.chunk().await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::IdleTimeout { .. }), "{error:?}");
    assert!(body.chunk().await.is_none());
}

#[tokio::test]
async fn dropping_a_waiting_body_closes_the_connection() {
    let (closed, mut was_closed) = mpsc::channel(1);
    let server = Server::raw(move |mut tcp, _| {
        let closed = closed.clone();
        async move {
            read_request(&mut tcp).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                .await
                .unwrap();
            read_to_close(&mut tcp).await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let mut body = send(&client(), post(&server.url("/"), "x")).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "first");
    // The task of the connection now waits for the server, and must learn of the drop all the same.
    assert!(tokio::time::timeout(SHORT, body.chunk()).await.is_err());
    drop(body);
    tokio::time::timeout(LONG, was_closed.recv()).await.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn a_body_that_ends_early_is_an_error_and_not_a_short_answer() {
    for head in [&b"content-length: 10\r\n\r\nshort"[..], b"transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n"]
    {
        let server = Server::raw(move |mut tcp, _| async move {
            read_request(&mut tcp).await;
            tcp.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            tcp.write_all(head).await.unwrap();
        })
        .await;
        let mut body = send(&client(), post(&server.url("/"), "x")).await.unwrap().into_body();
        assert_eq!(body.chunk().await.unwrap().unwrap(), "short");
        let error = body.chunk().await.unwrap().unwrap_err();
        assert!(matches!(error, EgressError::Closed { sent: true, .. }), "{error:?}");
        assert!(body.chunk().await.is_none());
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let server = Server::raw(|mut tcp, _| async move {
        read_request(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n").await.unwrap();
        read_to_close(&mut tcp).await;
    })
    .await;
    let body = send(&client(), post(&server.url("/"), "x")).await.unwrap().into_body();
    let error = tokio::time::timeout(LONG, body.collect(1000)).await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::BodyTooLarge { limit_bytes: 1000 }), "{error:?}");
    assert_eq!(error.to_string(), "read an answer of more than 1000 bytes");
}

#[tokio::test]
async fn a_body_that_grows_past_the_limit_is_cut_off() {
    let server = Server::raw(|mut tcp, _| async move {
        read_request(&mut tcp).await;
        tcp.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while tcp.write_all(b"64\r\n").await.is_ok() && tcp.write_all(&[b'x'; 100]).await.is_ok() {
            if tcp.write_all(b"\r\n").await.is_err() {
                break;
            }
        }
    })
    .await;
    let body = send(&client(), post(&server.url("/"), "x")).await.unwrap().into_body();
    let error = tokio::time::timeout(LONG, body.collect(100_000)).await.unwrap().unwrap_err();
    assert!(matches!(error, EgressError::BodyTooLarge { limit_bytes: 100_000 }), "{error:?}");
}

#[tokio::test]
async fn a_body_in_many_pieces_is_collected_whole() {
    let large = Bytes::from((0..3_000_000_u32).map(|i| (i % 251) as u8).collect::<Vec<_>>());
    let answer = large.clone();
    let server = Server::http(move |_| {
        let answer = answer.clone();
        async move { Response::new(Full::new(answer)) }
    })
    .await;
    let body = send(&client(), post(&server.url("/"), "x")).await.unwrap().into_body();
    assert!(body.collect(3_000_000).await.unwrap() == large);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told_apart_from_a_lost_connection() {
    let server = Server::raw(|mut tcp, _| async move {
        read_request(&mut tcp).await;
        tcp.write_all(b"SSH-2.0-OpenSSH_9.9\r\n\r\n").await.unwrap();
        read_to_close(&mut tcp).await;
    })
    .await;
    let error = send(&client(), post(&server.url("/"), "x")).await.unwrap_err();
    assert!(matches!(error, EgressError::BadResponse { .. }), "{error:?}");
    assert!(!error.nothing_sent());
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_ends_in_a_connect_timeout() {
    struct Silent;
    impl Resolve for Silent {
        fn resolve<'a>(
            &'a self,
            _host: &'a str,
        ) -> futures_util::future::BoxFuture<'a, std::io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::pending())
        }
    }
    let options = HttpOptions { connect_timeout: SHORT, ..options() };
    let http = Http::with_resolver(options, Arc::new(Silent)).unwrap();
    let error = send(&http, post("http://silent.example:81/", "x")).await.unwrap_err();
    let EgressError::ConnectTimeout { authority, after: SHORT } = &error else { panic!("{error:?}") };
    assert_eq!(**authority, *"silent.example:81");
    assert!(error.nothing_sent());
}

#[tokio::test]
async fn a_name_reaches_the_loopback_only_for_an_operator() {
    let server = Server::http(echo).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let response = send(&client(), post(&url, "x")).await.unwrap();
    assert_eq!(response.headers()["x-was-host"], format!("localhost:{}", server.address.port()));
    assert_eq!(server.accepted(), 1);
    let public = Http::new(HttpOptions { guard: Guard::Public, ..HttpOptions::default() }).unwrap();
    for host in ["localhost", "127.0.0.1", "0x7f.1", "2130706433", "0", "[::ffff:127.0.0.1]"] {
        let url = format!("http://{host}:{}/", server.address.port());
        let error = send(&public, post(&url, "x")).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { what: Refusal::Address(_) }), "{host}: {error:?}");
        assert!(error.nothing_sent());
    }
    assert_eq!(server.accepted(), 1, "a refused target was dialled");
}

#[tokio::test]
async fn the_default_guard_is_the_strict_one() {
    let error = send(&Http::new(HttpOptions::default()).unwrap(), post("http://127.0.0.1:9/", "x")).await;
    assert!(matches!(error.unwrap_err(), EgressError::Refused { .. }));
}

/// Lets the tasks of the connections see what the sockets have; no time passes.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
