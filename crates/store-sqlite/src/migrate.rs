//! The schema, forward and back, one step after the other in one transaction.

use std::path::Path;

use model::Timestamp;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use store::StoreError;

use crate::failure::failed;
use crate::open;
use crate::rows::int;

/// A step. Once released it is never changed: its checksum is compared with what was applied.
struct Migration {
    name: &'static str,
    forward: &'static str,
    back: &'static str,
}

/// All of them; the version of a schema is how many of them were applied.
const MIGRATIONS: [Migration; 6] = [
    Migration {
        name: "replicas, sessions, streams, leases, keys",
        forward: include_str!("migrations/1_forward.sql"),
        back: include_str!("migrations/1_back.sql"),
    },
    Migration {
        name: "tasks, large values",
        forward: include_str!("migrations/2_forward.sql"),
        back: include_str!("migrations/2_back.sql"),
    },
    Migration {
        name: "grants",
        forward: include_str!("migrations/3_forward.sql"),
        back: include_str!("migrations/3_back.sql"),
    },
    Migration {
        name: "budgets",
        forward: include_str!("migrations/4_forward.sql"),
        back: include_str!("migrations/4_back.sql"),
    },
    Migration {
        name: "audit logs",
        forward: include_str!("migrations/5_forward.sql"),
        back: include_str!("migrations/5_back.sql"),
    },
    Migration {
        name: "entries of audit logs in packs",
        forward: include_str!("migrations/6_forward.sql"),
        back: include_str!("migrations/6_back.sql"),
    },
];

/// The version that this program works with.
pub const LATEST: u32 = MIGRATIONS.len() as u32;

/// The version of the schema in a file; 0 where there is none.
///
/// # Errors
/// Where the file cannot be used, or was written by steps that this program does not know by that number.
pub async fn version(file: &Path) -> Result<u32, StoreError> {
    if !file.exists() {
        return Ok(0);
    }
    let mut connection = open::writer(file).await?;
    let found = found(&mut connection).await;
    connection.close().await.map_err(failed)?;
    found
}

/// Brings the schema of a file to a version, forward or back. Going back drops what the step had made.
///
/// # Errors
/// [`StoreError::Schema`] where this program does not know the version; nothing was changed.
pub async fn migrate(file: &Path, wanted: u32, now: Timestamp) -> Result<u32, StoreError> {
    open::prepare(file)?;
    let mut connection = open::writer(file).await?;
    let done = to(&mut connection, wanted, now).await;
    connection.close().await.map_err(failed)?;
    done
}

/// The same with a connection. Says which version was found. Others that migrate at the same time wait, and
/// then find it done.
pub(crate) async fn to(
    connection: &mut SqliteConnection,
    wanted: u32,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let first = found(&mut tx).await?;
    if first > LATEST || wanted > LATEST {
        return Err(StoreError::Schema { found: first.max(wanted), wanted: LATEST });
    }
    for number in first..wanted {
        let step = &MIGRATIONS[number as usize];
        if first > 0 {
            tracing::info!(number = number + 1, name = step.name, "migrate the store forward");
        }
        sqlx::raw_sql(step.forward).execute(&mut *tx).await.map_err(failed)?;
        sqlx::query("INSERT INTO migrations (number, name, checksum, applied) VALUES (?, ?, ?, ?)")
            .bind(i64::from(number) + 1)
            .bind(step.name)
            .bind(checksum(step))
            .bind(int(now.0))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    for number in (wanted..first).rev() {
        let step = &MIGRATIONS[number as usize];
        tracing::info!(number = number + 1, name = step.name, "migrate the store back");
        sqlx::raw_sql(step.back).execute(&mut *tx).await.map_err(failed)?;
        let forget = sqlx::query("DELETE FROM migrations WHERE number = ?").bind(i64::from(number) + 1);
        forget.execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)?;
    Ok(first)
}

/// What was applied: the number of the last step, after a look at all of them.
pub(crate) async fn found(connection: &mut SqliteConnection) -> Result<u32, StoreError> {
    let there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'";
    let there: i64 = sqlx::query_scalar(there).fetch_one(&mut *connection).await.map_err(failed)?;
    if there == 0 {
        let others: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        if others > 0 {
            return Err(StoreError::Corrupt("the file holds something else".to_owned()));
        }
        let table = "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, \
                     checksum TEXT NOT NULL, applied INTEGER NOT NULL) STRICT";
        sqlx::raw_sql(table).execute(&mut *connection).await.map_err(failed)?;
        return Ok(0);
    }
    let rows = sqlx::query("SELECT number, checksum FROM migrations ORDER BY number")
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    let mut last = 0;
    for row in rows {
        let number: i64 = row.try_get(0).map_err(failed)?;
        let applied: String = row.try_get(1).map_err(failed)?;
        last += 1;
        if number != i64::from(last) {
            return Err(StoreError::Corrupt(format!("migration {last} is missing")));
        }
        if MIGRATIONS.get(last as usize - 1).is_some_and(|known| checksum(known) != applied) {
            let text = format!("migration {last} is not the one that this program knows by that number");
            return Err(StoreError::Corrupt(text));
        }
    }
    Ok(last)
}

fn checksum(step: &Migration) -> String {
    seal::sha256(step.forward.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
