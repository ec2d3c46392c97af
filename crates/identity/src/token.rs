//! Access tokens that are JWTs (RFC 9068, and those of issuers that know it not).

use std::time::Duration;

use model::Timestamp;
use serde_json::Value;

use crate::jose::{Algorithm, Claims, JoseError, Jws};

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("the token cannot be read: {0}")]
    Unreadable(#[from] JoseError),
    /// Its issuer is not trusted here.
    #[error("the token is of an issuer that this endpoint does not trust")]
    Issuer,
    /// It is signed in a way that the operator does not take of this issuer.
    #[error("the token is signed by an algorithm that is not taken of its issuer")]
    Algorithm,
    /// Somebody else signed it.
    #[error("the signature is not that of the issuer")]
    Signature,
    /// It is for something else.
    #[error("the token is for another audience than {resource}")]
    Audience {
        /// What it should be for.
        resource: String,
    },
    /// Its time is over, or it says nothing of it.
    #[error("the token has expired, or says nothing of when")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    Early,
    /// It is a token of another kind.
    #[error("the token is no access token")]
    Kind,
    /// Something of it has not the form that it must have.
    #[error("the token's {0} has not the form that it must have")]
    Form(&'static str),
    /// Its issuer says that it is not good, or no more.
    #[error("the token is not active")]
    Inactive,
}

/// What a token is held against.
#[derive(Debug, Clone, Copy)]
pub struct TokenRules<'a> {
    /// What it must be for: one of these.
    pub audiences: &'a [String],
    /// And what its issuer says for the same.
    pub also: &'a [String],
    /// How it may be signed.
    pub algorithms: &'a [Algorithm],
    /// How far the clocks may be apart.
    pub skew: Duration,
    /// Whether it must say that it is an access token.
    pub typed: bool,
}

/// Seconds since 1970 that claims may be; later ones are not believed.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Whether a token is one for access by its own words. An ID token of the same issuer must not be one, also
/// where its audience fits: it was made for a client to know its user by, and travels in places where access
/// tokens do not (RFC 9068, section 5).
///
/// # Errors
/// [`TokenError::Kind`]
pub fn check_kind(jws: &Jws<'_>, claims: &Claims, typed: bool) -> Result<(), TokenError> {
    let fits = match jws.typ.as_deref() {
        Some("at+jwt") => true,
        None | Some("jwt") => !typed,
        Some(_) => false,
    };
    let of_sign_in =
        ["nonce", "at_hash", "c_hash", "s_hash", "events"].iter().any(|name| claims.contains_key(*name));
    // Keycloak says it there.
    let other = claims.get("typ").and_then(Value::as_str).is_some_and(|typ| {
        ["ID", "Refresh", "Offline", "Logout"].iter().any(|known| known.eq_ignore_ascii_case(typ))
    });
    if fits && !of_sign_in && !other { Ok(()) } else { Err(TokenError::Kind) }
}

/// What holds of an access token besides its signature, whether it said so itself or its issuer did. Gives
/// its end.
///
/// # Errors
/// [`TokenError`]
pub fn check_claims(
    claims: &Claims,
    rules: &TokenRules<'_>,
    now: Timestamp,
) -> Result<Timestamp, TokenError> {
    let resource = || rules.audiences.first().cloned().unwrap_or_default();
    let fits = |audience: &Value| {
        let text = audience.as_str();
        text.is_some_and(|text| rules.audiences.iter().chain(rules.also).any(|known| known == text))
    };
    let meant = match claims.get("aud") {
        Some(Value::Array(all)) => all.iter().any(fits),
        Some(one) => fits(one),
        None => false,
    };
    if !meant {
        return Err(TokenError::Audience { resource: resource() });
    }
    let expires = time(claims, "exp")?.ok_or(TokenError::Expired)?;
    if now >= expires.plus(rules.skew) {
        return Err(TokenError::Expired);
    }
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|begins| begins > now.plus(rules.skew)) {
            return Err(TokenError::Early);
        }
    }
    Ok(expires)
}

/// A claim that is a time (RFC 7519, "NumericDate").
pub fn time(claims: &Claims, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
            let seconds = seconds.ok_or(TokenError::Form(name))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is within bounds"
            )]
            let ms = (seconds * 1_000.0) as u64;
            Ok(Some(Timestamp(ms)))
        }
    }
}

/// The scopes of a token: `scope` in one string (RFC 8693), or `scp` as some issuers have it.
pub fn scopes(claims: &Claims) -> Vec<String> {
    let split = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match claims.get("scope").or_else(|| claims.get("scp")) {
        Some(Value::String(text)) => split(text),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).flat_map(split).collect(),
        _ => Vec::new(),
    }
}
