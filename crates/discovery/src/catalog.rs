//! AI catalogs: what a domain says it has, at `/.well-known/ai-catalog.json`.

use bytes::Bytes;
use protocol::Raw;
use protocol::json::array;

use crate::address::{Address, URL_BYTES_MAX};
use crate::fault::{By, Fault, shown};
use crate::input::NAME_CHARS_MAX;
use crate::read::{Desk, Found, Members, Read, document};
use crate::write::{Extra, Out};
use crate::{CARD_MEDIA_TYPE, CATALOG_MEDIA_TYPE};

/// Bytes of a catalog that are read.
pub const CATALOG_BYTES_MAX: usize = 4_194_304;
/// Entries of a catalog that are read.
pub const ENTRIES_MAX: usize = 10_000;
/// How deep catalogs may stand in catalogs.
pub const NESTING_MAX: usize = 4;
/// The version of the format that is written. Of a later one with the same first number, what is known is
/// read.
pub const SPEC_VERSION: &str = "1.0";

/// A catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// The version of the format.
    pub spec_version: String,
    /// What there is.
    pub entries: Vec<Entry>,
    /// All else.
    pub extra: Extra,
}

/// One thing in a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its identifier: `urn:air:acme.example:mcp:crm`.
    pub identifier: String,
    /// The media type of the document.
    pub media_type: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The document.
    pub content: Content,
    /// All else.
    pub extra: Extra,
}

/// Where the document of an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// At this URL.
    Url(Address),
    /// Here.
    Data(Raw),
}

impl Entry {
    /// Whether it is a server card.
    #[must_use]
    pub fn is_card(&self) -> bool {
        essence(&self.media_type) == CARD_MEDIA_TYPE
    }

    /// Whether it is a catalog in this catalog.
    #[must_use]
    pub fn is_catalog(&self) -> bool {
        essence(&self.media_type) == CATALOG_MEDIA_TYPE
    }
}

/// A media type without its parameters, in lower case.
#[must_use]
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a catalog. An entry that is wrong is left out and told of; the others stay.
///
/// # Errors
/// All that is wrong with a document that is no catalog at all.
pub fn read(bytes: &Bytes) -> Result<Read<Catalog>, Vec<Fault>> {
    let mut desk = Desk::new(By::Publisher);
    let Some(raw) = document(&mut desk, bytes, CATALOG_BYTES_MAX) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let catalog = read_raw(&mut desk, &raw);
    desk.finish(raw, catalog)
}

fn read_raw(desk: &mut Desk, raw: &Raw) -> Option<Catalog> {
    let mut members = Members::open(desk, "", raw)?;
    let spec_version = members.needed(desk, "specVersion", NAME_CHARS_MAX);
    if let Some(version) = &spec_version {
        check_version(desk, version);
    }
    let found = members.must(desk, "entries")?;
    let items = Members::items_of(desk, &found, ENTRIES_MAX)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashSet::new();
    for item in &items {
        let mut own = Desk::new(By::Publisher);
        let entry = read_entry(&mut own, item);
        match own.finish(item.raw.clone(), entry) {
            Ok(read) => {
                let key = (read.value.identifier.clone(), read.value.version.clone());
                if seen.insert(key) {
                    entries.push(read.value);
                } else {
                    desk.remark(&item.at, "left out: an identifier that stands twice");
                }
                read.remarks.into_iter().for_each(|fault| desk.remark(&fault.pointer, fault.what));
            }
            Err(faults) => {
                for fault in faults {
                    desk.remark(&fault.pointer, format!("left out: {}", fault.what));
                }
            }
        }
    }
    Some(Catalog { spec_version: spec_version?, entries, extra: members.rest() })
}

fn check_version(desk: &mut Desk, version: &str) {
    let number = |part: &str| part.parse::<u32>().ok();
    match version.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?))) {
        Some((1, 0)) => {}
        Some((1, _)) => desk.remark("/specVersion", "a later version, of which what is known is read"),
        Some(_) => desk.refuse("/specVersion", format!("version {} is not read", shown(version))),
        None => desk.refuse("/specVersion", format!("{} is no version", shown(version))),
    }
}

fn read_entry(desk: &mut Desk, item: &Found) -> Option<Entry> {
    let mut members = Members::open(desk, item.at.clone(), &item.raw)?;
    let identifier = members.needed(desk, "identifier", URL_BYTES_MAX);
    if let Some(identifier) = &identifier
        && identifier.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        desk.refuse(&format!("{}/identifier", item.at), "an identifier with white space");
    }
    // The format says `mediaType` in April 2026, and the draft about cards says `type` in July.
    let media_type = match (members.has("type"), members.has("mediaType")) {
        (true, true) => {
            let (a, b) = (members.text(desk, "type", 200), members.text(desk, "mediaType", 200));
            if a.as_deref().map(essence) != b.as_deref().map(essence) {
                desk.refuse(&item.at, "\"type\" and \"mediaType\" differ");
            }
            a
        }
        (false, true) => members.text(desk, "mediaType", 200),
        _ => members.needed(desk, "type", 200),
    };
    let display_name = members.any_text(desk, "displayName", NAME_CHARS_MAX);
    let version = members.any_text(desk, "version", NAME_CHARS_MAX);
    let url = members.text(desk, "url", URL_BYTES_MAX);
    let data = members.take(desk, "data");
    let content = match (url, data) {
        (Some(url), None) => match Address::parse(&url) {
            Ok(url) => Some(Content::Url(url)),
            Err(error) => {
                desk.refuse(&format!("{}/url", item.at), error.to_string());
                None
            }
        },
        (None, Some(data)) => Some(Content::Data(data.raw)),
        (Some(_), Some(_)) => {
            desk.refuse(&item.at, "has both of \"url\" and \"data\"");
            None
        }
        (None, None) => {
            desk.refuse(&item.at, "has neither \"url\" nor \"data\"");
            None
        }
    };
    let (identifier, media_type, content) = (identifier?, media_type?, content?);
    Some(Entry { identifier, media_type, display_name, version, content, extra: members.rest() })
}

/// Writes a catalog.
#[must_use]
pub fn write(catalog: &Catalog) -> Raw {
    let entries: Vec<Raw> = catalog.entries.iter().map(write_entry).collect();
    Out::new()
        .text("specVersion", &catalog.spec_version)
        .raw("entries", &array(&entries))
        .extra(&catalog.extra)
        .finish()
}

fn write_entry(entry: &Entry) -> Raw {
    let out = Out::new()
        .text("identifier", &entry.identifier)
        .text("type", &entry.media_type)
        .some_text("displayName", entry.display_name.as_deref())
        .some_text("version", entry.version.as_deref());
    let out = match &entry.content {
        Content::Url(url) => out.text("url", url.as_str()),
        Content::Data(data) => out.raw("data", data),
    };
    out.extra(&entry.extra).finish()
}
