//! A user goes to an authorization server and comes back: authorization code with PKCE (OAuth 2.1), bound to
//! the server that it is for (RFC 8707) and to who issues it (RFC 9207).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use serde_json::{Map, Value, json};

use super::ServiceError;
use crate::metadata::Metadata;

/// Scopes that are asked for at a time.
pub(super) const SCOPES_MAX: usize = 64;

/// What the gateway has to know again when the user comes back. It travels sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct Flow {
    /// Who was asked.
    pub issuer: String,
    /// For what.
    pub resource: String,
    /// Who the gateway is there.
    pub client: String,
    /// Where the user comes back.
    pub redirect: String,
    /// What the code is redeemed with (RFC 7636).
    pub verifier: String,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// What an ID token must repeat (OpenID Connect); empty where none is asked for.
    pub nonce: String,
    /// Whether the token is to be bound to a key.
    pub bound: bool,
}

impl Flow {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "issuer": self.issuer, "resource": self.resource, "client": self.client,
            "redirect": self.redirect, "verifier": self.verifier, "scopes": self.scopes, "nonce": self.nonce,
            "bound": self.bound,
        })
    }

    /// From JSON.
    #[must_use]
    pub fn of_value(value: &Value) -> Option<Self> {
        let members: &Map<String, Value> = value.as_object()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let scopes = members.get("scopes")?.as_array()?.iter();
        Some(Self {
            issuer: text("issuer")?,
            resource: text("resource")?,
            client: text("client")?,
            redirect: text("redirect")?,
            verifier: text("verifier")?,
            scopes: scopes.filter_map(Value::as_str).map(str::to_owned).collect(),
            nonce: text("nonce")?,
            bound: members.get("bound")?.as_bool()?,
        })
    }
}

/// What somebody comes back with: the parameters of his request.
#[derive(Debug, Clone, Default)]
pub struct Returned {
    /// What the gateway sent along.
    pub state: Option<String>,
    /// What tokens are had for.
    pub code: Option<String>,
    /// Who says so (RFC 9207).
    pub issuer: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// Whether one of these stands there more than once.
    pub ambiguous: bool,
}

impl Returned {
    /// Reads a query. What stands there twice is ambiguous (RFC 6749, section 3.1).
    #[must_use]
    pub fn of_query(query: &str) -> Self {
        let mut returned = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut returned.state,
                "code" => &mut returned.code,
                "iss" => &mut returned.issuer,
                "error" => &mut returned.error,
                _ => continue,
            };
            returned.ambiguous |= place.replace(value.into_owned()).is_some();
        }
        returned
    }

    /// The code, where whoever was asked gives one.
    ///
    /// # Errors
    /// [`ServiceError`]: it is somebody else who answers, or there is no code.
    pub(super) fn code(&self, flow: &Flow, metadata: &Metadata) -> Result<&str, ServiceError> {
        let issuer = || flow.issuer.clone();
        // Before anything else that it says is looked at, errors included (RFC 9207, section 2.4).
        let promised = metadata.flag("authorization_response_iss_parameter_supported");
        let fault = match &self.issuer {
            _ if self.ambiguous => Some("its answer says something twice"),
            Some(said) if *said != flow.issuer => Some("its answer names another issuer"),
            None if promised => Some("its answer does not name its issuer, though it says that it does"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(ServiceError::Wrong { issuer: issuer(), fault: fault.to_owned() });
        }
        if let Some(error) = &self.error {
            return Err(ServiceError::Refused { issuer: issuer(), error: super::exchange::short(error) });
        }
        let none = || ServiceError::Wrong { issuer: issuer(), fault: "its answer has no code".to_owned() };
        self.code.as_deref().filter(|code| !code.is_empty()).ok_or_else(none)
    }
}

/// Refuses a server that does not check where codes come from (OAuth 2.1, section 4.1; MCP authorization).
pub(super) fn check_pkce(metadata: &Metadata) -> Result<(), ServiceError> {
    let takes = metadata.list("code_challenge_methods_supported").unwrap_or_default();
    let what = "PKCE with S256";
    let unsupported = || ServiceError::Unsupported { issuer: metadata.issuer.clone(), what };
    if takes.contains(&"S256") { Ok(()) } else { Err(unsupported()) }
}

/// Refuses a server whose users could be sent to another one without anybody knowing (a mix-up: RFC 9700,
/// section 4.4): where users sign in at one host and codes are redeemed at another, only its name in the
/// answer (RFC 9207) shows who has answered.
pub(super) fn check_unmixed(metadata: &Metadata) -> Result<(), ServiceError> {
    let (there, here) = (metadata.url("authorization_endpoint")?, metadata.url("token_endpoint")?);
    let named = metadata.flag("authorization_response_iss_parameter_supported");
    let what = "answers with its name (RFC 9207), and its endpoints are at different hosts: give \
                auth.issuer, if it is to be trusted";
    let unsupported = || ServiceError::Unsupported { issuer: metadata.issuer.clone(), what };
    if named || there.host() == here.host() { Ok(()) } else { Err(unsupported()) }
}

/// Where the user goes.
pub(super) fn address(metadata: &Metadata, flow: &Flow, state: &str) -> Result<Uri, ServiceError> {
    let wrong = |fault: &str| ServiceError::Wrong { issuer: flow.issuer.clone(), fault: fault.to_owned() };
    let endpoint = metadata.url("authorization_endpoint")?;
    // The user's browser goes there: nothing but https, or this machine where the issuer is on it, too.
    let is_local = |url: &Uri| url.host().is_some_and(crate::fetch::is_loopback);
    let local = is_local(&endpoint) && flow.issuer.parse().is_ok_and(|issuer| is_local(&issuer));
    if endpoint.scheme_str() != Some("https") && !local {
        return Err(wrong("its authorization_endpoint is not https"));
    }
    let challenge = URL_SAFE_NO_PAD.encode(seal::sha256(flow.verifier.as_bytes()));
    let scope = flow.scopes.join(" ");
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("response_type", "code");
    query.append_pair("client_id", &flow.client);
    query.append_pair("redirect_uri", &flow.redirect);
    query.append_pair("state", state);
    query.append_pair("code_challenge", &challenge);
    query.append_pair("code_challenge_method", "S256");
    if !flow.resource.is_empty() {
        query.append_pair("resource", &flow.resource);
    }
    if !scope.is_empty() {
        query.append_pair("scope", &scope);
    }
    if !flow.nonce.is_empty() {
        query.append_pair("nonce", &flow.nonce);
    }
    // OpenID Connect Core, section 11: without it many give no refresh token.
    if flow.nonce.is_empty() && flow.scopes.iter().any(|scope| scope == "offline_access") {
        query.append_pair("prompt", "consent");
    }
    let text = endpoint.to_string();
    let joint = if text.contains('?') { '&' } else { '?' };
    format!("{text}{joint}{}", query.finish())
        .parse()
        .map_err(|_| wrong("its authorization_endpoint is no URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_says_something_twice_is_ambiguous() {
        let one = Returned::of_query("code=a%20b&state=s&iss=https%3A%2F%2Fa&other=1&other=2");
        assert_eq!((one.code.as_deref(), one.issuer.as_deref()), (Some("a b"), Some("https://a")));
        assert!(!one.ambiguous);
        for twice in ["code=a&code=a", "state=a&state=b", "iss=a&iss=a", "error=a&code=b&error=c"] {
            assert!(Returned::of_query(twice).ambiguous, "{twice}");
        }
    }
}
