//! How a user's token comes to be: by his consent in a browser, or by the word of his identity provider.

use http::{StatusCode, Uri};
use model::Principal;

use super::ServiceError;
use super::consent::{self, Flow, Returned, SCOPES_MAX};
use super::enterprise::{Enterprise, For, Vouching};
use super::exchange::random;
use super::grant::{Grant, UNUSED};
use super::prover::{ALGORITHM, Prover};
use super::resource::{self, Resource};
use super::users::{Held, NoToken, Person, Users, Wanted};
use crate::metadata::{Metadata, MetadataError, discover};
use crate::vault::Place;

/// The scope by which a user stays signed in (SEP-2207).
const STAYS: &str = "offline_access";

impl Users {
    /// A token that the user's identity provider vouches for, in place of the version `old` of his grant.
    pub(super) async fn vouched(
        &self,
        principal: &Principal,
        person: &Person,
        old: u64,
    ) -> Result<Held, NoToken> {
        let Some(enterprise) = &self.options.enterprise else { return Err(NoToken::Consent) };
        let before = person.state().held.as_ref().map(|held| held.asked.clone()).unwrap_or_default();
        let grant = match &enterprise.vouching {
            Vouching::Assertion => self.by_assertion(enterprise, principal, before).await?,
            Vouching::Token { audience } => {
                self.by_exchange(enterprise, audience.as_deref(), principal, before).await?
            }
        };
        let Some(grant) = grant else { return Err(NoToken::Consent) };
        let name = self.name(principal);
        let place = Place { principal, upstream: &self.options.upstream, name: &name };
        let put = self.vault.put(place, old, &grant.write(), UNUSED).await;
        if put.map_err(ServiceError::from)? {
            return self.hold(person, old + 1, &grant);
        }
        // Another replica was quicker.
        match self.find(principal).await? {
            Some((version, grant)) => self.hold(person, version, &grant),
            None => Err(NoToken::Consent),
        }
    }

    /// By an assertion at the authorization server of the upstream. `None`: the user has to sign in first.
    async fn by_assertion(
        &self,
        enterprise: &Enterprise,
        principal: &Principal,
        before: Vec<String>,
    ) -> Result<Option<Grant>, ServiceError> {
        let wanted = self.wanted(principal);
        let (metadata, resource) = self.issuer(&wanted).await?;
        let scopes = self.scopes(&wanted, before, &resource, &metadata);
        let text = scopes.join(" ");
        let about = For::assertion(&metadata.issuer, &resource.name, &text);
        let own = (&*self.clock, &*self.rng);
        let assertion = enterprise.assertion(principal, &about, &*self.vault, own).await?;
        let Some(assertion) = assertion else { return Ok(None) };
        let own = metadata.issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let client = self.desk(&metadata, own).client("", "").await?;
        let form = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", assertion),
        ];
        let prover = self.prover(&metadata, wanted.bound || resource.bound)?;
        let trusted = |url: &Uri| self.is_trusted(url);
        let asking = self.asking(&trusted, prover.as_ref());
        let issued = asking.token(&metadata, &client, form).await?;
        let grant = Grant {
            issuer: metadata.issuer.clone(),
            resource: resource.name,
            client: client.id,
            redirect: String::new(),
            key: prover.filter(|_| issued.bound).map(|prover| prover.write().to_vec()),
            access: issued.access,
            refresh: issued.refresh,
            expires: issued.expires,
            asked: scopes,
        };
        Ok(Some(grant))
    }

    /// From the identity provider itself. `None`: the user has to sign in first.
    async fn by_exchange(
        &self,
        enterprise: &Enterprise,
        audience: Option<&str>,
        principal: &Principal,
        before: Vec<String>,
    ) -> Result<Option<Grant>, ServiceError> {
        let wanted = self.wanted(principal);
        // The identity provider is known, whatever the server says of who issues tokens for it.
        let resource = match self.told(&wanted).await {
            Err(ServiceError::Resource(_) | ServiceError::Absent) => self.untold(),
            told => told?,
        };
        let metadata = enterprise.issuer.metadata().await?;
        let mut scopes = self.scopes(&wanted, before, &resource, &metadata);
        // Another token is had by another exchange, so that the identity provider decides each time.
        scopes.retain(|scope| scope != STAYS);
        let text = scopes.join(" ");
        let prover = self.prover(&metadata, wanted.bound || resource.bound)?;
        let about = For::token(audience, &resource.name, &text, prover.as_ref());
        let own = (&*self.clock, &*self.rng);
        let issued = enterprise.token(principal, &about, &*self.vault, own).await?;
        Ok(issued.map(|(issuer, issued)| Grant {
            issuer,
            resource: resource.name,
            client: enterprise.client.id.clone(),
            redirect: String::new(),
            key: prover.filter(|_| issued.bound).map(|prover| prover.write().to_vec()),
            access: issued.access,
            refresh: None,
            expires: issued.expires,
            asked: scopes,
        }))
    }

    /// A new key, where a token is to be bound to one and its issuer does that.
    fn prover(&self, metadata: &Metadata, wanted: bool) -> Result<Option<Prover>, ServiceError> {
        let known = metadata.list("dpop_signing_alg_values_supported").unwrap_or_default();
        if !wanted || !known.contains(&ALGORITHM) {
            return Ok(None);
        }
        let none = || ServiceError::Proof("no key can be made".to_owned());
        Prover::generate().ok_or_else(none).map(Some)
    }

    /// Whether users sign in at their identity provider, and nowhere else.
    #[must_use]
    pub fn are_vouched_for(&self) -> bool {
        self.options.enterprise.is_some()
    }

    /// Sends a user to whoever issues tokens for the server. `redirect` is where he comes back; `seal` makes
    /// the state of what has to be known then.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub async fn begin(
        &self,
        principal: &Principal,
        wanted: &Wanted,
        redirect: &str,
        seal: &(dyn Fn(&Flow) -> String + Sync),
    ) -> Result<Uri, ServiceError> {
        let (metadata, resource) = self.issuer(wanted).await?;
        if self.options.issuer.is_none() {
            consent::check_unmixed(&metadata)?;
        }
        let own = metadata.issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let before = self.find(principal).await?.map(|(_, grant)| grant);
        // What was granted before is not lost by what is granted now.
        let before =
            before.filter(|grant| grant.issuer == metadata.issuer && grant.resource == resource.name);
        let before = before.map(|grant| grant.asked).unwrap_or_default();
        let scopes = self.scopes(wanted, before, &resource, &metadata);
        let client = self.desk(&metadata, own).client(redirect, &scopes.join(" ")).await?;
        let flow = Flow {
            issuer: metadata.issuer.clone(),
            resource: resource.name.clone(),
            client: client.id,
            redirect: redirect.to_owned(),
            verifier: random(&*self.rng),
            scopes,
            nonce: String::new(),
            bound: wanted.bound || resource.bound,
        };
        consent::address(&metadata, &flow, &seal(&flow))
    }

    /// What the server says of who issues tokens for it.
    async fn told(&self, wanted: &Wanted) -> Result<Resource, ServiceError> {
        let trusted = |url: &Uri| self.is_trusted(url);
        resource::find(&*self.fetch, &self.options.server, wanted.metadata.as_deref(), &trusted).await
    }

    /// What is known of a server that says nothing.
    fn untold(&self) -> Resource {
        let name = self.options.server.to_string();
        Resource { name, servers: Vec::new(), scopes: Vec::new(), bound: false }
    }

    /// Who issues tokens for the server, and what for.
    async fn issuer(&self, wanted: &Wanted) -> Result<(Metadata, Resource), ServiceError> {
        let resource = match (self.told(wanted).await, &self.options.issuer) {
            (Ok(resource), _) => resource,
            // The operator knows what the server does not say.
            (Err(ServiceError::Resource(_) | ServiceError::Absent), Some(_)) => self.untold(),
            // A server of 2025-03-26 is its own authorization server ("Authorization Base URL").
            (Err(ServiceError::Absent), None) => {
                return Ok((self.metadata(&self.root(), true).await?, self.untold()));
            }
            (Err(error), _) => return Err(error),
        };
        let none = || ServiceError::Resource("its metadata names no authorization server".to_owned());
        let issuer = self.options.issuer.as_ref().or(resource.servers.first()).ok_or_else(none)?;
        let own = issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let metadata = discover(&*self.fetch, issuer, own).await?;
        consent::check_pkce(&metadata)?;
        Ok((metadata, resource))
    }

    /// The root of the server, by which it is its own authorization server (2025-03-26).
    fn root(&self) -> String {
        let server = &self.options.server;
        let authority = server.authority().map(ToString::to_string).unwrap_or_default();
        format!("{}://{authority}", server.scheme_str().unwrap_or("https"))
    }

    /// What an authorization server says of itself. One at the server's own root may say nothing (2025-03-26,
    /// "Fallbacks for Servers without Metadata Discovery").
    pub(super) async fn metadata(&self, issuer: &str, own: bool) -> Result<Metadata, ServiceError> {
        match discover(&*self.fetch, issuer, own).await {
            Err(MetadataError::Missing { status, .. })
                if issuer == self.root() && status == StatusCode::NOT_FOUND =>
            {
                Ok(Metadata::by_default(issuer))
            }
            found => Ok(found?),
        }
    }

    /// What is asked for: what the server asked for, with what was granted before, else what the operator
    /// says, else all that there is; and to stay signed in, where that is a scope (SEP-2207).
    fn scopes(
        &self,
        wanted: &Wanted,
        before: Vec<String>,
        resource: &Resource,
        metadata: &Metadata,
    ) -> Vec<String> {
        let mut scopes = self.options.scopes.clone();
        scopes.extend(before);
        scopes.extend(wanted.scopes.iter().cloned());
        if scopes.is_empty() {
            scopes.clone_from(&resource.scopes);
        }
        if metadata.list("scopes_supported").is_some_and(|known| known.contains(&STAYS)) {
            scopes.push(STAYS.to_owned());
        }
        let mut seen = std::collections::HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes.truncate(SCOPES_MAX);
        scopes
    }

    /// A user has come back: his grant is kept.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub async fn finish(
        &self,
        principal: &Principal,
        flow: &Flow,
        returned: &Returned,
    ) -> Result<(), ServiceError> {
        let own = flow.issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let metadata = self.metadata(&flow.issuer, own).await?;
        let code = returned.code(flow, &metadata)?;
        let client = self.desk(&metadata, own).client_of(&flow.client, &flow.redirect).await?;
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", flow.redirect.clone()),
            ("code_verifier", flow.verifier.clone()),
            ("resource", flow.resource.clone()),
        ];
        let prover = self.prover(&metadata, flow.bound)?;
        let trusted = |url: &Uri| self.is_trusted(url);
        let asking = self.asking(&trusted, prover.as_ref());
        let issued = asking.token(&metadata, &client, form).await?;
        let grant = Grant {
            issuer: flow.issuer.clone(),
            resource: flow.resource.clone(),
            client: flow.client.clone(),
            redirect: flow.redirect.clone(),
            key: prover.filter(|_| issued.bound).map(|prover| prover.write().to_vec()),
            access: issued.access,
            refresh: issued.refresh,
            expires: issued.expires,
            asked: flow.scopes.clone(),
        };
        let name = self.name(principal);
        let place = Place { principal, upstream: &self.options.upstream, name: &name };
        // The last word of the user counts, whatever is renewed at the same time.
        for _ in 0..8 {
            let version = self.vault.get(place).await?.map_or(0, |kept| kept.version);
            if self.vault.put(place, version, &grant.write(), UNUSED).await? {
                return Ok(());
            }
        }
        Err(ServiceError::Busy)
    }
}
