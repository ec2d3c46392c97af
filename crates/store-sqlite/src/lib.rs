//! The store of one replica: SQLite inside the process.
//!
//! One connection writes, and shares each COMMIT (and its fsync) among all transactions that are ready for
//! it; some others read. Write-ahead log, `synchronous=FULL`: what was committed outlives a power cut.
//! Several processes on one machine may have the same file open, as while one takes over from another.

mod audit;
mod budgets;
mod check;
mod export;
mod failure;
mod grants;
mod migrate;
mod open;
mod packs;
mod read;
mod rows;
mod task_reads;
mod task_verbs;
mod tx;
mod writer;

use std::path::Path;

use async_trait::async_trait;
use model::Timestamp;
use sqlx::SqlitePool;
use store::{
    AuditWrite, KeyRow, LeaseRow, RecordSink, ReplicaRow, Seq, SessionRow, Store, StoreError, StreamPart, Tx,
};
use tokio::sync::watch;

use writer::Writer;

pub use migrate::{LATEST, migrate, version};

/// A store in a file.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens a store, makes it where there is none, and brings it to the schema of this program. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Schema`] where a newer program has written it; others where the file cannot be used.
    pub async fn open(file: &Path, now: Timestamp) -> Result<Self, StoreError> {
        open::prepare(file)?;
        let mut connection = open::writer(file).await?;
        migrate::to(&mut connection, LATEST, now).await?;
        let readers = open::readers(file);
        Ok(Self { writer: Writer::start(file.to_owned(), connection), readers })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        Ok(Box::new(tx::Change::new(self.writer.begin().await?)))
    }

    async fn audit_write(&self, writes: &[AuditWrite]) -> Result<bool, StoreError> {
        // A batch of nothing has no pack whose row could refuse it.
        if writes.is_empty() || writes.iter().any(|write| write.batch.entries.is_empty()) {
            return store::audit_write_by_verbs(self, writes).await;
        }
        self.packs_write(writes).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        read::replicas(&self.readers).await
    }

    async fn session(&self, name: &str) -> Result<Option<SessionRow>, StoreError> {
        read::session(&self.readers, name).await
    }

    async fn sessions_changed(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>, StoreError> {
        read::sessions_changed(&self.readers, after, limit).await
    }

    async fn sessions_seq(&self) -> Result<Seq, StoreError> {
        read::sessions_seq(&self.readers).await
    }

    async fn stream_from(
        &self,
        name: &str,
        from: u64,
        limit: usize,
    ) -> Result<Option<StreamPart>, StoreError> {
        read::stream_from(&self.readers, name, from, limit).await
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        read::lease(&self.readers, name).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        read::keys(&self.readers).await
    }

    async fn export(&self, to: &mut dyn RecordSink) -> Result<(), StoreError> {
        export::export(&self.readers, to).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.writer.wakes()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        check::check(&self.readers).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
