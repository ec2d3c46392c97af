//! What is read outside of transactions.

use futures_util::FutureExt as _;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use store::{KeyRow, LeaseRow, ReplicaRow, Seq, SessionRow, StoreError, StreamPart};

use crate::failure::Failure;
use crate::pool::Pool;
use crate::rows::{self, int};
use crate::run::read;

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) async fn replicas(pool: &Pool) -> Result<Vec<ReplicaRow>, StoreError> {
    let find = async |connection: &mut PgConnection| {
        let rows = sqlx::query("SELECT * FROM replicas ORDER BY id").fetch_all(connection).await?;
        rows.iter().map(rows::replica).collect()
    };
    read(pool, |connection| find(connection).boxed()).await
}

pub(crate) async fn session(pool: &Pool, name: &str) -> Result<Option<SessionRow>, StoreError> {
    let name = name.to_owned();
    read(pool, |connection| session_of(connection, name.clone()).boxed()).await
}

async fn session_of(connection: &mut PgConnection, name: String) -> Result<Option<SessionRow>, Failure> {
    // In one statement, which sees one moment.
    let query = "SELECT seq, level, ended, expires, uri FROM sessions LEFT JOIN session_uris USING (name) \
                 WHERE name = $1";
    let found = sqlx::query(query).bind(name).fetch_all(connection).await?;
    let Some(first) = found.first() else { return Ok(None) };
    let mut session = rows::session(first)?;
    for row in &found {
        if let Some(uri) = row.try_get::<Option<Vec<u8>>, _>("uri")? {
            session.uris.insert(rows::text(uri)?);
        }
    }
    Ok(Some(session))
}

pub(crate) async fn sessions_changed(
    pool: &Pool,
    after: Seq,
    most: usize,
) -> Result<Vec<(Seq, String)>, StoreError> {
    read(pool, |connection| changed_of(connection, after, most).boxed()).await
}

async fn changed_of(
    connection: &mut PgConnection,
    after: Seq,
    most: usize,
) -> Result<Vec<(Seq, String)>, Failure> {
    let query = "SELECT seq, name FROM sessions WHERE seq > $1 ORDER BY seq LIMIT $2";
    let query = sqlx::query_as(query).bind(int(after.0)).bind(limit(most));
    let found: Vec<(i64, String)> = query.fetch_all(connection).await?;
    Ok(found.into_iter().map(|(seq, name)| (Seq(u64::try_from(seq).unwrap_or(0)), name)).collect())
}

pub(crate) async fn sessions_seq(pool: &Pool) -> Result<Seq, StoreError> {
    let find = async |connection: &mut PgConnection| {
        let seq: i64 = sqlx::query_scalar("SELECT seq FROM session_counter").fetch_one(connection).await?;
        Ok(Seq(u64::try_from(seq).unwrap_or(0)))
    };
    read(pool, |connection| find(connection).boxed()).await
}

pub(crate) async fn stream_from(
    pool: &Pool,
    name: &str,
    from: u64,
    most: usize,
) -> Result<Option<StreamPart>, StoreError> {
    let name = name.to_owned();
    read(pool, |connection| stream_of(connection, name.clone(), from, most).boxed()).await
}

async fn stream_of(
    connection: &mut PgConnection,
    name: String,
    from: u64,
    most: usize,
) -> Result<Option<StreamPart>, Failure> {
    // The head first: events that come in between are after its end and are left out.
    let head = sqlx::query("SELECT * FROM streams WHERE name = $1").bind(&name);
    let Some(head) = head.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let head = rows::stream(&head)?;
    let query = "SELECT number, data FROM stream_events WHERE name = $1 AND number >= $2 AND number < $3 \
                 ORDER BY number LIMIT $4";
    let query = sqlx::query(query).bind(&name).bind(int(from)).bind(int(head.next)).bind(limit(most));
    let found = query.fetch_all(connection).await?;
    let events = found.iter().map(rows::event).collect::<Result<_, _>>()?;
    Ok(Some(StreamPart { head, events }))
}

pub(crate) async fn lease(pool: &Pool, name: &str) -> Result<Option<LeaseRow>, StoreError> {
    let name = name.to_owned();
    read(pool, |connection| lease_of(connection, name.clone()).boxed()).await
}

async fn lease_of(connection: &mut PgConnection, name: String) -> Result<Option<LeaseRow>, Failure> {
    let query = sqlx::query("SELECT * FROM leases WHERE name = $1").bind(name);
    let row = query.fetch_optional(connection).await?;
    Ok(row.as_ref().map(rows::lease).transpose()?)
}

pub(crate) async fn keys(pool: &Pool) -> Result<Vec<KeyRow>, StoreError> {
    let find = async |connection: &mut PgConnection| {
        let found = sqlx::query("SELECT * FROM keys ORDER BY id").fetch_all(connection).await?;
        found.iter().map(rows::key).collect()
    };
    read(pool, |connection| find(connection).boxed()).await
}
