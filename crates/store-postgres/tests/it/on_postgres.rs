//! Tests that need a PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::Timestamp;
use sqlx::Executor as _;
use store::contract::{Harness, audit_story};
use store::{AuditFilter, AuditStore as _, Changed, Memory, Records, Store, StoreError, StreamLimits};
use store_postgres::{LATEST, OpenError, PostgresStore, Settings, migrate, version};
use tokio::sync::Mutex;

use crate::database::{OwnServer, Schema};

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(4_000_000_000_000);

async fn open(url: &str) -> PostgresStore {
    PostgresStore::open(url, Settings::default(), NOW).await.unwrap()
}

struct OnPostgres {
    schema: Mutex<Schema>,
}

impl OnPostgres {
    async fn find() -> Option<Self> {
        Some(Self { schema: Mutex::new(Schema::new().await?) })
    }
}

#[async_trait]
impl Harness for OnPostgres {
    async fn fresh(&self) -> Arc<dyn Store> {
        let mut schema = self.schema.lock().await;
        *schema = Schema::new().await.expect("there was one");
        Arc::new(open(&schema.url()).await)
    }

    async fn again(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::new(open(&self.schema.lock().await.url()).await))
    }
}

store::contract_tests!(OnPostgres::find());

async fn set_level(store: &dyn Store, name: &str) -> Result<Changed, StoreError> {
    let mut tx = store.begin().await?;
    let changed = tx.session_level_set(name, "info", LATER).await?;
    tx.commit().await?;
    Ok(changed)
}

#[tokio::test]
async fn a_migration_goes_forward_back_and_forward_again() {
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url();
    assert_eq!(version(&url).await.unwrap(), 0);
    assert_eq!(migrate(&url, LATEST, NOW).await.unwrap(), 0);
    assert_eq!(version(&url).await.unwrap(), LATEST);
    set_level(&open(&url).await, "s").await.unwrap();
    assert_eq!(migrate(&url, LATEST - 1, NOW).await.unwrap(), LATEST);
    assert_eq!(version(&url).await.unwrap(), LATEST - 1);
    let store = open(&url).await;
    assert_eq!(version(&url).await.unwrap(), LATEST);
    assert!(store.session("s").await.unwrap().is_some(), "the last step had nothing to do with it");
    store.close().await;
    assert_eq!(migrate(&url, 0, NOW).await.unwrap(), LATEST);
    let store = open(&url).await;
    assert_eq!((version(&url).await.unwrap(), store.session("s").await.unwrap()), (LATEST, None));
}

#[tokio::test]
async fn entries_of_a_log_are_the_same_before_and_after_they_were_put_into_packs() {
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url();
    let store = open(&url).await;
    audit_story(&store, 5).await;
    let exported = async |store: &PostgresStore| {
        let mut records = Records::default();
        store.export(&mut records).await.unwrap();
        records.0
    };
    let before = exported(&store).await;
    store.close().await;
    // One row for each entry, as it was.
    assert_eq!(migrate(&url, 5, NOW).await.unwrap(), LATEST);
    assert_eq!(migrate(&url, LATEST, NOW).await.unwrap(), 5);
    let store = open(&url).await;
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
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url();
    open(&url).await.close().await;
    let mut connection = schema.connection().await;
    let add = format!("INSERT INTO migrations VALUES ({}, 'later', 'x', 0)", LATEST + 1);
    connection.execute(sqlx::AssertSqlSafe(add)).await.unwrap();
    let refused = PostgresStore::open(&url, Settings::default(), NOW).await.err().unwrap();
    assert!(matches!(refused, OpenError::Store(StoreError::Schema { wanted: LATEST, .. })), "{refused:?}");
    assert!(migrate(&url, 0, NOW).await.is_err());
    assert_eq!(version(&url).await.unwrap(), LATEST + 1);
    connection
        .execute("DELETE FROM migrations WHERE number > 1; UPDATE migrations SET checksum = 'x'")
        .await
        .unwrap();
    let refused = PostgresStore::open(&url, Settings::default(), NOW).await.err().unwrap();
    assert!(refused.to_string().contains("migration 1 is not the one"), "{refused}");
}

#[tokio::test]
async fn many_that_open_a_new_store_at_the_same_time_all_find_it() {
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url();
    let stores = futures_util::future::join_all((0..6).map(|_| open(&url))).await;
    for (number, store) in stores.iter().enumerate() {
        let changed = set_level(store, "s").await.unwrap();
        assert_eq!(changed, Changed::Done(store::Seq(number as u64 + 1)));
    }
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced_and_nobody_notices() {
    let Some(schema) = Schema::new().await else { return };
    let store = open(&schema.url()).await;
    for round in 0..3 {
        set_level(&store, &round.to_string()).await.unwrap();
        assert!(schema.cut_connections().await > 0);
        assert!(store.session("0").await.unwrap().is_some());
        assert!(schema.cut_connections().await > 0);
    }
    let mut open = store.begin().await.unwrap();
    open.session_level_set("t", "info", LATER).await.unwrap();
    schema.cut_connections().await;
    let error = match open.session_subscribe("t", "a", 9, LATER).await {
        Err(error) => error,
        Ok(_) => open.commit().await.unwrap_err(),
    };
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(store.session("t").await.unwrap(), None);
    let mut open = store.begin().await.unwrap();
    open.session_level_set("t", "info", LATER).await.unwrap();
    schema.cut_connections().await;
    let error = open.commit().await.unwrap_err();
    assert_eq!(store.session("t").await.unwrap(), None);
    // It cannot be known here, and is not claimed.
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn where_all_connections_are_in_use_one_waits_and_then_is_told() {
    let Some(schema) = Schema::new().await else { return };
    let settings = Settings {
        connections_max: 2,
        waiting_max: 1,
        acquire: Duration::from_millis(300),
        ..Settings::default()
    };
    let store = PostgresStore::open(&schema.url(), settings, NOW).await.unwrap();
    let (one, two) = (store.begin().await.unwrap(), store.begin().await.unwrap());
    let waits = store.session("s");
    let refused = async {
        // The one place to wait in is taken by then.
        tokio::task::yield_now().await;
        store.session("s").await
    };
    let (waited, refused) = tokio::join!(waits, refused);
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    assert!(matches!(waited, Err(StoreError::Busy)), "{waited:?}");
    drop((one, two));
    assert_eq!(store.session("s").await.unwrap(), None);
}

#[tokio::test]
async fn whoever_waits_for_a_lock_too_long_is_told() {
    let Some(schema) = Schema::new().await else { return };
    let settings = Settings { lock: Duration::from_millis(200), ..Settings::default() };
    let store = PostgresStore::open(&schema.url(), settings, NOW).await.unwrap();
    let mut holds = store.begin().await.unwrap();
    holds.session_level_set("s", "info", LATER).await.unwrap();
    let refused = set_level(&store, "t").await;
    assert!(matches!(refused, Err(StoreError::Busy)), "{refused:?}");
    holds.commit().await.unwrap();
    set_level(&store, "t").await.unwrap();
}

#[tokio::test]
async fn another_process_wakes_whoever_waits() {
    let Some(schema) = Schema::new().await else { return };
    let (one, two) = (open(&schema.url()).await, open(&schema.url()).await);
    let mut wakes = one.wakes();
    // The first wake says that it listens.
    tokio::time::timeout(Duration::from_secs(20), wakes.wait_for(|count| *count > 0)).await.unwrap().unwrap();
    wakes.mark_unchanged();
    set_level(&two, "s").await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), wakes.changed()).await.unwrap().unwrap();
    assert!(one.session("s").await.unwrap().is_some());
}

#[tokio::test]
async fn a_server_that_is_started_again_is_used_again() {
    let Some(mut server) = OwnServer::start() else { return };
    let schema = Schema::on(server.url.clone()).await;
    let store = open(&schema.url()).await;
    for (word, name) in [("stop", "a"), ("kill", "b")] {
        set_level(&store, name).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.session_level_set("undone", "info", LATER).await.unwrap();
        server.tell(word);
        let error = tx.commit().await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        server.tell("start");
        assert!(store.session(name).await.unwrap().is_some(), "what was committed outlives it");
        assert_eq!(store.session("undone").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_is_not_in_order_is_found() {
    let Some(schema) = Schema::new().await else { return };
    let store = open(&schema.url()).await;
    set_level(&store, "s").await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let limits = StreamLimits { events: 9, bytes: 99 };
    tx.stream_append("st", "s", 0, &["a".into(), "b".into()], limits, LATER).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    let damage = "UPDATE session_counter SET seq = 0; DELETE FROM stream_events WHERE number = 0";
    schema.connection().await.execute(damage).await.unwrap();
    let found = store.check().await.unwrap().join("\n");
    for said in
        ["changed after the last change of all: s", "lacks events: st", "counts its bytes wrongly: st"]
    {
        assert!(found.contains(said), "{found}");
    }
}

#[tokio::test]
async fn texts_of_clients_may_hold_anything() {
    let Some(schema) = Schema::new().await else { return };
    let store = open(&schema.url()).await;
    let odd = "file:///\0\u{1}\u{10ffff}'\"\\";
    let mut tx = store.begin().await.unwrap();
    tx.session_subscribe("s", odd, 9, LATER).await.unwrap();
    tx.session_level_set("s", "\0", LATER).await.unwrap();
    tx.commit().await.unwrap();
    let row = store.session("s").await.unwrap().unwrap();
    assert_eq!((row.uris.first().map(String::as_str), row.level.as_deref()), (Some(odd), Some("\0")));
    // Names are ours; one that cannot be is an error and no end.
    assert!(set_level(&store, "\0").await.is_err());
    set_level(&store, "t").await.unwrap();
}

#[tokio::test]
async fn a_password_is_never_shown() {
    let Some(schema) = Schema::new().await else { return };
    let url = schema.url();
    let wrong = url.replacen("://", "://nobody:hunter2@", 1);
    let wrong = match url.split_once('@') {
        Some((_, rest)) => format!("postgres://nobody:hunter2@{rest}"),
        None => wrong,
    };
    let refused = PostgresStore::open(&wrong, Settings::default(), NOW).await.err().unwrap();
    assert!(!format!("{refused:?} {refused}").contains("hunter2"), "{refused:?}");
}
