//! An identity provider where users sign in and consent without a word, and a server that wants its tokens.
//! Whatever is secret of what it issues or gets is noted, so that a test can look for it elsewhere.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::issuer::Signer;

/// What every secret that is made for tests begins with, so that it is known wherever it turns up.
pub const SEED: &str = "s3cr3t-seed-";

/// The parameters of a request.
pub type Form = HashMap<String, String>;
type Page = Response<BoxBody<Bytes, hyper::Error>>;

/// What was asked for with a code.
struct Asked {
    form: Form,
    subject: String,
}

#[derive(Default)]
struct State {
    codes: HashMap<String, Asked>,
    /// Access tokens that are good at the server.
    good: HashSet<String>,
    secrets: Vec<String>,
    forms: Vec<Form>,
    authorizations: Vec<String>,
    subject: String,
    count: usize,
    /// Another name that answers are given under.
    alias: Option<String>,
}

struct Inner {
    url: String,
    now: u64,
    demo: SocketAddr,
    signer: Signer,
    client: legacy::Client<HttpConnector, Incoming>,
    state: Mutex<State>,
}

/// The identity provider, which is also the authorization server of its server at `/mcp`.
pub struct Provider {
    /// Its name.
    pub url: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

impl Provider {
    /// One whose clock stands at `now`, in seconds, with the demo server at this address behind it.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(now: u64, demo: SocketAddr) -> Self {
        let socket = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let state = Mutex::new(State { subject: "ann".to_owned(), ..State::default() });
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        let signer = Signer::generate();
        let inner = Arc::new(Inner { url: url.clone(), now, demo, signer, client, state });
        let serving = Arc::clone(&inner);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let inner = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let inner = Arc::clone(&inner);
                    async move { Ok::<_, Infallible>(inner.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, inner, server }
    }

    /// The URL of the server that wants tokens.
    #[must_use]
    pub fn server(&self) -> String {
        format!("{}/mcp", self.url)
    }

    /// A token with these claims, for a client of the gateway.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["iss"] = json!(self.url);
        self.inner.sign("at+jwt", &claims)
    }

    /// Who sits at the browser that comes next.
    pub fn sits(&self, subject: &str) {
        self.inner.state().subject = subject.to_owned();
    }

    /// Answers under another name (RFC 9207), from now on.
    pub fn calls_itself(&self, name: &str) {
        self.inner.state().alias = Some(name.to_owned());
    }

    /// Takes all access tokens back.
    pub fn revoke(&self) {
        self.inner.state().good.clear();
    }

    /// All that is secret of what it issued or got.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.inner.state().secrets.clone()
    }

    /// What its token endpoint was asked.
    #[must_use]
    pub fn forms(&self) -> Vec<Form> {
        self.inner.state().forms.clone()
    }

    /// What the server was brought.
    #[must_use]
    pub fn authorizations(&self) -> Vec<String> {
        self.inner.state().authorizations.clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn form(text: &[u8]) -> Form {
    form_urlencoded::parse(text).into_owned().collect()
}

fn json_page(status: StatusCode, value: &Value) -> Page {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed();
    let mut page = Response::new(body);
    *page.status_mut() = status;
    page.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    page
}

fn refused(error: &str) -> Page {
    json_page(StatusCode::BAD_REQUEST, &json!({"error": error}))
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign(&self, typ: &str, claims: &Value) -> String {
        self.signer.sign(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), claims)
    }

    async fn answer(&self, request: Request<Incoming>) -> Page {
        let url = &self.url;
        match request.uri().path() {
            "/mcp" => self.serve(request).await,
            "/authorize" => self.authorize(request.uri()),
            "/token" => {
                let client = request.headers().get(AUTHORIZATION).cloned();
                let body = request.into_body().collect().await.expect("a whole form").to_bytes();
                self.issue(form(&body), client.as_ref())
            }
            "/register" => {
                let secret = self.secret("client");
                json_page(StatusCode::CREATED, &json!({"client_id": "made", "client_secret": secret}))
            }
            "/jwks" => {
                let mut public = self.signer.jwk.clone();
                public["kid"] = json!("k1");
                json_page(StatusCode::OK, &json!({"keys": [public]}))
            }
            "/.well-known/oauth-protected-resource/mcp" => {
                let page = json!({"resource": format!("{url}/mcp"), "authorization_servers": [url]});
                json_page(StatusCode::OK, &page)
            }
            "/.well-known/oauth-authorization-server" => {
                let at = |path: &str| format!("{url}/{path}");
                let page = json!({
                    "issuer": url, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
                    "registration_endpoint": at("register"), "jwks_uri": at("jwks"),
                    "code_challenge_methods_supported": ["S256"],
                    "authorization_response_iss_parameter_supported": true,
                });
                json_page(StatusCode::OK, &page)
            }
            _ => json_page(StatusCode::NOT_FOUND, &Value::Null),
        }
    }

    /// Lets whoever has a token through to the demo server.
    async fn serve(&self, mut request: Request<Incoming>) -> Page {
        let brought = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let good = {
            let mut state = self.state();
            state.authorizations.extend(brought.map(str::to_owned));
            brought
                .and_then(|text| text.strip_prefix("Bearer "))
                .is_some_and(|token| state.good.contains(token))
        };
        if !good {
            let mut page = json_page(StatusCode::UNAUTHORIZED, &Value::Null);
            let challenge = format!(
                "Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\", scope=\"read\"",
                self.url
            );
            let challenge = HeaderValue::from_str(&challenge).expect("a challenge");
            page.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            return page;
        }
        request.headers_mut().remove(HOST);
        let target: Uri = format!("http://{}/mcp", self.demo).parse().expect("a URL");
        *request.uri_mut() = target;
        self.client.request(request).await.expect("the demo server answers").map(BodyExt::boxed)
    }

    /// Nobody is asked: whoever sits there agrees.
    fn authorize(&self, uri: &Uri) -> Page {
        let asked = form(uri.query().unwrap_or_default().as_bytes());
        let code = self.secret("code");
        let mut state = self.state();
        let name = state.alias.clone().unwrap_or_else(|| self.url.clone());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &asked["state"])
            .append_pair("iss", &name)
            .finish();
        let back = format!("{}?{query}", asked["redirect_uri"]);
        let subject = state.subject.clone();
        state.codes.insert(code, Asked { form: asked, subject });
        let mut page = json_page(StatusCode::FOUND, &Value::Null);
        page.headers_mut().insert(LOCATION, HeaderValue::from_str(&back).expect("a URL"));
        page
    }

    fn secret(&self, kind: &str) -> String {
        let mut state = self.state();
        state.count += 1;
        let secret = format!("{SEED}{kind}-{:04}-of-the-provider", state.count);
        state.secrets.push(secret.clone());
        secret
    }

    fn issue(&self, form: Form, client: Option<&HeaderValue>) -> Page {
        let known = ["code_verifier", "client_secret", "client_assertion"];
        let mut state = self.state();
        state.secrets.extend(known.iter().filter_map(|name| form.get(*name).cloned()));
        let basic = client.and_then(|value| value.to_str().ok()).and_then(|text| text.strip_prefix("Basic "));
        state.secrets.extend(basic.map(str::to_owned));
        state.forms.push(form.clone());
        drop(state);
        let Some(grant) = form.get("grant_type") else { return refused("invalid_request") };
        let mut page = json!({"token_type": "Bearer", "expires_in": 300});
        match grant.rsplit(':').next().unwrap_or_default() {
            "authorization_code" => {
                let code = form.get("code").cloned().unwrap_or_default();
                let Some(asked) = self.state().codes.remove(&code) else { return refused("invalid_grant") };
                let verifier = form.get("code_verifier").cloned().unwrap_or_default();
                let challenge = BASE64.encode(seal::sha256(verifier.as_bytes()));
                if asked.form.get("code_challenge") != Some(&challenge)
                    || asked.form.get("redirect_uri") != form.get("redirect_uri")
                {
                    return refused("invalid_grant");
                }
                if let Some(nonce) = asked.form.get("nonce") {
                    let claims = json!({
                        "iss": self.url, "aud": asked.form["client_id"], "sub": asked.subject,
                        "nonce": nonce, "iat": self.now, "exp": self.now + 600,
                    });
                    let token = self.sign("JWT", &claims);
                    self.state().secrets.push(token.clone());
                    page["id_token"] = json!(token);
                }
                page["refresh_token"] = json!(self.secret("refresh"));
            }
            "refresh_token" => page["refresh_token"] = json!(self.secret("refresh")),
            "token-exchange" => page["issued_token_type"] = json!(form.get("requested_token_type")),
            _ => return refused("unsupported_grant_type"),
        }
        let access = self.secret("access");
        self.state().good.insert(access.clone());
        page["access_token"] = json!(access);
        json_page(StatusCode::OK, &page)
    }
}
