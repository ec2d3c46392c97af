//! A copy of somebody else's registry, kept up to date.
//!
//! First the whole list by its cursors; then, every so often, what changed since the newest change that was
//! seen, less some time for clocks that differ. A registry that lies can waste a bounded number of requests,
//! and what it suddenly stops to list is doubted once before it counts as gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::Timestamp;
use serde::{Deserialize, Serialize};

use super::wire::{Entry, Page, Status};
use crate::fault::Fault;

/// What a mirror puts up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pages of one walk.
    pub pages_max: u32,
    /// Entries that are kept.
    pub rows_max: usize,
    /// Entries that are asked for at once.
    pub page: usize,
    /// Time between walks.
    pub every: Duration,
    /// Time between walks through the whole list.
    pub full_every: Duration,
    /// How far clocks may differ.
    pub skew: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pages_max: 5_000,
            rows_max: 200_000,
            page: 100,
            every: Duration::from_secs(600),
            full_every: Duration::from_secs(24 * 3_600),
            skew: Duration::from_secs(300),
        }
    }
}

/// Pages without anything new before a walk is given up.
const IDLE_PAGES_MAX: u32 = 3;
/// Failures at one place before a walk begins anew.
const FAILURES_AT_PLACE_MAX: u32 = 3;
const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(3_600);
/// The longest time that a registry can ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Oddities that are told of one page.
const ODDITIES_MAX: usize = 50;
/// Of this many, one may be missing from a list before the list is doubted.
const SHRINK_SHARE: usize = 5;
/// Fewer missing than this are never doubted.
const SHRINK_MIN: usize = 10;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Nothing before this moment.
    Wait(Timestamp),
    /// Get a page.
    Page {
        /// Where it goes on.
        cursor: Option<String>,
        /// Only what changed since.
        updated_since: Option<Timestamp>,
        /// How many.
        limit: usize,
    },
}

/// Why there is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The registry did not answer, or with an error of its own.
    Unreachable {
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The registry did not take the question: a cursor that it has forgotten, mostly.
    NotTaken,
    /// What came is no page.
    Unreadable,
}

/// What is known of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// A digest of what the publisher wrote.
    pub digest: String,
    /// What became of it.
    pub status: Status,
    /// Whether the registry calls it the latest.
    pub latest: bool,
    /// When it changed, as the registry says.
    pub updated_at: Option<Timestamp>,
    /// The walk in which it was last seen.
    seen: u64,
    /// Whether a full list did not have it.
    #[serde(default)]
    doubted: bool,
}

/// Something that an honest registry does not do, or seldom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "oddity")]
pub enum Oddity {
    /// A cursor came a second time: the list has no end.
    CursorLoop,
    /// Pages came that had nothing new.
    PagesRepeat,
    /// More pages than there may be.
    TooManyPages,
    /// More entries than there may be.
    TooManyRows,
    /// The list lost more than a list loses. Nothing is taken for gone until a second list says the same.
    Shrank {
        /// How many were missing.
        missing: usize,
    },
    /// A version says something else than before, and nothing of when that changed.
    Rewritten {
        /// Whose.
        name: String,
        /// Which.
        version: String,
    },
    /// One list had a version twice, with different words.
    Wavers {
        /// Whose.
        name: String,
        /// Which.
        version: String,
    },
    /// What was deleted is there again.
    Revived {
        /// Whose.
        name: String,
        /// Which.
        version: String,
    },
    /// A change that is yet to come.
    Future {
        /// Whose.
        name: String,
        /// Which.
        version: String,
    },
    /// A change from before what was asked for.
    Stale {
        /// Whose.
        name: String,
        /// Which.
        version: String,
    },
    /// Two versions of a name are called the latest.
    TwoLatest {
        /// Whose.
        name: String,
    },
}

/// How a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It goes on.
    More,
    /// The list is at its end.
    Done,
    /// It was given up.
    GivenUp,
}

/// What came of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How the walk stands.
    pub turn: Turn,
    /// Entries that are new or say something else: to be kept.
    pub changed: Vec<Entry>,
    /// Names and versions that were deprecated with this page.
    pub deprecated: Vec<(String, String)>,
    /// Names and versions that were deleted with this page: to be kept as such, and never to be used.
    pub deleted: Vec<(String, String)>,
    /// Names and versions that the registry does not list any more.
    pub gone: Vec<(String, String)>,
    /// What was odd.
    pub oddities: Vec<Oddity>,
    /// What was wrong with entries that were not taken.
    pub refused: Vec<Fault>,
}

/// A walk through a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Walk {
    since: Option<Timestamp>,
    cursor: Option<String>,
    /// Digests of all cursors that came.
    cursors: BTreeSet<String>,
    pages: u32,
    idle: u32,
    failures: u32,
    newest: Option<Timestamp>,
}

/// What is known of a registry. It can be written down at any time and taken up again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirror {
    rows: BTreeMap<String, BTreeMap<String, Row>>,
    count: usize,
    walk: Option<Walk>,
    /// The number of the walk.
    number: u64,
    newest: Option<Timestamp>,
    full_at: Option<Timestamp>,
    next_at: Timestamp,
    failures: u32,
}

impl Mirror {
    /// What to do now.
    pub fn ask(&mut self, now: Timestamp, limits: &Limits) -> Ask {
        if now < self.next_at {
            return Ask::Wait(self.next_at);
        }
        let whole = self.full_at.is_none_or(|at| now.since(at) >= limits.full_every) || self.newest.is_none();
        if self.walk.is_none() {
            self.number += 1;
            let skew = u64::try_from(limits.skew.as_millis()).unwrap_or(u64::MAX);
            let since = self.newest.filter(|_| !whole).map(|at| Timestamp(at.0.saturating_sub(skew)));
            let (cursor, cursors, newest) = (None, BTreeSet::new(), None);
            self.walk = Some(Walk { since, cursor, cursors, pages: 0, idle: 0, failures: 0, newest });
        }
        let walk = self.walk.as_ref().expect("it was begun");
        Ask::Page { cursor: walk.cursor.clone(), updated_since: walk.since, limit: limits.page }
    }

    /// Takes a page that was asked for.
    pub fn page(&mut self, now: Timestamp, limits: &Limits, page: Page) -> Report {
        let mut report = Report::new(page.refused);
        let Some(mut walk) = self.walk.take() else {
            report.turn = Turn::GivenUp;
            return report;
        };
        walk.pages += 1;
        walk.failures = 0;
        self.failures = 0;
        let mut fresh = 0;
        let came = page.came;
        for entry in page.entries {
            if self.entry(now, limits, &mut walk, entry, &mut report) {
                fresh += 1;
            }
        }
        walk.idle = if fresh > 0 || came == 0 && page.next_cursor.is_none() { 0 } else { walk.idle + 1 };
        let Some(cursor) = page.next_cursor else {
            self.finish(now, limits, &walk, &mut report);
            return report;
        };
        let trouble = if !walk.cursors.insert(seal::hex(&seal::sha256(cursor.as_bytes())[..8])) {
            Some(Oddity::CursorLoop)
        } else if walk.idle >= IDLE_PAGES_MAX {
            Some(Oddity::PagesRepeat)
        } else if walk.pages >= limits.pages_max {
            Some(Oddity::TooManyPages)
        } else if report.oddities.contains(&Oddity::TooManyRows) {
            // Told already; the page that does not fit ends the walk.
            report.oddities.retain(|oddity| *oddity != Oddity::TooManyRows);
            Some(Oddity::TooManyRows)
        } else {
            None
        };
        if let Some(oddity) = trouble {
            report.odd(oddity);
            report.turn = Turn::GivenUp;
            self.back_off(now, None);
            return report;
        }
        walk.cursor = Some(cursor);
        self.walk = Some(walk);
        report
    }

    /// Takes that there is no page. The walk goes on at the same place, or begins anew.
    pub fn failed(&mut self, now: Timestamp, failure: &Failure) -> Turn {
        let retry_after = match failure {
            Failure::Unreachable { retry_after } => *retry_after,
            Failure::NotTaken | Failure::Unreadable => None,
        };
        self.back_off(now, retry_after);
        let Some(walk) = &mut self.walk else { return Turn::GivenUp };
        walk.failures += 1;
        let anew = matches!(failure, Failure::NotTaken) || walk.failures >= FAILURES_AT_PLACE_MAX;
        if anew {
            self.walk = None;
            return Turn::GivenUp;
        }
        Turn::More
    }

    fn back_off(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        let own = BACKOFF_FIRST.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.next_at = now.plus(own.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)));
    }

    /// Takes an entry. Whether it was not seen in this walk before.
    fn entry(
        &mut self,
        now: Timestamp,
        limits: &Limits,
        walk: &mut Walk,
        entry: Entry,
        report: &mut Report,
    ) -> bool {
        let (name, version) = (entry.server.name.clone(), entry.server.version.clone());
        let named = || (name.clone(), version.clone());
        let updated_at = entry.official.updated_at;
        match updated_at {
            // A moment that is yet to come would hide every change until then.
            Some(at) if at > now.plus(limits.skew) => {
                let (name, version) = named();
                report.odd(Oddity::Future { name, version });
            }
            Some(at) => {
                walk.newest = walk.newest.max(Some(at));
                if walk.since.is_some_and(|since| at < since) {
                    let (name, version) = named();
                    report.odd(Oddity::Stale { name, version });
                }
            }
            None => {}
        }
        let row = Row {
            digest: crate::digest(&entry.raw),
            status: entry.official.status,
            latest: entry.official.is_latest,
            updated_at,
            seen: self.number,
            doubted: false,
        };
        let old = self.rows.get(&name).and_then(|versions| versions.get(&version)).cloned();
        if old.is_none() {
            if self.count >= limits.rows_max {
                if !report.oddities.contains(&Oddity::TooManyRows) {
                    report.odd(Oddity::TooManyRows);
                }
                return false;
            }
            self.count += 1;
        }
        let fresh = old.as_ref().is_none_or(|old| old.seen != self.number);
        if let Some(old) = &old {
            self.compare(old, &row, fresh, named(), report);
        }
        let before = old.as_ref().map_or(Status::Active, |old| old.status);
        if row.status != before {
            match row.status {
                Status::Deprecated => report.deprecated.push(named()),
                Status::Deleted => report.deleted.push(named()),
                Status::Active => {}
            }
        }
        let same = old.as_ref().is_some_and(|old| {
            old.digest == row.digest && old.status == row.status && old.latest == row.latest
        });
        self.rows.entry(name.clone()).or_default().insert(version.clone(), row);
        if !same {
            report.changed.push(entry);
        }
        fresh
    }

    fn compare(&self, old: &Row, new: &Row, fresh: bool, named: (String, String), report: &mut Report) {
        let (name, version) = named;
        if old.digest != new.digest && !fresh {
            report.odd(Oddity::Wavers { name, version });
        } else if old.digest != new.digest && new.updated_at <= old.updated_at {
            report.odd(Oddity::Rewritten { name, version });
        } else if old.status == Status::Deleted && new.status != Status::Deleted {
            report.odd(Oddity::Revived { name, version });
        }
    }

    /// The list is at its end.
    fn finish(&mut self, now: Timestamp, limits: &Limits, walk: &Walk, report: &mut Report) {
        report.turn = Turn::Done;
        self.newest = self.newest.max(walk.newest);
        self.next_at = now.plus(limits.every);
        if walk.since.is_some() {
            return;
        }
        self.full_at = Some(now);
        for (name, versions) in &self.rows {
            let latest = versions.values().filter(|row| row.latest && row.seen == self.number).count();
            if latest > 1 {
                report.odd(Oddity::TwoLatest { name: name.clone() });
            }
        }
        let number = self.number;
        // A list without deleted entries is usual: they are no news by being absent.
        let missing = |row: &Row| row.seen != number && row.status != Status::Deleted;
        let all: Vec<(String, String, bool)> = self
            .rows
            .iter()
            .flat_map(|(name, versions)| versions.iter().map(move |(version, row)| (name, version, row)))
            .filter(|(_, _, row)| missing(row))
            .map(|(name, version, row)| (name.clone(), version.clone(), row.doubted))
            .collect();
        let doubtful = all.len() >= SHRINK_MIN && all.len() * SHRINK_SHARE > self.count;
        if doubtful && all.iter().any(|(_, _, doubted)| !doubted) {
            report.odd(Oddity::Shrank { missing: all.len() });
            for (name, version, _) in all {
                if let Some(row) = self.rows.get_mut(&name).and_then(|versions| versions.get_mut(&version)) {
                    row.doubted = true;
                }
            }
            // The second list is asked for with the next walk, and not a day later.
            self.full_at = None;
            return;
        }
        for (name, version, _) in all {
            self.forget(&name, &version);
            report.gone.push((name, version));
        }
    }

    fn forget(&mut self, name: &str, version: &str) {
        if let Some(versions) = self.rows.get_mut(name) {
            if versions.remove(version).is_some() {
                self.count -= 1;
            }
            if versions.is_empty() {
                self.rows.remove(name);
            }
        }
    }

    /// What is known of a version.
    #[must_use]
    pub fn row(&self, name: &str, version: &str) -> Option<&Row> {
        self.rows.get(name)?.get(version)
    }

    /// How many versions are known, with those that were deleted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Report {
    fn new(mut refused: Vec<Fault>) -> Self {
        refused.truncate(ODDITIES_MAX);
        Self {
            turn: Turn::More,
            changed: Vec::new(),
            deprecated: Vec::new(),
            deleted: Vec::new(),
            gone: Vec::new(),
            oddities: Vec::new(),
            refused,
        }
    }

    fn odd(&mut self, oddity: Oddity) {
        // Why a walk ended is always told.
        if self.oddities.len() >= ODDITIES_MAX {
            self.oddities.pop();
        }
        self.oddities.push(oddity);
    }
}
