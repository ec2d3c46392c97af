//! The contract, with SQLite in a file, and what is SQLite's alone.

#![expect(clippy::unwrap_used, reason = "a test")]

mod disk;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use model::Timestamp;
use store::contract::{Harness, audit_story};
use store::{AuditFilter, AuditStore as _, Changed, Memory, Records, Store, StoreError};
use store_sqlite::{LATEST, SqliteStore, migrate, version};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(4_000_000_000_000);

struct InFiles {
    folder: TempDir,
    files: AtomicU32,
}

impl InFiles {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), files: AtomicU32::new(0) }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join(format!("{}.db", self.files.load(Ordering::Relaxed)))
    }
}

async fn open(file: &Path) -> SqliteStore {
    SqliteStore::open(file, NOW).await.unwrap()
}

#[async_trait]
impl Harness for InFiles {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.files.fetch_add(1, Ordering::Relaxed);
        Arc::new(open(&self.file()).await)
    }

    async fn again(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(open(&self.file()).await))
    }
}

store::contract_tests!(async { Some(InFiles::new()) });

async fn set_level(store: &dyn Store, name: &str) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    let changed = tx.session_level_set(name, "info", LATER).await?;
    tx.commit().await?;
    Ok(changed)
}

#[tokio::test]
async fn a_store_is_made_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a/b/t.db");
    let store = open(&file).await;
    set_level(&store, "s").await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    assert_eq!((mode(&file), mode(&folder.path().join("a/b/t.db-wal"))), (0o600, 0o600));
    store.close().await;
    assert!(!folder.path().join("a/b/t.db-wal").exists(), "the log is written back at the end");
}

#[tokio::test]
async fn a_migration_goes_forward_back_and_forward_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    assert_eq!(version(&file).await.unwrap(), 0);
    assert!(!file.exists(), "a look makes nothing");
    assert_eq!(migrate(&file, LATEST, NOW).await.unwrap(), 0);
    assert_eq!(version(&file).await.unwrap(), LATEST);
    assert_eq!(migrate(&file, LATEST, NOW).await.unwrap(), LATEST);
    let store = open(&file).await;
    set_level(&store, "s").await.unwrap();
    store.close().await;
    assert_eq!(migrate(&file, LATEST - 1, NOW).await.unwrap(), LATEST);
    assert_eq!(version(&file).await.unwrap(), LATEST - 1);
    let store = open(&file).await;
    assert_eq!(version(&file).await.unwrap(), LATEST);
    assert!(store.session("s").await.unwrap().is_some(), "the last step had nothing to do with it");
    store.close().await;
    assert_eq!(migrate(&file, 0, NOW).await.unwrap(), LATEST);
    let store = open(&file).await;
    assert_eq!((version(&file).await.unwrap(), store.session("s").await.unwrap()), (LATEST, None));
    store.close().await;
}

#[tokio::test]
async fn entries_of_a_log_are_the_same_before_and_after_they_were_put_into_packs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    let store = open(&file).await;
    audit_story(&store, 5).await;
    let exported = async |store: &SqliteStore| {
        let mut records = Records::default();
        store.export(&mut records).await.unwrap();
        records.0
    };
    let before = exported(&store).await;
    store.close().await;
    // One row for each entry, as it was.
    assert_eq!(migrate(&file, 5, NOW).await.unwrap(), LATEST);
    assert_eq!(migrate(&file, LATEST, NOW).await.unwrap(), 5);
    let store = open(&file).await;
    assert_eq!(exported(&store).await, before);
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let open = store.audit_unclosed("w1", 99).await.unwrap();
    let memory = Memory::new();
    audit_story(&memory, 5).await;
    assert_eq!(open, memory.audit_unclosed("w1", 99).await.unwrap());
    let wanted = AuditFilter {
        log: "acme".to_owned(),
        principal: Some("acme/\u{fc}3".to_owned()),
        ..AuditFilter::default()
    };
    let found = store.audit_query(&wanted, None, 99).await.unwrap();
    assert_eq!(found, memory.audit_query(&wanted, None, 99).await.unwrap());
    assert!(!found.is_empty() && !open.is_empty());
    store.close().await;
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    open(&file).await.close().await;
    let refused = migrate(&file, LATEST + 1, NOW).await;
    assert!(matches!(refused, Err(StoreError::Schema { wanted: LATEST, .. })), "{refused:?}");
    let add = format!("INSERT INTO migrations VALUES ({}, 'later', 'x', 0)", LATEST + 1);
    sql(&file, &add).await;
    let refused = SqliteStore::open(&file, NOW).await.err();
    assert!(matches!(refused, Some(StoreError::Schema { found, wanted: LATEST }) if found == LATEST + 1));
    let refused = migrate(&file, 0, NOW).await;
    assert!(matches!(refused, Err(StoreError::Schema { .. })), "{refused:?}");
    assert_eq!(version(&file).await.unwrap(), LATEST + 1);
}

/// Something that no verb does.
async fn sql(file: &Path, text: &str) {
    use sqlx::Connection as _;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    std::fs::write(&file, "listen: 127.0.0.1:7400\n".repeat(1000)).unwrap();
    let before = std::fs::read(&file).unwrap();
    let refused = SqliteStore::open(&file, NOW).await.err().unwrap();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let other = folder.path().join("o.db");
    sql(&other, "CREATE TABLE photos (name TEXT)").await;
    let refused = SqliteStore::open(&other, NOW).await.err().unwrap();
    assert_eq!(refused.to_string(), "use the store: the file holds something else");
    let folder = SqliteStore::open(folder.path(), NOW).await.err().unwrap();
    assert!(matches!(folder, StoreError::Unavailable { maybe_written: false, .. }), "{folder:?}");
}

#[tokio::test]
async fn a_migration_that_was_changed_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    open(&file).await.close().await;
    sql(&file, "UPDATE migrations SET checksum = 'x' WHERE number = 1").await;
    let refused = SqliteStore::open(&file, NOW).await.err().unwrap();
    let said = "use the store: migration 1 is not the one that this program knows by that number";
    assert_eq!(refused.to_string(), said);
}

#[tokio::test]
async fn what_is_not_in_order_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    let store = open(&file).await;
    set_level(&store, "s").await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let limits = store::StreamLimits { events: 9, bytes: 99 };
    let events = ["a".into(), "b".into()];
    tx.stream_append("st", "s", 0, &events, limits, LATER).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let damage = "UPDATE session_counter SET seq = 0; DELETE FROM stream_events WHERE number = 0; \
                  PRAGMA foreign_keys = OFF; INSERT INTO session_uris VALUES ('nobody', 'file:///a')";
    sql(&file, damage).await;
    let found = store.check().await.unwrap().join("\n");
    for said in
        ["changed after the last change of all: s", "lacks events: st", "counts its bytes wrongly: st"]
    {
        assert!(found.contains(said), "{found}");
    }
    assert!(found.contains("a row of session_uris belongs to nothing"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_have_the_same_file_open_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("t.db");
    let stores = [open(&file).await, open(&file).await];
    let writes = (0..40).map(|n| {
        let store = &stores[n % 2];
        async move { set_level(store, &n.to_string()).await.unwrap() }
    });
    let mut numbers: Vec<u64> = join_all(writes)
        .await
        .into_iter()
        .map(|changed| match changed {
            Changed::Done(seq) => seq.0,
            other => panic!("{other:?}"),
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn those_who_wait_share_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("t.db")).await;
    let wakes = store.wakes();
    // The first one holds the connection until all others wait for it.
    let first = store.begin().await.unwrap();
    let others = (0..50).map(|n| {
        let store = &store;
        async move { set_level(store, &n.to_string()).await.unwrap() }
    });
    let release = async { drop(first) };
    tokio::join!(join_all(others), release);
    let commits = *wakes.borrow();
    assert!((1..50).contains(&commits), "{commits} commits for 50 transactions");
    assert_eq!(store.sessions_seq().await.unwrap().0, 50);
}
