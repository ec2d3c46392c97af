//! A user signs in at his issuer, with the gateway as the client (OpenID Connect Core 1.0, section 3.1).

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use model::{Clock, Rng, Timestamp};
use serde_json::Value;

use super::ServiceError;
use super::consent::{self, Flow, Returned};
use super::enterprise::{self, SignedIn};
use super::exchange::{Asking, Client, random};
use crate::caller::Caller;
use crate::issuer::{Issuer, IssuerError};
use crate::jose::{Claims, JoseError, Jws};
use crate::mapping::MappingError;
use crate::token;
use crate::vault::Vault;

/// How far the clocks may be apart.
const SKEW: Duration = Duration::from_secs(60);

/// Why nobody is signed in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SignInError {
    /// The issuer does not play its part.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// What it says of the user is no ID token.
    #[error("the ID token cannot be read: {0}")]
    Unreadable(#[from] JoseError),
    /// Its keys are not known.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// What it says is not meant for this sign-in.
    #[error("the ID token cannot be used: {0}")]
    Token(&'static str),
    /// Nobody here is whom it names.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// How users of one issuer sign in.
pub struct SignIn {
    /// Theirs.
    pub issuer: Arc<Issuer>,
    /// Who the gateway is there.
    pub client: Client,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Where what they sign in with is kept, so that the issuer vouches for them elsewhere; `None`: nowhere.
    pub keeps: Option<Arc<dyn Vault>>,
    /// For the ends of tokens.
    pub clock: Arc<dyn Clock>,
    /// For what nobody may guess.
    pub rng: Arc<dyn Rng>,
}

impl SignIn {
    /// Sends somebody to the issuer, who comes back at `redirect`. `seal` makes the state of what has to be
    /// known then.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub async fn begin(
        &self,
        redirect: &str,
        seal: &(dyn Fn(&Flow) -> String + Sync),
    ) -> Result<Uri, ServiceError> {
        let metadata = self.issuer.metadata().await?;
        let mut scopes = vec!["openid".to_owned()];
        scopes.extend(self.scopes.iter().cloned());
        let flow = Flow {
            issuer: metadata.issuer.clone(),
            resource: String::new(),
            client: self.client.id.clone(),
            redirect: redirect.to_owned(),
            verifier: random(&*self.rng),
            scopes,
            nonce: random(&*self.rng),
            bound: false,
        };
        consent::address(&metadata, &flow, &seal(&flow))
    }

    /// Somebody has come back. Who it is.
    ///
    /// # Errors
    /// [`SignInError`]
    pub async fn finish(&self, flow: &Flow, returned: &Returned) -> Result<Caller, SignInError> {
        let metadata = self.issuer.metadata().await.map_err(ServiceError::from)?;
        if flow.issuer != metadata.issuer || flow.nonce.is_empty() {
            return Err(SignInError::Token("it belongs to another sign-in"));
        }
        let code = returned.code(flow, &metadata)?;
        let form = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", flow.redirect.clone()),
            ("code_verifier", flow.verifier.clone()),
        ];
        let trusted = |url: &Uri| metadata.is_own(url);
        let asking = Asking {
            fetch: self.issuer.fetch(),
            clock: &*self.clock,
            rng: &*self.rng,
            trusted: &trusted,
            prover: None,
        };
        let issued = asking.token(&metadata, &self.client, form).await?;
        let (refresh, text) = (issued.refresh, issued.id_token.ok_or(SignInError::Token("there is none"))?);
        let jws = Jws::parse(&text)?;
        let options = &self.issuer.options;
        if !options.algorithms.contains(&jws.algorithm) {
            return Err(SignInError::Token("it is signed by an algorithm that is not taken of its issuer"));
        }
        if !self.issuer.has_signed(&jws).await? {
            return Err(SignInError::Token("its signature is not that of the issuer"));
        }
        let claims = jws.claims()?;
        check(&claims, flow, self.clock.now())?;
        let caller = options.mapping.caller(&options.name, &claims)?;
        if let Some(vault) = &self.keeps {
            let signed_in = SignedIn { id_token: text, refresh };
            enterprise::keep(&**vault, &options.name, &caller.principal, &signed_in).await?;
        }
        Ok(caller)
    }
}

/// What holds of an ID token besides its signature (OpenID Connect Core 1.0, section 3.1.3.7).
fn check(claims: &Claims, flow: &Flow, now: Timestamp) -> Result<(), SignInError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let (meant, several) = match claims.get("aud") {
        Some(Value::Array(all)) => {
            (all.iter().any(|one| one.as_str() == Some(flow.client.as_str())), all.len() > 1)
        }
        Some(one) => (one.as_str() == Some(flow.client.as_str()), false),
        None => (false, false),
    };
    let fault = if text("iss") != Some(flow.issuer.as_str()) {
        Some("it is of another issuer")
    } else if !meant {
        Some("it is for another client")
    } else if (several || claims.contains_key("azp")) && text("azp") != Some(flow.client.as_str()) {
        Some("it was issued to another client")
    } else if text("nonce") != Some(flow.nonce.as_str()) {
        Some("it belongs to another sign-in")
    } else {
        None
    };
    if let Some(fault) = fault {
        return Err(SignInError::Token(fault));
    }
    let time = |name| token::time(claims, name).map_err(|_| SignInError::Token("a time of it is none"));
    match time("exp")? {
        Some(expires) if now < expires.plus(SKEW) => {}
        _ => return Err(SignInError::Token("it has expired, or says nothing of when")),
    }
    if time("iat")?.is_some_and(|issued| issued > now.plus(SKEW)) {
        return Err(SignInError::Token("it is not valid yet"));
    }
    Ok(())
}
