//! By what the gateway proves itself to a server.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Algorithm;
use crate::value::Secret;

/// A token of the gateway's own for one server, from an authorization server.
///
/// One of `client_secret`, `private_key` and `workload_token` is given. What a client of the gateway brings
/// is never passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamAuth {
    /// What the gateway is called at the authorization server.
    ///
    /// Not needed with `workload_token`. Since 0.1.
    pub client_id: String,

    /// The secret that both know (OAuth client credentials, SEP-1046).
    ///
    /// By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,

    /// The private key by which the gateway signs who it is (`private_key_jwt`), in PEM (PKCS #8).
    ///
    /// By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<Secret>,

    /// How `private_key` signs.
    ///
    /// Since 0.1.
    pub algorithm: Algorithm,

    /// What the public half of `private_key` is known by (`kid`).
    ///
    /// By default nothing is said of it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,

    /// A token of the platform that the gateway runs on, read anew for each exchange (SEP-1933, a draft).
    ///
    /// By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_token: Option<Secret>,

    /// The authorization server, as it calls itself.
    ///
    /// By default the first one that the server names (RFC 9728). Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,

    /// Scopes to ask for.
    ///
    /// By default those that the server asks for, else all that it has. Since 0.1.
    pub scopes: Vec<String>,
}

impl Default for UpstreamAuth {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: None,
            private_key: None,
            algorithm: Algorithm::Es256,
            key_id: None,
            workload_token: None,
            issuer: None,
            scopes: Vec::new(),
        }
    }
}

impl UpstreamAuth {
    /// The secret that is looked up once, and the key that it stands in.
    pub(super) fn secret(&self) -> Option<(&'static str, &Secret)> {
        let secret = self.client_secret.as_ref().map(|secret| ("client_secret", secret));
        secret.or_else(|| self.private_key.as_ref().map(|secret| ("private_key", secret)))
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        let all = [&mut self.client_secret, &mut self.private_key, &mut self.workload_token];
        all.into_iter().flatten().for_each(|secret| secret.anchor(folder));
    }
}
