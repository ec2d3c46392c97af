//! The file, and connections to it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, SqlitePool};
use store::StoreError;

use crate::failure::failed;

/// The first version without a fault in the write-ahead log that could damage a file (3.51.3, 2026-03).
const VERSION_MIN: (u32, u32, u32) = (3, 51, 3);
/// How long one process waits for another that writes.
const BUSY_TIME: Duration = Duration::from_secs(5);
/// How long one waits for a connection to read with.
const READER_TIME: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// The log is cut to this size when it was written back.
const LOG_BYTES: &str = "33554432";
/// After so many pages the log is written back. What changes with each commit is then written once for many
/// of them, and the wait for it, which is everybody's, comes seldom.
const LOG_PAGES: &str = "4096";

/// Makes the folder and the file where there are none, for nobody else to read: the keys are in it.
pub(crate) fn prepare(file: &Path) -> Result<(), StoreError> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::unavailable)?;
    }
    // SQLite gives its other files the mode of this one.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(StoreError::unavailable(error)),
        _ => Ok(()),
    }
}

fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIME)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("wal_autocheckpoint", LOG_PAGES)
        .disable_statement_logging()
}

/// How much of the file the connection that writes keeps in memory, in KiB, negative as SQLite wants it:
/// enough for the inner pages of the indexes that an audit log adds to everywhere.
const WRITER_CACHE: &str = "-16384";

/// The connection that writes.
pub(crate) async fn writer(file: &Path) -> Result<SqliteConnection, StoreError> {
    let mut connection = options(file).pragma("cache_size", WRITER_CACHE).connect().await.map_err(failed)?;
    let found: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.map_err(failed)?;
    new_enough(&found)?;
    Ok(connection)
}

/// The connections that read, opened as they are needed.
pub(crate) fn readers(file: &Path) -> SqlitePool {
    let options = options(file).read_only(true);
    SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(READER_TIME).connect_lazy_with(options)
}

fn new_enough(found: &str) -> Result<(), StoreError> {
    let mut numbers = found.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) >= VERSION_MIN {
        return Ok(());
    }
    let (major, minor, patch) = VERSION_MIN;
    let text = format!("SQLite {found} can damage its file; {major}.{minor}.{patch} or later is needed");
    Err(StoreError::unavailable(text))
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn a_sqlite_that_can_damage_its_file_is_refused_with_both_versions() {
        for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(new_enough(good).is_ok(), "{good}");
        }
        for bad in ["3.51.2", "3.50.9", "2.99.99", "", "x"] {
            let refused = new_enough(bad).expect_err(bad);
            let said = std::error::Error::source(&refused).expect("a reason").to_string();
            assert!(said.contains(&format!("SQLite {bad} ")) && said.contains("3.51.3"), "{said}");
        }
    }
}
