//! What who is not let in is told (RFC 6750, RFC 9449, RFC 9728; MCP authorization).

use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

/// Why somebody is not let in: one word for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request proves nothing.
    NoCredentials,
    /// The request is malformed.
    BadRequest,
    /// What it proves itself by is not good.
    BadToken,
    /// The client certificate is of nobody who is let in by one.
    BadCertificate,
    /// The proof of possession is not good.
    BadProof,
    /// The proof of possession needs a nonce.
    Nonce,
    /// The token's scopes do not suffice.
    Scope,
    /// The user signed in too long ago (RFC 9470).
    Stale,
    /// Whoever has to be asked does not answer.
    Unavailable,
}

impl Reason {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCredentials => "no_credentials",
            Self::BadRequest => "invalid_request",
            Self::BadToken => "invalid_token",
            Self::BadCertificate => "invalid_certificate",
            Self::BadProof => "invalid_dpop_proof",
            Self::Nonce => "use_dpop_nonce",
            Self::Scope => "insufficient_scope",
            Self::Stale => "insufficient_user_authentication",
            Self::Unavailable => "unavailable",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Scope => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}

/// Somebody who is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why, in one word.
    pub reason: Reason,
    /// Why, for people: it has nothing of what was sent.
    pub text: String,
    /// What the answer says besides.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Denied {
    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reason.status()
    }
}

/// What a challenge says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Challenge<'a> {
    /// Where the metadata of the endpoint is.
    pub metadata: Option<&'a str>,
    /// What the operation needs, all of it.
    pub scopes: &'a [String],
    /// How proofs may be signed, where they are taken.
    pub dpop: Option<&'a str>,
    /// Whether a token without a proof is taken.
    pub bearer: bool,
    /// How long ago the user may have signed in, where that was too long.
    pub max_age: Option<Duration>,
}

impl Challenge<'_> {
    /// The answer to somebody who is not let in.
    pub fn deny(&self, reason: Reason, text: impl Into<String>) -> Denied {
        let text = text.into();
        let mut headers = Vec::new();
        match reason {
            Reason::Unavailable => headers.push((RETRY_AFTER, HeaderValue::from_static("5"))),
            Reason::BadRequest => {}
            _ => {
                let proof = matches!(reason, Reason::BadProof | Reason::Nonce);
                if self.bearer && !proof {
                    headers.extend(self.header("Bearer", reason, &text));
                }
                if self.dpop.is_some() {
                    headers.extend(self.header("DPoP", reason, &text));
                }
            }
        }
        Denied { reason, text, headers }
    }

    fn header(&self, scheme: &str, reason: Reason, text: &str) -> Option<(HeaderName, HeaderValue)> {
        let mut parts = Vec::new();
        // Who sends no token did nothing wrong with one (RFC 6750, section 3.1).
        if !matches!(reason, Reason::NoCredentials | Reason::BadCertificate) {
            parts.push(format!("error=\"{}\"", reason.as_str()));
            parts.push(format!("error_description=\"{}\"", text.replace(['"', '\\'], "'")));
        }
        parts.extend(self.max_age.map(|age| format!("max_age=\"{}\"", age.as_secs())));
        if let Some(metadata) = self.metadata {
            parts.push(format!("resource_metadata=\"{metadata}\""));
        }
        if !self.scopes.is_empty() {
            parts.push(format!("scope=\"{}\"", self.scopes.join(" ")));
        }
        if let Some(algorithms) = self.dpop.filter(|_| scheme == "DPoP") {
            parts.push(format!("algs=\"{algorithms}\""));
        }
        let text =
            if parts.is_empty() { scheme.to_owned() } else { format!("{scheme} {}", parts.join(", ")) };
        Some((WWW_AUTHENTICATE, HeaderValue::from_str(&text).ok()?))
    }
}
