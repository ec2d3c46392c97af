//! What is asked of a token endpoint, whatever the grant (RFC 6749, sections 2.3 and 5; RFC 7523).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use model::{Clock, Rng, Timestamp};
use serde_json::{Map, Value, json};

use super::prover::Prover;
use super::{ClientProof, ServiceError, Signer};
use crate::fetch::Fetch;
use crate::metadata::Metadata;

/// How long an assertion is good.
const ASSERTION: Duration = Duration::from_secs(60);
/// No token is believed to be good for longer, whatever its issuer says.
const LIFE_MAX: u64 = 86_400;

/// A proof of possession (RFC 9449, section 4.1).
pub(super) const DPOP: HeaderName = HeaderName::from_static("dpop");
/// What the next one must contain (section 8).
pub(super) const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What is sent.
pub(super) type Form = Vec<(&'static str, String)>;

/// Who the gateway is at an authorization server.
#[derive(Debug, Clone)]
pub struct Client {
    /// What it is called there.
    pub id: String,
    /// By what it proves that; `None`: a public client, which has nothing.
    pub proof: Option<ClientProof>,
    /// How it does, where that was agreed on; `None`: in a way that the server takes.
    pub method: Option<String>,
}

/// What was issued.
pub(super) struct Issued {
    /// The token itself.
    pub access: String,
    /// Whether it is good only with a proof.
    pub bound: bool,
    /// When it ends, as far as the issuer says so.
    pub expires: Option<Timestamp>,
    /// By which another one is had.
    pub refresh: Option<String>,
    /// Who its user is (OpenID Connect).
    pub id_token: Option<String>,
}

/// Asks token endpoints.
pub(super) struct Asking<'a> {
    pub fetch: &'a dyn Fetch,
    pub clock: &'a dyn Clock,
    pub rng: &'a dyn Rng,
    /// Whether the operator wrote the host.
    pub trusted: &'a (dyn Fn(&Uri) -> bool + Sync),
    /// What tokens are to be bound to; `None`: to nothing.
    pub prover: Option<&'a Prover>,
}

impl Asking<'_> {
    /// Asks for a token. A workload's token is a grant of its own, and no client is named with it.
    pub async fn token(
        &self,
        metadata: &Metadata,
        client: &Client,
        form: Form,
    ) -> Result<Issued, ServiceError> {
        let document = self.document(metadata, client, form).await?;
        self.read(&metadata.issuer, &document)
    }

    /// Asks a token endpoint, and gives what it says. A server that wants a nonce in proofs says so once (RFC
    /// 9449, section 8): nothing was issued then.
    pub async fn document(
        &self,
        metadata: &Metadata,
        client: &Client,
        mut form: Form,
    ) -> Result<Map<String, Value>, ServiceError> {
        let url = metadata.url("token_endpoint")?;
        let trusted = (self.trusted)(&url);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        self.prove(metadata, client, &mut headers, &mut form)?;
        let form = body(&form);
        let mut nonce: Option<String> = None;
        loop {
            let mut request = Request::new(form.clone());
            *request.method_mut() = Method::POST;
            *request.headers_mut() = headers.clone();
            if let Some(prover) = self.prover {
                let to = (&Method::POST, &url);
                let proof = prover.proof(to, None, nonce.as_deref(), (self.rng, self.clock.now()));
                let proof = proof.ok_or_else(|| ServiceError::Proof("its key cannot sign".to_owned()))?;
                request.headers_mut().insert(DPOP, proof);
            }
            *request.uri_mut() = url.clone();
            let answer = self.fetch.send(request, trusted).await?;
            let document: Map<String, Value> = serde_json::from_slice(answer.body()).unwrap_or_default();
            if answer.status().is_success() {
                return Ok(document);
            }
            // What the other side says is shown to the operator alone, and only the word of the RFC.
            let error = document.get("error").and_then(Value::as_str);
            let given = answer.headers().get(DPOP_NONCE).and_then(|value| value.to_str().ok());
            match (error, given, &nonce) {
                (Some("use_dpop_nonce"), Some(given), None) if self.prover.is_some() => {
                    nonce = Some(given.to_owned());
                }
                _ => {
                    let error = error.map_or_else(|| format!("it answers {}", answer.status()), short);
                    return Err(ServiceError::Refused { issuer: metadata.issuer.clone(), error });
                }
            }
        }
    }

    /// What a token endpoint has issued, from what it says.
    pub fn read(&self, issuer: &str, document: &Map<String, Value>) -> Result<Issued, ServiceError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let wrong = |fault: &str| ServiceError::Wrong { issuer: issuer.to_owned(), fault: fault.to_owned() };
        let access = text("access_token").ok_or_else(|| wrong("there is no access_token"))?;
        let kind = text("token_type").unwrap_or_default();
        // A server that does not bind tokens says so by this (RFC 9449, section 5).
        let bound = self.prover.is_some() && kind.eq_ignore_ascii_case("dpop");
        if !bound && !kind.eq_ignore_ascii_case("bearer") {
            return Err(wrong("its token_type is not Bearer"));
        }
        if header(access, bound).is_none() {
            return Err(wrong("its access_token cannot be sent"));
        }
        let lives = document.get("expires_in").and_then(Value::as_u64);
        let now = self.clock.now();
        Ok(Issued {
            access: access.to_owned(),
            bound,
            expires: lives.map(|seconds| now.plus(Duration::from_secs(seconds.min(LIFE_MAX)))),
            refresh: text("refresh_token").map(str::to_owned),
            id_token: text("id_token").map(str::to_owned),
        })
    }

    fn prove(
        &self,
        metadata: &Metadata,
        client: &Client,
        headers: &mut HeaderMap,
        form: &mut Form,
    ) -> Result<(), ServiceError> {
        let id = &client.id;
        let unsupported = |what| ServiceError::Unsupported { issuer: metadata.issuer.clone(), what };
        // RFC 8414, section 2: who says nothing supports client_secret_basic.
        let methods = metadata.list("token_endpoint_auth_methods_supported");
        let takes = |method: &str| match (&client.method, &methods) {
            (Some(agreed), _) => agreed == method,
            (None, Some(methods)) => methods.contains(&method),
            (None, None) => method == "client_secret_basic",
        };
        match &client.proof {
            None => form.push(("client_id", id.clone())),
            Some(ClientProof::Secret(secret)) if takes("client_secret_basic") => {
                // RFC 6749, section 2.3.1: both are form-encoded first.
                let encoded =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
                let value = HeaderValue::from_str(&format!("Basic {pair}"));
                let mut value =
                    value.map_err(|_| ServiceError::Proof("the secret cannot be sent".to_owned()))?;
                value.set_sensitive(true);
                headers.insert(AUTHORIZATION, value);
            }
            Some(ClientProof::Secret(secret)) if takes("client_secret_post") => {
                form.push(("client_id", id.clone()));
                form.push(("client_secret", secret.clone()));
            }
            Some(ClientProof::Secret(_)) => return Err(unsupported("a client that has a secret")),
            Some(ClientProof::Key(signer)) => {
                if !takes("private_key_jwt") {
                    return Err(unsupported("private_key_jwt"));
                }
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
                ));
                form.push(("client_assertion", self.assertion(id, signer, &metadata.issuer)?));
            }
            Some(ClientProof::Workload(_)) => {}
        }
        Ok(())
    }

    /// RFC 7523, section 3; its audience is the issuer alone, so that nobody else can use it.
    fn assertion(&self, id: &str, signer: &Signer, issuer: &str) -> Result<String, ServiceError> {
        let now = self.clock.now();
        let claims = json!({
            "iss": id, "sub": id, "aud": issuer, "jti": random(self.rng),
            "iat": now.0 / 1_000, "exp": now.plus(ASSERTION).0 / 1_000,
        });
        signer.sign("JWT", &claims).map_err(|error| ServiceError::Proof(error.to_string()))
    }
}

/// The header of a token; `None`: it cannot be sent.
pub(super) fn header(access: &str, bound: bool) -> Option<HeaderValue> {
    let scheme = if bound { "DPoP" } else { "Bearer" };
    let mut header = HeaderValue::from_str(&format!("{scheme} {access}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// 256 bits that nobody can guess, as text that goes anywhere.
pub(crate) fn random(rng: &dyn Rng) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn body(form: &[(&'static str, String)]) -> Bytes {
    Bytes::from(form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish())
}

/// A word of another side, as far as it is one.
pub(super) fn short(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(64).collect()
}
