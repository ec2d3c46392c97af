//! What clients ask without a browser: metadata, keys, tokens, registration.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderName, PRAGMA, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use identity::{Broker, OAuthError, TokenRequest};
use serde_json::{Map, Value, json};

use crate::answer::{self, Answer};
use crate::app::{App, Generation};
use crate::door;

/// Where a nonce for the next proof of possession travels.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What is meant for everybody, pages of any origin included.
fn public(document: &Value) -> Answer {
    let mut answer = answer::json(StatusCode::OK, Bytes::from(document.to_string()));
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    answer
}

/// What is meant for whoever asks alone (RFC 6749, section 5.1).
fn private(status: StatusCode, document: &Value) -> Answer {
    let mut answer = answer::json(status, Bytes::from(document.to_string()));
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    answer
}

fn failed(broker: &Broker, error: &OAuthError) -> Answer {
    let document = json!({"error": error.error, "error_description": error.text});
    let mut answer = private(error.status(), &document);
    let headers = answer.headers_mut();
    match error.status() {
        StatusCode::UNAUTHORIZED => {
            let challenge = HeaderValue::from_static("Basic realm=\"tidegate\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
    nonce(broker, &mut answer);
    answer
}

/// Gives a client what its next proof must contain, where that is wanted (RFC 9449, section 8).
fn nonce(broker: &Broker, answer: &mut Answer) {
    if let Some(nonce) = broker.nonce().and_then(|nonce| nonce.parse().ok()) {
        answer.headers_mut().insert(DPOP_NONCE, nonce);
    }
}

/// What the gateway says of itself as an authorization server.
pub(crate) fn metadata(app: &App, generation: &Generation, broker: &Broker, headers: &HeaderMap) -> Answer {
    public(&broker.metadata(&door::base(app, generation, headers)))
}

/// The keys that its tokens are signed with.
pub(crate) fn jwks(broker: &Broker) -> Answer {
    public(&broker.jwks())
}

/// What kind of body there is, without its parameters.
fn kind(headers: &HeaderMap) -> &str {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// The form of a request; the error where it has none.
pub(crate) fn form<'a>(headers: &HeaderMap, body: &'a Bytes) -> Result<&'a str, OAuthError> {
    let wrong = |text: &str| OAuthError::new("invalid_request", text);
    if !kind(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(wrong("expected application/x-www-form-urlencoded"));
    }
    std::str::from_utf8(body).map_err(|_| wrong("the form is no text"))
}

/// `POST /oauth/token`
pub(crate) async fn token(
    app: &App,
    generation: &Generation,
    broker: &Broker,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let base = door::base(app, generation, headers);
    let issued = match form(headers, body) {
        Ok(form) => broker.token(&TokenRequest { base: &base, headers, form }).await,
        Err(error) => Err(error),
    };
    match issued {
        Ok(document) => {
            let mut answer = private(StatusCode::OK, &document);
            nonce(broker, &mut answer);
            answer
        }
        Err(error) => {
            app.metrics.refused(error.error);
            tracing::info!(error = error.error, text = error.text, "no token was issued");
            failed(broker, &error)
        }
    }
}

/// `POST /oauth/revoke`
pub(crate) async fn revoke(
    app: &App,
    generation: &Generation,
    broker: &Broker,
    headers: &HeaderMap,
    body: &Bytes,
) -> Answer {
    let base = door::base(app, generation, headers);
    let done = match form(headers, body) {
        Ok(form) => broker.revoke(&TokenRequest { base: &base, headers, form }).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => private(StatusCode::OK, &json!({})),
        Err(error) => failed(broker, &error),
    }
}

/// `POST /oauth/register`
pub(crate) async fn register(broker: &Broker, headers: &HeaderMap, body: &Bytes) -> Answer {
    let wrong = |text: &str| OAuthError::new("invalid_client_metadata", text);
    let members: Result<Map<String, Value>, OAuthError> =
        if kind(headers).eq_ignore_ascii_case("application/json") {
            serde_json::from_slice(body).map_err(|_| wrong("expected a JSON object"))
        } else {
            Err(wrong("expected application/json"))
        };
    let registered = match members {
        Ok(members) => broker.registration(&members).await,
        Err(error) => Err(error),
    };
    match registered {
        Ok(document) => private(StatusCode::CREATED, &document),
        Err(error) => failed(broker, &error),
    }
}
