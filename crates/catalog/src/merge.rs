//! The lists of several upstreams as one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use model::Timestamp;
use protocol::Raw;
use protocol::json::string_into;

use crate::groups;
use crate::life;
use crate::listing::{Item, Kind, Listing};
use crate::part::Part;
use crate::uris;

/// One entry as it is given out.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub raw: Raw,
    pub part: usize,
    pub key: Arc<str>,
}

/// Several listings as one, in a fixed order.
#[derive(Debug)]
pub(crate) struct Merged {
    /// Which listings it was made of: the part and the listing's version.
    pub made_of: Vec<(usize, u64)>,
    /// What was known of approvals.
    pub pins: u64,
    /// How many days had come from which something is elsewhere in its life.
    pub turns: usize,
    pub entries: Vec<Entry>,
    places: HashMap<(usize, Arc<str>), usize>,
    /// Pages that were written before, without their end, by the place of their first entry.
    pages: Mutex<HashMap<usize, Bytes>>,
}

/// The most written pages that are kept of one list.
const PAGES_MAX: usize = 64;

/// Puts the listings of these parts together.
pub(crate) fn merge(
    kind: Kind,
    parts: &[Part],
    lists: &[(usize, Arc<Listing>)],
    (now, turns): (Timestamp, usize),
    allows: impl Fn(usize, &str) -> bool,
) -> Merged {
    let pins = pins_of(parts);
    let total = lists.iter().map(|(_, list)| list.items.len()).sum();
    let mut entries = Vec::with_capacity(total);
    let mut places = HashMap::with_capacity(total);
    let mut seen: HashMap<Arc<str>, ()> = HashMap::new();
    let several = parts.len() > 1;
    for (part, list) in lists {
        for item in &list.items {
            if !allows(*part, &item.key) || !parts[*part].source.standing(kind, item).is_usable() {
                continue;
            }
            let taken = several
                && matches!(kind, Kind::Resources | Kind::Templates)
                && (uris::is_wrapped(&item.key) || seen.insert(Arc::clone(&item.key), ()).is_some());
            let raw = given_out(kind, &parts[*part], item, (taken, now));
            places.insert((*part, Arc::clone(&item.key)), entries.len());
            entries.push(Entry { raw, part: *part, key: Arc::clone(&item.key) });
        }
    }
    let made_of = lists.iter().map(|(part, list)| (*part, list.version)).collect();
    Merged { made_of, pins, turns, entries, places, pages: Mutex::default() }
}

/// A number that is another one whenever what is approved may be.
pub(crate) fn pins_of(parts: &[Part]) -> u64 {
    parts.iter().filter_map(|part| part.source.pinned()).map(|pinned| pinned.pins.epoch()).max().unwrap_or(0)
}

/// The entry with the name or URI that clients use, its group, and where it is in its life.
fn given_out(kind: Kind, part: &Part, item: &Item, at: (bool, Timestamp)) -> Raw {
    let entry = living(kind, part, item, at);
    match &part.group {
        Some(_) => groups::marked(entry, part.source.upstream().name().as_str()),
        None => entry,
    }
}

fn living(kind: Kind, part: &Part, item: &Item, (taken, now): (bool, Timestamp)) -> Raw {
    let named = named(kind, part, item, taken);
    if part.life.is_plain() {
        return named;
    }
    let exposed = |own: &str| match kind {
        Kind::Tools | Kind::Prompts => part.naming.exposed(own),
        Kind::Resources | Kind::Templates => own.to_owned(),
    };
    match (part.life.told(&item.key, now, exposed), named.object()) {
        (Some(told), Ok(Some(object))) => life::with_told(&object, told),
        _ => named,
    }
}

fn named(kind: Kind, part: &Part, item: &Item, taken: bool) -> Raw {
    let name = match kind {
        Kind::Tools | Kind::Prompts => part.naming.exposed(&item.key),
        Kind::Resources | Kind::Templates if taken => {
            uris::wrap(part.source.upstream().name().as_str(), &item.key)
        }
        Kind::Resources | Kind::Templates => return item.raw.clone(),
    };
    if name == *item.key {
        return item.raw.clone();
    }
    match item.raw.object() {
        Ok(Some(object)) => object.edit().set(kind.key(), Raw::string(&name)).finish(),
        _ => item.raw.clone(),
    }
}

impl Merged {
    /// Those of the entries that are let through.
    pub fn sieved(&self, allows: impl Fn(&Entry) -> bool) -> Self {
        let entries: Vec<Entry> = self.entries.iter().filter(|entry| allows(entry)).cloned().collect();
        let place = |(at, entry): (usize, &Entry)| ((entry.part, Arc::clone(&entry.key)), at);
        let places = entries.iter().enumerate().map(place).collect();
        let (made_of, pins, turns) = (self.made_of.clone(), self.pins, self.turns);
        Self { made_of, pins, turns, entries, places, pages: Mutex::default() }
    }

    /// The place after the entry; `None`: there is no such entry any more.
    pub fn after(&self, part: usize, key: &str) -> Option<usize> {
        self.places.get(&(part, Arc::from(key))).map(|at| at + 1)
    }

    /// The beginning of a page's result: everything up to its hints, the closing brace not written.
    ///
    /// `rest` is an object with the members that stand beside the entries, `next` gives the cursor after
    /// an entry.
    pub fn page(
        &self,
        kind: Kind,
        start: usize,
        size: usize,
        rest: &Raw,
        next: impl FnOnce(&Entry) -> String,
    ) -> Bytes {
        let known = self.pages.lock().unwrap_or_else(PoisonError::into_inner).get(&start).cloned();
        if let Some(page) = known {
            return page;
        }
        let end = start.saturating_add(size.max(1)).min(self.entries.len());
        let entries = &self.entries[start.min(end)..end];
        let bytes: usize = entries.iter().map(|e| e.raw.as_bytes().len() + 1).sum();
        let mut out = BytesMut::with_capacity(bytes + rest.as_bytes().len() + 512);
        out.put_slice(b"{\"resultType\":\"complete\",");
        string_into(&mut out, kind.member());
        out.put_slice(b":[");
        for (at, entry) in entries.iter().enumerate() {
            if at > 0 {
                out.put_u8(b',');
            }
            out.put_slice(entry.raw.as_bytes());
        }
        out.put_u8(b']');
        if let (Some(last), true) = (entries.last(), end < self.entries.len()) {
            out.put_slice(b",\"nextCursor\":");
            string_into(&mut out, &next(last));
        }
        let rest = rest.as_bytes();
        if rest.len() > 2 {
            out.put_u8(b',');
            out.put_slice(&rest[1..rest.len() - 1]);
        }
        let page = out.freeze();
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() < PAGES_MAX {
            pages.insert(start, page.clone());
        }
        page
    }
}

/// Ends a page with its hints.
pub(crate) fn finish_page(page: &Bytes, ttl_ms: u128, public: bool) -> Raw {
    let mut out = BytesMut::with_capacity(page.len() + 64);
    out.put_slice(page);
    out.put_slice(b",\"ttlMs\":");
    out.put_slice(ttl_ms.to_string().as_bytes());
    out.put_slice(if public {
        b",\"cacheScope\":\"public\"}".as_slice()
    } else {
        b",\"cacheScope\":\"private\"}"
    });
    Raw::trusted(out.freeze())
}
