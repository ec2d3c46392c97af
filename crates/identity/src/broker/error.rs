//! What a client is told that does not get what it asks for (RFC 6749, section 5.2).

use http::StatusCode;

use crate::dpop::DpopError;
use crate::vault::VaultError;

/// Why the gateway issues nothing. The text has nothing secret, and is for whoever writes the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {text}")]
pub struct OAuthError {
    /// The word of the specification.
    pub error: &'static str,
    /// What is wrong, in words.
    pub text: String,
}

impl OAuthError {
    /// One of this word.
    #[must_use]
    pub fn new(error: &'static str, text: impl Into<String>) -> Self {
        Self { error, text: text.into() }
    }

    pub(super) fn request(text: impl Into<String>) -> Self {
        Self::new("invalid_request", text)
    }

    pub(super) fn grant(text: impl Into<String>) -> Self {
        Self::new("invalid_grant", text)
    }

    /// Who it is was not proved. All ways not to prove it look alike.
    pub(super) fn client() -> Self {
        Self::new("invalid_client", "the client is unknown, or has not proved itself as it is registered")
    }

    /// Its status (RFC 6749, section 5.2).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            "slow_down" => StatusCode::TOO_MANY_REQUESTS,
            "access_denied" => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<VaultError> for OAuthError {
    fn from(error: VaultError) -> Self {
        tracing::warn!(%error, "what was issued before is not known now");
        Self::new("temporarily_unavailable", "what was issued before is not known now; try again")
    }
}

impl From<DpopError> for OAuthError {
    fn from(error: DpopError) -> Self {
        let word = match error {
            DpopError::Nonce => "use_dpop_nonce",
            DpopError::Full => "temporarily_unavailable",
            _ => "invalid_dpop_proof",
        };
        Self::new(word, error.to_string())
    }
}
