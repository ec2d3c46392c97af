//! Who could do what to help a proposal on.

use model::Timestamp;

use super::Engine;
use super::demand::{Demand, View};
use super::tally::electors;
use super::work::Work;
use crate::command::{Act, Rule};
use crate::ruleset::VoteRule;
use crate::state::{Answer, Ballot, EvidenceOutcome, Outcome, State, Status};

/// Something that would help, and who can do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Useful {
    /// What; its texts are empty, for whoever does it to write.
    pub act: Act,
    /// Who.
    pub whom: Vec<String>,
}

impl Engine {
    /// What would help a proposal on at a moment, for demands that are not met.
    #[must_use]
    pub fn useful(&self, state: &State, id: u64, now: Timestamp) -> Vec<Useful> {
        let Some(proposal) = state.proposals.get(&id) else { return Vec::new() };
        let work = Work::new(self, state, proposal.clone(), now.max(state.at));
        let view = work.view();
        if view.proposal.status == Status::Provisional {
            return view.reviewers().into_iter().collect();
        }
        let mut all: Vec<Useful> = view.answerers().into_iter().collect();
        all.extend(view.at_the_gate());
        all.retain(|useful| !useful.whom.is_empty());
        all
    }
}

fn useful<'n>(act: Act, whom: impl IntoIterator<Item = &'n str>) -> Useful {
    Useful { act, whom: whom.into_iter().map(str::to_owned).collect() }
}

impl View<'_> {
    fn hash(&self) -> String {
        self.proposal.hash().to_owned()
    }

    fn reviewers(&self) -> Option<Useful> {
        let rule = &self.engine.rules().emergency.as_ref()?.review;
        let act = Act::Review { hash: self.hash(), confirms: true, note: String::new() };
        let proposal = self.proposal;
        let free =
            |person: &&str| !proposal.hands.contains(*person) && !proposal.reviews.contains_key(*person);
        Some(useful(act, electors(self.bodies(), rule).into_iter().filter(free)))
    }

    fn answerers(&self) -> Option<Useful> {
        let open = self.proposal.escalated.as_ref().filter(|escalated| escalated.answer.is_none())?;
        let level = self.engine.level(open.level).filter(|_| self.proposal.status.is_pending())?;
        let act = Act::Answer { answer: Answer::TakeOver, rationale: String::new() };
        Some(useful(act, self.bodies().judges(&level.to, level.apart)))
    }

    fn at_the_gate(&self) -> Vec<Useful> {
        let Some((gate, _)) = self.gate() else { return Vec::new() };
        let (bodies, proposal) = (self.bodies(), self.proposal);
        let mut all = Vec::new();
        if let Some(rule) = gate.sponsors.as_ref().filter(|rule| !self.sponsors(rule).met) {
            let judges = bodies.judges(&rule.from, rule.apart).into_iter();
            all.push(useful(Act::Sponsor, judges.filter(|person| !proposal.sponsors.contains(*person))));
        }
        all.extend(gate.votes.iter().filter_map(|rule| self.voters(rule)));
        let over = gate.lazy.as_ref().filter(|lazy| !self.blocks(lazy).is_empty());
        all.extend(over.and_then(|lazy| lazy.on_block.as_ref()).and_then(|rule| self.voters(rule)));
        for rule in gate.evidence.iter().filter(|rule| !self.evidence(rule).met) {
            let (kind, outcome) = (rule.kind.clone(), EvidenceOutcome::Passed);
            let act = Act::Attach { hash: self.hash(), kind, outcome, about: String::new() };
            let members = bodies.members(&rule.from).into_iter();
            all.push(useful(act, members.filter(|person| self.may_attest(rule, person))));
        }
        if let Some(rule) = gate.decision.as_ref().filter(|rule| !self.decision(rule).met) {
            let outcome = Outcome::Advance;
            let act = Act::Decide { hash: self.hash(), outcome, rationale: String::new() };
            all.push(useful(act, bodies.judges(&rule.by, rule.apart)));
        }
        all
    }

    /// Those who have not voted, where votes are missing.
    fn voters(&self, rule: &VoteRule) -> Option<Useful> {
        let missing = |demand: &Demand| !demand.met && demand.rule != Rule::VoteOpen;
        if !self.vote(rule).iter().any(missing) {
            return None;
        }
        let proposal = self.proposal;
        let voted = |person: &str| {
            proposal.votes.iter().any(|vote| proposal.is_now(vote.revision, vote.stage) && vote.by == person)
        };
        let act = Act::Vote { hash: self.hash(), ballot: Ballot::Yes };
        Some(useful(act, electors(self.bodies(), rule).into_iter().filter(|person| !voted(person))))
    }
}

impl Useful {
    /// The same with words, where it needs any.
    #[must_use]
    pub fn with(self, words: &str) -> Act {
        let words = words.to_owned();
        match self.act {
            Act::Review { hash, confirms, .. } => Act::Review { hash, confirms, note: words },
            Act::Answer { answer, .. } => Act::Answer { answer, rationale: words },
            Act::Attach { hash, kind, outcome, .. } => Act::Attach { hash, kind, outcome, about: words },
            Act::Decide { hash, outcome, .. } => Act::Decide { hash, outcome, rationale: words },
            act => act,
        }
    }
}
