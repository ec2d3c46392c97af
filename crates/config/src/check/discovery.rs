//! What is published about endpoints: each can be told, and of no two the same is said.

use std::collections::HashMap;

use discovery::auth::Posture;
use discovery::publish::{self, Record, Visibility};
use discovery::{Address, Fault, Icon, Reach, Repository};

use super::Report;
use super::auth::EVERYTHING;
use crate::advice;
use crate::section::{Card, CardIcon, CardRepository, CardVisibility, Config, Discovery};
use crate::source::Path;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let Discovery { cards, experimental_auth: _, experimental_groups: _ } = &config.discovery;
    let path = Path::keys(["discovery", "cards"]);
    let base = base(config);
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (name, card) in cards {
        let at = path.key(name);
        let known = |section| report.keys_of(section).any(|known| known == name);
        if name != EVERYTHING && !known("upstreams") && !known("endpoints") {
            let hint = advice::nearest(name, report.keys_of("endpoints").chain(report.keys_of("upstreams")));
            report.key(&at, "there is no such endpoint", hint.map(advice::did_you_mean));
            continue;
        }
        if let Some(other) = names.insert(&card.name, name).filter(|_| !card.name.is_empty()) {
            report.value(&at.key("name"), format!("the card of {other:?} has this name"), None);
        }
        check_card(name, card, &at, report);
        if card.visibility == CardVisibility::Off {
            continue;
        }
        check_place(card.visibility, base.as_ref(), config, &at, report);
        if card.visibility == CardVisibility::Private && asks_nobody(name, config) {
            let message = "nobody says who he is at this endpoint, so that nobody could see the card";
            report.value(&at.key("visibility"), message, Some("publish it, or give \"allow\"".to_owned()));
        }
    }
}

/// What clients reach the gateway by; `None`: nothing that could be read.
fn base(config: &Config) -> Option<Address> {
    match &config.auth.url {
        Some(url) => Address::parse(url).ok(),
        None => Address::parse("http://127.0.0.1").ok(),
    }
}

/// By the rules that the card will be read by.
fn check_card(name: &str, card: &Card, at: &Path, report: &mut Report<'_>) {
    let needed = [("name", &card.name), ("version", &card.version), ("description", &card.description)];
    let missing: Vec<_> = needed.into_iter().filter(|(key, _)| !report.has(&at.key(key))).collect();
    if let Some((key, _)) = missing.first() {
        report.absent(at, format!("the card has no {key:?}"), None);
    }
    let Ok(endpoint) = Address::parse(&format!("https://gateway.example/{name}/mcp")) else { return };
    let record = Record {
        name: card.name.clone(),
        version: card.version.clone(),
        title: card.title.clone(),
        description: card.description.clone(),
        endpoint,
        versions: Vec::new(),
        visibility: Visibility::Public,
        website_url: card.website.clone(),
        icons: card.icons.iter().map(icon).collect(),
        repository: card.repository.as_ref().map(repository),
        posture: Posture::None,
        authorization_servers: Vec::new(),
        scopes: Vec::new(),
        meta: None,
    };
    let options = publish::Options { auth: false, loopback: true };
    for fault in publish::publish(&record, options).err().unwrap_or_default() {
        let Some((path, key)) = place(&fault, at) else { continue };
        if missing.iter().all(|(known, _)| *known != key) {
            report.value(&path, fault.what, None);
        }
    }
}

fn icon(icon: &CardIcon) -> Icon {
    let CardIcon { src, mime_type, sizes, theme } = icon.clone();
    Icon { src, mime_type, sizes, theme, ..Icon::default() }
}

fn repository(repository: &CardRepository) -> Repository {
    let CardRepository { url, source, subfolder, id } = repository.clone();
    Repository { url, source, subfolder, id, ..Repository::default() }
}

/// The key of a member of a card.
fn place(fault: &Fault, at: &Path) -> Option<(Path, &'static str)> {
    let mut steps = fault.pointer.split('/').skip(1);
    let first = steps.next()?;
    if first == "icons" {
        let icons = at.key("icons");
        let Some(index) = steps.next().and_then(|index| index.parse().ok()) else {
            return Some((icons, "icons"));
        };
        let icon = icons.index(index);
        return Some(match steps.next() {
            Some("src") => (icon.key("src"), "src"),
            Some("mimeType") => (icon.key("mime_type"), "mime_type"),
            Some("sizes") => (icon.key("sizes"), "sizes"),
            Some("theme") => (icon.key("theme"), "theme"),
            _ => (icon, "icons"),
        });
    }
    if first == "repository" {
        let own = at.key("repository");
        return Some(match steps.next() {
            Some("url") => (own.key("url"), "url"),
            Some("source") => (own.key("source"), "source"),
            Some("subfolder") => (own.key("subfolder"), "subfolder"),
            Some("id") => (own.key("id"), "id"),
            _ => (own, "repository"),
        });
    }
    let known = [
        ("name", "name"),
        ("version", "version"),
        ("title", "title"),
        ("description", "description"),
        ("websiteUrl", "website"),
    ];
    known.into_iter().find(|(member, _)| *member == first).map(|(_, key)| (at.key(key), key))
}

/// A card leads somewhere, and one for everybody to where everybody can go.
fn check_place(
    visibility: CardVisibility,
    base: Option<&Address>,
    config: &Config,
    at: &Path,
    report: &mut Report<'_>,
) {
    if config.auth.url.is_none() && !config.listen.ip().is_loopback() {
        let message = "a card says where its endpoint is, and nothing says what clients reach that by";
        return report.key(at, message, Some("give \"auth.url\"".to_owned()));
    }
    // What cannot be read is told of where it stands.
    let Some(base) = base else { return };
    let (fault, hint) = match base.reach() {
        Reach::Loopback => return,
        _ if !base.is_https() => {
            let fault = "clients come without TLS, and a card would lead others there";
            (fault, "let \"auth.url\" begin with https")
        }
        Reach::Private if visibility == CardVisibility::Public => {
            let fault = "\"auth.url\" is no host of the internet, and everybody would read of it";
            (fault, "make the card private")
        }
        Reach::Private | Reach::Public => return,
    };
    report.value(&at.key("visibility"), fault, Some(hint.to_owned()));
}

/// Whether whoever comes to an endpoint is let in without a word about who he is.
fn asks_nobody(name: &str, config: &Config) -> bool {
    let own = config.auth.endpoints.get(name).and_then(|own| own.allow.as_ref());
    match own.or(config.auth.allow.as_ref()) {
        Some(ways) => !ways.is_empty() && ways.iter().all(|way| way == "anonymous"),
        None => true,
    }
}
