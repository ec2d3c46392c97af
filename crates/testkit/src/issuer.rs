//! An authorization server that signs whatever it is told to, with its metadata and keys on loopback. Whoever
//! it is told signs in there without being asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::code_flow::CodeFlow;

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
    signer: Arc<Signer>,
    flow: Arc<CodeFlow>,
    asked: Arc<AtomicUsize>,
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
        let signer = Arc::new(Signer::generate());
        let (flow, asked) = (Arc::new(CodeFlow::default()), Arc::new(AtomicUsize::new(0)));
        let served = Served {
            issuer: url.clone(),
            signer: Arc::clone(&signer),
            flow: Arc::clone(&flow),
            asked: Arc::clone(&asked),
        };
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let served = served.clone();
                let service = service_fn(move |request| {
                    let served = served.clone();
                    async move { Ok::<_, Infallible>(served.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, signer, flow, asked, server }
    }

    /// Who signs in from now on, whoever's browser comes: claims of the ID token besides those that every one
    /// has, or in place of them. `None`: nobody may.
    pub fn signs_in(&self, user: Option<Value>) {
        self.flow.set(user);
    }

    /// How often it was asked for something.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = json!(self.url);
        self.signer.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"}), &claims)
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Served {
    issuer: String,
    signer: Arc<Signer>,
    flow: Arc<CodeFlow>,
    asked: Arc<AtomicUsize>,
}

impl Served {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let issuer = &self.issuer;
        let page = match request.uri().path() {
            "/authorize" => return self.flow.authorize(issuer, request.uri().query().unwrap_or_default()),
            "/token" => {
                let form = request.into_body().collect().await.expect("a form").to_bytes();
                return self.flow.token((issuer, &self.signer), &String::from_utf8_lossy(&form));
            }
            "/jwks" => {
                let mut public = self.signer.jwk.clone();
                public["kid"] = json!("k1");
                json!({"keys": [public]})
            }
            _ => json!({
                "issuer": issuer, "jwks_uri": format!("{issuer}/jwks"),
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "response_types_supported": ["code"], "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            }),
        };
        Response::new(Full::new(Bytes::from(page.to_string())))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}
