//! What is read outside of transactions.

use sqlx::{Row as _, SqlitePool};
use store::{KeyRow, LeaseRow, ReplicaRow, Seq, SessionRow, StoreError, StreamPart};

use crate::failure::failed;
use crate::rows::{self, int};

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) async fn replicas(readers: &SqlitePool) -> Result<Vec<ReplicaRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM replicas ORDER BY id").fetch_all(readers).await.map_err(failed)?;
    rows.iter().map(rows::replica).collect()
}

pub(crate) async fn session(readers: &SqlitePool, name: &str) -> Result<Option<SessionRow>, StoreError> {
    // In one statement, which sees one moment.
    let query = "SELECT seq, level, ended, expires, uri FROM sessions LEFT JOIN session_uris USING (name) \
                 WHERE name = ?";
    let rows = sqlx::query(query).bind(name).fetch_all(readers).await.map_err(failed)?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut session = rows::session(first).map_err(failed)?;
    for row in &rows {
        session.uris.extend(row.try_get::<Option<String>, _>("uri").map_err(failed)?);
    }
    Ok(Some(session))
}

pub(crate) async fn sessions_changed(
    readers: &SqlitePool,
    after: Seq,
    most: usize,
) -> Result<Vec<(Seq, String)>, StoreError> {
    let query = "SELECT seq, name FROM sessions WHERE seq > ? ORDER BY seq LIMIT ?";
    let rows: Vec<(i64, String)> = sqlx::query_as(query)
        .bind(int(after.0))
        .bind(limit(most))
        .fetch_all(readers)
        .await
        .map_err(failed)?;
    Ok(rows.into_iter().map(|(seq, name)| (Seq(u64::try_from(seq).unwrap_or(0)), name)).collect())
}

pub(crate) async fn sessions_seq(readers: &SqlitePool) -> Result<Seq, StoreError> {
    let seq: i64 =
        sqlx::query_scalar("SELECT seq FROM session_counter").fetch_one(readers).await.map_err(failed)?;
    Ok(Seq(u64::try_from(seq).unwrap_or(0)))
}

pub(crate) async fn stream_from(
    readers: &SqlitePool,
    name: &str,
    from: u64,
    most: usize,
) -> Result<Option<StreamPart>, StoreError> {
    let mut moment = readers.begin().await.map_err(failed)?;
    let head = sqlx::query("SELECT * FROM streams WHERE name = ?").bind(name);
    let Some(head) = head.fetch_optional(&mut *moment).await.map_err(failed)? else { return Ok(None) };
    let head = rows::stream(&head).map_err(failed)?;
    let query =
        "SELECT number, data FROM stream_events WHERE name = ? AND number >= ? ORDER BY number LIMIT ?";
    let events = sqlx::query(query).bind(name).bind(int(from)).bind(limit(most));
    let events = events.fetch_all(&mut *moment).await.map_err(failed)?;
    let events = events.iter().map(rows::event).collect::<Result<_, _>>().map_err(failed)?;
    Ok(Some(StreamPart { head, events }))
}

pub(crate) async fn lease(readers: &SqlitePool, name: &str) -> Result<Option<LeaseRow>, StoreError> {
    let query = sqlx::query("SELECT * FROM leases WHERE name = ?").bind(name);
    let row = query.fetch_optional(readers).await.map_err(failed)?;
    row.as_ref().map(rows::lease).transpose().map_err(failed)
}

pub(crate) async fn keys(readers: &SqlitePool) -> Result<Vec<KeyRow>, StoreError> {
    let rows = sqlx::query("SELECT * FROM keys ORDER BY id").fetch_all(readers).await.map_err(failed)?;
    rows.iter().map(rows::key).collect()
}
