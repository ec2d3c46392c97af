//! All that is held, as at one moment.

use futures_util::TryStreamExt as _;
use sqlx::{Row as _, SqliteConnection, SqlitePool};
use store::{LeaseRow, Record, RecordSink, Seq, SessionRow, StoreError, StreamRow};

use crate::failure::failed;
use crate::rows;

pub(crate) async fn export(readers: &SqlitePool, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let mut moment = readers.begin().await.map_err(failed)?;
    let seq: i64 = sqlx::query_scalar("SELECT seq FROM session_counter")
        .fetch_one(&mut *moment)
        .await
        .map_err(failed)?;
    to.put(Record::Seq { seq: Seq(u64::try_from(seq).unwrap_or(0)) }).await?;
    sessions(&mut moment, to).await?;
    streams(&mut moment, to).await?;
    let mut leases = sqlx::query("SELECT * FROM leases ORDER BY name").fetch(&mut *moment);
    while let Some(row) = leases.try_next().await.map_err(failed)? {
        let name = row.try_get("name").map_err(failed)?;
        let LeaseRow { owner, fence, until } = rows::lease(&row).map_err(failed)?;
        to.put(Record::Lease { name, owner, fence, until }).await?;
    }
    drop(leases);
    let mut keys = sqlx::query("SELECT * FROM keys ORDER BY id").fetch(&mut *moment);
    while let Some(row) = keys.try_next().await.map_err(failed)? {
        to.put(Record::Key(rows::key(&row)?)).await?;
    }
    drop(keys);
    let mut grants = sqlx::query("SELECT * FROM grants ORDER BY name").fetch(&mut *moment);
    while let Some(row) = grants.try_next().await.map_err(failed)? {
        to.put(Record::Grant(rows::grant(&row).map_err(failed)?)).await?;
    }
    drop(grants);
    let mut budgets = sqlx::query("SELECT * FROM budgets ORDER BY name").fetch(&mut *moment);
    while let Some(row) = budgets.try_next().await.map_err(failed)? {
        to.put(Record::Budget(rows::budget(&row).map_err(failed)?)).await?;
    }
    drop(budgets);
    let mut tasks = sqlx::query("SELECT * FROM tasks ORDER BY id").fetch(&mut *moment);
    while let Some(row) = tasks.try_next().await.map_err(failed)? {
        to.put(Record::Task(rows::task(&row)?)).await?;
    }
    drop(tasks);
    blobs(&mut moment, to).await?;
    crate::audit::export(&mut moment, to).await
}

async fn blobs(moment: &mut SqliteConnection, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let query = "SELECT name, parts, expires, part, data FROM blobs LEFT JOIN blob_parts USING (name) \
                 ORDER BY name, part";
    let mut found = sqlx::query(query).fetch(moment);
    let mut last: Option<String> = None;
    while let Some(row) = found.try_next().await.map_err(failed)? {
        let name: String = row.try_get("name").map_err(failed)?;
        if last.as_ref() != Some(&name) {
            let parts = row.try_get::<Option<u32>, _>("parts").map_err(failed)?;
            let expires = rows::time(&row, "expires").map_err(failed)?;
            to.put(Record::Blob { name: name.clone(), parts, expires }).await?;
        }
        if let Some(part) = row.try_get::<Option<u32>, _>("part").map_err(failed)? {
            let data = rows::bytes(&row, "data").map_err(failed)?;
            to.put(Record::BlobPart { name: name.clone(), part, data }).await?;
        }
        last = Some(name);
    }
    Ok(())
}

async fn sessions(moment: &mut SqliteConnection, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let query = "SELECT name, seq, level, ended, expires, uri FROM sessions \
                 LEFT JOIN session_uris USING (name) ORDER BY name, uri";
    let mut found = sqlx::query(query).fetch(moment);
    let mut last: Option<String> = None;
    while let Some(row) = found.try_next().await.map_err(failed)? {
        let name: String = row.try_get("name").map_err(failed)?;
        if last.as_ref() != Some(&name) {
            let SessionRow { seq, level, ended, expires, .. } = rows::session(&row).map_err(failed)?;
            to.put(Record::Session { name: name.clone(), seq, level, ended, expires }).await?;
        }
        if let Some(uri) = row.try_get("uri").map_err(failed)? {
            to.put(Record::SessionUri { name: name.clone(), uri }).await?;
        }
        last = Some(name);
    }
    Ok(())
}

async fn streams(moment: &mut SqliteConnection, to: &mut dyn RecordSink) -> Result<(), StoreError> {
    let heads = sqlx::query("SELECT * FROM streams ORDER BY name").fetch_all(&mut *moment).await;
    for head in heads.map_err(failed)? {
        let name: String = head.try_get("name").map_err(failed)?;
        let StreamRow { session, first, next, bytes, closed, expires } =
            rows::stream(&head).map_err(failed)?;
        to.put(Record::Stream { name: name.clone(), session, first, next, bytes, closed, expires }).await?;
        let query = "SELECT number, data FROM stream_events WHERE name = ? ORDER BY number";
        let mut events = sqlx::query(query).bind(&name).fetch(&mut *moment);
        while let Some(row) = events.try_next().await.map_err(failed)? {
            let (number, data) = rows::event(&row).map_err(failed)?;
            to.put(Record::StreamEvent { name: name.clone(), number, data }).await?;
        }
    }
    Ok(())
}
