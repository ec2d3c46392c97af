//! Streamable HTTP with sessions: 2025-03-26 to 2025-11-25.

use demo::{Revision, Server};
use serde_json::{Value, json};
use tidegate_demo as demo;

use crate::client::{Served, initialize_message, within};

const HTTP_SESSIONS: [Revision; 3] = [Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

fn slow(token: &str, steps: u64) -> Value {
    json!({
        "name": "slow",
        "arguments": { "seconds": 0, "steps": steps },
        "_meta": { "progressToken": token },
    })
}

#[tokio::test]
async fn a_session_is_needed_and_can_be_ended() {
    let served = Served::all().await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    for revision in HTTP_SESSIONS {
        let session = served.initialize(revision, json!({})).await;
        assert_eq!(served.post("/mcp", &list).send().await.status, 400);
        let unknown = served.post("/mcp", &list).header("Mcp-Session-Id", "0000").send().await;
        assert_eq!(unknown.status, 404);
        assert_eq!(session.post(&list).send().await.status, 200);
        assert_eq!(session.delete().send().await.status, 200);
        for request in [session.post(&list), session.get(), session.delete()] {
            assert_eq!(request.send().await.status, 404);
        }
    }
}

#[tokio::test]
async fn the_version_header_has_to_name_what_was_agreed() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_06_18, json!({})).await;
    let ping = session.post(json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }));
    assert_eq!(ping.clone().send().await.json().await["result"], json!({}));
    assert_eq!(ping.clone().without("MCP-Protocol-Version").send().await.status, 200);
    for version in ["2025-11-25", "2026-07-28", "x"] {
        assert_eq!(ping.clone().replace("MCP-Protocol-Version", version).send().await.status, 400);
    }
}

#[tokio::test]
async fn initialize_comes_once_and_complete() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut again = session.post(initialize_message("2025-11-25", json!({}))).send().await;
    assert_eq!(again.json().await["error"]["code"], -32600);
    let bare = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} });
    let mut response = served.post("/mcp", bare).send().await;
    assert_eq!(response.json().await["error"]["code"], -32602);
}

#[tokio::test]
async fn an_answer_is_one_document_unless_something_comes_before_it() {
    let served = Served::all().await;
    for revision in HTTP_SESSIONS {
        let session = served.initialize(revision, json!({})).await;
        assert!(!session.call("echo", json!({ "text": "x" })).await.streams());
        let mut response = session.request(7, "tools/call", slow("t", 3)).await;
        assert!(response.streams());
        let messages = response.rest().await;
        let progress: Vec<_> = messages.iter().map(|message| &message["params"]["progress"]).collect();
        assert_eq!(progress, [&json!(1), &json!(2), &json!(3), &Value::Null]);
        assert!(messages[..3].iter().all(|message| message["params"]["progressToken"] == "t"));
        assert_eq!((&messages[3]["id"], messages[3].get("error")), (&json!(7), None));
    }
}

#[tokio::test]
async fn a_server_may_stream_every_answer() {
    let served = Served::new(Server::builder().stream_answers(true)).await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut response = session.request(1, "ping", json!({})).await;
    let priming = response.event().await.unwrap();
    assert!(priming.data.is_empty() && priming.id.is_some() && priming.retry.is_some());
    assert_eq!(response.rest().await, [json!({ "jsonrpc": "2.0", "id": 1, "result": {} })]);
    let mut modern = served.modern("tools/list", json!({}), json!({})).send().await;
    assert!(modern.streams());
    assert_eq!(modern.rest().await.len(), 1);
}

#[tokio::test]
async fn batches_are_answered_in_the_revision_that_has_them() {
    let served = Served::all().await;
    let batch = json!([
        { "jsonrpc": "2.0", "id": 1, "method": "ping" },
        { "jsonrpc": "2.0", "method": "notifications/something" },
        { "jsonrpc": "2.0", "id": 2, "method": "nonsense" },
    ]);
    let session = served.initialize(Revision::V2025_03_26, json!({})).await;
    let answers = session.post(&batch).send().await.json().await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0], json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    assert_eq!(answers[1]["error"]["code"], -32601);
    let silent = json!([{ "jsonrpc": "2.0", "method": "notifications/something" }]);
    assert_eq!(session.post(&silent).send().await.status, 202);
    assert_eq!(served.server.stats().notified("notifications/something"), 2);
    for faulty in [json!([]), json!([1]), json!(vec![json!({ "jsonrpc": "2.0", "method": "x" }); 101])] {
        assert_eq!(session.post(&faulty).send().await.status, 400);
    }
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25] {
        let session = served.initialize(revision, json!({})).await;
        let mut response = session.post(&batch).send().await;
        assert_eq!(response.status, 400);
        assert_eq!(response.json().await["error"]["code"], -32600);
    }
}

#[tokio::test]
async fn a_batch_with_progress_streams_and_ends_with_all_answers() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_03_26, json!({})).await;
    let call =
        |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": slow("t", 1) });
    let messages = session.post(json!([call(1), call(2)])).send().await.rest().await;
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[2].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_get_streams_what_belongs_to_no_request() {
    let served = Served::all().await;
    for revision in HTTP_SESSIONS {
        let session = served.initialize(revision, json!({})).await;
        let mut stream = session.get().send().await;
        assert_eq!(stream.status, 200);
        session.ask("resources/subscribe", json!({ "uri": "demo://clock" })).await;
        served.server.touch("demo://readme");
        served.server.touch("demo://clock");
        let updated = stream.next().await.unwrap();
        assert_eq!(updated["method"], "notifications/resources/updated");
        assert_eq!(updated["params"], json!({ "uri": "demo://clock" }));
        session.ask("resources/unsubscribe", json!({ "uri": "demo://clock" })).await;
        served.server.touch("demo://clock");
        session.call("toggle", json!({})).await;
        assert_eq!(stream.next().await.unwrap()["method"], "notifications/tools/list_changed");
        assert_eq!(session.delete().send().await.status, 200);
        assert_eq!(stream.next().await, None);
    }
}

#[tokio::test]
async fn a_client_that_is_not_ready_yet_is_told_of_no_changes() {
    let served = Served::all().await;
    let response = served.post("/mcp", initialize_message("2025-11-25", json!({}))).send().await;
    let id = response.header("mcp-session-id").unwrap().to_owned();
    let mut stream = served.get("/mcp").header("Mcp-Session-Id", &id).send().await;
    served.server.toggle(demo::Listing::Tools);
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(served.post("/mcp", ready).header("Mcp-Session-Id", &id).send().await.status, 202);
    served.server.toggle(demo::Listing::Prompts);
    assert_eq!(stream.next().await.unwrap()["method"], "notifications/prompts/list_changed");
}

#[tokio::test]
async fn only_a_resource_that_exists_can_be_subscribed_to() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut response = session.request(1, "resources/subscribe", json!({ "uri": "demo://nothing" })).await;
    assert_eq!(response.json().await["error"]["code"], -32002);
    session.ask("resources/subscribe", json!({ "uri": "demo://notes/any" })).await;
}

#[tokio::test]
async fn a_broken_stream_goes_on_where_it_broke() {
    let served = Served::all().await;
    for revision in HTTP_SESSIONS {
        let session = served.initialize(revision, json!({})).await;
        let mut response = session.request(1, "tools/call", slow("t", 5)).await;
        let mut event = response.event().await.unwrap();
        while event.data.is_empty() || event.message()["params"]["progress"] != 2 {
            event = response.event().await.unwrap();
        }
        drop(response);
        let mut resumed = session.get().header("Last-Event-ID", &event.id.unwrap()).send().await;
        let messages = resumed.rest().await;
        let progress: Vec<_> = messages.iter().map(|message| &message["params"]["progress"]).collect();
        assert_eq!(progress, [&json!(3), &json!(4), &json!(5), &Value::Null]);
        for unknown in ["999-1", "x", "1-99999999"] {
            assert_eq!(session.get().header("Last-Event-ID", unknown).send().await.status, 400);
        }
    }
    assert_eq!(served.server.stats().cancelled(), Vec::<String>::new());
}

#[tokio::test]
async fn the_server_hangs_up_and_is_polled() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let arguments = json!({ "seconds": 0, "steps": 2, "drop_stream": true });
    let mut response = session.call("slow", arguments).await;
    assert!(response.streams());
    let priming = response.event().await.unwrap();
    assert!(priming.data.is_empty() && priming.retry.is_some());
    assert_eq!(response.event().await, None);
    let mut resumed = session.get().header("Last-Event-ID", &priming.id.unwrap()).send().await;
    let answer = resumed.next().await.unwrap();
    assert_eq!(answer["result"]["content"][0]["text"], "Done after 0 s in 2 steps.");
}

#[tokio::test]
async fn a_cancelled_call_gets_no_answer() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_06_18, json!({})).await;
    let stats = served.server.stats();
    let calling = session.request(
        5,
        "tools/call",
        json!({ "name": "slow", "arguments": { "seconds": 600, "steps": 1 } }),
    );
    let cancelling = async {
        within(stats.wait_until(|stats| stats.calls_running() == 1)).await;
        let params = json!({ "requestId": 5, "reason": "test" });
        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params });
        assert_eq!(session.post(cancel).send().await.status, 202);
    };
    let (mut response, ()) = tokio::join!(calling, cancelling);
    assert_eq!(response.next().await, None);
    assert_eq!(stats.cancelled(), ["slow"]);
    assert_eq!(stats.notified("notifications/cancelled"), 1);
    within(stats.wait_until(|stats| stats.calls_running() == 0)).await;
}

#[tokio::test]
async fn an_id_cannot_be_used_twice_at_a_time() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_06_18, json!({})).await;
    let params = json!({ "name": "slow", "arguments": { "seconds": 600, "steps": 2 } });
    let calling = session.request(1, "tools/call", params);
    let second = async {
        within(served.server.stats().wait_until(|stats| stats.calls_running() == 1)).await;
        let mut response = session.request(1, "ping", json!({})).await;
        assert_eq!(response.json().await["error"]["code"], -32600);
        assert_eq!(session.delete().send().await.status, 200);
    };
    tokio::join!(calling, second);
}

#[tokio::test]
async fn log_messages_come_from_the_level_up_that_was_set() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_03_26, json!({})).await;
    let levels = async || {
        let mut messages = session.call("log_something", json!({})).await.rest().await;
        messages.pop();
        let levels = messages.iter().map(|message| message["params"]["level"].as_str().unwrap().to_owned());
        levels.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(levels().await, "info notice warning error critical alert emergency");
    session.ask("logging/setLevel", json!({ "level": "alert" })).await;
    assert_eq!(levels().await, "alert emergency");
    let mut response = session.request(1, "logging/setLevel", json!({ "level": "loud" })).await;
    assert_eq!(response.json().await["error"]["code"], -32602);
}

#[tokio::test]
async fn a_server_without_session_ids_answers_each_request_alone() {
    let served = Served::new(Server::builder().revisions(&Revision::LEGACY).sessionless(true)).await;
    let response = served.post("/mcp", initialize_message("2025-06-18", json!({}))).send().await;
    assert_eq!((response.status, response.header("mcp-session-id")), (200, None));
    let list = served.post("/mcp", json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
    let add = async |request: crate::client::Request| {
        let tools = request.send().await.json().await["result"]["tools"].clone();
        tools.as_array().unwrap().iter().find(|tool| tool["name"] == "add").unwrap().clone()
    };
    assert_eq!(add(list.clone()).await.get("title"), None);
    assert_eq!(add(list.clone().header("MCP-Protocol-Version", "2025-06-18")).await["title"], "Add");
    assert_eq!(list.clone().header("MCP-Protocol-Version", "2026-07-28").send().await.status, 400);
    assert_eq!(served.get("/mcp").send().await.status, 405);
    let call =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "list_my_roots" } });
    assert_eq!(served.post("/mcp", call).send().await.json().await["result"]["isError"], true);
}

#[tokio::test]
async fn past_the_cap_the_session_unused_for_longest_ends() {
    let served = Served::new(Server::builder().sessions_max(2)).await;
    let first = served.initialize(Revision::V2025_11_25, json!({})).await;
    let second = served.initialize(Revision::V2025_11_25, json!({})).await;
    first.ask("ping", json!({})).await;
    let third = served.initialize(Revision::V2025_11_25, json!({})).await;
    let status =
        async |session: &crate::client::Session<'_>| session.request(1, "ping", json!({})).await.status;
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (200, 404, 200));
    within(served.server.stats().wait_until(|stats| stats.sessions() == 2)).await;
}

#[tokio::test]
async fn sessions_can_be_forgotten_and_streams_broken_off() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut stream = session.get().send().await;
    served.server.drop_streams();
    assert_eq!(stream.next().await, None);
    let mut stream = session.get().send().await;
    served.server.touch("demo://clock");
    served.server.end_sessions();
    assert_eq!(stream.next().await, None);
    assert_eq!(session.request(1, "ping", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_second_get_takes_over_from_the_first() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut first = session.get().send().await;
    let mut second = session.get().send().await;
    assert_eq!(first.next().await, None);
    session.call("toggle", json!({})).await;
    assert_eq!(second.next().await.unwrap()["method"], "notifications/tools/list_changed");
}

#[tokio::test]
async fn a_long_stream_passes_whole_and_in_order() {
    let served = Served::all().await;
    let session = served.initialize(Revision::V2025_11_25, json!({})).await;
    let mut response = session.request(1, "tools/call", slow("t", 10_000)).await;
    for step in 1..=10_000 {
        assert_eq!(response.next().await.unwrap()["params"]["progress"], step);
    }
    assert_eq!(response.next().await.unwrap()["id"], 1);
}
