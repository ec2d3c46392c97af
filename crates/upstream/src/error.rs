//! Why a call on an upstream came to nothing: who caused it, and whether it may be made again.

use std::sync::Arc;
use std::time::Duration;

use model::{Fault, Retry, UpstreamName};
use protocol::{Raw, RpcError, code};
use serde_json::json;

/// A call that has no answer from the upstream. Cheap to clone: many callers may wait for one attempt.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{kind} (upstream {upstream}{})", in_words(.detail))]
pub struct CallError {
    /// Which upstream.
    pub upstream: UpstreamName,
    /// What happened.
    pub kind: CallErrorKind,
    /// More for the operator; never sent to clients.
    pub detail: Option<Arc<str>>,
    /// Whether it happened before the call was sent, whatever the kind says of others.
    pub(crate) unsent: bool,
    /// How long the server asks to wait before the next call, where it says so.
    pub(crate) retry_after: Option<Duration>,
    /// What the one who called gets in its place once it is not made again: a result that tells of it.
    pub(crate) instead: Option<Raw>,
}

fn in_words(detail: &Option<Arc<str>>) -> String {
    detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default()
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CallErrorKind {
    /// No connection, or no process: nothing was sent.
    #[error("cannot be reached")]
    Unreachable,
    /// There is a server, and it speaks no revision that the gateway can use, or not the pinned one.
    #[error("speaks no revision that the gateway can use")]
    OtherRevision,
    /// The document that describes it cannot be used, or is not what it was: nothing was sent.
    #[error("is described by a document that cannot be used")]
    Document,
    /// It asks for credentials that it was not given.
    #[error("refuses the gateway's credentials")]
    Unauthorized,
    /// The user has to let the gateway use it first: nothing ran.
    #[error("needs the user's consent first")]
    Consent,
    /// It broke off before it answered: the call may have run.
    #[error("broke off before it answered")]
    Broke,
    /// It did not answer in time: the call may have run.
    #[error("did not answer in time")]
    Timeout,
    /// It sent something that is no answer: the call may have run.
    #[error("sent something that is no answer")]
    Invalid,
    /// It answered with an HTTP status that says it did not take the call.
    #[error("refused the request with HTTP status {0}")]
    Status(u16),
    /// As many calls as allowed run on it: nothing was sent.
    #[error("is busy: its concurrency limit is reached")]
    Busy,
    /// As many calls as allowed wait for answers: the call was given up.
    #[error("has too many calls waiting for input")]
    ParkLimit,
    /// The call that waited for this answer is gone: expired, or answered before.
    #[error("no longer has the call that waited for this input")]
    ParkedGone,
    /// The gateway is stopping it.
    #[error("is being stopped")]
    Stopped,
    /// There are as many sessions as allowed: nothing was sent.
    #[error("has as many sessions as allowed (sessions_max)")]
    SessionLimit,
    /// Too many calls on it failed, so that none is made for a while: nothing was sent.
    #[error("is left alone for a while, as too many calls on it failed")]
    CircuitOpen,
    /// The session that the call belongs to is gone, and what the server remembered with it: nothing ran.
    #[error("no longer has the session of this call")]
    SessionGone,
}

impl CallErrorKind {
    /// The word for it in metrics and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::OtherRevision => "other_revision",
            Self::Document => "document",
            Self::Unauthorized => "unauthorized",
            Self::Consent => "consent_needed",
            Self::Broke => "broke",
            Self::Timeout => "timeout",
            Self::Invalid => "invalid_answer",
            Self::Status(_) => "http_status",
            Self::Busy => "busy",
            Self::ParkLimit => "park_limit",
            Self::ParkedGone => "parked_gone",
            Self::Stopped => "stopped",
            Self::SessionLimit => "session_limit",
            Self::CircuitOpen => "circuit_open",
            Self::SessionGone => "session_gone",
        }
    }

    /// Whether the call may be made again.
    #[must_use]
    pub fn retry(self) -> Retry {
        match self {
            Self::Unreachable | Self::Busy | Self::Stopped | Self::SessionLimit | Self::CircuitOpen => {
                Retry::Safe
            }
            Self::Broke | Self::Timeout | Self::Invalid | Self::ParkLimit | Self::ParkedGone => {
                Retry::MayHaveRun
            }
            Self::OtherRevision | Self::Document | Self::Unauthorized | Self::Consent | Self::SessionGone => {
                Retry::Useless
            }
            Self::Status(status) if status >= 500 => Retry::MayHaveRun,
            Self::Status(_) => Retry::Useless,
        }
    }

    /// Who caused it.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::Busy | Self::ParkLimit | Self::Stopped | Self::SessionLimit => Fault::Gateway,
            Self::ParkedGone | Self::SessionGone | Self::Consent => Fault::Client,
            _ => Fault::Upstream,
        }
    }

    fn code(self) -> i64 {
        match self {
            Self::Unreachable | Self::Stopped | Self::CircuitOpen => code::UPSTREAM_UNREACHABLE,
            Self::OtherRevision | Self::Document => code::UPSTREAM_REVISION,
            Self::Broke | Self::Status(_) | Self::Unauthorized | Self::Consent => code::UPSTREAM_BROKE,
            Self::Timeout => code::UPSTREAM_TIMEOUT,
            Self::Invalid => code::UPSTREAM_INVALID,
            Self::Busy | Self::ParkLimit | Self::SessionLimit => code::LIMIT,
            Self::SessionGone => code::SESSION_GONE,
            Self::ParkedGone => code::PARKED_GONE,
        }
    }
}

impl CallError {
    /// An error of this kind.
    #[must_use]
    pub fn new(upstream: &UpstreamName, kind: CallErrorKind) -> Self {
        Self {
            upstream: upstream.clone(),
            kind,
            detail: None,
            unsent: false,
            retry_after: None,
            instead: None,
        }
    }

    /// The same error with words for the operator.
    #[must_use]
    pub fn detail(mut self, detail: impl std::fmt::Display) -> Self {
        self.detail = Some(Arc::from(detail.to_string()));
        self
    }

    /// The same error with the wait that the server asks for.
    #[must_use]
    pub(crate) fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same error, in place of which the caller gets a result.
    #[must_use]
    pub(crate) fn instead(mut self, result: Option<Raw>) -> Self {
        self.instead = result;
        self
    }

    /// The same error of a call that waited and was never sent.
    #[must_use]
    pub(crate) fn unsent(mut self) -> Self {
        self.unsent = true;
        self
    }

    /// Whether the call may be made again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self.kind.retry() {
            Retry::MayHaveRun if self.unsent => Retry::Safe,
            retry => retry,
        }
    }

    /// The answer to the client: what happened, who caused it, whether a retry is safe.
    #[must_use]
    pub fn to_rpc(&self) -> RpcError {
        let (kind, name) = (self.kind, self.upstream.as_str());
        let mut data = json!({
            "upstream": name,
            "reason": kind.as_str(),
            "fault": kind.fault().as_str(),
            "retry": self.retry().as_str(),
        });
        if let CallErrorKind::Status(status) = kind {
            data["status"] = json!(status);
        }
        if let Some(wait) = self.retry_after {
            data["retryAfterMs"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        }
        RpcError::new(kind.code(), format!("Upstream {name} {kind}")).with(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_sent_can_be_repeated_unless_that_is_useless() {
        let name = UpstreamName::new("crm").expect("a name");
        let retry = |kind| {
            let error = CallError::new(&name, kind);
            let data = |error: &CallError| error.to_rpc().data.expect("data")["retry"].clone();
            (data(&error), data(&error.unsent()))
        };
        assert_eq!(retry(CallErrorKind::Timeout), (json!("may_have_run"), json!("safe")));
        assert_eq!(retry(CallErrorKind::Broke), (json!("may_have_run"), json!("safe")));
        assert_eq!(retry(CallErrorKind::Unreachable), (json!("safe"), json!("safe")));
        assert_eq!(retry(CallErrorKind::OtherRevision), (json!("useless"), json!("useless")));
    }
}
