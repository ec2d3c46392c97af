//! Secrets are where they belong, and nowhere else: canaries go in at every side, and whatever leaves the
//! gateway is searched for them.

use std::path::Path;

use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::harness::Demo;
use testkit::http::Http;
use testkit::issuer::Issuer;
use testkit::{Client, Revision};

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
    search(&all, &folder, &logs, &answers);
    for demo in [&modern, &legacy] {
        search_requests(&all, demo);
    }
}

/// What the gateway wrote and said.
fn search(all: &[String], folder: &Folder, logs: &str, answers: &str) {
    let rows = written(&folder.path(""));
    assert!(!rows.is_empty(), "the store is looked at, too");
    for canary in all.iter().map(String::as_str).chain([UPSTREAMS_SECRET]) {
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
