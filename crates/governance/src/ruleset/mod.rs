//! The rules, as people write them. What is missing is not demanded; what is unknown is an error.

mod body;
mod gate;
mod people;
mod read;
mod text;

use serde::{Deserialize, Serialize};

use crate::time::{Calendar, Span};

pub use body::{Body, Part};
pub use gate::{Apart, Base, Decision, Distinct, EvidenceRule, Gate, Lazy, Share, Sponsors, VoteRule};
pub use people::{Entry, Group, Membership, Objection, Person, Role};
pub use text::Glob;

/// Everything that is decided by rules: who there is, and what each change needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ruleset {
    /// What it is called.
    pub name: String,
    /// Says openly that one person may decide alone. Otherwise such rules are refused.
    #[serde(default)]
    pub solo: bool,
    /// Whether a proposal's authors may vote on it, sponsor it and decide on it.
    #[serde(default)]
    pub authors_may_approve: bool,
    /// When people work.
    #[serde(default)]
    pub calendar: Calendar,
    /// Somebody who did nothing for so long is not counted where a rule counts the active.
    #[serde(default = "quarter")]
    pub active_within: Span,
    /// The ladder, lowest first.
    #[serde(default)]
    pub roles: Vec<Role>,
    /// Everybody who may do anything.
    pub people: Vec<Person>,
    /// Teams, working groups, committees.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Who leaves and who comes back.
    #[serde(default)]
    pub membership: Membership,
    /// Whose record is whose. The first one that fits a record has it.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// Which domains decide for themselves.
    #[serde(default)]
    pub delegation: Delegation,
    /// What the core keeps in its hands.
    #[serde(default)]
    pub oversight: Oversight,
    /// To whom one turns where a domain does not come to an end.
    #[serde(default)]
    pub escalation: Option<Escalation>,
    /// What is applied first and reviewed afterwards.
    #[serde(default)]
    pub emergency: Option<Emergency>,
    /// What comes first, and what has to wait for it.
    #[serde(default)]
    pub priorities: Priorities,
    /// How long what is deprecated stays.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Ways that a proposal can go. The first one that takes its kind and risk is its own.
    pub tracks: Vec<Track>,
}

fn quarter() -> Span {
    Span::Days(90)
}

/// How much harm a change can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Easily undone, seen by few.
    Low,
    /// The usual.
    #[default]
    Medium,
    /// Data leaves, money moves, many are cut off.
    High,
}

impl Risk {
    /// All of them, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Records that belong together, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// What it is called.
    pub name: String,
    /// Patterns of `kind:name`, with `*` and `?`: `upstream:pay-*`.
    pub records: Vec<Glob>,
    /// The group that owns them.
    pub owners: String,
}

/// Which domains decide for themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delegation {
    /// Whether any grant is in force.
    pub enabled: bool,
    /// What was handed to whom.
    pub grants: Vec<Grant>,
}

/// A domain's changes are accepted by a group, within limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Of which domain.
    pub domain: String,
    /// Which group gives it: the one with the oversight, or one that holds a grant of the domain.
    pub by: String,
    /// Which group accepts.
    pub to: String,
    /// Up to which risk.
    #[serde(default)]
    pub risk_at_most: Risk,
    /// How many acceptances there may be in a period; the next goes to the core.
    #[serde(default)]
    pub at_most: Option<Limit>,
    /// Not after the end of this day.
    #[serde(default)]
    pub until: Option<crate::time::Date>,
}

/// So many in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// In which time, looking back.
    pub per: Span,
}

/// What the core keeps in its hands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Oversight {
    /// The group that delegates, and from which every grant comes.
    pub group: Option<String>,
    /// Who stops what was accepted.
    pub veto: Option<Veto>,
    /// Which delegated decisions are looked at again.
    pub sample: Option<Sample>,
    /// Who takes back what is in force. Owners of its domain always may.
    pub rollback: Body,
    /// Who ends a grant. Whoever is in the group that gave it always may.
    pub revoke: Body,
}

/// Who stops a proposal, and for how long after its acceptance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Veto {
    /// Who: one of them is enough.
    pub by: Body,
    /// Who besides stops what a domain accepted.
    #[serde(default)]
    pub of_domains: Body,
    /// How long after the acceptance. Before it a veto is always possible.
    pub within: Span,
    /// Whether what the core itself accepted can be stopped too.
    #[serde(default)]
    pub core_too: bool,
    /// Whether an accepted change waits for the end of the window before it is applied.
    #[serde(default)]
    pub wait: bool,
}

/// Which delegated decisions are looked at again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Of a hundred.
    pub percent: u32,
    /// Who looks. Nobody who took part in the decision.
    pub by: Body,
    /// In which time; after it they are reminded every day.
    pub within: Span,
    /// So many decisions that were found unsound end the grant.
    #[serde(default)]
    pub findings_end_grant: Option<u32>,
    /// Goes into the choice, so that two rulesets do not choose the same.
    #[serde(default)]
    pub salt: String,
}

/// To whom one turns, one level after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// Who may turn to them. Authors, sponsors and owners always may.
    #[serde(default)]
    pub by: Body,
    /// Silence at one goes on to the next.
    pub levels: Vec<Level>,
}

/// One level of an escalation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Who answers: one of them is enough.
    pub to: Body,
    /// In which time.
    pub answer_within: Span,
    /// Whoever shares this with an author does not answer.
    #[serde(default)]
    pub apart: Option<Apart>,
}

/// What is applied first and reviewed afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emergency {
    /// Who applies.
    pub by: Body,
    /// How many of them have to say so.
    #[serde(default = "one")]
    pub hands: u32,
    /// Up to which risk.
    #[serde(default = "any_risk")]
    pub risk_at_most: Risk,
    /// In which time it is reviewed.
    pub review_within: Span,
    /// What the review needs. Whoever applied it does not count, and one refusal takes it back.
    pub review: VoteRule,
    /// What becomes of it where nobody reviews it.
    #[serde(default)]
    pub on_silence: OnSilence,
}

fn one() -> u32 {
    1
}

fn any_risk() -> Risk {
    Risk::High
}

/// What becomes of an emergency change that nobody reviewed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSilence {
    /// It is taken back.
    #[default]
    Rollback,
    /// It stays.
    Keep,
}

/// What comes first, and what has to wait for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Priorities {
    /// Areas that were declared.
    pub areas: Vec<Area>,
    /// What holds for proposals of no declared area.
    pub others: Option<Weight>,
}

/// A declared area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// What it is called; a proposal names it.
    pub name: String,
    /// What it changes.
    pub weight: Weight,
}

/// How a proposal's area changes what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// Comment periods, silences and votes take so many percent of their time.
    #[serde(default = "hundred")]
    pub clock_percent: u32,
    /// So many votes more, or fewer, where a number is demanded; never fewer than one.
    #[serde(default)]
    pub votes: i32,
    /// Why. It is shown with the proposal.
    pub reason: String,
}

fn hundred() -> u32 {
    100
}

/// How long what is deprecated stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// From the acceptance of a deprecation to the first day of a removal.
    pub window: Option<Span>,
    /// The same where security does not allow to wait. Without it nothing is expedited.
    pub expedited: Option<Span>,
    /// Whether a deprecation has to name an active record that takes its place.
    pub replacement: bool,
}

/// A way that proposals go: from proposed to draft, in review, accepted and final.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Track {
    /// What it is called.
    pub name: String,
    /// Kinds of change that it takes, with `*` and `?`.
    pub kinds: Vec<Glob>,
    /// Risks that it takes; all where none is named.
    #[serde(default)]
    pub risks: Vec<Risk>,
    /// Who proposes.
    pub propose: Body,
    /// What makes a proposal a draft.
    #[serde(default)]
    pub draft: Gate,
    /// What brings a draft into review.
    #[serde(default)]
    pub review: Gate,
    /// What accepts it.
    #[serde(default)]
    pub acceptance: Gate,
    /// What accepts it instead, where its domain decides for itself.
    #[serde(default)]
    pub delegated: Option<Gate>,
    /// What makes an accepted one final. Without it acceptance is the end.
    #[serde(default, rename = "final")]
    pub completion: Option<Gate>,
    /// What happens where nothing happens.
    #[serde(default)]
    pub deadlines: Vec<Deadline>,
}

/// What happens to a proposal that stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadline {
    /// In which state.
    #[serde(rename = "in")]
    pub state: crate::state::Status,
    /// For how long.
    pub after: Span,
    /// Since when.
    #[serde(default)]
    pub since: Since,
    /// What then.
    pub then: Then,
    /// Who is reminded, and does something about it.
    #[serde(default)]
    pub whom: Body,
    /// Reminds again and again.
    #[serde(default)]
    pub every: Option<Span>,
}

/// Where a deadline begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Since {
    /// When it came into the state.
    #[default]
    Entered,
    /// When somebody last did anything about it.
    Activity,
}

/// What a deadline does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Somebody is reminded.
    Ping,
    /// It sleeps until somebody takes it up again.
    Dormant,
    /// It goes to the next level of escalation.
    Escalate,
    /// It is rejected.
    Reject,
}

impl Track {
    /// All gates that a proposal of the track may have to pass.
    #[must_use]
    pub fn gates(&self) -> Vec<&Gate> {
        let both = [&self.delegated, &self.completion].into_iter().flatten();
        [&self.draft, &self.review, &self.acceptance].into_iter().chain(both).collect()
    }
}
