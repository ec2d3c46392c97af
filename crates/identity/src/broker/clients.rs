//! Which clients there are: those of the operator, those with a document at their own URL, and those that
//! have registered themselves.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Uri};
use model::{Principal, Timestamp};
use serde_json::{Map, Value};

use super::client::{ClientKeys, ClientMethod, ClientSource, KnownClient};
use super::{Broker, OAuthError, PLACE};
use crate::issuer::freshness;
use crate::jose::Key;
use crate::outbound::{hashed, random};
use crate::vault::Place;

/// The longest name of a client that is looked for, in bytes.
const ID_BYTES_MAX: usize = 2_048;
/// The largest document of a client, in bytes (client id metadata documents, section 6.6).
const DOCUMENT_BYTES_MAX: usize = 5 * 1024;
/// For so long a document that could not be had is not asked for again.
const FAILED: Duration = Duration::from_secs(30);
/// A client that nobody has used yet is forgotten after so long.
const UNUSED: Duration = Duration::from_secs(3_600);
/// One that was, after so long without use.
const USED: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Registrations in a row, and how long until there may be one more.
const BURST: u32 = 60;
const PACE: Duration = Duration::from_secs(2);

/// A document that was fetched, or why it was not.
#[derive(Clone)]
pub(super) struct Fetched {
    found: Result<Arc<KnownClient>, OAuthError>,
    until: Timestamp,
}

/// How many may register now.
pub(super) struct Pace {
    left: u32,
    since: Timestamp,
}

impl Pace {
    pub fn new(now: Timestamp) -> Self {
        Self { left: BURST, since: now }
    }

    /// Whether one more may, at this time.
    fn take(&mut self, now: Timestamp) -> bool {
        let pace = u64::try_from(PACE.as_millis()).unwrap_or(u64::MAX).max(1);
        let gained = now.since(self.since).as_millis() / u128::from(pace);
        let gained = u32::try_from(gained).unwrap_or(BURST).min(BURST);
        if gained > 0 {
            self.left = (self.left + gained).min(BURST);
            self.since = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// A place in the vault that belongs to no user.
pub(super) fn nobody() -> Principal {
    Principal::new("", "")
}

/// A client that has just registered.
pub(super) struct Registered {
    pub client: KnownClient,
    /// Its secret, which is shown this once.
    pub secret: Option<String>,
}

impl Broker {
    /// The client of this name; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be looked for now, or its document is none.
    pub(super) async fn client(&self, id: &str) -> Result<Option<Arc<KnownClient>>, OAuthError> {
        if id.len() > ID_BYTES_MAX {
            return Ok(None);
        }
        if let Some(known) = self.options.clients.iter().find(|client| client.id == id) {
            return Ok(Some(Arc::clone(known)));
        }
        if id.starts_with("https://") || id.starts_with("http://") {
            return if self.options.documents { self.document(id).await.map(Some) } else { Ok(None) };
        }
        self.registered(id).await
    }

    /// The client that a document at its own URL describes (client id metadata documents).
    async fn document(&self, id: &str) -> Result<Arc<KnownClient>, OAuthError> {
        let now = self.clock.now();
        if let Some(known) = self.fetched.get(id).filter(|known| now < known.until) {
            return known.found;
        }
        // Whoever floods the gateway with names of clients floods nobody else.
        let Ok(_turn) = self.turns.try_acquire() else {
            return Err(OAuthError::new("temporarily_unavailable", "too many clients at a time; try again"));
        };
        let (found, fresh) = match self.fetch_document(id).await {
            Ok((client, fresh)) => (Ok(Arc::new(client)), fresh),
            Err(text) => {
                tracing::info!(client = id, text, "the document of a client cannot be used");
                let text = format!("the document of the client cannot be used: {text}");
                (Err(OAuthError::new("invalid_client", text)), FAILED)
            }
        };
        self.fetched.insert(id.to_owned(), Fetched { found: found.clone(), until: now.plus(fresh) });
        found
    }

    async fn fetch_document(&self, id: &str) -> Result<(KnownClient, Duration), String> {
        let url: Uri = id.parse().map_err(|_| "its name is no URL".to_owned())?;
        let path = url.path();
        let plain = !id.contains(['#', '?', '@', '\\', ' ']) && path.len() > 1;
        if !plain || path.split('/').any(|part| matches!(part, "." | "..")) {
            return Err("its name is no URL with a path, without anything behind it".to_owned());
        }
        let (members, headers) = self.fetch_json(&url, DOCUMENT_BYTES_MAX).await?;
        // Whoever can put a document somewhere is not therefore everybody else.
        if members.get("client_id").and_then(Value::as_str) != Some(id) {
            return Err("its client_id is not its own URL".to_owned());
        }
        let client = KnownClient::of_metadata(id, &members, ClientSource::Document);
        Ok((client.map_err(|(_, text)| text)?, freshness(&headers)))
    }

    /// A JSON object of somebody who is not trusted.
    async fn fetch_json(
        &self,
        url: &Uri,
        bytes_max: usize,
    ) -> Result<(Map<String, Value>, http::HeaderMap), String> {
        let trusted = url.host().is_some_and(|host| self.options.hosts.iter().any(|known| known == host));
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.clone();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        // What exactly is in the way is the operator's: clients could look around with it.
        let answer = self.fetch.send(request, trusted).await.map_err(|error| {
            tracing::info!(error = &error as &dyn std::error::Error, "a document of a client");
            "it cannot be had".to_owned()
        })?;
        if !answer.status().is_success() {
            return Err("it cannot be had".to_owned());
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            return Err("it is no JSON".to_owned());
        }
        if answer.body().len() > bytes_max {
            return Err(format!("it is larger than {bytes_max} bytes"));
        }
        let members = serde_json::from_slice(answer.body()).map_err(|_| "it is no JSON object".to_owned())?;
        Ok((members, answer.headers().clone()))
    }

    /// The keys that a client signs with.
    pub(super) async fn keys_of(&self, client: &KnownClient) -> Result<Vec<Key>, OAuthError> {
        let all = match &client.keys {
            None => Vec::new(),
            Some(ClientKeys::Own(keys)) => keys.clone(),
            Some(ClientKeys::At(place)) => {
                let url: Uri = place.parse().map_err(|_| OAuthError::client())?;
                let Ok(_turn) = self.turns.try_acquire() else {
                    return Err(OAuthError::new("temporarily_unavailable", "too many clients at a time"));
                };
                let (members, _) = self.fetch_json(&url, DOCUMENT_BYTES_MAX * 4).await.map_err(|text| {
                    tracing::info!(client = client.id, text, "the keys of a client cannot be had");
                    OAuthError::client()
                })?;
                members.get("keys").and_then(Value::as_array).cloned().unwrap_or_default()
            }
        };
        Ok(all.iter().filter_map(Key::of_jwk).collect())
    }

    fn registration_name(id: &str) -> String {
        hashed("registered", &[id])
    }

    async fn registered(&self, id: &str) -> Result<Option<Arc<KnownClient>>, OAuthError> {
        let (principal, name) = (nobody(), Self::registration_name(id));
        let kept = self.vault.get(Place { principal: &principal, upstream: PLACE, name: &name }).await?;
        let value: Option<Value> = kept.and_then(|kept| serde_json::from_slice(&kept.data).ok());
        let client = value.as_ref().and_then(KnownClient::of_value);
        Ok(client.filter(|client| client.id == id).map(Arc::new))
    }

    /// Makes a client known that says this of itself (RFC 7591).
    pub(super) async fn register(&self, members: &Map<String, Value>) -> Result<Registered, OAuthError> {
        let new = |(error, text): (&'static str, String)| OAuthError::new(error, text);
        let id = format!("tgc_{}", random(&*self.rng));
        let mut client = KnownClient::of_metadata(&id, members, ClientSource::Registration).map_err(new)?;
        let now = self.clock.now();
        if !self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(now) {
            return Err(OAuthError::new(
                "slow_down",
                "too many clients have registered; try again in a while",
            ));
        }
        let has_secret = matches!(client.method, ClientMethod::Basic | ClientMethod::Post);
        let secret = has_secret.then(|| random(&*self.rng));
        client.secret = secret.as_ref().map(|secret| seal::sha256(secret.as_bytes()));
        let (principal, name) = (nobody(), Self::registration_name(&id));
        let place = Place { principal: &principal, upstream: PLACE, name: &name };
        self.vault.put(place, 0, client.to_value().to_string().as_bytes(), UNUSED).await?;
        Ok(Registered { client, secret })
    }

    /// A client is used: one that has registered itself is kept for longer.
    pub(super) async fn used(&self, client: &KnownClient) -> Result<(), OAuthError> {
        if client.source != ClientSource::Registration {
            return Ok(());
        }
        let (principal, name) = (nobody(), Self::registration_name(&client.id));
        let place = Place { principal: &principal, upstream: PLACE, name: &name };
        if let Some(kept) = self.vault.get(place).await? {
            // Where somebody else does the same at the same time, once is enough.
            self.vault.put(place, kept.version, &kept.data, USED).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_register_at_once_and_then_one_by_one() {
        let at = |ms: u64| Timestamp(1_000_000 + ms);
        let mut pace = Pace::new(at(0));
        assert_eq!((0..BURST * 2).filter(|_| pace.take(at(0))).count(), BURST as usize);
        assert!(!pace.take(at(1_999)));
        assert!(pace.take(at(2_000)) && !pace.take(at(2_001)));
        assert!((0..BURST).all(|_| pace.take(at(10_000_000))) && !pace.take(at(10_000_000)));
    }
}
