//! Signed tokens (RFC 7515, 7517, 7519): taken apart, and held against public keys. The cryptography is that
//! of `jsonwebtoken`; what may be signed how is decided here.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

pub use jsonwebtoken::Algorithm;

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Fewer bits than this cannot be relied on (NIST SP 800-131A).
const RSA_BITS_MIN: usize = 2_048;
/// More make a signature slow to check.
const RSA_BITS_MAX: usize = 8_192;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// Why something is no signed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// It is longer than any token that is looked at.
    #[error("it is longer than 16 KiB")]
    TooLong,
    /// It has not three parts of base64url, two of them JSON objects.
    #[error("it is no signed JWT")]
    NotSigned,
    /// Its algorithm is `none`, symmetric, or unknown.
    #[error("its algorithm is none that is taken: asymmetric signatures alone are")]
    Algorithm,
    /// It has critical extensions, of which none is understood (RFC 7515, section 4.1.11).
    #[error("it has critical header parameters that are not understood")]
    Critical,
}

/// The algorithm of this name; asymmetric ones alone.
#[must_use]
pub fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        // RFC 9864 gives the same one a name of its own.
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

/// A signed token whose signature was not checked yet.
#[derive(Debug)]
pub struct Jws<'a> {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// Which key it is signed with.
    pub kid: Option<String>,
    /// What kind of token it is, in lower case and without `application/`.
    pub typ: Option<String>,
    /// The key that it brings itself.
    pub jwk: Option<Value>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JoseError`]
    pub fn parse(text: &'a str) -> Result<Self, JoseError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(JoseError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JoseError::NotSigned)?;
        let (header, payload) = signed.split_once('.').ok_or(JoseError::NotSigned)?;
        if payload.contains('.') {
            return Err(JoseError::NotSigned);
        }
        let header = object(header).ok_or(JoseError::NotSigned)?;
        if header.contains_key("crit") {
            return Err(JoseError::Critical);
        }
        let text = |name: &str| header.get(name).map(|value| value.as_str().ok_or(JoseError::NotSigned));
        let algorithm = text("alg").transpose()?.and_then(algorithm).ok_or(JoseError::Algorithm)?;
        let typ = text("typ").transpose()?.map(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned)
        });
        let kid = text("kid").transpose()?.map(str::to_owned);
        Ok(Self { algorithm, kid, typ, jwk: header.get("jwk").cloned(), signed, payload, signature })
    }

    /// What it says. Nothing of it is true before its signature was checked.
    ///
    /// # Errors
    /// [`JoseError::NotSigned`] where it says nothing that is JSON.
    pub fn claims(&self) -> Result<Claims, JoseError> {
        object(self.payload).ok_or(JoseError::NotSigned)
    }

    /// Whether it is signed with this key, by an algorithm that the key is for.
    #[must_use]
    pub fn is_signed_by(&self, key: &Key) -> bool {
        key.fits(self.algorithm)
            && jsonwebtoken::crypto::verify(
                self.signature,
                self.signed.as_bytes(),
                &key.decoding,
                self.algorithm,
            )
            .unwrap_or(false)
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// What a key can be used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Ed25519,
    Rsa,
}

/// A public key.
#[derive(Clone)]
pub struct Key {
    /// Its name in its set.
    pub kid: Option<String>,
    kind: Kind,
    /// The one algorithm that it is for.
    only: Option<Algorithm>,
    decoding: DecodingKey,
    thumbprint: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Key {
    /// The key of a JSON Web Key (RFC 7517); `None` where signatures of this kind are not checked here, or it
    /// is for something else, weak, or no key at all.
    #[must_use]
    pub fn of_jwk(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops").and_then(Value::as_array)
            && !operations.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let only = match text("alg") {
            None => None,
            Some(name) => Some(algorithm(name)?),
        };
        let bytes = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let (kind, decoding, members) = match (text("kty")?, text("crv")) {
            ("EC", Some(curve @ ("P-256" | "P-384"))) => {
                let (kind, size) = if curve == "P-256" { (Kind::P256, 32) } else { (Kind::P384, 48) };
                if bytes("x")?.len() != size || bytes("y")?.len() != size {
                    return None;
                }
                let key = DecodingKey::from_ec_components(text("x")?, text("y")?).ok()?;
                (kind, key, &["crv", "kty", "x", "y"][..])
            }
            ("OKP", Some("Ed25519")) if bytes("x")?.len() == 32 => {
                let key = DecodingKey::from_ed_components(text("x")?).ok()?;
                (Kind::Ed25519, key, &["crv", "kty", "x"][..])
            }
            ("RSA", _) => {
                let bits = bytes("n")?.iter().skip_while(|byte| **byte == 0).count() * 8;
                if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                    return None;
                }
                let key = DecodingKey::from_rsa_components(text("n")?, text("e")?).ok()?;
                (Kind::Rsa, key, &["e", "kty", "n"][..])
            }
            _ => return None,
        };
        // RFC 7638: these members, in this order, without a space.
        let parts: Vec<String> = members
            .iter()
            .map(|name| format!("\"{name}\":{}", jwk.get(*name).unwrap_or(&Value::Null)))
            .collect();
        let thumbprint = seal::sha256(format!("{{{}}}", parts.join(",")).as_bytes());
        let key = Self { kid: text("kid").map(str::to_owned), kind, only, decoding, thumbprint };
        (key.only.is_none_or(|only| key.kind_fits(only))).then_some(key)
    }

    /// Whether a signature of this algorithm may be of this key.
    #[must_use]
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm) && self.kind_fits(algorithm)
    }

    fn kind_fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        match self.kind {
            Kind::P256 => algorithm == ES256,
            Kind::P384 => algorithm == ES384,
            Kind::Ed25519 => algorithm == EdDSA,
            Kind::Rsa => matches!(algorithm, RS256 | RS384 | RS512 | PS256 | PS384 | PS512),
        }
    }

    /// What the key is known by (RFC 7638, SHA-256), in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.thumbprint)
    }
}
