//! `tidegate stdio`.

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Demo, Revision};
use tokio::io::AsyncWriteExt as _;

use crate::program::{DEMO, Folder, Program};

fn modern(id: u64, method: &str, mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"form": {}}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

async fn say(program: &mut Program, message: &Value) {
    let line = format!("{message}\n");
    testkit::within(program.stdin.as_mut().unwrap().write_all(line.as_bytes())).await.unwrap();
}

/// The next message; nothing else may come on standard output.
async fn hear(program: &mut Program) -> Value {
    let line = program.stdout.next().await.expect("a message");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

async fn ask(program: &mut Program, message: &Value) -> Value {
    say(program, message).await;
    let answer = hear(program).await;
    assert_eq!(answer["id"], message["id"], "{answer}");
    answer["result"].clone()
}

#[tokio::test]
async fn a_legacy_client_gets_a_session_with_questions_and_changes() {
    let demo = Demo::speaking(Revision::V2026_07_28).await;
    let folder = Folder::with(&format!("upstreams: {{crm: {{url: '{}'}}}}", demo.url()));
    let mut program = folder.start(&["stdio", "--endpoint", "crm"]);
    let params = json!({
        "protocolVersion": "2025-06-18", "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "t", "version": "1"},
    });
    let hello = json!({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params});
    assert_eq!(ask(&mut program, &hello).await["protocolVersion"], "2025-06-18");
    say(&mut program, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"});
    assert_eq!(ask(&mut program, &list).await["tools"][0]["name"], "echo");
    let params =
        json!({"name": "slow", "arguments": {"seconds": 0, "steps": 1}, "_meta": {"progressToken": 9}});
    let slow = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": params});
    say(&mut program, &slow).await;
    let progress = hear(&mut program).await;
    assert_eq!(
        (&progress["method"], &progress["params"]["progressToken"]),
        (&json!("notifications/progress"), &json!(9))
    );
    assert_eq!(hear(&mut program).await["id"], 3);
    let order =
        json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "confirm_order"}});
    say(&mut program, &order).await;
    let question = hear(&mut program).await;
    assert_eq!(question["method"], "elicitation/create");
    let accepted = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": accepted});
    say(&mut program, &answer).await;
    let result = hear(&mut program).await;
    assert_eq!(result["result"]["structuredContent"], json!({"ordered": true, "quantity": 2}));
    let toggle = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "toggle"}});
    say(&mut program, &toggle).await;
    let both = [hear(&mut program).await, hear(&mut program).await];
    assert!(both.iter().any(|m| m["method"] == "notifications/tools/list_changed"), "{both:?}");
    assert!(both.iter().any(|m| m["id"] == 5), "{both:?}");
    drop(program.stdin.take());
    assert_eq!(program.ended().await, 0);
    assert_eq!(program.stdout.next().await, None);
}

#[tokio::test]
async fn a_modern_client_needs_no_session() {
    let folder = Folder::with(&format!("upstreams: {{files: {{command: {DEMO}}}}}"));
    let mut program = folder.start(&["stdio"]);
    let discover = ask(&mut program, &modern(1, "server/discover", json!({}))).await;
    assert!(discover["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    let call = modern(2, "tools/call", json!({"name": "files_echo", "arguments": {"text": "hi"}}));
    assert_eq!(ask(&mut program, &call).await["content"][0]["text"], "hi");
    let asked = ask(&mut program, &modern(3, "tools/call", json!({"name": "files_confirm_order"}))).await;
    assert_eq!(asked["resultType"], "input_required");
    let key = asked["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let answer = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let again = json!({
        "name": "files_confirm_order", "requestState": asked["requestState"], "inputResponses": {key: answer},
    });
    let done = ask(&mut program, &modern(4, "tools/call", again)).await;
    assert_eq!(done["structuredContent"], json!({"ordered": true, "quantity": 2}));
    let slow = json!({"name": "files_slow", "arguments": {"seconds": 3600}, "_meta": {"progressToken": 1}});
    say(&mut program, &modern(5, "tools/call", slow)).await;
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    say(&mut program, &cancel).await;
    say(&mut program, &json!("nonsense")).await;
    assert_eq!(hear(&mut program).await["error"]["code"], -32600, "a cancelled call has no answer");
    drop(program.stdin.take());
    assert_eq!(program.ended().await, 0);
}

#[tokio::test]
async fn what_was_asked_before_the_input_ended_is_answered() {
    let mut program = Folder::new().start(&["stdio"]);
    let slow = json!({"name": "demo_slow", "arguments": {"seconds": 0.5, "steps": 1}});
    let listen = modern(1, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
    say(&mut program, &listen).await;
    assert_eq!(hear(&mut program).await["method"], "notifications/subscriptions/acknowledged");
    let mut stdin = program.stdin.take().unwrap();
    // The last line has no end.
    stdin.write_all(modern(2, "tools/call", slow).to_string().as_bytes()).await.unwrap();
    drop(stdin);
    assert_eq!(hear(&mut program).await["result"]["content"][0]["text"], "Done after 0.5 s in 1 steps.");
    assert_eq!(program.ended().await, 0, "a stream that only listens does not hold it up");
}

#[tokio::test]
async fn a_signal_ends_it_and_what_it_started() {
    let script = format!("echo $$ > pid; {}", "while read -r line; do :; done; sleep 3600");
    let folder = Folder::with(&format!("upstreams: {{deaf: {{command: [sh, -c, '{script}']}}}}"));
    let mut program = folder.start(&["stdio"]);
    say(&mut program, &modern(1, "tools/list", json!({}))).await;
    let child = crate::child::pid_in(&folder, "pid").await;
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await, 0);
    crate::child::is_gone(child).await;
}

#[tokio::test]
async fn an_unknown_endpoint_is_an_error_and_not_a_silent_server() {
    let said = Folder::new().run(&["stdio", "--endpoint", "nothing"]).await.bad(2);
    assert_eq!(said, "tidegate: failed to find the endpoint \"nothing\"; there are: demo, mcp\n");
}
