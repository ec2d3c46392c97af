//! How people climb the ladder.

use governance::{Ballot, Command, NominationStatus, Rule};

use crate::world::{DAY, World, kind};

fn nominate(w: &mut World, by: &str, person: &str, role: &str) -> Result<u64, Rule> {
    let id = w.state.last + 1;
    let (by, person, role) = (by.to_owned(), person.to_owned(), role.to_owned());
    let command = Command::Nominate { by, person, role, reason: "sustained work".to_owned() };
    w.command(&command).map(|()| id).map_err(|refusal| refusal.rule)
}

fn endorse(w: &mut World, by: &str, id: u64) -> Result<(), Rule> {
    let command = Command::Endorse { by: by.to_owned(), id, ballot: Ballot::Yes };
    w.command(&command).map_err(|refusal| refusal.rule)
}

fn missing(w: &World, id: u64) -> Vec<Rule> {
    let demands = w.engine.nomination_demands(&w.state, &w.state.nominations[&id], w.now);
    demands.into_iter().filter(|demand| !demand.met).map(|demand| demand.rule).collect()
}

/// A member under `mcp-2026`: two months, three acts, two members of different organizations, seven days.
#[test]
fn a_contributor_becomes_a_member_by_what_he_did() {
    let mut w = World::preset("mcp-2026", "2026-12-01");
    let id = nominate(&mut w, "contributor-1", "contributor-1", "member").expect("nominated");
    // He is there since January, but nominating himself is all that he did.
    assert_eq!(missing(&w, id), [Rule::Activity, Rule::Count, Rule::Distinct, Rule::Objection]);
    for _ in 0..2 {
        w.propose("contributor-1", kind("process"));
    }
    assert_eq!(endorse(&mut w, "contributor-1", id), Err(Rule::Separation));
    assert_eq!(endorse(&mut w, "contributor-2", id), Err(Rule::Membership));
    endorse(&mut w, "member-1", id).expect("endorsed");
    endorse(&mut w, "member-6", id).expect("endorsed");
    assert_eq!(endorse(&mut w, "member-1", id), Err(Rule::Once));
    assert_eq!(missing(&w, id), [Rule::Distinct, Rule::Objection], "of the same organization");
    endorse(&mut w, "member-2", id).expect("endorsed");
    assert_eq!(missing(&w, id), [Rule::Objection]);
    w.pass(7 * DAY);
    assert_eq!(w.state.nominations[&id].status, NominationStatus::Promoted);
    assert_eq!(w.state.people["contributor-1"].role.as_deref(), Some("member"));
    assert_eq!(nominate(&mut w, "member-1", "contributor-1", "member"), Err(Rule::Once));
    let next = nominate(&mut w, "maintainer-1", "contributor-1", "maintainer").expect("nominated");
    assert!(missing(&w, next).contains(&Rule::Tenure), "he has been a member for no time");
}

#[test]
fn an_objection_in_its_time_stands_in_the_way_until_it_is_lifted() {
    let mut w = World::preset("mcp-2026", "2026-12-01");
    for _ in 0..3 {
        w.propose("contributor-1", kind("process"));
    }
    let id = nominate(&mut w, "contributor-1", "contributor-1", "member").expect("nominated");
    endorse(&mut w, "core-1", id).expect("one of the core is enough");
    let object = |by: &str| Command::Object { by: by.to_owned(), id, reason: "conduct".to_owned() };
    assert_eq!(w.command(&object("contributor-3")).map_err(|r| r.rule), Err(Rule::Membership));
    w.command(&object("member-1")).expect("objects");
    w.pass(8 * DAY);
    assert_eq!(missing(&w, id), [Rule::Objection]);
    assert_eq!(w.command(&object("member-2")).map_err(|r| r.rule), Err(Rule::Objection), "too late");
    w.command(&Command::LiftObjection { by: "member-1".to_owned(), id }).expect("lifted");
    assert_eq!(w.state.nominations[&id].status, NominationStatus::Promoted);
}

#[test]
fn a_nomination_that_nobody_decides_on_ends() {
    let mut w = World::preset("mcp-2026", "2026-12-01");
    let id = nominate(&mut w, "contributor-1", "contributor-1", "member").expect("nominated");
    assert_eq!(nominate(&mut w, "contributor-1", "contributor-1", "member"), Err(Rule::Once));
    assert_eq!(nominate(&mut w, "contributor-1", "contributor-2", "lead"), Err(Rule::Existence));
    w.pass(179 * DAY);
    assert_eq!(w.state.nominations[&id].status, NominationStatus::Open);
    w.pass(DAY);
    assert_eq!(w.state.nominations[&id].status, NominationStatus::Ended);
}
