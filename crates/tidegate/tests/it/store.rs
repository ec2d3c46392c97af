//! `tidegate store`.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use testkit::Revision;

use crate::program::Folder;

/// What a store holds is counted here, and an audit log would be a part of it.
const STORE: &str = "store: {url: 'sqlite:a.db'}\naudit: {mode: off}\n";

/// A folder with a store that holds something.
async fn filled() -> Folder {
    let folder = Folder::with(STORE);
    let mut up = folder.up(&[]).await;
    let client = up.client("/mcp", Revision::V2025_11_25).await;
    let set = client.request("logging/setLevel", json!({"level": "debug"})).await;
    assert_eq!(set.result(), &json!({}));
    assert_eq!(up.stop().await, 0);
    folder
}

#[tokio::test]
async fn a_store_is_checked_and_says_what_is_in_it() {
    let folder = Folder::with(STORE);
    let said = folder.run(&["store", "check"]).await.bad(1);
    assert_eq!(
        said,
        "tidegate: failed to check the store: there is no store yet; `tidegate up` or `tidegate store \
         migrate` makes it\n"
    );
    let folder = filled().await;
    let said = folder.run(&["store", "check"]).await.good();
    let expected = "schema 6; 0 replicas, 0 budgets, 0 events, 0 grants, 1 keys, 2 leases, \
                    1 sessions, 0 streams, 0 subscriptions, 0 tasks, 0 values\nall is in order\n";
    assert_eq!(said, expected);
    let report = folder.run(&["store", "check", "--output", "json"]).await.json();
    assert_eq!((&report["held"]["sessions"], &report["faults"]), (&json!(1), &json!([])));
    let said = Folder::with("store: {url: 'memory:'}").run(&["store", "check"]).await.bad(3);
    assert!(said.contains("what there is ends with the process; give store.url"), "{said}");
}

#[tokio::test]
async fn a_schema_goes_back_one_step_and_forward_again() {
    let folder = filled().await;
    let said = folder.run(&["store", "migrate"]).await.good();
    assert_eq!(said, "the schema has version 6 already\n");
    let said = folder.run(&["store", "migrate", "--to", "5"]).await;
    assert_eq!((said.code, &*said.stdout), (0, "the schema went from version 6 to 5\n"));
    folder.run(&["store", "migrate"]).await;
    let said = folder.run(&["store", "migrate", "--to", "7"]).await.bad(1);
    assert!(said.contains("its schema has version 7, and this program works with 6"), "{said}");
}

#[tokio::test]
async fn a_backup_brings_everything_back_and_replaces_nothing() {
    let folder = filled().await;
    let said = folder.run(&["store", "backup", "b.jsonl", "--output", "json"]).await.json();
    let mode = std::fs::metadata(folder.path("b.jsonl")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let again = folder.run(&["store", "backup", "b.jsonl"]).await.bad(1);
    assert!(again.contains("make b.jsonl: File exists"), "{again}");
    let full = folder.run(&["store", "restore", "b.jsonl"]).await.bad(1);
    assert!(full.contains("fill the store: it is not empty"), "{full}");
    std::fs::remove_file(folder.path("a.db")).unwrap();
    let restored = folder.run(&["store", "restore", "b.jsonl", "--output", "json"]).await;
    let restored: serde_json::Value = serde_json::from_str(&restored.stdout).unwrap();
    assert_eq!(restored, said);
    let text = folder.read("b.jsonl").replace("debug", "error");
    folder.write("c.jsonl", &text);
    std::fs::remove_file(folder.path("a.db")).unwrap();
    let changed = folder.run(&["store", "restore", "c.jsonl"]).await;
    assert_eq!(changed.code, 1);
    assert!(changed.stderr.contains("a line before this one was changed, lost or added"), "{changed:?}");
}

#[tokio::test]
async fn a_store_moves_and_both_hold_the_same() {
    let folder = filled().await;
    let moved = folder.run(&["store", "move", "--to", "sqlite:c.db", "--output", "json"]).await;
    let moved: serde_json::Value = serde_json::from_str(&moved.stdout).unwrap();
    assert_eq!(moved["records"], 5, "{moved}");
    let said = folder.run(&["store", "move", "--to", "sqlite:c.db"]).await.bad(1);
    assert!(said.contains("fill the store: it is not empty"), "{said}");
    let said = folder.run(&["store", "move", "--to", "redis://x"]).await.bad(3);
    assert!(said.contains("use the other store: expected"), "{said}");
}

mod on_postgres {
    use serde_json::json;
    use testkit::Revision;

    use super::filled;
    use crate::program::Folder;

    /// A schema of the test's own; `None`: there is no PostgreSQL.
    fn url(name: &str) -> Option<String> {
        let server = std::env::var("TIDEGATE_TEST_POSTGRES").ok();
        if server.is_none() {
            eprintln!("skipped: TIDEGATE_TEST_POSTGRES is not set; `cargo xtask postgres` starts one");
        }
        server.map(|server| format!("{server}?schema={name}_{}", std::process::id()))
    }

    #[tokio::test]
    async fn a_store_moves_from_sqlite_to_postgresql_and_the_sessions_go_on() {
        let Some(url) = url("moved") else { return };
        let folder = filled().await;
        let mut up = folder.up(&[]).await;
        let client = up.client("/mcp", Revision::V2025_11_25).await;
        let session = client.session_id().unwrap();
        assert_eq!(up.stop().await, 0);
        let output = folder
            .command(&["store", "move", "--to-env", "OTHER", "--output", "json"])
            .env("OTHER", &url)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!format!("{output:?}").contains("postgres://"), "{output:?}");
        folder.write("url", &url);
        folder.configure("store: {url: {file: url}}");
        let report = folder.run(&["store", "check", "--output", "json"]).await.json();
        assert_eq!((&report["held"]["sessions"], &report["faults"]), (&json!(1), &json!([])));
        let mut up = folder.up(&[]).await;
        let ping = up.http.post("/mcp", json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}));
        let ping = ping.header("mcp-session-id", &session).header("mcp-protocol-version", "2025-11-25");
        assert_eq!(ping.send().await.status, 200);
        assert_eq!(up.stop().await, 0);
    }

    #[tokio::test]
    async fn replicas_on_postgresql_answer_one_anothers_questions() {
        let Some(url) = url("replicas") else { return };
        let folder = Folder::new();
        folder.write("url", &url);
        folder.configure("listen: 127.0.0.1:0\nstore: {url: {file: url}}\nreplica: {listen: 127.0.0.1:0}\n");
        let (mut a, mut b) = (folder.up(&[]).await, folder.up(&[]).await);
        let client = a.client("/mcp", Revision::V2025_11_25).await;
        let session = client.session_id().unwrap();
        let ping = |up: &crate::program::Up| {
            let ping = up.http.post("/mcp", json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}));
            ping.header("mcp-session-id", &session).header("mcp-protocol-version", "2025-11-25")
        };
        assert_eq!(ping(&b).send().await.status, 200);
        let delete = b.http.request(http::Method::DELETE, "/mcp").header("mcp-session-id", &session);
        assert!(matches!(delete.send().await.status, 200 | 204));
        assert_eq!(ping(&a).send().await.status, 404);
        assert_eq!((a.stop().await, b.stop().await), (0, 0));
        let report = folder.run(&["store", "check", "--output", "json"]).await.json();
        assert_eq!(report["replicas"], 0, "both have left");
    }
}
