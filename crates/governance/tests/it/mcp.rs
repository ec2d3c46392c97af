//! The protocol's own process: ten proposals, day by day.

use governance::{Act, Answer, Ballot, Command, NewProposal, Outcome, Risk, Ruleset, Status, preset};

use crate::world::{DAY, World, ballot, kind};

/// What happens on which day to which proposal.
type Script = Vec<(u32, u64, &'static str, Act)>;

fn attach(kind: &str) -> Act {
    crate::world::attach(kind)
}

fn decide() -> Act {
    Act::Decide { hash: "r1".to_owned(), outcome: Outcome::Advance, rationale: "it is ready".to_owned() }
}

/// What brings a proposal into review: a sponsor on the first day, his word and a prototype on the second.
fn into_review(script: &mut Script, id: u64, sponsor: &'static str, prototype: bool) {
    script.push((1, id, sponsor, Act::Sponsor));
    if prototype {
        script.push((2, id, sponsor, attach("prototype")));
    }
    script.push((2, id, sponsor, decide()));
}

const SIX: [&str; 6] = ["core-1", "core-2", "core-3", "core-4", "core-5", "core-6"];

fn six(script: &mut Script, day: u32, id: u64, hash: &str) {
    script.extend(SIX.map(|by| (day, id, by, ballot(hash, Ballot::Yes))));
}

fn complete(script: &mut Script, day: u32, id: u64, sponsor: &'static str) {
    for kind in ["reference-implementation", "spec-text", "conformance-scenario", "traceability"] {
        script.push((day, id, sponsor, attach(kind)));
    }
    script.push((day, id, sponsor, decide()));
}

fn block() -> Act {
    crate::world::block()
}

fn script() -> Script {
    let mut s: Script = Vec::new();
    // 1: the whole way, with everything that final asks for.
    into_review(&mut s, 1, "maintainer-1", true);
    six(&mut s, 3, 1, "r1");
    complete(&mut s, 12, 1, "maintainer-1");
    // 2: nobody sponsors it, until somebody does.
    s.push((100, 2, "maintainer-1", Act::Comment { text: "who takes it?".to_owned() }));
    s.push((200, 2, "maintainer-1", Act::Sponsor));
    // 3: its author takes it back.
    s.push((1, 3, "maintainer-1", Act::Sponsor));
    s.push((5, 3, "contributor-3", Act::Withdraw));
    // 4: five of ten are no majority, and an abstention is no yes.
    into_review(&mut s, 4, "maintainer-2", true);
    s.extend(SIX[..5].iter().map(|by| (3, 4, *by, ballot("r1", Ballot::Yes))));
    s.push((3, 4, "core-7", ballot("r1", Ballot::Abstain)));
    // 5: a revision voids the vote, which begins anew.
    into_review(&mut s, 5, "maintainer-3", true);
    six(&mut s, 3, 5, "r1");
    s.push((5, 5, "contributor-5", Act::Revise { hash: "r2".to_owned() }));
    six(&mut s, 10, 5, "r2");
    // 6: its working group accepts by silence; one of the core stops it.
    into_review(&mut s, 6, "maintainer-1", true);
    s.push((20, 6, "core-1", Act::Veto { reason: "breaks clients".to_owned() }));
    // 7: a block in the working group, and a vote over it.
    into_review(&mut s, 7, "maintainer-3", true);
    s.push((4, 7, "member-4", block()));
    s.extend(["maintainer-3", "maintainer-4", "member-5"].map(|by| (5, 7, by, ballot("r1", Ballot::Yes))));
    // 8: a breaking change is for the core, also in a domain; and not on the roadmap, so that it takes
    // longer.
    into_review(&mut s, 8, "maintainer-2", true);
    six(&mut s, 9, 8, "r1");
    // 9: escalated from its working group; the core takes it over and votes from then on.
    into_review(&mut s, 9, "maintainer-5", true);
    s.push((4, 9, "contributor-1", Act::Escalate { reason: "no answer".to_owned() }));
    let answer = Act::Answer { answer: Answer::TakeOver, rationale: "we decide".to_owned() };
    s.push((8, 9, "core-1", answer));
    six(&mut s, 8, 9, "r1");
    // 10: a process proposal needs no conformance.
    into_review(&mut s, 10, "maintainer-6", false);
    six(&mut s, 9, 10, "r1");
    s.push((14, 10, "maintainer-6", decide()));
    s.sort_by_key(|(day, ..)| *day);
    s
}

fn proposals(w: &mut World) {
    let spec = |record: &str, area: Option<&str>| NewProposal {
        records: vec![record.to_owned()],
        area: area.map(str::to_owned),
        ..kind("standards")
    };
    let roadmap = Some("roadmap");
    w.propose("contributor-1", spec("spec:base", roadmap));
    w.propose("contributor-2", spec("spec:base", None));
    w.propose("contributor-3", spec("spec:base", None));
    w.propose("contributor-4", spec("spec:base", roadmap));
    w.propose("contributor-5", spec("spec:base", roadmap));
    w.propose("contributor-6", spec("spec:transports/resume", roadmap));
    w.propose("contributor-7", spec("spec:authorization/dpop", roadmap));
    w.propose("contributor-8", NewProposal { risk: Risk::High, ..spec("spec:transports/new", None) });
    w.propose("contributor-1", spec("spec:agents/tasks", roadmap));
    w.propose("maintainer-5", kind("process"));
}

/// From which day on each proposal is in which state. Day 0 is 2026-12-01; Christmas and New Year are off.
const EXPECTED: [(&str, &[(u32, Status)]); 10] = [
    (
        "all of it",
        &[
            (0, Status::Proposed),
            (1, Status::Draft),
            (2, Status::InReview),
            (9, Status::Accepted),
            (23, Status::Final),
        ],
    ),
    ("no sponsor", &[(0, Status::Proposed), (180, Status::Dormant), (200, Status::Draft)]),
    ("withdrawn", &[(0, Status::Proposed), (1, Status::Draft), (5, Status::Withdrawn)]),
    (
        "five of ten",
        &[(0, Status::Proposed), (1, Status::Draft), (2, Status::InReview), (9, Status::Rejected)],
    ),
    ("revised", &[(0, Status::Proposed), (1, Status::Draft), (2, Status::InReview), (12, Status::Accepted)]),
    (
        "by its group, vetoed",
        &[
            (0, Status::Proposed),
            (1, Status::Draft),
            (2, Status::InReview),
            (16, Status::Accepted),
            (20, Status::Vetoed),
        ],
    ),
    (
        "by its group, over a block",
        &[(0, Status::Proposed), (1, Status::Draft), (2, Status::InReview), (16, Status::Accepted)],
    ),
    ("breaking", &[(0, Status::Proposed), (1, Status::Draft), (2, Status::InReview), (13, Status::Accepted)]),
    (
        "escalated",
        &[(0, Status::Proposed), (1, Status::Draft), (2, Status::InReview), (15, Status::Accepted)],
    ),
    (
        "process",
        &[
            (0, Status::Proposed),
            (1, Status::Draft),
            (2, Status::InReview),
            (13, Status::Accepted),
            (28, Status::Final),
        ],
    ),
];

fn rules(delegation: bool) -> Ruleset {
    let mut rules = preset("mcp-2026").expect("a preset").ruleset().expect("a ruleset");
    rules.delegation.enabled = delegation;
    rules
}

#[test]
fn ten_proposals_are_where_the_table_says_day_by_day() {
    let mut w = World::of(rules(true), "2026-12-01");
    proposals(&mut w);
    let mut script = script().into_iter().peekable();
    for day in 0..=210 {
        if day > 0 {
            w.pass(DAY);
        }
        while let Some((_, id, by, act)) = script.next_if(|(at, ..)| *at == day) {
            let words = format!("day {day}: {by} on {id}: {act:?}");
            w.on(id, by, act).unwrap_or_else(|refusal| panic!("{words}: {refusal}"));
        }
        for (id, (name, course)) in (1..).zip(EXPECTED) {
            let expected = course.iter().rev().find(|(from, _)| *from <= day).map(|(_, status)| *status);
            assert_eq!(Some(w.status(id)), expected, "day {day}, proposal {id} ({name})");
        }
    }
    assert!(script.next().is_none(), "everything of the script has happened");
    let routes: Vec<u64> =
        (1..=10).filter(|id| w.state.proposals[id].route != governance::Route::Core).collect();
    assert_eq!(routes, [6, 7], "these alone were accepted by their groups");
}

#[test]
fn with_delegation_switched_off_the_core_decides_on_what_is_of_a_working_group() {
    let mut w = World::of(rules(false), "2026-12-01");
    let new = NewProposal { records: vec!["spec:transports/resume".to_owned()], ..kind("standards") };
    let id = w.propose("contributor-6", NewProposal { area: Some("roadmap".to_owned()), ..new });
    let mut script = Vec::new();
    into_review(&mut script, id, "maintainer-1", true);
    for (_, id, by, act) in script {
        w.on(id, by, act).expect("into review");
    }
    assert_eq!(w.try_on(id, "member-1", block()), Err(governance::Rule::LazyConsensus));
    w.pass(7 * DAY);
    assert_eq!(w.status(id), Status::Rejected, "silence of the core is no yes");
}

#[test]
fn a_deprecated_feature_stays_for_twelve_months_or_ninety_days_where_security_asks() {
    use governance::{Effect, Stage};
    let mut w = World::of(rules(false), "2026-12-01");
    let accept = |w: &mut World, records: &[&str], effect: Effect, kind_of: &str, by: &str| {
        let records = records.iter().map(|record| (*record).to_owned()).collect();
        let new = NewProposal { records, effect, area: Some("roadmap".to_owned()), ..kind(kind_of) };
        let id = w.propose(by, new);
        if kind_of == "standards" {
            let mut script = Vec::new();
            into_review(&mut script, id, "maintainer-1", true);
            for (_, id, by, act) in script {
                w.on(id, by, act).expect("into review");
            }
        }
        for by in SIX {
            w.on(id, by, crate::world::yes()).expect("votes");
        }
        id
    };
    accept(
        &mut w,
        &["feature:streams"],
        Effect::Introduce { stage: Stage::Active },
        "standards",
        "contributor-1",
    );
    w.pass(7 * DAY);
    let replacement = Some("feature:streams".to_owned());
    let slow = Effect::Deprecate { replacement: replacement.clone(), expedited: false };
    let fast = Effect::Deprecate { replacement, expedited: true };
    accept(&mut w, &["feature:sse"], slow, "standards", "contributor-1");
    accept(&mut w, &["feature:roots"], fast, "standards", "contributor-2");
    let nowhere = Effect::Deprecate { replacement: Some("feature:nothing".to_owned()), expedited: false };
    let id = accept(&mut w, &["feature:x"], nowhere, "standards", "contributor-3");
    w.pass(7 * DAY);
    assert_eq!(w.missing(id), [governance::Rule::Lifecycle], "what takes its place has to be active");
    let [sse, roots] = ["feature:sse", "feature:roots"]
        .map(|record| accept(&mut w, &[record], Effect::Remove, "removal", "core-8"));
    let stages = |w: &World| (w.status(sse), w.status(roots));
    w.pass(89 * DAY);
    assert_eq!(stages(&w), (Status::InReview, Status::InReview));
    w.pass(DAY);
    assert_eq!(stages(&w), (Status::InReview, Status::Accepted));
    assert_eq!(w.state.records["feature:roots"].stage, Stage::Removed);
    let removable = w.state.records["feature:sse"].removable.expect("a day");
    assert_eq!(w.engine.rules().calendar.date(removable).to_string(), "2027-12-15");
    w.command(&Command::Tick).expect("time passes");
}
