//! The enterprise's identity provider vouches for a user, and nobody is asked for his consent: at the
//! authorization server of an upstream (SEP-990; ID-JAG), or by a token for the upstream itself (RFC 8693).

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use model::{Clock, Principal, Rng, Timestamp};
use serde_json::{Map, Value, json};

use super::ServiceError;
use super::exchange::{Asking, Client, Form, Issued};
use super::grant::hashed;
use super::prover::Prover;
use crate::issuer::Issuer;
use crate::jose::Jws;
use crate::token;
use crate::vault::{Place, Vault};

/// An assertion for another authorization server.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// A token for a server.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What a user is known by.
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// How long what somebody has signed in with is kept without being renewed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Gives the token that says who a user is; in words why there is none.
pub type SubjectToken = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What an identity provider is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vouching {
    /// An assertion, for which the authorization server of the upstream gives a token (SEP-990).
    Assertion,
    /// The token itself.
    Token {
        /// What the upstream is called at the identity provider; `None`: its URL.
        audience: Option<String>,
    },
}

/// How an identity provider is asked to vouch for users.
#[derive(Clone)]
pub struct Enterprise {
    /// The identity provider.
    pub issuer: Arc<Issuer>,
    /// What it is asked for.
    pub vouching: Vouching,
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

fn name(issuer: &str, principal: &Principal) -> String {
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
    let text = json!({"id_token": signed_in.id_token, "refresh": signed_in.refresh}).to_string();
    vault.put(place, version, text.as_bytes(), KEPT).await?;
    Ok(())
}

async fn kept(
    vault: &dyn Vault,
    issuer: &str,
    principal: &Principal,
) -> Result<Option<SignedIn>, ServiceError> {
    let name = name(issuer, principal);
    let kept = vault.get(Place { principal, upstream: issuer, name: &name }).await?;
    let members: Option<Map<String, Value>> = kept.and_then(|kept| serde_json::from_slice(&kept.data).ok());
    let members = members.unwrap_or_default();
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Ok(text("id_token").map(|id_token| SignedIn { id_token, refresh: text("refresh") }))
}

/// Whether a refusal means that what somebody has signed in with is of no use any more. RFC 8693, section
/// 2.2.2, has one word for this and for all that is wrong with a request.
fn is_spent(error: &str, id_token: &str, now: Timestamp) -> bool {
    let ends = || {
        let claims = Jws::parse(id_token).ok()?.claims().ok()?;
        token::time(&claims, "exp").ok().flatten()
    };
    error == "invalid_grant" || error == "invalid_request" && ends().is_some_and(|ends| ends <= now)
}

/// What is asked for.
pub(super) struct For<'a> {
    /// Its type.
    kind: &'static str,
    /// Whom it is for, by names of the identity provider's.
    target: Vec<(&'static str, String)>,
    /// What the user needs there.
    scopes: &'a str,
    /// What it is to be bound to.
    prover: Option<&'a Prover>,
}

impl<'a> For<'a> {
    /// An assertion for an authorization server, by its own name, about an upstream.
    pub fn assertion(audience: &str, resource: &str, scopes: &'a str) -> Self {
        let target = vec![("audience", audience.to_owned()), ("resource", resource.to_owned())];
        Self { kind: ID_JAG, target, scopes, prover: None }
    }

    /// A token for an upstream: for one name of it, as several would be several servers (RFC 8693, section
    /// 2.1).
    pub fn token(
        audience: Option<&str>,
        resource: &str,
        scopes: &'a str,
        prover: Option<&'a Prover>,
    ) -> Self {
        let target = audience.map_or(("resource", resource), |audience| ("audience", audience));
        Self { kind: ACCESS_TOKEN, target: vec![(target.0, target.1.to_owned())], scopes, prover }
    }
}

impl Enterprise {
    /// An assertion of the identity provider for this user. `None`: he has to sign in first.
    pub(super) async fn assertion(
        &self,
        principal: &Principal,
        wanted: &For<'_>,
        vault: &dyn Vault,
        own: (&dyn Clock, &dyn Rng),
    ) -> Result<Option<String>, ServiceError> {
        let Some((issuer, document)) = self.vouch(principal, wanted, vault, own).await? else {
            return Ok(None);
        };
        let none = || ServiceError::Wrong { issuer, fault: "there is no assertion".to_owned() };
        let assertion = document.get("access_token").and_then(Value::as_str).map(str::to_owned);
        assertion.ok_or_else(none).map(Some)
    }

    /// A token of the identity provider for this user, and its name. `None`: he has to sign in first.
    pub(super) async fn token(
        &self,
        principal: &Principal,
        wanted: &For<'_>,
        vault: &dyn Vault,
        own: (&dyn Clock, &dyn Rng),
    ) -> Result<Option<(String, Issued)>, ServiceError> {
        let Some((issuer, document)) = self.vouch(principal, wanted, vault, own).await? else {
            return Ok(None);
        };
        let trusted = |_: &Uri| false;
        let issued = self.asking(&trusted, wanted.prover, own).read(&issuer, &document)?;
        Ok(Some((issuer, issued)))
    }

    /// What the identity provider gives for what this user has signed in with, and its name.
    async fn vouch(
        &self,
        principal: &Principal,
        wanted: &For<'_>,
        vault: &dyn Vault,
        (clock, rng): (&dyn Clock, &dyn Rng),
    ) -> Result<Option<(String, Map<String, Value>)>, ServiceError> {
        let own = &self.issuer.options.name;
        let signed_in = match &self.subject {
            Some(read) => {
                let id_token = read().map_err(ServiceError::Proof)?;
                Some(SignedIn { id_token, refresh: None })
            }
            None => kept(vault, own, principal).await?,
        };
        let Some(signed_in) = signed_in else { return Ok(None) };
        match self.ask(&signed_in.id_token, wanted, (clock, rng)).await {
            // What he has signed in with has expired: another one is had without him, or by him.
            Err(ServiceError::Refused { error, .. })
                if self.subject.is_none() && is_spent(&error, &signed_in.id_token, clock.now()) =>
            {
                let Some(refresh) = signed_in.refresh else { return Ok(None) };
                let Some(renewed) = self.renew(&refresh, (clock, rng)).await? else { return Ok(None) };
                keep(vault, own, principal, &renewed).await?;
                match self.ask(&renewed.id_token, wanted, (clock, rng)).await {
                    Err(ServiceError::Refused { error, .. }) if error == "invalid_grant" => Ok(None),
                    asked => asked.map(Some),
                }
            }
            asked => asked.map(Some),
        }
    }

    fn asking<'a>(
        &'a self,
        trusted: &'a (dyn Fn(&Uri) -> bool + Sync),
        prover: Option<&'a Prover>,
        (clock, rng): (&'a dyn Clock, &'a dyn Rng),
    ) -> Asking<'a> {
        Asking { fetch: self.issuer.fetch(), clock, rng, trusted, prover }
    }

    async fn ask(
        &self,
        id_token: &str,
        wanted: &For<'_>,
        own: (&dyn Clock, &dyn Rng),
    ) -> Result<(String, Map<String, Value>), ServiceError> {
        let metadata = self.issuer.metadata().await?;
        let trusted = |url: &Uri| metadata.is_own(url);
        let mut form: Form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("requested_token_type", wanted.kind.to_owned()),
            ("subject_token", id_token.to_owned()),
            ("subject_token_type", ID_TOKEN.to_owned()),
        ];
        form.extend(wanted.target.iter().cloned());
        if !wanted.scopes.is_empty() {
            form.push(("scope", wanted.scopes.to_owned()));
        }
        let asking = self.asking(&trusted, wanted.prover, own);
        let document = asking.document(&metadata, &self.client, form).await?;
        if document.get("issued_token_type").and_then(Value::as_str) != Some(wanted.kind) {
            let fault = "it has issued a token of another type".to_owned();
            return Err(ServiceError::Wrong { issuer: metadata.issuer.clone(), fault });
        }
        Ok((metadata.issuer.clone(), document))
    }

    /// What he has signed in with, anew. `None`: he has to do it himself.
    async fn renew(
        &self,
        refresh: &str,
        own: (&dyn Clock, &dyn Rng),
    ) -> Result<Option<SignedIn>, ServiceError> {
        let metadata = self.issuer.metadata().await?;
        let trusted = |url: &Uri| metadata.is_own(url);
        let asking = self.asking(&trusted, None, own);
        let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.to_owned())];
        match asking.token(&metadata, &self.client, form).await {
            Ok(issued) => {
                let refresh = issued.refresh.or_else(|| Some(refresh.to_owned()));
                Ok(issued.id_token.map(|id_token| SignedIn { id_token, refresh }))
            }
            Err(error) if error.may_pass() => Err(error),
            Err(_) => Ok(None),
        }
    }
}
