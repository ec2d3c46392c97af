//! Tasks and large values.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use model::Timestamp;

use super::{Before, Change, Memory, State, out_of_order};
use crate::limit::blob_part_fits;
use crate::{
    Guard, Record, StoreError, TaskChange, TaskFilter, TaskMade, TaskPhase, TaskPut, TaskRow, TaskStore,
    TaskTx, TaskUsage,
};

/// Where a task is looked for, besides by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Open, without an owner.
    Due(Timestamp),
    /// Open, with one.
    Owned(String),
    /// To be swept.
    Over(Timestamp),
}

impl Place {
    fn of(row: &TaskRow) -> Self {
        match (row.phase, &row.owner) {
            (TaskPhase::Open, None) => Self::Due(row.due),
            (TaskPhase::Open, Some(owner)) => Self::Owned(owner.clone()),
            (TaskPhase::Ended | TaskPhase::Gone, _) => Self::Over(row.due),
        }
    }
}

/// The key that no other may have.
fn key(row: &TaskRow) -> Option<&String> {
    row.key.as_ref().filter(|_| row.phase != TaskPhase::Gone)
}

#[derive(Debug, Default)]
pub(super) struct Tasks {
    rows: BTreeMap<String, TaskRow>,
    places: BTreeSet<(Place, String)>,
    keys: BTreeMap<String, String>,
}

impl Tasks {
    /// Puts a task in the place of the one of its name. What was there.
    pub(super) fn put(&mut self, id: &str, row: Option<TaskRow>) -> Option<TaskRow> {
        let before = self.rows.remove(id);
        if let Some(before) = &before {
            self.places.remove(&(Place::of(before), id.to_owned()));
            key(before).map(|key| self.keys.remove(key));
        }
        if let Some(row) = row {
            self.places.insert((Place::of(&row), id.to_owned()));
            key(&row).map(|key| self.keys.insert(key.clone(), id.to_owned()));
            self.rows.insert(id.to_owned(), row);
        }
        before
    }

    /// The tasks of these places, in their order.
    fn within(&self, first: Place, last: Place, limit: usize) -> impl Iterator<Item = &TaskRow> {
        let from = Bound::Included((first, String::new()));
        let places = self.places.range((from, Bound::Unbounded)).take_while(move |(place, _)| *place <= last);
        places.take(limit).filter_map(|(_, id)| self.rows.get(id))
    }
}

/// A large value.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    /// How many parts it has; `None`: it is not whole.
    parts: Option<u32>,
    expires: Timestamp,
    data: BTreeMap<u32, Bytes>,
}

pub(super) fn records(state: &State, all: &mut Vec<Record>) {
    all.extend(state.tasks.rows.values().cloned().map(Record::Task));
    for (name, blob) in &state.blobs {
        all.push(Record::Blob { name: name.clone(), parts: blob.parts, expires: blob.expires });
        let parts = blob.data.iter();
        all.extend(parts.map(|(part, data)| Record::BlobPart {
            name: name.clone(),
            part: *part,
            data: data.clone(),
        }));
    }
}

#[async_trait]
impl TaskStore for Memory {
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
        Ok(self.state.lock().await.open()?.tasks.rows.get(id).cloned())
    }

    async fn task_versions(&self, ids: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        let state = self.state.lock().await;
        let rows = &state.open()?.tasks.rows;
        let ids: BTreeSet<&String> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(|id| rows.get(id).map(|row| (id.clone(), row.version))).collect())
    }

    async fn tasks_due(&self, now: Timestamp, limit: usize) -> Result<Vec<TaskRow>, StoreError> {
        let state = self.state.lock().await;
        let due = state.open()?.tasks.within(Place::Due(Timestamp(0)), Place::Due(now), limit);
        Ok(due.cloned().collect())
    }

    async fn task_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let state = self.state.lock().await;
        let (first, last) = (Place::Due(Timestamp(0)), Place::Due(Timestamp(u64::MAX)));
        Ok(state.open()?.tasks.within(first, last, 1).next().map(|row| row.due))
    }

    async fn task_owners(&self) -> Result<Vec<String>, StoreError> {
        let state = self.state.lock().await;
        let (first, last) = (Place::Owned(String::new()), Place::Over(Timestamp(0)));
        let owned = state.open()?.tasks.within(first, last, usize::MAX);
        let owners: BTreeSet<String> =
            owned.filter(|row| row.phase == TaskPhase::Open).filter_map(|row| row.owner.clone()).collect();
        Ok(owners.into_iter().collect())
    }

    async fn tasks_owned(&self, owner: &str, limit: usize) -> Result<Vec<TaskRow>, StoreError> {
        let state = self.state.lock().await;
        let place = Place::Owned(owner.to_owned());
        Ok(state.open()?.tasks.within(place.clone(), place, limit).cloned().collect())
    }

    async fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<TaskRow>, StoreError> {
        let state = self.state.lock().await;
        let end = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = state.open()?.tasks.rows.range::<str, _>((Bound::Unbounded, end)).rev();
        let fits = |row: &&TaskRow| {
            filter.holder.as_ref().is_none_or(|holder| *holder == row.holder)
                && filter.tenant.as_ref().is_none_or(|tenant| *tenant == row.tenant)
                && filter.phase.map_or(row.phase != TaskPhase::Gone, |phase| phase == row.phase)
        };
        let heads = rows.map(|(_, row)| row).filter(fits).take(limit).cloned();
        Ok(heads.map(|row| TaskRow { call: Bytes::new(), outcome: Bytes::new(), ..row }).collect())
    }

    async fn task_usage(&self) -> Result<Vec<TaskUsage>, StoreError> {
        let state = self.state.lock().await;
        let mut usage: BTreeMap<&String, (u64, u64)> = BTreeMap::new();
        for row in state.open()?.tasks.rows.values().filter(|row| row.phase != TaskPhase::Gone) {
            let sums = usage.entry(&row.tenant).or_default();
            *sums = (sums.0 + 1, sums.1 + row.bytes());
        }
        let usage = usage.into_iter();
        Ok(usage.map(|(tenant, (tasks, bytes))| TaskUsage { tenant: tenant.clone(), tasks, bytes }).collect())
    }

    async fn blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        let state = self.state.lock().await;
        let Some(blob) = state.open()?.blobs.get(name).filter(|blob| blob.parts.is_some()) else {
            return Ok(None);
        };
        let mut whole = BytesMut::with_capacity(blob.data.values().map(Bytes::len).sum());
        blob.data.values().for_each(|data| whole.extend_from_slice(data));
        Ok(Some(whole.freeze()))
    }
}

impl Change {
    fn task_set(&mut self, id: &str, row: Option<TaskRow>) {
        let before = self.state.tasks.put(id, row);
        self.undo.push(Before::Task(id.to_owned(), before));
    }

    fn blob_set(&mut self, name: &str, blob: Option<Blob>) {
        let before = match blob {
            Some(blob) => self.state.blobs.insert(name.to_owned(), blob),
            None => self.state.blobs.remove(name),
        };
        self.undo.push(Before::Blob(name.to_owned(), before));
    }

    fn holds(&self, guard: Guard<'_>) -> bool {
        let lease = self.state.leases.get(guard.name);
        lease.is_some_and(|row| row.fence == guard.fence && row.owner.as_deref() == Some(guard.owner))
    }

    pub(super) fn task_record(&mut self, row: TaskRow) -> Result<(), StoreError> {
        let tasks = &self.state.tasks;
        if tasks.rows.contains_key(&row.id) || key(&row).is_some_and(|key| tasks.keys.contains_key(key)) {
            return Err(StoreError::Conflict);
        }
        let id = row.id.clone();
        self.task_set(&id, Some(row));
        Ok(())
    }

    pub(super) fn blob_record(
        &mut self,
        name: &str,
        parts: Option<u32>,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        if self.state.blobs.contains_key(name) {
            return Err(StoreError::Conflict);
        }
        self.blob_set(name, Some(Blob { parts, expires, data: BTreeMap::new() }));
        Ok(())
    }

    pub(super) fn blob_part_record(&mut self, name: &str, part: u32, data: Bytes) -> Result<(), StoreError> {
        let blob = self.state.blobs.get(name).cloned();
        let mut blob = blob.ok_or_else(|| out_of_order("a part of a large value"))?;
        if blob.data.insert(part, data).is_some() {
            return Err(StoreError::Conflict);
        }
        self.blob_set(name, Some(blob));
        Ok(())
    }
}

#[async_trait]
impl TaskTx for Change {
    async fn task_create(&mut self, row: &TaskRow) -> Result<TaskMade, StoreError> {
        row.fits()?;
        if let Some(same) = key(row).and_then(|key| self.state.tasks.keys.get(key)) {
            return Ok(TaskMade::Same(same.clone()));
        }
        self.task_record(row.clone())?;
        Ok(TaskMade::Done)
    }

    async fn task_put(
        &mut self,
        change: &TaskChange,
        guard: Option<Guard<'_>>,
    ) -> Result<TaskPut, StoreError> {
        change.fits()?;
        if guard.is_some_and(|guard| !self.holds(guard)) {
            return Ok(TaskPut::Fenced);
        }
        let tasks = &self.state.tasks;
        let Some(row) = tasks.rows.get(&change.id).filter(|row| row.version == change.version) else {
            return Ok(TaskPut::Stale);
        };
        let TaskChange { phase, owner, due, head, outcome, .. } = change.clone();
        let version = row.version.saturating_add(1);
        let mut row = TaskRow { phase, owner, due, version, head, ..row.clone() };
        if phase != TaskPhase::Open {
            row.call = Bytes::new();
        }
        row.outcome = match phase {
            TaskPhase::Ended => outcome.unwrap_or(row.outcome),
            TaskPhase::Open | TaskPhase::Gone => Bytes::new(),
        };
        if key(&row).is_some_and(|key| tasks.keys.get(key).is_some_and(|other| *other != row.id)) {
            return Err(StoreError::Conflict);
        }
        self.task_set(&change.id, Some(row));
        Ok(TaskPut::Done)
    }

    async fn task_sweep(
        &mut self,
        now: Timestamp,
        tombstone_ms: u64,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let due = self.state.tasks.within(Place::Over(Timestamp(0)), Place::Over(now), limit);
        let due: Vec<TaskRow> = due.cloned().collect();
        for row in &due {
            let stays = row.phase == TaskPhase::Ended && tombstone_ms > 0;
            let gone = stays.then(|| TaskRow {
                phase: TaskPhase::Gone,
                owner: None,
                due: Timestamp(now.0.saturating_add(tombstone_ms)),
                version: row.version.saturating_add(1),
                call: Bytes::new(),
                outcome: Bytes::new(),
                ..row.clone()
            });
            self.task_set(&row.id, gone);
        }
        Ok(due.len() as u64)
    }

    async fn blob_put(
        &mut self,
        name: &str,
        part: u32,
        data: &Bytes,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        blob_part_fits(name, part, data)?;
        let blob = self.state.blobs.get(name).cloned();
        let mut blob = blob.unwrap_or_else(|| Blob { parts: None, expires, data: BTreeMap::new() });
        if blob.parts.is_some() || blob.data.insert(part, data.clone()).is_some() {
            return Err(StoreError::Conflict);
        }
        blob.expires = blob.expires.max(expires);
        self.blob_set(name, Some(blob));
        Ok(())
    }

    async fn blob_keep(&mut self, name: &str, parts: u32, expires: Timestamp) -> Result<bool, StoreError> {
        let Some(blob) = self.state.blobs.get(name) else { return Ok(false) };
        if parts == 0 || !blob.data.keys().copied().eq(0..parts) {
            return Ok(false);
        }
        let blob = Blob { parts: Some(parts), expires, ..blob.clone() };
        self.blob_set(name, Some(blob));
        Ok(true)
    }

    async fn blob_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let old = self.state.blobs.iter().filter(|(_, blob)| blob.expires <= now);
        let mut old: Vec<(Timestamp, String)> =
            old.map(|(name, blob)| (blob.expires, name.clone())).collect();
        old.sort_unstable();
        let mut swept = 0;
        for (_, name) in old {
            if swept == limit {
                break;
            }
            let Some(mut blob) = self.state.blobs.get(&name).cloned() else { continue };
            let taken: Vec<u32> = blob.data.keys().copied().take(limit - swept).collect();
            swept += taken.len();
            taken.iter().for_each(|part| drop(blob.data.remove(part)));
            blob.parts = None;
            let rest = (!blob.data.is_empty()).then_some(blob);
            self.blob_set(&name, rest);
        }
        Ok(swept as u64)
    }
}
