use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use discovery::Address;
use discovery::registry::{Limits, Status};
use model::{Clock, SystemClock};
use scout::{Copy, Fetcher, Reaching, Registry, RegistryError, Synced, base_of};
use serde_json::{Value, json};

use crate::place::{Answer, Place};

const LIST: &str = "/v0.1/servers?limit=100";

fn entry(name: &str, minute: u64, status: &str) -> Value {
    let at = format!("2026-05-01T08:{minute:02}:00Z");
    let server = json!({"name": name, "version": "1.0.0", "description": "What it is for"});
    let official = json!({"status": status, "publishedAt": at, "updatedAt": at, "isLatest": true});
    json!({"server": server, "_meta": {"io.modelcontextprotocol.registry/official": official}})
}

fn page(entries: &[Value], cursor: Option<&str>) -> Answer {
    let metadata = json!({"nextCursor": cursor, "count": entries.len()});
    Answer::Document(json!({"servers": entries, "metadata": metadata}).to_string())
}

fn limits() -> Limits {
    Limits { every: Duration::ZERO, ..Limits::default() }
}

async fn synced(place: &Place, folder: &Path) -> Result<Synced, RegistryError> {
    let base = Address::parse(&place.url("")).expect("a URL");
    let fetcher = Fetcher::new(&Reaching { private: true, ..Reaching::default() }).expect("a client");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Registry::open(folder, &base)?.sync(&fetcher, &clock, &limits(), None, &mut |_, _| {}).await
}

#[test]
fn a_registry_is_meant_by_any_url_of_its_interface() {
    for text in [
        "https://r.example",
        "https://r.example/",
        "https://r.example/v0.1",
        "https://r.example/v0.1/servers",
    ] {
        assert_eq!(base_of(text).expect("a URL").normal(), "https://r.example/", "{text}");
    }
    assert!(base_of("https://r.example/?x=1").is_err() && base_of("r.example").is_err());
}

#[tokio::test]
async fn a_copy_has_all_pages_then_what_changed_and_says_what_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::start().await;
    place.put(LIST, page(&[entry("a/one", 1, "active"), entry("a/two", 2, "active")], Some("x y&z")));
    place.put(&format!("{LIST}&cursor=x%20y%26z"), page(&[entry("a/three", 3, "active")], None));
    let first = synced(&place, folder.path()).await.expect("a folder");
    assert_eq!((first.done, first.pages, first.versions, first.changed), (true, 2, 3, 3), "{first:?}");
    let since = "2026-05-01T07%3A58%3A00Z";
    let changed = [entry("a/two", 9, "deprecated"), entry("a/three", 9, "deleted")];
    place.put(&format!("{LIST}&updated_since={since}"), page(&changed, None));
    let second = synced(&place, folder.path()).await.expect("a folder");
    assert_eq!(second.deprecated, ["a/two 1.0.0"], "{second:?}");
    assert_eq!(second.deleted, ["a/three 1.0.0"], "{second:?}");
    let copy = Copy::read(folder.path()).expect("a copy");
    assert_eq!((copy.shelf.len(), copy.url.as_str()), (3, &*place.url("/")));
    assert_eq!(copy.entry("a/two", "latest").expect("it is there").official.status, Status::Deprecated);
    assert_eq!(copy.entry("a/three", "1.0.0").expect("a tombstone").official.status, Status::Deleted);
}

#[tokio::test]
async fn a_walk_that_broke_off_keeps_what_came() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::start().await;
    place.put(LIST, page(&[entry("a/one", 1, "active")], Some("c")));
    place.put(&format!("{LIST}&cursor=c"), Answer::Close);
    let first = synced(&place, folder.path()).await.expect("a folder");
    assert!(!first.done && first.why.is_some(), "{first:?}");
    assert_eq!(Copy::read(folder.path()).expect("a copy").shelf.len(), 1);
    let again = synced(&place, folder.path()).await.expect("a folder");
    assert!(again.why.as_ref().is_some_and(|why| why.contains("left alone until")), "{again:?}");
}

#[tokio::test]
async fn what_was_written_and_not_counted_is_taken_off_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::start().await;
    place.put(LIST, page(&[entry("a/one", 1, "active")], None));
    synced(&place, folder.path()).await.expect("a folder");
    let log = folder.path().join("entries-0.jsonl");
    let whole = std::fs::read(&log).expect("there");
    let half = format!("{}\n{{\"server\":{{\"na", entry("a/never", 2, "active"));
    std::fs::write(&log, [&*whole, half.as_bytes()].concat()).expect("written");
    assert_eq!(Copy::read(folder.path()).expect("a copy").shelf.len(), 1);
    synced(&place, folder.path()).await.expect("a folder");
    assert_eq!(std::fs::read(&log).expect("there"), whole);
    std::fs::write(&log, &whole[..10]).expect("written");
    assert!(synced(&place, folder.path()).await.is_err(), "a part is missing");
}

#[tokio::test]
async fn registries_that_lead_elsewhere_lie_or_never_end_are_given_up() {
    let (place, other) = (Place::start().await, Place::start().await);
    other.put(LIST, page(&[entry("a/one", 1, "active")], None));
    for (answer, why) in [
        (Answer::Moved(other.url(LIST)), "another server"),
        (Answer::Moved(LIST.to_owned()), "in a circle"),
        (Answer::Document("{}".to_owned()), "no page"),
        (Answer::Bytes(b"HTTP/1.1 400 No\r\ncontent-length: 15\r\n\r\n{\"error\":\"why\"}".to_vec()), "why"),
        (page(&[entry("a/one", 1, "active")], Some("again")), "no end"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        place.put(LIST, answer.clone());
        place.put(&format!("{LIST}&cursor=again"), answer);
        let ended = synced(&place, folder.path()).await.expect("a folder");
        assert!(!ended.done && ended.why.as_ref().is_some_and(|told| told.contains(why)), "{why}: {ended:?}");
    }
    assert!(other.asked().is_empty());
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(Copy::read(folder.path()), Err(RegistryError::Nothing(_))));
    synced(&other, folder.path()).await.expect("a folder");
    assert!(matches!(synced(&place, folder.path()).await, Err(RegistryError::Other { .. })));
}
