//! An authorization server that issues whatever a measurement needs, ready to be sent.
//!
//! `/issuer` is its name. `POST /issuer/KIND/COUNT` with the URL of an endpoint as its body gives so many
//! blocks of headers, each for one request: `tokens` a token of its own (ES256), `tokens-eddsa` the same by
//! another algorithm, `proofs` a proof of its own for one token.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
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

/// A key pair.
enum Signer {
    Es256(EcdsaKeyPair, SystemRandom),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
        Self::Es256(pair, SystemRandom::new())
    }

    fn eddsa() -> Self {
        Self::EdDsa(Ed25519KeyPair::generate().expect("a key pair"))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(..) => "ES256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    fn jwk(&self) -> Value {
        match self {
            Self::Es256(pair, _) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)})
            }
            Self::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(pair.public_key().as_ref())})
            }
        }
    }

    /// RFC 7638, of a key for ES256.
    fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        BASE64.encode(digest(&SHA256, text.as_bytes()))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = match self {
            Self::Es256(pair, rng) => pair.sign(rng, signed.as_bytes()).expect("a signature"),
            Self::EdDsa(pair) => pair.sign(signed.as_bytes()),
        };
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

/// The authorization server, and one client of it.
pub struct Issuer {
    own: Signer,
    /// The same for tokens of another algorithm.
    other: Signer,
    client: Signer,
    /// Batches, so that no id comes twice.
    batches: Cell<u32>,
    /// How often its metadata or its keys were asked for: by gateways.
    asked: Cell<u64>,
}

impl Issuer {
    pub fn new() -> Self {
        let (own, other, client) = (Signer::es256(), Signer::eddsa(), Signer::es256());
        Self { own, other, client, batches: Cell::new(0), asked: Cell::new(0) }
    }

    /// How often a gateway has asked it for something.
    pub fn asked(&self) -> u64 {
        self.asked.get()
    }

    /// What is at a path that begins with `/issuer` or with the place of its metadata.
    pub fn answer(&self, host: &str, path: &str, body: &[u8]) -> http::Response<Body> {
        let name = format!("http://{host}/issuer");
        if let Some(document) = self.published(&name, path) {
            return rpc::json(StatusCode::OK, document.to_string().into());
        }
        let mut parts = path.trim_start_matches("/issuer/").split('/');
        let (kind, count) = (parts.next(), parts.next().and_then(|count| count.parse().ok()));
        let (Some(count), Ok(url)) = (count.filter(|count| *count <= COUNT_MAX), std::str::from_utf8(body))
        else {
            return rpc::empty(StatusCode::BAD_REQUEST);
        };
        match self.blocks(kind.unwrap_or_default(), &name, url, count) {
            Some(blocks) => rpc::json(StatusCode::OK, json!(blocks).to_string().into()),
            None => rpc::empty(StatusCode::NOT_FOUND),
        }
    }

    /// What gateways ask for: metadata and keys.
    pub fn published(&self, name: &str, path: &str) -> Option<Value> {
        let with_id = |signer: &Signer| {
            let mut jwk = signer.jwk();
            jwk["kid"] = json!(signer.algorithm());
            jwk
        };
        let document = if path == "/issuer/jwks" {
            json!({"keys": [with_id(&self.own), with_id(&self.other)]})
        } else if path.contains("/.well-known/") {
            json!({"issuer": name, "jwks_uri": format!("{name}/jwks")})
        } else {
            return None;
        };
        self.asked.set(self.asked.get() + 1);
        Some(document)
    }

    /// Blocks of headers, each for one request to a URL.
    pub fn blocks(&self, kind: &str, name: &str, url: &str, count: usize) -> Option<Vec<String>> {
        self.batches.set(self.batches.get() + 1);
        let bearer = |signer, at| {
            let token = self.token((signer, name), url, at, false);
            format!("Authorization: Bearer {token}\r\n")
        };
        Some(match kind {
            "tokens" => (0..count).map(|at| bearer(&self.own, at)).collect(),
            "tokens-eddsa" => (0..count).map(|at| bearer(&self.other, at)).collect(),
            "proofs" => {
                let token = self.token((&self.own, name), url, 0, true);
                (0..count).map(|at| self.proof(&token, url, at)).collect()
            }
            _ => return None,
        })
    }

    fn token(&self, (signer, name): (&Signer, &str), url: &str, at: usize, bound: bool) -> String {
        let now = now();
        let mut claims = json!({
            "iss": name, "aud": url, "sub": "ann", "client_id": "bench", "scope": "mcp", "groups": ["sales"],
            "iat": now, "exp": now + LIVES, "jti": format!("{:08}{at:08}", self.batches.get()),
        });
        if bound {
            claims["cnf"] = json!({"jkt": self.client.thumbprint()});
        }
        let algorithm = signer.algorithm();
        signer.sign(&json!({"alg": algorithm, "kid": algorithm, "typ": "at+jwt"}), &claims)
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
