//! Who caused an error, and whether trying again is safe.

use std::fmt;

/// Who caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The one who called us; the same call will fail again.
    Client,
    /// This gateway: a limit, a bug, a shutdown.
    Gateway,
    /// The server behind us, or the way to it.
    Upstream,
}

impl Fault {
    /// The word used in errors, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Upstream => "upstream",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the same call may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Nothing ran: the call may be made again at once or later.
    Safe,
    /// The call may have run: repeat it only where the tool is known to be idempotent.
    MayHaveRun,
    /// The call will fail again until something about it changes.
    Useless,
}

impl Retry {
    /// The word used in errors, metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::MayHaveRun => "may_have_run",
            Self::Useless => "useless",
        }
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
