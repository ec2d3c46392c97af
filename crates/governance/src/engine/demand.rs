//! What a proposal needs to go on, and what is there of it.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::tally::{Count, electors};
use super::{Bodies, Engine};
use crate::command::Rule;
use crate::ruleset::{Decision, EvidenceRule, Gate, Lazy, Sponsors, VoteRule, Weight};
use crate::state::{EvidenceOutcome, Outcome, Proposal, Route, State, Status};
use crate::time::Span;

/// Something that a rule demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The rule.
    pub rule: Rule,
    /// What it demands.
    pub demands: String,
    /// What is there.
    pub have: String,
    /// Whether that is enough.
    pub met: bool,
    /// When it changes by itself.
    pub next: Option<Timestamp>,
    /// Whether it can no longer be met, so that the proposal is rejected.
    pub failed: bool,
}

impl Demand {
    pub(super) fn of(rule: Rule, demands: String, have: &str, met: bool) -> Self {
        Self { rule, demands, have: have.to_owned(), met, next: None, failed: false }
    }
}

/// A proposal at a moment.
pub(crate) struct View<'a> {
    pub engine: &'a Engine,
    pub state: &'a State,
    pub proposal: &'a Proposal,
    pub route: &'a Route,
    pub now: Timestamp,
}

impl<'a> View<'a> {
    /// Who is one of whom for it.
    pub fn bodies(&self) -> Bodies<'a> {
        Bodies::of(self.engine, self.state, self.proposal, self.route)
    }

    /// The gate before the proposal, and the state behind it.
    pub fn gate(&self) -> Option<(&'a Gate, Status)> {
        let track = self.engine.track(self.proposal)?;
        match (self.proposal.status, self.route) {
            (Status::Proposed, _) => Some((&track.draft, Status::Draft)),
            (Status::Draft, _) => Some((&track.review, Status::InReview)),
            (Status::InReview, Route::Core) => Some((&track.acceptance, Status::Accepted)),
            (Status::InReview, Route::Domain { .. }) => {
                Some((track.delegated.as_ref().unwrap_or(&track.acceptance), Status::Accepted))
            }
            (Status::Accepted, _) => track.completion.as_ref().map(|gate| (gate, Status::Final)),
            _ => None,
        }
    }

    /// What its area changes.
    pub fn weight(&self) -> Option<&'a Weight> {
        self.engine.weight(self.proposal)
    }

    /// Everything that is needed before it goes on.
    pub fn demands(&self) -> Vec<Demand> {
        let Some((gate, _)) = self.gate() else { return Vec::new() };
        let mut demands = Vec::new();
        demands.extend(gate.sponsors.as_ref().map(|rule| self.sponsors(rule)));
        demands.extend(gate.comment_period.map(|span| self.comment_period(span)));
        for rule in &gate.votes {
            demands.extend(self.vote(rule));
        }
        demands.extend(gate.lazy.as_ref().map(|rule| self.lazy(rule)));
        demands.extend(gate.evidence.iter().map(|rule| self.evidence(rule)));
        demands.extend(gate.decision.as_ref().map(|rule| self.decision(rule)));
        if self.proposal.status == Status::InReview {
            let escalation = self.escalation();
            if escalation.as_ref().is_some_and(|demand| !demand.met) {
                // Votes begin anew once the answer is there, so that none has failed before.
                demands.iter_mut().for_each(|demand| demand.failed = false);
            }
            demands.extend(escalation);
            demands.extend(self.engine.lifecycle(self.state, self.proposal, self.now));
        }
        if self.proposal.status == Status::Accepted {
            demands.extend(self.veto_window());
        }
        demands
    }

    fn clock(&self, span: Span) -> Span {
        span.percent(self.percent())
    }

    fn percent(&self) -> u32 {
        self.weight().map_or(100, |weight| weight.clock_percent)
    }

    fn more(&self) -> i32 {
        self.weight().map_or(0, |weight| weight.votes)
    }

    fn due(&self, from: Timestamp, span: Span) -> Timestamp {
        self.engine.rules().calendar.due(from, span)
    }

    pub(super) fn sponsors(&self, rule: &Sponsors) -> Demand {
        let bodies = self.bodies();
        let judges = bodies.judges(&rule.from, rule.apart);
        let have: Vec<&str> =
            judges.into_iter().filter(|person| self.proposal.sponsors.contains(*person)).collect();
        let demand = format!("{} of {} stand for it", rule.count, rule.from);
        Demand::of(Rule::Sponsor, demand, &names(&have), have.len() >= rule.count as usize)
    }

    fn comment_period(&self, span: Span) -> Demand {
        let span = self.clock(span);
        let end = self.due(self.proposal.open_since(), span);
        let over = self.now >= end;
        let have = if over { "over" } else { "open" };
        let demand = Demand::of(Rule::CommentPeriod, format!("{span} for comments"), have, over);
        Demand { next: (!over).then_some(end), ..demand }
    }

    /// The votes on this revision in this state, by one rule.
    pub(super) fn vote(&self, rule: &'a VoteRule) -> Vec<Demand> {
        let proposal = self.proposal;
        let now = proposal.votes.iter().filter(|vote| proposal.is_now(vote.revision, vote.stage));
        let count = Count {
            engine: self.engine,
            state: self.state,
            rule,
            electors: electors(self.bodies(), rule),
            ballots: now.map(|vote| (vote.by.as_str(), vote.ballot)).collect(),
            more: self.more(),
            since: proposal.voted_since(),
            percent: self.percent(),
            now: self.now,
        };
        count.demands()
    }

    fn lazy(&self, rule: &'a Lazy) -> Demand {
        let silence = self.clock(rule.silence);
        let end = self.due(self.proposal.open_since(), silence);
        let blocks = self.blocks(rule);
        let over = self.now >= end;
        let mut demand = format!("{silence} in which nobody of {} blocks", rule.blocks);
        let mut have = if blocks.is_empty() { "nobody blocks".to_owned() } else { blocked(&blocks) };
        let mut free = blocks.is_empty();
        if let Some(vote) = rule.on_block.as_ref().filter(|_| !free) {
            let votes = self.vote(vote);
            free = votes.iter().all(|demand| demand.met);
            for one in votes {
                demand.push_str(&format!(", or {}", one.demands));
                have.push_str(&format!("; {}", one.have));
            }
        }
        let demand = Demand::of(Rule::LazyConsensus, demand, &have, over && free);
        Demand { next: (!over).then_some(end), ..demand }
    }

    /// Those who block this revision.
    pub(super) fn blocks(&self, rule: &Lazy) -> Vec<&'a str> {
        let (bodies, proposal) = (self.bodies(), self.proposal);
        let blocks = proposal.blocks.iter().filter(|block| {
            proposal.is_now(block.revision, block.stage) && bodies.may_judge(&rule.blocks, None, &block.by)
        });
        blocks.map(|block| block.by.as_str()).collect()
    }

    /// The last word of its kind on this revision counts.
    pub(super) fn evidence(&self, rule: &EvidenceRule) -> Demand {
        let last = self
            .proposal
            .evidence
            .iter()
            .rfind(|one| one.kind == rule.kind && one.revision == self.proposal.revision());
        let fresh = |at| rule.fresh.is_none_or(|span| self.due(at, span) > self.now);
        let (have, met) = match last {
            None => ("nothing for this revision".to_owned(), false),
            Some(one) if !self.may_attest(rule, &one.by) => (format!("{} attests it no more", one.by), false),
            Some(one) if one.outcome == EvidenceOutcome::Failed => {
                (format!("{} says it failed", one.by), false)
            }
            Some(one) if one.outcome == EvidenceOutcome::Disputed => ("it is disputed".to_owned(), false),
            Some(one) if !fresh(one.at) => (format!("{}'s is too old", one.by), false),
            Some(one) => (format!("{} attests it: {}", one.by, one.about), true),
        };
        Demand::of(Rule::Evidence, format!("{} from {}", rule.kind, rule.from), &have, met)
    }

    pub(super) fn may_attest(&self, rule: &EvidenceRule, person: &str) -> bool {
        let bodies = self.bodies();
        bodies.is_in(&rule.from, person) && (rule.authors || !bodies.is_author(person))
    }

    pub(super) fn decision(&self, rule: &Decision) -> Demand {
        let bodies = self.bodies();
        let said = self.proposal.rulings.iter().rfind(|ruling| {
            self.proposal.is_now(ruling.revision, ruling.stage)
                && ruling.outcome == Outcome::Advance
                && bodies.may_judge(&rule.by, rule.apart, &ruling.by)
        });
        let have =
            said.map_or("nobody has".to_owned(), |ruling| format!("{}: {}", ruling.by, ruling.rationale));
        Demand::of(Rule::Decision, format!("{} decide that it goes on", rule.by), &have, said.is_some())
    }

    /// While a question to a level above is open, nobody accepts.
    fn escalation(&self) -> Option<Demand> {
        let escalated = self.proposal.escalated.as_ref()?;
        let level = self.engine.level(escalated.level)?;
        let answered = escalated.answer.is_some();
        let have = if answered { "it has" } else { "it has not" };
        let demand = Demand::of(Rule::Escalation, format!("{} answers", level.to), have, answered);
        Some(Demand { next: (!answered).then_some(escalated.due), ..demand })
    }

    /// What can still be vetoed is not final.
    fn veto_window(&self) -> Option<Demand> {
        let end = self.veto_end()?;
        let over = self.now >= end;
        let within = self.engine.rules().oversight.veto.as_ref().map_or(Span::ZERO, |veto| veto.within);
        let have = if over { "over" } else { "open" };
        let demand = Demand::of(Rule::VetoWindow, format!("{within} for a veto"), have, over);
        Some(Demand { next: (!over).then_some(end), ..demand })
    }

    /// Until when an accepted one can be vetoed, where it can.
    pub fn veto_end(&self) -> Option<Timestamp> {
        let veto = self.engine.rules().oversight.veto.as_ref()?;
        let domain = matches!(self.route, Route::Domain { .. });
        (domain || veto.core_too).then_some(self.due(self.proposal.accepted?, veto.within))
    }

    /// What an emergency's review needs.
    pub fn review(&self) -> Vec<Demand> {
        let Some(emergency) = &self.engine.rules().emergency else { return Vec::new() };
        let rule = &emergency.review;
        let all = electors(self.bodies(), rule).into_iter();
        let electors: Vec<&str> = all.filter(|person| !self.proposal.hands.contains(*person)).collect();
        let ballot = |yes: &bool| if *yes { crate::state::Ballot::Yes } else { crate::state::Ballot::No };
        let count = Count {
            engine: self.engine,
            state: self.state,
            rule,
            electors,
            ballots: self.proposal.reviews.iter().map(|(by, yes)| (by.as_str(), ballot(yes))).collect(),
            more: 0,
            since: self.proposal.entered,
            percent: 100,
            now: self.now,
        };
        let mut demands = count.demands();
        for demand in &mut demands {
            demand.demands = format!("reviewed after the fact: {}", demand.demands);
        }
        demands
    }
}

impl Engine {
    /// What a proposal's area changes.
    pub(crate) fn weight(&self, proposal: &Proposal) -> Option<&Weight> {
        let priorities = &self.rules.priorities;
        let area = proposal.new.area.as_ref();
        let declared = priorities.areas.iter().find(|declared| Some(&declared.name) == area);
        declared.map(|area| &area.weight).or(priorities.others.as_ref())
    }
}

fn names(people: &[&str]) -> String {
    if people.is_empty() { "nobody".to_owned() } else { people.join(", ") }
}

fn blocked(people: &[&str]) -> String {
    format!("{} {}", people.join(", "), if people.len() == 1 { "blocks" } else { "block" })
}
