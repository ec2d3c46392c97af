//! What is known of people besides what the ruleset says.

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ballot, Event, State, What};
use crate::limits::ACTS_MAX;

/// Whether somebody counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// He does.
    #[default]
    Active,
    /// He did, and may come back.
    Emeritus,
    /// He does not.
    Removed,
}

/// What is known of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonState {
    /// His rung of the ladder.
    pub role: Option<String>,
    /// Since when he has it.
    pub since: Timestamp,
    /// When he last did anything.
    pub last_active: Timestamp,
    /// Whether he counts.
    pub standing: Standing,
    /// When he did something; of these the last are kept.
    pub acts: Vec<Timestamp>,
}

/// Where a nomination is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NominationStatus {
    /// Undecided.
    #[default]
    Open,
    /// He has the role.
    Promoted,
    /// He has not.
    Ended,
}

/// Somebody is to climb the ladder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nomination {
    /// Its number.
    pub id: u64,
    /// Who.
    pub person: String,
    /// To which rung.
    pub role: String,
    /// Who says so.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
    /// Where it is.
    pub status: NominationStatus,
    /// What others say to that.
    pub ballots: BTreeMap<String, Ballot>,
    /// Who objects, and why.
    pub objections: BTreeMap<String, String>,
}

impl State {
    pub(super) fn note_act(&mut self, person: &str, at: Timestamp) {
        let Some(known) = self.people.get_mut(person) else { return };
        known.last_active = known.last_active.max(at);
        if known.acts.len() >= ACTS_MAX {
            known.acts.remove(0);
        }
        known.acts.push(at);
    }

    pub(super) fn apply_to_people(&mut self, event: &Event) {
        let at = event.at;
        match &event.what {
            What::Joined { person, role, since } => {
                let known = self.people.entry(person.clone()).or_default();
                (known.role, known.since, known.standing) = (role.clone(), *since, Standing::Active);
                known.last_active = at;
            }
            What::Left { person, .. } => self.stand(person, Standing::Removed),
            What::Emeritus { person } => self.stand(person, Standing::Emeritus),
            What::Returned { person, .. } => {
                self.stand(person, Standing::Active);
                if let Some(known) = self.people.get_mut(person) {
                    known.last_active = at;
                }
            }
            What::Nominated { id, by, person, role, reason } => {
                self.last = self.last.max(*id);
                let (by, person, role, reason) = (by.clone(), person.clone(), role.clone(), reason.clone());
                let new = Nomination { id: *id, by, person, role, reason, at, ..Nomination::default() };
                self.nominations.insert(*id, new);
            }
            What::Promoted { id, person, role, .. } => {
                if let Some(known) = self.people.get_mut(person) {
                    (known.role, known.since) = (Some(role.clone()), at);
                }
                self.nomination(*id, |nomination| nomination.status = NominationStatus::Promoted);
            }
            What::NotPromoted { id, .. } => {
                self.nomination(*id, |nomination| nomination.status = NominationStatus::Ended);
            }
            What::Endorsed { id, by, ballot } => {
                self.nomination(*id, |nomination| {
                    nomination.ballots.insert(by.clone(), *ballot);
                });
            }
            What::Objected { id, by, reason } => {
                self.nomination(*id, |nomination| {
                    nomination.objections.insert(by.clone(), reason.clone());
                });
            }
            What::ObjectionLifted { id, by } => {
                self.nomination(*id, |nomination| {
                    nomination.objections.remove(by);
                });
            }
            _ => {}
        }
    }

    fn stand(&mut self, person: &str, standing: Standing) {
        if let Some(known) = self.people.get_mut(person) {
            known.standing = standing;
        }
    }

    fn nomination(&mut self, id: u64, change: impl FnOnce(&mut Nomination)) {
        if let Some(nomination) = self.nominations.get_mut(&id) {
            change(nomination);
        }
    }
}
