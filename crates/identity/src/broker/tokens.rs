//! The token endpoint: what is had for a code, a refresh token, or the word of an identity provider.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use model::Timestamp;
use serde_json::{Value, json};

use super::client::KnownClient;
use super::grants::{Grant, Turned};
use super::issue::{Said, User};
use super::request::parameters;
use super::{Broker, OAuthError, TOKEN};
use crate::dpop::ProofOf;
use crate::jose::Jws;
use crate::outbound::random;

/// An assertion for another authorization server, as a grant (RFC 7523).
const ASSERTION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a verifier is, in characters (RFC 7636, section 4.1).
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;

/// A request for tokens.
#[derive(Debug, Clone, Copy)]
pub struct TokenRequest<'a> {
    /// What the gateway is reached by.
    pub base: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub form: &'a str,
}

/// What one token is made of.
pub(super) struct Issued<'a> {
    pub client: &'a str,
    pub resource: &'a str,
    pub scopes: &'a [String],
    pub user: &'a User,
    pub grant: &'a str,
    pub key: Option<&'a str>,
    pub refresh: Option<String>,
}

impl Broker {
    /// Gives out tokens, or says why not.
    ///
    /// # Errors
    /// [`OAuthError`]
    pub async fn token(&self, request: &TokenRequest<'_>) -> Result<Value, OAuthError> {
        let form = parameters(request.form).map_err(OAuthError::request)?;
        let client = self.prove(request.base, request.headers, &form).await?;
        let key = self.proved_key(request)?;
        match form.get("grant_type").map(String::as_str) {
            Some("authorization_code") => self.by_code(request.base, &client, &form, key).await,
            Some("refresh_token") => self.by_refresh(request.base, &client, &form, key).await,
            Some(ASSERTION) if !self.options.vouching.is_empty() => {
                self.by_assertion(request.base, &client, &form, key).await
            }
            Some(_) => Err(OAuthError::new("unsupported_grant_type", "there is no such grant here")),
            None => Err(OAuthError::request("there is no grant_type")),
        }
    }

    /// A nonce for the next proof of possession, where one is wanted.
    #[must_use]
    pub fn nonce(&self) -> Option<String> {
        self.dpop.wants_nonces().then(|| self.dpop.nonce(self.clock.now()))
    }

    /// The key that the client proves to have; `None`: it proves none (RFC 9449, section 5).
    fn proved_key(&self, request: &TokenRequest<'_>) -> Result<Option<String>, OAuthError> {
        let mut proofs = request.headers.get_all("dpop").iter();
        let proof = match (proofs.next(), proofs.next()) {
            (None, _) => return Ok(None),
            (Some(proof), None) => proof.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        let proof = proof.ok_or_else(|| OAuthError::new("invalid_dpop_proof", "expected one DPoP header"))?;
        let url = format!("{}{TOKEN}", request.base);
        let of = ProofOf { method: "POST", url: &url, token: None };
        Ok(Some(self.dpop.check(proof, &of, self.clock.now())?))
    }

    async fn by_code(
        &self,
        base: &str,
        client: &KnownClient,
        form: &HashMap<String, String>,
        key: Option<String>,
    ) -> Result<Value, OAuthError> {
        let text = |name: &str| form.get(name).map(String::as_str);
        let code_text = text("code").ok_or_else(|| OAuthError::request("there is no code"))?;
        let wrong = || OAuthError::grant("the code is unknown, has expired, or is for another client");
        let code = self.open_code(code_text).ok_or_else(wrong)?;
        let request = &code.request;
        if request.client != client.id {
            return Err(wrong());
        }
        // OAuth 2.1 does without it; who still sends it must mean the same.
        if text("redirect_uri").is_some_and(|uri| uri != request.redirect) {
            return Err(OAuthError::grant("redirect_uri is another one than that of the code"));
        }
        let verifier = text("code_verifier").filter(|verifier| VERIFIER.contains(&verifier.len()));
        let verifier = verifier.ok_or_else(|| OAuthError::grant("code_verifier is missing or malformed"))?;
        if URL_SAFE_NO_PAD.encode(seal::sha256(verifier.as_bytes())) != request.challenge {
            return Err(OAuthError::grant("code_verifier is not that of the code"));
        }
        if text("resource").is_some_and(|said| said.trim_end_matches('/') != request.resource) {
            return Err(OAuthError::new("invalid_target", "resource is another one than that of the code"));
        }
        if request.key.is_some() && request.key != key {
            return Err(OAuthError::new("invalid_dpop_proof", "the code is bound to another key"));
        }
        // Whoever was signed out or disabled meanwhile has granted nothing.
        if self.bars.bars(&code.user.principal, Some(&code.grant), code.user.since) {
            return Err(wrong());
        }
        self.check_binding(base, &request.resource, key.as_deref())?;
        let name = crate::outbound::hashed("code", &[code_text]);
        if !self.vault.once(&name, code.until).await? {
            // Somebody has it who should not: what it was good for ends (OAuth 2.1, section 4.1.3).
            tracing::warn!(client = client.id, "a code was used twice: what it granted is taken back");
            self.end(&code.grant, &code.user.principal).await?;
            return Err(wrong());
        }
        self.used(client).await?;
        let user = self.with_groups(&code.user).await;
        let grant = Grant {
            client: client.id.clone(),
            resource: request.resource.clone(),
            scopes: request.scopes.clone(),
            user,
            key,
            turn: 0,
            turned: self.clock.now(),
            until: self.clock.now().plus(self.options.refresh_time),
        };
        if client.refreshes && !self.begin(&code.grant, &grant).await? {
            return Err(wrong());
        }
        let refresh = client.refreshes.then(|| self.refresh_token(&code.grant, &grant));
        Ok(self.issue(base, &of_grant(&grant, &code.grant, &grant.scopes, refresh)))
    }

    async fn by_refresh(
        &self,
        base: &str,
        client: &KnownClient,
        form: &HashMap<String, String>,
        key: Option<String>,
    ) -> Result<Value, OAuthError> {
        let text = |name: &str| form.get(name).map(String::as_str);
        let token = text("refresh_token").ok_or_else(|| OAuthError::request("there is no refresh_token"))?;
        let wrong = || OAuthError::grant("the refresh token is unknown, has expired, or was taken back");
        let refresh = self.open_refresh(token).ok_or_else(wrong)?;
        // Whatever is wrong with the request must not use the token up.
        let found = self.look(&refresh).await?.filter(|(_, grant)| grant.client == client.id);
        let (version, grant) = found.ok_or_else(wrong)?;
        if grant.key.is_some() && grant.key != key {
            return Err(OAuthError::new("invalid_dpop_proof", "the refresh token is bound to another key"));
        }
        if text("resource").is_some_and(|said| said.trim_end_matches('/') != grant.resource) {
            return Err(OAuthError::new("invalid_target", "resource is another one than that of the grant"));
        }
        let scopes: Vec<String> = match text("scope") {
            None => grant.scopes.clone(),
            Some(asked) => asked.split_ascii_whitespace().map(str::to_owned).collect(),
        };
        if scopes.iter().any(|scope| scope != "offline_access" && !grant.scopes.contains(scope)) {
            return Err(OAuthError::new("invalid_scope", "that is more than was granted"));
        }
        if self.bars.bars(&grant.user.principal, Some(&refresh.grant), grant.user.since) {
            return Err(wrong());
        }
        self.check_binding(base, &grant.resource, grant.key.as_deref())?;
        self.used(client).await?;
        match self.turn(&refresh, version, grant).await? {
            Turned::Gone => Err(wrong()),
            Turned::Again => {
                tracing::warn!(client = client.id, "a refresh token was used twice: its grant is taken back");
                self.end(&refresh.grant, &refresh.principal).await?;
                Err(wrong())
            }
            Turned::On(grant) => {
                let next = self.refresh_token(&refresh.grant, &grant);
                let user = self.with_groups(&grant.user).await;
                let grant = Grant { user, ..grant };
                Ok(self.issue(base, &of_grant(&grant, &refresh.grant, &scopes, Some(next))))
            }
        }
    }

    /// Refuses a token without a key where the endpoint takes none.
    pub(super) fn check_binding(
        &self,
        base: &str,
        resource: &str,
        key: Option<&str>,
    ) -> Result<(), OAuthError> {
        let path = resource.strip_prefix(base).unwrap_or_default();
        let Some(known) = self.options.resources.get(path) else {
            return Err(OAuthError::new("invalid_target", "there is no such resource here any more"));
        };
        if known.bound && key.is_none() {
            return Err(OAuthError::new("invalid_dpop_proof", "tokens for this resource are bound to a key"));
        }
        Ok(())
    }

    /// The user with his groups as they are known last.
    async fn with_groups(&self, user: &User) -> User {
        let Some(known) = self.options.groups.as_ref() else { return user.clone() };
        match known.groups(&user.issuer, &user.principal).await {
            Some(groups) => User { groups, ..user.clone() },
            None => user.clone(),
        }
    }

    pub(super) fn issue(&self, base: &str, of: &Issued<'_>) -> Value {
        let now = self.clock.now();
        let expires: Timestamp = now.plus(self.options.token_time);
        // What only some may do is granted to those alone, whoever asks.
        let may = |scope: &&String| match self.options.scopes.get(*scope) {
            None => true,
            Some(groups) => of.user.groups.iter().any(|group| groups.contains(group)),
        };
        let scopes: Vec<String> = of.scopes.iter().filter(may).cloned().collect();
        let said = Said {
            issuer: base,
            resource: of.resource,
            user: of.user,
            client: of.client,
            scopes: &scopes,
            grant: of.grant,
            key: of.key,
            issued: now,
            expires,
            id: random(&*self.rng),
        };
        let mut answer = json!({
            "access_token": self.tokens.sign(&said),
            "token_type": if of.key.is_some() { "DPoP" } else { "Bearer" },
            "expires_in": self.options.token_time.as_secs(),
            "scope": scopes.join(" "),
        });
        if let Some(refresh) = &of.refresh {
            answer["refresh_token"] = json!(refresh);
        }
        tracing::info!(
            client = of.client,
            principal = %of.user.principal,
            resource = of.resource,
            scope = scopes.join(" "),
            "a token was issued"
        );
        answer
    }

    /// Takes a token back (RFC 7009). One that is unknown is as good as taken back.
    ///
    /// # Errors
    /// [`OAuthError`]
    pub async fn revoke(&self, request: &TokenRequest<'_>) -> Result<(), OAuthError> {
        let form = parameters(request.form).map_err(OAuthError::request)?;
        let client = self.prove(request.base, request.headers, &form).await?;
        let token = form.get("token").ok_or_else(|| OAuthError::request("there is no token"))?;
        if let Some(refresh) = self.open_refresh(token) {
            let own = self.grant(&refresh).await?.is_some_and(|grant| grant.client == client.id);
            if own {
                self.end(&refresh.grant, &refresh.principal).await?;
            }
            return Ok(());
        }
        let now = self.clock.now();
        let signed = Jws::parse(token).ok().filter(|jws| self.tokens.has_signed(jws, now));
        let caller =
            signed.and_then(|jws| jws.claims().ok()).and_then(|claims| super::Tokens::caller(&claims).ok());
        if let Some(caller) = caller.filter(|caller| caller.client.as_deref() == Some(client.id.as_str()))
            && let Some(grant) = &caller.grant
        {
            self.end(grant, &caller.principal).await?;
        }
        Ok(())
    }
}

fn of_grant<'a>(grant: &'a Grant, id: &'a str, scopes: &'a [String], refresh: Option<String>) -> Issued<'a> {
    Issued {
        client: &grant.client,
        resource: &grant.resource,
        scopes,
        user: &grant.user,
        grant: id,
        key: grant.key.as_deref(),
        refresh,
    }
}
