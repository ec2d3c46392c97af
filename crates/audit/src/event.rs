//! What happened, before it is a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

/// Which half of an operation it tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It begins.
    Started,
    /// It has ended.
    Completed,
    /// It has no length.
    Single,
}

/// How it ended (SEP-3004, `outcome`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was let through, and was done.
    Allowed,
    /// It was not let through.
    Denied,
    /// Somebody has to say something first.
    Deferred,
    /// It went wrong.
    Error,
}

/// Who decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// `allow`, `deny` or `ask`.
    pub effect: &'static str,
    /// The policies that decided.
    pub policies: Arc<[Arc<str>]>,
    /// Of which version: the digest of all that were in force.
    pub version: Arc<str>,
    /// Why.
    pub reason: Option<Arc<str>>,
}

/// What was said or answered: its digest, its size, and itself where it is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// How many bytes.
    pub bytes: u64,
    /// The bytes, where they are to be kept.
    pub captured: Option<Arc<[u8]>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The operation that it is of: the same from its beginning to its last exit.
    pub operation: Arc<str>,
    /// Which half.
    pub phase: Phase,
    /// What kind of thing it is, as `tool_call` or `policy_change` (docs/audit.md has the list).
    pub kind: &'static str,
    /// Of which tenant; the log of that tenant has it.
    pub tenant: Arc<str>,
    /// Who.
    pub subject: Arc<str>,
    /// Who acts for him, the nearest first.
    pub actors: Vec<String>,
    /// Through which client.
    pub client: Option<Arc<str>>,
    /// At which endpoint.
    pub endpoint: Option<Arc<str>>,
    /// At which upstream.
    pub upstream: Option<Arc<str>>,
    /// The tool's own name, the prompt's, the resource's URI.
    pub target: Option<Arc<str>>,
    /// Who decided what.
    pub decided: Option<Decided>,
    /// How it ended.
    pub outcome: Outcome,
    /// The code of an error.
    pub code: Option<i64>,
    /// What was asked.
    pub arguments: Option<Content>,
    /// What was answered.
    pub result: Option<Content>,
    /// How long it took, in microseconds.
    pub took_us: Option<u64>,
    /// How often it was tried.
    pub attempts: Option<u32>,
    /// `traceparent` of what it is a part of (W3C Trace Context).
    pub trace: Option<Arc<str>>,
    /// Where it came from.
    pub address: Option<std::net::IpAddr>,
    /// What else there is to say, in the words of its kind.
    pub details: BTreeMap<&'static str, String>,
}

impl Event {
    /// Something without length that went well, of which nothing else is known yet.
    #[must_use]
    pub fn new(kind: &'static str, at: Timestamp, tenant: &str, subject: &str) -> Self {
        Self {
            at,
            operation: Arc::from(""),
            phase: Phase::Single,
            kind,
            tenant: Arc::from(tenant),
            subject: Arc::from(subject),
            actors: Vec::new(),
            client: None,
            endpoint: None,
            upstream: None,
            target: None,
            decided: None,
            outcome: Outcome::Allowed,
            code: None,
            arguments: None,
            result: None,
            took_us: None,
            attempts: None,
            trace: None,
            address: None,
            details: BTreeMap::new(),
        }
    }
}
