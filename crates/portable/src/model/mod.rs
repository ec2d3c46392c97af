//! What configurations have in common.

mod gateway;
mod server;

use indexmap::IndexMap;

pub use gateway::{
    ApiKey, Check, CheckAction, Code, Effect, Endpoint, Gateway, Issuer, Limit, LimitKind, Per, Rule, Who,
};
pub use server::{
    Container, Isolation, Network, Oauth, Package, Provenance, Scope, Server, Timeouts, Tls, Tools,
    Transport, Trust,
};

use crate::text::Text;

/// Members that a format has and this model does not, by their names in that format. They are written again
/// into the same format and into no other.
pub type Unknown = serde_json::Map<String, serde_json::Value>;

/// A configuration, whoever's it was.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// The servers, by their names there. Names are not changed before they are written.
    pub servers: IndexMap<String, Server>,
    /// What a user is asked for, by its id.
    pub inputs: IndexMap<String, Input>,
    /// What a gateway adds to its servers.
    pub gateway: Gateway,
    /// The format that `unknown` is of.
    pub format: Option<&'static str>,
    /// Members at the top that this model does not have.
    pub unknown: Unknown,
}

/// Something that a user is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    /// What it is, for that user.
    pub description: Option<String>,
    /// What stands there if he says nothing.
    pub default: Option<Text>,
    /// Whether it is not to be shown.
    pub secret: bool,
    /// What may be chosen; empty: anything.
    pub options: Vec<String>,
    /// The rest.
    pub unknown: Unknown,
}
