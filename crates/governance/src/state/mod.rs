//! What was decided so far. It changes by events alone, and the same events give the same state.

mod event;
mod people;
mod proposal;

use std::collections::BTreeMap;

use model::Timestamp;
use serde::{Deserialize, Serialize};

pub use event::{Event, What};
pub use people::{Nomination, NominationStatus, PersonState, Standing};
pub use proposal::{
    Answer, Audit, Ballot, Block, Comment, Effect, Escalated, Evidence, EvidenceOutcome, NewProposal,
    Outcome, Proposal, Revision, Route, Ruling, Stage, Status, Vote,
};

/// Everything that the engine has to know to decide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The time of the last event; what comes later is never earlier.
    pub at: Timestamp,
    /// By name.
    pub people: BTreeMap<String, PersonState>,
    /// By number.
    pub proposals: BTreeMap<u64, Proposal>,
    /// By number.
    pub nominations: BTreeMap<u64, Nomination>,
    /// Grants that were used or ended, by domain and the group that has it.
    pub grants: BTreeMap<String, GrantState>,
    /// Records whose stage is known, by `kind:name`.
    pub records: BTreeMap<String, Record>,
    /// The number of the last proposal or nomination.
    pub last: u64,
}

/// What became of a grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantState {
    /// When something was accepted by it; of these the last are kept.
    pub used: Vec<Timestamp>,
    /// When and why it was ended.
    pub ended: Option<(Timestamp, String)>,
    /// Decisions that were found unsound.
    pub findings: u32,
}

/// Uses of a grant that are remembered, which is more than a limit may count.
pub const USES_MAX: usize = 10_000;

/// Where a record is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// The first moment at which it may be removed, once it is deprecated.
    pub removable: Option<Timestamp>,
    /// What takes its place.
    pub replacement: Option<String>,
}

impl State {
    /// Changes by what has happened.
    pub fn apply(&mut self, event: &Event) {
        self.at = self.at.max(event.at);
        match &event.what {
            What::Proposed { id, .. } => {
                self.last = self.last.max(*id);
                if let Some(proposal) = Proposal::begin(event.at, &event.what) {
                    self.proposals.insert(*id, proposal);
                }
            }
            What::RecordChanged { id, record, to } => self.change_record(*id, record, to.as_ref()),
            What::GrantEnded { grant, reason, .. } => {
                self.grants.entry(grant.clone()).or_default().ended = Some((event.at, reason.clone()));
            }
            what => match what.proposal() {
                Some(id) => self.apply_to_proposal(id, event),
                None => self.apply_to_people(event),
            },
        }
        if let Some((person, _)) = event.what.actor() {
            self.note_act(person, event.at);
        }
    }

    fn apply_to_proposal(&mut self, id: u64, event: &Event) {
        let Some(proposal) = self.proposals.get_mut(&id) else { return };
        proposal.apply(event.at, &event.what);
        let Route::Domain { grant } = &proposal.route else { return };
        match &event.what {
            What::Entered { status: Status::Accepted, .. } => {
                let used = &mut self.grants.entry(grant.clone()).or_default().used;
                if used.len() >= USES_MAX {
                    used.remove(0);
                }
                used.push(event.at);
            }
            What::Audited { sound: false, .. } => {
                self.grants.entry(grant.clone()).or_default().findings += 1;
            }
            _ => {}
        }
    }

    fn change_record(&mut self, id: u64, record: &str, to: Option<&Record>) {
        let before = match to {
            Some(to) => self.records.insert(record.to_owned(), to.clone()),
            None => self.records.remove(record),
        };
        if let Some(proposal) = self.proposals.get_mut(&id) {
            proposal.undo.entry(record.to_owned()).or_insert(before);
        }
    }
}
