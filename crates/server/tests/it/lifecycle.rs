//! Upstreams, tools and endpoints that are proposed, on trial, deprecated and removed.

use std::time::Duration;

use config::{
    Card, CardVisibility, Day, Endpoint, Glob, LifeStage, Lifecycle, LifecycleRule, Policy, Preset, Span,
    Upstream,
};
use demo::Server;
use http::Method;
use serde_json::{Value, json};
use testkit::harness::WorldBuilder;
use testkit::http::{Http, Reply};
use testkit::{Client, Revision, World};

use crate::may::policies;

const LIFECYCLE: &str = "io.tidegate/lifecycle";
const DAY: Duration = Duration::from_secs(24 * 3_600);

fn day(text: &str) -> Option<Day> {
    Some(text.parse().expect("a day"))
}

/// Deprecated from the second day of a world, gone from the third.
fn going(replacement: &str) -> Lifecycle {
    Lifecycle {
        state: LifeStage::Active,
        deprecated_on: day("2026-07-29"),
        removed_on: day("2026-07-30"),
        replacement: Some(replacement.to_owned()),
    }
}

fn state(state: LifeStage) -> Lifecycle {
    Lifecycle { state, ..Lifecycle::default() }
}

fn rule(name: &str, lifecycle: Lifecycle) -> LifecycleRule {
    LifecycleRule { names: vec![Glob::new(name).expect("a pattern")], lifecycle }
}

/// A demo server of which some has rules. Sessions outlive the days.
fn ruled(rules: Vec<LifecycleRule>) -> WorldBuilder {
    let ruled = |upstream: &mut Upstream| upstream.lifecycles = rules;
    World::builder()
        .demo_with("crm", Server::builder(), ruled)
        .config(|config| config.sessions.ttl = Span::from_hours(30 * 24))
}

fn selection(upstreams: &[&str]) -> Endpoint {
    Endpoint { upstreams: upstreams.iter().map(ToString::to_string).collect(), ..Endpoint::default() }
}

async fn entry(client: &Client, method: &str, member: &str, name: &str) -> Option<Value> {
    let listed = client.request(method, json!({})).await;
    let all = listed.result()[member].as_array().expect("a list").clone();
    all.into_iter().find(|entry| entry["name"] == name || entry["uri"] == name)
}

async fn tool(client: &Client, name: &str) -> Option<Value> {
    entry(client, "tools/list", "tools", name).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_go_says_so_and_goes_on_its_day_for_clients_of_every_revision() {
    let world = ruled(vec![rule("echo", going("counter"))]).replicas(2).start().await;
    let plain = World::builder().demo("crm", Server::builder()).start().await;
    let mut clients = Vec::new();
    for revision in Revision::ALL {
        for (endpoint, prefix) in [("crm", ""), ("mcp", "crm_")] {
            let without = tool(&plain.client(endpoint, revision).await, &format!("{prefix}echo")).await;
            clients.push((world.client(endpoint, revision).await, prefix, without.expect("it is there")));
        }
    }
    for state in ["active", "deprecated"] {
        for (client, prefix, without) in &clients {
            let revision = client.revision();
            let mut listed = tool(client, &format!("{prefix}echo")).await.expect("it is offered");
            let expected = json!({
                "state": state, "deprecatedOn": "2026-07-29", "removedOn": "2026-07-30",
                "replacement": format!("{prefix}counter"),
            });
            assert_eq!(listed["_meta"][LIFECYCLE], expected, "{revision}: {listed}");
            // Besides that nothing of it is another one.
            let meta = listed["_meta"].as_object_mut().expect("an object");
            meta.remove(LIFECYCLE);
            let mut without = without.clone();
            if without["_meta"].is_null() {
                without["_meta"] = json!({});
            }
            assert_eq!(listed, without, "{revision}");
            let other = tool(client, &format!("{prefix}counter")).await.expect("it is offered");
            assert_eq!(other["_meta"][LIFECYCLE], Value::Null, "{revision}: {other}");
            let called = client.call_tool(&format!("{prefix}echo"), json!({"text": "x"})).await;
            assert_eq!(called.text(), "x", "{revision}");
        }
        world.clock.advance(DAY);
    }
    for (client, prefix, _) in &clients {
        let revision = client.revision();
        assert_eq!(tool(client, &format!("{prefix}echo")).await, None, "{revision}");
        let refused = client.call_tool(&format!("{prefix}echo"), json!({"text": "x"})).await;
        let unknown = client.call_tool(&format!("{prefix}no_such"), json!({"text": "x"})).await;
        assert_eq!(refused.code(), Some(-32602), "{revision}: {refused:?}");
        // Whoever answers for a name that nobody has, the gateway or its upstream, calls it by its own.
        let words = |answer: &str, name: &str| answer.replace(&format!("{prefix}{name}"), name);
        let expected = words(&format!("{unknown:?}"), "no_such");
        let found = words(&format!("{refused:?}"), "echo").replace("echo", "no_such");
        assert_eq!(found, expected, "{revision}");
        let _ = client.call_tool(&format!("{prefix}counter"), json!({})).await.result();
    }
    let calls = world.demo("crm").server.counter();
    assert_eq!(calls, clients.len() as u64, "what is gone was not called under another name");
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_and_resources_go_as_tools_do() {
    let plain = World::builder().demo("crm", Server::builder()).start().await;
    let first = async |method: &str, member: &str, key: &str| {
        let client = plain.client("crm", Revision::V2026_07_28).await;
        client.request(method, json!({})).await.result()[member][0][key].as_str().expect("one").to_owned()
    };
    let prompt = first("prompts/list", "prompts", "name").await;
    let uri = first("resources/list", "resources", "uri").await;
    let rules = vec![rule(&prompt, going("other")), rule(&uri, going("demo://other"))];
    let world = ruled(rules).start().await;
    for (at, state) in [(0, "active"), (1, "deprecated"), (2, "gone")] {
        for revision in Revision::ALL {
            let client = world.client("crm", revision).await;
            for (method, member, name) in
                [("prompts/list", "prompts", &prompt), ("resources/list", "resources", &uri)]
            {
                let found = entry(&client, method, member, name).await;
                let told = found.as_ref().map(|entry| &entry["_meta"][LIFECYCLE]["state"]);
                let expected = json!(state);
                assert_eq!(told, Some(&expected).filter(|_| at < 2), "{revision}: {found:?}");
            }
            let read = client.request("resources/read", json!({"uri": uri})).await;
            assert_eq!(read.code().is_some(), at == 2, "{revision}: {read:?}");
            let got = client.request("prompts/get", json!({"name": prompt, "arguments": {}})).await;
            // One without its arguments is refused by its server, in its own words.
            let unknown = format!("{got:?}").contains("Unknown prompt");
            assert_eq!(unknown, at == 2, "{revision}: {got:?}");
        }
        world.clock.advance(DAY);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_listen_hear_that_a_day_has_come() {
    for revision in Revision::ALL {
        let world = ruled(vec![rule("echo", going("counter"))]).start().await;
        let client = world.client("crm", revision).await;
        client.watch(&[]).await.expect("it agrees");
        let app = world.gateway().app();
        app.turn_lives();
        world.clock.advance(DAY);
        app.turn_lives();
        let mut heard = Vec::new();
        while heard.len() < 3 {
            heard.push(client.next_change().await["method"].as_str().expect("a method").to_owned());
        }
        heard.sort();
        let list = |of: &str| format!("notifications/{of}/list_changed");
        assert_eq!(heard, [list("prompts"), list("resources"), list("tools")], "{revision}");
    }
}

async fn opened(world: &World, path: &str) -> Reply {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"},
    });
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
    Http::new(world.address()).post(path, message).header("origin", "http://localhost:1").send().await
}

fn headers(reply: &Reply) -> [Option<&str>; 3] {
    ["deprecation", "sunset", "link"].map(|name| reply.header(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_announces_its_end_in_each_answer_and_is_gone_after_it() {
    let world = World::builder()
        .demo("crm", Server::builder())
        .demo_with("old", Server::builder(), |upstream| {
            upstream.lifecycle = Some(Lifecycle { deprecated_on: None, ..going("crm") });
        })
        .config(|config| {
            let lifecycle = Some(going("mcp"));
            let support = Endpoint { lifecycle, ..selection(&["crm"]) };
            config.endpoints.insert("support".to_owned(), support);
        })
        .start()
        .await;
    let deprecation = Some("@1785283200");
    let sunset = Some("Thu, 30 Jul 2026 00:00:00 GMT");
    for _ in 0..2 {
        let reply = opened(&world, "/support/mcp").await;
        let link = Some("</mcp>; rel=\"successor-version\"");
        assert_eq!((reply.status, headers(&reply)), (200, [deprecation, sunset, link]));
        let exposed = reply.header("access-control-expose-headers").expect("pages may read").to_owned();
        assert!(["deprecation", "sunset", "link"].iter().all(|name| exposed.contains(name)), "{exposed}");
        let reply = Http::new(world.address()).request(Method::PUT, "/support/mcp").send().await;
        assert_eq!((reply.status, headers(&reply)), (405, [deprecation, sunset, link]));
        let reply = opened(&world, "/old/mcp").await;
        let link = Some("</crm/mcp>; rel=\"successor-version\"");
        assert_eq!((reply.status, headers(&reply)), (200, [None, sunset, link]));
        for path in ["/crm/mcp", "/mcp"] {
            assert_eq!(headers(&opened(&world, path).await), [None; 3], "{path}");
        }
        world.clock.advance(DAY);
    }
    for (path, instead) in [("/support/mcp", "Use /mcp"), ("/old/mcp", "Use /crm/mcp")] {
        let reply = opened(&world, path).await;
        assert_eq!((reply.status, headers(&reply)[1]), (410, sunset), "{path}");
        let text = reply.text().await;
        assert!(text.contains("was removed") && text.contains(instead), "{text}");
    }
    assert_eq!(opened(&world, "/mcp").await.status, 200);
    let client = world.client("mcp", Revision::V2026_07_28).await;
    assert_eq!((tool(&client, "old_echo").await, tool(&client, "crm_echo").await.is_some()), (None, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_every_revision_are_told_of_an_endpoints_life_as_they_connect_and_lose_it_on_its_day() {
    let world = World::builder()
        .demo("crm", Server::builder())
        .config(|config| {
            config.sessions.ttl = Span::from_hours(30 * 24);
            let support = Endpoint { lifecycle: Some(going("mcp")), ..selection(&["crm"]) };
            config.endpoints.insert("support".to_owned(), support);
        })
        .start()
        .await;
    let mut clients = Vec::new();
    for revision in Revision::ALL {
        let client = world.client("support", revision).await;
        let told = &client.opening()["_meta"][LIFECYCLE];
        let expected = json!({
            "state": "active", "deprecatedOn": "2026-07-29", "removedOn": "2026-07-30", "replacement": "mcp",
        });
        assert_eq!(*told, expected, "{revision}: {}", client.opening());
        clients.push(client);
    }
    world.clock.advance(2 * DAY);
    for client in clients {
        let ended = client.request("tools/list", json!({})).await;
        assert!(!format!("{ended:?}").contains("crm_echo"), "{}: {ended:?}", client.revision());
        assert!(format!("{ended:?}").contains("410"), "{}: {ended:?}", client.revision());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_trial_is_offered_where_an_endpoint_says_so_and_what_is_proposed_is_not_even_asked() {
    let world = World::builder()
        .demo("crm", Server::builder())
        .demo_with("lab", Server::builder(), |one| one.lifecycle = Some(state(LifeStage::Experimental)))
        .demo_with("wish", Server::builder(), |one| one.lifecycle = Some(state(LifeStage::Proposed)))
        .config(|config| {
            let all = || selection(&["crm", "lab", "wish"]);
            config.endpoints.insert("trial".to_owned(), Endpoint { experimental: true, ..all() });
            config.endpoints.insert("usual".to_owned(), all());
        })
        .start()
        .await;
    for revision in Revision::ALL {
        for (endpoint, lab) in [("trial", true), ("usual", false), ("mcp", false)] {
            let client = world.client(endpoint, revision).await;
            let listed = tool(&client, "lab_echo").await;
            let told = listed.as_ref().map(|entry| &entry["_meta"][LIFECYCLE]["state"]);
            let experimental = json!("experimental");
            assert_eq!(told, Some(&experimental).filter(|_| lab), "{revision} at {endpoint}");
            let called = client.call_tool("lab_echo", json!({"text": "x"})).await;
            assert_eq!(called.code().is_none(), lab, "{revision} at {endpoint}: {called:?}");
            assert!(tool(&client, "crm_echo").await.is_some(), "{revision} at {endpoint}");
            let wished = client.call_tool("wish_echo", json!({"text": "x"})).await;
            assert_eq!(wished.code(), Some(-32602), "{revision} at {endpoint}");
        }
    }
    for path in ["/lab/mcp", "/wish/mcp"] {
        assert_eq!(opened(&world, path).await.status, 404, "{path}");
    }
    assert_eq!(world.demo("wish").server.stats().requests_total(), 0, "nobody asked it for anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_card_and_the_registry_say_where_an_endpoint_is_in_its_life() {
    let card = |name: &str| Card {
        name: format!("com.acme/{name}"),
        version: "1.0.0".to_owned(),
        description: format!("The {name} of Acme"),
        visibility: CardVisibility::Public,
        ..Card::default()
    };
    let world = World::builder()
        .demo_with("crm", Server::builder(), |upstream| upstream.lifecycle = Some(going("mcp")))
        .demo_with("wish", Server::builder(), |one| one.lifecycle = Some(state(LifeStage::Proposed)))
        .config(|config| {
            config.auth.url = Some("https://gw.example".to_owned());
            for name in ["crm", "wish"] {
                config.discovery.cards.insert(name.to_owned(), card(name));
            }
        })
        .start()
        .await;
    let ask = async |path: &str| Http::new(world.address()).request(Method::GET, path).send().await;
    let mut marks = Vec::new();
    let since = "/registry/v0.1/servers?updated_since=2026-07-28T12:00:00Z&include_deleted=true";
    for (state, status, message, changed) in [
        ("active", "active", None, "2026-07-28T00:00:00Z"),
        (
            "deprecated",
            "deprecated",
            Some("Deprecated since 2026-07-29; goes on 2026-07-30; use /mcp"),
            "2026-07-29T00:00:00Z",
        ),
        ("removed", "deleted", Some("Removed since 2026-07-30; use /mcp"), "2026-07-30T00:00:00Z"),
    ] {
        let reply = ask("/crm/mcp/server-card").await;
        if state == "removed" {
            assert_eq!(reply.status, 404);
            assert_eq!(ask("/.well-known/ai-catalog.json").await.status, 404);
        } else {
            marks.push(reply.header("etag").expect("a mark").to_owned());
            let card = reply.json().await;
            assert_eq!(card["_meta"][LIFECYCLE]["state"], state, "{card}");
            let catalog = ask("/.well-known/ai-catalog.json").await.json().await.to_string();
            assert!(catalog.contains("crm") && !catalog.contains("wish"), "{catalog}");
        }
        let page = ask("/registry/v0.1/servers?include_deleted=true").await.json().await;
        let all = page["servers"].as_array().expect("a page");
        assert_eq!(all.len(), 1, "what is proposed is no server yet: {page}");
        let official = &all[0]["_meta"]["io.modelcontextprotocol.registry/official"];
        assert_eq!((&official["status"], &official["statusMessage"]), (&json!(status), &json!(message)));
        assert_eq!(official["updatedAt"], changed, "{official}");
        let news = ask(since).await.json().await["servers"].as_array().expect("a page").len();
        assert_eq!(news, usize::from(state != "active"), "a mirror hears of it");
        world.clock.advance(DAY);
    }
    assert_ne!(marks[0], marks[1], "another card has another mark");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_see_where_a_tool_is_in_its_life() {
    let policies = policies(
        "forbid(principal, action == Action::\"call_tool\", resource) when { \
         resource.labels.contains(\"lifecycle:deprecated\") };",
    );
    let files = vec![policies.path.clone()];
    let world = ruled(vec![rule("echo", going("counter"))])
        .config(|config| {
            let presets = vec![Preset::Everyone];
            config.policy = Some(Policy { presets, files, arguments: Default::default() });
        })
        .start()
        .await;
    let mut clients = Vec::new();
    for revision in Revision::ALL {
        let client = world.client("crm", revision).await;
        assert!(tool(&client, "echo").await.is_some(), "{revision}");
        clients.push(client);
    }
    world.clock.advance(DAY);
    for client in clients {
        let revision = client.revision();
        assert_eq!(tool(&client, "echo").await, None, "{revision}");
        assert!(tool(&client, "counter").await.is_some(), "{revision}");
        let refused = client.call_tool("echo", json!({"text": "x"})).await;
        assert!(!format!("{refused:?}").contains("\"x\""), "{revision}: {refused:?}");
    }
}
