//! Who calls.

use std::sync::Arc;
use std::time::Duration;

use model::{Principal, Timestamp};

use crate::certificate::Certificate;

/// What kind of caller it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Somebody that the operator lets in without a proof.
    Anonymous,
    /// A person, by a client.
    Person,
    /// A program, on its own behalf.
    Workload,
    /// A program on a person's behalf (RFC 8693, `act`).
    Agent,
}

impl Kind {
    /// One word for each.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Person => "person",
            Self::Workload => "workload",
            Self::Agent => "agent",
        }
    }
}

/// Who calls, as far as that was proved. It has nothing by which another could prove the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant and the subject, which no caller of another issuer has.
    pub principal: Principal,
    /// What kind of caller it is.
    pub kind: Kind,
    /// Who acts for the subject, the nearest first.
    pub actors: Vec<String>,
    /// Groups and roles, as the issuer names them.
    pub groups: Vec<String>,
    /// What the client was granted.
    pub scopes: Vec<String>,
    /// The client (RFC 9068, `client_id`; `azp`).
    pub client: Option<String>,
    /// The operator's name for the issuer, `keys` for an API key, `mtls` for a client
    /// certificate; `None`: nobody vouches for the caller.
    pub issuer: Option<String>,
    /// The grant of the gateway's own authorization server that the token is of; `None`: another one issued
    /// it.
    pub grant: Option<String>,
    /// When the proof was issued; `None`: it says nothing of that.
    pub issued: Option<Timestamp>,
    /// When the user signed in, as the token says (`auth_time`), or else when it was issued; `None`: it says
    /// nothing of that.
    pub signed_in: Option<Timestamp>,
    /// When the proof is no longer good; `None`: it does not end by itself.
    pub expires: Option<Timestamp>,
    /// The key that the token is bound to, by its thumbprint (RFC 9449).
    pub key: Option<String>,
    /// The client certificate that the token is bound to, by its thumbprint (RFC 8705).
    pub bound_certificate: Option<String>,
    /// The client certificate that is the proof itself.
    pub certificate: Option<Arc<Certificate>>,
    /// SHA-256 of the token, the API key or the certificate, to tell one from another.
    pub fingerprint: [u8; 32],
}

impl Caller {
    /// Somebody in particular never.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            principal: Principal::anonymous(),
            kind: Kind::Anonymous,
            actors: Vec::new(),
            groups: Vec::new(),
            scopes: Vec::new(),
            client: None,
            issuer: None,
            grant: None,
            issued: None,
            signed_in: None,
            expires: None,
            key: None,
            bound_certificate: None,
            certificate: None,
            fingerprint: [0; 32],
        }
    }

    /// How long the proof is still good; `None`: it does not end by itself.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.expires.map(|expires| expires.since(now))
    }

    /// Those of these scopes that the caller lacks.
    #[must_use]
    pub fn lacks<'a>(&self, scopes: &'a [String]) -> Vec<&'a str> {
        scopes.iter().filter(|scope| !self.scopes.contains(scope)).map(String::as_str).collect()
    }
}
