//! The store of several replicas: PostgreSQL, 15 or later.
//!
//! Every wait has an end: for a connection, for a lock, for an answer. What was not committed is undone by
//! the database; where the answer to a COMMIT is lost, that is said. Wake-ups come by LISTEN, and are hints.

mod audit;
mod budgets;
mod check;
mod export;
mod failure;
mod grants;
mod herald;
mod listen;
mod migrate;
mod packs;
mod pool;
mod read;
mod rows;
mod run;
mod settings;
mod task_reads;
mod task_verbs;
mod tx;

use std::sync::Arc;

use async_trait::async_trait;
use model::Timestamp;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnection;
use store::{KeyRow, LeaseRow, RecordSink, ReplicaRow, Seq, SessionRow, Store, StoreError, StreamPart, Tx};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use failure::Failure;
use herald::Herald;
use pool::Pool;
use settings::Target;

pub use migrate::LATEST;
pub use settings::{Settings, UrlError};

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of no use.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A store in a schema of a database.
pub struct PostgresStore {
    pool: Pool,
    wakes: Arc<watch::Sender<u64>>,
    herald: Arc<Herald>,
    listener: AbortHandle,
}

impl PostgresStore {
    /// Opens a store, and brings it to the schema of this program. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Schema`] where a newer program has written it; others where the database cannot be used.
    pub async fn open(url: &str, settings: Settings, now: Timestamp) -> Result<Self, OpenError> {
        let target = Target::parse(url, &settings)?;
        let mut connection = connect(&target, &settings).await?;
        let migrated = migrate::to(&mut connection, &target.schema, LATEST, now).await;
        migrated.map_err(Failure::nothing_written)?;
        drop(connection);
        let wakes = Arc::new(watch::Sender::new(0));
        let listener = tokio::spawn(listen::run(target.clone(), settings, Arc::clone(&wakes)));
        let pool = Pool::new(target, settings);
        let herald = Herald::new(pool.clone());
        Ok(Self { pool, wakes, herald, listener: listener.abort_handle() })
    }
}

/// The version of the schema; 0 where there is none.
///
/// # Errors
/// Where the database cannot be used.
pub async fn version(url: &str) -> Result<u32, OpenError> {
    let settings = Settings::default();
    let target = Target::parse(url, &settings)?;
    let mut connection = connect(&target, &settings).await?;
    Ok(migrate::version(&mut connection).await.map_err(Failure::nothing_written)?)
}

/// Brings the schema to a version, forward or back, and says which one was found. Going back drops what the
/// step had made.
///
/// # Errors
/// [`StoreError::Schema`] where this program does not know the version; nothing was changed.
pub async fn migrate(url: &str, wanted: u32, now: Timestamp) -> Result<u32, OpenError> {
    let settings = Settings::default();
    let target = Target::parse(url, &settings)?;
    let mut connection = connect(&target, &settings).await?;
    let done = migrate::to(&mut connection, &target.schema, wanted, now).await;
    Ok(done.map_err(Failure::nothing_written)?)
}

async fn connect(target: &Target, settings: &Settings) -> Result<PgConnection, StoreError> {
    let connecting = async { Ok(target.connect.connect().await?) };
    run::within(settings.acquire, connecting).await.map_err(Failure::nothing_written)
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self) -> Result<Box<dyn Tx>, StoreError> {
        let lease = run::begin(&self.pool).await?;
        Ok(Box::new(tx::Change::new(lease, Arc::clone(&self.wakes), Arc::clone(&self.herald))))
    }

    async fn replicas(&self) -> Result<Vec<ReplicaRow>, StoreError> {
        read::replicas(&self.pool).await
    }

    async fn session(&self, name: &str) -> Result<Option<SessionRow>, StoreError> {
        read::session(&self.pool, name).await
    }

    async fn sessions_changed(&self, after: Seq, limit: usize) -> Result<Vec<(Seq, String)>, StoreError> {
        read::sessions_changed(&self.pool, after, limit).await
    }

    async fn sessions_seq(&self) -> Result<Seq, StoreError> {
        read::sessions_seq(&self.pool).await
    }

    async fn stream_from(
        &self,
        name: &str,
        from: u64,
        limit: usize,
    ) -> Result<Option<StreamPart>, StoreError> {
        read::stream_from(&self.pool, name, from, limit).await
    }

    async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        read::lease(&self.pool, name).await
    }

    async fn keys(&self) -> Result<Vec<KeyRow>, StoreError> {
        read::keys(&self.pool).await
    }

    async fn export(&self, to: &mut dyn RecordSink) -> Result<(), StoreError> {
        export::export(&self.pool, to).await
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        check::check(&self.pool).await
    }

    async fn close(&self) {
        self.listener.abort();
        self.pool.close().await;
    }
}
