//! How somebody signs in at the issuer: authorization code with PKCE (OpenID Connect Core 1.0, section 3.1).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::issuer::Signer;

/// Who signs in, and which codes were given.
#[derive(Debug, Default)]
pub(crate) struct CodeFlow(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    user: Option<Value>,
    codes: HashMap<String, HashMap<String, String>>,
    given: usize,
}

/// The pairs of a query or a form, as they came.
fn pairs(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

fn page(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    response
}

fn refused(error: &str) -> Response<Full<Bytes>> {
    page(StatusCode::BAD_REQUEST, &json!({"error": error}))
}

impl CodeFlow {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever comes from now on is this one: claims of the ID token. `None`: nobody may.
    pub fn set(&self, user: Option<Value>) {
        self.state().user = user;
    }

    /// What a browser gets that is sent here: it goes back at once.
    pub fn authorize(&self, issuer: &str, query: &str) -> Response<Full<Bytes>> {
        let asked = pairs(query);
        let is = |name: &str, value: &str| asked.get(name).is_some_and(|found| found == value);
        let Some(redirect) = asked.get("redirect_uri").cloned() else { return refused("invalid_request") };
        if !is("response_type", "code") || !is("code_challenge_method", "S256") {
            return refused("invalid_request");
        }
        let mut state = self.state();
        let mut back = form_urlencoded::Serializer::new(String::new());
        back.append_pair("iss", issuer);
        back.append_pair("state", asked.get("state").map_or("", String::as_str));
        if state.user.is_some() {
            state.given += 1;
            let code = format!("code-{}", state.given);
            back.append_pair("code", &code);
            state.codes.insert(code, asked);
        } else {
            back.append_pair("error", "access_denied");
        }
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::SEE_OTHER;
        let to = format!("{redirect}?{}", back.finish());
        response.headers_mut().insert(LOCATION, HeaderValue::from_str(&to).expect("a URL"));
        response
    }

    /// What a code is good for, once.
    pub fn token(&self, (issuer, signer): (&str, &Signer), form: &str) -> Response<Full<Bytes>> {
        let form = pairs(form);
        let value = |name: &str| form.get(name).map_or("", String::as_str);
        let mut state = self.state();
        let Some(asked) = state.codes.remove(value("code")) else { return refused("invalid_grant") };
        let challenge = BASE64.encode(seal::sha256(value("code_verifier").as_bytes()));
        let same = asked.get("redirect_uri").map(String::as_str) == Some(value("redirect_uri"));
        if value("grant_type") != "authorization_code"
            || asked.get("code_challenge") != Some(&challenge)
            || !same
        {
            return refused("invalid_grant");
        }
        let now = SystemClock.now().0 / 1_000;
        let mut claims = json!({
            "iss": issuer, "aud": asked.get("client_id"), "nonce": asked.get("nonce"), "iat": now,
            "exp": now + 300,
        });
        let user = state.user.clone().unwrap_or_default();
        for (name, value) in user.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        let id_token = signer.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims);
        let answer = json!({
            "access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": id_token,
        });
        page(StatusCode::OK, &answer)
    }
}
