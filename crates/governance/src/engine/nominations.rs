//! How people climb the ladder, and how they leave it by doing nothing.

use model::Timestamp;

use super::demand::Demand;
use super::tally::Count;
use super::{Bodies, Engine, text};
use crate::command::{Command, Refusal, Rule};
use crate::limits::NOMINATIONS_MAX;
use crate::ruleset::{Body, Entry, Role, VoteRule};
use crate::state::{Ballot, Event, Nomination, NominationStatus, Standing, State, What};
use crate::time::Span;

/// A nomination that nobody decides on ends.
const NOMINATION_ENDS: Span = Span::Days(180);

impl Engine {
    pub(super) fn nomination(
        &self,
        state: &State,
        command: &Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Refusal> {
        let mut state = state.clone();
        let mut events = self.tick_people(&state, now);
        for event in &events {
            state.apply(event);
        }
        let (by, id) = match command {
            Command::Nominate { by, .. } => (by, state.last + 1),
            Command::Endorse { by, id, .. }
            | Command::Object { by, id, .. }
            | Command::LiftObjection { by, id } => (by, *id),
            _ => return Ok(Vec::new()),
        };
        self.active(&state, by)?;
        let what = match command {
            Command::Nominate { by, person, role, reason } => {
                self.nominate(&state, by, person, role)?;
                text("the reason", reason)?;
                let (by, person) = (by.clone(), person.clone());
                What::Nominated { id, by, person, role: role.clone(), reason: reason.clone() }
            }
            command => self.on_nomination(&state, id, command, now)?,
        };
        let event = Event { at: now, what };
        state.apply(&event);
        events.push(event);
        if let Some(nomination) = state.nominations.get(&id) {
            events.extend(self.settle_nomination(&state, nomination, now));
        }
        Ok(events)
    }

    fn entry(&self, role: &str) -> Option<(&Role, &Entry)> {
        let role = self.rules.roles.iter().find(|known| known.name == *role)?;
        Some((role, role.entry.as_ref()?))
    }

    fn nominate(&self, state: &State, by: &str, person: &str, role: &str) -> Result<(), Refusal> {
        self.active(state, person)?;
        let Some((_, entry)) = self.entry(role) else {
            return Err(Refusal::new(Rule::Existence, format!("nobody is nominated for the role {role:?}")));
        };
        let bodies = Bodies::of_people(self, state);
        if !bodies.is_in(&entry.nominate, by) {
            let message = format!("{} nominate, and {by} is none of them", entry.nominate);
            return Err(Refusal::new(Rule::Membership, message));
        }
        if bodies.rank_of(person) >= self.ranks.get(role).copied() {
            return Err(Refusal::new(Rule::Once, format!("{person} stands as high already")));
        }
        let open = state.nominations.values().filter(|n| n.status == NominationStatus::Open);
        if open.clone().any(|n| n.person == person && n.role == role) {
            return Err(Refusal::new(Rule::Once, format!("{person} is nominated already")));
        }
        if open.count() >= NOMINATIONS_MAX {
            return Err(Refusal::new(Rule::Limits, format!("{NOMINATIONS_MAX} nominations are open")));
        }
        Ok(())
    }

    fn on_nomination(
        &self,
        state: &State,
        id: u64,
        command: &Command,
        now: Timestamp,
    ) -> Result<What, Refusal> {
        let open = |n: &&Nomination| n.status == NominationStatus::Open;
        let Some(nomination) = state.nominations.get(&id).filter(open) else {
            return Err(Refusal::new(Rule::Existence, format!("no nomination {id} is open")));
        };
        let Some((_, entry)) = self.entry(&nomination.role) else {
            return Err(Refusal::new(
                Rule::Existence,
                format!("nobody is nominated for {}", nomination.role),
            ));
        };
        let bodies = Bodies::of_people(self, state);
        match command {
            Command::Endorse { by, ballot, .. } => {
                if *by == nomination.person {
                    return Err(Refusal::new(Rule::Separation, format!("{by} is the one who is nominated")));
                }
                if !entry.votes.iter().any(|rule| bodies.is_in(&rule.from, by)) {
                    return Err(Refusal::new(Rule::Membership, format!("{by} has no vote on this role")));
                }
                if nomination.ballots.contains_key(by) {
                    return Err(Refusal::new(Rule::Once, format!("{by} has voted already")));
                }
                Ok(What::Endorsed { id, by: by.clone(), ballot: *ballot })
            }
            Command::Object { by, reason, .. } => {
                text("the reason", reason)?;
                let rule = entry.objection.as_ref().filter(|rule| bodies.is_in(&rule.by, by));
                let Some(rule) = rule.filter(|_| *by != nomination.person) else {
                    return Err(Refusal::new(Rule::Membership, format!("{by} may not object to this")));
                };
                if now >= self.rules.calendar.due(nomination.at, rule.period) {
                    return Err(Refusal::new(
                        Rule::Objection,
                        format!("{} for objections are over", rule.period),
                    ));
                }
                Ok(What::Objected { id, by: by.clone(), reason: reason.clone() })
            }
            Command::LiftObjection { by, .. } if nomination.objections.contains_key(by) => {
                Ok(What::ObjectionLifted { id, by: by.clone() })
            }
            _ => Err(Refusal::new(Rule::Existence, "there is no such objection")),
        }
    }

    /// What a nomination needs and what is there of it, computed from what was done.
    #[must_use]
    pub fn nomination_demands(&self, state: &State, nomination: &Nomination, now: Timestamp) -> Vec<Demand> {
        let Some((role, entry)) = self.entry(&nomination.role) else { return Vec::new() };
        let Some(known) = state.people.get(&nomination.person) else { return Vec::new() };
        let calendar = &self.rules.calendar;
        let mut demands = Vec::new();
        if let Some(after) = entry.after.as_ref().or(self.below(role)) {
            let bodies = Bodies::of_people(self, state);
            let met = bodies.rank_of(&nomination.person) >= self.ranks.get(after).copied();
            let have = known.role.clone().unwrap_or_else(|| "no role".to_owned());
            demands.push(Demand::of(Rule::Membership, format!("{after} before"), &have, met));
        }
        if let Some(tenure) = entry.tenure {
            let end = calendar.due(known.since, tenure);
            let have = format!("since {}", calendar.date(known.since));
            let demand = Demand::of(Rule::Tenure, format!("{tenure} in the role before"), &have, now >= end);
            demands.push(Demand { next: (now < end).then_some(end), ..demand });
        }
        if let Some(limit) = entry.acts {
            let acts = known.acts.iter().filter(|at| calendar.due(**at, limit.per) > now).count();
            let demand = format!("{} acts in {}", limit.count, limit.per);
            demands.push(Demand::of(Rule::Activity, demand, &acts.to_string(), acts >= limit.count as usize));
        }
        demands.extend(self.nomination_votes(state, entry, nomination, now));
        if let Some(objection) = &entry.objection {
            let end = calendar.due(nomination.at, objection.period);
            let met = now >= end && nomination.objections.is_empty();
            let demand = format!("{} in which nobody of {} objects", objection.period, objection.by);
            let who: Vec<&str> = nomination.objections.keys().map(String::as_str).collect();
            let have = if who.is_empty() { "nobody objects".to_owned() } else { who.join(", ") };
            let next = (now < end).then_some(end);
            demands.push(Demand { next, ..Demand::of(Rule::Objection, demand, &have, met) });
        }
        demands
    }

    fn below(&self, role: &Role) -> Option<&String> {
        let rank = *self.ranks.get(&role.name)?;
        self.rules.roles.get(rank.checked_sub(1)?).map(|below| &below.name)
    }

    /// The demands of the first vote that passes, or else of the first one.
    fn nomination_votes(
        &self,
        state: &State,
        entry: &Entry,
        nomination: &Nomination,
        now: Timestamp,
    ) -> Vec<Demand> {
        let bodies = Bodies::of_people(self, state);
        let of = |rule: &VoteRule| {
            let all = bodies.members(&rule.from).into_iter();
            let electors = all.filter(|person| *person != nomination.person).collect();
            let ballots: Vec<(&str, Ballot)> =
                nomination.ballots.iter().map(|(by, ballot)| (by.as_str(), *ballot)).collect();
            let count = Count {
                engine: self,
                state,
                rule,
                electors,
                ballots: ballots.into_iter().collect(),
                more: 0,
                since: nomination.at,
                percent: 100,
                now,
            };
            count.demands()
        };
        let all: Vec<Vec<Demand>> = entry.votes.iter().map(of).collect();
        let passed = all.iter().position(|demands| demands.iter().all(|demand| demand.met));
        all.into_iter().nth(passed.unwrap_or(0)).unwrap_or_default()
    }

    fn settle_nomination(&self, state: &State, nomination: &Nomination, now: Timestamp) -> Vec<Event> {
        let id = nomination.id;
        let demands = self.nomination_demands(state, nomination, now);
        let all_met = !demands.is_empty() && demands.iter().all(|demand| demand.met);
        let over = now >= self.rules.calendar.due(nomination.at, NOMINATION_ENDS);
        let what = if self.active(state, &nomination.person).is_err() {
            What::NotPromoted { id, reason: format!("{} no longer counts", nomination.person) }
        } else if all_met {
            let has: Vec<String> = demands.iter().map(|d| format!("{}: {}", d.demands, d.have)).collect();
            let (person, role) = (nomination.person.clone(), nomination.role.clone());
            What::Promoted { id, person, role, reason: has.join("; ") }
        } else if over {
            What::NotPromoted { id, reason: format!("nobody decided in {NOMINATION_ENDS}") }
        } else {
            return Vec::new();
        };
        vec![Event { at: now, what }]
    }

    /// Who becomes emeritus, and which nominations are decided by now.
    pub(super) fn tick_people(&self, state: &State, now: Timestamp) -> Vec<Event> {
        let mut events = Vec::new();
        for (person, known) in &state.people {
            let role = known.role.as_ref().and_then(|role| self.rules.roles.iter().find(|r| r.name == *role));
            let after = role.and_then(|role| role.inactive_after);
            let idle = after.is_some_and(|span| now >= self.rules.calendar.due(known.last_active, span));
            if idle && known.standing == Standing::Active && self.people.contains_key(person) {
                events.push(Event { at: now, what: What::Emeritus { person: person.clone() } });
            }
        }
        let open = state.nominations.values().filter(|n| n.status == NominationStatus::Open);
        for nomination in open {
            events.extend(self.settle_nomination(state, nomination, now));
        }
        events
    }

    /// All parts of a body that only a proposal has, so that they mean nobody elsewhere.
    pub(crate) fn needs_proposal(body: &Body) -> bool {
        use crate::ruleset::Part;
        body.0.iter().any(|part| matches!(part, Part::Authors | Part::Sponsors | Part::Owners))
    }
}
