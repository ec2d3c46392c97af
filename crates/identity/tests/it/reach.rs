//! Where the gateway's questions go, over the real network: nowhere private for a host that no operator
//! wrote, and no further than one answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use identity::*;
use model::{ManualClock, SeededRng, Timestamp};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::forge::{CORP, Forge, NOW, Network, claims};
use crate::users::{BACK, LOGIN, METADATA, RESOURCE, SERVER, TOKENS, ann, metadata, token};
use crate::vault::Chest;

/// Private hosts, spelt in the ways that resolvers, browsers and libraries understand.
const PRIVATE: [&str; 68] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "127.000.000.001",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.1",
    "0x7f.0.0.1",
    "0x7F.0.0.0x1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "2130706433.",
    "017700000001",
    "0x0000007f000001",
    "127.0x1",
    "0x7f.0377.65535",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "0.1",
    "10.0.0.1",
    "10.1",
    "0xa000001",
    "012.0.0.1",
    "167772161",
    "172.16.0.1",
    "172.31.255.255",
    "0xac.0x10.1",
    "192.168.0.1",
    "192.168.257",
    "3232235521",
    "0300.0250.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "169.254.43518",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "4294967295",
    "0xffffffff",
    "localhost",
    "LOCALHOST",
    "0x7f.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000::0001]",
    "[::]",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::169.254.169.254]",
    "[2002:7f00:1::]",
];

/// Answers from a book of pages, and asks the real network for whatever is not in it.
struct Beyond {
    book: Network,
    real: EgressFetch,
    /// What came of asking the network.
    went: std::sync::Mutex<Vec<Result<u16, String>>>,
}

impl Beyond {
    fn new() -> Arc<Self> {
        let real = EgressFetch::new(None).unwrap();
        Arc::new(Self { book: Network::default(), real, went: std::sync::Mutex::default() })
    }

    /// Holds that the network was asked once, and that nobody was reached.
    fn was_kept(&self, what: &str) {
        let went = std::mem::take(&mut *self.went.lock().unwrap());
        assert_eq!(went.len(), 1, "{what}: {went:?}");
        let refused = went[0].as_ref().expect_err(what);
        let known = ["Refused {", "BadUrl {", "Plain {"];
        assert!(known.iter().any(|word| refused.contains(word)), "{what}: {refused}");
    }
}

#[async_trait]
impl Fetch for Beyond {
    async fn send(&self, request: Request<Bytes>, trusted: bool) -> Result<Response<Bytes>, FetchError> {
        if self.book.knows(&request.uri().to_string()) {
            return self.book.send(request, trusted).await;
        }
        let answer = self.real.send(request, trusted).await;
        let note =
            answer.as_ref().map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"));
        self.went.lock().unwrap().push(note);
        answer
    }
}

fn users(fetch: &Arc<Beyond>) -> Arc<Users> {
    let options = UsersOptions {
        upstream: "crm".to_owned(),
        server: SERVER.parse().unwrap(),
        issuer: None,
        identity: Identity::default(),
        scopes: Vec::new(),
        enterprise: None,
    };
    let (clock, rng) = (ManualClock::at(Timestamp(NOW * 1_000)), SeededRng::new(1));
    Users::new(options, Arc::clone(fetch) as _, Arc::<Chest>::default(), Arc::new(clock), Arc::new(rng))
}

async fn away(users: &Users, wanted: &Wanted) -> Result<Flow, ServiceError> {
    let sealed = std::sync::Mutex::new(None);
    let seal = |flow: &Flow| {
        *sealed.lock().unwrap() = Some(flow.clone());
        String::new()
    };
    users.begin(&ann(), wanted, BACK, &seal).await?;
    Ok(sealed.into_inner().unwrap().unwrap())
}

/// One listener for all that is on this machine: whoever reaches it is counted.
async fn canary() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let reached = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            reached.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, count)
}

#[tokio::test]
async fn no_document_of_a_server_leads_into_a_private_network() {
    let (address, reached) = canary().await;
    let port = address.port();
    for host in PRIVATE {
        for scheme in ["https", "http"] {
            let place = |path: &str| format!("{scheme}://{host}:{port}{path}");
            // Where its metadata is (RFC 9728).
            let fetch = Beyond::new();
            let wanted = Wanted { metadata: Some(place("/resource")), ..Wanted::default() };
            assert!(away(&users(&fetch), &wanted).await.is_err(), "{}", place(""));
            fetch.was_kept(&place(" resource"));
            // Who issues tokens for it (RFC 8414).
            let resource = |issuer: &str| json!({"resource": SERVER, "authorization_servers": [issuer]});
            let fetch = Beyond::new();
            fetch.book.set(RESOURCE, 200, resource(&place("")));
            assert!(away(&users(&fetch), &Wanted::default()).await.is_err(), "{}", place(""));
            fetch.was_kept(&place(" metadata"));
            // Where clients register (RFC 7591), and where tokens are issued (RFC 6749).
            let mut known = metadata();
            known["authorization_response_iss_parameter_supported"] = json!(true);
            let fetch = Beyond::new();
            known["registration_endpoint"] = json!(place("/register"));
            fetch.book.set(RESOURCE, 200, resource(LOGIN));
            fetch.book.set(METADATA, 200, &known);
            assert!(away(&users(&fetch), &Wanted::default()).await.is_err(), "{}", place(""));
            fetch.was_kept(&place(" registration"));
            let fetch = Beyond::new();
            known["registration_endpoint"] = json!("https://login.example/register");
            known["token_endpoint"] = json!(place("/token"));
            fetch.book.set(RESOURCE, 200, resource(LOGIN));
            fetch.book.set(METADATA, 200, &known);
            fetch.book.set("https://login.example/register", 201, json!({"client_id": "made"}));
            let users = users(&fetch);
            let flow = away(&users, &Wanted::default()).await.unwrap();
            let back = Returned::of_query("code=c&iss=https%3A%2F%2Flogin.example");
            assert!(users.finish(&ann(), &flow, &back).await.is_err(), "{}", place(""));
            fetch.was_kept(&place(" token"));
        }
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_issuer_has_its_keys_fetched_from_a_private_network() {
    let (address, reached) = canary().await;
    for host in PRIVATE {
        for scheme in ["https", "http"] {
            let fetch = Beyond::new();
            let keys = format!("{scheme}://{host}:{}/keys", address.port());
            let well_known = "https://login.corp.example/.well-known/oauth-authorization-server";
            fetch.book.set(well_known, 200, json!({"issuer": CORP, "jwks_uri": keys}));
            let options = IssuerOptions {
                name: "corp".to_owned(),
                issuer: CORP.to_owned(),
                jwks_url: None,
                algorithms: vec![Algorithm::ES256],
                audiences: Vec::new(),
                typed: false,
                mapping: Mapping::default(),
                introspection: None,
                stale_max: Duration::from_secs(60),
            };
            let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
            let issuer = Issuer::new(options, Arc::clone(&fetch) as _, clock);
            let forge = Forge::new(Algorithm::ES256, "k1");
            let text = forge.token(&claims(|_| {}));
            assert!(issuer.has_signed(&Jws::parse(&text).unwrap()).await.is_err(), "{keys}");
            fetch.was_kept(&keys);
        }
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

/// Gives each connection one answer, which may have no end.
async fn answering(head: String, body: &'static [u8], endless: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let head = head.clone();
            tokio::spawn(async move {
                let _ = tcp.read(&mut [0; 4_096]).await;
                let _ = tcp.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).await;
                while tcp.write_all(body).await.is_ok() && endless {}
            });
        }
    });
    address
}

fn ask(place: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = place.parse::<Uri>().unwrap();
    request
}

#[tokio::test]
async fn a_document_that_does_not_end_is_given_up_and_a_redirect_is_not_followed() {
    let fetch = EgressFetch::new(None).unwrap();
    let endless = answering("200 OK\r\nconnection: close".to_owned(), &[b' '; 4_096], true).await;
    let error = fetch.send(ask(&format!("http://{endless}/keys")), true).await.unwrap_err();
    assert!(matches!(error, FetchError::Egress { .. }), "{error:?}");
    let huge = answering("200 OK\r\ncontent-length: 99999999999".to_owned(), b"{", false).await;
    assert!(fetch.send(ask(&format!("http://{huge}/keys")), true).await.is_err());
    let (private, reached) = canary().await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("{status} Elsewhere\r\nlocation: http://{private}/x\r\ncontent-length: 0");
        let place = answering(head, b"", false).await;
        let answer = fetch.send(ask(&format!("http://{place}/keys")), true).await.unwrap();
        assert_eq!(answer.status(), status);
        // Nor by whoever reads documents of others.
        let found = discover(&fetch, &format!("http://{place}"), true).await;
        assert!(matches!(found, Err(MetadataError::Missing { .. })), "{found:?}");
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_of_a_token_endpoint_takes_no_code_and_no_secret_elsewhere() {
    let fetch = Beyond::new();
    fetch.book.set(RESOURCE, 200, json!({"resource": SERVER, "authorization_servers": [LOGIN]}));
    fetch.book.set(METADATA, 200, metadata());
    fetch.book.set("https://login.example/register", 201, json!({"client_id": "made"}));
    for status in [301, 302, 303, 307, 308] {
        fetch.book.set(TOKENS, status, token("t1"));
        let users = users(&fetch);
        let flow = away(&users, &Wanted::default()).await.unwrap();
        let finished = users.finish(&ann(), &flow, &Returned::of_query("code=c")).await;
        assert!(matches!(finished, Err(ServiceError::Refused { .. })), "{status}");
        let proof = users.proof(&ann(), (&Method::GET, &SERVER.parse().unwrap())).await.unwrap();
        assert!(proof.is_none(), "{status}");
    }
    assert!(fetch.went.lock().unwrap().is_empty());
}
