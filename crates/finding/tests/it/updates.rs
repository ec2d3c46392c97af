//! How an index is kept up to date.

use finding::{Changes, Entry, Index, Limits, Synonyms};

use crate::{entry, index_of, names};

fn list(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_what_changed_is_read_again() {
    let mut index = index_of(&[("a", "apple"), ("b", "banana"), ("c", "cherry")]);
    let next = vec![entry("a", "apple"), entry("b", "berry"), entry("d", "date")];
    let changes = index.update("s", next.clone());
    assert_eq!(
        changes,
        Changes {
            added: list(&["d"]),
            changed: list(&["b"]),
            removed: list(&["c"]),
            same: 1,
            left_out: list(&[]),
        }
    );
    assert_eq!((names(&index, "berry"), names(&index, "cherry")), (list(&["b"]), list(&[])));
    assert!(names(&index, "banana").is_empty());
    assert_eq!(index.update("s", next).same, 3);
}

#[test]
fn an_index_that_was_changed_is_as_one_that_was_made_anew() {
    let mut changed = index_of(&[("a", "apple"), ("b", "banana split"), ("c", "cherry apple")]);
    changed.update("s", vec![entry("c", "cherry apple"), entry("e", "apple pie")]);
    changed.update("s", vec![entry("a", "apple tart"), entry("c", "cherry apple")]);
    let fresh = index_of(&[("a", "apple tart"), ("c", "cherry apple")]);
    let scored = |index: &Index| {
        let hits = index.search("apple cherry", 10, None, &|_, _| true);
        hits.iter().map(|hit| (hit.entry.name.clone(), hit.score.to_bits())).collect::<Vec<_>>()
    };
    assert_eq!((scored(&changed), changed.bytes(), changed.len()), (scored(&fresh), fresh.bytes(), 2));
    assert_eq!(changed.words(), fresh.words());
    changed.update("s", Vec::new());
    assert_eq!((changed.bytes(), changed.words(), changed.is_empty()), (0, 0, true));
}

#[test]
fn a_name_belongs_to_the_server_that_has_it_and_stands_once() {
    let mut index = index_of(&[("a", "apple")]);
    let changes = index.update("other", vec![entry("a", "impostor"), entry("b", ""), entry("b", "again")]);
    assert_eq!((changes.left_out, changes.added), (list(&["a", "b"]), list(&["b"])));
    assert!(names(&index, "impostor").is_empty());
    index.update("s", Vec::new());
    assert_eq!(index.update("other", vec![entry("a", "now mine")]).added, list(&["a"]));
}

#[test]
fn what_has_no_room_is_left_out_and_named() {
    let mut few = Index::new(Limits { tools_max: 1, ..Limits::default() }, Synonyms::default());
    let changes = few.update("s", vec![entry("a", ""), entry("b", "")]);
    assert_eq!((changes.added, changes.left_out), (list(&["a"]), list(&["b"])));
    let mut small = Index::new(Limits { bytes_max: 2_000, ..Limits::default() }, Synonyms::default());
    let changes = small.update("s", vec![entry("a", ""), entry("b", &"word ".repeat(1_000))]);
    assert_eq!((changes.added, changes.left_out), (list(&["a"]), list(&["b"])));
    assert!(small.bytes() <= 2_000);
}

#[test]
fn entries_that_cannot_be_read_are_none() {
    for text in ["[]", "{}", "{\"name\":5}", "{\"name\":\"\"}", "{\"name\":\"a\",\"name\":\"b\"}"] {
        let raw = protocol::Raw::parse(bytes::Bytes::from(text)).expect("JSON");
        assert_eq!(Entry::read(&raw), None, "{text}");
    }
}

#[test]
fn a_summary_is_one_sentence() {
    assert_eq!(entry("a", "Creates a new issue. Then more.\nAnd more.").summary(), "Creates a new issue.");
    assert_eq!(entry("a", "Creates a new issue\nThen more.").summary(), "Creates a new issue");
    assert_eq!(entry("a", &"x".repeat(300)).summary().chars().count(), 201);
}
