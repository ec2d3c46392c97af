//! Counting votes.

use std::collections::BTreeMap;

use model::Timestamp;

use super::demand::Demand;
use super::{Bodies, Engine};
use crate::command::Rule;
use crate::ruleset::{Base, VoteRule};
use crate::state::{Ballot, State};

/// What is counted.
pub(crate) struct Count<'a> {
    pub engine: &'a Engine,
    pub state: &'a State,
    pub rule: &'a VoteRule,
    /// Who may vote.
    pub electors: Vec<&'a str>,
    /// What each has said.
    pub ballots: BTreeMap<&'a str, Ballot>,
    /// So many votes more where a number is demanded.
    pub more: i32,
    /// Since when it is voted, and so many percent of the time that it takes.
    pub since: Timestamp,
    pub percent: u32,
    pub now: Timestamp,
}

impl<'a> Count<'a> {
    /// What the rule demands and what is there of it.
    pub fn demands(&self) -> Vec<Demand> {
        let said = |ballot| self.voters(ballot).len();
        let (yes, no, abstained) = (said(Ballot::Yes), said(Ballot::No), said(Ballot::Abstain));
        let have = format!("{yes} yes, {no} no, {abstained} abstained of {}", self.electors.len());
        let mut demands = Vec::new();
        if let Some(count) = self.rule.count {
            let need = adjusted(count, self.more);
            let demand = format!("{need} say yes of {}", self.rule.from);
            demands.push(Demand::of(Rule::Count, demand, &have, yes >= need as usize));
        }
        let active = self.active();
        if let Some(share) = self.rule.share {
            let base = match self.rule.of {
                Base::Eligible => self.electors.len(),
                Base::Active => active,
                Base::Present => yes + no,
            };
            let demand = format!("{share} of the {} of {} say yes", self.rule.of.as_str(), self.rule.from);
            let have = format!("{have}; the share is of {base}");
            demands.push(Demand::of(Rule::Share, demand, &have, share.holds(yes, base)));
        }
        if let Some(quorum) = self.rule.quorum {
            let base = if self.rule.of == Base::Active { active } else { self.electors.len() };
            let demand = format!("{quorum} of {} take part", self.rule.from);
            demands.push(Demand::of(Rule::Quorum, demand, &have, quorum.holds(yes + no + abstained, base)));
        }
        if let Some(distinct) = self.rule.distinct {
            let sides = self.engine.sides(distinct.by, &self.voters(Ballot::Yes));
            let (need, side) = (distinct.count, distinct.by.as_str());
            let demand = format!("those who say yes are of {need} {side}s");
            demands.push(Demand::of(Rule::Distinct, demand, &format!("{sides}"), sides >= need as usize));
        }
        if let Some(demand) = self.open_for(&demands) {
            demands.push(demand);
        }
        demands
    }

    /// A vote that is open for a time is counted after it, and fails where it has not passed.
    fn open_for(&self, others: &[Demand]) -> Option<Demand> {
        let span = self.rule.open_for?.percent(self.percent);
        let closes = self.engine.rules().calendar.due(self.since, span);
        let closed = self.now >= closes;
        let have = if closed { "closed" } else { "open" };
        let demand = Demand::of(Rule::VoteOpen, format!("the vote is open for {span}"), have, closed);
        let passed = others.iter().all(|demand| demand.met);
        Some(Demand { next: (!closed).then_some(closes), failed: closed && !passed, ..demand })
    }

    fn voters(&self, ballot: Ballot) -> Vec<&'a str> {
        self.electors.iter().copied().filter(|person| self.ballots.get(person) == Some(&ballot)).collect()
    }

    /// Those who did something of late.
    fn active(&self) -> usize {
        let rules = self.engine.rules();
        let recent = |person: &&&str| {
            let known = self.state.people.get(**person);
            let acted = |at| rules.calendar.due(at, rules.active_within) > self.now;
            self.ballots.contains_key(**person) || known.is_some_and(|known| acted(known.last_active))
        };
        self.electors.iter().filter(recent).count()
    }
}

/// A number of votes with those that an area adds or takes; never fewer than one, unless it was none.
fn adjusted(count: u32, more: i32) -> u32 {
    if count == 0 { 0 } else { count.saturating_add_signed(more).max(1) }
}

/// Those who may vote under a rule.
pub(crate) fn electors<'a>(bodies: Bodies<'a>, rule: &VoteRule) -> Vec<&'a str> {
    bodies.judges(&rule.from, rule.apart)
}
