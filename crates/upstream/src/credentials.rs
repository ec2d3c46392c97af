//! By what the gateway proves itself to a server. Whoever makes the proof is told what the server says to it.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// Why there is no proof. Nothing was sent to the server then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct NoProof {
    /// For the operator: nothing secret is in it.
    pub text: String,
    /// What would have to be otherwise.
    pub why: Why,
}

/// What would have to be otherwise for a proof to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Another attempt in a moment may come to something.
    Passing,
    /// Nothing that goes by itself.
    Lasting,
    /// The user has to grant something first.
    Consent,
}

/// What a request comes to that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is nothing left to try.
    GiveUp,
    /// It is sent again, with another proof.
    Again,
    /// The user has to grant something first.
    Consent,
}

/// What a request is sent with.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The whole `Authorization` header.
    pub authorization: HeaderValue,
    /// The `DPoP` header of this very request (RFC 9449), where there is one.
    pub possession: Option<HeaderValue>,
}

/// Proves to one server who the gateway is, or on whose behalf it comes.
#[async_trait]
pub trait Credentials: Send + Sync + std::fmt::Debug {
    /// What the next request is sent with, by its method and its URL; `None`: it goes without.
    ///
    /// # Errors
    /// [`NoProof`]
    async fn proof(&self, method: &Method, url: &Uri) -> Result<Option<Proof>, NoProof>;

    /// The server has refused a request with 401 or 403 that had this `Authorization`; it has not run. What
    /// comes next. `attempt` counts from 0.
    fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> Next;

    /// The server has answered, whatever it says.
    fn answered(&self, _headers: &HeaderMap) {}
}
