//! Tokens that the gateway has for itself: client credentials (RFC 6749, section 4.4; SEP-1046), with a
//! secret or a signed assertion, and workload identities (RFC 7523, section 2.1; SEP-1933, a draft).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use model::{Clock, Rng, Timestamp};

use super::exchange::{Asking, Client, header};
use super::resource::{self, Resource};
use super::{Challenge, ServiceError, Signer};
use crate::fetch::Fetch;
use crate::metadata::{Metadata, discover};

/// A token is renewed so long before it ends.
const EARLY: Duration = Duration::from_secs(30);
/// Who was refused does not ask again before this has passed.
const PAUSE: Duration = Duration::from_secs(30);
/// The same where it may pass.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
/// Scopes that are asked for at a time; more are not believed to be needed.
const SCOPES_MAX: usize = 64;

/// By what the gateway proves itself to an authorization server.
#[derive(Clone)]
pub enum ClientProof {
    /// A secret that both know.
    Secret(String),
    /// An assertion that the gateway signs.
    Key(Arc<Signer>),
    /// A token of the platform that the gateway runs on, read anew each time. The grant is another one then.
    Workload(Arc<dyn Fn() -> Result<String, String> + Send + Sync>),
}

impl std::fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Key(_) => "Key",
            Self::Workload(_) => "Workload",
        })
    }
}

/// What the operator says of it.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// The server's URL.
    pub server: Uri,
    /// Who issues tokens for it; `None`: whom the server names.
    pub issuer: Option<String>,
    /// Who the gateway is at the authorization server.
    pub client_id: String,
    /// By what it proves that.
    pub proof: ClientProof,
    /// Scopes that are always asked for; none: those that the server asks for.
    pub scopes: Vec<String>,
}

/// A token for one server.
#[derive(Debug)]
pub struct Token {
    /// The whole `Authorization` header.
    pub header: HeaderValue,
    expires: Option<Timestamp>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// What the server said last when it refused.
    challenge: Option<Challenge>,
    /// Whether it ever asked for a token.
    asked: bool,
    /// Scopes that were asked for at any time: those of one operation are not lost for another one.
    scopes: BTreeSet<String>,
    /// Why there is none, and until when nobody asks again.
    failed: Option<(ServiceError, Timestamp)>,
}

/// The gateway's tokens for one server. One is fetched at a time, for everybody.
pub struct Service {
    options: ServiceOptions,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
}

impl Service {
    /// One that has no token yet.
    #[must_use]
    pub fn new(
        options: ServiceOptions,
        fetch: Arc<dyn Fetch>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let fetching = tokio::sync::Mutex::default();
        Self { options, fetch, clock, rng, state: Mutex::default(), fetching }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is good now. `None`: the server has not asked for one, and does not say yet who issues
    /// them.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub async fn token(&self) -> Result<Option<Arc<Token>>, ServiceError> {
        if let Some(known) = self.known()? {
            return Ok(known);
        }
        let _one = self.fetching.lock().await;
        if let Some(known) = self.known()? {
            return Ok(known);
        }
        match self.obtain().await {
            Ok(token) => {
                let mut state = self.state();
                state.failed = None;
                state.token = Some(Arc::clone(&token));
                Ok(Some(token))
            }
            Err(error) => {
                let pause = if error.may_pass() { SHORT_PAUSE } else { PAUSE };
                self.state().failed = Some((error.clone(), self.clock.now().plus(pause)));
                Err(error)
            }
        }
    }

    /// What is known without asking anybody. The outer `None`: somebody is to be asked.
    fn known(&self) -> Result<Option<Option<Arc<Token>>>, ServiceError> {
        let state = self.state();
        let now = self.clock.now();
        let good = |token: &&Arc<Token>| token.expires.is_none_or(|expires| now.plus(EARLY) < expires);
        if let Some(token) = state.token.as_ref().filter(good) {
            return Ok(Some(Some(Arc::clone(token))));
        }
        if let Some((error, _)) = state.failed.as_ref().filter(|(_, until)| now < *until) {
            return Err(error.clone());
        }
        // Who issues tokens, and for which scopes, is what the server says with its refusal.
        let wait = !state.asked && self.options.issuer.is_none();
        Ok(wait.then_some(None))
    }

    /// The server has refused a request that was sent with this token, or with none. Whether it is to be sent
    /// again; it has not run. `attempt` counts from 0.
    #[must_use]
    pub fn refused(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> bool {
        let challenge = Challenge::of(headers).unwrap_or_default();
        let mut state = self.state();
        let again = match status {
            // With a token that was fetched for this very request there is nothing left to try.
            StatusCode::UNAUTHORIZED => attempt == 0,
            StatusCode::FORBIDDEN if challenge.error.as_deref() == Some("insufficient_scope") => {
                let wanted = challenge.scopes.iter().take(SCOPES_MAX);
                let before = state.scopes.len();
                state.scopes.extend(wanted.cloned());
                // Who has asked for all of it, and is refused, gives up.
                state.scopes.len() > before && state.scopes.len() <= SCOPES_MAX
            }
            _ => return false,
        };
        // Meanwhile somebody else may have fetched another one.
        if again && state.token.as_ref().is_some_and(|token| Some(&token.header) == used) {
            state.token = None;
        }
        state.asked = true;
        state.challenge = Some(challenge);
        again
    }

    fn is_trusted(&self, url: &Uri) -> bool {
        let own = self.options.issuer.as_ref().and_then(|issuer| issuer.parse::<Uri>().ok());
        // What is on the host that the operator wrote is the operator's.
        [Some(&self.options.server), own.as_ref()].into_iter().flatten().any(|own| own.host() == url.host())
    }

    async fn obtain(&self) -> Result<Arc<Token>, ServiceError> {
        let challenge = self.state().challenge.clone().unwrap_or_default();
        let fetch = &*self.fetch;
        let trusted = |url: &Uri| self.is_trusted(url);
        let said = challenge.metadata.as_deref();
        let resource = match resource::find(fetch, &self.options.server, said, &trusted).await {
            Ok(resource) => resource,
            // The operator knows what the server does not say.
            Err(ServiceError::Resource(_) | ServiceError::Absent) if self.options.issuer.is_some() => {
                Resource {
                    name: self.options.server.to_string(),
                    servers: Vec::new(),
                    scopes: Vec::new(),
                    bound: false,
                }
            }
            Err(error) => return Err(error),
        };
        let issuer = match &self.options.issuer {
            Some(issuer) => issuer.clone(),
            None => {
                let none = || ServiceError::Resource("its metadata names no authorization server".to_owned());
                resource.servers.first().cloned().ok_or_else(none)?
            }
        };
        let own = issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let metadata = discover(fetch, &issuer, own).await?;
        let scopes = self.scopes(&challenge, &resource);
        self.ask(&metadata, &resource.name, &scopes).await
    }

    /// What is asked for: what the operator says, else what the server asked for, else all that it has.
    fn scopes(&self, challenge: &Challenge, resource: &Resource) -> String {
        let first = match (&self.options.scopes, &challenge.scopes) {
            (own, _) if !own.is_empty() => own,
            (_, said) if !said.is_empty() => said,
            _ => &resource.scopes,
        };
        let mut state = self.state();
        state.scopes.extend(first.iter().take(SCOPES_MAX).cloned());
        state.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    async fn ask(
        &self,
        metadata: &Metadata,
        resource: &str,
        scopes: &str,
    ) -> Result<Arc<Token>, ServiceError> {
        let mut form = vec![("resource", resource.to_owned())];
        if !scopes.is_empty() {
            form.push(("scope", scopes.to_owned()));
        }
        let proof = &self.options.proof;
        if let ClientProof::Workload(read) = proof {
            form.push(("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()));
            form.push(("assertion", read().map_err(ServiceError::Proof)?));
        } else {
            form.push(("grant_type", "client_credentials".to_owned()));
        }
        let client = Client { id: self.options.client_id.clone(), proof: Some(proof.clone()), method: None };
        let trusted = |url: &Uri| self.is_trusted(url);
        let asking = Asking {
            fetch: &*self.fetch,
            clock: &*self.clock,
            rng: &*self.rng,
            trusted: &trusted,
            prover: None,
        };
        let issued = asking.token(metadata, &client, form).await?;
        let unfit = || ServiceError::Proof("the token cannot be sent".to_owned());
        let header = header(&issued.access, false).ok_or_else(unfit)?;
        Ok(Arc::new(Token { header, expires: issued.expires }))
    }
}
