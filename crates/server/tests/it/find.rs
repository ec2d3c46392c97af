//! An endpoint whose tools are searched, described and called by three of its own, for clients of every
//! revision.

use std::sync::Arc;

use config::{Drift, Endpoint, Find, FirstSight, Glob, HostRule, HostWhen, Pins, Policy, Preset, Span};
use demo::Server;
use serde_json::{Value, json};
use store::{ApprovalOffice, Decider};
use testkit::client::{Options, everything};
use testkit::harness::WorldBuilder;
use testkit::http::Http;
use testkit::{Client, Outcome, Revision, World, within};

use crate::may::{Policies, Tape, policies};

/// Two demo servers and the endpoint `work` over both.
fn finding(find: Find) -> WorldBuilder {
    let upstreams = vec!["a".to_owned(), "b".to_owned()];
    World::builder().demo("a", Server::builder()).demo("b", Server::builder()).config(|config| {
        let endpoint = Endpoint { upstreams, find: Some(find), ..Endpoint::default() };
        config.endpoints.insert("work".to_owned(), endpoint);
    })
}

fn under(rules: &Policies) -> WorldBuilder {
    let files = vec![rules.path.clone()];
    finding(Find::default()).config(|config| {
        let arguments = [("text".to_owned(), config::ArgumentType::String)].into();
        config.policy = Some(Policy { presets: vec![Preset::Everyone], files, arguments });
    })
}

fn names(list: &Value) -> Vec<String> {
    let tools = list["tools"].as_array().expect("tools");
    tools.iter().map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
}

async fn listed(client: &Client) -> Vec<String> {
    names(client.request("tools/list", json!({})).await.result())
}

/// What a search finds. What a client sees is in the text in every revision.
async fn found(client: &Client, query: &str) -> Vec<String> {
    let outcome = client.call_tool("search", json!({"query": query, "limit": 50})).await;
    match outcome.text() {
        text if text.starts_with("No tool was found.") => Vec::new(),
        text => names(&serde_json::from_str(text).expect("JSON")),
    }
}

async fn through(client: &Client, name: &str, arguments: Value) -> Outcome {
    client.call_tool("call", json!({"name": name, "arguments": arguments})).await
}

async fn echo(client: &Client, text: &str) -> Outcome {
    through(client, "a_echo", json!({ "text": text })).await
}

fn ran(world: &World) -> u64 {
    world.demo("a").server.stats().requests("tools/call")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_is_found_described_and_called_in_every_revision() {
    let world = finding(Find::default()).start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        assert_eq!(listed(&client).await, ["call", "describe", "search"], "{revision}");
        let tools = found(&client, "echo").await;
        assert!(tools.contains(&"a_echo".to_owned()) && tools.contains(&"b_echo".to_owned()), "{tools:?}");
        let of_one = client.call_tool("search", json!({"query": "echo", "server": "b"})).await;
        assert!(of_one.text().contains("b_echo") && !of_one.text().contains("a_echo"), "{revision}");
        let described = client.call_tool("describe", json!({"names": ["a_echo", "nothing"]})).await;
        let entry: Value = serde_json::from_str(described.text()).expect("JSON");
        assert_eq!(
            (&entry[0]["name"], entry[0]["inputSchema"]["type"].as_str()),
            (&json!("a_echo"), Some("object"))
        );
        assert!(described.result()["content"][1]["text"].as_str().expect("a text").contains("nothing"));
        assert_eq!(echo(&client, "hello").await.text(), "hello", "{revision}");
    }
    assert_eq!(ran(&world), Revision::ALL.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_call_is_said_and_nothing_runs() {
    let world = finding(Find::default()).start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        for (tool, arguments) in [
            ("search", json!({})),
            ("search", json!({"query": "a", "limit": 51})),
            ("describe", json!({"names": []})),
            ("call", json!({"arguments": {}})),
            ("call", json!({"name": "a_echo", "arguments": "text"})),
            ("call", json!({"name": "a_echo", "more": 1})),
        ] {
            let refused = client.call_tool(tool, arguments.clone()).await;
            assert_eq!(refused.code(), Some(-32602), "{revision}: {tool} {arguments}: {:?}", refused.end);
        }
        // The tools themselves are called by nobody through `call`.
        for tool in ["call", "search", "nothing"] {
            let refused = through(&client, tool, json!({"query": "echo", "name": "a_echo"})).await;
            assert_eq!(refused.code(), Some(-32602), "{revision}: {tool}");
        }
    }
    assert_eq!(ran(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_used_is_never_found_and_called_it_is_as_what_is_not_there() {
    let hidden = policies("forbid(principal, action, resource == Tool::\"a/echo\");");
    let world = under(&hidden).start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        for query in ["echo", "a_echo", "say the same text again", "ecko"] {
            let tools = found(&client, query).await;
            assert!(!tools.contains(&"a_echo".to_owned()), "{revision}: {query}: {tools:?}");
        }
        assert!(found(&client, "echo").await.contains(&"b_echo".to_owned()), "{revision}");
        let described = client.call_tool("describe", json!({"names": ["a_echo"]})).await;
        let unknown = client.call_tool("describe", json!({"names": ["a_none"]})).await;
        let say = |outcome: &Outcome| format!("{:?}", outcome.end).replace("a_none", "a_echo");
        assert_eq!(say(&described), say(&unknown), "{revision}");
        let (denied, unknown) = (echo(&client, "x").await, through(&client, "z_none", json!({})).await);
        assert_eq!(say(&denied), say(&unknown).replace("z_none", "a_echo"), "{revision}");
        assert_eq!(denied.code(), Some(-32602), "{revision}");
    }
    assert_eq!(ran(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_on_the_tool_inside_decides_by_its_arguments() {
    let text = "@reason(\"No secrets here.\") forbid(principal, action == Action::\"call_tool\", \
                resource == Tool::\"a/echo\") \
                when { context.arguments has text && context.arguments.text like \"*secret*\" };";
    let strict = policies(text);
    let world = under(&strict).start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        assert_eq!(echo(&client, "hello").await.text(), "hello", "{revision}");
        let denied = echo(&client, "a secret").await;
        assert_eq!(denied.text(), "No secrets here. Nothing was done.", "{revision}");
    }
    assert_eq!(ran(&world), Revision::ALL.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_for_somebody_elses_yes_to_the_tool_inside() {
    let text = "@ask(\"groups: security\") \
                forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";
    let asking = policies(text);
    let world = under(&asking).start().await;
    let clock = Arc::clone(&world.clock) as Arc<dyn model::Clock>;
    let office = ApprovalOffice::new(world.shared_store(), clock);
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        let text = revision.as_str();
        assert_eq!(echo(&client, text).await.result()["isError"], true, "{revision}");
        let pending = office.list(None, 10).await.expect("a list");
        let approval = pending.iter().find(|a| a.arguments.contains(text)).expect("an approval");
        assert_eq!((approval.upstream.as_str(), approval.tool.as_str()), ("a", "echo"), "{revision}");
        office.decide(&approval.id, &Decider::Operator("eve"), true, None).await.expect("decided");
        assert_eq!(echo(&client, text).await.text(), text, "{revision}");
        assert_eq!(echo(&client, text).await.result()["isError"], true, "one yes is for one call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caller_is_asked_about_the_tool_inside_and_a_yes_is_for_these_arguments() {
    let text = "@ask(\"caller\") @message(\"Really?\") \
                forbid(principal, action == Action::\"call_tool\", resource == Tool::\"a/echo\");";
    let asking = policies(text);
    let world = under(&asking).start().await;
    for revision in [Revision::V2025_06_18, Revision::V2025_11_25, Revision::V2026_07_28] {
        let client = world.client("work", revision).await;
        let outcome = echo(&client, "hello").await;
        assert_eq!(outcome.text(), "hello", "{revision}");
        let said = outcome.asked[0]["params"]["message"].as_str().expect("a question");
        assert!(said.starts_with("Really?") && said.contains(r#"{"text":"hello"}"#), "{revision}: {said}");
    }
    let client = world.client("work", Revision::V2026_07_28).await;
    let call =
        |text: &str| json!({"name": "call", "arguments": {"name": "a_echo", "arguments": {"text": text}}});
    let asked = client.ask_once("tools/call", call("hello")).await;
    let retry = |text: &str| {
        let mut retry = call(text);
        retry["requestState"] = asked.result()["requestState"].clone();
        retry["inputResponses"] = json!({"tidegate_confirm": {"action": "accept", "content": {}}});
        retry
    };
    assert_eq!(client.ask_once("tools/call", retry("other")).await.code(), Some(-32602));
    assert_eq!(client.ask_once("tools/call", retry("hello")).await.text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_names_the_tool_inside_and_a_search_is_a_disclosure() {
    let world = finding(Find::default()).start().await;
    let tape = Arc::new(Tape::default());
    world.gateway().app().record_with(tape.clone());
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        let before = tape.all().len();
        let _ = found(&client, "echo").await;
        assert_eq!(echo(&client, "yes").await.text(), "yes");
        let _ = through(&client, "z_none", json!({})).await;
        let all = tape.all();
        let [searched, begun, ended, unknown] = &all[before..] else { panic!("{:?}", &all[before..]) };
        assert_eq!((searched.kind, searched.target.as_deref()), ("list_disclosure", Some("search")));
        for event in [begun, ended] {
            let what = (event.kind, event.upstream.as_deref(), event.target.as_deref());
            assert_eq!(what, ("tool_call", Some("a"), Some("echo")), "{revision}");
            assert_eq!(event.details["through"], "call", "{revision}");
        }
        let told = begun.arguments.as_ref().expect("arguments").digest;
        assert_eq!(told, seal::sha256(br#"{"text":"yes"}"#), "{revision}: those of the tool inside");
        assert_eq!(unknown.target.as_deref(), Some("z_none"), "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_tasks_are_those_of_the_tool_inside() {
    let text = "upstreams: {a: {url: 'http://a'}}\n\
                rates: [{name: few, match: {tools: [echo]}, rate: 1/1d, burst: 1}]";
    let rates = config::load_str(text, "f").expect("a configuration").rates;
    let tools = Glob::new("a_add").expect("a pattern");
    let rule = HostRule { tools, when: HostWhen::Always, required: false };
    let world = finding(Find::default()).config(|config| {
        config.rates = rates;
        config.tasks.host = vec![rule];
    });
    let world = world.start().await;
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    let client = world.client_with("work", Revision::V2026_07_28, options).await;
    assert_eq!(echo(&client, "one").await.text(), "one");
    assert_eq!(echo(&client, "two").await.code(), Some(-31006), "the limit is that of the tool");
    let made = through(&client, "a_add", json!({"a": 1, "b": 2})).await;
    assert_eq!(made.result()["resultType"], "task", "{:?}", made.end);
    let task = json!({"taskId": made.result()["taskId"]});
    let ended = within(async {
        loop {
            let got = client.request("tasks/get", task.clone()).await.result().clone();
            if got["status"] != "working" {
                break got;
            }
            tokio::task::yield_now().await;
        }
    });
    let ended = ended.await;
    assert_eq!(ended["status"], "completed", "{ended}");
    assert!(ended["result"]["content"][0]["text"].as_str().expect("a text").contains('3'), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_is_quarantined_is_neither_found_nor_called() {
    let pins = Pins { drift: Drift::Quarantine, first: FirstSight::Quarantine, reread: Span::from_secs(0) };
    let world = finding(Find::default()).config(move |config| config.pins = Some(pins)).start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        assert_eq!(found(&client, "echo").await, Vec::<String>::new(), "{revision}");
        let refused = echo(&client, "x").await;
        assert!(format!("{:?}", refused.end).contains("quarantined"), "{revision}: {:?}", refused.end);
    }
    assert_eq!(ran(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_when_a_list_is_another_one_and_not_for_each_call() {
    let world = finding(Find::default()).start().await;
    let http = Http::new(world.address());
    let made = async || {
        let text = http.get("/metrics").send().await.text().await;
        let line = text.lines().find(|line| line.starts_with("tidegate_tool_indexes_made_total"));
        line.expect("the metric").rsplit(' ').next().expect("a number").to_owned()
    };
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        assert!(!found(&client, "echo").await.is_empty());
        assert!(!found(&client, "extra").await.contains(&"a_extra".to_owned()));
    }
    assert_eq!(made().await, "1", "what everybody may see is indexed once");
    let client = world.client("work", Revision::V2026_07_28).await;
    client.watch(&[]).await.expect("it listens");
    let _ = through(&client, "a_toggle", json!({})).await.result();
    let _ = client.next_change().await;
    assert!(found(&client, "extra").await.contains(&"a_extra".to_owned()));
    assert_eq!(made().await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_its_own_tools_an_endpoint_lists_the_three_first_and_calls_what_they_hide() {
    let find = Find { beside: true, limit: 3, ..Find::default() };
    let world = finding(find).config(|config| {
        config.limits.page_size = 4;
        let endpoint = config.endpoints.get_mut("work").expect("the endpoint");
        endpoint.aliases.insert("a_echo".to_owned(), "search".to_owned());
    });
    let world = world.start().await;
    for revision in Revision::ALL {
        let client = world.client("work", revision).await;
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let page = client.request("tools/list", params).await.result().clone();
            all.extend(names(&page));
            match page.get("nextCursor") {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => break,
            }
        }
        assert_eq!(all[..3], ["call", "describe", "search"], "{revision}");
        assert!(all.contains(&"b_echo".to_owned()), "{revision}: {all:?}");
        assert_eq!(all.iter().filter(|name| *name == "search").count(), 1, "{revision}");
        let some = client.call_tool("search", json!({"query": "text"})).await;
        let some: Value = serde_json::from_str(some.text()).expect("JSON");
        assert!(names(&some).len() <= 3, "{revision}");
        assert_eq!(through(&client, "search", json!({"text": "me"})).await.text(), "me", "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_with_mirrored_headers_is_called_without_them_through_call() {
    let world = finding(Find::default()).start().await;
    let direct = world.client("a", Revision::V2026_07_28).await;
    let list = direct.request("tools/list", json!({})).await.result().clone();
    let mirrored = |tool: &&Value| tool["inputSchema"].to_string().contains("x-mcp-header");
    let tool = list["tools"].as_array().expect("tools").iter().find(mirrored).expect("one").clone();
    let name = tool["name"].as_str().expect("a name");
    let client = world.client("work", Revision::V2026_07_28).await;
    let outcome = through(&client, &format!("a_{name}"), json!({"region": "eu"})).await;
    assert_ne!(outcome.result()["isError"], true, "{:?}", outcome.end);
}
