//! Who asks for a token: clients prove themselves as they are registered (RFC 6749, section 2.3; RFC 7523).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::client::{ClientMethod, KnownClient};
use super::{Broker, OAuthError};
use crate::jose::{Claims, Jws};
use crate::token;

/// What an assertion of a client is.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How far clocks of clients and identity providers may be apart.
pub(super) const SKEW: Duration = Duration::from_secs(60);
/// No assertion is good for longer than this from now on, whatever it says.
pub(super) const ASSERTION_MAX: Duration = Duration::from_secs(3_600);

/// What a client has proved itself by.
enum Proof<'a> {
    Nothing,
    Secret(String),
    Assertion(&'a str),
}

impl Broker {
    /// The client that asks, once it has proved itself.
    pub(super) async fn prove(
        &self,
        base: &str,
        headers: &HeaderMap,
        form: &HashMap<String, String>,
    ) -> Result<Arc<KnownClient>, OAuthError> {
        let (id, proof) = presented(headers, form)?;
        let client = self.client(&id).await?.ok_or_else(OAuthError::client)?;
        let proved = match (&proof, client.method) {
            (Proof::Nothing, ClientMethod::Public) => true,
            // How the secret is sent says nothing about who has it; clients mix the two up.
            (Proof::Secret(secret), ClientMethod::Basic | ClientMethod::Post) => client.has_secret(secret),
            (Proof::Assertion(text), ClientMethod::Key) => self.asserted(base, &client, text).await?,
            _ => false,
        };
        if proved { Ok(client) } else { Err(OAuthError::client()) }
    }

    /// Whether an assertion is of this client, for this server, and new (RFC 7523, section 3).
    async fn asserted(&self, base: &str, client: &KnownClient, text: &str) -> Result<bool, OAuthError> {
        let Ok(jws) = Jws::parse(text) else { return Ok(false) };
        let keys = self.keys_of(client).await?;
        let fits = |key: &&crate::jose::Key| jws.kid.is_none() || key.kid.is_none() || key.kid == jws.kid;
        if !keys.iter().filter(fits).any(|key| jws.is_signed_by(key)) {
            return Ok(false);
        }
        let Ok(claims) = jws.claims() else { return Ok(false) };
        let is = |name: &str, wanted: &str| claims.get(name).and_then(Value::as_str) == Some(wanted);
        let places = [base.to_owned(), format!("{base}{}", super::TOKEN)];
        if !is("iss", &client.id) || !is("sub", &client.id) || !is_for(&claims, &places) {
            return Ok(false);
        }
        self.is_new(&claims, &format!("assertion/{}", client.id)).await
    }

    /// Whether the times of an assertion hold, and nobody has used it before.
    pub(super) async fn is_new(&self, claims: &Claims, of: &str) -> Result<bool, OAuthError> {
        let now = self.clock.now();
        let (Ok(Some(expires)), Ok(begins), Ok(issued)) =
            (token::time(claims, "exp"), token::time(claims, "nbf"), token::time(claims, "iat"))
        else {
            return Ok(false);
        };
        let early = |time: Option<model::Timestamp>| time.is_some_and(|time| time > now.plus(SKEW));
        if now >= expires.plus(SKEW)
            || expires > now.plus(ASSERTION_MAX).plus(SKEW)
            || early(begins)
            || early(issued)
        {
            return Ok(false);
        }
        let Some(id) = claims.get("jti").and_then(Value::as_str) else { return Ok(false) };
        let name = crate::outbound::hashed("jti", &[of, id]);
        Ok(self.vault.once(&name, expires.plus(SKEW)).await?)
    }
}

/// Whether a token is meant for one of these, and for nobody else: who else it is for could use it here.
pub(super) fn is_for(claims: &Claims, places: &[String]) -> bool {
    let known =
        |audience: &Value| audience.as_str().is_some_and(|text| places.iter().any(|place| place == text));
    match claims.get("aud") {
        Some(Value::Array(all)) => !all.is_empty() && all.iter().all(known),
        Some(one) => known(one),
        None => false,
    }
}

/// Who says who he is, and by what.
fn presented<'a>(
    headers: &HeaderMap,
    form: &'a HashMap<String, String>,
) -> Result<(String, Proof<'a>), OAuthError> {
    let text = |name: &str| form.get(name).map(String::as_str);
    let (secret, assertion) = (text("client_secret"), text("client_assertion"));
    let basic = basic(headers)?;
    if [basic.is_some(), secret.is_some(), assertion.is_some()].iter().filter(|is| **is).count() > 1 {
        return Err(OAuthError::request("a client proves itself in one way at a time"));
    }
    let unnamed = || OAuthError::request("there is no client_id");
    if let Some((id, secret)) = basic {
        if text("client_id").is_some_and(|said| said != id) {
            return Err(OAuthError::request("client_id is another one than in the header"));
        }
        return Ok((id, Proof::Secret(secret)));
    }
    if let Some(assertion) = assertion {
        if text("client_assertion_type") != Some(JWT_BEARER) {
            return Err(OAuthError::request("client_assertion_type is none that is taken here"));
        }
        // Who it is stands in the assertion, too; nothing of that is believed before it was checked.
        let claims = Jws::parse(assertion).ok().and_then(|jws| jws.claims().ok());
        let named = claims.and_then(|claims| claims.get("sub").and_then(Value::as_str).map(str::to_owned));
        let id = text("client_id").map(str::to_owned).or(named).ok_or_else(OAuthError::client)?;
        return Ok((id, Proof::Assertion(assertion)));
    }
    let id = text("client_id").ok_or_else(unnamed)?.to_owned();
    match secret {
        Some(secret) => Ok((id, Proof::Secret(secret.to_owned()))),
        None => Ok((id, Proof::Nothing)),
    }
}

/// Name and secret of an `Authorization` header (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(OAuthError::request("there are several Authorization headers")),
    };
    let pair = value.to_str().ok().and_then(|text| text.split_once(' '));
    let pair = pair.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let decoded = pair.and_then(|(_, pair)| STANDARD.decode(pair.trim()).ok());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(OAuthError::client)?;
    let (id, secret) = text.split_once(':').ok_or_else(OAuthError::client)?;
    let plain = |text: &str| {
        let decoded = form_urlencoded::parse(format!("x={text}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned());
        decoded.unwrap_or_default()
    };
    Ok(Some((plain(id), plain(secret))))
}
