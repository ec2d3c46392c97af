//! Proposals' whole lives under `enterprise`.

use governance::{Act, Answer, EvidenceOutcome, NewProposal, Risk, Route, Rule, Status, What};

use crate::world::{DAY, HOUR, World, advance, attach, kind, yes};

fn pay(record: &str) -> NewProposal {
    NewProposal {
        records: vec![record.to_owned()],
        area: Some("customer-facing".to_owned()),
        ..kind("upstream")
    }
}

fn veto() -> Act {
    Act::Veto { reason: "its issuer is not ours".to_owned() }
}

/// A change of payments that its domain accepts within a day.
fn accepted_by_domain(w: &mut World, record: &str) -> u64 {
    let id = w.propose("pia", pay(record));
    assert_eq!(w.missing(id), [Rule::Evidence]);
    w.on(id, "fay", attach("security-scan")).expect("attached");
    assert_eq!(w.status(id), Status::InReview);
    for by in ["hana", "ivo"] {
        w.on(id, by, yes()).expect("votes");
    }
    w.on(id, "jana", attach("owner-on-call")).expect("attached");
    assert_eq!(w.missing(id), [Rule::CommentPeriod]);
    w.pass(DAY);
    assert_eq!(w.status(id), Status::Accepted);
    id
}

#[test]
fn a_domain_accepts_and_the_core_vetoes_in_its_time_and_not_after_it() {
    let mut w = World::preset("enterprise", "2026-12-14");
    let first = accepted_by_domain(&mut w, "upstream:pay-eu");
    assert_eq!(w.state.proposals[&first].route, Route::Domain { grant: "payments/payments".to_owned() });
    assert_eq!(w.try_on(first, "hana", veto()), Err(Rule::Membership));
    w.on(first, "bea", veto()).expect("in time");
    assert_eq!(
        w.course(first),
        ["draft", "in_review", "accepted", "[applied]", "[vetoed]", "[taken back]", "vetoed"]
    );
    let second = accepted_by_domain(&mut w, "upstream:pay-us");
    w.pass(3 * DAY + 3 * DAY);
    assert_eq!(w.try_on(second, "bea", veto()), Err(Rule::VetoWindow));
    w.on(second, "noa", Act::Rollback { reason: "errors".to_owned() }).expect("on call");
    assert_eq!(w.status(second), Status::RolledBack);
    assert_eq!(w.try_on(second, "noa", Act::Rollback { reason: "again".to_owned() }), Err(Rule::State));
}

#[test]
fn a_domain_that_does_not_come_to_an_end_is_answered_by_the_council() {
    let mut w = World::preset("enterprise", "2026-12-14");
    let id = w.propose("pia", pay("tool:pay-refund"));
    w.on(id, "pia", attach("security-scan")).expect_err("of no engineer");
    w.on(id, "fay", attach("security-scan")).expect("attached");
    assert_eq!(w.try_on(id, "ana", yes()), Err(Rule::Membership), "as long as it is the domain's");
    // Fifteen business days, over Christmas and New Year.
    w.now = crate::world::nine("2027-01-08");
    w.command(&governance::Command::Tick).expect("time passes");
    assert!(w.course(id).contains(&"[escalated]"), "{:?}", w.course(id));
    let escalated = w.log.iter().find(|e| matches!(e.what, What::Escalated { .. })).expect("escalated");
    let calendar = &w.engine.rules().calendar;
    assert_eq!(calendar.date(escalated.at).to_string(), "2027-01-08");
    assert_eq!(w.state.proposals[&id].route, Route::Core);
    let answer = Act::Answer { answer: Answer::TakeOver, rationale: "the council decides".to_owned() };
    assert_eq!(w.try_on(id, "hana", answer.clone()), Err(Rule::Membership));
    w.on(id, "carl", answer).expect("of another team than pia");
    w.on(id, "ana", yes()).expect("votes");
    w.on(id, "emil", yes()).expect("votes");
    assert_eq!(w.missing(id), [Rule::Distinct], "both are of the platform team");
    w.on(id, "dora", yes()).expect("votes");
    assert_eq!(w.status(id), Status::Accepted);
    w.on(id, "fay", Act::Rollback { reason: "refunds fail".to_owned() }).expect("of security");
    assert_eq!(
        w.course(id),
        [
            "draft",
            "in_review",
            "[escalated]",
            "[answered]",
            "accepted",
            "[applied]",
            "[taken back]",
            "rolled_back"
        ]
    );
}

#[test]
fn silence_at_one_level_goes_on_to_the_next() {
    let mut w = World::preset("enterprise", "2027-01-11");
    let id = w.propose("pia", pay("tool:pay-refund"));
    w.on(id, "fay", attach("security-scan")).expect("attached");
    w.on(id, "pia", Act::Escalate { reason: "urgent".to_owned() }).expect("its author may");
    assert_eq!(w.try_on(id, "pia", Act::Escalate { reason: "again".to_owned() }), Err(Rule::Once));
    w.pass(7 * DAY);
    assert_eq!(w.state.proposals[&id].escalated.as_ref().map(|e| e.level), Some(1));
    let answer = Act::Answer { answer: Answer::Return, rationale: "payments decides".to_owned() };
    w.on(id, "ana", answer).expect("a steward");
    w.on(id, "hana", yes()).expect("the domain goes on");
}

#[test]
fn a_high_risk_asks_for_everything_that_the_rules_have() {
    let mut w = World::preset("enterprise", "2027-01-11");
    let id = w.propose("hana", NewProposal { risk: Risk::High, ..pay("upstream:pay-cn") });
    assert_eq!(w.missing(id), [Rule::Sponsor]);
    assert_eq!(w.try_on(id, "carl", Act::Sponsor), Err(Rule::Apart));
    w.on(id, "dora", Act::Sponsor).expect("of another team");
    assert_eq!(w.missing(id), [Rule::Evidence; 3]);
    for (by, kind) in [("fay", "security-scan"), ("gus", "pin-review"), ("hana", "conformance-report")] {
        w.on(id, by, attach(kind)).expect("attached");
    }
    assert_eq!(w.status(id), Status::InReview);
    assert_eq!(w.try_on(id, "carl", yes()), Err(Rule::Apart));
    for by in ["ana", "bea", "dora"] {
        w.on(id, by, yes()).expect("votes");
    }
    assert_eq!(w.missing(id), [Rule::CommentPeriod, Rule::Decision]);
    w.on(id, "fay", advance()).expect("decides");
    // Five business days, halved and rounded up, as customers see it.
    let why = w.engine.why(&w.state, id, w.now).expect("a proposal");
    let text = why.text(&w.engine.rules().calendar);
    assert!(text.contains("priority: 50% of the time: goal of the year"), "{text}");
    assert!(text.contains("needs comment_period: 3bd for comments (open), until 2027-01-14"), "{text}");
    w.pass(3 * DAY);
    assert_eq!(w.status(id), Status::Accepted);
}

#[test]
fn an_emergency_needs_two_hands_and_a_review() {
    let mut w = World::preset("enterprise", "2027-01-11");
    let id = w.propose("hana", NewProposal { risk: Risk::High, ..pay("upstream:pay-eu") });
    let apply = || Act::Emergency { hash: "r1".to_owned(), reason: "cards are refused".to_owned() };
    assert_eq!(w.try_on(id, "ana", apply()), Err(Rule::Membership));
    w.on(id, "hana", apply()).expect("one hand");
    assert_eq!(w.try_on(id, "hana", apply()), Err(Rule::Once));
    assert_eq!(w.status(id), Status::Proposed);
    w.on(id, "fay", apply()).expect("another hand");
    assert_eq!((w.status(id), w.state.proposals[&id].applied), (Status::Provisional, true));
    let review = Act::Review { hash: "r1".to_owned(), confirms: true, note: "it was right".to_owned() };
    assert_eq!(w.try_on(id, "fay", review.clone()), Err(Rule::Separation));
    w.pass(2 * DAY - HOUR);
    assert_eq!(w.status(id), Status::Provisional);
    w.pass(HOUR);
    assert_eq!(w.course(id), ["provisional", "[applied]", "[taken back]", "rolled_back"]);
    assert_eq!(w.try_on(id, "gus", review), Err(Rule::State));
}

#[test]
fn unsound_decisions_end_a_grant() {
    let mut w = World::preset("enterprise", "2027-01-11");
    let mut found = 0;
    for number in 0..40 {
        if w.state.grants.get("payments/payments").is_some_and(|grant| grant.ended.is_some()) {
            break;
        }
        let id = accepted_by_domain(&mut w, &format!("upstream:pay-{number}"));
        // Monday again.
        w.pass(6 * DAY);
        let audit = |sound| Act::Audit { sound, note: "seen".to_owned() };
        if w.state.proposals[&id].audit.is_some() {
            assert_eq!(w.try_on(id, "hana", audit(true)), Err(Rule::Membership));
            w.on(id, "ana", audit(false)).expect("audited");
            found += 1;
        } else {
            assert_eq!(w.try_on(id, "ana", audit(false)), Err(Rule::Audit));
        }
    }
    assert_eq!(found, 3, "the third finding ends it");
    let id = w.propose("pia", pay("upstream:pay-last"));
    let why = w.engine.why(&w.state, id, w.now).expect("a proposal");
    assert!(why.route_reason.contains("3 of its decisions were found unsound"), "{}", why.route_reason);
}

#[test]
fn what_is_disputed_does_not_count() {
    let mut w = World::preset("enterprise", "2027-01-11");
    let id = w.propose("pia", pay("upstream:pay-eu"));
    let scan = |outcome| Act::Attach {
        hash: "r1".to_owned(),
        kind: "security-scan".to_owned(),
        outcome,
        about: "scan 1".to_owned(),
    };
    w.on(id, "fay", scan(EvidenceOutcome::Disputed)).expect("attached");
    assert_eq!(w.missing(id), [Rule::Evidence]);
    w.on(id, "fay", scan(EvidenceOutcome::Passed)).expect("attached");
    assert_eq!(w.status(id), Status::InReview);
}
