//! A small world for tests: an engine, its state and a clock.

use governance::{
    Act, Ballot, Command, Date, Engine, Event, EvidenceOutcome, NewProposal, Outcome, Refusal, Rule, Ruleset,
    State, Status, What, preset,
};
use model::Timestamp;

pub const HOUR: u64 = 3_600_000;
pub const DAY: u64 = 24 * HOUR;

/// Nine o'clock on a day.
pub fn nine(date: &str) -> Timestamp {
    Timestamp(date.parse::<Date>().expect("a day").start().0 + 9 * HOUR)
}

pub struct World {
    pub engine: Engine,
    pub state: State,
    pub now: Timestamp,
    pub log: Vec<Event>,
}

impl World {
    pub fn of(rules: Ruleset, date: &str) -> Self {
        let engine = Engine::new(rules).unwrap_or_else(|faults| {
            let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
            panic!("{}", all.join("\n"))
        });
        let now = nine(date);
        let state = engine.begin(now);
        Self { engine, state, now, log: Vec::new() }
    }

    pub fn yaml(text: &str, date: &str) -> Self {
        Self::of(Ruleset::from_yaml(text).unwrap_or_else(|fault| panic!("{fault}")), date)
    }

    pub fn preset(name: &str, date: &str) -> Self {
        Self::of(preset(name).expect("a preset").ruleset().expect("a ruleset"), date)
    }

    pub fn command(&mut self, command: &Command) -> Result<(), Refusal> {
        let events = self.engine.decide(&self.state, command, self.now)?;
        for event in &events {
            self.state.apply(event);
        }
        self.log.extend(events);
        Ok(())
    }

    pub fn propose(&mut self, by: &str, new: NewProposal) -> u64 {
        let id = self.state.last + 1;
        let new = NewProposal { title: "a change".to_owned(), hash: "r1".to_owned(), ..new };
        self.command(&Command::Propose { by: by.to_owned(), new: Box::new(new) }).expect("proposed");
        id
    }

    pub fn on(&mut self, id: u64, by: &str, act: Act) -> Result<(), Refusal> {
        self.command(&Command::On { id, by: by.to_owned(), act })
    }

    /// What was done, or the rule that forbids it.
    pub fn try_on(&mut self, id: u64, by: &str, act: Act) -> Result<(), Rule> {
        self.on(id, by, act).map_err(|refusal| refusal.rule)
    }

    pub fn pass(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0 + ms);
        self.command(&Command::Tick).expect("time passes");
    }

    pub fn status(&self, id: u64) -> Status {
        self.state.proposals[&id].status
    }

    /// The rules that still demand something.
    pub fn missing(&self, id: u64) -> Vec<Rule> {
        let why = self.engine.why(&self.state, id, self.now).expect("a proposal");
        why.missing().map(|demand| demand.rule).collect()
    }

    /// The states that a proposal went through, and whether it was in force.
    pub fn course(&self, id: u64) -> Vec<&'static str> {
        let course = self.log.iter().filter(|event| event.what.proposal() == Some(id));
        let words = course.filter_map(|event| match &event.what {
            What::Entered { status, .. } => Some(status.as_str()),
            What::Applied { .. } => Some("[applied]"),
            What::RolledBack { .. } => Some("[taken back]"),
            What::Escalated { .. } => Some("[escalated]"),
            What::Answered { .. } => Some("[answered]"),
            What::Vetoed { .. } => Some("[vetoed]"),
            _ => None,
        });
        words.collect()
    }
}

pub fn kind(kind: &str) -> NewProposal {
    NewProposal { kind: kind.to_owned(), ..NewProposal::default() }
}

pub fn yes() -> Act {
    ballot("r1", Ballot::Yes)
}

pub fn ballot(hash: &str, ballot: Ballot) -> Act {
    Act::Vote { hash: hash.to_owned(), ballot }
}

pub fn attach(kind: &str) -> Act {
    let outcome = EvidenceOutcome::Passed;
    Act::Attach { hash: "r1".to_owned(), kind: kind.to_owned(), outcome, about: "seen".to_owned() }
}

pub fn advance() -> Act {
    Act::Decide { hash: "r1".to_owned(), outcome: Outcome::Advance, rationale: "good".to_owned() }
}

pub fn block() -> Act {
    let (objection, alternative) = ("wrong".to_owned(), "do it otherwise".to_owned());
    Act::Block { hash: "r1".to_owned(), objection, alternative }
}
