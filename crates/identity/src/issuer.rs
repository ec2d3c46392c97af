//! An issuer that is trusted, and its keys as they are now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue, Request, Uri};
use model::{Clock, Timestamp};
use serde_json::Value;

use crate::fetch::{Fetch, FetchError};
use crate::introspection::Introspection;
use crate::jose::{Algorithm, Jws, Key};
use crate::mapping::Mapping;
use crate::metadata::{Metadata, MetadataError, discover};

/// Keys that are kept of one issuer.
const KEYS_MAX: usize = 64;
/// Keys that are tried for a token that names none.
const TRIES_MAX: usize = 8;
/// How long keys are fresh where the issuer says nothing, and within which bounds it may say something.
const FRESH: Duration = Duration::from_secs(600);
const FRESH_MIN: Duration = Duration::from_secs(60);
const FRESH_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Between two requests for keys, whatever tokens name.
const BETWEEN: Duration = Duration::from_secs(10);
/// How long metadata is believed.
const METADATA_FRESH: Duration = Duration::from_secs(3_600);

/// What the operator says of an issuer.
#[derive(Debug, Clone)]
pub struct IssuerOptions {
    /// The operator's name for it, without a colon: what its subjects begin with.
    pub name: String,
    /// Its own name: `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// Where its keys are; `None`: where its metadata says.
    pub jwks_url: Option<Uri>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Audiences of its tokens that are as good as an endpoint's own. Empty where it knows what it issues
    /// for.
    pub audiences: Vec<String>,
    /// Whether its access tokens must say that they are such (`typ: at+jwt`, RFC 9068).
    pub typed: bool,
    /// Who its users are here.
    pub mapping: Mapping,
    /// For tokens that say nothing themselves.
    pub introspection: Option<Introspection>,
    /// How long its keys are still believed when it cannot be reached.
    pub stale_max: Duration,
}

/// Why an issuer's key is not known.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IssuerError {
    /// It has none of this name, or none that signs like this.
    #[error("the token is signed with a key that its issuer does not publish")]
    UnknownKey,
    /// Its keys cannot be had.
    #[error("the keys of the issuer {name} cannot be had")]
    Unavailable {
        /// The operator's name for it.
        name: String,
        /// Why.
        #[source]
        source: Arc<KeysError>,
    },
}

/// Why keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Nothing says where they are.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// They cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was fetched is no key set.
    #[error("{url} has no key set: {fault}")]
    Wrong {
        /// Where.
        url: String,
        /// Why not.
        fault: String,
    },
    /// It was tried a moment ago, without success.
    #[error("they could not be had a moment ago")]
    Resting,
}

/// Keys as they were fetched.
#[derive(Debug)]
struct KeySet {
    keys: Vec<Key>,
    fetched: Timestamp,
    fresh_until: Timestamp,
}

impl KeySet {
    fn signs(&self, jws: &Jws<'_>) -> Found {
        let fitting = self.keys.iter().filter(|key| key.fits(jws.algorithm));
        let named: Vec<&Key> = match &jws.kid {
            Some(kid) => fitting.filter(|key| key.kid.as_ref() == Some(kid)).take(TRIES_MAX).collect(),
            None => fitting.take(TRIES_MAX).collect(),
        };
        if named.is_empty() {
            return Found::NoKey;
        }
        if named.iter().any(|key| jws.is_signed_by(key)) { Found::Signed } else { Found::Forged }
    }
}

/// What a key set says of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Signed,
    Forged,
    NoKey,
}

#[derive(Default)]
struct State {
    set: Option<Arc<KeySet>>,
    metadata: Option<(Timestamp, Arc<Metadata>)>,
    /// When keys were last asked for, and what came of it.
    asked: Option<Timestamp>,
    failed: Option<Arc<KeysError>>,
}

/// An issuer that is trusted.
pub struct Issuer {
    /// What the operator says of it.
    pub options: IssuerOptions,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// One request for keys at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Issuer {
    /// One of which nothing is known yet. Nothing is fetched.
    #[must_use]
    pub fn new(options: IssuerOptions, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (state, turn) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Arc::new(Self { options, fetch, clock, state, turn })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How documents are fetched.
    pub(crate) fn fetch(&self) -> &dyn Fetch {
        &*self.fetch
    }

    /// Whether a token is signed by this issuer. The network is asked only where its keys are not known, have
    /// expired, or lack the one that the token names, and that not more often than every ten seconds.
    ///
    /// # Errors
    /// [`IssuerError`]
    pub async fn has_signed(self: &Arc<Self>, jws: &Jws<'_>) -> Result<bool, IssuerError> {
        let now = self.clock.now();
        let known = self.state().set.clone();
        if let Some(set) = known.filter(|set| now < set.fetched.plus(self.options.stale_max)) {
            let found = set.signs(jws);
            if found != Found::NoKey {
                if now >= set.fresh_until {
                    // Whoever comes next has new ones; this one does not wait.
                    let own = Arc::clone(self);
                    tokio::spawn(async move { own.refresh(set.fetched).await });
                }
                return Ok(found == Found::Signed);
            }
        }
        let before = self.state().set.as_ref().map(|set| set.fetched);
        let set = self.refresh(before.unwrap_or_default()).await?;
        match set.signs(jws) {
            Found::Signed => Ok(true),
            Found::Forged => Ok(false),
            Found::NoKey => Err(IssuerError::UnknownKey),
        }
    }

    /// Keys that are newer than `known`, or those that there are where it was asked a moment ago.
    async fn refresh(&self, known: Timestamp) -> Result<Arc<KeySet>, IssuerError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        {
            let state = self.state();
            if let Some(set) = state.set.as_ref().filter(|set| set.fetched > known) {
                return Ok(Arc::clone(set));
            }
            if state.asked.is_some_and(|asked| now < asked.plus(BETWEEN)) {
                let usable = state.set.clone().filter(|set| now < set.fetched.plus(self.options.stale_max));
                let why = state.failed.clone().unwrap_or_else(|| Arc::new(KeysError::Resting));
                return usable.ok_or_else(|| self.unavailable(why));
            }
        }
        let fetched = self.fetch_keys().await;
        let mut state = self.state();
        state.asked = Some(now);
        match fetched {
            Ok(set) => {
                let set = Arc::new(set);
                state.set = Some(Arc::clone(&set));
                state.failed = None;
                Ok(set)
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.options.name,
                    error = &error as &dyn std::error::Error,
                    "no new keys"
                );
                let error = Arc::new(error);
                state.failed = Some(Arc::clone(&error));
                let usable = state.set.clone().filter(|set| now < set.fetched.plus(self.options.stale_max));
                usable.ok_or_else(|| self.unavailable(error))
            }
        }
    }

    fn unavailable(&self, source: Arc<KeysError>) -> IssuerError {
        IssuerError::Unavailable { name: self.options.name.clone(), source }
    }

    /// What the issuer says of itself.
    ///
    /// # Errors
    /// [`MetadataError`]
    pub async fn metadata(&self) -> Result<Arc<Metadata>, MetadataError> {
        let now = self.clock.now();
        let known = self.state().metadata.clone();
        if let Some((_, metadata)) = known.filter(|(at, _)| now < at.plus(METADATA_FRESH)) {
            return Ok(metadata);
        }
        let metadata = Arc::new(discover(&*self.fetch, &self.options.issuer, true).await?);
        self.state().metadata = Some((now, Arc::clone(&metadata)));
        Ok(metadata)
    }

    async fn fetch_keys(&self) -> Result<KeySet, KeysError> {
        let (url, trusted) = match &self.options.jwks_url {
            Some(url) => (url.clone(), true),
            None => {
                let metadata = self.metadata().await?;
                let url = metadata.url("jwks_uri")?;
                let own = metadata.is_own(&url);
                (url, own)
            }
        };
        let text = url.to_string();
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url;
        let kinds = HeaderValue::from_static("application/jwk-set+json, application/json");
        request.headers_mut().insert(ACCEPT, kinds);
        let answer = self.fetch.send(request, trusted).await?;
        let wrong = |fault: String| KeysError::Wrong { url: text.clone(), fault };
        if !answer.status().is_success() {
            return Err(wrong(format!("it answers {}", answer.status())));
        }
        let document: Value =
            serde_json::from_slice(answer.body()).map_err(|_| wrong("it is no JSON".to_owned()))?;
        let all = document.get("keys").and_then(Value::as_array);
        let all = all.ok_or_else(|| wrong("it has no list of keys".to_owned()))?;
        let keys: Vec<Key> = all.iter().filter_map(Key::of_jwk).take(KEYS_MAX).collect();
        if keys.is_empty() {
            return Err(wrong("it has no key that signatures are checked with".to_owned()));
        }
        let now = self.clock.now();
        Ok(KeySet { keys, fetched: now, fresh_until: now.plus(freshness(answer.headers())) })
    }
}

/// How long a document is fresh (RFC 9111), within our bounds.
pub(crate) fn freshness(headers: &HeaderMap) -> Duration {
    let said = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok());
    said.map_or(FRESH, Duration::from_secs).clamp(FRESH_MIN, FRESH_MAX)
}
