//! Whether all is in order.

use sqlx::{Row as _, SqlitePool};
use store::StoreError;

use crate::failure::failed;
use crate::migrate;

/// What must not be found, and what it would be.
const NEVER: [(&str, &str); 8] = [
    (
        "SELECT name FROM sessions WHERE seq > (SELECT seq FROM session_counter) LIMIT 10",
        "a session was changed after the last change of all",
    ),
    (
        "SELECT name FROM streams s WHERE next - first <> (SELECT count(*) FROM stream_events e \
         WHERE e.name = s.name) LIMIT 10",
        "a stream lacks events",
    ),
    (
        "SELECT name FROM streams s WHERE EXISTS (SELECT 1 FROM stream_events e WHERE e.name = s.name \
         AND (e.number < s.first OR e.number >= s.next)) LIMIT 10",
        "a stream has events that are not its own",
    ),
    (
        "SELECT name FROM streams s WHERE bytes <> (SELECT coalesce(sum(length(data)), 0) \
         FROM stream_events e WHERE e.name = s.name) LIMIT 10",
        "a stream counts its bytes wrongly",
    ),
    (
        "SELECT id FROM tasks WHERE (phase > 0 AND length(call) > 0) OR (phase <> 1 AND length(outcome) > 0) \
         LIMIT 10",
        "a task has what it should have given up, or not have yet",
    ),
    (
        "SELECT id FROM tasks WHERE phase = 1 AND length(outcome) = 0 AND length(head) = 0 LIMIT 10",
        "a task has ended, and nothing is known of it",
    ),
    (
        "SELECT name FROM blobs b WHERE parts IS NOT NULL AND (parts <> (SELECT count(*) FROM blob_parts p \
         WHERE p.name = b.name) OR parts <> (SELECT max(part) + 1 FROM blob_parts p WHERE p.name = b.name)) \
         LIMIT 10",
        "a large value is kept and lacks parts",
    ),
    (
        "SELECT log FROM audit_logs l WHERE size - first <> \
         (SELECT coalesce(sum(next - p.first), 0) FROM audit_packs p WHERE p.log = l.log) LIMIT 10",
        "an audit log lacks entries",
    ),
];

pub(crate) async fn check(readers: &SqlitePool) -> Result<Vec<String>, StoreError> {
    let mut moment = readers.begin().await.map_err(failed)?;
    let mut wrong = Vec::new();
    let version = migrate::found(&mut moment).await?;
    if version != migrate::LATEST {
        let wanted = migrate::LATEST;
        return Err(StoreError::Schema { found: version, wanted });
    }
    let integrity: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(&mut *moment).await.map_err(failed)?;
    wrong.extend(integrity.into_iter().filter(|line| line != "ok"));
    let foreign = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *moment).await.map_err(failed)?;
    for row in foreign {
        let table: String = row.try_get(0).map_err(failed)?;
        wrong.push(format!("a row of {table} belongs to nothing"));
    }
    for (query, said) in NEVER {
        let names: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *moment).await.map_err(failed)?;
        wrong.extend(names.into_iter().map(|name| format!("{said}: {name}")));
    }
    Ok(wrong)
}
