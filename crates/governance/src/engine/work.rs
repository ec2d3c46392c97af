//! One proposal while a command is carried out.

use model::Timestamp;

use super::Engine;
use super::demand::View;
use crate::command::Refusal;
use crate::limits::MOMENTS_MAX;
use crate::state::{Event, Proposal, Route, State, Status, What};

/// States that a proposal goes through in one moment, at most.
const STEPS_MAX: usize = 16;

/// One proposal while a command is carried out: events are collected, and the proposal changes by them.
pub(super) struct Work<'a> {
    pub engine: &'a Engine,
    pub state: &'a State,
    pub proposal: Proposal,
    pub now: Timestamp,
    pub route: Route,
    events: Vec<Event>,
}

impl<'a> Work<'a> {
    /// The proposal as it is at a moment: what fell due before has happened.
    pub fn new(engine: &'a Engine, state: &'a State, proposal: Proposal, now: Timestamp) -> Self {
        let route = proposal.route.clone();
        let mut work = Self { engine, state, proposal, now, route, events: Vec::new() };
        work.catch_up(now);
        work
    }

    /// The proposal at a moment, up to which nothing fell due that has not happened.
    pub fn at(engine: &'a Engine, state: &'a State, proposal: Proposal, now: Timestamp) -> Self {
        let route = proposal.route.clone();
        let mut work = Self { engine, state, proposal, now, route, events: Vec::new() };
        work.settle();
        work
    }

    /// The first moment after another at which something happens to a proposal by itself.
    pub fn due_after(engine: &Engine, state: &State, id: u64, after: Timestamp) -> Option<Timestamp> {
        let proposal = state.proposals.get(&id)?.clone();
        let (now, route) = (after.max(proposal.active).max(proposal.entered), proposal.route.clone());
        let mut work = Work { engine, state, proposal, now, route, events: Vec::new() };
        work.reroute();
        work.next_due()
    }

    /// A proposal that is new.
    pub fn begin(engine: &'a Engine, state: &'a State, event: Event) -> Self {
        let proposal = Proposal::begin(event.at, &event.what).unwrap_or_default();
        let (now, route) = (event.at, Route::Core);
        Self { engine, state, proposal, now, route, events: vec![event] }
    }

    /// What has happened.
    pub fn finish(self) -> Vec<Event> {
        self.events
    }

    /// Something happens: the proposal changes by it.
    pub fn emit(&mut self, what: What) {
        if let What::RecordChanged { record, .. } = &what {
            let before = self.state.records.get(record).cloned();
            self.proposal.undo.entry(record.clone()).or_insert(before);
        }
        if what.proposal() == Some(self.proposal.id) {
            self.proposal.apply(self.now, &what);
        }
        self.events.push(Event { at: self.now, what });
    }

    /// The proposal as it is at this moment.
    pub fn view(&self) -> View<'_> {
        let Self { engine, state, proposal, now, route, .. } = self;
        View { engine, state, proposal, route, now: *now }
    }

    /// The proposal's number.
    pub fn id(&self) -> u64 {
        self.proposal.id
    }

    /// It comes into a state.
    pub fn enter(&mut self, status: Status, reason: impl Into<String>) {
        let (id, route) = (self.id(), self.route.clone());
        self.emit(What::Entered { id, status, route, reason: reason.into() });
    }

    /// Lets happen what fell due, each at its own time, and then what is due now.
    fn catch_up(&mut self, until: Timestamp) {
        self.now = self.proposal.active.max(self.proposal.entered).min(until);
        for _ in 0..MOMENTS_MAX {
            self.reroute();
            match self.next_due() {
                Some(due) if due < until => {
                    self.now = due;
                    self.settle();
                }
                _ => break,
            }
        }
        self.now = until;
        self.settle();
    }

    fn reroute(&mut self) -> String {
        let (route, reason) = self.engine.route(self.state, &self.proposal, self.now);
        self.route = route;
        reason
    }

    /// Carries out whatever is possible at this moment.
    pub fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            let reason = self.reroute();
            if self.proposal.status == Status::InReview && self.route != self.proposal.route {
                self.emit(What::Rerouted { id: self.id(), route: self.route.clone(), reason });
            }
            if !self.step() && !self.overdue() {
                break;
            }
        }
    }

    /// Goes on to the next state, if everything is there. Whether it did.
    fn step(&mut self) -> bool {
        if self.proposal.status == Status::Provisional {
            return self.step_reviewed();
        }
        if self.proposal.status == Status::Accepted && self.step_applied() {
            return true;
        }
        let view = self.view();
        let Some((_, target)) = view.gate() else { return false };
        let demands = view.demands();
        if let Some(failed) = demands.iter().find(|demand| demand.failed) {
            let reason =
                format!("rule {}: {}, and there was not enough", failed.rule.as_str(), failed.demands);
            self.enter(Status::Rejected, reason);
            return true;
        }
        if !demands.iter().all(|demand| demand.met) {
            return false;
        }
        let met: Vec<&str> = demands.iter().map(|demand| demand.rule.as_str()).collect();
        let reason = if met.is_empty() { "nothing more is needed".to_owned() } else { met.join(", ") };
        self.enter(target, reason);
        match target {
            Status::Accepted => self.accepted(),
            Status::Final => self.supersede(),
            _ => {}
        }
        true
    }

    /// What follows from an acceptance.
    pub fn accepted(&mut self) {
        self.step_applied();
        self.sample();
        if self.engine.track(&self.proposal).is_some_and(|track| track.completion.is_none()) {
            self.supersede();
        }
    }

    /// Applies what is accepted, at once or after the time for a veto. Whether it did.
    fn step_applied(&mut self) -> bool {
        let waits = self.engine.rules().oversight.veto.as_ref().is_some_and(|veto| veto.wait);
        let end = self.view().veto_end().filter(|_| waits);
        if self.proposal.applied || end.is_some_and(|end| self.now < end) {
            return false;
        }
        self.emit(What::Applied { id: self.proposal.id });
        self.change_records();
        true
    }

    fn supersede(&mut self) {
        let Some(id) = self.proposal.new.supersedes else { return };
        let Some(older) = self.state.proposals.get(&id) else { return };
        if matches!(older.status, Status::Accepted | Status::Final) && id != self.id() {
            let reason = format!("proposal {} takes its place", self.id());
            let route = older.route.clone();
            self.emit(What::Entered { id, status: Status::Superseded, route, reason });
        }
    }

    /// That a hash names the revision that counts.
    pub fn same_revision(&self, hash: &str) -> Result<(), Refusal> {
        if hash == self.proposal.hash() {
            return Ok(());
        }
        let known = self.proposal.revisions.iter().any(|revision| revision.hash == hash);
        let what = if known { "was replaced" } else { "was never proposed" };
        let message = format!("revision {hash} {what}; the one that counts is {}", self.proposal.hash());
        Err(Refusal::new(crate::command::Rule::Revision, message))
    }
}
