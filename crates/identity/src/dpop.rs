//! Proofs of possession (RFC 9449; SEP-1932, a draft): a token that is bound to a key is good only with a
//! fresh proof of that key for this very request.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use model::Timestamp;
use seal::{KeyId, KeyRing};
use serde_json::Value;

use crate::jose::{Algorithm, JoseError, Jws, Key};
use crate::token::time;

/// The longest `jti` that is taken, in bytes.
const JTI_BYTES_MAX: usize = 256;
/// What nonces are marked for.
const LABEL: &str = "dpop nonce";
/// Members that only a private key has (RFC 7518, sections 6.2.2 and 6.3.2).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a proof is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// It cannot be read.
    #[error("the proof cannot be read: {0}")]
    Unreadable(#[from] JoseError),
    /// It is a token of another kind.
    #[error("the proof's typ is not dpop+jwt")]
    Kind,
    /// It is signed in a way that is not taken.
    #[error("the proof is signed by an algorithm that is not taken")]
    Algorithm,
    /// It brings no public key, or more than that.
    #[error("the proof has no usable public key in jwk")]
    Key,
    /// Its key has not signed it.
    #[error("the proof is not signed by its own key")]
    Signature,
    /// Something of it is missing or has not the form that it must have.
    #[error("the proof's {0} is missing or not as it must be")]
    Form(&'static str),
    /// It is for another request.
    #[error("the proof is for another {0}")]
    Other(&'static str),
    /// It was not made just now.
    #[error("the proof was not made just now")]
    Time,
    /// It was used before.
    #[error("the proof was used before")]
    Again,
    /// So many were used that no more can be remembered.
    #[error("too many proofs at a time")]
    Full,
    /// It lacks a nonce of this server, or has an old one.
    #[error("the proof needs a nonce of this server")]
    Nonce,
}

/// What holds for proofs.
#[derive(Debug, Clone)]
pub struct DpopOptions {
    /// How they may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far from now they may say that they were made.
    pub window: Duration,
    /// Whether they need a nonce of this server.
    pub nonces: bool,
    /// Proofs that are remembered at a time, so that none is used twice.
    pub seen_max: u64,
}

impl Default for DpopOptions {
    fn default() -> Self {
        Self {
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA],
            window: Duration::from_secs(300),
            nonces: false,
            seen_max: 200_000,
        }
    }
}

/// What a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ProofOf<'a> {
    /// The request's method.
    pub method: &'a str,
    /// Where its client has sent it, without a query.
    pub url: &'a str,
    /// The access token that it came with; `None`: a request for one.
    pub token: Option<&'a str>,
}

/// A key's name by its own bytes (RFC 7638, SHA-256, base64url).
pub type Thumbprint = String;

/// Checks proofs.
pub struct Dpop {
    options: DpopOptions,
    ring: Arc<KeyRing>,
    seen: moka::sync::Cache<[u8; 32], ()>,
}

impl Dpop {
    /// One that has seen none. `ring` marks nonces: the same for all replicas.
    #[must_use]
    pub fn new(options: DpopOptions, ring: Arc<KeyRing>) -> Self {
        // One from the future is remembered until it has passed.
        let seen = moka::sync::Cache::builder().time_to_live(options.window * 2).build();
        Self { options, ring, seen }
    }

    /// What is taken, as a challenge says it.
    #[must_use]
    pub fn algorithms(&self) -> String {
        let names: Vec<String> = self.options.algorithms.iter().map(|known| format!("{known:?}")).collect();
        names.join(" ")
    }

    /// Whether proofs need a nonce.
    #[must_use]
    pub fn wants_nonces(&self) -> bool {
        self.options.nonces
    }

    /// A nonce, good for the time that a proof is.
    #[must_use]
    pub fn nonce(&self, now: Timestamp) -> String {
        let at = now.0.to_be_bytes();
        let (id, mark) = self.ring.mac(now, LABEL, &[&at]);
        URL_SAFE_NO_PAD.encode([at.as_slice(), &id.bytes(), &mark[..16]].concat())
    }

    fn is_nonce(&self, text: &str, now: Timestamp) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return false };
        let Ok(bytes) = <[u8; 28]>::try_from(bytes) else { return false };
        let (at, rest) = bytes.split_at(8);
        let (id, mark) = rest.split_at(4);
        let (Ok(at), Ok(id)) = (<[u8; 8]>::try_from(at), <[u8; 4]>::try_from(id)) else { return false };
        let made = Timestamp(u64::from_be_bytes(at));
        let fresh = now.since(made) <= self.options.window && made.since(now) <= self.options.window;
        fresh && self.ring.verify_mac_start(now, LABEL, &[&at], KeyId::from_bytes(id), mark)
    }

    /// Checks a proof, and takes it: no second one of the same name is good. Gives the name of its key.
    ///
    /// # Errors
    /// [`DpopError`]
    pub fn check(&self, proof: &str, of: &ProofOf<'_>, now: Timestamp) -> Result<Thumbprint, DpopError> {
        let jws = Jws::parse(proof)?;
        if jws.typ.as_deref() != Some("dpop+jwt") {
            return Err(DpopError::Kind);
        }
        if !self.options.algorithms.contains(&jws.algorithm) {
            return Err(DpopError::Algorithm);
        }
        let jwk = jws.jwk.as_ref().ok_or(DpopError::Key)?;
        if PRIVATE.iter().any(|member| jwk.get(*member).is_some()) {
            return Err(DpopError::Key);
        }
        let key = Key::of_jwk(jwk).ok_or(DpopError::Key)?;
        if !jws.is_signed_by(&key) {
            return Err(DpopError::Signature);
        }
        let claims = jws.claims()?;
        let text = |name: &'static str| claims.get(name).and_then(Value::as_str).ok_or(DpopError::Form(name));
        if text("htm")? != of.method {
            return Err(DpopError::Other("method"));
        }
        if !same_url(text("htu")?, of.url) {
            return Err(DpopError::Other("URL"));
        }
        if let Some(token) = of.token
            && text("ath")? != URL_SAFE_NO_PAD.encode(seal::sha256(token.as_bytes()))
        {
            return Err(DpopError::Other("token"));
        }
        let made = time(&claims, "iat").ok().flatten().ok_or(DpopError::Form("iat"))?;
        if now.since(made) > self.options.window || made.since(now) > self.options.window {
            return Err(DpopError::Time);
        }
        if self.options.nonces {
            let nonce = claims.get("nonce").and_then(Value::as_str);
            if !nonce.is_some_and(|nonce| self.is_nonce(nonce, now)) {
                return Err(DpopError::Nonce);
            }
        }
        let jti = text("jti")?;
        if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
            return Err(DpopError::Form("jti"));
        }
        // What is forgotten could be used again: at the limit none is taken.
        if self.seen.entry_count() >= self.options.seen_max {
            return Err(DpopError::Full);
        }
        let thumbprint = key.thumbprint();
        let name = seal::sha256(format!("{thumbprint} {jti}").as_bytes());
        if self.seen.entry(name).or_insert(()).is_fresh() { Ok(thumbprint) } else { Err(DpopError::Again) }
    }
}

/// Whether two URLs are the same one, but for the query and fragment (RFC 9449, section 4.3; RFC 3986,
/// section 6.2.3).
fn same_url(a: &str, b: &str) -> bool {
    let read = |text: &str| {
        let url: Uri = text.split('#').next()?.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        if url.authority()?.as_str().contains('@') {
            return None;
        }
        let port = url.port_u16().or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        })?;
        Some((scheme, url.host()?.to_ascii_lowercase(), port, url.path().to_owned()))
    };
    matches!((read(a), read(b)), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_same_whatever_its_query_and_default_port() {
        let ours = "https://gw.example/crm/mcp";
        for same in [
            ours,
            "https://GW.example:443/crm/mcp",
            "HTTPS://gw.example/crm/mcp",
            "https://gw.example/crm/mcp?a=1",
            "https://gw.example/crm/mcp#x",
        ] {
            assert!(same_url(same, ours), "{same}");
        }
        for other in [
            "",
            "/crm/mcp",
            "http://gw.example/crm/mcp",
            "https://gw.example/crm/mcp/",
            "https://gw.example/CRM/mcp",
            "https://gw.example:8443/crm/mcp",
            "https://u@gw.example/crm/mcp",
            "https://gw.example.evil/crm/mcp",
        ] {
            assert!(!same_url(other, ours), "{other}");
        }
    }
}
