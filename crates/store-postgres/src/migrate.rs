//! The schema, forward and back, one step after the other in one transaction under one lock.

use model::Timestamp;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use store::StoreError;

use crate::failure::Failure;
use crate::rows::int;

/// A step. Once released it is never changed: its checksum is compared with what was applied.
#[derive(Debug)]
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

/// What was applied: the number of the last step, after a look at all of them.
pub(crate) async fn version(connection: &mut PgConnection) -> Result<u32, Failure> {
    let there: bool = sqlx::query_scalar("SELECT to_regclass('migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        return Ok(0);
    }
    let rows = sqlx::query("SELECT number, checksum FROM migrations ORDER BY number")
        .fetch_all(&mut *connection)
        .await?;
    let mut last = 0;
    for row in rows {
        let number: i32 = row.try_get("number")?;
        let applied: String = row.try_get("checksum")?;
        last += 1;
        if i64::from(number) != i64::from(last) {
            return Err(corrupt(format!("migration {last} is missing")));
        }
        if MIGRATIONS.get(last as usize - 1).is_some_and(|known| checksum(known) != applied) {
            let text = format!("migration {last} is not the one that this program knows by that number");
            return Err(corrupt(text));
        }
    }
    Ok(last)
}

/// Brings the schema to a version, forward or back, in one transaction. Says which version was found.
/// Others that migrate at the same time wait, and then find it done.
pub(crate) async fn to(
    connection: &mut PgConnection,
    schema: &str,
    wanted: u32,
    now: Timestamp,
) -> Result<u32, Failure> {
    let mut tx = connection.begin().await?;
    // Longer than any other statement, as a change of a large table takes its time.
    tx.execute("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1min'").await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("tidegate migrations of {schema}"))
        .execute(&mut *tx)
        .await?;
    create_schema(&mut tx, schema).await?;
    let first = version(&mut tx).await?;
    if first > LATEST || wanted > LATEST {
        return Err(StoreError::Schema { found: first.max(wanted), wanted: LATEST }.into());
    }
    for number in first..wanted {
        forward(&mut tx, number, now).await?;
    }
    for number in (wanted..first).rev() {
        back(&mut tx, number).await?;
    }
    tx.commit().await?;
    Ok(first)
}

async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), Failure> {
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    // IF NOT EXISTS would ask for the right to create one also where it exists.
    if !there {
        // The name was checked when the URL was read.
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    }
    let table = "CREATE TABLE IF NOT EXISTS migrations (
        number integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied bigint NOT NULL
    )";
    connection.execute(table).await?;
    Ok(())
}

async fn forward(connection: &mut PgConnection, number: u32, now: Timestamp) -> Result<(), Failure> {
    let step = &MIGRATIONS[number as usize];
    tracing::info!(number = number + 1, name = step.name, "migrate the store forward");
    connection.execute(sqlx::raw_sql(step.forward)).await?;
    sqlx::query("INSERT INTO migrations (number, name, checksum, applied) VALUES ($1, $2, $3, $4)")
        .bind(number as i32 + 1)
        .bind(step.name)
        .bind(checksum(step))
        .bind(int(now.0))
        .execute(connection)
        .await?;
    Ok(())
}

async fn back(connection: &mut PgConnection, number: u32) -> Result<(), Failure> {
    let step = &MIGRATIONS[number as usize];
    tracing::info!(number = number + 1, name = step.name, "migrate the store back");
    connection.execute(sqlx::raw_sql(step.back)).await?;
    let forget = sqlx::query("DELETE FROM migrations WHERE number = $1").bind(number as i32 + 1);
    forget.execute(connection).await?;
    Ok(())
}

fn checksum(step: &Migration) -> String {
    seal::sha256(step.forward.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn corrupt(what: String) -> Failure {
    StoreError::Corrupt(what).into()
}
