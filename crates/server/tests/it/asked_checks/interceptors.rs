//! Checks by interceptors (SEP-2624, a draft): an MCP server whose interceptors do what their names say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use config::{CheckFail, CheckInterceptors, CheckMode, CheckRule, Checked, Span};
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::{Client, Outcome, Revision, World};

use super::other::{Answer, Heard, Other, nobody};
use super::{ALL, AUTHORIZATION, Events, client, stopped, world};

/// How the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Modern,
    Legacy,
}

fn own(url: String) -> CheckInterceptors {
    CheckInterceptors { experimental: true, url, ..CheckInterceptors::default() }
}

fn rule(on: &[Checked], own: CheckInterceptors) -> CheckRule {
    CheckRule { name: "r".to_owned(), on: on.to_vec(), interceptors: Some(own), ..CheckRule::default() }
}

/// Where the word is that interceptors look at: in arguments, results, questions and answers.
const PLACES: [&str; 5] =
    ["/arguments/text", "/content/0/text", "/message", "/content/quantity", "/tools/0/description"];

/// A server with these interceptors. The beginning of a name says what it does: `allow`, `deny`, `warn`,
/// `crash`, `upper` (writes capitals), `needs-upper` (refuses anything else), `add-X` (adds an X), `rename`.
async fn server(speaks: Speaks, interceptors: Value) -> Other {
    Other::start(move |heard| answer(speaks, &interceptors, heard)).await
}

fn answer(speaks: Speaks, interceptors: &Value, heard: &Heard) -> Answer {
    let message: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    let (id, params) = (message["id"].clone(), &message["params"]);
    let result = match (message["method"].as_str().unwrap_or_default(), speaks) {
        ("server/discover", Speaks::Modern) => Ok(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {},
            "serverInfo": {"name": "guard", "version": "1"}, "ttlMs": 0, "cacheScope": "private",
        })),
        ("initialize", Speaks::Legacy) => Ok(json!({
            "protocolVersion": "2025-11-25", "capabilities": {"interceptor": {"supportedEvents": ["*"]}},
            "serverInfo": {"name": "guard", "version": "1"},
        })),
        ("interceptors/list", _) => Ok(json!({"interceptors": interceptors})),
        ("interceptor/invoke", _) => invoke(params),
        _ if id.is_null() => return Answer::Plain(202, None, String::new()),
        _ => Err(-32601),
    };
    Answer::Json(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(code) => json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": "no"}}),
    })
}

fn invoke(params: &Value) -> Result<Value, i64> {
    let name = params["name"].as_str().unwrap_or_default();
    let mut payload = params["payload"].clone();
    let place = PLACES.into_iter().find(|place| payload.pointer(place).is_some());
    let text =
        place.and_then(|place| payload.pointer(place)?.as_str().map(str::to_owned)).unwrap_or_default();
    let valid = |valid: bool, severity: &str, message: &str| {
        Ok(json!({
            "interceptor": name, "type": "validation", "phase": params["phase"], "valid": valid,
            "severity": severity, "messages": [{"message": message, "severity": severity}],
        }))
    };
    let said = match name.split('-').next().unwrap_or_default() {
        "allow" => return valid(true, "info", "fine"),
        "deny" => return valid(false, "error", "denied by policy"),
        "warn" => return valid(false, "warn", "hm"),
        "needs" => return valid(text == text.to_uppercase(), "error", "capitals, please"),
        "crash" => return Err(-32603),
        "refuse" => return Err(-32602),
        "upper" => text.to_uppercase(),
        "add" => format!("{text}{}", name.rsplit('-').next().unwrap_or_default()),
        "rename" => {
            payload["name"] = json!("another");
            return Ok(json!({"type": "mutation", "modified": true, "payload": payload}));
        }
        "nonsense" => return Ok(json!({"type": "mutation", "modified": "perhaps"})),
        _ => return Err(-32602),
    };
    match place.and_then(|place| payload.pointer_mut(place)) {
        Some(slot) if said != text => *slot = json!(said),
        _ => return Ok(json!({"type": "mutation", "modified": false, "payload": payload})),
    }
    Ok(json!({"interceptor": name, "type": "mutation", "modified": true, "payload": payload}))
}

fn validator(name: &str) -> Value {
    json!({"name": name, "type": "validation", "hook": {"events": ["tools/call"], "phase": "both"}})
}

/// In the newer spelling of the draft.
fn mutator(name: &str) -> Value {
    let hook = |phase: &str| json!({"events": ["tools/call"], "phase": phase});
    json!({"name": name, "type": "mutation", "hooks": [hook("request"), hook("response")]})
}

fn with(mut descriptor: Value, name: &str, value: Value) -> Value {
    descriptor[name] = value;
    descriptor
}

/// What a call of `echo` comes to whose interceptors look at one side.
async fn echoed(on: Checked, interceptors: Value, change: impl FnOnce(&mut CheckRule)) -> (Outcome, String) {
    let server = server(Speaks::Modern, interceptors).await;
    let mut rule = rule(&[on], own(server.url("/mcp")));
    change(&mut rule);
    let world = world(vec![rule]).await;
    let events = Events::of(&world);
    let outcome = client(&world).await.call_tool("echo", json!({"text": "hello"})).await;
    (outcome, events.last().details.get("checks").cloned().unwrap_or_default())
}

type Chain = (&'static str, Checked, Value, Option<&'static str>);

fn audit(descriptor: Value) -> Value {
    with(descriptor, "mode", json!("audit"))
}

fn open(descriptor: Value) -> Value {
    with(descriptor, "failOpen", json!(true))
}

/// Validators, and what a call of `echo` with "hello" comes to. `None`: it does not pass.
fn validations() -> Vec<Chain> {
    let (request, response) = (Checked::Arguments, Checked::Results);
    let a_request =
        |name| with(validator(name), "hook", json!({"events": ["tools/call"], "phase": "request"}));
    let elsewhere = |name| with(validator(name), "hook", json!({"events": ["prompts/get"], "phase": "both"}));
    vec![
        ("nobody", request, json!([]), Some("hello")),
        ("a validator that allows", request, json!([validator("allow")]), Some("hello")),
        ("a validator that denies", request, json!([validator("deny")]), None),
        ("a validator that denies a result", response, json!([validator("deny")]), None),
        ("one that warns", request, json!([validator("warn")]), Some("hello")),
        ("one that denies among others", request, json!([validator("allow"), validator("deny")]), None),
        ("one that only says so", request, json!([audit(validator("deny"))]), Some("hello")),
        ("one that crashes", request, json!([validator("crash")]), None),
        ("one that is refused", request, json!([validator("refuse")]), None),
        ("one that crashes and may", request, json!([open(validator("crash"))]), Some("hello")),
        ("one that crashes and only watches", request, json!([audit(validator("crash"))]), Some("hello")),
        ("one of another event", request, json!([elsewhere("deny")]), Some("hello")),
        ("one of another phase", response, json!([a_request("deny")]), Some("hello")),
        ("one that makes no sense", request, json!([with(validator("allow"), "hook", json!(7))]), None),
        (
            "a kind that nobody knows",
            request,
            json!([with(validator("deny"), "type", json!("sink"))]),
            Some("hello"),
        ),
    ]
}

/// The same for those that change something.
fn mutations() -> Vec<Chain> {
    let (request, response) = (Checked::Arguments, Checked::Results);
    let first = |name, at: Value| with(mutator(name), "priorityHint", at);
    vec![
        ("a change", request, json!([mutator("upper")]), Some("HELLO")),
        ("a change of a result", response, json!([mutator("upper")]), Some("HELLO")),
        ("a change that is only watched", request, json!([audit(mutator("upper"))]), Some("hello")),
        (
            "going out: changed, then validated",
            request,
            json!([validator("needs"), mutator("upper")]),
            Some("HELLO"),
        ),
        ("coming in: validated, then changed", response, json!([validator("needs"), mutator("upper")]), None),
        ("by name", request, json!([mutator("add-b"), mutator("add-a")]), Some("helloab")),
        (
            "by priority",
            request,
            json!([first("add-a", json!(5)), first("add-b", json!(-5))]),
            Some("helloba"),
        ),
        (
            "by priority of the phase",
            response,
            json!([first("add-a", json!({"request": -5, "response": 5})), mutator("add-b")]),
            Some("helloba"),
        ),
        ("all or none", request, json!([mutator("add-a"), mutator("crash-b")]), None),
        (
            "all but who may fail",
            request,
            json!([mutator("add-a"), open(mutator("crash-b"))]),
            Some("helloa"),
        ),
        ("nonsense", request, json!([mutator("nonsense")]), None),
        ("another call", request, json!([mutator("rename")]), None),
    ]
}

/// The order, the modes and the failures of a chain.
#[tokio::test(flavor = "multi_thread")]
async fn chains_run_in_the_order_of_the_draft_and_end_as_it_says() {
    for (what, on, interceptors, passes) in validations().into_iter().chain(mutations()) {
        let (outcome, record) = echoed(on, interceptors, |_| {}).await;
        let stopped = stopped(&outcome);
        assert_eq!(stopped.is_none(), passes.is_some(), "{what}: {outcome:?} {record}");
        if let Some(passes) = passes {
            assert_eq!(outcome.text(), passes, "{what}: {record}");
        } else if on == Checked::Arguments {
            assert_eq!(outcome.result()["_meta"][AUTHORIZATION]["remediation"], "unavailable", "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_says_what_each_interceptor_did() {
    let all = json!([mutator("upper"), validator("warn"), with(validator("deny"), "mode", json!("audit"))]);
    let (_, record) = echoed(Checked::Arguments, all, |_| {}).await;
    assert_eq!(record, "r changed arguments (changed: upper changed, warn warned, deny would have denied)");
    let (outcome, record) = echoed(Checked::Arguments, json!([validator("deny")]), |_| {}).await;
    assert_eq!(record, "r blocked arguments (denied: deny denied)");
    assert!(outcome.text().contains("(denied by policy). Nothing ran."), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_says_whether_anything_is_done_and_whether_failures_pass() {
    let observes = |rule: &mut CheckRule| rule.mode = CheckMode::Observe;
    let opens = |rule: &mut CheckRule| rule.fail = CheckFail::Open;
    for name in ["deny", "crash"] {
        let (outcome, record) = echoed(Checked::Arguments, json!([validator(name)]), observes).await;
        assert_eq!(outcome.text(), "hello", "{name}: {record}");
        assert!(record.contains("observed") || record.contains("failed_open"), "{record}");
    }
    let (outcome, _) = echoed(Checked::Arguments, json!([mutator("upper")]), observes).await;
    assert_eq!(outcome.text(), "hello");
    let (outcome, _) = echoed(Checked::Arguments, json!([validator("crash"), mutator("add-a")]), opens).await;
    assert_eq!(outcome.text(), "helloa");
    let (outcome, _) = echoed(Checked::Arguments, json!([validator("deny")]), opens).await;
    assert!(stopped(&outcome).is_some(), "a denial is no failure: {outcome:?}");
    let named = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        move |rule: &mut CheckRule| rule.interceptors.as_mut().expect("it has some").names = Some(names)
    };
    let both = json!([validator("deny"), mutator("add-a")]);
    let (outcome, _) = echoed(Checked::Arguments, both.clone(), named(&["add-a"])).await;
    assert_eq!(outcome.text(), "helloa", "others are not asked");
    let (outcome, record) = echoed(Checked::Arguments, both, named(&["add-a", "gone"])).await;
    assert!(stopped(&outcome).is_some() && record.contains("no_interceptor"), "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_either_era_is_asked_and_hears_no_more_of_the_caller_than_his_name() {
    for speaks in [Speaks::Modern, Speaks::Legacy] {
        let server = server(speaks, json!([mutator("upper")])).await;
        let world = world(vec![rule(&[Checked::Arguments, Checked::Results], own(server.url("/mcp")))]).await;
        for revision in Revision::ALL {
            let client = world.client("crm", revision).await;
            let outcome = client.call_tool("echo", json!({"text": "hello", "n": 1.0})).await;
            assert_eq!(outcome.text(), "HELLO", "{speaks:?} {revision}");
        }
        let heard = server.heard();
        let invoked: Vec<Value> = heard
            .iter()
            .filter(|heard| !heard.body.is_empty())
            .map(Heard::json)
            .filter(|message| message["method"] == "interceptor/invoke")
            .map(|message| message["params"].clone())
            .collect();
        assert_eq!(invoked.len(), 2 * Revision::ALL.len(), "{speaks:?}");
        let first = &invoked[0];
        assert_eq!(first["event"], "tools/call");
        assert_eq!(first["payload"]["name"], "echo");
        assert_eq!(first["payload"].as_object().expect("parameters").len(), 2, "{first}");
        assert_eq!(first["timeoutMs"], 2_000);
        let context = first["context"].as_object().expect("a context");
        assert_eq!(context["principal"], json!({"type": "anonymous", "id": "anonymous"}));
        assert!(
            context.keys().all(|name| ["principal", "timestamp", "traceId"].contains(&&**name)),
            "{context:?}"
        );
        let lists =
            heard.iter().filter(|heard| String::from_utf8_lossy(&heard.body).contains("interceptors/list"));
        assert_eq!(lists.count(), 1, "{speaks:?}: the list is good for a minute");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_and_no_good_answer_pass_only_where_the_rule_says_so() {
    let garbage = |text: &'static str| Other::start(move |_| Answer::Plain(200, None, text.to_owned()));
    let silent = Other::start(|_| Answer::Silence).await;
    let moved = Other::start(|_| Answer::Plain(302, Some(("location", "/else")), String::new())).await;
    let broken = Other::start(|_| Answer::Plain(500, None, String::new())).await;
    let no_json = garbage("hello").await;
    let large =
        server(Speaks::Modern, json!([with(validator("allow"), "description", json!("x".repeat(70_000)))]));
    let large = large.await;
    let places = [
        ("silence", silent.url("/mcp")),
        ("a redirect", moved.url("/mcp")),
        ("500", broken.url("/mcp")),
        ("no JSON", no_json.url("/mcp")),
        ("too large", large.url("/mcp")),
        ("nobody", nobody()),
    ];
    for (what, url) in places {
        for (mode, fail, passes) in [
            (CheckMode::Enforce, CheckFail::Closed, false),
            (CheckMode::Enforce, CheckFail::Open, true),
            (CheckMode::Observe, CheckFail::Closed, true),
        ] {
            for on in [Checked::Arguments, Checked::Results, Checked::Descriptions] {
                let bytes_max = config::Size::from_kib(64);
                let own =
                    CheckInterceptors { timeout: Span::from_millis(300), bytes_max, ..own(url.clone()) };
                let world = world(vec![CheckRule { mode, fail, ..rule(&[on], own) }]).await;
                let client = client(&world).await;
                let ended = match on {
                    Checked::Descriptions => client.request("tools/list", json!({})).await,
                    _ => client.call_tool("echo", json!({"text": "hello"})).await,
                };
                assert_eq!(stopped(&ended).is_none(), passes, "{what} {mode:?} {fail:?} {on:?}: {ended:?}");
            }
        }
    }
    assert!(moved.heard().iter().all(|heard| heard.path == "/mcp"), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_question_and_each_answer_is_an_event_of_its_own_and_lists_are_others() {
    let hooks = json!([{"events": ["elicitation/create", "tools/list"], "phase": "request"},
        {"events": ["elicitation/*", "tools/list"], "phase": "response"}]);
    let all = json!([with(mutator("upper"), "hooks", hooks)]);
    let server = server(Speaks::Modern, all).await;
    let world = world(vec![rule(&ALL, own(server.url("/mcp")))]).await;
    let client = client(&world).await;
    let list = client.request("tools/list", json!({})).await.result().clone();
    let first = list["tools"][0]["description"].as_str().expect("a text").to_owned();
    assert_eq!(first, first.to_uppercase());
    let ended = client.call_tool("confirm_order", json!({})).await;
    let asked = ended.asked[0]["params"]["message"].as_str().expect("a text").to_owned();
    assert_eq!(asked, asked.to_uppercase());
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for heard in server.heard().iter().filter(|heard| !heard.body.is_empty()) {
        let message = heard.json();
        if message["method"] == "interceptor/invoke" {
            let text = |name: &str| message["params"][name].as_str().expect("text").to_owned();
            *seen.entry((text("event"), text("phase"))).or_default() += 1;
        }
    }
    let of = |event: &str, phase: &str| seen.get(&(event.to_owned(), phase.to_owned())).copied();
    assert_eq!(of("elicitation/create", "request"), Some(1), "{seen:?}");
    assert_eq!(of("elicitation/create", "response"), Some(1), "{seen:?}");
    assert!(of("tools/list", "response").is_some() && of("tools/call", "request").is_none(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_a_member_too_many_does_not_get_past_an_interceptor() {
    let hook = json!({"events": ["elicitation/create"], "phase": "response"});
    let server = server(Speaks::Modern, json!([with(validator("deny"), "hook", hook)])).await;
    let world = world(vec![rule(&[Checked::Questions], own(server.url("/mcp")))]).await;
    for more in [json!({}), json!({"roots": []}), json!({"role": "assistant", "model": "m"})] {
        let seen = Arc::new(Mutex::new(0));
        let (counted, more) = (Arc::clone(&seen), more.as_object().expect("members").clone());
        let answers: testkit::client::Answers = Arc::new(move |_, _| {
            *counted.lock().expect("nobody broke it") += 1;
            let mut answer = json!({"action": "accept", "content": {"quantity": 2}});
            answer.as_object_mut().expect("an object").extend(more.clone());
            Ok(answer)
        });
        let options = Options { answers, ..Options::default() };
        let client = Client::with(world.address(), "/crm/mcp", Revision::V2026_07_28, options).await;
        let ended = client.call_tool("confirm_order", json!({})).await;
        assert!(stopped(&ended).is_some(), "{ended:?}");
        assert_eq!(*seen.lock().expect("nobody broke it"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_call_reaches_the_server_with_headers_that_say_the_same() {
    let hook = json!([{"events": ["tools/call"], "phase": "request"}]);
    let add = with(mutator("add-x"), "hooks", hook);
    let server = Other::start(move |heard| {
        let message: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
        if message["method"] != "interceptor/invoke" {
            return answer(Speaks::Modern, &json!([add]), heard);
        }
        let mut payload = message["params"]["payload"].clone();
        payload["arguments"]["region"] = json!("us");
        let result = json!({"type": "mutation", "modified": true, "payload": payload});
        Answer::Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    });
    let server = server.await;
    let world: World = world(vec![rule(&[Checked::Arguments], own(server.url("/mcp")))]).await;
    let client = client(&world).await;
    let _ = client.request("tools/list", json!({})).await.result();
    let _ = client.call_tool("lookup_region", json!({"region": "eu"})).await.result();
    let seen = world.demo("crm").server.stats().last("tools/call").expect("it was made");
    assert_eq!(seen.message["params"]["arguments"]["region"], "us");
    assert_eq!(seen.headers["mcp-param-region"], "us");
    assert_eq!(seen.headers["mcp-name"], "lookup_region");
}
