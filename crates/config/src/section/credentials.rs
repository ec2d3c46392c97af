//! By what the gateway proves itself to a server.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::auth::Algorithm;
use crate::value::Secret;

/// By what the gateway proves itself to one server: with a token of its own, or of the user's, from an
/// authorization server.
///
/// A token of its own needs one of `client_secret`, `private_key` and `workload_token`. What a client of the
/// gateway brings is never passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UpstreamAuth {
    /// Whether each user lets the gateway use the server for him: on his first call he is sent to a page
    /// where he signs in, and his token is kept, sealed, for him alone.
    ///
    /// Since 0.1.
    pub per_user: bool,

    /// Where the gateway's own description is (a client id metadata document), for authorization servers that
    /// take such a URL for a `client_id`.
    ///
    /// By default `/oauth/client.json` of `auth.url`, where that is `https`. Only with `per_user`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_metadata: Option<String>,

    /// Who vouches for users there, so that nobody is asked for his consent (SEP-990). Only with `per_user`,
    /// and with a `client_id` at the authorization server.
    ///
    /// By default nobody does. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enterprise: Option<Enterprise>,

    /// Who issues tokens of users for the server itself, in exchange for what they have signed in with (RFC
    /// 8693). Only with `per_user`; the authorization server that the server names is not asked.
    ///
    /// By default nobody does. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,

    /// What the gateway is called at the authorization server.
    ///
    /// Not needed with `workload_token`; with `per_user` it registers itself where there is none. Since 0.1.
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

/// An identity provider that vouches for its users at the authorization server of an upstream
/// (enterprise-managed authorization, ID-JAG).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Enterprise {
    /// Which of `auth.issuers`.
    ///
    /// Since 0.1.
    pub issuer: String,

    /// What the gateway is called there.
    ///
    /// By default what its `sign_in` says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,

    /// What the gateway proves that by.
    ///
    /// By default what its `sign_in` says, or nothing beside a `client_id`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,

    /// An ID token of the one user that the gateway works for, read anew for each exchange: for a gateway on
    /// somebody's own machine.
    ///
    /// By default each user signs in with a browser, by the `sign_in` of the issuer. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_token: Option<Secret>,
}

/// An identity provider that issues the tokens of its users for an upstream, in one step (token exchange).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exchange {
    /// Which of `auth.issuers`.
    ///
    /// Since 0.1.
    pub issuer: String,

    /// What the server is called there: the `audience` that a token is asked for.
    ///
    /// By default its URL is, as the `resource`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,

    /// What the gateway is called there.
    ///
    /// By default what its `sign_in` says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,

    /// What the gateway proves that by.
    ///
    /// By default what its `sign_in` says, or nothing beside a `client_id`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,

    /// An ID token of the one user that the gateway works for, read anew for each exchange: for a gateway on
    /// somebody's own machine.
    ///
    /// By default each user signs in with a browser, by the `sign_in` of the issuer. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_token: Option<Secret>,
}

/// Who vouches for the users of a server: what `enterprise` and `exchange` have in common.
#[derive(Debug, Clone, Copy)]
pub struct Voucher<'a> {
    /// The key that says so.
    pub key: &'static str,
    /// Which of `auth.issuers`.
    pub issuer: &'a str,
    /// What the gateway is called there.
    pub client_id: Option<&'a str>,
    /// What it proves that by.
    pub client_secret: Option<&'a Secret>,
    /// An ID token of the one user.
    pub subject_token: Option<&'a Secret>,
}

impl Default for UpstreamAuth {
    fn default() -> Self {
        Self {
            per_user: false,
            client_metadata: None,
            enterprise: None,
            exchange: None,
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

    /// Who vouches for users there, whichever way.
    #[must_use]
    pub fn voucher(&self) -> Option<Voucher<'_>> {
        let enterprise = self.enterprise.as_ref().map(|own| Voucher {
            key: "enterprise",
            issuer: &own.issuer,
            client_id: own.client_id.as_deref(),
            client_secret: own.client_secret.as_ref(),
            subject_token: own.subject_token.as_ref(),
        });
        let exchange = || {
            self.exchange.as_ref().map(|own| Voucher {
                key: "exchange",
                issuer: &own.issuer,
                client_id: own.client_id.as_deref(),
                client_secret: own.client_secret.as_ref(),
                subject_token: own.subject_token.as_ref(),
            })
        };
        enterprise.or_else(exchange)
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        let all = [&mut self.client_secret, &mut self.private_key, &mut self.workload_token];
        all.into_iter().flatten().for_each(|secret| secret.anchor(folder));
        if let Some(Enterprise { client_secret, subject_token, .. }) = &mut self.enterprise {
            [client_secret, subject_token].into_iter().flatten().for_each(|secret| secret.anchor(folder));
        }
        if let Some(Exchange { client_secret, subject_token, .. }) = &mut self.exchange {
            [client_secret, subject_token].into_iter().flatten().for_each(|secret| secret.anchor(folder));
        }
    }
}
