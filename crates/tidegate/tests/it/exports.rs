//! `audit.exports`: what the program hands on, to each kind of receiver, and again after a restart.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use testkit::within;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::program::Folder;

/// What came: the head and the body of each request, or all of a connection.
type Came = Arc<Mutex<Vec<(String, String)>>>;

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    (listener, port)
}

/// A receiver that takes whatever comes by HTTP.
async fn http() -> (Came, u16) {
    let (listener, port) = listen().await;
    let came = Came::default();
    let taken = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(requests(Arc::clone(&taken), tcp));
        }
    });
    (came, port)
}

async fn requests(came: Came, mut tcp: TcpStream) {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        let whole = text.split_once("\r\n\r\n").and_then(|(head, rest)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let length: usize = length.parse().expect("a number");
            rest.get(..length).map(|body| (head.to_owned(), body.to_owned(), head.len() + 4 + length))
        });
        let Some((head, body, length)) = whole else {
            if tcp.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        read.drain(..length);
        came.lock().expect("no test panics with it").push((head, body));
        if tcp.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.is_err() {
            return;
        }
    }
}

/// A syslog server that reads to the end.
async fn syslog() -> (Came, u16) {
    let (listener, port) = listen().await;
    let came = Came::default();
    let taken = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut all = String::new();
            if tcp.read_to_string(&mut all).await.is_ok() {
                taken.lock().expect("no test panics with it").push((String::new(), all));
            }
        }
    });
    (came, port)
}

fn has(came: &Came, what: &str) -> bool {
    came.lock().expect("no test panics with it").iter().any(|(_, body)| body.contains(what))
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_go_to_each_kind_of_receiver_and_after_a_restart_to_where_they_ended() {
    let ((web, port), (lines, log_port)) = (http().await, syslog().await);
    let folder = Folder::with(&format!(
        "store: {{url: 'sqlite:a.db'}}
audit:
  checkpoint_interval: 100ms
  exports:
    file: {{file: audit.jsonl}}
    siem: {{url: 'http://127.0.0.1:{port}/in', format: ocsf, headers: {{X-Key: {{file: key}}}}}}
    logs: {{syslog: 'tcp://127.0.0.1:{log_port}', format: cef}}
    otel: {{otlp: 'http://127.0.0.1:{port}'}}
    lake:
      s3:
        bucket: audit-logs
        prefix: gate/
        endpoint: http://127.0.0.1:{port}
        access_key_id: AKIDEXAMPLE
        secret_access_key: {{file: key}}
telemetry: {{service_name: gate}}
"
    ));
    folder.write("key", "hunter2-of-everybody\n");
    for round in 0..2 {
        let mut up = folder.up(&[]).await;
        let start = round * 2;
        let (ocsf, object) = (format!("\"sequence\":{start}"), format!("\"index\":{start},\"record\""));
        let record = format!("{{\"intValue\":\"{start}\"}}");
        within(async {
            let file = || std::fs::read_to_string(folder.path("audit.jsonl")).unwrap_or_default();
            while file().lines().count() <= start
                || ![&ocsf, &object, &record].into_iter().all(|what| has(&web, what))
                || !has(&lines, &format!("cn1={start}"))
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let metrics = up.metrics().await;
        for name in ["file", "siem", "logs", "otel", "lake"] {
            let figure = format!("tidegate_audit_export_behind{{export=\"{name}\"}}");
            assert!(metrics.contains(&figure), "{name}: {metrics}");
        }
        up.stop().await;
    }
    let came = web.lock().expect("no test panics with it").clone();
    let of = |start: &str| came.iter().filter(|(head, _)| head.starts_with(start)).collect::<Vec<_>>();
    assert!(of("POST /in").iter().all(|(head, _)| head.contains("x-key: hunter2-of-everybody")));
    let logs: Value = serde_json::from_str(&of("POST /v1/logs")[0].1).expect("JSON");
    let service = &logs["resourceLogs"][0]["resource"]["attributes"][0];
    assert_eq!(service["value"]["stringValue"], "gate", "{logs}");
    for (head, _) in of("PUT ") {
        assert!(head.contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"), "{head}");
        assert!(!head.contains("hunter2"), "{head}");
    }
    let file = folder.read("audit.jsonl");
    let places = file.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["index"].clone());
    let places: Vec<u64> = places.map(|place| place.as_u64().expect("a number")).collect();
    assert_eq!(places, (0..places.len() as u64).collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_said_before_anything_is_served() {
    let folder = Folder::with(
        "store: {url: 'sqlite:a.db'}\naudit: {exports: {lake: {s3: {bucket: audit-logs, \
         access_key_id: a, secret_access_key: {file: nowhere}}}}}\n",
    );
    let said = folder.run(&["up"]).await;
    assert_ne!(said.code, 0, "{said:?}");
    assert!(
        said.stderr.contains("audit.exports.lake") && said.stderr.contains("s3.secret_access_key"),
        "{said:?}"
    );
}
