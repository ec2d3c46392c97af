//! Entries on their way to others: whoever takes them fails, hangs and comes back, and nothing is left out.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audit::{ExportFigures, Recorder as _};
use recorder::{Export, Format, Options, Recorder, Sending};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::{World, call};

/// How a receiver treats a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// It takes it.
    Take,
    /// It takes it and its answer is lost.
    TakeInSilence,
    /// It answers that it cannot.
    Refuse,
    /// It closes the connection before it has read.
    Close,
    /// It says nothing.
    Hang,
    /// It takes it, but for so many records that it never will.
    Reject(u64),
}

/// What a receiver was given, in the order in which it took it.
#[derive(Default)]
pub(crate) struct Receiver {
    plan: Mutex<VecDeque<Way>>,
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) heads: Mutex<Vec<String>>,
    /// What it took by path, as an object store has it, and how often.
    pub(crate) objects: Mutex<BTreeMap<String, (String, usize)>>,
}

impl Receiver {
    pub(crate) fn new(plan: &[Way]) -> Arc<Self> {
        Arc::new(Self { plan: Mutex::new(plan.iter().copied().collect()), ..Self::default() })
    }

    fn way(&self) -> Way {
        self.plan.lock().expect("it is there").pop_front().unwrap_or(Way::Take)
    }

    /// The places of what it has, of one log.
    fn places(&self, log: &str) -> Vec<u64> {
        let lines = self.lines.lock().expect("it is there");
        let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        parsed
            .filter(|line| line["log"] == log)
            .map(|line| line["index"].as_u64().expect("it is there"))
            .collect()
    }

    pub(crate) async fn wait_for(&self, log: &str, number: u64) {
        while !(0..number).all(|index| self.places(log).contains(&index)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("an address").to_string();
    (listener, at)
}

/// Serves HTTP by hand: one request after the other on each connection.
pub(crate) async fn http(receiver: Arc<Receiver>) -> http::Uri {
    let (listener, at) = listen().await;
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            tokio::spawn(requests(Arc::clone(&receiver), tcp));
        }
    });
    format!("http://{at}/in").parse().expect("a URL")
}

async fn requests(receiver: Arc<Receiver>, mut tcp: TcpStream) {
    let mut read = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if tcp.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8(read[..end].to_vec()).expect("text");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let whole = end + length.parse::<usize>().expect("a number");
        let way = receiver.way();
        if way == Way::Close {
            return;
        }
        while read.len() < whole {
            if tcp.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = String::from_utf8(read[end..whole].to_vec()).expect("text");
        read.drain(..whole);
        let path = head.split(' ').nth(1).expect("a path").to_owned();
        receiver.heads.lock().expect("it is there").push(head);
        if matches!(way, Way::Take | Way::TakeInSilence | Way::Reject(_)) {
            receiver.lines.lock().expect("it is there").extend(body.lines().map(ToOwned::to_owned));
            let mut objects = receiver.objects.lock().expect("it is there");
            let (object, puts) = objects.entry(path).or_default();
            (*object, *puts) = (body, *puts + 1);
        }
        let status = match way {
            Way::Take => "204 No Content\r\n\r\n".to_owned(),
            Way::Refuse => "500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Way::Reject(number) => {
                let body = format!(r#"{{"partialSuccess":{{"rejectedLogRecords":"{number}"}}}}"#);
                format!("200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            Way::TakeInSilence => return,
            Way::Hang | Way::Close => std::future::pending().await,
        };
        if tcp.write_all(format!("HTTP/1.1 {status}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A syslog server that counts lengths.
async fn syslog(receiver: Arc<Receiver>, tls: Option<TlsAcceptor>) -> String {
    let (listener, at) = listen().await;
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let (receiver, tls) = (Arc::clone(&receiver), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => frames(receiver, tcp).await,
                    Some(tls) => frames(receiver, tls.accept(tcp).await.expect("TLS")).await,
                }
            });
        }
    });
    at
}

async fn frames(receiver: Arc<Receiver>, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    match receiver.way() {
        // With what came unread, the system resets the connection.
        Way::Close | Way::Refuse => {
            let _ = stream.read(&mut [0; 16]).await;
            return;
        }
        Way::Hang => std::future::pending().await,
        Way::Take | Way::TakeInSilence | Way::Reject(_) => {}
    }
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("all of it");
    let (mut rest, mut lines) = (&all[..], Vec::new());
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ').expect("a length");
        let length: usize = std::str::from_utf8(&rest[..space]).expect("digits").parse().expect("a number");
        let message = String::from_utf8(rest[space + 1..space + 1 + length].to_vec()).expect("text");
        rest = &rest[space + 1 + length..];
        let (head, line) = message.split_once(" - {").expect("a message");
        receiver.heads.lock().expect("it is there").push(head.to_owned());
        lines.push(format!("{{{line}"));
    }
    receiver.lines.lock().expect("it is there").extend(lines);
    let _ = stream.shutdown().await;
}

pub(crate) fn sending(name: &str) -> Sending {
    Sending {
        name: Arc::from(name),
        format: Format::JsonLines,
        tenants: Arc::new(|_| true),
        batch: 3,
        timeout: Duration::from_secs(20),
        pause_max: Duration::from_millis(300),
    }
}

pub(crate) fn exporting(export: Export) -> Options {
    Options { strict: true, exports: vec![export], ..Options::default() }
}

pub(crate) async fn record(recorder: &Recorder, tenant: &str, number: usize) {
    for _ in 0..number {
        recorder.record(call(tenant)).await.expect("recorded");
    }
}

pub(crate) fn figures(recorder: &Recorder) -> ExportFigures {
    recorder.figures().expect("figures").exports.remove(0)
}

pub(crate) async fn all_delivered(recorder: &Recorder, number: u64) {
    while figures(recorder).delivered < number || figures(recorder).behind != Some(0) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A folder of this test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tidegate-exports-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a folder");
    path
}

pub(crate) fn lines_of(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("the file");
    text.lines().map(ToOwned::to_owned).collect()
}

/// What was repeated left out, what was taken is all there is, in order.
pub(crate) fn in_order(places: &[u64], number: u64) {
    let mut seen: Vec<u64> = Vec::new();
    for place in places {
        if !seen.contains(place) {
            assert_eq!(*place, seen.len() as u64, "in order: {places:?}");
            seen.push(*place);
        }
    }
    assert_eq!(seen.len() as u64, number, "nothing is lost: {places:?}");
}

#[tokio::test]
async fn a_file_gets_all_entries_of_its_tenants_in_order_and_goes_on_after_a_restart() {
    let (world, folder) = (World::new(), folder("file"));
    let path = folder.join("audit.jsonl");
    let only = Sending { tenants: Arc::new(|log| log == "acme"), ..sending("siem") };
    let recorder = world.start(exporting(Export::to_file(only.clone(), path.clone())));
    record(&recorder, "globex", 2).await;
    record(&recorder, "acme", 7).await;
    all_delivered(&recorder, 7).await;
    recorder.stop().await;
    // A process ended in the middle of a line.
    let mut text = std::fs::read(&path).expect("the file");
    text.extend_from_slice(b"{\"half");
    std::fs::write(&path, &text).expect("write");
    world.clock.advance(Duration::from_secs(60));
    let recorder = world.start(exporting(Export::to_file(only, path.clone())));
    record(&recorder, "acme", 2).await;
    all_delivered(&recorder, 2).await;
    recorder.stop().await;
    let mut lines = lines_of(&path);
    assert_eq!(lines.remove(7), "{\"half");
    let parsed = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let places: Vec<(String, u64)> = parsed
        .map(|line| {
            (
                line["log"].as_str().expect("it is there").to_owned(),
                line["index"].as_u64().expect("it is there"),
            )
        })
        .collect();
    let expected: Vec<(String, u64)> = (0..9).map(|index| ("acme".to_owned(), index)).collect();
    assert_eq!(places, expected, "each once, and of this tenant alone");
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_gets_everything_once_it_can() {
    let (world, folder) = (World::new(), folder("away"));
    let path = folder.join("later").join("audit.jsonl");
    let recorder = world.start(exporting(Export::to_file(sending("siem"), path.clone())));
    record(&recorder, "acme", 5).await;
    while figures(&recorder).failed < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((figures(&recorder).delivered, figures(&recorder).behind), (0, Some(5)));
    std::fs::create_dir(folder.join("later")).expect("a folder");
    all_delivered(&recorder, 5).await;
    recorder.stop().await;
    assert_eq!(lines_of(&path).len(), 5);
    std::fs::remove_dir_all(folder).expect("remove");
}

#[tokio::test]
async fn a_receiver_that_refuses_hangs_breaks_off_and_comes_back_misses_nothing() {
    use Way::{Close, Hang, Refuse, Take, TakeInSilence};
    let receiver = Receiver::new(&[Refuse, Close, Take, Hang, Refuse, TakeInSilence, Take, Close]);
    let url = http(Arc::clone(&receiver)).await;
    let world = World::new();
    let sending = Sending { timeout: Duration::from_millis(400), ..sending("siem") };
    let token = (http::header::AUTHORIZATION, http::HeaderValue::from_static("Bearer one"));
    let export = Export::by_http(sending, url, vec![token], None).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "acme", 10).await;
    record(&recorder, "globex", 4).await;
    all_delivered(&recorder, 14).await;
    let told = figures(&recorder);
    recorder.stop().await;
    let places = receiver.places("acme");
    in_order(&places, 10);
    in_order(&receiver.places("globex"), 4);
    assert!(receiver.lines.lock().expect("it is there").len() > 14, "what was taken in silence came again");
    assert_eq!((told.delivered, told.missed, told.behind), (14, 0, Some(0)));
    assert!(told.failed >= 6, "{told:?}");
    let heads = receiver.heads.lock().expect("it is there");
    assert!(heads.iter().all(|head| head.starts_with("POST /in HTTP/1.1")), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("authorization: Bearer one")), "{heads:?}");
    assert!(heads.iter().all(|head| head.contains("content-type: application/x-ndjson")), "{heads:?}");
}

#[tokio::test]
async fn a_cursor_that_cannot_be_moved_sends_again_and_leaves_nothing_out() {
    let receiver = Receiver::new(&[]);
    let url = http(Arc::clone(&receiver)).await;
    let world = World::new();
    let recorder = world.start(Options::default());
    for _ in 0..9 {
        recorder.note(call("acme"));
    }
    world.wait_for("acme", "tool_call", 9).await;
    recorder.stop().await;
    world.clock.advance(Duration::from_secs(120));
    // Whatever it asks of the store fails now and then, in both ways.
    for later in (3..120).step_by(4) {
        let fault = if later % 8 == 3 { store::Fault::After } else { store::Fault::Before };
        world.store.faults().fail(later, fault);
    }
    let export = Export::by_http(sending("siem"), url, Vec::new(), None).expect("an export");
    let recorder = world.start(Options { exports: vec![export], ..Options::default() });
    receiver.wait_for("acme", 9).await;
    world.store.faults().heal();
    recorder.stop().await;
    let places = receiver.places("acme");
    in_order(&places, places.iter().max().expect("it is there") + 1);
}

#[tokio::test]
async fn a_syslog_server_gets_frames_and_what_it_has_not_read_comes_again() {
    let receiver = Receiver::new(&[Way::Close, Way::Take, Way::Hang]);
    let at = syslog(Arc::clone(&receiver), None).await;
    let world = World::new();
    let sending = Sending { timeout: Duration::from_millis(400), ..sending("siem") };
    let export = Export::to_syslog(sending, &at, false, None).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "acme", 8).await;
    all_delivered(&recorder, 8).await;
    assert!(figures(&recorder).failed >= 2);
    recorder.stop().await;
    in_order(&receiver.places("acme"), 8);
    let heads = receiver.heads.lock().expect("it is there");
    let head = "<110>1 2026-11-23T06:48:00.123Z - tidegate - tool_call";
    assert!(heads.iter().all(|found| found == head), "{heads:?}");
}

#[tokio::test]
async fn a_syslog_server_is_reached_by_tls_where_its_certificate_is_trusted() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a certificate");
    let receiver = Receiver::new(&[]);
    let at = syslog(Arc::clone(&receiver), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let world = World::new();
    let ca = made.cert.pem().into_bytes();
    let export = Export::to_syslog(sending("siem"), &at, true, Some(ca)).expect("an export");
    let recorder = world.start(exporting(export));
    record(&recorder, "acme", 4).await;
    all_delivered(&recorder, 4).await;
    recorder.stop().await;
    assert_eq!(receiver.places("acme"), [0, 1, 2, 3]);
}

#[tokio::test]
async fn of_two_replicas_one_exports_and_the_other_goes_on_where_it_ended() {
    let receiver = Receiver::new(&[]);
    let url = http(Arc::clone(&receiver)).await;
    let world = World::new();
    let export = || Export::by_http(sending("siem"), url.clone(), Vec::new(), None).expect("an export");
    let first = world.start(exporting(export()));
    record(&first, "acme", 5).await;
    all_delivered(&first, 5).await;
    let second = world.start(exporting(export()));
    record(&second, "acme", 5).await;
    all_delivered(&first, 10).await;
    assert_eq!((figures(&second).delivered, figures(&second).behind), (0, None));
    first.stop().await;
    // It has given back what the other one needs.
    record(&second, "acme", 3).await;
    all_delivered(&second, 3).await;
    second.stop().await;
    assert_eq!(receiver.places("acme"), (0..13).collect::<Vec<u64>>(), "each once, in order");
}
