//! Who may call.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Secret, Span};

/// Who may call, and by what callers prove who they are.
///
/// `docs/auth.md` tells it with examples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// What clients reach the gateway by, without a path: `https://mcp.example.com`. Tokens are for its
    /// endpoints.
    ///
    /// By default the scheme and the address of `listen`, which is right on one machine alone. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// By what callers may come in: names of `issuers`, `keys` for API keys, `anonymous` for anybody.
    ///
    /// By default anybody where `listen` is on the loopback interface; to be given where it is not. An empty
    /// list lets nobody in. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,

    /// Scopes that every token and every API key must grant.
    ///
    /// Since 0.1.
    pub scopes: Vec<String>,

    /// Other rules for some endpoints, by name; `mcp` is the endpoint of everything.
    ///
    /// Since 0.1.
    pub endpoints: IndexMap<String, EndpointAuth>,

    /// Authorization servers whose tokens are taken, by a name of the operator's.
    ///
    /// A name has 1 to 32 of `a-z`, `0-9` and `-`. It is part of who its users are here (`corp:ann`): under
    /// another name they are others. Since 0.1.
    pub issuers: IndexMap<String, Issuer>,

    /// API keys, as `tidegate auth key` makes them.
    ///
    /// Since 0.1.
    pub keys: Vec<ApiKey>,

    /// Proofs that a token is used by whom it was issued to (RFC 9449).
    ///
    /// Since 0.1.
    pub dpop: Dpop,

    /// How far the clocks of issuers may be apart from the gateway's; at most `5m`.
    ///
    /// Since 0.1.
    pub clock_skew: Span,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            url: None,
            allow: None,
            scopes: Vec::new(),
            endpoints: IndexMap::new(),
            issuers: IndexMap::new(),
            keys: Vec::new(),
            dpop: Dpop::default(),
            clock_skew: Span::from_secs(60),
        }
    }
}

/// Who may call one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointAuth {
    /// By what callers may come in, in place of `auth.allow`.
    ///
    /// By default what that says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,

    /// Scopes that every token must grant, in place of `auth.scopes`.
    ///
    /// By default what that says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,

    /// Whether tokens must be bound to a key, in place of `auth.dpop.required`.
    ///
    /// By default what that says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_dpop: Option<bool>,
}

/// An authorization server whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Issuer {
    /// What its tokens say in `iss`, byte for byte: `https://login.example.com/`.
    ///
    /// With `https`, but on this machine. Since 0.1.
    pub issuer: String,

    /// Where its keys are.
    ///
    /// By default where its metadata says (RFC 8414, OpenID Connect Discovery). Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,

    /// How its tokens may be signed; others are refused. Symmetric algorithms cannot be named.
    ///
    /// Since 0.1.
    pub algorithms: Vec<Algorithm>,

    /// What its tokens say in `aud` that is as good as the URL of an endpoint, where it cannot issue tokens
    /// for URLs: `api://mcp-gateway`. Such a token is good at all endpoints that allow this issuer.
    ///
    /// Since 0.1.
    pub audiences: Vec<String>,

    /// Whether its access tokens must say that they are such (`typ: at+jwt`, RFC 9068).
    ///
    /// Since 0.1.
    pub typed: bool,

    /// The tenant of all its users.
    ///
    /// By default `default`, unless `tenant_claim` says otherwise. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,

    /// The claim that names a user's tenant: a name, or a JSON Pointer that begins with `/`.
    ///
    /// Who has none is not let in. By default all are of `tenant`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_claim: Option<String>,

    /// The claim that names a user: a name, or a JSON Pointer.
    ///
    /// Since 0.1.
    pub subject_claim: String,

    /// The claim that names a user's groups: a name, or a JSON Pointer.
    ///
    /// By default there are none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,

    /// How the issuer is asked about tokens that say nothing themselves (RFC 7662).
    ///
    /// By default such tokens are refused. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<Introspection>,

    /// How its users sign in with a browser, with the gateway as the client: for pages on which they have to
    /// be who they say, such as those that let the gateway use a server for them
    /// (`upstreams.*.auth.per_user`).
    ///
    /// By default they cannot. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<SignIn>,

    /// How long its keys are still believed when it cannot be reached; at most `7d`.
    ///
    /// Since 0.1.
    pub keys_stale_max: Span,

    /// A file with further certificates to trust where it is asked, in PEM.
    ///
    /// By default the machine's own are trusted alone. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            jwks_url: None,
            algorithms: vec![
                Algorithm::Es256,
                Algorithm::Es384,
                Algorithm::EdDsa,
                Algorithm::Ps256,
                Algorithm::Rs256,
            ],
            audiences: Vec::new(),
            typed: false,
            tenant: None,
            tenant_claim: None,
            subject_claim: "sub".to_owned(),
            groups_claim: None,
            introspection: None,
            sign_in: None,
            keys_stale_max: Span::from_hours(1),
            ca: None,
        }
    }
}

/// How a token may be signed (RFC 7518, section 3.1; RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA with P-256.
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA with P-384.
    #[serde(rename = "ES384")]
    Es384,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PSS with SHA-384.
    #[serde(rename = "PS384")]
    Ps384,
    /// RSASSA-PSS with SHA-512.
    #[serde(rename = "PS512")]
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    #[serde(rename = "RS512")]
    Rs512,
}

impl Algorithm {
    /// The name in a token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }
}

/// How an issuer is asked about tokens (RFC 7662).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Introspection {
    /// Where.
    ///
    /// By default where its metadata says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// What the gateway is called there.
    ///
    /// Since 0.1.
    pub client_id: String,

    /// What the gateway proves that by.
    ///
    /// It belongs into a file or the environment. By default there is none, and nobody is asked. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
}

/// How users of an issuer sign in with a browser (OpenID Connect). The gateway's redirect URI is
/// `/oauth/callback` of `auth.url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SignIn {
    /// What the gateway is called there.
    ///
    /// Since 0.1.
    pub client_id: String,

    /// What the gateway proves that by.
    ///
    /// It belongs into a file or the environment. By default the gateway is a public client. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,

    /// What is asked for beside `openid`, so that the ID token has the claims that name users and groups.
    ///
    /// `offline_access` is added where `recheck` needs it and the issuer knows it. Since 0.1.
    pub scopes: Vec<String>,

    /// How often the issuer is asked whether a user who signed in and calls is still one of its users.
    ///
    /// It is asked with the refresh token that it gave at the sign-in, once in this time by all replicas
    /// together, and no request waits for it. Once it refuses, the user is signed out. While it cannot be
    /// reached, nothing changes. From 5 s; 0: never. Since 0.1.
    pub recheck: Span,
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            client_id: String::new(),
            client_secret: None,
            scopes: Vec::new(),
            recheck: Span::from_secs(30),
        }
    }
}

/// An API key. The key itself is known to whoever has it alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKey {
    /// Its public name: the part between the first two `_` of the key.
    ///
    /// Since 0.1.
    pub id: String,

    /// `sha256:` and the SHA-256 of the key, in hexadecimal.
    ///
    /// Since 0.1.
    pub hash: String,

    /// What it is for, for people.
    ///
    /// By default nothing. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,

    /// The tenant of whoever has it.
    ///
    /// By default `default`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,

    /// Groups of whoever has it.
    ///
    /// Since 0.1.
    pub groups: Vec<String>,

    /// Scopes that it grants.
    ///
    /// Since 0.1.
    pub scopes: Vec<String>,

    /// Endpoints that it is for, by name; `*` is any. At least one.
    ///
    /// Since 0.1.
    pub endpoints: Vec<String>,

    /// From when on it is good: `2026-11-23T06:00:00Z`.
    ///
    /// By default at once. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,

    /// Until when it is good: `2027-11-23T06:00:00Z`.
    ///
    /// By default it does not expire. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Proofs that a token is used by whom it was issued to (RFC 9449; SEP-1932, a draft).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dpop {
    /// Whether tokens must be bound to a key. One that is bound needs a proof in any case.
    ///
    /// Since 0.1.
    pub required: bool,

    /// Whether proofs need a nonce of the gateway's, which costs clients a further request now and then.
    ///
    /// Since 0.1.
    pub nonces: bool,

    /// How far from now a proof may say that it was made; `1s` to `10m`. Nonces are good as long.
    ///
    /// Since 0.1.
    pub window: Span,

    /// How many proofs are remembered, so that none is used twice. When there are more, none is taken until
    /// some are too old to be used.
    ///
    /// Since 0.1.
    pub remembered_max: u64,
}

impl Default for Dpop {
    fn default() -> Self {
        Self { required: false, nonces: false, window: Span::from_mins(5), remembered_max: 200_000 }
    }
}

impl Auth {
    pub(super) fn anchor(&mut self, folder: &Path) {
        for issuer in self.issuers.values_mut() {
            if let Some(ca) = &mut issuer.ca {
                *ca = folder.join(&*ca);
            }
            let secret = issuer.introspection.as_mut().and_then(|own| own.client_secret.as_mut());
            if let Some(secret) = secret {
                secret.anchor(folder);
            }
            let secret = issuer.sign_in.as_mut().and_then(|own| own.client_secret.as_mut());
            if let Some(secret) = secret {
                secret.anchor(folder);
            }
        }
    }
}
