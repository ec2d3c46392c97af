//! A user signs in at his issuer, with the gateway as the client (OpenID Connect Core 1.0, section 3.1).

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use model::{Clock, Principal, Rng, Timestamp};
use serde_json::Value;

use super::ServiceError;
use super::consent::{self, Flow, Returned};
use super::enterprise::{self, SignedIn};
use super::exchange::{Asking, Client, random};
use super::renewal::{Renewal, Renewed};
use crate::barred::Barred;
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
    /// He is not let in any more.
    #[error("the user was disabled")]
    Barred,
    /// Nobody here is whom it names.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// What became of a user at his issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rechecked {
    /// He is still one of its users, or another replica has just asked.
    Stays,
    /// The issuer takes what he has signed in with no more.
    Gone,
    /// There is nothing to ask by.
    Unasked,
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
    /// How often the issuer is asked whether they are still its users; `None`: never.
    pub recheck: Option<Duration>,
    /// Who is let in no more, also where his issuer says who he is.
    pub barred: Arc<Barred>,
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
        // What is renewed without the user needs a refresh token (SEP-2207).
        let stays = "offline_access";
        let can = metadata.list("scopes_supported").is_some_and(|known| known.contains(&stays));
        if self.keeps.is_some() && can && !scopes.iter().any(|scope| scope == stays) {
            scopes.push(stays.to_owned());
        }
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
        if self.barred.refuses(&caller) {
            return Err(SignInError::Barred);
        }
        if let Some(vault) = &self.keeps {
            let signed_in = SignedIn { id_token: text, refresh };
            enterprise::keep(&**vault, &options.name, &caller.principal, &signed_in).await?;
        }
        Ok(caller)
    }
}

impl SignIn {
    /// Asks the issuer whether somebody who has signed in is still one of its users, by what he has signed in
    /// with. All replicas together do so once in `every`.
    ///
    /// # Errors
    /// [`ServiceError`]: nobody knows.
    pub async fn recheck(&self, principal: &Principal, every: Duration) -> Result<Rechecked, ServiceError> {
        let Some(vault) = &self.keeps else { return Ok(Rechecked::Unasked) };
        let own = &self.issuer.options.name;
        let kept = enterprise::kept(&**vault, own, principal).await?;
        let Some((version, _)) = kept.filter(|(_, signed_in)| signed_in.refresh.is_some()) else {
            return Ok(Rechecked::Unasked);
        };
        // The turn is not given back: whoever comes meanwhile need not ask.
        let turn = format!("recheck/{}", enterprise::name(own, principal));
        if !vault.turn(&turn, &random(&*self.rng), every).await? {
            return Ok(Rechecked::Stays);
        }
        let (issuer, client, vault) = (&self.issuer, &self.client, &**vault);
        let renewal = Renewal { issuer, client, vault, clock: &*self.clock, rng: &*self.rng };
        Ok(match renewal.renew(principal, version).await? {
            Renewed::Anew(_) => Rechecked::Stays,
            Renewed::Refused => Rechecked::Gone,
            Renewed::Nothing => Rechecked::Unasked,
        })
    }

    /// The groups that the issuer named last when somebody signed in or was asked about; `None` where it is
    /// not known, or groups are not looked for.
    pub async fn known_groups(&self, principal: &Principal) -> Option<Vec<String>> {
        let (vault, options) = (self.keeps.as_ref()?, &self.issuer.options);
        options.mapping.groups.as_ref()?;
        let kept = enterprise::kept(&**vault, &options.name, principal).await;
        let (_, signed_in) = kept.ok()??;
        // It was checked before it was kept.
        let claims = Jws::parse(&signed_in.id_token).ok()?.claims().ok()?;
        let caller = options.mapping.caller(&options.name, &claims).ok()?;
        (caller.principal == *principal).then_some(caller.groups)
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
