//! What a user has granted the gateway at an authorization server.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{Principal, Timestamp};
use serde_json::{Map, Value, json};

use super::exchange::Issued;

/// A grant that nobody uses for so long is forgotten.
pub(super) const UNUSED: Duration = Duration::from_secs(90 * 24 * 3_600);

/// A token of one user for one server, and what another one is had by.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Grant {
    /// Who issued it. It is never shown to another one.
    pub issuer: String,
    /// What it is for.
    pub resource: String,
    /// Who the gateway was there.
    pub client: String,
    /// Where the user came back.
    pub redirect: String,
    pub access: String,
    pub refresh: Option<String>,
    pub expires: Option<Timestamp>,
    /// The key that the token is bound to, as it is kept; `None`: to none.
    pub key: Option<Vec<u8>>,
    /// What was asked for, all in all: what is asked for next includes it.
    pub asked: Vec<String>,
}

impl Grant {
    /// The grant after another token was issued.
    pub fn renewed(&self, issued: Issued) -> Self {
        Self {
            access: issued.access,
            // One that is not rotated stays good (RFC 6749, section 6).
            refresh: issued.refresh.or_else(|| self.refresh.clone()),
            expires: issued.expires,
            key: self.key.clone().filter(|_| issued.bound),
            ..self.clone()
        }
    }

    pub fn write(&self) -> Vec<u8> {
        let text = json!({
            "issuer": self.issuer, "resource": self.resource, "client": self.client,
            "redirect": self.redirect, "access": self.access, "refresh": self.refresh,
            "expires": self.expires.map(|at| at.0), "asked": self.asked,
            "key": self.key.as_ref().map(|key| STANDARD.encode(key)),
        });
        text.to_string().into_bytes()
    }

    pub fn read(data: &[u8]) -> Option<Self> {
        let members: Map<String, Value> = serde_json::from_slice(data).ok()?;
        let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
        let asked = members.get("asked")?.as_array()?.iter();
        Some(Self {
            issuer: text("issuer")?,
            resource: text("resource")?,
            client: text("client")?,
            redirect: text("redirect")?,
            access: text("access")?,
            refresh: text("refresh"),
            key: text("key").and_then(|key| STANDARD.decode(key).ok()),
            expires: members.get("expires").and_then(Value::as_u64).map(Timestamp),
            asked: asked.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }
}

/// What the grant of a user for a server is found by: another server of the same name has others.
pub(super) fn name(upstream: &str, server: &str, principal: &Principal) -> String {
    hashed("user", &[upstream, server, principal.tenant(), principal.subject()])
}

/// A name that says nothing, and that no other parts have.
pub(crate) fn hashed(kind: &str, parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let hash: String = seal::sha256(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}/{hash}")
}
