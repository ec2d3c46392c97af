//! What somebody wants, and why he does not get it.

use serde::{Deserialize, Serialize};

use crate::state::{Answer, Ballot, EvidenceOutcome, NewProposal, Outcome};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`by` is whoever wants it, the rest is named as in the state")]
pub enum Command {
    /// Time has passed.
    Tick,
    /// The people of the ruleset are those who count: new ones come in, others leave.
    Adopt,
    /// A change is proposed.
    Propose { by: String, new: Box<NewProposal> },
    /// Something is done about a proposal.
    On { id: u64, by: String, act: Act },
    /// A grant ends.
    Revoke { by: String, grant: String, reason: String },
    /// Somebody no longer decides.
    Remove { by: String, person: String, reason: String },
    /// Somebody emeritus comes back.
    Return { by: String, person: String },
    /// Somebody is to climb the ladder.
    Nominate { by: String, person: String, role: String, reason: String },
    /// What somebody says to that.
    Endorse { by: String, id: u64, ballot: Ballot },
    /// Somebody has something against it.
    Object { by: String, id: u64, reason: String },
    /// And no longer does.
    LiftObjection { by: String, id: u64 },
}

/// What is done about a proposal. A `hash` says which revision is meant, and no other is touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named as in the state, whose documentation explains them")]
pub enum Act {
    /// Its content changes.
    Revise { hash: String },
    /// Somebody stands for it.
    Sponsor,
    /// Somebody says something.
    Comment { text: String },
    /// Somebody votes.
    Vote { hash: String, ballot: Ballot },
    /// Somebody objects, and says what to do instead.
    Block { hash: String, objection: String, alternative: String },
    /// And no longer does.
    LiftBlock,
    /// Something is shown.
    Attach { hash: String, kind: String, outcome: EvidenceOutcome, about: String },
    /// Somebody decides.
    Decide { hash: String, outcome: Outcome, rationale: String },
    /// Its author takes it back.
    Withdraw,
    /// Somebody takes up what is dormant.
    Revive,
    /// Somebody turns to a level above.
    Escalate { reason: String },
    /// And it answers.
    Answer { answer: Answer, rationale: String },
    /// Somebody stops it.
    Veto { reason: String },
    /// It is applied before anybody has decided.
    Emergency { hash: String, reason: String },
    /// An emergency change is looked at afterwards.
    Review { hash: String, confirms: bool, note: String },
    /// A delegated decision is looked at again.
    Audit { sound: bool, note: String },
    /// What is in force is taken back.
    Rollback { reason: String },
}

/// A rule: what a demand comes from, and what a refusal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Somebody is one of those who may do this.
    Membership,
    /// It is there.
    Existence,
    /// It is in the state for this.
    State,
    /// It is about the revision that counts.
    Revision,
    /// Nobody does it twice.
    Once,
    /// There is not too much of anything.
    Limits,
    /// A track takes it.
    Track,
    /// No author judges his own.
    Separation,
    /// Nor anybody of his organization or team.
    Apart,
    /// Somebody stands for it.
    Sponsor,
    /// It was open to comments.
    CommentPeriod,
    /// So many said yes.
    Count,
    /// Such a share said yes.
    Share,
    /// Such a share took part.
    Quorum,
    /// The yes comes from several sides.
    Distinct,
    /// The vote was open for its time.
    VoteOpen,
    /// Nobody who may objects.
    LazyConsensus,
    /// It was shown.
    Evidence,
    /// Somebody said so.
    Decision,
    /// A level above has answered.
    Escalation,
    /// What is deprecated stays for its time.
    Lifecycle,
    /// The domain decides for itself.
    Delegation,
    /// It was not stopped in time.
    VetoWindow,
    /// An emergency is reviewed.
    Emergency,
    /// A delegated decision is looked at again.
    Audit,
    /// What is in force can be taken back.
    Rollback,
    /// Somebody had the role before for long enough.
    Tenure,
    /// Somebody did enough.
    Activity,
    /// Nobody objects to him.
    Objection,
}

impl Rule {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Existence => "existence",
            Self::State => "state",
            Self::Revision => "revision",
            Self::Once => "once",
            Self::Limits => "limits",
            Self::Track => "track",
            Self::Separation => "separation",
            Self::Apart => "apart",
            Self::Sponsor => "sponsor",
            Self::CommentPeriod => "comment_period",
            Self::Count => "count",
            Self::Share => "share",
            Self::Quorum => "quorum",
            Self::Distinct => "distinct",
            Self::VoteOpen => "vote_open",
            Self::LazyConsensus => "lazy_consensus",
            Self::Evidence => "evidence",
            Self::Decision => "decision",
            Self::Escalation => "escalation",
            Self::Lifecycle => "lifecycle",
            Self::Delegation => "delegation",
            Self::VetoWindow => "veto_window",
            Self::Emergency => "emergency",
            Self::Audit => "audit",
            Self::Rollback => "rollback",
            Self::Tenure => "tenure",
            Self::Activity => "activity",
            Self::Objection => "objection",
        }
    }
}

/// Why nothing happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("rule {}: {message}", rule.as_str())]
pub struct Refusal {
    /// Which rule says so.
    pub rule: Rule,
    /// What it says, in a sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub(crate) fn new(rule: Rule, message: impl Into<String>) -> Self {
        Self { rule, message: message.into() }
    }
}
