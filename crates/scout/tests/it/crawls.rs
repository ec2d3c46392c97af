use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use discovery::CATALOG_PATH;
use discovery::polite::Manners;
use model::SystemClock;
use scout::{Crawler, Fetcher, Keep, KeepError, Options, Reaching, Report, Seed, Standing, State, seeds};
use serde_json::{Value, json};

use crate::place::{Answer, Place};

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

fn card(name: &str, version: &str, url: &str) -> Value {
    let versions = ["2026-07-28"];
    let remote = json!({"type": "streamable-http", "url": url, "supportedProtocolVersions": versions});
    let description = "What it is for";
    json!({"$schema": SCHEMA, "name": name, "version": version, "description": description,
        "remotes": [remote]})
}

fn catalog(entries: &[(&str, &str)]) -> Answer {
    let kind = "application/mcp-server-card+json";
    let entry =
        |(identifier, url): &(&str, &str)| json!({"identifier": identifier, "type": kind, "url": url});
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    document(&json!({"specVersion": "1.0", "entries": entries}))
}

fn document(value: &Value) -> Answer {
    Answer::Document(value.to_string())
}

fn options(live: bool) -> Options {
    let manners = Manners { pause: Duration::ZERO, tries: 1, ..Manners::default() };
    Options { live, manners, ..Options::default() }
}

fn fetcher() -> Fetcher {
    let total = Duration::from_secs(2);
    Fetcher::new(&Reaching { private: true, total, ..Reaching::default() }).expect("a client")
}

fn crawler(list: &[String], live: bool, keep: Option<&Path>) -> Crawler {
    let keep = keep.map(|folder| Keep::open(folder).expect("a folder"));
    let seeds = seeds(&list.join("\n")).expect("a list");
    Crawler::new(fetcher(), Arc::new(SystemClock), options(live), keep, seeds).expect("a crawl")
}

async fn crawl(list: &[String], live: bool, keep: Option<&Path>) -> Report {
    let mut crawler = crawler(list, live, keep);
    crawler.run(&mut |_| {}).await.expect("a folder that can be written");
    crawler.report()
}

/// A server that says this of itself, and to which a card leads.
fn discovered(name: &str, version: &str) -> Answer {
    let info = json!({"io.modelcontextprotocol/serverInfo": {"name": name, "version": version}});
    let result = json!({"supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": info});
    document(&json!({"jsonrpc": "2.0", "id": 1, "result": result}))
}

#[tokio::test]
async fn from_a_domain_to_its_cards_and_to_a_server_that_denies_what_its_card_says() {
    let place = Place::start().await;
    place.put("/mcp", discovered("com.acme/crm", "2.0.0"));
    place.put("/card", document(&card("com.acme/crm", "1.0.0", &place.url("/mcp"))));
    place.put(CATALOG_PATH, catalog(&[("urn:air:acme.com:mcp:erp", &place.url("/card"))]));
    let report = crawl(&[place.url("")], true, None).await;
    assert_eq!(
        (report.summary.found, report.summary.cards, report.summary.answered),
        (1, 1, 1),
        "{report:?}"
    );
    let told: Vec<&str> = report.seeds[0].entries[0].contradictions.iter().map(|one| one.about).collect();
    assert_eq!(told, ["identifier"]);
    let card = &report.cards[&place.url("/card")];
    assert_eq!(card.contradictions.len(), 1, "{card:?}");
    assert!(card.contradictions[0].what.contains("2.0.0"), "{card:?}");
    assert_eq!(place.asked().len(), 3, "nothing is asked twice");
    let report = crawl(&[place.url("")], false, None).await;
    assert!(report.cards[&place.url("/card")].remotes[0].live.is_none(), "nobody wanted to connect");
    assert!(place.asked().iter().all(|asked| asked.starts_with("GET ")));
}

#[tokio::test]
async fn a_server_that_asks_who_comes_and_a_legacy_one_are_told_apart() {
    let place = Place::start().await;
    place.put("/who", Answer::Bytes(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_vec()));
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "old"}});
    // To the first question, an answer to the second is an answer as well: it is of a legacy server.
    place.put("/old", document(&json!({"jsonrpc": "2.0", "id": 1, "result": result})));
    place.put("/none", Answer::Close);
    let names = ["who", "old", "none"];
    let entries: Vec<(String, String)> =
        names.map(|name| (format!("urn:{name}"), place.url(&format!("/{name}.json")))).to_vec();
    for name in names {
        let url = place.url(&format!("/{name}"));
        place.put(&format!("/{name}.json"), document(&card(&format!("a/{name}"), "1.0.0", &url)));
    }
    let entries: Vec<(&str, &str)> = entries.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    place.put(CATALOG_PATH, catalog(&entries));
    let report = crawl(&[place.url("")], true, None).await;
    let standing = |name: &str| {
        let card = &report.cards[&place.url(&format!("/{name}.json"))];
        card.remotes[0].live.as_ref().expect("it was asked").clone()
    };
    assert_eq!(standing("who").standing, Standing::AsksWho);
    assert!(standing("old").legacy && standing("old").versions == ["2025-11-25"]);
    assert_eq!(standing("none").standing, Standing::Unreachable);
}

#[tokio::test]
async fn a_bad_host_never_stops_the_others() {
    let good = Place::start().await;
    good.put("/card", document(&card("com.acme/crm", "1.0.0", &good.url("/mcp"))));
    good.put(CATALOG_PATH, catalog(&[("urn:air:acme.com:mcp:crm", &good.url("/card"))]));
    let mut list = vec![good.url("")];
    let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 << 20);
    let (here, circle) = (Place::start().await, Place::start().await);
    circle.put(CATALOG_PATH, Answer::Moved(CATALOG_PATH.to_owned()));
    here.put(CATALOG_PATH, Answer::Moved(circle.url(CATALOG_PATH)));
    let mut bad = Vec::new();
    for answer in [
        Answer::Silence,
        Answer::Close,
        Answer::Bytes(huge.into_bytes()),
        Answer::Bytes(b"no HTTP at all\r\n\r\n".to_vec()),
        Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}".to_vec()),
        Answer::Bytes(b"HTTP/1.1 503 Busy\r\nretry-after: 86400\r\ncontent-length: 0\r\n\r\n".to_vec()),
        Answer::Document("[".repeat(5_000)),
        Answer::Document(r#"{"specVersion":"1.0","entries":7}"#.to_owned()),
        Answer::Moved("file:///etc/passwd".to_owned()),
    ] {
        let place = Place::start().await;
        place.put(CATALOG_PATH, answer);
        bad.push(place);
    }
    list.extend(bad.iter().chain([&here, &circle]).map(|place| place.url("")));
    list.push("http://nobody.invalid".to_owned());
    list.push("http://127.0.0.1:1".to_owned());
    let report = crawl(&list, false, None).await;
    let states: Vec<State> = report.seeds.iter().map(|seed| seed.state).collect();
    let bad = [
        State::Unreachable,
        State::Unreachable,
        State::Refused,
        State::Refused,
        State::Refused,
        State::Unreachable,
        State::Refused,
        State::Refused,
        State::Refused,
        State::Refused,
        State::Refused,
        State::Refused,
        State::Unreachable,
    ];
    assert_eq!(states[0], State::Found);
    assert_eq!(states[1..], bad, "{:#?}", report.seeds);
    assert!(report.seeds[1..].iter().all(|seed| seed.why.is_some()), "{:#?}", report.seeds);
}

#[tokio::test]
async fn a_list_that_came_from_others_leads_to_the_internet_alone() {
    let place = Place::start().await;
    place.put(CATALOG_PATH, catalog(&[]));
    let https = format!("https://{}", place.address);
    let list = [place.url(""), https, "https://localhost".to_owned()];
    let seeds = seeds(&list.join("\n")).expect("a list");
    let fetcher = Fetcher::new(&Reaching::default()).expect("a client");
    let mut crawler =
        Crawler::new(fetcher, Arc::new(SystemClock), options(false), None, seeds).expect("a crawl");
    crawler.run(&mut |_| {}).await.expect("nothing is written");
    let report = crawler.report();
    assert!(report.seeds.iter().all(|seed| seed.state == State::Refused), "{report:?}");
    assert!(report.seeds[1].why.as_ref().is_some_and(|why| why.contains("not public")), "{report:?}");
    assert!(place.asked().is_empty());
}

#[tokio::test]
async fn what_is_kept_is_asked_for_by_its_mark_and_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::start().await;
    place.put("/card", document(&card("com.acme/crm", "1.0.0", &place.url("/mcp"))));
    place.put(CATALOG_PATH, catalog(&[("urn:air:acme.com:mcp:crm", &place.url("/card"))]));
    let list = [place.url("")];
    let first = crawl(&list, false, Some(folder.path())).await;
    place.asked();
    let second = crawl(&list, false, Some(folder.path())).await;
    assert_eq!(json!(first), json!(second));
    assert_eq!(place.asked(), [format!("GET {CATALOG_PATH} again"), "GET /card again".to_owned()]);
    // A document that somebody changed is none of ours.
    for file in std::fs::read_dir(folder.path().join("documents")).expect("a folder") {
        std::fs::write(file.expect("a file").path(), "{}").expect("written");
    }
    let third = crawl(&list, false, Some(folder.path())).await;
    assert_eq!(json!(first), json!(third));
    assert_eq!(place.asked(), [format!("GET {CATALOG_PATH}"), "GET /card".to_owned()]);
}

#[tokio::test]
async fn a_crawl_that_was_interrupted_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::start().await;
    place.put("/a", document(&card("com.acme/a", "1.0.0", &place.url("/mcp"))));
    place.put("/b", Answer::Silence);
    place.put(CATALOG_PATH, catalog(&[("urn:a", &place.url("/a")), ("urn:b", &place.url("/b"))]));
    let list = [place.url("")];
    let mut first = crawler(&list, false, Some(folder.path()));
    {
        let (sender, mut finished) = tokio::sync::mpsc::unbounded_channel();
        let mut told = move |at: scout::Progress| {
            let _ = sender.send(at.finished);
        };
        let run = first.run(&mut told);
        tokio::pin!(run);
        loop {
            tokio::select! {
                _ = &mut run => panic!("it waits for a silent host"),
                at = finished.recv() => if at == Some(2) { break },
            }
        }
    }
    let taken = Keep::open(folder.path()).expect_err("it is in use");
    assert!(matches!(taken, KeepError::Taken(_)));
    drop(first);
    place.asked();
    place.put("/b", document(&card("com.acme/b", "1.0.0", &place.url("/mcp"))));
    let report = crawl(&list, false, Some(folder.path())).await;
    assert_eq!(report.cards.len(), 2, "{report:?}");
    assert_eq!(place.asked(), ["GET /b"]);
}

#[tokio::test]
async fn a_url_is_a_card_beside_an_endpoint_or_a_document_itself() {
    let place = Place::start().await;
    let one = card("com.acme/crm", "1.0.0", &place.url("/crm/mcp"));
    place.put("/crm/mcp/server-card", document(&one));
    place.put("/crm/card.json", document(&one));
    place.put("/plain", document(&one));
    place.put("/moved/server-card", Answer::Moved("/crm/card.json".to_owned()));
    let inline = json!({"specVersion": "1.0", "entries": [
        {"identifier": "urn:a", "type": "application/mcp-server-card+json", "data": one},
        {"identifier": "urn:b", "type": "application/ai-catalog+json", "data": {"specVersion": "1.0",
            "entries": [{"identifier": "urn:c", "type": "application/mcp-server-card+json", "data": one}]}},
    ]});
    place.put("/inline.json", document(&inline));
    for (path, cards) in
        [("/crm/mcp", 1), ("/crm/card.json", 1), ("/plain", 1), ("/moved", 1), ("/inline.json", 2)]
    {
        let report = crawl(&[place.url(path)], false, None).await;
        assert_eq!((report.summary.found, report.cards.len()), (1, cards), "{path}: {report:?}");
    }
    let report = crawl(&[place.url("/nothing")], false, None).await;
    assert_eq!((report.seeds[0].state, Seed::read("a.example").is_ok()), (State::Absent, true));
}
