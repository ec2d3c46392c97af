//! By what the gateway proves itself to a server. Whoever makes the proof is told what the server says to it.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode};

/// Why there is no proof. Nothing was sent to the server then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoProof {
    /// For the operator: nothing secret is in it.
    pub text: String,
    /// Whether another attempt in a moment may come to something.
    pub may_pass: bool,
}

/// Proves to one server who the gateway is.
#[async_trait]
pub trait Credentials: Send + Sync + std::fmt::Debug {
    /// The `Authorization` header of the next request; `None`: it goes without.
    ///
    /// # Errors
    /// [`NoProof`]
    async fn proof(&self) -> Result<Option<HeaderValue>, NoProof>;

    /// The server has refused a request with 401 or 403. Whether it is to be sent again, with another proof:
    /// it has not run. `attempt` counts from 0.
    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> bool;
}
