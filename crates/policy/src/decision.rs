//! What a decision is.

use std::sync::Arc;
use std::time::Duration;

/// What may become of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// It may be done, under the decision's duties.
    Allow,
    /// It may not.
    Deny,
    /// It may be done once somebody has said yes.
    Ask(Ask),
}

/// Who has to say yes, and what holds for the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who.
    pub whom: Whom,
    /// What the policy's author wants to be said.
    pub message: Option<Arc<str>>,
    /// How long the question stands.
    pub stands: Duration,
}

/// Who has to say yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// The caller.
    Caller,
    /// Somebody else: one of these groups. An empty list is nobody.
    Groups(Vec<Arc<str>>),
}

/// What has to hold for whoever calls, beside who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requirement {
    /// His proof is bound to a key (RFC 9449) or a certificate (RFC 8705).
    BoundProof,
    /// He signed in at most this long ago.
    FreshSignIn(Duration),
}

/// What has to be done along the way of what is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Duties {
    /// Members of the arguments that do not go on, by JSON pointer (RFC 6901).
    pub redact_arguments: Vec<Arc<str>>,
    /// Members of the result that do not go on, by JSON pointer.
    pub redact_results: Vec<Arc<str>>,
    /// What is blanked in arguments, by the detector's name.
    pub detect_arguments: Vec<Arc<str>>,
    /// What is blanked in results, by the detector's name.
    pub detect_results: Vec<Arc<str>>,
    /// The largest result, in bytes; the smallest of several.
    pub result_bytes_max: Option<u64>,
    /// What has to hold for the caller's proof.
    pub requires: Vec<Requirement>,
    /// Whether arguments and results are written to the audit log.
    pub capture: bool,
}

impl Duties {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Those of both.
    pub fn join(&mut self, other: &Self) {
        let Self {
            redact_arguments,
            redact_results,
            detect_arguments,
            detect_results,
            result_bytes_max,
            requires,
            capture,
        } = other;
        for (own, more) in [
            (&mut self.redact_arguments, redact_arguments),
            (&mut self.redact_results, redact_results),
            (&mut self.detect_arguments, detect_arguments),
            (&mut self.detect_results, detect_results),
        ] {
            own.extend(more.iter().filter(|one| !own.contains(one)).cloned().collect::<Vec<_>>());
        }
        self.requires
            .extend(requires.iter().filter(|one| !self.requires.contains(one)).cloned().collect::<Vec<_>>());
        let both = self.result_bytes_max.into_iter().chain(*result_bytes_max);
        self.result_bytes_max = both.min();
        self.capture |= capture;
    }
}

/// What was decided, and by which policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What may become of it.
    pub effect: Effect,
    /// What has to be done along the way.
    pub duties: Duties,
    /// The policies that decided, as `scope/name`; none where no policy permits it.
    pub policies: Arc<[Arc<str>]>,
    /// Why, in the policy author's words.
    pub reason: Option<Arc<str>>,
    /// What went wrong while deciding. Then it is denied.
    pub fault: Option<Arc<str>>,
}
