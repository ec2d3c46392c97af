//! An identity provider vouches for its user (SEP-990, as the resource's authorization server; RFC 7523).

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::client::KnownClient;
use super::issue::User;
use super::proof::is_for;
use super::tokens::Issued;
use super::{Broker, OAuthError};
use crate::issuer::{Issuer, IssuerError};
use crate::jose::{Claims, Jws};

/// What kind of JWT its assertion is.
const ID_JAG: &str = "oauth-id-jag+jwt";

fn wrong(text: &str) -> OAuthError {
    OAuthError::grant(format!("the assertion {text}"))
}

impl Broker {
    /// A token for an assertion: once, for the client that it names, and for no more than it says.
    pub(super) async fn by_assertion(
        &self,
        base: &str,
        client: &KnownClient,
        form: &HashMap<String, String>,
        key: Option<String>,
    ) -> Result<Value, OAuthError> {
        let assertion = form.get("assertion").ok_or_else(|| OAuthError::request("there is no assertion"))?;
        let (claims, issuer) = self.vouched(assertion).await?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if !is_for(&claims, &[base.to_owned()]) {
            return Err(wrong("is for another authorization server"));
        }
        if text("client_id") != Some(client.id.as_str()) {
            return Err(wrong("is for another client"));
        }
        let asked = form.get("resource").map(String::as_str);
        if let (Some(said), Some(asked)) = (text("resource"), asked)
            && said.trim_end_matches('/') != asked.trim_end_matches('/')
        {
            return Err(OAuthError::new("invalid_target", "the assertion is for another resource"));
        }
        let scope = form.get("scope").map(String::as_str).or(text("scope"));
        let (resource, mut scopes) = self.asked(base, text("resource").or(asked), scope)?;
        // What both the provider and the client say, and no more.
        if let Some(vouched) = text("scope") {
            scopes.retain(|scope| vouched.split_ascii_whitespace().any(|known| known == scope));
        }
        self.check_binding(base, &resource, key.as_deref())?;
        let options = &issuer.options;
        let caller = options.mapping.caller(&options.name, &claims);
        let caller = caller.map_err(|error| wrong(&format!("names nobody: {error}")))?;
        if !self.is_new(&claims, &format!("id-jag/{}", options.name)).await? {
            return Err(wrong("has expired, is not valid yet, or was used before"));
        }
        let (user, grant) = (User::of(&caller, self.clock.now()), self.grant_name());
        let issued = Issued {
            client: &client.id,
            resource: &resource,
            scopes: &scopes,
            user: &user,
            grant: &grant,
            key: key.as_deref(),
            refresh: None,
        };
        Ok(self.issue(base, &issued))
    }

    /// What an assertion says, once it is known to be that of a provider that is trusted for it.
    async fn vouched(&self, assertion: &str) -> Result<(Claims, &Arc<Issuer>), OAuthError> {
        let unreadable = |error| wrong(&format!("cannot be read: {error}"));
        let jws = Jws::parse(assertion).map_err(unreadable)?;
        if jws.typ.as_deref() != Some(ID_JAG) {
            return Err(wrong("is no ID-JAG"));
        }
        let claims = jws.claims().map_err(unreadable)?;
        let named = claims.get("iss").and_then(Value::as_str);
        let issuer = self.options.vouching.iter().find(|known| Some(known.options.issuer.as_str()) == named);
        let issuer = issuer.ok_or_else(|| wrong("is of an issuer that is not trusted for it"))?;
        if !issuer.options.algorithms.contains(&jws.algorithm) {
            return Err(wrong("is signed by an algorithm that is not taken of its issuer"));
        }
        match issuer.has_signed(&jws).await {
            Ok(true) => Ok((claims, issuer)),
            Ok(false) | Err(IssuerError::UnknownKey) => Err(wrong("is not signed by its issuer")),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an assertion cannot be checked");
                let text = "the issuer's keys cannot be had now; try again";
                Err(OAuthError::new("temporarily_unavailable", text))
            }
        }
    }
}
