//! Access tokens of the gateway's own: signed by keys that all replicas derive from their ring, and changed
//! with it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Principal, Timestamp};
use seal::{KeyId, KeyRing};
use serde_json::{Value, json};

use crate::caller::{Caller, Kind};
use crate::jose::{Algorithm, Claims, Jws, Key};
use crate::token::{self, TokenError};

/// What the keys sign.
const LABEL: &str = "access tokens";
/// How they sign (RFC 8037).
const ALGORITHM: &str = "EdDSA";

/// Signs access tokens, and knows them again.
pub struct Tokens {
    ring: Arc<KeyRing>,
}

/// What a token says (RFC 9068).
#[derive(Debug, Clone)]
pub(super) struct Said<'a> {
    /// Who the gateway is to this client.
    pub issuer: &'a str,
    /// What the token is for.
    pub resource: &'a str,
    /// Whose it is.
    pub user: &'a User,
    /// Which client has it.
    pub client: &'a str,
    /// What it grants.
    pub scopes: &'a [String],
    /// The grant that it is of.
    pub grant: &'a str,
    /// The key that it is bound to.
    pub key: Option<&'a str>,
    pub issued: Timestamp,
    pub expires: Timestamp,
    /// What no other token has.
    pub id: String,
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Who it is.
    pub principal: Principal,
    /// The operator's name for where he signed in.
    pub issuer: String,
    /// His groups, as they were then.
    pub groups: Vec<String>,
    /// When that was.
    pub since: Timestamp,
}

impl User {
    /// Whoever an issuer says that somebody is.
    #[must_use]
    pub fn of(caller: &Caller, since: Timestamp) -> Self {
        let issuer = caller.issuer.clone().unwrap_or_default();
        Self { principal: caller.principal.clone(), issuer, groups: caller.groups.clone(), since }
    }

    /// As JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({
            "tenant": self.principal.tenant(), "subject": self.principal.subject(), "issuer": self.issuer,
            "groups": self.groups, "since": self.since.0,
        })
    }

    /// From JSON.
    #[must_use]
    pub fn of_value(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let groups = value.get("groups")?.as_array()?.iter().filter_map(Value::as_str);
        Some(Self {
            principal: Principal::new(text("tenant")?, text("subject")?),
            issuer: text("issuer")?.to_owned(),
            groups: groups.map(str::to_owned).collect(),
            since: Timestamp(value.get("since")?.as_u64()?),
        })
    }
}

impl Tokens {
    /// Those of a ring.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        Self { ring }
    }

    /// A token.
    pub(super) fn sign(&self, said: &Said<'_>) -> String {
        let signer = self.ring.signer(said.issued, LABEL);
        let header = json!({"typ": "at+jwt", "alg": ALGORITHM, "kid": signer.id().to_string()});
        let mut claims = json!({
            "iss": said.issuer, "aud": said.resource, "sub": said.user.principal.subject(),
            "tenant": said.user.principal.tenant(), "groups": said.user.groups, "idp": said.user.issuer,
            "client_id": said.client, "scope": said.scopes.join(" "), "sid": said.grant, "jti": said.id,
            "iat": said.issued.0 / 1_000, "exp": said.expires.0 / 1_000,
            "auth_time": said.user.since.0 / 1_000,
        });
        if let Some(key) = said.key {
            claims["cnf"] = json!({"jkt": key});
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The keys by which others know tokens of the gateway (RFC 7517).
    #[must_use]
    pub fn jwks(&self, now: Timestamp) -> Value {
        let keys = self.ring.signers(now, LABEL);
        json!({"keys": keys.iter().map(|key| jwk(key.id(), key.public())).collect::<Vec<_>>()})
    }

    /// Whether a token is one of the gateway's.
    #[must_use]
    pub fn has_signed(&self, jws: &Jws<'_>, now: Timestamp) -> bool {
        let id = jws.kid.as_ref().and_then(|kid| kid.parse::<KeyId>().ok());
        let signer = id.and_then(|id| self.ring.signer_of(id, now, LABEL));
        let key = signer.and_then(|signer| Key::of_jwk(&jwk(signer.id(), signer.public())));
        jws.algorithm == Algorithm::EdDSA && key.is_some_and(|key| jws.is_signed_by(&key))
    }

    /// Who a token of the gateway's is of. Its signature, its times and what it is for were checked before.
    pub(crate) fn caller(claims: &Claims) -> Result<Caller, TokenError> {
        let text = |name: &'static str| {
            claims
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .ok_or(TokenError::Form(name))
        };
        let groups = claims.get("groups").and_then(Value::as_array).ok_or(TokenError::Form("groups"))?;
        Ok(Caller {
            principal: Principal::new(text("tenant")?, text("sub")?),
            kind: Kind::Person,
            actors: Vec::new(),
            groups: groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            scopes: token::scopes(claims),
            client: Some(text("client_id")?.to_owned()),
            issuer: Some(text("idp")?.to_owned()),
            grant: Some(text("sid")?.to_owned()),
            issued: token::time(claims, "iat")?,
            signed_in: token::time(claims, "auth_time")?,
            expires: None,
            key: None,
            bound_certificate: None,
            certificate: None,
            fingerprint: [0; 32],
        })
    }
}

fn jwk(id: KeyId, public: [u8; seal::PUBLIC_KEY_BYTES]) -> Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": id.to_string(),
        "x": URL_SAFE_NO_PAD.encode(public),
    })
}
