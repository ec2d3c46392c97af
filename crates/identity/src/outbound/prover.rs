//! Keys of the gateway's own that tokens are bound to, and proofs of them (RFC 9449; SEP-1932, a draft).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Method, Uri};
use model::{Rng, Timestamp};
use seal::Pair;
use serde_json::{Value, json};

use super::exchange::random;

/// What authorization servers call how these keys sign.
pub(super) const ALGORITHM: &str = "ES256";

/// A key that tokens are bound to. Each grant has its own.
pub(super) struct Prover {
    pair: Pair,
    jwk: Value,
}

impl Prover {
    /// A new key.
    pub fn generate() -> Option<Self> {
        Pair::generate().map(Self::of)
    }

    /// A key that was written before.
    pub fn read(pkcs8: &[u8]) -> Option<Self> {
        Pair::read(pkcs8).map(Self::of)
    }

    fn of(pair: Pair) -> Self {
        let (x, y) = pair.point();
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        Self { pair, jwk }
    }

    /// The key as it is kept. It is a secret.
    pub fn write(&self) -> &[u8] {
        self.pair.write()
    }

    /// A proof for one request, with a nonce where the server gave one.
    pub fn proof(
        &self,
        (method, url): (&Method, &Uri),
        token: Option<&str>,
        nonce: Option<&str>,
        (rng, now): (&dyn Rng, Timestamp),
    ) -> Option<HeaderValue> {
        let plain = url.to_string();
        let plain = plain.split('?').next().unwrap_or_default();
        let header = json!({"typ": "dpop+jwt", "alg": ALGORITHM, "jwk": self.jwk});
        let mut claims = json!({
            "jti": random(rng), "htm": method.as_str(), "htu": plain, "iat": now.0 / 1_000,
        });
        if let Some(token) = token {
            claims["ath"] = json!(URL_SAFE_NO_PAD.encode(seal::sha256(token.as_bytes())));
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(signed.as_bytes())?;
        let proof = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        HeaderValue::from_str(&proof).ok()
    }
}
