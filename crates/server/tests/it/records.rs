//! Records in a log that is really written: receipts that clients verify, and contents that are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use audit::{Known, PublicKey, Receipt, tree};
use config::{Policy, Preset};
use demo::Server;
use model::{ManualClock, SeededRng, Timestamp};
use recorder::{LABEL, Options, Recorder};
use seal::KeyRing;
use serde_json::{Value, json};
use store::{AuditFilter, Memory, Store};
use testkit::{Client, Revision, World};

const RECEIPT: &str = "io.tidegate/audit-receipt";
const NOW: Timestamp = Timestamp(1_795_416_480_123);

/// A log, and whoever has its key.
struct Log {
    store: Arc<dyn Store>,
    keys: Arc<KeyRing>,
    recorder: Arc<Recorder>,
}

impl Log {
    fn start(world: &World, strict: bool) -> Self {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let keys = Arc::new(KeyRing::from_key(&[7; 32]));
        let (clock, rng) = (Arc::new(ManualClock::at(NOW)), Arc::new(SeededRng::new(1)));
        let options = Options { strict, ..Options::default() };
        let recorder = Recorder::start(Arc::clone(&store), clock, rng, Arc::clone(&keys), options);
        world.gateway().app().record_with(recorder.clone());
        Self { store, keys, recorder }
    }

    fn key(&self, origin: &str) -> PublicKey {
        PublicKey::of(origin, &self.keys.signer(NOW, LABEL))
    }

    /// The one log that there is.
    async fn tenant(&self) -> String {
        let logs = self.store.audit_logs(None, 9).await.expect("read");
        let [log] = &logs[..] else { panic!("{logs:?}") };
        log.log.clone()
    }

    /// Whether the log is as it was signed.
    async fn is_whole(&self, tenant: &str) -> bool {
        let mut folder = BTreeMap::new();
        let mut put = |path: &str, bytes: &[u8]| {
            folder.insert(path.to_owned(), bytes.to_vec());
            Ok(())
        };
        recorder::files(&*self.store, tenant, &mut put).await.expect("files");
        let keys = vec![self.key(&audit::origin("tidegate", tenant))];
        audit::verify(&folder, &Known { keys, ..Known::default() }).finding.is_none()
    }

    async fn line(&self, tenant: &str, index: u64) -> (Vec<u8>, Value) {
        let entries = self.store.audit_entries(tenant, index, 1).await.expect("read");
        let line = entries.first().expect("the entry").line.to_vec();
        let record = serde_json::from_slice(&line).expect("JSON");
        (line, record)
    }
}

async fn asking(client: &Client, wanted: Value) -> Value {
    let call = json!({"name": "echo", "arguments": {"text": "hello"}, "_meta": {RECEIPT: wanted}});
    client.request("tools/call", call).await.result().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_carries_the_receipt_of_its_record_where_the_client_asks_for_it_in_every_revision() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let log = Log::start(&world, true);
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        let mut result = asking(&client, json!(true)).await;
        let told = result["_meta"][RECEIPT].take();
        let receipt: Receipt = serde_json::from_value(told).expect("a receipt");
        let checkpoint = receipt.check(&log.key(&receipt.origin)).expect("it is signed and leads there");
        assert!(checkpoint.size > receipt.index, "{revision}");
        let other = PublicKey::of(&receipt.origin, &KeyRing::from_key(&[8; 32]).signer(NOW, LABEL));
        assert!(receipt.check(&other).is_err(), "{revision}: another key");
        let tenant = audit::tenant_of(&receipt.origin).expect("a tenant");
        let (line, record) = log.line(&tenant, receipt.index).await;
        assert_eq!(receipt.leaf, audit::hex(&tree::leaf_hash(&line)), "{revision}");
        assert_eq!((&record["event_type"], &record["tool_name"]), (&json!("tool_call"), &json!("echo")));
        assert_eq!(record["detail"]["phase"], "completed", "{revision}");
        for not in [json!(false), json!("true"), json!(1)] {
            let result = asking(&client, not).await;
            assert!(result["_meta"].get(RECEIPT).is_none(), "{revision}: {result}");
        }
    }
    log.recorder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_a_result_is_that_of_the_result_before_its_receipt() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let log = Log::start(&world, true);
    let client = world.client("a", Revision::V2026_07_28).await;
    let (without, with) = (asking(&client, json!(false)).await, asking(&client, json!(true)).await);
    let tenant = log.tenant().await;
    let index = with["_meta"][RECEIPT]["index"].as_u64().expect("an index");
    let (_, second) = log.line(&tenant, index).await;
    let (_, first) = log.line(&tenant, index - 2).await;
    assert_eq!(first["detail"]["result"], second["detail"]["result"], "the receipt is not in it");
    assert_eq!(with["content"], without["content"]);
    log.recorder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_records_are_written_later_there_is_no_receipt() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let log = Log::start(&world, false);
    let client = world.client("a", Revision::V2025_06_18).await;
    let result = asking(&client, json!(true)).await;
    assert!(result["_meta"].get(RECEIPT).is_none(), "{result}");
    log.recorder.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_captures_is_kept_and_erased_for_one_and_the_log_verifies_as_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.cedar");
    let text = "@capture(\"true\") @redact_arguments(\"/card\")\n\
                forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";
    std::fs::write(&path, text).expect("written");
    let world = World::builder().demo("a", Server::builder()).config(|config| {
        let policy = Policy { presets: vec![Preset::Everyone], files: vec![path], ..Policy::default() };
        config.policy = Some(policy);
    });
    let world = world.start().await;
    let log = Log::start(&world, true);
    let client = world.client("a", Revision::V2026_07_28).await;
    let echoed = client.call_tool("echo", json!({"text": "hello", "card": "4111"})).await;
    assert_eq!(echoed.text(), "hello");
    let tenant = log.tenant().await;
    let filter =
        AuditFilter { kind: Some("tool_call".into()), log: tenant.clone(), ..AuditFilter::default() };
    let calls = log.store.audit_query(&filter, None, 9).await.expect("read");
    let [ended, begun] = &calls[..] else { panic!("{calls:?}") };
    let said = log.store.audit_contents(&tenant, begun.index).await.expect("read");
    let answered = log.store.audit_contents(&tenant, ended.index).await.expect("read");
    let ([said], [answered]) = (&said[..], &answered[..]) else { panic!("{said:?} {answered:?}") };
    assert_eq!((said.part.as_str(), answered.part.as_str()), ("arguments", "result"));
    let text = |row: &store::AuditContentRow| String::from_utf8(row.data[16..].to_vec()).expect("text");
    let ran: Value = serde_json::from_str(&text(said)).expect("JSON");
    assert_eq!(ran["text"], "hello");
    assert!(!text(said).contains("4111"), "as they ran, blanked: {ran}");
    assert!(text(answered).contains("hello"));
    let (_, record) = log.line(&tenant, begun.index).await;
    let digest = record["detail"]["arguments"]["captured"].as_str().expect("a salted digest");
    assert_eq!(digest, format!("sha256:{}", audit::hex(&seal::sha256(&said.data))));
    let (line, record) = log.line(&tenant, ended.index).await;
    assert!(record["detail"].get("arguments").is_none(), "no digest that can be guessed: {record}");
    assert!(log.is_whole(&tenant).await);

    let mut tx = log.store.begin().await.expect("a transaction");
    let later = Timestamp(NOW.0 + 1);
    let erased = tx.audit_content_erase(&tenant, Some(&ended.principal), later, 99).await.expect("erased");
    tx.commit().await.expect("committed");
    assert_eq!(erased, 2);
    assert!(log.store.audit_contents(&tenant, begun.index).await.expect("read").is_empty());
    assert_eq!(log.line(&tenant, ended.index).await.0, line, "the log stays as it was");
    assert!(log.is_whole(&tenant).await);
    log.recorder.stop().await;
}
