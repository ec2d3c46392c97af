//! How the gateway proves to a server who it is: with a token of its own, never with one that came in.

mod challenge;
mod consent;
mod enterprise;
mod exchange;
mod grant;
mod granting;
mod prover;
mod register;
mod renewal;
mod resource;
mod service;
mod signer;
mod signin;
mod users;

pub use challenge::Challenge;
pub use consent::{Flow, Returned};
pub use enterprise::{Enterprise, SubjectToken};
pub use exchange::Client;
pub use register::Identity;
pub use service::{ClientProof, Service, ServiceOptions, Token};
pub use signer::{Signer, SignerError};
pub use signin::{Rechecked, SignIn, SignInError};
pub use users::{NoToken, Refused, UserProof, Users, UsersOptions, Wanted};

use crate::fetch::FetchError;
use crate::metadata::MetadataError;
use crate::vault::VaultError;

/// Why the gateway has nothing to prove itself by.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// What the server says of itself cannot be used.
    #[error("the server says not who issues tokens for it: {0}")]
    Resource(String),
    /// It says nothing at all of it.
    #[error("the server says not who issues tokens for it")]
    Absent,
    /// What the authorization server says of itself cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// A document cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The authorization server takes no client like this one.
    #[error("the authorization server {issuer} does not support {what}")]
    Unsupported {
        /// Which.
        issuer: String,
        /// What it lacks.
        what: &'static str,
    },
    /// It issues no token.
    #[error("{issuer} issues no token: {error}")]
    Refused {
        /// Which.
        issuer: String,
        /// Why, in the words of RFC 6749, section 5.2.
        error: String,
    },
    /// Its answer is none.
    #[error("{issuer} gives no answer that could be used: {fault}")]
    Wrong {
        /// Which.
        issuer: String,
        /// What is wrong with it.
        fault: String,
    },
    /// What was granted cannot be looked up.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Others are at it, and it takes them too long.
    #[error("somebody else has been renewing this token for too long")]
    Busy,
    /// Nothing to prove it by.
    #[error("the gateway has nothing to prove itself by: {0}")]
    Proof(String),
}

impl ServiceError {
    /// Whether another attempt in a moment may come to something.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(_) | Self::Metadata(MetadataError::Fetch(_)) | Self::Vault(_) | Self::Busy => true,
            Self::Metadata(MetadataError::Missing { status, .. }) => status.is_server_error(),
            Self::Refused { error, .. } => error == "temporarily_unavailable" || error == "slow_down",
            _ => false,
        }
    }
}
