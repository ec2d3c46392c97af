//! A store that fails when it is told to.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use tokio::sync::watch;

use crate::{
    Appended, AuditBatch, AuditContentRow, AuditEntryRow, AuditFilter, AuditLogRow, AuditNoteRow, AuditStore,
    AuditTx, Budget, BudgetAsk, BudgetGrant, BudgetRow, BudgetStore, BudgetTx, Changed, Fence, GrantFilter,
    GrantRow, GrantStore, GrantTx, Guard, KeyRow, LeaseRow, Record, RecordSink, ReplicaRow, Seq, SessionRow,
    Store, StoreError, StreamLimits, StreamPart, TaskChange, TaskFilter, TaskMade, TaskPut, TaskRow,
    TaskStore, TaskTx, TaskUsage, Tx,
};

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Before it does anything, as if the database could not be reached.
    Before,
    /// Before it does anything, as if too many waited.
    Busy,
    /// It is done, and the answer is lost. Of operations before a commit nothing stays.
    After,
    /// It is not done, and nobody knows: what a commit says whose connection broke.
    Unknown,
}

/// A commit that has not begun.
pub type Commit = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A network between a process and its store, for simulations.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Brings an operation to the store. Its number, for [`Wire::back`].
    ///
    /// # Errors
    /// Where nothing says that it has come there.
    async fn there(&self) -> Result<u64, StoreError>;

    /// Brings the answer to this operation back.
    ///
    /// # Errors
    /// Where it does not come.
    async fn back(&self, operation: u64) -> Result<(), StoreError>;

    /// Brings a commit to the store, where it is made when it comes there, whoever waits for it by then, and
    /// brings its answer back.
    ///
    /// # Errors
    /// Those of the commit; [`StoreError::ambiguous`] where no answer comes.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;
}

/// Which operations fail, and how. Operations are counted from 0: each verb, read, begin and commit.
#[derive(Default)]
pub struct Faults {
    state: Mutex<(u64, Vec<(u64, Fault)>)>,
    /// All fail like this.
    down: Mutex<Option<Fault>>,
    /// All wait.
    silent: watch::Sender<bool>,
    /// All go through it.
    wire: Option<Arc<dyn Wire>>,
}

impl Faults {
    /// From now on the operation that comes after `later` others fails.
    pub fn fail(&self, later: u64, fault: Fault) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = state.0 + later;
        state.1.push((at, fault));
    }

    /// From now on every operation fails like this, or none that was not told to.
    pub fn down(&self, fault: Option<Fault>) {
        *self.down.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// From now on none fails that is not told to later.
    pub fn heal(&self) {
        self.down(None);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clear();
    }

    /// From now on every operation waits, before it does anything; or those that wait go on.
    pub fn silent(&self, silent: bool) {
        self.silent.send_replace(silent);
    }

    /// How many operations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn next(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = state.0;
        state.0 += 1;
        let own = state.1.iter().position(|(at, _)| *at == now).map(|found| state.1.swap_remove(found).1);
        own.or(*self.down.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does an operation, or fails it.
    async fn meet<T>(
        &self,
        commits: bool,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match &self.wire {
            Some(wire) if !commits => {
                let number = wire.there().await?;
                let done = self.fail_or(commits, operation).await;
                wire.back(number).await?;
                done
            }
            _ => self.fail_or(commits, operation).await,
        }
    }

    async fn fail_or<T>(
        &self,
        commits: bool,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // Its sender is `self`, so it cannot be gone.
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
        match self.next() {
            None => operation.await,
            Some(Fault::Before) => Err(StoreError::unavailable("an injected fault")),
            Some(Fault::Busy) => Err(StoreError::Busy),
            Some(Fault::Unknown) if commits => Err(StoreError::ambiguous("an injected fault")),
            Some(Fault::Unknown) => Err(StoreError::unavailable("an injected fault")),
            Some(Fault::After) => {
                operation.await?;
                let maybe_written = commits;
                Err(StoreError::Unavailable { maybe_written, source: "an injected fault".into() })
            }
        }
    }
}

/// A store with faults.
pub struct Faulty {
    inner: Arc<dyn Store>,
    faults: Arc<Faults>,
}

impl Faulty {
    /// Wraps a store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, faults: Arc::default() }
    }

    /// The same, and every operation goes through this network.
    #[must_use]
    pub fn behind(inner: Arc<dyn Store>, wire: Arc<dyn Wire>) -> Self {
        Self { inner, faults: Arc::new(Faults { wire: Some(wire), ..Faults::default() }) }
    }

    /// What fails.
    #[must_use]
    pub fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }
}

#[async_trait]
impl Store for Faulty {
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        let tx = self.faults.meet(false, self.inner.begin()).await?;
        Ok(Box::new(FaultyTx { tx, faults: Arc::clone(&self.faults) }))
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        self.faults.meet(false, self.inner.replicas()).await
    }

    async fn session(&self, name: &str) -> Result<Option<SessionRow>, StoreError> {
        self.faults.meet(false, self.inner.session(name)).await
    }

    async fn sessions_changed(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>, StoreError> {
        self.faults.meet(false, self.inner.sessions_changed(after, limit)).await
    }

    async fn sessions_seq(&self) -> Result<Seq, StoreError> {
        self.faults.meet(false, self.inner.sessions_seq()).await
    }

    async fn stream_from(
        &self,
        name: &str,
        from: u64,
        limit: usize,
    ) -> Result<Option<StreamPart>, StoreError> {
        self.faults.meet(false, self.inner.stream_from(name, from, limit)).await
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        self.faults.meet(false, self.inner.lease(name)).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        self.faults.meet(false, self.inner.keys()).await
    }

    async fn export(&self, to: &mut dyn RecordSink) -> Result<(), StoreError> {
        self.faults.meet(false, self.inner.export(to)).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.inner.wakes()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.faults.meet(false, self.inner.check()).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl TaskStore for Faulty {
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError> {
        self.faults.meet(false, self.inner.task(id)).await
    }

    async fn task_versions(&self, ids: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
        self.faults.meet(false, self.inner.task_versions(ids)).await
    }

    async fn tasks_due(&self, now: Timestamp, limit: usize) -> Result<Vec<TaskRow>, StoreError> {
        self.faults.meet(false, self.inner.tasks_due(now, limit)).await
    }

    async fn task_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.faults.meet(false, self.inner.task_next_due()).await
    }

    async fn task_owners(&self) -> Result<Vec<String>, StoreError> {
        self.faults.meet(false, self.inner.task_owners()).await
    }

    async fn tasks_owned(&self, owner: &str, limit: usize) -> Result<Vec<TaskRow>, StoreError> {
        self.faults.meet(false, self.inner.tasks_owned(owner, limit)).await
    }

    async fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<TaskRow>, StoreError> {
        self.faults.meet(false, self.inner.tasks(filter, after, limit)).await
    }

    async fn task_usage(&self) -> Result<Vec<TaskUsage>, StoreError> {
        self.faults.meet(false, self.inner.task_usage()).await
    }

    async fn blob(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.faults.meet(false, self.inner.blob(name)).await
    }
}

#[async_trait]
impl GrantStore for Faulty {
    async fn grant(&self, name: &str) -> Result<Option<GrantRow>, StoreError> {
        self.faults.meet(false, self.inner.grant(name)).await
    }

    async fn grants(
        &self,
        filter: &GrantFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<GrantRow>, StoreError> {
        self.faults.meet(false, self.inner.grants(filter, after, limit)).await
    }
}

#[async_trait]
impl BudgetStore for Faulty {
    async fn budgets(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<BudgetRow>, StoreError> {
        self.faults.meet(false, self.inner.budgets(prefix, after, limit)).await
    }
}

#[async_trait]
impl AuditStore for Faulty {
    async fn audit_log(&self, log: &str) -> Result<Option<AuditLogRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_log(log)).await
    }

    async fn audit_logs(&self, after: Option<&str>, limit: usize) -> Result<Vec<AuditLogRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_logs(after, limit)).await
    }

    async fn audit_entries(
        &self,
        log: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_entries(log, from, limit)).await
    }

    async fn audit_query(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_query(filter, before, limit)).await
    }

    async fn audit_unclosed(&self, writer: &str, limit: usize) -> Result<Vec<AuditEntryRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_unclosed(writer, limit)).await
    }

    async fn audit_tile(&self, log: &str, level: u32, index: u64) -> Result<Option<Bytes>, StoreError> {
        self.faults.meet(false, self.inner.audit_tile(log, level, index)).await
    }

    async fn audit_contents(&self, log: &str, index: u64) -> Result<Vec<AuditContentRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_contents(log, index)).await
    }

    async fn audit_notes(&self, log: &str) -> Result<Vec<AuditNoteRow>, StoreError> {
        self.faults.meet(false, self.inner.audit_notes(log)).await
    }
}

struct FaultyTx {
    tx: Box<dyn Tx>,
    faults: Arc<Faults>,
}

/// Each verb of a transaction, met by the faults.
macro_rules! met {
    (
        $port:ident { $($own:tt)* }
        $($(#[$note:meta])* $verb:ident($($name:ident: $kind:ty),*) -> $done:ty;)*
    ) => {
        #[async_trait]
        impl $port for FaultyTx {
            $($own)*

            $($(#[$note])* async fn $verb(&mut self, $($name: $kind),*) -> Result<$done, StoreError> {
                self.faults.meet(false, self.tx.$verb($($name),*)).await
            })*
        }
    };
}

met! {
    Tx {
        async fn commit(self: Box<Self>) -> Result<(), StoreError> {
            match &self.faults.wire {
                Some(wire) => self.faults.meet(true, wire.commit(self.tx.commit())).await,
                None => self.faults.meet(true, self.tx.commit()).await,
            }
        }
    }
    replica_beat(row: &ReplicaRow) -> ();
    replica_leave(id: &ReplicaId) -> ();
    replica_sweep(before: Timestamp) -> u64;
    session_level_set(name: &str, level: &str, expires: Timestamp) -> Changed;
    session_subscribe(name: &str, uri: &str, max: usize, expires: Timestamp) -> Changed;
    session_unsubscribe(name: &str, uri: &str, expires: Timestamp) -> Changed;
    session_end(name: &str, expires: Timestamp) -> Changed;
    session_sweep(now: Timestamp) -> u64;
    stream_append(
        name: &str,
        session: &str,
        first: u64,
        events: &[Bytes],
        limits: StreamLimits,
        expires: Timestamp
    ) -> Appended;
    stream_close(name: &str, expires: Timestamp) -> bool;
    stream_drop(name: &str) -> bool;
    stream_sweep(now: Timestamp) -> u64;
    lease_take(name: &str, owner: &str, now: Timestamp, until: Timestamp) -> Option<Fence>;
    lease_renew(name: &str, owner: &str, fence: Fence, until: Timestamp) -> bool;
    lease_release(name: &str, owner: &str, fence: Fence) -> bool;
    lease_sweep(prefix: &str, before: Timestamp) -> u64;
    key_add(row: &KeyRow) -> bool;
    key_retire(id: &str, at: Option<Timestamp>) -> bool;
    key_sweep(before: Timestamp) -> u64;
    record_put(record: &Record) -> ();
}

met! {
    TaskTx {}
    task_create(row: &TaskRow) -> TaskMade;
    task_put(change: &TaskChange, guard: Option<Guard<'_>>) -> TaskPut;
    task_sweep(now: Timestamp, tombstone_ms: u64, limit: usize) -> u64;
    blob_put(name: &str, part: u32, data: &Bytes, expires: Timestamp) -> ();
    blob_keep(name: &str, parts: u32, expires: Timestamp) -> bool;
    blob_sweep(now: Timestamp, limit: usize) -> u64;
}

met! {
    GrantTx {}
    grant_put(row: &GrantRow) -> bool;
    grant_remove(name: &str) -> bool;
    grant_sweep(now: Timestamp, limit: usize) -> u64;
}

met! {
    BudgetTx {}
    budget_lease(ask: &BudgetAsk<'_>) -> BudgetGrant;
    budget_return(name: &str, budget: Budget, amount: u64) -> bool;
    budget_sweep(now: Timestamp, limit: usize) -> u64;
}

met! {
    AuditTx {}
    audit_append(batch: &AuditBatch) -> bool;
    audit_sign(row: &AuditNoteRow, keep: bool) -> bool;
    audit_hold(log: &str, why: Option<&str>) -> bool;
    audit_prune(log: &str, below: u64) -> u64;
    audit_content_erase(log: &str, principal: Option<&str>, before: Timestamp, limit: usize) -> u64;
}
