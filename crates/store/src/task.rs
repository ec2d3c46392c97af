//! Tasks, as they are stored, and the verbs on them.
//!
//! What may become of a task is decided in `model::task`. A store keeps records, gives them out by what has
//! to be done about them, and lets one writer at a time go on from what he has read.

use async_trait::async_trait;
use bytes::Bytes;
use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::row::{base64_bytes, ms};
use crate::{Fence, StoreError};

/// What has to be done about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// It waits for a worker, or has one.
    Open,
    /// It has ended; its outcome is kept.
    Ended,
    /// Only that it was there is known.
    Gone,
}

impl TaskPhase {
    /// As a number, for tables.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Ended => 1,
            Self::Gone => 2,
        }
    }

    /// The phase of a number; `None` where it is none.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        [Self::Open, Self::Ended, Self::Gone].into_iter().find(|phase| i64::from(phase.number()) == number)
    }
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its name, which sorts by when it was made.
    pub id: String,
    /// Whose share it counts to.
    pub tenant: String,
    /// Who may ask for it, as one text.
    pub holder: String,
    /// What makes a repeated creation the same task; `None`: nothing does.
    pub key: Option<String>,
    /// What has to be done about it.
    pub phase: TaskPhase,
    /// The worker that has it; `None`: none.
    pub owner: Option<String>,
    /// Open and without a worker: when it may be claimed. Otherwise: when it passes to the next phase, or is
    /// forgotten. (Of an open one with a worker the store makes nothing of it.)
    #[serde(with = "ms")]
    pub due: Timestamp,
    /// Counted up by whoever changes it.
    pub version: u64,
    /// Its record, as whoever wrote it wants it back.
    #[serde(with = "base64_bytes")]
    pub head: Bytes,
    /// The call that it makes. Empty once it has ended.
    #[serde(with = "base64_bytes")]
    pub call: Bytes,
    /// What it came to. Empty before its end, and once it is gone.
    #[serde(with = "base64_bytes")]
    pub outcome: Bytes,
}

impl TaskRow {
    /// What it counts for in its tenant's share.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        [&self.head, &self.call, &self.outcome].iter().map(|part| part.len() as u64).sum()
    }
}

/// A task as it becomes. Its name, tenant, holder and key stay. Its call stays while it is open, and goes
/// with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    /// Which.
    pub id: String,
    /// Its version as it was read. It becomes one more.
    pub version: u64,
    /// As in [`TaskRow`].
    pub phase: TaskPhase,
    /// As in [`TaskRow`].
    pub owner: Option<String>,
    /// As in [`TaskRow`].
    pub due: Timestamp,
    /// As in [`TaskRow`].
    pub head: Bytes,
    /// As in [`TaskRow`], and kept of a task that has ended alone; `None`: it stays as it is.
    pub outcome: Option<Bytes>,
}

/// What became of a new task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskMade {
    /// It is there.
    Done,
    /// Nothing was made, as there is one of this key already: its name.
    Same(String),
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskPut {
    /// It is made.
    Done,
    /// Nothing was changed: another change was made meanwhile, or the task is forgotten.
    Stale,
    /// Nothing was changed: whoever makes it has lost his lease. (This is said first where both are true.)
    Fenced,
}

/// A lease that somebody must hold for a change of his to be made. One that ran out and that nobody took is
/// held, as for [`crate::Tx::lease_renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard<'a> {
    /// The lease.
    pub name: &'a str,
    /// Its holder.
    pub owner: &'a str,
    /// Of his taking.
    pub fence: Fence,
}

/// Which tasks somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Those of this holder.
    pub holder: Option<String>,
    /// Those of this tenant.
    pub tenant: Option<String>,
    /// Those in this phase; `None`: all but those that are gone.
    pub phase: Option<TaskPhase>,
}

/// What a tenant has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskUsage {
    /// Who.
    pub tenant: String,
    /// Tasks that are open or have ended.
    pub tasks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Reading tasks. What is promised for [`crate::Store`] holds here, too.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// A task; `None` where there is none of this name.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task(&self, id: &str) -> Result<Option<TaskRow>, StoreError>;

    /// The versions of these tasks, each once, without those that are not there, in any order. Meant for up
    /// to 1,000 names.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task_versions(&self, ids: &[String]) -> Result<Vec<(String, u64)>, StoreError>;

    /// Tasks that are open, have no owner and may be claimed now, those first that have been due the longest
    /// (and of those, by name); at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn tasks_due(&self, now: Timestamp, limit: usize) -> Result<Vec<TaskRow>, StoreError>;

    /// When the next open task without an owner may be claimed; `None` where there is none.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task_next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Everyone who owns an open task, each once, by name.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task_owners(&self) -> Result<Vec<String>, StoreError>;

    /// The open tasks of an owner, by name, at most `limit`.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn tasks_owned(&self, owner: &str, limit: usize) -> Result<Vec<TaskRow>, StoreError>;

    /// Tasks that fit, the newest first (by name, downwards), after the one of the name `after` where there
    /// is one, at most `limit`; without their calls and outcomes, which are empty here.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn tasks(
        &self,
        filter: &TaskFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<TaskRow>, StoreError>;

    /// What each tenant has that has anything, by tenant. May be slow: it counts.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task_usage(&self) -> Result<Vec<TaskUsage>, StoreError>;

    /// A large value, its parts in order and as one; `None` where there is none, or it is not whole: not kept
    /// yet, or swept in part.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn blob(&self, name: &str) -> Result<Option<Bytes>, StoreError>;
}

/// Changing tasks. What is promised for [`crate::Tx`] holds here, too.
#[async_trait]
pub trait TaskTx: Send {
    /// Makes a task; [`TaskMade::Same`] where its key is that of one which is not gone, also of one that
    /// another transaction is making. (So a creation that is repeated as nobody knows whether it took place
    /// is answered with its own name, if it has a key.)
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; [`StoreError::Conflict`] where there is one of its name.
    async fn task_create(&mut self, row: &TaskRow) -> Result<TaskMade, StoreError>;

    /// Changes a task that nobody else has changed since it was read, and whose changer holds his lease.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; [`StoreError::Conflict`] where it is gone, was to come back, and its key has
    /// become that of another one.
    async fn task_put(
        &mut self,
        change: &TaskChange,
        guard: Option<Guard<'_>>,
    ) -> Result<TaskPut, StoreError>;

    /// Takes the calls and outcomes of tasks that have ended and are due, and says of them only that they
    /// were there, for `tombstone_ms` of milliseconds from then on, which may be none; forgets those that are
    /// gone and due. Each counts; at most `limit` in all, those first that have been due the longest. It is a
    /// change like others: the version becomes one more. A task whose `head` names a tombstone of its own is
    /// none of the store's business: the time is the same for all.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn task_sweep(
        &mut self,
        now: Timestamp,
        tombstone_ms: u64,
        limit: usize,
    ) -> Result<u64, StoreError>;

    /// Writes a part of a large value, the first of which is 0. Until [`TaskTx::blob_keep`] the value may be
    /// swept from `expires` of its parts on, the latest.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]; [`StoreError::Conflict`] where the part is there already, or the value is
    /// kept.
    async fn blob_put(
        &mut self,
        name: &str,
        part: u32,
        data: &Bytes,
        expires: Timestamp,
    ) -> Result<(), StoreError>;

    /// Says that a large value has so many parts and is kept until then, not longer, whatever was said
    /// before. `false` where it has not these, or others, too; nothing is changed then.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn blob_keep(&mut self, name: &str, parts: u32, expires: Timestamp) -> Result<bool, StoreError>;

    /// Forgets large values that have expired, at most `limit` parts, those first that expired first. Says
    /// how many parts. What is swept in part is whole no more.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn blob_sweep(&mut self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;
}
