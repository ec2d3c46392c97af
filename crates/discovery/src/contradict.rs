//! What is said in one place and denied in another: a card against the server itself, a catalog, a registry.
//!
//! Whatever was published beforehand may be wrong by age or by intent. The live server is right about itself,
//! and nobody is right about whom to trust.

use protocol::Raw;
use serde::Serialize;

use crate::address::Address;
use crate::auth::Posture;
use crate::card::Card;
use crate::catalog::{Content, Entry};
use crate::fault::shown;
use crate::remote::{Remote, RemoteKind};
use crate::server_json::Server;

/// Contradictions of one comparison that are told.
const TOLD_MAX: usize = 100;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Words differ.
    Note,
    /// One of both is out of date, or its author careless.
    Warning,
    /// Whoever follows one of both arrives somewhere else.
    Serious,
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// About what: `version`, `remotes`.
    pub about: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is said, and what is said against it, in one sentence.
    pub what: String,
}

/// What a server says when one is connected to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// Its name.
    pub name: Option<String>,
    /// Its name for people.
    pub title: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The revisions it speaks; of a legacy server only the one that was agreed on.
    pub versions: Vec<String>,
    /// Whether it was asked as a legacy server.
    pub legacy: bool,
    /// Where it was reached.
    pub url: Option<Address>,
    /// How it spoke.
    pub transport: Option<RemoteKind>,
    /// Whether it wanted to know who asks.
    pub asked_who: Option<bool>,
}

impl Live {
    /// Reads the result of `server/discover` or of `initialize`.
    #[must_use]
    pub fn read(result: &Raw) -> Self {
        let text = |raw: Option<Raw>| raw?.as_str().map(|text| text.chars().take(300).collect::<String>());
        let meta = result.get("_meta").and_then(|meta| meta.get("io.modelcontextprotocol/serverInfo"));
        let info = meta.or_else(|| result.get("serverInfo"));
        let member = |name: &str| text(info.as_ref().and_then(|info| info.get(name)));
        let agreed = text(result.get("protocolVersion"));
        let listed = result.get("supportedVersions").and_then(|list| list.items());
        let listed =
            listed.map(|items| items.into_iter().take(50).filter_map(|item| text(Some(item))).collect());
        Self {
            name: member("name"),
            title: member("title"),
            version: member("version"),
            legacy: listed.is_none() && agreed.is_some(),
            versions: listed.unwrap_or_else(|| agreed.into_iter().collect()),
            ..Self::default()
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Found(Vec<Contradiction>);

impl Found {
    fn tell(&mut self, about: &'static str, severity: Severity, what: String) {
        if self.0.len() < TOLD_MAX {
            self.0.push(Contradiction { about, severity, what });
        }
    }

    /// Two texts that should be the same. What one side does not say is no contradiction.
    fn same(
        &mut self,
        about: &'static str,
        severity: Severity,
        other: &str,
        a: Option<&str>,
        b: Option<&str>,
    ) {
        if let (Some(a), Some(b)) = (a, b)
            && a != b
        {
            let what = format!("the card says {} and {other} {}", shown(a), shown(b));
            self.tell(about, severity, what);
        }
    }

    fn finish(mut self) -> Vec<Contradiction> {
        self.0.sort_by_key(|one| std::cmp::Reverse(one.severity));
        self.0
    }
}

/// A card against the server itself.
#[must_use]
pub fn live(card: &Card, live: &Live) -> Vec<Contradiction> {
    let mut found = Found::default();
    let own = card.name.rsplit('/').next().unwrap_or_default();
    if let Some(name) = &live.name
        && *name != card.name
        && name != own
    {
        found.same("name", Severity::Warning, "the server", Some(&card.name), Some(name));
    }
    found.same("version", Severity::Warning, "the server", Some(&card.version), live.version.as_deref());
    found.same("title", Severity::Note, "the server", card.title.as_deref(), live.title.as_deref());
    let Some(url) = &live.url else {
        return found.finish();
    };
    let here: Vec<&Remote> = card.remotes.iter().filter(|remote| may_be(remote, url)).collect();
    if here.is_empty() && !card.remotes.is_empty() {
        let elsewhere = card.remotes.iter().filter_map(Remote::plain_url).all(|u| u.origin() != url.origin());
        let severity = if elsewhere { Severity::Serious } else { Severity::Warning };
        found.tell("remotes", severity, format!("the card does not lead to {}", shown(url.as_str())));
    }
    if let Some(transport) = live.transport
        && !here.is_empty()
        && here.iter().all(|remote| remote.kind != transport)
    {
        let what = format!("the card says {} and the server spoke {}", here[0].kind.word(), transport.word());
        found.tell("transport", Severity::Warning, what);
    }
    for remote in &here {
        eras(&mut found, remote, live);
        if let (Some(auth), Some(asked)) = (&remote.auth, live.asked_who)
            && (asked && auth.posture == Posture::None || !asked && auth.posture == Posture::Required)
        {
            let said = auth.posture.word();
            let what = format!("the card says that authentication is {said}, and the server asked otherwise");
            found.tell("auth", Severity::Warning, what);
        }
    }
    found.finish()
}

fn eras(found: &mut Found, remote: &Remote, live: &Live) {
    let claimed = &remote.supported_protocol_versions;
    if claimed.is_empty() || live.versions.is_empty() {
        return;
    }
    if !live.legacy {
        for version in claimed.iter().filter(|version| !live.versions.contains(*version)) {
            let what = format!("the card says that {} is spoken, and the server does not", shown(version));
            found.tell("supportedProtocolVersions", Severity::Warning, what);
        }
    }
    for version in live.versions.iter().filter(|version| !claimed.contains(*version)) {
        let what = format!("the server speaks {}, of which the card knows nothing", shown(version));
        let severity = if live.legacy { Severity::Warning } else { Severity::Note };
        found.tell("supportedProtocolVersions", severity, what);
    }
}

/// Whether a remote can have led to this URL.
fn may_be(remote: &Remote, url: &Address) -> bool {
    match remote.plain_url() {
        Some(plain) if plain.normal() == url.normal() => true,
        Some(_) if remote.variables.is_empty() => false,
        // What stands between the names, in its order.
        _ => {
            let template = crate::Template::parse(&remote.url, |name| remote.variables.contains_key(name));
            let text = url.as_str();
            let mut rest = text;
            let mut anchored = true;
            let mut open_end = false;
            for piece in template.pieces() {
                match piece {
                    crate::template::Piece::Name(_) => (anchored, open_end) = (false, true),
                    crate::template::Piece::Text(plain) => {
                        let at = rest.find(plain.as_str()).filter(|at| !anchored || *at == 0);
                        let Some(at) = at else { return false };
                        rest = &rest[at + plain.len()..];
                        (anchored, open_end) = (true, false);
                    }
                }
            }
            rest.is_empty() || open_end
        }
    }
}

/// A card against the entry of the catalog that led to it, and where it was fetched in the end.
#[must_use]
pub fn entry(card: &Card, entry: &Entry, fetched: Option<&Address>) -> Vec<Contradiction> {
    let mut found = Found::default();
    if !entry.is_card() {
        let what = format!("the catalog says that this is {}", shown(&entry.media_type));
        found.tell("type", Severity::Serious, what);
    }
    found.same("version", Severity::Warning, "the catalog", Some(&card.version), entry.version.as_deref());
    let title = card.title.as_deref().unwrap_or(&card.name);
    found.same("title", Severity::Note, "the catalog", Some(title), entry.display_name.as_deref());
    if let Some((publisher, name)) = air(&entry.identifier) {
        let (space, own) = card.name.split_once('/').unwrap_or(("", &card.name));
        if !same_domain(space, publisher) {
            let what = format!("the card is of {} and the catalog says {}", shown(space), shown(publisher));
            found.tell("identifier", Severity::Warning, what);
        }
        found.same("identifier", Severity::Warning, "the catalog", Some(own), Some(name));
    }
    if let (Content::Url(url), Some(fetched)) = (&entry.content, fetched)
        && url.origin() != fetched.origin()
    {
        let what = format!(
            "the catalog says {} and it came from {}",
            shown(&url.origin()),
            shown(&fetched.origin())
        );
        found.tell("url", Severity::Warning, what);
    }
    found.finish()
}

/// The publisher and the name in `urn:air:acme.example:mcp:crm`.
fn air(identifier: &str) -> Option<(&str, &str)> {
    let (publisher, rest) = identifier.strip_prefix("urn:air:")?.split_once(':')?;
    Some((publisher, rest.rsplit(':').next()?))
}

/// Whether `com.acme` is `acme.com` or a part of it.
fn same_domain(space: &str, publisher: &str) -> bool {
    let mut labels: Vec<&str> = space.split('.').collect();
    labels.reverse();
    let domain = labels.join(".").to_ascii_lowercase();
    let publisher = publisher.to_ascii_lowercase();
    domain == publisher || domain.ends_with(&format!(".{publisher}"))
}

/// A card against the entry of a registry.
#[must_use]
pub fn registry(card: &Card, server: &Server) -> Vec<Contradiction> {
    let mut found = Found::default();
    let other = "the registry";
    found.same("name", Severity::Serious, other, Some(&card.name), Some(&server.name));
    found.same("version", Severity::Warning, other, Some(&card.version), Some(&server.version));
    found.same("title", Severity::Note, other, card.title.as_deref(), server.title.as_deref());
    found.same("description", Severity::Note, other, Some(&card.description), Some(&server.description));
    let (a, b) = (card.website_url.as_deref(), server.website_url.as_deref());
    found.same("websiteUrl", Severity::Warning, other, a, b);
    let (a, b) = (card.repository.as_ref(), server.repository.as_ref());
    found.same("repository", Severity::Warning, other, a.map(|r| r.url.as_str()), b.map(|r| r.url.as_str()));
    let id = |r: Option<&crate::Repository>| r.and_then(|r| r.id.clone());
    found.same("repository", Severity::Serious, other, id(a).as_deref(), id(b).as_deref());
    let icons = |icons: &[crate::Icon]| icons.iter().map(|icon| icon.src.clone()).collect::<Vec<_>>();
    let (a, b) = (icons(&card.icons), icons(&server.icons));
    if !a.is_empty() && !b.is_empty() && a != b {
        found.tell("icons", Severity::Note, "the card and the registry show other pictures".to_owned());
    }
    remotes(&mut found, &card.remotes, &server.remotes);
    found.finish()
}

fn remotes(found: &mut Found, card: &[Remote], registry: &[Remote]) {
    if card.is_empty() || registry.is_empty() {
        return;
    }
    let sides = [("the card", card, "the registry", registry), ("the registry", registry, "the card", card)];
    for (one, own, other, others) in sides {
        for remote in own {
            let Some(twin) = others.iter().find(|twin| twin.url == remote.url) else {
                let origin = |remote: &Remote| remote.plain_url().map(|url| url.origin());
                let elsewhere =
                    others.iter().all(|twin| origin(twin).is_none() || origin(twin) != origin(remote));
                let severity = if elsewhere { Severity::Serious } else { Severity::Warning };
                let what = format!("{one} leads to {}, and {other} does not", shown(&remote.url));
                found.tell("remotes", severity, what);
                continue;
            };
            if one == "the card" {
                twins(found, remote, twin);
            }
        }
    }
}

fn twins(found: &mut Found, card: &Remote, registry: &Remote) {
    let other = "the registry";
    let kinds = (Some(card.kind.word()), Some(registry.kind.word()));
    found.same("transport", Severity::Warning, other, kinds.0, kinds.1);
    let (a, b) = (&card.supported_protocol_versions, &registry.supported_protocol_versions);
    if !a.is_empty() && !b.is_empty() && a != b {
        let what =
            format!("the card says {} and the registry {}", shown(&a.join(", ")), shown(&b.join(", ")));
        found.tell("supportedProtocolVersions", Severity::Note, what);
    }
    let posture = |remote: &Remote| remote.auth.as_ref().map(|auth| auth.posture.word());
    found.same("auth", Severity::Warning, other, posture(card), posture(registry));
    let wanted = |remote: &Remote| {
        let required = remote.headers.iter().filter(|header| header.input.required());
        let mut names: Vec<String> = required.map(|header| header.name.to_ascii_lowercase()).collect();
        names.sort();
        names
    };
    if wanted(card) != wanted(registry) {
        let what = "the card and the registry ask for other headers".to_owned();
        found.tell("headers", Severity::Warning, what);
    }
}

/// A card against the metadata of the protected resource.
#[must_use]
pub fn resource(card: &Card, metadata: &Raw) -> Vec<Contradiction> {
    let mut found = Found::default();
    let Some(resource) = metadata.get("resource").and_then(|raw| raw.as_str().map(|text| text.into_owned()))
    else {
        return Vec::new();
    };
    let plain: Vec<Address> = card.remotes.iter().filter_map(Remote::plain_url).collect();
    if !plain.is_empty() && !plain.iter().any(|url| url.as_str() == resource) {
        let what = format!("the metadata is about {}, where no remote is", shown(&resource));
        found.tell("resource", Severity::Serious, what);
    }
    for remote in &card.remotes {
        if remote.auth.as_ref().is_some_and(|auth| auth.posture == Posture::None) {
            let what =
                "the card says that nobody is asked who he is, and there is metadata about how".to_owned();
            found.tell("auth", Severity::Warning, what);
        }
    }
    found.finish()
}
