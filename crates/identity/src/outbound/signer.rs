//! Assertions that are signed by the gateway itself (RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    /// It is none of this algorithm, or not in PEM.
    #[error("it is no private key for this algorithm in PEM (PKCS #8)")]
    Key,
    /// It cannot sign.
    #[error("it cannot sign")]
    Sign,
}

/// A private key that signs assertions.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
    id: Option<String>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer")
            .field("algorithm", &self.algorithm)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a private key in PEM. `id` is what its public half is known by (`kid`).
    ///
    /// # Errors
    /// [`SignerError::Key`]
    pub fn from_pem(pem: &[u8], algorithm: Algorithm, id: Option<String>) -> Result<Self, SignerError> {
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem),
            _ => EncodingKey::from_rsa_pem(pem),
        };
        let signer = Self { key: key.map_err(|_| SignerError::Key)?, algorithm, id };
        // A key of another curve is found out now and not at the first call.
        signer.sign("JWT", &json!({})).map_err(|_| SignerError::Key)?;
        Ok(signer)
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// A signed token of these claims.
    ///
    /// # Errors
    /// [`SignerError::Sign`]
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> Result<String, SignerError> {
        let mut header = json!({"alg": format!("{:?}", self.algorithm), "typ": typ});
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, self.algorithm);
        Ok(format!("{signed}.{}", signature.map_err(|_| SignerError::Sign)?))
    }
}
