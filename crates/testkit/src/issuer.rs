//! An authorization server that signs whatever it is told to, with its metadata and keys on loopback.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A key pair of ES256.
pub struct Signer {
    key: EncodingKey,
    /// The public key, as a JSON Web Key.
    pub jwk: Value,
}

impl Signer {
    /// A new one.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    pub fn generate() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key pair");
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": BASE64.encode(x), "y": BASE64.encode(y)});
        Self { key: EncodingKey::from_ec_der(&pair.serialize_der()), jwk }
    }

    /// A signed token.
    ///
    /// # Panics
    /// If it cannot be signed.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.key, Algorithm::ES256).expect("a signature");
        format!("{signed}.{signature}")
    }
}

/// The authorization server.
pub struct Issuer {
    /// Its name.
    pub url: String,
    signer: Signer,
    asked: Arc<AtomicUsize>,
    tokens: Arc<Mutex<(u16, Value)>>,
    server: JoinHandle<()>,
}

impl Issuer {
    /// Starts one.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start() -> Self {
        let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let signer = Signer::generate();
        let mut public = signer.jwk.clone();
        public["kid"] = json!("k1");
        let (issuer, asked) = (url.clone(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let tokens = Arc::new(Mutex::new((404, json!({}))));
        let said = Arc::clone(&tokens);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let (issuer, public, count) = (issuer.clone(), public.clone(), Arc::clone(&count));
                let said = Arc::clone(&said);
                let service = service_fn(move |request: Request<Incoming>| {
                    count.fetch_add(1, Ordering::SeqCst);
                    let (status, page) = match request.uri().path() {
                        "/jwks" => (200, json!({"keys": [public]})),
                        "/token" => said.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                        _ => (200, metadata(&issuer)),
                    };
                    let page = Full::new(Bytes::from(page.to_string()));
                    let answer = Response::builder().status(status).body(page).expect("an answer");
                    async move { Ok::<_, Infallible>(answer) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, signer, asked, tokens, server }
    }

    /// How often it was asked for something.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// What its token endpoint answers from now on, whatever it is asked for.
    pub fn answer(&self, status: u16, said: Value) {
        *self.tokens.lock().unwrap_or_else(PoisonError::into_inner) = (status, said);
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = json!(self.url);
        self.signer.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), &claims)
    }
}

fn metadata(issuer: &str) -> Value {
    json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"), "token_endpoint": format!("{issuer}/token"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
    })
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
