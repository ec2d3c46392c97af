//! What made-up people do all year.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::figures::{Figures, Row};
use super::morning;
use super::stream::{Arrival, Chance};
use crate::command::{Act, Command};
use crate::engine::{Bodies, Engine, Useful};
use crate::state::{Ballot, NewProposal, Proposal, Route, State, Status, What};

/// How made-up people work. The defaults are documented with their grounds in `docs/governance.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Habits {
    /// Everything else follows from it.
    pub seed: u64,
    /// Proposals that somebody of the core looks at in a week: a vote, a sponsorship, an attestation.
    pub core_acts_per_week: u32,
    /// The same for everybody else.
    pub acts_per_week: u32,
    /// So many proposals lie before the core at a time; others wait as drafts for their turn.
    pub core_agenda: usize,
    /// So many days after its silence or vote began, a contested one is revised.
    pub revise_after_days: u32,
    /// So many days go on after the last proposal came.
    pub days_after: u32,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            seed: 7,
            core_acts_per_week: 3,
            acts_per_week: 2,
            core_agenda: 4,
            revise_after_days: 5,
            days_after: 180,
        }
    }
}

/// A thousandth of an act, so that a week's can be spread over its days.
const MILLI: u32 = 1_000;

pub(super) struct Year<'a> {
    engine: &'a Engine,
    habits: &'a Habits,
    chance: Chance,
    state: State,
    core: BTreeSet<String>,
    /// What is left of each one's week, in thousandths of an act.
    budget: BTreeMap<String, u32>,
    arrived: usize,
    /// The arrival of each proposal.
    of: BTreeMap<u64, usize>,
    revised: BTreeSet<u64>,
    core_acts: BTreeMap<u64, u32>,
    acts: BTreeMap<u64, u32>,
    reviewed: BTreeMap<u64, u64>,
}

impl<'a> Year<'a> {
    /// The first morning.
    pub fn new(engine: &'a Engine, habits: &'a Habits) -> Self {
        let rules = engine.rules();
        let group = rules.groups.iter().find(|group| Some(&group.name) == rules.oversight.group.as_ref());
        let core = group.map(|group| group.members.iter().cloned().collect()).unwrap_or_default();
        Self {
            engine,
            habits,
            chance: Chance::new(habits.seed),
            state: engine.begin(morning(0)),
            core,
            budget: BTreeMap::new(),
            arrived: 0,
            of: BTreeMap::new(),
            revised: BTreeSet::new(),
            core_acts: BTreeMap::new(),
            acts: BTreeMap::new(),
            reviewed: BTreeMap::new(),
        }
    }

    /// A day: time passes, proposals come, people work if it is a day for that.
    pub fn day(&mut self, day: u32, arrivals: &[Arrival]) {
        self.command(&Command::Tick, day);
        while let Some(arrival) = arrivals.get(self.arrived).filter(|arrival| arrival.day <= day) {
            self.arrive(arrival, day);
            self.arrived += 1;
        }
        let calendar = &self.engine.rules().calendar;
        if !calendar.is_business_day(calendar.date(morning(day))) {
            return;
        }
        self.refill();
        for id in self.queue() {
            self.work_on(id, day, arrivals);
        }
    }

    fn command(&mut self, command: &Command, day: u32) -> bool {
        let Ok(events) = self.engine.decide(&self.state, command, morning(day)) else { return false };
        for event in &events {
            if let What::Entered { id, status: Status::InReview, .. } = &event.what {
                self.reviewed.insert(*id, event.at.0);
            }
            self.state.apply(event);
        }
        true
    }

    fn arrive(&mut self, arrival: &Arrival, day: u32) {
        let rules = self.engine.rules();
        let new = NewProposal {
            title: format!("proposal {}", self.arrived + 1),
            kind: arrival.kind.clone(),
            records: arrival.records.clone(),
            risk: arrival.risk,
            area: arrival.area.clone(),
            hash: "r1".to_owned(),
            ..NewProposal::default()
        };
        let bodies = Bodies::of_people(self.engine, &self.state);
        let track = self.engine.track_for(&new);
        let may: Vec<&str> = track.map(|track| bodies.members(&track.propose)).unwrap_or_default();
        if may.is_empty() {
            return;
        }
        let by = may[usize::try_from(arrival.author % may.len() as u64).unwrap_or(0)].to_owned();
        debug_assert!(rules.people.iter().any(|person| person.name == by), "{by}");
        let id = self.state.last + 1;
        if self.command(&Command::Propose { by, new: Box::new(new) }, day) {
            self.of.insert(id, self.arrived);
        }
    }

    fn refill(&mut self) {
        for person in &self.engine.rules().people {
            let of_core = self.core.contains(&person.name);
            let week = if of_core { self.habits.core_acts_per_week } else { self.habits.acts_per_week };
            let left = self.budget.entry(person.name.clone()).or_default();
            // Nobody saves up more than a week.
            *left = (*left + week * MILLI / 5).min(week * MILLI);
        }
    }

    /// Proposals that somebody could work on: those that are decided on first, then by age.
    fn queue(&self) -> Vec<u64> {
        let live = self.state.proposals.values().filter(|proposal| self.engine.is_live(proposal));
        let mut ids: Vec<(bool, u64)> =
            live.map(|proposal| (proposal.status != Status::InReview, proposal.id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    fn work_on(&mut self, id: u64, day: u32, arrivals: &[Arrival]) {
        let Some(arrival) = self.of.get(&id).and_then(|index| arrivals.get(*index)) else { return };
        if self.waits(id, day, arrival) || self.disputes(id, day, arrival) {
            return;
        }
        for useful in self.engine.useful(&self.state, id, morning(day)) {
            self.help(id, day, arrival, useful);
        }
    }

    /// Whether its authors still work on it, or it waits for its turn before the core.
    fn waits(&self, id: u64, day: u32, arrival: &Arrival) -> bool {
        let proposal = &self.state.proposals[&id];
        let days = days_since(proposal, day);
        match proposal.status {
            Status::Draft => {
                let route = self.engine.route(&self.state, proposal, morning(day)).0;
                days < arrival.work_days || (route == Route::Core && self.agenda() >= self.habits.core_agenda)
            }
            Status::Accepted => days < arrival.completion_days,
            _ => false,
        }
    }

    /// How many proposals lie before the core.
    fn agenda(&self) -> usize {
        let lies = |p: &&Proposal| p.status == Status::InReview;
        let before = self
            .state
            .proposals
            .values()
            .filter(lies)
            .filter(|proposal| self.engine.route(&self.state, proposal, self.state.at).0 == Route::Core);
        before.count()
    }

    /// A contested one is blocked once where that is possible, and its author writes another revision.
    fn disputes(&mut self, id: u64, day: u32, arrival: &Arrival) -> bool {
        let proposal = &self.state.proposals[&id];
        let due = days_since(proposal, day) >= self.habits.revise_after_days;
        if !arrival.contested || proposal.status != Status::InReview || self.revised.contains(&id) || !due {
            return false;
        }
        let (by, hash) = (proposal.by.clone(), proposal.hash().to_owned());
        let people: Vec<String> =
            self.engine.rules().people.iter().map(|person| person.name.clone()).collect();
        for person in people {
            let (objection, alternative) = ("contested".to_owned(), "revise it".to_owned());
            let block = Act::Block { hash: hash.clone(), objection, alternative };
            if self.on(id, &person, block, day) {
                break;
            }
        }
        self.revised.insert(id);
        self.on(id, &by, Act::Revise { hash: "r2".to_owned() }, day);
        true
    }

    fn help(&mut self, id: u64, day: u32, arrival: &Arrival, useful: Useful) {
        let vote = matches!(useful.act, Act::Vote { .. });
        let start = self.chance.below(useful.whom.len());
        let order = useful.whom.iter().cycle().skip(start).take(useful.whom.len());
        for person in order {
            if self.budget.get(person).copied().unwrap_or(0) < MILLI {
                continue;
            }
            let no = vote && self.chance.percent(if arrival.contested { 20 } else { 3 });
            let act = match useful.clone().with("done") {
                Act::Vote { hash, .. } if no => Act::Vote { hash, ballot: Ballot::No },
                act => act,
            };
            // One who attests, decides or sponsors is enough; all vote who can.
            if self.on(id, person, act, day) && !vote {
                return;
            }
        }
    }

    fn on(&mut self, id: u64, by: &str, act: Act, day: u32) -> bool {
        if !self.command(&Command::On { id, by: by.to_owned(), act }, day) {
            return false;
        }
        let left = self.budget.entry(by.to_owned()).or_default();
        *left = left.saturating_sub(MILLI);
        let counts = if self.core.contains(by) { &mut self.core_acts } else { &mut self.acts };
        *counts.entry(id).or_default() += 1;
        true
    }

    /// What came of it.
    pub fn figures(&self, arrivals: &[Arrival]) -> Figures {
        let rows = self.of.iter().map(|(id, index)| {
            let (proposal, arrival) = (&self.state.proposals[id], &arrivals[*index]);
            let first = proposal.revisions.first().map_or(0, |revision| revision.at.0);
            let days = |from: u64| {
                let accepted = proposal.accepted?;
                u32::try_from(accepted.0.saturating_sub(from) / 86_400_000).ok()
            };
            Row {
                id: *id,
                day: arrival.day,
                domain: proposal.domain.clone(),
                risk: arrival.risk,
                status: proposal.status,
                by_domain: matches!(proposal.route, Route::Domain { .. }) && proposal.accepted.is_some(),
                days_to_acceptance: days(first),
                days_in_review: self.reviewed.get(id).and_then(|from| days(*from)),
                core_acts: self.core_acts.get(id).copied().unwrap_or(0),
                acts: self.acts.get(id).copied().unwrap_or(0),
            }
        });
        Figures { rows: rows.collect() }
    }
}

fn days_since(proposal: &Proposal, day: u32) -> u32 {
    let ms = morning(day).0.saturating_sub(proposal.open_since().0);
    u32::try_from(ms / 86_400_000).unwrap_or(u32::MAX)
}
