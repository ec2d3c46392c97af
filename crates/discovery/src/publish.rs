//! What is told about an endpoint, all of it from one record, so that no two places can say different things.

use bytes::Bytes;
use protocol::Raw;

use crate::address::{Address, Reach};
use crate::auth::{Auth, Posture};
use crate::card::{self, Card};
use crate::catalog::{Catalog, Content, Entry, SPEC_VERSION};
use crate::fault::{By, Fault};
use crate::parts::{Icon, Repository};
use crate::remote::{Remote, RemoteKind};
use crate::server_json::{self, Server};
use crate::write::{Extra, Out};
use crate::{CARD_MEDIA_TYPE, CARD_SUFFIX};

/// Who may know of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Everybody: it has a card and stands in the catalog.
    Public,
    /// Whoever may ask the registry. No card, and no entry of a catalog.
    #[default]
    Private,
}

/// All that is said about an endpoint. Nothing of what is behind it is a part of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name: a domain backwards, a slash, a name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it is for, in at most 100 characters.
    pub description: String,
    /// Where it is reached by clients.
    pub endpoint: Address,
    /// The revisions it speaks, the newest first.
    pub versions: Vec<String>,
    /// Who may know of it.
    pub visibility: Visibility,
    /// Its page.
    pub website_url: Option<String>,
    /// Its pictures: over https, as registries take no others.
    pub icons: Vec<Icon>,
    /// Where its source is.
    pub repository: Option<Repository>,
    /// Whether one has to say who one is.
    pub posture: Posture,
    /// Who issues tokens for it.
    pub authorization_servers: Vec<String>,
    /// The scopes there are.
    pub scopes: Vec<String>,
    /// What else its card says of it, under names of whoever publishes it.
    pub meta: Option<Raw>,
}

/// How it is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether cards and registry entries declare the posture as its draft has it (SEP-2742).
    pub auth: bool,
    /// Whether an endpoint may be of this machine or over plain HTTP: for development.
    pub loopback: bool,
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The card of a public endpoint.
    pub card: Option<Raw>,
    /// Where the card is.
    pub card_url: Address,
    /// The entry of the catalog of a public endpoint.
    pub entry: Option<Entry>,
    /// The entry of the registry.
    pub server: Raw,
    /// The metadata of the protected resource, where there is one.
    pub resource: Option<Raw>,
}

/// Tells all that is told about an endpoint.
///
/// # Errors
/// What of the record can be told nowhere.
pub fn publish(record: &Record, options: Options) -> Result<Published, Vec<Fault>> {
    let mut faults = Vec::new();
    if !options.loopback && (!record.endpoint.is_https() || record.endpoint.reach() != Reach::Public) {
        let what = "a published endpoint is reached over https, at a host of the internet";
        faults.push(Fault::refused(By::Operator, "/endpoint", what));
    }
    if record.endpoint.as_str().contains('?') {
        faults.push(Fault::refused(
            By::Operator,
            "/endpoint",
            "an endpoint with a query has no place for a card",
        ));
    }
    let base = record.endpoint.as_str().trim_end_matches('/');
    let card_url = Address::parse(&format!("{base}{CARD_SUFFIX}"));
    let remote = remote(record, options);
    let card = card::write(&card_of(record, remote.clone()));
    let server = server_json::write(&server_of(record, remote));
    // What is written is read as others will read it.
    let blamed = |found: Vec<Fault>| found.into_iter().map(|fault| Fault { by: By::Operator, ..fault });
    if let Err(found) = card::read(&card.bytes(), card::Options { auth: options.auth }) {
        faults.extend(blamed(found));
    }
    if let Err(found) = server_json::read(&server.bytes()) {
        faults.extend(blamed(found).filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
    }
    let card_url = match card_url {
        Ok(url) if faults.is_empty() => url,
        Ok(_) => return Err(faults),
        Err(error) => {
            faults.push(Fault::refused(By::Operator, "/endpoint", error.to_string()));
            return Err(faults);
        }
    };
    let public = record.visibility == Visibility::Public;
    let entry = public.then(|| Entry {
        identifier: identifier(&record.name),
        media_type: CARD_MEDIA_TYPE.to_owned(),
        display_name: Some(record.title.clone().unwrap_or_else(|| record.name.clone())),
        version: None,
        content: Content::Url(card_url.clone()),
        extra: Extra::default(),
    });
    let resource = (record.posture != Posture::None).then(|| resource(record));
    Ok(Published { card: public.then_some(card), card_url, entry, server, resource })
}

/// The catalog of all that may be known to everybody.
#[must_use]
pub fn catalog<'a>(published: impl IntoIterator<Item = &'a Published>) -> Catalog {
    let entries = published.into_iter().filter_map(|published| published.entry.clone()).collect();
    Catalog { spec_version: SPEC_VERSION.to_owned(), entries, extra: Extra::default() }
}

/// A strong ETag of a document's bytes.
#[must_use]
pub fn etag(document: &Bytes) -> String {
    format!("\"{}\"", &seal::hex(&seal::sha256(document))[..32])
}

/// Whether `If-None-Match` names this ETag: then nothing has to be sent.
#[must_use]
pub fn not_modified(if_none_match: &str, etag: &str) -> bool {
    if_none_match.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == etag)
}

/// `urn:air:acme.com:mcp:crm` for `com.acme/crm`.
fn identifier(name: &str) -> String {
    let (space, own) = name.split_once('/').unwrap_or(("", name));
    let mut labels: Vec<&str> = space.split('.').collect();
    labels.reverse();
    format!("urn:air:{}:mcp:{own}", labels.join("."))
}

fn remote(record: &Record, options: Options) -> Remote {
    Remote {
        kind: RemoteKind::StreamableHttp,
        url: record.endpoint.as_str().to_owned(),
        supported_protocol_versions: record.versions.clone(),
        auth: options.auth.then(|| Auth { posture: record.posture, ..Auth::default() }),
        ..Remote::default()
    }
}

fn card_of(record: &Record, remote: Remote) -> Card {
    Card {
        name: record.name.clone(),
        version: record.version.clone(),
        description: record.description.clone(),
        title: record.title.clone(),
        website_url: record.website_url.clone(),
        repository: record.repository.clone(),
        icons: record.icons.clone(),
        remotes: vec![remote],
        meta: record.meta.clone(),
        extra: Extra::default(),
    }
}

fn server_of(record: &Record, remote: Remote) -> Server {
    Server {
        name: record.name.clone(),
        version: record.version.clone(),
        description: record.description.clone(),
        title: record.title.clone(),
        website_url: record.website_url.clone(),
        repository: record.repository.clone(),
        icons: record.icons.clone(),
        remotes: vec![remote],
        ..Server::default()
    }
}

fn resource(record: &Record) -> Raw {
    let name = record.title.as_deref().unwrap_or(&record.name);
    Out::new()
        .text("resource", record.endpoint.as_str())
        .text("resource_name", name)
        .texts("authorization_servers", &record.authorization_servers)
        .texts("scopes_supported", &record.scopes)
        .texts("bearer_methods_supported", &["header".to_owned()])
        .finish()
}
