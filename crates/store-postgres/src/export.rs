//! All that is held, as at one moment.

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};
use store::{LeaseRow, Record, RecordSink, Seq, SessionRow, StoreError, StreamRow};

use crate::failure::Failure;
use crate::pool::Pool;
use crate::rows;

pub(crate) async fn export(pool: &Pool, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let mut lease = pool.acquire().await?;
    let connection = lease.begin_use();
    let done = all(connection, to).await;
    if done.is_ok() {
        lease.used_well();
    }
    done.map_err(Failure::nothing_written)
}

async fn all(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    // Whoever takes it in may be slow.
    connection
        .execute("SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0")
        .await?;
    let seq: i64 = sqlx::query_scalar("SELECT seq FROM session_counter").fetch_one(&mut *connection).await?;
    to.put(Record::Seq { seq: Seq(u64::try_from(seq).unwrap_or(0)) }).await?;
    sessions(connection, to).await?;
    streams(connection, to).await?;
    let mut leases = sqlx::query("SELECT * FROM leases ORDER BY name").fetch(&mut *connection);
    while let Some(row) = leases.try_next().await? {
        let name = row.try_get("name")?;
        let LeaseRow { owner, fence, until } = rows::lease(&row)?;
        to.put(Record::Lease { name, owner, fence, until }).await?;
    }
    drop(leases);
    let mut keys = sqlx::query("SELECT * FROM keys ORDER BY id").fetch(&mut *connection);
    while let Some(row) = keys.try_next().await? {
        to.put(Record::Key(rows::key(&row)?)).await?;
    }
    drop(keys);
    let mut grants = sqlx::query("SELECT * FROM grants ORDER BY name").fetch(&mut *connection);
    while let Some(row) = grants.try_next().await? {
        to.put(Record::Grant(rows::grant(&row)?)).await?;
    }
    drop(grants);
    let mut budgets = sqlx::query("SELECT * FROM budgets ORDER BY name").fetch(&mut *connection);
    while let Some(row) = budgets.try_next().await? {
        to.put(Record::Budget(rows::budget(&row)?)).await?;
    }
    drop(budgets);
    let mut tasks = sqlx::query("SELECT * FROM tasks ORDER BY id").fetch(&mut *connection);
    while let Some(row) = tasks.try_next().await? {
        to.put(Record::Task(rows::task(&row)?)).await?;
    }
    drop(tasks);
    blobs(connection, to).await?;
    crate::audit::export(connection, to).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

async fn sessions(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    let query = "SELECT name, seq, level, ended, expires, uri FROM sessions \
                 LEFT JOIN session_uris USING (name) ORDER BY name, uri";
    let mut found = sqlx::query(query).fetch(connection);
    let mut last: Option<String> = None;
    while let Some(row) = found.try_next().await? {
        let name: String = row.try_get("name")?;
        if last.as_ref() != Some(&name) {
            let SessionRow { seq, level, ended, expires, .. } = rows::session(&row)?;
            to.put(Record::Session { name: name.clone(), seq, level, ended, expires }).await?;
        }
        if let Some(uri) = row.try_get::<Option<Vec<u8>>, _>("uri")? {
            to.put(Record::SessionUri { name: name.clone(), uri: rows::text(uri)? }).await?;
        }
        last = Some(name);
    }
    Ok(())
}

async fn streams(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    let heads = sqlx::query("SELECT * FROM streams ORDER BY name").fetch_all(&mut *connection).await?;
    for head in heads {
        let name: String = head.try_get("name")?;
        let StreamRow { session, first, next, bytes, closed, expires } = rows::stream(&head)?;
        to.put(Record::Stream { name: name.clone(), session, first, next, bytes, closed, expires }).await?;
        let query = "SELECT number, data FROM stream_events WHERE name = $1 ORDER BY number";
        let mut events = sqlx::query(query).bind(&name).fetch(&mut *connection);
        while let Some(row) = events.try_next().await? {
            let (number, data) = rows::event(&row)?;
            to.put(Record::StreamEvent { name: name.clone(), number, data }).await?;
        }
    }
    Ok(())
}

async fn blobs(connection: &mut PgConnection, to: &mut dyn RecordSink) -> Result<(), Failure> {
    let query = "SELECT name, parts, expires, part, data FROM blobs LEFT JOIN blob_parts USING (name) \
                 ORDER BY name, part";
    let number = |number: i32| u32::try_from(number).unwrap_or(0);
    let mut found = sqlx::query(query).fetch(connection);
    let mut last: Option<String> = None;
    while let Some(row) = found.try_next().await? {
        let name: String = row.try_get("name")?;
        if last.as_ref() != Some(&name) {
            let parts = row.try_get::<Option<i32>, _>("parts")?.map(number);
            let expires = rows::time(&row, "expires")?;
            to.put(Record::Blob { name: name.clone(), parts, expires }).await?;
        }
        if let Some(part) = row.try_get::<Option<i32>, _>("part")?.map(number) {
            to.put(Record::BlobPart { name: name.clone(), part, data: rows::bytes(&row, "data")? }).await?;
        }
        last = Some(name);
    }
    Ok(())
}
