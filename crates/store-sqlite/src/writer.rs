//! The one connection that writes, and who has it.
//!
//! Transactions run one after the other, each in a savepoint of one SQLite transaction, and share its COMMIT
//! with those that wait already. A commit returns once that COMMIT, with its fsync, is through.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
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

/// Something that is done with the connection and has a transaction of its own, which it begins and ends.
#[async_trait]
pub(crate) trait Job: Send {
    /// Does it. Unless it says `true`, nothing of it stays.
    async fn run(self: Box<Self>, connection: &mut SqliteConnection) -> Result<bool, StoreError>;
}

/// Who wants the connection.
enum Ask {
    /// A transaction.
    Part(oneshot::Sender<Granted>),
    /// Something that is done here.
    Whole(Box<dyn Job>, oneshot::Sender<Result<bool, StoreError>>),
}

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
    requests: mpsc::Sender<Ask>,
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
        self.ask(Ask::Part(grant))?;
        match tokio::time::timeout(BEGIN_TIME, granted).await {
            Ok(granted) => granted.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(StoreError::Busy),
        }
    }

    /// Has something done in a transaction of its own, and waits until it is.
    pub(crate) async fn whole(&self, job: Box<dyn Job>) -> Result<bool, StoreError> {
        let (tell, told) = oneshot::channel();
        self.ask(Ask::Whole(job, tell))?;
        told.await.unwrap_or_else(|_| Err(StoreError::ambiguous("the store was closed")))
    }

    fn ask(&self, ask: Ask) -> Result<(), StoreError> {
        self.requests.try_send(ask).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
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
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>, mut closing: watch::Receiver<bool>) {
        // One that was met while a group was let run, and comes after it.
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => Some(first),
                None => tokio::select! {
                    biased;
                    first = asked.recv() => first,
                    _ = closing.wait_for(|closing| *closing) => None,
                },
            };
            let Some(first) = first else { break };
            match (self.connection().await, first) {
                (Ok(connection), Ask::Part(grant)) => {
                    (self.connection, next) = self.group(connection, grant, &mut asked).await;
                }
                (Ok(connection), Ask::Whole(job, tell)) => {
                    self.connection = self.whole(connection, job, tell).await;
                }
                (Err(error), Ask::Part(grant)) => drop(grant.send(Err(error))),
                (Err(error), Ask::Whole(_, tell)) => drop(tell.send(Err(error))),
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

    /// Does something that has a transaction of its own. The connection, if it is still of use.
    async fn whole(
        &self,
        mut connection: SqliteConnection,
        job: Box<dyn Job>,
        tell: oneshot::Sender<Result<bool, StoreError>>,
    ) -> Option<SqliteConnection> {
        if tell.is_closed() {
            return Some(connection);
        }
        let done = job.run(&mut connection).await;
        let kept = match done {
            Ok(true) => {
                self.wakes.send_modify(|count| *count += 1);
                Some(connection)
            }
            Ok(false) | Err(StoreError::Busy) => {
                run(&mut connection, "ROLLBACK").await.is_ok().then_some(connection)
            }
            // Its transaction goes with it, and whatever it believes of a disk that failed.
            Err(_) => None,
        };
        drop(tell.send(done));
        kept
    }

    /// Lets transactions run until nobody waits or it is time, and commits them. The connection, if it is
    /// still of use, and who comes next where that is known.
    async fn group(
        &self,
        mut connection: SqliteConnection,
        first: oneshot::Sender<Granted>,
        asked: &mut mpsc::Receiver<Ask>,
    ) -> (Option<SqliteConnection>, Option<Ask>) {
        if let Err(error) = run(&mut connection, "BEGIN IMMEDIATE").await {
            let _ = first.send(Err(failed(error)));
            return (Some(connection), None);
        }
        let begun = Instant::now();
        let mut ready: Vec<Told> = Vec::new();
        let (mut next, mut after) = (Some(first), None);
        while let Some(grant) = next.take() {
            connection = match one(connection, grant, &mut ready).await {
                Some(connection) => connection,
                None => {
                    // Nothing of the group was committed: its transaction went with the connection.
                    for tell in ready {
                        let _ = tell.send(Err(StoreError::unavailable("the connection was lost")));
                    }
                    return (None, None);
                }
            };
            if ready.len() < GROUP_MAX && begun.elapsed() < GROUP_TIME {
                match asked.try_recv() {
                    Ok(Ask::Part(grant)) => next = Some(grant),
                    Ok(whole) => after = Some(whole),
                    Err(_) => {}
                }
            }
        }
        (self.commit(connection, ready).await, after)
    }

    /// Commits what is ready, and tells those who wait for it.
    async fn commit(&self, mut connection: SqliteConnection, ready: Vec<Told>) -> Option<SqliteConnection> {
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
