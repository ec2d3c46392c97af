//! Checks by webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::{CheckFail, CheckMode, CheckRule, CheckWebhook, Checked, Policy, Secret, Size, Span};
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::{Client, Revision, World};

use super::other::{Answer, Heard, Other, nobody};
use super::{ALL, AUTHORIZATION, Events, client, names, stopped, world};

/// The bytes of the secret by which requests are signed.
const KEY: [u8; 32] = [5; 32];

fn rule(on: &[Checked], webhook: CheckWebhook) -> CheckRule {
    CheckRule { name: "r".to_owned(), on: on.to_vec(), webhook: Some(webhook), ..CheckRule::default() }
}

fn at(url: String) -> CheckWebhook {
    CheckWebhook { url, ..CheckWebhook::default() }
}

/// Whoever says `says` of what he is shown.
async fn who(says: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Other {
    Other::start(move |heard| Answer::Json(says(&heard.json()["data"]))).await
}

fn allow() -> Value {
    json!({"action": "allow"})
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_sees_what_passes_and_who_calls_and_nothing_that_proves_him() {
    let other = who(|_| allow()).await;
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let headers = [("authorization".to_owned(), Secret::plain("Bearer t"))].into();
    let webhook = CheckWebhook { secret: Some(Secret::plain(secret)), headers, ..at(other.url("/check")) };
    let world = world(vec![rule(&ALL, webhook)]).await;
    let client = client(&world).await;
    let _ = client.request("tools/list", json!({})).await.result();
    assert_eq!(client.call_tool("echo", json!({"text": "hello", "n": 1.0})).await.text(), "hello");
    let heard = other.heard();
    let shown: Vec<Value> = heard.iter().map(|heard| heard.json()["data"].clone()).collect();
    let on: Vec<_> = shown.iter().map(|data| (&data["on"], &data["phase"], &data["method"])).collect();
    assert_eq!(
        on.iter()
            .map(|(on, phase, method)| format!("{on} {phase} {method}").replace('"', ""))
            .collect::<Vec<_>>(),
        ["descriptions response tools/list", "arguments request tools/call", "results response tools/call"]
    );
    assert!(shown[0]["payload"]["tools"].as_array().expect("tools").len() > 5);
    assert_eq!(shown[0]["payload"].as_object().expect("a list").len(), 1, "no cursor, nothing else");
    assert_eq!((&shown[1]["name"], &shown[1]["upstream"]), (&json!("echo"), &json!("crm")));
    assert_eq!(shown[1]["endpoint"], "crm");
    let caller = json!({"tenant": "default", "subject": "anonymous", "kind": "anonymous"});
    assert_eq!(shown[1]["principal"], caller);
    // As they are spelled.
    assert!(String::from_utf8_lossy(&heard[1].body).contains(r#""n":1.0"#));
    assert_eq!(shown[2]["payload"]["content"][0]["text"], "hello");
    heard.iter().for_each(holds);
    let ids: std::collections::HashSet<_> =
        heard.iter().map(|heard| heard.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), heard.len(), "each has its own name");
}

/// A request is signed as Standard Webhooks has it, and carries what the operator adds.
fn holds(heard: &Heard) {
    let text = |name: &str| heard.headers[name].to_str().expect("text").to_owned();
    let (id, seconds) = (text("webhook-id"), text("webhook-timestamp"));
    let signed = [id.as_bytes(), b".", seconds.as_bytes(), b".", &heard.body];
    let expected = format!("v1,{}", STANDARD.encode(seal::hmac_sha256(&KEY, &signed)));
    assert_eq!(text("webhook-signature"), expected);
    assert_eq!(
        (text("authorization"), text("content-type")),
        ("Bearer t".to_owned(), "application/json".to_owned())
    );
    let body = heard.json();
    assert_eq!(body["type"], "tidegate.check");
    let at = seal::time_from_text(body["timestamp"].as_str().expect("a time")).expect("a time");
    assert_eq!((at.0 / 1_000).to_string(), seconds);
    assert_eq!(heard.path, "/check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_denied_is_not_made_and_says_why_and_that_nothing_ran_in_every_revision() {
    let deny = |data: &Value| match data["payload"]["text"] == "bad" {
        true => json!({"action": "deny", "reason": "not today", "code": "pii.card"}),
        false => allow(),
    };
    let other = who(deny).await;
    let world = world(vec![rule(&[Checked::Arguments], at(other.url("/")))]).await;
    let events = Events::of(&world);
    for revision in Revision::ALL {
        let client = world.client("crm", revision).await;
        assert_eq!(client.call_tool("echo", json!({"text": "good"})).await.text(), "good");
        let made = world.demo("crm").server.stats().requests("tools/call");
        let refused = client.call_tool("echo", json!({"text": "bad"})).await;
        let result = refused.result();
        assert_eq!(result["isError"], true, "{revision}: {result}");
        let text = "The call was not made: the check \"r\" does not allow it (not today). Nothing ran.";
        assert_eq!(refused.text(), text);
        assert_eq!(result["_meta"][AUTHORIZATION]["remediation"], "unavailable", "{revision}: {result}");
        assert_eq!(world.demo("crm").server.stats().requests("tools/call"), made, "{revision}");
        let event = events.last();
        assert_eq!(event.outcome, audit::Outcome::Denied, "{revision}");
        assert_eq!(event.details["checks"], "r blocked arguments (denied pii.card)", "{revision}");
    }
    let prompt = client(&world).await;
    let other_method =
        prompt.request("prompts/get", json!({"name": "greet", "arguments": {"text": "bad"}})).await;
    assert_eq!(other_method.code(), Some(-32602), "{other_method:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_passes_as_it_was_changed_and_blanked_places_are_blank() {
    let other = who(|data| match data["on"].as_str() {
        Some("arguments") if data["payload"]["text"] == "a" => {
            json!({"action": "mutate", "payload": {"text": "b"}})
        }
        Some("arguments") => json!({"action": "mutate", "blank": ["/text"]}),
        _ => json!({"action": "mutate", "payload": {
            "resultType": "complete", "content": [{"type": "text", "text": "seen"}],
        }}),
    });
    let other = other.await;
    let world = world(vec![rule(&[Checked::Arguments], at(other.url("/")))]).await;
    let events = Events::of(&world);
    for revision in Revision::ALL {
        let client = world.client("crm", revision).await;
        assert_eq!(client.call_tool("echo", json!({"text": "a"})).await.text(), "b", "{revision}");
        assert_eq!(events.last().details["checks"], "r changed arguments (changed)");
        assert_eq!(client.call_tool("echo", json!({"text": "x"})).await.text(), "[redacted]", "{revision}");
    }
    world.stop().await;
    let world = super::world(vec![rule(&[Checked::Results], at(other.url("/")))]).await;
    let client = client(&world).await;
    assert_eq!(client.call_tool("echo", json!({"text": "a"})).await.text(), "seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_repeat_arguments_say_what_the_changed_ones_say() {
    let other = who(|_| json!({"action": "mutate", "payload": {"region": "us"}})).await;
    let world = world(vec![rule(&[Checked::Arguments], at(other.url("/")))]).await;
    let client = client(&world).await;
    // The client knows the tool, so its own header says "eu".
    let _ = client.request("tools/list", json!({})).await.result();
    let found = client.call_tool("lookup_region", json!({"region": "eu"})).await;
    assert!(found.result()["isError"] != true, "{found:?}");
    let seen = world.demo("crm").server.stats().last("tools/call").expect("it was made");
    assert_eq!(seen.message["params"]["arguments"]["region"], "us");
    assert_eq!(
        (&seen.headers["mcp-param-region"], &seen.headers["mcp-name"]),
        (&"us".parse().unwrap(), &"lookup_region".parse().unwrap())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_header_of_the_clients_repeats_what_was_changed() {
    let other = who(|_| json!({"action": "mutate", "payload": {"text": "b"}})).await;
    for (rules, repeated) in
        [(vec![rule(&[Checked::Arguments], at(other.url("/")))], false), (Vec::new(), true)]
    {
        let world = world(rules).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
            "name": "echo", "arguments": {"text": "a"}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        }});
        let http = testkit::http::Http::new(world.address());
        let request = http.post("/crm/mcp", call).header("mcp-protocol-version", "2026-07-28");
        let request = request.header("mcp-method", "tools/call").header("mcp-name", "echo");
        let answer = request.header("mcp-param-unknown", "a").send().await.text().await;
        assert!(answer.contains("\"result\""), "{answer}");
        let seen = world.demo("crm").server.stats().last("tools/call").expect("it was made");
        assert_eq!(seen.headers.contains_key("mcp-param-unknown"), repeated);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_and_their_answers_are_looked_at_without_the_state_that_belongs_to_the_client() {
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        let other = who(|data| match &data["payload"] {
            questions if data["phase"] == "request" => {
                let mut questions = questions.clone();
                for (_, question) in questions.as_object_mut().expect("questions") {
                    question["params"]["message"] = json!("changed");
                }
                json!({"action": "mutate", "payload": questions})
            }
            _ => json!({"action": "deny", "reason": "no answers"}),
        });
        let other = other.await;
        let world = world(vec![rule(&[Checked::Questions], at(other.url("/")))]).await;
        let client = world.client("crm", revision).await;
        let ended = client.call_tool("confirm_order", json!({})).await;
        assert!(ended.text().contains("does not allow it (no answers). Nothing ran."), "{ended:?}");
        assert_eq!(ended.asked[0]["params"]["message"], "changed", "{revision}: {:?}", ended.asked);
        let shown: Vec<Value> = other.heard().iter().map(|heard| heard.json()["data"].clone()).collect();
        assert_eq!(shown.iter().map(|data| &data["on"]).collect::<Vec<_>>(), ["questions", "questions"]);
        assert!(!shown[0].to_string().contains("requestState"), "{shown:?}");
        let answers = shown[1]["payload"].as_object().expect("answers");
        assert!(answers.values().all(|answer| answer["action"] == "accept"), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_lists_are_changed_or_left_out_and_none_is_added() {
    let other = who(|data| {
        let mut tools = data["payload"]["tools"].as_array().expect("tools").clone();
        tools.retain(|tool| tool["name"] != "fail");
        tools
            .iter_mut()
            .filter(|tool| tool["name"] == "echo")
            .for_each(|tool| tool["description"] = json!("E."));
        json!({"action": "mutate", "payload": {"tools": tools}})
    });
    let other = other.await;
    let only =
        Some(vec![config::Glob::new("e*").expect("a pattern"), config::Glob::new("fail").expect("one")]);
    let rules = vec![CheckRule { tools: only, ..rule(&[Checked::Descriptions], at(other.url("/"))) }];
    let world = world(rules).await;
    let list = client(&world).await.request("tools/list", json!({})).await.result().clone();
    assert!(!names(&list).contains(&"fail") && names(&list).contains(&"add"), "{list}");
    let tools = list["tools"].as_array().expect("tools");
    let echo = tools.iter().find(|tool| tool["name"] == "echo").expect("it stays");
    assert_eq!((&echo["description"], &list["cacheScope"]), (&json!("E."), &json!("private")));
    let shown = other.heard()[0].json()["data"]["payload"].clone();
    assert!(names(&shown).iter().all(|name| name.starts_with('e') || *name == "fail"), "{shown}");

    let adds =
        who(|_| json!({"action": "mutate", "payload": {"tools": [{"name": "rm", "inputSchema": {}}]}})).await;
    let world = super::world(vec![rule(&[Checked::Descriptions], at(adds.url("/")))]).await;
    let refused = client(&world).await.request("tools/list", json!({})).await;
    assert_eq!(stopped(&refused).as_deref(), Some("The list is withheld: the check \"r\" could not be made"));
}

/// Each way to give no good answer.
async fn failures() -> Vec<(&'static str, Option<Other>, CheckWebhook)> {
    let short = |url: String| CheckWebhook { timeout: Span::from_millis(300), ..at(url) };
    let mut all = Vec::new();
    for (word, answer) in [
        ("timeout", Answer::Silence),
        ("status", Answer::Plain(500, None, "{\"action\":\"allow\"}".to_owned())),
        ("status", Answer::Plain(204, None, String::new())),
        ("status", Answer::Plain(302, Some(("location", "/elsewhere")), String::new())),
        ("garbage", Answer::Plain(200, None, "OK".to_owned())),
        ("garbage", Answer::Json(json!({"action": "perhaps"}))),
        ("garbage", Answer::Json(json!({}))),
        ("unfit", Answer::Json(json!({"action": "mutate", "payload": 7}))),
        ("answer_too_large", Answer::Json(json!({"action": "allow", "x": "x".repeat(70_000)}))),
    ] {
        let other = Other::start(move |_| answer.clone()).await;
        let webhook = short(other.url("/check"));
        all.push((word, Some(other), CheckWebhook { bytes_max: Size::from_kib(64), ..webhook }));
    }
    all.push(("unreachable", None, short(nobody())));
    let unasked = Other::start(|_| Answer::Json(allow())).await;
    let tiny = CheckWebhook { bytes_max: Size::from_bytes(16), ..at(unasked.url("/check")) };
    all.push(("too_large", Some(unasked), tiny));
    all
}

/// What each part comes to where nobody gives a good answer: whether it is stopped, and what its record says.
async fn comes_to(world: &World, events: &Events, on: Checked) -> (bool, String) {
    let client = client(world).await;
    let ended = match on {
        Checked::Descriptions => client.request("tools/list", json!({})).await,
        Checked::Questions => client.call_tool("confirm_order", json!({})).await,
        Checked::Arguments | Checked::Results => {
            client.call_tool("echo", json!({"text": "some words that are long"})).await
        }
    };
    let stopped = stopped(&ended);
    if let Some(text) = &stopped {
        assert!(text.contains("could not be made"), "{text}");
        let ran = match on {
            Checked::Arguments => text.contains("Nothing ran"),
            Checked::Results | Checked::Questions => text.contains("The call was made"),
            Checked::Descriptions => text.contains("withheld"),
        };
        assert!(ran, "{on:?}: {text}");
    }
    let record = match on {
        Checked::Descriptions => String::new(),
        _ => events.last().details.get("checks").cloned().unwrap_or_default(),
    };
    (stopped.is_some(), record)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_good_answer_passes_only_where_the_rule_says_so_however_it_fails_and_whatever_is_looked_at() {
    for (word, other, webhook) in failures().await {
        for (mode, fail, passes) in [
            (CheckMode::Enforce, CheckFail::Closed, false),
            (CheckMode::Enforce, CheckFail::Open, true),
            (CheckMode::Observe, CheckFail::Closed, true),
            (CheckMode::Observe, CheckFail::Open, true),
        ] {
            for on in ALL {
                let rule = CheckRule { mode, fail, ..rule(&[on], webhook.clone()) };
                let world = world(vec![rule]).await;
                let events = Events::of(&world);
                let (is_stopped, record) = comes_to(&world, &events, on).await;
                assert_eq!(is_stopped, !passes, "{word} {mode:?} {fail:?} {on:?}");
                let outcome = if passes { "failed_open" } else { "failed_closed" };
                if on != Checked::Descriptions {
                    let whole = record.starts_with(&format!("r {outcome} ")) && record.contains(word);
                    assert!(whole, "{word} {mode:?} {fail:?} {on:?}: {record}");
                }
                let metrics =
                    testkit::http::Http::new(world.address()).get("/metrics").send().await.text().await;
                assert!(metrics.contains(&format!("outcome=\"{outcome}\"")), "{word} {on:?}: {metrics}");
            }
        }
        let heard = other.iter().flat_map(Other::heard).map(|heard| heard.path).collect::<Vec<_>>();
        assert!(heard.iter().all(|path| path == "/check"), "no redirect is followed: {heard:?}");
        assert_eq!(heard.is_empty(), matches!(word, "unreachable" | "too_large"), "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_observed_passes_whatever_is_said() {
    for said in [json!({"action": "deny"}), json!({"action": "mutate", "payload": {"text": "other"}})] {
        let other = who(move |_| said.clone()).await;
        let rule = CheckRule { mode: CheckMode::Observe, ..rule(&[Checked::Arguments], at(other.url("/"))) };
        let world = world(vec![rule]).await;
        let events = Events::of(&world);
        assert_eq!(client(&world).await.call_tool("echo", json!({"text": "x"})).await.text(), "x");
        assert!(events.last().details["checks"].starts_with("r observed arguments"), "{:?}", events.last());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_asked_at_a_time_than_may_be_and_whoever_waits_too_long_has_no_answer() {
    let other = Other::start(|_| Answer::Silence).await;
    let webhook =
        CheckWebhook { concurrency_max: 1, timeout: Span::from_millis(400), ..at(other.url("/check")) };
    let world = world(vec![rule(&[Checked::Arguments], webhook)]).await;
    let client = client(&world).await;
    let calls = (0..4).map(|_| client.call_tool("echo", json!({"text": "x"})));
    let ended = futures_util::future::join_all(calls).await;
    assert!(ended.iter().all(|ended| stopped(ended).is_some()), "{ended:?}");
    assert!(other.heard().len() < 4, "others waited for their turn until it was too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_has_to_be_allowed_as_it_is_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("p.cedar");
    let text = "@id(\"all\") permit(principal, action, resource);\n\
        @id(\"no\") @reason(\"Not that.\") forbid(principal, action == Action::\"call_tool\", resource) \
        when { context.arguments has text && context.arguments.text == \"forbidden\" };";
    std::fs::write(&file, text).expect("a file");
    let other = who(|data| match data["payload"]["text"] == "sly" {
        true => json!({"action": "mutate", "payload": {"text": "forbidden"}}),
        false => json!({"action": "mutate", "payload": {"text": "fine"}}),
    });
    let other = other.await;
    let rules = vec![rule(&[Checked::Arguments], at(other.url("/")))];
    let policy = Policy {
        files: vec![file],
        arguments: [("text".to_owned(), config::ArgumentType::String)].into(),
        ..Policy::default()
    };
    let world = World::builder().demo("crm", demo::Server::builder()).config(move |config| {
        config.checks = rules;
        config.policy = Some(policy);
    });
    let world = world.start().await;
    let client = Client::with(world.address(), "/crm/mcp", Revision::V2026_07_28, Options::default()).await;
    assert_eq!(client.call_tool("echo", json!({"text": "x"})).await.text(), "fine");
    let made = world.demo("crm").server.stats().requests("tools/call");
    let refused = client.call_tool("echo", json!({"text": "sly"})).await;
    assert!(refused.text().contains("Not that."), "{refused:?}");
    assert_eq!(world.demo("crm").server.stats().requests("tools/call"), made);
}
