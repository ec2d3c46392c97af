//! What outlives a process, and processes that share it.

use std::os::unix::fs::PermissionsExt as _;

use http::Method;
use serde_json::{Value, json};
use testkit::{Client, Demo, Revision, within};
use tokio::net::TcpListener;

use crate::program::{Folder, Program, Up};

const STORE: &str = "store: {url: 'sqlite:data/t.db'}\n";
const REPLICA: &str =
    "listen: 127.0.0.1:0\nstore: {url: 'sqlite:data/t.db'}\nreplica: {listen: 127.0.0.1:0}\n";

/// What the endpoint says to a ping in a session.
async fn ping(up: &Up, session: &str) -> u16 {
    let ping = up.http.post("/mcp", json!({"jsonrpc": "2.0", "id": 9, "method": "ping"}));
    let ping = ping.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
    ping.send().await.status
}

async fn delete(up: &Up, session: &str) -> u16 {
    let delete = up.http.request(Method::DELETE, "/mcp").header("mcp-session-id", session);
    delete.send().await.status
}

async fn open(up: &Up) -> (Client, String) {
    let client = up.client("/mcp", Revision::V2025_11_25).await;
    let session = client.session_id().expect("a session");
    (client, session)
}

#[tokio::test]
async fn sessions_outlive_the_process_and_so_does_their_end() {
    let folder = Folder::with(STORE);
    let mut up = folder.up(&[]).await;
    let (_one, kept) = open(&up).await;
    let (_two, ended) = open(&up).await;
    assert_eq!((ping(&up, &kept).await, ping(&up, &ended).await), (200, 200));
    assert!(matches!(delete(&up, &ended).await, 200 | 204));
    assert_eq!(ping(&up, &ended).await, 404);
    assert_eq!(up.stop().await, 0);
    let mut up = folder.up(&[]).await;
    assert_eq!((ping(&up, &kept).await, ping(&up, &ended).await), (200, 404));
    assert_eq!(up.stop().await, 0);
    let mode = |name: &str| std::fs::metadata(folder.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/t.db")), (0o700, 0o600));
}

#[tokio::test]
async fn what_nobody_configured_outlives_the_process_too() {
    let folder = Folder::with("");
    let mut up = folder.up(&[]).await;
    let shown = up.program.stdout.seen.iter().find(|line| line.starts_with("store ")).cloned();
    let file = shown.as_deref().and_then(|line| line.split_once("sqlite:")).expect("a store").1.to_owned();
    assert!(file.starts_with(folder.path("tidegate").to_str().unwrap()), "{file}");
    let (_client, session) = open(&up).await;
    assert_eq!(up.stop().await, 0);
    let mut up = folder.up(&[]).await;
    assert_eq!(ping(&up, &session).await, 200);
    assert_eq!(up.stop().await, 0);
    let listed = folder.run(&["keys", "list", "--output", "json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_store_that_nobody_asked_for_and_that_cannot_be_made_is_done_without() {
    let folder = Folder::with("");
    folder.write("tidegate", "a file where a folder would be");
    let mut up = folder.up(&[]).await;
    let line = up.program.stderr.find("nothing outlives the process, give store.url").await;
    assert!(line.contains("WARN"), "{line}");
    assert_eq!(up.stop().await, 0);
    let folder = Folder::with("");
    let mut up = folder.up(&[]).await;
    up.stop().await;
    let file = std::fs::read_dir(folder.path("tidegate")).unwrap().next().unwrap().unwrap().path();
    let file = file.to_str().unwrap().trim_end_matches("-wal").trim_end_matches("-shm").to_owned();
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    let refused = folder.run(&["up"]).await;
    assert_eq!(refused.code, 1, "one that is there is never passed over: {refused:?}");
}

#[tokio::test]
async fn the_ring_of_the_store_is_made_listed_rotated_and_followed() {
    let folder = Folder::with(STORE);
    let said = folder.run(&["keys", "list"]).await.bad(3);
    assert!(said.contains("there is none yet"), "{said}");
    let mut up = folder.up(&[]).await;
    let listed = folder.run(&["keys", "list", "--output", "json"]).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["state"], "active");
    let said = folder.run(&["keys", "generate"]).await.bad(1);
    assert!(said.contains("make the store: it is there already"), "{said}");
    let rotated = folder.run(&["keys", "rotate", "--output", "json"]).await.json();
    assert_eq!(rotated.as_array().unwrap().len(), 2);
    up.program.signal(rustix::process::Signal::HUP);
    let line = up.program.stderr.find("the new key ring is in force").await;
    assert!(line.contains("\"next\":1,\"active\":1"), "{line}");
    let counted = up.metrics().await;
    for (state, count) in [("next", 1), ("active", 1), ("opens", 0), ("retired", 0)] {
        let line = format!("tidegate_keys{{state=\"{state}\"}} {count}\n");
        assert!(counted.contains(&line), "{line}: {counted}");
    }
    let (_client, session) = open(&up).await;
    assert_eq!(up.stop().await, 0);
    let mut up = folder.up(&[]).await;
    assert_eq!(ping(&up, &session).await, 200);
    assert_eq!(up.stop().await, 0);
    let old = listed[0]["id"].as_str().unwrap();
    let said = folder.run(&["keys", "retire", old]).await.bad(1);
    assert!(said.contains("no other key would seal"), "{said}");
}

#[tokio::test]
async fn two_processes_with_one_store_serve_the_same_sessions() {
    let folder = Folder::with(REPLICA);
    let (mut a, mut b) = (folder.up(&[]).await, folder.up(&[]).await);
    let (_client, session) = open(&a).await;
    assert_eq!((ping(&a, &session).await, ping(&b, &session).await), (200, 200));
    assert!(matches!(delete(&b, &session).await, 200 | 204));
    assert_eq!((ping(&a, &session).await, ping(&b, &session).await), (404, 404));
    assert_eq!((a.stop().await, b.stop().await), (0, 0));
}

#[tokio::test]
async fn a_replica_with_other_keys_does_not_start_beside_the_first() {
    let folder = Folder::with(&format!("{REPLICA}keys: {{file: one.txt}}"));
    folder.run(&["keys", "generate"]).await.good();
    let mut a = folder.up(&[]).await;
    folder.configure(&format!("{REPLICA}keys: {{file: two.txt}}"));
    folder.run(&["keys", "generate"]).await.good();
    let refused = folder.run(&["up"]).await;
    let said = refused.stderr;
    assert_eq!(refused.code, 3, "{said}");
    assert!(
        said.contains("failed to join the other replicas: ") && said.contains("has other keys"),
        "{said}"
    );
    assert_eq!(a.stop().await, 0);
    folder.up(&[]).await.stop().await;
}

#[tokio::test]
async fn replicas_without_a_store_are_refused() {
    let folder = Folder::with("listen: 127.0.0.1:0\nreplica: {listen: 127.0.0.1:0}");
    let said = folder.run(&["up"]).await.bad(3);
    assert!(
        said.contains("use replica.listen: replicas find one another in a store; give store.url"),
        "{said}"
    );
}

#[tokio::test]
async fn what_a_replica_is_reached_by_comes_from_the_environment() {
    let folder = Folder::with(
        "listen: 127.0.0.1:0\nstore: {url: 'sqlite:data/t.db'}\n\
         replica: {listen: {env: TEST_LISTEN}, url: {env: TEST_URL}}",
    );
    let said = folder.run(&["up"]).await.bad(3);
    assert!(
        said.contains("read the value of replica.listen: the environment variable TEST_LISTEN is"),
        "{said}"
    );
    let checked = folder.run(&["config", "check"]).await;
    assert_eq!(checked.code, 0);
    assert_eq!(checked.stderr, "warning: replica.listen: the environment variable TEST_LISTEN is not set\n");

    let start = |url: &str| {
        let mut command = folder.command(&["up"]);
        command.env("TEST_LISTEN", "127.0.0.1:0").env("TEST_URL", url);
        Program::start(command)
    };
    let mut refused = start("http://10.244.0.7:7401/x");
    assert_eq!(refused.ended().await, 3);
    refused.stderr.find("use the value of replica.url: expected no path after the port").await;

    // One is reached where its variable says, which is not where it listens.
    let reached = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", reached.local_addr().unwrap());
    let mut a = Up::started(start(&url)).await;
    let mut b = Up::started(start("http://127.0.0.1:9")).await;
    let (_client, session) = open(&b).await;
    let told = async move { drop(within(reached.accept()).await.unwrap()) };
    let (status, ()) = tokio::join!(delete(&b, &session), told);
    assert!(matches!(status, 200 | 204), "{status}");
    assert_eq!((a.stop().await, b.stop().await), (0, 0));
}

#[tokio::test]
async fn a_store_that_cannot_be_used_says_which_and_why() {
    let folder = Folder::with(STORE);
    std::fs::create_dir(folder.path("data")).unwrap();
    folder.write("data/t.db", &"no database ".repeat(1000));
    let refused = folder.run(&["up"]).await;
    assert_eq!(refused.code, 1);
    let said = refused.stderr;
    assert!(said.contains("failed to use the store: ") && said.contains("not a database"), "{said}");
}

/// A call of 2026-07-28 of the tool that asks, with answers the second time.
async fn ask(http: &testkit::http::Http, answers: Option<(&Value, &Value)>) -> Value {
    let mut params = json!({"name": "confirm_order", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}});
    if let Some((state, responses)) = answers {
        params["requestState"] = state.clone();
        params["inputResponses"] = responses.clone();
    }
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let post = http.post("/a/mcp", call).header("mcp-protocol-version", "2026-07-28");
    let reply = post.header("mcp-method", "tools/call").header("mcp-name", "confirm_order").send().await;
    testkit::within(reply.json()).await
}

#[tokio::test]
async fn a_replica_that_is_told_to_stop_waits_for_answers_that_come_by_another() {
    let demo = Demo::start(demo::Server::builder().revisions(&[Revision::V2025_11_25])).await;
    let folder = Folder::with(&format!("{REPLICA}upstreams: {{a: {{url: '{}'}}}}\n", demo.url()));
    let (mut a, mut b) = (folder.up(&[]).await, folder.up(&[]).await);
    let asked = ask(&a.http, None).await;
    let questions = asked["result"]["inputRequests"].as_object().expect("questions");
    let answer = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), answer.clone())).collect();
    a.program.signal(rustix::process::Signal::TERM);
    a.program.stderr.find("stopping").await;
    let done = ask(&b.http, Some((&asked["result"]["requestState"], &answers.into()))).await;
    assert_eq!(done["result"]["resultType"], "complete", "{done}");
    assert_eq!((a.program.ended().await, b.stop().await), (0, 0));
}
