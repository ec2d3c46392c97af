//! The verbs.

use async_trait::async_trait;
use bytes::Bytes;
use model::{ReplicaId, Timestamp};
use tokio::sync::watch;

use crate::{
    Appended, AuditStore, AuditTx, AuditWrite, BudgetStore, BudgetTx, Changed, Fence, GrantStore, GrantTx,
    KeyRow, LeaseRow, Record, RecordSink, ReplicaRow, Seq, SessionRow, StoreError, StreamLimits, StreamPart,
    TaskStore, TaskTx,
};

/// [`Store::audit_write`] by the verbs of a transaction.
///
/// # Errors
/// Those of [`Store::audit_write`].
pub async fn audit_write_by_verbs<S: Store + ?Sized>(
    store: &S,
    writes: &[AuditWrite],
) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    for write in writes {
        write.fits()?;
        if !tx.audit_append(&write.batch).await? {
            return Ok(false);
        }
        if let Some(note) = &write.note
            && !tx.audit_sign(note, write.keep).await?
        {
            return Ok(false);
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// A store.
///
/// What is read is what some moment between the call and its end held: all of a committed transaction or
/// nothing of it. Every method can be called again after an error, and recovers once the database does.
#[async_trait]
pub trait Store: TaskStore + GrantStore + BudgetStore + AuditStore + Send + Sync {
    /// Begins to change something. Nothing that the transaction does is seen by others before its commit.
    ///
    /// # Errors
    /// [`StoreError::Busy`] where too many wait already, or wait too long.
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError>;

    /// Adds entries to logs, with their checkpoints, in a transaction of its own: all or none. `false` where
    /// one of the logs is not as its batch expects; nothing is changed then.
    ///
    /// What a call waits for is this, so a backend may do it with fewer steps than by a transaction's verbs.
    ///
    /// # Errors
    /// Those of [`Store::begin`], of the verbs and of a commit.
    async fn audit_write(&self, writes: &[AuditWrite]) -> Result<bool, StoreError> {
        audit_write_by_verbs(self, writes).await
    }

    /// The replicas that have told of themselves and not left, by name. Some of them may be dead.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError>;

    /// What a client changed in its session; `None` where it changed nothing.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn session(&self, name: &str) -> Result<Option<SessionRow>, StoreError>;

    /// The sessions that were changed after `after`, each once, in the order of their last changes; at most
    /// `limit`. Whoever goes on from the last that he got misses no change, also of transactions that run at
    /// the same time.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn sessions_changed(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>, StoreError>;

    /// The last change of any session. All changes up to it can be seen.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn sessions_seq(&self) -> Result<Seq, StoreError>;

    /// The events of a stream from the number `from` on, in order and without a gap, at most `limit`; `None`
    /// where there is no such stream.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn stream_from(
        &self,
        name: &str,
        from: u64,
        limit: usize,
    ) -> Result<Option<StreamPart>, StoreError>;

    /// Who holds a lease, or held it last; `None` where nobody ever did.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError>;

    /// The keys, by id.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError>;

    /// Gives everything that is held, as at one moment, in an order in which [`Tx::record_put`] takes it.
    ///
    /// # Errors
    /// Where the database cannot be reached, and those of `to`.
    async fn export(&self, to: &mut dyn RecordSink) -> Result<(), StoreError>;

    /// Changes whenever something was committed, here or by another process: a reason to look, which may come
    /// late or not at all.
    fn wakes(&self) -> watch::Receiver<u64>;

    /// Looks whether all is in order; what is not, in words.
    ///
    /// # Errors
    /// Where it cannot be looked at.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// Ends all connections. What is asked afterwards is refused.
    async fn close(&self);
}

/// A change under way. Dropped, it is undone; after an error of a verb it can only be dropped.
#[async_trait]
pub trait Tx: TaskTx + GrantTx + BudgetTx + AuditTx + Send {
    /// Makes the change. Once it returns, everyone sees it, also after a crash.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with `maybe_written` where the answer was lost: then all of it took place
    /// or nothing.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;

    /// A replica tells of itself, in place of what it told before.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn replica_beat(&mut self, row: &ReplicaRow) -> Result<(), StoreError>;

    /// A replica leaves.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn replica_leave(&mut self, id: &ReplicaId) -> Result<(), StoreError>;

    /// Forgets replicas that told of themselves last before this time. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn replica_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError>;

    /// Sets the log level of a session.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn session_level_set(
        &mut self,
        name: &str,
        level: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Subscribes a session to a resource; [`Changed::Full`] where it has `max` others already.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn session_subscribe(
        &mut self,
        name: &str,
        uri: &str,
        max: usize,
        expires: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Ends a subscription, whether there is one or not.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn session_unsubscribe(
        &mut self,
        name: &str,
        uri: &str,
        expires: Timestamp,
    ) -> Result<Changed, StoreError>;

    /// Ends a session for ever: [`Changed::Done`] the first time, [`Changed::Ended`] afterwards.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn session_end(&mut self, name: &str, expires: Timestamp) -> Result<Changed, StoreError>;

    /// Forgets sessions that have expired. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn session_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError>;

    /// Adds events to a stream, the first of them with the number `first`: all or none. A stream begins with
    /// the number of its first event, and belongs to the session that it began with.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn stream_append(
        &mut self,
        name: &str,
        session: &str,
        first: u64,
        events: &[Bytes],
        limits: StreamLimits,
        expires: Timestamp,
    ) -> Result<Appended, StoreError>;

    /// Nothing more will come. Says whether there is such a stream.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn stream_close(&mut self, name: &str, expires: Timestamp) -> Result<bool, StoreError>;

    /// Forgets a stream. Says whether there was one.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn stream_drop(&mut self, name: &str) -> Result<bool, StoreError>;

    /// Forgets streams that have expired. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn stream_sweep(&mut self, now: Timestamp) -> Result<u64, StoreError>;

    /// Takes a lease until `until`; `None` while another holds it. Each taking has a greater fence than all
    /// before, also one by whoever holds it already.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn lease_take(
        &mut self,
        name: &str,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Fence>, StoreError>;

    /// Holds a lease longer; `false` where it was taken again or given back. One that ran out and that nobody
    /// took is held on.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn lease_renew(
        &mut self,
        name: &str,
        owner: &str,
        fence: Fence,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a lease back; `false` where it is held no more.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn lease_release(&mut self, name: &str, owner: &str, fence: Fence) -> Result<bool, StoreError>;

    /// Forgets leases whose names begin so, and that ran out before this time. Only for names that nobody
    /// takes again: their fences are forgotten, too. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn lease_sweep(&mut self, prefix: &str, before: Timestamp) -> Result<u64, StoreError>;

    /// Adds a key; `false` where there is one of its id, which stays as it is.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]
    async fn key_add(&mut self, row: &KeyRow) -> Result<bool, StoreError>;

    /// Says when a key retires, or that it does not; `false` where there is none.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn key_retire(&mut self, id: &str, at: Option<Timestamp>) -> Result<bool, StoreError>;

    /// Forgets keys that retired before this time. Says how many.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    async fn key_sweep(&mut self, before: Timestamp) -> Result<u64, StoreError>;

    /// Puts a record of another store into this one, which holds nothing of the kind.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is something in its place.
    async fn record_put(&mut self, record: &Record) -> Result<(), StoreError>;
}
