//! Connectors to MCP servers of either era.
//!
//! To the rest of the gateway every upstream is a modern server: [`Upstream::call`] takes a modern call
//! and gives a modern reply. What the server really speaks is found out once, and translated here by
//! `bridge`'s machines.

mod api;
mod check;
mod core;
mod credentials;
mod detect;
mod error;
mod http;
mod kept;
mod legacy;
mod listen;
mod modern_run;
mod observe;
mod options;
mod outbound;
mod park;
mod pipe;
mod reply;
mod resilience;
#[cfg(test)]
mod testing;
mod timed;
mod upstream;

pub use crate::api::{Api, ApiOptions, DocumentAt, Select};
pub use crate::core::{CallContext, Change, Stats};
pub use credentials::{Credentials, Next, NoProof, Proof, Why};
pub use error::{CallError, CallErrorKind};
pub use kept::{Kept, Line, Place, Sharing};
pub use listen::Interest;
pub use observe::{Ended, Ending, Observer, Request, Watched};
pub use options::{HttpTransport, Limits, Options, Stdio, Target, Timeouts};
pub use reply::{Body, BodyStream, Item, ItemStream, Outcome, Reply};
pub use resilience::{
    AddressHealth, Again, BreakerOptions, Circuit, Condition, EjectOptions, HealthOptions, HedgeAfter,
    Resilience, ResilienceStats, reads,
};
pub use upstream::{Discovery, Health, Upstream};
