//! What a client asks of a user (OAuth 2.1, section 4.1.1; RFC 8707; RFC 9449, section 10).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::client::{ClientSource, KnownClient};
use super::{Broker, OAuthError, redirect};

/// The longest `state` of a client, in bytes.
const STATE_BYTES_MAX: usize = 4 * 1024;
/// Scopes that are asked for at a time.
const SCOPES_MAX: usize = 64;
/// What RFC 7636 makes of a verifier, in characters.
const CHALLENGE_CHARS: usize = 43;

/// What a client asks of a user. Everything in it was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// The client.
    pub client: String,
    /// Its name, for people. Nobody has checked it.
    pub name: String,
    /// Who says that there is such a client.
    pub source: ClientSource,
    /// Where the user is sent back to.
    pub redirect: String,
    /// What the client wants to have back.
    pub state: Option<String>,
    /// What the client has to know when it comes for tokens (RFC 7636).
    pub challenge: String,
    /// What it wants to use.
    pub resource: String,
    /// What it wants to do there.
    pub scopes: Vec<String>,
    /// The key that its tokens are to be bound to.
    pub key: Option<String>,
    /// Whether the user is to be asked in any case.
    pub ask: bool,
    /// Whether he must not be asked.
    pub silent: bool,
}

/// A request that comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unasked {
    /// It cannot be told to the client, as nobody knows who that is.
    Told(String),
    /// The user is sent back to the client with it.
    Sent(String),
}

impl AuthRequest {
    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "client": self.client, "name": self.name, "source": word(self.source),
            "redirect": self.redirect, "state": self.state, "challenge": self.challenge,
            "resource": self.resource, "scopes": self.scopes, "key": self.key, "ask": self.ask,
            "silent": self.silent,
        })
    }

    /// From JSON.
    #[must_use]
    pub fn of_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let scopes = value.get("scopes")?.as_array()?.iter().filter_map(Value::as_str);
        let source = text("source")?;
        let sources = [ClientSource::Operator, ClientSource::Document, ClientSource::Registration];
        Some(Self {
            client: text("client")?,
            name: text("name")?,
            source: sources.into_iter().find(|known| word(*known) == source)?,
            redirect: text("redirect")?,
            state: text("state"),
            challenge: text("challenge")?,
            resource: text("resource")?,
            scopes: scopes.map(str::to_owned).collect(),
            key: text("key"),
            ask: value.get("ask")?.as_bool()?,
            silent: value.get("silent")?.as_bool()?,
        })
    }

    /// The address that sends the user back, with these parameters. It says whose answer it is (RFC 9207).
    #[must_use]
    pub fn back(&self, issuer: &str, with: &[(&str, &str)]) -> String {
        back(&self.redirect, self.state.as_deref(), issuer, with)
    }

    /// Where the user is sent back to, as he is shown it.
    #[must_use]
    pub fn destination(&self) -> String {
        redirect::shown(&self.redirect)
    }

    /// Whether whatever runs on the user's machine could be the client.
    #[must_use]
    pub fn is_local(&self) -> bool {
        redirect::is_local(&self.redirect)
    }
}

fn word(source: ClientSource) -> &'static str {
    match source {
        ClientSource::Operator => "operator",
        ClientSource::Document => "document",
        ClientSource::Registration => "registration",
    }
}

fn back(redirect: &str, state: Option<&str>, issuer: &str, with: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(with);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    let joint = if redirect.contains('?') { '&' } else { '?' };
    format!("{redirect}{joint}{}", query.finish())
}

/// The parameters of a request, each once (RFC 6749, section 3.1).
pub(super) fn parameters(text: &str) -> Result<HashMap<String, String>, &'static str> {
    let mut all = HashMap::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        // One without a value is one that is not there.
        if value.is_empty() {
            continue;
        }
        if all.insert(name.into_owned(), value.into_owned()).is_some() {
            return Err("a parameter is there more than once");
        }
    }
    Ok(all)
}

impl Broker {
    /// Reads what a client asks of a user. `base` is what the gateway is reached by.
    ///
    /// # Errors
    /// [`Unasked`]
    pub async fn request(&self, base: &str, query: &str) -> Result<AuthRequest, Unasked> {
        let told = |text: &str| Unasked::Told(text.to_owned());
        let all = parameters(query).map_err(told)?;
        let id = all.get("client_id").ok_or_else(|| told("there is no client_id"))?;
        let client = self.client(id).await.map_err(|error| Unasked::Told(error.text))?;
        let client = client.ok_or_else(|| told("the client is unknown"))?;
        let redirect = match (all.get("redirect_uri"), client.redirects.as_slice()) {
            (Some(asked), _) => asked,
            // OAuth 2.1, section 4.1.1: where there is one alone, it may go unsaid.
            (None, [only]) => only,
            (None, _) => return Err(told("there is no redirect_uri, and the client has several")),
        };
        // Nobody is sent where the client did not say beforehand that it is.
        if !client.has(redirect) {
            return Err(told("the redirect_uri is none that the client is registered with"));
        }
        if redirect::fault(redirect).is_some() {
            return Err(told("the redirect_uri is no address that anybody can be sent to"));
        }
        let state = all.get("state").cloned();
        if state.as_ref().is_some_and(|state| state.len() > STATE_BYTES_MAX) {
            return Err(told("the state is too long"));
        }
        self.checked(base, &all, &client, redirect, state.clone()).map_err(|error| {
            let with = [("error", error.error), ("error_description", error.text.as_str())];
            Unasked::Sent(back(redirect, state.as_deref(), base, &with))
        })
    }

    fn checked(
        &self,
        base: &str,
        all: &HashMap<String, String>,
        client: &KnownClient,
        redirect: &str,
        state: Option<String>,
    ) -> Result<AuthRequest, OAuthError> {
        let text = |name: &str| all.get(name).map(String::as_str);
        for (name, error) in
            [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")]
        {
            if all.contains_key(name) {
                return Err(OAuthError::new(error, format!("{name} is not supported")));
            }
        }
        if text("response_type") != Some("code") {
            return Err(OAuthError::new("unsupported_response_type", "response_type must be code"));
        }
        if !matches!(text("response_mode"), None | Some("query")) {
            return Err(OAuthError::request("response_mode must be query"));
        }
        let challenge = text("code_challenge").ok_or_else(|| OAuthError::request("PKCE is missing"))?;
        let url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text("code_challenge_method") != Some("S256")
            || challenge.len() != CHALLENGE_CHARS
            || !challenge.bytes().all(url_safe)
        {
            return Err(OAuthError::request("PKCE must be of the method S256"));
        }
        let (resource, scopes) = self.asked(base, text("resource"), text("scope"))?;
        let (mut ask, mut silent) = (false, false);
        for word in text("prompt").unwrap_or_default().split_ascii_whitespace() {
            match word {
                "none" => silent = true,
                _ => ask = true,
            }
        }
        if ask && silent {
            return Err(OAuthError::request("prompt none excludes others"));
        }
        Ok(AuthRequest {
            client: client.id.clone(),
            name: client.name.clone(),
            source: client.source,
            redirect: redirect.to_owned(),
            state,
            challenge: challenge.to_owned(),
            resource,
            scopes,
            key: text("dpop_jkt").map(str::to_owned),
            ask,
            silent,
        })
    }

    /// What a client may ask for of what it asks for. A client that does not say what it is about, as those
    /// before 2025-06-18, is about the endpoint of everything.
    pub(super) fn asked(
        &self,
        base: &str,
        resource: Option<&str>,
        scope: Option<&str>,
    ) -> Result<(String, Vec<String>), OAuthError> {
        let target = |text: &str| OAuthError::new("invalid_target", text);
        let everything = format!("{base}/mcp");
        let resource = resource.unwrap_or(&everything).trim_end_matches('/');
        let path = resource.strip_prefix(base).ok_or_else(|| target("there is no such resource here"))?;
        let known = self.options.resources.get(path);
        let known = known.ok_or_else(|| target("there is no such resource here that takes these tokens"))?;
        let asked: Vec<String> =
            scope.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        if asked.len() > SCOPES_MAX {
            return Err(OAuthError::new("invalid_scope", format!("more than {SCOPES_MAX} scopes")));
        }
        let offered =
            |scope: &String| known.scopes.contains(scope) || self.options.scopes.contains_key(scope);
        let mut scopes: Vec<String> = asked.iter().filter(|scope| offered(scope)).cloned().collect();
        if asked.is_empty() {
            scopes.clone_from(&known.scopes);
        } else if scopes.is_empty() && !asked.iter().all(|scope| scope == "offline_access") {
            return Err(OAuthError::new("invalid_scope", "none of these scopes exists here"));
        }
        scopes.sort();
        scopes.dedup();
        Ok((resource.to_owned(), scopes))
    }
}
