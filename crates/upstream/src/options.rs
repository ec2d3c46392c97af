//! What an upstream is told at its start: everything resolved, no file and no environment left to read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use model::UpstreamName;
use protocol::{Raw, Revision};

use crate::{Api, Credentials, Resilience, Sharing};

/// How an upstream is reached and how far it may go.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name.
    pub name: UpstreamName,
    /// Where it is.
    pub target: Target,
    /// The one revision to speak; `None` means find out.
    pub pin: Option<Revision>,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// How many calls may run on it at a time.
    pub concurrency_max: usize,
    /// How much of it may be kept.
    pub limits: Limits,
    /// Who shares a session with it.
    pub sharing: Sharing,
    /// What is done where it fails.
    pub resilience: Resilience,
    /// Who the gateway says it is in a legacy handshake: an `Implementation`.
    pub client_info: Raw,
}

/// Where an upstream is.
#[derive(Debug, Clone)]
pub enum Target {
    /// Behind a URL.
    Http {
        /// The MCP endpoint.
        url: http::Uri,
        /// Which of the HTTP transports.
        transport: HttpTransport,
        /// Sent with every request.
        headers: Vec<(HeaderName, HeaderValue)>,
        /// By what the gateway proves itself, beside them.
        credentials: Option<Arc<dyn Credentials>>,
    },
    /// A process of ours.
    Stdio(Stdio),
    /// A web API that an OpenAPI document describes.
    Api {
        /// It, with what was made of its document: one for all who use it.
        api: Arc<Api>,
        /// By what the gateway proves itself, where an operation takes tokens.
        credentials: Option<Arc<dyn Credentials>>,
    },
}

/// Which HTTP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpTransport {
    /// Find out.
    Auto,
    /// One endpoint to post to.
    Streamable,
    /// A stream and an endpoint to post to (2024-11-05).
    SsePair,
}

/// A process that speaks on its standard streams.
#[derive(Debug, Clone)]
pub struct Stdio {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment, beside a minimal base.
    pub env: Vec<(String, String)>,
    /// Its working directory.
    pub cwd: Option<PathBuf>,
    /// A sandbox to start it in. Where none can be had, nothing is started.
    pub sandbox: Option<egress::Sandbox>,
    /// How many processes may run at a time.
    pub processes_max: usize,
    /// How long an idle process is kept.
    pub idle_stop: Duration,
    /// How long to wait before a crashed process is started again, at first.
    pub backoff_min: Duration,
    /// And at most.
    pub backoff_max: Duration,
    /// How many lines of its standard error are kept.
    pub stderr_lines_max: usize,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a connection, or a process's handshake.
    pub connect: Duration,
    /// For the first byte of an answer.
    pub first_byte: Duration,
    /// Between two bytes of an answer.
    pub idle: Duration,
    /// For the whole call, questions not counted.
    pub total: Duration,
}

/// How much may be kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A larger answer is streamed, where its transport allows it.
    pub response_buffer_bytes_max: usize,
    /// The largest server-sent event or line.
    pub message_bytes_max: usize,
    /// Sessions with a legacy upstream that everybody shares.
    pub sessions_max: usize,
    /// Sessions that were opened for somebody.
    pub kept_max: usize,
    /// How long such a session is kept without use.
    pub kept_idle: Duration,
    /// Calls on this upstream that wait for input.
    pub parked_max: usize,
    /// Calls on all upstreams together that wait for input.
    pub parked_total_max: usize,
    /// Calls of one principal that wait for input.
    pub parked_per_principal_max: usize,
    /// How long a call waits for input.
    pub park_time_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(60),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response_buffer_bytes_max: 1024 * 1024,
            message_bytes_max: 16 * 1024 * 1024,
            sessions_max: 256,
            kept_max: 64,
            kept_idle: Duration::from_secs(1_800),
            parked_max: 256,
            parked_total_max: 1_024,
            parked_per_principal_max: 32,
            park_time_max: Duration::from_secs(300),
        }
    }
}
