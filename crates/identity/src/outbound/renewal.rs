//! What a user has signed in with at his issuer, had anew without him.

use std::time::Duration;

use http::Uri;
use model::{Clock, Principal, Rng};

use super::ServiceError;
use super::enterprise::{self, SignedIn};
use super::exchange::{Asking, Client, Issued, random};
use crate::issuer::Issuer;
use crate::jose::Jws;
use crate::vault::{Place, Vault};

/// How long a renewal may take, and how long others wait for it.
const RENEWAL: Duration = Duration::from_secs(20);
/// How often those look.
const WAIT: Duration = Duration::from_millis(100);
/// How often is tried to keep what was renewed: it is the only one that is good.
const TRIES: u32 = 5;

/// What a renewal comes to.
pub(super) enum Renewed {
    /// He has this now.
    Anew(SignedIn),
    /// His issuer takes what he has no more: he is none of its users, or has to sign in himself.
    Refused,
    /// There is nothing to renew by.
    Nothing,
}

/// Renews at one issuer.
pub(super) struct Renewal<'a> {
    pub issuer: &'a std::sync::Arc<Issuer>,
    /// Who the gateway is there.
    pub client: &'a Client,
    pub vault: &'a dyn Vault,
    pub clock: &'a dyn Clock,
    pub rng: &'a dyn Rng,
}

impl Renewal<'_> {
    fn own(&self) -> &str {
        &self.issuer.options.name
    }

    /// Renews the version `old`. One does at a time among all replicas: a refresh token that is used twice
    /// ends all.
    pub async fn renew(&self, principal: &Principal, old: u64) -> Result<Renewed, ServiceError> {
        let turn = enterprise::name(self.own(), principal);
        let holder = random(self.rng);
        let mut waited = Duration::ZERO;
        while !self.vault.turn(&turn, &holder, RENEWAL).await? {
            tokio::time::sleep(WAIT).await;
            waited += WAIT;
            if let Some((version, signed_in)) = enterprise::kept(self.vault, self.own(), principal).await?
                && version > old
            {
                return Ok(Renewed::Anew(signed_in));
            }
            if waited >= RENEWAL {
                return Err(ServiceError::Busy);
            }
        }
        let renewed = self.renew_alone(principal, old).await;
        self.vault.turn_over(&turn, &holder).await;
        renewed
    }

    async fn renew_alone(&self, principal: &Principal, old: u64) -> Result<Renewed, ServiceError> {
        let found = enterprise::kept(self.vault, self.own(), principal).await?;
        let Some((version, before)) = found else { return Ok(Renewed::Nothing) };
        if version > old {
            return Ok(Renewed::Anew(before));
        }
        let Some(refresh) = before.refresh.clone() else { return Ok(Renewed::Nothing) };
        let issued = match self.ask(&refresh).await {
            Err(ServiceError::Refused { error, .. }) if error == "invalid_grant" => {
                // He may have signed in anew meanwhile, which ends what there was before.
                let now = enterprise::kept(self.vault, self.own(), principal).await?;
                return Ok(match now.filter(|(now, _)| *now > version) {
                    Some((_, signed_in)) => Renewed::Anew(signed_in),
                    None => Renewed::Refused,
                });
            }
            asked => asked?,
        };
        let id_token = match issued.id_token {
            Some(new) if self.is_of(principal, &new).await => new,
            // It need not give another one (OpenID Connect Core 1.0, section 12.2).
            _ => before.id_token,
        };
        let renewed = SignedIn { id_token, refresh: issued.refresh.or(Some(refresh)) };
        self.keep(principal, version, &renewed).await?;
        Ok(Renewed::Anew(renewed))
    }

    async fn ask(&self, refresh: &str) -> Result<Issued, ServiceError> {
        let metadata = self.issuer.metadata().await?;
        let trusted = |url: &Uri| metadata.is_own(url);
        let (fetch, clock, rng) = (self.issuer.fetch(), self.clock, self.rng);
        let asking = Asking { fetch, clock, rng, trusted: &trusted, prover: None };
        let form = vec![("grant_type", "refresh_token".to_owned()), ("refresh_token", refresh.to_owned())];
        asking.token(&metadata, self.client, form).await
    }

    /// Whether an ID token is signed by the issuer, and says the same of who the user is.
    async fn is_of(&self, principal: &Principal, id_token: &str) -> bool {
        let options = &self.issuer.options;
        let Ok(jws) = Jws::parse(id_token) else { return false };
        let known = options.algorithms.contains(&jws.algorithm);
        if !known || !matches!(self.issuer.has_signed(&jws).await, Ok(true)) {
            return false;
        }
        let Ok(claims) = jws.claims() else { return false };
        let own = claims.get("iss").and_then(|iss| iss.as_str()) == Some(options.issuer.as_str());
        let same = options.mapping.caller(&options.name, &claims).is_ok_and(|c| c.principal == *principal);
        if !(own && same) {
            tracing::warn!(issuer = options.name, "an ID token was renewed to that of somebody else");
        }
        own && same
    }

    /// Keeps it in place of this version; where somebody else has written, he has signed in anew.
    async fn keep(
        &self,
        principal: &Principal,
        version: u64,
        renewed: &SignedIn,
    ) -> Result<(), ServiceError> {
        let name = enterprise::name(self.own(), principal);
        let place = Place { principal, upstream: self.own(), name: &name };
        let mut tries = 0;
        loop {
            match self.vault.put(place, version, &renewed.write(), enterprise::KEPT).await {
                Ok(_) => return Ok(()),
                Err(error) if tries == TRIES => return Err(error.into()),
                Err(_) => {
                    tries += 1;
                    tokio::time::sleep(WAIT * tries).await;
                }
            }
        }
    }
}
