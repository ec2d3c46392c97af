//! Issuers with keys of their own, and a network that has nothing else.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use identity::*;
use jsonwebtoken::{EncodingKey, crypto};
use model::{ManualClock, Timestamp};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use seal::{KeyRing, SystemRng};
use serde_json::{Value, json};

pub const URL: &str = "https://gw.example";
pub const CRM: &str = "https://gw.example/crm/mcp";
pub const CORP: &str = "https://login.corp.example/";
/// 2026-11-23T00:00:00Z
pub const NOW: u64 = 1_795_392_000;

/// A key pair.
pub struct Forge {
    pub algorithm: Algorithm,
    pub kid: String,
    signing: EncodingKey,
    public: Value,
}

impl Forge {
    pub fn new(algorithm: Algorithm, kid: &str) -> Self {
        let kind = match algorithm {
            Algorithm::ES384 => &PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &PKCS_ED25519,
            _ => &PKCS_ECDSA_P256_SHA256,
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let (der, raw) = (pair.serialize_der(), pair.public_key_raw());
        let (signing, public) = if algorithm == Algorithm::EdDSA {
            let public = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64.encode(raw)});
            (EncodingKey::from_ed_der(&der), public)
        } else {
            let (x, y) = raw[1..].split_at((raw.len() - 1) / 2);
            let curve = if x.len() == 32 { "P-256" } else { "P-384" };
            let public = json!({"kty": "EC", "crv": curve, "x": BASE64.encode(x), "y": BASE64.encode(y)});
            (EncodingKey::from_ec_der(&der), public)
        };
        Self { algorithm, kid: kid.to_owned(), signing, public }
    }

    /// The public key.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(self.kid);
        jwk["use"] = json!("sig");
        jwk
    }

    pub fn bare(&self) -> Value {
        self.public.clone()
    }

    pub fn thumbprint(&self) -> String {
        Key::of_jwk(&self.public).unwrap().thumbprint()
    }

    pub fn header(&self) -> Value {
        json!({"alg": format!("{:?}", self.algorithm), "kid": self.kid, "typ": "at+jwt"})
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs what no [`Value`] can be.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", BASE64.encode(header), BASE64.encode(claims));
        let signature = crypto::sign(signed.as_bytes(), &self.signing, self.algorithm).unwrap();
        format!("{signed}.{signature}")
    }

    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A proof of possession for a request to the endpoint, with changes.
    pub fn proof(&self, token: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut header =
            json!({"alg": format!("{:?}", self.algorithm), "typ": "dpop+jwt", "jwk": self.public});
        let mut claims = json!({
            "jti": format!("proof {}", COUNT.fetch_add(1, Ordering::Relaxed)),
            "htm": "POST", "htu": CRM, "iat": NOW,
            "ath": BASE64.encode(seal::sha256(token.as_bytes())),
        });
        change(&mut header, &mut claims);
        self.sign(&header, &claims)
    }
}

pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// The claims of a token that is good, with changes.
pub fn claims(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = json!({
        "iss": CORP, "aud": CRM, "sub": "ann", "iat": NOW - 10, "exp": NOW + 300,
        "client_id": "editor", "scope": "crm:read crm:write", "groups": ["sales"], "jti": "t1",
    });
    change(&mut claims);
    claims
}

/// What other servers answer.
#[derive(Default)]
pub struct Network {
    pages: Mutex<HashMap<String, (StatusCode, String)>>,
    /// What is answered before that, once each.
    first: Mutex<HashMap<String, VecDeque<(StatusCode, String)>>>,
    pub asked: AtomicUsize,
    pub down: std::sync::atomic::AtomicBool,
    pub requests: Mutex<Vec<Request<Bytes>>>,
    /// Where was asked that is not the operator's.
    pub foreign: Mutex<Vec<String>>,
}

impl Network {
    pub fn set(&self, url: &str, status: u16, page: impl ToString) {
        let page = (StatusCode::from_u16(status).unwrap(), page.to_string());
        self.pages.lock().unwrap().insert(url.to_owned(), page);
    }

    /// Whether there is an answer.
    pub fn knows(&self, url: &str) -> bool {
        self.pages.lock().unwrap().contains_key(url) || self.first.lock().unwrap().contains_key(url)
    }

    /// Answers this once, before what is there.
    pub fn once(&self, url: &str, status: u16, page: impl ToString) {
        let page = (StatusCode::from_u16(status).unwrap(), page.to_string());
        self.first.lock().unwrap().entry(url.to_owned()).or_default().push_back(page);
    }

    pub fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Fetch for Network {
    async fn send(&self, request: Request<Bytes>, trusted: bool) -> Result<Response<Bytes>, FetchError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        // Others may ask meanwhile.
        tokio::task::yield_now().await;
        let url = request.uri().to_string();
        self.requests.lock().unwrap().push(request);
        if !trusted {
            self.foreign.lock().unwrap().push(url.clone());
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(FetchError::Plain { url });
        }
        let first = self.first.lock().unwrap().get_mut(&url).and_then(VecDeque::pop_front);
        let page = first.or_else(|| self.pages.lock().unwrap().get(&url).cloned());
        let (status, page) = page.unwrap_or((StatusCode::NOT_FOUND, String::new()));
        let mut response = Response::new(Bytes::from(page));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        *response.status_mut() = status;
        Ok(response)
    }
}

/// A gate before one endpoint, which trusts one issuer.
pub struct World {
    pub clock: Arc<ManualClock>,
    pub network: Arc<Network>,
    pub forge: Forge,
    pub gate: Gate,
}

pub struct Wanted {
    pub issuer: IssuerOptions,
    pub rules: EndpointRules,
    pub dpop: DpopOptions,
    pub keys: ApiKeys,
}

pub fn world() -> World {
    world_with(|_| {})
}

pub fn world_with(change: impl FnOnce(&mut Wanted)) -> World {
    let clock = Arc::new(ManualClock::at(Timestamp(NOW * 1_000)));
    let network = Arc::new(Network::default());
    let forge = Forge::new(Algorithm::ES256, "k1");
    let well_known = "https://login.corp.example/.well-known/oauth-authorization-server";
    network.set(well_known, 200, json!({"issuer": CORP, "jwks_uri": "https://login.corp.example/jwks"}));
    network.set("https://login.corp.example/jwks", 200, json!({"keys": [forge.jwk()]}));
    let mut wanted = Wanted {
        issuer: IssuerOptions {
            name: "corp".to_owned(),
            issuer: CORP.to_owned(),
            jwks_url: None,
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA],
            audiences: Vec::new(),
            typed: false,
            mapping: Mapping { groups: Some(Claim("groups".to_owned())), ..Mapping::default() },
            introspection: None,
            stale_max: Duration::from_secs(3_600),
        },
        rules: EndpointRules {
            paths: vec!["/crm/mcp".to_owned(), "/crm/sse".to_owned()],
            allow: vec![Allowed::Issuer("corp".to_owned()), Allowed::Keys],
            scopes: Vec::new(),
            possession: Possession::Taken,
        },
        dpop: DpopOptions::default(),
        keys: ApiKeys::default(),
    };
    change(&mut wanted);
    let ring = Arc::new(KeyRing::generate(&SystemRng));
    let issuer = Issuer::new(wanted.issuer, Arc::clone(&network) as _, Arc::clone(&clock) as _);
    let options = GateOptions {
        skew: Duration::from_secs(60),
        issuers: vec![issuer],
        tokens: None,
        keys: wanted.keys,
        endpoints: HashMap::from([
            ("crm".to_owned(), wanted.rules),
            (
                "open".to_owned(),
                EndpointRules { allow: vec![Allowed::Anonymous], ..EndpointRules::default() },
            ),
        ]),
    };
    let dpop = Arc::new(Dpop::new(wanted.dpop, ring));
    World { gate: Gate::new(options, dpop, Arc::clone(&clock) as _), clock, network, forge }
}

pub fn headers(all: &[(&str, &str)]) -> HeaderMap {
    all.iter()
        .map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}

impl World {
    pub async fn present(&self, all: &[(&str, &str)]) -> Result<Arc<Caller>, Denied> {
        let headers = headers(all);
        let presented =
            Presented { base: URL, method: "POST", path: "/crm/mcp", query: None, headers: &headers };
        self.gate.admit("crm", &presented).await
    }

    pub async fn bearer(&self, token: &str) -> Result<Arc<Caller>, Denied> {
        self.present(&[(AUTHORIZATION.as_str(), &format!("Bearer {token}"))]).await
    }

    /// Why a token is not taken, with its status and reason.
    pub async fn refused(&self, token: &str) -> (u16, Reason, String) {
        let denied = self.bearer(token).await.expect_err("it is no good");
        (denied.status().as_u16(), denied.reason, denied.text)
    }
}

pub fn challenges(denied: &Denied) -> Vec<String> {
    denied
        .headers
        .iter()
        .filter(|(name, _)| *name == WWW_AUTHENTICATE)
        .map(|(_, value)| value.to_str().unwrap().to_owned())
        .collect()
}
