//! What an authorization server says of itself (RFC 8414; OpenID Connect Discovery 1.0).

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, StatusCode, Uri};
use serde_json::{Map, Value};

use crate::fetch::{Fetch, FetchError};

/// Why nothing is known of an authorization server.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MetadataError {
    /// Its name is no URL.
    #[error("the issuer {issuer} is no https URL without a query")]
    Issuer {
        /// Which.
        issuer: String,
    },
    /// It cannot be asked.
    #[error("ask the authorization server")]
    Fetch(#[from] FetchError),
    /// There is none of the documents that it should have.
    #[error("{issuer} publishes no metadata: {url} answers {status}")]
    Missing {
        /// Which.
        issuer: String,
        /// Where was looked last.
        url: String,
        /// What was said there.
        status: StatusCode,
    },
    /// A document is not what it should be.
    #[error("the metadata at {url} cannot be used: {fault}")]
    Wrong {
        /// Where.
        url: String,
        /// What is wrong with it.
        fault: String,
    },
}

/// What an authorization server says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// Its name, as it was asked for.
    pub issuer: String,
    members: Map<String, Value>,
}

impl Metadata {
    /// What a server is taken to say that says nothing (MCP 2025-03-26, authorization, "Fallbacks for Servers
    /// without Metadata Discovery").
    #[must_use]
    pub fn by_default(issuer: &str) -> Self {
        let at = |path: &str| Value::from(format!("{}/{path}", issuer.trim_end_matches('/')));
        let members = [
            ("issuer", Value::from(issuer)),
            ("authorization_endpoint", at("authorize")),
            ("token_endpoint", at("token")),
            ("registration_endpoint", at("register")),
            ("code_challenge_methods_supported", Value::from(vec!["S256"])),
        ];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { issuer: issuer.to_owned(), members }
    }

    /// A member that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    /// The strings of a member that is a list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.members.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// A member that says yes or no; `false` where it is missing.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.members.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A member that is a URL.
    ///
    /// # Errors
    /// [`MetadataError::Wrong`] where it is missing or none.
    pub fn url(&self, name: &str) -> Result<Uri, MetadataError> {
        let fault = |fault: String| MetadataError::Wrong { url: self.issuer.clone(), fault };
        let text = self.text(name).ok_or_else(|| fault(format!("{name} is missing")))?;
        let url: Uri = text.parse().map_err(|_| fault(format!("{name} is no URL")))?;
        // `https://login.example.com@evil.example` is read by people as what it is not.
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') || !has_port_or_none(authority) {
            return Err(fault(format!("{name} is not the URL that it looks like")));
        }
        match (url.scheme_str(), url.host()) {
            (Some("https" | "http"), Some(_)) => Ok(url),
            _ => Err(fault(format!("{name} is no URL of https"))),
        }
    }

    /// Whether a URL of it is on the host that its name is of, which the operator wrote.
    #[must_use]
    pub fn is_own(&self, url: &Uri) -> bool {
        let own = self.issuer.parse::<Uri>().ok();
        own.is_some_and(|own| own.authority() == url.authority() && own.scheme() == url.scheme())
    }
}

/// Whether what stands after the host is a port, if anything does: `Uri` reads one that is none as absent.
fn has_port_or_none(authority: &str) -> bool {
    let rest = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    rest.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port != 0))
}

/// Asks an authorization server for its metadata, in the order of the specification (MCP authorization,
/// "Authorization Server Metadata Discovery").
///
/// # Errors
/// [`MetadataError`]
pub async fn discover(fetch: &dyn Fetch, issuer: &str, trusted: bool) -> Result<Metadata, MetadataError> {
    let mut missing = None;
    for url in places(issuer)? {
        let text = url.to_string();
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = fetch.send(request, trusted).await?;
        if !answer.status().is_success() {
            let (issuer, status) = (issuer.to_owned(), answer.status());
            missing = Some(MetadataError::Missing { issuer, url: text, status });
            continue;
        }
        let wrong = |fault: &str| MetadataError::Wrong { url: text.clone(), fault: fault.to_owned() };
        let members: Map<String, Value> =
            serde_json::from_slice(answer.body()).map_err(|_| wrong("it is no JSON object"))?;
        // Byte for byte: one that is almost the same is somebody else (RFC 8414, section 3.3).
        if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(wrong("its issuer is another one"));
        }
        return Ok(Metadata { issuer: issuer.to_owned(), members });
    }
    Err(missing.unwrap_or_else(|| MetadataError::Issuer { issuer: issuer.to_owned() }))
}

/// Where the documents of an issuer are.
fn places(issuer: &str) -> Result<Vec<Uri>, MetadataError> {
    let bad = || MetadataError::Issuer { issuer: issuer.to_owned() };
    let url: Uri = issuer.parse().map_err(|_| bad())?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else { return Err(bad()) };
    if url.query().is_some() || authority.as_str().contains('@') || issuer.contains('#') {
        return Err(bad());
    }
    let base = format!("{scheme}://{authority}");
    let path = url.path().trim_end_matches('/');
    let all = if path.is_empty() {
        vec![
            format!("{base}/.well-known/oauth-authorization-server"),
            format!("{base}/.well-known/openid-configuration"),
        ]
    } else {
        vec![
            format!("{base}/.well-known/oauth-authorization-server{path}"),
            format!("{base}/.well-known/openid-configuration{path}"),
            format!("{base}{path}/.well-known/openid-configuration"),
        ]
    };
    all.into_iter().map(|text| text.parse().map_err(|_| bad())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_specification_says() {
        let of = |issuer| places(issuer).map(|all| all.iter().map(Uri::to_string).collect::<Vec<_>>());
        assert_eq!(
            of("https://a.example").expect("places"),
            [
                "https://a.example/.well-known/oauth-authorization-server",
                "https://a.example/.well-known/openid-configuration"
            ]
        );
        assert_eq!(
            of("https://a.example/t/").expect("places"),
            [
                "https://a.example/.well-known/oauth-authorization-server/t",
                "https://a.example/.well-known/openid-configuration/t",
                "https://a.example/t/.well-known/openid-configuration"
            ]
        );
        for bad in
            ["", "a.example", "/x", "https://u:p@a.example", "https://a.example?x=1", "https://a.example#x"]
        {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
