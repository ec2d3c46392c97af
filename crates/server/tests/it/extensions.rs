//! Extensions of the protocol that may not pass: neither side hears of them from the other.

use config::{Config, Endpoint, Extension, ExtensionState, Glob};
use demo::Server;
use serde_json::{Value, json};
use testkit::client::{Options, everything};
use testkit::harness::WorldBuilder;
use testkit::{Revision, World};

const UI: &str = "io.modelcontextprotocol/ui";
const OWN: &str = "com.example/own";
const TRIAL: &str = "com.example/trial";

/// A server that has three extensions, behind itself, `work` and, where what is experimental is offered,
/// `trial`.
fn offering(change: impl FnOnce(&mut Config)) -> WorldBuilder {
    let all = json!({UI: {"mimeTypes": ["text/html"]}, OWN: {"x": 1}, TRIAL: {}});
    World::builder().demo("crm", Server::builder().extensions(all)).config(|config| {
        for (name, experimental) in [("work", false), ("trial", true)] {
            let endpoint =
                Endpoint { upstreams: vec!["crm".to_owned()], experimental, ..Endpoint::default() };
            config.endpoints.insert(name.to_owned(), endpoint);
        }
        change(config);
    })
}

fn named<'c>(config: &'c mut Config, name: &str, state: ExtensionState) -> &'c mut Extension {
    let entry = config.extensions.named.entry(name.to_owned()).or_default();
    entry.state = state;
    entry
}

fn rules(config: &mut Config) {
    named(config, OWN, ExtensionState::Refused).methods = vec![Glob::new("own/*").expect("a pattern")];
    named(config, TRIAL, ExtensionState::Experimental);
    let settings = json!({"mimeTypes": ["text/plain"]}).as_object().cloned();
    named(config, UI, ExtensionState::Allowed).settings = settings;
}

/// A client that declares all three.
fn able(revision: Revision) -> Options {
    let mut capabilities = everything(revision);
    capabilities["extensions"] = json!({UI: {"a": 1.50}, OWN: {}, TRIAL: {}});
    Options { capabilities: Some(capabilities), ..Options::default() }
}

/// The names of the extensions in some capabilities.
fn extensions(capabilities: &Value) -> Vec<&str> {
    let object = capabilities["extensions"].as_object();
    object
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .filter(|name| !name.contains("tasks"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_pass_is_offered_to_nobody_and_declared_by_nobody_in_every_revision() {
    let world = offering(rules).start().await;
    let stats = world.demo("crm").server.stats();
    for revision in Revision::ALL {
        for endpoint in ["crm", "work", "mcp", "trial"] {
            let expected: &[&str] = if endpoint == "trial" { &[UI, TRIAL] } else { &[UI] };
            let client = world.client_with(endpoint, revision, able(revision)).await;
            let offered = client.opening()["capabilities"].clone();
            let offered = extensions(&offered);
            let is_modern = revision == Revision::V2026_07_28;
            assert!(offered.iter().all(|name| expected.contains(name)), "{revision} {endpoint}: {offered:?}");
            assert!(!is_modern || offered.len() == expected.len(), "{endpoint}: {offered:?}");
            let tool = if endpoint == "crm" { "echo" } else { "crm_echo" };
            assert_eq!(client.call_tool(tool, json!({"text": "a"})).await.text(), "a");
            let seen = stats.last("tools/call").expect("a call");
            let meta = &seen.message["params"]["_meta"];
            let declared = extensions(&meta["io.modelcontextprotocol/clientCapabilities"]);
            assert!(
                declared.iter().all(|name| expected.contains(name)),
                "{revision} {endpoint}: {declared:?}"
            );
            assert!(!is_modern || declared.len() == expected.len(), "{endpoint}: {declared:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_operator_are_told_in_place_of_the_servers() {
    let world = offering(rules).start().await;
    let client = world.client("work", Revision::V2026_07_28).await;
    assert_eq!(client.opening()["capabilities"]["extensions"][UI], json!({"mimeTypes": ["text/plain"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_of_what_may_not_pass_is_unknown_and_does_not_reach_the_server() {
    let world = offering(rules).start().await;
    for revision in Revision::ALL {
        let client = world.client_with("crm", revision, able(revision)).await;
        let before = world.demo("crm").server.stats().requests("own/get");
        let refused = client.request("own/get", json!({})).await;
        assert_eq!(refused.code(), Some(-32601), "{revision}: {:?}", refused.end);
        assert_eq!(world.demo("crm").server.stats().requests("own/get"), before, "{revision}");
        // Another method that nobody knows is the server's to refuse.
        let passed = world.demo("crm").server.stats().requests("other/get");
        let _ = client.request("other/get", json!({})).await;
        assert_eq!(world.demo("crm").server.stats().requests("other/get"), passed + 1, "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_named_passes_or_not_as_the_rest_does() {
    for (others, expected) in
        [(ExtensionState::Allowed, vec![UI, OWN, TRIAL]), (ExtensionState::Refused, vec![OWN])]
    {
        let world = offering(move |config| {
            config.extensions.others = others;
            named(config, OWN, ExtensionState::Allowed);
        });
        let world = world.start().await;
        let client = world.client_with("work", Revision::V2026_07_28, able(Revision::V2026_07_28)).await;
        let capabilities = client.opening()["capabilities"].clone();
        let mut offered = extensions(&capabilities);
        offered.sort_by_key(|name| expected.iter().position(|known| known == name));
        assert_eq!(offered, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_pass_goes_through_byte_for_byte() {
    let world = offering(rules).start().await;
    let client = world.client_with("crm", Revision::V2026_07_28, able(Revision::V2026_07_28)).await;
    let _ = client.call_tool("echo", json!({"text": "a"})).await;
    let seen = world.demo("crm").server.stats().last("tools/call").expect("a call");
    let declared = &seen.message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(declared["extensions"], json!({UI: {"a": 1.50}}));
    assert_eq!(declared["elicitation"], everything(Revision::V2026_07_28)["elicitation"]);
}
