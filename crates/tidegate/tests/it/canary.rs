//! Secrets are where they belong, and nowhere else: canaries go in at every side, and whatever leaves the
//! gateway is searched for them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::browser::Browser;
use testkit::client::Options;
use testkit::harness::Demo;
use testkit::http::Http;
use testkit::issuer::{Issuer, Signer};
use testkit::provider::{Provider, SEED};
use testkit::{Client, Revision};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::operators::{Office, token as operators_token};
use crate::program::Folder;

/// As many lines of logs are searched, at least.
const LINES_MIN: usize = 10_000;
/// What the gateway proves itself by to its upstreams.
const UPSTREAMS_SECRET: &str = "canary-of-the-upstream-6b1f";

fn claims(path: &str, now: u64) -> Value {
    json!({
        "aud": format!("https://gw.example{path}"), "sub": "ann", "iat": now, "exp": now + 600,
        "client_id": "editor", "scope": "mcp",
    })
}

/// The parts of a secret by which it would be found; a JWT's header says nothing.
fn canaries(secret: &str) -> Vec<String> {
    let parts = secret.split('.').filter(|part| part.len() >= 24 && !part.starts_with("eyJhbGci"));
    parts.map(|part| part[4..24].to_owned()).collect()
}

/// Every file below a folder that the gateway has written, as it is.
fn written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(written(&path));
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("gw.db")) {
            all.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    all
}

fn holds(text: &[u8], canary: &str) -> bool {
    text.windows(canary.len()).any(|part| part == canary.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_log_metric_answer_row_or_request_upstream() {
    let issuer = Issuer::start().await;
    let (modern, legacy) =
        (Demo::speaking(Revision::V2026_07_28).await, Demo::speaking(Revision::V2025_06_18).await);
    let folder = Folder::new();
    let made = folder.run(&["auth", "key", "--endpoint", "modern", "--output", "json"]).await.json();
    folder.write("upstream", UPSTREAMS_SECRET);
    configure(&folder, &made["config"], &issuer, [&modern, &legacy]);
    let mut office = Office::open(&folder).await;
    let now = SystemClock.now().0 / 1_000;
    let token = |path: &str| issuer.token(&claims(path, now));
    let key = made["key"].as_str().expect("a key").to_owned();
    let forged = format!("{}AAAA", issuer.token(&claims("/modern/mcp", now - 1)));
    let old = issuer.token(&claims("/modern/mcp", now - 5_000));
    let mut inbound = vec![key.clone(), forged.clone(), old.clone(), operators_token()];
    let mut answers = String::new();
    let http = Http::new(office.up.address);
    for secret in [&forged, &old, &"eyJhbGciOiJub25lIn0.bm90LXNpZ25lZC1hdC1hbGwtY2FuYXJ5.".to_owned()] {
        inbound.push(secret.clone());
        for header in
            [("authorization", format!("Bearer {secret}")), ("authorization", format!("DPoP {secret}"))]
        {
            let request = http.post("/modern/mcp", "{}").header(header.0, &header.1).header("dpop", secret);
            answers += &request.send().await.text().await;
        }
        answers += &http.post(&format!("/modern/mcp?access_token={secret}"), "{}").send().await.text().await;
    }
    let (mut clients, mut revisions) = (Vec::new(), Revision::ALL.into_iter().cycle());
    for endpoint in ["modern", "legacy"] {
        for revision in Revision::ALL {
            let path = if revision == Revision::V2024_11_05 { "sse" } else { "mcp" };
            let token = token(&format!("/{endpoint}/{path}"));
            inbound.push(token.clone());
            let options = Options { authorization: Some(format!("Bearer {token}")), ..Options::default() };
            clients
                .push(Client::with(office.up.address, &format!("/{endpoint}/mcp"), revision, options).await);
        }
    }
    let options = Options { authorization: Some(format!("Bearer {key}")), ..Options::default() };
    let revision = revisions.next().expect("one");
    clients.push(Client::with(office.up.address, "/modern/mcp", revision, options).await);
    while office.up.program.stderr.ready() < LINES_MIN {
        for client in &clients {
            answers += &format!("{:?}", client.call_tool("echo", json!({"text": "x"})).await);
            answers += &format!("{:?}", client.call_tool("counter", json!({})).await);
            answers += &format!("{:?}", client.call_tool("nothing", json!({})).await);
        }
    }
    answers += &office.up.metrics().await;
    drop(clients);
    assert_eq!(office.up.stop().await, 0);
    let logs = office.up.program.stderr.rest().await.join("\n");
    let all: Vec<String> = inbound.iter().flat_map(|secret| canaries(secret)).collect();
    assert!(all.len() > 20, "{all:?}");
    let all: Vec<String> = all.into_iter().chain([UPSTREAMS_SECRET.to_owned()]).collect();
    search(&all, &folder, &logs, &answers);
    let all: Vec<String> = all.into_iter().filter(|canary| canary != UPSTREAMS_SECRET).collect();
    for demo in [&modern, &legacy] {
        search_requests(&all, demo);
    }
}

/// What the gateway wrote and said.
fn search(all: &[String], folder: &Folder, logs: &str, answers: &str) {
    let rows = written(&folder.path(""));
    assert!(!rows.is_empty(), "the store is looked at, too");
    for canary in all.iter().map(String::as_str) {
        assert!(!logs.contains(canary), "{canary} is in the logs");
        assert!(!answers.contains(canary), "{canary} is in an answer, or a metric");
        for (name, bytes) in &rows {
            assert!(!holds(bytes, canary), "{canary} is in {name}");
        }
    }
}

/// What an upstream got.
fn search_requests(all: &[String], demo: &Demo) {
    let stats = demo.server.stats();
    for method in stats.methods().keys() {
        let seen = stats.last(method).expect("it was counted");
        let text = format!("{:?} {}", seen.headers, seen.message);
        let leaked = all.iter().find(|canary| text.contains(canary.as_str()));
        assert!(leaked.is_none(), "{leaked:?} in {text}");
    }
}

fn configure(folder: &Folder, key: &Value, issuer: &Issuer, [modern, legacy]: [&Demo; 2]) {
    folder.configure(&format!(
        "telemetry: {{log_level: debug, log_calls: all}}\nstore: {{url: 'sqlite:gw.db'}}\n\
         tasks: {{host: [{{tools: counter, when: always}}]}}\n\
         admin: {{listen: 'localhost:0', token: {{file: token}}}}\n\
         auth:\n  url: https://gw.example\n  allow: [corp, keys]\n  keys: [{}]\n  issuers:\n    \
         corp: {{issuer: '{}'}}\nupstreams:\n  \
         modern: {{url: '{}', headers: {{x-key: {{file: upstream}}}}}}\n  \
         legacy: {{url: '{}', headers: {{x-key: {{file: upstream}}}}}}\n",
        key,
        issuer.url,
        modern.url(),
        legacy.url()
    ));
}

/// Takes whatever is sent to it, and answers that it is well.
async fn collector() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, seen) = (listener.local_addr().expect("an address"), Arc::new(Mutex::new(Vec::new())));
    let all = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                let mut bytes = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                    all.lock().expect("a lock").extend_from_slice(&bytes[..count]);
                    // Each request is read to its end, or to the next read, which is as good here.
                    let well = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all(well).await;
                }
            });
        }
    });
    (address, seen)
}

/// A token that is bound to a key, and proofs of it for requests to the gateway.
struct Bound {
    signer: Signer,
    token: String,
}

impl Bound {
    fn new(provider: &Provider, now: u64) -> Self {
        let signer = Signer::generate();
        let member = |name: &str| signer.jwk[name].as_str().expect("a member").to_owned();
        let (x, y) = (member("x"), member("y"));
        let text = format!("{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"{x}\",\"y\":\"{y}\"}}");
        let mut claims = claims("/crm/mcp", now);
        claims["cnf"] = json!({"jkt": base64(&seal::sha256(text.as_bytes()))});
        Self { token: provider.token(&claims), signer }
    }

    fn proof(&self, name: &str, now: u64) -> String {
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.signer.jwk});
        let claims = json!({
            "jti": name, "htm": "POST", "htu": "https://gw.example/crm/mcp", "iat": now,
            "ath": base64(&seal::sha256(self.token.as_bytes())),
        });
        self.signer.sign(&header, &claims)
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let groups = bytes.chunks(3).flat_map(|part| {
        let bits =
            part.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - part.len()));
        (0..=part.len()).map(move |at| char::from(LETTERS[bits >> (18 - 6 * at) & 63]))
    });
    groups.collect()
}

/// What a person sees who signs in, and what he could see who comes in between.
async fn sign_in(folder: &Folder, client: &Client, provider: &Provider, browser: &mut Browser) -> String {
    let link = async || {
        let asked = client.call_tool("tidegate_sign_in", json!({})).await;
        let text = asked.result()["content"][0]["text"].as_str().expect("a text").to_owned();
        text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link").to_owned()
    };
    let mut answers = String::new();
    // Somebody who comes back with something else than he was sent for.
    let mut other = browser.clone();
    let page = other.go(&link().await, "https://gw.example/oauth/callback").await;
    let back = page.location.expect("an answer");
    answers += &other.open(&back.replace("iss=", "iss=x")).await.text;
    answers += &browser.open(&back).await.text;
    let page = browser.walk(&link().await).await;
    assert!(page.status == 200 && page.text.contains("Done"), "{page:?}");
    answers += &page.text;
    answers += &browser.open(&back).await.text;
    assert!(!provider.secrets().is_empty() && folder.path("gw.db").exists());
    answers
}

fn configure_users(folder: &Folder, provider: &Provider, collector: SocketAddr) {
    folder.write("crm-secret", &format!("{SEED}crm-client-of-the-gateway"));
    folder.write("sign-in-secret", &format!("{SEED}sign-in-client-of-the-gateway"));
    folder.configure(&format!(
        "telemetry: {{log_level: debug, log_calls: all, otlp_endpoint: 'http://{collector}'}}\n\
         store: {{url: 'sqlite:gw.db'}}\nhosts: [gw.example, localhost, 127.0.0.1]\n\
         auth:\n  url: https://gw.example\n  allow: [corp]\n  issuers:\n    corp: {{issuer: '{issuer}', \
         sign_in: {{client_id: gateway, client_secret: {{file: sign-in-secret}}}}}}\nupstreams:\n  \
         crm: {{url: '{server}', auth: {{per_user: true, client_id: gateway, \
         client_secret: {{file: crm-secret}}}}}}\n  \
         desk: {{url: '{server}', auth: {{per_user: true, exchange: {{issuer: corp}}}}}}\n",
        issuer = provider.url,
        server = provider.server(),
    ));
}

/// All secrets, of every sort that there is.
fn all_sorts(provider: &Provider) -> Vec<String> {
    let secrets = provider.secrets();
    for kind in ["access", "refresh", "code"] {
        assert!(secrets.iter().any(|secret| secret.starts_with(&format!("{SEED}{kind}"))), "{kind}");
    }
    let grants: Vec<_> = provider.forms().iter().map(|form| form["grant_type"].clone()).collect();
    for kind in ["authorization_code", "refresh_token", "token-exchange"] {
        assert!(grants.iter().any(|grant| grant.ends_with(kind)), "{grants:?}");
    }
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_users_grant_is_in_any_log_metric_answer_row_or_trace() {
    let now = SystemClock.now().0 / 1_000;
    let demo = Demo::speaking(Revision::V2025_06_18).await;
    let provider = Provider::start(now, demo.address()).await;
    let (collector, traces) = collector().await;
    let folder = Folder::new();
    configure_users(&folder, &provider, collector);
    let mut up = folder.up(&[]).await;
    let mut browser = Browser::new().knowing("gw.example", up.address);
    let (mut inbound, mut answers) = (Vec::new(), String::new());
    for endpoint in ["crm", "desk"] {
        let path = format!("/{endpoint}/mcp");
        let token = provider.token(&claims(&path, now));
        inbound.push(token.clone());
        let options = Options { authorization: Some(format!("Bearer {token}")), ..Options::default() };
        let client = Client::with(up.address, &path, Revision::V2025_06_18, options).await;
        // Who has signed in once is vouched for at the other server.
        if endpoint == "crm" {
            answers += &sign_in(&folder, &client, &provider, &mut browser).await;
        }
        for _ in 0..3 {
            let said = client.call_tool("echo", json!({"text": "hello"})).await;
            assert_eq!(said.result()["content"][0]["text"], "hello");
            answers += &format!("{said:?} {:?}", client.call_tool("nothing", json!({})).await);
            // All that was issued is taken back: another one is had by what the gateway keeps.
            provider.revoke();
        }
        answers += &format!("{:?}", client.call_tool("echo", json!({"text": "x"})).await);
    }
    let bound = Bound::new(&provider, now);
    inbound.push(bound.token.clone());
    for (round, scheme) in ["DPoP", "DPoP", "Bearer"].into_iter().enumerate() {
        let proof = bound.proof(&format!("proof {}", round % 2), now);
        let request =
            Http::new(up.address).post("/crm/mcp", json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        let request =
            request.header("authorization", format!("{scheme} {}", bound.token)).header("dpop", &proof);
        let reply = request.header("mcp-protocol-version", "2025-06-18").send().await;
        assert_eq!(reply.status == 401, scheme == "Bearer", "{round}");
        answers += &reply.text().await;
        inbound.push(proof);
    }
    answers += &up.metrics().await;
    assert_eq!(up.stop().await, 0);
    let logs = up.program.stderr.rest().await.join("\n");
    folder.run(&["store", "backup", "gw.db.dump"]).await;
    assert!(folder.path("gw.db.dump").exists());
    assert!(logs.contains("DEBUG") && logs.contains("a user has granted the gateway"), "all is logged");
    let traces = traces.lock().expect("a lock").clone();
    assert!(holds(&traces, "tools/call"), "traces are looked at, too");
    let secrets = all_sorts(&provider);
    let mut all: Vec<String> = secrets.iter().chain(&inbound).flat_map(|secret| canaries(secret)).collect();
    all.push(SEED.to_owned());
    assert!(all.len() > 40, "{all:?}");
    search(&all, &folder, &logs, &answers);
    let leaked = all.iter().find(|canary| holds(&traces, canary));
    assert!(leaked.is_none(), "{leaked:?} is in a trace");
    let parts: Vec<String> = inbound.iter().flat_map(|secret| canaries(secret)).collect();
    search_requests(&parts, &demo);
    let brought = provider.authorizations().join("\n");
    assert!(!parts.iter().any(|canary| brought.contains(canary)), "an inbound token was passed on");
    let asked = format!("{:?}", provider.forms());
    assert!(!parts.iter().any(|canary| asked.contains(canary)), "an inbound token was exchanged");
}
