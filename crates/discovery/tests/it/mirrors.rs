//! Copies of registries that are honest, slow, broken or lying.

use std::time::Duration;

use discovery::registry::{Ask, Failure, Limits, Mirror, Oddity, Page, Report, Status, Turn, read_page};
use model::Timestamp;
use serde_json::{Value, json};

use crate::bytes;
use crate::shelves::response;

const START: Timestamp = Timestamp(1_777_622_400_000);

fn page(entries: &[Value], cursor: Option<&str>) -> Page {
    let document = json!({"servers": entries, "metadata": {"nextCursor": cursor}});
    read_page(&bytes(&document)).expect("a page").value
}

fn entry(n: u64, minute: u64) -> Value {
    response(&format!("com.acme/s{n:03}"), "1.0.0", minute, "active")
}

fn later(minutes: u64) -> Timestamp {
    START.plus(Duration::from_secs(minutes * 60))
}

/// Asks for a page at a moment and takes this one.
fn turn(mirror: &mut Mirror, at: Timestamp, given: Page) -> Report {
    let limits = Limits::default();
    assert!(matches!(mirror.ask(at, &limits), Ask::Page { .. }), "nothing is asked for");
    mirror.page(at, &limits, given)
}

/// A mirror of these, as of minute 0.
fn filled(count: u64) -> Mirror {
    let mut mirror = Mirror::default();
    let entries: Vec<Value> = (0..count).map(|n| entry(n, 0)).collect();
    let report = turn(&mut mirror, START, page(&entries, None));
    assert_eq!((report.turn, report.changed.len()), (Turn::Done, entries.len()));
    mirror
}

#[test]
fn the_whole_list_comes_first_and_then_what_changed_since_less_the_skew() {
    let limits = Limits::default();
    let mut mirror = Mirror::default();
    assert_eq!(mirror.ask(START, &limits), Ask::Page { cursor: None, updated_since: None, limit: 100 });
    let first = mirror.page(START, &limits, page(&[entry(0, 0), entry(1, 1)], Some("c1")));
    assert_eq!((first.turn, first.changed.len()), (Turn::More, 2));
    assert_eq!(
        mirror.ask(later(3), &limits),
        Ask::Page { cursor: Some("c1".into()), updated_since: None, limit: 100 }
    );
    let second = mirror.page(later(3), &limits, page(&[entry(2, 2)], None));
    assert_eq!(second.turn, Turn::Done);
    assert_eq!(mirror.len(), 3);
    let next = later(13);
    assert_eq!(mirror.ask(later(4), &limits), Ask::Wait(next));
    let since = Some(Timestamp(later(2).0 - 300_000));
    assert_eq!(mirror.ask(next, &limits), Ask::Page { cursor: None, updated_since: since, limit: 100 });
    let third = mirror.page(next, &limits, page(&[entry(2, 2), entry(3, 12)], None));
    assert_eq!(third.changed.len(), 1, "what is known and the same is no change");
    assert_eq!((third.oddities.len(), mirror.len()), (0, 4));
    assert_eq!(third.gone, [], "a part of a list says nothing of what is not in it");
}

#[test]
fn what_is_deleted_or_deprecated_is_told_once() {
    let mut mirror = filled(3);
    let gone = response("com.acme/s000", "1.0.0", 5, "deleted");
    let old = response("com.acme/s001", "1.0.0", 5, "deprecated");
    let report = turn(&mut mirror, later(10), page(&[gone.clone(), old.clone()], None));
    assert_eq!(report.deleted, [("com.acme/s000".to_owned(), "1.0.0".to_owned())]);
    assert_eq!(report.deprecated, [("com.acme/s001".to_owned(), "1.0.0".to_owned())]);
    let again = turn(&mut mirror, later(20), page(&[gone, old], None));
    assert!(again.deleted.is_empty() && again.deprecated.is_empty() && again.changed.is_empty());
    assert_eq!(mirror.row("com.acme/s000", "1.0.0").map(|row| row.status), Some(Status::Deleted));
    let revived =
        turn(&mut mirror, later(30), page(&[response("com.acme/s000", "1.0.0", 25, "active")], None));
    assert!(matches!(&revived.oddities[..], [Oddity::Revived { .. }]), "{:?}", revived.oddities);
}

#[test]
fn a_list_without_an_end_is_given_up_and_nothing_is_taken_for_gone() {
    let mut mirror = filled(3);
    // A day later, all of it again.
    let at = later(24 * 60);
    let first = turn(&mut mirror, at, page(&[entry(0, 0)], Some("a")));
    assert_eq!(first.turn, Turn::More);
    let second = turn(&mut mirror, at, page(&[entry(1, 0)], Some("b")));
    assert_eq!(second.turn, Turn::More);
    let third = turn(&mut mirror, at, page(&[entry(2, 0)], Some("a")));
    assert_eq!((third.turn, &third.oddities[..]), (Turn::GivenUp, &[Oddity::CursorLoop][..]));
    assert_eq!((third.gone.len(), mirror.len()), (0, 3));
    assert!(matches!(mirror.ask(at, &Limits::default()), Ask::Wait(_)), "and left alone for a while");
}

#[test]
fn pages_that_repeat_are_given_up_though_every_cursor_is_new() {
    let mut mirror = Mirror::default();
    let mut last = None;
    for n in 0..10 {
        let report = turn(&mut mirror, START, page(&[entry(0, 0)], Some(&format!("c{n}"))));
        last = Some((n, report.turn, report.oddities));
        if report.turn != Turn::More {
            break;
        }
    }
    assert_eq!(last, Some((3, Turn::GivenUp, vec![Oddity::PagesRepeat])));
    let mut mirror = Mirror::default();
    for n in 0..3 {
        last = Some((n, turn(&mut mirror, START, page(&[], Some(&format!("c{n}")))).turn, Vec::new()));
    }
    assert_eq!(last.map(|(n, turn, _)| (n, turn)), Some((2, Turn::GivenUp)), "empty pages, too");
}

#[test]
fn a_registry_cannot_fill_the_memory() {
    let limits = Limits { pages_max: 4, rows_max: 5, ..Limits::default() };
    let mut mirror = Mirror::default();
    for n in 0..2 {
        mirror.ask(START, &limits);
        let entries: Vec<Value> = (n * 4..n * 4 + 4).map(|n| entry(n, 0)).collect();
        let report = mirror.page(START, &limits, page(&entries, Some(&n.to_string())));
        assert_eq!(report.turn, if n == 0 { Turn::More } else { Turn::GivenUp });
        assert_eq!(report.oddities.contains(&Oddity::TooManyRows), n == 1);
    }
    assert_eq!(mirror.len(), 5);
    let mut mirror = Mirror::default();
    mirror.ask(START, &limits);
    let entries: Vec<Value> = (0..9).map(|n| entry(n, 0)).collect();
    let report = mirror.page(START, &limits, page(&entries, None));
    assert_eq!((report.turn, mirror.len()), (Turn::Done, 5));
    assert_eq!(report.oddities, [Oddity::TooManyRows], "what does not fit is told of on the last page, too");
    let limits = Limits { pages_max: 4, ..Limits::default() };
    let mut mirror = Mirror::default();
    let turns: Vec<Turn> = (0..4)
        .map(|n| {
            mirror.ask(START, &limits);
            mirror.page(START, &limits, page(&[entry(n, 0)], Some(&n.to_string()))).turn
        })
        .collect();
    assert_eq!(turns, [Turn::More, Turn::More, Turn::More, Turn::GivenUp]);
}

#[test]
fn a_list_that_shrinks_is_doubted_once_and_believed_twice() {
    let mut mirror = filled(40);
    let kept: Vec<Value> = (0..5).map(|n| entry(n, 0)).collect();
    let day = later(24 * 60);
    let first = turn(&mut mirror, day, page(&kept, None));
    assert_eq!(first.oddities, [Oddity::Shrank { missing: 35 }]);
    assert_eq!((first.gone.len(), mirror.len()), (0, 40));
    let second = turn(&mut mirror, day.plus(Duration::from_secs(600)), page(&kept, None));
    assert_eq!((second.gone.len(), mirror.len()), (35, 5));
    // And where the second list has them again, nothing was lost.
    let mut mirror = filled(40);
    turn(&mut mirror, day, page(&kept, None));
    let all: Vec<Value> = (0..40).map(|n| entry(n, 0)).collect();
    let second = turn(&mut mirror, day.plus(Duration::from_secs(600)), page(&all, None));
    assert_eq!((second.gone.len(), second.oddities.len(), mirror.len()), (0, 0, 40));
    let third = turn(&mut mirror, day.plus(Duration::from_secs(2 * 86_400)), page(&kept, None));
    assert_eq!((third.gone.len(), third.oddities.len()), (0, 1), "doubted anew");
}

#[test]
fn a_few_that_are_not_listed_any_more_are_gone() {
    let mut mirror = filled(40);
    let kept: Vec<Value> = (2..40).map(|n| entry(n, 0)).collect();
    let report = turn(&mut mirror, later(24 * 60), page(&kept, None));
    assert_eq!((report.gone.len(), report.oddities.len(), mirror.len()), (2, 0, 38));
}

#[test]
fn lies_about_time_and_words_are_named() {
    let mut mirror = filled(3);
    let mut rewritten = entry(0, 0);
    rewritten["server"]["description"] = json!("something else");
    let mut wavering = entry(1, 7);
    wavering["server"]["description"] = json!("one");
    let mut wavering_again = wavering.clone();
    wavering_again["server"]["description"] = json!("two");
    let future = entry(9, 1_000_000);
    let entries = [rewritten, wavering, wavering_again, future];
    let report = turn(&mut mirror, later(10), page(&entries, None));
    let named: Vec<String> =
        report.oddities.iter().map(|oddity| serde_json::to_string(oddity).expect("JSON")).collect();
    assert_eq!(
        named,
        [
            r#"{"oddity":"rewritten","name":"com.acme/s000","version":"1.0.0"}"#,
            r#"{"oddity":"wavers","name":"com.acme/s001","version":"1.0.0"}"#,
            r#"{"oddity":"future","name":"com.acme/s009","version":"1.0.0"}"#,
        ]
    );
    // What is yet to come hides nothing that comes before it.
    let Ask::Page { updated_since: Some(since), .. } = mirror.ask(later(20), &Limits::default()) else {
        panic!()
    };
    assert_eq!(since, Timestamp(later(7).0 - 300_000));
    let stale = turn(&mut mirror, later(20), page(&[entry(2, 1)], None));
    assert!(matches!(&stale.oddities[..], [Oddity::Stale { .. }]), "{:?}", stale.oddities);
}

#[test]
fn two_latest_versions_of_a_name_are_named() {
    let latest = |version: &str| {
        let mut entry = response("com.acme/crm", version, 0, "active");
        entry["_meta"]["io.modelcontextprotocol.registry/official"]["isLatest"] = json!(true);
        entry
    };
    let report = turn(&mut Mirror::default(), START, page(&[latest("1.0.0"), latest("2.0.0")], None));
    assert_eq!(report.oddities, [Oddity::TwoLatest { name: "com.acme/crm".into() }]);
}

#[test]
fn failures_are_waited_out_and_the_walk_goes_on_where_it_was() {
    let limits = Limits::default();
    let mut mirror = Mirror::default();
    turn(&mut mirror, START, page(&[entry(0, 0)], Some("c")));
    let failed = mirror.failed(START, &Failure::Unreachable { retry_after: None });
    assert_eq!(
        (failed, mirror.ask(START, &limits)),
        (Turn::More, Ask::Wait(START.plus(Duration::from_secs(30))))
    );
    let at = START.plus(Duration::from_secs(30));
    assert!(matches!(mirror.ask(at, &limits), Ask::Page { cursor: Some(cursor), .. } if cursor == "c"));
    mirror.failed(at, &Failure::Unreachable { retry_after: Some(Duration::from_secs(7_200)) });
    assert_eq!(mirror.ask(at, &limits), Ask::Wait(at.plus(Duration::from_secs(7_200))));
    let at = at.plus(Duration::from_secs(7_200));
    assert!(matches!(mirror.ask(at, &limits), Ask::Page { .. }));
    assert_eq!(mirror.failed(at, &Failure::Unreadable), Turn::GivenUp, "three at one place");
    let at = at.plus(Duration::from_secs(86_400));
    assert_eq!(mirror.ask(at, &limits), Ask::Page { cursor: None, updated_since: None, limit: 100 });
    turn(&mut mirror, at, page(&[entry(0, 0)], Some("forgotten")));
    assert_eq!(mirror.failed(at, &Failure::NotTaken), Turn::GivenUp, "a cursor that the registry forgot");
    let forever = Failure::Unreachable { retry_after: Some(Duration::MAX) };
    let mut mirror = Mirror::default();
    mirror.ask(START, &limits);
    mirror.failed(START, &forever);
    assert_eq!(
        mirror.ask(START, &limits),
        Ask::Wait(START.plus(Duration::from_secs(86_400))),
        "at most a day"
    );
}

#[test]
fn a_mirror_is_written_down_in_the_middle_of_a_walk_and_taken_up_again() {
    let mut mirror = filled(3);
    turn(&mut mirror, later(24 * 60), page(&[entry(0, 0)], Some("c")));
    let text = serde_json::to_string(&mirror).expect("JSON");
    let mut again: Mirror = serde_json::from_str(&text).expect("a mirror");
    assert_eq!(again, mirror);
    let limits = Limits::default();
    assert_eq!(again.ask(later(24 * 60), &limits), mirror.ask(later(24 * 60), &limits));
}

#[test]
fn entries_that_cannot_be_read_are_counted_and_the_rest_is_taken() {
    let report = turn(&mut Mirror::default(), START, page(&[json!({"server": {}}), entry(0, 0)], None));
    assert_eq!((report.changed.len(), report.refused.is_empty()), (1, false));
}
