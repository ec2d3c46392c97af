//! The gateway as an authorization server.

use std::path::Path;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Secret, Span};

/// The gateway's own authorization server, for clients that the enterprise's identity provider does not
/// know: users sign in there, and the gateway issues tokens for its endpoints alone. Where `allow` has
/// `broker`, they are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Where users sign in: names of `issuers` that have a `sign_in`. Where there are several, each user
    /// chooses.
    ///
    /// An empty list lets nobody in. Since 0.1.
    pub sign_in: Vec<String>,

    /// How long an access token is good; `30s` to `1h`.
    ///
    /// Since 0.1.
    pub token_ttl: Span,

    /// How long a user stays signed in at a client, however often its tokens are renewed; at most `365d`.
    ///
    /// Since 0.1.
    pub refresh_ttl: Span,

    /// Whether clients may register themselves (RFC 7591).
    ///
    /// Since 0.1.
    pub registration: bool,

    /// Whether a client may be known by a document at its own https URL (client id metadata documents).
    ///
    /// Since 0.1.
    pub client_documents: bool,

    /// Hosts of such documents that may be in a private network or on this machine. Those on this machine may
    /// do without TLS.
    ///
    /// Since 0.1.
    pub client_hosts: Vec<String>,

    /// Clients that the operator knows.
    ///
    /// Since 0.1.
    pub clients: Vec<BrokerClient>,

    /// Names of `issuers` that vouch for their users, so that those need not sign in here (enterprise-managed
    /// authorization, ID-JAG).
    ///
    /// Since 0.1.
    pub enterprise: Vec<String>,

    /// Scopes that only members of some groups are granted: the name of the scope, and those groups.
    ///
    /// An empty list grants it to nobody. Other scopes are granted to whoever allows his client to ask for
    /// them. Since 0.1.
    pub scope_groups: IndexMap<String, Vec<String>>,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            sign_in: Vec::new(),
            token_ttl: Span::from_mins(5),
            refresh_ttl: Span::from_hours(30 * 24),
            registration: true,
            client_documents: true,
            client_hosts: Vec::new(),
            clients: Vec::new(),
            enterprise: Vec::new(),
            scope_groups: IndexMap::new(),
        }
    }
}

/// A client that the operator knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerClient {
    /// What it is called.
    ///
    /// Since 0.1.
    pub client_id: String,

    /// What it proves itself by.
    ///
    /// It belongs into a file or the environment. By default it has nothing, unless `jwks_uri` says where its
    /// keys are. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,

    /// Where its public keys are (`private_key_jwt`).
    ///
    /// By default it has none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,

    /// Its name, for people.
    ///
    /// By default its `client_id`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,

    /// Where users are sent back to.
    ///
    /// They are compared byte for byte, but for the port of a plain one on the user's own machine. A client
    /// that only brings assertions needs none. Since 0.1.
    pub redirect_uris: Vec<String>,
}

impl Broker {
    pub(super) fn anchor(&mut self, folder: &Path) {
        let secrets = self.clients.iter_mut().filter_map(|client| client.client_secret.as_mut());
        secrets.for_each(|secret| secret.anchor(folder));
    }
}
