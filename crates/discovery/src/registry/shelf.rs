//! A registry's answers, out of what it has.

use std::collections::BTreeMap;
use std::ops::Bound;

use model::Timestamp;

use super::order::newest;
use super::page::Query;
use super::wire::{Entry, Status};

/// Entries that a shelf holds.
pub const SHELF_MAX: usize = 100_000;

/// Why something does not go on the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShelfError {
    /// As many as there may be.
    #[error("the registry is full")]
    Full,
}

/// Entries by name and version, and the latest version of each name.
///
/// `isLatest` is computed here and what an entry says of it does not count.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    entries: BTreeMap<(String, String), Entry>,
    latest: BTreeMap<String, String>,
}

impl Shelf {
    /// Puts an entry there, in the place of the same version.
    ///
    /// # Errors
    /// [`ShelfError`]
    pub fn put(&mut self, entry: Entry) -> Result<(), ShelfError> {
        let key = (entry.server.name.clone(), entry.server.version.clone());
        if self.entries.len() >= SHELF_MAX && !self.entries.contains_key(&key) {
            return Err(ShelfError::Full);
        }
        let name = key.0.clone();
        self.entries.insert(key, entry);
        self.settle(&name);
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Decides anew which version of a name is the latest: of those that are not deleted, if there are some.
    fn settle(&mut self, name: &str) {
        let from = (name.to_owned(), String::new());
        let same = |(key, _): &(&(String, String), &Entry)| key.0 == name;
        let at =
            |entry: &Entry| (entry.server.version.clone(), entry.official.published_at.unwrap_or_default());
        let all: Vec<(bool, (String, Timestamp))> = self
            .entries
            .range(from.clone()..)
            .take_while(same)
            .map(|(_, entry)| (entry.official.status != Status::Deleted, at(entry)))
            .collect();
        let best = all.iter().max_by(|(a_lives, a), (b_lives, b)| {
            a_lives.cmp(b_lives).then_with(|| newest((&a.0, a.1), (&b.0, b.1)))
        });
        let Some((_, (latest, _))) = best else { return };
        for (key, entry) in self.entries.range_mut(from..) {
            if key.0 != name {
                break;
            }
            entry.official.is_latest = key.1 == *latest;
        }
        self.latest.insert(name.to_owned(), latest.clone());
    }

    /// A page: the entries that fit, and the cursor where more of them follow. `see` says what the one who
    /// asks may see; the same is asked on every page.
    #[must_use]
    pub fn list(&self, query: &Query, see: impl Fn(&Entry) -> bool) -> (Vec<&Entry>, Option<String>) {
        let from = match &query.after {
            Some(after) => Bound::Excluded(after.clone()),
            None => Bound::Unbounded,
        };
        let range = self.entries.range((from, Bound::Unbounded)).map(|(_, entry)| entry);
        let mut fitting = range.filter(|entry| fits(query, entry) && see(entry));
        let page: Vec<&Entry> = fitting.by_ref().take(query.limit).collect();
        let more = fitting.next().is_some();
        let last = page.last().filter(|_| more);
        let cursor = last.map(|entry| query.cursor(&entry.server.name, &entry.server.version));
        (page, cursor)
    }

    /// All versions of a name, the latest first. Empty: there is no such name for the one who asks.
    #[must_use]
    pub fn versions(&self, name: &str, deleted: bool, see: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
        let range = self.entries.range((name.to_owned(), String::new())..);
        let own = range.take_while(|(key, _)| key.0 == name).map(|(_, entry)| entry);
        let shown = |entry: &&Entry| (deleted || entry.official.status != Status::Deleted) && see(entry);
        let mut own: Vec<&Entry> = own.filter(shown).collect();
        own.sort_by(|a, b| newest(key(b), key(a)));
        own
    }

    /// One version, or `latest`: the latest one that the one who asks may see.
    #[must_use]
    pub fn version(
        &self,
        name: &str,
        version: &str,
        deleted: bool,
        see: impl Fn(&Entry) -> bool,
    ) -> Option<&Entry> {
        if version == "latest" {
            return self.versions(name, deleted, see).into_iter().next();
        }
        let entry = self.entries.get(&(name.to_owned(), version.to_owned()))?;
        ((deleted || entry.official.status != Status::Deleted) && see(entry)).then_some(entry)
    }
}

fn key(entry: &Entry) -> (&str, Timestamp) {
    (&entry.server.version, entry.official.published_at.unwrap_or_default())
}

fn fits(query: &Query, entry: &Entry) -> bool {
    let official = &entry.official;
    let server = &entry.server;
    let found = |search: &String| {
        let texts = [Some(&server.name), server.title.as_ref(), Some(&server.description)];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(search))
    };
    let version = |version: &String| match version.as_str() {
        "latest" => official.is_latest,
        exact => server.version == exact,
    };
    (query.include_deleted || official.status != Status::Deleted)
        && query.updated_since.is_none_or(|since| official.updated_at.is_some_and(|at| at > since))
        && query.version.as_ref().is_none_or(version)
        && query.search.as_ref().is_none_or(found)
}
