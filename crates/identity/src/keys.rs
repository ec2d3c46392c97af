//! API keys: for machines, and for trying out. Random, shown once, kept as a hash.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Principal, Rng, Timestamp};

use crate::caller::{Caller, Kind};

/// What every key begins with, so that one that lies about is known for what it is.
pub const PREFIX: &str = "tgk_";

/// Why a key is not taken. All are the same to whoever has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It has not the form of a key, or a wrong check.
    #[error("the API key is mistyped")]
    Form,
    /// There is none of its name, or its secret is another one.
    #[error("the API key is unknown")]
    Unknown,
    /// Its time has not begun, or is over.
    #[error("the API key has expired, or is not valid yet")]
    Time,
    /// It is for other endpoints.
    #[error("the API key is for other endpoints")]
    Endpoint,
}

/// What is kept of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its public name, part of the key itself.
    pub id: String,
    /// SHA-256 of the whole key. That needs no salt: what is hashed has 256 random bits.
    pub hash: [u8; 32],
    /// The tenant of whoever has it.
    pub tenant: String,
    /// Groups of whoever has it.
    pub groups: Vec<String>,
    /// What it grants.
    pub scopes: Vec<String>,
    /// Endpoints that it is for. None: no endpoint.
    pub endpoints: Vec<String>,
    /// From when on.
    pub not_before: Option<Timestamp>,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// A key that was just made. It cannot be shown again.
pub struct NewKey {
    /// The key itself.
    pub text: String,
    /// Its public name.
    pub id: String,
    /// What is kept of it.
    pub hash: [u8; 32],
}

impl NewKey {
    /// Makes one.
    #[must_use]
    pub fn generate(rng: &dyn Rng) -> Self {
        let (mut id, mut secret) = ([0; 5], [0; 32]);
        rng.fill(&mut id);
        rng.fill(&mut secret);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let text = format!("{body}{}", check(&body));
        let hash = seal::sha256(text.as_bytes());
        Self { text, id, hash }
    }
}

/// Six characters by which a mistyped key is told from one that is unknown, without a look at any.
fn check(body: &str) -> String {
    seal::sha256(body.as_bytes())[..3].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys that there are.
#[derive(Debug, Default)]
pub struct ApiKeys(HashMap<String, ApiKey>);

impl ApiKeys {
    /// These.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = ApiKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }

    /// Whether a text has the form of a key of ours at all.
    #[must_use]
    pub fn is_key(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Whether there is a key of this hash.
    #[must_use]
    pub fn has(&self, hash: &[u8; 32]) -> bool {
        self.0.values().any(|key| key.hash == *hash)
    }

    /// Whose key it is.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn caller(&self, text: &str, endpoint: &str, now: Timestamp) -> Result<Caller, KeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(KeyError::Form)?;
        let (id, secret) = rest.split_once('_').ok_or(KeyError::Form)?;
        let body = text.len().checked_sub(6).filter(|at| text.is_char_boundary(*at) && secret.len() > 6);
        let (body, said) = text.split_at(body.ok_or(KeyError::Form)?);
        if check(body) != said {
            return Err(KeyError::Form);
        }
        let hash = seal::sha256(text.as_bytes());
        // Hashes are compared, whose bytes say nothing about the key's.
        let key = self.0.get(id).filter(|key| key.hash == hash).ok_or(KeyError::Unknown)?;
        let begun = key.not_before.is_none_or(|begins| begins <= now);
        if !begun || key.expires.is_some_and(|expires| expires <= now) {
            return Err(KeyError::Time);
        }
        if !key.endpoints.iter().any(|known| known == endpoint || known == "*") {
            return Err(KeyError::Endpoint);
        }
        Ok(Caller {
            principal: Principal::new(&key.tenant, &format!("keys:{id}")),
            kind: Kind::Workload,
            actors: Vec::new(),
            groups: key.groups.clone(),
            scopes: key.scopes.clone(),
            client: None,
            issuer: Some("keys".to_owned()),
            grant: None,
            issued: None,
            signed_in: None,
            expires: key.expires,
            key: None,
            bound_certificate: None,
            certificate: None,
            fingerprint: hash,
        })
    }
}
