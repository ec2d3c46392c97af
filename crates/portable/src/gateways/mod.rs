//! Configurations of other gateways.
//!
//! A gateway's file says more than servers: where it listens, who may come in, what he may do there, how much
//! of it. Whatever of that keeps somebody from something is either carried over, made stricter, or told as lost.

mod agentgateway;
mod cedar;
mod cel;
mod contextforge;
mod doc;
mod docker;
mod litellm;
mod metamcp;
mod reading;
mod table;
mod toolhive;
mod variable;
mod write;

use crate::format::Format;

/// The formats of gateways, in the order in which they are listed.
pub const GATEWAYS: &[&dyn Format] = &[
    &agentgateway::AgentGateway,
    &contextforge::ContextForge,
    &docker::Docker,
    &litellm::LiteLlm,
    &metamcp::MetaMcp,
    &toolhive::ToolHive,
];
