//! Votes that do not count: on what was replaced, by those who left, twice; and clocks that go back.

use governance::{Act, Ballot, Command, Rule, Status};
use model::Timestamp;

use crate::world::{DAY, World, ballot, kind, yes};

const RULES: &str = "
name: small
roles: [{ name: member, inactive_after: 3mo }, { name: core, inactive_after: 3mo }]
people:
  - { name: ann, role: core }
  - { name: ben, role: core }
  - { name: cay, role: core }
  - { name: dan, role: member }
membership: { removed_by: role:core, returned_by: role:core }
tracks:
  - { name: all, kinds: ['*'], propose: anyone, acceptance: { votes: [{ from: role:core, count: 2 }] } }
";

#[test]
fn a_vote_on_a_revision_that_was_replaced_is_refused_and_the_ones_before_count_no_more() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    w.on(id, "dan", Act::Revise { hash: "r2".to_owned() }).expect("revised");
    assert_eq!(w.try_on(id, "ben", yes()), Err(Rule::Revision));
    assert_eq!(w.try_on(id, "ben", ballot("r9", Ballot::Yes)), Err(Rule::Revision));
    w.on(id, "ben", ballot("r2", Ballot::Yes)).expect("votes");
    assert_eq!((w.status(id), w.missing(id)), (Status::InReview, vec![Rule::Count]));
    w.on(id, "ann", ballot("r2", Ballot::Yes)).expect("votes again");
    assert_eq!(w.status(id), Status::Accepted);
}

#[test]
fn a_revision_that_comes_back_has_no_votes_from_its_first_time() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    assert_eq!(w.try_on(id, "dan", Act::Revise { hash: "r1".to_owned() }), Err(Rule::Once));
    for hash in ["r2", "r1"] {
        w.on(id, "dan", Act::Revise { hash: hash.to_owned() }).expect("revised");
    }
    w.on(id, "ben", yes()).expect("votes");
    assert_eq!(w.status(id), Status::InReview);
}

#[test]
fn nobody_votes_twice_on_a_revision() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    assert_eq!(w.try_on(id, "ann", yes()), Err(Rule::Once));
    assert_eq!(w.try_on(id, "ann", ballot("r1", Ballot::No)), Err(Rule::Once));
    assert_eq!(w.status(id), Status::InReview);
}

#[test]
fn whoever_was_removed_has_no_vote_and_those_that_he_gave_count_no_more() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    let remove = |by: &str, person: &str| Command::Remove {
        by: by.to_owned(),
        person: person.to_owned(),
        reason: "left".to_owned(),
    };
    assert_eq!(w.command(&remove("dan", "ann")).map_err(|r| r.rule), Err(Rule::Membership));
    assert_eq!(w.command(&remove("ann", "ann")).map_err(|r| r.rule), Err(Rule::Separation));
    w.command(&remove("cay", "ann")).expect("removed");
    w.on(id, "ben", yes()).expect("votes");
    assert_eq!(w.status(id), Status::InReview);
    let other = w.propose("dan", kind("any"));
    assert_eq!(w.try_on(other, "ann", yes()), Err(Rule::Membership));
    assert_eq!(w.try_on(other, "mallory", yes()), Err(Rule::Membership));
    w.on(id, "cay", yes()).expect("votes");
    assert_eq!(w.status(id), Status::Accepted);
}

#[test]
fn who_does_nothing_for_too_long_is_emeritus_until_somebody_takes_him_back() {
    let mut w = World::yaml(RULES, "2026-11-30");
    w.pass(60 * DAY);
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    // Three months after the last day of November: the last one of February.
    w.now = crate::world::nine("2027-02-28");
    w.command(&Command::Tick).expect("time passes");
    assert_eq!(w.try_on(id, "ben", yes()), Err(Rule::Membership));
    let back = |by: &str, person: &str| Command::Return { by: by.to_owned(), person: person.to_owned() };
    assert_eq!(w.command(&back("ben", "ben")).map_err(|r| r.rule), Err(Rule::Membership));
    assert_eq!(w.command(&back("ann", "dan")).map_err(|r| r.rule), Err(Rule::State));
    w.command(&back("ann", "ben")).expect("taken back");
    w.on(id, "ben", yes()).expect("votes");
    assert_eq!(w.status(id), Status::Accepted);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    let now = w.now;
    w.now = Timestamp(now.0 - 400 * DAY);
    w.on(id, "ann", yes()).expect("votes");
    w.on(id, "ben", yes()).expect("votes");
    assert!(w.log.iter().all(|event| event.at >= now));
    assert_eq!(w.state.proposals[&id].accepted, Some(now));
}

#[test]
fn a_proposal_that_is_over_is_over() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let id = w.propose("dan", kind("any"));
    assert_eq!(w.try_on(id, "ann", Act::Withdraw), Err(Rule::Membership));
    w.on(id, "dan", Act::Withdraw).expect("withdrawn");
    for act in [yes(), Act::Withdraw, Act::Revise { hash: "r2".to_owned() }, Act::Revive] {
        assert_eq!(w.try_on(id, "dan", act).expect_err("over"), Rule::State);
    }
    assert_eq!(w.try_on(99, "dan", Act::Withdraw), Err(Rule::Existence));
}

#[test]
fn the_same_events_give_the_same_state() {
    let mut w = World::yaml(RULES, "2026-12-30");
    let mut again = w.state.clone();
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    w.pass(10 * DAY);
    w.on(id, "ben", yes()).expect("votes");
    let text = serde_json::to_string(&w.log).expect("events are JSON");
    let log: Vec<governance::Event> = serde_json::from_str(&text).expect("and are read again");
    for event in &log {
        again.apply(event);
    }
    assert_eq!(again, w.state);
}
