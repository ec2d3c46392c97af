//! A store that ends with the process.

mod audit;
mod budgets;
mod grants;
mod tasks;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::limit::{EVENT_BYTES_MAX, LEVEL_BYTES_MAX, NAME_BYTES_MAX, URI_BYTES_MAX, fits};
use crate::{
    Appended, BudgetRow, Changed, Fence, GrantRow, KeyRow, LeaseRow, Record, RecordSink, ReplicaRow, Seq,
    SessionRow, Store, StoreError, StreamLimits, StreamPart, StreamRow, TaskRow, Tx,
};

use audit::{Audit, AuditBefore};
use tasks::{Blob, Tasks};

/// A stream with its events; those are kept from `head.first` on.
#[derive(Debug, Clone)]
struct Stream {
    head: StreamRow,
    events: Vec<Bytes>,
}

#[derive(Debug, Default)]
struct State {
    replicas: BTreeMap<ReplicaId, ReplicaRow>,
    sessions: BTreeMap<String, SessionRow>,
    /// The sessions by their last changes.
    changes: BTreeMap<Seq, String>,
    seq: Seq,
    streams: BTreeMap<String, Stream>,
    leases: BTreeMap<String, LeaseRow>,
    keys: BTreeMap<String, KeyRow>,
    grants: BTreeMap<String, GrantRow>,
    budgets: BTreeMap<String, BudgetRow>,
    tasks: Tasks,
    audit: Audit,
    blobs: BTreeMap<String, Blob>,
    closed: bool,
}

/// What something was before a transaction changed it.
enum Before {
    Replica(ReplicaId, Option<ReplicaRow>),
    Session(String, Option<SessionRow>),
    Seq(Seq),
    Stream(String, Option<Stream>),
    Lease(String, Option<LeaseRow>),
    Key(String, Option<KeyRow>),
    Grant(String, Option<GrantRow>),
    Budget(String, Option<BudgetRow>),
    Task(String, Option<TaskRow>),
    Blob(String, Option<Blob>),
    Audit(AuditBefore),
}

impl State {
    fn open(&self) -> Result<&Self, StoreError> {
        if self.closed { Err(StoreError::unavailable("the store is closed")) } else { Ok(self) }
    }

    fn put_session(&mut self, name: &str, row: Option<SessionRow>) -> Before {
        let before = match row {
            Some(row) => {
                self.changes.insert(row.seq, name.to_owned());
                self.sessions.insert(name.to_owned(), row)
            }
            None => self.sessions.remove(name),
        };
        if let Some(before) = &before
            && self.sessions.get(name).is_none_or(|now| now.seq != before.seq)
        {
            self.changes.remove(&before.seq);
        }
        Before::Session(name.to_owned(), before)
    }

    fn undo(&mut self, before: Before) {
        fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        match before {
            Before::Replica(id, row) => put(&mut self.replicas, id, row),
            Before::Session(name, row) => drop(self.put_session(&name, row)),
            Before::Seq(seq) => self.seq = seq,
            Before::Stream(name, stream) => put(&mut self.streams, name, stream),
            Before::Lease(name, row) => put(&mut self.leases, name, row),
            Before::Key(id, row) => put(&mut self.keys, id, row),
            Before::Grant(name, row) => put(&mut self.grants, name, row),
            Before::Budget(name, row) => put(&mut self.budgets, name, row),
            Before::Task(id, row) => drop(self.tasks.put(&id, row)),
            Before::Blob(name, blob) => put(&mut self.blobs, name, blob),
            Before::Audit(row) => drop(self.audit.put(row)),
        }
    }
}

/// A store in memory. Clones are the same store.
#[derive(Clone)]
pub struct Memory {
    state: Arc<Mutex<State>>,
    wakes: Arc<watch::Sender<u64>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { state: Arc::default(), wakes: Arc::new(watch::Sender::new(0)) }
    }
}

impl Memory {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Store for Memory {
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        let state = Arc::clone(&self.state).lock_owned().await;
        state.open()?;
        Ok(Box::new(Change { state, undo: Vec::new(), wakes: Arc::clone(&self.wakes) }))
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        Ok(self.state.lock().await.open()?.replicas.values().cloned().collect())
    }

    async fn session(&self, name: &str) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.state.lock().await.open()?.sessions.get(name).cloned())
    }

    async fn sessions_changed(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>, StoreError> {
        let state = self.state.lock().await;
        let later = state.open()?.changes.range(Seq(after.0.saturating_add(1))..);
        Ok(later.take(limit).map(|(seq, name)| (*seq, name.clone())).collect())
    }

    async fn sessions_seq(&self) -> Result<Seq, StoreError> {
        Ok(self.state.lock().await.open()?.seq)
    }

    async fn stream_from(
        &self,
        name: &str,
        from: u64,
        limit: usize,
    ) -> Result<Option<StreamPart>, StoreError> {
        let state = self.state.lock().await;
        let Some(stream) = state.open()?.streams.get(name) else { return Ok(None) };
        let numbered = (stream.head.first..).zip(&stream.events);
        let events = numbered.filter(|(number, _)| *number >= from).take(limit);
        let events = events.map(|(number, data)| (number, data.clone())).collect();
        Ok(Some(StreamPart { head: stream.head.clone(), events }))
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        Ok(self.state.lock().await.open()?.leases.get(name).cloned())
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        Ok(self.state.lock().await.open()?.keys.values().cloned().collect())
    }

    async fn export(&self, to: &mut dyn RecordSink) -> Result<(), StoreError> {
        // Taken as a whole, so that whoever takes it in slowly holds nobody up.
        let records = records(self.state.lock().await.open()?);
        for record in records {
            to.put(record).await?;
        }
        Ok(())
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.state.lock().await.open()?;
        Ok(Vec::new())
    }

    async fn close(&self) {
        self.state.lock().await.closed = true;
    }
}

fn records(state: &State) -> Vec<Record> {
    let mut all = vec![Record::Seq { seq: state.seq }];
    for (name, row) in &state.sessions {
        let SessionRow { seq, level, ended, expires, uris } = row.clone();
        all.push(Record::Session { name: name.clone(), seq, level, ended, expires });
        all.extend(uris.into_iter().map(|uri| Record::SessionUri { name: name.clone(), uri }));
    }
    for (name, stream) in &state.streams {
        let StreamRow { session, first, next, bytes, closed, expires } = stream.head.clone();
        all.push(Record::Stream { name: name.clone(), session, first, next, bytes, closed, expires });
        let events = (first..).zip(&stream.events);
        all.extend(events.map(|(number, data)| Record::StreamEvent {
            name: name.clone(),
            number,
            data: data.clone(),
        }));
    }
    for (name, row) in &state.leases {
        let LeaseRow { owner, fence, until } = row.clone();
        all.push(Record::Lease { name: name.clone(), owner, fence, until });
    }
    all.extend(state.keys.values().cloned().map(Record::Key));
    all.extend(state.grants.values().cloned().map(Record::Grant));
    all.extend(state.budgets.values().cloned().map(Record::Budget));
    tasks::records(state, &mut all);
    audit::records(state, &mut all);
    all
}

/// A transaction has the whole store to itself.
struct Change {
    state: OwnedMutexGuard<State>,
    undo: Vec<Before>,
    wakes: Arc<watch::Sender<u64>>,
}

impl Drop for Change {
    fn drop(&mut self) {
        while let Some(before) = self.undo.pop() {
            self.state.undo(before);
        }
    }
}

impl Change {
    /// Changes a session that was not ended.
    fn session_change(
        &mut self,
        name: &str,
        expires: Timestamp,
        change: impl FnOnce(&mut SessionRow) -> bool,
    ) -> Changed {
        let mut row = self.state.sessions.get(name).cloned().unwrap_or_default();
        if row.ended {
            return Changed::Ended;
        }
        if !change(&mut row) {
            return Changed::Full;
        }
        self.undo.push(Before::Seq(self.state.seq));
        self.state.seq = Seq(self.state.seq.0 + 1);
        row.seq = self.state.seq;
        row.expires = row.expires.max(expires);
        let seq = row.seq;
        let before = self.state.put_session(name, Some(row));
        self.undo.push(before);
        Changed::Done(seq)
    }

    fn stream_put(&mut self, name: &str, stream: Option<Stream>) {
        let before = match stream {
            Some(stream) => self.state.streams.insert(name.to_owned(), stream),
            None => self.state.streams.remove(name),
        };
        self.undo.push(Before::Stream(name.to_owned(), before));
    }

    fn lease_put(&mut self, name: &str, row: LeaseRow) {
        let before = self.state.leases.insert(name.to_owned(), row);
        self.undo.push(Before::Lease(name.to_owned(), before));
    }

    fn key_put(&mut self, row: KeyRow) {
        let id = row.id.clone();
        let before = self.state.keys.insert(id.clone(), row);
        self.undo.push(Before::Key(id, before));
    }

    fn replica_drop(&mut self, id: &ReplicaId) {
        let before = self.state.replicas.remove(id);
        self.undo.push(Before::Replica(id.clone(), before));
    }
}

/// The names of what fits a question.
fn chosen<K: Clone, V>(map: &BTreeMap<K, V>, fits: impl Fn(&V) -> bool) -> Vec<K> {
    map.iter().filter(|(_, value)| fits(value)).map(|(key, _)| key.clone()).collect()
}

#[async_trait]
impl Tx for Change {
    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        self.state.open()?;
        self.undo.clear();
        self.wakes.send_modify(|count| *count += 1);
        Ok(())
    }

    async fn replica_beat(&mut self, row: &ReplicaRow) -> Result<(), StoreError> {
        row.fits()?;
        let before = self.state.replicas.insert(row.id.clone(), row.clone());
        self.undo.push(Before::Replica(row.id.clone(), before));
        Ok(())
    }

    async fn replica_leave(&mut self, id: &ReplicaId) -> Result<(), StoreError> {
        self.replica_drop(id);
        Ok(())
    }

    async fn replica_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let old = chosen(&self.state.replicas, |row| row.at < before);
        old.iter().for_each(|id| self.replica_drop(id));
        Ok(old.len() as u64)
    }

    async fn session_level_set(
        &mut self,
        name: &str,
        level: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a log level", level, LEVEL_BYTES_MAX)?;
        Ok(self.session_change(name, expires, |row| {
            row.level = Some(level.to_owned());
            true
        }))
    }

    async fn session_subscribe(
        &mut self,
        name: &str,
        uri: &str,
        max: usize,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a URI", uri, URI_BYTES_MAX)?;
        Ok(self.session_change(name, expires, |row| {
            row.uris.contains(uri) || (row.uris.len() < max && row.uris.insert(uri.to_owned()))
        }))
    }

    async fn session_unsubscribe(
        &mut self,
        name: &str,
        uri: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        fits("a URI", uri, URI_BYTES_MAX)?;
        Ok(self.session_change(name, expires, |row| {
            row.uris.remove(uri);
            true
        }))
    }

    async fn session_end(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError> {
        fits("the name of a session", name, NAME_BYTES_MAX)?;
        Ok(self.session_change(name, expires, |row| {
            row.ended = true;
            row.uris.clear();
            true
        }))
    }

    async fn session_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let old = chosen(&self.state.sessions, |row| row.expires <= now);
        for name in &old {
            let before = self.state.put_session(name, None);
            self.undo.push(before);
        }
        Ok(old.len() as u64)
    }

    async fn stream_append(
        &mut self,
        name: &str,
        session: &str,
        first: u64,
        events: &[Bytes],
        limits: StreamLimits,
        expires: Timestamp,
    ) -> Result<Appended, StoreError> {
        fits("the name of a stream", name, NAME_BYTES_MAX)?;
        fits("the name of a session", session, NAME_BYTES_MAX)?;
        for event in events {
            fits("an event", event, EVENT_BYTES_MAX)?;
        }
        let head = self.state.streams.get(name).map(|stream| &stream.head);
        let head = match StreamRow::appended(head, session, first, events, limits, expires) {
            Ok(head) => head,
            Err(refused) => return Ok(refused),
        };
        let mut all = self.state.streams.get(name).map(|stream| stream.events.clone()).unwrap_or_default();
        all.extend_from_slice(events);
        self.stream_put(name, Some(Stream { head, events: all }));
        Ok(Appended::Done)
    }

    async fn stream_close(&mut self, name: &str, expires: Timestamp) -> Result<bool, StoreError> {
        let Some(mut stream) = self.state.streams.get(name).cloned() else { return Ok(false) };
        stream.head.closed = true;
        stream.head.expires = stream.head.expires.max(expires);
        self.stream_put(name, Some(stream));
        Ok(true)
    }

    async fn stream_drop(&mut self, name: &str) -> Result<bool, StoreError> {
        let found = self.state.streams.contains_key(name);
        self.stream_put(name, None);
        Ok(found)
    }

    async fn stream_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let old = chosen(&self.state.streams, |stream| stream.head.expires <= now);
        old.iter().for_each(|name| self.stream_put(name, None));
        Ok(old.len() as u64)
    }

    async fn lease_take(
        &mut self,
        name: &str,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Fence>, StoreError> {
        fits("the name of a lease", name, NAME_BYTES_MAX)?;
        fits("the name of an owner", owner, NAME_BYTES_MAX)?;
        let before = self.state.leases.get(name);
        let held = before
            .is_some_and(|row| row.until > now && row.owner.as_deref().is_some_and(|holder| holder != owner));
        if held {
            return Ok(None);
        }
        let fence = Fence(before.map_or(0, |row| row.fence.0) + 1);
        self.lease_put(name, LeaseRow { owner: Some(owner.to_owned()), fence, until });
        Ok(Some(fence))
    }

    async fn lease_renew(
        &mut self,
        name: &str,
        owner: &str,
        fence: Fence,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.state.leases.get(name) else { return Ok(false) };
        if row.fence != fence || row.owner.as_deref() != Some(owner) {
            return Ok(false);
        }
        let row = LeaseRow { until, ..row.clone() };
        self.lease_put(name, row);
        Ok(true)
    }

    async fn lease_release(&mut self, name: &str, owner: &str, fence: Fence) -> Result<bool, StoreError> {
        let Some(row) = self.state.leases.get(name) else { return Ok(false) };
        if row.fence != fence || row.owner.as_deref() != Some(owner) {
            return Ok(false);
        }
        let row = LeaseRow { owner: None, ..row.clone() };
        self.lease_put(name, row);
        Ok(true)
    }

    async fn lease_sweep(&mut self, prefix: &str, before: Timestamp) -> Result<u64, StoreError> {
        let old = self.state.leases.iter();
        let old = old.filter(|(name, row)| name.starts_with(prefix) && row.until < before);
        let old: Vec<String> = old.map(|(name, _)| name.clone()).collect();
        for name in &old {
            let row = self.state.leases.remove(name);
            self.undo.push(Before::Lease(name.clone(), row));
        }
        Ok(old.len() as u64)
    }

    async fn key_add(&mut self, row: &KeyRow) -> Result<bool, StoreError> {
        fits("the id of a key", &row.id, NAME_BYTES_MAX)?;
        if self.state.keys.contains_key(&row.id) {
            return Ok(false);
        }
        self.key_put(row.clone());
        Ok(true)
    }

    async fn key_retire(&mut self, id: &str, at: Option<Timestamp>) -> Result<bool, StoreError> {
        let Some(row) = self.state.keys.get(id) else { return Ok(false) };
        let row = KeyRow { retired_at: at, ..row.clone() };
        self.key_put(row);
        Ok(true)
    }

    async fn key_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let old = chosen(&self.state.keys, |row| row.retired_at.is_some_and(|at| at < before));
        for id in &old {
            let before = self.state.keys.remove(id);
            self.undo.push(Before::Key(id.clone(), before));
        }
        Ok(old.len() as u64)
    }

    async fn record_put(&mut self, record: &Record) -> Result<(), StoreError> {
        self.put(record)
    }
}

impl Change {
    fn put(&mut self, record: &Record) -> Result<(), StoreError> {
        match record.clone() {
            Record::Seq { seq } => {
                self.undo.push(Before::Seq(self.state.seq));
                self.state.seq = self.state.seq.max(seq);
            }
            Record::Session { name, seq, level, ended, expires } => {
                if self.state.sessions.contains_key(&name) || self.state.changes.contains_key(&seq) {
                    return Err(StoreError::Conflict);
                }
                let row = SessionRow { seq, level, ended, expires, ..SessionRow::default() };
                let before = self.state.put_session(&name, Some(row));
                self.undo.push(before);
            }
            Record::SessionUri { name, uri } => {
                let row = self.state.sessions.get(&name).cloned();
                let mut row = row.ok_or_else(|| out_of_order("a subscription"))?;
                if !row.uris.insert(uri) {
                    return Err(StoreError::Conflict);
                }
                let before = self.state.put_session(&name, Some(row));
                self.undo.push(before);
            }
            Record::Stream { name, session, first, next, bytes, closed, expires } => {
                if self.state.streams.contains_key(&name) {
                    return Err(StoreError::Conflict);
                }
                let head = StreamRow { session, first, next, bytes, closed, expires };
                self.stream_put(&name, Some(Stream { head, events: Vec::new() }));
            }
            Record::StreamEvent { name, number, data } => {
                let stream = self.state.streams.get(&name).cloned();
                let mut stream = stream.ok_or_else(|| out_of_order("an event"))?;
                if number != stream.head.first + stream.events.len() as u64 {
                    return Err(StoreError::Conflict);
                }
                stream.events.push(data);
                self.stream_put(&name, Some(stream));
            }
            Record::Lease { name, owner, fence, until } => {
                if self.state.leases.contains_key(&name) {
                    return Err(StoreError::Conflict);
                }
                self.lease_put(&name, LeaseRow { owner, fence, until });
            }
            Record::Key(row) => {
                if self.state.keys.contains_key(&row.id) {
                    return Err(StoreError::Conflict);
                }
                self.key_put(row);
            }
            Record::Grant(row) => return self.grant_record(row),
            Record::Budget(row) => return self.budget_record(row),
            Record::Task(row) => return self.task_record(row),
            Record::Blob { name, parts, expires } => return self.blob_record(&name, parts, expires),
            Record::BlobPart { name, part, data } => return self.blob_part_record(&name, part, data),
            record => return self.audit_record(record),
        }
        Ok(())
    }
}

fn out_of_order(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} comes before what it belongs to"))
}
