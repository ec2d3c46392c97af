//! How the gateway proves to a server who it is: with a token of its own, never with one that came in.

mod challenge;
mod resource;
mod service;
mod signer;

pub use challenge::Challenge;
pub use service::{ClientProof, Service, ServiceOptions, Token};
pub use signer::{Signer, SignerError};

use crate::fetch::FetchError;
use crate::metadata::MetadataError;

/// Why the gateway has nothing to prove itself by.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ServiceError {
    /// What the server says of itself cannot be used.
    #[error("the server says not who issues tokens for it: {0}")]
    Resource(String),
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
    /// Nothing to prove it by.
    #[error("the gateway has nothing to prove itself by: {0}")]
    Proof(String),
}

impl ServiceError {
    /// Whether another attempt in a moment may come to something.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Fetch(_) | Self::Metadata(MetadataError::Fetch(_)) => true,
            Self::Metadata(MetadataError::Missing { status, .. }) => status.is_server_error(),
            Self::Refused { error, .. } => error == "temporarily_unavailable" || error == "slow_down",
            _ => false,
        }
    }
}
