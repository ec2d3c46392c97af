//! An authorization server that issues whatever a measurement needs, ready to be sent.
//!
//! `/issuer` is its name. `POST /issuer/KIND/COUNT` with the URL of an endpoint as its body gives so many
//! blocks of headers, each for one request: `tokens` a token of its own, `proofs` a proof of its own for one
//! token.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::StatusCode;
use serde_json::{Value, json};

use super::body::Body;
use super::rpc;

/// More are not needed, and would take long.
const COUNT_MAX: usize = 200_000;
/// How long a token is good, in seconds.
const LIVES: u64 = 3_600;

/// A key pair of ES256.
struct Signer {
    pair: EcdsaKeyPair,
    rng: SystemRandom,
}

impl Signer {
    fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
        Self { pair, rng: SystemRandom::new() }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)})
    }

    /// RFC 7638.
    fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        BASE64.encode(digest(&SHA256, text.as_bytes()))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.pair.sign(&self.rng, signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// The authorization server, and one client of it.
pub struct Issuer {
    own: Signer,
    client: Signer,
    /// Batches, so that no id comes twice.
    batches: Cell<u32>,
}

impl Issuer {
    pub fn new() -> Self {
        Self { own: Signer::generate(), client: Signer::generate(), batches: Cell::new(0) }
    }

    /// What is at a path that begins with `/issuer` or with the place of its metadata.
    pub fn answer(&self, host: &str, path: &str, body: &[u8]) -> http::Response<Body> {
        let name = format!("http://{host}/issuer");
        if path == "/issuer/jwks" {
            let mut jwk = self.own.jwk();
            jwk["kid"] = json!("1");
            return rpc::json(StatusCode::OK, json!({"keys": [jwk]}).to_string().into());
        }
        if path.contains("/.well-known/") {
            let document = json!({"issuer": name, "jwks_uri": format!("{name}/jwks")});
            return rpc::json(StatusCode::OK, document.to_string().into());
        }
        let mut parts = path.trim_start_matches("/issuer/").split('/');
        let (kind, count) = (parts.next(), parts.next().and_then(|count| count.parse().ok()));
        let (Some(count), Ok(url)) = (count.filter(|count| *count <= COUNT_MAX), std::str::from_utf8(body))
        else {
            return rpc::empty(StatusCode::BAD_REQUEST);
        };
        self.batches.set(self.batches.get() + 1);
        let blocks: Vec<String> = match kind {
            Some("tokens") => (0..count).map(|at| self.bearer(&name, url, at)).collect(),
            Some("proofs") => {
                let token = self.token(&name, url, 0, true);
                (0..count).map(|at| self.proof(&token, url, at)).collect()
            }
            _ => return rpc::empty(StatusCode::NOT_FOUND),
        };
        rpc::json(StatusCode::OK, json!(blocks).to_string().into())
    }

    fn token(&self, name: &str, url: &str, at: usize, bound: bool) -> String {
        let now = now();
        let mut claims = json!({
            "iss": name, "aud": url, "sub": "ann", "client_id": "bench", "scope": "mcp", "groups": ["sales"],
            "iat": now, "exp": now + LIVES, "jti": format!("{:08}{at:08}", self.batches.get()),
        });
        if bound {
            claims["cnf"] = json!({"jkt": self.client.thumbprint()});
        }
        self.own.sign(&json!({"alg": "ES256", "kid": "1", "typ": "at+jwt"}), &claims)
    }

    fn bearer(&self, name: &str, url: &str, at: usize) -> String {
        format!("Authorization: Bearer {}\r\n", self.token(name, url, at, false))
    }

    fn proof(&self, token: &str, url: &str, at: usize) -> String {
        let ath = BASE64.encode(digest(&SHA256, token.as_bytes()));
        let jti = format!("bench-{:08}{at:08}", self.batches.get());
        let claims = json!({"htm": "POST", "htu": url, "iat": now(), "jti": jti, "ath": ath});
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.client.jwk()});
        format!("Authorization: DPoP {token}\r\nDPoP: {}\r\n", self.client.sign(&header, &claims))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
