//! What has to be there before a proposal goes on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Body;
use crate::time::Span;

/// Everything that one step of a proposal needs, all of it. An empty one lets it through at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gate {
    /// People who stand for it.
    pub sponsors: Option<Sponsors>,
    /// So long it is open to everybody's comments; a new revision begins anew.
    pub comment_period: Option<Span>,
    /// Votes.
    pub votes: Vec<VoteRule>,
    /// Silence is consent.
    pub lazy: Option<Lazy>,
    /// What has to be shown for this very revision.
    pub evidence: Vec<EvidenceRule>,
    /// Somebody says so, and why.
    pub decision: Option<Decision>,
}

impl Gate {
    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// People who stand for a proposal. None of its authors is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sponsors {
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// Of whom.
    pub from: Body,
    /// Whoever shares this with an author is none.
    #[serde(default)]
    pub apart: Option<Apart>,
}

fn one() -> u32 {
    1
}

/// What two people may share that keeps one from judging the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Apart {
    /// The organization. Who names none may share any.
    Organization,
    /// The team. Who names none may share any.
    Team,
}

impl Apart {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Team => "team",
        }
    }
}

/// Votes that are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteRule {
    /// Who votes. No author does.
    pub from: Body,
    /// At least so many say yes.
    #[serde(default)]
    pub count: Option<u32>,
    /// Such a share says yes: `more than 1/2`, `at least 2/3`.
    #[serde(default)]
    pub share: Option<Share>,
    /// Of whom the share and the quorum are.
    #[serde(default)]
    pub of: Base,
    /// Such a share takes part, abstaining or not.
    #[serde(default)]
    pub quorum: Option<Share>,
    /// Whoever shares this with an author has no vote.
    #[serde(default)]
    pub apart: Option<Apart>,
    /// From how many sides the yes has to come.
    #[serde(default)]
    pub distinct: Option<Distinct>,
    /// The vote is counted after so long, not before, and fails where it does not pass then.
    #[serde(default)]
    pub open_for: Option<Span>,
}

/// From how many sides a yes has to come. Who names none comes from no side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distinct {
    /// Sides of what.
    pub by: Apart,
    /// How many.
    pub count: u32,
}

/// Of whom a share is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// Everybody who may vote: who is absent or abstains does not say yes.
    #[default]
    Eligible,
    /// Those of them who did anything of late.
    Active,
    /// Those who said yes or no. A quorum is then of everybody who may vote.
    Present,
}

impl Base {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eligible => "eligible",
            Self::Active => "active",
            Self::Present => "present",
        }
    }
}

/// A share: `more than 1/2`, `at least 2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Share {
    /// Whether exactly the share is too little.
    pub more: bool,
    /// So many,
    pub of: u32,
    /// of so many.
    pub parts: u32,
}

impl Share {
    /// Whether `part` of `whole` is enough. No share of nobody is.
    #[must_use]
    pub fn holds(self, part: usize, whole: usize) -> bool {
        let (have, need) = (part as u64 * u64::from(self.parts), whole as u64 * u64::from(self.of));
        whole > 0 && if self.more { have > need } else { have >= need }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no share: write \"more than 1/2\" or \"at least 2/3\"");
        let (more, rest) = match (text.strip_prefix("more than "), text.strip_prefix("at least ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(form()),
        };
        let (of, parts) = rest.split_once('/').ok_or_else(form)?;
        let number = |text: &str| text.parse::<u32>().ok().filter(|n| *n <= 1_000).ok_or_else(form);
        let (of, parts) = (number(of)?, number(parts)?);
        let possible = parts > 0 && if more { of < parts } else { (1..=parts).contains(&of) };
        if possible { Ok(Self { more, of, parts }) } else { Err(form()) }
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.more { "more than" } else { "at least" };
        write!(f, "{word} {}/{}", self.of, self.parts)
    }
}

/// Silence is consent; a block asks for a vote, or for another revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lazy {
    /// How long.
    pub silence: Span,
    /// Who may block, with an objection and an alternative.
    pub blocks: Body,
    /// The vote that goes over blocks. Without it only their author lifts them.
    #[serde(default)]
    pub on_block: Option<VoteRule>,
}

/// What has to be shown, for this very revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRule {
    /// Of what kind: `conformance-report`, `security-scan`, `pin-review`, `owner-on-call`.
    pub kind: String,
    /// Who attests it.
    pub from: Body,
    /// Whether authors may attest it themselves, if they are of those.
    #[serde(default)]
    pub authors: bool,
    /// Not older than this.
    #[serde(default)]
    pub fresh: Option<Span>,
}

/// Somebody says so, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Who. No author does.
    pub by: Body,
    /// Whoever shares this with an author does not.
    #[serde(default)]
    pub apart: Option<Apart>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nobody_is_never_enough() {
        let half: Share = "more than 1/2".parse().expect("a share");
        assert!(!half.holds(0, 0) && !half.holds(2, 4) && half.holds(3, 4));
        let two_thirds: Share = "at least 2/3".parse().expect("a share");
        assert!(two_thirds.holds(2, 3) && two_thirds.holds(4, 6) && !two_thirds.holds(3, 5));
    }

    #[test]
    fn a_share_that_nobody_or_everybody_has_is_none() {
        for text in ["1/2", "more than 1/1", "at least 0/3", "at least 4/3", "at least 1/0", "more than 0.5"]
        {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        for text in ["more than 0/1", "at least 1/1"] {
            assert_eq!(text.parse::<Share>().expect(text).to_string(), text);
        }
    }
}
