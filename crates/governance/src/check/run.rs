//! A trial run: people do what they can, time passes, and one sees what comes of it.

use model::Timestamp;

use super::{Witness, WitnessStep};
use crate::command::{Act, Command};
use crate::engine::Engine;
use crate::limits::RUN_STEPS_MAX;
use crate::ruleset::Risk;
use crate::state::{Ballot, Event, NewProposal, Proposal, Route, State, Status, What};
use crate::time::Date;

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub proposer: String,
    pub kind: String,
    pub records: Vec<String>,
    pub risk: Risk,
    pub area: Option<String>,
    /// Whether it is applied first and reviewed afterwards.
    pub emergency: bool,
}

/// Who takes part in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Everybody says yes.
    Help,
    /// Nobody else does anything.
    Silent,
    /// Everybody else objects as he can.
    Object,
}

/// A trial run.
pub(super) struct Run<'a> {
    engine: &'a Engine,
    pub state: State,
    now: Timestamp,
    trial: &'a Trial,
    others: Others,
    id: u64,
    steps: Vec<WitnessStep>,
    commands: usize,
    /// Where it was when the others last objected, who have nothing to add there.
    objected: Option<(Status, Route)>,
    /// How often in a row time passed and nothing but reminders came of it.
    idle: u32,
}

/// Moments in a row at which nothing happens that a run waits through: periods that end, reminders.
const IDLE_MAX: u32 = 16;

/// Runs that take longer than this end.
const DAYS_MAX: u64 = 3 * 366;

impl<'a> Run<'a> {
    /// Carries it out. `None`: the proposer may not propose this.
    pub fn of(engine: &'a Engine, trial: &'a Trial, others: Others) -> Option<Self> {
        let now = start();
        let state = engine.begin(now);
        let mut run = Self {
            engine,
            state,
            now,
            trial,
            others,
            id: 0,
            steps: Vec::new(),
            commands: 0,
            objected: None,
            idle: 0,
        };
        let new = NewProposal {
            title: "an example".to_owned(),
            kind: trial.kind.clone(),
            records: trial.records.clone(),
            risk: trial.risk,
            area: trial.area.clone(),
            hash: "r1".to_owned(),
            ..NewProposal::default()
        };
        if others == Others::Object {
            run.expel();
        }
        run.id = run.state.last + 1;
        let propose = Command::Propose { by: trial.proposer.clone(), new: Box::new(new) };
        if !run.command(&propose) {
            return None;
        }
        run.go();
        Some(run)
    }

    /// Who stands alone first removes whoever he can.
    fn expel(&mut self) {
        let by = self.trial.proposer.clone();
        let others = self.engine.rules().people.iter().map(|person| person.name.clone());
        for person in others.filter(|person| *person != by) {
            let command = Command::Remove { by: by.clone(), person, reason: "alone".to_owned() };
            if !self.command(&command) {
                return;
            }
        }
    }

    fn go(&mut self) {
        while self.commands < RUN_STEPS_MAX && !self.is_over() {
            let acted = self.act() | self.object();
            if !acted && !self.wait() {
                break;
            }
        }
        // What was accepted may still be stopped.
        self.object();
    }

    /// What it is about.
    pub fn proposal(&self) -> &Proposal {
        &self.state.proposals[&self.id]
    }

    /// Whether it went as far as it can.
    fn is_over(&self) -> bool {
        let proposal = self.proposal();
        let completes = self.engine.track(proposal).is_some_and(|track| track.completion.is_some());
        match proposal.status {
            Status::Accepted => !completes && proposal.applied,
            Status::Proposed | Status::Draft | Status::InReview | Status::Provisional => false,
            _ => true,
        }
    }

    /// Whether it is in force for good.
    pub fn stands(&self) -> bool {
        self.is_over() && matches!(self.proposal().status, Status::Accepted | Status::Final)
    }

    /// Whether it was ever accepted, and not stopped.
    pub fn accepted(&self) -> bool {
        matches!(self.proposal().status, Status::Accepted | Status::Final)
    }

    fn command(&mut self, command: &Command) -> bool {
        self.commands += 1;
        let Ok(events) = self.engine.decide(&self.state, command, self.now) else { return false };
        for event in &events {
            self.note(event);
            self.state.apply(event);
        }
        true
    }

    fn on(&mut self, by: &str, act: Act) -> bool {
        self.command(&Command::On { id: self.id, by: by.to_owned(), act })
    }

    fn note(&mut self, event: &Event) {
        let day = event.at.0.saturating_sub(start().0) / (24 * 60 * 60 * 1000);
        let (who, does) = match (&event.what, event.what.actor()) {
            (What::Attached { by, kind, .. }, _) => (Some(by.clone()), format!("attests {kind}")),
            (What::Voted { by, ballot, .. }, _) => {
                let word = if *ballot == Ballot::Yes { "votes yes" } else { "votes no" };
                (Some(by.clone()), word.to_owned())
            }
            (What::Left { person, by: Some(by), .. }, _) => (Some(by.clone()), format!("removes {person}")),
            (_, Some((by, does))) => (Some(by.to_owned()), does.to_owned()),
            (What::Entered { status, reason, .. }, None) => {
                (None, format!("it is {} ({reason})", status.as_str()))
            }
            _ => return,
        };
        self.steps.push(WitnessStep { day, who, does });
    }

    /// Time passes until something happens by itself. Whether there is such a moment.
    fn wait(&mut self) -> bool {
        let next = self.engine.why(&self.state, self.id, self.now).and_then(|why| why.next);
        let Some(next) = next.filter(|next| next.0 < start().0 + DAYS_MAX * 24 * 60 * 60 * 1000) else {
            return false;
        };
        self.now = next;
        let before = self.steps.len();
        self.command(&Command::Tick);
        self.idle = if self.steps.len() == before { self.idle + 1 } else { 0 };
        self.idle <= IDLE_MAX
    }

    /// Whoever takes part does what helps. Whether anybody could do anything.
    fn act(&mut self) -> bool {
        let mut acted = false;
        if self.trial.emergency && self.proposal().status.is_pending() {
            let (hash, reason) = (self.proposal().hash().to_owned(), "an example".to_owned());
            for person in self.taking_part() {
                let act = Act::Emergency { hash: hash.clone(), reason: reason.clone() };
                acted |= self.on(&person, act);
            }
        }
        for useful in self.engine.useful(&self.state, self.id, self.now) {
            // Evidence is attested once at a moment, however many could.
            let once = matches!(useful.act, Act::Attach { .. } | Act::Decide { .. } | Act::Answer { .. });
            for person in &useful.whom {
                let helps = self.others == Others::Help || *person == self.trial.proposer;
                if helps && self.on(person, useful.clone().with("an example")) {
                    acted = true;
                    if once {
                        break;
                    }
                }
            }
        }
        acted
    }

    fn taking_part(&self) -> Vec<String> {
        match self.others {
            Others::Help => self.engine.rules().people.iter().map(|person| person.name.clone()).collect(),
            Others::Silent | Others::Object => vec![self.trial.proposer.clone()],
        }
    }

    /// Everybody else objects. Whether anybody could.
    fn object(&mut self) -> bool {
        let place = Some((self.proposal().status, self.proposal().route.clone()));
        if self.others != Others::Object || self.objected == place {
            return false;
        }
        self.objected = place;
        let people = self.engine.rules().people.iter().map(|person| person.name.clone());
        let others: Vec<String> = people.filter(|person| *person != self.trial.proposer).collect();
        let mut objected = false;
        for person in others {
            for act in self.objections() {
                objected |= self.on(&person, act);
            }
        }
        objected
    }

    fn objections(&self) -> [Act; 4] {
        let hash = self.proposal().hash().to_owned();
        let why = "an objection".to_owned();
        [
            Act::Vote { hash: hash.clone(), ballot: Ballot::No },
            Act::Block { hash: hash.clone(), objection: why.clone(), alternative: why.clone() },
            Act::Review { hash, confirms: false, note: why.clone() },
            Act::Veto { reason: why },
        ]
    }

    /// What happened, and how it ended.
    pub fn witness(self, end: Option<&str>) -> Witness {
        const SHOWN: usize = 24;
        let missing = self.engine.why(&self.state, self.id, self.now).map(|why| {
            let all: Vec<String> = why.missing().map(|d| format!("{} ({})", d.demands, d.have)).collect();
            format!("it stays {}, and needs: {}", why.status.as_str(), all.join("; "))
        });
        let end = end.map(str::to_owned).or(missing).unwrap_or_default();
        let mut steps = self.steps;
        if steps.len() > SHOWN {
            let left = steps.len() - SHOWN;
            let last = steps.split_off(steps.len() - SHOWN / 2);
            steps.truncate(SHOWN / 2);
            let day = last.first().map_or(0, |step| step.day);
            steps.push(WitnessStep { day, who: None, does: format!("({left} further steps)") });
            steps.extend(last);
        }
        Witness { steps, end }
    }
}

/// A Monday without a holiday in most places.
fn start() -> Timestamp {
    Date { year: 2027, month: 1, day: 11 }.start()
}
