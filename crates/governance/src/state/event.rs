//! What happens. Events are kept, and the state is what they add up to.

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, Ballot, EvidenceOutcome, NewProposal, Outcome, Record, Route, Status};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened. `id` is a proposal's number, `by` whoever did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named as in the commands, whose documentation explains them")]
pub enum What {
    /// A change is proposed.
    Proposed { id: u64, by: String, track: String, domain: Option<String>, new: Box<NewProposal> },
    /// Its text changed: votes, blocks and evidence for the one before count no more.
    Revised { id: u64, by: String, hash: String },
    /// Somebody stands for it.
    Sponsored { id: u64, by: String },
    /// Somebody said something.
    Commented { id: u64, by: String, text: String },
    /// Somebody voted on the present revision.
    Voted { id: u64, by: String, ballot: Ballot },
    /// Somebody objects.
    Blocked { id: u64, by: String, objection: String, alternative: String },
    /// And no longer does.
    BlockLifted { id: u64, by: String },
    /// Something was shown for the present revision.
    Attached { id: u64, by: String, kind: String, outcome: EvidenceOutcome, about: String },
    /// Somebody said what is to be done, and why.
    Decided { id: u64, by: String, outcome: Outcome, rationale: String },
    /// It came into a state, for a reason.
    Entered { id: u64, status: Status, route: Route, reason: String },
    /// Others accept it than before: votes that take a time begin anew.
    Rerouted { id: u64, route: Route, reason: String },
    /// The change is in force from now on: whoever drives the engine applies it.
    Applied { id: u64 },
    /// The change is no longer in force: whoever drives the engine takes it back.
    RolledBack { id: u64, by: Option<String>, reason: String },
    /// Somebody, or a deadline, turned to a level above.
    Escalated { id: u64, by: Option<String>, level: u32, due: Timestamp, reason: String },
    /// And it answered.
    Answered { id: u64, by: String, answer: Answer, rationale: String },
    /// Somebody stopped it.
    Vetoed { id: u64, by: String, reason: String },
    /// One of the hands that an emergency needs.
    Hand { id: u64, by: String, reason: String, due: Timestamp },
    /// Somebody looked at an emergency change.
    Reviewed { id: u64, by: String, confirms: bool, note: String },
    /// A delegated decision was chosen to be looked at again.
    Sampled { id: u64, due: Timestamp },
    /// And was.
    Audited { id: u64, by: String, sound: bool, note: String },
    /// People are reminded: of a deadline of the track by its number, or of something that is overdue.
    Reminded { id: u64, deadline: Option<u32>, whom: Vec<String>, of: String },
    /// A grant is over.
    GrantEnded { grant: String, by: Option<String>, reason: String },
    /// A record came into another stage of its life.
    RecordChanged { id: u64, record: String, to: Option<Record> },
    /// Somebody is new in the ruleset.
    Joined { person: String, role: Option<String>, since: Timestamp },
    /// Somebody is no longer one of those who decide.
    Left { person: String, by: Option<String>, reason: String },
    /// Somebody did nothing for too long.
    Emeritus { person: String },
    /// And is back.
    Returned { person: String, by: String },
    /// Somebody is to climb the ladder.
    Nominated { id: u64, by: String, person: String, role: String, reason: String },
    /// What somebody says to that.
    Endorsed { id: u64, by: String, ballot: Ballot },
    /// Somebody has something against it.
    Objected { id: u64, by: String, reason: String },
    /// And no longer does.
    ObjectionLifted { id: u64, by: String },
    /// Somebody has climbed the ladder.
    Promoted { id: u64, person: String, role: String, reason: String },
    /// Somebody has not.
    NotPromoted { id: u64, reason: String },
}

impl What {
    /// The proposal that it is about.
    #[must_use]
    pub fn proposal(&self) -> Option<u64> {
        match self {
            Self::Proposed { id, .. }
            | Self::Revised { id, .. }
            | Self::Sponsored { id, .. }
            | Self::Commented { id, .. }
            | Self::Voted { id, .. }
            | Self::Blocked { id, .. }
            | Self::BlockLifted { id, .. }
            | Self::Attached { id, .. }
            | Self::Decided { id, .. }
            | Self::Entered { id, .. }
            | Self::Rerouted { id, .. }
            | Self::Applied { id }
            | Self::RolledBack { id, .. }
            | Self::Escalated { id, .. }
            | Self::Answered { id, .. }
            | Self::Vetoed { id, .. }
            | Self::Hand { id, .. }
            | Self::Reviewed { id, .. }
            | Self::Sampled { id, .. }
            | Self::Audited { id, .. }
            | Self::RecordChanged { id, .. }
            | Self::Reminded { id, .. } => Some(*id),
            Self::GrantEnded { .. }
            | Self::Joined { .. }
            | Self::Left { .. }
            | Self::Emeritus { .. }
            | Self::Returned { .. }
            | Self::Nominated { .. }
            | Self::Endorsed { .. }
            | Self::Objected { .. }
            | Self::ObjectionLifted { .. }
            | Self::Promoted { .. }
            | Self::NotPromoted { .. } => None,
        }
    }

    /// Who did it, if anybody, and in a word what.
    #[must_use]
    pub fn actor(&self) -> Option<(&str, &'static str)> {
        match self {
            Self::Proposed { by, .. } => Some((by, "proposed")),
            Self::Revised { by, .. } => Some((by, "revised")),
            Self::Sponsored { by, .. } => Some((by, "sponsored")),
            Self::Commented { by, .. } => Some((by, "commented")),
            Self::Voted { by, .. } => Some((by, "voted")),
            Self::Blocked { by, .. } => Some((by, "blocked")),
            Self::BlockLifted { by, .. } => Some((by, "lifted a block")),
            Self::Attached { by, .. } => Some((by, "attached evidence")),
            Self::Decided { by, .. } => Some((by, "decided")),
            Self::RolledBack { by: Some(by), .. } => Some((by, "rolled back")),
            Self::Escalated { by: Some(by), .. } => Some((by, "escalated")),
            Self::Answered { by, .. } => Some((by, "answered")),
            Self::Vetoed { by, .. } => Some((by, "vetoed")),
            Self::Hand { by, .. } => Some((by, "applied in an emergency")),
            Self::Reviewed { by, .. } => Some((by, "reviewed")),
            Self::Audited { by, .. } => Some((by, "audited")),
            Self::GrantEnded { by: Some(by), .. } => Some((by, "ended a grant")),
            Self::Left { by: Some(by), .. } => Some((by, "removed somebody")),
            Self::Returned { by, .. } => Some((by, "took somebody back")),
            Self::Nominated { by, .. } => Some((by, "nominated")),
            Self::Endorsed { by, .. } => Some((by, "endorsed")),
            Self::Objected { by, .. } => Some((by, "objected")),
            Self::ObjectionLifted { by, .. } => Some((by, "lifted an objection")),
            Self::RolledBack { by: None, .. }
            | Self::Escalated { by: None, .. }
            | Self::GrantEnded { by: None, .. }
            | Self::Left { by: None, .. }
            | Self::Entered { .. }
            | Self::Rerouted { .. }
            | Self::Applied { .. }
            | Self::Sampled { .. }
            | Self::Reminded { .. }
            | Self::RecordChanged { .. }
            | Self::Joined { .. }
            | Self::Emeritus { .. }
            | Self::Promoted { .. }
            | Self::NotPromoted { .. } => None,
        }
    }
}
