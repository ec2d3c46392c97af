//! The engine: what becomes of a command under the rules, and what each proposal still needs.

mod acts;
mod authority;
mod bodies;
mod demand;
mod due;
mod lifecycle;
mod nominations;
mod oversight;
mod route;
mod tally;
mod useful;
mod why;
mod work;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;

use crate::check::{self, Fault};
use crate::command::{Command, Refusal, Rule};
use crate::limits::{MOMENTS_MAX, NAME_CHARS_MAX, OPEN_MAX, RECORDS_MAX, TEXT_CHARS_MAX};
use crate::ruleset::{Ruleset, Track};
use crate::state::{Event, NewProposal, Proposal, Standing, State, What};

pub(crate) use bodies::Bodies;
pub use demand::Demand;
pub use route::grant_name;
pub use useful::Useful;
pub use why::Why;
use work::Work;

/// A ruleset that was found to make sense, and what follows from it.
#[derive(Debug, Clone)]
pub struct Engine {
    rules: Ruleset,
    /// Where each person stands in the ruleset.
    people: BTreeMap<String, usize>,
    ranks: BTreeMap<String, usize>,
    groups: BTreeMap<String, BTreeSet<String>>,
}

impl Engine {
    /// Takes a ruleset.
    ///
    /// # Errors
    /// Everything that is wrong with it: what has no meaning, and how it would deadlock, delegate in a circle
    /// or let somebody decide alone, each with an example.
    pub fn new(rules: Ruleset) -> Result<Self, Vec<Fault>> {
        check::structure(&rules)?;
        let engine = Self::unchecked(rules);
        check::behaviour(&engine)?;
        Ok(engine)
    }

    pub(crate) fn unchecked(rules: Ruleset) -> Self {
        let index = |names: Vec<&String>| names.into_iter().cloned().zip(0..).collect();
        let people = index(rules.people.iter().map(|person| &person.name).collect());
        let ranks = index(rules.roles.iter().map(|role| &role.name).collect());
        let members = |members: &Vec<String>| members.iter().cloned().collect();
        let groups = rules.groups.iter().map(|g| (g.name.clone(), members(&g.members))).collect();
        Self { rules, people, ranks, groups }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &Ruleset {
        &self.rules
    }

    /// The state in which nothing was proposed yet and everybody of the ruleset is there.
    #[must_use]
    pub fn begin(&self, now: Timestamp) -> State {
        let mut state = State { at: now, ..State::default() };
        for event in self.adopt(&state, now) {
            state.apply(&event);
        }
        state
    }

    /// What comes of a command. The state is as before; [`State::apply`] changes it by these events.
    ///
    /// What fell due before `now` happens first, at its own time, so that it makes no difference how often
    /// somebody ticks. A clock that went back stands still.
    ///
    /// # Errors
    /// The rule that forbids it. Nothing happened.
    pub fn decide(&self, state: &State, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let now = now.max(state.at);
        match command {
            Command::Tick => Ok(self.tick(state, now)),
            Command::Adopt => Ok(self.adopt(state, now)),
            Command::Propose { by, new } => self.propose(state, by, new, now),
            Command::On { id, by, act } => {
                let proposal = state
                    .proposals
                    .get(id)
                    .ok_or_else(|| Refusal::new(Rule::Existence, format!("there is no proposal {id}")))?;
                self.active(state, by)?;
                let mut work = Work::new(self, state, proposal.clone(), now);
                work.act(by, act)?;
                Ok(work.finish())
            }
            Command::Revoke { by, grant, reason } => self.revoke(state, by, grant, reason, now),
            Command::Remove { .. } | Command::Return { .. } => self.membership(state, command, now),
            Command::Nominate { .. }
            | Command::Endorse { .. }
            | Command::Object { .. }
            | Command::LiftObjection { .. } => self.nomination(state, command, now),
        }
    }

    /// Everything that falls due.
    fn tick(&self, state: &State, now: Timestamp) -> Vec<Event> {
        let mut state = Cow::Borrowed(state);
        let mut events = self.tick_people(&state, now);
        for event in &events {
            state.to_mut().apply(event);
        }
        let live = |state: &State| -> Vec<u64> {
            state.proposals.values().filter(|proposal| self.is_live(proposal)).map(|p| p.id).collect()
        };
        // What fell due before, in the order of its moments: what one proposal becomes can matter to another.
        let ids = live(&state);
        let mut left = ids.len().saturating_mul(MOMENTS_MAX);
        let mut due: BTreeSet<(Timestamp, u64)> = BTreeSet::new();
        for id in ids {
            due.extend(
                Work::due_after(self, &state, id, Timestamp(0)).filter(|at| *at < now).map(|at| (at, id)),
            );
        }
        while let Some((at, id)) = due.pop_first().filter(|_| left > 0) {
            left -= 1;
            events.extend(self.tick_one(&mut state, id, at));
            due.extend(Work::due_after(self, &state, id, at).filter(|at| *at < now).map(|at| (at, id)));
        }
        for id in live(&state) {
            events.extend(self.tick_one(&mut state, id, now));
        }
        events
    }

    fn tick_one(&self, state: &mut Cow<'_, State>, id: u64, at: Timestamp) -> Vec<Event> {
        let Some(proposal) = state.proposals.get(&id).cloned() else { return Vec::new() };
        let events = Work::at(self, state, proposal, at).finish();
        for event in &events {
            state.to_mut().apply(event);
        }
        events
    }

    fn adopt(&self, state: &State, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for person in &self.rules.people {
            if state.people.contains_key(&person.name) {
                continue;
            }
            let since = person.since.map_or(now, |date| date.start().min(now));
            let (person, role) = (person.name.clone(), person.role.clone());
            events.push(Event { at: now, what: What::Joined { person, role, since } });
        }
        for (name, known) in &state.people {
            if known.standing != Standing::Removed && !self.people.contains_key(name) {
                let reason = "no longer in the ruleset".to_owned();
                let what = What::Left { person: name.clone(), by: None, reason };
                events.push(Event { at: now, what });
            }
        }
        events
    }

    fn propose(
        &self,
        state: &State,
        by: &str,
        new: &NewProposal,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        self.active(state, by)?;
        for author in &new.authors {
            self.active(state, author)?;
        }
        sizes(new)?;
        if state.proposals.values().filter(|proposal| proposal.status.is_pending()).count() >= OPEN_MAX {
            return Err(Refusal::new(Rule::Limits, format!("{OPEN_MAX} proposals are open")));
        }
        let track = self.track_for(new).ok_or_else(|| {
            let message =
                format!("no track takes a change of kind {:?} and risk {}", new.kind, new.risk.as_str());
            Refusal::new(Rule::Track, message)
        })?;
        let bodies = Bodies::of_people(self, state);
        if !bodies.is_in(&track.propose, by) {
            let message =
                format!("on track {} only {} propose, and {by} is none of them", track.name, track.propose);
            return Err(Refusal::new(Rule::Membership, message));
        }
        let domain = self.domain_of(&new.records).map(|domain| domain.name.clone());
        let id = state.last + 1;
        let (by, track) = (by.to_owned(), track.name.clone());
        let what = What::Proposed { id, by, track, domain, new: Box::new(new.clone()) };
        let mut work = Work::begin(self, state, Event { at: now, what });
        work.settle();
        Ok(work.finish())
    }

    pub(crate) fn track_for(&self, new: &NewProposal) -> Option<&Track> {
        self.rules.tracks.iter().find(|track| {
            let risk = track.risks.is_empty() || track.risks.contains(&new.risk);
            risk && track.kinds.iter().any(|kind| kind.fits(&new.kind))
        })
    }

    /// The track of a proposal; none where the ruleset no longer has it.
    pub(crate) fn track(&self, proposal: &Proposal) -> Option<&Track> {
        self.rules.tracks.iter().find(|track| track.name == proposal.track)
    }

    /// That somebody is one of those who may do anything.
    pub(crate) fn active(&self, state: &State, person: &str) -> Result<(), Refusal> {
        let standing = state.people.get(person).map(|known| known.standing);
        let why = match (self.people.contains_key(person), standing) {
            (true, Some(Standing::Active)) => return Ok(()),
            (true, Some(Standing::Emeritus)) => "is emeritus, and has to return first",
            (_, Some(Standing::Removed)) => "was removed",
            _ => "is nobody that the ruleset knows",
        };
        Err(Refusal::new(Rule::Membership, format!("{person} {why}")))
    }
}

/// That nothing of a proposal is too large, and nothing is missing.
fn sizes(new: &NewProposal) -> Result<(), Refusal> {
    let words = [&new.title, &new.kind].into_iter().chain(&new.records).chain(new.area.iter());
    for word in words {
        if word.is_empty() || word.chars().count() > 4 * NAME_CHARS_MAX {
            let message = format!("a title, kind, record or area has 1 to {} characters", 4 * NAME_CHARS_MAX);
            return Err(Refusal::new(Rule::Limits, message));
        }
    }
    if new.records.len() > RECORDS_MAX || new.authors.len() > RECORDS_MAX {
        let message = format!("a proposal has at most {RECORDS_MAX} records and authors");
        return Err(Refusal::new(Rule::Limits, message));
    }
    hash(&new.hash)
}

/// That a revision has a name.
fn hash(hash: &str) -> Result<(), Refusal> {
    let max = crate::limits::HASH_CHARS_MAX;
    if hash.is_empty() || hash.len() > max || !hash.bytes().all(|b| b.is_ascii_graphic()) {
        let message = format!("a revision's hash has 1 to {max} visible characters");
        return Err(Refusal::new(Rule::Revision, message));
    }
    Ok(())
}

/// That somebody wrote something, and not too much.
fn text(what: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new(Rule::Limits, format!("{what} is empty")));
    }
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(Refusal::new(Rule::Limits, format!("{what} has more than {TEXT_CHARS_MAX} characters")));
    }
    Ok(())
}
