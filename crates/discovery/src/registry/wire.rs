//! What goes over the wire: entries, pages, errors.

use bytes::Bytes;
use model::Timestamp;
use protocol::Raw;
use protocol::json::array;
use serde::{Deserialize, Serialize};

use crate::fault::{By, Fault, shown};
use crate::moment::{moment_from_text, moment_to_text};
use crate::read::{Desk, Members, Read, document, word};
use crate::server_json::{self, SERVER_BYTES_MAX, Server};
use crate::write::{Extra, Out};

/// The member of an entry's `_meta` that is the registry's own.
pub const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";
/// Bytes of a page that are read.
pub const PAGE_BYTES_MAX: usize = 16 << 20;
/// Entries of a page that are read, whatever was asked for.
pub const PAGE_ENTRIES_MAX: usize = 1_000;
/// Characters of a cursor that are taken.
pub const CURSOR_CHARS_MAX: usize = 2_048;
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 500;

/// What became of an entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    #[default]
    Active,
    /// Better not taken any more.
    Deprecated,
    /// Gone, and never to be installed.
    Deleted,
}

const STATUSES: [(&str, Status); 3] =
    [("active", Status::Active), ("deprecated", Status::Deprecated), ("deleted", Status::Deleted)];

impl Status {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        STATUSES.iter().find(|(_, known)| *known == self).map_or("active", |(word, _)| *word)
    }
}

/// What a registry says about an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Official {
    /// What became of it.
    pub status: Status,
    /// Why.
    pub status_message: Option<String>,
    /// When that changed.
    pub status_changed_at: Option<Timestamp>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// When anything of it changed.
    pub updated_at: Option<Timestamp>,
    /// Whether it is the latest version.
    pub is_latest: bool,
}

/// An entry: what the publisher wrote and what the registry says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What the publisher wrote, read.
    pub server: Server,
    /// The same as it came.
    pub raw: Raw,
    /// What the registry says.
    pub official: Official,
    /// What else is in `_meta`.
    pub meta: Extra,
}

/// A page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries that could be read.
    pub entries: Vec<Entry>,
    /// What was wrong with the others, each with the reason.
    pub refused: Vec<Fault>,
    /// How many entries came, with those that could not be read.
    pub came: usize,
    /// Where it goes on.
    pub next_cursor: Option<String>,
}

/// Reads a page. An entry that is wrong is refused, and the others stay.
///
/// # Errors
/// All that is wrong with what is no page at all.
pub fn read_page(bytes: &Bytes) -> Result<Read<Page>, Vec<Fault>> {
    let mut desk = Desk::new(By::Registry);
    let Some(raw) = document(&mut desk, bytes, PAGE_BYTES_MAX) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let page = page_of(&mut desk, &raw);
    desk.finish(raw, page)
}

fn page_of(desk: &mut Desk, raw: &Raw) -> Option<Page> {
    let mut members = Members::open(desk, "", raw)?;
    if !members.has("servers") {
        desk.refuse("", "\"servers\" is missing");
    }
    // A registry without an entry may write `null` for no list.
    let items = members.items(desk, "servers", PAGE_ENTRIES_MAX).unwrap_or_default();
    let mut page = Page { came: items.len(), ..Page::default() };
    for item in items {
        match read_entry(&item.at, &item.raw) {
            Ok((entry, _)) => page.entries.push(entry),
            Err(faults) => page.refused.extend(faults.into_iter().take(3)),
        }
    }
    page.next_cursor = members.take(desk, "metadata").and_then(|found| {
        let mut metadata = Members::open(desk, found.at, &found.raw)?;
        let new = metadata.any_text(desk, "nextCursor", CURSOR_CHARS_MAX);
        let old = metadata.any_text(desk, "next_cursor", CURSOR_CHARS_MAX);
        new.or(old).filter(|cursor| !cursor.is_empty())
    });
    Some(page)
}

/// Reads one entry, as a response of its own.
///
/// # Errors
/// All that is wrong with it.
pub fn read_response(bytes: &Bytes) -> Result<Read<Entry>, Vec<Fault>> {
    let mut desk = Desk::new(By::Registry);
    let Some(raw) = document(&mut desk, bytes, SERVER_BYTES_MAX * 2) else {
        return desk.finish(Raw::literal("null"), None);
    };
    let (entry, remarks) = read_entry("", &raw)?;
    Ok(Read { value: entry, raw, remarks })
}

fn read_entry(at: &str, raw: &Raw) -> Result<(Entry, Vec<Fault>), Vec<Fault>> {
    let mut desk = Desk::new(By::Registry);
    let entry = entry_of(&mut desk, at, raw);
    desk.finish(raw.clone(), entry).map(|read| (read.value, read.remarks))
}

fn entry_of(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Entry> {
    let mut members = Members::open(desk, at, raw)?;
    let found = members.must(desk, "server")?;
    if found.raw.as_bytes().len() > SERVER_BYTES_MAX {
        desk.refuse(&found.at, format!("larger than {SERVER_BYTES_MAX} bytes"));
        return None;
    }
    desk.by = By::Publisher;
    let server = server_json::read_raw(desk, &found.at, &found.raw);
    desk.by = By::Registry;
    let mut official = Official::default();
    let mut meta = Extra::default();
    if let Some(meta_found) = members.take(desk, "_meta")
        && let Some(mut inner) = Members::open(desk, meta_found.at, &meta_found.raw)
    {
        if let Some(own) = inner.take(desk, OFFICIAL)
            && let Some(read) = read_official(desk, &own.at, &own.raw)
        {
            official = read;
        }
        meta = inner.rest();
    }
    Some(Entry { server: server?, raw: found.raw, official, meta })
}

fn read_official(desk: &mut Desk, at: &str, raw: &Raw) -> Option<Official> {
    let mut members = Members::open(desk, at, raw)?;
    desk.old_names = true;
    let status = members.any_text(desk, "status", 100);
    let status = match status {
        Some(text) => word(desk, &format!("{at}/status"), &text, &STATUSES)?,
        None => Status::Active,
    };
    let official = Official {
        status,
        status_message: members.any_text(desk, "statusMessage", 2_000),
        status_changed_at: moment(desk, &mut members, "statusChangedAt"),
        published_at: moment(desk, &mut members, "publishedAt"),
        updated_at: moment(desk, &mut members, "updatedAt"),
        is_latest: members.flag(desk, "isLatest").unwrap_or(false),
    };
    desk.old_names = false;
    Some(official)
}

fn moment(desk: &mut Desk, members: &mut Members, name: &str) -> Option<Timestamp> {
    let text = members.any_text(desk, name, 100)?;
    let at = moment_from_text(&text);
    if at.is_none() {
        desk.refuse(&format!("{}/{name}", members.at), format!("{} is no moment", shown(&text)));
    }
    at
}

/// Writes an entry.
#[must_use]
pub fn write_response(entry: &Entry) -> Raw {
    let official = &entry.official;
    let time = |at: Option<Timestamp>| at.map(moment_to_text);
    let own = Out::new()
        .text("status", official.status.word())
        .some_text("statusMessage", official.status_message.as_deref())
        .some_text("statusChangedAt", time(official.status_changed_at).as_deref())
        .some_text("publishedAt", time(official.published_at).as_deref())
        .some_text("updatedAt", time(official.updated_at).as_deref())
        .some_flag("isLatest", Some(official.is_latest))
        .finish();
    let meta = Out::new().raw(OFFICIAL, &own).extra(&entry.meta).finish();
    Out::new().raw("server", &entry.raw).raw("_meta", &meta).finish()
}

/// Writes a page. A cursor stands there only where it goes on.
#[must_use]
pub fn write_page<'a>(entries: impl IntoIterator<Item = &'a Entry>, next_cursor: Option<&str>) -> Raw {
    let entries: Vec<Raw> = entries.into_iter().map(write_response).collect();
    let metadata = Out::new()
        .some_text("nextCursor", next_cursor)
        .raw("count", &Raw::from_value(&entries.len().into()))
        .finish();
    Out::new().raw("servers", &array(&entries)).raw("metadata", &metadata).finish()
}

/// Writes an error.
#[must_use]
pub fn write_error(text: &str) -> Raw {
    Out::new().text("error", text).finish()
}

/// What a registry says is wrong, in whichever form: `error`, a problem document, or plain text. The text is
/// foreign; it is cut and may be shown as it is.
#[must_use]
pub fn read_error(bytes: &Bytes) -> String {
    let cut = |text: &str| {
        let short: String = text.chars().take(ERROR_CHARS_MAX).collect();
        short.chars().flat_map(char::escape_debug).collect::<String>()
    };
    let mut desk = Desk::new(By::Registry);
    let head = bytes.slice(..bytes.len().min(4 * ERROR_CHARS_MAX));
    let Some(raw) = document(&mut desk, bytes, 65_536) else {
        return cut(String::from_utf8_lossy(&head).trim());
    };
    let text = |raw: Raw| raw.as_str().map(std::borrow::Cow::into_owned);
    let inner = |raw: Raw| raw.get("message").and_then(text);
    let found = raw.get("error").and_then(|raw| text(raw.clone()).or_else(|| inner(raw)));
    let found = found.or_else(|| {
        let detail = raw.get("detail").and_then(text);
        let title = raw.get("title").and_then(text);
        match (title, detail) {
            (Some(title), Some(detail)) => Some(format!("{title}: {detail}")),
            (title, detail) => detail.or(title),
        }
    });
    let found = found.or_else(|| raw.get("message").and_then(text)).or_else(|| text(raw.clone()));
    cut(found.as_deref().unwrap_or(raw.as_text()))
}
