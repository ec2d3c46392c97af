//! Who comes in, at every route and in every revision.

use std::time::Duration;

use config::{EndpointAuth, Issuer as IssuerSection};
use demo::Server;
use http::Method;
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::harness::WorldBuilder;
use testkit::http::{Http, Request};
use testkit::issuer::Issuer;
use testkit::{Client, Revision, World, within};

const URL: &str = "https://gw.example";
/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;

fn guarded(issuer: &Issuer) -> WorldBuilder {
    let section = IssuerSection {
        issuer: issuer.url.clone(),
        tenant_claim: Some("tid".to_owned()),
        groups_claim: Some("groups".to_owned()),
        ..IssuerSection::default()
    };
    World::builder().demo("crm", Server::builder()).demo("hr", Server::builder()).config(|config| {
        config.auth.url = Some(URL.to_owned());
        config.auth.allow = Some(vec!["corp".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), section);
        let open = EndpointAuth { allow: Some(vec!["anonymous".to_owned()]), ..EndpointAuth::default() };
        config.auth.endpoints.insert("hr".to_owned(), open);
    })
}

fn claims(subject: &str, path: &str) -> Value {
    json!({
        "aud": format!("{URL}{path}"), "sub": subject, "tid": "acme", "iat": NOW, "exp": NOW + 600,
        "client_id": "editor", "scope": "mcp", "groups": ["sales"],
    })
}

fn options(token: &str) -> Options {
    Options { authorization: Some(format!("Bearer {token}")), ..Options::default() }
}

fn bare(world: &World, method: Method, path: &str) -> Request {
    Http::new(world.address()).request(method, path)
}

#[tokio::test]
async fn a_client_of_any_revision_comes_in_with_a_token_for_its_endpoint_and_not_without() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    for revision in Revision::ALL {
        let path = if revision == Revision::V2024_11_05 { "/crm/sse" } else { "/crm/mcp" };
        let client = world.client_with("crm", revision, options(&issuer.token(&claims("ann", path)))).await;
        let said = client.call_tool("echo", json!({"text": "hello"})).await;
        assert_eq!(said.result()["content"][0]["text"], "hello", "{revision}");
        let refused = Client::try_with(world.places(), "/crm/mcp", revision, Options::default()).await;
        let outcome = refused.err().expect("nobody comes in without a token");
        assert_eq!(outcome.status, 401, "{revision}: {outcome:?}");
        let foreign = options(&issuer.token(&claims("ann", "/hr/mcp")));
        let refused = Client::try_with(world.places(), "/crm/mcp", revision, foreign).await;
        assert_eq!(refused.err().expect("it is for another endpoint").status, 401, "{revision}");
        // The same token is none at an endpoint that takes anybody, and does no harm there.
        world.client("hr", revision).await;
    }
    assert_eq!(issuer.asked(), 2, "its metadata and its keys");
}

#[tokio::test]
async fn every_route_of_an_endpoint_asks_who_comes() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    for (method, path) in [
        (Method::POST, "/crm/mcp"),
        (Method::GET, "/crm/mcp"),
        (Method::DELETE, "/crm/mcp"),
        (Method::PUT, "/crm/mcp"),
        (Method::GET, "/crm/sse"),
        (Method::POST, "/crm/messages"),
        (Method::POST, "/mcp"),
        (Method::GET, "/sse"),
        (Method::POST, "/messages?sessionId=x"),
    ] {
        let reply = bare(&world, method.clone(), path).send().await;
        let challenge = reply.header("www-authenticate").unwrap_or_default().to_owned();
        assert_eq!(reply.status, 401, "{method} {path}");
        let known = path.split('?').next().unwrap().replace("messages", "sse");
        let metadata = format!("resource_metadata=\"{URL}/.well-known/oauth-protected-resource{known}\"");
        assert!(challenge.starts_with("Bearer ") && challenge.contains(&metadata), "{path}: {challenge}");
        let body = reply.json().await;
        assert_eq!(body["error"]["data"]["reason"], "no_credentials", "{body}");
    }
}

#[tokio::test]
async fn metadata_says_who_issues_tokens_for_an_endpoint() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let get = |path: &str| bare(&world, Method::GET, path).header("origin", "http://localhost:3000").send();
    for (place, resource) in [
        ("/.well-known/oauth-protected-resource/crm/mcp", "/crm/mcp"),
        ("/.well-known/oauth-protected-resource/crm/sse", "/crm/sse"),
        ("/.well-known/oauth-protected-resource/mcp", "/mcp"),
        ("/.well-known/oauth-protected-resource", "/mcp"),
    ] {
        let reply = get(place).await;
        assert_eq!(reply.status, 200, "{place}");
        let document = reply.json().await;
        assert_eq!(document["resource"], format!("{URL}{resource}"), "{place}");
        assert_eq!(document["authorization_servers"], json!([issuer.url]));
    }
    for nothing in ["/hr/mcp", "/other/mcp", "/crm", "/crm/messages", "/", "/metrics", "/crm/mcp/x"] {
        let reply = get(&format!("/.well-known/oauth-protected-resource{nothing}")).await;
        assert_eq!(reply.status, 404, "{nothing}");
    }
}

#[tokio::test]
async fn handles_of_one_caller_mean_nothing_to_another() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let token = |subject: &str| issuer.token(&claims(subject, "/crm/mcp"));
    let (ann, ben) = (token("ann"), token("ben"));
    let other_tenant = {
        let mut claims = claims("ann", "/crm/mcp");
        claims["tid"] = json!("globex");
        issuer.token(&claims)
    };
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let http = Http::new(world.address());
    let reply =
        http.post("/crm/mcp", initialize).header("authorization", format!("Bearer {ann}")).send().await;
    let session = reply.header("mcp-session-id").unwrap().to_owned();
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let ask = |token: &str| {
        let request = http.post("/crm/mcp", &ping).header("authorization", format!("Bearer {token}"));
        request.header("mcp-session-id", &session).header("mcp-protocol-version", "2025-06-18").send()
    };
    assert_eq!(ask(&ann).await.status, 200);
    for other in [&ben, &other_tenant] {
        assert_eq!(ask(other).await.status, 404, "as of one that never was");
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_token_that_opened_it() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let mut soon = claims("ann", "/crm/mcp");
    soon["exp"] = json!(NOW + 1);
    let token = issuer.token(&soon);
    let listen = json!({"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let http = Http::new(world.address()).authorized(Some(format!("Bearer {token}")));
    let listen = http
        .post("/crm/mcp", listen)
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen");
    let mut stream = listen.send().await;
    assert!(stream.streams(), "{stream:?}");
    assert!(within(stream.event()).await.is_some(), "it is acknowledged");
    // The clock of the test stands still; the second that is left does not.
    assert!(within(stream.event()).await.is_none(), "it ends, and says nothing more");

    let mut pair = claims("ann", "/crm/sse");
    pair["exp"] = json!(NOW + 1);
    let http = Http::new(world.address()).authorized(Some(format!("Bearer {}", issuer.token(&pair))));
    let mut stream = http.get("/crm/sse").send().await;
    assert!(within(stream.event()).await.is_some());
    assert!(within(stream.event()).await.is_none());
    world.clock.advance(Duration::from_secs(62));
    assert_eq!(http.get("/crm/sse").send().await.status, 401);
}

#[tokio::test]
async fn a_stream_ends_when_its_caller_would_no_longer_be_let_in() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let token = issuer.token(&claims("ann", "/crm/mcp"));
    let listen = json!({"jsonrpc": "2.0", "id": "s", "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}}});
    let http = Http::new(world.address()).authorized(Some(format!("Bearer {token}")));
    let listen = http.post("/crm/mcp", listen).header("mcp-protocol-version", "2026-07-28");
    let mut stream = listen.header("mcp-method", "subscriptions/listen").send().await;
    assert!(within(stream.event()).await.is_some());
    let mut config = world.config.clone();
    config.auth.scopes = vec!["mcp".to_owned()];
    world.gateway().reload(&config).unwrap();
    let still = within(stream.event()).await.expect("its token grants that");
    assert!(still.data.contains("list_changed"), "{still:?}");
    config.auth.scopes = vec!["admin".to_owned()];
    world.gateway().reload(&config).unwrap();
    let last = within(stream.event()).await.expect("a response ends it");
    assert!(last.data.contains("\"result\""), "{last:?}");
    assert!(within(stream.event()).await.is_none());
}

/// No part of a token may be in anything that leaves the gateway.
#[tokio::test]
async fn an_inbound_token_never_reaches_an_upstream() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let token = issuer.token(&claims("ann", "/crm/mcp"));
    for revision in [Revision::V2025_06_18, Revision::V2026_07_28] {
        let client = world.client_with("crm", revision, options(&token)).await;
        client.call_tool("echo", json!({"text": "x"})).await;
    }
    let stats = world.demo("crm").server.stats();
    let mut looked_at = 0;
    for method in stats.methods().keys() {
        let seen = stats.last(method).expect("it was counted");
        let text = format!("{:?} {}", seen.headers, seen.message);
        assert!(!text.contains(&token[..30]) && !text.to_lowercase().contains("bearer"), "{text}");
        assert!(!seen.headers.contains_key("authorization"), "{text}");
        looked_at += 1;
    }
    assert!(looked_at >= 2, "{looked_at}");
}

#[tokio::test]
async fn a_token_in_the_url_is_refused_with_the_reason() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let token = issuer.token(&claims("ann", "/crm/mcp"));
    let reply = bare(&world, Method::POST, &format!("/crm/mcp?access_token={token}")).send().await;
    assert_eq!(reply.status, 400);
    let text = reply.text().await;
    assert!(text.contains("does not belong into a URL") && !text.contains(&token[..20]), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_takes_no_more_than_its_share_whatever_endpoint_its_users_call() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer)
        .config(|config| {
            config.limits.calls_per_tenant_max = Some(1);
            config.limits.queue_max = 0;
        })
        .start()
        .await;
    let call = |subject: &str, tenant: &str, tool: &str, arguments: Value| {
        let mut claims = claims(subject, "/crm/mcp");
        claims["tid"] = json!(tenant);
        let params = json!({"name": tool, "arguments": arguments, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}, "progressToken": "p"}});
        let call = json!({"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": params});
        let http = Http::new(world.address()).authorized(Some(format!("Bearer {}", issuer.token(&claims))));
        let request = http.post("/crm/mcp", call).header("mcp-protocol-version", "2026-07-28");
        request.header("mcp-method", "tools/call").header("mcp-name", tool).send()
    };
    let mut held = call("ann", "acme", "slow", json!({"seconds": 3600, "steps": 100_000})).await;
    within(held.event()).await.expect("progress");
    let refused = call("ben", "acme", "echo", json!({"text": "x"})).await;
    assert_eq!(refused.status, 503);
    let said = refused.json().await;
    assert_eq!(said["error"]["data"]["who"], "tenant", "{said}");
    assert!(!said.to_string().contains("acme"), "{said}");
    assert_eq!(call("ann", "globex", "echo", json!({"text": "x"})).await.status, 200);
}

/// A call that waits for an answer waits at one replica; who comes to another one is asked there, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_the_same_at_every_replica_and_others_are_not() {
    let issuer = Issuer::start().await;
    let section = IssuerSection { issuer: issuer.url.clone(), ..IssuerSection::default() };
    let demo = Server::builder().revisions(&[Revision::V2025_11_25]);
    let world = World::builder().demo("crm", demo).replicas(2).config(|config| {
        config.auth.url = Some(URL.to_owned());
        config.auth.allow = Some(vec!["corp".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), section);
    });
    let world = world.start().await;
    let ask = async |replica: usize, authorization: Option<String>, answers: Option<(&Value, &Value)>| {
        let mut params = json!({"name": "confirm_order", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}});
        if let Some((state, responses)) = answers {
            params["requestState"] = state.clone();
            params["inputResponses"] = responses.clone();
        }
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let http = Http::new(world.address_of(replica)).authorized(authorization);
        let post = http.post("/crm/mcp", call).header("mcp-protocol-version", "2026-07-28");
        let reply = post.header("mcp-method", "tools/call").header("mcp-name", "confirm_order").send().await;
        (reply.status, within(reply.json()).await)
    };
    let bearer = |subject: &str| Some(format!("Bearer {}", issuer.token(&claims(subject, "/crm/mcp"))));
    let (status, asked) = ask(0, bearer("ann"), None).await;
    assert_eq!(status, 200, "{asked}");
    let state = asked["result"]["requestState"].clone();
    let questions = asked["result"]["inputRequests"].as_object().expect("questions");
    let answer = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), answer.clone())).collect();
    let answers = Value::from(answers);
    assert_eq!(ask(1, None, Some((&state, &answers))).await.0, 401);
    let (_, other) = ask(1, bearer("ben"), Some((&state, &answers))).await;
    assert!(other["error"].is_object() && !other.to_string().contains("ann"), "{other}");
    let (status, done) = ask(1, bearer("ann"), Some((&state, &answers))).await;
    assert_eq!((status, &done["result"]["resultType"]), (200, &json!("complete")), "{done}");
}

/// Signed in so many seconds ago; the token itself is new.
fn signed_in(subject: &str, path: &str, ago: u64) -> Value {
    let mut claims = claims(subject, path);
    claims["auth_time"] = json!(NOW - ago);
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signed_in_too_long_ago_is_challenged_in_every_revision_and_passes_once_he_did_anew() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("fresh.cedar");
    let text = "@id(\"fresh\") @require_sign_in(\"15m\") \
                forbid(principal, action == Action::\"call_tool\", resource);";
    std::fs::write(&path, text).expect("written");
    let world = guarded(&issuer).config(move |config| {
        let presets = vec![config::Preset::Everyone];
        config.policy = Some(config::Policy { presets, files: vec![path], arguments: [].into() });
    });
    let world = world.start().await;
    let at = |revision| if revision == Revision::V2024_11_05 { "/crm/sse" } else { "/crm/mcp" };
    for revision in Revision::ALL {
        let path = at(revision);
        let stale = options(&issuer.token(&signed_in("ann", path, 3_600)));
        let client = world.client_with("crm", revision, stale).await;
        let said = client.call_tool("echo", json!({"text": "hello"})).await;
        assert_eq!(said.result()["isError"], true, "{revision}: {said:?}");
        let text = said.text();
        assert!(text.contains("at most 900 seconds ago") && text.contains("Nothing was done"), "{text}");
        // What is answered on another stream has no status of its own.
        let expected = if revision == Revision::V2024_11_05 { said.status } else { 401 };
        assert_eq!(said.status, expected, "{revision}");
        // What asks for no sign-in is served all the same.
        assert_eq!(client.request("tools/list", json!({})).await.status / 100, 2, "{revision}");
        let fresh = options(&issuer.token(&signed_in("ann", path, 60)));
        let client = world.client_with("crm", revision, fresh).await;
        let said = client.call_tool("echo", json!({"text": "hello"})).await;
        assert_eq!(said.text(), "hello", "{revision}");
    }
    for revision in Revision::ALL.into_iter().filter(|revision| *revision != Revision::V2026_07_28) {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "echo", "arguments": {"text": "hello"}}});
        let token = issuer.token(&signed_in("ann", "/crm/mcp", 901));
        let http = Http::new(world.address()).authorized(Some(format!("Bearer {token}")));
        let one = |body: Value| http.post("/crm/mcp", body).header("mcp-protocol-version", revision.as_str());
        let reply = one(call.clone()).send().await;
        let challenge = reply.header("www-authenticate").unwrap_or_default().to_owned();
        assert_eq!(reply.status, 401, "{revision}");
        for part in [
            "Bearer error=\"insufficient_user_authentication\"",
            "max_age=\"900\"",
            "resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/crm/mcp\"",
        ] {
            assert!(challenge.contains(part), "{revision}: {challenge}");
        }
        let body = reply.json().await;
        let meta = &body["result"]["_meta"]["io.modelcontextprotocol/authorization"];
        assert_eq!(meta["reason"], "insufficient_authorization", "{revision}: {body}");
    }
}
