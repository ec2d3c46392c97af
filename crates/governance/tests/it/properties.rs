//! Whatever people do in whichever order: nothing is accepted without what the rules demand.
//!
//! The oracle knows no engine. It keeps a list of what was done, and asks it, by hand and for this one
//! ruleset, whether everything was there when something was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use governance::{
    Act, Answer, Ballot, Command, Engine, EvidenceOutcome, NewProposal, Risk, Ruleset, State, Status, What,
};
use model::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{DAY, HOUR, nine};

const RULES: &str = "
name: property
roles: [{ name: contributor }, { name: maintainer }, { name: core }]
people:
  - { name: ann, role: core, organization: x }
  - { name: ben, role: core, organization: y }
  - { name: cay, role: core, organization: x }
  - { name: max, role: maintainer, organization: x }
  - { name: mia, role: maintainer, organization: y }
  - { name: con, role: contributor, organization: z }
  - { name: sue, role: contributor, organization: y }
groups:
  - { name: core, members: [ann, ben, cay] }
  - { name: pay, members: [max, mia, con] }
  - { name: security, members: [sue, ben] }
membership: { removed_by: 'group:security', returned_by: 'group:security' }
domains: [{ name: pay, records: ['tool:pay-*'], owners: pay }]
delegation:
  enabled: true
  grants: [{ domain: pay, by: core, to: pay, risk_at_most: medium, at_most: { count: 1, per: 10d } }]
oversight:
  group: core
  veto: { by: 'group:security', within: 2d, core_too: true }
  rollback: group:core
escalation: { levels: [{ to: role:core, answer_within: 3d, apart: organization }] }
emergency:
  by: role:maintainer
  hands: 2
  review_within: 2d
  review: { from: 'group:security', count: 1 }
tracks:
  - name: all
    kinds: ['*']
    propose: anyone
    draft: { sponsors: { from: role:maintainer, apart: organization } }
    acceptance:
      comment_period: 2d
      votes:
        - { from: role:core, share: more than 1/2, of: present, quorum: at least 1/2,
            distinct: { by: organization, count: 2 } }
      evidence: [{ kind: scan, from: 'group:security' }]
    delegated:
      lazy: { silence: 1d, blocks: owners }
      votes: [{ from: owners, count: 1 }]
";

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let rules = Ruleset::from_yaml(RULES).unwrap_or_else(|fault| panic!("{fault}"));
    Engine::new(rules).unwrap_or_else(|faults| panic!("{}", faults[0]))
});

const PEOPLE: [&str; 8] = ["ann", "ben", "cay", "max", "mia", "con", "sue", "nobody"];
const CORE: [&str; 3] = ["ann", "ben", "cay"];
const MAINTAINERS: [&str; 5] = ["ann", "ben", "cay", "max", "mia"];
const PAY: [&str; 3] = ["max", "mia", "con"];
const SECURITY: [&str; 2] = ["sue", "ben"];

fn organization(person: &str) -> &'static str {
    match person {
        "ann" | "cay" | "max" => "x",
        "ben" | "mia" | "sue" => "y",
        _ => "z",
    }
}

/// What is tried: something is done by somebody to the first or second proposal, or time passes.
#[derive(Debug, Clone)]
enum Try {
    Pass(u64),
    Propose { by: &'static str, pay: bool, high: bool },
    On { which: u64, by: &'static str, what: Doing },
    Remove { by: &'static str, person: &'static str },
    Revoke { by: &'static str },
}

#[derive(Debug, Clone)]
enum Doing {
    Sponsor,
    Revise,
    Vote(Ballot),
    /// On a revision that was replaced.
    StaleVote,
    Block,
    LiftBlock,
    Scan(EvidenceOutcome),
    Escalate,
    Answer(Answer),
    Veto,
    Emergency,
    Review(bool),
    Rollback,
    Withdraw,
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        6 => Just(Doing::Sponsor),
        1 => Just(Doing::Revise),
        12 => prop_oneof![4 => Just(Ballot::Yes), 1 => Just(Ballot::No), 1 => Just(Ballot::Abstain)]
            .prop_map(Doing::Vote),
        1 => Just(Doing::StaleVote),
        1 => Just(Doing::Block),
        1 => Just(Doing::LiftBlock),
        4 => prop_oneof![3 => Just(EvidenceOutcome::Passed), 1 => Just(EvidenceOutcome::Failed)]
            .prop_map(Doing::Scan),
        1 => Just(Doing::Escalate),
        1 => prop_oneof![Just(Answer::Return), Just(Answer::TakeOver)].prop_map(Doing::Answer),
        1 => Just(Doing::Veto),
        4 => Just(Doing::Emergency),
        3 => prop_oneof![3 => Just(true), 1 => Just(false)].prop_map(Doing::Review),
        1 => Just(Doing::Rollback),
        1 => Just(Doing::Withdraw),
    ]
}

fn tries() -> impl Strategy<Value = Vec<Try>> {
    let person = || prop::sample::select(&PEOPLE[..]);
    let one = prop_oneof![
        5 => (1u64..30).prop_map(Try::Pass),
        2 => (person(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(by, pay, high)| Try::Propose { by, pay, high }),
        40 => (1u64..4, person(), doing()).prop_map(|(which, by, what)| Try::On { which, by, what }),
        1 => (person(), person()).prop_map(|(by, person)| Try::Remove { by, person }),
        1 => person().prop_map(|by| Try::Revoke { by }),
    ];
    let first = (person(), any::<bool>()).prop_map(|(by, pay)| Try::Propose { by, pay, high: false });
    (first, prop::collection::vec(one, 1..90)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

/// What was done to a proposal, in order.
#[derive(Debug, Default)]
struct Done {
    pay: bool,
    high: bool,
    revision: u32,
    open_since: u64,
    /// Once somebody sponsored it.
    in_review: Option<u64>,
    authors: BTreeSet<&'static str>,
    sponsors: BTreeSet<&'static str>,
    votes: BTreeMap<&'static str, Ballot>,
    blocks: BTreeSet<&'static str>,
    scan: Option<EvidenceOutcome>,
    scan_by: &'static str,
    asked: Option<Option<Answer>>,
    hands: BTreeSet<&'static str>,
    confirmed: BTreeSet<&'static str>,
}

#[derive(Debug, Default)]
struct Oracle {
    done: BTreeMap<u64, Done>,
    gone: BTreeSet<&'static str>,
    revoked: bool,
    /// When the domain accepted something.
    used: Vec<u64>,
}

impl Oracle {
    fn here(&self, person: &str) -> bool {
        person != "nobody" && !self.gone.contains(person)
    }

    /// Takes note of what the engine took.
    fn note(&mut self, id: u64, by: &'static str, what: &Doing, now: u64) {
        let Some(done) = self.done.get_mut(&id) else { return };
        match what {
            Doing::Sponsor => {
                done.sponsors.insert(by);
                done.in_review.get_or_insert(now);
            }
            Doing::Revise => {
                done.revision += 1;
                done.open_since = now;
                done.authors.insert(by);
                done.sponsors.remove(by);
                done.votes.clear();
                done.blocks.clear();
                done.scan = None;
                done.hands.clear();
            }
            Doing::Vote(ballot) => {
                assert!(done.votes.insert(by, *ballot).is_none(), "{by} voted twice");
            }
            Doing::StaleVote => panic!("a vote on what was replaced was taken"),
            Doing::Block => {
                done.blocks.insert(by);
            }
            Doing::LiftBlock => {
                done.blocks.remove(by);
            }
            Doing::Scan(outcome) => (done.scan, done.scan_by) = (Some(*outcome), by),
            Doing::Escalate => done.asked = Some(None),
            Doing::Answer(Answer::Return) => done.asked = None,
            Doing::Answer(answer) => done.asked = Some(Some(*answer)),
            Doing::Emergency => {
                done.hands.insert(by);
            }
            Doing::Review(true) => {
                done.confirmed.insert(by);
            }
            Doing::Veto | Doing::Review(false) | Doing::Rollback | Doing::Withdraw => {}
        }
    }

    /// Whether the rules allow that this was accepted at a moment: `domain`, by the domain.
    fn allows(&self, id: u64, at: u64, emergency: bool, domain: bool) -> Result<(), &'static str> {
        let done = &self.done[&id];
        let judges = |people: &[&'static str]| -> BTreeSet<&'static str> {
            people.iter().copied().filter(|p| self.here(p) && !done.authors.contains(p)).collect()
        };
        if emergency {
            let hands = done.hands.iter().filter(|p| MAINTAINERS.contains(p)).count();
            let reviewed =
                judges(&SECURITY).iter().any(|p| done.confirmed.contains(p) && !done.hands.contains(p));
            return if hands >= 2 && reviewed { Ok(()) } else { Err("an emergency without hands or review") };
        }
        let of_others = |p: &&str| done.authors.iter().all(|a| organization(a) != organization(p));
        // That it was sponsored is asked once, when it becomes a draft.
        if done.in_review.is_none() || done.sponsors.is_empty() && done.revision == 0 {
            return Err("no sponsor");
        }
        if done.revision == 0 && !done.sponsors.iter().any(|p| MAINTAINERS.contains(p) && of_others(p)) {
            return Err("a sponsor who may not");
        }
        if done.asked == Some(None) {
            return Err("an open question");
        }
        let open = done.open_since.max(done.in_review.unwrap_or(u64::MAX));
        let yes = |people: &BTreeSet<&'static str>| -> Vec<&'static str> {
            people.iter().copied().filter(|p| done.votes.get(p) == Some(&Ballot::Yes)).collect()
        };
        if domain {
            let owners = judges(&PAY);
            let lately = self.used.iter().filter(|used| at < **used + 10 * DAY).count();
            return match () {
                () if !done.pay || done.high || self.revoked || done.asked.is_some() => {
                    Err("not the domain's")
                }
                () if lately > 0 => Err("the domain accepted too much"),
                () if at < open + DAY => Err("no silence"),
                () if owners.iter().any(|p| done.blocks.contains(p)) => Err("a block"),
                () if yes(&owners).is_empty() => Err("no owner said yes"),
                () => Ok(()),
            };
        }
        let core = judges(&CORE);
        let (said_yes, took_part) = (yes(&core), core.iter().filter(|p| done.votes.contains_key(*p)).count());
        let said_no = core.iter().filter(|p| done.votes.get(*p) == Some(&Ballot::No)).count();
        let sides: BTreeSet<&str> = said_yes.iter().map(|p| organization(p)).collect();
        match () {
            () if at < open + 2 * DAY => Err("no time for comments"),
            () if said_yes.len() <= said_no => Err("no majority"),
            () if took_part * 2 < core.len() => Err("no quorum"),
            () if sides.len() < 2 => Err("one organization alone"),
            () if done.scan != Some(EvidenceOutcome::Passed) => Err("no scan"),
            () if !judges(&SECURITY).contains(done.scan_by) => Err("a scan by one who may not"),
            () => Ok(()),
        }
    }
}

struct Game {
    state: State,
    now: u64,
    oracle: Oracle,
    accepted: BTreeMap<&'static str, u32>,
}

impl Game {
    fn new() -> Self {
        let now = nine("2026-12-24");
        let (state, oracle) = (ENGINE.begin(now), Oracle::default());
        Self { state, now: now.0, oracle, accepted: BTreeMap::new() }
    }

    /// The hash of a proposal's revision; each is named by its number.
    fn hash(&self, id: u64) -> String {
        format!("r{}", self.oracle.done.get(&id).map_or(0, |done| done.revision))
    }

    fn act(&self, id: u64, what: &Doing) -> Act {
        let (hash, words) = (self.hash(id), "words".to_owned());
        match what {
            Doing::Sponsor => Act::Sponsor,
            Doing::Revise => {
                let next = self.oracle.done.get(&id).map_or(0, |done| done.revision) + 1;
                Act::Revise { hash: format!("r{next}") }
            }
            Doing::Vote(ballot) => Act::Vote { hash, ballot: *ballot },
            Doing::StaleVote => Act::Vote { hash: format!("{hash}-old"), ballot: Ballot::Yes },
            Doing::Block => Act::Block { hash, objection: words.clone(), alternative: words },
            Doing::LiftBlock => Act::LiftBlock,
            Doing::Scan(outcome) => {
                Act::Attach { hash, kind: "scan".to_owned(), outcome: *outcome, about: words }
            }
            Doing::Escalate => Act::Escalate { reason: words },
            Doing::Answer(answer) => Act::Answer { answer: *answer, rationale: words },
            Doing::Veto => Act::Veto { reason: words },
            Doing::Emergency => Act::Emergency { hash, reason: words },
            Doing::Review(confirms) => Act::Review { hash, confirms: *confirms, note: words },
            Doing::Rollback => Act::Rollback { reason: words },
            Doing::Withdraw => Act::Withdraw,
        }
    }

    fn command(&self, one: &Try) -> Command {
        match one {
            Try::Pass(_) => Command::Tick,
            Try::Propose { by, pay, high } => {
                let new = NewProposal {
                    title: "a change".to_owned(),
                    kind: "any".to_owned(),
                    records: vec![if *pay { "tool:pay-x" } else { "tool:crm" }.to_owned()],
                    risk: if *high { Risk::High } else { Risk::Medium },
                    hash: "r0".to_owned(),
                    ..NewProposal::default()
                };
                Command::Propose { by: (*by).to_owned(), new: Box::new(new) }
            }
            Try::On { which, by, what } => {
                Command::On { id: *which, by: (*by).to_owned(), act: self.act(*which, what) }
            }
            Try::Remove { by, person } => {
                let (by, person) = ((*by).to_owned(), (*person).to_owned());
                Command::Remove { by, person, reason: "left".to_owned() }
            }
            Try::Revoke { by } => {
                let (by, grant) = ((*by).to_owned(), "pay/pay".to_owned());
                Command::Revoke { by, grant, reason: "enough".to_owned() }
            }
        }
    }

    /// One step, and what the oracle says to it.
    fn step(&mut self, one: &Try) -> Result<(), TestCaseError> {
        if let Try::Pass(hours) = one {
            self.now += hours * HOUR;
            self.decide(&Command::Tick, None)?;
            return Ok(());
        }
        // What falls due by now is judged before what is done now.
        self.decide(&Command::Tick, None)?;
        let command = self.command(one);
        self.decide(&command, Some(one))
    }

    fn decide(&mut self, command: &Command, one: Option<&Try>) -> Result<(), TestCaseError> {
        let Ok(events) = ENGINE.decide(&self.state, command, Timestamp(self.now)) else { return Ok(()) };
        match one {
            Some(Try::Propose { by, pay, high }) => {
                let authors = BTreeSet::from([*by]);
                let done = Done { pay: *pay, high: *high, open_since: self.now, authors, ..Done::default() };
                self.oracle.done.insert(self.state.last + 1, done);
            }
            Some(Try::On { which, by, what }) => self.oracle.note(*which, by, what, self.now),
            Some(Try::Remove { by, person }) => {
                prop_assert!(SECURITY.contains(by) && by != person, "{by} removed {person}");
                self.oracle.gone.insert(*person);
            }
            Some(Try::Revoke { by }) => {
                prop_assert!(CORE.contains(by), "{by} ended a grant");
                self.oracle.revoked = true;
            }
            Some(Try::Pass(_)) | None => {}
        }
        let by = match one {
            Some(
                Try::Propose { by, .. } | Try::On { by, .. } | Try::Remove { by, .. } | Try::Revoke { by },
            ) => by,
            Some(Try::Pass(_)) | None => "",
        };
        prop_assert!(one.is_none() || self.oracle.here(by), "{by} did something");
        for event in &events {
            let before = event.what.proposal().and_then(|id| self.state.proposals.get(&id)).map(|p| p.status);
            if let What::Entered { id, status: Status::Accepted, route, .. } = &event.what {
                let emergency = before == Some(Status::Provisional);
                let domain = *route != governance::Route::Core;
                let verdict = self.oracle.allows(*id, event.at.0, emergency, domain);
                prop_assert!(verdict.is_ok(), "{id} was accepted: {verdict:?}, {:?}", self.oracle.done[id]);
                if domain {
                    self.oracle.used.push(event.at.0);
                }
                let way = if emergency {
                    "emergency"
                } else if domain {
                    "domain"
                } else {
                    "core"
                };
                *self.accepted.entry(way).or_default() += 1;
            }
            self.state.apply(event);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(Config { cases: 512, ..Config::default() })]

    #[test]
    fn no_sequence_of_commands_reaches_accepted_without_what_the_rules_demand(tries in tries()) {
        let mut game = Game::new();
        for one in &tries {
            game.step(one)?;
        }
    }

    #[test]
    fn it_makes_no_difference_how_often_somebody_ticks(tries in tries(), hours in 1u64..400) {
        let mut game = Game::new();
        for one in &tries {
            game.step(one)?;
        }
        let (from, to) = (game.now, game.now + hours * HOUR);
        let mut often = game.state.clone();
        let tick = |state: &mut State, at: u64| {
            for event in ENGINE.decide(state, &Command::Tick, Timestamp(at)).expect("time passes") {
                state.apply(&event);
            }
        };
        for at in (from..to).step_by(usize::try_from(5 * HOUR).expect("fits")).chain([to]) {
            tick(&mut often, at);
        }
        let mut once = game.state.clone();
        tick(&mut once, to);
        let courses = |state: &State| -> Vec<_> {
            state.proposals.values().map(|p| (p.status, p.applied, p.route.clone())).collect()
        };
        prop_assert_eq!(courses(&often), courses(&once));
    }
}

/// The property above says nothing if nothing is ever accepted.
#[test]
fn the_sequences_that_are_tried_reach_acceptance_in_every_way() {
    let mut runner = TestRunner::deterministic();
    let mut ways: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..1_500 {
        let tries = tries().new_tree(&mut runner).expect("a tree").current();
        let mut game = Game::new();
        for one in &tries {
            game.step(one).expect("the oracle agrees");
        }
        for (way, count) in game.accepted {
            *ways.entry(way).or_default() += count;
        }
    }
    for way in ["core", "domain", "emergency"] {
        assert!(ways.get(way).is_some_and(|count| *count >= 3), "{way}: {ways:?}");
    }
}
