//! What the policies decide, for clients of every revision.

use std::path::PathBuf;
use std::sync::Arc;

use audit::{Event, Outcome as Ended, Phase, Recorded, Recorder, Unwritten};
use config::{ArgumentType, Glob, HostRule, HostWhen, Policy, Preset, Span};
use demo::Server;
use serde_json::{Value, json};
use store::{ApprovalOffice, Decider};
use testkit::client::{Options, everything, refusing};
use testkit::harness::WorldBuilder;
use testkit::{Client, Revision, World, within};

const AUTHORIZATION: &str = "io.modelcontextprotocol/authorization";
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// Policies in a file that is there as long as this.
pub(crate) struct Policies {
    _folder: tempfile::TempDir,
    pub path: PathBuf,
}

pub(crate) fn policies(text: &str) -> Policies {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("test.cedar");
    std::fs::write(&path, text).expect("written");
    Policies { _folder: folder, path }
}

/// A demo server behind the gateway as `a`, where everybody may do what these do not forbid.
fn under(policies: &Policies) -> WorldBuilder {
    let files = vec![policies.path.clone()];
    let arguments = [("text".to_owned(), ArgumentType::String)].into();
    World::builder().demo("a", Server::builder()).config(|config| {
        config.policy = Some(Policy { presets: vec![Preset::Everyone], files, arguments });
    })
}

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Tape {
    strict: bool,
    full: bool,
    events: std::sync::Mutex<Vec<Event>>,
}

impl Tape {
    pub fn all(&self) -> Vec<Event> {
        self.events.lock().expect("no test panics with it").clone()
    }
}

#[async_trait::async_trait]
impl Recorder for Tape {
    fn is_strict(&self) -> bool {
        self.strict
    }

    fn note(&self, event: Event) {
        self.events.lock().expect("no test panics with it").push(event);
    }

    async fn record(&self, event: Event) -> Result<Recorded, Unwritten> {
        if self.full {
            return Err(Unwritten("the disk is full".to_owned()));
        }
        self.note(event);
        Ok(Recorded { origin: String::new(), index: 0, leaf: [0; 32] })
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["name"].as_str().expect("a name"))
        .collect()
}

async fn listed(client: &Client) -> Value {
    client.request("tools/list", json!({})).await.result().clone()
}

async fn echo(client: &Client, text: &str) -> testkit::Outcome {
    client.call_tool("echo", json!({ "text": text })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_used_is_not_seen_and_is_as_what_is_not_there_in_every_revision() {
    let hidden = policies("forbid(principal, action, resource == Tool::\"a/echo\");");
    let world = under(&hidden).start().await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        let list = listed(&client).await;
        assert!(!names(&list).contains(&"echo"), "{revision}");
        assert!(names(&list).len() > 3, "{revision}");
        let (denied, unknown) = (echo(&client, "x").await, client.call_tool("nothing", json!({})).await);
        let say = |outcome: &testkit::Outcome| format!("{:?}", outcome.end).replace("nothing", "echo");
        assert_eq!(say(&denied), say(&unknown), "{revision}");
    }
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 5, "of what is not there");
}

/// Servers that say in three ways that they do not have something, behind one endpoint with prefixes.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_used_is_as_what_is_not_there_also_where_servers_have_words_of_their_own() {
    let names = ["Tool::\"a/echo\"", "Tool::\"b/echo\"", "Prompt::\"a/greet\"", "Prompt::\"b/greet\""];
    let text = names.map(|name| format!("forbid(principal, action, resource == {name});")).join("\n");
    let hidden = policies(&text);
    let files = vec![hidden.path.clone()];
    let words = |on| Server::builder().unknown_in_results(on);
    let world = World::builder().demo("a", words(false)).demo("b", words(true)).config(|config| {
        config.policy = Some(Policy { presets: vec![Preset::Everyone], files, arguments: [].into() });
    });
    let world = world.start().await;
    for revision in Revision::ALL {
        for (endpoint, prefix) in [("mcp", "a_"), ("mcp", "b_"), ("b", "")] {
            let client = world.client(endpoint, revision).await;
            let arguments = || json!({"text": "x"});
            let denied = client.call_tool(&format!("{prefix}echo"), arguments()).await;
            let unknown = client.call_tool(&format!("{prefix}nothing"), arguments()).await;
            let say = |outcome: &testkit::Outcome| format!("{:?}", outcome.end).replace("nothing", "echo");
            assert_eq!(say(&denied), say(&unknown), "{revision} {endpoint} {prefix}");
            let prompt =
                |name: &str| client.request("prompts/get", json!({"name": format!("{prefix}{name}")}));
            let (one, other) = (prompt("greet").await, prompt("nothing").await);
            assert_eq!(say(&one).replace("greet", "echo"), say(&other), "{revision} {endpoint} {prefix}");
            // What is there fails in its own words.
            let failed = client.call_tool(&format!("{prefix}fail"), json!({})).await;
            assert_eq!(failed.result()["isError"], true, "{revision}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_are_decided_on_and_a_denial_says_that_nothing_ran() {
    let text = "@reason(\"No secrets here.\") forbid(principal, action == Action::\"call_tool\", resource) \
                when { context.arguments has text && context.arguments.text like \"*secret*\" };";
    let strict = policies(text);
    let world = under(&strict).start().await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        assert!(names(&listed(&client).await).contains(&"echo"), "{revision}");
        assert_eq!(echo(&client, "hello").await.text(), "hello", "{revision}");
        let denied = echo(&client, "a secret").await;
        assert_eq!(denied.result()["isError"], true, "{revision}");
        assert_eq!(denied.text(), "No secrets here. Nothing was done.", "{revision}");
        let envelope = json!({"reason": "insufficient_authorization", "remediation": "unavailable"});
        assert_eq!(denied.result()["_meta"][AUTHORIZATION], envelope, "{revision}");
    }
    let times = Revision::ALL.len() as u64;
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), times);
}

const ASK: &str = "@ask(\"caller\") @message(\"Really?\") \
                   forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_asked_and_the_call_is_made_once_he_says_yes() {
    let asking = policies(ASK);
    let world = under(&asking).start().await;
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25, Revision::V2026_07_28] {
        let client = world.client("a", revision).await;
        let outcome = echo(&client, "hello").await;
        assert_eq!(outcome.text(), "hello", "{revision}");
        let said = outcome.asked[0]["params"]["message"].as_str().expect("a question");
        assert!(said.starts_with("Really?") && said.contains(r#"{"text":"hello"}"#), "{revision}: {said}");
        let options = Options { answers: refusing(), ..Options::default() };
        let client = world.client_with("a", revision, options).await;
        let refused = echo(&client, "hello").await;
        assert_eq!(refused.text(), "The user did not agree. Nothing was done.", "{revision}");
        let deaf = Options { capabilities: Some(json!({})), ..Options::default() };
        let client = world.client_with("a", revision, deaf).await;
        assert_eq!(echo(&client, "hello").await.result()["isError"], true, "{revision}");
    }
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yes_is_good_for_one_call_with_the_arguments_that_were_shown() {
    let asking = policies(ASK);
    let world = under(&asking).start().await;
    let client = world.client("a", Revision::V2026_07_28).await;
    let call = json!({"name": "echo", "arguments": {"text": "hello"}});
    let asked = client.ask_once("tools/call", call).await;
    let state = asked.result()["requestState"].clone();
    let answer = json!({"tidegate_confirm": {"action": "accept", "content": {}}});
    let retry = |text: &str| {
        let arguments = json!({ "text": text });
        json!({"name": "echo", "arguments": arguments, "requestState": state, "inputResponses": answer})
    };
    let swapped = client.ask_once("tools/call", retry("other")).await;
    assert_eq!(swapped.code(), Some(-32602), "other arguments");
    assert_eq!(client.ask_once("tools/call", retry("hello")).await.text(), "hello");
    let again = client.ask_once("tools/call", retry("hello")).await;
    assert_eq!(again.result()["resultType"], "input_required", "a yes that was used is none");
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 1);
}

const APPROVE: &str = "@ask(\"groups: security\") \
                       forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";

fn office(world: &World) -> ApprovalOffice {
    ApprovalOffice::new(world.shared_store(), Arc::clone(&world.clock) as Arc<dyn model::Clock>)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_somebody_elses_yes_and_is_made_when_it_comes_again() {
    let asking = policies(APPROVE);
    let world = under(&asking).start().await;
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        let text = revision.as_str();
        let waits = echo(&client, text).await;
        assert_eq!(waits.result()["_meta"][AUTHORIZATION]["remediation"], "undisclosed", "{revision}");
        let again = echo(&client, text).await;
        assert_eq!(again.text(), waits.text(), "it is asked for once");
        let pending = office(&world).list(None, 10).await.expect("a list");
        let pending: Vec<_> = pending.iter().filter(|a| a.arguments.contains(text)).collect();
        let [approval] = pending.as_slice() else { panic!("{pending:?}") };
        assert!(waits.text().contains(&approval.id));
        office(&world).decide(&approval.id, &Decider::Operator("eve"), true, None).await.expect("decided");
        assert_eq!(echo(&client, text).await.text(), text, "{revision}");
        assert_eq!(echo(&client, text).await.result()["isError"], true, "one yes is for one call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_for_somebody_elses_yes_or_no() {
    let asking = policies(APPROVE);
    let rule = HostRule { tools: Glob::new("*").expect("a pattern"), when: HostWhen::Never, required: false };
    let world = under(&asking).config(|config| config.tasks.host = vec![rule]).start().await;
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"][TASKS] = json!({});
    let options = || Options { capabilities: Some(capabilities.clone()), ..Options::default() };
    let client = world.client_with("a", Revision::V2026_07_28, options()).await;
    for (yes, text) in [(true, "one"), (false, "two")] {
        let made = echo(&client, text).await;
        assert_eq!(made.result()["resultType"], "task", "{:?}", made.end);
        let envelope = &made.result()["_meta"][AUTHORIZATION];
        assert_eq!(envelope["remediationHints"], json!([{"type": "task"}]));
        let task = json!({"taskId": made.result()["taskId"]});
        let got = client.request("tasks/get", task.clone()).await.result().clone();
        assert_eq!((&got["status"], &got["_meta"][AUTHORIZATION]), (&json!("working"), envelope));
        let found = office(&world).list(None, 10).await.expect("a list");
        let approval = found.iter().find(|a| a.arguments.contains(text)).expect("an approval");
        assert_eq!(envelope["authorizationContextId"], approval.id);
        let by = Decider::Operator("eve");
        office(&world).decide(&approval.id, &by, yes, Some("as agreed")).await.expect("decided");
        let name = approval.task.clone().expect("a task");
        let tasks = tasks::Office::new(world.shared_store(), Arc::clone(&world.clock) as _);
        tasks.hasten(&name).await.expect("the task").expect("it waits");
        let ended = loop {
            let got = client.request("tasks/get", task.clone()).await.result().clone();
            if got["status"] != "working" {
                break got;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(ended["status"], "completed", "{ended}");
        let said = ended["result"]["content"][0]["text"].as_str().expect("a text");
        match yes {
            true => assert_eq!(said, "one"),
            false => assert_eq!(said, "It was not approved: as agreed. Nothing was done."),
        }
        assert_eq!(ended["result"]["isError"] == true, !yes);
    }
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_may_not_be_used_is_as_one_that_is_not_there() {
    let hidden = policies("forbid(principal, action == Action::\"use_task\", resource in Upstream::\"a\");");
    let rule =
        HostRule { tools: Glob::new("*").expect("a pattern"), when: HostWhen::Always, required: false };
    let world = under(&hidden).config(|config| config.tasks.host = vec![rule]).start().await;
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"][TASKS] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    let client = world.client_with("a", Revision::V2026_07_28, options).await;
    let made = echo(&client, "one").await;
    assert_eq!(made.result()["resultType"], "task");
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": made.result()["taskId"], "inputResponses": {}});
        let refused = client.request(method, params).await;
        let unknown = client.request(method, json!({"taskId": "x", "inputResponses": {}})).await;
        assert_eq!(refused.end, unknown.end, "{method}");
        assert_eq!(refused.code(), Some(-32602), "{method}");
    }
    let own = made.result()["taskId"].as_str().expect("an id");
    let refused = client.watch_tasks(&[own]).await.expect_err("it is not granted");
    assert_eq!(refused.status, 200, "the stream is, without the task");
}

#[tokio::test(flavor = "multi_thread")]
async fn duties_are_done_on_the_way_in_and_out() {
    let text = "@redact_arguments(\"/text\") \
                forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";
    let redacting = policies(text);
    let world = under(&redacting).start().await;
    let client = world.client("a", Revision::V2026_07_28).await;
    assert_eq!(echo(&client, "hello").await.text(), "[redacted]");
    let small =
        policies("@result_bytes_max(\"10\") forbid(principal, action, resource == Tool::\"a/echo\");");
    let world = under(&small).start().await;
    let client = world.client("a", Revision::V2025_06_18).await;
    assert_eq!(echo(&client, "hello").await.code(), Some(-31011));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_recorded_before_and_after_under_one_operation() {
    let text = "@id(\"no\") forbid(principal, action == Action::\"call_tool\", resource) \
                when { context.arguments has text && context.arguments.text == \"no\" };";
    let some = policies(text);
    let world = under(&some).start().await;
    let tape = Arc::new(Tape::default());
    world.gateway().app().record_with(tape.clone());
    for revision in Revision::ALL {
        let client = world.client("a", revision).await;
        let before = tape.all().len();
        assert_eq!(echo(&client, "yes").await.text(), "yes");
        let _ = echo(&client, "no").await;
        let all = tape.all();
        let [begun, ended, denied] = &all[before..] else { panic!("{revision}: {:?}", &all[before..]) };
        let what = |event: &Event| (event.kind, event.phase, event.outcome);
        assert_eq!(what(begun), ("tool_call", Phase::Started, Ended::Allowed), "{revision}");
        assert_eq!(what(ended), ("tool_call", Phase::Completed, Ended::Allowed), "{revision}");
        assert_eq!(what(denied), ("tool_call", Phase::Single, Ended::Denied), "{revision}");
        assert_eq!(begun.operation, ended.operation);
        assert_ne!(begun.operation, denied.operation);
        assert_eq!((ended.upstream.as_deref(), ended.target.as_deref()), (Some("a"), Some("echo")));
        let arguments = ended.arguments.as_ref().expect("a digest");
        assert_eq!(arguments.digest, seal::sha256(br#"{"text":"yes"}"#), "{revision}");
        assert!(ended.result.is_some() && ended.address.is_some() && ended.took_us.is_some());
        let decided = denied.decided.as_ref().expect("a decision");
        assert_eq!(decided.effect, "deny");
        assert!(decided.policies.iter().any(|policy| policy.ends_with("no")), "{decided:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_answered_without_a_record_nothing_is_done_either() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let tape = Arc::new(Tape { strict: true, full: true, ..Tape::default() });
    let client = world.client("a", Revision::V2025_06_18).await;
    let modern = world.client("a", Revision::V2026_07_28).await;
    world.gateway().app().record_with(tape);
    for client in [client, modern] {
        let refused = echo(&client, "hello").await;
        assert_eq!(refused.code(), Some(-31010), "{:?}", refused.end);
    }
    assert_eq!(world.demo("a").server.stats().requests("tools/call"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_that_changes_something_is_recorded_where_it_is_served() {
    let world = World::builder().demo("crm", Server::builder()).start().await;
    let tape = Arc::new(Tape::default());
    world.gateway().app().record_with(tape.clone());
    let http = testkit::http::Http::new(world.address());
    for (path, methods) in tidegate_server::ROUTES.iter().filter(|(path, _)| path.starts_with("/oauth")) {
        for method in *methods {
            let before = tape.all().len();
            let request = http.request(method.parse().expect("a method"), path);
            let status =
                request.header("content-type", "application/x-www-form-urlencoded").send().await.status;
            let events = tape.all().split_off(before);
            // Somebody comes back from an issuer, who may have signed in.
            if *method != "POST" && path != &"/oauth/callback" {
                assert_eq!(events, [], "{method} {path}");
                continue;
            }
            let [event] = events.as_slice() else { panic!("{method} {path}: {events:?}") };
            assert_eq!(event.details["status"], status.to_string(), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_disclosed_and_subscribed_to_is_recorded_and_what_only_looks_is_not() {
    let world = World::builder().demo("a", Server::builder()).start().await;
    let tape = Arc::new(Tape::default());
    let client = world.client("a", Revision::V2025_06_18).await;
    world.gateway().app().record_with(tape.clone());
    let uri = client.request("resources/list", json!({})).await.result()["resources"][0]["uri"].clone();
    for (method, params, kinds) in [
        ("ping", json!({}), &[][..]),
        ("tools/list", json!({}), &["list_disclosure"]),
        ("prompts/get", json!({"name": "greet", "arguments": {"name": "x"}}), &["prompt_get", "prompt_get"]),
        ("resources/read", json!({ "uri": uri }), &["resource_read", "resource_read"]),
        ("resources/subscribe", json!({ "uri": uri }), &["subscribe"]),
        ("resources/unsubscribe", json!({ "uri": uri }), &["unsubscribe"]),
    ] {
        let before = tape.all().len();
        let _ = client.request(method, params).await;
        let found: Vec<&str> = tape.all()[before..].iter().map(|event| event.kind).collect();
        assert_eq!(found, kinds, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_tell_and_how_their_sessions_end_is_recorded_and_refused_without_a_record() {
    let world = World::builder().demo("a", Server::builder()).config(|config| {
        config.sessions.ttl = Span::from_millis(200);
    });
    let world = world.start().await;
    let tape = Arc::new(Tape::default());
    world.gateway().app().record_with(tape.clone());
    let said = |kind: &'static str, name: &'static str| {
        let all = tape.all().into_iter().filter(move |event| event.kind == kind);
        all.filter_map(move |event| event.details.get(name).cloned()).collect::<Vec<_>>()
    };
    let client = world.client("a", Revision::V2025_06_18).await;
    assert_eq!(said("notification", "method"), ["notifications/initialized"]);
    client.notify("notifications/roots/list_changed", json!({})).await;
    assert_eq!(said("notification", "method").len(), 2);
    assert_eq!(client.close().await, Some(204));
    assert_eq!(said("session_close", "why"), ["deleted"]);
    let _left_alone = world.client("a", Revision::V2025_03_26).await;
    let busy = world.client("a", Revision::V2025_11_25).await;
    within(async {
        while said("session_close", "why").len() < 2 {
            let _ = busy.request("ping", json!({})).await;
        }
    })
    .await;
    assert_eq!(said("session_close", "why"), ["deleted", "expired"], "and not the one that was deleted");
    let full = World::builder().demo("a", Server::builder()).start().await;
    let client = full.client("a", Revision::V2025_06_18).await;
    full.gateway().app().record_with(Arc::new(Tape { strict: true, full: true, ..Tape::default() }));
    assert_eq!(client.notify("notifications/roots/list_changed", json!({})).await, 503);
    assert_eq!(client.close().await, Some(503));
    assert_eq!(client.request("ping", json!({})).await.status, 200, "it goes on");
}
