//! Enterprise-managed authorization (SEP-990; ID-JAG): the enterprise's identity provider vouches for a user
//! at the authorization server of an upstream, and nobody is asked for his consent.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use model::{Clock, Principal, Rng};
use serde_json::{Map, Value, json};

use super::ServiceError;
use super::exchange::{Asking, Client, Form};
use super::grant::hashed;
use super::renewal::{Renewal, Renewed};
use crate::issuer::Issuer;
use crate::vault::{Place, Vault};

/// An assertion for another authorization server.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// What a user is known by.
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// How long what somebody has signed in with is kept without being renewed.
pub(super) const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Gives the token that says who a user is; in words why there is none.
pub type SubjectToken = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// How an identity provider is asked for assertions.
#[derive(Clone)]
pub struct Enterprise {
    /// The identity provider.
    pub issuer: Arc<Issuer>,
    /// Who the gateway is there.
    pub client: Client,
    /// Who the user is; `None`: each is who has signed in with a browser.
    pub subject: Option<SubjectToken>,
}

impl std::fmt::Debug for Enterprise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Enterprise").field("issuer", &self.issuer.options.name).finish_non_exhaustive()
    }
}

/// What a user has signed in with, as it is kept.
pub(super) struct SignedIn {
    pub id_token: String,
    pub refresh: Option<String>,
}

impl SignedIn {
    pub fn write(&self) -> Vec<u8> {
        json!({"id_token": self.id_token, "refresh": self.refresh}).to_string().into_bytes()
    }
}

/// What it is found by.
pub(super) fn name(issuer: &str, principal: &Principal) -> String {
    hashed("identity", &[issuer, principal.tenant(), principal.subject()])
}

/// Keeps what somebody has signed in with.
pub(super) async fn keep(
    vault: &dyn Vault,
    issuer: &str,
    principal: &Principal,
    signed_in: &SignedIn,
) -> Result<(), ServiceError> {
    let name = name(issuer, principal);
    let place = Place { principal, upstream: issuer, name: &name };
    let version = vault.get(place).await?.map_or(0, |kept| kept.version);
    vault.put(place, version, &signed_in.write(), KEPT).await?;
    Ok(())
}

/// What is kept of somebody, and how often it was written.
pub(super) async fn kept(
    vault: &dyn Vault,
    issuer: &str,
    principal: &Principal,
) -> Result<Option<(u64, SignedIn)>, ServiceError> {
    let name = name(issuer, principal);
    let kept = vault.get(Place { principal, upstream: issuer, name: &name }).await?;
    let Some(kept) = kept else { return Ok(None) };
    let members: Map<String, Value> = serde_json::from_slice(&kept.data).unwrap_or_default();
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let signed_in = text("id_token").map(|id_token| SignedIn { id_token, refresh: text("refresh") });
    Ok(signed_in.map(|signed_in| (kept.version, signed_in)))
}

/// What an assertion is for.
pub(super) struct For<'a> {
    /// The authorization server of the upstream, by its own name.
    pub audience: &'a str,
    /// The upstream.
    pub resource: &'a str,
    /// What the user needs there.
    pub scopes: &'a str,
}

impl Enterprise {
    /// An assertion of the identity provider for this user. `None`: he has to sign in first.
    pub(super) async fn assertion(
        &self,
        principal: &Principal,
        wanted: &For<'_>,
        vault: &dyn Vault,
        (clock, rng): (&dyn Clock, &dyn Rng),
    ) -> Result<Option<String>, ServiceError> {
        let own = &self.issuer.options.name;
        let signed_in = match &self.subject {
            Some(read) => {
                let id_token = read().map_err(ServiceError::Proof)?;
                Some((0, SignedIn { id_token, refresh: None }))
            }
            None => kept(vault, own, principal).await?,
        };
        let Some((version, signed_in)) = signed_in else { return Ok(None) };
        match self.ask(&signed_in.id_token, wanted, (clock, rng)).await {
            // What he has signed in with has expired: another one is had without him, or by him.
            Err(ServiceError::Refused { error, .. })
                if error == "invalid_grant" && self.subject.is_none() =>
            {
                let renewal = Renewal { issuer: &self.issuer, client: &self.client, vault, clock, rng };
                let renewed = match renewal.renew(principal, version).await {
                    Ok(Renewed::Anew(renewed)) => renewed,
                    Ok(Renewed::Refused | Renewed::Nothing) => return Ok(None),
                    Err(error) if error.may_pass() => return Err(error),
                    Err(_) => return Ok(None),
                };
                match self.ask(&renewed.id_token, wanted, (clock, rng)).await {
                    Err(ServiceError::Refused { error, .. }) if error == "invalid_grant" => Ok(None),
                    asked => asked.map(Some),
                }
            }
            asked => asked.map(Some),
        }
    }

    async fn ask(
        &self,
        id_token: &str,
        wanted: &For<'_>,
        (clock, rng): (&dyn Clock, &dyn Rng),
    ) -> Result<String, ServiceError> {
        let metadata = self.issuer.metadata().await?;
        let trusted = |url: &Uri| metadata.is_own(url);
        let asking = Asking { fetch: self.issuer.fetch(), clock, rng, trusted: &trusted, prover: None };
        let mut form: Form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("requested_token_type", ID_JAG.to_owned()),
            ("audience", wanted.audience.to_owned()),
            ("resource", wanted.resource.to_owned()),
            ("subject_token", id_token.to_owned()),
            ("subject_token_type", ID_TOKEN.to_owned()),
        ];
        if !wanted.scopes.is_empty() {
            form.push(("scope", wanted.scopes.to_owned()));
        }
        let document = asking.document(&metadata, &self.client, form).await?;
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let wrong = |fault: &str| {
            let (issuer, fault) = (metadata.issuer.clone(), fault.to_owned());
            ServiceError::Wrong { issuer, fault }
        };
        if text("issued_token_type") != Some(ID_JAG) {
            return Err(wrong("it has issued a token of another type"));
        }
        text("access_token").map(str::to_owned).ok_or_else(|| wrong("there is no assertion"))
    }
}
