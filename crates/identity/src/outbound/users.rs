//! Tokens of users for one server: each user has granted the gateway his own, and nobody uses another's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use model::{Clock, Principal, Rng, Timestamp};

use super::consent::SCOPES_MAX;
use super::enterprise::Enterprise;
use super::exchange::{Asking, DPOP_NONCE, header, random};
use super::grant::{Grant, UNUSED, name};
use super::prover::Prover;
use super::register::{Desk, Identity};
use super::{Challenge, ServiceError};
use crate::fetch::Fetch;
use crate::metadata::Metadata;
use crate::vault::{Place, Vault};

/// A token is renewed so long before it ends.
const EARLY: Duration = Duration::from_secs(30);
/// A token that is known here is looked for again after so long: somebody may have taken it back.
const LOOK: Duration = Duration::from_secs(20);
/// How long a renewal may take, and how long others wait for it.
const RENEWAL: Duration = Duration::from_secs(20);
/// How often those look.
const WAIT: Duration = Duration::from_millis(100);
/// The longest nonce that is remembered, in bytes.
const NONCE_BYTES_MAX: usize = 512;
/// Users of whom something is known here.
const PEOPLE_MAX: u64 = 50_000;
/// How long it is known.
const IDLE: Duration = Duration::from_secs(1_800);

/// What the operator says of a server whose users sign in themselves.
#[derive(Debug, Clone)]
pub struct UsersOptions {
    /// The upstream's name.
    pub upstream: String,
    /// The server's URL.
    pub server: Uri,
    /// Who issues tokens for it; `None`: whom the server names.
    pub issuer: Option<String>,
    /// Who the gateway is there.
    pub identity: Identity,
    /// Scopes that are always asked for; none: those that the server asks for.
    pub scopes: Vec<String>,
    /// Who vouches for users there, in place of their consent; `None`: nobody does.
    pub enterprise: Option<Enterprise>,
}

/// Why a user has no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoToken {
    /// He has granted none, or not enough.
    #[error("the user has not granted it")]
    Consent,
    /// Something is in the way.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// What a request that was refused comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is nothing left to try.
    Final,
    /// It is sent again, with another token.
    Again,
    /// The user has to grant something first.
    Consent,
}

/// What a user is to be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Scopes.
    pub scopes: Vec<String>,
    /// Where the server's metadata is, as it said itself.
    pub metadata: Option<String>,
    /// Whether the server asks for proofs of possession.
    pub bound: bool,
}

/// What a request of a user is sent with.
#[derive(Debug, Clone)]
pub struct UserProof {
    /// The whole `Authorization` header.
    pub authorization: HeaderValue,
    /// The `DPoP` header, where the token is bound to a key (RFC 9449).
    pub possession: Option<HeaderValue>,
}

/// A token that is known here.
#[derive(Clone)]
pub(super) struct Held {
    version: u64,
    header: HeaderValue,
    /// By which it is proved, with the token that it is bound to.
    prover: Option<(Arc<Prover>, String)>,
    expires: Option<Timestamp>,
    pub asked: Vec<String>,
    looked: Timestamp,
}

/// Why a grant is of no use as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spent {
    /// Its token was refused: another one may do.
    Token,
    /// All of it was.
    Grant,
}

#[derive(Default)]
pub(super) struct State {
    pub held: Option<Held>,
    /// The grant of this version was refused.
    spent: Option<(u64, Spent)>,
    /// What the server said last when it refused for want of a grant.
    challenge: Option<Challenge>,
    /// What the server wants in the next proof.
    nonce: Option<String>,
}

#[derive(Default)]
pub(super) struct Person {
    state: Mutex<State>,
    /// One looks for his token at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Person {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All users of one server.
pub struct Users {
    pub(super) options: UsersOptions,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    people: moka::sync::Cache<Principal, Arc<Person>>,
}

impl Users {
    /// Of whom nothing is known yet.
    #[must_use]
    pub fn new(
        options: UsersOptions,
        fetch: Arc<dyn Fetch>,
        vault: Arc<dyn Vault>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Arc<Self> {
        let people = moka::sync::Cache::builder().max_capacity(PEOPLE_MAX).time_to_idle(IDLE).build();
        Arc::new(Self { options, fetch, vault, clock, rng, people })
    }

    fn person(&self, principal: &Principal) -> Arc<Person> {
        self.people.get_with_by_ref(principal, Arc::default)
    }

    pub(super) fn name(&self, principal: &Principal) -> String {
        name(&self.options.upstream, &self.options.server.to_string(), principal)
    }

    /// What the next request of this user is sent with, by its method and its URL. `None`: with nothing, as
    /// nobody knows yet whether the server wants anything.
    ///
    /// # Errors
    /// [`NoToken`]
    pub async fn proof(
        &self,
        principal: &Principal,
        to: (&Method, &Uri),
    ) -> Result<Option<UserProof>, NoToken> {
        let person = self.person(principal);
        let Some(held) = self.held(principal, &person).await? else { return Ok(None) };
        let possession = held.prover.as_ref().map(|(prover, token)| {
            let nonce = person.state().nonce.clone();
            let now = self.clock.now();
            let proof = prover.proof(to, Some(token), nonce.as_deref(), (&*self.rng, now));
            proof.ok_or_else(|| ServiceError::Proof("its key cannot sign".to_owned()))
        });
        Ok(Some(UserProof { authorization: held.header, possession: possession.transpose()? }))
    }

    /// Whether this user has what the server wants, as far as that is known.
    ///
    /// # Errors
    /// [`NoToken`]
    pub async fn check(&self, principal: &Principal) -> Result<(), NoToken> {
        self.held(principal, &self.person(principal)).await.map(drop)
    }

    /// The server has answered this user: perhaps with what it wants in the next proof.
    pub fn answered(&self, principal: &Principal, headers: &HeaderMap) {
        if let Some(nonce) = headers.get(DPOP_NONCE).and_then(|value| value.to_str().ok())
            && nonce.len() <= NONCE_BYTES_MAX
        {
            self.person(principal).state().nonce = Some(nonce.to_owned());
        }
    }

    async fn held(&self, principal: &Principal, person: &Person) -> Result<Option<Held>, NoToken> {
        if let Some(known) = self.known(person) {
            return Ok(Some(known));
        }
        let _one = person.turn.lock().await;
        if let Some(known) = self.known(person) {
            return Ok(Some(known));
        }
        self.look(principal, person).await
    }

    /// What can be used without a look.
    fn known(&self, person: &Person) -> Option<Held> {
        let state = person.state();
        let now = self.clock.now();
        let held = state.held.as_ref().filter(|held| {
            let spent = state.spent.is_some_and(|(version, _)| version >= held.version);
            !spent && is_fresh(held.expires, now) && now < held.looked.plus(LOOK)
        });
        held.cloned()
    }

    async fn look(&self, principal: &Principal, person: &Person) -> Result<Option<Held>, NoToken> {
        let Some((version, grant)) = self.find(principal).await? else {
            if person.state().challenge.is_some() && self.options.enterprise.is_some() {
                return self.vouched(principal, person, 0).await.map(Some);
            }
            let mut state = person.state();
            state.held = None;
            // Whoever was refused for want of a grant is refused again: nothing is sent for that.
            return if state.challenge.is_some() { Err(NoToken::Consent) } else { Ok(None) };
        };
        let spent = person.state().spent.filter(|(of, _)| *of >= version).map(|(_, spent)| spent);
        match spent {
            Some(Spent::Grant) if self.options.enterprise.is_none() => Err(NoToken::Consent),
            None if is_fresh(grant.expires, self.clock.now()) => self.hold(person, version, &grant).map(Some),
            _ if self.options.enterprise.is_some() && (grant.refresh.is_none() || spent.is_some()) => {
                self.vouched(principal, person, version).await.map(Some)
            }
            _ if grant.refresh.is_none() => {
                person.state().challenge.get_or_insert_default();
                Err(NoToken::Consent)
            }
            _ => self.renew(principal, person, version).await.map(Some),
        }
    }

    pub(super) async fn find(&self, principal: &Principal) -> Result<Option<(u64, Grant)>, ServiceError> {
        let name = self.name(principal);
        let place = Place { principal, upstream: &self.options.upstream, name: &name };
        let kept = self.vault.get(place).await?;
        Ok(kept.and_then(|kept| Grant::read(&kept.data).map(|grant| (kept.version, grant))))
    }

    pub(super) fn hold(&self, person: &Person, version: u64, grant: &Grant) -> Result<Held, NoToken> {
        let unfit = || ServiceError::Proof("the token cannot be sent".to_owned());
        let header = header(&grant.access, grant.key.is_some()).ok_or_else(unfit)?;
        let prover = grant.key.as_ref().map(|key| Prover::read(key).ok_or_else(unfit)).transpose()?;
        let prover = prover.map(|prover| (Arc::new(prover), grant.access.clone()));
        let (expires, asked, looked) = (grant.expires, grant.asked.clone(), self.clock.now());
        let mut state = person.state();
        let held = Held { version, header, prover, expires, asked, looked };
        state.held = Some(held.clone());
        state.spent = None;
        state.challenge = None;
        Ok(held)
    }

    /// Has another token issued. One replica does at a time: a refresh token that is used twice ends all.
    async fn renew(&self, principal: &Principal, person: &Person, old: u64) -> Result<Held, NoToken> {
        let turn = format!("grant/{}", self.name(principal));
        let holder = random(&*self.rng);
        let mut waited = Duration::ZERO;
        while !self.vault.turn(&turn, &holder, RENEWAL).await.map_err(ServiceError::from)? {
            tokio::time::sleep(WAIT).await;
            waited += WAIT;
            if let Some((version, grant)) = self.find(principal).await?.filter(|(version, _)| *version > old)
            {
                return self.hold(person, version, &grant);
            }
            if waited >= RENEWAL {
                return Err(ServiceError::Busy.into());
            }
        }
        let renewed = self.renew_alone(principal, person, old).await;
        self.vault.turn_over(&turn, &holder).await;
        renewed
    }

    async fn renew_alone(&self, principal: &Principal, person: &Person, old: u64) -> Result<Held, NoToken> {
        let Some((version, grant)) = self.find(principal).await? else {
            person.state().challenge.get_or_insert_default();
            return Err(NoToken::Consent);
        };
        if version > old {
            return self.hold(person, version, &grant);
        }
        let name = self.name(principal);
        let place = Place { principal, upstream: &self.options.upstream, name: &name };
        let issued = match self.refresh(&grant).await {
            Ok(issued) => issued,
            Err(error) if error.may_pass() => return Err(error.into()),
            Err(error) => {
                tracing::info!(upstream = self.options.upstream, %error, "a grant is of no use any more");
                self.vault.remove(place).await.map_err(ServiceError::from)?;
                let mut state = person.state();
                state.held = None;
                state.challenge.get_or_insert_default();
                return Err(NoToken::Consent);
            }
        };
        let grant = grant.renewed(issued);
        let put = self.vault.put(place, version, &grant.write(), UNUSED).await;
        if put.map_err(ServiceError::from)? {
            return self.hold(person, version + 1, &grant);
        }
        // The user has granted it anew meanwhile, or taken it back.
        match self.find(principal).await? {
            Some((version, grant)) => self.hold(person, version, &grant),
            None => Err(NoToken::Consent),
        }
    }

    async fn refresh(&self, grant: &Grant) -> Result<super::exchange::Issued, ServiceError> {
        let own = grant.issuer.parse::<Uri>().is_ok_and(|url| self.is_trusted(&url));
        let metadata = self.metadata(&grant.issuer, own).await?;
        let desk = self.desk(&metadata, own);
        let client = desk.client_of(&grant.client, &grant.redirect).await?;
        let refresh = grant.refresh.clone().unwrap_or_default();
        let form = vec![
            ("grant_type", "refresh_token".to_owned()),
            ("refresh_token", refresh),
            ("resource", grant.resource.clone()),
        ];
        let unfit = || ServiceError::Proof("its key cannot be read".to_owned());
        let prover = grant.key.as_ref().map(|key| Prover::read(key).ok_or_else(unfit)).transpose()?;
        self.asking(&|url| self.is_trusted(url), prover.as_ref()).token(&metadata, &client, form).await
    }

    /// The server has refused a request of this user that was sent with this header, or with none. It has
    /// not run. `attempt` counts from 0.
    #[must_use]
    pub fn refused(
        &self,
        principal: &Principal,
        status: StatusCode,
        headers: &HeaderMap,
        used: Option<&HeaderValue>,
        attempt: u32,
    ) -> Refused {
        let person = self.person(principal);
        let challenge = Challenge::of(headers).unwrap_or_default();
        let mut state = person.state();
        let held = state.held.as_ref().filter(|held| Some(&held.header) == used);
        let held = held.map(|held| (held.version, held.asked.clone()));
        // Who is vouched for need not be asked.
        let vouched = self.options.enterprise.is_some() && attempt == 0;
        let wanting = if vouched { Refused::Again } else { Refused::Consent };
        match (status, held) {
            // It wants a nonce in the proof, and has given one (RFC 9449, section 9).
            (StatusCode::UNAUTHORIZED, held)
                if challenge.error.as_deref() == Some("use_dpop_nonce")
                    && headers.contains_key(DPOP_NONCE)
                    && attempt == 0 =>
            {
                if held.is_some() {
                    Refused::Again
                } else {
                    Refused::Final
                }
            }
            // Meanwhile there is another one, which was not tried.
            (StatusCode::UNAUTHORIZED, None) if used.is_some() && attempt == 0 => Refused::Again,
            (StatusCode::UNAUTHORIZED, Some((version, _))) if attempt == 0 => {
                state.spent = Some((version, Spent::Token));
                state.challenge = Some(challenge);
                Refused::Again
            }
            (StatusCode::UNAUTHORIZED, held) => {
                state.spent = held.map(|(version, _)| (version, Spent::Grant));
                state.challenge = Some(challenge);
                wanting
            }
            (StatusCode::FORBIDDEN, held) if challenge.error.as_deref() == Some("insufficient_scope") => {
                match held {
                    // Who has asked for all of it, and is refused, gives up.
                    Some((version, asked)) if challenge.scopes.iter().any(|scope| !asked.contains(scope)) => {
                        state.spent = Some((version, Spent::Grant));
                        state.challenge = Some(challenge);
                        wanting
                    }
                    None if used.is_some() && attempt == 0 => Refused::Again,
                    None if used.is_none() => {
                        state.challenge = Some(challenge);
                        wanting
                    }
                    _ => Refused::Final,
                }
            }
            _ => Refused::Final,
        }
    }

    /// What this user is to be asked for now.
    #[must_use]
    pub fn wanted(&self, principal: &Principal) -> Wanted {
        let person = self.person(principal);
        let state = person.state();
        let Challenge { mut scopes, metadata, bound, .. } = state.challenge.clone().unwrap_or_default();
        scopes.truncate(SCOPES_MAX);
        // What is bound stays so.
        let bound = bound || state.held.as_ref().is_some_and(|held| held.prover.is_some());
        Wanted { scopes, metadata, bound }
    }

    /// Whether there is a grant that was not refused.
    ///
    /// # Errors
    /// [`ServiceError`]
    pub async fn is_granted(&self, principal: &Principal) -> Result<bool, ServiceError> {
        if self.options.enterprise.is_some() {
            return match self.check(principal).await {
                Ok(()) => Ok(true),
                Err(NoToken::Consent) => Ok(false),
                Err(NoToken::Service(error)) => Err(error),
            };
        }
        let found = self.find(principal).await?;
        let spent = self.person(principal).state().spent;
        Ok(found.is_some_and(|(version, _)| spent.is_none_or(|(of, _)| version > of)))
    }

    pub(super) fn desk<'a>(&'a self, metadata: &'a Metadata, trusted: bool) -> Desk<'a> {
        let (identity, upstream) = (&self.options.identity, self.options.upstream.as_str());
        Desk { identity, fetch: &*self.fetch, vault: &*self.vault, upstream, metadata, trusted }
    }

    pub(super) fn asking<'a>(
        &'a self,
        trusted: &'a (dyn Fn(&Uri) -> bool + Sync),
        prover: Option<&'a Prover>,
    ) -> Asking<'a> {
        Asking { fetch: &*self.fetch, clock: &*self.clock, rng: &*self.rng, trusted, prover }
    }

    pub(super) fn is_trusted(&self, url: &Uri) -> bool {
        let own = self.options.issuer.as_ref().and_then(|issuer| issuer.parse::<Uri>().ok());
        // What is on the host that the operator wrote is the operator's.
        [Some(&self.options.server), own.as_ref()].into_iter().flatten().any(|own| own.host() == url.host())
    }
}

fn is_fresh(expires: Option<Timestamp>, now: Timestamp) -> bool {
    expires.is_none_or(|expires| now.plus(EARLY) < expires)
}
