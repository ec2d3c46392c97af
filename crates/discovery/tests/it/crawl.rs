//! A crawl that minds its manners.

use std::time::Duration;

use discovery::Address;
use discovery::polite::{Crawl, Fate, Job, Kept, Manners, NotTaken, Outcome, Step};
use model::Timestamp;

const START: Timestamp = Timestamp(1_000_000);

fn url(text: &str) -> Address {
    Address::parse(text).expect("a URL")
}

fn ms(ms: u64) -> Timestamp {
    START.plus(Duration::from_millis(ms))
}

fn crawl(urls: &[&str], manners: &Manners) -> Crawl {
    let mut crawl = Crawl::default();
    for text in urls {
        crawl.add(START, manners, &url(text), "catalog", 0).expect("taken on");
    }
    crawl
}

fn fetch(crawl: &mut Crawl, at: Timestamp, manners: &Manners) -> (u64, Job) {
    match crawl.next(at, manners) {
        Step::Fetch { id, job, .. } => (id, job),
        other => panic!("{other:?}"),
    }
}

fn kept(etag: &str, fresh_until: Timestamp) -> Outcome {
    Outcome::Fetched(Kept { etag: Some(etag.to_owned()), digest: "d".to_owned(), fresh_until })
}

#[test]
fn a_host_is_asked_by_few_at_a_time_and_with_a_pause() {
    let manners =
        Manners { at_once: 10, at_once_per_host: 2, pause: Duration::from_millis(100), ..Manners::default() };
    let mut crawl = crawl(
        &["https://a.example/1", "https://a.example/2", "https://a.example/3", "https://b.example/1"],
        &manners,
    );
    let (first, job) = fetch(&mut crawl, START, &manners);
    assert_eq!(job.url, "https://a.example/1");
    assert_eq!(fetch(&mut crawl, START, &manners).1.url, "https://b.example/1", "another host need not wait");
    assert_eq!(crawl.next(START, &manners), Step::Wait(ms(100)));
    let (_, job) = fetch(&mut crawl, ms(100), &manners);
    assert_eq!(job.url, "https://a.example/2");
    assert_eq!(crawl.next(ms(500), &manners), Step::Busy, "two at a time");
    assert_eq!(crawl.done(ms(500), &manners, first, Outcome::Refused), Fate::GivenUp);
    assert_eq!(fetch(&mut crawl, ms(500), &manners).1.url, "https://a.example/3");
    assert_eq!(crawl.done(ms(500), &manners, first, Outcome::Refused), Fate::Unknown, "answered once");
}

#[test]
fn no_more_run_at_once_than_may() {
    let manners = Manners { at_once: 3, ..Manners::default() };
    let urls: Vec<String> = (0..9).map(|n| format!("https://h{n}.example/")).collect();
    let mut crawl = crawl(&urls.iter().map(String::as_str).collect::<Vec<_>>(), &manners);
    let ids: Vec<u64> = (0..3).map(|_| fetch(&mut crawl, START, &manners).0).collect();
    assert_eq!(crawl.next(START, &manners), Step::Busy);
    crawl.done(START, &manners, ids[0], kept("e", START));
    fetch(&mut crawl, START, &manners);
    assert_eq!(crawl.next(START, &manners), Step::Busy);
}

#[test]
fn a_host_that_asks_to_be_left_alone_is_and_one_that_asks_for_too_long_is_given_up() {
    let manners = Manners { tries: 3, patience: Duration::from_secs(60), ..Manners::default() };
    let mut one = crawl(&["https://a.example/1"], &manners);
    let (id, _) = fetch(&mut one, START, &manners);
    let later = Outcome::Later { retry_after: Some(Duration::from_secs(10)) };
    assert_eq!(one.done(START, &manners, id, later.clone()), Fate::Again);
    assert_eq!(one.next(START, &manners), Step::Wait(ms(10_000)));
    let (id, job) = fetch(&mut one, ms(10_000), &manners);
    assert_eq!(job.tries, 2);
    assert_eq!(one.done(ms(10_000), &manners, id, Outcome::Later { retry_after: None }), Fate::Again);
    let (id, _) = fetch(&mut one, ms(100_000), &manners);
    assert_eq!(one.done(ms(100_000), &manners, id, later), Fate::GivenUp, "three tries");
    assert_eq!(one.next(ms(200_000), &manners), Step::Done);
    let mut two = crawl(&["https://a.example/1"], &manners);
    let (id, _) = fetch(&mut two, START, &manners);
    let forever = Outcome::Later { retry_after: Some(Duration::MAX) };
    assert_eq!(two.done(START, &manners, id, forever), Fate::GivenUp);
}

#[test]
fn a_url_is_taken_on_once_whatever_its_spelling_and_no_more_than_fit() {
    let manners = Manners { urls_per_host: 3, urls: 4, ..Manners::default() };
    let mut crawl = crawl(&["https://a.example/1"], &manners);
    let mut add = |text: &str| crawl.add(START, &manners, &url(text), "card", 1);
    assert_eq!(add("https://A.example:443/1"), Err(NotTaken::Known));
    assert_eq!(add("https://a.example/2"), Ok(()));
    assert_eq!(add("https://a.example/3"), Ok(()));
    assert_eq!(
        add("https://a.example/4"),
        Err(NotTaken::HostFull),
        "a host that leads to ever more of itself"
    );
    assert_eq!(add("https://b.example/1"), Ok(()));
    assert_eq!(add("https://c.example/1"), Err(NotTaken::Full));
}

#[test]
fn what_was_fetched_is_asked_for_by_its_etag_and_not_while_it_is_fresh() {
    let manners = Manners::default();
    let mut crawl = crawl(&["https://a.example/1"], &manners);
    let (id, _) = fetch(&mut crawl, START, &manners);
    assert_eq!(crawl.done(START, &manners, id, kept("\"x\"", ms(5_000))), Fate::Finished);
    let mut crawl = crawl.again();
    let place = url("https://a.example/1");
    assert_eq!(crawl.add(ms(4_000), &manners, &place, "card", 0), Err(NotTaken::Fresh));
    assert_eq!(crawl.add(ms(5_000), &manners, &place, "card", 0), Ok(()));
    let Step::Fetch { id, etag, .. } = crawl.next(ms(5_000), &manners) else { panic!("a fetch") };
    assert_eq!(etag.as_deref(), Some("\"x\""));
    assert_eq!(
        crawl.done(ms(5_000), &manners, id, Outcome::NotModified { fresh_until: ms(9_000) }),
        Fate::Finished
    );
    assert_eq!(crawl.kept(&place).map(|kept| kept.fresh_until), Some(ms(9_000)));
    assert_eq!(crawl.progress(), (1, 1, 0));
}

#[test]
fn a_crawl_that_was_interrupted_goes_on_with_what_was_under_way() {
    let manners = Manners { at_once_per_host: 5, pause: Duration::ZERO, ..Manners::default() };
    let mut crawl = crawl(&["https://a.example/1", "https://a.example/2", "https://b.example/1"], &manners);
    let (id, done) = fetch(&mut crawl, START, &manners);
    crawl.done(START, &manners, id, kept("e", START));
    fetch(&mut crawl, START, &manners);
    let text = serde_json::to_string(&crawl).expect("JSON");
    let mut again = serde_json::from_str::<Crawl>(&text).expect("a crawl").resumed(&manners);
    let mut urls = Vec::new();
    while let Step::Fetch { id, job, .. } = again.next(ms(1), &manners) {
        assert_eq!(job.tries, 1, "an interruption is no try");
        urls.push(job.url);
        again.done(ms(1), &manners, id, kept("e", START));
    }
    urls.sort();
    assert_eq!(urls, ["https://a.example/2", "https://b.example/1"]);
    assert_eq!(done.url, "https://a.example/1");
    assert_eq!((again.next(ms(1), &manners), again.progress()), (Step::Done, (3, 3, 0)));
}
