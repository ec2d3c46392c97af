//! The log of what happened to proposals: it only grows, and each entry names the hash of the one before.
//!
//! It lies beside the grants of the store, under names that nobody is granted anything by, so that it moves
//! with a store and needs no table of its own. A row that counts entries is written with each: of two who
//! write at the same time, one is told so.

use std::sync::Arc;

use bytes::Bytes;
use governance::Event;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use store::{GRANT_BYTES_MAX, GrantFilter, GrantRow, Store, StoreError};

/// What entries, heads and texts are for, in place of an upstream, which nobody can call so.
const LOG: &str = "@governance";
const HEAD: &str = "@governancehead";
const TEXT: &str = "@governancetext";
/// Rows that are read at once.
const PAGE: usize = 200;
/// Entries of a log, at most.
pub const LOG_MAX: u64 = 200_000;
/// How much of its events one entry has, in bytes.
const EVENTS_BYTES_MAX: usize = 40 * 1024;
/// As late as a time can be written: the year 9999.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);

/// By which way something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The operators' interface.
    Admin,
    /// The command line.
    CommandLine,
    /// By itself: a time was over, or the ruleset is another one.
    Clock,
}

/// Whether files were changed or changed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneWhat {
    /// A change is in the files.
    Applied,
    /// It is no more.
    TakenBack,
}

/// What came of putting a change into the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Of which proposal.
    pub proposal: u64,
    /// What was to be done.
    pub what: DoneWhat,
    /// Which revision.
    pub hash: String,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub seq: u64,
    /// The hash of the entry before; empty for the first.
    pub prev: String,
    /// When.
    pub at: Timestamp,
    /// Who, as the rules name him; empty where it happened by itself.
    pub by: String,
    /// Who that is to the operators' interface, or to the system.
    pub operator: String,
    /// By which way.
    pub via: Via,
    /// The hash of the ruleset by which it was decided.
    pub rules: String,
    /// What happened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Event>,
    /// What was done to the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
}

/// Where a log ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct End {
    /// The number of its last entry.
    pub seq: u64,
    /// The hash of it.
    pub hash: String,
}

/// A log in a store.
#[derive(Clone)]
pub struct Log {
    store: Arc<dyn Store>,
    /// What begins the names of its rows.
    prefix: String,
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a text: its hash.
pub fn hash(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&seal::sha256(bytes)))
}

fn row(name: String, what: &str, version: u64, data: Vec<u8>) -> GrantRow {
    GrantRow {
        name,
        tenant: String::new(),
        holder: String::new(),
        upstream: what.to_owned(),
        version,
        expires: NEVER,
        data: Bytes::from(data),
    }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the log of proposals: {what}"))
}

impl Log {
    /// The log of the ruleset of this name.
    pub fn new(store: Arc<dyn Store>, ruleset: &str) -> Self {
        Self { store, prefix: format!("governance/{}/", &hex(&seal::sha256(ruleset.as_bytes()))[..24]) }
    }

    fn head_name(&self) -> String {
        format!("{}head", self.prefix)
    }

    fn entry_name(&self, seq: u64) -> String {
        format!("{}{seq:010}", self.prefix)
    }

    /// Where it ends.
    pub async fn seq(&self) -> Result<u64, StoreError> {
        Ok(self.store.grant(&self.head_name()).await?.map_or(0, |row| row.version))
    }

    /// The entries behind one, each held against the hash of the one before.
    pub async fn behind(&self, end: &End) -> Result<(Vec<Entry>, End), StoreError> {
        let filter = GrantFilter { upstream: Some(LOG.to_owned()), ..GrantFilter::default() };
        let (mut found, mut now) = (Vec::new(), end.clone());
        loop {
            let after = self.entry_name(now.seq);
            let page = self.store.grants(&filter, Some(&after), PAGE).await?;
            let own: Vec<_> = page.iter().filter(|row| row.name.starts_with(&self.prefix)).collect();
            for row in &own {
                let entry: Entry =
                    serde_json::from_slice(&row.data).map_err(|_| corrupt("an entry is none"))?;
                if entry.seq != now.seq + 1
                    || entry.prev != now.hash
                    || row.name != self.entry_name(entry.seq)
                {
                    return Err(corrupt(&format!("entry {} does not follow the one before", entry.seq)));
                }
                now = End { seq: entry.seq, hash: hash(&row.data) };
                found.push(entry);
            }
            if own.len() < PAGE {
                return Ok((found, now));
            }
        }
    }

    /// Adds entries behind an end, with a text that they speak of. `None`: somebody else was quicker, and
    /// nothing was written.
    pub async fn append(
        &self,
        end: &End,
        entries: Vec<Entry>,
        text: Option<(&str, &[u8])>,
    ) -> Result<Option<(Vec<Entry>, End)>, StoreError> {
        let mut now = end.clone();
        let mut tx = self.store.begin().await?;
        if let Some((hash, bytes)) = text {
            for (part, data) in bytes.chunks(GRANT_BYTES_MAX).enumerate() {
                // One that is there already is the same: its hash is its name.
                tx.grant_put(&row(text_name(hash, part), TEXT, 0, data.to_vec())).await?;
            }
        }
        let mut written = Vec::with_capacity(entries.len());
        for entry in entries.into_iter().flat_map(split) {
            let entry = Entry { seq: now.seq + 1, prev: now.hash.clone(), ..entry };
            if entry.seq > LOG_MAX {
                return Err(StoreError::TooLarge { what: "the log of proposals", max: LOG_MAX as usize });
            }
            let data = serde_json::to_vec(&entry).map_err(|error| corrupt(&error.to_string()))?;
            let next = End { seq: entry.seq, hash: hash(&data) };
            let head = row(self.head_name(), HEAD, now.seq, next.hash.clone().into_bytes());
            if !tx.grant_put(&head).await?
                || !tx.grant_put(&row(self.entry_name(entry.seq), LOG, 0, data)).await?
            {
                return Ok(None);
            }
            now = next;
            written.push(entry);
        }
        tx.commit().await?;
        Ok(Some((written, now)))
    }

    /// A text by its hash; `None` where there is none.
    pub async fn text(&self, hash_wanted: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut bytes = Vec::new();
        for part in 0.. {
            match self.store.grant(&text_name(hash_wanted, part)).await? {
                Some(row) => bytes.extend_from_slice(&row.data),
                None => break,
            }
        }
        match bytes.is_empty() {
            true => Ok(None),
            false if hash(&bytes) == hash_wanted => Ok(Some(bytes)),
            false => Err(corrupt("a change is not the one that its hash names")),
        }
    }
}

fn text_name(hash: &str, part: usize) -> String {
    format!("governancetext/{hash}/{part:04}")
}

/// An entry whose events are too large for a row becomes several.
fn split(entry: Entry) -> Vec<Entry> {
    let size = |event: &Event| serde_json::to_vec(event).map_or(0, |bytes| bytes.len());
    let mut parts = vec![Entry { events: Vec::new(), ..entry.clone() }];
    let mut bytes = 0;
    for event in entry.events {
        let more = size(&event);
        if bytes + more > EVENTS_BYTES_MAX && bytes > 0 {
            let part = Entry { events: Vec::new(), done: None, ..parts[0].clone() };
            parts.push(part);
            bytes = 0;
        }
        bytes += more;
        if let Some(part) = parts.last_mut() {
            part.events.push(event);
        }
    }
    parts
}
