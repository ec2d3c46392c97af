//! The gateway's own authorization server (OAuth 2.1; MCP authorization), for clients whose enterprise has an
//! identity provider that does not know them: no client id metadata documents, no registration, no resources.
//!
//! Users sign in at that provider, and the gateway issues tokens for its own endpoints alone. Nothing here
//! listens: [`server`](../../server) brings requests, and shows people what they are asked.

mod client;
mod clients;
mod error;
mod grants;
mod issue;
mod proof;
mod redirect;
mod request;
mod tokens;
mod vouched;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use model::{Clock, Principal, Rng};
use seal::KeyRing;
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;

pub use client::{ClientKeys, ClientMethod, ClientSource, KnownClient, plain_name};
pub use error::OAuthError;
pub use grants::Approved;
pub use issue::{Tokens, User};
pub use redirect::fault as redirect_fault;
pub use request::{AuthRequest, Unasked};
pub use tokens::TokenRequest;

use crate::barred::Bars;
use crate::dpop::Dpop;
use crate::fetch::Fetch;
use crate::issuer::Issuer;
use crate::vault::Vault;
use clients::{Fetched, Pace};

/// Where clients ask users.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// Where they come for tokens.
pub const TOKEN: &str = "/oauth/token";
/// Where they make themselves known.
pub const REGISTER: &str = "/oauth/register";
/// Where they give tokens back.
pub const REVOKE: &str = "/oauth/revoke";
/// Where the public keys are.
pub const JWKS: &str = "/oauth/jwks.json";

/// What the authorization server's records stand under in the vault. No upstream can be called that.
const PLACE: &str = "@broker";
/// Documents of clients that are remembered.
const FETCHED_MAX: u64 = 1_000;
/// Documents that are fetched at a time.
const FETCHING_MAX: usize = 8;

/// An endpoint that takes the gateway's tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// What is needed there.
    pub scopes: Vec<String>,
    /// Whether tokens for it are bound to a key.
    pub bound: bool,
}

/// What is known of users since they have signed in: a port, for others to implement.
#[async_trait]
pub trait Groups: Send + Sync {
    /// The groups of somebody who has signed in at this issuer; `None`: nothing newer is known.
    async fn groups(&self, issuer: &str, principal: &Principal) -> Option<Vec<String>>;
}

/// What the operator says of the authorization server.
pub struct BrokerOptions {
    /// Clients that he knows.
    pub clients: Vec<Arc<KnownClient>>,
    /// Whether clients may register themselves.
    pub registration: bool,
    /// Whether a client may be known by a document at its URL.
    pub documents: bool,
    /// Hosts of such documents that may be in a private network.
    pub hosts: Vec<String>,
    /// How long an access token is good.
    pub token_time: Duration,
    /// How long somebody stays signed in at a client.
    pub refresh_time: Duration,
    /// Identity providers whose word is taken for their users (SEP-990).
    pub vouching: Vec<Arc<Issuer>>,
    /// Endpoints that take these tokens, by their paths.
    pub resources: HashMap<String, Resource>,
    /// Scopes that only members of some groups get.
    pub scopes: HashMap<String, Vec<String>>,
    /// Who knows of changes of groups.
    pub groups: Option<Arc<dyn Groups>>,
}

/// What the authorization server works with.
#[derive(Clone)]
pub struct BrokerParts {
    /// Where grants are.
    pub vault: Arc<dyn Vault>,
    /// Where grants end before their tokens do.
    pub bars: Arc<dyn Bars>,
    /// For documents of clients.
    pub fetch: Arc<dyn Fetch>,
    /// For all decisions that depend on the time.
    pub clock: Arc<dyn Clock>,
    /// For what nobody may guess.
    pub rng: Arc<dyn Rng>,
    /// What handles are sealed with.
    pub keys: Arc<KeyRing>,
    /// Proofs of possession.
    pub dpop: Arc<Dpop>,
}

/// The authorization server.
pub struct Broker {
    options: BrokerOptions,
    tokens: Arc<Tokens>,
    vault: Arc<dyn Vault>,
    bars: Arc<dyn Bars>,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    keys: Arc<KeyRing>,
    dpop: Arc<Dpop>,
    fetched: moka::sync::Cache<String, Fetched>,
    turns: Semaphore,
    pace: Mutex<Pace>,
}

impl Broker {
    /// One that has issued nothing yet.
    #[must_use]
    pub fn new(options: BrokerOptions, parts: BrokerParts) -> Self {
        let BrokerParts { vault, bars, fetch, clock, rng, keys, dpop } = parts;
        let pace = Mutex::new(Pace::new(clock.now()));
        let tokens = Arc::new(Tokens::new(Arc::clone(&keys)));
        let (fetched, turns) = (moka::sync::Cache::new(FETCHED_MAX), Semaphore::new(FETCHING_MAX));
        Self { options, tokens, vault, bars, fetch, clock, rng, keys, dpop, fetched, turns, pace }
    }

    /// What knows its tokens again.
    #[must_use]
    pub fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.tokens)
    }

    /// What clients find at the well-known places (RFC 8414; OpenID Connect Discovery 1.0).
    #[must_use]
    pub fn metadata(&self, base: &str) -> Value {
        let mut grants = vec!["authorization_code", "refresh_token"];
        if !self.options.vouching.is_empty() {
            grants.push("urn:ietf:params:oauth:grant-type:jwt-bearer");
        }
        let mut scopes: Vec<&String> =
            self.options.resources.values().flat_map(|known| &known.scopes).collect();
        scopes.extend(self.options.scopes.keys());
        scopes.sort();
        scopes.dedup();
        let methods = ClientMethod::ALL.map(ClientMethod::as_str);
        let mut document = json!({
            "issuer": base,
            "authorization_endpoint": format!("{base}{AUTHORIZE}"),
            "token_endpoint": format!("{base}{TOKEN}"),
            "revocation_endpoint": format!("{base}{REVOKE}"),
            "jwks_uri": format!("{base}{JWKS}"),
            "scopes_supported": scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": grants,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "EdDSA", "RS256", "PS256"],
            "revocation_endpoint_auth_methods_supported": methods,
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": self.options.documents,
            "dpop_signing_alg_values_supported": self.dpop.algorithms().split(' ').collect::<Vec<_>>(),
            "prompt_values_supported": ["none", "consent"],
        });
        if self.options.registration {
            document["registration_endpoint"] = json!(format!("{base}{REGISTER}"));
        }
        if !self.options.vouching.is_empty() {
            let profiles = ["urn:ietf:params:oauth:grant-profile:id-jag"];
            document["authorization_grant_profiles_supported"] = json!(profiles);
        }
        document
    }

    /// The public keys (RFC 7517).
    #[must_use]
    pub fn jwks(&self) -> Value {
        self.tokens.jwks(self.clock.now())
    }

    /// Makes a client known that says this of itself (RFC 7591). What it is told.
    ///
    /// # Errors
    /// [`OAuthError`]
    pub async fn registration(&self, members: &Map<String, Value>) -> Result<Value, OAuthError> {
        if !self.options.registration {
            return Err(OAuthError::new("access_denied", "clients do not register themselves here"));
        }
        let clients::Registered { client, secret } = self.register(members).await?;
        tracing::info!(client = client.id, name = client.name, "a client has registered");
        let mut grants = vec!["authorization_code"];
        if client.refreshes {
            grants.push("refresh_token");
        }
        let mut answer = json!({
            "client_id": client.id,
            "client_id_issued_at": self.clock.now().0 / 1_000,
            "client_name": client.name,
            "redirect_uris": client.redirects,
            "grant_types": grants,
            "response_types": ["code"],
            "token_endpoint_auth_method": client.method.as_str(),
        });
        if let Some(secret) = secret {
            answer["client_secret"] = json!(secret);
            // It ends with the client alone.
            answer["client_secret_expires_at"] = json!(0);
        }
        for name in ["application_type", "jwks_uri", "jwks", "scope"] {
            if let Some(value) = members.get(name) {
                answer[name] = value.clone();
            }
        }
        Ok(answer)
    }
}
