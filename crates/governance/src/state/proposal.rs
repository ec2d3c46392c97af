//! A proposal and what was done about it.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Record, What};
use crate::ruleset::Risk;

/// Where a proposal is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits to become a draft, for a sponsor as a rule.
    #[default]
    Proposed,
    /// It is worked on.
    Draft,
    /// It is decided on.
    InReview,
    /// It is in force before anybody decided, in an emergency.
    Provisional,
    /// It is accepted.
    Accepted,
    /// It is accepted and complete.
    Final,
    /// It is not accepted.
    Rejected,
    /// Somebody with a veto stopped it.
    Vetoed,
    /// Its author took it back.
    Withdrawn,
    /// Nobody did anything about it for too long; it can be taken up again.
    Dormant,
    /// It was in force, and is no more.
    RolledBack,
    /// A later one took its place.
    Superseded,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Draft => "draft",
            Self::InReview => "in_review",
            Self::Provisional => "provisional",
            Self::Accepted => "accepted",
            Self::Final => "final",
            Self::Rejected => "rejected",
            Self::Vetoed => "vetoed",
            Self::Withdrawn => "withdrawn",
            Self::Dormant => "dormant",
            Self::RolledBack => "rolled_back",
            Self::Superseded => "superseded",
        }
    }

    /// Whether it is still to be decided.
    #[must_use]
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Proposed | Self::Draft | Self::InReview)
    }
}

/// What a change does to the life of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing: they change and stay where they are.
    #[default]
    Change,
    /// They come in, or go on from experimental.
    Introduce {
        /// As experimental or as active.
        stage: Stage,
    },
    /// They are to go.
    Deprecate {
        /// What takes their place, as `kind:name`.
        replacement: Option<String>,
        /// Whether security does not allow to wait.
        expedited: bool,
    },
    /// They stay after all.
    Restore,
    /// They go.
    Remove,
}

/// Where a record is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// For those who try it.
    Experimental,
    /// For everybody.
    #[default]
    Active,
    /// For those who still need it.
    Deprecated,
    /// For nobody.
    Removed,
}

/// What somebody proposes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewProposal {
    /// What it is about.
    pub title: String,
    /// Of which kind the change is; the tracks ask for it.
    pub kind: String,
    /// Records that it changes, as `kind:name`.
    pub records: Vec<String>,
    /// How much harm it can do.
    pub risk: Risk,
    /// To which area of work it belongs.
    pub area: Option<String>,
    /// Whoever else wrote it.
    pub authors: Vec<String>,
    /// What it does to the life of its records.
    pub effect: Effect,
    /// A final proposal whose place it takes.
    pub supersedes: Option<u64>,
    /// Names its content: whoever votes says for which.
    pub hash: String,
}

/// A version of a proposal's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Names it.
    pub hash: String,
    /// Since when.
    pub at: Timestamp,
    /// Who wrote it.
    pub by: String,
}

/// What somebody says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words explain themselves")]
pub enum Ballot {
    Yes,
    No,
    Abstain,
}

/// A vote, for one revision in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Whose.
    pub by: String,
    /// For which revision, by its number from 0.
    pub revision: usize,
    /// In which state.
    pub stage: Status,
    /// What.
    pub ballot: Ballot,
    /// When.
    pub at: Timestamp,
}

/// An objection that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Whose.
    pub by: String,
    /// To which revision.
    pub revision: usize,
    /// In which state.
    pub stage: Status,
    /// What is wrong.
    pub objection: String,
    /// What to do instead.
    pub alternative: String,
    /// When.
    pub at: Timestamp,
}

/// What somebody said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceOutcome {
    /// It speaks for the revision.
    Passed,
    /// It speaks against it.
    Failed,
    /// It is not agreed what it says, so it does not count.
    Disputed,
}

/// Something that was shown for a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Of what kind.
    pub kind: String,
    /// For which revision.
    pub revision: usize,
    /// Who attests it.
    pub by: String,
    /// What it says.
    pub outcome: EvidenceOutcome,
    /// Where it is found, or its hash.
    pub about: String,
    /// When.
    pub at: Timestamp,
}

/// What somebody who decides wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It goes on, if all else is there.
    Advance,
    /// It goes back to be worked on.
    Revise,
    /// It is over.
    Reject,
}

/// What was decided, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// Who.
    pub by: String,
    /// On which revision.
    pub revision: usize,
    /// In which state.
    pub stage: Status,
    /// What.
    pub outcome: Outcome,
    /// Why.
    pub rationale: String,
    /// When.
    pub at: Timestamp,
}

/// Who accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// The core, by the track's own gate.
    #[default]
    Core,
    /// The domain, by a grant.
    Domain {
        /// Its name: domain and group.
        grant: String,
    },
}

/// What a level above says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The domain goes on, knowing what was said.
    Return,
    /// The core decides.
    TakeOver,
    /// It is over.
    Reject,
}

/// Somebody turned to a level above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalated {
    /// To which one, from 0.
    pub level: u32,
    /// Since when.
    pub at: Timestamp,
    /// By when it answers.
    pub due: Timestamp,
    /// What it said.
    pub answer: Option<Answer>,
}

/// A delegated decision that is looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// By when.
    pub due: Timestamp,
    /// Whether it was found sound.
    pub sound: Option<bool>,
}

/// A proposal and everything that was done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Its number.
    pub id: u64,
    /// Whose it was first.
    pub by: String,
    /// What was proposed.
    pub new: NewProposal,
    /// The way that it goes.
    pub track: String,
    /// The domain of all its records, where there is one.
    pub domain: Option<String>,
    /// Where it is.
    pub status: Status,
    /// Since when.
    pub entered: Timestamp,
    /// When somebody last did anything about it.
    pub active: Timestamp,
    /// Its versions; the last one counts.
    pub revisions: Vec<Revision>,
    /// Who wrote it.
    pub authors: BTreeSet<String>,
    /// Who stands for it.
    pub sponsors: BTreeSet<String>,
    /// What was said.
    pub comments: Vec<Comment>,
    /// All votes, for whichever revision.
    pub votes: Vec<Vote>,
    /// All blocks that were not lifted.
    pub blocks: Vec<Block>,
    /// All that was shown.
    pub evidence: Vec<Evidence>,
    /// All that was decided.
    pub rulings: Vec<Ruling>,
    /// Who accepts, or accepted.
    pub route: Route,
    /// Since when it is they.
    pub routed: Timestamp,
    /// When it was accepted.
    pub accepted: Option<Timestamp>,
    /// Whether its change is in force.
    pub applied: bool,
    /// The level above that somebody turned to.
    pub escalated: Option<Escalated>,
    /// Who applied it in an emergency.
    pub hands: BTreeSet<String>,
    /// By when an emergency change is reviewed.
    pub review_due: Option<Timestamp>,
    /// Who reviewed it.
    pub reviews: BTreeMap<String, bool>,
    /// Whether the decision is looked at again.
    pub audit: Option<Audit>,
    /// When each deadline last did something in this state.
    pub reminded: BTreeMap<u32, Timestamp>,
    /// When people were last reminded of what is overdue.
    pub overdue_at: Option<Timestamp>,
    /// What its records were before, for taking it back.
    pub undo: BTreeMap<String, Option<Record>>,
}

impl Proposal {
    /// The proposal that begins with an event.
    pub(crate) fn begin(at: Timestamp, what: &What) -> Option<Self> {
        let What::Proposed { id, by, track, domain, new } = what else { return None };
        let revision = Revision { hash: new.hash.clone(), at, by: by.clone() };
        Some(Self {
            id: *id,
            by: by.clone(),
            new: (**new).clone(),
            track: track.clone(),
            domain: domain.clone(),
            entered: at,
            active: at,
            revisions: vec![revision],
            authors: new.authors.iter().chain([by]).cloned().collect(),
            ..Self::default()
        })
    }

    /// The number of the version that counts.
    #[must_use]
    pub fn revision(&self) -> usize {
        self.revisions.len().saturating_sub(1)
    }

    /// What names the version that counts.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.revisions.last().map_or("", |revision| &revision.hash)
    }

    /// Since when the version that counts has lain open in this state.
    #[must_use]
    pub fn open_since(&self) -> Timestamp {
        self.revisions.last().map_or(self.entered, |revision| revision.at.max(self.entered))
    }

    /// Since when it is voted on by those who now do.
    #[must_use]
    pub fn voted_since(&self) -> Timestamp {
        self.open_since().max(self.routed)
    }

    /// Whether a vote, a block or a ruling is about the present revision in the present state.
    pub(crate) fn is_now(&self, revision: usize, stage: Status) -> bool {
        revision == self.revision() && stage == self.status
    }

    /// Changes by what has happened to it.
    pub(crate) fn apply(&mut self, at: Timestamp, what: &What) {
        let (revision, stage) = (self.revision(), self.status);
        if what.actor().is_some() {
            self.active = self.active.max(at);
        }
        match what {
            What::Revised { by, hash, .. } => {
                self.authors.insert(by.clone());
                self.sponsors.remove(by);
                self.hands.clear();
                self.revisions.push(Revision { hash: hash.clone(), at, by: by.clone() });
            }
            What::Sponsored { by, .. } => {
                self.sponsors.insert(by.clone());
            }
            What::Commented { by, text, .. } => {
                self.comments.push(Comment { by: by.clone(), text: text.clone(), at });
            }
            What::Voted { by, ballot, .. } => {
                self.votes.push(Vote { by: by.clone(), revision, stage, ballot: *ballot, at });
            }
            What::Blocked { by, objection, alternative, .. } => {
                let (by, objection, alternative) = (by.clone(), objection.clone(), alternative.clone());
                self.blocks.push(Block { by, revision, stage, objection, alternative, at });
            }
            What::BlockLifted { by, .. } => self.blocks.retain(|block| block.by != *by),
            What::Attached { by, kind, outcome, about, .. } => {
                let (kind, by, about) = (kind.clone(), by.clone(), about.clone());
                self.evidence.push(Evidence { kind, revision, by, outcome: *outcome, about, at });
            }
            What::Decided { by, outcome, rationale, .. } => {
                let (by, rationale) = (by.clone(), rationale.clone());
                self.rulings.push(Ruling { by, revision, stage, outcome: *outcome, rationale, at });
            }
            _ => self.apply_course(at, what),
        }
    }

    fn apply_course(&mut self, at: Timestamp, what: &What) {
        match what {
            What::Entered { status, route, .. } => {
                (self.status, self.route, self.entered) = (*status, route.clone(), at);
                self.reminded.clear();
                if *status == Status::Accepted {
                    self.accepted = Some(at);
                }
            }
            What::Rerouted { route, .. } => (self.route, self.routed) = (route.clone(), at),
            What::Applied { .. } => self.applied = true,
            What::RolledBack { .. } => self.applied = false,
            What::Escalated { level, due, .. } => {
                self.escalated = Some(Escalated { level: *level, at, due: *due, answer: None });
                self.overdue_at = None;
            }
            What::Answered { answer: Answer::Return, .. } => self.escalated = None,
            What::Answered { answer, .. } => {
                if let Some(escalated) = &mut self.escalated {
                    escalated.answer = Some(*answer);
                }
                self.routed = at;
            }
            What::Hand { by, due, .. } => {
                self.hands.insert(by.clone());
                self.review_due = Some(*due);
            }
            What::Reviewed { by, confirms, .. } => {
                self.reviews.insert(by.clone(), *confirms);
            }
            What::Sampled { due, .. } => self.audit = Some(Audit { due: *due, sound: None }),
            What::Audited { sound, .. } => {
                if let Some(audit) = &mut self.audit {
                    audit.sound = Some(*sound);
                }
            }
            What::Reminded { deadline: Some(deadline), .. } => {
                self.reminded.insert(*deadline, at);
            }
            What::Reminded { deadline: None, .. } => self.overdue_at = Some(at),
            _ => {}
        }
    }
}
