//! What is told about endpoints to those who look before they connect: cards, a catalog, a registry.
//!
//! All of it comes from one record for each endpoint, so that no two places can say different things, and
//! nothing of what is behind an endpoint is a part of that.

mod registry;
mod serve;
mod told;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use catalog::{LIFECYCLE, Turns};
use config::{Card, CardIcon, CardRepository, CardVisibility, Config, Lifecycle};
use discovery::auth::Posture;
use discovery::publish::{Options, Published, Record, Visibility, publish};
use discovery::{Address, Fault, Icon, Reach, Repository};
use identity::{Allowed, EndpointRules, Gate};
use model::Timestamp;
use protocol::Raw;
use protocol::json::Object;
use serde_json::json;
use tokio::sync::Semaphore;

use crate::compose::ComposeError;
use crate::door;

pub(crate) use registry::registry;
pub(crate) use serve::{card, catalog};
pub(crate) use told::Told;

/// Where the registry is: its interface's version is a part of the path, and never changes.
pub(crate) const REGISTRY: &str = "/registry/v0.1/";

/// Versions of a name that were replaced and are still told of.
const REPLACED_MAX: usize = 100;
/// Questions to the registry at a time by those who prove who they are: each is held against every private
/// endpoint.
const PROVING_MAX: usize = 4;

/// What the configuration tells about endpoints.
pub(crate) struct Shown {
    cards: Vec<Listed>,
    /// Endpoints that the operator defined: the others are upstreams as they are.
    selections: HashSet<String>,
    auth: bool,
    /// By what the gateway was reached by: that is one thing, or two on a machine of one's own.
    told: Mutex<HashMap<String, (usize, Arc<Told>)>>,
    /// When a card or an entry says something else by itself.
    turns: Turns,
    proving: Semaphore,
}

/// A card, and since when it says what it says.
#[derive(Clone)]
struct Listed {
    endpoint: String,
    card: Card,
    posture: Posture,
    life: Lifecycle,
    digest: String,
    published_at: Timestamp,
    updated_at: Timestamp,
    replaced: Vec<Replaced>,
}

/// A version that there was before.
#[derive(Clone)]
struct Replaced {
    card: Card,
    published_at: Timestamp,
    at: Timestamp,
}

impl Shown {
    /// What is told from now on.
    ///
    /// # Errors
    /// [`ComposeError::Card`]
    pub fn of(
        config: &Config,
        gate: &Gate,
        (before, now): (Option<&Self>, Timestamp),
    ) -> Result<Self, ComposeError> {
        let mut shown = Self::empty(config);
        let rules = door::endpoint_rules(config)?;
        // Until there is a listener, an address of this machine stands for its own.
        let base = config.auth.url.clone().unwrap_or_else(|| "http://127.0.0.1".to_owned());
        for (endpoint, card) in config.discovery.told() {
            // That of an upstream that is switched off leads nowhere.
            let Some(rules) = rules.get(endpoint) else { continue };
            let mut listed = Listed::new(config, (endpoint, card), rules, now);
            let published = shown
                .publish(&listed, &base, Some(gate), now)
                .map_err(|faults| cannot_be_told(endpoint, &faults))?;
            listed.digest = discovery::digest(&published.server);
            let known = before.and_then(|before| before.cards.iter().find(|old| old.card.name == card.name));
            if let Some(old) = known {
                listed.follow(old, now);
            }
            shown.cards.push(listed);
        }
        shown.turns = Turns::of(shown.cards.iter().map(|listed| &listed.life));
        Ok(shown)
    }

    fn empty(config: &Config) -> Self {
        Self {
            cards: Vec::new(),
            selections: config.endpoints.keys().cloned().collect(),
            auth: config.discovery.experimental_auth,
            told: Mutex::default(),
            turns: Turns::default(),
            proving: Semaphore::new(PROVING_MAX),
        }
    }

    /// What is told where the gateway is reached by `base`.
    pub fn told(&self, base: &str, gate: &Gate, now: Timestamp) -> Arc<Told> {
        let passed = self.turns.passed(now);
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = all.get(base).filter(|(then, _)| *then == passed) {
            return Arc::clone(told);
        }
        let told = Arc::new(Told::new(self, base, gate, now));
        all.insert(base.to_owned(), (passed, Arc::clone(&told)));
        told
    }

    /// Whether anything is told at all.
    pub fn is_empty(&self) -> bool {
        self.cards.is_empty()
    }

    fn publish(
        &self,
        listed: &Listed,
        base: &str,
        gate: Option<&Gate>,
        now: Timestamp,
    ) -> Result<Published, Vec<Fault>> {
        let record = listed.record(base, gate, now)?;
        // The operator says by what he is reached, and of an own network nobody reads who is not let in.
        let own = record.endpoint.reach() == Reach::Loopback
            || record.endpoint.is_https() && record.visibility == Visibility::Private;
        publish(&record, Options { auth: self.auth, loopback: own })
    }
}

impl Listed {
    fn new(config: &Config, (endpoint, card): (&str, &Card), rules: &EndpointRules, now: Timestamp) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            card: card.clone(),
            posture: posture(rules),
            life: life_of(config, endpoint),
            digest: String::new(),
            published_at: now,
            updated_at: now,
            replaced: Vec::new(),
        }
    }

    /// Takes over since when what was said before.
    fn follow(&mut self, old: &Self, now: Timestamp) {
        self.replaced.clone_from(&old.replaced);
        // One that comes back is not gone.
        self.replaced.retain(|gone| gone.card.version != self.card.version);
        if old.card.version != self.card.version {
            let (card, published_at) = (old.card.clone(), old.published_at);
            self.replaced.push(Replaced { card, published_at, at: now });
            let over = self.replaced.len().saturating_sub(REPLACED_MAX);
            self.replaced.drain(..over);
            return;
        }
        self.published_at = old.published_at;
        if old.digest == self.digest && old.life == self.life {
            self.updated_at = old.updated_at;
        }
    }

    /// Who issues tokens is in no card and no entry of a registry, so those need no gate.
    fn record(&self, base: &str, gate: Option<&Gate>, now: Timestamp) -> Result<Record, Vec<Fault>> {
        let path = path(&self.endpoint);
        let metadata = gate.and_then(|gate| gate.metadata(&self.endpoint, base, &path)).unwrap_or_default();
        let texts = |member: &str| {
            let items = metadata.get(member).and_then(|value| value.as_array()).into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect::<Vec<_>>()
        };
        let endpoint = Address::parse(&format!("{base}{path}")).map_err(|error| {
            let (pointer, what) = ("/endpoint".to_owned(), error.to_string());
            vec![Fault { pointer, what, by: discovery::By::Operator, weight: discovery::Weight::Refused }]
        })?;
        let card = &self.card;
        Ok(Record {
            name: card.name.clone(),
            version: card.version.clone(),
            title: card.title.clone(),
            description: card.description.clone(),
            endpoint,
            versions: catalog::served().into_iter().map(str::to_owned).collect(),
            visibility: match card.visibility {
                CardVisibility::Public => Visibility::Public,
                CardVisibility::Private | CardVisibility::Off => Visibility::Private,
            },
            website_url: card.website.clone(),
            icons: card.icons.iter().map(icon).collect(),
            repository: card.repository.as_ref().map(repository),
            posture: self.posture,
            meta: meta(&self.life, now),
            authorization_servers: texts("authorization_servers"),
            scopes: texts("scopes_supported"),
        })
    }
}

/// What a gateway would tell of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Its card, where everybody may know of it.
    pub card: Option<Bytes>,
    /// Its entry of a registry.
    pub entry: Bytes,
}

/// What a gateway with this configuration that is reached by `base` would tell of an endpoint at this time:
/// the same that it serves. `None`: of this endpoint nothing is told.
///
/// # Errors
/// [`ComposeError`] where who may come in is not said, or what there is cannot be told.
pub fn announced(
    config: &Config,
    endpoint: &str,
    base: &str,
    now: Timestamp,
) -> Result<Option<Announced>, ComposeError> {
    let rules = door::endpoint_rules(config)?;
    let card = config.discovery.told().find(|(name, _)| *name == endpoint).map(|(_, card)| card);
    let (Some(card), Some(rules)) = (card, rules.get(endpoint)) else { return Ok(None) };
    let listed = Listed::new(config, (endpoint, card), rules, now);
    if !listed.life.at(now).is_offered(config.endpoints.contains_key(endpoint)) {
        return Ok(None);
    }
    let published = Shown::empty(config).publish(&listed, base, None, now);
    let published = published.map_err(|faults| cannot_be_told(endpoint, &faults))?;
    Ok(Some(Announced { card: published.card.map(|card| card.bytes()), entry: published.server.bytes() }))
}

fn cannot_be_told(endpoint: &str, faults: &[Fault]) -> ComposeError {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    ComposeError::Card { endpoint: endpoint.to_owned(), fault: faults.join("; ") }
}

/// The life of an endpoint: an upstream's own is that of the upstream.
fn life_of(config: &Config, endpoint: &str) -> Lifecycle {
    let own = config.endpoints.get(endpoint).map(|section| &section.lifecycle);
    let own = own.or_else(|| config.upstreams.get(endpoint).map(|section| &section.lifecycle));
    own.cloned().flatten().unwrap_or_default()
}

/// What a card says of the endpoint's life.
fn meta(life: &Lifecycle, now: Timestamp) -> Option<Raw> {
    let told = catalog::life_told(life, now, life.replacement.as_deref())?;
    Some(Object::empty().edit().set(LIFECYCLE, told).finish())
}

fn icon(icon: &CardIcon) -> Icon {
    let CardIcon { src, mime_type, sizes, theme } = icon.clone();
    Icon { src, mime_type, sizes, theme, ..Icon::default() }
}

fn repository(repository: &CardRepository) -> Repository {
    let CardRepository { url, source, subfolder, id } = repository.clone();
    Repository { url, source, subfolder, id, ..Repository::default() }
}

/// Where an endpoint is.
pub(crate) fn path(endpoint: &str) -> String {
    if endpoint == crate::app::EVERYTHING { "/mcp".to_owned() } else { format!("/{endpoint}/mcp") }
}

/// Whether one has to say who one is.
fn posture(rules: &EndpointRules) -> Posture {
    let anybody = rules.allow.contains(&Allowed::Anonymous);
    match (anybody, rules.allow.len()) {
        (true, 1) => Posture::None,
        (true, _) => Posture::Optional,
        (false, _) => Posture::Required,
    }
}

/// Who an endpoint says it is to those who connect, where a card says it to those who do not.
pub(crate) fn server_info(config: &Config, endpoint: &str) -> Option<Raw> {
    let (_, card) = config.discovery.told().find(|(name, _)| *name == endpoint)?;
    let mut info = json!({"name": card.name, "version": card.version, "description": card.description});
    if let Some(title) = &card.title {
        info["title"] = json!(title);
    }
    if let Some(website) = &card.website {
        info["websiteUrl"] = json!(website);
    }
    if !card.icons.is_empty() {
        let icon = |icon: &CardIcon| {
            let mut one = json!({"src": icon.src});
            for (member, value) in [("mimeType", &icon.mime_type), ("theme", &icon.theme)] {
                if let Some(value) = value {
                    one[member] = json!(value);
                }
            }
            if !icon.sizes.is_empty() {
                one["sizes"] = json!(icon.sizes);
            }
            one
        };
        info["icons"] = card.icons.iter().map(icon).collect();
    }
    Some(Raw::from_value(&info))
}
