//! Tokens that say nothing themselves: their issuer is asked (RFC 7662).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use serde_json::Value;

use crate::fetch::{Fetch, FetchError};
use crate::jose::Claims;
use crate::metadata::MetadataError;

/// How an issuer is asked about tokens.
#[derive(Clone)]
pub struct Introspection {
    /// Where; `None`: where its metadata says.
    pub url: Option<Uri>,
    /// Who asks.
    pub client_id: String,
    /// What that is proved by.
    pub client_secret: String,
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Why an issuer says nothing about a token.
#[derive(Debug, thiserror::Error)]
pub enum IntrospectionError {
    /// It is not known where to ask.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// It cannot be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it says is no answer.
    #[error("the issuer gives no answer about a token: {0}")]
    Wrong(String),
}

/// Asks about a token. `None`: it is not active.
pub async fn ask(
    fetch: &dyn Fetch,
    (url, trusted): (Uri, bool),
    own: &Introspection,
    token: &str,
) -> Result<Option<Claims>, IntrospectionError> {
    let form = form(&[("token", token), ("token_type_hint", "access_token")]);
    let mut request = Request::new(Bytes::from(form));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    // RFC 6749, section 2.3.1: both are form-encoded first.
    let pair = format!("{}:{}", encoded(&own.client_id), encoded(&own.client_secret));
    let basic = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
    let mut basic = basic.map_err(|_| IntrospectionError::Wrong("the client cannot be named".to_owned()))?;
    basic.set_sensitive(true);
    headers.insert(AUTHORIZATION, basic);
    let answer = fetch.send(request, trusted).await?;
    if !answer.status().is_success() {
        return Err(IntrospectionError::Wrong(format!("it answers {}", answer.status())));
    }
    let claims: Claims = serde_json::from_slice(answer.body())
        .map_err(|_| IntrospectionError::Wrong("it is no JSON object".to_owned()))?;
    match claims.get("active") {
        Some(Value::Bool(true)) => Ok(Some(claims)),
        Some(Value::Bool(false)) => Ok(None),
        _ => Err(IntrospectionError::Wrong("it does not say whether the token is active".to_owned())),
    }
}

/// A form as it travels (URL Standard, application/x-www-form-urlencoded).
pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
