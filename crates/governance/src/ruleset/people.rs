//! Who there is, and how one climbs the ladder.

use serde::{Deserialize, Serialize};

use super::{Body, VoteRule};
use crate::time::{Date, Span};

/// A rung of the ladder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// What it is called.
    pub name: String,
    /// How one gets it. Without it, only the ruleset gives it.
    #[serde(default)]
    pub entry: Option<Entry>,
    /// Who does nothing for so long becomes emeritus.
    #[serde(default)]
    pub inactive_after: Option<Span>,
}

/// How one gets a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Who nominates.
    pub nominate: Body,
    /// The role that one has before; the one below where none is named.
    #[serde(default)]
    pub after: Option<String>,
    /// How long one has had it.
    #[serde(default)]
    pub tenure: Option<Span>,
    /// How many acts of the last time count as sustained work, computed and not claimed.
    #[serde(default)]
    pub acts: Option<super::Limit>,
    /// One of these has to pass. The nominee has no vote.
    pub votes: Vec<VoteRule>,
    /// Time in which others may object.
    #[serde(default)]
    pub objection: Option<Objection>,
}

/// Time in which others may object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// How long.
    pub period: Span,
    /// Who.
    pub by: Body,
}

/// Somebody who may do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What he is called.
    pub name: String,
    /// His rung of the ladder when he comes in; later promotions count more.
    #[serde(default)]
    pub role: Option<String>,
    /// For whom he works.
    #[serde(default)]
    pub organization: Option<String>,
    /// With whom.
    #[serde(default)]
    pub team: Option<String>,
    /// Since when he has the role.
    #[serde(default)]
    pub since: Option<Date>,
}

/// A team, a working group, a committee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Who is in it.
    pub members: Vec<String>,
}

/// Who leaves and who comes back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Membership {
    /// Who removes somebody: one of them is enough, and never for himself.
    pub removed_by: Body,
    /// Who takes somebody emeritus back: one of them is enough, and never for himself.
    pub returned_by: Body,
}
