//! Audit logs.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;

use super::{Before, Change, Memory, State};
use crate::limit::{TEXT_BYTES_MAX, fits};
use crate::{
    AUDIT_NOTE_BYTES_MAX, AuditBatch, AuditContentRow, AuditEntryRow, AuditFilter, AuditLogRow, AuditNoteRow,
    AuditStore, AuditTileRow, AuditTx, Record, StoreError,
};

type ContentKey = (String, u64, String);
type TileKey = (String, u32, u64);

#[derive(Debug, Default)]
pub(super) struct Audit {
    logs: BTreeMap<String, AuditLogRow>,
    entries: BTreeMap<(String, u64), AuditEntryRow>,
    tiles: BTreeMap<TileKey, AuditTileRow>,
    contents: BTreeMap<ContentKey, AuditContentRow>,
    notes: BTreeMap<(String, u64), AuditNoteRow>,
}

/// What something was before a transaction changed it.
pub(super) enum AuditBefore {
    Log(String, Option<AuditLogRow>),
    Entry((String, u64), Option<AuditEntryRow>),
    Tile(TileKey, Option<AuditTileRow>),
    Content(ContentKey, Option<AuditContentRow>),
    Note((String, u64), Option<AuditNoteRow>),
}

fn put<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    }
}

impl Audit {
    /// Puts something in the place of what it was, which it gives back.
    pub(super) fn put(&mut self, row: AuditBefore) -> AuditBefore {
        match row {
            AuditBefore::Log(key, row) => {
                let before = put(&mut self.logs, &key, row);
                AuditBefore::Log(key, before)
            }
            AuditBefore::Entry(key, row) => {
                let before = put(&mut self.entries, &key, row);
                AuditBefore::Entry(key, before)
            }
            AuditBefore::Tile(key, row) => {
                let before = put(&mut self.tiles, &key, row);
                AuditBefore::Tile(key, before)
            }
            AuditBefore::Content(key, row) => {
                let before = put(&mut self.contents, &key, row);
                AuditBefore::Content(key, before)
            }
            AuditBefore::Note(key, row) => {
                let before = put(&mut self.notes, &key, row);
                AuditBefore::Note(key, before)
            }
        }
    }

    fn entries_of(&self, log: &str) -> impl DoubleEndedIterator<Item = &AuditEntryRow> {
        self.entries.range((log.to_owned(), 0)..=(log.to_owned(), u64::MAX)).map(|(_, row)| row)
    }
}

pub(super) fn records(state: &State, all: &mut Vec<Record>) {
    all.extend(state.audit.logs.values().cloned().map(Record::AuditLog));
    all.extend(state.audit.entries.values().cloned().map(Record::AuditEntry));
    all.extend(state.audit.tiles.values().cloned().map(Record::AuditTile));
    all.extend(state.audit.contents.values().cloned().map(Record::AuditContent));
    all.extend(state.audit.notes.values().cloned().map(Record::AuditNote));
}

#[async_trait]
impl AuditStore for Memory {
    async fn audit_log(&self, log: &str) -> Result<Option<AuditLogRow>, StoreError> {
        Ok(self.state.lock().await.open()?.audit.logs.get(log).cloned())
    }

    async fn audit_logs(&self, after: Option<&str>, limit: usize) -> Result<Vec<AuditLogRow>, StoreError> {
        let state = self.state.lock().await;
        let logs = state.open()?.audit.logs.values();
        Ok(logs.filter(|row| after.is_none_or(|a| row.log.as_str() > a)).take(limit).cloned().collect())
    }

    async fn audit_entries(
        &self,
        log: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let state = self.state.lock().await;
        let entries = &state.open()?.audit.entries;
        let found = entries.range((log.to_owned(), from)..=(log.to_owned(), u64::MAX));
        Ok(found.take(limit).map(|(_, row)| row.clone()).collect())
    }

    async fn audit_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        let state = self.state.lock().await;
        let entries = state.open()?.audit.entries_of(&filter.log).rev();
        let found = entries.filter(|row| before.is_none_or(|before| row.index < before));
        Ok(found.filter(|row| filter.takes(row)).take(limit).cloned().collect())
    }

    async fn audit_unclosed(&self, writer: &str, limit: usize) -> Result<Vec<AuditEntryRow>, StoreError> {
        let state = self.state.lock().await;
        let entries = &state.open()?.audit.entries;
        let ended = |row: &AuditEntryRow| {
            let mut ends = entries.values().filter(|end| end.log == row.log && !end.started);
            let later = |end: &AuditEntryRow| end.operation == row.operation && end.index > row.index;
            !row.operation.is_empty() && ends.any(later)
        };
        let found = entries.values().filter(|row| row.started && row.writer == writer && !ended(row));
        Ok(found.take(limit).cloned().collect())
    }

    async fn audit_tile(&self, log: &str, level: u32, index: u64) -> Result<Option<Bytes>, StoreError> {
        let state = self.state.lock().await;
        let tile = state.open()?.audit.tiles.get(&(log.to_owned(), level, index));
        Ok(tile.map(|tile| tile.hashes.clone()))
    }

    async fn audit_contents(&self, log: &str, index: u64) -> Result<Vec<AuditContentRow>, StoreError> {
        let state = self.state.lock().await;
        let contents = state.open()?.audit.contents.values();
        Ok(contents.filter(|row| row.log == log && row.index == index).cloned().collect())
    }

    async fn audit_notes(&self, log: &str) -> Result<Vec<AuditNoteRow>, StoreError> {
        let state = self.state.lock().await;
        Ok(state.open()?.audit.notes.values().filter(|row| row.log == log).cloned().collect())
    }
}

impl Change {
    fn audit_put(&mut self, row: AuditBefore) {
        let before = self.state.audit.put(row);
        self.undo.push(Before::Audit(before));
    }

    /// Something of another store.
    pub(super) fn audit_record(&mut self, record: Record) -> Result<(), StoreError> {
        let audit = &self.state.audit;
        let (there, row) = match record {
            Record::AuditLog(row) => {
                (audit.logs.contains_key(&row.log), AuditBefore::Log(row.log.clone(), Some(row)))
            }
            Record::AuditEntry(row) => {
                let key = (row.log.clone(), row.index);
                (audit.entries.contains_key(&key), AuditBefore::Entry(key, Some(row)))
            }
            Record::AuditTile(row) => {
                let key = (row.log.clone(), row.level, row.index);
                (audit.tiles.contains_key(&key), AuditBefore::Tile(key, Some(row)))
            }
            Record::AuditContent(row) => {
                let key = (row.log.clone(), row.index, row.part.clone());
                (audit.contents.contains_key(&key), AuditBefore::Content(key, Some(row)))
            }
            Record::AuditNote(row) => {
                let key = (row.log.clone(), row.size);
                (audit.notes.contains_key(&key), AuditBefore::Note(key, Some(row)))
            }
            _ => return Err(StoreError::Corrupt("it is nothing of an audit log".to_owned())),
        };
        if there {
            return Err(StoreError::Conflict);
        }
        self.audit_put(row);
        Ok(())
    }

    fn audit_row(&self, log: &str) -> AuditLogRow {
        let found = self.state.audit.logs.get(log).cloned();
        found.unwrap_or_else(|| AuditLogRow { log: log.to_owned(), ..AuditLogRow::default() })
    }

    fn audit_forget(&mut self, gone: Vec<ContentKey>) -> u64 {
        let number = gone.len() as u64;
        gone.into_iter().for_each(|key| self.audit_put(AuditBefore::Content(key, None)));
        number
    }
}

#[async_trait]
impl AuditTx for Change {
    async fn audit_append(&mut self, batch: &AuditBatch) -> Result<bool, StoreError> {
        batch.fits()?;
        let row = self.audit_row(&batch.log);
        if row.size != batch.size {
            return Ok(false);
        }
        let size = batch.size + batch.entries.len() as u64;
        let row = AuditLogRow { size, last: batch.last.clone(), ..row };
        self.audit_put(AuditBefore::Log(batch.log.clone(), Some(row)));
        for row in &batch.entries {
            self.audit_put(AuditBefore::Entry((row.log.clone(), row.index), Some(row.clone())));
        }
        for row in &batch.tiles {
            self.audit_put(AuditBefore::Tile((row.log.clone(), row.level, row.index), Some(row.clone())));
        }
        for row in &batch.contents {
            let key = (row.log.clone(), row.index, row.part.clone());
            self.audit_put(AuditBefore::Content(key, Some(row.clone())));
        }
        Ok(true)
    }

    async fn audit_sign(&mut self, row: &AuditNoteRow, keep: bool) -> Result<bool, StoreError> {
        fits("a checkpoint", &row.note, AUDIT_NOTE_BYTES_MAX)?;
        let log = self.audit_row(&row.log);
        if log.size < row.size || log.signed > row.size {
            return Ok(false);
        }
        let log = AuditLogRow { signed: row.size, checkpoint: row.note.clone(), ..log };
        self.audit_put(AuditBefore::Log(row.log.clone(), Some(log)));
        if keep {
            self.audit_put(AuditBefore::Note((row.log.clone(), row.size), Some(row.clone())));
        }
        Ok(true)
    }

    async fn audit_hold(&mut self, log: &str, why: Option<&str>) -> Result<bool, StoreError> {
        fits("the reason of a hold", why.unwrap_or_default(), TEXT_BYTES_MAX)?;
        let Some(row) = self.state.audit.logs.get(log).cloned() else { return Ok(false) };
        let row = AuditLogRow { hold: why.map(str::to_owned), ..row };
        self.audit_put(AuditBefore::Log(log.to_owned(), Some(row)));
        Ok(true)
    }

    async fn audit_prune(&mut self, log: &str, below: u64) -> Result<u64, StoreError> {
        let row = self.audit_row(log);
        if row.hold.is_some() || below > row.size || below <= row.first {
            return Ok(0);
        }
        let old: Vec<u64> = (row.first..below).collect();
        for index in &old {
            self.audit_put(AuditBefore::Entry((log.to_owned(), *index), None));
        }
        let contents = self.state.audit.contents.keys().filter(|key| key.0 == log && key.1 < below);
        let contents = contents.cloned().collect();
        self.audit_forget(contents);
        self.audit_put(AuditBefore::Log(log.to_owned(), Some(AuditLogRow { first: below, ..row })));
        Ok(old.len() as u64)
    }

    async fn audit_content_erase(
        &mut self,
        log: &str,
        principal: Option<&str>,
        before: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        if self.audit_row(log).hold.is_some() {
            return Ok(0);
        }
        let old = self.state.audit.contents.iter().filter(|(_, row)| {
            row.log == log && row.at < before && principal.is_none_or(|principal| principal == row.principal)
        });
        let old = old.take(limit).map(|(key, _)| key.clone()).collect();
        Ok(self.audit_forget(old))
    }
}
