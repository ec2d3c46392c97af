//! Configurations of other gateways.
//!
//! A gateway's file says more than servers: where it listens, who may come in, what he may do there, how much
//! of it. Whatever of that keeps somebody from something is either carried over, made stricter, or told as
//! lost.

mod agentgateway;
mod cedar;
mod cel;
mod contextforge;
mod doc;
mod docker;
mod litellm;
mod metamcp;
mod ours;
mod reading;
mod table;
mod toolhive;
mod variable;
mod write;

use crate::format::{Fault, Format};
pub(crate) use ours::{
    EVEN_SHARE, ORIGINS_LEFT_OUT, containers, fit_issuers, fit_limit, fit_origins, is_loopback,
};
pub use ours::{Migrated, POLICY_FILE, migrate, migrate_into};
pub(crate) use reading::duration;

/// The formats of gateways, in the order in which they are listed.
pub const GATEWAYS: &[&dyn Format] = &[
    &agentgateway::AgentGateway,
    &contextforge::ContextForge,
    &docker::Docker,
    &litellm::LiteLlm,
    &metamcp::MetaMcp,
    &toolhive::ToolHive,
];

/// A value as YAML, the same each time.
#[must_use]
pub fn yaml(value: &serde_json::Value) -> String {
    write::yaml(value)
}

/// A text of YAML as values.
///
/// # Errors
/// What is wrong with the text.
pub fn tree(text: &str, file: &str) -> Result<serde_json::Value, Fault> {
    doc::parse(text, file).map(|root| root.to_json())
}

/// Something wrong with a whole text.
pub(crate) fn whole(file: &str, message: &str) -> Fault {
    doc::whole(file, message)
}
