//! The one connection that writes, and who has it.
//!
//! Transactions run one after the other, each in a savepoint of one SQLite transaction, and share its COMMIT
//! with those that wait already. A commit returns once that COMMIT, with its fsync, is through.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection as _, Error, SqliteConnection};
use store::StoreError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::failure::{failed, in_commit};
use crate::open;

/// Those who may wait for the connection; more are refused.
const WAITING_MAX: usize = 1024;
/// Transactions that share a COMMIT.
const GROUP_MAX: usize = 64;
/// How long the first of them waits for others that are ready.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// How long one waits for the connection.
const BEGIN_TIME: Duration = Duration::from_secs(10);

/// What a transaction that wants the connection gets.
type Granted = Result<Turn, StoreError>;
/// Who is told of a COMMIT.
type Told = oneshot::Sender<Result<(), StoreError>>;

/// The connection, for one transaction. It goes back when this is dropped.
pub(crate) struct Turn {
    connection: Option<SqliteConnection>,
    back: Option<oneshot::Sender<Returned>>,
}

/// The connection comes back, with somebody to be told if there is something to commit.
struct Returned {
    connection: SqliteConnection,
    commit: Option<Told>,
}

impl Turn {
    pub(crate) fn connection(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("it goes back at the end")
    }

    /// Commits, with others.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.give_back(Some(tell));
        told.await.unwrap_or_else(|_| Err(StoreError::ambiguous("the store was closed")))
    }

    fn give_back(&mut self, commit: Option<Told>) {
        if let (Some(connection), Some(back)) = (self.connection.take(), self.back.take()) {
            let _ = back.send(Returned { connection, commit });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.give_back(None);
    }
}

/// Hands the connection out.
pub(crate) struct Writer {
    requests: mpsc::Sender<oneshot::Sender<Granted>>,
    wakes: Arc<watch::Sender<u64>>,
    closing: watch::Sender<bool>,
}

impl Writer {
    pub(crate) fn start(file: PathBuf, connection: SqliteConnection) -> Self {
        let (requests, asked) = mpsc::channel(WAITING_MAX);
        let wakes = Arc::new(watch::Sender::new(0));
        let (closing, closed) = watch::channel(false);
        let holder = Holder { file, connection: Some(connection), wakes: Arc::clone(&wakes) };
        tokio::spawn(holder.run(asked, closed));
        Self { requests, wakes, closing }
    }

    pub(crate) fn wakes(&self) -> watch::Receiver<u64> {
        self.wakes.subscribe()
    }

    pub(crate) async fn begin(&self) -> Result<Turn, StoreError> {
        let (grant, granted) = oneshot::channel();
        match self.requests.try_send(grant) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Err(StoreError::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(closed()),
        }
        match tokio::time::timeout(BEGIN_TIME, granted).await {
            Ok(granted) => granted.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(StoreError::Busy),
        }
    }

    /// Ends the connection once those who have it or wait for it are done.
    pub(crate) async fn close(&self) {
        self.closing.send_replace(true);
        self.requests.closed().await;
    }
}

fn closed() -> StoreError {
    StoreError::unavailable("the store is closed")
}

/// Where the connection is while nobody has it.
struct Holder {
    file: PathBuf,
    /// `None` after it was of no use any more.
    connection: Option<SqliteConnection>,
    wakes: Arc<watch::Sender<u64>>,
}

impl Holder {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<oneshot::Sender<Granted>>,
        mut closing: watch::Receiver<bool>,
    ) {
        loop {
            let first = tokio::select! {
                biased;
                first = asked.recv() => first,
                _ = closing.wait_for(|closing| *closing) => None,
            };
            let Some(first) = first else { break };
            match self.connection().await {
                Ok(connection) => self.connection = self.group(connection, first, &mut asked).await,
                Err(error) => drop(first.send(Err(error))),
            }
        }
        if let Some(connection) = self.connection {
            // The log is written back with the last connection.
            let _ = connection.close().await;
        }
    }

    async fn connection(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => open::writer(&self.file).await,
        }
    }

    /// Lets transactions run until nobody waits or it is time, and commits them. The connection, if it is
    /// still of use.
    async fn group(
        &self,
        mut connection: SqliteConnection,
        first: oneshot::Sender<Granted>,
        asked: &mut mpsc::Receiver<oneshot::Sender<Granted>>,
    ) -> Option<SqliteConnection> {
        if let Err(error) = run(&mut connection, "BEGIN IMMEDIATE").await {
            let _ = first.send(Err(failed(error)));
            return Some(connection);
        }
        let begun = Instant::now();
        let mut ready: Vec<Told> = Vec::new();
        let mut next = Some(first);
        while let Some(grant) = next.take() {
            connection = match one(connection, grant, &mut ready).await {
                Some(connection) => connection,
                None => {
                    // Nothing of the group was committed: its transaction went with the connection.
                    for tell in ready {
                        let _ = tell.send(Err(StoreError::unavailable("the connection was lost")));
                    }
                    return None;
                }
            };
            if ready.len() < GROUP_MAX && begun.elapsed() < GROUP_TIME {
                next = asked.try_recv().ok();
            }
        }
        if ready.is_empty() {
            return run(&mut connection, "ROLLBACK").await.is_ok().then_some(connection);
        }
        match run(&mut connection, "COMMIT").await {
            Ok(()) => {
                self.wakes.send_modify(|count| *count += 1);
                ready.into_iter().for_each(|tell| drop(tell.send(Ok(()))));
                Some(connection)
            }
            Err(error) => {
                ready.into_iter().for_each(|tell| drop(tell.send(Err(in_commit(&error)))));
                // After an error of the disk nothing that this connection believes can be relied on.
                None
            }
        }
    }
}

/// Lets one transaction run. `None`: the connection is lost.
async fn one(
    mut connection: SqliteConnection,
    grant: oneshot::Sender<Granted>,
    ready: &mut Vec<Told>,
) -> Option<SqliteConnection> {
    if grant.is_closed() {
        return Some(connection);
    }
    if let Err(error) = run(&mut connection, "SAVEPOINT one").await {
        let _ = grant.send(Err(failed(error)));
        return None;
    }
    let (back, returned) = oneshot::channel();
    // Where nobody takes it, it comes back at once, by its drop.
    drop(grant.send(Ok(Turn { connection: Some(connection), back: Some(back) })));
    let Returned { mut connection, commit } = returned.await.ok()?;
    let end = if commit.is_some() { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" };
    match (run(&mut connection, end).await, commit) {
        (Ok(()), commit) => {
            ready.extend(commit);
            Some(connection)
        }
        (Err(error), commit) => {
            if let Some(tell) = commit {
                let _ = tell.send(Err(failed(error)));
            }
            None
        }
    }
}

async fn run(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(sql).execute(connection).await.map(drop)
}
