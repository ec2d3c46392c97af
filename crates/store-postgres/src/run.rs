//! Statements with an end, and reads that are tried again where a connection was found cut.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use store::StoreError;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::pool::{Lease, Pool};

/// Waits for an answer, but not for ever.
pub(crate) async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(time, answer).await.unwrap_or(Err(Failure::TimedOut))
}

/// Reads something.
pub(crate) async fn read<T>(
    pool: &Pool,
    read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Failure>>,
) -> Result<T, StoreError> {
    let mut lease = pool.acquire().await?;
    let failure = match once(&mut lease, &read).await {
        Ok(found) => return Ok(found),
        Err(failure) => failure,
    };
    if !failure.is_worth_another_try() {
        return Err(failure.nothing_written());
    }
    drop(lease);
    pool.forget_idle();
    let mut lease = pool.acquire().await?;
    once(&mut lease, &read).await.map_err(Failure::nothing_written)
}

async fn once<T>(
    lease: &mut Lease,
    read: impl for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, Result<T, Failure>>,
) -> Result<T, Failure> {
    let time = lease.settings().answer();
    let found = within(time, read(lease.begin_use())).await;
    if found.as_ref().map_or_else(|failure| !failure.is_lost(), |_| true) {
        lease.used_well();
    }
    found
}

/// Begins a transaction, with another connection where the first was found cut.
pub(crate) async fn begin(pool: &Pool) -> Result<Lease, StoreError> {
    let mut lease = pool.acquire().await?;
    match begin_once(&mut lease).await {
        Ok(()) => return Ok(lease),
        Err(failure) if !failure.is_worth_another_try() => return Err(failure.nothing_written()),
        Err(_) => {}
    }
    drop(lease);
    pool.forget_idle();
    let mut lease = pool.acquire().await?;
    begin_once(&mut lease).await.map_err(Failure::nothing_written)?;
    Ok(lease)
}

async fn begin_once(lease: &mut Lease) -> Result<(), Failure> {
    let time = lease.settings().answer();
    let connection = lease.begin_use();
    within(time, async { Ok(connection.execute("BEGIN").await.map(drop)?) }).await
}
