//! What happens when there is too much to do: calls wait in turn, and what cannot wait is turned away.

mod gate;
pub(crate) mod memory;
mod tenant;

use model::{Fault, Retry};
use protocol::{RpcError, code};
use serde_json::json;

pub(crate) use gate::{Gate, GateLimits, Place};
pub(crate) use memory::{MemoryWatch, Stage};
pub(crate) use tenant::Tenant;

/// What the names of tenants begin with that signed on. No endpoint's name has a space.
pub(crate) const SIGNED_ON: &str = "tenant ";

/// Why a call was turned away: nothing of it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shed {
    pub reason: Reason,
    /// The tenant, where it is at its own limit and the gateway is not at its.
    pub tenant: Option<String>,
    /// The limit that holds the call back.
    pub max: usize,
}

/// What a call that was turned away lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A place to wait in.
    QueueFull,
    /// A place to run in, for as long as it may wait.
    QueueTime,
    /// Memory.
    Memory,
}

impl Reason {
    /// The word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::QueueTime => "queue_time",
            Self::Memory => "memory",
        }
    }
}

impl Shed {
    /// For want of memory.
    pub fn memory() -> Self {
        Self { reason: Reason::Memory, tenant: None, max: 0 }
    }

    /// What the client is told.
    pub fn to_rpc(&self) -> RpcError {
        let (who, limit) = match (&self.tenant, self.reason) {
            (_, Reason::Memory) => ("This gateway is short of memory".to_owned(), "memory_max"),
            (Some(name), _) if name.starts_with(SIGNED_ON) => {
                (format!("This tenant runs {} calls at a time", self.max), "calls_per_tenant_max")
            }
            (Some(name), _) => {
                (format!("The endpoint {name:?} runs {} calls at a time", self.max), "calls_per_tenant_max")
            }
            (None, _) => (format!("This gateway runs {} calls at a time", self.max), "calls_max"),
        };
        let waited = match self.reason {
            Reason::QueueFull => ", and as many wait as may",
            Reason::QueueTime => ", and none ended in the time that a call may wait",
            Reason::Memory => "",
        };
        let text = format!("{who} (limit {limit}){waited}: nothing ran, try again later");
        RpcError::new(code::LIMIT, text).with(json!({
            "reason": "overloaded",
            "limit": limit,
            "at": self.reason.as_str(),
            "who": match &self.tenant {
                Some(name) if name.starts_with(SIGNED_ON) => "tenant",
                Some(_) => "endpoint",
                None => "gateway",
            },
            "fault": Fault::Gateway.as_str(),
            "retry": Retry::Safe.as_str(),
        }))
    }
}
