//! What can go wrong on the way out, who caused it, and whether anything left this process.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::child::Exit;
use crate::lines::LineTooLong;

/// A cause that several waiters can share.
pub type Source = Arc<dyn Error + Send + Sync>;

/// Who caused an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Party {
    /// Whoever named the target, wrote the options or handed over the message; the same call will fail again.
    Caller,
    /// This process or the machine it runs on: a limit, a missing program, a shutdown.
    Gateway,
    /// The other end, or the network on the way to it.
    Upstream,
}

/// What the guard refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The scheme is neither `http` nor `https`.
    Scheme,
    /// The URL carries a user name or password.
    Userinfo,
    /// The host is, or resolves to, an address that is not on the public internet.
    Address(IpAddr),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme => f.write_str("a scheme other than http and https"),
            Self::Userinfo => f.write_str("a user name in the URL"),
            Self::Address(ip) => write!(f, "the address {ip}, which is not public"),
        }
    }
}

/// Why something did not leave this process, or did not come back.
///
/// The texts are for operators: they name hosts and addresses that an outsider must not learn.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EgressError {
    /// The options cannot work: a certificate that does not parse, an empty command.
    #[error("use the option {option}: {reason}")]
    Options {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL has no host, a host or port that is not one, or a scheme that nothing here speaks.
    #[error("use the URL: {reason}")]
    BadUrl {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The guard does not let this client go there; nothing was dialled.
    #[error("reach a public address: the target has {what}")]
    Refused {
        /// What it refused.
        what: Refusal,
    },
    /// The host's name has no address, or the resolver failed.
    #[error("resolve {host}")]
    Resolve {
        /// The name.
        host: Box<str>,
        /// The resolver's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// No address of the host accepted a connection.
    #[error("connect to {authority}")]
    Connect {
        /// Host and port.
        authority: Box<str>,
        /// The last address's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// Name, connection and TLS together took longer than the limit.
    #[error("connect to {authority} within {after:?}")]
    ConnectTimeout {
        /// Host and port.
        authority: Box<str>,
        /// The limit.
        after: Duration,
    },
    /// The TLS handshake failed: an untrusted or wrong certificate, or no common version.
    #[error("agree on TLS with {authority}")]
    Tls {
        /// Host and port.
        authority: Box<str>,
        /// What rustls or the peer said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The response's head did not come in time. The request may have run.
    #[error("get the first byte of an answer within {after:?}")]
    FirstByteTimeout {
        /// The limit.
        after: Duration,
    },
    /// The response's body paused for longer than the limit.
    #[error("get more of the answer within {after:?}")]
    IdleTimeout {
        /// The limit.
        after: Duration,
    },
    /// The exchange as a whole took longer than the limit.
    #[error("finish the exchange within {after:?}")]
    TotalTimeout {
        /// The limit.
        after: Duration,
    },
    /// The connection ended before the answer was complete.
    #[error("read the whole answer before the connection ended")]
    Closed {
        /// Whether the other end may have seen any of the request. `false` is certain.
        sent: bool,
        /// What hyper reported.
        #[source]
        source: Source,
    },
    /// What came back is not HTTP.
    #[error("read the answer as HTTP")]
    BadResponse {
        /// What hyper reported.
        #[source]
        source: Source,
    },
    /// The response's body is larger than the limit.
    #[error("read an answer of more than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The program could not be started.
    #[error("start {program}")]
    Spawn {
        /// The first word of the command.
        program: Box<str>,
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
    /// A line for a child's stdin holds a newline, which would end the message early, or nothing at all.
    #[error("send a line to a child: {reason}")]
    BadLine {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A line, in either direction, is longer than the limit.
    #[error(transparent)]
    LineTooLong(#[from] LineTooLong),
    /// The child has ended or is being shut down; this line was not sent.
    #[error("reach a child process that has ended")]
    ChildGone {
        /// How it ended, once that is known.
        exit: Option<Exit>,
    },
    /// Reading from the child failed.
    #[error("read from a child process")]
    ChildRead {
        /// The operating system's answer.
        #[source]
        source: Arc<io::Error>,
    },
}

impl EgressError {
    /// Whether it is certain that the other end saw nothing of this request or line, so that a retry is safe.
    #[must_use]
    pub fn nothing_sent(&self) -> bool {
        match self {
            Self::Options { .. }
            | Self::BadUrl { .. }
            | Self::Refused { .. }
            | Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::Spawn { .. }
            | Self::BadLine { .. }
            | Self::ChildGone { .. } => true,
            Self::Closed { sent, .. } => !sent,
            Self::FirstByteTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::TotalTimeout { .. }
            | Self::BadResponse { .. }
            | Self::BodyTooLarge { .. }
            | Self::LineTooLong(_)
            | Self::ChildRead { .. } => false,
        }
    }

    /// Who caused it.
    #[must_use]
    pub fn party(&self) -> Party {
        match self {
            Self::Options { .. } | Self::BadUrl { .. } | Self::Refused { .. } | Self::BadLine { .. } => {
                Party::Caller
            }
            Self::Spawn { .. } => Party::Gateway,
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Tls { .. }
            | Self::FirstByteTimeout { .. }
            | Self::IdleTimeout { .. }
            | Self::TotalTimeout { .. }
            | Self::Closed { .. }
            | Self::BadResponse { .. }
            | Self::BodyTooLarge { .. }
            | Self::LineTooLong(_)
            | Self::ChildGone { .. }
            | Self::ChildRead { .. } => Party::Upstream,
        }
    }

    /// A short stable word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Options { .. } => "options",
            Self::BadUrl { .. } => "bad_url",
            Self::Refused { .. } => "refused",
            Self::Resolve { .. } => "resolve",
            Self::Connect { .. } => "connect",
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Tls { .. } => "tls",
            Self::FirstByteTimeout { .. } => "first_byte_timeout",
            Self::IdleTimeout { .. } => "idle_timeout",
            Self::TotalTimeout { .. } => "total_timeout",
            Self::Closed { .. } => "closed",
            Self::BadResponse { .. } => "bad_response",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::Spawn { .. } => "spawn",
            Self::BadLine { .. } => "bad_line",
            Self::LineTooLong(_) => "line_too_long",
            Self::ChildGone { .. } => "child_gone",
            Self::ChildRead { .. } => "child_read",
        }
    }
}
