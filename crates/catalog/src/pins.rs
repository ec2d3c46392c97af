//! Definitions that must be those which somebody approved. Whether they are is known elsewhere: here is
//! asked, before anything is listed or called.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use protocol::{Raw, RpcError};
use serde_json::json;

use crate::listing::{Item, Kind};

/// What becomes of a definition that is not the approved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// It is used.
    Allow,
    /// It is used, and said.
    Warn,
    /// It is neither listed nor called until it is approved.
    Quarantine,
    /// It is as unknown as one that does not exist.
    Deny,
}

/// How definitions of an upstream are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRule {
    /// What becomes of one that is not approved.
    pub drift: Drift,
    /// Whether one that is seen for the first time is approved by that.
    pub approve_first: bool,
    /// How old a list may be by which a call is judged.
    pub reread: Duration,
}

/// What holds for a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be used.
    Approved,
    /// It may be used, and is not the approved one.
    Warned,
    /// It waits for somebody to approve it.
    Quarantined,
    /// It is not to be used.
    Denied,
}

impl Standing {
    /// Whether it is listed and called.
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Approved | Self::Warned)
    }
}

/// One entry of an endpoint's list, for a comparison with the others.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Whose.
    pub upstream: String,
    /// Its own name there.
    pub name: Arc<str>,
    /// What its server says of it.
    pub description: String,
}

/// Where it is known which definitions of one upstream are approved.
#[async_trait]
pub trait Pins: Send + Sync {
    /// Reads the definitions of a list that was just fetched, and gives the hash of each, in their order.
    /// What is new is noted before this returns, for all replicas; where it cannot be, it is not approved.
    async fn read(&self, kind: Kind, entries: &[(Arc<str>, Raw)]) -> Vec<Arc<str>>;

    /// What holds for the definition of this hash.
    fn standing(&self, kind: Kind, key: &str, hash: &str) -> Standing;

    /// A number that is another one whenever a standing may be.
    fn epoch(&self) -> u64;

    /// Is told that something was called, or was to be called, that is not approved.
    fn called(&self, kind: Kind, key: &str, standing: Standing);

    /// Is told what an endpoint offers of several upstreams, whenever that is another list.
    fn compare(&self, endpoint: &str, all: Vec<Compared>);
}

/// The pins of an upstream, and the rule by which they are held.
#[derive(Clone)]
pub struct Pinned {
    /// Where they are known.
    pub pins: Arc<dyn Pins>,
    /// The rule.
    pub rule: PinRule,
}

impl Pinned {
    /// Reads the definitions of a list that was just fetched.
    pub(crate) async fn read(&self, kind: Kind, items: &mut [Item]) {
        // Resources are data: what is defined of them is a URI.
        if kind == Kind::Resources || items.is_empty() {
            return;
        }
        let entries: Vec<_> = items.iter().map(|item| (Arc::clone(&item.key), item.raw.clone())).collect();
        let mut hashes = self.pins.read(kind, &entries).await.into_iter();
        for item in items {
            // One without a hash of its own is nobody's, and approved by nobody.
            item.pin = Some(hashes.next().unwrap_or_else(|| Arc::from("")));
        }
    }

    /// What holds for an entry. One without a hash is the gateway's own.
    pub(crate) fn standing(&self, kind: Kind, item: &Item) -> Standing {
        match &item.pin {
            Some(hash) => self.pins.standing(kind, &item.key, hash),
            None => Standing::Approved,
        }
    }

    /// Whether what is not listed, or cannot be asked for, may be called in spite of it.
    pub(crate) fn is_lenient(&self) -> bool {
        matches!(self.rule.drift, Drift::Allow | Drift::Warn)
    }
}

/// Why something is not called.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is as unknown as one that does not exist.
    Unknown,
    /// It waits for somebody to approve it.
    Quarantined,
    /// Nobody can say.
    Fault(RpcError),
}

impl Refused {
    /// What is answered. Nothing ran.
    pub fn answer(self, what: &str, name: &str, unknown: impl FnOnce() -> RpcError) -> RpcError {
        match self {
            Self::Unknown => unknown(),
            Self::Fault(error) => error,
            Self::Quarantined => RpcError::invalid_params(format!(
                "The {what} {name} is quarantined: its definition is not one that was approved. Nothing ran."
            ))
            .with(json!({"reason": "quarantined", "fault": "gateway", "retry": "safe"})),
        }
    }
}
