//! Server cards (SEP-2127): what a remote server says of itself before anybody connects.

use bytes::Bytes;
use protocol::Raw;

use crate::fault::{By, Fault};
use crate::parts::{Head, Icon, Repository};
use crate::read::{Desk, Members, Read, document};
use crate::remote::Remote;
use crate::write::{Extra, Out};

/// Bytes of a card that are read.
pub const CARD_BYTES_MAX: usize = 262_144;
/// The schema that a card names.
pub const CARD_SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";

/// How a card is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether declarations of authentication are read as their draft has them (SEP-2742). Otherwise they are
    /// kept and mean nothing.
    pub auth: bool,
}

/// What a server says of itself. Advice, and no ground for any decision about trust.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// Its name: a domain backwards, a slash, a name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is for, in at most 100 characters.
    pub description: String,
    /// Its name for people.
    pub title: Option<String>,
    /// Its page.
    pub website_url: Option<String>,
    /// Where its source is.
    pub repository: Option<Repository>,
    /// Its pictures.
    pub icons: Vec<Icon>,
    /// Where it is reached.
    pub remotes: Vec<Remote>,
    /// What others added.
    pub meta: Option<Raw>,
    /// All else.
    pub extra: Extra,
}

/// Reads a card.
///
/// # Errors
/// All that is wrong with it.
pub fn read(bytes: &Bytes, options: Options) -> Result<Read<Card>, Vec<Fault>> {
    let mut desk = Desk::new(By::Publisher);
    desk.auth = options.auth;
    let Some(raw) = document(&mut desk, bytes, CARD_BYTES_MAX) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let card = read_raw(&mut desk, &raw);
    desk.finish(raw, card)
}

fn read_raw(desk: &mut Desk, raw: &Raw) -> Option<Card> {
    let mut members = Members::open(desk, "", raw)?;
    if let Some(schema) = members.needed(desk, "$schema", 300)
        && schema != CARD_SCHEMA
    {
        desk.refuse("/$schema", format!("not the schema of a card: {CARD_SCHEMA}"));
    }
    let head = Head::read(desk, &mut members, false);
    let remotes = Remote::list(desk, &mut members);
    let head = head?;
    Some(Card {
        name: head.name,
        version: head.version,
        description: head.description,
        title: head.title,
        website_url: head.website_url,
        repository: head.repository,
        icons: head.icons,
        remotes,
        meta: head.meta,
        extra: members.rest(),
    })
}

/// Writes a card.
#[must_use]
pub fn write(card: &Card) -> Raw {
    let repository = card.repository.as_ref().map(Repository::write);
    Out::new()
        .text("$schema", CARD_SCHEMA)
        .text("name", &card.name)
        .text("version", &card.version)
        .some_text("title", card.title.as_deref())
        .text("description", &card.description)
        .some_text("websiteUrl", card.website_url.as_deref())
        .maybe("repository", repository.as_ref())
        .list("icons", card.icons.iter().map(Icon::write))
        .list("remotes", card.remotes.iter().map(Remote::write))
        .maybe("_meta", card.meta.as_ref())
        .extra(&card.extra)
        .finish()
}
