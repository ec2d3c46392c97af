//! Each kind of rule has a case in which it alone stands in the way, and does no longer once it has what it
//! asks for.

use std::collections::BTreeSet;

use governance::{Act, Answer, Ballot, Command, Effect, NewProposal, Rule, Stage, Status};

use crate::world::{DAY, World, advance, attach, ballot, block, kind, yes};

/// People of two organizations, and a track with one gate.
fn rules(gate: &str, more: &str) -> String {
    format!(
        "
name: small
roles: [{{ name: member }}, {{ name: core }}]
people:
  - {{ name: ann, role: core, organization: x, team: one }}
  - {{ name: ben, role: core, organization: x, team: two }}
  - {{ name: cay, role: core, organization: y, team: one }}
  - {{ name: dan, role: member, organization: x, team: one }}
  - {{ name: eve, role: member, organization: y, team: two }}
groups:
  - {{ name: pay, members: [dan, eve, ben] }}
  - {{ name: core, members: [ann, cay] }}
{more}
tracks:
  - name: all
    kinds: ['*']
    propose: anyone
    acceptance: {gate}
"
    )
}

fn world(gate: &str, more: &str) -> World {
    World::yaml(&rules(gate, more), "2026-12-29")
}

/// That one rule alone stands in the way.
fn only(world: &World, id: u64, rule: Rule) {
    assert_eq!(world.status(id), Status::InReview);
    let missing: BTreeSet<Rule> = world.missing(id).into_iter().collect();
    assert_eq!(missing, BTreeSet::from([rule]), "{}", text(world, id));
}

fn text(world: &World, id: u64) -> String {
    let why = world.engine.why(&world.state, id, world.now).expect("a proposal");
    why.text(&world.engine.rules().calendar)
}

fn accepted(world: &World, id: u64) {
    assert_eq!(world.status(id), Status::Accepted, "{}", text(world, id));
}

#[test]
fn a_sponsor() {
    let mut w = world("{ sponsors: { from: role:core, apart: organization } }", "");
    let id = w.propose("dan", kind("any"));
    only(&w, id, Rule::Sponsor);
    assert_eq!(w.try_on(id, "dan", Act::Sponsor), Err(Rule::Membership));
    assert_eq!(w.try_on(id, "ann", Act::Sponsor), Err(Rule::Apart));
    w.on(id, "cay", Act::Sponsor).expect("of another organization");
    accepted(&w, id);
}

#[test]
fn a_comment_period_that_begins_anew_with_each_revision() {
    let mut w = world("{ comment_period: 2d, votes: [{ from: role:core, count: 1 }] }", "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    only(&w, id, Rule::CommentPeriod);
    w.pass(DAY);
    w.on(id, "dan", Act::Revise { hash: "r2".to_owned() }).expect("revised");
    w.on(id, "ann", ballot("r2", Ballot::Yes)).expect("votes again");
    w.pass(DAY);
    only(&w, id, Rule::CommentPeriod);
    w.pass(DAY);
    accepted(&w, id);
}

#[test]
fn a_number_of_votes() {
    let mut w = world("{ votes: [{ from: role:core, count: 2 }] }", "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    w.on(id, "ben", ballot("r1", Ballot::No)).expect("votes");
    only(&w, id, Rule::Count);
    w.on(id, "cay", yes()).expect("votes");
    accepted(&w, id);
}

#[test]
fn a_share_of_those_who_may_vote() {
    let gate = "{ votes: [{ from: role:core, share: at least 2/3, of: eligible }] }";
    let mut w = world(gate, "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    w.on(id, "ben", ballot("r1", Ballot::Abstain)).expect("votes");
    only(&w, id, Rule::Share);
    w.on(id, "cay", yes()).expect("votes");
    accepted(&w, id);
}

#[test]
fn a_share_of_those_who_are_active() {
    let gate = "{ votes: [{ from: role:core, share: more than 1/2, of: active, count: 2 }] }";
    let mut w = world(gate, "active_within: 30d");
    w.pass(60 * DAY);
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    // Of the core only she did anything of late, so that the share is there and the number is not.
    only(&w, id, Rule::Count);
    w.on(id, "ben", yes()).expect("votes");
    accepted(&w, id);
}

#[test]
fn a_quorum() {
    let gate = "{ votes: [{ from: role:core, share: more than 1/2, of: present, quorum: at least 2/3 }] }";
    let mut w = world(gate, "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    only(&w, id, Rule::Quorum);
    w.on(id, "ben", ballot("r1", Ballot::Abstain)).expect("votes");
    accepted(&w, id);
}

#[test]
fn votes_from_several_organizations() {
    let gate = "{ votes: [{ from: role:core, count: 2, distinct: { by: organization, count: 2 } }] }";
    let mut w = world(gate, "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    w.on(id, "ben", yes()).expect("votes");
    only(&w, id, Rule::Distinct);
    w.on(id, "cay", yes()).expect("votes");
    accepted(&w, id);
}

#[test]
fn a_vote_that_is_open_for_its_time_and_fails_after_it() {
    let gate = "{ votes: [{ from: role:core, share: more than 1/2, open_for: 7d }] }";
    let mut w = world(gate, "");
    let (id, other) = (w.propose("dan", kind("any")), w.propose("dan", kind("any")));
    for by in ["ann", "ben"] {
        w.on(id, by, yes()).expect("votes");
    }
    only(&w, id, Rule::VoteOpen);
    w.pass(7 * DAY);
    accepted(&w, id);
    assert_eq!(w.status(other), Status::Rejected);
    assert_eq!(w.try_on(other, "ann", yes()), Err(Rule::State));
}

#[test]
fn a_block_until_it_is_lifted_or_outvoted() {
    let gate = "{ lazy: { silence: 2bd, blocks: role:core, on_block: { from: role:core, count: 2 } } }";
    let mut w = world(gate, "");
    let ids = [0; 3].map(|_| w.propose("dan", kind("any")));
    only(&w, ids[0], Rule::LazyConsensus);
    assert_eq!(w.try_on(ids[0], "dan", block()), Err(Rule::Membership));
    for id in &ids[1..] {
        w.on(*id, "cay", block()).expect("blocks");
    }
    w.pass(10 * DAY);
    accepted(&w, ids[0]);
    only(&w, ids[1], Rule::LazyConsensus);
    w.on(ids[1], "cay", Act::LiftBlock).expect("lifted");
    accepted(&w, ids[1]);
    w.on(ids[2], "ann", yes()).expect("votes");
    only(&w, ids[2], Rule::LazyConsensus);
    w.on(ids[2], "ben", yes()).expect("votes");
    accepted(&w, ids[2]);
}

#[test]
fn evidence_for_this_very_revision_from_those_who_may_attest_it() {
    let gate = "{ evidence: [{ kind: security-scan, from: role:core, fresh: 72h }] }";
    let mut w = world(gate, "");
    let id = w.propose("ann", kind("any"));
    only(&w, id, Rule::Evidence);
    assert_eq!(w.try_on(id, "ann", attach("security-scan")), Err(Rule::Separation));
    assert_eq!(w.try_on(id, "dan", attach("security-scan")), Err(Rule::Membership));
    assert_eq!(w.try_on(id, "ben", attach("horoscope")), Err(Rule::Evidence));
    let failed = Act::Attach {
        hash: "r1".to_owned(),
        kind: "security-scan".to_owned(),
        outcome: governance::EvidenceOutcome::Failed,
        about: "seen".to_owned(),
    };
    w.on(id, "ben", failed).expect("attached");
    only(&w, id, Rule::Evidence);
    w.on(id, "ann", Act::Revise { hash: "r2".to_owned() }).expect("revised");
    assert_eq!(w.try_on(id, "ben", attach("security-scan")), Err(Rule::Revision));
    only(&w, id, Rule::Evidence);
    let passed = Act::Attach {
        hash: "r2".to_owned(),
        kind: "security-scan".to_owned(),
        outcome: governance::EvidenceOutcome::Passed,
        about: "seen".to_owned(),
    };
    w.on(id, "cay", passed).expect("attached");
    accepted(&w, id);
}

#[test]
fn evidence_that_is_too_old() {
    let gate = "{ comment_period: 5d, evidence: [{ kind: owner-on-call, from: role:core, fresh: 72h }] }";
    let mut w = world(gate, "");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", attach("owner-on-call")).expect("attached");
    w.pass(5 * DAY);
    only(&w, id, Rule::Evidence);
    w.on(id, "ann", attach("owner-on-call")).expect("attached again");
    accepted(&w, id);
}

#[test]
fn a_decision() {
    let mut w = world("{ decision: { by: role:core, apart: team } }", "");
    let id = w.propose("dan", kind("any"));
    only(&w, id, Rule::Decision);
    assert_eq!(w.try_on(id, "ann", advance()), Err(Rule::Apart));
    w.on(id, "ben", advance()).expect("decides");
    accepted(&w, id);
}

#[test]
fn nobody_approves_his_own_or_that_of_his_organization() {
    let gate = "{ votes: [{ from: role:core, count: 1, apart: organization }] }";
    let mut w = world(gate, "");
    let id = w.propose("ann", kind("any"));
    assert_eq!(w.try_on(id, "ann", yes()), Err(Rule::Separation));
    assert_eq!(w.try_on(id, "ben", yes()), Err(Rule::Apart));
    only(&w, id, Rule::Count);
    // Whoever writes a revision is an author too.
    let with = NewProposal { authors: vec!["cay".to_owned()], ..kind("any") };
    let other = w.propose("dan", with);
    assert_eq!(w.try_on(other, "cay", yes()), Err(Rule::Separation));
    w.on(id, "cay", yes()).expect("of another organization");
    accepted(&w, id);
}

#[test]
fn a_question_to_a_level_above_that_is_open() {
    let more = "escalation: { levels: [{ to: role:core, answer_within: 5bd }] }";
    let mut w = world("{ votes: [{ from: role:core, count: 1 }] }", more);
    let id = w.propose("dan", kind("any"));
    w.on(id, "dan", Act::Escalate { reason: "nobody looks".to_owned() }).expect("escalated");
    w.on(id, "ann", yes()).expect("votes");
    only(&w, id, Rule::Escalation);
    let answer = Act::Answer { answer: Answer::Return, rationale: "go on".to_owned() };
    assert_eq!(w.try_on(id, "eve", answer.clone()), Err(Rule::Membership));
    w.on(id, "ben", answer).expect("answers");
    accepted(&w, id);
}

#[test]
fn a_removal_before_the_window_is_over() {
    let more = "lifecycle: { window: 12mo, expedited: 90d }";
    let mut w = world("{ votes: [{ from: role:core, count: 1 }] }", more);
    let about = |effect| NewProposal { records: vec!["tool:old".to_owned()], effect, ..kind("any") };
    let decide = |w: &mut World, effect| {
        let id = w.propose("dan", about(effect));
        w.on(id, "ann", yes()).expect("votes");
        id
    };
    let early = decide(&mut w, Effect::Remove);
    only(&w, early, Rule::Lifecycle);
    decide(&mut w, Effect::Deprecate { replacement: None, expedited: false });
    assert_eq!(w.state.records["tool:old"].stage, Stage::Deprecated);
    only(&w, early, Rule::Lifecycle);
    w.pass(364 * DAY);
    only(&w, early, Rule::Lifecycle);
    w.pass(DAY);
    accepted(&w, early);
    assert_eq!(w.state.records["tool:old"].stage, Stage::Removed);
}

#[test]
fn the_end_of_a_veto_window_before_something_is_final() {
    let mut text = rules(
        "{ votes: [{ from: role:core, count: 1 }] }",
        "oversight: { veto: { by: role:core, within: 3bd, core_too: true } }",
    );
    text.push_str("    final: { decision: { by: role:core } }\n");
    let mut w = World::yaml(&text, "2026-12-29");
    let id = w.propose("dan", kind("any"));
    w.on(id, "ann", yes()).expect("votes");
    accepted(&w, id);
    w.on(id, "ann", advance()).expect("decides");
    assert_eq!(w.missing(id), [Rule::VetoWindow]);
    w.pass(3 * DAY);
    assert_eq!(w.status(id), Status::Final);
    assert_eq!(w.try_on(id, "cay", Act::Veto { reason: "late".to_owned() }), Err(Rule::State));
}

#[test]
fn the_review_of_an_emergency() {
    let more = "emergency: { by: role:member, review_within: 2bd, review: { from: role:core, count: 1 } }";
    let mut w = world("{ votes: [{ from: role:core, count: 2 }] }", more);
    let id = w.propose("dan", kind("any"));
    let other = w.propose("dan", kind("any"));
    let apply = Act::Emergency { hash: "r1".to_owned(), reason: "fire".to_owned() };
    let review = |confirms| Act::Review { hash: "r1".to_owned(), confirms, note: "seen".to_owned() };
    assert_eq!(w.try_on(id, "ann", review(true)), Err(Rule::State));
    w.on(id, "ann", apply.clone()).expect("applied");
    w.on(other, "ann", apply).expect("applied");
    assert_eq!((w.status(id), w.state.proposals[&id].applied), (Status::Provisional, true));
    assert_eq!(w.missing(id), [Rule::Count]);
    assert_eq!(w.try_on(id, "ann", review(true)), Err(Rule::Separation));
    w.on(id, "ben", review(true)).expect("reviewed");
    accepted(&w, id);
    w.pass(10 * DAY);
    assert_eq!(w.course(other).last(), Some(&"rolled_back"));
    assert!(!w.state.proposals[&other].applied);
}

/// Delegation: each of its limits alone sends a proposal to the core.
#[test]
fn a_grant_that_does_not_hold() {
    let more = "domains: [{ name: pay, records: ['tool:pay-*'], owners: pay }]
delegation:
  enabled: true
  grants:
    - { domain: pay, by: core, to: pay, risk_at_most: medium, until: 2027-01-20, at_most: { count: 1, \
        per: 5d } }
oversight: { group: core }";
    let mut text = rules("{ votes: [{ from: group:core, count: 2 }] }", more);
    text.push_str("    delegated: { votes: [{ from: owners, count: 1 }] }\n");
    let mut w = World::yaml(&text, "2026-12-29");
    let records = || vec!["tool:pay-eu".to_owned()];
    let plain = || NewProposal { records: records(), ..kind("any") };
    let by_domain = |w: &mut World, new: NewProposal| {
        let id = w.propose("dan", new);
        let voted = w.try_on(id, "eve", yes());
        (voted, w.status(id), text_of(w, id))
    };
    let high = NewProposal { risk: governance::Risk::High, ..plain() };
    let wide = NewProposal { records: vec!["tool:pay-eu".to_owned(), "tool:crm".to_owned()], ..kind("any") };
    for (new, why) in [(high, "its risk is high"), (wide, "not of one domain")] {
        let (voted, status, text) = by_domain(&mut w, new);
        assert_eq!((voted, status), (Err(Rule::Membership), Status::InReview), "{text}");
        assert!(text.contains(why), "{text}");
    }
    assert_eq!(by_domain(&mut w, plain()).1, Status::Accepted);
    let (voted, _, text) = by_domain(&mut w, plain());
    assert!(voted.is_err() && text.contains("was used 1 times in 5d"), "{text}");
    w.pass(6 * DAY);
    assert_eq!(by_domain(&mut w, plain()).1, Status::Accepted);
    w.pass(6 * DAY);
    let revoke = |by: &str| Command::Revoke {
        by: by.to_owned(),
        grant: "pay/pay".to_owned(),
        reason: "enough".to_owned(),
    };
    assert_eq!(w.command(&revoke("dan")).map_err(|r| r.rule), Err(Rule::Membership));
    w.command(&revoke("cay")).expect("of those who gave it");
    let (voted, _, text) = by_domain(&mut w, plain());
    assert!(voted.is_err() && text.contains("was ended: enough"), "{text}");
}

#[test]
fn a_grant_that_is_over() {
    let more = "domains: [{ name: pay, records: ['tool:pay-*'], owners: pay }]
delegation:
  enabled: true
  grants: [{ domain: pay, by: core, to: pay, until: 2026-12-31, risk_at_most: high }]
oversight: { group: core }";
    let mut text = rules("{ votes: [{ from: group:core, count: 2 }] }", more);
    text.push_str("    delegated: { votes: [{ from: owners, count: 1 }] }\n");
    let mut w = World::yaml(&text, "2026-12-31");
    let new = || NewProposal { records: vec!["tool:pay-eu".to_owned()], ..kind("any") };
    let id = w.propose("dan", new());
    w.on(id, "eve", yes()).expect("the last day");
    accepted(&w, id);
    w.pass(DAY);
    let id = w.propose("dan", new());
    assert_eq!(w.try_on(id, "eve", yes()), Err(Rule::Membership));
    assert!(text_of(&w, id).contains("ended with 2026-12-31"));
}

fn text_of(world: &World, id: u64) -> String {
    text(world, id)
}
